"""The sums behind costs of tensors: what batches, accumulation steps and processes add up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from lossmith.core.loss import Loss
from lossmith.core.reduction import check_empty, check_reduction
from lossmith.errors import EmptyError, MergeError, ParameterError
from lossmith.frameworks.calls import TORCH, outside

Tensor = Any

MEND = "weights must be finite and at least 0; call the module on them without torch.compile to see which"


@dataclass(frozen=True, eq=False)
class State:
    """The sums behind a cost. ``a + b`` and ``sum(states)`` give the state of all examples together.

    Attributes:
        loss: the loss they belong to.
        total: sum of weight times loss, which knows its gradient; without axes, float64 where the device has it.
        weight: sum of the weights.
        count: examples that count, that is, not masked.
        invalid: those of them outside the domains, in traced calls; others raise an error.
    """

    loss: Loss
    total: Tensor
    weight: Tensor
    count: Tensor
    invalid: Tensor

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
        pairs = zip(self.sums, other.sums, strict=True)
        return State(self.loss, *(a + b for a, b in pairs))

    __radd__ = __add__

    @property
    def sums(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All four numbers."""
        return self.total, self.weight, self.count, self.invalid

    def detach(self) -> Self:
        """Return the same without what the gradient needs, to keep over many steps."""
        return replace(self, total=self.total.detach())

    def divisor(self, reduction: str = "mean") -> Tensor:
        """Return what a reduction divides the sum by.

        Raises:
            ParameterError: for a reduction that is none of a state.
        """
        chosen = check_reduction(reduction)
        if chosen == "none":
            raise ParameterError("a state has no losses of single examples; call the module with reduction='none'")
        return {"mean": self.weight, "count_mean": self.count.to(self.weight.dtype)}.get(
            chosen, torch.ones_like(self.weight)
        )

    def cost(self, reduction: str = "mean", *, empty: str = "zero") -> Tensor:
        """Return the cost.

        Args:
            reduction: ``mean`` (Σwl/Σw), ``count_mean`` (Σwl/n) or ``sum`` (Σwl).
            empty: what a cost of nothing is: ``zero`` (default), ``nan`` or ``error``.

        Raises:
            EmptyError: when nothing counts and ``empty="error"``.
            ParameterError: for another reduction or policy.
        """
        below, policy = self.divisor(reduction), check_empty(empty)
        if policy == "error" and (self.count == 0 or below == 0):
            raise EmptyError(
                f"{self.loss}: no example counts, or none has weight; pass empty='zero' or 'nan' if that may happen"
            )
        nothing = torch.zeros_like(self.total) if policy == "zero" else torch.full_like(self.total, torch.nan)
        return torch.where(below == 0, nothing, self.total / torch.where(below == 0, 1.0, below))

    def check(self) -> None:
        """Raise an error if traced calls met examples outside the domains.

        Raises:
            DomainError: with their number.
        """
        if found := int(self.invalid):
            raise outside(self.loss, found, TORCH, MEND)
