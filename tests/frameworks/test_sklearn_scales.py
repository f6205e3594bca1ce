"""Linear models where sizes are unlike: targets far beyond the bends of a loss, and columns without spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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


class Far:
    """A cost that falls all the way, and hardly bends."""

    def __call__(self, place: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.abs(place).sum()), np.sign(place)

    def product(self, place: np.ndarray, change: np.ndarray) -> np.ndarray:
        return 1e-200 * change


def test_a_trust_region_is_no_larger_than_its_square_can_be() -> None:
    found = minimum(Far(), np.array([1e50]), 1e-10, 1000)  # type: ignore[arg-type]  # of which it needs no more
    assert abs(found.vector[0]) < 1e50
