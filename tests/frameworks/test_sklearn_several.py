"""Linear models of several numbers a row whose losses have kinks: the models of others, and the linear programme."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import d2_absolute_error_score, r2_score
from sklearn.svm import LinearSVC

import lossmith as lm
from lossmith.sklearn import LinearClassifier, LinearRegressor
from tests.frameworks.test_sklearn import DIABETES, IRIS


def test_the_machine_of_crammer_and_singer() -> None:
    X, y = IRIS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = LinearSVC(C=0.1, multi_class="crammer_singer", fit_intercept=False, tol=1e-12, max_iter=10**6).fit(
            X, y
        )
    ours = LinearClassifier("crammer_singer", lm.L2(1 / (2 * 0.1 * len(y))), fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    assert abs(ours.dual_gap_) < 1e-9


@pytest.mark.parametrize("name", ["crammer_singer", "weston_watkins"])
def test_leads_over_rivals_come_to_the_linear_programme(name: str) -> None:
    X, y = IRIS[0][::3], IRIS[1][::3]
    weight = np.array([1.0, 2.0, 0.5])
    model = LinearClassifier(f"{name}(class_weight=(1, 2, 0.5))").fit(X, y)
    rows, columns, classes = *X.shape, 3
    table, parts = np.c_[X, np.ones(rows)], classes * (columns + 1)
    each = name == "weston_watkins"  # a slack for each rival, or one for all
    slacks = rows * classes if each else rows
    above, costs = [], np.concatenate([np.zeros(parts), np.repeat(weight[y], slacks // rows)])
    for row, true in enumerate(y):
        for rival in range(classes):
            line = np.zeros((classes, columns + 1))
            line[rival], line[true] = table[row], line[true] - table[row]
            slack = np.zeros(slacks)
            slack[row * classes + rival if each else row] = -1
            if rival != true:
                above.append(np.concatenate([line.ravel(), slack]))
    bounds = [(None, None)] * parts + [(0, None)] * slacks
    best = linprog(costs, np.array(above), -np.ones(len(above)), bounds=bounds).fun / weight[y].sum()
    found = model.loss_.cost(y, model.decision_function(X))
    assert found == pytest.approx(best, abs=1e-9)
    alike = LinearClassifier(name, lm.L2(0.01)).fit(X, y, sample_weight=weight[y])
    by_class = LinearClassifier(f"{name}(class_weight=(1, 2, 0.5))", lm.L2(0.01 * weight[y].sum() / rows)).fit(X, y)
    np.testing.assert_allclose(alike.coef_, by_class.coef_, atol=1e-6)


def test_several_quantiles_are_each_fitted_and_predicted_in_order() -> None:
    X, y = DIABETES[0][::4], DIABETES[1][::4]
    model = LinearRegressor("multi_quantile(levels=(0.1, 0.5, 0.52))", lm.L1(0.001)).fit(X, y)
    for place, level in enumerate((0.1, 0.5, 0.52)):
        theirs = QuantileRegressor(quantile=level, alpha=0.003).fit(X, y)
        np.testing.assert_allclose(model.coef_[place], theirs.coef_, atol=1e-9)
        assert model.intercept_[place] == pytest.approx(theirs.intercept_, abs=1e-9)
    raw, found = model.predict_raw(X), model.predict(X)
    assert found.shape == raw.shape == (len(y), 3)
    assert (np.diff(raw, axis=1) < 0).any()  # lines cross
    assert (np.diff(found, axis=1) >= 0).all()
    assert abs(model.dual_gap_) < 1e-9


def test_what_tells_no_probabilities_has_none() -> None:
    assert not hasattr(LinearClassifier("crammer_singer"), "predict_proba")
    assert hasattr(LinearClassifier("softmax_focal"), "predict_proba")


def test_several_quantiles_are_scored_by_the_share_of_the_best_constants_cost() -> None:
    X, y = DIABETES[0][::4], DIABETES[1][::4]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    several = LinearRegressor("multi_quantile(levels=(0.25, 0.75))").fit(X, y, sample_weight=weight)
    for w in (None, weight):
        costs, best = [], []
        for level, column in zip((0.25, 0.75), several.predict(X).T, strict=True):
            one = lm.Quantile(level=level)
            costs.append(one.cost(y, column, w))
            best.append(one.context(y, w).constant_cost)
        assert several.score(X, y, w) == pytest.approx(1 - sum(costs) / sum(best), rel=1e-12)
    median = LinearRegressor("multi_quantile(levels=(0.5,))").fit(X, y)
    assert median.score(X, y) == pytest.approx(d2_absolute_error_score(y, median.predict(X)[:, 0]), rel=1e-12)
    assert several.score(X, np.full(len(y), 3.0)) == 0.0
    squares = LinearRegressor().fit(X, y)
    assert squares.score(X, y) == pytest.approx(r2_score(y, squares.predict(X)), rel=1e-12)
