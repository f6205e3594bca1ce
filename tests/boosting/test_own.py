"""Objectives of the libraries that stand in for ours: each is the same, the model says so, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import lossmith as lm
from lossmith import catboost, lightgbm, xgboost
from lossmith.frameworks.boosting.own import Own
from lossmith.frameworks.catboost.training import OWN as OF_CATBOOST
from lossmith.frameworks.lightgbm.training import OWN as OF_LIGHTGBM
from lossmith.frameworks.xgboost.training import OWN as OF_XGBOOST

X, Y = load_diabetes(return_X_y=True)
X = np.column_stack([X, np.arange(len(Y)) % 7])
WEIGHT = np.random.default_rng(0).uniform(0, 2, len(Y))
TABLES = {lightgbm: OF_LIGHTGBM, xgboost: OF_XGBOOST, catboost: OF_CATBOOST}
ENTRIES = [(library, own) for library, table in TABLES.items() for own in table]
ENDINGS = {lightgbm: "txt", xgboost: "ubj", catboost: "cbm"}
PARAMETERS = {"delta": 20.0, "power": 1.3}


@pytest.mark.filterwarnings("ignore:.*its Hessian is zero at")
@pytest.mark.parametrize(("library", "own"), ENTRIES, ids=lambda one: getattr(one, "name", None))
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
def test_each_trains_the_same_model(library: ModuleType, own: Own, weight: Any, tmp_path: Path) -> None:
    loss = lm.parse(own.loss)
    loss = loss.replace(**{name: PARAMETERS[name] for name in own.parameters.values()})
    y = {"binary": (Y > 140) * 0.8 + 0.1, "categorical": np.digitize(Y, (100, 180))}.get(loss.card.task, Y)
    fit, held = slice(100, None), slice(100)
    rows = (X[held], y[held]) if weight is None else (X[held], y[held], weight[held])
    given = (loss, X[fit], y[fit], None if weight is None else weight[fit])
    for kind in own.kinds[:2]:
        settings: dict[str, Any] = {"rounds": 300, "hessian": kind, "categorical": [10], "validation": rows}
        theirs = library.train(*given, **settings, patience=4)
        ours = library.train(*given, **settings, patience=4, built_in=False)
        assert f"trained by {own.name!r}" in repr(theirs)
        assert "trained by" not in repr(ours)
        assert theirs.rounds == ours.rounds < 300
        np.testing.assert_allclose(theirs.history, ours.history, rtol=1e-5)
        np.testing.assert_allclose(theirs.predict(X), ours.predict(X), rtol=1e-5)
    theirs.save(path := tmp_path / f"model.{ENDINGS[library]}")
    again = library.Model.load(path)
    assert again.head.own == own.name
    np.testing.assert_array_equal(again.predict(X), theirs.predict(X))


@pytest.mark.filterwarnings("ignore:.*its Hessian is negative at")
@pytest.mark.parametrize("library", TABLES)
@pytest.mark.parametrize(
    ("loss", "y", "settings"),
    [
        ("squared_error", Y, {"hessian": "exact"}),  # its Hessian is 2
        ("bce(labels=signed)", np.where(Y > 140, 1.0, -1.0), {"hessian": "exact"}),
        ("huber", Y, {"hessian": "floor"}),
        ("poisson", Y, {"hessian": "floor"}),
        ("tweedie(power=2.5)", Y, {"hessian": "exact"}),
        ("tweedie(power=0.5)", Y, {"hessian": "exact"}),
        ("cross_entropy", np.eye(3)[np.digitize(Y, (100, 180))] * 0.7 + 0.1, {"hessian": "upper_bound"}),
        (lm.formula("(y - f)**2", name="own"), Y, {}),
    ],
)
def test_what_is_not_the_same_is_ours(library: ModuleType, loss: Any, y: np.ndarray, settings: dict[str, Any]) -> None:
    assert library.train(loss, X, y, rounds=1, **settings).head.own == ""


def test_settings_that_mean_something_else_to_the_library_leave_the_objective_ours() -> None:
    assert lightgbm.train("mse", X, Y, rounds=1, params={"reg_sqrt": True}).head.own == ""
    assert catboost.train("mse", X, Y, rounds=1, params={"leaf_estimation_iterations": 2}).head.own == ""
    for params in ({"boosting_type": "dart"}, {"boost": "dart"}):
        assert lightgbm.train("mse", X, Y, rounds=1, params=params).head.own == ""


@pytest.mark.parametrize(("loss", "own"), [("mse", "reg:squarederror"), ("poisson", "")])
def test_bins_that_xgboost_weighs_for_its_own_objectives_alone_leave_the_objective_ours(loss: str, own: str) -> None:
    kind = "exact" if loss == "poisson" else "floor"
    given: dict[str, Any] = {"rounds": 5, "params": {"tree_method": "approx", "max_bin": 16}, "hessian": kind}
    found = xgboost.train(loss, X, Y, **given)
    assert found.head.own == own
    np.testing.assert_allclose(
        found.predict(X), xgboost.train(loss, X, Y, **given, built_in=False).predict(X), rtol=1e-5
    )


@pytest.mark.filterwarnings("ignore:.*its Hessian is zero at")
@pytest.mark.parametrize(
    "params",
    [{"model_shrink_rate": 0.3}, {"model_shrink_mode": "Decreasing"}, {"posterior_sampling": True}, {"langevin": True}],
)
def test_models_that_catboost_shrinks_are_shrunk_with_every_objective(params: dict[str, Any]) -> None:
    given: dict[str, Any] = {"rounds": 20, "params": {**params, "random_strength": 0}}
    found = catboost.train("mse", X, Y, **given)
    assert found.head.own == ""
    np.testing.assert_array_equal(found.predict(X), catboost.train("mse", X, Y, **given, built_in=False).predict(X))
    if "model_shrink_rate" in params:
        assert found.predict(X).std() < 0.9 * catboost.train("mse", X, Y, rounds=20).predict(X).std()


def test_targets_that_single_precision_does_not_hold_stay_with_ours() -> None:
    late = lightgbm.train("mse", X, Y + 1.7e9, rounds=20)
    assert late.head.own == ""
    np.testing.assert_allclose(late.predict(X) - 1.7e9, lightgbm.train("mse", X, Y, rounds=20).predict(X), atol=1e-3)


def test_xgboost_still_tells_of_targets_that_are_too_small() -> None:
    with pytest.warns(lm.LossmithWarning, match="makes no split"):
        xgboost.train("mse", X, 1e-7 * Y, rounds=1)


@pytest.mark.parametrize("loss", ["poisson", "sparse_categorical_cross_entropy"])
@pytest.mark.parametrize("patience", [None, 1])
def test_xgboost_alone_predicts_with_the_model_as_if_ours_had_trained_it(loss: str, patience: int | None) -> None:
    from xgboost import DMatrix

    y, kind = (Y, "exact") if loss == "poisson" else (np.digitize(Y, (100, 180)), "upper_bound")
    validation = None if patience is None else (X[:100], y[:100] if loss == "poisson" else 2 - y[:100])
    settings: dict[str, Any] = {"rounds": 4, "hessian": kind, "validation": validation, "patience": patience}
    theirs = xgboost.train(loss, X, y, **settings)
    assert theirs.head.own
    alone = theirs.booster.predict(DMatrix(X))
    np.testing.assert_array_equal(alone, theirs.predict_raw(X).astype(np.float32))
    ours = xgboost.train(loss, X, y, **settings, built_in=False)
    np.testing.assert_allclose(alone, ours.predict_raw(X), rtol=1e-5, atol=1e-6)
