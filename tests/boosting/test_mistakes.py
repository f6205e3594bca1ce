"""Mistakes of a call that came to errors from inside a library, or to no number: each is told what to do."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from catboost import Pool
from lightgbm import Dataset, cv
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GroupKFold, KFold
from xgboost import DMatrix

import lossmith as lm
from lossmith import catboost, lightgbm, xgboost
from lossmith.sklearn import LinearClassifier

X, Y = load_diabetes(return_X_y=True)
IRIS, SPECIES = load_iris(return_X_y=True)
DATA: dict[ModuleType, Any] = {catboost: Pool, lightgbm: Dataset, xgboost: DMatrix}
EACH = pytest.mark.parametrize("library", DATA, ids=lambda library: library.__name__)


@EACH
def test_numbers_by_class_are_as_many_as_classes(library: ModuleType) -> None:
    for loss in ("softmax_focal(class_weight=(1, 5, 2, 3))", "softmax_focal(class_weight=(1, 5))"):
        for text in (loss, f"{loss} + 2 * {loss.replace('softmax_focal', 'ce')}"):
            with pytest.raises(lm.ParameterError, match=r"has [24] numbers in class_weight, .* but there are 3$"):
                library.Classifier(text.replace("ce(", "sparse_categorical_cross_entropy(")).fit(IRIS, SPECIES)
    with pytest.raises(
        lm.DomainError, match=r"there are 2 classes, but y_true\[\d+\] is 2; give class_weight a number"
    ):
        library.train("softmax_focal(class_weight=(1, 5))", IRIS, SPECIES)


@EACH
def test_folds(library: ModuleType) -> None:
    soft = np.where(Y > 140, 0.9, 0.2) - 0.1 * (np.arange(442) % 2)
    assert len(library.cv("bce", X, soft, rounds=2, folds=3)) == 2  # shares are dealt out like numbers
    with pytest.raises(lm.ParameterError, match=r"pass its pairs, folds=\[\*GroupKFold\(\.\.\.\)\.split\(X, y, groups"):
        library.cv("huber", X, Y, rounds=2, folds=GroupKFold(3))
    groups = GroupKFold(3).split(X, Y, np.arange(442) // 10)
    pairs, splitter = (library.cv("huber", X, Y, rounds=2, folds=folds) for folds in (groups, KFold(np.int64(3))))
    assert pairs.keys() == splitter.keys()
    with pytest.raises(lm.ParameterError, match="folds hold no pair of training and held-out rows"):
        library.cv("huber", X, Y, rounds=2, folds=[])
    for folds in (2.5, None, "5"):
        with pytest.raises(lm.ParameterError, match=f"folds must be a whole number, at least 2, got {folds!r}"):
            library.cv("huber", X, Y, rounds=2, folds=folds)


@EACH
def test_pairs_of_folds_are_numbers_of_rows_or_masks(library: ModuleType) -> None:
    def found(fit: Any, held: Any) -> Any:
        return library.cv("huber", X, Y, rounds=2, folds=[(fit, held)])

    first = np.arange(442) < 300
    assert found(first, ~first) == found(np.flatnonzero(first), [*np.flatnonzero(~first)])
    rows = "must tell rows by numbers from 0 to 441, or by a mask of 442, at least one; got"
    for held, came in (([442], "numbers from 442 to 442"), ([-1, 3], "numbers from -1 to 3"), ([], "float64 of shape")):
        with pytest.raises(lm.ParameterError, match=f"{rows} {came}"):
            found([0, 1, 2], held)
    with pytest.raises(lm.ParameterError, match=rf"{rows} bool of shape \(3,\)"):
        found([True, True, False], [0])
    with pytest.raises(lm.ParameterError, match="must be a pair, the rows to train with and those held out, got int"):
        library.cv("huber", X, Y, rounds=2, folds=[3, 4])


@EACH
def test_a_data_set_of_the_library_is_no_table_of_features(library: ModuleType) -> None:
    data = DATA[library](X, Y)
    model = library.train("huber", X, Y, rounds=1)
    for call in (
        lambda: library.train("huber", data, Y),
        lambda: library.train("huber", X, Y, validation=(data, Y)),
        lambda: library.cv("huber", data, Y),
        lambda: model.predict(data),
    ):
        with pytest.raises(lm.KindError, match=r"X must be features, .*: a data set goes into the library's own"):
            call()


@EACH
def test_no_rounds_leave_the_constant(library: ModuleType) -> None:
    model = library.train("mae", X, Y, rounds=0, validation=(X, Y), patience=3)
    assert model.rounds == 0
    np.testing.assert_allclose(model.predict(X), np.median(Y))


@EACH
def test_a_missing_target_is_to_be_dropped_and_there_is_no_mask(library: ModuleType) -> None:
    for loss, y in (("huber", Y), ("softmax_focal", np.arange(442.0) % 3), ("bce", 1.0 * (Y > 140))):
        gap = np.where(np.arange(442) == 3, np.nan, y)
        for given in ({"y": gap}, {"y": y, "validation": (X, gap)}):
            with pytest.raises(lm.DomainError, match=r"y_true\[3\] is nan \(1 such of 442\); .*: drop the row$"):
                library.train(loss, X, rounds=1, **given)


@EACH
def test_a_hessian_that_is_zero_everywhere_is_mended_by_the_floor_alone(library: ModuleType) -> None:
    for kind in ("exact", "upper_bound", "gauss_newton"):
        with pytest.raises(
            lm.ParameterError, match=r"without bound; hessian='floor' \(the default\) keeps it positive"
        ):
            library.train("mae", X, Y, hessian=kind)


@EACH
def test_features_are_rows_by_columns(library: ModuleType) -> None:
    model = library.train("huber", X, Y, rounds=2)
    calls = (
        lambda rows: library.train("huber", rows, Y, rounds=2),
        lambda rows: library.cv("huber", rows, Y, rounds=2),
        lambda rows: library.train("huber", X, Y, rounds=2, validation=(rows, Y)),
        lambda rows: model.predict(rows),
    )
    for call in calls:
        with pytest.raises(lm.ShapeError, match=r"got shape \(442,\); one column is X.reshape\(-1, 1\), and one row X"):
            call(X[:, 0])
        with pytest.raises(lm.ShapeError, match=r"rows by columns, got shape \(442, 10, 1\); leave no axis over"):
            call(X[:, :, None])
        for nothing in (None, {"bmi": Y}):
            with pytest.raises(lm.KindError, match=r"got (NoneType|dict); pass an array or a data frame"):
                call(nothing)


@EACH
def test_files_and_settings_that_are_none(library: ModuleType, tmp_path: Path) -> None:
    name = {catboost: "none.cbm", lightgbm: "none.txt", xgboost: "none.ubj"}[library]
    with pytest.raises(FileNotFoundError, match=name):
        library.Model.load(tmp_path / name)
    for call in (library.train, library.cv):
        with pytest.raises(lm.ParameterError, match="params must be a mapping of settings by name, got list"):
            call("huber", X, Y, params=[("learning_rate", 0.3)])


@pytest.mark.parametrize("make", [library.Classifier for library in DATA] + [LinearClassifier])
def test_labels_that_are_missing_or_have_no_order(make: Any) -> None:
    rows = IRIS[:6]
    gone = ["a", None, "b"] * 2
    for y in (
        np.array(gone, object),
        pd.Series(gone),
        pd.Series(gone, dtype="string"),
        pd.Series(gone, dtype="category"),
    ):
        for table in (rows, pd.DataFrame(rows)):
            with pytest.raises(lm.DomainError, match=r"y\[1\] is (None|nan|<NA>), which is no label \(2 such of 6\)"):
                make().fit(table, y)
    with pytest.raises(lm.KindError, match="y holds labels of several kinds, int and str, which have no order"):
        make().fit(rows, np.array(["a", 1, "b"] * 2, object))


@EACH
@pytest.mark.parametrize("loss", ["mae", "mse"])
def test_targets_that_single_precision_lacks_are_named(library: ModuleType, loss: str) -> None:
    y = Y.copy()
    y[7] = -1e300  # such as stands for a missing value
    for call in (lambda: library.train(loss, X, y), lambda: library.train(loss, X, Y, validation=(X, y))):
        with pytest.raises(
            lm.DomainError, match=r"y_true\[7\] is -1e\+300 \(1 such of 442\), and boosters keep targets"
        ):
            call()


def test_folds_of_lightgbms_own_function_are_told_of_ours() -> None:
    objective = lightgbm.Objective("huber", Y)
    with pytest.raises(
        lm.DomainError, match=r"other targets than the objective, .* for folds there is lossmith\.light"
    ):
        cv({"objective": objective, "verbosity": -1}, objective.dataset(X), 2, nfold=3, stratified=False)


@EACH
def test_objectives_by_hand_return_two_arrays(library: ModuleType) -> None:
    def examined(answer: Any) -> None:
        def by_hand(raw: Any, data: Any) -> Any:
            found = answer(raw - data.get_label(), np.ones(len(raw)))
            return found

        class ByHand:
            def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> Any:
                return -np.transpose(answer(approxes - targets, np.ones(len(approxes))))

        library.check(ByHand() if library is catboost else by_hand, "half_squared_error", Y)

    examined(lambda gradient, hessian: (gradient, hessian))
    shape = r"must return gradient and Hessian, two arrays of the shape of the raw predictions, \(64,\); got"
    with pytest.raises(lm.ShapeError, match=rf"{shape} \(65,\) and \(65,\)"):
        examined(lambda gradient, hessian: (np.append(gradient, 0), np.append(hessian, 1)))
    with pytest.raises(
        lm.ParameterError, match=r"negative at every row .*; return a positive one, such as its absolute"
    ):
        examined(lambda gradient, hessian: (gradient, -hessian))
    if library is not catboost:
        with pytest.raises(lm.ShapeError, match=rf"{shape} \(64,\) and \(\)"):
            examined(lambda gradient, hessian: (gradient, 1.0))
        with pytest.raises(lm.ShapeError, match=rf"{shape} one array of shape \(64,\)"):
            examined(lambda gradient, hessian: gradient)
        with pytest.raises(lm.ShapeError, match=rf"{shape} NoneType"):
            examined(lambda gradient, hessian: None)


def test_lightgbm_takes_columns_of_classes_one_after_the_other() -> None:
    def softmax(raw: Any, data: Any) -> Any:
        shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        gradient = shares - np.eye(3)[data.get_label().astype(int)]
        return gradient.ravel(order="F"), (shares * (1 - shares)).ravel(order="F")

    loss = "sparse_categorical_cross_entropy"
    lightgbm.check(softmax, loss, SPECIES, classes=3)
    with pytest.raises(lm.ShapeError, match=r"raw predictions, \(64, 3\); got \(192,\) and \(192,\)"):
        xgboost.check(softmax, loss, SPECIES, classes=3)  # which takes rows of classes


@EACH
def test_keywords_of_fit_are_told(library: ModuleType) -> None:
    regressor = library.Regressor("huber", n_estimators=2)
    for name, mend in {
        "weight": "it is called sample_weight here",
        "validation": "it is called eval_set here",
        "early_stopping_rounds": r"it belongs to Regressor\(early_stopping_rounds=...\)",
        "cat_features": r"it belongs to Regressor\(categorical=...\)",
        "init_model": "train does not continue models",
        "delta": r"it belongs to the loss: huber\(delta=",
    }.items():
        with pytest.raises(lm.ParameterError, match=f"^Regressor.fit has no argument '{name}'; {mend}"):
            regressor.fit(X, Y, **{name: [1]})
    with pytest.raises(
        lm.ParameterError, match=r"Regressor has no argument 'weight'.*belongs to fit\(X, y, sample_wei"
    ):
        library.Regressor(weight=Y)
    with pytest.raises(lm.ParameterError, match=r"^early_stopping_rounds needs fit\(X, y, eval_set="):
        library.Regressor(early_stopping_rounds=3).fit(X, Y)


@EACH
def test_arguments_that_another_function_has_are_no_settings(library: ModuleType) -> None:
    with pytest.raises(lm.ParameterError, match=r"^cv has no argument 'built_in'; train has it"):
        library.cv("huber", X, Y, built_in=False)
    with pytest.raises(lm.ParameterError, match=r"^train has no argument 'folds'; cv has it"):
        library.train("huber", X, Y, folds=5)
    with pytest.raises(lm.ParameterError, match="callbacks must be a list of them"):
        library.train("huber", X, Y, rounds=1, callbacks=print)
    if library is not catboost:
        with pytest.raises(lm.ParameterError, match=r"^train_dask has no argument 'categorical'; train has it"):
            library.train_dask("huber", X, Y, categorical=[1])


def test_rounds_in_the_settings_of_xgboost_are_refused() -> None:
    for name, mend in {
        "n_estimators": "rounds=",
        "early_stopping_rounds": "patience=",
        "process_type": "train does",
    }.items():
        with pytest.raises(lm.ParameterError, match=f"^params hold {name}, but {mend}"):
            xgboost.train("huber", X, Y, params={name: 3})
