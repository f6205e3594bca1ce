"""The minimum of a smooth cost: SciPy's trust region with products of the Hessian, then Newton steps.

A trust region asks whether the cost falls, which rounding hides from the middle of the digits on; the steps that follow
ask whether the gradient gets smaller, which it tells to the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg

from lossmith.frameworks.sklearn.cost import Cost

Array = npt.NDArray[Any]

_ROUGH = 1e-4
_POLISH = 30
_SYSTEM = 1e-4  # precision of the linear system behind a step
_FARTHEST = 1e100  # a trust region goes, whose radius is squared
_DIRECT = 256  # parameters at most whose system is solved as a whole where iterations do not solve it


@dataclass
class Minimum:
    """Where a cost is least.

    Attributes:
        vector: the parameters.
        steps: steps taken.
        gradient: largest entry of the gradient, in units of the cost.
    """

    vector: Array
    steps: int
    gradient: float


def minimum(cost: Cost, start: Array, tolerance: float, most: int) -> Minimum:
    """Return a minimum of a cost near a start.

    Args:
        cost: divided by its unit, in which slopes are of the size of 1.
        start: where it is finite.
        tolerance: how large entries of the gradient may be.
        most: steps at most.
    """
    found = Minimum(start, 0, float(np.abs(cost(start)[1]).max(initial=0.0)))
    first = rough = max(tolerance, min(_ROUGH, found.gradient / 100))
    # Where the curvature jumps, a Newton step can miss: then the trust region has to come closer first, from wherever
    # it begins.
    while found.gradient > tolerance and found.steps < most:
        before = found.gradient
        with np.errstate(all="ignore"):
            found = _polished(cost, _near(cost, found, rough, most), tolerance, most)
        if rough == tolerance or (found.gradient > before / 2 and rough < first):
            break
        rough = max(tolerance, rough / 100)
    return found


def _near(cost: Cost, found: Minimum, gradient: float, most: int) -> Minimum:
    """Return where a trust region comes to from a place, with a gradient of that size."""
    _, slope = cost(found.vector)
    done = minimize(
        cost,
        found.vector,
        jac=True,
        hessp=cost.product,
        method="trust-ncg",
        options={
            "gtol": gradient / 2,
            "maxiter": most - found.steps,
            "initial_trust_radius": _first_radius(cost, found.vector, slope),
            "max_trust_radius": _FARTHEST,
        },
    )
    return Minimum(done.x, found.steps + int(done.nit), 0.0)


def _first_radius(cost: Cost, start: Array, gradient: Array) -> float:
    """Return the length of the best step along the gradient."""
    size, bend = float(np.linalg.norm(gradient)), float(gradient @ cost.product(start, gradient))
    return min(size**3 / bend, _FARTHEST / 2) if bend > 0 else 1.0


def _polished(cost: Cost, found: Minimum, tolerance: float, most: int) -> Minimum:
    """Take Newton steps as long as each at least halves the gradient."""
    vector, steps = found.vector, found.steps
    _, gradient = cost(vector)
    while np.abs(gradient).max() > tolerance and steps < min(most, found.steps + _POLISH):
        hessian = LinearOperator((vector.size, vector.size), matvec=lambda change, at=vector: cost.product(at, change))
        step, failed = cg(hessian, -gradient, rtol=_SYSTEM, maxiter=4 * vector.size)
        if failed and vector.size <= _DIRECT and np.isfinite(matrix := hessian @ np.eye(vector.size)).all():
            step = np.linalg.lstsq(matrix, -gradient)[0]
        value, slope = cost(vector + step)
        steps += 1
        if not (np.isfinite(value) and np.abs(slope).max() <= np.abs(gradient).max() / 2):
            break
        vector, gradient = vector + step, slope
    return Minimum(vector, steps, float(np.abs(gradient).max()))
