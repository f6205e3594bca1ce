"""The best constant row of logits, and the least loss that a row with given targets can reach.

A cost of rows under one constant prediction depends on the targets only through their distinct
distributions and the weight of each, so whatever the number of rows, the work is by class. A sum of
losses of rows is treated as a loss of one term is, each term with the targets as it smooths them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith.core.constant import Context
from lossmith.engines.hosts import REFERENCE
from lossmith.errors import NoConstantError

if TYPE_CHECKING:
    from lossmith.structures.rows import Rows

Array = Any
Parts = Sequence[tuple[float, "Rows"]]
"""Weight and loss of each term, on raw predictions."""

_STEPS = 100
_HALVINGS = 50
_PRECISION = 1e-14
_LONGEST = 4.0


def best_constant(parts: Parts, y_true: Any, weight: Any) -> Array:
    """Return the constant row of logits with the least cost."""
    targets, weights = _distinct(parts, y_true, weight)
    z = _best_row(parts, [weights @ rows / weights.sum() for rows in targets])
    return next((loss._centred(z) for _, loss in parts if loss._centred(z) is z), parts[0][1]._centred(z))


def context(parts: Parts, y_true: Any, weight: Any) -> Context:
    """Return the context of a loss, or of the sum of some, on targets with their weights."""
    targets, weights = _distinct(parts, y_true, weight)
    shares = weights / weights.sum()

    def cost(predictions: Array) -> float:
        return math.fsum((shares * _at(parts, predictions, targets, ("losses",))["losses"]).tolist())

    # Losses know classes apart only by what they add to logits: a floor is that of all targets with the same shares.
    _, first, places = np.unique(np.sort(targets[0], axis=1), axis=0, return_index=True, return_inverse=True)
    least = np.array([_floor(parts, [rows[place] for rows in targets]) for place in first])
    floor = math.fsum((shares * least[places.reshape(-1)]).tolist())
    can_be_negative = not all(loss.card.traits.nonnegative for _, loss in parts)
    try:
        constant = best_constant(parts, y_true, weight)
    except NoConstantError:
        return Context(floor, None, None, can_be_negative)
    return Context(floor, constant, cost(np.broadcast_to(constant, targets[0].shape)), can_be_negative)


def newton(parts: Parts, targets: Sequence[Array]) -> Array:
    """Return the logits with the least loss for one target distribution, as each term smooths it.

    Minus infinity rules a class out. The start is the logarithm of the target, which is the answer of
    every proper score. Others go on by Newton steps with the full Hessian, its negative curvatures
    turned around: the losses of the catalogue are convex in the probabilities, so there is one minimum.

    Raises:
        NoConstantError: when a term has kinks, or the optimum is certain of one of several classes.
    """
    named = " + ".join(str(loss) for _, loss in parts)
    target = sum(factor * rows for (factor, _), rows in zip(parts, targets, strict=True)) + 0.0 * targets[0]
    target = target / target.sum() if target.sum() > 0 else targets[0]
    with np.errstate(divide="ignore"):
        z = np.log(target) - parts[0][1]._offsets(target.size)
    present = target > 0
    if present.sum() == 1:
        return np.where(present, 0.0, -np.inf)
    if not all(loss.card.traits.smooth for _, loss in parts):
        raise NoConstantError(f"{named} has no best constant here: its cost has kinks, where no Newton step leads on")
    outputs = ("losses", "gradient:f", "full_hessian:f,f")

    def at(z: Array) -> tuple[float, Array, Array]:
        found = _at(parts, z[None], [rows[None] for rows in targets], outputs)
        value, gradient, hessian = (found[name][0] for name in outputs)
        return float(value), gradient, hessian

    value, gradient, hessian = at(z)
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
            found = at(trial)
            if found[0] <= value + 4e-16 * abs(value):
                break
            step /= 2
        z, (value, gradient, hessian) = trial, found
        if np.abs(step).max() <= _PRECISION * max(1.0, float(np.abs(z[present]).max())):
            return z
    raise NoConstantError(f"{named} has no finite best constant here: its cost falls towards certainty of one class")


def _floor(parts: Parts, targets: Sequence[Array]) -> float:
    """Return the least loss for one target distribution."""
    try:
        candidates = [_best_row(parts, targets)]
    except NoConstantError:  # then it is a limit, at certainty of one class
        candidates = [np.where(row, 0.0, -np.inf) for row in np.eye(targets[0].size, dtype=bool)]
    found = _at(parts, np.stack(candidates), [np.tile(rows, (len(candidates), 1)) for rows in targets], ("losses",))
    return float(np.min(found["losses"]))


def _best_row(parts: Parts, targets: Sequence[Array]) -> Array:
    return parts[0][1].best_row(targets[0]) if len(parts) == 1 else newton(parts, targets)


def _distinct(parts: Parts, y_true: Any, weight: Any) -> tuple[list[Array], Array]:
    """Return the distributions that occur, as each term smooths them, and the weight of each."""
    first = parts[0][1]
    found, classes, weights = first._distinct(y_true, weight)
    like = np.empty((len(found), classes))
    return [loss.dense(REFERENCE, found, like).astype(np.float64) for _, loss in parts], weights


def _at(parts: Parts, z: Array, targets: Sequence[Array], outputs: Sequence[str]) -> dict[str, Array]:
    total: dict[str, Array] = {}
    with np.errstate(all="ignore"):
        for (factor, loss), rows in zip(parts, targets, strict=True):
            found = loss.row(REFERENCE, z, rows, outputs)
            for name in outputs:
                total[name] = factor * found[name] + total.get(name, 0.0)
    return total
