"""What the best constant is: it minimises, and it is the statistic that the card names."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from mpmath import mp, mpf

import lossmith as lm
from lossmith import Loss
from lossmith.certify import oracle
from lossmith.certify.points import Array, inside, kinds
from tests.laws.grid import CASES
from tests.together import by_name

pytestmark = pytest.mark.engines

PRECISION = 1e-12
"""How near to the optimum a constant lies, relative to its size or to the spread of the targets."""


def sample(loss: Loss, scale: float = 1.0) -> tuple[Array, Array]:
    """Return targets that suit a loss, skewed and with ties, and uneven weights."""
    rng = np.random.default_rng(7)
    domain = loss.target_domain
    weights = rng.uniform(0.2, 3.0, 15)
    if math.isfinite(domain.high):
        labels = np.array([0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0])
        return domain.low + (domain.high - domain.low) * labels.astype(float), weights
    skewed = np.round(np.exp(rng.normal(0.0, 1.2, 15)) * 2, 1)
    if math.isfinite(domain.low):
        return domain.low + scale * (np.round(skewed) if domain.low_included else skewed), weights
    return scale * (skewed - 2), weights


def scales(loss: Loss) -> tuple[float, ...]:
    """Return units in which targets may come."""
    return (1.0,) if math.isfinite(loss.target_domain.high) else (1.0, 1e-6, 1e9)


def constant_is_best(loss: Loss, scale: float = 1.0) -> None:
    """No constant on a dense grid costs less, and none beside it does, at 50 digits."""
    y, w = sample(loss, scale)
    raw = loss.raw_form
    best = loss.optimal_constant(y, w)
    assert math.isfinite(best)
    middle, spread = raw.link.forward(np.median(y)), np.ptp(y)
    reach = spread if raw.link.name == "identity" else 30.0
    grid = np.append(np.linspace(best - reach, best + reach, 1001), [best, middle] if np.isfinite(middle) else [best])
    grid = np.where([raw.domains["f"].includes(f) for f in grid], grid, best)
    tried, truths = np.repeat(grid, len(y)), np.tile(y, len(grid))
    costs = raw.evaluate(truths, tried, ("losses",), trusted=True)["losses"].reshape(len(grid), len(y)) @ w
    assert costs[1001] <= min(costs) + 1e-12 * abs(min(costs)), (
        f"{loss}: {grid[np.argmin(costs)]} costs less than {best}"
    )
    if math.isinf(costs[1001]):
        return  # every constant costs more than the greatest number, and none can be told from another
    apart = PRECISION * max(abs(best), spread if raw.link.name == "identity" else 1.0)
    here = oracle.cost(raw, y.tolist(), w.tolist(), best)
    for step in (-1e6 * apart, -apart, apart, 1e6 * apart):
        if not raw.domains["f"].includes(best + step):
            continue
        with mp.workdps(60):
            there = oracle.cost(raw, y.tolist(), w.tolist(), mpf(best) + step)
            assert here <= there + abs(there) * mpf("1e-45"), (
                f"{loss}: moving {best} by {step} costs {here - there} less"
            )


def weights_are_repetitions(loss: Loss) -> None:
    """A weight of 3 is the row three times, and a weight of 0 no row."""
    y, _ = sample(loss)
    counts = np.arange(len(y)) % 4
    weighted, repeated = loss.optimal_constant(y, counts), loss.optimal_constant(np.repeat(y, counts))
    assert weighted == pytest.approx(repeated, rel=1e-12, abs=1e-12)


def flat_minimum_gives_its_middle(loss: Loss) -> None:
    """Where a whole interval of constants is best, the constant is its midpoint."""
    domain, raw = loss.target_domain, loss.raw_form
    first = 0.0 if domain.includes(0) else 1.0
    y = first + np.arange(20.0) if math.isinf(domain.high) else np.repeat([domain.low, domain.high], 10)
    best, w = loss.optimal_constant(y), [1.0] * 20
    least = oracle.cost(raw, y.tolist(), w, best)

    def same(constant: float) -> bool:
        return bool(oracle.cost(raw, y.tolist(), w, constant) <= least * (1 + 1e-14))

    def edge(way: float) -> float:
        inside, outside = 0.0, 1e3
        if same(best + way * outside):
            return math.inf
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if same(best + way * middle) else (inside, middle)
        return inside

    if not (same(best - 1e-3) or same(best + 1e-3)):
        return
    left, right = edge(-1.0), edge(1.0)
    if math.isfinite(left) and math.isfinite(right):
        assert left == pytest.approx(right, abs=1e-5), (
            f"{loss}: {best} is not the middle of [{best - left}, {best + right}]"
        )


def one_target_is_met(loss: Loss) -> None:
    """When all rows ask for the same, the constant is that, infinite for certainty, and reaches the floor."""
    domain = loss.target_domain
    for target in (domain.low, domain.high) if math.isfinite(domain.high) else (3.0, 0.0):
        if not domain.includes(target):
            continue
        y = np.full(5, target)
        best = loss.optimal_constant(y)
        if loss.card.estimates in ("probability", "distorted probability"):
            assert best == math.copysign(math.inf, target - (domain.low + domain.high) / 2)
        context = loss.context(y)
        assert context.constant == best
        assert context.constant_cost == pytest.approx(context.floor, abs=1e-12)


def context_bounds_costs(loss: Loss) -> None:
    """No prediction costs less than the floor, and the floor is at most the cost of the best constant."""
    y, w = sample(loss)
    context = loss.context(y, w)
    assert context.constant == loss.optimal_constant(y, w)
    assert context.constant_cost is not None
    assert context.floor <= context.constant_cost
    assert context.can_be_negative is not loss.card.traits.nonnegative
    if context.constant_cost == context.floor:
        assert context.share(context.floor) is None
    else:
        assert context.share(context.floor) == 1
        assert context.share(context.constant_cost) == 0
    raw, rng = loss.raw_form, np.random.default_rng(3)
    for _ in range(50):
        f = inside(raw.domains["f"], rng, len(y), 4.0) + rng.choice([0.0, 1.0]) * raw.link.forward(np.clip(y, 0.3, 0.7))
        assert raw.cost(y, f, w) >= context.floor - 1e-12 * abs(context.floor)


# --- the statistic that the card names ------------------------------------------------------------


def _middle(y: Array, w: Array, level: float) -> tuple[float, float]:
    """Return the least and the greatest weighted quantile."""
    order = np.argsort(y)
    share = np.cumsum(w[order]) / np.sum(w)
    return float(y[order][np.searchsorted(share, level - 1e-12)]), float(
        y[order][np.searchsorted(share, level + 1e-12)]
    )


def _quantile(loss: Loss, y: Array, w: Array, best: float, level: float) -> bool:
    low, high = _middle(y, w, level)
    return low <= best <= high


def _between(one: float, c: float, other: float) -> bool:
    return min(one, other) < c < max(one, other)


def _near(mine: float, c: float, other: float) -> bool:
    """Return whether a constant is much nearer to one mark than to another."""
    return abs(c - mine) < abs(c - other) / 3


def _expectile(loss: Loss, y: Array, w: Array, c: float) -> bool:
    """Return whether what lies above, times the level, weighs as much as what lies below, times the rest."""
    above, below = np.sum(w * np.maximum(y - c, 0)), np.sum(w * np.maximum(c - y, 0))
    return bool(np.isclose(loss.values["level"] * above, (1 - loss.values["level"]) * below, rtol=1e-11))


def _geometric(loss: Loss, y: Array, w: Array, c: float) -> bool:
    low = loss.target_domain.low
    return bool(np.isclose(np.log(c - low), np.average(np.log(y - low), weights=w), rtol=1e-12))


def _share(loss: Loss, y: Array, w: Array) -> float:
    domain = loss.target_domain
    return float(np.average((y - domain.low) / (domain.high - domain.low), weights=w))


def _log_odds(loss: Loss, y: Array, w: Array) -> float:
    share = _share(loss, y, w)
    return math.log(share / (1 - share))


def smooth(scale: float = 1.0) -> Array:
    """Return the quantiles of the waiting time for three events, a skewed distribution with its mode at 2."""
    x = np.linspace(0, 30, 200_001)
    return scale * np.interp((np.arange(2000) + 0.5) / 2000, 1 - np.exp(-x) * (1 + x + x * x / 2), x)


MODE, MEDIAN, MEAN = 2.0, 2.6740603, 3.0  # of ``smooth``
WIDE = 30.0  # against the scale of a loss


NAMED: dict[str, Callable[[Loss, Array, Array, float], bool]] = {
    "mean": lambda loss, y, w, c: np.isclose(loss.raw_form.link.inverse(c), np.average(y, weights=w), rtol=1e-12),
    "median": lambda loss, y, w, c: _quantile(loss, y, w, c, 0.5),
    "quantile": lambda loss, y, w, c: _quantile(loss, y, w, c, loss.values["level"]),
    "expectile": _expectile,
    "geometric mean": _geometric,
    "weighted median": lambda loss, y, w, c: _quantile(loss, y, w / np.abs(y), c, 0.5),
    "between mean and median": lambda loss, y, w, c: _between(MEDIAN, c, MEAN),
    "between mean and mode": lambda loss, y, w, c: _between(MODE, c, MEAN),
    "near the median": lambda loss, y, w, c: _near(MEDIAN, c, MEAN),
    "near the mean": lambda loss, y, w, c: _near(MEAN, c, MEDIAN),
    "near the mode": lambda loss, y, w, c: _near(WIDE * MODE, c, WIDE * MEDIAN),
    "probability": lambda loss, y, w, c: np.isclose(loss.raw_form.link.inverse(c), _share(loss, y, w), rtol=1e-12),
    "distorted probability": lambda loss, y, w, c: abs(loss.raw_form.link.inverse(c) - _share(loss, y, w)) > 0.01,
    "2p - 1": lambda loss, y, w, c: np.isclose(c, 2 * _share(loss, y, w) - 1, rtol=1e-12),
    "half the log-odds": lambda loss, y, w, c: np.isclose(c, _log_odds(loss, y, w) / 2, rtol=1e-12),
    "class": lambda loss, y, w, c: np.sign(c) == np.sign(_share(loss, y, w) - 0.5),
    "zero": lambda loss, y, w, c: c == 0,
}
"""What each word of a card means for the constant of these targets and weights.

No theorem orders the marks of a handful of rows: what lies near or between some is judged on ``smooth`` targets.
"""


def suited(loss: Loss) -> tuple[Array, Array]:
    """Return targets and weights on which the word of a card has its meaning."""
    estimates = loss.card.estimates
    if estimates.startswith(("near", "between")):
        y = smooth(WIDE if estimates == "near the mode" else 1.0)
        return y, np.ones(len(y))
    return sample(loss)


def constant_is_the_named_statistic(kind: type[Loss]) -> None:
    """The best constant is what the card says the loss estimates."""
    loss = kind()
    y, w = suited(loss)
    best = loss.optimal_constant(y, w)
    assert NAMED[kind.card.estimates](loss, y, w, best), f"{loss}: {best} is not what {kind.card.estimates!r} means"


def nothing_is_estimated(kind: type[Loss]) -> None:
    """A loss without a best constant says so, and its cost indeed falls without bound."""
    loss = kind()
    y, w = sample(loss)
    with pytest.raises(lm.NoConstantError, match="no best constant"):
        loss.optimal_constant(y, w)
    assert loss.context(y, w).floor == -math.inf
    assert loss.context(y, w).constant is None
    costs = [loss.cost(y, np.full(len(y), way * size), w) for way in (-1, 1) for size in (1e6, 1e12)]
    assert min(costs) < -1e11


CLASSES = kinds()
ESTIMATING = [kind for kind in CLASSES if kind.card.estimates != "nothing"]


every_estimating_case = pytest.mark.parametrize(
    "case", by_name(case for case in CASES if case.card.estimates != "nothing")
)


@pytest.mark.parametrize(
    ("case", "scale"),
    [(case, scale) for case in CASES for scale in scales(case) if case.card.estimates != "nothing"],
    ids=str,
)
def test_constant_is_best(case: Loss, scale: float) -> None:
    constant_is_best(case, scale)


@every_estimating_case
def test_weights_are_repetitions(case: Loss) -> None:
    weights_are_repetitions(case)


@every_estimating_case
def test_flat_minimum_gives_its_middle(case: Loss) -> None:
    flat_minimum_gives_its_middle(case)


@every_estimating_case
def test_one_target_is_met(case: Loss) -> None:
    one_target_is_met(case)


@every_estimating_case
def test_context_bounds_costs(case: Loss) -> None:
    context_bounds_costs(case)


@pytest.mark.parametrize("kind", ESTIMATING, ids=lambda kind: kind.name)
def test_constant_is_the_named_statistic(kind: type[Loss]) -> None:
    constant_is_the_named_statistic(kind)


@pytest.mark.parametrize("kind", ESTIMATING, ids=lambda kind: kind.name)
def test_another_constant_is_not_the_named_statistic(kind: type[Loss]) -> None:
    loss = kind()
    y, w = suited(loss)
    best, spread = loss.optimal_constant(y, w), np.ptp(y)
    others = [best + spread, best - spread]
    if math.isfinite(loss.target_domain.high):
        others.append(float(loss.raw_form.link.forward(_share(loss, y, w))))
    with np.errstate(invalid="ignore"):
        assert not all(NAMED[kind.card.estimates](loss, y, w, other) for other in others)


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind not in ESTIMATING], ids=lambda kind: kind.name)
def test_nothing_is_estimated(kind: type[Loss]) -> None:
    nothing_is_estimated(kind)


def test_one_class_asks_a_logistic_loss_for_certainty() -> None:
    assert lm.BinaryCrossEntropy().optimal_constant([1, 1, 1]) == math.inf
    assert lm.BinaryCrossEntropy(labels="signed").optimal_constant([-1, -1]) == -math.inf
    assert lm.Focal(prediction="probabilities").optimal_constant([0, 0]) == -math.inf
    assert lm.Poisson().optimal_constant([0, 0]) == -math.inf
