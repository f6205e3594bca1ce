"""Costs of tensors in operations that are traced: for other devices, ``torch.compile`` and ``torch.func``.

Shapes and types are checked while tracing. What values hold is not known then: an example outside the domains makes
the cost and its own gradient NaN, and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from lossmith.frameworks.torch.costs import kind_of
from lossmith.frameworks.torch.placed import placed, whole
from lossmith.frameworks.torch.refusals import closed, elsewhere, no_gradient

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
        counted = self.weight if reduction == "mean" else self.count.to(self.total.dtype)
        nothing = counted == 0  # what is no number is not nothing
        total = self.total if reduction == "sum" else self.total / torch.where(nothing, 1.0, counted)
        return torch.where(nothing, 0.0 if empty == "zero" else math.nan, total).to(self.losses.dtype)


def sums(
    loss: Loss,
    given: Mapping[str, Tensor],
    weight: Tensor | None,
    mask: Tensor | None,
    vectors: Mapping[str, Tensor],
) -> Sums:
    """Return the sums behind the cost of tensors, and how many examples lie outside the domains.

    Args:
        loss: whose cost; made ready before anything is traced.
        given: tensors by argument.
        weight, mask: as in ``Loss.cost``.
        vectors: those of the loss that there are tensors of, by name.
    """
    tensors, owner = _prepared(loss, given), type(loss).__name__
    lead = next(x for item, x in zip(loss.inputs, tensors, strict=True) if item.symbol not in loss.singles)
    shape = lead.shape if loss.row_axis is None else lead.shape[:-1]
    beside = {name: x for name, x in (("weight", weight), ("mask", mask)) if x is not None}
    beside = {name: _beside(owner, name, x, lead, shape) for name, x in beside.items()}
    names = [*(item.name for item in loss.inputs), *beside]
    there = placed(owner, names, [*tensors, *beside.values()], len(shape))
    if there is not None:
        tensors, beside = [*map(there.here, tensors)], {name: there.here(x) for name, x in beside.items()}
        vectors = {name: whole(x) for name, x in vectors.items()}
    found = _each(loss, tensors, beside.get("weight"), beside.get("mask"), vectors)
    weighted, share, counts, wrong = found if there is None else map(there.together, found)
    # Not every device has float64.
    wide = weighted.dtype if weighted.device.type == "mps" else torch.float64
    return Sums(weighted, weighted.sum(dtype=wide), share.sum(dtype=wide), counts.sum(), wrong.sum())


def _each(
    loss: Loss, tensors: Sequence[Tensor], weight: Tensor | None, mask: Tensor | None, vectors: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the weighted loss of each example, its weight, whether it counts, and whether it is one that is wrong."""
    known = by_symbol(loss, [x.detach() for x in tensors])
    valid = loss.compute(PLAIN, known, ("valid",))["valid"]
    own = loss.counting(PLAIN, known, vectors)
    counts = torch.ones_like(valid) if mask is None else mask
    counts = counts if own.counted is None else counts & own.counted
    wrong = counts & ~valid
    if loss.row_axis is not None and (mask is not None or own.counted is not None):
        tensors = [_tame(loss, item, x, counts) for item, x in zip(loss.inputs, tensors, strict=True)]
    losses = losses_of(loss, *tensors)
    share = counts.to(losses.dtype)
    if weight is not None:
        wrong = wrong | (counts & ~((weight >= 0) & (weight < math.inf)))
        share = torch.where(counts, weight.to(losses.dtype), 0.0)
    if own.weight is not None:
        share = torch.where(counts, share * own.weight.to(losses.dtype), 0.0)
    # Of the share, not of the loss: what is invalid has a gradient that is no number either, unless it weighs nothing.
    marked = torch.where(wrong & (share != 0), math.nan, share)
    return times(marked, losses), share, counts, wrong


def _tame(loss: Loss, item: Input, tensor: Tensor, counts: Tensor) -> Tensor:
    """Return an input with numbers of no harm in rows that do not count, which may hold any, and derivatives of 0."""
    if item.symbol in loss.class_indices:
        return tensor
    return torch.where(counts if item.symbol in loss.singles else counts[..., None], tensor, ANYWHERE)


def _prepared(loss: Loss, given: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the inputs in one type and one shape, with the numbers of an example along the last axis."""
    owner, indices, first = type(loss).__name__, loss.class_indices, loss.inputs[0].name
    for item in loss.inputs:
        tensor = given[item.name]
        if tensor.is_complex():
            raise KindError(f"{owner}: {item.name} must hold real numbers, got {tensor.dtype}")
        if tensor.device != given[first].device:
            raise elsewhere(owner, item.name, tensor, given[first], first)
        if tensor.requires_grad and not item.predicted and torch.is_grad_enabled():
            raise no_gradient(owner, item.name)
    refused = [item.name for item in loss.inputs if not item.predicted]
    given = {**given, **{name: closed(owner, name, given[name]) for name in refused}}
    kind = kind_of(loss, [given[item.name] for item in loss.inputs])
    lined_up = zip(loss.inputs, aligned(loss, given, FUNCTIONS), strict=True)
    return [_index(tensor) if item.symbol in indices else tensor.to(kind) for item, tensor in lined_up]


def _index(tensor: Tensor) -> Tensor:
    """Return class indices in a type that holds the number of classes: PyTorch wraps a number to that of a tensor."""
    return tensor if tensor.dtype.is_floating_point else tensor.long()


def _beside(owner: str, label: str, value: Any, lead: Tensor, shape: Sequence[int]) -> Tensor:
    """Return weights or a mask over the examples."""
    # Derivatives keep it, and nobody sees what is written into an array of NumPy.
    tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(value, device=lead.device).clone()
    if tensor.device != lead.device:
        raise elsewhere(owner, label, tensor, lead)
    if tensor.requires_grad and torch.is_grad_enabled():
        raise no_gradient(owner, label)
    if label == "mask" and tensor.dtype != torch.bool:
        raise KindError(f"{owner}: mask must be boolean (True counts), got {tensor.dtype}; write mask.bool()")
    check_spread(owner, label, tensor.shape, shape)
    return torch.broadcast_to(tensor, shape)
