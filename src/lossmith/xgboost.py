"""XGBoost with any loss as its objective.

    model = lossmith.xgboost.train("huber(delta=2)", X, y, weight, validation=(X_held, y_held), patience=20)
    model.predict(X)

XGBoost takes a custom objective as gradient and Hessian and nothing more: it starts such a model at 0.5, leaves the
weights to it, does not know the link, and stops early by metrics of six digits. ``Objective`` carries all of it in one
object, made from the loss alone, and examines itself by finite differences on the data before the first tree. ``train``
and ``cv`` use it, ``Regressor`` and ``Classifier`` are estimators of scikit-learn, and ``train_dask`` trains on a
cluster.

Which second derivative a leaf is divided by is chosen by ``hessian=``; robust losses have none, so the default
``floor`` takes, for each row, the larger of the exact Hessian and the secant slope |gradient| / |distance to the row's
own best prediction|; see ``lossmith.frameworks.boosting.curvature`` for all kinds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lossmith.errors import MissingDependencyError

try:
    from lossmith.frameworks.xgboost.model import Model
    from lossmith.frameworks.xgboost.objective import Evaluation, Objective, check
    from lossmith.frameworks.xgboost.training import DEFAULTS, cv, train
except ModuleNotFoundError as error:
    if error.name != "xgboost":
        raise
    raise MissingDependencyError("lossmith.xgboost needs XGBoost: pip install 'lossmith[xgboost]'") from None

if TYPE_CHECKING:
    from lossmith.frameworks.xgboost.dask import train_dask
    from lossmith.frameworks.xgboost.estimators import Classifier, Regressor

__all__ = [
    "DEFAULTS",
    "Classifier",
    "Evaluation",
    "Model",
    "Objective",
    "Regressor",
    "check",
    "cv",
    "train",
    "train_dask",
]

_LATE = {
    "Regressor": "lossmith.frameworks.xgboost.estimators",
    "Classifier": "lossmith.frameworks.xgboost.estimators",
    "train_dask": "lossmith.frameworks.xgboost.dask",
}
"""What needs scikit-learn or Dask, which are imported when it is first used."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
