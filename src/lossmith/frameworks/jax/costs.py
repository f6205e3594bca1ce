"""Losses and costs of arrays of JAX, in operations that ``jit``, ``grad``, ``vmap`` and sharding know.

Shapes and types are checked while tracing. What values hold is not known then: an example outside the domains has a
loss that is no number, and is counted in a state. Where values are known, the error of the catalogue is raised.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from lossmith.core.loss import Loss
from lossmith.core.mistakes import LossmithWarning
from lossmith.core.reduction import check_empty, check_reduction
from lossmith.core.registry import from_config, parse
from lossmith.core.state import CostState, ExactSum
from lossmith.engines.hosts import ANYWHERE, by_symbol
from lossmith.engines.jax import FUNCTIONS, PLAIN, losses, product, times, total, varying
from lossmith.errors import MergeError, ParameterError
from lossmith.frameworks.calls import JAX, aligned, outside, settled, warn_of_one_class
from lossmith.frameworks.jax.arguments import as_array, checked, held, kind_of, masks, weights

Array = Any

_MEND = "weights must be finite and at least 0; call lossmith.jax.cost on them outside of jax.jit to see which"


@dataclass(frozen=True, eq=False)
class State:
    """The sums behind a cost: a pytree that adds up over batches and devices.

    ``a + b``, ``sum(states)`` and ``jax.lax.psum(state, axis)`` give the state of all examples together.

    Attributes:
        loss: the loss they belong to, which is no leaf of the tree.
        total: sum of weight times loss; float64 where ``jax_enable_x64`` is set, else float32, like ``weight``.
        weight: sum of the weights.
        count: examples that count, that is, not masked.
        invalid: those of them outside the domains, or with a weight that is none.
    """

    loss: Loss
    total: Array
    weight: Array
    count: Array
    invalid: Array

    @classmethod
    def empty(cls, loss: Loss | str) -> Self:
        """Return the state of no examples, to start a loop with; ``loss`` may be its text."""
        # Arrays of their own: a step that is donated the state gets no array twice.
        nothing = [jnp.zeros((), kind) for kind in (_wide(), _wide(), int, int)]
        return cls(parse(loss), *nothing)

    def __add__(self, other: State | int) -> State:
        """Return the state of both.

        Raises:
            MergeError: when they belong to different losses.
        """
        if isinstance(other, int) and other == 0:  # where sum() starts
            return self
        if not isinstance(other, State) or other.loss != self.loss:
            theirs = other.loss if isinstance(other, State) else type(other).__name__
            raise MergeError(f"only states of one loss add up; this one belongs to {self.loss}, the other to {theirs}")
        total: State = jax.tree.map(jnp.add, self, other)
        return total

    __radd__ = __add__

    def cost(self, reduction: str = "mean", *, empty: str = "zero") -> Array:
        """Return the cost.

        Args:
            reduction: ``mean`` (Σwl/Σw), ``count_mean`` (Σwl/n) or ``sum`` (Σwl).
            empty: what a cost of nothing is: ``zero`` (default), ``nan`` or ``error``, which is NaN while tracing.

        Raises:
            EmptyError: when nothing counts and ``empty="error"``.
            ParameterError: for another reduction or policy.
        """
        chosen = check_reduction(reduction)
        if chosen == "none":
            raise ParameterError("a state has no losses of single examples; call lossmith.jax.losses")
        if check_empty(empty) == "error" and not isinstance(self.total, jax.core.Tracer):
            sums = (np.ravel(x).tolist() for x in (self.total, self.weight, self.count))
            for total, weight, count in zip(*sums, strict=True):  # of each of the states that jax.vmap made
                CostState(self.loss, ExactSum().add(total), ExactSum().add(weight), count=count).reduce(chosen)
        counted = self.weight if chosen == "mean" else self.count.astype(self.total.dtype)
        nothing = counted == 0  # what is no number is not nothing
        below = 1 if chosen == "sum" else jnp.where(nothing, 1, counted)
        return jnp.where(nothing, 0 if empty == "zero" else jnp.nan, self.total / below)

    def check(self) -> None:
        """Raise an error if examples lay outside the domains; not while tracing.

        Raises:
            DomainError: with their number.
        """
        found = int(np.sum(self.invalid))
        if found:
            raise outside(self.loss, found, JAX, _MEND)


jax.tree_util.register_dataclass(State, ["total", "weight", "count", "invalid"], ["loss"])
jax.export.register_pytree_node_serialization(  # what takes or returns a state can be written to a file
    State,
    serialized_name="lossmith/jax/State",
    serialize_auxdata=lambda kept: json.dumps(kept[0].to_config()).encode(),
    deserialize_auxdata=lambda written: (from_config(json.loads(written)),),
)


def cost(loss: Loss, given: Mapping[str, Any], weight: Any, mask: Any, reduction: str, empty: str) -> Array:
    """Return the cost, or the weighted losses; see ``Loss.cost``, but that ``empty="error"`` is NaN while tracing."""
    return _checked(loss, given, weight, mask, check_reduction(reduction), check_empty(empty))[1]


def state(loss: Loss, given: Mapping[str, Any], weight: Any, mask: Any) -> State:
    """Return the sums behind the cost; arguments as in ``cost``."""
    return _checked(loss, given, weight, mask, "none", "zero")[0]


def _checked(
    loss: Loss, given: Mapping[str, Any], weight: Any, mask: Any, reduction: str, empty: str
) -> tuple[State, Array]:
    """Return the state of a call and its cost, or weighted losses, or raise an error for what is wrong."""
    loss, arrays = settled(loss), checked(loss, given)
    owner = type(loss).__name__
    weight, mask = (
        None if x is None else _listed(owner, label, x) for label, x in (("weight", weight), ("mask", mask))
    )
    sums, found = _summed(loss, arrays, weight, mask, reduction, empty)
    # Messages tell of what came.
    indices = {item.name: given[item.name] for item in loss.inputs if item.symbol in loss.class_indices}
    _look(sums, {**arrays, **indices}, weight, mask, empty)
    return sums, found


@partial(jax.jit, static_argnums=(0, 4, 5), inline=True)  # a call outside of functions is one step then
def _summed(
    loss: Loss, arrays: Mapping[str, Array], weight: Array | None, mask: Array | None, reduction: str, empty: str
) -> tuple[State, Array]:
    """Return the state of a call and its cost, or weighted losses."""
    arrays, weight, mask = varying((arrays, weight, mask))
    columns = _columns(loss, arrays)
    known = by_symbol(loss, jax.lax.stop_gradient(columns))
    valid = loss.compute(PLAIN, known, ("valid",))["valid"]
    own = loss.counting(PLAIN, known)
    counts = jnp.ones_like(valid) if mask is None else masks(loss, mask, valid.shape)
    counts = counts if own.counted is None else counts & own.counted
    invalid = counts & ~valid
    if loss.row_axis is not None and (mask is not None or own.counted is not None):
        columns = [_harmless(x, counts) for x in columns]
    found = losses(loss, *columns)
    share = counts.astype(found.dtype)
    if weight is not None:
        share = jnp.where(counts, weights(loss, weight, valid.shape, found.dtype), 0)
        wrong = ~((share >= 0) & (share < jnp.inf))
        found, invalid = _numbers(found, ~wrong), invalid | wrong
    if own.weight is not None:
        share = jnp.where(counts, share * own.weight.astype(found.dtype), 0)
    weighted = times(share, found)
    sums = State(loss, total(weighted), total(share), counts.sum(), invalid.sum())
    if reduction == "none":
        return sums, weighted
    return sums, sums.cost(reduction, empty="nan" if empty == "error" else empty).astype(weighted.dtype)


def _look(sums: State, arrays: Mapping[str, Array], weight: Any, mask: Any, empty: str) -> None:
    """Raise the error of the catalogue for what is wrong, or give its warnings, where values are known."""
    looked_at = ("invalid", "count", "weight") if empty == "error" else ("invalid",)
    known = {name: jax.lax.stop_gradient(getattr(sums, name)) for name in looked_at}
    if any(isinstance(x, jax.core.Tracer) for x in known.values()):
        return
    numbers = {name: float(x) for name, x in known.items()}
    wrong = numbers.pop("invalid") or not all(numbers.values())
    if not wrong and any(device.platform != "cpu" for device in jax.lax.stop_gradient(sums.total).devices()):
        return  # a warning is not worth the copies
    given = {**arrays, "weight": weight, "mask": mask}
    plain: dict[str, Any] = {name: None if x is None else _of_numpy(x) for name, x in given.items()}
    if not wrong:
        sums.loss._batch({name: plain[name] for name in arrays}, None, plain["mask"])
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LossmithWarning)  # there is an error to come
            sums.loss.cost(**plain, empty=empty)
        jax.lax.stop_gradient(sums).check()


def _listed(owner: str, label: str, value: Any) -> Array:
    """Return an argument that may be a list as an array of JAX."""
    if isinstance(value, list | tuple):
        traced = any(isinstance(x, jax.Array) for x in jax.tree.leaves(value))
        value = jnp.asarray(value) if traced else np.asarray(value)  # which keeps whole numbers as large as they are
    return as_array(owner, label, value)


def _of_numpy(x: Any) -> Any:
    """Return what the catalogue reads: an array of a type that NumPy has, or of bfloat16."""
    array = x if isinstance(x, np.ndarray) else np.asarray(jax.lax.stop_gradient(x))
    if array.dtype.kind in "fiub" or array.dtype.name == "bfloat16":
        return array
    return array.astype(np.float32 if jnp.issubdtype(array.dtype, jnp.floating) else np.int32)


def _columns(loss: Loss, arrays: Mapping[str, Array]) -> list[Array]:
    """Return the inputs in the order of the loss and in the type to compute in, but for class indices."""
    owner, kind = type(loss).__name__, kind_of(loss, arrays)
    found, columns = [], aligned(loss, arrays, FUNCTIONS)
    warn_of_one_class(loss, columns)
    for item, array in zip(loss.inputs, columns, strict=True):
        # Of fewer bytes, the number of classes may not fit: JAX wraps it to the type of an array.
        narrow = jnp.issubdtype(array.dtype, jnp.integer) and array.dtype.itemsize < np.dtype(np.int32).itemsize
        whole = np.int32 if narrow or array.dtype == bool else array.dtype
        array = array.astype(whole if item.symbol in loss.class_indices else kind)
        found.append(array if item.predicted else held(owner, item.name, array))
    return found


def _harmless(array: Array, kept: Array) -> Array:
    """Return rows where they are kept; elsewhere what has finite derivatives, whatever a row stands for."""
    return jnp.where(kept, array, 0) if array.ndim == kept.ndim else jnp.where(kept[..., None], array, ANYWHERE)


@jax.custom_jvp
def _numbers(found: Array, valid: Array) -> Array:
    """Return losses, which are no numbers where they are not valid; nor are derivatives, unless they do not count."""
    return jnp.where(valid, found, jnp.nan)


@_numbers.defjvp
def _numbers_changes(primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Array, Array]:
    found, valid = primals
    return _numbers(found, valid), product(tangents[0], jnp.where(valid, jnp.ones_like(found), jnp.nan))


def _wide() -> Any:
    """Return the type of sums."""
    return jax.dtypes.canonicalize_dtype(np.float64)
