"""Gradients by several predicted inputs are written where the caller says, each in its input's own shape."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm

pytestmark = pytest.mark.engines
SIZES = (3, 300)


@pytest.mark.parametrize("size", SIZES)
def test_an_input_for_all_examples_gets_its_sum(size: int) -> None:
    y, f = np.random.default_rng(size).normal(size=(2, size))
    loss, given = lm.GaussianNLL(), {"y_true": y, "y_pred": f, "variance": 2.0}
    out = {"y_pred": np.full(size, np.nan), "variance": np.full((), np.nan)}
    cost, gradient = loss.cost_and_gradient(**given, out=out)
    expected_cost, expected = loss.cost_and_gradient(**given)
    assert cost == expected_cost
    for name, array in out.items():
        assert gradient[name] is array
        np.testing.assert_array_equal(array, expected[name])
    with pytest.raises(lm.ShapeError, match=rf"out has shape \({size},\), the predictions have \(\)"):
        loss.cost_and_gradient(**given, out={**out, "variance": np.empty(size)})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("swapped", [False, True], ids=["own", "another"])
def test_gradients_over_predictions(size: int, swapped: bool) -> None:
    rng = np.random.default_rng(size)
    y, f = rng.normal(size=(2, size))
    variance = rng.uniform(0.5, 2, size)
    loss = lm.GaussianNLL()
    cost, wanted = loss.cost_and_gradient(y, f, variance=variance)
    out = {"y_pred": variance, "variance": f} if swapped else {"y_pred": f, "variance": variance}
    found, gradient = loss.cost_and_gradient(y, f, variance=variance, out=out)
    assert found == cost
    for name, array in out.items():
        assert gradient[name] is array
        np.testing.assert_array_equal(array, wanted[name])


@pytest.mark.parametrize("size", SIZES)
def test_plain_arrays_are_written_at_once(size: int) -> None:
    y, f = np.random.default_rng(size).normal(size=(2, size))
    loss, given = lm.GaussianNLL(), {"y_true": y, "y_pred": f, "variance": np.full(size, 2.0)}
    assert loss._plain is not None
    out = {"variance": np.full(size, np.nan), "y_pred": np.full(size, np.nan)}
    found = loss._plain(y, f, {"variance": given["variance"]}, gradient=True, mean=True, out=out)
    assert found is not None
    cost, wanted = loss.cost_and_gradient(**given)
    assert found[0] == cost
    for name, array in out.items():
        assert found[1][name] is array
        np.testing.assert_array_equal(array, wanted[name])
    with pytest.raises(lm.ParameterError, match="share memory"):
        loss.cost_and_gradient(**given, out={"y_pred": f, "variance": f})
