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


def best_columns(form: Columns, y: Array, weight: Array | None) -> Array:
    """Return the constant of each column with the least mean loss.

    The first column begins at the median of the targets and the others at zero. Negative curvatures are turned
    around, and steps halved until the cost falls.

    Raises:
        NoConstantError: when the cost falls without bound, as that of a variance of equal targets does.
    """
    w = np.ones(y.shape) if weight is None else weight
    shares = w / w.sum()
    here = np.zeros(form.outputs)
    here[0] = np.median(y[w > 0])

    def at(place: Array) -> tuple[float, Array, Array]:
        losses, gradient, hessian = form.full(y, np.tile(place, (len(y), 1)))
        return float(shares @ losses), np.asarray(shares @ gradient), np.tensordot(shares, hessian, 1)

    cost, slope, bend = found = at(here)
    for _ in range(_STEPS):
        if not (np.isfinite(cost) and np.isfinite(bend).all()):
            break
        curvature, directions = np.linalg.eigh(bend)
        step = -directions @ (directions.T @ slope / np.maximum(np.abs(curvature), 1e-12))
        for _ in range(_HALVINGS):
            if np.abs(here + step).max() < _FARTHEST and (found := at(here + step))[0] < cost:
                break
            step /= 2
        else:
            return np.asarray(here)
        here, moved = here + step, found[0] < cost - _PRECISION * (1 + abs(cost))
        cost, slope, bend = found
        if not moved:
            return np.asarray(here)
    raise NoConstantError(f"{form.loss} has no best constant for these targets: its cost falls without bound")
