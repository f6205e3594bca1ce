"""The deepest of many basins: redescending losses on data with clusters, few rows and many."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.core import minimum

LOSSES = [
    lm.Tukey(c=1), lm.Welsch(scale=0.3), lm.GemanMcClure(scale=0.3), lm.Cauchy(scale=0.1), lm.Barron(alpha=-5),
    lm.Barron(alpha=0.5, scale=0.2), lm.SymmetricPercentageError(),
]  # fmt: skip


def clusters(rows: int, place: float = 61.7) -> np.ndarray:
    """Return targets spread over a thousand, of which a tenth lies within a tenth of one place."""
    rng = np.random.default_rng(rows)
    tight = rng.normal(place, 0.1, rows // 10)
    wide = rng.uniform(-300, 700, rows - len(tight))
    return rng.permutation(np.concatenate([tight, wide]))


def excess(loss: lm.Loss, y: np.ndarray) -> float:
    """Return what the constant costs more than the best of a dense grid and of some targets, relative to the cost."""
    best = loss.optimal_constant(y)
    some = np.random.default_rng(1).choice(y, 60)
    grid = [*np.linspace(y.min(), y.max(), 200), *some, *np.linspace(61, 62.4, 29), best + 1e-4, best - 1e-4]
    costs = [loss.cost(y, np.full(len(y), place)) for place in grid]
    cost = loss.cost(y, np.full(len(y), best))
    return (cost - min(costs)) / cost


@pytest.mark.parametrize("rows", [40, 2_000, 40_000])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_no_other_cluster_costs_less(loss: lm.Loss, rows: int) -> None:
    assert excess(loss, clusters(rows)) <= 1e-12


def test_an_even_grid_alone_would_miss_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minimum, "_candidates", lambda cost, low, high: np.linspace(low, high, 129))
    assert excess(lm.Welsch(scale=0.3), clusters(2_000)) > 1e-3


@pytest.mark.parametrize("share", [0.001, 0.01, 0.5])
def test_clusters_of_every_size_are_found_among_many_rows(share: float) -> None:
    rng = np.random.default_rng(5)
    tight = rng.normal(-217.0, 1e-3, int(60_000 * share))
    y = np.concatenate([tight, rng.uniform(-1e3, 1e3, 60_000 - len(tight))])
    assert lm.Welsch(scale=0.01).optimal_constant(y) == pytest.approx(-217.0, abs=1e-3)


def test_ties_outweigh_rows_that_differ() -> None:
    y = np.concatenate([np.full(3, 5e8), np.full(2, -7e8), np.linspace(-1e9, 1e9, 2_000)])
    weight = np.ones(len(y))
    assert lm.Tukey(c=1).optimal_constant(y) == pytest.approx(5e8, abs=1)
    weight[3:5] = 2.0
    assert lm.Tukey(c=1).optimal_constant(y, weight) == pytest.approx(-7e8, abs=1)


def test_order_of_the_rows_does_not_matter() -> None:
    y = clusters(30_000)
    for loss in LOSSES[:2]:
        assert loss.optimal_constant(y) == pytest.approx(loss.optimal_constant(np.sort(y)), rel=1e-12)


@pytest.mark.parametrize("text", ["min(abs(f - y), 2)", "min(abs(f - y), 2) - 1", "min(abs(f - y)**1.5, 1)"])
def test_a_kink_among_rows_too_far_to_count_is_no_flat_stretch(text: str) -> None:
    loss = lm.formula(text)
    for y in (np.repeat([0.0, 7.0], [60, 50]), np.repeat([0.0, 7.0, 9.5], [60, 50, 40]), np.array([0.0, 7, 14, 100])):
        found = loss.optimal_constant(y)
        costs = [loss.cost(y, np.full(len(y), place)) for place in (found, *y)]
        assert costs[0] == min(costs)
    even = lm.formula("min(max(abs(f - y) - 1, 0), 2)")
    assert even.optimal_constant([0.0, 0.5, 60.0]) == pytest.approx(0.5)  # of those between targets, from 0 to 1
