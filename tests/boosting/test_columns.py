"""Columns of categories: by name or by place, alike in all libraries, and one that is not there is refused."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from scipy.sparse import csr_matrix

import lossmith as lm
from lossmith import catboost, lightgbm, xgboost

LIBRARIES = (catboost, lightgbm, xgboost)
EACH = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)
RNG = np.random.default_rng(0)
CODES = RNG.integers(0, 12, 400)
X = np.column_stack([RNG.normal(size=400), CODES]).astype(float)
Y = np.sin(CODES * 7.0)
FRAME = pd.DataFrame({"size": X[:, 0], "kind": CODES})


@EACH
def test_columns_are_told_by_name_or_place(library: ModuleType) -> None:
    def found(rows: Any, categorical: Any, **more: Any) -> np.ndarray:
        return library.train("mse", rows, Y, rounds=5, categorical=categorical, **more).predict(rows)

    place = found(X, [1])
    assert not np.array_equal(place, found(X, []))
    for named in (["kind"], ("kind",), np.array(["kind"]), [1], np.array([1])):
        np.testing.assert_array_equal(found(X, named, feature_names=["size", "kind"]), place)
        np.testing.assert_array_equal(found(FRAME, named), place)
    turned = FRAME.set_axis([1, 0], axis=1)  # a number is a place, and no name
    if library is not lightgbm:  # which takes no such names
        np.testing.assert_array_equal(found(turned, [1]), place)


@EACH
@pytest.mark.parametrize("kind", [">f8", ">f4", ">i8", ">i2"])
def test_numbers_of_another_byte_order_are_the_same_numbers(library: ModuleType, kind: str) -> None:
    rows = np.round(10 * X)
    model = library.train("huber", rows, Y, rounds=5)
    turned = library.train("huber", rows.astype(kind), Y, rounds=5)
    framed = library.train("huber", pd.DataFrame(rows.astype(kind)), Y, rounds=5)
    for found in (
        turned.predict(rows),
        model.predict(rows.astype(kind)),
        framed.predict(pd.DataFrame({0: rows[:, 0], 1: rows[:, 1].astype(kind)})),
        library.Regressor("huber", n_estimators=5).fit(rows.astype(kind), Y).predict(rows),
    ):
        np.testing.assert_array_equal(found, model.predict(rows))


@EACH
@pytest.mark.parametrize(
    ("rows", "categorical", "more", "message"),
    [
        (X, [77], {}, r"categorical holds 77, but X has 2 columns, from 0 to 1"),
        (X, [-1], {}, r"categorical holds -1, but X has 2 columns, from 0 to 1"),
        (X, ["kind"], {}, r"categorical holds 'kind', but the columns of X have no names; take indexes, or pass feat"),
        (X, ["knid"], {"feature_names": ["size", "kind"]}, r"holds 'knid', but no column .* Did you mean 'kind'\?"),
        (FRAME, ["knid"], {}, r"holds 'knid', but no column of X is called so\. Did you mean 'kind'\?"),
        (FRAME, "kind", {}, r"categorical must be a list of indexes or names of columns, got 'kind'"),
    ],
)
def test_a_column_that_is_not_there_is_refused(
    library: ModuleType, rows: Any, categorical: Any, more: dict[str, Any], message: str
) -> None:
    for function in (library.train, library.cv):
        with pytest.raises(lm.ParameterError, match=message):
            function("mse", rows, Y, rounds=2, categorical=categorical, **more)
    if not more:
        with pytest.raises(lm.ParameterError, match=message):
            library.Regressor(n_estimators=2, categorical=categorical).fit(rows, Y)


@EACH
@pytest.mark.parametrize("names", [["size", "kind"], ["the size", "the kind"], [0, 1]], ids=str)
def test_columns_in_another_order_are_never_taken_for_each_other(library: ModuleType, names: list[Any]) -> None:
    rows = FRAME.set_axis(names, axis=1)
    model = library.train("huber", rows, Y, rounds=5)
    turned = rows[names[::-1]]
    if library is catboost:  # which finds them by their names
        np.testing.assert_array_equal(model.predict(turned), model.predict(rows))
    else:
        with pytest.raises(lm.ParameterError, match=f"column {names[1]!r} at place 0, where it was at 1"):
            model.predict(turned)
    assert model.predict(rows[:0]).shape == (0,)


def test_lightgbm_takes_columns_of_other_names_in_their_order() -> None:
    model = lightgbm.train("huber", FRAME, Y, rounds=5)
    again = lightgbm.Model.from_text(model.to_text())
    with pytest.raises(lm.ParameterError, match=r"where it was at 1 in .*; pass the columns in the order of training"):
        again.predict(FRAME[["kind", "size"]])
    for call, what in (
        (lambda rows: again.predict(rows), "X"),
        (lambda rows: lightgbm.train("huber", FRAME, Y, validation={"late": (rows, Y)}), "X of late"),
    ):
        with pytest.raises(lm.ParameterError, match=f"^{what} has column 'kind' at place 0, where it was at 1"):
            call(FRAME[["kind", "size"]])
        with pytest.raises(lm.ShapeError, match=f"^{what} has 1 column, and in training there were 2"):
            call(FRAME[["size"]])
    renamed = FRAME.set_axis(["a", "b"], axis=1)  # as where brackets, which LightGBM refuses, were taken out
    np.testing.assert_array_equal(again.predict(renamed), model.predict(FRAME))


@EACH
def test_tables_of_arrow_are_tables(library: ModuleType) -> None:
    table = pyarrow.table({"size": X[:, 0], "kind": CODES})
    for categorical in ((), ["kind"], [1]):
        found, wanted = (
            library.train("mse", rows, Y, rounds=5, categorical=categorical).predict(rows) for rows in (table, FRAME)
        )
        np.testing.assert_array_equal(found, wanted)
    folds = [(np.arange(200), np.arange(200, 400))]
    assert library.cv("mse", table, Y, rounds=2, folds=folds) == library.cv("mse", FRAME, Y, rounds=2, folds=folds)
    np.testing.assert_array_equal(
        library.Regressor(n_estimators=3).fit(table, Y).predict(table),
        library.Regressor(n_estimators=3).fit(FRAME, Y).predict(FRAME),
    )
    texts = pyarrow.array([f"kind {code}" for code in CODES]).dictionary_encode()
    names = pyarrow.table({"size": X[:, 0], "kind": texts})
    if library is lightgbm:  # which ends the process at anything but numbers
        with pytest.raises(lm.KindError, match=r"column 'kind' of X is of type dictionary.*codes of categories and"):
            library.train("mse", names, Y)
        with pytest.raises(lm.KindError, match="column 'kind' of X is of type dictionary"):
            library.train("mse", table, Y, rounds=1).predict(names)
    else:
        assert np.corrcoef(library.train("mse", names, Y, rounds=20).predict(names), Y)[0, 1] > 0.8


@pytest.mark.parametrize("kind", [str, int, float, bool, "string"])
def test_a_missing_category_is_a_category_to_catboost(kind: Any) -> None:
    values = pd.Series(CODES % 2 if kind is bool else CODES)
    column = values.astype(str if kind == "string" else kind).astype("string" if kind == "string" else object)
    rows = FRAME.assign(kind=column.where(values != 0, None).astype("category"))
    model = catboost.train("mse", rows, Y, rounds=5)
    codes = np.column_stack([X[:, 0], np.where(values == 0, np.nan, values)])
    alike = catboost.train("mse", codes, Y, rounds=5, categorical=[1])
    if kind is not bool:  # whose text is another
        np.testing.assert_array_equal(model.predict(rows), alike.predict(codes))
    plain = rows.astype({"kind": object})  # no frame of categories, but told to be
    told = catboost.train("mse", plain, Y, rounds=5, categorical=["kind"])
    np.testing.assert_array_equal(told.predict(plain), model.predict(rows))
    assert rows["kind"].dtype == "category"  # the user's frame stays
    assert len(np.unique(model.predict(rows.assign(size=0.0)))) > 1


@pytest.mark.parametrize("method", ["hist", "exact"])
@pytest.mark.parametrize("width", [1, 4])
def test_held_out_rows_of_other_columns_are_told_by_xgboost(method: str, width: int) -> None:
    held = np.ones((len(Y), width)), Y
    with pytest.raises(lm.ShapeError, match=f"X of held-out rows has {width} columns?, and in training there were 2"):
        xgboost.train("huber", X, Y, rounds=2, validation=held, params={"tree_method": method})


@EACH
def test_tables_of_arrow_in_another_order_are_no_other_features(library: ModuleType) -> None:
    model = library.train("huber", FRAME, Y, rounds=5)
    turned = pyarrow.table({"kind": CODES, "size": X[:, 0]})
    if library is catboost:  # which finds them by their names
        np.testing.assert_array_equal(model.predict(turned), model.predict(FRAME))
    else:
        with pytest.raises(lm.ParameterError, match="X has column 'kind' at place 0, where it was at 1 in training"):
            model.predict(turned)


@EACH
@pytest.mark.parametrize("width", [1, 4])
def test_arrays_of_another_width_are_refused(library: ModuleType, width: int) -> None:
    model = library.train("huber", FRAME, Y, rounds=2)
    for rows in (np.ones((3, width)), csr_matrix(np.ones((3, width))), np.ones((3, width)).tolist()):
        with pytest.raises(lm.ShapeError, match=f"X has {width} columns?, and in training there were 2"):
            model.predict(rows)


@EACH
def test_held_out_rows_may_be_an_array_beside_a_table(library: ModuleType) -> None:
    histories = [
        library.train("huber", FRAME, Y, rounds=3, validation=(rows, Y), categorical=[1]).history for rows in (X, FRAME)
    ]
    np.testing.assert_allclose(*histories)


@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.timestamp("s"), pyarrow.float16()])
def test_xgboost_tells_of_columns_of_arrow_that_it_does_not_take(kind: pyarrow.DataType) -> None:
    rows = pyarrow.table({"size": X[:, 0], "other": pyarrow.nulls(len(Y), kind)})
    with pytest.raises(
        lm.KindError,
        match=r"column 'other' of X is of type (string|timestamp.*|halffloat), and XGBoost takes whole numbers",
    ):
        xgboost.train("huber", rows, Y, rounds=1)


@EACH
def test_what_is_masked_is_missing(library: ModuleType) -> None:
    hidden = np.random.default_rng(1).random(X.shape) < 0.3
    masked, missing = np.ma.masked_array(X, hidden), np.where(hidden, np.nan, X)
    wanted = library.train("huber", missing, Y, rounds=5).predict(missing)
    np.testing.assert_array_equal(library.train("huber", masked, Y, rounds=5).predict(masked), wanted)
    first, second = (
        library.Regressor("huber", n_estimators=5).fit(rows, Y).predict(rows) for rows in (masked, missing)
    )
    np.testing.assert_array_equal(first, second)
    for estimator, y in ((library.Regressor(), Y), (library.Classifier(), CODES > 3)):
        with pytest.raises(lm.KindError, match=r"^y is a masked array; leave out the rows"):
            estimator.fit(X, np.ma.masked_array(y, hidden[:, 0]))


@EACH
def test_features_that_are_no_numbers_are_refused(library: ModuleType) -> None:
    for rows in (X + 1j, X.astype(int).astype("datetime64[s]")):
        with pytest.raises(lm.KindError, match=r"X must hold real numbers, got (complex128|datetime64\[s\])"):
            library.train("huber", rows, Y, rounds=1)
    np.testing.assert_array_equal(
        *(library.train("huber", rows, Y, rounds=2).predict(X) for rows in (X, X.astype(object)))
    )
    if library is not catboost:  # to which texts are categories
        with pytest.raises(
            lm.KindError, match=r"X must hold numbers: could not convert string to float: .*'a'.*; pass codes"
        ):
            library.train("huber", np.full(X.shape, "a"), Y, rounds=1)
