"""Costs of tensors of any backend of Keras, reduced as Keras does.

Shapes and types are checked while tracing. An example outside the domains has a cost that is no number; where values
are known, the error of the catalogue is raised.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from lossmith.core.columns import check_spread
from lossmith.core.loss import Loss
from lossmith.core.mistakes import LossmithWarning
from lossmith.engines.hosts import ANYWHERE, by_symbol
from lossmith.engines.keras import backend
from lossmith.errors import KindError
from lossmith.frameworks.calls import aligned, outside

Tensor = Any

_NO_INDEX = -(2**31)
_MEND = "weights must be finite and at least 0"


def cost(
    loss: Loss, given: Mapping[str, Any], weight: Any, mask: Any, reduction: str | None, *, double: bool
) -> Tensor:
    """Return the cost.

    Args:
        loss: whose cost, made ready.
        given: tensors, or what becomes one, by argument.
        weight: a weight for each example; where it has fewer axes, they are the first ones.
        mask: true for the examples that count.
        reduction: in the words of Keras.
        double: whether to compute in float64, not float32.
    """
    engine, kind = backend(), "float64" if double else "float32"
    arrays = _matched(loss, {item.name: _tensor(loss, item, given[item.name], kind) for item in loss.inputs})
    columns = aligned(loss, arrays, engine.host.xp)
    known = by_symbol(loss, [ops.stop_gradient(x) for x in columns])
    valid = loss.compute(engine.host, known, ("valid",))["valid"]
    own = loss.counting(engine.host, known)
    averaged = loss.row_axis is None and len(valid.shape) > 1
    examples = valid[..., 0] if averaged else valid
    counts = ops.ones_like(examples) if own.counted is None else own.counted
    if mask is not None:
        counts = counts & _spread(loss, "mask", ops.cast(mask, "bool"), examples)
    if loss.row_axis is not None:
        columns = [_tame(loss, item.symbol, x, counts) for item, x in zip(loss.inputs, columns, strict=True)]
    losses = ops.where(valid, engine.losses(loss, *columns), math.nan)
    if averaged:
        losses, valid = ops.mean(losses, axis=-1), ops.all(valid, axis=-1)
    invalid, share = counts & ~valid, ops.cast(counts, kind)
    if weight is not None:
        share = ops.where(counts, _spread(loss, "sample_weight", ops.cast(weight, kind), examples), 0.0)
        invalid = invalid | ~((share >= 0) & (share < math.inf))
    _look(loss, arrays, invalid, {"weight": share, "mask": counts}, averaged=averaged)
    if own.weight is not None:
        share = ops.where(counts, share * ops.cast(own.weight, kind), 0.0)
    weighted = engine.times(share, ops.where(invalid, math.nan, losses))
    return _reduced(weighted, share, counts, reduction)


def _reduced(weighted: Tensor, share: Tensor, counts: Tensor, reduction: str | None) -> Tensor:
    if reduction in (None, "none") or not weighted.shape:
        return weighted
    engine = backend()
    total = engine.total(weighted)
    if reduction == "sum":
        return ops.cast(total, weighted.dtype)
    below = engine.total(share if reduction == "mean_with_sample_weight" else ops.cast(counts, share.dtype))
    mean = ops.where(below > 0, total / ops.where(below > 0, below, 1.0), 0.0) / engine.replicas()
    return ops.cast(mean, weighted.dtype)


def _tensor(loss: Loss, item: Any, value: Any, kind: str) -> Tensor:
    """Return an input as a tensor in the type to compute in; class indices as whole numbers.

    Raises:
        KindError: for what holds no real numbers, and for predictions that are whole numbers.
    """
    owner = type(loss).__name__
    plain = isinstance(value, np.ndarray) and value.dtype.kind in "OSTUcMm"
    try:
        tensor: Any = None if plain else ops.convert_to_tensor(value)
        found = str(value.dtype) if plain else keras.backend.standardize_dtype(tensor.dtype)
    except (TypeError, ValueError) as error:
        raise KindError(f"{owner}: {item.name} must be an array of numbers, got {type(value).__name__}") from error
    if plain or "complex" in found or "string" in found:
        raise KindError(f"{owner}: {item.name} must hold real numbers, got {found}")
    if item.symbol in loss.class_indices:
        return _indices(tensor, found)
    if item.predicted and "float" not in found:
        raise KindError(
            f"{owner}: {item.name} must hold floats, got {found}; targets come before predictions, "
            "and whole numbers become floats by keras.ops.cast"
        )
    return ops.cast(tensor, kind)


def _indices(tensor: Tensor, kind: str) -> Tensor:
    """Return class indices in 32 bits; what is none there becomes one that no loss takes."""
    if kind in ("bool", "int8", "uint8", "int16", "uint16", "int32"):
        return ops.cast(tensor, "int32")
    within = tensor < 2**31 - 1
    within = within if "uint" in kind else within & (tensor > _NO_INDEX)
    if "float" in kind:
        within = within & (tensor == ops.floor(tensor))
    nothing = ops.full_like(tensor, 2**31 - 1 if "uint" in kind else _NO_INDEX)
    return ops.cast(ops.where(within, tensor, nothing), "int32")


def _matched(loss: Loss, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return inputs with as many axes as they should have, where a last one of length 1 is there or is not.

    Keras does so with targets: ``fit`` makes a column of them, as of the outputs of ``Dense(1)``.
    """
    lead = next(item.name for item in loss.inputs if item.predicted)
    shape, found = arrays[lead].shape, {}
    for name, array in arrays.items():
        single = any(item.name == name and item.symbol in loss.singles for item in loss.inputs)
        rank = len(shape) - single
        if len(array.shape) == rank + 1 and array.shape[-1] == 1:
            array = ops.squeeze(array, -1)
        elif len(array.shape) == rank - 1 and shape[-1] == 1 and loss.row_axis is None:
            array = ops.expand_dims(array, -1)
        found[name] = array
    return found


def _spread(loss: Loss, label: str, tensor: Tensor, like: Tensor) -> Tensor:
    """Return a number for each example: where a tensor has fewer axes, they are the first ones."""
    xp, rank = backend().host.xp, len(like.shape)
    if len(tensor.shape) == rank + 1 and tensor.shape[-1] == 1:
        tensor = ops.squeeze(tensor, -1)
    while len(tensor.shape) < rank:
        tensor = ops.expand_dims(tensor, -1)
    check_spread(type(loss).__name__, label, xp.shape(tensor), xp.shape(like))
    return xp.spread(tensor, like)


def _tame(loss: Loss, symbol: str, tensor: Tensor, counts: Tensor) -> Tensor:
    """Return an input with numbers of no harm in rows that do not count, which may hold any."""
    if symbol in loss.class_indices:
        return tensor
    return ops.where(counts if symbol in loss.singles else counts[..., None], tensor, ANYWHERE)


def _look(
    loss: Loss, arrays: Mapping[str, Tensor], invalid: Tensor, options: Mapping[str, Tensor], *, averaged: bool
) -> None:
    """Raise the error of the catalogue for what is wrong, where values are known."""
    if not backend().known(invalid) or not bool(ops.any(invalid)):
        return
    plain: dict[str, Any] = {name: _numpy(x) for name, x in arrays.items()}
    plain |= {name: _numpy(x)[..., None] if averaged else _numpy(x) for name, x in options.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossmithWarning)  # there is an error to come
        loss.cost(**plain, empty="zero")
    raise outside(loss, int(np.sum(_numpy(invalid))), {}, _MEND)


def _numpy(tensor: Tensor) -> Any:
    return ops.convert_to_numpy(ops.stop_gradient(tensor))
