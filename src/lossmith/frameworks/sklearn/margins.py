"""Losses of leads over other classes, whose kinks are in all scores of a row together, with their proximal points.

Both are the largest of linear functions, and their slopes are combinations of those: shares that add up to 1 of all
classes for Crammer and Singer, a share in [0, 1] of each rival for Weston and Watkins. The slope at a proximal point is
the combination next to where one would like to be, and is found exactly, by sorting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.frameworks.sklearn.multipliers import Near

Array = npt.NDArray[Any]


class Leads(ABC):
    """The losses of the rows.

    Args:
        loss: on scores, (rows, classes), of the true class alone.
        y: class indices.
        weight: weights of the rows, with a sum of 1.
    """

    def __init__(self, loss: Loss, y: Array, weight: Array) -> None:
        own = loss.values.get("class_weight")
        self.loss, self.y = loss.replace(class_weight=None), y
        self.weight = (weight if own is None else weight * np.asarray(own)[y])[:, None]

    def values(self, place: Array) -> Array:
        """Return the losses, (rows, 1)."""
        return np.asarray(self.loss.evaluate(self.y, place, ("losses",), trusted=True)["losses"][:, None])

    def near(self, place: Array, strength: Array) -> Near:
        """Return the proximal points, and how their slopes change with the place."""
        rho, true = strength[:, :1], np.arange(place.shape[1]) == self.y[:, None]
        slopes, along = self._slopes(place, rho, true)
        points = place - slopes / rho
        return Near(points, slopes, self.values(points), np.zeros(place.shape), along)

    @abstractmethod
    def _slopes(self, place: Array, rho: Array, true: Array) -> tuple[Array, Callable[[Array], Array]]:
        """Return the slopes at the proximal points, and how they change along a change of the place."""


class Best(Leads):
    """What is missing to a lead over the best rival: Crammer and Singer."""

    def _slopes(self, place: Array, rho: Array, true: Array) -> tuple[Array, Callable[[Array], Array]]:
        wanted = true + rho * (place + ~true)
        # The point of the simplex that is next: all above a level, by as much as they are above it.
        falling = -np.sort(-wanted, axis=1)
        levels = (np.cumsum(falling, axis=1) - 1) / np.arange(1, place.shape[1] + 1)
        last = np.sum(falling > levels, axis=1, keepdims=True) - 1
        share = np.maximum(wanted - np.take_along_axis(levels, last, axis=1), 0.0)
        active = share > 0
        count = active.sum(axis=1, keepdims=True)

        def along(change: Array) -> Array:
            inside = active * change
            return np.asarray(rho * (inside - active * inside.sum(axis=1, keepdims=True) / count))

        return share - true, along


class Each(Leads):
    """What is missing to a lead over each rival, added up: Weston and Watkins."""

    def _slopes(self, place: Array, rho: Array, true: Array) -> tuple[Array, Callable[[Array], Array]]:
        own = np.take_along_axis(place, self.y[:, None], axis=1)
        wanted = rho * (1 + place - own)
        # The slope of each rival is its wanted one less the sum of all, within [0, 1]: an equation for that sum.
        ends = np.sort(np.concatenate([np.where(true, 0.0, wanted), np.where(true, 0.0, wanted - 1)], axis=1), axis=1)
        ends = np.maximum(ends, 0.0)
        missing = ends - np.stack([self._total(wanted, end[:, None], true) for end in ends.T], axis=1)
        after = np.minimum(np.sum(missing < 0, axis=1, keepdims=True), ends.shape[1] - 1)
        before = np.maximum(after - 1, 0)
        (low, high), (at_low, at_high) = (
            [np.take_along_axis(rows, place, axis=1) for place in (before, after)] for rows in (ends, missing)
        )
        step = np.where(at_high > at_low, at_high - at_low, 1.0)
        total = np.where(at_low >= 0, low, low - at_low * (high - low) / step)
        share = np.clip(wanted - total, 0.0, 1.0) * ~true
        active = (share > 0) & (share < 1)
        count = active.sum(axis=1, keepdims=True)

        def along(change: Array) -> Array:
            moved = active * (change - np.take_along_axis(change, self.y[:, None], axis=1))
            moved = rho * active * (moved - moved.sum(axis=1, keepdims=True) / (1 + count))
            return np.asarray(moved - true * moved.sum(axis=1, keepdims=True))

        return share - true * share.sum(axis=1, keepdims=True), along

    @staticmethod
    def _total(wanted: Array, total: Array, true: Array) -> Array:
        return np.asarray((np.clip(wanted - total, 0.0, 1.0) * ~true).sum(axis=1))


_KINDS: dict[str, type[Leads]] = {"crammer_singer": Best, "weston_watkins": Each}


def leads(loss: Loss) -> type[Leads] | None:
    """Return what knows the proximal points of a loss of rows with kinks, if anything does."""
    return None if loss.values.get("label_smoothing") else _KINDS.get(loss.name)
