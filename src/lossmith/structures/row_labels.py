"""The class probabilities that rows of logits stand for: where the slopes of the classes' losses balance.

With the gradients of a row's loss, were class j true, as column j of a matrix, the row is the best answer to
probabilities p if the matrix times p is zero. Logits that all move by the same change nothing, so one of its equations
says nothing, and makes room for that of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith.engines.hosts import REFERENCE

if TYPE_CHECKING:
    from lossmith.structures.rows import Rows

Array = Any

_NUMBERS = 1 << 20  # of matrices at a time
_CERTAIN = 300.0  # logits that far below others rule a class out, and squares of probabilities still have digits


def shares(parts: Sequence[tuple[float, Rows]], z: Array) -> Array:
    """Return the probabilities, (examples, classes), for which rows of logits are best.

    Args:
        parts: weight and loss of each term, on logits.
        z: logits, (examples, classes).
    """
    count, classes = z.shape
    step = max(1, _NUMBERS // classes**2)
    found = [_balanced(parts, z[start : start + step]) for start in range(0, count, step)]
    return np.concatenate(found) if found else np.zeros(z.shape)


@np.errstate(all="ignore")
def _balanced(parts: Sequence[tuple[float, Rows]], z: Array) -> Array:
    z = np.maximum(z, z.max(axis=-1, keepdims=True) - _CERTAIN)
    slopes = np.stack([_slopes(parts, z, true_class) for true_class in range(z.shape[1])], axis=-1)
    # Of the equations, one a logit, those with the smallest numbers have the digits of rare classes.
    size = np.abs(slopes).max(axis=-1, keepdims=True)
    rows, largest = np.arange(len(z)), np.argmax(size[..., 0], axis=-1)
    matrix = slopes / np.where(size > 0, size, 1.0)
    matrix[rows, largest] = 1.0
    wanted = np.zeros((*z.shape, 1))
    wanted[rows, largest] = 1.0
    try:
        found = np.linalg.solve(matrix, wanted)
    except np.linalg.LinAlgError:  # probabilities of some classes do not matter
        found = np.linalg.pinv(matrix) @ wanted
    p = np.maximum(found[..., 0], 0.0)
    return p / p.sum(axis=-1, keepdims=True)


def _slopes(parts: Sequence[tuple[float, Rows]], z: Array, true_class: int) -> Array:
    """Return the gradient of each row, were a class true."""
    total: Array = 0.0
    for factor, loss in parts:
        y = np.full(len(z), true_class) if loss.indices else np.tile(np.eye(z.shape[1])[true_class], (len(z), 1))
        weight = 1.0 if loss.class_weight is None else loss._weight_by_class(z.shape[1])[true_class]
        found = loss.unanchored.row(REFERENCE, z, loss.dense(REFERENCE, y, z), ("gradient:f",))["gradient:f"]
        total = total + factor * weight * found
    return total
