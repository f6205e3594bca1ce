"""Where the loss of each target is least, and whether it is least anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from lossmith.checking.ground import Array, Curve, Ground
from lossmith.checking.report import Finding, number, relation
from lossmith.errors import plural

_ZOOMS = 8
_POINTS = 65
_TOLERANCE = 1e-11
_WIDE = 1e-3
"""A stretch where the loss is least is one when it is wider than this, in units."""
_FARTHER = np.array([10.0**2**power for power in range(1, 9)])
"""Distances to infinity, each the square of the one before."""
_CLOSE = 1e-5


@dataclass(frozen=True)
class Least:
    """Where the loss of a target is least.

    Attributes:
        y: the target.
        kind: ``there`` at ``low`` to ``high``; ``flat`` everywhere; ``far`` where it falls to a limit that it reaches
            nowhere, and ``bottomless`` where it falls without one, towards ``low``.
        low, high: predictions.
        value: the least loss, or the lowest that was met.
    """

    y: float
    kind: Literal["there", "flat", "far", "bottomless"]
    low: float
    high: float
    value: float


def least(ground: Ground, curve: Curve) -> Least | None:
    """Return where the loss of a target is least; nothing where it is nowhere a number."""
    known = np.isfinite(curve.value)
    if not known.any():
        return None
    f, values = curve.f[known], curve.value[known]

    def loss(x: Array) -> Array:
        return ground.values(np.full(x.shape, curve.y), x)

    size = float(np.median(np.abs(values))) + 1e-300
    if np.ptp(values) <= _TOLERANCE * size:
        return Least(curve.y, "flat", float(f[0]), float(f[-1]), float(values[0]))
    fallen = [_falls(ground, curve, loss, way, float(values.min()), size) for way in (-1, 1)]
    for kind in ("bottomless", "far"):
        for way, found in zip((-1, 1), fallen, strict=True):
            if found is not None and found[0] == kind:
                end = ground.domain.low if way < 0 else ground.domain.high
                return Least(curve.y, found[0], end, end, found[1])
    low, high, lowest = bottom(loss, f, values, _WIDE * ground.unit)
    if low < high:  # what reaches the last place that was tried is taken to go on
        low, high = (ground.domain.low if low == f[0] else low), (ground.domain.high if high == f[-1] else high)
        for way, end, inner in ((-1, low, high), (1, high, low)):
            if math.isinf(end) and math.isfinite(inner) and _falls_on(ground, curve.y, inner, way):
                return Least(curve.y, "far", end, end, lowest)
    return Least(curve.y, "there", low, high, lowest)


def _falls_on(ground: Ground, y: float, f: float, way: int) -> bool:
    """Return whether the true loss falls on where the computed one is level, since there is no smaller number."""
    step = way * max(ground.unit, abs(f))  # its end is not known to the last place
    truths = ground.truths(0, y, f + step, f + 2 * step)
    return bool(truths) and bool(truths[1] < truths[0])


def bottom(loss: Callable[[Array], Array], f: Array, values: Array, wide: float) -> tuple[float, float, float]:
    """Return the ends of where a function is least, and how low it is there; one place where it is narrower.

    Args:
        loss: the function.
        f: some of its arguments in ascending order.
        values: there.
        wide: from which width on it is a stretch.
    """
    at = int(np.argmin(values))
    here, lowest = float(f[at]), float(values[at])
    low, high = float(f[max(at - 1, 0)]), float(f[min(at + 1, len(f) - 1)])
    for _ in range(_ZOOMS):
        x = np.unique(np.append(np.linspace(low, high, _POINTS), here))
        found = loss(x)
        found = np.where(np.isnan(found), np.inf, found)
        at = int(np.argmin(found))
        if found[at] < lowest:
            here, lowest = float(x[at]), float(found[at])
        at = int(np.searchsorted(x, here))
        low, high = float(x[max(at - 1, 0)]), float(x[min(at + 1, len(x) - 1)])
    slack = 4e-15 * abs(lowest) + 1e-15 * float(np.quantile(np.abs(values), 0.05))
    sides = np.array([here - wide / 2, here + wide / 2])
    if not np.any(loss(sides) <= lowest + slack):
        return here, here, lowest
    low, high = (
        _reach(loss, here, x[order * (x - here) > 0][::order], lowest + slack) for order, x in ((-1, f), (1, f))
    )
    return (low, high, lowest) if high - low > wide else (here, here, lowest)


def _reach(loss: Callable[[Array], Array], here: float, outward: Array, level: float) -> float:
    """Return how far from here, along places that lead away, a function stays below a level."""
    last = here
    for place, value in zip(outward.tolist(), loss(outward).tolist(), strict=True):
        if not value <= level:
            return _edge(loss, last, place, level)
        last = place
    return last


def _edge(loss: Callable[[Array], Array], inner: float, outer: float, level: float) -> float:
    """Return how far from an inner place, towards an outer one, a function stays below a level."""
    for _ in range(_ZOOMS + 2):
        between = np.linspace(inner, outer, _POINTS)
        above = ~(loss(between) <= level)
        first = int(np.argmax(above[1:])) + 1  # the outer end is
        inner, outer = float(between[first - 1]), float(between[first])
    return 0.0 if min(inner, outer) <= 0 <= max(inner, outer) else inner  # around 0 there is no last number


def _falls(
    ground: Ground, curve: Curve, loss: Callable[[Array], Array], way: int, lowest: float, size: float
) -> tuple[Literal["far", "bottomless"], float] | None:
    """Return whether the loss falls below all else on the way to an end that does not belong, and how far."""
    end = ground.domain.low if way < 0 else ground.domain.high
    if math.isinf(end):
        x = curve.centre + way * ground.unit * _FARTHER
    elif (ground.domain.low_included, ground.domain.high_included)[way > 0]:
        return None
    else:
        x = end - way * min(ground.unit, abs(end - curve.centre) or 1.0) / _FARTHER
        x = np.append(x[x != end], math.nextafter(end, curve.centre))
    x = x[np.isin(x, ground.inside(x))]
    found = loss(x)
    kept = np.cumprod(~np.isnan(found)).astype(bool)
    found = found[kept]
    if found.size < 3:
        return None
    last = float(found[-1])
    if np.isneginf(found).any():
        return "bottomless", last
    steps = np.diff(found[np.isfinite(found)])
    if len(steps) < 2 or last > lowest or np.any(steps > _TOLERANCE * size):
        return None
    if last < lowest - size and steps[-1] <= 0.5 * steps[-2] < 0:
        return "bottomless", last
    return ("far", last) if _still_falls(ground, curve, loss, way, last) else None


def _still_falls(ground: Ground, curve: Curve, loss: Callable[[Array], Array], way: int, last: float) -> bool:
    """Return whether nothing ordinary is as low as what comes far out."""
    near = curve.value[curve.near & np.isfinite(curve.value)]
    slack = 1e-14 * (abs(last) + float(np.median(np.abs(near)))) if near.size else 0.0
    return bool(near.size) and float(near.min()) > last + slack


# --- what is said of it ---------------------------------------------------------------------------


def minimum(ground: Ground) -> Iterator[Finding]:
    """Say where the loss is least: at the target, beside it, at many places or at none."""
    found = [least(ground, curve) for curve in ground.curves]
    leasts = [each for each in found if each is not None]
    if not leasts:
        return
    yield _where(ground, leasts)
    yield from _floor(ground, leasts)


def _where(ground: Ground, leasts: Sequence[Least]) -> Finding:
    facts: dict[str, object] = {"minima": [asdict(x) for x in leasts]}
    bottomless = [x for x in leasts if x.kind == "bottomless"]
    if bottomless:
        return _bottomless(ground, bottomless, len(leasts), facts)
    flat = [x for x in leasts if x.kind == "flat"]
    if len(flat) == len(leasts):
        return Finding(
            "minimum",
            "error",
            "Flat: no prediction is better than another",
            f"For {plural(len(leasts), 'target')} all predictions cost the same: {number(flat[0].value)} for the "
            "first.",
            "Nothing can be learnt from it: the formula must depend on f where data lie.",
            facts | {"flat": True},
        )
    told = "; ".join(f"y = {number(x.y)}: {_at(x)}" for x in _spread(leasts))
    if ground.binary:
        return _of_labels(ground, leasts, told, facts)
    best = np.array([float(ground.link.forward(x.y)) for x in leasts])
    met = [_meets(ground, x, float(f)) for x, f in zip(leasts, best, strict=True)]
    name = {"identity": "f = y", "log": "exp(f) = y", "logistic": "sigmoid(f) = y"}[ground.link.name]
    highest = "" if all(met) else _upside_down(ground)
    if highest:
        advice = "Turn the sign of the formula around."
        title = f"Greatest at {name}: the sign is turned around"
        return Finding("minimum", "error", title, f"{highest} Least: {told}.", advice, facts)
    if not all(met) and any(x.kind == "far" for x in leasts):
        return Finding(
            "minimum",
            "warning",
            "No minimum: it is lowest at the far end",
            f"The least loss by target: {told}.",
            "A model will run away towards it. Add what makes predictions that are too far cost something.",
            facts,
        )
    if all(met):
        wide = max(x.high - x.low for x in leasts)
        if wide > 0:
            return Finding(
                "minimum", "note", f"Least on a stretch that holds {name}", f"Where it is least: {told}.", facts=facts
            )
        return Finding(
            "minimum", "ok", f"Least at {name}", f"So it is for {plural(len(leasts), 'target')}.", facts=facts
        )
    where = relation({x.y: [x.low] for x in leasts}, leasts[0].y, leasts[0].low) if name == "f = y" else ""
    return Finding(
        "minimum",
        "warning",
        f"Least at {where}, not at {name}" if where else f"Not least at {name}",
        f"Where it is least: {told}.",
        "A perfect prediction costs more than another. If that is meant, say so where the loss is used.",
        facts,
    )


def _spread(leasts: Sequence[Least]) -> Sequence[Least]:
    return leasts if len(leasts) <= 3 else [leasts[0], leasts[len(leasts) // 2], leasts[-1]]


def _at(x: Least) -> str:
    if x.kind == "flat":
        return "everywhere the same"
    if x.kind == "far":
        return f"towards f = {number(x.low)}"
    return f"f = {number(x.low)}" if x.low == x.high else f"f from {number(x.low)} to {number(x.high)}"


def _meets(ground: Ground, x: Least, best: float) -> bool:
    if math.isinf(best) or x.kind == "far":  # a count of zero asks for a rate of zero
        return x.kind == "far" and x.low == best
    slack = _CLOSE * max(ground.unit, abs(best))
    return x.kind == "there" and x.low - slack <= best <= x.high + slack


def _of_labels(ground: Ground, leasts: Sequence[Least], told: str, facts: dict[str, object]) -> Finding:
    no, yes = leasts[0], leasts[-1]
    silent = next((x for x in (no, yes) if x.kind == "flat"), None)
    if silent:
        return Finding(
            "minimum",
            "error",
            f"The label {number(silent.y)} teaches nothing: all predictions cost it the same",
            f"Where it is least: {told}.",
            "If the formula is meant for labels of -1 and 1, declare them: target='{-1, 1}'.",
            facts | {"flat": True},
        )
    if no.high < yes.low or (no.low < yes.low and no.high < yes.high):
        border = {"identity": (no.y + yes.y) / 2, "logistic": 0.0}.get(ground.link.name, math.nan)
        if no.low > border or yes.high < border:
            side = "above" if no.low > border else "below"
            return Finding(
                "minimum",
                "warning",
                f"Least {side} f = {number(border)} for both labels",
                f"Where it is least: {told}.",
                "The best predictions of both labels are of one class. A part that pulls them there is too heavy.",
                facts,
            )
        return Finding("minimum", "ok", "Least where the label is met", f"Where it is least: {told}.", facts=facts)
    title = "The same prediction is best for both labels"
    if (no.low, no.high) != (yes.low, yes.high):
        title = "Least at the wrong label: the sign is turned around"
    return Finding(
        "minimum",
        "error",
        title,
        f"Where it is least: {told}.",
        "Labels must pull predictions apart, yes upwards.",
        facts,
    )


def _bottomless(ground: Ground, found: Sequence[Least], all_of: int, facts: dict[str, object]) -> Finding:
    ways = sorted({x.low for x in found})
    where = " and ".join(f"f = {number(x)}" for x in ways)
    upside_down = _upside_down(ground)
    deepest = min(found, key=lambda x: x.value)
    return Finding(
        "minimum",
        "error",
        "Unbounded below",
        f"Towards {where} it falls without limit, to {number(deepest.value)} for y = {number(deepest.y)}; so for "
        f"{len(found)} of {plural(all_of, 'target')}. {upside_down}".strip(),
        "Turn the sign of the formula around."
        if upside_down
        else "A residual needs abs or a square around it."
        if len(found) == all_of
        else "If such targets do not occur, declare where they lie, as target='[0, inf)'; else a term is missing.",
        facts,
    )


def _upside_down(ground: Ground) -> str:
    """Return a sentence where a perfect prediction costs most of all."""
    for curve in ground.curves:
        best = float(ground.link.forward(curve.y))
        known = np.isfinite(curve.value)
        if not math.isfinite(best) or not known.any() or ground.binary:
            return ""
        top = float(curve.f[known][int(np.argmax(curve.value[known]))])
        if abs(top - best) > _CLOSE * max(ground.unit, abs(best)):
            return ""
    return "A perfect prediction costs the most."


def _floor(ground: Ground, leasts: Sequence[Least]) -> Iterator[Finding]:
    """Say what a perfect prediction costs, where that is not zero."""
    values = [x.value for x in leasts if x.kind in ("there", "far")]
    if len(values) < len(leasts):
        return
    size = max(float(np.median(np.abs(curve.value[curve.near]))) for curve in ground.curves)
    if max(map(abs, values)) <= 1e-9 * size:
        return
    negative = min(values) < -1e-9 * size
    differ = max(values) - min(values) > 1e-9 * size
    what = "depends on the target" if differ else "is not zero"
    told = "; ".join(f"{number(x.value)} for y = {number(x.y)}" for x in _spread(leasts))
    title = "Can be negative" if negative else f"The best that can be reached {what}"
    yield Finding(
        "floor",
        "note",
        title,
        f"The least loss is {told}.",
        "Judge a cost by how far it is above that: loss.context(y_true).floor.",
        {"values": values, "negative": negative},
    )
