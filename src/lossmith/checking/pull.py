"""How hard a loss pulls: whether far predictions pull without bound, and whether a booster moves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lossmith.checking.ground import Array, Ground
from lossmith.checking.report import Finding, Severity, number, share
from lossmith.checking.statistic import Sample
from lossmith.errors import LossmithError, NoConstantError, plural

_TIGHT = 1.05
_NEAR = np.array([0.5, 1.0, 2.0, 5.0, 10.0, 100.0, 1e3, 1e4, 1e6])
_FAR = np.array([1e12, 1e50, 1e100])
_GROWS = 1.5
_FADES = 1e-3
_BESIDE = np.array([1e-2, 1e-4, 1e-8, 1e-12])
_CLOSE = np.array([1e-3, 1e-6, 1e-9])
_STEEPER = 10.0
_PEAKS, _ROUNDS, _ROUND = 4, 16, np.linspace(0.0, 1.0, 9)  # each round is four times as close
_STEP = 5  # rounds from one distance of ``_CLOSE`` to the next
_SHOWN = (1.0, 10.0, 1000.0)
_NOTHING = 1e-12


def robust(ground: Ground) -> Iterator[Finding]:
    """Say whether the gradient is bounded, and what it does far out."""
    sides = {way: _slopes(ground, way) for way in (-1, 1)}
    told, grows, fades = [], [], []
    places, closer = _closer(ground)
    most = float(np.max(closer, initial=_near(ground)))
    for way, (away, slopes) in sides.items():
        if not away.size:
            continue
        near, far = slopes[away <= 1e6], slopes[away > 1e6]
        if math.isfinite(ground.domain.low if way < 0 else ground.domain.high):
            near, far = slopes[:1], slopes[1:]  # the end of the domain is what is far
        elif not far.size:
            near, far = near[:-1], near[-1:]  # beyond which nothing is a number
        top, beyond = float(np.max(near, initial=0.0)), float(np.max(far, initial=0.0))
        most = max(most, top)
        if math.isinf(ground.steepest) and (math.isinf(top) or not beyond <= _GROWS * top):
            grows.append("below" if way < 0 else "above")
        elif far.size and far[-1] < _FADES * top and top > 0:
            fades.append("below" if way < 0 else "above")
        told.append(_side(ground, way, away, slopes))
    steep = _close(ground)
    if steep[0] * _STEEPER**2 < steep[1] * _STEEPER < steep[2]:
        grows.append("close")
        where = ", ".join(number(x * ground.unit) for x in _CLOSE)
        told.append(f"{where} beside the target its size is {', '.join(map(_told, steep.tolist()))}")
    elif closer.size:
        first, second, third = closer[-1 - 2 * _STEP], closer[-1 - _STEP], closer[-1]
        corners = np.flatnonzero((first * _STEEPER**2 < second * _STEEPER) & (second * _STEEPER < third))
        if corners.size:
            y, f = (number(float(x)) for x in places[corners[0]])
            grows.append("corner")
            told.append(
                f"for y = {y} it is {number(float(third[corners[0]]))} beside f = {f}, and more the closer it is"
            )
    evidence = "; ".join(part for part in told if part)
    evidence = f"{evidence[0].upper()}{evidence[1:]}." if evidence else ""
    proved = math.isfinite(ground.steepest)
    bound = math.inf if grows else ground.steepest if ground.steepest <= _TIGHT * most else most
    facts = {"lipschitz": not grows, "bound": bound, "grows": grows, "fades": fades, "proved": proved}
    bounded = number(bound) if bound == ground.steepest else f"{number(bound)}, as far as seen"
    if proved:
        evidence += f" Interval arithmetic proves that it is never above {number(ground.steepest)}."
    elif not grows:
        evidence += " That was found by search, and is not proved."
    if grows:
        title = "The gradient has no bound"
        yield Finding("robust", "note", title, f"{evidence} {_PULLS.get(grows[0], _OUTLIERS)}", facts=facts)
    elif not most:
        yield Finding("robust", "note", "The gradient is zero wherever it was looked at", evidence, facts=facts)
    elif len(fades) == sum(bool(away.size) for away, _ in sides.values()):
        title = f"The gradient fades far out, and is bounded by {bounded}"
        text = f"{evidence} Outliers are ignored, and so is a model that begins far away."
        yield Finding("robust", "note", title, text, facts=facts)
    else:
        yield Finding("robust", "ok", f"The gradient is bounded by {bounded}", evidence, facts=facts)


_OUTLIERS = "One outlier can outweigh all other rows."
_PULLS = {
    "close": "Rows that are nearly right pull without limit.",
    "corner": "Rows beside that place pull without limit.",
}


def _near(ground: Ground) -> float:
    """Return the largest gradient at ordinary predictions, where it is a number."""
    slopes = [np.abs(curve.parts[1][curve.near]) for curve in ground.curves]
    return float(max(np.max(part, where=np.isfinite(part), initial=0.0) for part in slopes))


def _closer(ground: Ground) -> tuple[Array, Array]:
    """Return targets and predictions where the gradient is largest among ordinary ones, and its size round by round.

    Each round looks between the neighbours of the largest one before, so that peaks between places are found.
    """
    y, low, high = [], [], []
    for curve in ground.curves:
        f, slopes = curve.f[curve.near], np.abs(curve.parts[1][curve.near])
        if f.size < 3 or not np.isfinite(slopes).all():
            continue
        peaks = 1 + np.flatnonzero((slopes[1:-1] >= slopes[:-2]) & (slopes[1:-1] >= slopes[2:]))
        for peak in sorted(peaks, key=lambda place: -slopes[place])[:_PEAKS]:
            y.append(curve.y)
            low.append(f[peak - 1])
            high.append(f[peak + 1])
    below, above, rows = np.array(low), np.array(high), np.arange(len(y))
    found = []
    for _ in range(_ROUNDS if y else 0):
        f = below[:, None] + (above - below)[:, None] * _ROUND
        slopes = np.abs(ground.parts(np.repeat(y, _ROUND.size), f.ravel())[1]).reshape(f.shape)
        slopes = np.where(np.isfinite(slopes), slopes, 0.0)
        best = np.argmax(slopes, axis=1)
        found.append(slopes[rows, best])
        below, above = f[rows, np.maximum(best - 1, 0)], f[rows, np.minimum(best + 1, _ROUND.size - 1)]
    return np.column_stack([y, below]), np.array(found)


def _close(ground: Ground) -> Array:
    """Return the largest gradient of all targets at small distances from them."""
    rows = [np.zeros(_CLOSE.shape)]
    for curve in ground.curves:
        for way in (-1, 1) if math.isfinite(curve.centre) else ():
            f = curve.centre + way * ground.unit * _CLOSE
            if np.isin(f, ground.inside(f)).all():
                slopes = np.abs(ground.parts(np.full(f.shape, curve.y), f)[1])
                rows.append(np.where(np.isnan(slopes), 0.0, slopes))
    return np.asarray(np.max(rows, axis=0))


def _slopes(ground: Ground, way: int) -> tuple[Array, Array]:
    """Return distances and the largest gradient of all targets there; on a bounded side distances from its end."""
    end = ground.domain.low if way < 0 else ground.domain.high
    bounded = math.isfinite(end)
    away = np.append([0.5], _BESIDE) if bounded else np.concatenate([_NEAR, _FAR])
    rows = []
    for curve in ground.curves:
        room = min(ground.unit, abs(end - curve.centre) or 1.0)
        f = end - way * room * away if bounded else curve.centre + way * ground.unit * away
        inside = np.isin(f, ground.inside(f))
        value, slope, _ = ground.parts(np.full(f.shape, curve.y), np.where(inside, f, curve.centre))
        inside &= ~np.isnan(value) & ~np.isnan(slope)  # which is told of elsewhere
        rows.append(np.where(inside, np.abs(slope), -1.0))
    most = np.max(rows, axis=0)
    known = most >= 0  # where nothing is a number, nothing is known to fade
    return away[known], most[known]


def _side(ground: Ground, way: int, away: Array, slopes: Array) -> str:
    if math.isfinite(ground.domain.low if way < 0 else ground.domain.high):
        end = "lower" if way < 0 else "upper"
        return f"beside the {end} end of predictions the gradient's size is {_told(float(slopes[-1]))}"
    shown = [_told(float(slopes[int(np.argmin(np.abs(away - x)))])) for x in _SHOWN if x in away]
    where = ", ".join(number(x * ground.unit) for x in _SHOWN if x in away)
    if not shown:
        return ""
    of = "f = 0" if ground.binary else "the target" if ground.link.name == "identity" else "the target's raw prediction"
    return f"{where} {'below' if way < 0 else 'above'} {of} its size is {', '.join(shown)}"


def _told(x: float) -> str:
    return "inf" if math.isinf(x) else number(x)


# --- boosting -------------------------------------------------------------------------------------


def boosting(ground: Ground, found: Sequence[Sample]) -> Iterator[Finding]:
    """Say whether Newton boosting moves: what the Hessian is at the start of training and on the way to its end."""
    slopes, bends = _met(ground, found)
    if not slopes.size:
        return
    still = slopes == 0
    zero = np.abs(bends) * ground.unit <= _NOTHING * np.abs(slopes)
    negative = (bends < 0) & ~zero
    shares = {name: float(np.mean(part)) for name, part in (("still", still), ("zero", zero), ("negative", negative))}
    facts = {"zero_hessian": shares["zero"], "negative_hessian": shares["negative"], "zero_gradient": shares["still"]}
    evidence = (
        f"At the best constant and half the way to the targets, in {slopes.size:,} simulated rows, the Hessian is zero "
        f"in {share(shares['zero'])} and negative in {share(shares['negative'])} of them, the gradient zero in "
        f"{share(shares['still'])}."
    )
    if not np.any(slopes):
        sloping = any(np.any(curve.parts[1]) for curve in ground.curves)
        where, why = ("where training goes", "") if sloping else ("everywhere", " The loss changes only by jumps.")
        yield Finding(
            "boosting",
            "error",
            f"The gradient is zero {where}: nothing can learn from it",
            f"{evidence}{why}",
            "Use a loss with slopes, and judge by this one.",
            facts,
        )
        return
    severity: Severity = "ok"
    title, advice = "Boosting moves: the Hessian is positive", ""
    if shares["negative"] > 0:
        severity, title = "warning", "Boosting by this Hessian goes astray: it is negative in places"
        advice = (
            "A Newton step points uphill there: train with a Hessian that is kept positive, as lossmith.lightgbm does."
        )
    elif shares["zero"] > 0.5:
        how = "does not move: it is zero" if shares["zero"] == 1 else "hardly moves: it is zero in most rows"
        severity, title = "note", f"Boosting by this Hessian {how}"
        advice = "Newton steps divide by it: train with a floor below the Hessian, as lossmith.lightgbm does."
    elif shares["zero"] > 0:
        severity, title = "note", "Boosting moves, by a floor where the Hessian is zero"
    yield Finding("boosting", severity, title, evidence, advice, facts)


def _met(ground: Ground, found: Sequence[Sample]) -> tuple[Array, Array]:
    """Return gradients and Hessians that training meets."""
    slopes, bends = [], []
    for sample in found:
        start = (sample.low + sample.high) / 2
        if not math.isfinite(start):
            continue
        best = np.array([ground.centre(float(y)) for y in sample.y])
        for part in (0.0, 0.5):
            f = start + part * (best - start)
            f = np.where(np.isin(f, ground.inside(f)), f, best)
            _, slope, bend = ground.parts(sample.y, f)
            known = np.isfinite(slope) & np.isfinite(bend) & (sample.w > 0)
            slopes.append(slope[known])
            bends.append(bend[known])
    return (np.concatenate(slopes), np.concatenate(bends)) if slopes else (np.empty(0), np.empty(0))


# --- the best constant ----------------------------------------------------------------------------


def constant(ground: Ground, found: Sequence[Sample]) -> Iterator[Finding]:
    """Tell the best constant of the user's data, or of a simulated sample, and what predictions gain over it."""
    loss = ground.loss
    if ground.data is not None:
        y, w, what = ground.data.y, ground.data.w, f"your {plural(ground.data.y.size, 'target')}"
    else:
        sample = found[0]
        y, w, what = sample.y, np.asarray(sample.w * len(sample.y)), f"simulated targets ({sample.name})"
    try:
        context = loss.context(y, w)
    except NoConstantError as error:
        yield Finding("constant", "note", "There is no best constant", f"{error}.")
        return
    except LossmithError as error:  # which says nothing of whether there is one
        yield Finding("constant", "note", "The best constant was not found", f"The search for it ended: {error}.")
        return
    if context.constant is None or context.constant_cost is None:
        yield Finding(
            "constant", "note", "There is no best constant", "The cost falls without bound.", facts={"constant": None}
        )
        return
    raw = float(context.constant)
    on_scale = (
        "" if loss.link.name == "identity" else f", that is a prediction of {number(float(loss.link.inverse(raw)))}"
    )
    rounded = abs(context.floor) <= 1e-15 * abs(context.constant_cost)  # of a loss that falls towards 0 far out
    evidence = (
        f"For {what} it is f = {number(raw)}{on_scale}, and costs {number(context.constant_cost)}; the least that any "
        f"predictions could cost is {number(0.0 if rounded else context.floor)}."
    )
    facts: dict[str, object] = {"constant": raw, "cost": context.constant_cost, "floor": context.floor}
    severity: Severity = "ok"
    title, advice = "The best constant is found", ""
    if not math.isfinite(raw):
        severity, title = "note", "The best constant is infinite"
    if ground.data is not None and ground.data.f is not None:
        cost = float(loss.cost(y, ground.data.f, w))
        way = context.share(cost)
        evidence += f" Your predictions cost {number(cost)}"
        evidence += "." if way is None else f": {way:.0%} of the way from the constant down to that."
        facts |= {"your_cost": cost, "share": way}
        if cost > context.constant_cost:
            severity, title = "warning", "Your predictions are worse than a constant"
            advice = "Look at their link and scale: is y_pred what the loss reads, as raw predictions or probabilities?"
    yield Finding("constant", severity, title, evidence, advice, facts)
