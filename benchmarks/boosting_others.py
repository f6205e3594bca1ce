"""Trainings of XGBoost and CatBoost with our objectives, beside their own; see ``benchmarks/boosting_speed.py``.

XGBoost's leaves of absolute error and quantiles are refitted, CatBoost's too, which a custom objective cannot do; all
else has the settings with which both models are the same.
"""

from __future__ import annotations

from typing import Any

import catboost
import numpy as np
import xgboost

from benchmarks.boosting_speed import Through, Training
from lossmith import catboost as for_catboost
from lossmith import xgboost as for_xgboost

XGBOOST = {"learning_rate": 0.1, "max_depth": 6, "tree_method": "hist", "verbosity": 1, "seed": 0}
_LESS = float(np.exp(-0.7))
DAMPED = {
    "learning_rate": 0.1 * _LESS,
    "reg_lambda": _LESS,
    "min_child_weight": _LESS,
    "max_delta_step": 0.7 / _LESS,
}
"""XGBoost's Poisson multiplies its Hessian by exp(0.7) and bounds leaves to 0.7."""

CATBOOST = {
    "learning_rate": 0.1,
    "depth": 6,
    "boosting_type": "Plain",
    "bootstrap_type": "No",
    "random_strength": 0,
    "leaf_estimation_method": "Newton",
    "leaf_estimation_iterations": 1,
    "logging_level": "Silent",
    "allow_writing_files": False,
}


def _of_xgboost(
    loss: str, hessian: str, kind: str, own: dict[str, Any], same: dict[str, Any] | None = None
) -> Training:
    """Return the training of a loss; ``same`` are the settings with which ours is the library's own."""

    def data(X: np.ndarray, y: np.ndarray) -> Any:
        return xgboost.QuantileDMatrix(X, y)

    def theirs(binned: Any, trees: int) -> Any:
        return xgboost.train({**XGBOOST, **own}, binned, trees)

    def mine(binned: Any, y: np.ndarray, trees: int, through: Through) -> Any:
        classes = own.get("num_class")
        objective = for_xgboost.Objective(loss, y, hessian=hessian, classes=classes)  # type: ignore[arg-type]
        return objective.model(
            xgboost.train({**XGBOOST, **(same or {}), **objective.params}, binned, trees, obj=through(objective))
        )

    def raw(model: Any, X: np.ndarray) -> np.ndarray:
        if isinstance(model, for_xgboost.Model):
            return model.predict_raw(X)
        return model.predict(xgboost.DMatrix(X), output_margin=True).astype(float)

    return Training("XGBoost", loss, hessian, kind, data, theirs, mine, raw)


def _of_catboost(loss: str, hessian: str, kind: str, own: dict[str, Any]) -> Training:
    def data(X: np.ndarray, y: np.ndarray) -> Any:
        pool = catboost.Pool(X, y)
        pool.quantize()
        return pool

    def theirs(binned: Any, trees: int) -> Any:
        return catboost.CatBoost({**CATBOOST, "iterations": trees, **own}).fit(binned)

    def mine(binned: Any, y: np.ndarray, trees: int, through: Through) -> Any:
        objective = for_catboost.Objective(loss, y, hessian=hessian)  # type: ignore[arg-type]
        given = {"loss_function": objective.loss_function, "eval_metric": objective.eval_metric}
        return objective.model(catboost.CatBoost({**CATBOOST, "iterations": trees, **given}).fit(binned))

    def raw(model: Any, X: np.ndarray) -> np.ndarray:
        if isinstance(model, for_catboost.Model):
            return model.predict_raw(X)
        return model.predict(X, prediction_type="RawFormulaVal")

    return Training("CatBoost", loss, hessian, kind, data, theirs, mine, raw, calls=False)


TRAININGS = (
    _of_xgboost("binary_cross_entropy", "exact", "labels", {"objective": "binary:logistic"}),
    _of_xgboost("poisson", "exact", "counts", {"objective": "count:poisson"}, DAMPED),
    _of_xgboost("half_squared_error", "exact", "numbers", {"objective": "reg:squarederror"}),
    _of_xgboost("pseudo_huber", "exact", "numbers", {"objective": "reg:pseudohubererror"}),
    _of_xgboost("quantile(level=0.9)", "floor", "numbers", {"objective": "reg:quantileerror", "quantile_alpha": 0.9}),
    _of_xgboost(
        "sparse_categorical_cross_entropy", "upper_bound", "classes", {"objective": "multi:softprob", "num_class": 3}
    ),
    _of_catboost("binary_cross_entropy", "exact", "labels", {"loss_function": "Logloss", "boost_from_average": True}),
    _of_catboost("half_squared_error", "exact", "numbers", {"loss_function": "RMSE"}),
    _of_catboost(
        "quantile(level=0.9)",
        "floor",
        "numbers",
        {"loss_function": "Quantile:alpha=0.9", "leaf_estimation_method": "Exact"},
    ),
)
