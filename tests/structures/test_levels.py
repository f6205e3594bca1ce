"""Several quantiles at once: the mean of quantile losses, and increments that cannot cross."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import lossmith as lm

rng = np.random.default_rng(2)
y, f = rng.normal(size=30), rng.normal(size=(30, 3))
LEVELS = (0.1, 0.5, 0.9)
FORMS = [lm.MultiQuantile(LEVELS, prediction=kind) for kind in ("quantiles", "increments")]


def test_a_row_costs_the_mean_of_the_quantile_losses() -> None:
    each = [lm.Quantile(level).losses(y, f[:, place]) for place, level in enumerate(LEVELS)]
    np.testing.assert_allclose(lm.MultiQuantile().losses(y, f), np.mean(each, axis=0), rtol=1e-14)


@pytest.mark.parametrize("kind", ["quantiles", "increments"])
def test_one_level_is_the_quantile_loss(kind: str) -> None:
    one = lm.MultiQuantile((0.3,), prediction=kind)
    alone = lm.Quantile(0.3)
    np.testing.assert_array_equal(one.losses(y, f[:, :1]), alone.losses(y, f[:, 0]))
    np.testing.assert_array_equal(one.gradient(y, f[:, :1])[:, 0], alone.gradient(y, f[:, 0]))
    np.testing.assert_allclose(one.optimal_constant(y), [alone.optimal_constant(y)])
    assert not np.allclose(one.losses(y, f[:, :1]), lm.Quantile(0.7).losses(y, f[:, 0]))


@settings(max_examples=100, deadline=None)
@given(arrays(float, (5, 4), elements=st.floats(-800, 800)))
def test_increments_cannot_cross(z) -> None:
    loss = lm.MultiQuantile((0.1, 0.2, 0.5, 0.9), prediction="increments")
    assert np.all(np.diff(loss.quantiles(z), axis=1) >= 0)
    assert loss.crossing_rate(z) == 0


def test_quantiles_can_cross_and_that_is_counted() -> None:
    rows = [[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 2.0, 1.0]]
    assert lm.MultiQuantile().crossing_rate(rows) == 0.5
    np.testing.assert_array_equal(lm.MultiQuantile().quantiles(rows), rows)


@pytest.mark.parametrize("loss", FORMS, ids=str)
def test_derivatives_are_finite_differences(loss) -> None:
    found = loss.evaluate(y, f, ("gradient", "hessian", "full_hessian"))
    for place in range(3):
        move = np.zeros(3)
        move[place] = 1e-6
        slope = (loss.losses(y, f + move) - loss.losses(y, f - move)) / 2e-6
        np.testing.assert_allclose(found["gradient"][:, place], slope, atol=1e-8)
        bend = (loss.gradient(y, f + move) - loss.gradient(y, f - move)) / 2e-6
        np.testing.assert_allclose(found["full_hessian"][:, :, place], bend, atol=1e-8)
    np.testing.assert_array_equal(np.diagonal(found["full_hessian"], axis1=1, axis2=2), found["hessian"])


def test_increments_are_quantiles_in_another_form() -> None:
    plain, steps = FORMS
    np.testing.assert_allclose(steps.losses(y, f), plain.losses(y, steps.quantiles(f)), rtol=1e-14)
    best = steps.optimal_constant(y)
    np.testing.assert_allclose(steps.quantiles(best), np.quantile(y, LEVELS), atol=0.3)
    np.testing.assert_allclose(steps.quantiles(best), plain.optimal_constant(y), rtol=1e-12)


@pytest.mark.parametrize("loss", FORMS, ids=str)
def test_the_best_constant_has_the_least_cost(loss) -> None:
    best = loss.optimal_constant(y)
    cost = lambda row: loss.cost(y, np.tile(row, (30, 1)))  # noqa: E731
    assert all(cost(best) <= cost(best + rng.normal(size=3) * 0.1) + 1e-15 for _ in range(50))
    assert loss.context(y).constant_cost == pytest.approx(cost(best), rel=1e-12)


def test_weights_states_and_types() -> None:
    loss, weight = FORMS[1], rng.uniform(size=30)
    halves = [loss.state(y[part], f[part], weight[part]) for part in (slice(0, 10), slice(10, 30))]
    assert halves[0].merge(halves[1]).mean == pytest.approx(np.average(loss.losses(y, f), weights=weight), rel=1e-14)
    assert loss.gradient(y.astype(np.float32), f.astype(np.float32)).dtype == np.float32
    assert pickle.loads(pickle.dumps(loss)) == lm.from_config(loss.to_config()) == lm.parse(str(loss)) == loss
    _, gradient = loss.cost_and_gradient(y, f)
    np.testing.assert_allclose(gradient, loss.gradient(y, f) / 30, rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lm.MultiQuantile((0.5, 0.1)), lm.ParameterError, "that ascend"),
        (lambda: lm.MultiQuantile(()), lm.ParameterError, "one or more"),
        (lambda: lm.MultiQuantile((0.5, 1.0)), lm.ParameterError, r"levels\[1\] is 1"),
        (lambda: lm.MultiQuantile(0.5), lm.ParameterError, "sequence of numbers"),
        (lambda: lm.MultiQuantile()(y, f[:, :2]), lm.ShapeError, "each of the 3 levels"),
        (lambda: lm.MultiQuantile()(y[:4], f), lm.ShapeError, "y_true, a number for each row, must have shape"),
        (lambda: lm.MultiQuantile()([np.nan], [[0, 1, 2]]), lm.DomainError, r"y_true\[0\] is nan"),
        (lambda: lm.MultiQuantile()([1.0], [[0, 1, np.inf]]), lm.DomainError, r"y_pred\[0, 2\] is inf"),
    ],
)
def test_bad_input(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
