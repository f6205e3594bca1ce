"""What losses are, or go over into, at special parameters: exact relations between losses of counts and labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

import lossmith as lm
from lossmith import Loss
from lossmith.certify.exactness import OUTPUTS, misses
from lossmith.certify.points import kinds, points
from tests.laws.grid import CASES

pytestmark = pytest.mark.engines

LOG_MEANS = np.linspace(-6, 6, 25)
AMOUNTS = np.array([0.2, 1.0, 2.5, 40.0])


def crossed() -> tuple[np.ndarray, np.ndarray]:
    """Return every amount with every log mean."""
    pairs = np.array(list(itertools.product(AMOUNTS, LOG_MEANS)))
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def test_tweedie_at_whole_powers_is_the_named_loss() -> None:
    y, f = crossed()
    for power, loss, constant in (
        (1, lm.Poisson(), -y * 0 + 4),  # constants: 4 (2 - power) for the mean's term, 4 (1 - power) y for the target's
        (2, lm.Gamma(), 0),
        (3, lm.InverseGaussian(), 0),
    ):
        tweedie = lm.Tweedie(power=power)
        for output in OUTPUTS:
            shift = tweedie.evaluate(y, f)[output] - loss.evaluate(y, f)[output]
            spread = np.ptp((shift - constant if output == "losses" else shift).reshape(len(AMOUNTS), -1), axis=1)
            np.testing.assert_allclose(spread, 0, atol=1e-12 * np.max(np.abs(loss.evaluate(y, f)[output])))
    # At power 0 it is half of the squared error of the mean, less what the target alone costs.
    half = (np.exp(f) - y) ** 2 / 2 - y**2 / 2
    np.testing.assert_allclose(lm.Tweedie(power=0).losses(y, f), half, rtol=1e-11, atol=1e-11)


FAR_OUT = (1.5, 1e3, 1e7, 1e9, 1e10, 1e11, 9e11, 1.1e12, 4e18, 1e19, 2e19, 1e30)


@pytest.mark.parametrize(
    "loss",
    [
        lm.GemanMcClure(),
        lm.GemanMcClure(scale=3),
        lm.Barron(alpha=-2),
        lm.Barron(alpha=-1.5),
        lm.Cauchy(),
        lm.Welsch(),
    ],
    ids=repr,
)
def test_what_bends_back_far_out_keeps_its_digits_while_float32_has_them(loss: Loss) -> None:
    f = np.array([sign * x for x in FAR_OUT for sign in (-1, 1)], np.float32)
    y = np.zeros_like(f)
    for order, output in enumerate(OUTPUTS):
        assert misses(loss, order, y, f, loss.evaluate(y, f)[output]) == []


@pytest.mark.parametrize(("power", "loss"), [(1, lm.Poisson()), (2, lm.Gamma())], ids=["poisson", "gamma"])
def test_tweedie_has_the_very_values_of_poisson_and_gamma(power: float, loss: Loss) -> None:
    y, f = crossed()
    np.testing.assert_allclose(lm.Tweedie(power=power).losses(y, f), loss.losses(y, f), rtol=1e-14, atol=1e-13)


@pytest.mark.parametrize("power", [1e-17, 0.5, 1 - 2**-53, 1, 1 + 2**-52, 1.000001, 2 - 2**-52, 2, 2.5, 3 - 2**-51])
def test_tweedie_is_exact_at_and_next_to_special_powers(power: float) -> None:
    loss = lm.Tweedie(power=power)
    y, f = points(loss)
    # Values at 1e20: where the slope vanishes, what power times log mean is rounded by is carried by nothing.
    y, f = (array[y < 1e19][:60] for array in (y, f))
    for order, output in enumerate(OUTPUTS):
        assert misses(loss, order, y, f, loss.evaluate(y, f)[output]) == []


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 3.0])
def test_tweedie_does_not_jump_at_a_power(power: float) -> None:
    y, f = crossed()
    here = lm.Tweedie(power=power).losses(y, f)
    for near in (power - 1e-9, power + 1e-9):
        if 0 <= near <= 3:
            there = lm.Tweedie(power=near).losses(y, f)
            np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-6)


def test_negative_binomial_goes_over_into_poisson() -> None:
    y, f = crossed()
    for prediction, kind, place in (("log_mean", "log_rate", f), ("mean", "rate", np.exp(f))):
        poisson = lm.Poisson(prediction=kind)
        for dispersion in (1e-4, 1e-8, 1e-12):
            loss = lm.NegativeBinomial(dispersion=dispersion, prediction=prediction)
            for output in ("gradient", "hessian"):
                want = poisson.evaluate(y, place)[output]
                size = 1e3 * dispersion * (1 + np.max(np.abs(want))) * 1e3
                np.testing.assert_allclose(loss.evaluate(y, place)[output], want, rtol=1e-14, atol=size)
            constant = (loss.losses(y, place) - poisson.losses(y, place)).reshape(len(AMOUNTS), -1)
            np.testing.assert_allclose(constant - constant[:, :1], 0, atol=1e6 * dispersion + 1e-12 * constant.max())


def test_the_whole_poisson_loss_is_the_likelihood() -> None:
    counts, rates = (np.ravel(a) for a in np.meshgrid([0.0, 1.0, 2.0, 7.0, 50.0, 1e4], [0.1, 1.0, 6.9, 50.0, 1.01e4]))
    want = -stats.poisson.logpmf(counts, rates)
    np.testing.assert_allclose(lm.Poisson(full=True).losses(counts, np.log(rates)), want, rtol=1e-10)
    np.testing.assert_allclose(lm.Poisson(full=True, prediction="rate").losses(counts, rates), want, rtol=1e-10)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_asymmetric_without_a_shift_is_focal_and_cross_entropy(gamma: float) -> None:
    y, f = (np.ravel(a) for a in np.meshgrid([0.0, 0.3, 1.0], np.linspace(-9, 9, 37)))
    same = [lm.Asymmetric(gamma_positive=gamma, gamma_negative=gamma, shift=0), lm.Focal(gamma=gamma)]
    same += [lm.BinaryCrossEntropy(), lm.PolyOne(epsilon=0)] if gamma == 0 else []
    for loss in same[1:]:
        for output in OUTPUTS:
            np.testing.assert_allclose(
                loss.evaluate(y, f)[output], same[0].evaluate(y, f)[output], rtol=1e-12, atol=1e-15
            )


SIGNED = [kind for kind in kinds() if "labels" in kind.options()]


@pytest.mark.engines("numpy")  # one formula is compared with another, and each has many kernels
@pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.name)
def test_signed_labels_are_the_same_loss(kind: type[Loss]) -> None:
    scores = np.linspace(-3, 3, 13)
    for loss in (case for case in CASES if type(case) is kind and case.labels == "binary"):
        places = scores if loss.prediction == "logits" else 1 / (1 + np.exp(-scores))
        for label in loss.domains["y"].values or (0.0, 0.25, 0.5, 1.0):
            y = np.full(len(scores), label)
            binary, signed = loss.evaluate(y, places), loss.replace(labels="signed").evaluate(2 * y - 1, places)
            for output in OUTPUTS:
                np.testing.assert_allclose(signed[output], binary[output], rtol=1e-13, atol=1e-15)
    assert kind(labels="signed").optimal_constant([-1, 1, 1]) == kind().optimal_constant([0, 1, 1])


def test_every_binary_loss_takes_signed_labels() -> None:
    assert {kind.name for kind in SIGNED} == {kind.name for kind in kinds() if kind.card.task == "binary"}


@pytest.mark.parametrize("rows", [3, 5000])
@pytest.mark.parametrize(
    ("loss", "y", "f"),
    [
        (lm.GemanMcClure(), 0.0, 1.2e19),  # three times its square is no float32
        (lm.GemanMcClure(), 0.0, 1e154),
        (lm.SquaredLogError(), -0.3, 3.3e38),
        (lm.SquaredLogError(), -0.3, 1.7e308),
        (lm.Fair(c=1e-3), 0.0, 1e36),
        (lm.Fair(c=1e-3), 0.0, 1e306),
    ],
    ids=str,
)
def test_nothing_overflows_on_the_way_to_a_number(loss: Loss, y: float, f: float, rows: int) -> None:
    dtype = np.float32 if f < 3.4e38 else np.float64
    found = loss.evaluate(np.full(rows, y, dtype), np.full(rows, f, dtype))
    for order, output in enumerate(OUTPUTS):
        ends = np.array([y]).astype(dtype), np.array([f]).astype(dtype)
        assert misses(loss, order, *ends, found[output][:1]) == []


@pytest.mark.parametrize("rows", [3, 5000])
@pytest.mark.parametrize("weight", [5e-324, 1e-310, 1e300])
def test_weights_of_any_size(weight: float, rows: int) -> None:
    y, f = np.zeros(rows), np.full(rows, 2.0)
    _, gradient = lm.SquaredError().cost_and_gradient(y, f, weight=np.full(rows, weight))
    np.testing.assert_allclose(gradient, 4 / rows, rtol=1e-15)
