"""Where the gradient of a loss changes sign, by halving: for losses without a closed form, one target at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

Array = npt.NDArray[Any]

_FARTHEST = 40.0  # logits beyond this are certainty in float64
_HALVINGS = 200


def least_between(loss: Loss, y: Array, low: Array, high: Array) -> Array:
    """Return the prediction with the least loss for each target, between two; an end may be infinite.

    Args:
        loss: on raw predictions, falling and then rising between the ends.
        y: targets.
        low, high: the ends, one each a target.
    """
    ends = (low, high)
    low, high = np.clip(low, -_FARTHEST, _FARTHEST), np.clip(high, -_FARTHEST, _FARTHEST)
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        rises = loss.evaluate(y, middle, ("gradient",), trusted=True)["gradient"] >= 0
        before, (low, high) = (low, high), (np.where(rises, low, middle), np.where(rises, middle, high))
        if np.array_equal(before, (low, high)):
            break
    # A loss that still falls at the edge falls for ever.
    found: Array = np.where(low >= np.nextafter(_FARTHEST, 0), ends[1], np.where(high <= -_FARTHEST, ends[0], high))
    return found
