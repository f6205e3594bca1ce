"""Linear models where sizes are unlike: targets far beyond the bends of a loss, and columns without spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import lossmith as lm
from lossmith.frameworks.sklearn.newton import minimum
from lossmith.sklearn import LinearModel

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 5))
Y = X[:, 0] + RNG.standard_t(3, size=100)


@pytest.mark.parametrize("penalty", [{}, {"penalty": "l1", "strength": 0.01}], ids=str)
@pytest.mark.parametrize("loss", ["huber", "log_cosh", "smooth_l1", "softplus(f - y) + 0.5*(y - f)"])
def test_targets_may_be_far_beyond_the_bends_of_a_loss(loss: str, penalty: Any) -> None:
    """From so far, bends are kinks: the model is that of the kink, in the same unit, but for the bend's own size."""
    kink = "abs(f - y)/2" if loss.startswith("softplus") else "mae"
    for unit in (1e4, 1e6):
        found = LinearModel(loss, **penalty).fit(X, unit * Y)  # which warns where it is not at the minimum
        wanted = LinearModel(kink, **penalty).fit(X, unit * Y)
        costs = [lm.parse(kink).cost(unit * Y, model.predict(X)) for model in (found, wanted)]
        if penalty:
            costs = [
                cost + 0.01 * np.abs(model.coef_).sum() for cost, model in zip(costs, (found, wanted), strict=True)
            ]
        assert costs[1] - 1e-9 * unit <= costs[0] <= costs[1] + 2


@pytest.mark.parametrize("make", [np.asarray, csr_matrix])
@pytest.mark.parametrize("column", [1.0, 3.7, -0.1, 1e3])
@pytest.mark.parametrize(
    ("loss", "penalty"),
    [
        ("squared_error", None),
        ("quantile(level=0.8)", None),
        ("mae", lm.L1(0.01)),
        ("huber", lm.L2(100.0)),
        ("hinge", lm.L2(100.0)),
    ],
    ids=str,
)
def test_a_constant_column_beside_an_intercept_is_left_alone(loss: str, penalty: Any, column: float, make: Any) -> None:
    y = (Y > 0).astype(float) if loss == "hinge" else Y
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    model = LinearModel(loss, penalty).fit(make(np.c_[np.full(len(y), column), X]), y, sample_weight=weight)
    alone = LinearModel(loss, penalty).fit(make(X), y, sample_weight=weight)
    assert np.ravel(model.coef_)[0] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(np.ravel(model.coef_)[1:], np.ravel(alone.coef_), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.intercept_, alone.intercept_, rtol=1e-5)


class Far:
    """A cost that falls all the way, and hardly bends."""

    def __call__(self, place: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.abs(place).sum()), np.sign(place)

    def product(self, place: np.ndarray, change: np.ndarray) -> np.ndarray:
        return 1e-200 * change


def test_a_trust_region_is_no_larger_than_its_square_can_be() -> None:
    found = minimum(Far(), np.array([1e50]), 1e-10, 1000)  # type: ignore[arg-type]  # of which it needs no more
    assert abs(found.vector[0]) < 1e50
