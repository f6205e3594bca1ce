"""The minimum of a cost with kinks, by the method of multipliers.

At a kink there is no derivative to go by, and its minimum often lies at many of them: absolute error passes through as
many points as there are parameters. So each function with kinks, of the rows or of an L1 penalty, is replaced by its
Moreau envelope, the least of it plus the squared distance from where one would like to be: convex and smooth, with
derivatives from the nearest point (the proximal point) alone. Minimising it by Newton steps and moving the multiplier
of each row to its slope there leads to the minimum of the cost itself, for piecewise linear costs in finitely many
rounds (Rockafellar 1976, doi 10.1287/moor.1.2.97; the Newton steps as in Li, Sun and Toh 2018, doi 10.1137/16M1097572).

The multipliers are slopes of the functions at the proximal points, so they bound a convex cost from below: what it lies
above that bound is how far from the minimum it can be, and is the criterion to stop by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.frameworks.sklearn.cost import Bends, Cost, Function, RowBends
from lossmith.frameworks.sklearn.newton import minimum

Array = npt.NDArray[Any]

_ROUNDS = 100
_FIRM = 2.0  # by which strengths grow from round to round
_HALVINGS = 80
_REACH = 4  # units in the last place on either side of a kink
_ROUNDING = 1e-15
_CLOSE = 1e-6  # slopes that differ by more are of the two sides of a kink


@dataclass
class Near:
    """Proximal points.

    Attributes:
        points: of each place.
        slopes: of the function there, at a kink one between those of its sides.
        values: the function there.
        curvature: its second derivative there, infinite at a kink.
        along: where the numbers of a row couple, how the slopes there change along a change of the place.
    """

    points: Array
    slopes: Array
    values: Array
    curvature: Array
    along: Callable[[Array], Array] | None = None


class Kinked(Protocol):
    """Functions of single numbers, or of the numbers of a row together, each with a weight."""

    weight: Array

    def values(self, place: Array) -> Array:
        """Return the functions, without weights."""

    def near(self, place: Array, strength: Array) -> Near:
        """Return where each function plus ``strength / 2`` times the squared distance from a place is least."""


class Sizes:
    """Absolute values, all of the same weight: an L1 penalty."""

    def __init__(self, strength: float, shape: tuple[int, ...]) -> None:
        self.weight = np.full(shape, strength)

    def values(self, place: Array) -> Array:
        """Return the absolute values."""
        return np.abs(place)

    def near(self, place: Array, strength: Array) -> Near:
        """Return places drawn towards 0 by ``1 / strength``, at most to 0."""
        points = np.sign(place) * np.maximum(np.abs(place) - 1 / strength, 0.0)
        return Near(points, np.clip(strength * place, -1.0, 1.0), np.abs(points), np.where(points == 0, np.inf, 0.0))


class KinkedLosses:
    """The losses of the rows, where they have kinks.

    Args:
        loss: on raw predictions, one a row.
        y: targets.
        weight: weights of the rows, with a sum of 1.
    """

    def __init__(self, loss: Loss, y: Array, weight: Array) -> None:
        self.loss, self.y, self.weight = loss, y, weight[:, None]
        domain = loss.domains["f"]
        self._low, self._high = np.nextafter(domain.low, np.inf), np.nextafter(domain.high, -np.inf)
        self._best = np.clip(loss.best_prediction(y), self._low, self._high)

    def values(self, place: Array) -> Array:
        """Return the losses; infinite outside the domain."""
        if not ((place > self._low).all() and (place < self._high).all()):
            return np.full(place.shape, np.inf)
        return np.asarray(self.loss.evaluate(self.y, place[:, 0], ("losses",), trusted=True)["losses"][:, None])

    def near(self, place: Array, strength: Array) -> Near:
        """Return the proximal points, by Newton steps between two places where the slope has both signs."""
        wanted, rho = place[:, 0], strength[:, 0]
        points = np.clip(wanted, self._low, self._high)
        rows = np.arange(points.size)
        ends = self._beyond(points, wanted, rho)
        low, high = np.minimum(points, ends), np.maximum(points, ends)
        # Most kinks are where the loss is least: two places around that leave nothing between them to look through.
        reach = _REACH * np.spacing(np.abs(self._best))
        for here in (self._best - reach, self._best + reach):
            inside = np.flatnonzero((here > low) & (here < high))
            self._narrow(inside, here[inside], low, high, wanted, rho)
        points = low + (high - low) / 2
        for _ in range(_HALVINGS):
            width = high[rows] - low[rows]
            rows = rows[width > 2 * _REACH * np.spacing(np.maximum(np.abs(low[rows]), np.abs(high[rows])))]
            if not rows.size:
                break
            here = points[rows]
            pull, bend = self._narrow(rows, here, low, high, wanted, rho)
            newton = here - pull / (rho[rows] + bend)
            middle = low[rows] + (high[rows] - low[rows]) / 2
            inside = (newton >= low[rows]) & (newton <= high[rows])
            met = np.abs(pull) <= _ROUNDING * rho[rows] * (np.abs(here) + np.abs(wanted[rows]))
            points[rows] = np.where(met, here, np.where(inside, newton, middle))
            rows = rows[~met]
        found = self.loss.evaluate(self.y, points, ("losses", "gradient", "hessian"), trusted=True)
        slope = rho * (wanted - points)
        kink = np.abs(slope - found["gradient"]) > _CLOSE * (np.abs(slope) + np.abs(found["gradient"]))
        curvature = np.where(kink, np.inf, np.maximum(found["hessian"], -rho / 2))
        slopes = np.where(kink, slope, found["gradient"])
        return Near(points[:, None], slopes[:, None], found["losses"][:, None], curvature[:, None])

    def _beyond(self, points: Array, wanted: Array, rho: Array) -> Array:
        """Return places on the other side of the proximal points; the first try is that of convex losses."""
        rows, ends = np.arange(points.size), points.copy()
        pull, _ = self._pull(rows, points, wanted, rho)
        step = -pull / rho
        for _ in range(_HALVINGS):
            ends[rows] = np.clip(points[rows] + step[rows], self._low, self._high)
            there, _ = self._pull(rows, ends[rows], wanted, rho)
            rows = rows[there * pull[rows] > _ROUNDING * pull[rows] ** 2]
            if not rows.size:
                break
            step[rows] *= 2
        return ends

    def _pull(self, rows: Array, here: Array, wanted: Array, rho: Array) -> tuple[Array, Array]:
        found = self.loss.evaluate(self.y[rows], here, ("gradient", "hessian"), trusted=True)
        return found["gradient"] + rho[rows] * (here - wanted[rows]), np.maximum(found["hessian"], 0.0)

    def _narrow(
        self, rows: Array, here: Array, low: Array, high: Array, wanted: Array, rho: Array
    ) -> tuple[Array, Array]:
        """Move an end of each row to a place between them, by the slope there."""
        pull, bend = self._pull(rows, here, wanted, rho)
        low[rows], high[rows] = np.where(pull < 0, here, low[rows]), np.where(pull > 0, here, high[rows])
        low[rows], high[rows] = np.where(pull == 0, here, low[rows]), np.where(pull == 0, here, high[rows])
        return pull, bend


class Envelope:
    """The Moreau envelope of functions with kinks, moved by their multipliers.

    Args:
        function: the functions.
        strength: of the squared distance, a number for each.
        multipliers: slopes that the functions are expected to have at the minimum.
    """

    def __init__(self, function: Kinked, strength: Array, multipliers: Array) -> None:
        self.function, self.strength, self.multipliers = function, strength, multipliers

    def at(self, place: Array) -> Bends:
        """Return value and derivatives."""
        if not np.isfinite(place).all():
            return Bends(np.inf, np.zeros(place.shape), np.zeros(place.shape))
        wanted, rho, w = place + self.multipliers / self.strength, self.strength, self.function.weight
        near = self.function.near(wanted, rho)
        away = wanted - near.points
        value = float(np.sum(w * near.values) + np.sum(w * (rho / 2 * away**2)))
        if (along := near.along) is not None:
            return RowBends(value, w * near.slopes, near.curvature, lambda change: w * along(change))
        with np.errstate(divide="ignore", over="ignore"):
            bends = rho / (1 + rho / near.curvature)
        return Bends(value, w * near.slopes, w * bends)

    def moved(self, place: Array, growth: float) -> tuple[Envelope, Array, float]:
        """Return the envelope of the next round, the proximal points, and how far the bound lies below.

        Args:
            place: where the cost of this round is least.
            growth: of the strengths.
        """
        wanted = place + self.multipliers / self.strength
        near = self.function.near(wanted, self.strength)
        w = self.function.weight
        gap = float(np.sum(w * (self.function.values(place) - near.values)))
        gap -= float(np.sum(w * (near.slopes * (place - near.points))))
        return Envelope(self.function, self.strength * growth, near.slopes), near.points, gap


@dataclass
class Solution:
    """Where a cost with kinks is least.

    Attributes:
        vector: the parameters.
        steps: Newton steps taken.
        gap: how far the cost can lie above its minimum, if it is convex, in the size of costs.
        gradient: largest entry of the gradient of the bound, in units of the cost.
    """

    vector: Array
    steps: int
    gap: float
    gradient: float


def solution(
    smooth: list[tuple[Any, Function]],
    kinked: list[tuple[Any, Kinked, Array]],
    start: Array,
    unit: float,
    size: float,
    tolerance: float,
    most: int,
) -> Solution:
    """Return the minimum of a sum of smooth functions and functions with kinks.

    Args:
        smooth: maps from parameters and functions.
        kinked: maps, functions with kinks and first strengths.
        start: parameters, (parameters, outputs).
        unit: what costs are divided by to have slopes of the size of 1.
        size: of costs, which the gap is told in.
        tolerance: of gap and gradient.
        most: Newton steps at most.
    """

    def total(theta: Array) -> float:
        value = sum(function.at(way.predict(theta)).value for way, function in smooth)
        return value + sum(float(np.sum(it.weight * it.values(way.predict(theta)))) for way, it, _ in kinked)

    envelopes = [(way, Envelope(function, strength, np.zeros(strength.shape))) for way, function, strength in kinked]
    vector, steps, precision, firm, firmest = np.ravel(start), 0, 1e-2, 0, False
    for _ in range(_ROUNDS):
        cost = Cost([*smooth, *envelopes], start.shape, unit)
        found = minimum(cost, vector, precision, max(1, most - steps))
        vector, steps = found.vector, steps + found.steps
        theta = vector.reshape(start.shape)
        # Too firm ones ask for places finer than rounding allows, or a step for each kink: softer ones get there, too.
        solved = found.gradient <= precision
        firmest = firmest or not solved
        before, firm = firm, max(0, firm - 1) if not solved else firm + (not firmest)
        growth = _FIRM ** (firm - before)
        moved = [(way, *envelope.moved(way.predict(theta), growth)) for way, envelope in envelopes]
        gap = sum(above for *_, above in moved) / size
        settled = theta
        for way, _, points, _ in moved:
            settled = way.settled(settled, points)
        # The bound is of the places: slopes that are set to 0 must not cost more, as they do far from their kink.
        more = (total(settled) - total(theta)) / size
        if steps >= most or (max(abs(gap), abs(gap + more)) <= tolerance and found.gradient <= tolerance):
            break
        envelopes = [(way, envelope) for way, envelope, *_ in moved]
        precision = max(precision / 10, tolerance / 2)
    if more <= max(tolerance, abs(gap)):
        vector, gap = np.ravel(settled), gap + more
    return Solution(vector, steps, gap, found.gradient)
