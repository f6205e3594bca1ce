"""Estimators show the parameters of their losses and penalties, as searches of scikit-learn name them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lossmith as lm
from lossmith import lightgbm
from lossmith.sklearn import LinearModel, LinearRegressor, scorer

RNG = np.random.default_rng(1)
X = RNG.normal(size=(120, 2))
Y = X @ [1.0, -2.0] + RNG.standard_t(1.5, 120)
LATE = lm.formula("where(f < y, k*(y - f)**2, (y - f)**2)", parameters={"k": (4.0, "(0, inf)")})

MODELS: list[tuple[Callable[[], Any], dict[str, Any]]] = [
    (lambda: LinearModel("huber(delta=2)"), {"loss__delta": 2.0}),
    (lambda: LinearModel(lm.Huber(), lm.L2(0.1)), {"loss__delta": 1.0, "penalty__strength": 0.1}),
    (lambda: LinearModel(LATE), {"loss__k": 4.0}),
    (lambda: LinearModel("squared_error", "l2"), {}),
    (lambda: LinearModel(0.5 * lm.Huber() + lm.AbsoluteError()), {}),
    (lambda: LinearRegressor("nothing"), {}),
    (lambda: lightgbm.Regressor("quantile", params={"num_leaves": 3}), {"loss__level": 0.5}),
    (lambda: lightgbm.Classifier(), {}),
]


@pytest.mark.parametrize(("make", "expected"), MODELS, ids=[str(number) for number in range(len(MODELS))])
def test_estimators_show_what_their_losses_and_penalties_are_made_of(
    make: Callable[[], Any], expected: dict[str, Any]
) -> None:
    model = make()
    shown = model.get_params()
    assert {name: value for name, value in shown.items() if "__" in name} == expected
    assert {name: value for name, value in shown.items() if "__" not in name} == model.get_params(deep=False)
    assert clone(model).get_params(deep=False).keys() == model.get_params(deep=False).keys()


def test_setting_a_parameter_puts_another_loss_in_its_place() -> None:
    loss = lm.Huber()
    model = LinearModel(loss, lm.L2(0.1))
    other = clone(model).set_params(loss__delta=5, penalty__strength=1, tol=1e-8)
    assert (other.loss, other.penalty, other.tol) == (lm.Huber(5), lm.L2(1), 1e-8)
    assert (model.loss, model.penalty) == (lm.Huber(), lm.L2(0.1))
    assert model.loss is loss
    assert model.set_params(loss__level=0.2, loss="quantile").loss == lm.Quantile(0.2)  # in whatever order
    assert clone(other).loss == lm.Huber(5)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"loss__dleta": 2}, lm.ParameterError, "Huber has no parameter 'dleta'; it takes delta. Did you mean 'delta'"),
        ({"loss__delta": -1}, lm.ParameterError, "delta must lie in"),
        ({"tol__delta": 1}, lm.ParameterError, "tol=1e-10 has no parameters, and cannot be given delta"),
        ({"lossy__delta": 1}, ValueError, "Invalid parameter 'lossy'"),
    ],
)
def test_parameters_that_nothing_has_are_refused(given: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        LinearModel("huber").set_params(**given)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"alpha": 0.9}, "max_iter, and it belongs to the loss: quantile(level=...)"),
        ({"C": 1.0}, "max_iter; how strong a penalty is, is strength=, beside penalty='l1', 'l2' or 'elasticnet'"),
        ({"penalti": "l2"}, "max_iter. Did you mean 'penalty'?"),
    ],
)
def test_arguments_that_there_are_not_are_answered_with_what_there_is(given: dict[str, Any], text: str) -> None:
    with pytest.raises(lm.ParameterError) as raised:
        LinearModel("pinball", **given)
    assert str(raised.value).startswith(
        f"LinearRegressor has no argument {next(iter(given))!r}; its arguments are loss, "
    )
    assert str(raised.value).endswith(text)


def test_searches_try_parameters_of_losses() -> None:
    pipeline = make_pipeline(StandardScaler(), LinearModel("huber"))
    deltas = [0.01, 1.0, 100.0]
    search = GridSearchCV(pipeline, {"linearregressor__loss__delta": deltas}, cv=3, scoring=scorer("mae")).fit(X, Y)
    one_by_one = [
        GridSearchCV(make_pipeline(StandardScaler(), LinearModel(lm.Huber(d))), {}, cv=3, scoring=scorer("mae"))
        for d in deltas
    ]
    expected = [found.fit(X, Y).best_score_ for found in one_by_one]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected, rtol=1e-9)
    assert len(set(expected)) == len(deltas)
    boosted = GridSearchCV(lightgbm.Regressor("quantile", n_estimators=3), {"loss__level": [0.1, 0.9]}, cv=2).fit(X, Y)
    assert boosted.best_estimator_.loss == lm.Quantile(boosted.best_params_["loss__level"])


def test_a_keyword_that_fit_has_not_is_told() -> None:
    for loss, y, owner in (("huber", Y, "LinearRegressor"), ("bce", Y > 0, "LinearClassifier")):
        said = rf"^{owner}\.fit has no .*'weight'; it has X, y, sample_weight\. It is called sa"
        with pytest.raises(lm.ParameterError, match=said):
            LinearModel(loss).fit(X, y, weight=np.ones(120))
