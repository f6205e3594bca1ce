"""Training on a Dask cluster: XGBoost's own, with a loss as the objective of every worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xgboost

from lossmith.core.loss import Loss
from lossmith.errors import MissingDependencyError
from lossmith.frameworks.boosting import Head, Kind
from lossmith.frameworks.boosting.held import Rows, refuse_rescaled
from lossmith.frameworks.boosting.keywords import told
from lossmith.frameworks.boosting.staged import Staged, gathered, of_dask
from lossmith.frameworks.xgboost.model import Model, as_features, first_rounds
from lossmith.frameworks.xgboost.objective import Objective
from lossmith.frameworks.xgboost.training import settings

try:
    import distributed
    from xgboost import dask as on_dask
except ImportError as error:
    raise MissingDependencyError(
        f"training on a cluster needs Dask, which is not installed: pip install 'lossmith[dask]' ({error})"
    ) from None


@told
def train_dask(
    loss: Loss | str,
    X: Any,
    y: Any,
    weight: Any = None,
    *,
    client: Any = None,
    rounds: int = 200,
    params: Mapping[str, Any] | None = None,
    validation: Rows | None = None,
    patience: int | None = None,
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
        validation: features, targets and optionally weights that decide when to stop: in memory, or of Dask, from where
            they are gathered. Every worker gets all of them, and each comes to the same decision.
        patience: stop after that many rounds without a better mean loss on ``validation``.
        client: of ``dask.distributed``; by default the current one.

    Raises:
        KindError: for X, y or weight that lie in memory.
        MissingDependencyError: when Dask is not installed.
        ParameterError, DomainError, EmptyError, ShapeError: as in ``Objective``.
    """
    X, y, weight = of_dask(X=X, y=y, weight=weight)
    client = client or distributed.get_client()
    held = gathered(validation, patience)
    objective = Objective(
        loss, y.compute(), None if weight is None else weight.compute(), hessian=hessian, classes=classes
    )
    given = settings(objective, params, seed, X)
    if given.get("booster") == "dart":
        refuse_rescaled("validation", validation)
    staged = [Staged(objective, *held, patience=patience, added=_Added(objective.head))] if held else []
    data = on_dask.DaskQuantileDMatrix(client, X, y, weight=weight, enable_categorical=True)
    found = on_dask.train(
        client,
        given,
        data,
        num_boost_round=rounds,
        obj=objective.without_rows(),
        callbacks=[Watch(one) for one in staged],
    )
    booster = found["booster"]
    for one in staged:  # what workers saw stays there
        for _ in range(booster.num_boosted_rounds()):
            one.goes_on(booster)
        if not one.best:
            rows = xgboost.DMatrix(as_features(held[0]), enable_categorical=True)
            return Model(xgboost.train(given, rows, 0), objective.head, tuple(one.history))
        return Model(first_rounds(booster, one.best), objective.head, tuple(one.history))
    return Model(booster, objective.head)


class _Added:
    """What a round adds: XGBoost adds the start score to any rounds."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def __call__(self, booster: Any, X: Any, done: int) -> Any:
        found = booster.inplace_predict(as_features(X), iteration_range=(done, done + 1), predict_type="margin")
        return found.astype(np.float64) - self._head.constant(len(found)).astype(np.float32)


class Watch(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Stops a worker, in the same round as all others."""

    def __init__(self, staged: Staged) -> None:
        super().__init__()
        self._staged = staged

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Return whether to stop."""
        return not self._staged.goes_on(model)
