"""Where results are not finite, how large they are, and how far it is to their overflow."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lossmith.checking.derivatives import NAMES
from lossmith.checking.ground import Array, Curve, Ground
from lossmith.checking.report import Finding, Severity, number
from lossmith.errors import plural

_SOON = {"identity": 50.0, "log": 30.0, "logistic": 30.0}
"""An overflow nearer than this, in units of the prediction, will be met in training; logs of rates seldom reach 30."""
_REACH = np.geomspace(1e-3, 1e300, 400)
_TINY, _HUGE = 1e-6, 1e6
_BESIDE = 1e-6
_FINITE = "Finite everywhere"

Bad = tuple[int, float, float, float]
"""Order of the derivative, target, prediction, and what came out."""


def finite(ground: Ground) -> Iterator[Finding]:
    """Look for values, gradients and Hessians that are infinite or no number where predictions are ordinary."""
    inner: list[Bad] = []
    ends: list[Bad] = []
    checked = 0
    for curve in ground.curves:
        checked += int(curve.near.sum())
        for order, part in enumerate(curve.parts):
            for at in np.flatnonzero(curve.near & ~np.isfinite(part)):
                found = (order, curve.y, float(curve.f[at]), float(part[at]))
                (ends if curve.f[at] in (ground.domain.low, ground.domain.high) else inner).append(found)
    singular = [found for found in inner if not _overflows(ground, *found)]
    values = sorted((found for found in singular if found[0] == 0), key=lambda found: not math.isnan(found[3]))
    if values or any(math.isnan(found[3]) for found in singular):
        yield _broken(ground, values or singular)
        return
    if singular:
        order = singular[0][0]
        severity: Severity = "warning" if order == 1 else "note"
        advice = (
            "Training that meets this point makes an infinite step: smooth the corner, as hypot(1, x) smooths abs(x)."
        )
        if order == 2:
            advice = (
                "Newton's steps stand still where they meet this point. Those of Lossmith's boosters and linear models "
                "do not: they take a finite number in its place."
            )
        yield Finding(
            "finite",
            severity,
            f"The {NAMES[order]} is infinite inside the domain",
            f"{_told(singular[0])}, while the loss itself is finite.",
            advice,
            _facts(singular),
        )
        return
    everywhere = f"{checked:,} predictions for {plural(len(ground.curves), 'target')} give finite numbers"
    beyond = len({(y, f) for _, y, f, _ in inner})
    if not ends:
        title, but = ("Finite, but for overflow", f", but for {beyond} that overflow") if beyond else (_FINITE, "")
        yield Finding("finite", "ok", title, f"{everywhere}{but}.", facts={"checked": checked, "beyond": beyond})
        return
    yield Finding(
        "finite",
        "note",
        "Infinite at an end of the domain",
        f"{everywhere}, but for the end: {_told(ends[0], small=True)}.",
        facts=_facts(ends),
    )


def _overflows(ground: Ground, order: int, y: float, f: float, got: float) -> bool:
    """Return whether the true number is finite, but too large for float64, and not for one prediction alone."""
    beside = f + np.array([-1, 1]) * _BESIDE * max(ground.unit, abs(f))
    if np.isin(beside, ground.inside(beside)).all():
        part = ground.parts(np.full(2, y), beside)[order]
        if np.isfinite(part).all():
            return False
    if math.isnan(got) and not ground.exact:
        return False
    if not ground.exact:
        return abs(f - y) > 3 * ground.unit
    return any(abs(truth) < math.inf for truth in ground.truths(order, y, f))


def _broken(ground: Ground, found: list[Bad]) -> Finding:
    order, y, _, got = first = found[0]
    tried = sum(int(curve.near.sum()) for curve in ground.curves)
    rows = {(y, f) for _, y, f, _ in found}
    by_target = len({y for y, _ in rows}) == 1 and sum(curve.y == y for curve in ground.curves) < len(ground.curves)
    what = "not a number" if math.isnan(got) else "infinite"
    if len(rows) == tried:
        advice = "It is so wherever it was looked at: a part of the formula has no value at all."
    elif by_target and len(rows) > 3:
        advice = f"Declare where targets lie, such as target='(0, inf)', so that y = {number(y)} is refused."
    elif all(place <= 0 for _, place in rows) and len(rows) > 1:
        advice = "Declare where predictions lie, such as prediction='(0, inf)', or write the formula with exp(f)."
    elif all(f == y for y, f in rows):
        advice = (
            "It is so where the prediction is perfect, at the very place that training goes to: add a constant inside."
        )
    elif all(place <= 0 or place >= 1 for _, place in rows):
        advice = "Declare where predictions lie, such as prediction='(0, 1)', or write the formula with sigmoid(f)."
    else:
        advice = "Declare where both lie, such as target='(0, inf)', prediction='(0, inf)', so that others are refused."
    return Finding(
        "finite",
        "error",
        f"The {NAMES[order]} is {what} inside the domain",
        f"{_told(first)}; so it is at {len(rows)} of {tried:,} points.",
        advice,
        _facts(found),
    )


def _told(found: Bad, *, small: bool = False) -> str:
    order, y, f, got = found
    value = "no number" if math.isnan(got) else ("inf" if got > 0 else "-inf")
    return f"{'the' if small else 'The'} {NAMES[order]} is {value} at y = {number(y)}, f = {number(f)}"


def _facts(found: list[Bad]) -> dict[str, object]:
    order, y, f, _ = found[0]
    return {"part": NAMES[order].lower(), "y": y, "f": f, "points": len({(y, f) for _, y, f, _ in found})}


# --- size -----------------------------------------------------------------------------------------


def scale(ground: Ground) -> Iterator[Finding]:
    """Say how large value, gradient and Hessian are one unit away from the target, and where they overflow."""
    y = np.array([curve.y for curve in ground.curves])
    centre = np.array([curve.centre for curve in ground.curves])
    sides = []
    for way in (-1, 1):
        f = centre + way * ground.unit
        inside = np.isin(f, ground.inside(f))
        sides.append([np.where(inside, part, np.nan) for part in ground.parts(y, np.where(inside, f, centre))])
    with np.errstate(all="ignore"):
        sizes = [_middle(np.abs(np.concatenate([side[order] for side in sides]))) for order in range(3)]
        low, high = (_middle(side[0]) for side in sides)
    where = (
        f"{number(ground.unit)} away from the target" if ground.link.name == "identity" else "1 off in the link's units"
    )
    if ground.binary:
        where = f"at predictions of {number(centre[0] - ground.unit)} and {number(centre[0] + ground.unit)}"
    evidence = (
        f"{where[0].upper()}{where[1:]} the loss is about {number(sizes[0])}, its gradient {number(sizes[1])}, its "
        f"Hessian {number(sizes[2])}."
    )
    uneven = not ground.binary and low > 0 < high and not 0.99 < high / low < 1.01
    if uneven:
        more, less = ("high", "low") if high > low else ("low", "high")
        evidence += f" Too {more} costs {number(max(high, low) / min(high, low))} times what too {less} costs."
    facts = {"value": sizes[0], "gradient": sizes[1], "hessian": sizes[2], "too_low": low, "too_high": high}
    severity: Severity = "ok"
    advice, title = "", "Of ordinary size"
    if sizes[1] > _HUGE * max(1.0, ground.unit) or 0 < sizes[1] < _TINY:
        severity, title = "warning", f"The gradient is {'huge' if sizes[1] > 1 else 'tiny'}"
        advice = "Multiply the loss by a constant, or learning rates and regularisation will have to make up for it."
    elif not np.isfinite(sizes[:2]).all():
        severity, title = "note", "Its size one unit away is not known"
    yield Finding("scale", severity, title, evidence, advice, facts)


def _middle(numbers: Array) -> float:
    known = numbers[np.isfinite(numbers)]
    return float(np.median(known)) if known.size else math.nan


def overflow(ground: Ground) -> Iterator[Finding]:
    """Say how far from the target the first result lies that is beyond float32 and float64."""
    reach = {name: _reach(ground, kind) for name, kind in (("float32", np.float32), ("float64", np.float64))}
    soon = _SOON[ground.link.name] if not ground.binary else 30.0
    short = {name: far for name, far in reach.items() if far < soon * ground.unit}
    told = " and ".join(
        f"in {name} {'nowhere' if math.isinf(far) else f'{number(far)} away'}" for name, far in reach.items()
    )
    evidence = f"The first number that is not finite is met {told}."
    if math.isinf(reach["float64"]) and math.isinf(reach["float32"]):
        evidence = "No prediction makes it overflow, in float32 or float64."
    if short:
        yield Finding(
            "overflow",
            "warning",
            f"Overflows soon in {' and '.join(short)}",
            evidence,
            "One outlier makes the cost infinite, or no number. Let the loss grow more slowly, as abs or log1p do.",
            reach,
        )
        return
    yield Finding("overflow", "ok", "No overflow within reach", evidence, facts=reach)


def _reach(ground: Ground, kind: npt.DTypeLike) -> float:
    """Return how far from the target the first prediction lies whose results are not finite, while nearer ones are."""
    nearest = math.inf
    top = float(np.finfo(kind).max)
    for curve in ground.curves:
        for way in (-1, 1):
            away = _REACH[top / 4 > _REACH] * ground.unit
            found = _first_bad(ground, curve, way, away, kind)
            nearest = min(nearest, found)
    return nearest


def _first_bad(ground: Ground, curve: Curve, way: int, away: Array, kind: npt.DTypeLike) -> float:
    for _ in range(3):  # each time between neighbours of the last
        f = curve.centre + way * away
        kept = np.isin(f, ground.inside(f)) & (np.abs(f) < float(np.finfo(kind).max))
        away, f = away[kept], f[kept]
        if not f.size:
            return math.inf
        parts = ground.parts(np.full(f.shape, curve.y), f, kind)[:2]
        bad = ~np.all(np.isfinite(parts), axis=0)
        if not bad.any() or bad[0]:
            return math.inf  # what is broken from the start on is no overflow
        first = int(np.argmax(bad))
        away = np.linspace(away[first - 1], away[first], 33)
    return float(away[first])
