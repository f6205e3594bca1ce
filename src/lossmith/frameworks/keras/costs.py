"""Costs of tensors of any backend of Keras, reduced as Keras does.

Shapes and types are checked while tracing. An example outside the domains has a cost that is no number, and so has its
gradient; where values are known, the error of the catalogue is raised.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from lossmith.core.columns import check_spread
from lossmith.core.contract import check_weights
from lossmith.core.loss import Loss
from lossmith.core.mistakes import LossmithWarning
from lossmith.engines.hosts import ANYWHERE, by_symbol
from lossmith.engines.keras import backend
from lossmith.frameworks.calls import aligned, outside, warn_of_one_class
from lossmith.frameworks.keras.inputs import real, tensor_of

Tensor = Any

_MEND = "weights must be finite and at least 0"


class Seen(NamedTuple):
    """What is known of a call before losses are computed.

    Attributes:
        arrays: the inputs by name, as the catalogue takes them.
        columns: the same in the order of the loss, with the numbers of an example along the last axis.
        counts: which examples count; of losses of single numbers, those that differ in all but the last axis.
        weight: what each was said to weigh.
        share: how much each counts, by its class too.
        invalid: which of them have an input outside its domain, or a weight that is none.
        averaged: whether losses are averaged along the last axis to those of examples.
    """

    arrays: dict[str, Tensor]
    columns: list[Tensor]
    counts: Tensor
    weight: Tensor
    share: Tensor
    invalid: Tensor
    averaged: bool


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
    engine = backend()
    seen = _seen(loss, given, weight, mask, "float64" if double else "float32")
    _look(loss, given, seen)
    losses = engine.losses(loss, *seen.columns)
    if seen.averaged:
        losses = ops.mean(losses, axis=-1)
    # Of the share, not of the loss: what is invalid has a gradient that is no number either, unless it weighs nothing.
    share = ops.where(seen.invalid & (seen.share != 0), math.nan, seen.share)
    weighted = engine.times(share, losses)
    return _reduced(weighted, seen.share, seen.counts, reduction)


def invalid(loss: Loss, given: Mapping[str, Any], weight: Any, mask: Any) -> Tensor:
    """Return how many examples count and are invalid; arguments as in ``cost``."""
    return ops.sum(ops.cast(_seen(loss, given, weight, mask, "float32").invalid, "int32"))


def _seen(loss: Loss, given: Mapping[str, Any], weight: Any, mask: Any, kind: str) -> Seen:
    engine = backend()
    arrays = _matched(loss, {item.name: tensor_of(loss, item, given[item.name], kind) for item in loss.inputs})
    columns = aligned(loss, arrays, engine.host.xp)
    warn_of_one_class(loss, columns)
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
    wrong, share = counts & _untrue(ops.all(valid, axis=-1) if averaged else valid), ops.cast(counts, kind)
    if weight is not None:
        weights = ops.cast(real(type(loss).__name__, "sample_weight", weight, kind)[0], kind)
        share = ops.where(counts, _spread(loss, "sample_weight", weights, examples), 0.0)
        wrong = wrong | _untrue((share >= 0) & (share < math.inf))
    said = share
    if own.weight is not None:
        share = ops.where(counts, share * ops.cast(own.weight, kind), 0.0)
    return Seen(arrays, columns, counts, said, share, wrong, averaged)


def _untrue(truth: Tensor) -> Tensor:
    """Return where something does not hold. Of ``~(a >= b)`` graphs of TensorFlow make ``a < b``, untrue of NaN too."""
    return ops.where(truth, False, True)


def _reduced(weighted: Tensor, share: Tensor, counts: Tensor, reduction: str | None) -> Tensor:
    if reduction in (None, "none") or not weighted.shape:
        return weighted
    engine = backend()
    total = engine.total(weighted)
    if reduction == "sum":
        return ops.cast(total, weighted.dtype)
    below = engine.total(share if reduction == "mean_with_sample_weight" else ops.cast(counts, share.dtype))
    mean = ops.where(below == 0, 0.0, total / ops.where(below == 0, 1.0, below))  # below may be no number
    replicas = engine.replicas()
    return ops.cast(mean if replicas == 1 else mean / replicas, weighted.dtype)


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


def _look(loss: Loss, given: Mapping[str, Any], seen: Seen) -> None:
    """Raise the error of the catalogue for what is wrong, or give its warnings, where values are known."""
    if not backend().known(seen.invalid):
        return
    plain: dict[str, Any] = {name: _numpy(x) for name, x in seen.arrays.items()}
    for item in loss.inputs:
        if item.symbol in loss.class_indices:  # messages tell of what came
            came = given[item.name]
            came = came if isinstance(came, np.ndarray) else _numpy(ops.convert_to_tensor(came))
            plain[item.name] = np.reshape(came, plain[item.name].shape)
    weight, mask = (_numpy(x) for x in (seen.weight, seen.counts))
    if bool(ops.any(seen.invalid)):  # first, since they are those of examples, before inputs may be spread
        check_weights(type(loss).__name__, weight.reshape(-1), weight.shape, mask.reshape(-1))
    weight, mask = (x[..., None] if seen.averaged else x for x in (weight, mask))
    if not bool(ops.any(seen.invalid)):
        loss._batch(plain, None, mask)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossmithWarning)  # there is an error to come
        loss.cost(**plain, weight=weight, mask=mask, empty="zero")
    raise outside(loss, int(np.sum(_numpy(seen.invalid))), {}, _MEND)


def _numpy(tensor: Tensor) -> Any:
    return ops.convert_to_numpy(ops.stop_gradient(tensor))
