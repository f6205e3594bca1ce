"""Training on a Dask cluster: XGBoost's own, with a loss as the objective of every worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossmith.core.loss import Loss
from lossmith.errors import MissingDependencyError
from lossmith.frameworks.boosting import Kind
from lossmith.frameworks.xgboost.model import Model
from lossmith.frameworks.xgboost.objective import Objective
from lossmith.frameworks.xgboost.training import settings

try:
    import distributed
    from xgboost import dask as on_dask
except ImportError as error:
    raise MissingDependencyError(
        f"training on a cluster needs Dask, which is not installed: pip install 'lossmith[dask]' ({error})"
    ) from None


def train_dask(
    loss: Loss | str,
    X: Any,
    y: Any,
    weight: Any = None,
    *,
    client: Any = None,
    rounds: int = 200,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    hessian: Kind = "floor",
    classes: int | None = None,
) -> Model:
    """Train an XGBoost model on a Dask cluster with a loss as its objective.

    Each worker asks the objective for its own rows, and the means that ``hessian="floor"`` needs are those of all
    workers, so the model is the one of a single machine but for the bins of features. The start score is that of all
    rows too: targets and weights are gathered by the caller, the features are not.

    Args:
        loss, rounds, params, seed, hessian, classes: see ``lossmith.xgboost.train``.
        X: features, a Dask array or data frame.
        y: targets, a Dask array or series, in the same parts.
        weight: weights, likewise.
        client: of ``dask.distributed``; by default the current one.

    Raises:
        MissingDependencyError: when Dask is not installed.
        ParameterError, DomainError, EmptyError, ShapeError: as in ``Objective``.
    """
    client = client or distributed.get_client()
    objective = Objective(
        loss, y.compute(), None if weight is None else weight.compute(), hessian=hessian, classes=classes
    )
    data = on_dask.DaskQuantileDMatrix(client, X, y, weight=weight)
    found = on_dask.train(
        client, settings(objective, params, seed), data, num_boost_round=rounds, obj=objective.without_rows()
    )
    return Model(found["booster"], objective.head)
