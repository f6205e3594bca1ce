"""Costs of tensors in operations that are traced: for other devices, ``torch.compile`` and ``torch.func``.

Shapes and types are checked while tracing. What values hold is not known then: an example outside the domains makes
the cost NaN, and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from lossmith.core.contract import shapes_differ
from lossmith.core.inputs import Input
from lossmith.core.loss import Loss
from lossmith.engines.arrays import Formula
from lossmith.engines.torch import evaluate, times
from lossmith.errors import KindError, ShapeError
from lossmith.structures.pointwise import Pointwise

Tensor = Any


class Traced(NamedTuple):
    """What a traced call found.

    Attributes:
        cost: the cost, or the weighted loss of each example.
        invalid: how many examples that count lie outside the domains, a tensor without axes.
    """

    cost: Tensor
    invalid: Tensor


@lru_cache(maxsize=1024)
def formula(loss: Pointwise) -> Formula:
    """Return the formula of a loss, with its derivatives and ``valid``."""
    names = [name for name, _ in loss.program(2).outputs]
    return Formula(loss.part(*names, "valid"), loss.free_parameters)


def cost(
    loss: Pointwise,
    known: Formula,
    given: Mapping[str, Tensor],
    weight: Tensor | None,
    mask: Tensor | None,
    reduction: str,
    empty: str,
) -> Traced:
    """Return the cost of tensors, and how many examples lie outside the domains; see ``Loss.cost``.

    Args:
        loss: whose cost.
        known: its formula, made before anything is traced.
        given: tensors by argument.
        weight, mask, reduction, empty: as in ``Loss.cost``, but that ``empty="error"`` gives NaN.
    """
    tensors = _prepared(loss, loss.inputs, given)
    shape = tensors[0].shape
    losses = evaluate(known, "value", *tensors)
    valid = evaluate(known, "valid", *(x.detach() for x in tensors))
    counts = torch.ones_like(valid) if mask is None else _spread(loss, "mask", mask, shape)
    invalid = (counts & ~valid).sum()
    losses = torch.where(valid | ~counts, losses, math.nan)
    share = counts.to(losses.dtype)
    if weight is not None:
        share = torch.where(counts, _spread(loss, "weight", weight, shape).to(losses.dtype), 0.0)
    weighted = times(share, losses)
    if reduction == "none":
        return Traced(weighted, invalid)
    wide = torch.float64 if losses.device.type == "cpu" else losses.dtype
    total = weighted.sum(dtype=wide)
    if reduction != "sum":
        below = share.sum(dtype=wide) if reduction == "mean" else counts.sum().to(wide)
        nothing = 0.0 if empty == "zero" else math.nan
        total = torch.where(below > 0, total / torch.where(below > 0, below, 1.0), nothing)
    return Traced(total.to(losses.dtype), invalid)


def _prepared(loss: Loss, inputs: tuple[Input, ...], given: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the inputs in one type and one shape."""
    owner = type(loss).__name__
    lead = next(item for item in inputs if not item.broadcast)
    kinds = {given[item.name].dtype for item in inputs if given[item.name].is_floating_point()}
    kind = torch.float64 if torch.float64 in kinds else torch.float32
    found = []
    for item in inputs:
        tensor = given[item.name]
        if tensor.is_complex():
            raise KindError(f"{owner}: {item.name} must hold real numbers, got {tensor.dtype}")
        if item.broadcast:
            tensor = _spread(loss, item.name, tensor, given[lead.name].shape)
        elif tensor.shape != given[lead.name].shape:
            raise ShapeError(shapes_differ(owner, lead.name, given[lead.name], item.name, tensor))
        found.append(tensor.to(kind))
    return found


def _spread(loss: Loss, label: str, tensor: Tensor, shape: Any) -> Tensor:
    fits = tensor.ndim == len(shape) and all(a in (1, b) for a, b in zip(tensor.shape, shape, strict=True))
    if tensor.ndim and not fits:
        raise ShapeError(
            f"{type(loss).__name__}: {label} has shape {tuple(tensor.shape)}, but the examples have {tuple(shape)}; "
            "only axes of size 1 broadcast"
        )
    return torch.broadcast_to(tensor, shape)
