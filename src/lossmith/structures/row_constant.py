"""The best constant row of logits, and the least loss that a row with given targets can reach.

A cost of rows under one constant prediction depends on the targets only through their distinct
distributions and the weight of each, so whatever the number of rows, the work is by class.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.core.constant import Context
from lossmith.errors import NoConstantError

if TYPE_CHECKING:
    from lossmith.structures.rows import Rows

Array = npt.NDArray[Any]

_STEPS = 100
_HALVINGS = 50
_PRECISION = 1e-14
_LONGEST = 4.0


def best_constant(loss: Rows, targets: Array, weights: Array) -> Array:
    """Return the constant row of logits with the least cost on distinct targets with their weights."""
    return loss._centred(best_logits(loss, weights @ targets / weights.sum()))


def best_logits(loss: Rows, target: Array) -> Array:
    """Return the logits with the least loss for one target distribution; minus infinity rules a class out.

    The start is the logarithm of the target, which is the answer of every proper score. Others go
    on by Newton steps with the full Hessian, its negative curvatures turned around.

    Raises:
        NoConstantError: when the loss has kinks, or its optimum is certain of one of several classes.
    """
    with np.errstate(divide="ignore"):
        z = np.log(target) - loss._offsets(target.size)
    present = target > 0
    if present.sum() == 1:
        return np.where(present, 0.0, -np.inf)
    if not loss.card.traits.smooth:
        raise NoConstantError(f"{loss} has no best constant here: its cost has kinks, where no Newton step leads on")
    value, gradient, hessian = _at(loss, z, target)
    if np.all(np.abs(gradient) <= _PRECISION * target):
        return z
    for _ in range(_STEPS):
        # A shift of all logits changes nothing; curvature along it keeps the system regular.
        block = hessian[np.ix_(present, present)] + np.abs(hessian).max() / present.sum()
        curvature, directions = np.linalg.eigh(block)
        step = -directions @ (directions.T @ gradient[present] / np.maximum(np.abs(curvature), 1e-300))
        step *= min(1.0, _LONGEST / max(float(np.abs(step).max()), _PRECISION))
        for _ in range(_HALVINGS):
            trial = z.copy()
            trial[present] += step
            found = _at(loss, trial, target)
            if found[0] <= value + 4e-16 * abs(value):
                break
            step /= 2
        z, (value, gradient, hessian) = trial, found
        if np.abs(step).max() <= _PRECISION * max(1.0, float(np.abs(z[present]).max())):
            return z
    raise NoConstantError(f"{loss} has no finite best constant here: its cost falls towards certainty of one class")


def _at(loss: Rows, z: Array, target: Array) -> tuple[float, Array, Array]:
    with np.errstate(all="ignore"):
        parts = loss.row(z[None], target[None], ("losses", "gradient:f", "full_hessian:f,f"))
    return float(parts["losses"][0]), parts["gradient:f"][0], parts["full_hessian:f,f"][0]


def context(loss: Rows, targets: Array, weights: Array) -> Context:
    """Return the context of a loss on distinct targets with their weights."""
    shares = weights / weights.sum()

    def cost(predictions: Array) -> float:
        with np.errstate(all="ignore"):
            return math.fsum((shares * loss.row(predictions, targets, ("losses",))["losses"]).tolist())

    can_be_negative = not loss.card.traits.nonnegative
    try:
        floor = cost(np.stack([best_logits(loss, target) for target in targets]))
    except NoConstantError:
        floor = math.nan
    try:
        constant = best_constant(loss, targets, weights)
    except NoConstantError:
        return Context(floor, None, None, can_be_negative)
    return Context(floor, constant, cost(np.broadcast_to(constant, targets.shape)), can_be_negative)
