"""The loss: what every loss of the catalogue offers, whatever its structure.

A loss is an immutable value. Its class declares inputs, parameters, options, domains, a card and
a formula; everything below is read from those.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from lossmith.core.card import NOT_KNOWN, Blank, Card, Estimate, Traits
from lossmith.core.configured import Configured
from lossmith.core.constant import Context, best_constant, checked_targets
from lossmith.core.contract import Batch, domain_error
from lossmith.core.domain import Domain
from lossmith.core.fill import fill, fill_slopes
from lossmith.core.inputs import PREDICTION, TARGET, Input, bind
from lossmith.core.link import IDENTITY, Link
from lossmith.core.outputs import OUTPUTS, Results, gather, parts, symbol, written
from lossmith.core.plain import Plain
from lossmith.core.probability import Probable
from lossmith.core.reduction import POLICIES, SUMMED, check_empty, check_reduction
from lossmith.core.section import Section
from lossmith.core.state import CostState, Tally, reduced
from lossmith.core.sums import Summable
from lossmith.core.traceable import Traceable
from lossmith.engines.choice import Findings
from lossmith.errors import ParameterError
from lossmith.program import Program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]


class Loss(Traceable, Summable, Probable, Configured):
    """Base of all losses. Instances are immutable, comparable, hashable and picklable."""

    aliases: ClassVar[tuple[str, ...]] = ()
    _level: float | None = None  # of the quantile that the best constant is proved to be
    card: ClassVar[Card] = Blank()  # type: ignore[assignment]  # it gives one
    link: Link = IDENTITY

    # --- what the loss is -------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The arrays that it takes. A class declares others as an attribute, or here where an option decides."""
        return (TARGET, PREDICTION)

    @cached_property
    def paired(self) -> bool:
        """Whether it takes a target and a prediction and nothing else, as most losses do."""
        return [item.name for item in self.inputs] == ["y_true", "y_pred"]

    @property
    def elementwise(self) -> bool:
        """Whether each example is one target and one prediction, a number each, as in two columns of a table."""
        return self.paired and not self._couples

    @cached_property
    def predicted(self) -> tuple[Input, ...]:
        """The inputs that derivatives are taken with respect to."""
        return tuple(item for item in self.inputs if item.predicted)

    @property
    def focus(self) -> Input:
        """The predicted input that pictures and formulas are about: the first, unless a structure says otherwise."""
        return self.predicted[0]

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

    @classmethod
    def _proved(cls) -> tuple[Traits, Estimate]:
        """Return which traits are proved, and what is estimated, for a card that nobody wrote."""
        return NOT_KNOWN, "not known"

    def best_prediction(self, y_true: npt.ArrayLike) -> Array:
        """Return the raw prediction with the least loss for each target; it may be infinite."""
        return self.link.forward(y_true)

    # --- what a structure provides ------------------------------------------------------------

    @abstractmethod
    def section(
        self, value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
    ) -> Section:
        """Return the loss and its derivatives along a line through its inputs, which is what pictures show.

        Args:
            value: what is held fixed: the target, or the index of the true class; by default a typical one.
            points: how many points of the line.
            between: its ends; by default around what is interesting.

        Raises:
            DomainError: for a value outside its domain.
            ParameterError: for a value where there is none to choose.
        """

    @abstractmethod
    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        """Check the arguments of a call; ``trusted`` leaves out warnings about likely mistakes."""

    @abstractmethod
    def _stream(
        self, batch: Batch, outputs: Sequence[str], first: int = 0
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        """Yield ``start, stop`` and, for those rows, the outputs and ``valid``, whether they lie in the domains.

        Blocks begin at row ``first``, itself the beginning of one. Floating-point warnings are the caller's to silence.
        Outputs are called as ``lossmith.core.outputs`` says.
        """

    def _rows_for_kernel(self, batch: Batch, parts: Collection[str]) -> int:
        """Return how many rows, from the first on, a compiled kernel takes; a structure that has none takes no row."""
        return 0

    def _run_kernel(
        self, rows: int, batch: Batch, into: Mapping[str, Array], *, summed: bool, divisor: float
    ) -> Findings:
        """Fill the first rows by a kernel."""
        raise NotImplementedError(f"{type(self).__name__} has no kernels")

    @property
    def _plain(self) -> Plain | None:
        """The short way of calls that hold arrays that agree, and nothing else, where there is one."""
        return None

    def _value(self, y: Array, f: Array) -> Array:
        """Return the losses without checks, also at infinite predictions, where they are limits."""
        raise ParameterError(f"{type(self).__name__} has no limits at infinite predictions")

    def _invalid(self, batch: Batch, invalid: Array, start: int) -> Exception:
        """Return the error for the first of the rows from ``start`` on that lie outside the domains."""
        return domain_error(batch, self.domains, invalid, start)

    # --- what people ask of it ------------------------------------------------------------------

    def __call__(self, y_true: Any = None, y_pred: Any = None, **options: Any) -> Any:
        """Return the cost; see ``cost``."""
        return self.cost(y_true, y_pred, **options)

    def losses(self, y_true: Any = None, y_pred: Any = None, **named: Any) -> Array:
        """Return the loss of each example.

        Args:
            y_true: targets.
            y_pred: predictions, of the same shape, in the kind that the loss declares.
            named: inputs by name; a loss of other inputs than these two takes all of them so.

        Returns:
            An array of the examples' shape: float32 when that holds every float that came in, else float64.

        Raises:
            ShapeError, KindError, DomainError: when the data break the contract; the first bad row is named.
        """
        found: Array = self.evaluate(y_true, y_pred, ("losses",), **named)["losses"]
        return found

    def gradient(self, y_true: Any = None, y_pred: Any = None, **named: Any) -> Results:
        """Return the derivative of each example's loss with respect to its prediction; see ``losses``.

        A loss of several predicted inputs gives a dict by their names.
        """
        return self.evaluate(y_true, y_pred, ("gradient",), **named)["gradient"]

    def hessian(self, y_true: Any = None, y_pred: Any = None, *, kind: str = "diagonal", **named: Any) -> Results:
        """Return the second derivative of each example's loss with respect to its prediction; see ``losses``.

        Args:
            y_true: targets.
            y_pred: predictions.
            kind: ``diagonal`` (default), or ``full`` where the entries of an example couple: with
                classes, a matrix for each example; with several predicted inputs, a dict by pairs of
                names.
            named: inputs by name.
        """
        if kind == "diagonal":
            return self.evaluate(y_true, y_pred, ("hessian",), **named)["hessian"]
        if kind != "full":
            raise ParameterError(f"hessian(kind={kind!r}): unknown kind; it is 'diagonal' or 'full'")
        if not self._couples:
            raise ParameterError(
                f"{type(self).__name__}.hessian(kind='full'): its entries do not couple, "
                "so the diagonal is all there is; use kind='diagonal'"
            )
        return self.evaluate(y_true, y_pred, ("full_hessian",), **named)["full_hessian"]

    @cached_property
    def _parts(self) -> dict[str, list[str]]:
        """The parts of each output."""
        return {name: parts(name, self.predicted) for name in OUTPUTS}

    @property
    def _couples(self) -> bool:
        """Whether second derivatives across entries of one example exist."""
        return len(self.predicted) > 1

    def evaluate(
        self,
        y_true: Any = None,
        y_pred: Any = None,
        outputs: Sequence[str] = ("losses", "gradient", "hessian"),
        *,
        trusted: bool = False,
        out: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> dict[str, Any]:
        """Return several of ``losses``, ``gradient``, ``hessian`` and ``full_hessian`` in one pass; see ``losses``.

        Args:
            y_true: targets.
            y_pred: predictions.
            outputs: which to compute.
            trusted: leave out warnings about likely mistakes, for callers that made the predictions themselves.
            out: arrays of the predictions' shape to write ``gradient`` or ``hessian`` into, by output; of several
                predicted inputs dicts of arrays, by name.
            named: inputs by name.
        """
        if unknown := [name for name in outputs if name not in OUTPUTS]:
            raise ParameterError(f"outputs must be among {', '.join(OUTPUTS)}, got {', '.join(map(repr, unknown))}")
        keys = [key for name in outputs for key in self._parts[name]]
        if (plain := self._plain) and (found := plain.each(y_true, y_pred, named, keys, out)) is not None:
            return {name: gather(name, self.predicted, dict(zip(keys, found, strict=True))) for name in outputs}
        batch = self._batch(self._bind(y_true, y_pred, named), None, None, trusted=trusted)
        given = written(type(self).__name__, out, outputs, self.predicted)
        flat = {key: batch.rows_of(given[key], key) if key in given else batch.room(key) for key in keys}
        fill(self, batch, flat)
        shaped = {key: batch.restore(result, full=key.startswith("full"))[()] for key, result in flat.items()}
        for key, array in given.items():
            array[...], shaped[key] = shaped[key], array  # onto itself where it was written in place
        return {name: gather(name, self.predicted, shaped) for name in outputs}

    def cost(
        self,
        y_true: Any = None,
        y_pred: Any = None,
        weight: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        reduction: str = "mean",
        *,
        empty: str = "error",
        **named: Any,
    ) -> Any:
        """Return the losses of a data set put together.

        Args:
            y_true: targets.
            y_pred: predictions, of the same shape.
            weight: a weight for each example, at least 0; size-1 axes broadcast.
            mask: true for the examples that count; what the others hold does not matter.
            reduction: ``mean`` (Σwl/Σw, default), ``count_mean`` (Σwl/n), ``sum`` (Σwl), or
                ``none`` for the array of weighted losses, 0 where masked.
            empty: what a cost of nothing is: ``error`` (default), ``zero`` or ``nan``.
            named: inputs by name.

        Returns:
            A float; an array with ``reduction="none"``. It is infinite where the loss is, such
            as the log of a zero probability; ``state`` counts such rows.

        Raises:
            ShapeError, KindError, DomainError, EmptyError, ParameterError
        """
        if weight is None and mask is None and reduction in SUMMED and empty in POLICIES and (plain := self._plain):
            short = plain(y_true, y_pred, named, gradient=False, mean=reduction != "sum")
            if short is not None:
                return short[0]
        chosen, policy = check_reduction(reduction), check_empty(empty)
        batch = self._batch(self._bind(y_true, y_pred, named), weight, mask)
        if chosen == "none":
            fill(self, batch, {"losses": (result := batch.room("losses"))})
            return batch.restore(result)[()]
        fill(self, batch, {}, tally := Tally(self, batch))
        return reduced(tally, chosen, policy)

    def state(
        self,
        y_true: Any = None,
        y_pred: Any = None,
        weight: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        **named: Any,
    ) -> CostState:
        """Return the mergeable sums behind the cost; arguments and errors as in ``cost``."""
        batch = self._batch(self._bind(y_true, y_pred, named), weight, mask)
        fill(self, batch, {}, tally := Tally(self, batch))
        return tally.state()

    def cost_and_gradient(
        self,
        y_true: Any = None,
        y_pred: Any = None,
        weight: npt.ArrayLike | None = None,
        reduction: str = "mean",
        out: Array | Mapping[str, Array] | None = None,
        *,
        mask: npt.ArrayLike | None = None,
        empty: str = "error",
        **named: Any,
    ) -> tuple[Any, Results]:
        """Return the cost and its derivative with respect to each prediction, in one pass.

        Args:
            y_true, y_pred, weight, reduction, mask, empty, named: as in ``cost``.
            out: an array of the predictions' shape and of the result's type, to write the gradient
                into; of several predicted inputs a dict of arrays, by name.

        Returns:
            The cost, and the gradient of that very cost: with ``mean`` it carries w/Σw. An input
            that was spread over the examples gets the sum of its gradients, in its own shape.
        """
        if weight is None and mask is None and reduction in SUMMED and empty in POLICIES and (plain := self._plain):
            short = plain(y_true, y_pred, named, gradient=True, mean=reduction != "sum", out=out)
            if short is not None:
                return short
        chosen, policy, keys = check_reduction(reduction), check_empty(empty), self._parts["gradient"]
        batch = self._batch(self._bind(y_true, y_pred, named), weight, mask)
        given = written(type(self).__name__, None if out is None else {"gradient": out}, ("gradient",), self.predicted)
        flat = {key: batch.rows_of(given[key], key, own=True) if given else batch.room(key) for key in keys}
        cost = fill_slopes(self, batch, flat, chosen, policy)
        shaped = {key: batch.own(symbol(key), batch.restore(result)) for key, result in flat.items()}
        for key, array in given.items():
            array[...], shaped[key] = shaped[key], array  # onto itself where it was written in place
        return cost, gather("gradient", self.predicted, shaped)

    @np.errstate(all="ignore")
    def optimal_constant(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Any:
        """Return the constant raw prediction with the least cost: where boosting should start.

        In closed form where there is one (means, medians, quantiles), else by safeguarded Newton
        steps. When a whole interval is best, its midpoint. Infinite when the data ask for certainty.

        Raises:
            NoConstantError: when the cost has no minimum, or the loss takes more than one prediction.
            EmptyError: when no example has weight.
        """
        return self.raw_form._best_constant(*checked_targets(self, y_true, weight))

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

    def _bind(self, y_true: Any, y_pred: Any, named: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs by argument name, refusing unknown ones and missing ones."""
        return bind(self, y_true, y_pred, named, paired=self.paired)

    def _refuse_invalid(self, batch: Batch, start: int, stop: int, valid: Array) -> None:
        if np.count_nonzero(valid) < valid.size:
            invalid = ~valid if batch.mask is None else ~valid & batch.mask[start:stop]
            if invalid.any():
                raise self._invalid(batch, invalid, start)
