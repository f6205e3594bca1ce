"""What a loss estimates: which number about the targets the best constant prediction is, found by search.

The expected loss of a constant is minimised on simulated targets whose mean, median and mode lie apart, and
the result is held against the statistics that losses are known for. Nothing is read from the card.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from lossmith.checking.ground import Array, Ground
from lossmith.checking.minimum import bottom
from lossmith.checking.report import Finding, number
from lossmith.errors import LossmithError

POINTS = 400
_CONSTANTS = 161
_REACHES = (1.0, 1e2, 1e4, 1e8)
_FARTHEST = 40.0  # logits and log rates beyond this are certainty in float64
_PROBABILITIES = (0.05, 0.2, 0.4, 0.6, 0.7, 0.9)
_LEVEL = 0.004
_WIDE = 1e-3
_CLOSE = 1e-4
_SAME = 1e-9


@dataclass(frozen=True)
class Sample:
    """Targets with weights, and what the best constant for them is, on the scale of predictions as declared.

    Attributes:
        name: what they are.
        y: targets.
        w: their weights, which add up to 1.
        low, high: the constants with the least expected loss; far ends where it falls towards one.
        ends: whether the best constant lies at the end of what was searched.
    """

    name: str
    y: Array
    w: Array
    low: float = math.nan
    high: float = math.nan
    ends: bool = False

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(self.w @ self.y)

    def quantile(self, level: float) -> float:
        """Return a quantile."""
        order = np.argsort(self.y, kind="stable")
        return float(self.y[order][np.searchsorted(np.cumsum(self.w[order]), level - 1e-12)])


def samples(ground: Ground) -> list[Sample]:
    """Return simulated targets that suit the loss, each with the constant that costs least."""
    return [_solved(ground, sample) for sample in _drawn(ground)]


def _drawn(ground: Ground) -> Iterator[Sample]:
    domain = ground.loss.domains["y"]
    if ground.binary:
        low, high = (domain.values or (domain.low, domain.high))[:: max(len(domain.values) - 1, 1)]
        for p in _PROBABILITIES:
            yield Sample(f"{p:.0%} yes", np.array([low, high]), np.array([1 - p, p]))
        return
    if domain.values:
        weights = 0.5 ** np.arange(len(domain.values))
        yield Sample("few values", np.array(domain.values), weights / weights.sum())
        return
    u = (np.arange(POINTS) + 0.5) / POINTS
    normal = np.array([NormalDist().inv_cdf(float(x)) for x in u])
    skewed, long, early = np.exp(0.8 * normal), -np.log1p(-u), (-np.log1p(-u)) ** (1 / 6)
    even = np.full(POINTS, 1 / POINTS)
    unit = ground.unit
    if math.isfinite(domain.low) and math.isfinite(domain.high):
        wide = domain.high - domain.low
        shapes = {"many low": u**3, "many high": 1 - u**2, "in the middle": 0.5 + 0.4 * (u - 0.5) ** 3 * 8}
        for name, shape in shapes.items():
            yield Sample(name, domain.low + wide * shape, even)
    elif math.isfinite(domain.low) or math.isfinite(domain.high):
        end, way = (domain.low, 1) if math.isfinite(domain.low) else (domain.high, -1)
        scaled = {"log-normal amounts": 2 * skewed, "waiting times": 3 * long, "lifetimes": 4 * early}
        for name, shape in scaled.items():
            yield Sample(name, end + way * unit * shape, even)
        if ground.loss.card.task == "counts" and domain.includes(0.0):
            counts = np.arange(40.0)
            chance = np.cumprod(np.append(1.0, (counts[1:] + 0.5) / counts[1:] * 0.75))  # negative binomial, mean 4.5
            yield Sample("counts", counts, chance / chance.sum())
    else:
        for name, shape in (("skewed to the right", 2 * skewed - 1), ("skewed to the left", 3 - 2 * long)):
            yield Sample(name, unit * shape, even)
        yield Sample("with a tail to the left", unit * (4 * early - 5), even)


def _solved(ground: Ground, sample: Sample) -> Sample:
    """Return the sample with its best constant, which is looked for farther out where it lies at an end."""
    near = _within(ground, sample, _REACHES[0])
    if not near.ends or ground.binary or ground.link.name != "identity":
        return near
    farther = (_within(ground, sample, reach) for reach in _REACHES[1:])
    return next((found for found in farther if not found.ends), near)


def _within(ground: Ground, sample: Sample, farther: float) -> Sample:
    """Return the sample with the best constant among the targets and so many times their spread beyond them."""
    best = ground.link.forward(sample.y)
    best = np.clip(best[~np.isnan(best)], -_FARTHEST, _FARTHEST) if ground.link.name != "identity" else best
    best = best if best.size else np.zeros(1)  # targets that no prediction through the link can be
    low, high = float(np.min(best)), float(np.max(best))
    if ground.binary:
        low, high = max(ground.domain.low, -_FARTHEST), min(ground.domain.high, _FARTHEST)
    reach = farther * ((high - low) / 2 or ground.unit)
    inner = np.quantile(best, np.linspace(0, 1, 41))
    grid = np.concatenate([np.linspace(low - reach, high + reach, _CONSTANTS), inner, [0.0]])
    grid = np.unique(ground.inside(np.clip(grid, -1e300, 1e300)))

    def cost(constants: Array) -> Array:
        return expected(ground, sample, constants)

    values = cost(grid)
    values = np.where(np.isnan(values), np.inf, values)
    if not np.isfinite(values).any():
        return sample
    known = np.isfinite(values)
    grid, values = grid[known], values[known]
    wide = _WIDE * (ground.unit if ground.link.name == "identity" else 1.0)
    left, right, _ = bottom(cost, grid, values, wide)
    first, last = grid[0] + _SAME * (grid[-1] - grid[0]), grid[-1] - _SAME * (grid[-1] - grid[0])  # but for rounding
    at_end = (left <= first and left > ground.domain.low) or (right >= last and right < ground.domain.high)
    return Sample(sample.name, sample.y, sample.w, left, right, at_end)


def expected(ground: Ground, sample: Sample, constants: Array) -> Array:
    """Return the expected loss of each constant."""
    y = np.broadcast_to(sample.y, (len(constants), len(sample.y)))
    f = np.broadcast_to(constants[:, None], y.shape)
    with np.errstate(all="ignore"):
        return np.asarray(ground.values(y, f) @ sample.w)


# --- which statistic it is --------------------------------------------------------------------------


def estimates(ground: Ground, found: Sequence[Sample]) -> Iterator[Finding]:
    """Say what the best constant is."""
    if any(math.isnan(sample.low) for sample in found):
        yield Finding("estimates", "note", "What it estimates is not known", "No constant has a finite expected loss.")
        return
    yield _of_labels(ground, found) if ground.binary else _of_numbers(ground, found)


def _of_labels(ground: Ground, found: Sequence[Sample]) -> Finding:
    p, middles = np.array(_PROBABILITIES), np.array([(s.low + s.high) / 2 for s in found])
    wide = np.array([s.high - s.low for s in found])
    given = ground.link.inverse(middles)
    told = "; ".join(f"{s.name}: {_constant(ground, s)}" for s in found[1::2])
    facts = {"what": "", "probabilities": p, "constants": middles}
    within = ground.domain.low >= 0 and ground.domain.high <= 1
    of_probabilities = ground.link.name == "logistic" or within

    def finding(what: str, severity: str, title: str, advice: str = "") -> Finding:
        text = f"Best constants on simulated labels: {told}."
        return Finding("estimates", severity, title, text, advice, facts | {"what": what})  # type: ignore[arg-type]

    if of_probabilities and np.all(np.abs(given - p) < _CLOSE) and np.all(wide == 0):
        return finding("probability", "ok", "Proper: the best prediction is the probability")
    same = np.ptp(middles) < _CLOSE
    if same:
        return finding(
            "zero" if abs(middles[0]) < _CLOSE else "constant", "warning",
            f"The same constant, f = {number(middles[0])}, whatever the labels",
            "Constants say nothing here: a model needs features, a margin, or another loss.",
        )  # fmt: skip
    falls = np.any(np.diff(middles) < -_CLOSE)
    if falls:
        return finding(
            "nothing", "error", "More labels that are yes ask for a lower prediction", "Turn the sign around."
        )
    for what, law in (("2p - 1", 2 * p - 1), ("half the log-odds", np.log(p / (1 - p)) / 2)):
        if np.all(np.abs(middles - law) < _CLOSE):
            return finding(
                what, "note", f"The best score is {what}", "A probability follows from it, not by the sigmoid."
            )
    if np.unique(np.round(np.where(found[0].ends, np.sign(middles), middles), 6)).size == 2 or any(
        s.ends for s in found
    ):
        return finding(
            "class", "note", "Only the class is estimated, not its probability",
            "Scores above 0 say yes; no probability can be read from them.",
        )  # fmt: skip
    if not of_probabilities:
        return finding("score", "note", "The best score grows with the probability, by a law of its own")
    off = float(np.max(np.abs(given - p)))
    return finding(
        "distorted probability", "warning", f"Not proper: probabilities are off by up to {number(off)}",
        f"Predictions rank rightly, but are no probabilities until {_repair(ground)}.",
    )  # fmt: skip


def _repair(ground: Ground) -> str:
    """Return what makes probabilities of predictions that are none."""
    try:
        ground.loss.to_probability([0.0])
    except LossmithError:
        return "they are calibrated"
    return "loss.to_probability(raw predictions) undoes that"


def _constant(ground: Ground, sample: Sample) -> str:
    """Return the best constant of a sample as text, behind the link where there is one."""
    if number(sample.low) == number(sample.high):
        raw = f"f = {number(sample.low)}"
    else:
        raw = f"f from {number(sample.low)} to {number(sample.high)}"
    if ground.link.name == "identity" or sample.low != sample.high:
        return raw
    return f"{number(float(ground.link.inverse(sample.low)))} ({raw})"


def _of_numbers(ground: Ground, found: Sequence[Sample]) -> Finding:
    ends = [np.asarray(ground.link.inverse([s.low, s.high])) for s in found]
    told = "; ".join(
        f"{s.name}: {_constant(ground, s)} (mean {number(s.mean)}, median {number(s.quantile(0.5))})" for s in found[:3]
    )
    evidence = f"Best constants on simulated targets, {told}."
    facts: dict[str, object] = {"constants": [s.low for s in found], "means": [s.mean for s in found]}
    if all(s.ends for s in found):
        return Finding("estimates", "warning", "It estimates nothing: no constant is best", evidence,
                       "A model will run away.", facts | {"what": "nothing"})  # fmt: skip
    what, level = _named(found, ends)
    # A search among samples is no more exact than these.
    if what in ("median", "quantile") and abs((exact := _tilt(ground)) - level) <= _LEVEL:
        what, level = "median" if abs(exact - 0.5) <= _SAME else "quantile", exact
    facts |= {"what": what, "level": level}
    if what in ("mean", "median"):
        return Finding("estimates", "ok", f"It estimates the {what}", evidence, facts=facts)
    if what in ("quantile", "expectile"):
        if what == "quantile":
            evidence += f" A share of {number(1 - level)} of the targets lies above."
        return Finding("estimates", "ok", f"It estimates the {what} at level {number(level)}", evidence, facts=facts)
    if what == "constant":
        return Finding("estimates", "warning", "The same constant is best whatever the targets", evidence,
                       "The minimum says nothing about the data.", facts)  # fmt: skip
    return Finding("estimates", "note", f"It estimates {what}", evidence, facts=facts)


def _tilt(ground: Ground) -> float:
    """Return the share of the slope below the target in those below and above, if each is one number; else none."""
    below, above = (
        np.concatenate([curve.parts[1][curve.near & (way * (curve.f - curve.centre) > 0)] for curve in ground.curves])
        for way in (-1, 1)
    )
    if not all(side.size and np.ptp(side) <= _SAME * np.max(np.abs(side)) for side in (below, above)):
        return math.nan
    return float(-below[0] / (above[0] - below[0]))


def _named(found: Sequence[Sample], ends: Sequence[Array]) -> tuple[str, float]:
    """Return which statistic the best constants are, with its level where it has one."""
    scales = [max(float(np.ptp(s.y)), 1e-300) for s in found]

    def are(statistic: Sequence[float]) -> bool:
        return all(
            low - _CLOSE * scale <= x <= high + _CLOSE * scale
            for x, (low, high), scale in zip(statistic, ends, scales, strict=True)
        )

    if are([s.mean for s in found]):
        return "mean", math.nan
    bounds = [_levels(s, (low + high) / 2) for s, (low, high) in zip(found, ends, strict=True)]
    least, most = max(low for low, _ in bounds) - _LEVEL, min(high for _, high in bounds) + _LEVEL
    if least <= most and 0 < (level := round((least + most) / 2, 3)) < 1:
        return ("median" if abs(level - 0.5) <= _LEVEL / 2 else "quantile"), level
    taus = [_expectile(s, (low + high) / 2) for s, (low, high) in zip(found, ends, strict=True)]
    if max(taus) - min(taus) < 1e-3 and 0 < taus[0] < 1:
        return "expectile", round(float(np.median(taus)), 4)
    for name, way, back in (("the geometric mean", np.log, np.exp), ("the harmonic mean", np.reciprocal, np.reciprocal),
                            ("the geometric mean of y + 1, less 1", np.log1p, np.expm1),
                            ("the root of the mean square", np.square, np.sqrt)):  # fmt: skip
        with np.errstate(all="ignore"):
            if are([float(back(s.w @ way(s.y))) for s in found]):
                return name, math.nan
    for power, by in ((1, "1/|y|"), (2, "1/y**2")):
        if all(np.all(s.y != 0) for s in found):
            weighted = [replace(s, w=s.w / np.abs(s.y) ** power / (s.w @ np.abs(s.y) ** -float(power))) for s in found]
            if are([s.mean for s in weighted]):
                return f"the mean weighted by {by}", math.nan
            if are([s.quantile(0.5) for s in weighted]):
                return f"the median weighted by {by}", math.nan
    middles = [(low + high) / 2 for low, high in ends]
    if np.ptp(middles) < _CLOSE * max(scales):
        return "constant", math.nan
    offsets = [x - s.mean for s, x in zip(found, middles, strict=True)]
    if np.ptp(offsets) < _CLOSE * max(scales):
        return f"the mean {'plus' if offsets[0] > 0 else 'less'} {number(abs(offsets[0]))}", math.nan
    ratios = [x / s.mean for s, x in zip(found, middles, strict=True)]
    if np.ptp(ratios) < _CLOSE:
        return f"{number(ratios[0])} times the mean", math.nan
    shares = [_between(s, x) for s, x in zip(found, middles, strict=True)]
    if all(0 < share < 1 for share in shares):
        return "what lies between median and mean", math.nan
    if all(share < 0 for share in shares):
        return "what lies beyond the median, on the side of the mode", math.nan
    if all(share > 1 for share in shares):
        return "what lies beyond the mean, on the side of the long tail", math.nan
    nearer = {abs(share) < abs(share - 1) for share in shares}
    side = f", nearer to the {'median' if nearer.pop() else 'mean'}" if len(nearer) == 1 else ""
    return f"a number of its own{side}", math.nan


def _levels(sample: Sample, constant: float) -> tuple[float, float]:
    """Return the shares of the targets below a constant, and at or below it."""
    near = _CLOSE * np.ptp(sample.y)
    return float(sample.w @ (sample.y < constant - near)), float(sample.w @ (sample.y <= constant + near))


def _expectile(sample: Sample, constant: float) -> float:
    """Return the level at which a constant is the expectile."""
    below = float(sample.w @ np.maximum(constant - sample.y, 0))
    above = float(sample.w @ np.maximum(sample.y - constant, 0))
    return below / (below + above) if below + above else math.nan


def _between(sample: Sample, constant: float) -> float:
    """Return how far a constant lies on the way from the median (0) to the mean (1)."""
    median = sample.quantile(0.5)
    return (constant - median) / (sample.mean - median)
