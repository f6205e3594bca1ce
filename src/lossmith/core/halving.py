"""Halving: the best prediction of losses without a closed form, one target at a time, and where functions jump."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

Array = npt.NDArray[Any]

FARTHEST = 40.0
"""Logits beyond this are certainty in float64."""

_HALVINGS = 200


def least_between(loss: Loss, y: Array, low: Array, high: Array) -> Array:
    """Return the prediction with the least loss for each target, between two; an end may be infinite.

    Args:
        loss: on raw predictions, falling and then rising between the ends.
        y: targets.
        low, high: the ends, one each a target.
    """
    ends = (low, high)
    low, high = np.clip(low, -FARTHEST, FARTHEST), np.clip(high, -FARTHEST, FARTHEST)
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        rises = loss.evaluate(y, middle, ("gradient",), trusted=True)["gradient"] >= 0
        before, (low, high) = (low, high), (np.where(rises, low, middle), np.where(rises, middle, high))
        if np.array_equal(before, (low, high)):
            break
    # A loss that still falls at the edge falls for ever.
    found: Array = np.where(low >= np.nextafter(FARTHEST, 0), ends[1], np.where(high <= -FARTHEST, ends[0], high))
    return found


_AWAY = np.geomspace(1e-3, 1e3, 49)  # of a start, in units of its size
_AT_ONCE = 4096


@np.errstate(over="ignore", invalid="ignore")
def searched(loss: Loss, y_true: Array, start: Array) -> Array:
    """Return the prediction with the least loss for each target, where nobody knows it; it may be infinite.

    A grid around the start, finer near it, finds the basin, and halving its lowest point. The start stays where nothing
    is lower.

    Args:
        loss: on raw predictions, of a target and a prediction.
        y_true: targets.
        start: what to expect for each, which may be infinite.
    """
    targets, first, places = np.unique(y_true, return_index=True, return_inverse=True)
    starts = np.asarray(start).reshape(-1)[first]
    some = [slice(at, at + _AT_ONCE) for at in range(0, targets.size, _AT_ONCE)]
    found = [_searched(loss, targets[part], starts[part]) for part in some] or [starts]
    return np.concatenate(found)[places].reshape(np.shape(y_true))


def _searched(loss: Loss, y: Array, known: Array) -> Array:
    domain = loss.domains["f"]
    low = domain.low if domain.low_included else np.nextafter(domain.low, np.inf)
    high = domain.high if domain.high_included else np.nextafter(domain.high, -np.inf)
    start = np.clip(np.where(np.isinf(known), np.copysign(FARTHEST, known), known), low, high)
    steps = np.concatenate([-_AWAY[::-1], [0.0], _AWAY])
    grid = np.clip(start[:, None] + steps * np.maximum(1.0, np.abs(start))[:, None], low, high)
    certain = np.isinf(known)  # beyond the start roundings alone get smaller
    grid[certain] = np.clip(grid[certain], -FARTHEST, FARTHEST)

    def part(output: str, x: Array) -> Array:
        whole = np.broadcast_to(y.reshape(-1, *[1] * (x.ndim - 1)), x.shape)
        found: Array = loss.evaluate(whole, x, (output,), trusted=True)[output]
        return found

    losses = part("losses", grid)
    losses = np.where(np.isnan(losses), np.inf, losses)
    rows, middle, last = np.arange(y.size), len(_AWAY), grid.shape[1] - 1
    best = np.argmin(losses, axis=1)
    best = np.where(losses[:, middle] <= losses[rows, best], middle, best)
    left, right = grid[rows, np.maximum(best - 1, 0)], grid[rows, np.minimum(best + 1, last)]
    for _ in range(_HALVINGS):
        between = left + (right - left) / 2
        if np.all((between == left) | (between == right)):
            break
        rises = part("gradient", between) >= 0
        left, right = np.where(rises, left, between), np.where(rises, between, right)
    here = grid[rows, best]
    found = np.where(part("losses", right) < losses[rows, best], right, here)
    kept = (best == middle) & (found == here) & (certain | (here == known))
    found = np.where(kept, known, found)
    # A loss that still falls at the end of a line without one falls for ever.
    endless = ((best == 0) & np.isinf(domain.low)) | ((best == last) & np.isinf(domain.high))
    return np.where(endless, np.copysign(np.inf, best - middle), found)


def jumps(function: Callable[[Array], Array], places: Array, values: Array, least: float) -> tuple[Array, Array]:
    """Return from where to where a function jumps, each found by halving the way between two of some places.

    Args:
        function: from places to values, which may be unknown (NaN) at single places.
        places: in ascending order.
        values: the function there, all known.
        least: steps between neighbours that are no larger are not looked into.
    """
    wide = np.flatnonzero(np.abs(np.diff(values)) > least)
    left, right, low, high = places[wide], places[wide + 1], values[wide], values[wide + 1]
    for _ in range(_HALVINGS):
        middle = left + (right - left) / 2
        if np.all((middle == left) | (middle == right)):
            break
        here = function(middle)
        here = np.where(np.isnan(here), low, here)
        below = np.abs(here - low) >= np.abs(high - here)  # into the half with the larger part of the way
        left, right = np.where(below, left, middle), np.where(below, middle, right)
        low, high = np.where(below, low, here), np.where(below, here, high)
    return np.minimum(low, high), np.maximum(low, high)
