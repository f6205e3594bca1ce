"""An objective as XGBoost takes one: raw margins in float32, labels and weights that travel with the matrix.

XGBoost starts a custom objective at 0.5, leaves weights to it, and hands it what is there: ``(predictions, DMatrix)``
in ``xgboost.train`` and ``(labels, predictions, sample_weight)`` in its scikit-learn estimators. The same objects serve
both. Several outputs are rows in C order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost
import xgboost.collective

from lossmith.core.mistakes import warn
from lossmith.errors import ParameterError, ShapeError
from lossmith.frameworks import boosting
from lossmith.frameworks.boosting import handwritten
from lossmith.frameworks.xgboost.labels import are as labels_are
from lossmith.frameworks.xgboost.model import Model, as_features, first_rounds

Array = npt.NDArray[Any]

_DEFAULT_START = 0.5  # where XGBoost starts a custom objective
_GREATER = ("auc", "pre", "map", "ndcg")  # metrics whose names begin so are stopped at their greatest
_LEAST_GAIN = 1e-6  # XGBoost's kRtEps
_MOST_GAIN = float(np.finfo(np.float32).max)  # what gains are kept in


def over_workers(what: str, total: float, weight: float) -> float:
    """Return the mean over the rows of all workers, where there are several; each has to ask for it."""
    if xgboost.collective.is_distributed():
        sums = np.array([total, weight], np.float64)
        total, weight = xgboost.collective.allreduce(sums, xgboost.collective.Op.SUM)
    return float(total / weight)


class Objective(boosting.Objective):
    """Gradient, Hessian, weights, start score, metric and link of a loss, for XGBoost's own functions.

    ::

        objective = Objective("huber(delta=2)", y, weight)
        booster = xgboost.train(
            {**objective.params, "max_depth": 4},
            objective.matrix(X),
            obj=objective,
            custom_metric=objective.eval_metric,
            evals=[(objective.matrix(X_new, y_new), "new")],
        )
        model = objective.model(booster)  # with start score and link

        xgboost.XGBRegressor(objective=objective, eval_metric=objective.eval_metric, **objective.params)

    Labels and weights are those of the matrix that is trained on, so folds and workers bring their own; for the rows
    that the objective was made of, its own weights are applied where the matrix brings none.

    It is examined when it is made; see ``lossmith.frameworks.boosting.Objective`` for arguments, attributes and errors,
    and ``lossmith.frameworks.boosting.curvature`` for ``hessian``: ``floor`` (default), ``exact``, ``upper_bound``,
    ``gauss_newton``.
    """

    _mean = staticmethod(over_workers)
    least_sum = 0.0
    """What Hessians must sum to in a leaf, as far as it is known: min_child_weight of XGBoost."""

    def _hold(self, y: Array, weight: Array | None) -> None:
        super()._hold(y, weight)
        self._label = y.astype(np.float32)
        self._weight = np.ones(0, np.float32) if weight is None else weight.astype(np.float32)
        self._other: Objective | None = None
        self._called = False

    @property
    def params(self) -> dict[str, Any]:
        """What XGBoost has to know besides: the start score, the number of outputs, and no metric of its own."""
        several = {"num_target": self.outputs} if self.outputs > 1 else {}
        start = list(map(float, self.head.start)) if several else float(self.head.start[0])
        return {"base_score": start, "disable_default_eval_metric": True, **several}

    @property
    def eval_metric(self) -> Evaluation:
        """The mean loss, for ``custom_metric=`` and for ``eval_metric=`` of estimators; less is better."""
        return Evaluation(self.metric)

    def matrix(
        self, X: Any, y: npt.ArrayLike | None = None, weight: npt.ArrayLike | None = None, **settings: Any
    ) -> xgboost.QuantileDMatrix:
        """Return the matrix of the training rows, with targets and weights, or of other rows.

        Args:
            X: features, rows by columns: an array, a data frame or a sparse matrix.
            y: targets of other rows.
            weight: their weights.
            settings: of ``xgboost.QuantileDMatrix``, such as ``feature_types``.
        """
        rows = self if y is None else self.on(y, weight)
        return xgboost.QuantileDMatrix(
            as_features(rows.fitting(X)), rows.y, weight=rows.weight, **{"enable_categorical": True, **settings}
        )

    def model(self, booster: xgboost.Booster, rounds: int | None = None) -> Model:
        """Return a booster that was trained with this objective as a model, with its link inside.

        Args:
            booster: of ``xgboost.train``.
            rounds: how many rounds are in use; by default the best one where training stopped early, else all.
        """
        best = booster.attr("best_iteration")
        wanted = rounds or (booster.num_boosted_rounds() if best is None else int(best) + 1)
        return Model(first_rounds(booster, wanted), self.head)

    def __call__(self, first: Array, second: Any, sample_weight: Any = None) -> tuple[Array, Array]:
        """Return gradient and Hessian, float32, of shape (n,) or (n, outputs).

        Args:
            first: raw predictions, start score included; labels where ``second`` is no matrix.
            second: the matrix, or raw predictions.
            sample_weight: weights, where ``second`` is no matrix.

        Raises:
            ParameterError: where the matrix brings no labels, or weights that the objective was not made with.
            ShapeError, DomainError: as in ``gradient_and_hessian``.
        """
        if isinstance(second, xgboost.DMatrix) and labels_are(self._label, second):
            return self._answer(self._with(second.get_weight()), first, len(self.y))
        labels, raw, weight = _rows(first, second, sample_weight)
        if not len(labels) and len(raw):
            raise ParameterError(
                f"{self.loss}: the matrix has no labels; make it by objective.matrix(X), or by DMatrix(X, label=y)"
            )
        return self._answer(self._of(labels, weight), raw, len(labels))

    def of_own_rows(self, raw: Array, matrix: xgboost.DMatrix) -> tuple[Array, Array]:
        """Return the same, called with a matrix that was made of these very rows: its labels are not looked at."""
        return self._answer(self, raw, len(self.y))

    def _answer(self, here: Objective, raw: Array, rows: int) -> tuple[Array, Array]:
        shape = self.form.shape(rows)
        if raw.shape != shape:
            raise ShapeError(
                f"{self.loss}: raw predictions have shape {raw.shape}, but the loss takes {shape}; pass "
                "**objective.params to XGBoost"
            )
        found = here.gradient_and_hessian(raw)
        if len(raw) and (not here._called or np.all(raw[0] == _DEFAULT_START)) and np.all(raw == raw[0]):
            self._look_at_start(raw[0], *found)
        here._called = True
        return found

    def _of(self, labels: Array, weight: Array) -> Objective:
        """Return the objective of such rows: this one for its own, else one with the same start."""
        if self._is_of(labels):
            return self._with(weight)
        if self._other is None or not (self._other._is_of(labels) and np.array_equal(weight, self._other._weight)):
            self._other = self.on(labels, weight if weight.size else None)
        return self._other

    def _with(self, weight: Array) -> Objective:
        """Return this, unless its rows came with other weights."""
        if weight.size and not np.array_equal(weight, self._weight):
            raise ParameterError(
                f"{self.loss}: the matrix has weights that the objective was not made with, so its start score is "
                "another; pass them to Objective as well"
            )
        return self

    def _is_of(self, labels: Array) -> bool:
        return labels.shape == self._label.shape and np.array_equal(labels, self._label)

    def _look_at_start(self, begins: Any, gradient: Array, hessian: Array) -> None:
        """Warn of what XGBoost says nothing about: another start, and targets of a unit that hides all splits."""
        if not np.allclose(begins, self.head.start, rtol=1e-5, atol=1e-5):
            warn(
                f"{self.loss}: training starts at {begins}, and not at the best constant, {self.start}; pass "
                "**objective.params to XGBoost, whose own start is 0.5, and to its XGBRegressor for a classifier too, "
                "since XGBClassifier takes base_score for a probability"
            )
        flat, total = gradient.ravel(), float(hessian.sum(dtype=np.float64))
        mean = total / self.outputs
        if len(gradient) > 1 and mean < 2 * self.least_sum:
            warn(
                f"{self.loss}: Hessians, with the weights in them, sum to {mean:.2g}, and XGBoost makes no split with "
                f"less than min_child_weight={self.least_sum:g} on a side; multiply the weights, so that their mean is "
                "1, or lower min_child_weight"
            )
            return
        worth = float(np.einsum("i,i", flat, flat, dtype=np.float64))  # of numbers whose squares single precision lacks
        if 0 < worth < _LEAST_GAIN * total:
            limit = f"makes no split that gains less than {_LEAST_GAIN:g}"
        elif worth * flat.size > _MOST_GAIN * total:
            limit = f"knows no gain above {_MOST_GAIN:.2g}"
        else:
            return
        warn(
            f"{self.loss}: gradients at the start are of the size {np.sqrt(worth / flat.size):.2g}, and XGBoost "
            f"{limit}, in square units of the target; multiply the targets by a power of ten"
        )

    def without_rows(self) -> Objective:
        """Return the same objective of no rows, which takes all of them from the matrices: light to send."""
        other: Objective = object.__new__(type(self))
        other._hold(self.y[:0], None)
        other._settle(self.head)
        return other


class Evaluation:
    """The mean loss as XGBoost calls metrics, in both of its ways; predictions are raw margins, and less is better.

    XGBoost prints metrics with six digits after the point and stops early by what it printed.
    """

    def __init__(self, metric: boosting.Metric) -> None:
        self.metric = metric
        self.__name__ = f"mean_{metric.name}" if metric.name.startswith(_GREATER) else metric.name

    def __call__(self, first: Array, second: Any, sample_weight: Any = None) -> Any:
        """Return name and value, or the value alone where ``second`` is no matrix; arguments as of ``Objective``."""
        labels, raw, weight = _rows(first, second, sample_weight)
        value = self.metric(labels, raw, weight if weight.size else None)
        return (self.__name__, value) if isinstance(second, xgboost.DMatrix) else value


def _rows(first: Any, second: Any, sample_weight: Any) -> tuple[Array, Array, Array]:
    """Return labels, raw predictions and weights; no weights are an empty array."""
    if isinstance(second, xgboost.DMatrix):
        return second.get_label(), first, second.get_weight()
    weight = np.ones(0, np.float32) if sample_weight is None else np.asarray(sample_weight, np.float32)
    return np.asarray(first, np.float32), second, weight


def check(
    function: Any, loss: Any, y: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, classes: int | None = None
) -> None:
    """Examine a custom objective that somebody wrote by hand, by finite differences of the loss that it is to be.

    Args:
        function: ``(predictions, DMatrix) -> (gradient, Hessian)``, as ``xgboost.train`` takes it.
        loss, y, weight, classes: see ``Objective``.

    Raises:
        ParameterError: for a gradient of the wrong sign, that vanishes everywhere, or is no multiple of the weighted
            slope, and for a Hessian that is nowhere positive.
        DomainError: for derivatives that are no finite numbers.
        ShapeError: for what is no gradient and Hessian of the shape of the predictions.
    """

    def matrix(y: Array, weight: Array | None) -> xgboost.DMatrix:
        return xgboost.DMatrix(np.zeros((len(y), 1)), y, weight=weight)

    handwritten.check(function, loss, y, weight, classes=classes, flat=False, data=matrix)
