"""Laws of the tests: how often they find a winner where there is none, and what they are made of."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from lossmith.choosing.statistics import (
    Verdict,
    bayesian_correlated_t,
    corrected_resampled_t,
    decide,
    holm,
)
from lossmith.errors import ParameterError

FloatArray = NDArray[np.float64]
Decide = Callable[..., Verdict]

FOLDS, REPEATS, LEVEL = 5, 2, 0.05


def uncorrected(scores: FloatArray, *, test_rows: float, train_rows: float, **options: bool) -> Verdict:
    """The mistake to catch: a plain t-test, which takes folds for independent samples."""
    return decide(scores, test_rows=1e-12 * train_rows, train_rows=train_rows, **options)


def equal_folds(rng: np.random.Generator, candidates: int) -> FloatArray:
    """Scores of equally good candidates whose folds are correlated as shared training rows make them."""
    fold_count = FOLDS * REPEATS
    shared = rng.normal(size=(candidates, 1))
    own = rng.normal(size=(candidates, fold_count))
    rho = 1.0 / FOLDS
    return 50.0 + math.sqrt(rho) * shared + math.sqrt(1.0 - rho) * own


def equal_models(rng: np.random.Generator, candidates: int) -> FloatArray:
    """Real cross-validation of models that are equally good: each sees another feature of equal worth."""
    rows = 60
    x = rng.normal(size=(rows, candidates))
    y = x.sum(axis=1) + rng.normal(size=rows)
    scores = []
    for _ in range(REPEATS):
        place = rng.permutation(rows) % FOLDS
        for fold in range(FOLDS):
            train, test = place != fold, place == fold
            slope = (x[train] * y[train, None]).sum(axis=0) / (x[train] ** 2).sum(axis=0)
            scores.append(((y[test, None] - slope * x[test]) ** 2).mean(axis=0))
    return np.array(scores).T


def false_winners(
    draw: Callable[[np.random.Generator, int], FloatArray], candidates: int, trials: int, judge: Decide
) -> float:
    """Return how often a winner is named among equals."""
    rng = np.random.default_rng(7)
    named = 0
    for _ in range(trials):
        verdict = judge(draw(rng, candidates), greater_is_better=False, test_rows=1.0, train_rows=FOLDS - 1.0)
        named += verdict.kind == "winner"
    return named / trials


def margin(trials: int) -> float:
    """Three standard errors of a rate at the nominal level."""
    return 3.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / trials)


CASES = [(equal_folds, 2, 2000), (equal_folds, 5, 1000), (equal_models, 2, 1000), (equal_models, 4, 600)]


@pytest.mark.parametrize(("draw", "candidates", "trials"), CASES)
def test_among_equals_a_winner_is_named_at_most_at_the_nominal_rate(
    draw: Callable[[np.random.Generator, int], FloatArray], candidates: int, trials: int
) -> None:
    assert false_winners(draw, candidates, trials, decide) <= LEVEL + margin(trials)


@pytest.mark.parametrize(("draw", "candidates", "trials"), [case for case in CASES if case[1] == 2])
def test_that_law_catches_a_test_without_the_correction(
    draw: Callable[[np.random.Generator, int], FloatArray], candidates: int, trials: int
) -> None:
    assert false_winners(draw, candidates, trials, uncorrected) > LEVEL + margin(trials)


def test_the_corrected_test_is_exact_for_folds_that_correlate_as_assumed() -> None:
    """Not only safe but no more careful than it needs to be: p is uniform under equality."""
    rng = np.random.default_rng(3)
    p = [
        corrected_resampled_t(np.subtract(*equal_folds(rng, 2)), test_rows=1, train_rows=FOLDS - 1).p
        for _ in range(3000)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_a_clear_difference_wins() -> None:
    rng = np.random.default_rng(0)
    scores = np.array([[10.0], [12.0], [15.0]]) + 0.1 * rng.normal(size=(3, 10))
    verdict = decide(scores, greater_is_better=False, test_rows=20, train_rows=80)
    assert (verdict.kind, verdict.leader, verdict.contenders) == ("winner", 0, (0,))
    upside = decide(scores, greater_is_better=True, test_rows=20, train_rows=80)
    assert (upside.kind, upside.leader) == ("winner", 2)
    assert all(item.test is not None and item.test.mean > 0.0 for item in upside.comparisons)


def test_those_that_cannot_be_told_apart_are_named_and_the_others_are_beaten() -> None:
    rng = np.random.default_rng(0)
    scores = np.array([[10.0], [30.0], [10.01], [31.0]]) + rng.normal(size=(4, 10))
    verdict = decide(scores, greater_is_better=False, test_rows=20, train_rows=80)
    assert verdict.kind == "tie"
    assert set(verdict.contenders) == {0, 2}
    assert {item.rival for item in verdict.comparisons if item.beaten} == {1, 3}


def test_the_statistic_is_the_formula_of_nadeau_and_bengio() -> None:
    d = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    found = corrected_resampled_t(d, test_rows=20, train_rows=80)
    error = math.sqrt(d.var(ddof=1) * (1 / 5 + 20 / 80))
    assert found.error == pytest.approx(error)
    assert found.p == pytest.approx(2 * stats.t.sf(d.mean() / error, 4))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 4, d.mean(), error))


def test_the_interval_excludes_zero_exactly_where_p_is_below_the_level() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        d = rng.normal(0.8, 1.0, 10)
        found = corrected_resampled_t(d, 20, 80)
        assert (found.p < 0.05) == (found.low > 0.0 or found.high < 0.0)


def test_turning_the_difference_turns_the_result() -> None:
    d = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    one, other = corrected_resampled_t(d, 20, 80), corrected_resampled_t(-d, 20, 80)
    assert (one.p, one.low, one.high) == pytest.approx((other.p, -other.high, -other.low))
    there, back = bayesian_correlated_t(d, 20, 80, 0.1), bayesian_correlated_t(-d, 20, 80, 0.1)
    assert (there.better, there.equal, there.worse) == pytest.approx((back.worse, back.equal, back.better))


def test_the_posterior_is_the_correlated_t_of_benavoli() -> None:
    d = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    rho = 20 / 100  # their correlation is the share of rows held out
    scale = math.sqrt((1 / 5 + rho / (1 - rho)) * d.var(ddof=1))
    found = bayesian_correlated_t(d, 20, 80, rope=0.05)
    posterior = stats.t(4, d.mean(), scale)
    assert found.better == pytest.approx(posterior.sf(0.05))
    assert found.worse == pytest.approx(posterior.cdf(-0.05))
    assert found.better + found.equal + found.worse == pytest.approx(1.0)


def test_without_a_region_of_equality_the_posterior_and_p_say_the_same() -> None:
    d = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    found = bayesian_correlated_t(d, 20, 80, rope=0.0)
    assert found.equal == pytest.approx(0.0, abs=1e-12)
    assert 2 * found.worse == pytest.approx(corrected_resampled_t(d, 20, 80).p)


def test_equal_differences_need_no_error() -> None:
    nothing = corrected_resampled_t(np.zeros(5), 20, 80)
    assert (nothing.p, nothing.low, nothing.high) == (1.0, 0.0, 0.0)
    always = corrected_resampled_t(np.full(5, 0.1), 20, 80)
    assert (always.p, always.mean) == (0.0, pytest.approx(0.1))
    assert math.isinf(always.statistic)
    assert bayesian_correlated_t(np.full(5, 0.1), 20, 80, 0.2).equal == 1.0
    assert bayesian_correlated_t(np.full(5, 0.1), 20, 80, 0.05).better == 1.0


def test_identical_candidates_tie() -> None:
    row = np.array([3.0, 4.0, 5.0])
    verdict = decide(np.array([row, row]), greater_is_better=False, test_rows=1, train_rows=2)
    assert (verdict.kind, verdict.contenders) == ("tie", (0, 1))


def test_rounding_is_no_difference() -> None:
    row = np.array([127.1, 314.3, 116.9, 248.3])
    verdict = decide(np.array([row, row * (1 + 1e-15)]), greater_is_better=False, test_rows=1, train_rows=2)
    assert verdict.kind == "tie"


def test_holm_on_the_textbook_numbers() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()
    assert holm([0.7, 0.9]) == (1.0, 1.0)


def test_a_candidate_without_a_finite_score_can_neither_lead_nor_tie() -> None:
    scores = np.array([[1.0, np.inf, 1.0], [5.0, 5.1, 4.9], [5.1, 5.0, 5.0]])
    verdict = decide(scores, greater_is_better=False, test_rows=1, train_rows=2)
    assert verdict.leader != 0
    lost = next(item for item in verdict.comparisons if item.rival == 0)
    assert lost.beaten
    assert lost.test is None
    assert set(verdict.contenders) == {1, 2}


def test_one_candidate_is_alone() -> None:
    assert decide(np.ones((1, 4)), greater_is_better=False, test_rows=1, train_rows=3).kind == "alone"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corrected_resampled_t([1.0], 1, 1), "at least two differences"),
        (lambda: corrected_resampled_t([1.0, math.inf], 1, 1), "finite differences"),
        (lambda: corrected_resampled_t([1.0, 2.0], 0, 1), "must be positive"),
        (lambda: bayesian_correlated_t([1.0, 2.0], 1, 1, -1.0), "rope must be zero or more"),
        (lambda: decide(np.full((2, 3), np.inf), greater_is_better=False, test_rows=1, train_rows=2), "no candidate"),
    ],
)
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        call()
