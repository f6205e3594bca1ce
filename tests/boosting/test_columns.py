"""Columns of categories: by name or by place, alike in all libraries, and one that is not there is refused."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

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
        with pytest.raises(ValueError, match=f"column {names[1]!r} at place 0, where it was at 1|names mismatch"):
            model.predict(turned)
    assert model.predict(rows[:0]).shape == (0,)


def test_lightgbm_takes_columns_of_other_names_in_their_order() -> None:
    model = lightgbm.train("huber", FRAME, Y, rounds=5)
    again = lightgbm.Model.from_text(model.to_text())
    with pytest.raises(lm.ParameterError, match=r"where it was at 1 in .*; pass the columns in the order of training"):
        again.predict(FRAME[["kind", "size"]])
    renamed = FRAME.set_axis(["a", "b"], axis=1)  # as where brackets, which LightGBM refuses, were taken out
    np.testing.assert_array_equal(again.predict(renamed), model.predict(FRAME))
