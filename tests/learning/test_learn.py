"""``learn``: what it says, worked by hand, how it ends, and what it refuses."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.learning import Learning
from lossmith.learning.example import OUTLIER, exam

HOURS = np.array([1.0, 2.0, 3.0, 4.0])


def first(loss: Any, y: Any, start: Any, **more: Any) -> Any:
    """Return the first step of a constant."""
    return lm.learn(loss, None, y, model="constant", start=start, steps=1, **{"rate": 0.1, **more}).steps[0]


@pytest.mark.parametrize(
    ("loss", "y", "start", "losses"),
    [
        ("mse", [30.0], [28.0], [4.0]),
        ("mse", [30.0], [20.0], [100.0]),
        ("mae", [120.0], [100.0], [20.0]),
        ("mean_error", [100.0, -100.0], [0.0], [-100.0, 100.0]),
        ("bce", [1.0, 0.0], [math.log(9)], [0.105, 2.303]),
        ("hinge(labels='signed')", [1.0], [2.5], [0.0]),
        ("hinge(labels='signed')", [1.0], [0.8], [0.2]),
        ("hinge(labels='signed')", [1.0], [-0.5], [1.5]),
        ("sparse_categorical_cross_entropy", [0, 1], np.log([[0.7, 0.3]]), [0.357, 1.204]),
        ("sparse_categorical_cross_entropy", [0], np.log([[0.5, 0.2, 0.3]]), [0.693]),
    ],
)  # fmt: skip
def test_the_losses_that_tutorials_work_out(loss: str, y: Any, start: Any, losses: list[float]) -> None:
    if "categorical" in loss and np.shape(start)[1] == 3:
        y = [*y, 2]  # the classes are counted from the targets
        assert first(loss, y, start).losses[0] == pytest.approx(losses[0], abs=5e-4)
    else:
        np.testing.assert_allclose(first(loss, y, start).losses, losses, atol=5e-4)


def test_a_step_by_hand() -> None:
    learning = lm.learn("mse", HOURS, [2.0, 4.0, 6.0, 8.0], rate=0.1, steps=1)
    step = learning.steps[0]
    assert step.raw.tolist() == [0, 0, 0, 0]
    assert step.losses.tolist() == [4, 16, 36, 64]
    assert step.cost == 30
    assert step.gradient.tolist() == [-4, -8, -12, -16]
    assert step.parameter_gradient.tolist() == [-10, -30]  # their mean, and the mean of each times its hours
    assert step.new_parameters.tolist() == pytest.approx([1, 3])
    assert learning.costs.tolist() == pytest.approx([30, np.mean(np.square([2, 3, 4, 5]))])


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "quantile(level=0.7)", "logcosh", "poisson", "gamma", "fair"])
def test_a_constant_learns_the_best_constant(loss: str) -> None:
    y = [1.0, 2.0, 2.5, 4.0, 9.0, 3.0, 2.2]
    learning = lm.learn(loss, None, y, model="constant", steps=400)
    context = lm.parse(loss).context(y)
    assert context.constant_cost is not None
    assert learning.costs[-1] == pytest.approx(context.constant_cost, rel=2e-3)
    begun = lm.learn(loss, None, y, model="constant", start="constant", rate=1e-4)
    assert begun.costs[0] == pytest.approx(context.constant_cost)


def test_labels_teach_the_log_odds() -> None:
    learning = lm.learn("bce(prediction='probabilities')", None, [1, 0, 1, 1], model="constant", steps=400)
    assert learning.loss == lm.BinaryCrossEntropy()  # a model gives logits
    assert learning.parameters[0] == pytest.approx(math.log(3), abs=0.02)
    assert learning.steps[-1].predictions == pytest.approx([0.75] * 4, abs=5e-3)


def test_squared_error_learns_the_least_squares() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    y = X @ [1.0, -2.0, 0.5] + 3 + rng.normal(size=50)
    learning = lm.learn("mse", X, y, steps=500, names=["a", "b", "c"])
    want = np.linalg.lstsq(np.hstack([np.ones((50, 1)), X]), y)[0]
    np.testing.assert_allclose(learning.parameters, want, atol=1e-3)
    assert learning.chosen
    assert learning.names == ("intercept", "a", "b", "c")
    assert math.log2(learning.rate).is_integer()


def test_rows_learn_classes_and_quantiles() -> None:
    X = np.array([-2.0, -1.5, -1.0, 1.0, 1.5, 2.0])
    classes = lm.learn("sparse_cross_entropy", X, [0, 0, 0, 1, 1, 1])
    assert classes.parameters.shape == (2, 2)
    assert classes.steps[-1].raw.argmax(axis=1).tolist() == [0, 0, 0, 1, 1, 1]
    levels = lm.learn(lm.MultiQuantile(), None, np.arange(100.0), model="constant", steps=400)
    assert levels.parameters[0] == pytest.approx([9.5, 49.5, 89.5], abs=5)
    ignored = lm.learn("sparse_cross_entropy(ignore_index=9)", X, [0, 0, 9, 1, 1, 1])
    assert ignored.parameters.shape == (2, 2)
    weighted = lm.learn(lm.SparseCategoricalCrossEntropy(class_weight=(1, 2, 3)), X, [0, 0, 0, 1, 1, 1])
    assert weighted.parameters.shape == (2, 3)


def test_a_loss_of_ones_own_needs_no_card() -> None:
    class Own(lm.Pointwise):
        def formula(self, ops: Any, y: Any, f: Any) -> Any:
            return ops.logcosh(2 * (f - y))

    learning = lm.learn(Own(), HOURS, 2 * HOURS + 1, steps=400)
    assert learning.parameters == pytest.approx([1, 2], abs=0.05)
    assert np.all(np.diff(learning.costs) < 0)


def test_an_outlier_drags_squared_error_and_not_the_others() -> None:
    slopes = {}
    for loss in (lm.SquaredError(), lm.Huber(), lm.AbsoluteError()):
        given = exam(loss)
        learning = lm.learn(loss, given.X, given.y)
        slopes[type(loss).__name__] = learning.parameters[1]
        pulls = np.abs(learning.steps[-1].gradient)
        assert int(np.argmax(pulls)) == OUTLIER or pulls.max() == 1
    assert slopes["SquaredError"] < 1.3  # the others' marks rise by 2 an hour
    assert 1.8 < slopes["Huber"] < 2.1
    assert 1.8 < slopes["AbsoluteError"] < 2.1


def test_the_exam_has_targets_for_every_loss_that_takes_them() -> None:
    for loss in (lm.get(name) for name in lm.names()):
        if loss.paired:
            given = exam(loss)
            assert lm.learn(loss, given.X, given.y, steps=1, rate=1e-3).steps[0].losses.shape == (8,)
    signed = lm.Hinge(labels="signed")
    assert set(exam(signed).y) == {-1, 1}
    with pytest.raises(lm.ParameterError, match="'embeddings'"):
        exam(lm.Triplet())


# --- how it ends --------------------------------------------------------------------------------


def test_a_rate_that_is_too_high_diverges() -> None:
    learning = lm.learn("mse", None, [3.0, 5.0], model="constant", rate=1.5)
    assert learning.diverged
    assert not learning.converged
    assert "after 11 steps the cost is higher than at the start" in learning.reason
    assert len(learning.steps) == 12  # it stops at a cost a million times the first
    slightly = lm.learn("mse", None, [3.0, 5.0], model="constant", rate=1.01, steps=5)
    assert slightly.diverged
    assert len(slightly.steps) == 6


def test_numbers_that_are_no_longer_finite() -> None:
    learning = lm.learn("exponential", [1.0, 2.0], [0.0, 1.0], rate=1e4)
    assert learning.diverged
    assert not math.isfinite(learning.steps[-1].cost)
    assert "no longer finite" in learning.reason
    json.dumps(learning.to_dict(), allow_nan=False)


def test_a_step_out_of_the_domain() -> None:
    learning = lm.learn("msle", None, [0.0, 0.1], model="constant", start=[5.0], rate=100.0)
    assert learning.diverged
    assert math.isnan(learning.steps[-1].cost)
    assert "step 1 left the domain" in learning.reason
    assert learning.to_dict()["costs"][-1] is None
    assert learning.to_dict()["steps"][-1]["losses"] == [None, None]


def test_a_constant_step_jumps_across_a_kink() -> None:
    learning = lm.learn("mae", None, [0.0, 1.0, 1.0], model="constant", rate=0.7, steps=40)
    assert learning.outcome == "settled"
    assert "jump over the bottom" in learning.reason
    assert learning.costs[-1] < learning.costs[0]


def test_next_to_nothing_moves() -> None:
    learning = lm.learn("bce", [0.0, 1.0], [0.0, 3e-300], start="constant")
    assert len(learning.steps) == 1
    assert "the gradient is zero, or next to it" in learning.reason


def test_where_nothing_moves() -> None:
    none = lm.learn("zero_one", HOURS, [0, 0, 1, 1])
    assert (none.outcome, len(none.steps)) == ("converged", 1)
    assert "the gradient is zero" in none.reason
    stuck = lm.learn("mae", None, [0.0, 0.0, 0.0, 1.0], model="constant")
    assert (stuck.outcome, len(stuck.steps)) == ("settled", 1)
    assert "kink" in stuck.reason
    exact = lm.learn("mse", HOURS, 2 * HOURS, start=[0.0, 2.0])
    assert exact.converged
    assert exact.costs.tolist() == [0]


def test_an_unfinished_descent_says_so() -> None:
    learning = lm.learn("mse", HOURS, 2 * HOURS + 1, rate=1e-3, steps=2)
    assert learning.outcome == "unfinished"
    share = 100 * (learning.costs[1] - learning.costs[2]) / learning.costs[1]
    assert learning.reason == f"It took all 2 steps, and the cost was still falling, by {share:.2g}% in the last one."
    assert not learning.chosen
    assert lm.learn("mse", HOURS, 2 * HOURS + 1, rate=1e-3, steps=1).reason.startswith("It took its only step, and ")


# --- what comes out -----------------------------------------------------------------------------


@pytest.fixture
def learning() -> Learning:
    return lm.learn("huber(delta=2)", HOURS, [1.0, 2.0, 3.5, 20.0], steps=5, names=["hours"])


def test_it_repeats_and_is_data(learning: Learning) -> None:
    again = lm.learn(lm.Huber(delta=2), HOURS[:, None], [1.0, 2.0, 3.5, 20.0], steps=5, names=["hours"])
    assert learning.to_dict() == again.to_dict()
    text = json.loads(json.dumps(learning.to_dict(), allow_nan=False))
    assert text["schema"] == 1
    assert text["loss"] == "Huber(delta=2)"
    assert text["link"] == "identity"
    assert text["names"] == ["intercept", "hours"]
    assert text["X"] == [[1], [2], [3], [4]]
    assert text["costs"] == learning.costs.tolist() == [step["cost"] for step in text["steps"]]
    assert text["steps"][1]["parameters"] == text["steps"][0]["new_parameters"]
    assert set(text["steps"][0]) == {
        "number", "parameters", "raw", "predictions", "losses", "cost", "gradient", "parameter_gradient",
        "new_parameters",
    }  # fmt: skip


def test_it_cannot_be_changed(learning: Learning) -> None:
    with pytest.raises(AttributeError):
        learning.rate = 1.0  # type: ignore[misc]
    for array in (learning.X, learning.y, learning.parameters, learning.steps[0].losses):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_it_reads_well(learning: Learning) -> None:
    shown = repr(learning)
    assert shown.startswith("<Learning Huber(delta=2): line on 4 examples, 5 steps at rate ")
    assert f"cost {learning.costs[0]:.6g} -> {learning.costs[-1]:.6g}, {learning.outcome}; intercept=" in shown
    assert "hours=" in shown


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"loss": "hubber"}, lm.LossNotFoundError, "Did you mean 'huber'"),
        ({"loss": "triplet"}, lm.ParameterError, "is a loss of anchor, positive, negative"),
        ({"loss": "gaussian_nll"}, lm.ParameterError, "such as Huber()"),
        ({"model": "lines"}, lm.ParameterError, "it is 'line' or 'constant'. Did you mean 'line'"),
        ({"start": "zero"}, lm.ParameterError, "Did you mean 'zeros'"),
        ({"steps": 0}, lm.ParameterError, "at least 1, got 0"),
        ({"steps": 2.5}, lm.ParameterError, "whole number"),
        ({"steps": True}, lm.ParameterError, "got True"),
        ({"rate": 0}, lm.ParameterError, "above 0, got 0"),
        ({"rate": -1.0}, lm.ParameterError, "leave it out"),
        ({"rate": math.nan}, lm.ParameterError, "got nan"),
        ({"rate": 10**400}, lm.ParameterError, "must be a finite number above 0, got 1000"),
        ({"rate": math.inf}, lm.ParameterError, "got inf"),
        ({"rate": "fast"}, lm.ParameterError, "got 'fast'"),
        ({"y": [1.0, 1e200, 2.0, 3.0]}, lm.DomainError, "too large for a float where the model begins"),
        ({"loss": "-log(f)"}, lm.DomainError, "is infinite at a prediction of 0, .* by start='constant' or parameters"),
        ({"loss": "sqrt(f)"}, lm.DomainError, r"the gradient of formula\(.* is infinite at a prediction"),
        ({"loss": "-log(f)", "start": [-2.0, 0.0]}, lm.DomainError, "is no number at .* of -2, .* start= with param"),
        ({"X": None}, lm.ParameterError, "needs the features X"),
        ({"X": [1.0, 2.0]}, lm.ShapeError, r"X has shape \(2,\), for 4 targets"),
        ({"X": np.ones((4, 1, 1))}, lm.ShapeError, r"must be \(4,\) or \(4, features\)"),
        ({"X": [1.0, 2.0, math.nan, 4.0]}, lm.DomainError, r"X\[2, 0\] is nan; drop the row"),
        ({"X": ["a", "b", "c", "d"]}, lm.KindError, "X must hold real numbers"),
        ({"y": ["a", "b", "c", "d"]}, lm.KindError, "y must hold real numbers"),
        ({"y": [1.0, math.nan, 2.0, 3.0]}, lm.DomainError, r"y_true\[1\] is nan"),
        ({"y": [[1.0], [2.0], [3.0], [4.0]]}, lm.ShapeError, r"a target for each example, got shape \(4, 1\)"),
        ({"y": 1.0}, lm.ShapeError, r"got shape \(\)"),
        ({"X": [], "y": []}, lm.EmptyError, "y is empty"),
        ({"loss": "bce"}, lm.DomainError, "labels are 0 and 1"),
        ({"loss": "nll", "y": [0, 1, math.nan, 1]}, lm.DomainError, r"y_true\[2\] is nan"),
        ({"loss": "nll", "y": [0, 1, 19881231, 1]}, lm.DomainError, r"y\[2\] is 19881231; a lesson has at most 1000"),
        ({"loss": "nll", "y": [0, 1, 1e300, 1]}, lm.DomainError, r"y\[2\] is 1e\+300; a lesson has at most 1000"),
        ({"loss": "ce", "y": [0, 1, 1e300, 1]}, lm.ShapeError, "y_true"),
        ({"start": [1.0]}, lm.ShapeError, r"start has shape \(1,\) and must have \(2,\)"),
        ({"start": [1.0, math.inf]}, lm.DomainError, "must be finite"),
        ({"loss": "mean_error", "start": "constant"}, lm.NoConstantError, "no best constant"),
        ({"loss": "bce", "y": [1, 1, 1, 1], "start": "constant"}, lm.DomainError, "must be finite"),
        ({"loss": "msle", "start": [-9.0, 0.0]}, lm.DomainError, r"y_pred\[0\] is -9"),
        ({"names": ["a", "b"]}, lm.ParameterError, "a name for each of the 1 features"),
        ({"names": "a"}, lm.ParameterError, "a name for each of the 1 features"),
    ],
)  # fmt: skip
def test_bad_input_is_explained(given: dict[str, Any], error: type[Exception], message: str) -> None:
    call = {"loss": "mse", "X": HOURS, "y": [1.0, 2.0, 3.0, 4.0], **given}
    with pytest.raises(error, match=message):
        lm.learn(call.pop("loss"), call.pop("X"), call.pop("y"), **call)


def test_what_the_caller_gave_stays_as_it_was() -> None:
    X, y = HOURS.copy(), np.array([1.0, 2.0, 3.0, 4.0])
    learning = lm.learn("mse", X, y, steps=3)
    y[0] = X[0] = 100
    assert learning.y[0] == learning.X[0, 0] == 1


@pytest.mark.parametrize(
    ("name", "mend"), [("lr", "called rate"), ("epochs", "called steps"), ("step", "mean 'steps'")]
)
def test_a_keyword_that_there_is_not_is_told(name: str, mend: str) -> None:
    with pytest.raises(lm.ParameterError, match=f"^learn has no argument '{name}'; it has loss, X, y, .*{mend}"):
        lm.learn("huber", [1.0, 2.0], [1.0, 3.0], **{name: 1})  # type: ignore[arg-type]
