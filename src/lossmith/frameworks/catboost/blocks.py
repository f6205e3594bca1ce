"""Rows as CatBoost brings them: a thousand at a time, the same ones in every pass."""

from __future__ import annotations

import math
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import SMALLEST
from lossmith.frameworks.boosting.curvature import Curvature
from lossmith.frameworks.boosting.head import Head

Array = npt.NDArray[Any]

_LOCK = Lock()


class Means:
    """The means that a floor needs, each over the rows of the last pass; within a pass they stay.

    Sums are exact, so the order in which threads bring their blocks makes no difference.

    Args:
        rows: how many rows make a pass.

    Attributes:
        many: whether these are worth a kernel.
    """

    def __init__(self, rows: int) -> None:
        self.many = rows >= SMALLEST
        self._rows, self._seen = rows, 0
        self._known: dict[str, float] = {}
        self._parts: dict[str, list[tuple[float, float]]] = {}

    def __call__(self, what: str, total: float, weight: float) -> float:
        """Take in a sum and its weight, and return the mean that holds; before the first pass it is this one's."""
        self._parts.setdefault(what, []).append((total, weight))
        return self._known[what] if what in self._known else total / weight

    def seen(self, rows: int) -> None:
        """Count rows, and end the pass with the last of them."""
        with _LOCK:
            self._seen += rows
            if self._seen < self._rows:
                return
            parts, self._parts, self._seen = self._parts, {}, 0
        for what, sums in parts.items():
            totals, weights = zip(*sums, strict=True)
            self._known[what] = math.fsum(totals) / math.fsum(weights)


class Block:
    """Some rows, whose derivatives are taken in every pass.

    Args:
        head: of the objective.
        targets, weights: as CatBoost brings them; they are copied.
        mean: see ``Curvature``.
    """

    def __init__(self, head: Head, targets: Array, weights: Array | None, mean: Means) -> None:
        self._start = head.start[0]
        self._targets, self._weights = targets.copy(), None if weights is None else weights.copy()
        wide = None if weights is None else weights.astype(np.float64)
        self._curvature = Curvature(
            head.form, head.hessian, targets.astype(np.float64), wide, None, mean, often=mean.many
        )

    def holds(self, targets: Array, weights: Array | None) -> bool:
        """Return whether these are its rows."""
        if (weights is None) != (self._weights is None) or not np.array_equal(targets, self._targets):
            return False
        return weights is None or np.array_equal(weights, self._weights)  # type: ignore[arg-type]

    def derivatives(self, approxes: Array) -> Array:
        """Return minus gradient and minus Hessian at sums of trees, weighted, as two columns."""
        found = np.empty((2, len(approxes)), np.float32)
        self._curvature.into(approxes + self._start, *found)
        return np.negative(found, out=found).T
