"""The best constant of several columns of raw predictions, by Newton's steps on the whole data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.errors import NoConstantError

if TYPE_CHECKING:
    from lossmith.frameworks.boosting.forms import Columns

Array = npt.NDArray[Any]

_STEPS = 200
_HALVINGS = 40
_PRECISION = 1e-10
_FARTHEST = 1e150
_FLAT = 1e-12

_Found = tuple[float, Array, Array]


def best_columns(form: Columns, y: Array, weight: Array | None) -> Array:
    """Return the constant of each column with the least mean loss.

    The first column begins at the median of the targets and the others at zero. Negative curvatures are turned
    around, and steps halved until the cost falls. Where that leads no further and there are still slopes, as at kinks,
    each column goes alone to where its slope changes sign.

    Raises:
        NoConstantError: when the cost falls without bound, as that of a variance of equal targets does.
    """
    search = _Search(form, y, np.ones(y.shape) if weight is None else weight)
    for _ in range(_STEPS):
        before, least = search.cost, _PRECISION * (1 + abs(search.cost))
        if not search.is_finite:
            break
        step = search.newton()
        if not search.go(step) or search.cost >= before - least:
            if -(search.slope @ step) > least:
                for column in range(form.outputs):
                    search.go_alone(column)
            if search.cost >= before - least:
                return search.here
    raise NoConstantError(f"{form.loss} has no best constant for these targets: its cost falls without bound")


class _Search:
    """A place, with the mean loss there and its derivatives."""

    def __init__(self, form: Columns, y: Array, w: Array) -> None:
        self._form, self._y, self._shares = form, y, w / w.sum()
        self.here = np.zeros(form.outputs)
        self.here[0] = np.median(y[w > 0])
        self._unit = max(1.0, float(np.abs(y[w > 0]).max()))
        self.cost, self.slope, self._bend = self._at(self.here)

    def _at(self, place: Array) -> _Found:
        losses, gradient, hessian = self._form.full(self._y, np.tile(place, (len(self._y), 1)))
        finite = np.where(hessian == np.inf, 0.0, hessian)  # as powers between 1 and 2 have it at 0
        return float(self._shares @ losses), np.asarray(self._shares @ gradient), np.tensordot(self._shares, finite, 1)

    @property
    def is_finite(self) -> bool:
        """Whether cost and curvature are."""
        return bool(np.isfinite(self.cost) and np.isfinite(self._bend).all())

    def newton(self) -> Array:
        """Return Newton's step."""
        curvature, directions = np.linalg.eigh(self._bend)
        step: Array = -directions @ (directions.T @ self.slope / np.maximum(np.abs(curvature), _FLAT))
        return step

    def go(self, step: Array) -> bool:
        """Take a step, halved until the cost is lower, and return whether it gets there."""
        for _ in range(_HALVINGS):
            there = self.here + step
            if np.abs(there).max() < _FARTHEST and (found := self._at(there))[0] < self.cost:
                self.here, (self.cost, self.slope, self._bend) = there, found
                return True
            step = step / 2
        return False

    def go_alone(self, column: int) -> None:
        """Move one column to where its slope changes sign, if the cost is lower there."""
        way = -np.sign(self.slope[column])
        near, far = 0.0, self._unit
        while self._falls(column, way, far):
            near, far = far, 2 * far
            if far > _FARTHEST:
                return
        while (middle := near + (far - near) / 2) not in (near, far) and far - near > _PRECISION * far:
            near, far = (middle, far) if self._falls(column, way, middle) else (near, middle)
        self.go(self._along(column, way * (near + (far - near) / 2)))

    def _falls(self, column: int, way: float, far: float) -> bool:
        place = self.here + self._along(column, way * far)
        gradient, _ = self._form.derivatives(self._y, np.tile(place, (len(self._y), 1)))
        return bool(way * (self._shares @ gradient[:, column]) < 0)

    def _along(self, column: int, far: float) -> Array:
        return np.where(np.arange(self._form.outputs) == column, far, 0.0)
