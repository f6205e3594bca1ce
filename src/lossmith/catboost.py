"""CatBoost with any loss as its objective.

    model = lossmith.catboost.train("huber(delta=2)", X, y, weight, validation=(X_held, y_held), patience=20)
    model.predict(X)

CatBoost takes a custom objective as derivatives of minus the loss and nothing more: it starts such a model at zero,
leaves the weights to it, and does not know the link. ``Objective`` carries all of it in one object, made from the loss
alone, and examines itself by finite differences on the data before the first tree. ``train`` and ``cv`` use it, and
``Regressor`` and ``Classifier`` are estimators of scikit-learn.

CatBoost calls Python for blocks of rows, and where each row has several predictions for each single row, which is slow:
classes and quantiles of a million rows are a job for the other libraries.

Which second derivative a leaf is divided by is chosen by ``hessian=``; robust losses have none, so the default
``floor`` takes, for each row, the larger of the exact Hessian and the secant slope |gradient| / |distance to the row's
own best prediction|; see ``lossmith.frameworks.boosting.curvature`` for all kinds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lossmith.errors import MissingDependencyError

try:
    from lossmith.frameworks.catboost.model import Model
    from lossmith.frameworks.catboost.objective import MeanLoss, Objective, check
    from lossmith.frameworks.catboost.training import DEFAULTS, cv, train
except ModuleNotFoundError as error:
    if error.name != "catboost":
        raise
    raise MissingDependencyError("lossmith.catboost needs CatBoost: pip install 'lossmith[catboost]'") from None

if TYPE_CHECKING:
    from lossmith.frameworks.catboost.estimators import Classifier, Regressor

__all__ = ["DEFAULTS", "Classifier", "MeanLoss", "Model", "Objective", "Regressor", "check", "cv", "train"]

_LATE = {
    "Regressor": "lossmith.frameworks.catboost.estimators",
    "Classifier": "lossmith.frameworks.catboost.estimators",
}
"""What needs scikit-learn, which is imported when it is first used."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
