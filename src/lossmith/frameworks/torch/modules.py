"""Losses as modules of PyTorch, made from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, zip_longest
from types import FunctionType
from typing import Any, get_args

import torch

from lossmith.core.elsewhere import AS_MANY, keyword
from lossmith.core.inputs import FOR_COSTS, compares
from lossmith.core.loss import Loss
from lossmith.core.parameter import Vector
from lossmith.core.reduction import Reduction, check_empty, check_reduction
from lossmith.core.registry import loss_class, names, parse
from lossmith.core.words import speaking
from lossmith.engines.torch import in_graphs
from lossmith.errors import ParameterError, ShapeError
from lossmith.frameworks.calls import TORCH, bound, instead, order, outside
from lossmith.frameworks.torch import costs, traced
from lossmith.frameworks.torch.inside import inside
from lossmith.frameworks.torch.placed import is_placed
from lossmith.frameworks.torch.quick import Quick
from lossmith.frameworks.torch.refusals import check, spread
from lossmith.frameworks.torch.states import MEND, State
from lossmith.frameworks.torch.symbolic import is_writing, node
from lossmith.frameworks.torch.vectors import Holder, drawn, value_of

Tensor = Any

HOME = "lossmith.torch"
BATCH_MEAN = "batchmean"
"""PyTorch's name for the sum of a divergence over the length of the first axis."""

_TABLE = 2  # axes of rows without further axes
_WORDS = {
    **TORCH,
    "mask.astype(bool)": "mask.bool()",
    FOR_COSTS: "It is said when the module is made.",
    AS_MANY: "w where target is 1, and 1 elsewhere; reduction='count_mean' divides by their number, as PyTorch does.",
}
_OURS = {word: name for name, word in TORCH.items()}


class LossModule(Holder):
    """A loss as a module; called with ``(input, target)``, as modules of PyTorch are.

    Losses of other inputs than a prediction and a target take them in the order of the catalogue, predictions first:
    ``(input, target, variance)``, ``(anchor, positive, negative)``. Keywords always work. Divergences take keywords
    alone, since libraries do not agree on which distribution comes first. Vectors of the loss, such as class weights,
    are buffers: ``.to()`` moves them, ``state_dict`` has them, and what is written into them holds from then on. Other
    parameters are attributes, as ``delta`` is, which may be changed.

    Where classes lie along axis 1, a single example may come without an axis of examples, as ``(K,)`` logits do with
    the class index of shape ``()``. What is spread over the examples, as a variance is, may be a number, and may lack
    the last axis of the input.

    Inside of a function under ``torch.compile`` a module may be made of numbers and texts, but not of tensors.

    Args:
        loss: the loss, or its text.
        reduction: ``mean`` (Σwl/Σw), ``count_mean`` (Σwl/n), ``sum`` or ``none``; for divergences also PyTorch's
            ``batchmean``, the sum divided by the length of the first axis, which of two axes is the mean.
        empty: what a cost of nothing is: ``zero`` (default), ``nan`` or ``error``.
    """

    _counters = ("invalid",)
    invalid: Tensor
    """How many examples outside the domains traced calls met, whose values nobody could look at; see ``check``.

    Inside of a ``DistributedDataParallel`` that sends buffers, all processes have the first one's number at each call.
    """

    def __init__(self, loss: Loss | str, *, reduction: str = "mean", empty: str = "zero") -> None:
        super().__init__()
        self.empty = check_empty(empty)
        self._hold(parse(loss))
        self.reduction = reduction
        with torch.inference_mode(False):  # what is made within could not be written to outside of it
            self.register_buffer("invalid", torch.zeros((), dtype=torch.int64), persistent=False)

    @property
    def reduction(self) -> str:
        """How losses become a cost; see the class."""
        return self._reduction

    @reduction.setter
    def reduction(self, name: str) -> None:
        self._reduction = _checked(self.loss, name)
        self._prepare()

    def _accept(self, loss: Loss) -> None:
        _checked(loss, self.reduction)

    def forward(
        self, *given: Tensor, weight: Tensor | None = None, mask: Tensor | None = None, **named: Tensor
    ) -> Tensor:
        """Return the cost.

        Args:
            given: the input and the target; see the class.
            weight: a weight for each example, at least 0; axes of size 1 broadcast.
            mask: true for the examples that count.
            named: inputs by name; ``input`` and ``target`` are ``y_pred`` and ``y_true`` of the catalogue.

        Returns:
            A tensor without axes, or of the examples' shape with ``reduction="none"``; float64 where an input is,
            else float32.
        """
        if self._marks:
            self._keep_up()
        if not torch.compiler.is_compiling():
            if is_writing():
                names = [TORCH.get(name, name) for name in self._places]
                written = node(cost_of, self, names, given, named, (weight, mask))
                if written is not None:
                    return written
            if weight is None and mask is None and not (_is_recorded() or _modes()):
                plain = self._plain(given, named)
                if plain is not None:
                    return plain
        return _in_words(self._cost, given, named, weight, mask)

    @property
    def _itself(self) -> LossModule:
        return self  # see ``symbolic.ITSELF``

    def _plain(self, given: tuple[Tensor, ...], named: Mapping[str, Tensor]) -> Tensor | None:
        """Return the cost of a call of all inputs and nothing else, if it is plain; see ``quick``."""
        if len(given) + len(named) != len(self._places) or (given and not self._order):
            return None
        if named:
            inputs = {**dict(zip(self._order, given, strict=False)), **{_OURS.get(x, x): named[x] for x in named}}
            given = tuple(map(inputs.get, self._places))  # what is missing is no tensor
        if self._reduction == BATCH_MEAN and getattr(given[0], "ndim", 0) != _TABLE:
            return None
        return self._quick(given)

    def _cost(
        self, given: tuple[Tensor, ...], named: Mapping[str, Tensor], weight: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """Return the cost of any call."""
        arguments, vectors = self._bind(given, named)
        loss = self._of(arguments)
        reduction, below = self._divided(loss, arguments)
        if self._is_traced(arguments.values()):
            found = traced.sums(loss, arguments, weight, mask, vectors)
            self._count(found.invalid)
            cost = found.reduced(reduction, self.empty)
        else:
            cost = costs.cost(loss, arguments, weight, mask, reduction, self.empty)
        return cost if below == 1 else cost / below

    def _count(self, invalid: Tensor) -> None:
        """Count invalid examples, but not where nothing may be changed, nor what is no number yet."""
        if torch._C._are_functorch_transforms_active() or invalid.is_meta:
            return
        if is_placed(invalid):  # each process counts its share
            invalid = invalid.to_local()
        if not torch.compiler.is_compiling() and (type(invalid) not in costs.IN_MEMORY or _is_proxied()):
            return
        if self.invalid.device != invalid.device:  # a module without parameters is seldom moved itself
            with torch.inference_mode(False):
                self.invalid = self.invalid.to(invalid.device)
        self.invalid.add_(invalid)

    def state(self, *given: Tensor, weight: Tensor | None = None, mask: Tensor | None = None, **named: Tensor) -> State:
        """Return the sums behind the cost, which add up over batches, accumulation steps and processes.

        Args:
            given, weight, mask, named: as in a call of the module.
        """
        self._keep_up()
        return State(self.loss, *_in_words(self._sums, given, named, weight, mask))

    def _sums(
        self, given: tuple[Tensor, ...], named: Mapping[str, Tensor], weight: Tensor | None, mask: Tensor | None
    ) -> Sequence[Tensor]:
        """Return what a state is made of."""
        arguments, vectors = self._bind(given, named)
        loss = self._of(arguments)
        if self._is_traced(arguments.values()):
            return traced.sums(loss, arguments, weight, mask, vectors)[1:]
        return [*costs.sums(loss, arguments, weight, mask), torch.zeros((), dtype=torch.int64, device=costs.CPU)]

    def check(self) -> None:
        """Raise an error if traced calls met examples outside the domains since the last check.

        Raises:
            DomainError: with their number.
        """
        found = int(self.invalid)
        if found:
            self.invalid.zero_()
            raise outside(self.loss, found, TORCH, MEND)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if name not in _SETTLED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._prepare()

    def _prepare(self) -> None:
        """Settle what does not depend on tensors, before anything is traced."""
        in_graphs(type(self.loss))
        self._order = order(self.loss)
        self._places = self._order or [item.name for item in self.loss.inputs]
        self._lead = self.loss.predicted[0].name
        self._drawn = drawn(self.loss)
        # The class axis of a single example is its only one.
        own = {"class_axis": 0} if self.loss.values.get("class_axis") == 1 else {}
        self._forms = [(x, x.replace(**own)) for x in (self.loss, self._drawn)]
        for loss in chain(*self._forms):
            loss.ready()
        # Plain calls have their classes last, so that of a table ``batchmean`` is the mean.
        reduction = "mean" if self._reduction == BATCH_MEAN else self._reduction
        self._quick = Quick(self.loss, reduction, self.empty, self._places)

    def extra_repr(self) -> str:
        """Return what the module shows of itself."""
        loss, name = repr(self.loss), type(self.loss).__name__
        # A module of the catalogue has its loss's name, which PyTorch writes before this.
        shown = loss if type(self).__name__ != name else loss.removeprefix(f"{name}(").removesuffix(")")
        empty = "" if self.empty == "zero" else f"empty={self.empty!r}"
        return ", ".join(part for part in (shown, f"reduction={self.reduction!r}", empty) if part)

    def _keep_up(self) -> None:
        if not (torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or _modes()):
            self._follow()

    def _bind(
        self, given: tuple[Tensor, ...], named: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the inputs by name, and the vectors of the loss beside them."""
        found, inputs = bound(self._drawn, self._order, TORCH, given, named), self._drawn.inputs
        whole = [item for item in inputs if not item.broadcast]
        for item in (*whole, *(item for item in inputs if item.broadcast)):
            if item.broadcast:
                found[item.name] = spread(found[item.name], found[whole[0].name])
            check(type(self._drawn).__name__, item.name, found[item.name], predicted=item.predicted)
        return found, self._vectors(next(iter(found.values())).device) if self._names else {}

    def _of(self, arguments: Mapping[str, Tensor]) -> Loss:
        """Return the loss of what came, in graphs as they hold it: of one row where there is no axis of examples."""
        form: Loss = self._forms[torch.compiler.is_compiling()][arguments[self._lead].ndim == 1]
        return form

    def _divided(self, loss: Loss, arguments: Mapping[str, Tensor]) -> tuple[str, int]:
        """Return the reduction of the catalogue for a call, and what its result is to be divided by.

        Raises:
            ShapeError: for a ``batchmean`` where the first axis is that of the classes.
        """
        if self._reduction != BATCH_MEAN:
            return self._reduction, 1
        shape = arguments[self._lead].shape
        if loss.row_axis in (0, -len(shape)):
            raise ShapeError(
                f"{type(loss).__name__}: reduction='batchmean' divides by the length of the first axis, but along that "
                f"of shape {tuple(shape)} lie the classes; say reduction='mean', which averages over rows"
            )
        return ("sum", shape[0]) if shape[0] else ("count_mean", 1)  # which says what nothing is

    def _is_traced(self, given: Any) -> bool:
        if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
            return True
        if _is_recorded() or _is_proxied():
            return True
        return any(type(x) not in costs.IN_MEMORY or not x.is_cpu for x in given)


def cost_of(module: LossModule, *given: Tensor, **named: Tensor) -> Tensor:
    """Return the cost of a call, as graphs of ``torch.fx`` ask for it."""
    return LossModule.forward(module, *given, **named)


def _checked(loss: Loss, reduction: str) -> str:
    """Return a reduction, if a loss has it."""
    return reduction if reduction == BATCH_MEAN and compares(loss) else check_reduction(reduction)


def _in_words(compute: Callable[..., Any], *given: Any) -> Any:
    """Return a result, or let errors and warnings speak PyTorch's words, unless somebody traces, who knows none."""
    if torch.compiler.is_compiling():
        return compute(*given)
    with speaking(_WORDS):
        return compute(*given)


_is_recorded: Callable[[], bool] = torch._C._is_tracing
"""Tells whether ``torch.jit.trace`` records what is done, which would keep what was looked at as a constant."""
_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
"""Tells how many modes of PyTorch look at operations."""


def _is_proxied() -> bool:
    """Return whether one of them records operations, as that of ``make_fx`` does."""
    return bool(_modes()) and torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None


_SETTLED = ("_drawn", "_forms", "_lead", "_order", "_places", "_quick")


@lru_cache
def module_class(name: str) -> type[LossModule]:
    """Return the module of a loss, by its class name.

    Raises:
        AttributeError: when no loss has this name.
    """
    if name not in every_name():
        raise AttributeError(f"module {HOME!r} has no attribute {name!r}.{instead('torch', name, words=TORCH)}")
    cls = loss_class(name)
    changed = {"class_axis": 1} if "class_axis" in cls.declared() else {}

    def __new__(made: type[LossModule], /, *values: Any, **named: Any) -> Any:
        if torch.compiler.is_dynamo_compiling() and made.__module__ == HOME:
            return inside(made, *values, **named)
        return object.__new__(made)

    def __init__(self: LossModule, *values: Any, reduction: str = "mean", empty: str = "zero", **named: Any) -> None:
        if torch.compiler.is_dynamo_compiling() and hasattr(self, "_loss"):
            return  # it is made already
        _check_places(cls, values)
        keys = [*cls.declared()][: len(values)]
        places = [value_of(name, key, x) for key, x in zip(keys, values, strict=False)]
        plain = {key: value_of(name, key, x) if key in cls.declared() else x for key, x in named.items()}
        with speaking(_WORDS):
            made = {key: x for key, x in changed.items() if key not in keys} | plain
            loss = cls(*places, *values[len(keys) :], **made)  # which says what is too much, or no parameter
        LossModule.__init__(self, loss, reduction=reduction, empty=empty)

    keywords = [
        inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=changed.get(key, item.default))
        for key, item in cls.declared().items()
    ]
    last = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value)
        for key, value in (("reduction", "mean"), ("empty", "zero"))
    ]
    body: dict[str, Any] = {"__new__": __new__, "__init__": __init__, "__doc__": cls.__doc__, "__module__": HOME}
    body["forward"] = _copied(LossModule.forward)
    body |= {key: _option(key) for key, item in cls.declared().items() if not isinstance(item, Vector)}
    made = type(name, (LossModule,), body)
    made.__signature__ = inspect.Signature([*keywords, *last])  # type: ignore[attr-defined]
    return made


def _check_places(cls: type[Loss], values: Sequence[Any]) -> None:
    """Check values by place, where modules of PyTorch have weights or a reduction, and its functions their inputs.

    Raises:
        ParameterError: for one of these; it is said where they belong.
    """
    name, declared = cls.__name__, cls.declared()
    plain = [x for key, x in zip_longest(declared, values) if not isinstance(declared.get(key), Vector)]
    if (count := sum(isinstance(x, torch.Tensor) and x.ndim > 0 for x in plain)) > 1:
        raise ParameterError(f"{name} is made of parameters, got {count} tensors; pass these to a call: {name}()(...)")
    for key, value in zip(declared, values, strict=False):
        if isinstance(value, torch.Tensor) and value.ndim and not isinstance(declared[key], Vector):
            shape = tuple(value.shape)
            raise ParameterError(f"{name} got a tensor of shape {shape} as {key}.{keyword('weight', declared)}")
        if isinstance(value, str) and value in (*get_args(Reduction), BATCH_MEAN):
            raise ParameterError(f"{name} got {value!r} as {key}; say reduction={value!r}")


def _copied(function: Any) -> FunctionType:
    """Return a function with code of its own: ``torch.compile`` gives up on code that it has compiled eight times."""
    made = FunctionType(function.__code__.replace(), function.__globals__, function.__name__, function.__defaults__)
    for name in ("__annotations__", "__doc__", "__kwdefaults__", "__qualname__"):
        setattr(made, name, getattr(function, name))
    return made


def _option(key: str) -> property:
    """Return a parameter of a loss as an attribute of its module, as ``delta`` of ``torch.nn.HuberLoss`` is one."""

    def value(self: LossModule) -> Any:
        return self.loss.values[key]

    def change(self: LossModule, value: Any) -> None:
        self._set(key, value)

    return property(value, change)


@lru_cache(maxsize=1)
def every_name() -> tuple[str, ...]:
    """Return the class names of all losses."""
    return tuple(sorted(loss_class(name).__name__ for name in names()))


for _name in names():  # at once, since a function that makes modules has to be read again for each class that is new
    in_graphs(loss_class(_name))
