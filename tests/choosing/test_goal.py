"""Goals and how they follow from metrics."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.choosing.goal import Goal, goal_of_metric, parse_goal
from lossmith.errors import ParameterError
from lossmith.scoring import metrics


@pytest.mark.parametrize(
    ("text", "binary", "goal"),
    [
        (None, False, Goal("mean")),
        (None, True, Goal("probability")),
        ("mean", True, Goal("probability")),
        ("Median", False, Goal("median")),
        ("quantile:0.9", False, Goal("quantile", 0.9)),
    ],
)
def test_parse(text: str | None, binary: bool, goal: Goal) -> None:
    assert parse_goal(text, binary=binary) == goal


@pytest.mark.parametrize(
    ("text", "binary", "message"),
    [
        ("medain", False, "is no goal. Did you mean 'median'"),
        ("quantile", False, "needs its level, such as quantile:0.9"),
        ("mean:0.5", False, "write just 'mean'"),
        ("quantile:1.5", False, "between 0 and 1"),
        ("quantile:high", False, "between 0 and 1"),
        ("median", True, "does not fit a target of two classes"),
        ("probability", False, "needs a target of two classes"),
    ],
)
def test_refused(text: str, binary: bool, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_goal(text, binary=binary)


GOALS = [Goal("mean"), Goal("median"), Goal("quantile", 0.9), Goal("quantile", 0.2), Goal("probability")]


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.text)
def test_the_metric_of_a_goal_is_best_at_that_goal(goal: Goal) -> None:
    """Of all constants, the goal's own property of the data scores best, and the metric leads back to the goal."""
    rng = np.random.default_rng(0)
    binary = goal.kind == "probability"
    y = (rng.random(999) < 0.3).astype(float) if binary else rng.lognormal(size=999)
    true = {"mean": y.mean(), "median": np.median(y), "probability": y.mean()}.get(goal.kind)
    true = np.quantile(y, goal.level) if true is None else true
    metric = metrics.get(goal.metric)
    grid = np.linspace(0.01, 0.99 if binary else 8.0, 800)
    best = grid[np.argmin([metric(y, np.full(y.size, value)) for value in grid])]
    assert best == pytest.approx(true, abs=2 * (grid[1] - grid[0]))
    assert goal_of_metric(metric.name) == goal.text
    loss = goal.loss()
    assert goal.is_aim_of(loss)
    assert loss.link.inverse(loss.optimal_constant(y)) == pytest.approx(true, rel=0.02)


def test_other_losses_that_share_the_aim() -> None:
    assert Goal("mean").is_aim_of(lm.get("poisson"))
    assert Goal("median").is_aim_of(lm.get("quantile", level=0.5))
    assert not Goal("mean").is_aim_of(lm.get("huber"))
    assert not Goal("quantile", 0.9).is_aim_of(lm.get("quantile", level=0.8))
    assert not Goal("probability").is_aim_of(lm.get("focal"))


def test_a_metric_that_fits_no_goal_gives_none() -> None:
    assert goal_of_metric("roc_auc") is None
    assert goal_of_metric("mape") is None
