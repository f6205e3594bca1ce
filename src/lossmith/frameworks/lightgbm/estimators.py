"""Estimators of scikit-learn that train LightGBM with any loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossmith.core.loss import Loss
from lossmith.frameworks.boosting import Kind
from lossmith.frameworks.boosting.estimators import Boosted, Labels, Numbers
from lossmith.frameworks.lightgbm.training import NAMES, train

_NAMES = {
    "learning_rate": "learning_rate",
    "num_leaves": "num_leaves",
    "max_depth": "max_depth",
    "min_child_samples": "min_data_in_leaf",
    "subsample": "bagging_fraction",
    "subsample_freq": "bagging_freq",
    "colsample_bytree": "feature_fraction",
    "reg_alpha": "lambda_l1",
    "reg_lambda": "lambda_l2",
    "n_jobs": "num_threads",
}
"""LightGBM's own names of settings, by those that its estimators have."""


class _LightGBM(Boosted):
    """The settings of both estimators."""

    names, named = _NAMES, NAMES
    train = staticmethod(train)

    def __init__(
        self,
        loss: Loss | str | None = None,
        *,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        num_leaves: int = 31,
        max_depth: int = -1,
        min_child_samples: int = 20,
        subsample: float = 1.0,
        subsample_freq: int = 0,
        colsample_bytree: float = 1.0,
        reg_alpha: float = 0.0,
        reg_lambda: float = 0.0,
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
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.min_child_samples = min_child_samples
        self.subsample = subsample
        self.subsample_freq = subsample_freq
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
        learning_rate, num_leaves, max_depth, min_child_samples, subsample, subsample_freq, colsample_bytree, reg_alpha,
            reg_lambda, n_jobs: as in ``lightgbm.LGBMModel``.
        hessian: which second derivative leaves are divided by: ``floor``, ``exact``, ``upper_bound``, ``gauss_newton``.
        early_stopping_rounds: stop after that many rounds without a better mean loss on ``eval_set`` of ``fit``.
        categorical: indexes or names of columns that hold category codes.
        params: further settings of LightGBM, by its own names.
        random_state: seed of LightGBM's random numbers.

    Attributes:
        model_: the ``Model``, with start score and link inside; ``model_.save(path)`` writes it.
        n_features_in_, feature_names_in_: number of features, and their names, of a data frame.
"""


class Regressor(Numbers, _LightGBM):
    """LightGBM trained with any loss of numbers; ``predict`` returns values, rates or quantiles on the target's scale.

    ::

        Regressor("quantile(level=0.9)", n_estimators=300).fit(X, y).predict(X_new)

    The default loss is the squared error.
    """


class Classifier(Labels, _LightGBM):
    """LightGBM trained with any loss of labels: of two classes, or of several by a loss over classes.

    ::

        Classifier("focal(gamma=1.5)").fit(X, labels).predict_proba(X_new)

    The default loss is binary cross-entropy of two classes and categorical cross-entropy of more.

    Attributes besides: ``classes_``, the labels in ascending order, which is that of columns of probabilities.
    """


for _estimator in (Regressor, Classifier):
    _estimator.__doc__ = f"{_estimator.__doc__}{_SHARED}"
