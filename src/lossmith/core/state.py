"""Cost states: the mergeable part of a cost.

A mean of means is wrong as soon as batches differ in size or weight. A state keeps sums, so
batches, workers and accumulation steps merge into the number of a single pass. The sums are
exact over the sums of blocks (Shewchuk 1997, doi 10.1007/PL00009321), so merging is
associative: states of splits at whole blocks merge to the same bits in any order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import Batch
from lossmith.core.reduction import Empty, Reduction, check_empty, check_reduction
from lossmith.errors import EmptyError, MergeError, ParameterError

if TYPE_CHECKING:
    from lossmith.core.loss import Loss


@dataclass(frozen=True, slots=True)
class ExactSum:
    """A sum of float64 numbers without rounding error, as non-overlapping parts; infinite once it overflows."""

    parts: tuple[float, ...] = ()
    special: float = 0.0  # sum of the infinities and NaNs, which have no parts

    def add(self, *terms: float) -> ExactSum:
        """Return the sum with more terms."""
        parts, special = list(self.parts), self.special
        for term in terms:
            if not math.isfinite(term):
                special += term
                continue
            kept, carry = [], term
            for part in parts:
                if abs(carry) < abs(part):
                    carry, part = part, carry
                high = carry + part
                if math.isinf(high):
                    return ExactSum((), special + high)
                low = part - (high - carry)
                if low:
                    kept.append(low)
                carry = high
            parts = [*kept, carry]
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

    @classmethod
    def begin(cls, loss: Loss, batch: Batch) -> CostState:
        """Return a state that has counted the examples of a batch and their weights, but no losses yet."""
        count = batch.size if batch.mask is None else int(np.count_nonzero(batch.mask))
        weights = ExactSum((float(count),)) if count else ExactSum()
        if batch.weight is not None:
            counted = batch.weighted(0, batch.size, np.ones(batch.size))
            weights = ExactSum().add(
                *(float(np.sum(counted[i : i + batch.block])) for i in range(0, batch.size, batch.block))
            )
        return cls(loss, weights=weights, rows=batch.size, count=count)

    def add(self, batch: Batch, start: int, stop: int, losses: npt.NDArray[Any]) -> CostState:
        """Return the state with the losses of a block of rows added to the sums."""
        block = float(np.sum(batch.weighted(start, stop, losses), dtype=np.float64))
        return self.count_bad(batch, start, stop, losses).add_sums([block])

    def add_sums(self, sums: Sequence[float]) -> CostState:
        """Return the state with the weighted sums of some blocks added."""
        return replace(self, total=self.total.add(*sums))

    def count_bad(self, batch: Batch, start: int, stop: int, losses: npt.NDArray[Any]) -> CostState:
        """Return the state with the losses of a block that are not finite counted."""
        bad, first = self.bad, self.first_bad
        wrong = ~np.isfinite(losses)
        if batch.mask is not None:
            wrong &= batch.mask[start:stop]
        if wrong.any():
            bad += int(np.count_nonzero(wrong))
            first = start + int(np.argmax(wrong)) if first is None else first
        return replace(self, bad=bad, first_bad=first)

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

    def divisor(self, reduction: Reduction) -> float:
        """Return what a reduction divides the weighted sum by."""
        return {"mean": self.weight, "count_mean": float(self.count), "sum": 1.0, "none": 1.0}[reduction]

    def reduce(self, reduction: str = "mean", *, empty: str = "error") -> float:
        """Return the cost.

        Args:
            reduction: ``mean`` (Σwl/Σw), ``count_mean`` (Σwl/n) or ``sum`` (Σwl).
            empty: what a mean over nothing is: ``error``, ``zero`` or ``nan``.

        Raises:
            EmptyError: when nothing counts and ``empty="error"``.
            ParameterError: for another reduction or policy.
        """
        chosen = check_reduction(reduction)
        policy: Empty = check_empty(empty)
        if chosen == "none":
            raise ParameterError("a state has no losses of single examples; call loss.losses(y_true, y_pred)")
        if chosen == "sum" and self.count:
            return self.sum
        divisor = self.divisor(chosen)
        if self.count == 0 or divisor == 0:
            if policy == "error":
                what = (
                    "there are no examples" if self.rows == 0
                    else f"all {self.rows} examples are masked" if self.count == 0
                    else f"the weights of all {self.count} examples are zero"
                )  # fmt: skip
                raise EmptyError(f"{self.loss}: {what}; pass empty='zero' or empty='nan' if that may happen")
            return 0.0 if policy == "zero" else math.nan
        return self.sum / divisor
