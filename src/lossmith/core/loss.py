"""The loss: what every loss of the catalogue offers, whatever its structure.

A loss is an immutable value. Its class declares parameters, options, domains, a card and a
formula; everything below is read from those.
"""

from __future__ import annotations

import inspect
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card
from lossmith.core.constant import Context, best_constant
from lossmith.core.contract import Batch, domain_error
from lossmith.core.domain import Domain
from lossmith.core.link import IDENTITY, Link
from lossmith.core.parameter import Option, Parameter
from lossmith.core.reduction import check_reduction
from lossmith.core.state import CostState
from lossmith.errors import EmptyError, ParameterError, did_you_mean
from lossmith.program import Program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]
T = TypeVar("T")

OUTPUTS = ("losses", "gradient", "hessian")
"""What can be asked of each example."""


def snake_case(name: str) -> str:
    """Return ``binary_cross_entropy`` for ``BinaryCrossEntropy`` and ``gaussian_nll`` for ``GaussianNLL``."""
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()


class Loss(ABC):
    """Base of all losses. Instances are immutable, comparable, hashable and picklable."""

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    card: ClassVar[Card]
    link: Link = IDENTITY
    _parameters: ClassVar[Mapping[str, Parameter]] = MappingProxyType({})
    _options: ClassVar[Mapping[str, Option]] = MappingProxyType({})
    _values: Mapping[str, Any]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "name" not in vars(cls):
            cls.name = snake_case(cls.__name__)
        cls._parameters = MappingProxyType(_declared(cls, Parameter))
        cls._options = MappingProxyType(_declared(cls, Option))
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # inspect reads it
            [
                inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=declared.default)
                for name, declared in cls.declared().items()
            ]
        )

    def __init__(self, *values: Any, **named: Any) -> None:
        """Make a loss with these parameters and options; see the class for which there are.

        Raises:
            ParameterError: for an unknown name or a value outside its domain.
        """
        cls = type(self)
        declared = cls.declared()
        if len(values) > len(declared):
            raise ParameterError(
                f"{cls.__name__} takes {len(declared)} values ({', '.join(declared)}), got {len(values)}"
            )
        given = dict(zip(declared, values, strict=False))
        for name, value in named.items():
            if name not in declared:
                known = f"it takes {', '.join(declared)}" if declared else "it takes none"
                raise ParameterError(
                    f"{cls.__name__} has no parameter {name!r}; {known}.{did_you_mean(name, declared)}"
                )
            if name in given:
                raise ParameterError(f"{cls.__name__} got {name} twice, by place and by name")
            given[name] = value
        checked = {name: item.validate(cls.__name__, given.get(name, item.default)) for name, item in declared.items()}
        object.__setattr__(self, "_values", MappingProxyType(checked))
        self._check()

    def _check(self) -> None:  # noqa: B027  # a hook: most losses have nothing to refuse
        """Refuse combinations of parameters that make no sense together."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self} cannot be changed; make another, for example {type(self).__name__}({name}=...)")

    # --- what the loss is -------------------------------------------------------------------

    @classmethod
    def parameters(cls) -> Mapping[str, Parameter]:
        """Return the declared parameters by name."""
        return cls._parameters

    @classmethod
    def options(cls) -> Mapping[str, Option]:
        """Return the declared options by name."""
        return cls._options

    @classmethod
    def declared(cls) -> dict[str, Parameter | Option]:
        """Return parameters and options together, in the order in which they are passed by place."""
        return {**cls._parameters, **cls._options}

    @property
    def values(self) -> Mapping[str, Any]:
        """Value of each parameter and option."""
        return self._values

    def replace(self, **changes: Any) -> Self:
        """Return the same loss with some parameters or options changed."""
        return type(self)(**{**self._values, **changes})

    def to_config(self) -> dict[str, Any]:
        """Return the loss as plain data, which ``lossmith.from_config`` turns back into it."""
        return {"loss": self.name, "parameters": dict(self._values)}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Loss) and self._values == other._values

    def __hash__(self) -> int:
        return hash((type(self), tuple(self._values.items())))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self._values))

    def __repr__(self) -> str:
        shown = []
        for name, value in self._values.items():
            item = self._options.get(name)
            if (item is None and value is not None) or (item is not None and value != item.default):
                shown.append(
                    f"{name}={value:g}"
                    if isinstance(value, float) and float(f"{value:g}") == value
                    else f"{name}={value!r}"
                )
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def raw_form(self) -> Self:
        """The same loss declared on raw predictions: logits, log rates, or the prediction itself."""
        option = self._options.get("prediction")
        if option is None or self._values["prediction"] == option.choices[0]:
            return self
        dropped = {"eps": None} if "eps" in self._parameters else {}
        return self.replace(prediction=option.choices[0], **dropped)

    @property
    @abstractmethod
    def domains(self) -> Mapping[str, Domain]:
        """Where each input of the formula may lie, by symbol."""

    @abstractmethod
    def program(self, order: int = 2) -> Program:
        """Return the loss as a program with outputs ``value`` and the derivatives up to ``order``."""

    def best_prediction(self, y_true: npt.ArrayLike) -> Array:
        """Return the raw prediction with the least loss for each target; it may be infinite."""
        return self.link.forward(y_true)

    # --- what a structure provides ------------------------------------------------------------

    @abstractmethod
    def _batch(self, y_true: Any, y_pred: Any, weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        """Check the arguments of a call; ``trusted`` leaves out warnings about likely mistakes."""

    @abstractmethod
    def _stream(self, batch: Batch, outputs: Sequence[str]) -> Iterator[tuple[int, int, dict[str, Array]]]:
        """Yield ``start, stop`` and the outputs of those rows, with ``valid`` for the domains."""

    @abstractmethod
    def _value(self, y: Array, f: Array) -> Array:
        """Return the losses without checks, also at infinite predictions, where they are limits."""

    # --- what people ask of it ------------------------------------------------------------------

    def __call__(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, **options: Any) -> Any:
        """Return the cost; see ``cost``."""
        return self.cost(y_true, y_pred, **options)

    def losses(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Array:
        """Return the loss of each example.

        Args:
            y_true: targets.
            y_pred: predictions, of the same shape, in the kind that the loss declares.

        Returns:
            An array of that shape, float32 when the predictions are float32 or smaller, else float64.

        Raises:
            ShapeError, KindError, DomainError: when the data break the contract; the first bad row is named.
        """
        return self.evaluate(y_true, y_pred, ("losses",))["losses"]

    def gradient(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Array:
        """Return the derivative of each example's loss with respect to its prediction; see ``losses``."""
        return self.evaluate(y_true, y_pred, ("gradient",))["gradient"]

    def hessian(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *, kind: str = "diagonal") -> Array:
        """Return the second derivative of each example's loss with respect to its prediction; see ``losses``.

        Args:
            y_true: targets.
            y_pred: predictions.
            kind: ``diagonal``. ``full`` is for losses whose entries couple.
        """
        if kind != "diagonal":
            reason = "its entries do not couple, so the diagonal is all there is" if kind == "full" else "unknown kind"
            raise ParameterError(f"{type(self).__name__}.hessian(kind={kind!r}): {reason}; use kind='diagonal'")
        return self.evaluate(y_true, y_pred, ("hessian",))["hessian"]

    def evaluate(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, outputs: Sequence[str] = OUTPUTS, *, trusted: bool = False
    ) -> dict[str, Array]:
        """Return several of ``losses``, ``gradient`` and ``hessian`` in one pass; see ``losses``.

        Args:
            y_true: targets.
            y_pred: predictions.
            outputs: which to compute.
            trusted: leave out warnings about likely mistakes, for callers that made the predictions themselves.
        """
        unknown = [name for name in outputs if name not in OUTPUTS]
        if unknown:
            raise ParameterError(f"outputs must be among {', '.join(OUTPUTS)}, got {', '.join(map(repr, unknown))}")
        batch = self._batch(y_true, y_pred, None, None, trusted=trusted)
        results = {name: np.empty(batch.size, dtype=batch.inputs["f"].dtype) for name in outputs}
        for start, stop, block in self._stream(batch, outputs):
            self._refuse_invalid(batch, start, stop, block["valid"])
            for name, result in results.items():
                result[start:stop] = block[name]
        return {name: result.reshape(batch.shape)[()] for name, result in results.items()}

    def cost(
        self,
        y_true: npt.ArrayLike,
        y_pred: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        reduction: str = "mean",
        *,
        empty: str = "error",
    ) -> Any:
        """Return the losses of a data set put together.

        Args:
            y_true: targets.
            y_pred: predictions, of the same shape.
            weight: a weight for each example, at least 0; size-1 axes broadcast.
            mask: true for the examples that count; what the others hold does not matter.
            reduction: ``mean`` (Σwl/Σw, default), ``count_mean`` (Σwl/n), ``sum`` (Σwl), or
                ``none`` for the array of weighted losses, 0 where masked.
            empty: what a mean over nothing is: ``error`` (default), ``zero`` or ``nan``.

        Returns:
            A float; an array with ``reduction="none"``. It is infinite where the loss is, such
            as the log of a zero probability; ``state`` counts such rows.

        Raises:
            ShapeError, KindError, DomainError, EmptyError, ParameterError
        """
        if check_reduction(reduction) != "none":
            return self.state(y_true, y_pred, weight, mask).reduce(reduction, empty=empty)
        batch = self._batch(y_true, y_pred, weight, mask)
        result = np.empty(batch.size, dtype=batch.inputs["f"].dtype)
        for start, stop, block in self._stream(batch, ("losses",)):
            self._refuse_invalid(batch, start, stop, block["valid"])
            result[start:stop] = batch.weighted(start, stop, block["losses"])
        return result.reshape(batch.shape)[()]

    def state(
        self,
        y_true: npt.ArrayLike,
        y_pred: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
    ) -> CostState:
        """Return the mergeable sums behind the cost; arguments and errors as in ``cost``."""
        batch = self._batch(y_true, y_pred, weight, mask)
        state = CostState.begin(self, batch)
        for start, stop, block in self._stream(batch, ("losses",)):
            self._refuse_invalid(batch, start, stop, block["valid"])
            state = state.add(batch, start, stop, block["losses"])
        return state

    def cost_and_gradient(
        self,
        y_true: npt.ArrayLike,
        y_pred: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        reduction: str = "mean",
        out: Array | None = None,
        *,
        mask: npt.ArrayLike | None = None,
        empty: str = "error",
    ) -> tuple[Any, Array]:
        """Return the cost and its derivative with respect to each prediction, in one pass.

        Args:
            y_true, y_pred, weight, reduction, mask, empty: as in ``cost``.
            out: an array of the predictions' shape and of the result's type, to write the gradient into.

        Returns:
            The cost, and the gradient of that very cost: with ``mean`` it carries w/Σw.
        """
        chosen = check_reduction(reduction)
        batch = self._batch(y_true, y_pred, weight, mask)
        dtype = batch.inputs["f"].dtype
        gradient = batch.output(out)
        flat = gradient.reshape(-1)
        state = CostState.begin(self, batch)
        divisor = state.divisor(chosen) or math.inf  # nothing counts: the gradient is zero
        losses = np.empty(batch.size, dtype=dtype) if chosen == "none" else None
        for start, stop, block in self._stream(batch, ("losses", "gradient")):
            self._refuse_invalid(batch, start, stop, block["valid"])
            flat[start:stop] = batch.weighted(start, stop, block["gradient"]) / divisor
            if losses is None:
                state = state.add(batch, start, stop, block["losses"])
            else:
                losses[start:stop] = batch.weighted(start, stop, block["losses"])
        cost = state.reduce(chosen, empty=empty) if losses is None else losses.reshape(batch.shape)[()]
        return cost, gradient

    def optimal_constant(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
        """Return the constant raw prediction with the least cost: where boosting should start.

        In closed form where there is one (means, medians, quantiles), else by safeguarded Newton
        steps. When a whole interval is best, its midpoint. Infinite when the data ask for certainty.

        Raises:
            NoConstantError: when the cost has no minimum.
            EmptyError: when no example has weight.
        """
        loss = self.raw_form
        batch = loss._batch(y_true, np.zeros(np.shape(np.asarray(y_true))), weight, None, trusted=True)
        for start, stop, block in loss._stream(batch, ()):
            self._refuse_invalid(batch, start, stop, block["valid"])
        targets = batch.inputs["y"].astype(np.float64)
        weights = np.ones(batch.size) if batch.weight is None else batch.weight
        counts = weights > 0
        if not counts.any():
            raise EmptyError(f"{self}: no example with weight to choose a constant for")
        return loss._best_constant(targets[counts], weights[counts])

    def _best_constant(self, y: Array, w: Array) -> float:
        """Return the best constant raw prediction for checked targets and positive weights."""
        return best_constant(self, y, w)

    def context(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Context:
        """Return what a cost on this data is to be compared with: floor, best constant, sign."""
        return Context.of(self, y_true, weight)

    def plot(self, y_true: float | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw loss, gradient and Hessian against the prediction; needs matplotlib.

        Args:
            y_true: the target; by default one that is typical for the loss.
            ax: where to draw; by default a new figure.
        """
        from importlib import import_module

        axes: Axes = import_module("lossmith.plotting.curves").plot(self, y_true, ax=ax)
        return axes

    def _refuse_invalid(self, batch: Batch, start: int, stop: int, valid: Array) -> None:
        if valid.all():
            return
        invalid = ~valid if batch.mask is None else ~valid & batch.mask[start:stop]
        if invalid.any():
            raise domain_error(batch, self.domains, invalid, start)


def _declared(cls: type, kind: type[T]) -> dict[str, T]:
    # The loss's own come first, since those are the ones passed by place; a base's can be taken away.
    nearest: dict[str, Any] = {}
    for base in cls.__mro__:
        nearest = {**nearest, **{name: item for name, item in vars(base).items() if name not in nearest}}
    return {name: item for name, item in nearest.items() if isinstance(item, kind)}


def _rebuild(cls: type[Loss], values: dict[str, Any]) -> Loss:
    return cls(**values)
