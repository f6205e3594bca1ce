"""Estimators of scikit-learn that train XGBoost with any loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossmith.core.loss import Loss
from lossmith.frameworks.boosting import Kind
from lossmith.frameworks.boosting.estimators import Boosted, Labels, Numbers
from lossmith.frameworks.xgboost.training import NAMES, train

_OWN = (
    "learning_rate",
    "max_depth",
    "max_leaves",
    "min_child_weight",
    "gamma",
    "subsample",
    "colsample_bytree",
    "reg_alpha",
    "reg_lambda",
)
_NAMES = {**{name: name for name in _OWN}, "n_jobs": "nthread"}
"""XGBoost's own names of settings, by those that its estimators have."""


class _XGBoost(Boosted):
    """The settings of both estimators."""

    names, named = _NAMES, NAMES
    train = staticmethod(train)

    def __init__(
        self,
        loss: Loss | str | None = None,
        *,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        max_depth: int = 6,
        max_leaves: int = 0,
        min_child_weight: float = 1.0,
        gamma: float = 0.0,
        subsample: float = 1.0,
        colsample_bytree: float = 1.0,
        reg_alpha: float = 0.0,
        reg_lambda: float = 1.0,
        hessian: Kind = "floor",
        early_stopping_rounds: int | None = None,
        categorical: Sequence[int] | Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.max_leaves = max_leaves
        self.min_child_weight = min_child_weight
        self.gamma = gamma
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.reg_alpha = reg_alpha
        self.reg_lambda = reg_lambda
        self.hessian = hessian
        self.early_stopping_rounds = early_stopping_rounds
        self.categorical = categorical
        self.params = params
        self.random_state = random_state
        self.n_jobs = n_jobs


_SHARED = """
    Args:
        loss: a loss, or its name with parameters; see above for the default.
        n_estimators: number of rounds, at most.
        learning_rate, max_depth, max_leaves, min_child_weight, gamma, subsample, colsample_bytree, reg_alpha,
            reg_lambda, n_jobs: as in ``xgboost.XGBModel``.
        hessian: which second derivative leaves are divided by: ``floor``, ``exact``, ``upper_bound``, ``gauss_newton``.
        early_stopping_rounds: stop after that many rounds without a better mean loss on ``eval_set`` of ``fit``.
        categorical: indexes or names of columns that hold category codes.
        params: further settings of XGBoost, by its own names.
        random_state: seed of XGBoost's random numbers.

    Attributes:
        model_: the ``Model``, with start score and link inside; ``model_.save(path)`` writes it.
        n_features_in_, feature_names_in_: number of features, and their names, of a data frame.
"""


class Regressor(Numbers, _XGBoost):
    """XGBoost trained with any loss of numbers; ``predict`` returns values, rates or quantiles on the target's scale.

    ::

        Regressor("quantile(level=0.9)", n_estimators=300).fit(X, y).predict(X_new)

    The default loss is the squared error.
    """


class Classifier(Labels, _XGBoost):
    """XGBoost trained with any loss of labels: of two classes, or of several by a loss over classes.

    ::

        Classifier("focal(gamma=1.5)").fit(X, labels).predict_proba(X_new)

    The default loss is binary cross-entropy of two classes and categorical cross-entropy of more.

    Attributes besides: ``classes_``, the labels in ascending order, which is that of columns of probabilities.
    """


for _estimator in (Regressor, Classifier):
    _estimator.__doc__ = f"{_estimator.__doc__}{_SHARED}"
