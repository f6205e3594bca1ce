"""LightGBM with any loss as its objective.

LightGBM takes a custom objective as gradient and Hessian and nothing more: it starts such a model at zero, ignores
the weights, and does not know the link. ``Objective`` carries all of it in one object, made from the loss alone, and
examines itself by finite differences on the data before the first tree. ``train`` and ``cv`` are LightGBM's with such
an objective, ``Regressor`` and ``Classifier`` estimators of scikit-learn, ``train_dask`` trains on a cluster.

Which second derivative a leaf is divided by is chosen by ``hessian=``; robust losses have none, so the default
``floor`` takes, for each row, the larger of the exact Hessian and the secant slope |gradient| / |distance to the row's
own best prediction|; see ``lossmith.frameworks.boosting.curvature`` for all kinds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lossmith.frameworks.boosting.handwritten import check
from lossmith.frameworks.lightgbm.model import Model
from lossmith.frameworks.lightgbm.objective import Objective
from lossmith.frameworks.lightgbm.training import DEFAULTS, cv, train

if TYPE_CHECKING:
    from lossmith.frameworks.lightgbm.dask import train_dask
    from lossmith.frameworks.lightgbm.estimators import Classifier, Regressor

__all__ = ["DEFAULTS", "Classifier", "Model", "Objective", "Regressor", "check", "cv", "train", "train_dask"]

_LATE = {
    "Regressor": "lossmith.frameworks.lightgbm.estimators",
    "Classifier": "lossmith.frameworks.lightgbm.estimators",
    "train_dask": "lossmith.frameworks.lightgbm.dask",
}
"""What needs scikit-learn or Dask, which are imported when it is first used."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
