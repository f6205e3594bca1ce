"""What holds for learning with every loss: costs fall, gradients are exact, each step follows from the one before."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from tests.laws.samples import EVERY
from tests.together import by_name

Array = npt.NDArray[Any]

pytestmark = pytest.mark.engines("numpy")  # costs are those of either engine, and kernels take a while to compile
LOSSES = [loss for loss in EVERY if loss.paired]
EXAMPLES, FEATURES, STEPS = 12, 2, 15
STILL = {
    "zero_one": "its gradient is zero wherever it has one",
    "perceptron": "it is zero, its least, where every prediction is",
    "symmetric_percentage_error": "it is flat at a prediction of zero, by the convention at kinks",
}
"""Losses that teach nothing from zeros, and why."""


def data(loss: Loss) -> tuple[Array, Array]:
    """Return features that tell something of the targets, and targets."""
    y = sample(loss, EXAMPLES)["y_true"]
    rows = y if y.ndim == 1 or loss.row_axis != 0 else y.T
    noise = np.random.default_rng(5).normal(size=(EXAMPLES, FEATURES))
    return 0.3 * noise + rows.reshape(EXAMPLES, -1)[:, :1] / (1 + np.max(np.abs(rows))), y


def falls(loss: Loss) -> bool:
    """Return whether the cost falls at the rate that is chosen, and never rises where the loss has no kinks."""
    costs = lm.learn(loss, *data(loss), steps=STEPS).costs
    never_up = bool(np.all(np.diff(costs) < 0))
    return bool(costs[-1] < costs[0]) and (never_up or not loss.card.traits.differentiable)


def slope_error(loss: Loss) -> float:
    """Return how far the gradient by the parameters is from central differences of the cost, in its own size."""
    X, y = data(loss)
    zeros = lm.learn(loss, X, y, steps=1, rate=1.0).steps[0].parameters
    start = np.random.default_rng(3).normal(0, 0.3, zeros.shape)
    given = lm.learn(loss, X, y, start=start, steps=1, rate=1e-9).steps[0].parameter_gradient
    design = np.hstack([np.ones((EXAMPLES, 1)), X])

    def cost(parameters: Array) -> float:
        raw = design @ parameters
        return float(loss.raw_form.cost(y, raw if loss.row_axis is None else np.moveaxis(raw, -1, loss.row_axis)))

    h, found = 1e-6, np.empty(start.shape)
    for place in np.ndindex(start.shape):
        step = np.zeros(start.shape)
        step[place] = h
        found[place] = (cost(start + step) - cost(start - step)) / (2 * h)
    return float(np.max(np.abs(found - given)) / max(np.max(np.abs(found)), 1e-3))


@pytest.mark.filterwarnings("ignore::lossmith.LossmithWarning")  # made-up logits may look like probabilities
@pytest.mark.parametrize("loss", by_name(LOSSES))
def test_the_gradient_by_the_parameters_is_that_of_the_cost(loss: Loss) -> None:
    assert slope_error(loss) < 1e-6


@pytest.mark.parametrize("loss", by_name(LOSSES))
def test_the_cost_falls(loss: Loss) -> None:
    if loss.raw_form.name in STILL:
        learning = lm.learn(loss, *data(loss))
        assert len(learning.steps) == 1
        assert learning.converged
    else:
        assert falls(loss)


def test_losses_that_teach_nothing_are_among_those_tested() -> None:
    assert set(STILL) <= {loss.raw_form.name for loss in LOSSES}


class Backwards(lm.SquaredError):
    """A loss whose gradient points the wrong way."""

    def cost_and_gradient(self, *given: Any, **named: Any) -> Any:
        cost, gradient = super().cost_and_gradient(*given, **named)
        return cost, -gradient


class Loud(lm.SquaredError):
    """A loss whose gradient is a thousandth too large."""

    def cost_and_gradient(self, *given: Any, **named: Any) -> Any:
        cost, gradient = super().cost_and_gradient(*given, **named)
        return cost, 1.001 * gradient


def test_the_laws_can_fail() -> None:
    assert not falls(Backwards())
    assert slope_error(Backwards()) > 1
    assert falls(Loud())
    assert slope_error(Loud()) > 1e-4


@pytest.mark.parametrize("loss", by_name(LOSSES))
def test_each_step_follows_from_the_one_before(loss: Loss) -> None:
    learning = lm.learn(loss, *data(loss), steps=3, rate=0.01)
    assert [step.number for step in learning.steps] == list(range(len(learning.steps)))
    for here, there in pairwise(learning.steps):
        np.testing.assert_array_equal(here.new_parameters, here.parameters - learning.rate * here.parameter_gradient)
        np.testing.assert_array_equal(there.parameters, here.new_parameters)
    last = learning.steps[-1]
    np.testing.assert_array_equal(last.parameters, last.new_parameters)
    design = np.hstack([np.ones((EXAMPLES, 1)), learning.X])
    for step in learning.steps:
        np.testing.assert_allclose(step.raw, design @ step.parameters, rtol=1e-14, atol=1e-14)
        assert step.losses.shape == (EXAMPLES,)
        assert step.gradient.shape == step.raw.shape
        if learning.loss.elementwise:
            np.testing.assert_array_equal(step.predictions, learning.loss.link.inverse(step.raw))
            assert step.cost == pytest.approx(step.losses.mean(), rel=1e-12)
            want = design.T @ step.gradient / EXAMPLES
            np.testing.assert_allclose(step.parameter_gradient, want, rtol=1e-12, atol=1e-13)
