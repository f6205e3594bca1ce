"""What CatBoost does by itself with custom objectives: where one of these fails, the face has to follow."""

from __future__ import annotations

import catboost
import numpy as np
import pytest

from tests.boosting.by_catboost import STILL, Greater, Mean, Spy, X, Y, fitted


def test_custom_objectives_get_blocks_from_zero_and_weights_that_nobody_applies() -> None:
    spy, weighted, metric = Spy(), Spy(), Mean()
    fitted(spy, metric)
    approxes, targets, weights = spy.seen[0]
    assert (approxes.dtype, targets.dtype, weights) == (np.float64, np.float32, None)
    assert np.all(approxes == 0)
    np.testing.assert_array_equal(targets, Y.astype(np.float32))
    assert metric.types == (tuple, np.float64, np.float32)
    fitted(weighted, Mean(), pool=catboost.Pool(X, Y, weight=np.full(len(Y), 2.0)))
    np.testing.assert_array_equal(weighted.seen[0][2], 2.0)
    long = catboost.Pool(np.tile(X, (6, 1)), np.tile(Y, 6))
    blocks = Spy()
    fitted(blocks, Mean(), 1, long)
    assert max(len(block[0]) for block in blocks.seen) == 1000


def test_the_regularisation_of_leaves_grows_with_the_mean_weight() -> None:
    rows, y = np.repeat([[0.0], [1.0]], 20, axis=0), np.repeat([0.0, 4.0], 20)
    settings = {**STILL, "learning_rate": 1, "depth": 1, "l2_leaf_reg": 3, "leaf_estimation_method": "Newton"}
    for weight in (1.0, 2.0):
        booster = fitted(Spy(), Mean(), 1, catboost.Pool(rows, y, weight=np.full(40, weight)), **settings)
        assert booster.predict([[1.0]]) == pytest.approx(80 / (20 + 3 * weight))


def test_what_is_no_number_leaves_no_model_and_no_start_is_taken() -> None:
    with pytest.raises(catboost.CatBoostError, match="Model is not trained"):
        fitted(Spy(sign=np.nan), Mean(), **STILL)
    with pytest.raises(catboost.CatBoostError, match="boost_from_average only for these"):
        fitted(Spy(), Mean(), boost_from_average=True)


def test_a_wrong_sign_is_taken_and_metrics_have_a_direction() -> None:
    uphill = fitted(Spy(sign=-1.0), Mean(), 5)
    assert np.abs(uphill.predict(X) - Y).mean() > np.abs(Y).mean()
    assert fitted(Spy(), Mean(), 5, use_best_model=True).tree_count_ == 1
    assert fitted(Spy(), Greater(), 5, use_best_model=True).tree_count_ == 5


def test_a_model_without_trees_cannot_predict() -> None:
    booster = fitted(Spy(), Mean())
    booster.shrink(0)
    with pytest.raises(catboost.CatBoostError, match="Empty tree range"):
        booster.predict(X)
