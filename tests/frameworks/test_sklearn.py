"""Linear models fitted by any loss: scikit-learn's own rules, its own models, and the least cost that there is."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    TweedieRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator

import lossmith as lm
from lossmith.sklearn import LinearClassifier, LinearModel, LinearRegressor, scorer

TASKS = ("regression", "counts", "binary", "categorical")
REFUSED = {"mean_error", "perceptron", "zero_one"}
FITTED = [name for task in TASKS for name in lm.names(task) if name not in {*REFUSED, "multi_quantile"}]


def scaled(X: np.ndarray) -> np.ndarray:
    return (X - X.mean(axis=0)) / X.std(axis=0)


DIABETES = load_diabetes(return_X_y=True)[0] * 20, load_diabetes(return_X_y=True)[1] / 100
CANCER = scaled(load_breast_cancer(return_X_y=True)[0][:, :8]), load_breast_cancer(return_X_y=True)[1]
IRIS = scaled(load_iris(return_X_y=True)[0]), load_iris(return_X_y=True)[1]
DATA = {"regression": DIABETES, "counts": DIABETES, "binary": CANCER, "categorical": IRIS}
N, M = len(DIABETES[1]), len(CANCER[1])


@pytest.mark.parametrize(
    "model",
    [
        LinearRegressor(),
        LinearRegressor("quantile(level=0.5)"),
        LinearClassifier(),
        LinearClassifier("sparse_categorical_cross_entropy", penalty="l2"),
        LinearClassifier("crammer_singer", penalty="l2", strength=0.01),
    ],
    ids=repr,
)
def test_scikit_learns_own_checks(model: Any) -> None:
    found = check_estimator(model, on_skip=None)
    assert {check["status"] for check in found if check["check_name"] != "check_array_api_input"} == {"passed"}
    assert len(found) >= 60


# --- the same models as scikit-learn's ------------------------------------------------------------------

HUBER = HuberRegressor(tol=1e-10, max_iter=10_000).fit(*DIABETES)
EXACT: Any = {"solver": "newton-cholesky", "tol": 1e-9}
SAME: Any = {
    "LinearRegression": ("squared_error", None, LinearRegression(), 1e-10),
    "Ridge": ("squared_error", lm.L2(3 / N), Ridge(3), 1e-10),
    "Lasso": ("half_squared_error", lm.L1(0.05), Lasso(0.05, tol=1e-14, max_iter=10**5), 1e-7),
    # Scikit-learn has half the squares: its l1_ratio 0.5 and alpha 0.1 are 0.05 absolute values and 0.025 squares.
    "ElasticNet": (
        "half_squared_error",
        lm.ElasticNet(0.075, l1_share=2 / 3),
        ElasticNet(0.1, l1_ratio=0.5, tol=1e-14, max_iter=10**5),
        1e-7,
    ),
    # Half the deviance, which is the loss, and half the squares.
    "PoissonRegressor": ("poisson", lm.L2(0.1 / 2), PoissonRegressor(alpha=0.1, **EXACT), 1e-6),
    "GammaRegressor": ("gamma", lm.L2(0.1 / 2), GammaRegressor(alpha=0.1, **EXACT), 1e-6),
    "TweedieRegressor": (
        "tweedie(power=1.5)",
        lm.L2(0.1 / 2),
        TweedieRegressor(power=1.5, alpha=0.1, link="log", **EXACT),
        1e-6,
    ),
    # Its tails begin at epsilon times a scale that it estimates along, which also divides the loss.
    "HuberRegressor": (
        lm.Huber(1.35 * HUBER.scale_),
        lm.L2(HUBER.alpha * HUBER.scale_ / (2 * N)),
        HUBER,
        1e-4,
    ),
    "QuantileRegressor": ("quantile(level=0.8)", None, QuantileRegressor(quantile=0.8, alpha=0.0), 1e-8),
    "QuantileRegressor, alpha": ("quantile(level=0.8)", lm.L1(0.02), QuantileRegressor(quantile=0.8, alpha=0.02), 1e-8),
    "LogisticRegression": ("bce", lm.L2(1 / (2 * M)), LogisticRegression(**EXACT), 1e-6),
    "LogisticRegression, classes": (
        "sparse_categorical_cross_entropy",
        lm.L2(1 / (2 * len(IRIS[1]))),
        LogisticRegression(**EXACT),
        1e-5,
    ),
    "LogisticRegression, classes of two": (
        "sparse_categorical_cross_entropy",
        lm.L2(1 / M),  # of two columns that differ in sign, so half of the squares of their difference
        LogisticRegression(**EXACT),
        1e-6,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_the_same_coefficients_as_scikit_learns(name: str) -> None:
    loss, penalty, theirs, digits = SAME[name]
    X, y = DATA["categorical" if name.endswith("classes") else "binary" if "Logistic" in name else "regression"]
    ours, theirs = LinearModel(loss, penalty).fit(X, y), theirs.fit(X, y)
    assert np.shape(ours.coef_) == np.shape(theirs.coef_)
    size = np.abs(theirs.coef_).max()
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=digits * size)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=10 * digits)
    if penalty is not None and "l1" in repr(penalty).lower():
        np.testing.assert_array_equal(ours.coef_ == 0, theirs.coef_ == 0)
        assert 0 < np.sum(ours.coef_ == 0) < ours.coef_.size


@pytest.mark.parametrize("loss", ["half_squared_error", "huber(delta=0.5)", "poisson", "softmax_focal"])
@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("strengths", [(0.02, 0.0), (0.02, 0.03), (0.2, 0.0)])
def test_an_absolute_penalty_on_few_columns(loss: str, columns: int, strengths: tuple[float, float]) -> None:
    l1, l2 = strengths
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(12, columns)) * [0.5, 1][:columns] + [0, 3][:columns]
        f = 2 * (X - X.mean(axis=0)) @ [1.0, -1.0][:columns] + rng.normal(size=12) / 5
        y = {"poisson": 1 + rng.poisson(np.exp(f / 4)), "softmax_focal": np.argsort(np.argsort(f)) // 4}.get(loss, f)
        model = LinearModel(loss, lm.ElasticNet(l1 + l2, l1_share=l1 / (l1 + l2))).fit(X, y)
        coef = model.coef_.T
        slopes = X.T @ model.loss_.gradient(y, X @ coef + model.intercept_) / 12 + 2 * l2 * coef
        # At the least cost those of the penalty are their opposites, or can be where a coefficient is 0.
        np.testing.assert_allclose(slopes[coef != 0], -l1 * np.sign(coef[coef != 0]), atol=1e-7)
        assert np.all(np.abs(slopes) <= l1 + 1e-7)
        if loss == "half_squared_error" and not l2:
            theirs = Lasso(l1, tol=1e-14, max_iter=10**5).fit(X, y)
            np.testing.assert_allclose(model.coef_, theirs.coef_, rtol=1e-7, atol=1e-9)
            np.testing.assert_allclose(model.intercept_, theirs.intercept_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("rows", "columns", "seed"), [(30, 30, 49), (40, 40, 50), (20, 50, 1)])
@pytest.mark.parametrize("strength", [1e-4, 1e-3, 1e-2])
def test_a_weak_absolute_penalty_on_many_columns(rows: int, columns: int, seed: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    y = X[:, :3] @ [2.0, -1.0, 1.0] + rng.normal(size=rows)
    ours = LinearModel("half_squared_error", "l1", strength=strength).fit(X, y)
    theirs = Lasso(strength, tol=1e-10, max_iter=10**6).fit(X, y)
    least, known = (
        np.mean((y - model.predict(X)) ** 2) / 2 + strength * np.abs(model.coef_).sum() for model in (theirs, ours)
    )
    assert known <= least + 1e-9
    assert np.sum(ours.coef_ != 0) <= rows


def test_a_support_vector_machine() -> None:
    X, y = CANCER
    theirs = LinearSVC(C=0.1, fit_intercept=False, dual=False, tol=1e-12, max_iter=10**5).fit(X, y)
    ours = LinearClassifier("squared_hinge", lm.L2(1 / (2 * 0.1 * M)), fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    hinge = LinearClassifier("hinge", lm.L2(0.01)).fit(X, y)
    assert abs(hinge.dual_gap_) < 1e-9


# --- the least cost, for every loss ---------------------------------------------------------------------


def is_least_around(model: Any, X: np.ndarray, y: np.ndarray, strength: float) -> None:
    """Hold that no small change of a fitted model lowers what it minimises."""
    targets = np.searchsorted(getattr(model, "classes_", ()), y) if hasattr(model, "classes_") else y
    if not model.loss_.elementwise and not model.loss_.class_indices:
        targets = np.eye(3)[targets]

    def cost(slopes: np.ndarray, intercept: Any) -> float:
        raw = X @ slopes.T + intercept
        raw = raw[:, 0] if raw.shape[1] == 1 and model.loss_.elementwise else raw
        losses = model.loss_.evaluate(targets, raw, ("losses",), trusted=True)["losses"]
        return float(np.mean(losses)) + strength * float(np.sum(slopes**2))

    slopes, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    least, rng = cost(slopes, intercept), np.random.default_rng(0)
    for size in (1e-2, 1e-4, 1e-6):
        for _ in range(20):
            step, shift = rng.normal(size=slopes.shape), rng.normal(size=intercept.shape)
            scale = size * (1 + np.abs(slopes).max())
            assert cost(slopes + scale * step, intercept + scale * shift) >= least * (1 - 1e-13)


def suited(name: str) -> tuple[np.ndarray, np.ndarray]:
    loss = lm.get(name)
    X, y = DATA[loss.card.task]
    return X, scaled(y) if {"scale", "c"} & loss.values.keys() else y


@pytest.mark.parametrize("name", FITTED)
def test_every_loss_is_fitted_to_its_least_cost(name: str) -> None:
    X, y = suited(name)
    strength = 0.01 if lm.get(name).card.task in ("binary", "categorical") else 0.0
    model = LinearModel(name, lm.L2(strength)).fit(X, y)
    is_least_around(model, X, y, strength)


def test_a_fit_that_is_not_least_is_noticed() -> None:
    for name in ("squared_error", "absolute_error"):
        model = LinearRegressor(name).fit(*DIABETES)
        model.coef_ = model.coef_ + 1e-3
        with pytest.raises(AssertionError):
            is_least_around(model, *DIABETES, 0.0)


def test_a_loss_of_ones_own() -> None:
    X, y = DIABETES
    text = lm.formula("max(level*(y - f), (1 - level)*(f - y))", parameters={"level": 0.8})
    pinball = LinearRegressor(text).fit(X, y)
    built_in = LinearRegressor("quantile(level=0.8)").fit(X, y)
    np.testing.assert_allclose(pinball.coef_, built_in.coef_, atol=1e-10)
    assert pinball.dual_gap_ < 1e-10

    @lm.loss
    def own(ops, y, f):
        return ops.logcosh(f - y)

    np.testing.assert_allclose(LinearRegressor(own()).fit(X, y).coef_, LinearRegressor("log_cosh").fit(X, y).coef_)
    bent = LinearRegressor(lm.formula("where(f < y, 4*(y - f), (f - y)**2)")).fit(X, y)
    assert bent.dual_gap_ < 1e-9
    is_least_around(bent, X, y, 0.0)
    rate = LinearRegressor(lm.formula("exp(f) - y*f", task="counts")).fit(X, y)
    assert np.isnan(rate.dual_gap_)  # which is of kinks
    np.testing.assert_allclose(rate.predict(X), LinearRegressor("poisson").fit(X, y).predict(X), rtol=1e-9)
    hollow = LinearRegressor(lm.formula("log(1 + abs(f - y))")).fit(X, y)  # kinks, and not convex
    is_least_around(hollow, X, y, 0.0)
    mixed = LinearRegressor(0.7 * lm.Huber() + 0.3 * lm.AbsoluteError()).fit(X, y)
    is_least_around(mixed, X, y, 0.0)


def test_a_formula_may_be_defined_on_a_part_of_the_line() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (200, 2))
    y = (1 + X.sum(axis=1)) * rng.exponential(size=200)
    model = LinearRegressor(lm.formula("y/f + log(f)", target="(0, inf)", prediction="(0, inf)")).fit(X, y)
    assert model.predict(X).min() > 0
    is_least_around(model, X, y, 0.0)


@pytest.mark.parametrize("text", ["where(f < y, 2*(y - f)**p, (f - y)**p)", "abs(f - y)**p"])
def test_a_curvature_without_a_bound_is_no_wall(text: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = np.where(np.arange(400) < 200, 0.0, np.round(3 * X[:, 0]))  # half of them met where the fit begins
    loss = lm.formula(text, parameters={"p": (1.5, "(1, 2)")})
    model = LinearModel(loss, fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(X.T @ loss.gradient(y, model.predict(X)) / len(y), 0, atol=1e-8)


# --- classes --------------------------------------------------------------------------------------------


def test_more_classes_than_two() -> None:
    X, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    rest = LinearClassifier("bce", lm.L2(0.01)).fit(X, names)
    assert rest.coef_.shape == (3, 4)
    one = LinearClassifier("bce(labels=signed)", lm.L2(0.01)).fit(X, names == "virginica")
    np.testing.assert_allclose(rest.coef_[2], one.coef_[0], rtol=1e-8)
    np.testing.assert_allclose(rest.predict_proba(X).sum(axis=1), 1)
    assert rest.score(X, names) > 0.9
    assert set(rest.predict(X)) == {"setosa", "versicolor", "virginica"}


@pytest.mark.parametrize("loss", ["focal", "focal(gamma=1, alpha=0.25)", "squared_hinge", "bce", "softmax_focal"])
def test_probabilities_are_true_whatever_was_trained_with(loss: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.choice([-1.0, 0.0, 2.0], 60_000)
    p = 1 / (1 + np.exp(1 - 0.8 * x))
    y = rng.random(x.size) < p
    X = (x[:, None] == [-1.0, 0.0]).astype(float)  # a model that can say every probability
    model = LinearClassifier(loss).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], p, atol=0.01)
    kept = y | (rng.random(x.size) < 0.2)  # fewer negatives, and positives that weigh twice as much
    skewed = LinearClassifier(lm.get("bce")).fit(X[kept], y[kept], sample_weight=1.0 + y[kept])
    raw = skewed.decision_function(X)
    assert np.abs(skewed.predict_proba(X)[:, 1] - p).max() > 0.2
    np.testing.assert_allclose(
        skewed.loss_.to_probability(raw, class_weight=(1, 2), sampling_rates=(0.2, 1)), p, atol=0.01
    )


def test_scores_without_probabilities_have_none() -> None:
    model = LinearClassifier("hinge", "l2").fit(*CANCER)
    assert not hasattr(model, "predict_proba")
    assert model.score(*CANCER) > 0.9


# --- tables, settings, mistakes -------------------------------------------------------------------------


def test_sparse_tables_give_the_same_model() -> None:
    X, y = DIABETES
    X = np.where(np.abs(X) > 0.5, X, 0.0)
    for loss, penalty, intercept in (("huber", "l2", True), ("huber", None, False), ("squared_error", "l1", True)):
        dense = LinearRegressor(loss, penalty, fit_intercept=intercept).fit(X, y)
        thin = LinearRegressor(loss, penalty, fit_intercept=intercept).fit(sparse.csr_array(X), y)
        np.testing.assert_allclose(thin.coef_, dense.coef_, atol=1e-8)
        np.testing.assert_allclose(thin.predict(sparse.csr_array(X)), dense.predict(X), rtol=1e-8)


def test_units_of_the_table_do_not_matter() -> None:
    X, y = DIABETES
    units = 10.0 ** np.arange(-5, 5)
    for loss in ("log_cosh", "absolute_error"):
        plain, other = LinearRegressor(loss).fit(X, y), LinearRegressor(loss).fit(X * units + 3 * units, y)
        np.testing.assert_allclose(other.coef_ * units, plain.coef_, rtol=1e-6)


def test_it_is_searched_cloned_and_pickled() -> None:
    X, y = DIABETES
    search = GridSearchCV(LinearRegressor("huber", "l2"), {"strength": [1e-3, 1e3]}, scoring=scorer("huber"), cv=3).fit(
        X, y
    )
    assert search.best_params_ == {"strength": 1e-3}
    model = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(model.predict(X), search.predict(X))
    again = clone(LinearRegressor(lm.Huber(2.0), lm.L2(0.1)))
    assert repr(again) == "LinearRegressor(loss=Huber(delta=2), penalty=L2(strength=0.1))"


def test_columns_of_a_data_frame_are_known_by_name() -> None:
    frame = pd.DataFrame(DIABETES[0][:, :2], columns=["age", "sex"])
    model = LinearRegressor("huber").fit(frame, DIABETES[1])
    assert list(model.feature_names_in_) == ["age", "sex"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["sex", "age"]])


def test_a_fit_that_stops_early_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match="stopped after 2 steps.*raise max_iter"):
        LinearRegressor("cauchy(scale=0.1)", max_iter=2).fit(*DIABETES)


def test_a_constant_target_is_met() -> None:
    for loss in ("squared_error", "absolute_error", "huber"):
        model = LinearRegressor(loss).fit(DIABETES[0], np.full(N, 7.0))
        np.testing.assert_array_equal(model.predict(DIABETES[0]), 7.0)


@pytest.mark.parametrize(
    ("model", "y", "error", "message"),
    [
        (LinearRegressor("hubber"), None, lm.LossNotFoundError, "Did you mean 'huber'"),
        (LinearRegressor("bce"), None, lm.ParameterError, "use LinearClassifier"),
        (LinearRegressor("gaussian_nll"), None, lm.ParameterError, "take a loss of y_true and y_pred"),
        (LinearRegressor("multi_quantile(prediction='increments')"), None, lm.ParameterError, "one number a row"),
        (LinearRegressor("mean_error"), None, lm.ParameterError, "falls without bound"),
        (LinearRegressor("poisson"), lambda y: -y, lm.DomainError, r"y_true must be in \[0, inf\)"),
        (LinearRegressor("poisson"), lambda y: 0 * y, lm.DomainError, "ask for the same extreme"),
        (LinearRegressor(penalty="l3"), None, lm.ParameterError, "penalty='l3' is not known"),
        (LinearRegressor(penalty=2.0), None, lm.ParameterError, "L1, L2 or ElasticNet"),
        (LinearRegressor(strength=2.0), None, lm.ParameterError, "penalty is None"),
        (LinearRegressor(penalty="l2", strength=-1.0), None, lm.ParameterError, "strength"),
        (LinearRegressor(tol=0.0), None, lm.ParameterError, "tol=0.0"),
        (LinearRegressor(max_iter=0), None, lm.ParameterError, "max_iter=0"),
        (LinearClassifier("huber"), lambda y: y > 1, lm.ParameterError, "use LinearRegressor"),
        (LinearClassifier("zero_one"), lambda y: y > 1, lm.ParameterError, "gradient is zero everywhere"),
        (LinearClassifier("perceptron"), lambda y: y > 1, lm.ParameterError, "such as Hinge"),
        (LinearClassifier("perceptron", fit_intercept=False), lambda y: y > 1, lm.ParameterError, "such as Hinge"),
        (
            LinearClassifier("crammer_singer(label_smoothing=0.1)"),
            lambda y: y > 1,
            lm.ParameterError,
            "kinks in several predictions",
        ),
        (LinearClassifier(), lambda y: 0 * y, lm.DomainError, "one class"),
    ],
)
def test_what_cannot_be_fitted_is_refused(model: Any, y: Any, error: type, message: str) -> None:
    X, targets = DIABETES
    with pytest.raises(error, match=message):
        model.fit(X, targets if y is None else y(targets))


def test_every_loss_is_fitted_or_refused_here() -> None:
    assert {*FITTED, *REFUSED, "multi_quantile"} == {name for task in TASKS for name in lm.names(task)}
