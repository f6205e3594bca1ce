"""Lossmith for scikit-learn: linear models fitted by any loss, and any loss as a scorer.

    LinearModel("quantile(level=0.9)", penalty="l1", strength=0.01).fit(X, y)
    cross_val_score(model, X, y, scoring=scorer("huber(delta=2)"))

``LinearModel`` makes a ``LinearRegressor`` or a ``LinearClassifier``, whichever the loss is for.
"""

from __future__ import annotations

from lossmith.errors import MissingDependencyError

try:
    from lossmith.frameworks.sklearn.estimators import LinearClassifier, LinearRegressor
    from lossmith.frameworks.sklearn.estimators import linear_model as LinearModel
    from lossmith.frameworks.sklearn.scoring import Metric, Scorer, metric, scorer
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("sklearn", "scipy"):
        raise
    raise MissingDependencyError("lossmith.sklearn needs scikit-learn: pip install 'lossmith[sklearn]'") from None

__all__ = ["LinearClassifier", "LinearModel", "LinearRegressor", "Metric", "Scorer", "metric", "scorer"]
