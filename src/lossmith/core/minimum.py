"""The constant with the least cost, found by the sign of the slope, in one basin or the deepest of many.

The cost of a convex loss has one basin: the slope decides in which half the minimum lies. The cost
of a redescending loss has a basin wherever targets cluster at its scale. Candidates are placed in
all of them: every distinct target where there are few, else quantiles, the densest windows of 2, 4,
8, ... targets and the heaviest ties, besides an even grid. The candidates are compared on at most
``_GROUPS`` targets: neighbours are put together where there are more. The best basins are then
followed down, the last few compared on all the data and one refined there, so that a million distinct
targets are gone through a dozen times or two. A cluster narrower than a group and lighter than others
of its kind can be missed; such a scale leaves nearly every row out, and the constant hardly matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

Array = npt.NDArray[Any]

_FARTHEST = 40.0  # logits beyond this are certainty in float64
_GRID = 129
_FEW = 512  # distinct targets that are all tried
_WINDOWS = 4  # disjoint ones of each size
_HEAVIEST = 32
_GROUPS = 16_384
_BASINS = 8  # followed down
_LAST = 3  # of those, on all the data
_STEPS = 200
_PRECISION = 1e-15
_ROUNDING = 4e-16
_LEVEL, _WIDE = 1e-12, 1e-9


class _Cost:
    """The cost of a constant, with its slope, on targets that stand for themselves or for a group."""

    def __init__(self, loss: Loss, y: Array, w: Array) -> None:
        self.loss, self.y, self.w = loss, y, w

    def __call__(self, constant: float) -> float:
        losses = self.loss.evaluate(self.y, np.full(len(self.y), constant), ("losses",), trusted=True)["losses"]
        return float(np.sum(self.w * losses))

    def slope(self, constant: float) -> tuple[float, float]:
        """Return the first and second derivative; the first is exactly zero where pulls are balanced."""
        parts = self.loss.evaluate(self.y, np.full(len(self.y), constant), ("gradient", "hessian"), trusted=True)
        pulls = self.w * parts["gradient"]
        balance = float(np.sum(pulls))
        # Pulls that cancel but for rounding are balanced, or a flat stretch would go unseen.
        flat = abs(balance) <= _ROUNDING * float(np.sum(np.abs(pulls)))
        return 0.0 if flat else balance, float(np.sum(self.w * parts["hessian"]))


@np.errstate(over="ignore", invalid="ignore")
def minimise(loss: Loss, y: Array, w: Array) -> float:
    """Return the raw constant with the least weighted cost, the middle where a stretch of them has it.

    Args:
        loss: on raw predictions.
        y: targets inside their domain, float64.
        w: positive weights.
    """
    y, w = _distinct(y, w)
    best = loss.best_prediction(y)
    ends = np.array([np.min(best), np.max(best)])
    if ends[0] == ends[1]:
        return float(ends[0])  # every row asks for the same, which may be infinite
    cost = _Cost(loss, y, w)
    far = _FARTHEST if np.isinf(ends).any() else math.inf
    low, high = (float(end) for end in np.clip(ends, -far, far))
    root, flat = root_of(cost.slope, low, high) if loss.card.traits.convex else _deepest(cost, low, high)
    if not flat:
        return root
    if loss.card.traits.convex:
        left = _edge(low, root, lambda place: cost.slope(place)[0] < 0)
        right = _edge(root, high, lambda place: cost.slope(place)[0] <= 0)
        return left + (right - left) / 2
    # A kink has a slope of 0 too: where all other rows are too far to count, costs alone tell it from a flat stretch.
    level = cost(root)
    level += _LEVEL * abs(level)
    left, right = _edge(low, root, lambda x: cost(x) > level), _edge(root, high, lambda x: cost(x) <= level)
    middle = left + (right - left) / 2
    return middle if right - left > _WIDE * (high - low) and cost(middle) <= level else root


def _distinct(y: Array, w: Array) -> tuple[Array, Array]:
    """Return the distinct targets in ascending order, with the sum of their weights."""
    if np.min(w) == np.max(w) == 1:
        y, counts = np.unique(y, return_counts=True)
        return y, counts.astype(np.float64)
    order = np.argsort(y, kind="stable")
    y, w = y[order], w[order]
    first = np.flatnonzero(np.append(True, y[1:] != y[:-1]))
    return y[first], np.add.reduceat(w, first)


# --- one basin --------------------------------------------------------------------------------------


def root_of(slope: Callable[[float], tuple[float, float]], low: float, high: float) -> tuple[float, bool]:
    """Return where the slope changes sign, by Newton steps that fall back to halving, and whether it is flat there."""
    here, step, last = low + (high - low) / 2, high - low, high - low
    for _ in range(_STEPS):
        value, curvature = slope(here)
        if value == 0:
            return here, curvature == 0
        low, high = (here, high) if value < 0 else (low, here)
        # Newton only while it stays inside and at least halves the step before last.
        newton = here - value / curvature if curvature > 0 else math.inf
        fast = low < newton < high and abs(newton - here) < abs(last) / 2
        following = newton if fast else low + (high - low) / 2
        last, step = step, following - here
        if following in (low, high) or (fast and abs(step) <= _PRECISION * abs(here)):
            return following, False
        here = following
    return here, False


def _edge(low: float, high: float, before: Callable[[float], bool]) -> float:
    """Return the point up to which something holds, by halving."""
    while low < (middle := low + (high - low) / 2) < high:
        if before(middle):
            low = middle
        else:
            high = middle
    return low + (high - low) / 2


# --- many basins ------------------------------------------------------------------------------------


def _deepest(cost: _Cost, low: float, high: float) -> tuple[float, bool]:
    """Return the lowest minimum between two constants, and whether it is flat there."""
    coarse = _Cost(cost.loss, *_grouped(cost.y, cost.w))
    tried = _candidates(cost, low, high)
    costs = np.array([coarse(float(place)) for place in tried])
    costs = np.where(np.isnan(costs), np.inf, costs)
    around = np.concatenate([[np.inf], costs, [np.inf]])
    bottoms = np.flatnonzero((costs <= around[:-2]) & (costs <= around[2:]))
    bottoms = bottoms[np.argsort(costs[bottoms], kind="stable")][:_BASINS]
    ends = np.concatenate([[low], tried, [high]])
    reached = []
    for at in bottoms:
        here, before, after = float(tried[at]), float(ends[at]), float(ends[at + 2])
        # A minimum with a kink is rounded on the way down: the candidate itself stays in the race.
        down, _ = _descend(coarse, here, before, after)
        reached += [min((_known(coarse(place)), place != down, place, before, after) for place in (down, here))]
    reached.sort()
    if coarse.y is cost.y:
        best = reached[0][2]
        return best, cost.slope(best) == (0.0, 0.0)
    _, _, best, before, after = min(reached[:_LAST], key=lambda place: _known(cost(place[2])))
    return _descend(cost, best, before, after)


def _known(cost: float) -> float:
    """Return a cost, infinite where infinities cancelled."""
    return math.inf if math.isnan(cost) else cost


def _descend(cost: _Cost, here: float, low: float, high: float) -> tuple[float, bool]:
    """Follow the slope from a place that costs no more than those around it to a minimum between them."""
    value, curvature = cost.slope(here)
    if value == 0 or not math.isfinite(value):
        return here, value == 0 and curvature == 0
    end, level = (high if value < 0 else low), cost(here)
    near = here - 2 * value / curvature if curvature > 0 else math.inf
    if min(here, end) < near < max(here, end) and cost.slope(near)[0] * value < 0:
        return root_of(cost.slope, *sorted((here, near)))
    # The slope at the far end can point away from here, but some place before it is as high as this one.
    for _ in range(_STEPS):
        there, _ = cost.slope(end)
        if there * value < 0:
            break
        middle = here + (end - here) / 2
        if middle in (here, end):
            return here, False
        if cost(middle) >= level or cost.slope(middle)[0] * value <= 0:
            end = middle
        else:
            here, level = middle, cost(middle)
    return root_of(cost.slope, *sorted((here, end)))


def _candidates(cost: _Cost, low: float, high: float) -> Array:
    """Return places that basins lie around, in ascending order."""
    grid = np.linspace(low, high, _GRID)
    y, w = cost.y, cost.w
    if len(y) > _FEW:
        total = np.cumsum(w)
        quantiles = np.searchsorted(total, np.linspace(0, total[-1], _GRID)).clip(0, len(y) - 1)
        chosen = np.concatenate([quantiles, np.argsort(-w, kind="stable")[:_HEAVIEST], _densest(y, total)])
        y = y[np.unique(chosen)]
    best = np.clip(cost.loss.best_prediction(y), low, high)
    return np.unique(np.concatenate([grid, best]))


def _densest(y: Array, total: Array) -> Array:
    """Return the middle of the windows of 2, 4, 8, ... targets with the most weight for their width."""
    found: list[int] = []
    before = np.append(0.0, total)
    size = 2
    while size <= len(y) // 2:
        width = y[size - 1 :] - y[: len(y) - size + 1]
        density = (before[size:] - before[: len(y) - size + 1]) / width
        many = min(len(density), 64)
        mine: list[int] = []
        some = np.argpartition(-density, many - 1)[:many]
        for start in some[np.argsort(-density[some], kind="stable")]:
            if all(abs(start - other) >= size for other in mine):
                mine.append(int(start))
        found += [start + size // 2 for start in mine[:_WINDOWS]]
        size *= 2
    return np.array(found, dtype=np.intp)


def _grouped(y: Array, w: Array) -> tuple[Array, Array]:
    """Return targets with neighbours put together, so that there are at most ``_GROUPS``."""
    if len(y) <= _GROUPS:
        return y, w
    first = np.linspace(0, len(y), _GROUPS, endpoint=False).astype(np.intp)
    weight = np.add.reduceat(w, first)
    return np.add.reduceat(w * y, first) / weight, weight
