"""What TensorFlow says of losses: values and derivatives by tapes, from the engine that ``lossmith.keras`` uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lossmith.core.loss import Loss
from lossmith.engines import tensorflow as engine
from lossmith.frameworks.calls import aligned, settled

Array = npt.NDArray[Any]
Tensor = Any


def eager(loss: Loss, given: Mapping[str, Array], kind: str) -> dict[str, Array]:
    """Return losses, gradients and second derivatives, an operation at a time."""
    return _arrays(_answers(settled(loss), _tensors(given)))


def compiled(loss: Loss, given: Mapping[str, Array], kind: str) -> dict[str, Array]:
    """Return the same from one function that XLA compiled."""
    ready, tensors = settled(loss), _tensors(given)
    run = tf.function(lambda tensors: _answers(ready, tensors), jit_compile=True, autograph=False)
    return _arrays(run.get_concrete_function(tensors)(tensors))


def _answers(loss: Loss, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ends = {item.symbol: tensors[item.name] for item in loss.predicted}
    first = (..., 0) if loss.row_axis is not None else ...
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(ends)
        with tf.GradientTape() as inner:
            inner.watch(ends)
            wide = {name: _computed(x) for name, x in tensors.items()}
            losses = engine.losses(loss, *aligned(loss, wide, engine.FUNCTIONS))
        slopes = inner.gradient(losses, ends)
        firsts = {symbol: slope[first] for symbol, slope in slopes.items()}
    found = {"losses": losses} | {f"gradient:{symbol}": slope for symbol, slope in slopes.items()}
    return found | {f"hessian:{symbol}": outer.gradient(firsts[symbol], x)[first] for symbol, x in ends.items()}


def _computed(x: Tensor) -> Tensor:
    return tf.cast(x, tf.float32) if x.dtype == tf.bfloat16 else x


def _tensors(given: Mapping[str, Array]) -> dict[str, Tensor]:
    return {name: tf.constant(x.astype(np.int32) if x.dtype.kind == "i" else x) for name, x in given.items()}


def _arrays(found: Mapping[str, Tensor]) -> dict[str, Array]:
    return {name: x.numpy() for name, x in found.items()}
