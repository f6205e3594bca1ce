"""XGBoost with any loss as its objective.

    model = lossmith.xgboost.train("huber(delta=2)", X, y, weight, validation=(X_held, y_held), patience=20)
    model.predict(X)

``Objective`` carries a loss into XGBoost's own functions and estimators.
"""

from __future__ import annotations

from lossmith.errors import MissingDependencyError

try:
    from lossmith.frameworks.xgboost.model import Model
    from lossmith.frameworks.xgboost.objective import Evaluation, Objective
    from lossmith.frameworks.xgboost.training import DEFAULTS, train
except ModuleNotFoundError as error:
    if error.name != "xgboost":
        raise
    raise MissingDependencyError("lossmith.xgboost needs XGBoost: pip install 'lossmith[xgboost]'") from None

__all__ = ["DEFAULTS", "Evaluation", "Model", "Objective", "train"]
