"""Cost states: the mergeable part of a cost.

A mean of means is wrong as soon as batches differ in size or weight. A state keeps sums, so
batches, workers and accumulation steps merge into the number of a single pass. The sums are
exact over the sums of blocks (Shewchuk 1997, doi 10.1007/PL00009321), so merging is
associative: states of splits at whole blocks merge to the same bits in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import Batch
from lossmith.core.reduction import Empty, Reduction, check_empty, check_reduction
from lossmith.errors import EmptyError, MergeError, ParameterError

if TYPE_CHECKING:
    from lossmith.core.loss import Loss


_DOWN = 2.0**-64  # what brings sums that overflow back into range


@dataclass(frozen=True, slots=True)
class ExactSum:
    """A sum of float64 numbers without rounding error, as non-overlapping parts; infinite once it overflows."""

    parts: tuple[float, ...] = ()
    special: float = 0.0  # sum of the infinities and NaNs, which have no parts

    def add(self, *terms: float) -> ExactSum:
        """Return the sum with more terms."""
        special = self.special + sum(term for term in terms if not math.isfinite(term))
        rest = [term for term in (*self.parts, *terms) if math.isfinite(term)]
        parts: list[float] = []
        try:
            while part := math.fsum(rest):  # the nearest number, then the nearest to what is left over
                parts.insert(0, part)
                rest.append(-part)
        except OverflowError:
            return ExactSum((), special + math.copysign(math.inf, math.fsum(term * _DOWN for term in rest)))
        return ExactSum(tuple(parts), special)

    def merge(self, other: ExactSum) -> ExactSum:
        """Return the sum of both, whatever the order."""
        merged = self.add(*other.parts)
        return ExactSum(merged.parts, self.special + other.special)

    @property
    def value(self) -> float:
        """The sum, rounded once."""
        if self.special != 0 or math.isnan(self.special):
            return self.special
        try:
            return math.fsum(self.parts)
        except OverflowError:
            return math.copysign(math.inf, self.parts[-1])


@dataclass(frozen=True, slots=True)
class CostState:
    """The sums behind a cost, over the examples seen so far.

    Attributes:
        loss: the loss they belong to; only states of equal losses merge.
        total: sum of weight times loss.
        weights: sum of the weights.
        rows: examples seen, masked ones included.
        count: examples that count, that is, not masked.
        bad: examples that count and whose loss is not finite, such as log 0.
        first_bad: place of the first of them among ``rows``, or ``None``.
    """

    loss: Loss
    total: ExactSum = field(default_factory=ExactSum)
    weights: ExactSum = field(default_factory=ExactSum)
    rows: int = 0
    count: int = 0
    bad: int = 0
    first_bad: int | None = None

    def merge(self, other: CostState) -> CostState:
        """Return the state of both data sets together, ``other`` coming after this one.

        Raises:
            MergeError: when the states belong to different losses.
        """
        if not isinstance(other, CostState) or other.loss != self.loss:
            theirs = other.loss if isinstance(other, CostState) else type(other).__name__
            raise MergeError(f"only states of one loss merge; this one belongs to {self.loss}, the other to {theirs}")
        first = self.first_bad
        if first is None and other.first_bad is not None:
            first = self.rows + other.first_bad
        return CostState(
            loss=self.loss,
            total=self.total.merge(other.total),
            weights=self.weights.merge(other.weights),
            rows=self.rows + other.rows,
            count=self.count + other.count,
            bad=self.bad + other.bad,
            first_bad=first,
        )

    @property
    def sum(self) -> float:
        """Weighted sum of the losses, Σwl."""
        return self.total.value

    @property
    def weight(self) -> float:
        """Sum of the weights, Σw."""
        return self.weights.value

    @property
    def mean(self) -> float:
        """Weighted mean of the losses, Σwl/Σw.

        Raises:
            EmptyError: when nothing counts.
        """
        return self.reduce("mean")

    def reduce(self, reduction: str = "mean", *, empty: str = "error") -> float:
        """Return the cost.

        Args:
            reduction: ``mean`` (Σwl/Σw), ``count_mean`` (Σwl/n) or ``sum`` (Σwl).
            empty: what a cost of nothing is: ``error``, ``zero`` or ``nan``.

        Raises:
            EmptyError: when nothing counts and ``empty="error"``.
            ParameterError: for another reduction or policy.
        """
        chosen = check_reduction(reduction)
        if chosen == "none":
            raise ParameterError("a state has no losses of single examples; call loss.losses(y_true, y_pred)")
        return reduced(self, chosen, check_empty(empty))


class Tally:
    """The sums of a pass under way, which are a ``CostState`` at its end."""

    __slots__ = ("_batch", "_sums", "_weights", "bad", "count", "first_bad", "loss", "rows")

    def __init__(self, loss: Loss, batch: Batch) -> None:
        self.loss, self._batch = loss, batch
        self.rows = batch.size
        self.count = self.rows if batch.mask is None else int(np.count_nonzero(batch.mask))
        ones = [float(self.count)] if self.count else []
        self._weights = ones if batch.weight is None else batch.weight_sums
        self._sums: list[float] = []
        self.bad = 0
        self.first_bad: int | None = None

    def add(self, start: int, stop: int, losses: npt.NDArray[Any]) -> None:
        """Add the losses of a block of rows."""
        batch = self._batch
        terms = batch.weighted(start, stop, losses)
        # To name the type costs as much as the sum of a few numbers.
        total = float(np.add.reduce(terms) if terms.itemsize == 8 else np.add.reduce(terms, dtype=np.float64))
        # A finite sum is one of finite terms, and those are the losses that count where weights hide none.
        if batch.weight is not None or not math.isfinite(total):
            self.count_bad(start, stop, losses)
        self._sums.append(total)

    def add_sums(self, sums: Sequence[float]) -> None:
        """Add the weighted sums of some blocks."""
        self._sums += sums

    def count_bad(self, start: int, stop: int, losses: npt.NDArray[Any]) -> None:
        """Count the losses of a block that are not finite."""
        wrong = ~np.isfinite(losses)
        if self._batch.mask is not None:
            wrong &= self._batch.mask[start:stop]
        if found := int(np.count_nonzero(wrong)):
            self.bad += found
            self.first_bad = start + int(np.argmax(wrong)) if self.first_bad is None else self.first_bad

    @property
    def sum(self) -> float:
        """Weighted sum of the losses so far."""
        return _total(self._sums)

    @property
    def weight(self) -> float:
        """Sum of the weights of the batch."""
        return _total(self._weights)

    def state(self) -> CostState:
        """Return the sums as they are now."""
        total, weights = ExactSum().add(*self._sums), ExactSum().add(*self._weights)
        return CostState(self.loss, total, weights, self.rows, self.count, self.bad, self.first_bad)


def extent(loss: Loss, given: Mapping[str, Any], weight: Any = None, mask: Any = None) -> tuple[float, int]:
    """Return the sum of the weights and the number of the examples that count, for inputs by name."""
    tally = Tally(loss, loss._batch(given, weight, mask, trusted=True))
    return tally.weight, tally.count


def _total(terms: Sequence[float]) -> float:
    """Return the value of the exact sum of numbers."""
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return ExactSum().add(*terms).value


def divisor(sums: CostState | Tally, reduction: Reduction) -> float:
    """Return what a reduction divides the weighted sum by."""
    return sums.weight if reduction == "mean" else float(sums.count) if reduction == "count_mean" else 1.0


def _nothing(rows: int, count: int) -> str:
    """Return in words why nothing counts, of how many examples and how many that are not masked."""
    if rows == 0:
        return "there are no examples"
    one = (count or rows) == 1
    if count == 0:
        return "the only example is masked" if one else f"all {rows:,} examples are masked"
    return f"the weight{' of the only example is' if one else f's of all {count:,} examples are'} zero"


def reduced(sums: CostState | Tally, reduction: Reduction, empty: Empty) -> float:
    """Return the cost that sums stand for.

    Raises:
        EmptyError: when nothing counts and ``empty`` is ``error``.
    """
    if reduction == "sum" and sums.count:
        return sums.sum
    below = divisor(sums, reduction)
    if sums.count == 0 or below == 0:
        if empty == "error":
            raise EmptyError(
                f"{sums.loss}: {_nothing(sums.rows, sums.count)}; pass empty='zero' or empty='nan' if that may happen"
            )
        return 0.0 if empty == "zero" else math.nan
    return sums.sum / below
