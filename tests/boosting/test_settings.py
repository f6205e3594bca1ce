"""Settings of the libraries: any of their names is heeded, and what would do nothing is refused."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostError
from lightgbm.basic import _ConfigAliases
from scipy.sparse import coo_matrix, csc_matrix, csr_array, csr_matrix
from sklearn.datasets import load_diabetes

import lossmith as lm
from lossmith import catboost, lightgbm, xgboost
from lossmith.frameworks.catboost.training import NAMES as OF_CATBOOST
from lossmith.frameworks.lightgbm.training import NAMES as OF_LIGHTGBM
from lossmith.frameworks.xgboost.training import NAMES as OF_XGBOOST

X, Y = load_diabetes(return_X_y=True)
LIBRARIES = {lightgbm: OF_LIGHTGBM, xgboost: OF_XGBOOST, catboost: OF_CATBOOST}
EACH = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)
VALUES = {
    **{"learning_rate": 0.5, "num_leaves": 3, "min_data_in_leaf": 90, "min_sum_hessian_in_leaf": 90.0, "seed": 7},
    **{"bagging_fraction": 0.5, "feature_fraction": 0.3, "lambda_l1": 50.0, "lambda_l2": 50.0, "boosting": "goss"},
    **{"gamma": 1e5, "reg_alpha": 5e3, "reg_lambda": 50.0, "depth": 2, "rsm": 0.3, "l2_leaf_reg": 50.0},
    **{"border_count": 3, "random_seed": 7},
}
NEEDS = {
    (lightgbm, "bagging_fraction"): {"bagging_freq": 1},
    (lightgbm, "seed"): {"bagging_freq": 1, "bagging_fraction": 0.5},
    (lightgbm, "boosting"): {"learning_rate": 0.9},
    (xgboost, "seed"): {"subsample": 0.5},
    (catboost, "min_data_in_leaf"): {"grow_policy": "Lossguide"},
}
"""Settings without which another one does nothing."""

CASES = [
    (library, name, other)
    for library, names in LIBRARIES.items()
    for name, others in names.others.items()
    for other in others
    if name in VALUES
]


@pytest.mark.parametrize(("library", "name", "other"), CASES)
def test_each_name_of_a_setting_is_heeded(library: ModuleType, name: str, other: str) -> None:
    more = NEEDS.get((library, name), {})

    def found(**params: Any) -> np.ndarray:
        given = {**more, **params}
        return library.train("huber(delta=20)", X, Y, rounds=4, params=given).predict(X)

    heeded = found(**{other: VALUES[name]})
    np.testing.assert_array_equal(heeded, found(**{name: VALUES[name]}))
    assert not np.array_equal(heeded, found())
    with pytest.raises(lm.ParameterError, match=f"params hold {name} and {other}, which are one setting; leave one"):
        found(**{name: VALUES[name], other: VALUES[name]})


def test_lightgbms_names_are_those_of_the_library() -> None:
    for name, others in OF_LIGHTGBM.others.items():
        assert {*others} - {"init_model"} == _ConfigAliases.get(name) - {name}


@EACH
def test_a_setting_that_there_is_not_is_told(library: ModuleType) -> None:
    def told() -> Any:
        if library is catboost:
            return pytest.raises(CatBoostError, match=r"Unknown option {learnig_rate}")
        text = "LightGBM has no setting 'learnig_rate', and trains without. Did you mean 'learning_rate'"
        return pytest.warns(Warning, match=text if library is lightgbm else '"learnig_rate" } are not used')

    typo = {"learnig_rate": 0.5}
    with told():
        library.train("huber", X, Y, rounds=2, params=typo)
    with told():
        library.cv("huber", X, Y, rounds=2, folds=2, params=typo)
    with told():
        library.Regressor("huber", n_estimators=2, params=typo).fit(X, Y)


@EACH
def test_estimators_and_folds_heed_them_too(library: ModuleType) -> None:
    given = {"n_estimators": 3, "n_jobs": 1}
    for name in ("eta", "learning_rate"):
        model = library.Regressor(**given, params={name: 0.5}).fit(X, Y)
        np.testing.assert_array_equal(
            model.predict(X), library.Regressor(**given, learning_rate=0.5).fit(X, Y).predict(X)
        )
    folds = [library.cv("mse", X, Y, rounds=2, folds=2, params={name: 0.5}) for name in ("eta", "learning_rate")]
    assert folds[0] == folds[1]


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_lightgbms_histograms_may_be_made_by_columns(loss: str) -> None:
    params = {"force_col_wise": True}
    model = lightgbm.train(loss, X, Y, rounds=5, params=params)
    np.testing.assert_allclose(model.predict(X), lightgbm.train(loss, X, Y, rounds=5).predict(X), rtol=1e-6)
    assert len(lightgbm.cv(loss, X, Y, rounds=5, folds=2, params=params)["valid " + lm.parse(loss).name + "-mean"]) == 5
    by_estimator = lightgbm.Regressor(loss, n_estimators=5, params=params).fit(X, Y)
    np.testing.assert_array_equal(by_estimator.predict(X), model.predict(X))


def test_catboost_may_talk(capfd: pytest.CaptureFixture) -> None:
    catboost.train("mse", X, Y, rounds=1, params={"verbose": True, "random_state": 1, "max_depth": 2})
    assert "learn" in capfd.readouterr().out


@EACH
@pytest.mark.parametrize("kind", ["train", "cv", "Regressor"])
def test_what_would_do_nothing_is_refused(library: ModuleType, kind: str) -> None:
    weighs = {
        lightgbm: ("scale_pos_weight", "is_unbalance", "unbalance"),
        xgboost: ("scale_pos_weight",),
        catboost: ("scale_pos_weight", "class_weights", "auto_class_weights"),
    }[library]

    def fit(params: dict[str, Any]) -> Any:
        if kind == "Regressor":
            return library.Regressor(params=params).fit(X, Y)
        return getattr(library, kind)("mse", X, Y, rounds=1, params=params)

    for name in weighs:
        with pytest.raises(lm.ParameterError, match=f"params hold {name}, but weights of labels go into weight="):
            fit({name: 1})
    with pytest.raises(lm.ParameterError, match="params hold init_model, but train does not continue models; leave"):
        fit({"init_model": "model.txt"})
    if library is not xgboost:
        with pytest.raises(lm.ParameterError, match="params hold boost_from_average, but"):
            fit({"boost_from_average": True})
        with pytest.raises(lm.ParameterError, match=r"params hold n_estimators, but .*rounds= decide"):
            fit({"n_estimators": 3})


@pytest.mark.parametrize("own", [True, False])
def test_boosters_that_cannot_begin_at_a_start_are_refused(own: bool) -> None:
    forest = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
    with pytest.raises(lm.ParameterError, match=r"boosting='rf' .* take lossmith.xgboost.train with num_parallel_tree"):
        lightgbm.train("mse", X, Y, params=forest, built_in=own)
    with pytest.raises(lm.ParameterError, match="booster='gblinear' has no trees"):
        xgboost.train("mse", X, Y, params={"booster": "gblinear", "tree_method": "auto"}, built_in=own)


@pytest.mark.parametrize(
    ("library", "params"),
    [
        (lightgbm, {"boosting": "dart", "learning_rate": 0.8}),
        (xgboost, {"booster": "dart", "rate_drop": 0.3, "max_depth": 9, "learning_rate": 0.5}),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
@pytest.mark.parametrize("loss", ["huber(delta=20)", "squared_error"])
def test_trees_that_are_changed_later_are_kept_as_they_were_measured(library: Any, params: Any, loss: str) -> None:
    fit, held = np.arange(442) % 3 > 0, np.arange(442) % 3 == 0
    rows = (X[held], Y[held])
    model = library.train(loss, X[fit], Y[fit], rounds=40, params=params, validation=rows)
    assert model.rounds == len(model.history) == 40
    assert lm.parse(loss).cost(Y[held], model.predict(X[held])) == pytest.approx(model.history[-1], rel=1e-5)
    assert min(model.history) < model.history[-1]
    for function, more in ((library.train, {"validation": rows}), (library.cv, {})):
        with pytest.raises(lm.ParameterError, match="patience chooses a round, but 'dart' changes trees of earlier"):
            function(loss, X[fit], Y[fit], params=params, patience=3, **more)
    worse = library.train(loss, X[fit], Y[fit], rounds=3, params=params, validation=(X[held], 300 - 2 * Y[held]))
    assert worse.rounds == 0 or worse.history[-1] < lm.parse(loss).cost(300 - 2 * Y[held], worse.start + 0 * Y[held])


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("library", "params"), [(lightgbm, {"boosting": "dart"}), (xgboost, {"booster": "dart", "rate_drop": 0.3})]
)
def test_a_constant_in_their_place_predicts_too(library: Any, params: Any, own: bool, tmp_path: Path) -> None:
    worse = (X, 300 - 2 * Y)
    for rounds, more in ((0, {}), (3, {"validation": worse})):
        model = library.train("mse", X, Y, rounds=rounds, params=params, built_in=own, **more)
        model.save(tmp_path / "model.ubj")
        for one in (model, library.Model.load(tmp_path / "model.ubj")):
            assert one.rounds == 0
            np.testing.assert_allclose(one.predict(X), np.full(len(X), Y.mean()), rtol=1e-6)


@pytest.mark.parametrize(("library", "name"), [(lightgbm, "boosting_type"), (xgboost, "booster")])
def test_a_cluster_does_not_watch_trees_that_are_changed_later(library: ModuleType, name: str) -> None:
    from dask import array  # which takes a second to import

    rows, y = array.from_array(X), array.from_array(Y)
    with pytest.raises(lm.ParameterError, match="validation chooses a round, but 'dart' changes trees"):
        library.train_dask("mae", rows, y, client=object(), params={name: "dart"}, validation=(X, Y))


@pytest.mark.parametrize("loss", ["huber(delta=20)", "squared_error"])
def test_gradients_may_be_quantized_where_trees_see_some_columns(loss: str) -> None:
    params = {"use_quantized_grad": True, "feature_fraction": 0.5}
    model = lightgbm.train(loss, X, Y, np.linspace(0.5, 2, len(Y)), rounds=20, params=params)
    assert lm.parse(loss).cost(Y, model.predict(X)) < 0.8 * lm.parse(loss).cost(Y, np.full(len(Y), model.start))


@pytest.mark.parametrize("more", [{}, {"mc": [0, 0]}], ids=str)
def test_a_method_without_constraints_does_not_end_the_process(more: dict[str, Any]) -> None:
    codes = np.random.default_rng(0).integers(0, 4, (400, 2)).astype(float)
    params = {"mc_method": "advanced", **more}
    model = lightgbm.train("huber", codes, codes.sum(axis=1), rounds=5, params=params, categorical=[1])
    assert model.rounds == 5


BY_NAME = pd.DataFrame(np.random.default_rng(0).normal(size=(500, 4)), columns=list("abcd"))
MEETING = BY_NAME["a"] * BY_NAME["c"]  # columns that have to meet


@pytest.mark.parametrize(
    "groups", [[[0, 1], [2, 3]], ((0, 1), (2, 3)), [{0, 1}, np.array([2, 3])], [["a", "b"], ("c", "d")]]
)
@pytest.mark.parametrize("library", [lightgbm, xgboost])
def test_columns_that_may_meet_are_told_by_place_or_name(library: ModuleType, groups: Any) -> None:
    apart = {"interaction_constraints": groups}
    free, kept = (library.train("huber", BY_NAME, MEETING, rounds=60, params=params) for params in ({}, apart))
    used = {name for name, worth in zip("abcd", _worth(kept), strict=True) if worth}
    assert used == set("abcd")  # and not some of them alone, where no group was understood
    costs = [lm.Huber().cost(MEETING, model.predict(BY_NAME)) for model in (kept, free)]
    assert costs[0] > 1.5 * costs[1]


def _worth(model: Any) -> list[float]:
    booster = model.booster
    if hasattr(booster, "feature_importance"):
        return [*booster.feature_importance()]
    return [booster.get_score().get(name, 0.0) for name in "abcd"]


@pytest.mark.parametrize(("groups", "said"), [
    ([[0, 99]], "interaction_constraints holds 99, but X has 4 columns, from 0 to 3"),
    ([["a", "zz"]], "interaction_constraints holds 'zz'"),
    ([0, 1], r"must be a list of groups of columns, such as \[\[0, 1\], \[2\]\], got \[0, 1\]"),
    (["a", "b"], "must be a list of groups"),
])  # fmt: skip
@pytest.mark.parametrize("library", [lightgbm, xgboost])
def test_columns_that_may_meet_have_to_be_there(library: ModuleType, groups: Any, said: str) -> None:
    with pytest.raises(lm.ParameterError, match=said):
        library.train("huber", BY_NAME, MEETING, rounds=2, params={"interaction_constraints": groups})


SIGNS = [[1, 0, 0, 0], (1, 0, 0, 0), np.array([1, 0, 0, 0]), "1,0,0,0", "(1, 0, 0, 0)", {"a": 1}, {0: 1, "d": 0}]


@pytest.mark.parametrize("signs", SIGNS, ids=str)
@pytest.mark.parametrize("library", [lightgbm, xgboost])
def test_signs_of_columns_are_told_in_any_way(library: ModuleType, signs: Any) -> None:
    model = library.train("huber", BY_NAME, -BY_NAME["a"], rounds=20, params={"monotone_constraints": signs})
    where = pd.DataFrame(0.0, index=range(9), columns=[*"abcd"]).assign(a=np.linspace(-2, 2, 9))
    assert np.all(np.diff(model.predict(where)) >= 0)


@pytest.mark.parametrize(("signs", "said"), [
    ([1, 0], "must be -1, 0 or 1 for each of 4 columns, or a mapping of columns to these, got [1, 0]"),
    ([2, 0, 0, 0], "must be -1, 0 or 1"), ("up", "must be -1, 0 or 1"), ({"a": "up"}, "must be -1, 0 or 1"),
    ({"zz": 1}, "monotone_constraints holds 'zz'"), (3, "must be -1, 0 or 1"),
])  # fmt: skip
@pytest.mark.parametrize("library", [lightgbm, xgboost])
def test_signs_of_columns_have_to_be_signs(library: ModuleType, signs: Any, said: str) -> None:
    with pytest.raises(lm.ParameterError, match=re.escape(said)):
        library.train("huber", BY_NAME, MEETING, rounds=2, params={"monotone_constraints": signs})


@EACH
@pytest.mark.parametrize("make", [coo_matrix, csc_matrix, csr_array])
def test_sparse_rows_of_any_kind_are_trained_with_and_predicted_for(library: ModuleType, make: Any) -> None:
    rows = np.where(np.abs(X) > 0.02, X, 0.0)
    folds = [(np.arange(0, 442, 2), np.arange(1, 442, 2))]
    model = library.train("huber(delta=20)", make(rows), Y, rounds=3)
    assert model.predict(make(rows)).std() > 1
    np.testing.assert_array_equal(model.predict(make(rows)), model.predict(csr_matrix(rows)))
    np.testing.assert_array_equal(
        [*library.cv("huber", make(rows), Y, rounds=2, folds=folds).values()],
        [*library.cv("huber", csr_matrix(rows), Y, rounds=2, folds=folds).values()],
    )


@EACH
def test_arguments_of_the_librarys_functions_are_no_settings(library: ModuleType) -> None:
    for name in ("init_model", "xgb_model"):
        with pytest.raises(lm.ParameterError, match=f"train has no argument '{name}'; train does not continue models"):
            library.train("huber", X, Y, **{name: "model.txt"})
    for name in ("feval", "fobj", "keep_training_booster"):
        with pytest.raises(lm.ParameterError, match=f"'{name}'; it belongs to the library's own function, which takes"):
            library.train("huber", X, Y, **{name: True})


def test_catboost_is_given_nothing_that_it_does_not_keep() -> None:
    several = Y > 200, Y > 100
    classes = np.sum(several, axis=0)
    loss = "sparse_categorical_cross_entropy"
    for name in ("train", "cv"):
        with pytest.raises(lm.ParameterError, match="does not keep monotone_constraints where a row has several pred"):
            getattr(catboost, name)(loss, X, classes, rounds=2, params={"monotone_constraints": [1] + 9 * [0]})
    for metric in ("MAE", ["MultiRMSE", "Accuracy"]):  # at the first of which CatBoost ends the process
        with pytest.raises(
            lm.ParameterError, match=r"a label for each of them, and custom_metric='(MAE|Accuracy)' reads"
        ):
            catboost.Classifier(loss, params={"custom_metric": metric}).fit(X, classes)
    catboost.train("multi_quantile", X, Y, rounds=2, params={"custom_metric": "MultiRMSE"})
    catboost.train("huber", X, Y, rounds=2, params={"custom_metric": "MAE", "monotone_constraints": [1] + 9 * [0]})


def test_ordered_boosting_takes_no_rows_without_weight() -> None:
    weight, ordered = np.arange(442) % 3.0, {"boosting_type": "Ordered"}
    for loss in ("mse", "huber(delta=20)"):
        with pytest.raises(lm.ParameterError, match="and 148 weights are zero; leave out the rows without weight"):
            catboost.train(loss, X, Y, weight, rounds=20, params=ordered)
        rows = weight > 0
        model = catboost.train(loss, X[rows], Y[rows], weight[rows], rounds=20, params=ordered)
        assert np.corrcoef(model.predict(X[rows]), Y[rows])[0, 1] > 0.6


@pytest.mark.parametrize("library", [lightgbm, xgboost], ids=lambda library: library.__name__)
@pytest.mark.parametrize("loss", ["sparse_categorical_cross_entropy", "multi_quantile"])
def test_constraints_are_kept_by_each_of_several_predictions(library: ModuleType, loss: str) -> None:
    y = np.digitize(Y, [100, 200]) if loss.startswith("sparse") else Y
    model = library.train(loss, X, y, rounds=20, params={"monotone_constraints": (0, 0, 1, *7 * (0,))})
    rows = np.repeat(X[:5], 40, axis=0)
    rows[:, 2] = np.tile(np.linspace(-0.1, 0.15, 40), 5)
    steps = np.diff(model.predict_raw(rows).reshape(5, 40, -1), axis=1)
    assert steps.min() >= 0 < steps.max()
