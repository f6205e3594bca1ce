"""Any loss as a scorer and a metric: what estimators are asked for, and the number that comes out."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge, SGDClassifier
from sklearn.metrics import (
    brier_score_loss,
    hinge_loss,
    log_loss,
    make_scorer,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
)
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

import lossmith as lm
from lossmith.lightgbm import Regressor
from lossmith.sklearn import LinearClassifier, metric, scorer

X, Y = load_diabetes(return_X_y=True)
CANCER = StandardScaler().fit_transform(load_breast_cancer().data[:, :6])
SICK = np.where(load_breast_cancer().target == 1, "well", "ill")  # in the order of the alphabet ill comes first
LEAVES, KINDS = load_iris(return_X_y=True)
LINE, RATE = LinearRegression().fit(X, Y), PoissonRegressor(alpha=1e-6).fit(X, Y)
LOGIT, FOREST = LogisticRegression().fit(CANCER, SICK), RandomForestClassifier(10, random_state=0).fit(CANCER, SICK)
MARGIN = SGDClassifier(random_state=0).fit(CANCER, SICK)
CLASSES = LogisticRegression(solver="newton-cholesky").fit(LEAVES, KINDS)
WELL, OFF = SICK == "well", LINE.predict(X) - Y
TWO = LinearRegression().fit(X, np.column_stack([Y, -Y]))
QUANTILES = Regressor("multi_quantile(levels=(0.1, 0.5, 0.9))", n_estimators=5, n_jobs=1).fit(X, Y)
RATES, LABELS = lm.formula("exp(f) - y*f", task="counts"), lm.formula("softplus(f) - y*f", task="binary")


@pytest.mark.parametrize(
    ("loss", "model", "rows", "y", "expected"),
    [
        ("mse", LINE, X, Y, lambda: mean_squared_error(Y, LINE.predict(X))),
        ("quantile(level=0.9)", LINE, X, Y, lambda: mean_pinball_loss(Y, LINE.predict(X), alpha=0.9)),
        ("poisson", RATE, X, Y, lambda: _deviance(mean_poisson_deviance) / 2 + np.mean(Y - Y * np.log(Y))),
        ("poisson(prediction=rate)", RATE, X, Y, lambda: -scorer("poisson")(RATE, X, Y)),
        ("gamma", RATE, X, Y, lambda: _deviance(mean_gamma_deviance) / 2 + np.mean(1 + np.log(Y))),
        ("tweedie(power=1.5)", RATE, X, Y, lambda: lm.get("tweedie", power=1.5)(Y, np.log(RATE.predict(X)))),
        ("bce", LOGIT, CANCER, SICK, lambda: log_loss(SICK, LOGIT.predict_proba(CANCER))),
        ("bce(prediction=probabilities)", LOGIT, CANCER, SICK, lambda: log_loss(SICK, LOGIT.predict_proba(CANCER))),
        ("bce(labels=signed)", LOGIT, CANCER, SICK, lambda: log_loss(SICK, LOGIT.predict_proba(CANCER))),
        ("brier", FOREST, CANCER, SICK, lambda: brier_score_loss(WELL, FOREST.predict_proba(CANCER)[:, 1])),
        ("hinge", MARGIN, CANCER, SICK, lambda: hinge_loss(SICK, MARGIN.decision_function(CANCER))),
        ("ce", CLASSES, LEAVES, KINDS, lambda: log_loss(KINDS, CLASSES.predict_proba(LEAVES))),
        ("sparse_categorical_cross_entropy", LOGIT, CANCER, SICK, lambda: log_loss(SICK, LOGIT.predict_proba(CANCER))),
        (
            "logit_adjusted(prior=(0.5, 0.3, 0.2))",
            CLASSES,
            LEAVES,
            KINDS,
            lambda: lm.parse("logit_adjusted(prior=(0.5, 0.3, 0.2))")(KINDS, CLASSES.decision_function(LEAVES)),
        ),
        (0.5 * lm.SquaredError() + lm.AbsoluteError(), LINE, X, Y, lambda: np.mean(OFF**2 / 2 + np.abs(OFF))),
        (
            0.5 * lm.BinaryCrossEntropy() + lm.Brier(),
            LOGIT,
            CANCER,
            SICK,
            lambda: log_loss(SICK, LOGIT.predict_proba(CANCER)) / 2 - scorer("brier")(LOGIT, CANCER, SICK),
        ),
        (RATES, RATE, X, Y, lambda: np.mean(RATE.predict(X) - Y * np.log(RATE.predict(X)))),
        (LABELS, LOGIT, CANCER, SICK, lambda: log_loss(SICK, LOGIT.predict_proba(CANCER))),
    ],
)  # fmt: skip
def test_a_score_is_minus_the_cost(loss: Any, model: Any, rows: Any, y: Any, expected: Any) -> None:
    assert scorer(loss)(model, rows, y) == pytest.approx(-expected(), rel=1e-9)


def _deviance(of: Any) -> float:
    return float(of(Y, RATE.predict(X)))


def test_a_wrong_column_or_sign_would_be_noticed() -> None:
    right = log_loss(SICK, LOGIT.predict_proba(CANCER))
    assert lm.BinaryCrossEntropy(prediction="probabilities")(WELL, LOGIT.predict_proba(CANCER)[:, 0]) > 2 * right
    assert scorer("bce")(LOGIT, CANCER, SICK) < 0


def test_answers_of_choice() -> None:
    raw = scorer("focal", response="decision_function")
    assert raw(LOGIT, CANCER, SICK) == pytest.approx(-lm.Focal()(WELL, LOGIT.decision_function(CANCER)))
    assert raw(LOGIT, CANCER, SICK) == pytest.approx(scorer("focal")(LOGIT, CANCER, SICK))
    repaired = LinearClassifier("focal").fit(CANCER, SICK)  # whose probabilities are not its sigmoid
    assert raw(repaired, CANCER, SICK) != pytest.approx(scorer("focal")(repaired, CANCER, SICK), rel=0.01)


def test_in_cross_validation_and_search() -> None:
    model = make_pipeline(StandardScaler(), Ridge())
    ours = cross_val_score(model, X, Y, scoring=scorer("mse"), cv=3)
    np.testing.assert_allclose(ours, cross_val_score(model, X, Y, scoring="neg_mean_squared_error", cv=3))
    found = cross_validate(model, X, Y, scoring={"l1": scorer("mae"), "r2": "r2"}, cv=3)
    np.testing.assert_allclose(found["test_l1"], cross_val_score(model, X, Y, scoring="neg_mean_absolute_error", cv=3))
    search = GridSearchCV(Ridge(), {"alpha": [1e-3, 1e3]}, scoring=scorer("huber(delta=20)"), cv=3).fit(X, Y)
    assert search.best_params_ == {"alpha": 1e-3}
    labels = cross_val_score(LogisticRegression(), CANCER, SICK, scoring=scorer("bce"), cv=3)
    np.testing.assert_allclose(
        labels, cross_val_score(LogisticRegression(), CANCER, SICK, scoring="neg_log_loss", cv=3)
    )


def test_weights_come_by_routing() -> None:
    weight = np.random.default_rng(0).integers(0, 3, len(Y)).astype(float)
    assert scorer("mse")(LINE, X, Y, sample_weight=weight) == pytest.approx(
        -mean_squared_error(Y, LINE.predict(X), sample_weight=weight)
    )
    with sklearn.config_context(enable_metadata_routing=True):
        ours = scorer("mse").set_score_request(sample_weight=True)
        theirs = make_scorer(mean_squared_error, greater_is_better=False).set_score_request(sample_weight=True)
        model = LinearRegression().set_fit_request(sample_weight=True)
        found = cross_validate(
            model, X, Y, scoring={"ours": ours, "theirs": theirs}, params={"sample_weight": weight}, cv=3
        )
        np.testing.assert_allclose(found["test_ours"], found["test_theirs"])
        single = cross_val_score(model, X, Y, scoring=ours, params={"sample_weight": weight}, cv=3)
        np.testing.assert_allclose(single, found["test_ours"])
        assert not np.allclose(single, cross_val_score(model, X, Y, scoring=scorer("mse"), cv=3, params={}))
        search = GridSearchCV(Ridge().set_fit_request(sample_weight=True), {"alpha": [1.0]}, scoring=ours, cv=3)
        assert np.isfinite(search.fit(X, Y, sample_weight=weight).best_score_)


def test_pickles_and_texts() -> None:
    again = pickle.loads(pickle.dumps(scorer("huber(delta=2)")))
    assert again(LINE, X, Y) == scorer("huber(delta=2)")(LINE, X, Y)
    assert repr(again) == "scorer(Huber(delta=2))"
    assert repr(scorer("focal", response="predict_proba")) == "scorer(Focal(gamma=2), response='predict_proba')"
    assert repr(metric("mae")) == "metric(AbsoluteError())"


def test_metrics_are_of_the_targets_scale() -> None:
    assert metric("poisson")(Y, RATE.predict(X)) == pytest.approx(-scorer("poisson")(RATE, X, Y))
    assert metric("bce")(WELL, LOGIT.predict_proba(CANCER)[:, 1]) == pytest.approx(-scorer("bce")(LOGIT, CANCER, SICK))
    assert make_scorer(metric("mae"), greater_is_better=False)(LINE, X, Y) == pytest.approx(scorer("mae")(LINE, X, Y))
    booster = XGBRegressor(n_estimators=3, eval_metric=metric("mae"), n_jobs=1)
    booster.fit(X, Y, eval_set=[(X, Y)], verbose=False)
    history = booster.evals_result()["validation_0"]
    assert list(history)[-1] == "absolute_error"
    assert history["absolute_error"][-1] == pytest.approx(np.abs(booster.predict(X) - Y).mean(), rel=1e-5)
    with pytest.raises(lm.ParameterError, match="raw predictions alone"):
        metric("hinge")(WELL, LOGIT.predict_proba(CANCER)[:, 1])


@pytest.mark.parametrize("prediction", ["quantiles", "increments"])
def test_quantiles_are_judged_together_as_an_estimator_gives_them(prediction: str) -> None:
    loss = lm.MultiQuantile(levels=(0.1, 0.5, 0.9), prediction=prediction)
    model = Regressor(loss, n_estimators=5, n_jobs=1).fit(X, Y)
    found = model.predict(X)
    each = [mean_pinball_loss(Y, found[:, place], alpha=level) for place, level in enumerate(loss.levels)]
    constant = [mean_pinball_loss(Y, 0 * Y + np.quantile(Y, level), alpha=level) for level in loss.levels]
    assert scorer(loss)(model, X, Y) == pytest.approx(-np.mean(each))
    assert metric(loss)(Y, found) == pytest.approx(np.mean(each))
    assert model.score(X, Y) == pytest.approx(1 - np.mean(each) / np.mean(constant), abs=1e-3)


def test_targets_of_several_columns_are_judged_by_all_of_them() -> None:
    both = np.column_stack([Y, -Y])
    assert scorer("mse")(TWO, X, both) == pytest.approx(-mean_squared_error(both, TWO.predict(X)))


def test_what_has_no_score_says_so() -> None:
    model = Regressor("gaussian_nll(scale=log_variance)", n_estimators=2, n_jobs=1).fit(X, Y)
    with pytest.raises(lm.ParameterError, match="several numbers for each target, of which there is no R²"):
        model.score(X, Y)


def test_labels_that_are_ignored_are_those_of_the_user() -> None:
    loss, labels = "sparse_categorical_cross_entropy(ignore_index=2)", KINDS + 1
    rest, weight = labels != 2, np.arange(1.0, 151)
    model = LinearClassifier(loss, lm.L2(0.1)).fit(LEAVES, labels, weight)
    alone = LinearClassifier("sparse_categorical_cross_entropy", lm.L2(0.1)).fit(
        LEAVES[rest], labels[rest], weight[rest]
    )
    assert list(model.classes_) == [1, 3]
    np.testing.assert_array_equal(model.coef_, alone.coef_)
    found = scorer(loss)(model, LEAVES, labels, sample_weight=weight)
    assert found == pytest.approx(
        -log_loss(labels[rest], model.predict_proba(LEAVES[rest]), sample_weight=weight[rest])
    )
    texts = LinearClassifier(loss, lm.L2(0.1)).fit(LEAVES, labels.astype(str))
    assert list(texts.classes_) == ["1", "2", "3"]  # a text is no number


@pytest.mark.parametrize(
    ("make", "model", "rows", "y", "error", "message"),
    [
        (lambda: scorer("hubber"), LINE, X, Y, lm.LossNotFoundError, "Did you mean 'huber'"),
        (lambda: scorer("gaussian_nll"), LINE, X, Y, lm.ParameterError, "y_true, y_pred, variance"),
        (lambda: scorer("multi_quantile"), LINE, X, Y, lm.ShapeError, r"shape \(442,\), .* each of the 3 levels"),
        (lambda: scorer("mse"), TWO, X, Y, lm.ShapeError, r"one number for each target, and .* shape \(442, 2\)"),
        (lambda: scorer("quantile(level=0.9)"), QUANTILES, X, Y, lm.ShapeError, r"Regressor have shape \(442, 3\)"),
        (lambda: scorer("bce", response="maybe"), LINE, X, Y, lm.ParameterError, "response='maybe'"),
        (lambda: scorer("hinge"), FOREST, CANCER, SICK, lm.ParameterError, "RandomForestClassifier gives none"),
        (lambda: scorer("bce"), LINE, X, Y, lm.ParameterError, "judges probabilities, and LinearRegression gives none"),
        (lambda: scorer("bce"), CLASSES, LEAVES, KINDS, lm.DomainError, "judges two classes, and .* knows 3"),
        (lambda: scorer("bce"), LOGIT, CANCER[:2], ["ill", "dead"], lm.DomainError, "never seen the class .*dead"),
    ],
)
def test_what_cannot_be_judged_is_refused(make, model, rows, y, error, message) -> None:
    with pytest.raises(error, match=message):
        make()(model, rows, y)
