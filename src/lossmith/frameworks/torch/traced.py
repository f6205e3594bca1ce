"""Costs of tensors in operations that are traced: for other devices, ``torch.compile`` and ``torch.func``.

Shapes and types are checked while tracing. What values hold is not known then: an example outside the domains makes
the cost NaN, and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from lossmith.core.columns import check_spread
from lossmith.core.inputs import Input
from lossmith.core.loss import Loss
from lossmith.engines.hosts import ANYWHERE, by_symbol
from lossmith.engines.torch import FUNCTIONS, PLAIN, times
from lossmith.engines.torch import losses as losses_of
from lossmith.errors import KindError
from lossmith.frameworks.calls import aligned

Tensor = Any


class Sums(NamedTuple):
    """What a traced call found.

    Attributes:
        losses: the weighted loss of each example.
        total: their sum.
        weight: the sum of the weights.
        count: how many examples count.
        invalid: how many of them lie outside the domains.
    """

    losses: Tensor
    total: Tensor
    weight: Tensor
    count: Tensor
    invalid: Tensor

    def reduced(self, reduction: str, empty: str) -> Tensor:
        """Return the cost; see ``Loss.cost``, but that ``empty="error"`` gives NaN."""
        if reduction == "none":
            return self.losses
        total = self.total
        if reduction != "sum":
            below = self.weight if reduction == "mean" else self.count.to(total.dtype)
            nothing = 0.0 if empty == "zero" else math.nan
            total = torch.where(below > 0, total / torch.where(below > 0, below, 1.0), nothing)
        return total.to(self.losses.dtype)


def sums(loss: Loss, given: Mapping[str, Tensor], weight: Tensor | None, mask: Tensor | None) -> Sums:
    """Return the sums behind the cost of tensors, and how many examples lie outside the domains.

    Args:
        loss: whose cost; made ready before anything is traced.
        given: tensors by argument.
        weight, mask: as in ``Loss.cost``.
    """
    tensors = _prepared(loss, given)
    known = by_symbol(loss, [x.detach() for x in tensors])
    valid = loss.compute(PLAIN, known, ("valid",))["valid"]
    own = loss.counting(PLAIN, known)
    counts = torch.ones_like(valid) if mask is None else _spread(loss, "mask", mask, valid.shape)
    counts = counts if own.counted is None else counts & own.counted
    invalid = (counts & ~valid).sum()
    if loss.row_axis is not None and (mask is not None or own.counted is not None):
        tensors = [_tame(loss, item, x, counts) for item, x in zip(loss.inputs, tensors, strict=True)]
    losses = torch.where(valid | ~counts, losses_of(loss, *tensors), math.nan)
    share = counts.to(losses.dtype)
    for factor in (weight, own.weight):
        if factor is not None:
            share = torch.where(counts, share * _spread(loss, "weight", factor, valid.shape).to(losses.dtype), 0.0)
    weighted = times(share, losses)
    # Not every device has float64.
    wide = losses.dtype if losses.device.type == "mps" else torch.float64
    return Sums(weighted, weighted.sum(dtype=wide), share.sum(dtype=wide), counts.sum(), invalid)


def _tame(loss: Loss, item: Input, tensor: Tensor, counts: Tensor) -> Tensor:
    """Return an input with numbers of no harm in rows that do not count, which may hold any, and derivatives of 0."""
    if item.symbol in loss.class_indices:
        return tensor
    return torch.where(counts if item.symbol in loss.singles else counts[..., None], tensor, ANYWHERE)


def _prepared(loss: Loss, given: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the inputs in one type and one shape, with the numbers of an example along the last axis."""
    owner, indices, first = type(loss).__name__, loss.class_indices, loss.inputs[0].name
    for name, tensor in given.items():
        if tensor.is_complex():
            raise KindError(f"{owner}: {name} must hold real numbers, got {tensor.dtype}")
        if tensor.device != given[first].device:
            raise KindError(
                f"{owner}: {first} is on {given[first].device} and {name} on {tensor.device}; bring both to one device"
            )
    numbers = [given[item.name] for item in loss.inputs if item.symbol not in indices]
    kind = torch.float64 if any(x.dtype == torch.float64 for x in numbers) else torch.float32
    lined_up = zip(loss.inputs, aligned(loss, given, FUNCTIONS), strict=True)
    return [_index(tensor) if item.symbol in indices else tensor.to(kind) for item, tensor in lined_up]


def _index(tensor: Tensor) -> Tensor:
    return tensor.long() if tensor.dtype == torch.bool else tensor


def _spread(loss: Loss, label: str, tensor: Tensor, shape: Any) -> Tensor:
    check_spread(type(loss).__name__, label, tensor.shape, shape)
    return torch.broadcast_to(tensor, shape)
