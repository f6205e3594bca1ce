"""Losses as pure functions of arrays of JAX, made from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeGuard

import jax
import numpy as np

from lossmith.core.elsewhere import counterpart, keyword
from lossmith.core.inputs import OF_COSTS, PAIR, compares, judged
from lossmith.core.loss import Loss
from lossmith.core.parameter import Vector
from lossmith.core.registry import loss_class, names, no_loss, parse
from lossmith.core.words import reworded, speaking
from lossmith.errors import ParameterError, did_you_mean
from lossmith.frameworks.calls import JAX, bound, in_words, instead, order, takes_where
from lossmith.frameworks.jax import costs
from lossmith.frameworks.jax.arguments import left_out

Array = Any

HOME = "lossmith.jax"
_WORDS = {**JAX, "the call": f"{HOME}.cost"}  # that of a loss's own function has no weights


def losses(loss: Loss | str, *given: Array, where: Array | None = None, **named: Array) -> Array:
    """Return the loss of each example.

    Args:
        loss: any loss, or its text, such as ``"huber(delta=1.35)"``.
        given: inputs by place: predictions, then targets, then others as in the catalogue. Divergences take none so.
        where: of losses over the softmax of logits, as optax says: true for the classes that are there, of the logits'
            shape, or for the rows that count, whose loss is 0 otherwise.
        named: inputs by name; where predictions are logits, also ``logits`` and ``labels``, as optax says.

    Returns:
        An array of the examples' shape: float64 where an input is, else float32. Class weights are in it, and rows
        that the loss ignores have 0. An example outside the domains has a loss that is NaN while tracing.

    Raises:
        ShapeError, KindError, ParameterError: also while tracing.
        DomainError: for an example outside the domains, where values are known.
    """
    with speaking(JAX):
        found, arrays = _call(loss, given, named)
        arrays, mask = (arrays, None) if where is None else left_out(found, arrays, where)
        return costs.cost(found, arrays, None, mask, "none", "zero")


def cost(
    loss: Loss | str,
    *given: Array,
    weight: Array | None = None,
    mask: Array | None = None,
    reduction: str = "mean",
    empty: str = "zero",
    **named: Array,
) -> Array:
    """Return the losses of all examples put together, for ``jax.grad``.

    Args:
        loss, given, named: as in ``losses``.
        weight: a weight for each example, at least 0; axes of size 1 broadcast. An example outside the domains is an
            error, or is counted in a state, with a weight of 0 too, though it leaves a traced cost a number; leave it
            out by ``mask``.
        mask: true for the examples that count; what the others hold does not matter.
        reduction: ``mean`` (Σwl/Σw, default), ``count_mean`` (Σwl/n), ``sum`` (Σwl) or ``none`` (wl).
        empty: what a cost of nothing is: ``zero`` (default), ``nan``, or ``error``, which is NaN while tracing.

    Raises:
        ShapeError, KindError, ParameterError: also while tracing.
        DomainError, EmptyError: where values are known; see ``state`` for counts where they are not.
    """
    with speaking(JAX):
        return costs.cost(*_call(loss, given, named), weight, mask, reduction, empty)


def state(
    loss: Loss | str, *given: Array, weight: Array | None = None, mask: Array | None = None, **named: Array
) -> costs.State:
    """Return the sums behind the cost, which add up over batches and devices; arguments and errors as in ``cost``.

    Its ``cost()`` can be differentiated. ``check()`` tells of examples outside the domains that no traced call
    could look at.
    """
    with speaking(JAX):
        return costs.state(*_call(loss, given, named), weight, mask)


_OPTAX = {
    **dict.fromkeys(("logits", "predictor_outputs", "scores"), "predictions"),
    "labels": "targets",
}
"""What optax calls inputs of losses of logits, which are scores to some."""
_OF_TWO = ("log_predictions", "log_targets")
"""What it calls those of divergences, beside what are names here."""
_NEAR = 0.8
"""How much of a name must be that of an argument of costs, which a loss does not take."""


def _in_ours(loss: Loss, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by our names where a loss of logits got arrays by those of optax."""
    if loss.values.get("prediction") != "logits":
        return {**named}
    return {_OPTAX.get(key, key) if _is_array(value) else key: value for key, value in named.items()}


def _call(loss: Loss | str, given: Sequence[Array], named: Mapping[str, Array]) -> tuple[Loss, dict[str, Array]]:
    if not isinstance(loss, Loss | str):
        got = f"{HOME}.{loss.__name__}; say {loss.__name__!r}" if _is_made(loss) else no_loss(loss)
        raise ParameterError(f"a loss or its name comes first, then predictions and targets; got {got}")
    found = parse(loss)
    return found, bound(found, order(found), JAX, given, _in_ours(found, named))


@lru_cache
def function(name: str) -> Callable[..., Array]:
    """Return the function of a loss.

    Raises:
        AttributeError: when no loss has this name.
    """
    if name not in names():
        raise AttributeError(
            f"module {HOME!r} has no attribute {name!r}.{instead('optax', name, lambda cls: cls.name, JAX)}"
        )
    cls = loss_class(name)
    inputs, declared = in_words(cls(), JAX).keys() | JAX.values() | _OPTAX.keys(), cls.declared()

    def made(*given: Array, **named: Array) -> Array:
        with speaking(_WORDS):
            # An input and an option may share a name, and arrays are inputs.
            plain = [key for key in declared if key in named and not (key in inputs and _is_array(named[key]))]
            values = {key: _static(cls, key, named.pop(key)) for key in plain}
            loss = cls(**values)
            named = _in_ours(loss, named)
            where = named.pop("where", None)
            taken = len(order(loss)) or len(given)
            taking = [*in_words(loss, JAX), *declared, *(["where"] if takes_where(loss) else [])]
            # An input and an option that share a name are one argument to whoever reads of them.
            known = [*dict.fromkeys(JAX.get(key, key) for key in taking)]
            if len(given) > taken + len(declared):
                raise ParameterError(f"{cls.__name__} takes {', '.join(known)}; got {len(given)} by place")
            for key in (key for key in named if key not in {*known, *JAX, *JAX.values()}):
                mend = keyword(key, declared, [item.name for item in loss.inputs], cls.elsewhere) or did_you_mean(
                    key, known
                )
                is_one = key in _OF_TWO or counterpart(key, PAIR)
                mend = judged(loss) if is_one and compares(loss) else mend
                if wanted := next((it for it in OF_COSTS if did_you_mean(key, [it], cutoff=_NEAR)), None):
                    what = "it" if wanted == key else f"{wanted}="
                    mend = f" {HOME}.cost({name!r}, ...) takes {what}."
                raise ParameterError(f"{cls.__name__} takes {', '.join(known)}; it has no {key!r}.{mend}")
            placed = [_static(cls, key, value) for key, value in zip(declared, given[taken:], strict=False)]
            return losses(cls(*placed, **values), *given[:taken], where=where, **named)

    made.__name__ = made.__qualname__ = name
    made.__module__, made.__doc__ = HOME, _documentation(cls)
    made.__signature__ = signature(cls)  # type: ignore[attr-defined]
    return made


def signature(cls: type[Loss]) -> inspect.Signature:
    """Return what the function of a loss takes: its inputs, then its parameters."""
    loss = cls()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if order(loss) else inspect.Parameter.KEYWORD_ONLY
    inputs = [inspect.Parameter(name, kind) for name in in_words(loss, JAX)]
    values = [inspect.Parameter(key, kind, default=item.default) for key, item in cls.declared().items()]
    where = [inspect.Parameter("where", inspect.Parameter.KEYWORD_ONLY, default=None)] if takes_where(loss) else []
    return inspect.Signature([*inputs, *values, *where])


def _is_made(value: Any) -> TypeGuard[Callable[..., Array]]:
    """Return whether something is the function of a loss."""
    return inspect.isfunction(value) and value.__module__ == HOME


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray)


def _static(cls: type[Loss], key: str, value: Any) -> Any:
    """Return the value of a parameter, which has to be known before anything is traced.

    Raises:
        ParameterError: for one that is not, and for an array in the place of a number.
    """
    if not _is_array(value):
        return value
    if isinstance(value, jax.core.Tracer) or value.ndim > isinstance(cls.declared()[key], Vector):
        raise ParameterError(
            f"{cls.__name__}: {key} must be known before anything is traced, got an array; pass a plain value, "
            f"which jax.jit keeps with static_argnames, and weights of examples to {HOME}.cost(..., weight=)"
        )
    return value.tolist()


def _documentation(cls: type[Loss]) -> str:
    """Return what the function of a loss says of itself."""
    loss = cls()
    inputs = [f"    {name}: {item.doc or 'an array'}." for name, item in in_words(loss, JAX).items()]
    values = [f"    {key}: {reworded(item.doc, JAX)}." for key, item in cls.declared().items()]
    values += ["    where: true for the classes that are there, or the rows that count."] if takes_where(loss) else []
    head = reworded((cls.__doc__ or "").strip(), JAX)
    return "\n".join([head, "", "Args:", *inputs, *values, "", "Returns:", "    The loss of each example."])
