"""Metrics: their numbers against textbook formulas, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from lossmith.errors import DomainError, EmptyError, ParameterError, ShapeError
from lossmith.scoring import metrics

RNG = np.random.default_rng(11)
Y, P, W = RNG.normal(3, 2, 60), RNG.normal(3, 2, 60), RNG.integers(0, 4, 60).astype(float)
LABELS, CHANCES = (RNG.random(60) < 0.4).astype(float), RNG.random(60).round(1) * 0.98 + 0.01  # rounded, to have ties


def auc(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Return the share of pairs of a positive and a negative that are in the right order; ties count half."""
    positive, negative = y == 1, y == 0
    right = (p[positive][:, None] > p[negative]) + 0.5 * (p[positive][:, None] == p[negative])
    pairs = w[positive][:, None] * w[negative]
    return float((right * pairs).sum() / pairs.sum())


def average_precision(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    total, before = 0.0, 0.0
    for level in np.unique(p)[::-1]:
        chosen = p >= level
        recall = (w * y)[chosen].sum() / (w * y).sum()
        total += (recall - before) * (w * y)[chosen].sum() / w[chosen].sum()
        before = recall
    return total


def weighted_median(values: np.ndarray, w: np.ndarray) -> float:
    return float(np.median(np.repeat(values, w.astype(int))))


def mean(values: np.ndarray, w: np.ndarray) -> float:
    return float((values * w).sum() / w.sum())


TEXTBOOK: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "rmse": lambda y, p, w: math.sqrt(mean((y - p) ** 2, w)),
    "rmsle": lambda y, p, w: math.sqrt(mean((np.log1p(y) - np.log1p(p)) ** 2, w)),
    "mae": lambda y, p, w: mean(abs(y - p), w),
    "r2": lambda y, p, w: 1 - mean((y - p) ** 2, w) / mean((y - mean(y, w)) ** 2, w),
    "median_absolute_error": lambda y, p, w: weighted_median(abs(y - p), w),
    "mape": lambda y, p, w: mean(abs((y - p) / y), w),
    "pinball:0.9": lambda y, p, w: mean(np.where(y > p, 0.9 * (y - p), 0.1 * (p - y)), w),
    "log_loss": lambda y, p, w: mean(-np.log(np.where(y == 1, p, 1 - p)), w),
    "brier": lambda y, p, w: mean((y - p) ** 2, w),
    "zero_one": lambda y, p, w: mean((p > 0.5) != (y == 1), w),
    "roc_auc": auc,
    "average_precision": average_precision,
}


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    if name == "rmsle":  # for what is above -1
        return np.abs(Y), np.abs(P)
    return (LABELS, CHANCES) if metrics.get(name).kind == "binary" else (Y, P)


def test_every_metric_is_checked_here() -> None:
    assert {name.partition(":")[0] for name in TEXTBOOK} == {name.partition(":")[0] for name in metrics.names()}


@pytest.mark.parametrize("name", TEXTBOOK)
@pytest.mark.parametrize("weights", [None, W], ids=["plain", "weighted"])
def test_values(name: str, weights: np.ndarray | None) -> None:
    y, p = data(name)
    want = TEXTBOOK[name](y, p, np.ones_like(y) if weights is None else weights)
    assert metrics.get(name)(y, p, weights) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_perfect_prediction_is_the_best(name: str) -> None:
    metric = metrics.get(name)
    y, p = data(name)
    perfect, other = metric(y, y), metric(y, p)
    assert perfect > other if metric.greater_is_better else perfect < other
    assert perfect == (1 if metric.greater_is_better else 0)


def test_certain_and_wrong_is_infinite() -> None:
    assert metrics.get("log_loss")([1, 0], [0, 0]) == math.inf
    assert metrics.get("log_loss")([0, 1], [0, 1]) == 0


@pytest.mark.parametrize("name", ["r2", "roc_auc", "average_precision"])
def test_undefined_is_nan_and_silent(name: str) -> None:
    assert math.isnan(metrics.get(name)([1, 1, 1], [0.2, 0.3, 0.9]))
    assert math.isnan(metrics.get(name)([1, 1, 0], [0.2, 0.3, 0.9], [1, 1, 0]))


def test_losses_are_metrics() -> None:
    metric = metrics.get("huber(delta=2)")
    assert (metric.name, metric.kind, metric.greater_is_better) == ("Huber(delta=2)", "regression", False)
    assert metric([0, 0], [1, 5]) == pytest.approx((0.5 + 8) / 2)
    assert metrics.get(metric.name)([0, 0], [1, 5]) == metric([0, 0], [1, 5])
    assert metrics.get("poisson").kind == "regression"
    rates, counts = np.array([2.0, 3.0]), np.array([0.0, 4.0])
    assert metrics.get("poisson")(counts, rates) == pytest.approx(np.mean(rates - counts * np.log(rates)))
    focal = metrics.get("focal(gamma=2)")
    assert focal.kind == "binary"
    assert focal([1], [0.9]) == pytest.approx(0.1**2 * -math.log(0.9))
    assert focal([1, 0], [1, 0]) == 0
    assert metrics.get("mse")([1, 2], [2, 4]) == 2.5


def test_names_are_forgiving_and_stable() -> None:
    assert metrics.get(" RMSE ").name == "rmse"
    assert metrics.get("roc-auc").name == "roc_auc"
    assert metrics.get("pinball:0.90").name == "pinball:0.9"
    for name in TEXTBOOK:
        assert metrics.get(name).name == name
        assert metrics.get(name).title


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rmsee", "Did you mean 'rmse'"),
        ("zzz", "Metrics are rmse, mae"),
        ("pinball", "such as pinball:0.9"),
        ("pinball:2", "level between 0 and 1"),
        ("hinge", "scores without a scale"),
        ("mean_error", "cannot judge"),
        ("triplet", r"takes the inputs anchor, positive, negative.*cost\(anchor=\.\.\., positive="),
        ("gaussian_nll", "takes the inputs y_true, y_pred, variance"),
        ("softmax_focal", "takes a row of predictions for each target"),
        ("multi_quantile", "takes a row of predictions for each target"),
        ("huber(delta=-1)", "delta"),
        ("huber(", "cannot read"),
        ("", "no metric"),
    ],
)
def test_refused_names(text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        metrics.get(text)


def test_refused_data() -> None:
    with pytest.raises(ShapeError, match="one length"):
        metrics.get("mae")([1, 2], [1])
    with pytest.raises(ShapeError, match="one-dimensional"):
        metrics.get("mae")([[1], [2]], [[1], [2]])
    with pytest.raises(ShapeError, match="weights"):
        metrics.get("mae")([1, 2], [1, 2], [1])
    with pytest.raises(EmptyError, match="no rows"):
        metrics.get("mae")([], [])
    with pytest.raises(EmptyError, match="no rows"):
        metrics.get("r2")([1, 2], [1, 2], [0, 0])
    with pytest.raises(DomainError, match=r"weight\[1\] is -1"):
        metrics.get("r2")([1, 2], [1, 2], [1, -1])
    with pytest.raises(DomainError, match=r"prediction\[1\] is nan"):
        metrics.get("r2")([1, 2], [1, math.nan])
    with pytest.raises(DomainError, match=r"y_true\[0\] is inf"):
        metrics.get("roc_auc")([math.inf, 0], [1, 0])
    with pytest.raises(DomainError, match=r"prediction\[1\] is 1.5"):
        metrics.get("brier")([1, 0], [0.5, 1.5])
    with pytest.raises(DomainError, match=r"y_true\[1\] is 2"):
        metrics.get("log_loss")([1, 2], [0.5, 0.5])
    with pytest.raises(DomainError, match=r"y_true\[1\] is 0"):
        metrics.get("mape")([1, 0], [1, 1])
