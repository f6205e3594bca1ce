"""Whether derivatives are those of the value, and how many digits of them are right."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lossmith.checking.ground import Array, Curve, Ground
from lossmith.checking.report import Finding, number

NAMES = ("value", "gradient", "Hessian")
_STEP = 6e-6  # about the cube root of the rounding of float64
_SMALLER = 8.0
_RELATIVE = 1e-3
_ROUNDING = 2.0**-52
_ULPS = 8.0  # what results of the catalogue are off by
_NEARLY, _FEW = 0.01, 64.0
_MANY = 1e-5  # of a result: less than that float32 has not, and training does not see
_KEEP_DIGITS = {
    "expm1": "expm1(x)", "log1p": "log1p(x)", "softplus": "softplus(x)", "logcosh": "logcosh(x)",
    "bowl": "bowl(x, 1), which is sqrt(1 + x**2) - 1,",
}  # fmt: skip
_POINTS = 8  # for each target


@dataclass(frozen=True)
class Mismatch:
    """A derivative that is not between the slopes on either side, and whether it is the only one of its target."""

    y: float
    f: float
    got: float
    low: float
    high: float
    single: bool


def derivatives(ground: Ground) -> Iterator[Finding]:
    """Hold gradient and Hessian against finite differences, and all three against sixty digits."""
    tried = 0
    for order in (1, 2):
        for curve in ground.curves:
            near = curve.f[curve.near]
            count, wrong = _differences(ground, np.full(near.shape, curve.y), near, order)
            tried += count
            # Rounding inside of a formula, which its result does not show, spoils many differences at once.
            accused = next((each for each in wrong if not _is_rounding(ground, order, each, curve)), None)
            if accused is not None:
                yield _wrong(ground, order, accused)
                return
    yield from _digits(ground, tried)


def _wrong(ground: Ground, order: int, wrong: Mismatch) -> Finding:
    y, f, got, low, high = wrong.y, wrong.f, wrong.got, wrong.low, wrong.high
    name, below = NAMES[order], NAMES[order - 1]
    facts = {"y": y, "f": f, "got": got, "differences": [low, high], "order": order}
    between = number(low) if math.isclose(low, high, rel_tol=1e-3) else f"{number(low)} to {number(high)}"
    place = f"At y = {number(y)}, f = {number(f)}"
    evidence = f"{place} the {name} is {number(got)}, and differences of the {below} are {between}."
    if "hold" in ground.operations:
        title = f"The {name} is not the derivative of the {below}, on purpose"
        return Finding("derivatives", "note", title, f"{evidence} The formula holds a part of itself.", facts=facts)
    title = f"The {name} is not the derivative of the {below}"
    if wrong.single:
        text = f"{evidence} So it is at this place alone, where kinks of the formula's parts cancel."
        advice = "Write the formula without them: abs and sign are 0 in the middle, and so are their derivatives."
        return Finding("derivatives", "warning", f"{title} at one place", text, advice, facts)
    return Finding("derivatives", "error", title, evidence, "Correct the derivative.", facts)


def _differences(ground: Ground, y: Array, f: Array, order: int) -> tuple[int, list[Mismatch]]:
    """Return how many derivatives were tried, and those not between the slopes to left and right, the worst first."""
    steps = _STEP * np.maximum(ground.unit, np.abs(f))
    inside = np.isin(f - steps, ground.inside(f - steps)) & np.isin(f + steps, ground.inside(f + steps))
    y, f, steps = y[inside], f[inside], steps[inside]
    if not f.size:
        return 0, []

    def computed(x: Array) -> tuple[Array, Array]:
        part = ("losses", "gradient", "hessian")
        found = ground.loss.evaluate(y, x, (part[order - 1], part[order]), trusted=True)
        return found[part[order - 1]], found[part[order]]

    here, got = computed(f)
    sides = []
    for step in (steps, steps / _SMALLER):
        above, below = computed(f + step)[0], computed(f - step)[0]
        sides.append(((here - below) / step, (above - here) / step, np.maximum(np.abs(above), np.abs(below))))
    (left, right, size), (left2, right2, _) = sides
    low, high = np.minimum(left, right), np.maximum(left, right)
    noise = 16 * _ROUNDING * np.maximum(np.abs(here), size) * np.maximum(1, np.abs(f)) / steps
    slack = noise + _RELATIVE * np.maximum(np.abs(got), np.maximum(np.abs(low), np.abs(high)))
    # Where it jumps, differences grow as steps shrink, and where it bends much within a step, they differ by as much.
    steady = (np.abs(left2 - left) + np.abs(right2 - right)) <= slack + 0.5 * (high - low)
    judged = steady & np.isfinite(got) & np.isfinite(low) & np.isfinite(high) & np.isfinite(slack)
    off = judged & ((got < low - slack) | (got > high + slack))
    excess = np.where(off, np.maximum(low - got, got - high) / slack, -1)
    worst = np.argsort(-excess, kind="stable")[: int(off.sum())].tolist()
    single = len(worst) == 1
    return int(judged.sum()), [
        Mismatch(float(y[at]), float(f[at]), float(got[at]), float(low[at]), float(high[at]), single) for at in worst
    ]


def _is_rounding(ground: Ground, order: int, wrong: Mismatch, curve: Curve) -> bool:
    """Return whether rounding explains it all: that of parts as large as results elsewhere, or that of the values.

    If it is that of the values, a derivative lies between the slopes of the true function.
    """
    step = _STEP * max(ground.unit, abs(wrong.f))
    values = np.abs(curve.parts[order - 1][curve.near])
    usual = float(np.median(values[np.isfinite(values)]))
    if max(wrong.low - wrong.got, wrong.got - wrong.high) * step <= _FEW * _ROUNDING * usual * max(1.0, abs(wrong.f)):
        return True
    truths = ground.truths(order - 1, wrong.y, *(wrong.f + way * step for way in (-1, 0, 1)))
    if not truths:
        return False
    below, here, above = truths
    low, high = sorted((float((here - below) / step), float((above - here) / step)))
    slack = _RELATIVE * max(abs(low), abs(high))
    return low - slack <= wrong.got <= high + slack


@dataclass(frozen=True)
class _Worst:
    ulps: float
    order: int
    y: float
    f: float
    got: float
    truth: float

    @property
    def relative(self) -> float:
        return abs(self.got - self.truth) / abs(self.truth) if self.truth else math.inf


def _digits(ground: Ground, tried: int) -> Iterator[Finding]:
    agree = f"{tried:,} derivatives agree with finite differences."
    if not ground.exact:
        evidence = f"{agree} Digits were not counted: that needs mpmath (pip install mpmath)."
        yield Finding("derivatives", "ok", "Derivatives are those of the value", evidence, facts={"differences": tried})
        return
    count, worst = _worst(ground)
    facts = {"differences": tried, "truths": count}
    if worst is None:
        evidence = f"{agree} Sixty digits decide none of the values."
        yield Finding("derivatives", "note", "How many digits are right is not known", evidence, facts=facts)
        return
    facts |= {name: getattr(worst, name) for name in ("ulps", "order", "y", "f", "got", "truth")}
    ulps = worst.ulps if worst.ulps >= _NEARLY else 0.0
    place = f"the {NAMES[worst.order]} at y = {number(worst.y)}, f = {number(worst.f)}"
    evidence = (
        f"{agree} Of {count} results against 60 digits the worst is off by {ulps:.2g} units in the last place: {place}."
    )
    if worst.ulps <= _FEW:
        yield Finding("derivatives", "ok", "Derivatives are right to the last digits", evidence, facts=facts)
        return
    evidence += f" It is {worst.got:.17g} and should be {worst.truth:.17g}."
    if worst.relative <= _MANY:
        yield Finding("derivatives", "note", "Some digits are lost to rounding", evidence, facts=facts)
        return
    broken = worst.relative > 0.01
    others = [written for name, written in _KEEP_DIGITS.items() if name not in ground.operations]
    advice = "Write the formula so that nearly equal numbers are not subtracted"
    if others:
        advice += f": {', '.join(others[:-1])}{' and ' if others[1:] else ''}{others[-1]} keep digits"
    title = "Results are wrong by rounding" if broken else "Many digits are lost to rounding"
    yield Finding("derivatives", "warning", title, evidence, f"{advice}.", facts)


def _worst(ground: Ground) -> tuple[int, _Worst | None]:
    """Return how many results were held against the truth, and the worst of them."""
    from lossmith.certify import oracle
    from lossmith.certify.exactness import OUTPUTS, error

    rng, count, worst = np.random.default_rng(0), 0, None
    each = max(2, min(_POINTS, 800 // max(ground.steps, 1)))
    for curve in ground.curves:
        usable = np.flatnonzero(curve.near & np.all(np.isfinite(curve.parts), axis=0))
        if not usable.size:
            continue
        f = curve.f[rng.choice(usable, min(each, usable.size), replace=False)]
        found = ground.loss.evaluate(np.full(f.shape, curve.y), f, OUTPUTS, trusted=True)
        for order, output in enumerate(OUTPUTS):
            for place, got in zip(f.tolist(), found[output].tolist(), strict=True):
                try:
                    off = error(ground.loss, order, curve.y, place, got, np.float64, _ULPS)
                    truth = float(oracle.truth(ground.loss, curve.y, place, order))
                except (oracle.Undecided, ValueError, ZeroDivisionError, OverflowError):
                    continue
                count += 1
                if worst is None or off > worst.ulps:
                    worst = _Worst(off, order, curve.y, place, got, truth)
    return count, worst
