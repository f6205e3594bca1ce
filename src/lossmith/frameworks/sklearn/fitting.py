"""Fitting a linear model by a loss and a penalty: which way leads to the minimum, and whether it was reached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.halving import FARTHEST, jumps
from lossmith.core.loss import Loss
from lossmith.errors import DomainError, NoConstantError, ParameterError, plural
from lossmith.frameworks.sklearn.cost import Cost, Design, Function, RowLosses, Slopes, Squares
from lossmith.frameworks.sklearn.margins import leads
from lossmith.frameworks.sklearn.multipliers import Kinked, KinkedLosses, Sizes, solution
from lossmith.frameworks.sklearn.newton import minimum

Array = npt.NDArray[Any]

_FEW = 8  # targets that are looked at for kinks
_AWAY = np.sinh(np.linspace(-12.0, 12.0, 121))  # in units of the spread of the targets
_KINK = 1e-6  # of the size of slopes
_NARROW = 1e-3  # of how far predictions are from the best ones


@dataclass(frozen=True)
class Settings:
    """How to fit.

    Attributes:
        l1, l2: what absolute values and squares of slopes are multiplied by.
        intercept: whether there is one; it has no penalty.
        tolerance: of the gradient, relative to the slopes of the losses at the start, and of the duality gap, relative
            to those times the typical distance from the best predictions.
        most: Newton steps at most.
    """

    l1: float
    l2: float
    intercept: bool
    tolerance: float
    most: int


@dataclass(frozen=True)
class Fit:
    """A fitted linear model.

    Attributes:
        slopes: (outputs, columns), in the units of the table.
        intercepts: (outputs,).
        steps: Newton steps taken.
        converged: whether gradient and duality gap are within the tolerance.
        gap: how far the cost can lie above its least value where it has kinks and is convex; else not a number.
    """

    slopes: Array
    intercepts: Array
    steps: int
    converged: bool
    gap: float


def fit(loss: Loss, X: Any, y: Array, weight: Array, settings: Settings, outputs: int = 1) -> Fit:
    """Return the linear model with the least weighted mean loss plus penalty.

    Args:
        loss: on raw predictions, of a target and a prediction, or a row of predictions.
        X: float64 table of rows by columns, dense or sparse.
        y: targets of the loss.
        weight: weights of the rows, some above 0.
        settings: how.
        outputs: number of predictions a row.

    Raises:
        ParameterError: for a loss without a minimum, or one that no gradient leads to.
        DomainError: for targets outside the domain, or that all ask for the same extreme.
    """
    _refuse_aimless(loss)
    counts = weight > 0
    X, y, weight = X[counts], y[counts], weight[counts] / weight.sum()
    design = Design(X, weight, settings.intercept)
    start = np.zeros((design.parameters, outputs))
    if settings.intercept:
        start[-1] = _best_constant(loss, y, weight)
    place = design.predict(start)
    raw = place if loss._couples else place[:, 0]
    first = loss.evaluate(y, raw, ("gradient", "hessian"), trusted=True)
    unit = float(np.sum(weight.reshape(-1, *[1] * (raw.ndim - 1)) * np.abs(first["gradient"])))
    if unit == 0:
        _refuse_flat(loss, y, raw)
        slopes, intercepts = design.coefficients(start)
        return Fit(slopes, intercepts, 0, True, math.nan)
    smooth: list[tuple[Any, Function]] = []
    kinked: list[tuple[Any, Kinked, Array]] = []
    kinks = has_kinks(loss, y) or _is_narrow(loss, y, raw, unit)
    distance = _distance(loss, y, weight, raw) if kinks or settings.l1 else 1.0
    if kinks:
        firm = unit / distance
        kind = leads(loss) or KinkedLosses
        kinked.append((design, kind(loss, y, weight), np.full(place.shape, firm)))
    else:
        firm = float(np.mean(np.abs(first["hessian"]))) or 1.0
        smooth.append((design, RowLosses(loss, y, weight)))
    if settings.l2:
        smooth.append((Slopes(design), Squares(settings.l2)))
    if settings.l1:
        strength = firm * design.scale[:, None] ** 2 / settings.l1
        if not kinks:  # with a weak penalty, begin as soft as slopes are large, or each step ends at the next kink
            strength = np.minimum(strength, design.scale[:, None] / distance)
        strength = np.repeat(strength, outputs, axis=1)
        kinked.append((Slopes(design), Sizes(settings.l1, strength.shape), strength))
    if not kinked:
        found = minimum(Cost(smooth, start.shape, unit), start.ravel(), settings.tolerance, settings.most)
        slopes, intercepts = design.coefficients(found.vector.reshape(start.shape))
        return Fit(slopes, intercepts, found.steps, found.gradient <= settings.tolerance, math.nan)
    solved = solution(smooth, kinked, start, unit, unit * distance, settings.tolerance, settings.most)
    slopes, intercepts = design.coefficients(solved.vector.reshape(start.shape))
    converged = max(abs(solved.gap), solved.gradient) <= settings.tolerance
    return Fit(slopes, intercepts, solved.steps, converged, solved.gap * unit * distance)


def _best_constant(loss: Loss, y: Array, weight: Array) -> Any:
    try:
        found = loss.optimal_constant(y, weight)
    except NoConstantError as error:
        if loss._couples:
            return 0.0  # some rows of classes have none and yet are fitted
        raise ParameterError(f"{loss} cannot be fitted: {error}") from None
    if not np.isfinite(found).all():
        raise DomainError(
            f"{loss}: the best constant for {plural(y.shape[0], 'target')} is {found}: all of them ask for the same "
            "extreme, as labels of one class and counts of zero do, so there is nothing to fit"
        )
    return found


def _refuse_aimless(loss: Loss) -> None:
    """Refuse a loss whose minimum says nothing about targets, or that has none."""
    if loss.card.estimates == "zero":
        raise ParameterError(
            f"{loss} cannot be fitted: zero for every row costs nothing, whatever the targets, so its minimum says "
            "nothing about them; take a loss with a margin, such as Hinge()"
        )
    if loss.card.estimates == "nothing":
        raise ParameterError(f"{loss} cannot be fitted: its cost falls without bound as predictions move")


def _refuse_flat(loss: Loss, y: Array, raw: Array) -> None:
    """Refuse a loss that has no gradient anywhere; one that fits these targets exactly is another matter."""
    probes = [raw + share * (1 + np.abs(raw)) for share in (-1.0, -1e-3, 1e-3, 1.0)]
    if not any(np.any(loss.evaluate(y, probe, ("gradient",), trusted=True)["gradient"]) for probe in probes):
        raise ParameterError(f"{loss} cannot be fitted: its gradient is zero everywhere, so nothing moves")


def _distance(loss: Loss, y: Array, weight: Array, raw: Array) -> float:
    """Return how far predictions typically are from the best ones; rows of classes are of the size of 1."""
    if loss._couples:
        return 1.0
    best = np.asarray(loss.best_prediction(y), dtype=float)
    best = np.where(np.isinf(best), np.copysign(FARTHEST, best), best)
    return float(weight @ np.abs(best - raw)) or 1.0


def _is_narrow(loss: Loss, y: Array, raw: Array, unit: float) -> bool:
    """Return whether slopes of a convex loss turn as at a kink, seen from as far as predictions are at the start.

    Those of Huber's loss do where ``delta`` is 1 and targets are tens of thousands. Nearly all rows have no curvature
    then, and Newton's steps see of the minimum the few rows that have.
    """
    if loss._couples or loss.card.traits.convex is False:
        return False
    rows = np.unique(np.argsort(y)[np.linspace(0, len(y) - 1, _FEW).astype(np.intp)])
    best = np.asarray(loss.best_prediction(y[rows]), dtype=float)
    if not np.isfinite(best).all():
        return False
    away = _NARROW * float(np.median(np.abs(best - raw[rows])))
    beside = np.concatenate([best - away, best + away])
    if away == 0 or not all(map(loss.domains["f"].includes, beside.tolist())):
        return False
    slopes = loss.evaluate(np.tile(y[rows], 2), beside, ("gradient",), trusted=True)["gradient"]
    return bool(np.median(np.abs(slopes)) > unit / 2)


def has_kinks(loss: Loss, y: Array) -> bool:
    """Return whether the slope of a loss jumps, by its card, or else as seen along predictions for some targets.

    Raises:
        ParameterError: for kinks in several predictions of a row that nothing is known of.
    """
    if loss.card.traits.differentiable:
        return False
    if leads(loss):
        return True
    if loss._couples:
        raise ParameterError(
            f"{loss} cannot be fitted: it has kinks in several predictions of a row together, and only those of "
            "CrammerSinger() and WestonWatkins() without smoothing are known. A loss of one prediction, such as "
            "Hinge(), is fitted for each class against the rest"
        )
    targets = np.unique(np.quantile(y, np.linspace(0, 1, _FEW), method="nearest"))
    best = loss.best_prediction(targets)
    spread = float(np.std(y)) or 1.0
    domain = loss.domains["f"]
    for target, middle in zip(targets, np.where(np.isinf(best), 0.0, best), strict=True):

        def slope(raw: Array, target: float = target) -> Array:
            found: Array = loss.evaluate(np.full(raw.shape, target), raw, ("gradient",), trusted=True)["gradient"]
            return found

        ends = np.nextafter(domain.low, np.inf), np.nextafter(domain.high, -np.inf)
        places = np.unique(np.clip(middle + spread * _AWAY, *ends))
        known = slope(places)
        places, known = places[np.isfinite(known)], known[np.isfinite(known)]
        size = float(np.max(np.abs(known[np.abs(places - middle) <= spread]), initial=0.0))
        low, high = jumps(slope, places, known, _KINK * size)
        # Further out slopes may be of any size, and steps from one number to the next with them.
        if np.any(high - low > _KINK * np.maximum(size, np.maximum(np.abs(low), np.abs(high)))):
            return True
    return False
