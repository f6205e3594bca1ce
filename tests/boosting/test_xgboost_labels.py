"""Labels of XGBoost's matrices, looked at where they lie."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

import lossmith as lm
from lossmith.frameworks.xgboost import labels
from lossmith.xgboost import Objective

X, Y = np.zeros((41, 2)), np.arange(41, dtype=np.float32)
RAW = Y[::-1].copy()


@pytest.mark.parametrize("rows", [40, 41])
@pytest.mark.parametrize("copied", [False, True])
def test_labels_that_change_in_a_matrix_are_noticed(
    rows: int, *, copied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert labels._reader() is not None
    if copied:  # as where the function is not found
        monkeypatch.setattr(labels, "_reader", lambda: None)
    y, raw = Y[:rows], RAW[:rows]
    objective, data = Objective("half_squared_error", y, hessian="exact"), xgboost.DMatrix(X[:rows], y)
    assert labels.are(y, data)
    np.testing.assert_array_equal(objective(raw, data)[0], raw - y)
    data.set_label(y + np.eye(1, rows, rows - 1)[0])
    assert not labels.are(y, data)
    assert not labels.are(y[1:], data)
    np.testing.assert_array_equal(objective(raw, data)[0], raw - data.get_label())


def test_labels_that_are_known_are_not_copied_and_none_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = xgboost.DMatrix(X)
    monkeypatch.setattr(xgboost.DMatrix, "get_label", lambda data: pytest.fail("copied"))
    objective = Objective("half_squared_error", Y, hessian="exact")
    np.testing.assert_array_equal(objective(RAW, xgboost.DMatrix(X, Y))[0], RAW - Y)
    assert not labels.are(Y, bare)
    monkeypatch.undo()
    with pytest.raises(lm.ParameterError, match=r"the matrix has no labels; make it by objective\.matrix"):
        objective(RAW, bare)
    assert labels.are(Y[:0], bare)
