"""Regularisers: values, gradients against differences, configurations, refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import lossmith as lm

rng = np.random.default_rng(5)
ALL = [lm.L1(0.3), lm.L2(0.3), lm.ElasticNet(0.3, 0.2), lm.ElasticNet(0.3, 1.0), lm.L2(0)]


def test_values_are_plain_sums() -> None:
    a, b = rng.normal(size=(3, 2)), rng.normal(size=4)
    sums = np.abs(a).sum() + np.abs(b).sum(), (a**2).sum() + (b**2).sum()
    assert lm.L1(0.3)([a, b]) == pytest.approx(0.3 * sums[0], rel=1e-15)
    assert lm.L2(0.3)([a, b]) == pytest.approx(0.3 * sums[1], rel=1e-15)
    assert lm.ElasticNet(0.3, 0.2).value((a, b)) == pytest.approx(0.3 * (0.2 * sums[0] + 0.8 * sums[1]), rel=1e-15)
    assert lm.L2(0.3)(a) == lm.L2(0.3)([a])
    assert lm.L2(1)([1.0, 2.0]) == 5.0
    assert lm.L1(1)([]) == 0


@pytest.mark.parametrize("regularizer", ALL, ids=str)
def test_gradients_are_finite_differences(regularizer) -> None:
    arrays = [rng.normal(size=(2, 3)), rng.normal(size=2)]
    gradient = regularizer.gradient(arrays)
    for which, array in enumerate(arrays):
        assert gradient[which].shape == array.shape
        for place in np.ndindex(array.shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [other.copy() for other in arrays]
                moved[which][place] += step
                sides.append(regularizer(moved))
            assert gradient[which][place] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-8)
    np.testing.assert_array_equal(regularizer.gradient(arrays[0]), gradient[0])


def test_a_hidden_half_would_be_noticed() -> None:
    assert lm.L2(1).gradient(np.array([3.0]))[0] != pytest.approx(3.0)


def test_types_and_zero() -> None:
    assert lm.L1(1).gradient(np.array([0.0, -0.0]))[0] == 0
    assert lm.L2(1).gradient(np.ones(2, np.float32)).dtype == np.float32
    assert lm.L2(1)(np.full(10, 3000.0, np.float16)) == 9e7


@pytest.mark.parametrize("regularizer", ALL, ids=str)
def test_regularizers_are_values(regularizer) -> None:
    assert lm.from_config(regularizer.to_config()) == pickle.loads(pickle.dumps(regularizer)) == regularizer
    assert regularizer != regularizer.replace(strength=0.7)
    assert hash(regularizer) == hash(regularizer.replace())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lm.L2(-1), lm.ParameterError, "strength must lie in"),
        (lambda: lm.ElasticNet(1, 1.5), lm.ParameterError, "l1_share must lie in"),
        (lambda: lm.L1(1)([[1.0], [2.0, np.nan]]), lm.DomainError, r"parameters\[1\]\[1\] is nan"),
        (lambda: lm.L1(1)([["a"]]), lm.KindError, "real numbers"),
        (lambda: lm.L1(1)({"w": [1.0]}), lm.KindError, "list.parameters.values"),
        (lambda: lm.from_config({"regularizer": "l3", "parameters": {}}), lm.ParameterError, "no regulariser"),
    ],
)
def test_bad_input(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
