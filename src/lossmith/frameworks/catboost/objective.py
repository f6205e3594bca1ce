"""An objective as CatBoost takes one: derivatives of minus the loss, a block of rows or one row at a time.

CatBoost starts a custom objective at zero and leaves weights to it. What it hands over are predictions, targets in
float32 and weights, never which rows they are: a thousand rows at a time where each has one prediction, and a single
row where each has several. The start score is inside the objective here, so that data need no baseline, and becomes
the bias of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import catboost
import numpy as np
import numpy.typing as npt

from lossmith.errors import ParameterError
from lossmith.frameworks import boosting
from lossmith.frameworks.boosting import handwritten
from lossmith.frameworks.boosting.curvature import Curvature
from lossmith.frameworks.catboost.blocks import Block, Means
from lossmith.frameworks.catboost.model import Model, pool

Array = npt.NDArray[Any]


class Objective(boosting.Objective):
    """Gradient, Hessian, weights, start score, metric and link of a loss, for CatBoost's own classes.

    ::

        objective = Objective("huber(delta=2)", y, weight)
        booster = catboost.CatBoost(
            {"loss_function": objective.loss_function, "eval_metric": objective.eval_metric, "iterations": 300}
        )
        booster.fit(objective.pool(X), eval_set=objective.pool(X_new, y_new))
        model = objective.model(booster)  # with start score and link

        catboost.CatBoostRegressor(loss_function=objective, eval_metric=objective.eval_metric)  # one prediction a row
        catboost.CatBoostClassifier(loss_function=objective, eval_metric=MeanLoss(objective), classes_count=3)

    CatBoost's own ``predict`` knows nothing of the start score before ``objective.model`` has put it into the booster.

    It is examined when it is made; see ``lossmith.frameworks.boosting.Objective`` for arguments, attributes and errors,
    and ``lossmith.frameworks.boosting.curvature`` for ``hessian``: ``floor`` (default), ``exact``, ``upper_bound``,
    ``gauss_newton``. CatBoost takes Hessians of several predictions as matrices, and ``exact`` gives it the full one.

    Attributes:
        error: what a call from within CatBoost raised, of which CatBoost itself keeps the text alone.
    """

    no_jit = True  # CatBoost would hand it to Numba, which cannot compile it, and warns where there is none
    error: Exception | None = None
    _mean: Means

    def __init__(self, loss: Any, y: npt.ArrayLike, weight: npt.ArrayLike | None = None, **options: Any) -> None:
        super().__init__(loss, y, weight, **options)
        if self.outputs == 1:
            self._curvature.into(self.init_score, *np.empty((2, len(self.y)), np.float32))
            self._mean.seen(len(self.y))
        else:
            self._prepare(np.zeros(self.form.shape(len(self.y))), self.label)

    def _hold(self, y: Array, weight: Array | None) -> None:
        super()._hold(y, weight)
        self._mean = Means(len(y))
        self._blocks: dict[tuple[int, int], Block] = {}
        self._known: dict[bytes, int] = {}
        self._weighted = self._asked = False
        self._slopes = self._bends = np.zeros(0)

    @property
    def label(self) -> Array:
        """Targets as a ``catboost.Pool`` is to hold them: a number a row, or one for each of several predictions."""
        return as_label(self.y, self.outputs)

    @property
    def loss_function(self) -> Any:
        """The objective as CatBoost is to be given it; of one prediction a row it is the objective itself."""
        return self if self.outputs == 1 else RowObjective(self)

    @property
    def eval_metric(self) -> Any:
        """The mean loss as CatBoost is to be given it; less is better."""
        return MeanLoss(self) if self.outputs == 1 else MeanRowLoss(self)

    def pool(
        self, X: Any, y: npt.ArrayLike | None = None, weight: npt.ArrayLike | None = None, **settings: Any
    ) -> catboost.Pool:
        """Return the ``catboost.Pool`` of the training rows, with targets and weights, or of other rows.

        Args:
            X: features, rows by columns: an array, a data frame or a sparse matrix.
            y: targets of other rows.
            weight: their weights.
            settings: of ``catboost.Pool``, such as ``cat_features``.
        """
        rows = self if y is None else self.on(y, weight)
        if self.head.own:
            settings["baseline"] = rows.init_score
        return pool(rows.fitting(X), label=rows.label, weight=rows.weight, **settings)

    def model(self, booster: catboost.CatBoost) -> Model:
        """Return a booster that was trained with this objective as a model, and put the start score into it."""
        booster.set_scale_and_bias(1.0, self.start if self.outputs == 1 else self.start.tolist())
        return Model(booster, self.head)

    def calc_ders_range(self, approxes: Array, targets: Array, weights: Array | None) -> Array:
        """Return minus gradient and minus Hessian of a block of rows, weighted, as two columns.

        Args:
            approxes: sums of trees, start score not included, float64.
            targets: float32.
            weights: float32, or nothing.

        Raises:
            ParameterError: where weights do not go with those that the objective was made with.
            DomainError: where a derivative is no finite number.
        """
        with self._keeping_errors():
            found = self._block(targets, weights).derivatives(approxes)
            self._mean.seen(len(approxes))
            return found

    def _block(self, targets: Array, weights: Array | None) -> Block:
        """Return the rows that lie at this place of CatBoost's memory."""
        at = (targets.__array_interface__["data"][0], len(targets))
        if at not in self._blocks or not self._blocks[at].holds(targets, weights):
            self._check(weights is not None)
            self._blocks[at] = Block(self.head, targets, weights, self._mean)
        return self._blocks[at]

    def _check(self, weighted: bool) -> None:
        if weighted != (self.weight is not None):
            has, lacks = ("pool", "objective") if weighted else ("objective", "pool")
            raise ParameterError(
                f"{self.loss}: the {has} has weights that the {lacks} has not; pass the same ones to both, "
                "for instance by objective.pool(X)"
            )

    def calc_ders_multi(self, approxes: Array, target: Any, weight: float) -> tuple[list[float], list[list[float]]]:
        """Return minus the gradient and minus the Hessian of one row, weighted.

        Args:
            approxes: sums of trees, start score not included.
            target: a class index, or the row's label.
            weight: 1 where there are none.
        """
        with self._keeping_errors():
            self._asked = True
            label = np.asarray(target, np.float32)
            place = self._known.get(approxes.tobytes() + label.tobytes())
            if place is None:
                slopes, bends = self._rows(approxes[None], label.reshape(1, -1))
                slope, bend = slopes[0], bends[0]
            else:
                slope, bend = self._slopes[place], self._bends[place]
            if weight != 1:
                self._weighted = True
                self._check(True)
                slope, bend = slope * weight, bend * weight
            return slope.tolist(), bend.tolist()

    def _rows(self, approxes: Array, labels: Array) -> tuple[Array, Array]:
        """Return minus gradients and minus Hessians, as matrices, of rows of several predictions."""
        raw, y = approxes + self.head.start, self._targets(labels)
        if self.hessian == "exact":
            _, slopes, bends = self.form.full(y, raw)
            return -slopes, -bends
        slopes, bends = np.empty((2, *raw.shape))
        Curvature(self.form, self.head.hessian, y, None, None, self._mean).into(raw, slopes, bends)
        return -slopes, -bends[:, :, None] * np.eye(self.outputs)

    def _targets(self, labels: Array) -> Array:
        """Return targets of labels as CatBoost holds them."""
        return np.asarray(labels if self.y.ndim > 1 else labels[:, 0], np.float64)

    def watch(self, approxes: Sequence[Array], labels: Sequence[Array], weights: Array | None) -> tuple[float, float]:
        """Return Σwl and Σw at sums of trees; of all training rows also prepare the derivatives that follow.

        CatBoost asks for those row by row, and finds them by what it asks with.
        """
        with self._keeping_errors():
            if self.outputs > 1 and self.weight is not None and np.any(self.weight != 1):
                self._check(self._weighted)
            trees, label = np.stack(approxes, axis=-1), np.stack(labels, axis=-1)
            y = self._targets(label)
            raw = trees if self.head.own else trees + self.head.start
            losses = self.form.losses(y, raw if self.outputs > 1 else raw[:, 0])
            # In whatever order; held-out rows that are those of training come second, and are no pass of their own.
            if self._asked and self.outputs > 1 and np.array_equal(np.sort(label[:, 0]), np.sort(self.label[:, 0])):
                self._prepare(trees, label)
            if weights is None:
                return float(losses.sum()), float(len(losses))
            return float(losses @ weights.astype(np.float64)), float(weights.sum(dtype=np.float64))

    def _prepare(self, approxes: Array, labels: Array) -> None:
        self._asked = False
        self._slopes, self._bends = self._rows(approxes, labels)
        self._mean.seen(len(labels))
        trees, given = _bytes_of(approxes), _bytes_of(labels)
        self._known = {a + b: place for place, (a, b) in enumerate(zip(trees, given, strict=True))}

    @contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = error
            raise


def as_label(y: Array, outputs: int) -> Array:
    """Return targets as labels: float32, a number for each prediction."""
    narrow = y.astype(np.float32)
    return narrow if outputs == 1 or y.ndim > 1 else np.repeat(narrow[:, None], outputs, axis=1)


def _bytes_of(rows: Array) -> list[bytes]:
    whole = np.ascontiguousarray(rows)
    width, text = whole[0].nbytes, whole.tobytes()
    return [text[begin : begin + width] for begin in range(0, len(text), width)]


class RowObjective(catboost.MultiTargetCustomObjective):  # type: ignore[misc]  # CatBoost ships no types
    """An objective of several predictions a row, as CatBoost takes one."""

    no_jit = True

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def calc_ders_multi(self, approxes: Array, target: Any, weight: float) -> Any:
        """Return the derivatives of a row; see ``Objective.calc_ders_multi``."""
        return self.objective.calc_ders_multi(approxes, target, weight)

    def __deepcopy__(self, memo: Any) -> RowObjective:
        return self


class MeanLoss:
    """The mean loss as CatBoost calls metrics; less is better."""

    no_jit = True

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def is_max_optimal(self) -> bool:
        """Return false."""
        return False

    def evaluate(self, approxes: Sequence[Array], target: Any, weight: Array | None) -> tuple[float, float]:
        """Return Σwl and Σw at sums of trees, start score not included."""
        labels = target if isinstance(target, tuple) else (target,)
        return self.objective.watch(approxes, labels, weight)

    def get_final_error(self, error: float, weight: float) -> float:
        """Return Σwl/Σw."""
        return error / weight

    def __deepcopy__(self, memo: Any) -> MeanLoss:
        return self


class MeanRowLoss(MeanLoss, catboost.MultiTargetCustomMetric):  # type: ignore[misc]
    """The same of several predictions a row."""


def check(written: Any, loss: Any, y: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> None:
    """Examine a custom objective that somebody wrote by hand, by finite differences of the loss that it is to be.

    Args:
        written: has ``calc_ders_range(approxes, targets, weights)``, as CatBoost takes it.
        loss: the loss of one prediction a row, or its name.
        y: targets.
        weight: their weights.

    Raises:
        ParameterError: for a gradient of the wrong sign, that vanishes everywhere, or is no multiple of the weighted
            slope, and for a Hessian that is nowhere positive; CatBoost takes both derivatives of minus the loss.
        DomainError: for derivatives that are no finite numbers.
        ShapeError: for what is no pair of derivatives for each row.
    """

    def function(raw: Array, rows: Any) -> Array:
        return -np.array(list(written.calc_ders_range(raw, rows.get_label(), rows.get_weight())), np.float64).T

    function.__name__ = type(written).__name__
    handwritten.check(function, loss, y, weight)
