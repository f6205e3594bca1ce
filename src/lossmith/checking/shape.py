"""The shape of the curve: where it has kinks and jumps, and whether it is convex."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.checking.ground import Array, Curve, Ground
from lossmith.checking.report import Finding, number, relation
from lossmith.errors import plural
from lossmith.structures.pointwise import Pointwise

_CURVES = 3
_SAME = 1e-9
_INFINITE = 1e15
_SLACK = 1e-9
_UNKNOWN = (AssertionError, ArithmeticError, ValueError)  # of the oracle: nothing agrees, a pole, no number
_WORK = 1500  # instructions times kinks that are followed to their place
_TINY = 1e-300
_ROUNDED = 1e-30  # of what jumps: places are known to 45 digits, and limits beside them to fewer


# --- kinks ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corner:
    """A place where something jumps, for one target."""

    y: float
    f: float
    what: str
    left: float
    right: float


def kinks(ground: Ground) -> Iterator[Finding]:
    """Find where the value, the gradient or the Hessian jumps, by the choices that the formula makes."""
    if not ground.exact:
        yield Finding("kinks", "note", "Kinks were not looked for", "That needs mpmath (pip install mpmath).")
        return
    if "hold" in ground.operations:
        text = "What the formula holds is another number at every prediction, so no choice of it can be followed."
        yield Finding("kinks", "note", "Kinks were not looked for", text)
        return
    from lossmith.certify.meaning import CHOOSE

    # What makes no choice is analytic.
    curves = _some(ground)[:: 1 if ground.steps < _WORK // 10 else _CURVES] if ground.operations & CHOOSE.keys() else ()
    found = [corner for curve in curves for corner in _corners(ground, curve)]
    if not found:
        whole = all(np.isfinite(np.asarray(curve.parts)[:, curve.near]).all() for curve in ground.curves)
        where = "" if whole else " where they are finite"
        yield Finding(
            "kinks", "ok", "No kink and no jump", f"Value, gradient and Hessian are continuous{where}.", facts={}
        )
        return
    groups: dict[tuple[str, str], list[Corner]] = {}
    for corner in found:
        groups.setdefault((_place(ground, corner, found), corner.what), []).append(corner)
    for what in ("value", "gradient", "hessian"):
        places = {place: corners for (place, kind), corners in groups.items() if kind == what}
        if places:
            yield _finding(what, places)


def _finding(what: str, places: Mapping[str, Sequence[Corner]]) -> Finding:
    shown = [
        f"at {place} from {_told(corners[0].left)} to {_told(corners[0].right)}" for place, corners in places.items()
    ]
    name = "Hessian" if what == "hessian" else what
    more = f", and at {plural(len(shown) - 4, 'more place')}" if len(shown) > 4 else ""
    evidence = f"The {name} jumps {'; '.join(shown[:4])}{more}."
    facts = {"what": what, "places": {place: [c.left, c.right] for place, (c, *_) in places.items()}}
    if what == "value":
        advice = "No derivative sees a jump: training walks past it. Make the branches meet where they change."
        return Finding("jumps", "warning", "The loss itself jumps", evidence, advice, facts)
    steep = any(abs(side) > _INFINITE for corners in places.values() for c in corners for side in (c.left, c.right))
    if what == "gradient":
        if steep:
            advice = "Steps explode near it; smooth the corner, as hypot(1, x) smooths abs(x)."
            return Finding("kinks", "warning", "A corner of infinite slope", evidence, advice, facts)
        return Finding("kinks", "note", f"A kink at {next(iter(places))}", evidence, facts=facts)
    if steep:
        evidence = f"The Hessian grows without limit beside {', beside '.join(list(places)[:4])}{more}."
        return Finding("kinks", "note", f"The curvature has no bound at {next(iter(places))}", evidence, facts=facts)
    return Finding("kinks", "note", f"The curvature jumps at {next(iter(places))}", evidence, facts=facts)


def _told(slope: float) -> str:
    return number(slope) if abs(slope) <= _INFINITE else ("-inf" if slope < 0 else "inf")


def _some(ground: Ground) -> Sequence[Curve]:
    """Return a few targets: the outer ones, and one between."""
    curves = ground.curves
    if len(curves) <= _CURVES:
        return curves
    return [curves[0], curves[len(curves) // 2], curves[-1]]


def _corners(ground: Ground, curve: Curve) -> Iterator[Corner]:
    from mpmath import mpf

    from lossmith.certify.jumps import switches

    step = max(2, ground.steps // 20)  # long formulas are looked at in fewer places
    f = curve.f if ground.link.name == "identity" and not ground.binary else curve.f[curve.near]
    grid = np.unique(np.concatenate([f[::step], f[[0, -1]]])).tolist()
    seen: list[float] = []
    most = max(3, _WORK // ground.steps)
    for low, high in itertools.pairwise(grid):
        try:
            places = switches(ground.loss, curve.y, mpf(low), mpf(high))
        except _UNKNOWN:
            continue  # a pole, which is told of elsewhere
        for place in places:
            at = float(place) if abs(place) > _SAME**3 else 0.0
            # A kink on a point of the grid is met from both sides.
            if not any(abs(at - other) <= _SAME * max(ground.unit, abs(at)) for other in seen):
                if _is_flat(ground, curve, at):
                    continue
                seen.append(at)
                yield from _corner(ground, curve.y, place, at)
        if len(seen) >= most:
            return


def _is_flat(ground: Ground, curve: Curve, at: float) -> bool:
    """Return whether nothing jumps at a place that is anything: far out, choices hang on what no float shows."""
    beside = at + np.array([-1, 1]) * _SAME * max(ground.unit, abs(at))
    value, slope, bend = ground.parts(np.full(2, curve.y), beside)
    most = [float(np.max(np.abs(part), where=curve.near & np.isfinite(part), initial=0.0)) for part in curve.parts]
    jumps = [value[1] - value[0], slope, bend]
    return not any(np.any(np.abs(part) > _ROUNDED * top) for part, top in zip(jumps, most, strict=True))


def _corner(ground: Ground, y: float, place: Any, at: float) -> Iterator[Corner]:
    from lossmith.certify import oracle
    from lossmith.certify.jumps import NAMES, jumping

    try:
        what = jumping(ground.loss, y, place)
        if not what:
            return
        sides = [float(oracle.one_sided(ground.loss, y, place, side, NAMES.index(what))) for side in (-1, 1)]
        if what == "value" and max(map(abs, sides)) > _INFINITE:
            return  # a pole, which is told of elsewhere
        if all(map(math.isfinite, sides)):
            least = _ROUNDED * max(map(abs, sides))
            sides = [0.0 if abs(side) <= least else side for side in sides]
            yield Corner(y, at, what, *sides)
            return
    except _UNKNOWN:
        pass
    # A slope without limit leaves nothing to compare: does it grow on the way?
    away = ground.unit * np.array([1e-6, 1e-12])
    for order in (1, 2):
        try:
            slopes = [[float(oracle.truth(ground.loss, y, at + side * x, order)) for x in away] for side in (-1, 1)]
        except _UNKNOWN:
            return
        grows = [math.isfinite(far) and abs(near) > 2 * abs(far) for far, near in slopes]
        if any(grows):
            ends = [math.copysign(math.inf, near) if up else near for (_, near), up in zip(slopes, grows, strict=True)]
            yield Corner(y, at, NAMES[order], *ends)
            return


def _place(ground: Ground, corner: Corner, found: Sequence[Corner]) -> str:
    """Return where a corner is in terms of the target, as the other targets have it too."""
    places = {y: [other.f for other in found if other.y == y] for y in {other.y for other in found}}
    place = relation(places, corner.y, corner.f)
    if ground.binary and "y" in place:  # two labels lie on any line
        place = ""
    return place or f"f = {number(corner.f)} for y = {number(corner.y)}"


# --- convexity ------------------------------------------------------------------------------------


def convex(ground: Ground) -> Iterator[Finding]:
    """Look for a chord below the curve, and for a place that is higher than both of its sides."""
    chord = _worst(ground, _above_chord)
    if chord is None:
        finite = [curve for curve in ground.curves if np.isfinite(curve.value).any()]
        count = sum(int(np.isfinite(curve.value).sum()) for curve in finite)
        proved = isinstance(ground.loss, Pointwise) and ground.loss._proof.convex
        yield Finding(
            "convex",
            "ok",
            "Convex in the prediction",
            f"No chord between {count:,} predictions for {plural(len(finite), 'target')} lies below the curve."
            + (" The rules of convex composition prove it for all." if proved else ""),
            facts={"convex": True, "quasiconvex": True, "proved": proved},
        )
        return
    y, (a, m, b), (la, lm, lb) = chord
    share = (m - a) / (b - a)
    evidence = (
        f"For y = {number(y)} the loss is {number(la)} at f = {number(a)}, {number(lm)} at {number(m)} and "
        f"{number(lb)} at {number(b)}; the chord passes {number(la + share * (lb - la))} at {number(m)}."
    )
    facts = {"convex": False, "y": y, "f": [a, m, b], "losses": [la, lm, lb]}
    hill = _worst(ground, _above_sides)
    if hill is None:
        evidence += " There is still one valley: from anywhere the way to it never goes up."
        yield Finding(
            "convex", "note", "Not convex, but with one valley", evidence, facts=facts | {"quasiconvex": True}
        )
        return
    y, (a, m, b), (la, lm, lb) = hill
    evidence += (
        f" It has a hill: for y = {number(y)} it is {number(la)} at f = {number(a)}, {number(lm)} at {number(m)} and "
        f"{number(lb)} at {number(b)}."
    )
    yield Finding(
        "convex",
        "warning",
        "Not convex, with a hill between valleys",
        evidence,
        "Training from the wrong side ends in the wrong valley: begin near the best constant.",
        facts | {"quasiconvex": False, "hill": {"y": y, "f": [a, m, b], "losses": [la, lm, lb]}},
    )


Triple = tuple[float, float, float]
Places = npt.NDArray[np.intp]
Excess = Callable[[Array, Array], tuple[tuple[Places, Places, Places], Array]]
"""``(predictions, losses) -> (places of triples, how far the middle of each is too high)``."""


def _worst(ground: Ground, excess: Excess) -> tuple[float, Triple, Triple] | None:
    """Return target, predictions and losses of the clearest counter-example, among ordinary predictions if there is."""
    return _clearest(ground, excess, near=True) or _clearest(ground, excess, near=False)


def _clearest(ground: Ground, excess: Excess, *, near: bool) -> tuple[float, Triple, Triple] | None:
    found, most = None, 0.0
    for curve in ground.curves:
        known = np.isfinite(curve.value) & (curve.near | (not near))
        f, values = curve.f[known], curve.value[known]
        for stride, start in ((1, 0), (3, 0), (3, 1), (3, 2), (9, 0), (9, 3), (9, 6)):
            x, v = f[start::stride], values[start::stride]
            if x.size < 3:
                continue
            triples, over = excess(x, v)
            share = over / (np.median(np.abs(values)) + np.abs(over) + _TINY)
            at = int(np.argmax(share))
            if share[at] > most:
                i, j, k = (int(index[at]) for index in triples)
                most = float(share[at])
                found = curve.y, (float(x[i]), float(x[j]), float(x[k])), (float(v[i]), float(v[j]), float(v[k]))
    return found


def _above_chord(x: Array, v: Array) -> tuple[tuple[Places, Places, Places], Array]:
    """Return triples of neighbours, and how far the middle lies above the chord."""
    a, m, b = x[:-2], x[1:-1], x[2:]
    with np.errstate(all="ignore"):
        over = v[1:-1] - (v[:-2] + (m - a) / (b - a) * (v[2:] - v[:-2]))
        size = np.maximum(np.abs(v[:-2]), np.maximum(np.abs(v[1:-1]), np.abs(v[2:])))
    first = np.arange(len(x) - 2)
    return (first, first + 1, first + 2), _beyond_rounding(over, size)


def _above_sides(x: Array, v: Array) -> tuple[tuple[Places, Places, Places], Array]:
    """Return for each place the lowest on either side, and how far it lies above the higher of the two."""
    left = np.array([int(np.argmin(v[: place + 1])) for place in range(len(v))])
    right = np.array([place + int(np.argmin(v[place:])) for place in range(len(v))])
    with np.errstate(all="ignore"):
        over = v - np.maximum(v[left], v[right])
    return (left, np.arange(len(v)), right), _beyond_rounding(over, np.abs(v))


def _beyond_rounding(over: Array, size: Array) -> Array:
    """Return differences, 0 where they are what differences of large numbers leave."""
    return np.where(np.isfinite(over) & (over > _SLACK * size + _TINY), over, 0.0)


def symmetric(ground: Ground) -> bool:
    """Return whether no pair of opposite residuals, or of targets, shows another loss."""
    away = ground.unit * np.array([0.25, 0.8, 3.0, 17.0])
    targets = [y for y in ground.targets if math.isfinite(y)]
    both = []
    for y, way in itertools.product(targets, (-1, 1)):
        f = y + way * away
        inside = np.isin(f, ground.inside(f))
        both.append(np.where(inside, ground.values(np.full(f.shape, y), np.where(inside, f, y)), np.nan))
    with np.errstate(all="ignore"):
        apart = np.nanmax(both, axis=0) - np.nanmin(both, axis=0)
    return bool(np.all(~(apart > 1e-9 * np.nanmax(np.abs(both), axis=0))))
