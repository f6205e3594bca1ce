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
        middle = _between(low, high)
        rises = loss.evaluate(y, middle, ("gradient",), trusted=True)["gradient"] >= 0
        before, (low, high) = (low, high), (np.where(rises, low, middle), np.where(rises, middle, high))
        if np.array_equal(before, (low, high)):
            break
    # A loss that still falls at the edge falls for ever.
    found: Array = np.where(low >= np.nextafter(FARTHEST, 0), ends[1], np.where(high <= -FARTHEST, ends[0], high))
    return found


def _between(low: Array, high: Array) -> Array:
    """Return the middle of two, and 0 where that lies between, which halves come near and never reach."""
    return np.where((low < 0) & (high > 0), 0.0, low + (high - low) / 2)


_AWAY = np.geomspace(1e-3, 1e3, 49)  # of a start, in units of its size
_STEPS = np.concatenate([-_AWAY[::-1], [0.0], _AWAY])
_MIDDLE, _LAST = len(_AWAY), len(_STEPS) - 1
_BEYOND = 10.0 ** np.array([4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50, 100])  # of a grid that the loss falls at the end of
_NEARER = 0.5 ** np.arange(1, 25)  # of the way from 0 to the next step of a grid
_LARGEST = 1e300
_FEW = 4096  # targets whose whole grid is looked at; of more, so many quantiles
_AT_ONCE = 65_536


@np.errstate(over="ignore", invalid="ignore")
def searched(loss: Loss, y_true: Array, start: Array) -> Array:
    """Return the prediction with the least loss for each target, where nobody knows it; it may be infinite.

    A grid around the start, finer near it, finds the basin, and halving its lowest point. The start stays where nothing
    is lower. Of many targets, quantiles are looked at so; a target between two of them with one basin has that basin.

    Args:
        loss: on raw predictions, of a target and a prediction.
        y_true: targets.
        start: what to expect for each, which may be infinite, or no number where a target is beyond the link.
    """
    targets, first, places = np.unique(y_true, return_index=True, return_inverse=True)
    known = np.asarray(start).reshape(-1)[first]
    search = _Search(loss, targets, np.where(np.isnan(known), 0.0, known))
    parts = [search.part(slice(at, at + _AT_ONCE)).found() for at in range(0, targets.size, _AT_ONCE)]
    return np.concatenate(parts or [search.known])[places].reshape(np.shape(y_true))


class _Search:
    """A search for the best predictions of some targets in ascending order, each on its grid."""

    def __init__(self, loss: Loss, y: Array, known: Array) -> None:
        domain = loss.domains["f"]
        self.loss, self.y, self.known = loss, y, known
        self.low = domain.low if domain.low_included else np.nextafter(domain.low, np.inf)
        self.high = domain.high if domain.high_included else np.nextafter(domain.high, -np.inf)
        self.certain = np.isinf(known)  # beyond the start roundings alone get smaller
        self.start = np.clip(np.where(self.certain, np.copysign(FARTHEST, known), known), self.low, self.high)

    def part(self, rows: Any) -> _Search:
        """Return the search for some of the targets."""
        return _Search(self.loss, self.y[rows], self.known[rows])

    def at(self, step: Array) -> Array:
        """Return the prediction of each target at a step of its grid; steps of shape (n,), or (n, k)."""
        shape = (-1, *[1] * (step.ndim - 1))
        start, certain = self.start.reshape(shape), self.certain.reshape(shape)
        found = np.clip(start + _STEPS[step] * np.maximum(1.0, np.abs(start)), self.low, self.high)
        inner: Array = np.where(certain, np.clip(found, -FARTHEST, FARTHEST), found)
        return inner

    def losses(self, x: Array) -> Array:
        """Return the losses of predictions, infinite where they are no number."""
        found = self._evaluate("losses", x)
        return np.where(np.isnan(found), np.inf, found)

    def rises(self, x: Array) -> Array:
        """Return whether the loss rises at predictions, or is level there."""
        return self._evaluate("gradient", x) >= 0

    def _evaluate(self, output: str, x: Array) -> Array:
        y = np.broadcast_to(self.y.reshape(-1, *[1] * (x.ndim - 1)), x.shape)
        found: Array = self.loss.evaluate(y, x, (output,), trusted=True)[output]
        return found

    def basins(self) -> Array:
        """Return the step of each grid with the least loss; the middle one where none is lower."""
        losses = self.losses(self.at(np.broadcast_to(np.arange(_LAST + 1), (self.y.size, _LAST + 1))))
        rows, best = np.arange(self.y.size), np.argmin(losses, axis=1)
        return np.where(losses[:, _MIDDLE] <= losses[rows, best], _MIDDLE, best)

    def found(self) -> Array:
        """Return the best prediction of each target."""
        if self.y.size <= _FEW:
            return self._below(self.basins())
        looked = np.linspace(0, self.y.size - 1, _FEW).astype(int)
        seen = self.part(looked).basins()
        after = np.searchsorted(looked, np.arange(self.y.size))
        ends = np.stack([seen[np.maximum(after - 1, 0)], seen[after]], axis=1)
        basins = ends[np.arange(self.y.size), np.argmin(self.losses(self.at(ends)), axis=1)]
        apart = np.abs(ends[:, 0] - ends[:, 1]) > 1
        for rows in np.array_split(np.flatnonzero(apart), max(1, -(-int(apart.sum()) // _FEW))):
            basins[rows] = self.part(rows).basins()
        return self._below(basins)

    def _below(self, basins: Array) -> Array:
        """Return the lowest point around a step of each grid."""
        here, known = self.at(basins), self.known
        lowest = np.array(here)
        # Nothing is looked for where the loss falls up to here and rises from here on.
        falls = ~self.rises(np.maximum(np.nextafter(here, -np.inf), self.low))
        open_rows = np.flatnonzero(~(falls & self.rises(np.minimum(np.nextafter(here, np.inf), self.high))))
        if open_rows.size:
            some = self.part(open_rows)
            lowest[open_rows] = some._around(basins[open_rows], here[open_rows])
        kept = (basins == _MIDDLE) & (lowest == here) & (self.certain | (here == known))
        lowest = np.where(kept, known, lowest)
        # What is least at the end of a line without one falls for ever, unless it comes back farther out.
        domain = self.loss.domains["f"]
        outer = ((basins == 0) & np.isinf(domain.low)) | ((basins == _LAST) & np.isinf(domain.high))
        endless = np.flatnonzero(outer & (lowest == here))
        if endless.size:
            lowest[endless] = self.part(endless)._beyond(basins[endless], here[endless])
        return lowest

    def _beyond(self, basins: Array, here: Array) -> Array:
        """Return the lowest point beyond the end of each grid, infinite where the loss never is as high again."""
        way = np.where(basins == 0, -1.0, 1.0)
        steps = np.outer(way * np.maximum(1.0, np.abs(self.start)), _BEYOND)
        far = np.clip(here[:, None] + steps, -_LARGEST, _LARGEST)
        losses = self.losses(far)
        high = np.isfinite(losses) & (losses > self.losses(here)[:, None])
        back = far[np.arange(here.size), np.argmax(high, axis=1)]
        lowest = self._halved(np.minimum(here, back), np.maximum(here, back), here)
        comes_back = high.any(axis=1) & ~self.certain
        return np.where(comes_back, lowest, np.copysign(np.inf, way))

    def _around(self, basins: Array, here: Array) -> Array:
        """Return the lowest point between the neighbours of a step."""
        left, right = self.at(np.maximum(basins - 1, 0)), self.at(np.minimum(basins + 1, _LAST))
        return self._halved(left, right, here)

    def _halved(self, left: Array, right: Array, here: Array) -> Array:
        """Return where the slope changes sign between two places, if that is lower than a third one."""
        for halving in range(_HALVINGS):
            between = _between(left, right)
            if np.all((between == left) | (between == right)):
                break
            rises = self.rises(between)
            if not halving:  # at 0 powers of f are level on their way down, too
                places = between[:, None] + np.outer(right - between, _NEARER)
                rises &= ~np.any(self.losses(places) < self.losses(between)[:, None], axis=1) | (between != 0)
            left, right = np.where(rises, left, between), np.where(rises, between, right)
        return np.where(self.losses(right) < self.losses(here), right, here)


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
