"""Numbers that cards state in words: each is computed, and the words are looked up, so that both change together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, stats

import lossmith as lm


def texts(name: str) -> str:
    """Return all that a card says about a loss."""
    card = lm.loss_class(name).card
    myths = [text for myth in card.myths for text in (myth.claim, myth.truth)]
    return " | ".join((card.picture, *card.pros, *card.cons, *card.use_when, *card.avoid_when, *myths))


def efficiency(loss: lm.Loss) -> float:
    """Return how efficient a mean by this loss is under normal noise of deviation 1."""

    def expected(function: Any) -> float:
        places = [place for kink in loss.card.kinks for place in kink.at(loss, 0.0)]
        found, _ = integrate.quad(lambda r: function(r) * stats.norm.pdf(r), -12, 12, points=places or None, limit=200)
        return float(found)

    bend = expected(lambda r: loss.hessian(0.0, r))
    return bend**2 / expected(lambda r: loss.gradient(0.0, r) ** 2)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lm.Huber(1.345), "customary is 1.345"),
        (lm.Tukey(4.685), "with the customary c it loses 5% of efficiency"),
        (lm.Cauchy(2.385), "customary is 2.385"),
        (lm.Welsch(2.11), "customary is 2.11"),
        (lm.Fair(1.400), "customary is 1.400"),
    ],
    ids=str,
)
def test_customary_scales_keep_95_percent_of_efficiency(loss: lm.Loss, words: str) -> None:
    assert words in texts(loss.name)
    assert efficiency(loss) == pytest.approx(0.95, abs=5e-4)


def test_efficiency_is_one_for_squared_error_and_two_over_pi_for_an_almost_absolute_one() -> None:
    assert efficiency(lm.SquaredError()) == pytest.approx(1)
    assert efficiency(lm.Huber(1e-3)) == pytest.approx(2 / np.pi, abs=1e-3)


@pytest.mark.parametrize(
    ("loss", "at", "pull", "words"),
    [
        (lm.PseudoHuber(delta=3), 3.0, 0.71 * 3, "at delta it pulls with 0.71 delta"),
        (lm.Fair(c=3), 3.0, 1.5, "at a residual of c it pulls with c / 2"),
        (lm.Tukey(c=3), 3.0, 0.0, "rows beyond c are out of the fit, exactly"),
        (lm.SmoothL1(beta=3), 100.0, 1.0, "its pull is at most 1"),
    ],
    ids=str,
)
def test_pulls(loss: lm.Loss, at: float, pull: float, words: str) -> None:
    assert words in texts(loss.name)
    assert loss.gradient(0.0, at) == pytest.approx(pull, abs=0.005 * at)


@pytest.mark.parametrize(("name", "words"), [("cauchy", "strongest"), ("welsch", "strongest")])
def test_the_pull_is_strongest_at_the_scale(name: str, words: str) -> None:
    loss = lm.get(name, scale=2.0)
    assert words in loss.parameters()["scale"].doc
    found = optimize.minimize_scalar(lambda r: -loss.gradient(0.0, r), bounds=(0.1, 10), method="bounded")
    assert found.x == pytest.approx(2.0, abs=1e-4)


def test_where_the_naive_forms_overflow() -> None:
    assert "overflows from a residual of 711" in texts("log_cosh")
    with np.errstate(over="ignore"):
        assert np.isfinite(np.cosh(710.0))
        assert np.isinf(np.cosh(711.0))
    assert "wrong by 710, in float32 by 89" in texts("exponential")
    for at, dtype in ((710, np.float64), (89, np.float32)):
        losses = lm.Exponential().losses(np.zeros(2, dtype), np.array([at - 1, at], dtype))
        assert np.isfinite(losses).tolist() == [True, False]


def test_bounds_of_slopes_and_losses() -> None:
    assert "between minus the count and 1 / dispersion" in texts("negative_binomial")
    slopes = lm.NegativeBinomial(dispersion=0.5).gradient([3.0, 3.0, 3.0], [-500.0, 0.0, 500.0])
    np.testing.assert_allclose(slopes[[0, 2]], [-3, 2])
    assert "at most 100%" in texts("absolute_percentage_error")
    assert lm.AbsolutePercentageError().losses([7.0], [0.0]) == [1.0]
    assert "twice the Huber loss with delta 2" in texts("modified_huber")
    assert "differs by gamma / 2 at most" in texts("smoothed_hinge")
    scores = np.linspace(-3, 3, 601)
    gap = lm.Hinge().losses(np.ones(601), scores) - lm.SmoothedHinge(0.4).losses(np.ones(601), scores)
    assert gap.max() == pytest.approx(0.2)
    assert gap.min() == 0


def sharpest(loss: lm.Loss, shares: list[float]) -> np.ndarray:
    """Return the predicted probabilities with the least expected loss, where classes have these shares."""
    y = np.arange(len(shares))

    def cost(z: np.ndarray) -> float:
        return float(loss.cost(y, np.tile([0.0, *z], (len(shares), 1)), weight=shares))

    best = optimize.minimize(cost, np.log(np.array(shares[1:]) / shares[0]), method="Nelder-Mead").x
    powers = np.exp([0.0, *best])
    return np.asarray(powers / powers.sum())


@pytest.mark.parametrize(
    ("name", "words", "sharper"),
    [
        ("softmax_focal", "not the probabilities but flatter ones", False),
        ("generalised_cross_entropy", "sharper than the true ones", True),
        ("symmetric_cross_entropy", "sharper than the true ones", True),
    ],
)
def test_in_which_way_probabilities_are_distorted(name: str, words: str, sharper: bool) -> None:
    assert words in texts(name)
    found = sharpest(lm.get(name), [0.5, 0.3, 0.2])
    assert (found[0] > 0.51) if sharper else (found[0] < 0.49)
    assert sharpest(lm.SparseCategoricalCrossEntropy(), [0.5, 0.3, 0.2])[0] == pytest.approx(0.5, abs=1e-3)


def test_the_scores_of_an_asymmetric_loss_come_out_too_high() -> None:
    assert "scores come out too high" in texts("asymmetric")
    y = np.array([1.0] * 2 + [0.0] * 8)
    assert lm.Asymmetric().optimal_constant(y) > lm.BinaryCrossEntropy().optimal_constant(y)


@pytest.mark.parametrize("name", ["poly_one", "softmax_poly_one"])
def test_up_to_which_epsilon_poly_one_is_convex(name: str) -> None:
    assert "epsilon" in texts(name)
    assert ("not convex for epsilon above 1" in texts(name)) or ("convex only for epsilon up to 1" in texts(name))
    f = np.linspace(-12, 12, 481)
    for epsilon, convex in ((-1.0, True), (1.0, True), (1.05, False)):
        if name == "poly_one":
            bends = lm.PolyOne(epsilon).hessian(np.ones(481), f)
        else:
            rows = np.stack([f, np.zeros(481), np.zeros(481) - 1], axis=1)
            full = lm.SoftmaxPolyOne(epsilon).hessian(np.zeros(481, int), rows, kind="full")
            bends = np.linalg.eigvalsh(full)[:, 0]
        assert (bends.min() >= -1e-12) == convex


@pytest.mark.parametrize("name", ["crammer_singer", "weston_watkins"])
def test_multiclass_hinges_can_miss_the_likeliest_class_without_a_majority(name: str) -> None:
    assert "where no class has half of the probability its best scores can miss" in texts(name)
    loss, y = lm.get(name), np.arange(3)

    def cost(scores: list[float], shares: list[float]) -> float:
        return float(loss.cost(y, np.tile(scores, (3, 1)).astype(float), weight=shares))

    divided, majority = [0.49, 0.48, 0.03], [0.55, 0.44, 0.01]
    level = [1, 1, 1] if name == "crammer_singer" else [2, 2, 1]
    assert cost(level, divided) < min(cost([2, 1, 1], divided), cost([3, 2, 1], divided))
    assert min(cost([2, 1, 1], majority), cost([3, 2, 1], majority)) < cost(level, majority)


def test_many_even_levels_tend_to_the_crps() -> None:
    assert "with many even levels twice the loss tends to the CRPS" in texts("multi_quantile")
    levels = (np.arange(400) + 0.5) / 400
    quantiles = stats.norm(1.0, 2.0).ppf(levels)
    found = lm.MultiQuantile(tuple(levels.tolist())).losses([0.3], quantiles[None])
    assert 2 * found == pytest.approx(lm.CRPSGaussian().losses([0.3], [1.0], scale=2.0), rel=1e-3)
