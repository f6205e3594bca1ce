"""CatBoost with any loss as its objective.

    model = lossmith.catboost.train("huber(delta=2)", X, y, weight, validation=(X_held, y_held), patience=20)
    model.predict(X)

``Objective`` carries a loss into CatBoost's own classes.
"""

from __future__ import annotations

from lossmith.errors import MissingDependencyError

try:
    from lossmith.frameworks.catboost.model import Model
    from lossmith.frameworks.catboost.objective import Objective
    from lossmith.frameworks.catboost.training import DEFAULTS, train
except ModuleNotFoundError as error:
    if error.name != "catboost":
        raise
    raise MissingDependencyError("lossmith.catboost needs CatBoost: pip install 'lossmith[catboost]'") from None

__all__ = ["DEFAULTS", "Model", "Objective", "train"]
