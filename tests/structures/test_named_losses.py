"""What losses of named inputs are: worked numbers, relations to one another, and where their minimum is."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import stats

import lossmith as lm
from lossmith.engines import numpy as engine
from lossmith.program import trace
from tests import exceptions
from tests.structures.test_named_inputs import NAMED, sample

pytestmark = pytest.mark.engines

RNG = np.random.default_rng(7)
Y, F, S = RNG.normal(size=50), RNG.normal(size=50), np.exp(RNG.normal(size=50))


# --- distributions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "frozen"),
    [
        (lm.GaussianNLL(scale="scale", full=True), stats.norm(F, S)),
        (lm.LaplaceNLL(full=True), stats.laplace(F, S)),
        (lm.StudentTNLL(df=1, full=True), stats.cauchy(F, S)),
        (lm.StudentTNLL(df=4.5, full=True), stats.t(4.5, F, S)),
        (lm.StudentTNLL(df=1e6, full=True), stats.t(1e6, F, S)),
    ],
    ids=lambda item: str(item) if isinstance(item, lm.Loss) else "",
)
def test_a_full_likelihood_is_minus_the_log_density(loss: lm.Loss, frozen: Any) -> None:
    np.testing.assert_allclose(loss.losses(Y, F, scale=S), -frozen.logpdf(Y), rtol=1e-9)


def is_minimum(loss: lm.Loss, **shared: float) -> bool:
    """Return whether a constant prediction and spread cannot be moved to lower the cost."""
    y = np.array([1.0, 2.0, 4.0, 4.5, 9.0])
    spread = loss.inputs[2].name

    def cost(f: float, s: float) -> float:
        return loss.cost(y, np.full(5, f), **{spread: s})

    f, s = shared["f"], shared["s"]
    around = [cost(f + a, s * b) for a, b in itertools.product((-1e-3, 0, 1e-3), (0.999, 1, 1.001))]
    return cost(f, s) <= min(around) + 1e-15


def test_the_gaussian_likelihood_is_least_at_the_sample_mean_and_variance() -> None:
    y = np.array([1.0, 2.0, 4.0, 4.5, 9.0])
    mean, variance = y.mean(), y.var()
    assert is_minimum(lm.GaussianNLL(), f=mean, s=variance)
    assert not is_minimum(lm.GaussianNLL(), f=mean, s=y.var(ddof=1))
    _, gradient = lm.GaussianNLL().cost_and_gradient(y, np.full(5, mean), variance=variance)
    assert gradient["y_pred"].sum() == pytest.approx(0, abs=1e-15)
    assert gradient["variance"] == pytest.approx(0, abs=1e-15)


def test_the_laplace_likelihood_is_least_at_the_median_and_mean_absolute_deviation() -> None:
    y = np.array([1.0, 2.0, 4.0, 4.5, 9.0])
    assert is_minimum(lm.LaplaceNLL(), f=4.0, s=np.abs(y - 4.0).mean())
    assert not is_minimum(lm.LaplaceNLL(), f=y.mean(), s=np.abs(y - y.mean()).mean())


def test_beta_nll_lies_between_likelihood_and_squared_error() -> None:
    plain = lm.GaussianNLL().gradient(Y, F, variance=S)
    for beta in (0.0, 0.3, 1.0):
        found = lm.BetaNLL(beta=beta).gradient(Y, F, variance=S)
        for name in plain:
            np.testing.assert_allclose(found[name], plain[name] * S**beta, rtol=1e-12)
    np.testing.assert_allclose(lm.BetaNLL(beta=1).gradient(Y, F, variance=S)["y_pred"], F - Y, rtol=1e-13)
    np.testing.assert_allclose(lm.BetaNLL(beta=0).losses(Y, F, variance=S), lm.GaussianNLL().losses(Y, F, variance=S))


# --- intervals and scores -------------------------------------------------------------------------


def test_the_interval_score_is_two_quantile_losses() -> None:
    level, ends = 0.8, {"lower": F - S, "upper": F + S / 2}
    alpha = 1 - level

    def by_quantiles(low: float, high: float) -> np.ndarray:
        below, above = lm.Quantile(low).losses(Y, ends["lower"]), lm.Quantile(high).losses(Y, ends["upper"])
        return 2 / alpha * (below + above)

    score = lm.IntervalScore(level).losses(y_true=Y, **ends)
    misses = np.maximum(ends["lower"] - Y, 0) + np.maximum(Y - ends["upper"], 0)
    np.testing.assert_allclose(score, ends["upper"] - ends["lower"] + 2 / alpha * misses, rtol=1e-12)
    np.testing.assert_allclose(score, by_quantiles(alpha / 2, 1 - alpha / 2), rtol=1e-12)
    assert not np.allclose(score, by_quantiles(alpha, 1 - alpha))


def test_crossed_ends_are_allowed_cost_more_and_are_pulled_apart() -> None:
    loss = lm.IntervalScore(level=0.8)
    crossed = {"y_true": [0.0], "lower": [1.0], "upper": [-1.0]}
    assert loss(**crossed) == pytest.approx(-2 + 10 * 2)
    gradient = loss.gradient(**crossed)
    assert gradient["lower"] > 0 > gradient["upper"]


def test_the_crps_is_the_integral_that_defines_it() -> None:
    grid = np.linspace(-60, 60, 400_001)
    for y, f, s in [(0.3, -1.0, 0.5), (2.0, 2.0, 1.5), (-3.0, 4.0, 2.0)]:
        squared = (stats.norm(f, s).cdf(grid) - (grid >= y)) ** 2
        assert lm.CRPSGaussian()([y], [f], scale=s) == pytest.approx(np.trapezoid(squared, grid), abs=2e-4)


def test_the_crps_of_a_sure_prediction_is_the_absolute_error() -> None:
    expected = lm.AbsoluteError().losses(Y, F)
    for scale in (1e-30, 1e-300, 5e-324):
        np.testing.assert_array_equal(lm.CRPSGaussian().losses(Y, F, scale=scale), expected)
        np.testing.assert_array_equal(lm.CRPSGaussian().gradient(Y, F, scale=scale)["y_pred"], np.sign(F - Y))
    assert not np.allclose(lm.CRPSGaussian().losses(Y, F, scale=0.1), expected)


# --- adversaries --------------------------------------------------------------------------------------

LOG = np.log


@pytest.mark.parametrize(
    ("kind", "discriminator", "generator"),
    [  # at a real score of log 3 (probability 3/4) and a fake score of -log 4 (probability 1/5)
        ("minimax", LOG(4 / 3) + LOG(5 / 4), LOG(4 / 5)),
        ("non_saturating", LOG(4 / 3) + LOG(5 / 4), LOG(5)),
        ("least_squares", ((LOG(3) - 1) ** 2 + LOG(4) ** 2) / 2, (LOG(4) + 1) ** 2 / 2),
        ("wasserstein", -LOG(4) - LOG(3), LOG(4)),
        ("hinge", 0.0, LOG(4)),
    ],
)
def test_gan_values_at_known_scores(kind: str, discriminator: float, generator: float) -> None:
    real, fake = [LOG(3)], [-LOG(4)]
    assert lm.GANDiscriminator(kind=kind)(real=real, fake=fake) == pytest.approx(discriminator, rel=1e-14, abs=1e-300)
    assert lm.GANGenerator(kind=kind)(fake=fake) == pytest.approx(generator, rel=1e-14)


def test_only_the_minimax_generator_saturates() -> None:
    slopes = {kind: lm.GANGenerator(kind=kind).gradient(fake=[-30.0])[0] for kind in ("minimax", "non_saturating")}
    assert slopes["minimax"] == pytest.approx(-np.exp(-30), rel=1e-12)
    assert slopes["non_saturating"] == pytest.approx(-1)


def test_the_minimax_generator_plays_for_what_the_discriminator_loses() -> None:
    def summed(kind: str) -> np.ndarray:
        played = lm.GANDiscriminator(kind=kind).losses(real=np.full(50, 1e3), fake=F)  # nothing to lose on real ones
        return played + lm.GANGenerator(kind=kind).losses(fake=F)

    np.testing.assert_allclose(summed("minimax"), 0, atol=1e-15)
    assert np.all(np.abs(summed("non_saturating")) > 0.1)


# --- preferences --------------------------------------------------------------------------------------

PAIRS = {name: -20 * np.exp(RNG.normal(size=50)) for name in ("chosen", "rejected", "reference_chosen")}
PAIRS["reference_rejected"] = -20 * np.exp(RNG.normal(size=50))
MARGIN = PAIRS["chosen"] - PAIRS["reference_chosen"] - PAIRS["rejected"] + PAIRS["reference_rejected"]
POLICY = {name: PAIRS[name] for name in ("chosen", "rejected")}
LEAD = PAIRS["chosen"] - PAIRS["rejected"]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_dpo_is_binary_cross_entropy_of_the_margin(smoothing: float) -> None:
    loss = lm.DPO(beta=0.2, label_smoothing=smoothing)
    label = np.full(50, 1 - smoothing)
    found = loss.losses(**PAIRS)
    np.testing.assert_allclose(found, lm.BinaryCrossEntropy().losses(label, 0.2 * MARGIN), rtol=1e-12)
    assert not np.allclose(found, lm.BinaryCrossEntropy().losses(label, -0.2 * MARGIN))
    gradient = loss.gradient(**PAIRS)
    assert set(gradient) == {"chosen", "rejected"}  # the reference is no input to learn
    np.testing.assert_array_equal(gradient["chosen"], -gradient["rejected"])


@pytest.mark.parametrize("beta", [0.05, 0.1, 1.0])
def test_ipo_is_least_where_the_chosen_answer_has_gained_its_goal(beta: float) -> None:
    gains = np.linspace(-15, 15, 601)
    held = {name: np.full(601, -40.0) for name in PAIRS if name != "chosen"}
    losses = lm.IPO(beta).losses(chosen=-40 + gains, **held)
    assert gains[np.argmin(losses)] == pytest.approx(1 / (2 * beta))
    assert losses.min() == pytest.approx(0, abs=1e-24)


def test_slic_is_a_hinge_of_the_lead_and_with_a_reference_of_the_margin() -> None:
    positive = np.ones(50)
    np.testing.assert_allclose(lm.SLiC().losses(**POLICY), lm.Hinge().losses(positive, LEAD))
    against = lm.SLiC(beta=0.1, reference=True).losses(**PAIRS)
    np.testing.assert_allclose(against, lm.Hinge().losses(positive, 0.1 * MARGIN), atol=1e-12)
    np.testing.assert_allclose(lm.SLiC(margin=3, beta=3).losses(**POLICY), 3 * lm.SLiC().losses(**POLICY))


def test_simpo_is_dpo_without_a_reference_and_takes_gamma_off_after_beta() -> None:
    none = {"reference_chosen": np.zeros(50), "reference_rejected": np.zeros(50)}
    np.testing.assert_allclose(lm.SimPO(0.3, 0).losses(**POLICY), lm.DPO(0.3).losses(**POLICY, **none), rtol=1e-12)
    expected = lm.BinaryCrossEntropy().losses(np.ones(50), 0.3 * LEAD - 1.5)
    np.testing.assert_allclose(lm.SimPO(0.3, 1.5).losses(**POLICY), expected, rtol=1e-11)


# --- traits ------------------------------------------------------------------------------------------------


def chords(loss: lm.Loss) -> np.ndarray:
    """Return how far the loss at midpoints lies above its chords, over points that move all predicted inputs."""
    a, b = sample(loss, 20_000, seed=1), sample(loss, 20_000, seed=2)
    names = {item.name for item in loss.predicted}
    b = {name: values if name in names else a[name] for name, values in b.items()}
    middle = {name: (a[name] + b[name]) / 2 for name in a}
    return np.asarray(loss.losses(**middle) - (loss.losses(**a) + loss.losses(**b)) / 2)


@pytest.mark.parametrize("name", NAMED)
def test_convexity_is_joint_and_as_declared(name: str) -> None:
    loss = lm.get(name)
    assert bool(np.max(chords(loss)) <= 1e-9) == loss.card.traits.convex


@pytest.mark.parametrize("name", NAMED)
def test_sign_and_symmetry_are_as_declared(name: str) -> None:
    loss = lm.get(name)
    data = sample(loss, 2000)
    spread = next((item.name for item in loss.inputs if item.name in ("variance", "scale")), None)
    if spread:
        data[spread] = data[spread] / 100
    assert bool(loss.losses(**data).min() >= 0) == loss.card.traits.nonnegative
    if "y_pred" in data:
        mirrored = {**data, "y_pred": 2 * data["y_true"] - data["y_pred"]}
        assert np.allclose(loss.losses(**mirrored), loss.losses(**data)) == loss.card.traits.symmetric


# --- instructions ---------------------------------------------------------------------------------------------

_POINTS = np.array([1e-320, 1e-300, 1e-20, 1e-3, 0.1, 0.5, 1.0, 2.5, 5.9, 9.99, 10.0, 30.0, 37.5, 1e4, 1e20, 1e300])


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("normal_within", lambda a: mpmath.erf(a / mpmath.sqrt(2))),
        ("bell", lambda a: mpmath.exp(-a * a / 2)),
        ("lgamma_half", lambda a: mpmath.loggamma(a + 0.5) - mpmath.loggamma(a)),
    ],
)
def test_instructions_of_one_number_are_exact(name: str, truth: Any) -> None:
    program = trace(lambda ops, s: {"value": getattr(ops, name)(s["a"])}, ["a"])
    got = engine.run(program, [_POINTS], {})["value"]
    with mpmath.workdps(350):
        for a, found in zip(_POINTS.tolist(), got.tolist(), strict=True):
            expected = truth(mpmath.mpf(a))
            assert abs(mpmath.mpf(found) - expected) <= 3 * np.spacing(abs(float(expected))), (name, a)


def test_the_logarithm_of_a_ratio_does_not_overflow() -> None:
    program = trace(lambda ops, s: {"value": ops.log1p_ratio2(s["a"], s["b"])}, ["a", "b"])
    pairs = [(a * sign, b) for a, b in itertools.product(_POINTS.tolist(), repeat=2) for sign in (1, -1)]
    a, b = np.array(pairs).T.copy()
    got = engine.run(program, [a, b], {})["value"]
    with mpmath.workdps(60):
        for (x, y), found in zip(pairs, got.tolist(), strict=True):
            expected = mpmath.log1p((mpmath.mpf(x) / mpmath.mpf(y)) ** 2)
            assert abs(mpmath.mpf(found) - expected) <= 4 * np.spacing(float(expected)), (x, y)


EXTREME = [
    *itertools.product((5e-162, 1.5e-160, 3e-30, 2.0**-50, 0.3, 1.0, 1e20), (1e-320, 1e-300, 1e-60, 1.0, 1e200)),
    (1.5848931924650133e-13, 5e-324),
    (2e-154, 4e-309),
]
"""Residuals and variances whose squares or ratios are no float64 numbers."""
EXCEPTIONS = exceptions.of("likelihoods")


@pytest.mark.parametrize("loss", [lm.GaussianNLL(), *(lm.BetaNLL(beta) for beta in (0.0, 0.1, 0.5, 1.0))], ids=str)
def test_likelihoods_keep_their_digits_where_squares_and_ratios_leave_the_range(loss: lm.Loss) -> None:
    with mpmath.workdps(60):
        beta = mpmath.mpf(loss.values.get("beta", 0.0))

        def truth(r: Any, v: Any) -> list[Any]:
            weight, far = v**beta, r * r / v
            return [
                weight * (mpmath.log(v) + far) / 2,
                weight * r / v,
                weight * (1 - far) / v / 2,
                weight / v,
                weight * (2 * far - 1) / v / v / 2,
            ]

        for r, v in EXTREME:
            found = loss.evaluate([0.0], [r], variance=[v])
            got = [
                found["losses"],
                *(found[o][name] for o in ("gradient", "hessian") for name in ("y_pred", "variance")),
            ]
            exact = [mpmath.mpf(r), mpmath.mpf(v)]
            ulps = [mpmath.mpf(float(np.spacing(x))) for x in (r, v)]
            moved = truth(exact[0] + ulps[0], exact[1]), truth(exact[0], exact[1] + ulps[1])
            few = EXCEPTIONS["a subnormal weighted square"] * mpmath.mpf(5e-324)
            least = [few, 0, few / exact[1], 0, few / exact[1] ** 2]
            for number, true, step, *near in zip(got, truth(*exact), least, *moved, strict=True):
                if abs(true) > mpmath.mpf(float(np.finfo(float).max)):
                    assert number[0] == float(mpmath.sign(true)) * np.inf, (r, v)
                else:
                    carried = mpmath.fsum([step, *(abs(other - true) for other in near)])
                    off = abs(mpmath.mpf(float(number[0])) - true) - carried
                    assert off <= 8 * float(np.spacing(abs(float(true)))), (r, v, number, true)
