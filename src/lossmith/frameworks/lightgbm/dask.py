"""Training on a Dask cluster: LightGBM's own, with a loss as the objective of every worker."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.frameworks.boosting import Head, Kind
from lossmith.frameworks.boosting.held import Rows, refuse_rescaled
from lossmith.frameworks.boosting.keywords import told
from lossmith.frameworks.boosting.staged import Staged, gathered, of_dask
from lossmith.frameworks.lightgbm.library import library, table
from lossmith.frameworks.lightgbm.model import Model
from lossmith.frameworks.lightgbm.objective import Objective
from lossmith.frameworks.lightgbm.training import NAMES, settings

Array = npt.NDArray[Any]


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
    """Train a LightGBM model on a Dask cluster with a loss as its objective.

    Each worker asks the objective for its own rows only. The start score is that of all of them: targets and weights
    are gathered by the caller, the features are not. With ``hessian="floor"`` derivatives are divided by the mean
    Hessian at the start score, the same for all workers and rounds, and what is near to a row's best prediction is
    told by its worker's rows.

    Args:
        loss, rounds, params, seed, hessian, classes: see ``lossmith.lightgbm.train``.
        X: features, a Dask array or data frame.
        y: targets, a Dask array or series, in the same parts.
        weight: weights, likewise.
        validation: features, targets and optionally weights that decide when to stop: in memory, or of Dask, from where
            they are gathered. Every worker gets all of them, and each comes to the same decision.
        patience: stop after that many rounds without a better mean loss on ``validation``.
        client: of ``dask.distributed``; by default the current one.

    Raises:
        KindError: for X, y or weight that lie in memory.
        MissingDependencyError: when LightGBM or Dask is not installed.
        ParameterError, DomainError, EmptyError, ShapeError: as in ``Objective``.
    """
    on_dask = library("lightgbm.dask")
    X, y, weight = of_dask(X=X, y=y, weight=weight)
    held = gathered(validation, patience)
    objective = Objective(
        loss, y.compute(), None if weight is None else weight.compute(), hessian=hessian, classes=classes
    )
    scale = objective.scale_at_start() if hessian == "floor" else None
    if NAMES.read(params).get("boosting") == "dart":
        refuse_rescaled("validation", validation)
    chosen = {**settings(objective, params, seed, X), "objective": OfWorker(type(objective), objective.head, scale)}
    staged = [Staged(objective, *held, patience=patience, added=_added)] if held else []
    estimator = on_dask.DaskLGBMRegressor(client=client, n_estimators=rounds, **chosen)
    with warnings.catch_warnings():  # of a setting that its estimator always has
        warnings.filterwarnings("ignore", "Parameter n_jobs will be ignored", UserWarning)
        starts, watches = _starts(y, objective.head), [Watch(one) for one in staged]
        estimator.fit(X, y, sample_weight=weight, init_score=starts, callbacks=watches or None)
    booster = estimator.booster_
    for one in staged:  # what workers saw stays there
        for _ in range(booster.current_iteration()):
            one.goes_on(booster)
        return Model(booster, objective.head, one.best, tuple(one.history))
    return Model(booster, objective.head, booster.current_iteration())


def _added(booster: Any, X: Any, done: int) -> Any:
    return booster.predict(table(X), start_iteration=done, num_iteration=1, raw_score=True)


class Watch:
    """Stops a worker, in the same round as all others."""

    order = 25  # after those of LightGBM
    before_iteration = False

    def __init__(self, staged: Staged) -> None:
        self._staged = staged

    def __call__(self, env: Any) -> None:
        """Look at the round that is done."""
        if not self._staged.goes_on(env.model):
            # As the best of all, since LightGBM sends no round home that comes after that.
            raise library("lightgbm.callback").EarlyStopException(env.iteration, [])


class OfWorker:
    """The objective on a worker, without rows of its own: LightGBM passes it those of the worker."""

    def __init__(self, kind: type[Objective], head: Head, scale: float | None) -> None:
        self._kind, self._head, self._scale = kind, head, scale
        self._mine: Objective | None = None
        self._of: Any = None

    def __call__(self, y_true: Array, y_pred: Array, weight: Array | None) -> tuple[Array, Array]:
        """Return weighted gradient and Hessian of a worker's rows."""
        if self._mine is None or self._of is not y_true:
            self._mine, self._of = self._kind.of(self._head, y_true, weight, scale=self._scale), y_true
        return self._mine(y_pred)


def _constant(part: Any, head: Head) -> Any:
    """Return start scores as pandas has them: a series, or a frame with a column for each output."""
    kind: Any = part._constructor_expanddim if head.outputs > 1 else part._constructor
    return kind(head.constant(len(part)), index=part.index)


def _starts(y: Any, head: Head) -> Any:
    """Return the start score of every row, in the parts of the targets."""
    if hasattr(y, "map_partitions"):
        return y.map_partitions(_constant, head, meta=_constant(y._meta, head))
    if head.outputs == 1:
        return y.map_blocks(lambda part: head.constant(len(part)), dtype=np.float64)
    chunks = (y.chunks[0], (head.outputs,))
    return y.map_blocks(lambda part: head.constant(len(part)), dtype=np.float64, new_axis=1, chunks=chunks)
