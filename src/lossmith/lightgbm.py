"""LightGBM with any pointwise loss as its objective.

LightGBM takes a custom objective as gradient and Hessian and nothing more: it starts such a
model at zero, ignores the weights, and does not know the link. ``Objective`` carries all of it
in one object, made from the loss alone.

Second derivatives of robust losses vanish (absolute error everywhere, Huber in its tails), and
those of focal loss can be negative. Newton steps are impossible there, so the default
``hessian="floor"`` takes, for each row, the larger of the exact Hessian and the secant slope
|gradient| / |distance to the row's own best prediction|. With that, no row's Newton step oversteps its own
minimum; for convex losses with a bounded gradient it is the weight of iteratively reweighted
least squares (Huber 1964, doi 10.1214/aoms/1177703732; Holland and Welsch 1977,
doi 10.1080/03610927708827533). A best prediction at infinity counts as a logit of 37, which is
certainty in float64. Rows closer to their minimum than half the typical distance get the
difference of gradients across that half instead: at a kink the gradient of an exact fit is zero,
and yet moving it away has a price.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.core.registry import parse
from lossmith.errors import DomainError, MissingDependencyError, NoConstantError, ParameterError

Array = npt.NDArray[Any]
Curvature = Literal["floor", "exact"]

_CERTAIN = 37.0
_NEAR = 0.5
_TINY = 1e-16

DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    # The sum of Hessians has the unit of the loss here, so a fixed bound on it means nothing.
    "min_sum_hessian_in_leaf": 0.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
"""Settings that ``train`` uses unless told otherwise; names are LightGBM's."""


class Objective:
    """What LightGBM needs to train with a loss: gradient, Hessian, weights, start score and link.

    Args:
        loss: a pointwise loss or its name. It is used in its raw form: logits, log rates.
        y: targets of the training rows.
        weight: their weights.
        hessian: ``floor`` (see the module) or ``exact``, the true second derivative and nothing else.

    Attributes:
        start: the best constant raw prediction, which the model starts from.

    Raises:
        ParameterError: when the loss cannot be trained with (it takes several predictions, or has no
            minimum, one that says nothing, or no gradient).
        DomainError: for targets outside the domain, or targets that ask for an infinite start,
            such as labels of one class only.
    """

    def __init__(
        self, loss: Loss | str, y: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, hessian: Curvature = "floor"
    ) -> None:
        if hessian not in ("floor", "exact"):
            raise ParameterError(f"hessian={hessian!r} is not known; it is 'floor' or 'exact'")
        self.loss = _one_number_a_row(parse(loss)).raw_form
        self.hessian = hessian
        self.y = np.ascontiguousarray(y, dtype=np.float64)
        self.weight = None if weight is None else np.ascontiguousarray(weight, dtype=np.float64)
        if self.loss.card.estimates == "zero":
            raise ParameterError(
                f"{self.loss} cannot be an objective: zero for every row costs nothing, whatever the targets, so its "
                "minimum says nothing about them; take a loss with a margin, such as Hinge()"
            )
        try:
            self.start = self.loss.optimal_constant(self.y, self.weight)
        except NoConstantError as error:
            raise ParameterError(f"{self.loss} cannot be an objective: {error}") from None
        if not math.isfinite(self.start):
            raise DomainError(
                f"{self.loss}: the best constant for these {self.y.size} targets is {self.start:g}: all of them ask "
                "for the same extreme, as labels of one class and counts of zero do, so there is nothing to learn"
            )
        self._best = np.clip(self.loss.best_prediction(self.y), *_reach(self.loss))
        if not any(np.any(self._derivatives(self.y, probe)[0]) for probe in self._probes()):
            raise ParameterError(
                f"{self.loss} cannot be an objective: its gradient is zero everywhere, so nothing moves"
            )

    def _probes(self) -> Iterator[Array]:
        """Yield predictions away from the optimum, far and near: any trainable loss has a gradient at some."""
        away = (1.0 + abs(self.start)) * np.where(self._best > self.start, -0.5, 0.5)
        for share in (1.0, 1e-1, 1e-2, 1e-4, 1e-8):  # what redescends has one at its own scale alone
            yield np.full(self.y.shape, self.start) + share * away

    def _derivatives(self, y: Array, raw: Array) -> tuple[Array, Array]:
        parts = self.loss.evaluate(y, raw, ("gradient", "hessian"), trusted=True)
        gradient: Array = parts["gradient"]
        return gradient, parts["hessian"]

    def __call__(self, trees: Array, data: Any = None) -> tuple[Array, Array]:
        """Return weighted gradient and Hessian at the trees' sum, as ``lightgbm.train`` asks for them.

        Unless the Hessian is ``exact``, both are divided by its mean over the rows.

        Args:
            trees: what LightGBM holds as prediction, start score included.
            data: the data set; its targets must be those given at construction.
        """
        gradient, curvature = self._derivatives(self.y, trees)
        if self.hessian == "floor":
            curvature = np.maximum(curvature, self._floor(trees, gradient))
            # LightGBM's regularisation has the unit of the Hessian: with a mean of 1 it means the same for
            # every loss and every unit of the target, and Newton steps stay what they are.
            scale = float(np.average(curvature, weights=self.weight))
            gradient, curvature = gradient / scale, curvature / scale
        if self.weight is not None:
            gradient, curvature = gradient * self.weight, curvature * self.weight
        return gradient, curvature

    def _floor(self, raw: Array, gradient: Array) -> Array:
        distance = np.abs(raw - self._best)
        # Mean of roots, squared: a few rows far out do not set the scale.
        near = max(_NEAR * float(np.mean(np.sqrt(distance))) ** 2, _TINY)
        floor: Array = np.maximum(np.abs(gradient) / np.maximum(distance, near), _TINY)
        met = distance < near
        if met.any():
            domain = self.loss.domains["f"]  # half the way to an end of it at most
            above = np.minimum(raw[met] + near, raw[met] / 2 + domain.high / 2)
            below = np.maximum(raw[met] - near, raw[met] / 2 + domain.low / 2)
            rise = self._derivatives(self.y[met], above)[0] - self._derivatives(self.y[met], below)[0]
            width = above - below  # nothing where the prediction is too large to move by so little
            floor[met] = np.maximum(floor[met], np.divide(rise, width, out=np.zeros_like(rise), where=width > 0))
        return floor

    def __repr__(self) -> str:
        return f"Objective({self.loss}, start={self.start:.6g}, link={self.loss.link.name}, hessian={self.hessian!r})"


def _one_number_a_row(loss: Loss) -> Loss:
    """Return the loss, refusing those that a model of one number a row cannot be trained with."""
    if not loss.paired:
        names = ", ".join(item.name for item in loss.inputs)
        raise ParameterError(
            f"{loss} cannot be an objective: it is a loss of {names}, and LightGBM predicts one number a row for one "
            "target; it trains with losses of y_true and y_pred"
        )
    if loss._couples:
        mend = "; LightGBM's own objective='multiclass' trains softmax cross-entropy"
        raise ParameterError(
            f"{loss} cannot be an objective: it needs several predictions a row, and this objective trains one"
            + (mend if loss.card.task == "categorical" else "")
        )
    return loss


def _reach(loss: Loss) -> tuple[float, float]:
    """Return the bounds within which best predictions count; the identity link has none."""
    return (-math.inf, math.inf) if loss.link.name == "identity" else (-_CERTAIN, _CERTAIN)


@dataclass(frozen=True)
class Model:
    """A trained model, with start score and link inside.

    Attributes:
        booster: LightGBM's own model of the trees alone; ``None`` where no feature could be split.
        loss: what it was trained with, in raw form.
        start: raw prediction that the trees add to.
        rounds: number of trees in use, the best number where training stopped early.
        history: mean loss on the validation rows after each round, when there were any.
    """

    booster: Any
    loss: Loss
    start: float
    rounds: int
    history: tuple[float, ...] = ()

    def predict_raw(self, X: npt.ArrayLike) -> Array:
        """Return the raw prediction of each row: a logit, a log rate, or the prediction itself."""
        rows = np.asarray(X, dtype=np.float64)
        if self.rounds == 0:
            return np.full(len(rows), self.start)
        return np.asarray(self.booster.predict(rows, num_iteration=self.rounds, raw_score=True)) + self.start

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the prediction of each row on the target's scale: a probability, a rate, a value.

        Scores of margin losses stay scores: they are no probabilities.
        """
        return self.loss.link.inverse(self.predict_raw(X))

    def importance(self) -> Array:
        """Return the total gain of each feature's splits; empty where no feature could be split."""
        if self.booster is None:
            return np.zeros(0)
        return np.asarray(self.booster.feature_importance("gain", iteration=self.rounds or None), dtype=np.float64)


def train(
    loss: Loss | str,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    rounds: int = 200,
    params: Mapping[str, Any] | None = None,
    validation: tuple[npt.ArrayLike, npt.ArrayLike] | tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike] | None = None,
    patience: int | None = None,
    categorical: Sequence[int] = (),
    seed: int = 0,
    hessian: Curvature = "floor",
) -> Model:
    """Train a LightGBM model with a loss as its objective.

    Args:
        loss: a pointwise loss or its name, such as ``"huber(delta=2)"``.
        X: features, rows by columns; NaN is a missing value.
        y: targets.
        weight: weights of the rows; they are applied.
        rounds: number of trees, at most.
        params: further settings of LightGBM, over ``DEFAULTS``.
        validation: features, targets and optionally weights that decide when to stop.
        patience: stop after that many rounds without a better mean loss on ``validation``.
        categorical: indexes of columns that hold category codes.
        seed: of LightGBM's random numbers.
        hessian: ``floor`` or ``exact``, see ``Objective``.

    Raises:
        MissingDependencyError: when LightGBM is not installed.
        ParameterError, DomainError, ShapeError: as in ``Objective``.
    """
    try:
        import lightgbm
    except ImportError:
        raise MissingDependencyError(
            "training needs LightGBM, which is not installed: pip install 'lossmith[lightgbm]'"
        ) from None
    if patience is not None and validation is None:
        raise ParameterError("patience needs validation=(X, y): without it there is nothing to stop on")
    objective = Objective(loss, y, weight, hessian=hessian)
    data = lightgbm.Dataset(
        np.ascontiguousarray(X, dtype=np.float64),
        objective.y,
        init_score=np.full(objective.y.shape, objective.start),
        categorical_feature=list(categorical),
        free_raw_data=False,
        params={"verbosity": -1},
    )
    data.construct()
    if not any(data.feature_num_bin(column) for column in range(data.num_feature())):
        return Model(None, objective.loss, objective.start, 0)  # no feature can be split: the constant is all there is
    booster = lightgbm.Booster({**DEFAULTS, "seed": seed, **(params or {}), "objective": "none"}, data)
    history: list[float] = []
    watch = None if validation is None else _Watch(objective, *validation)
    best = rounds
    for done in range(1, rounds + 1):
        if booster.update(fobj=objective):
            best = min(best, done)
            break  # no split helps any more
        if watch is not None:
            history.append(watch.cost(booster, done))
            best = int(np.argmin(history)) + 1
            if patience is not None and done - best >= patience:
                break
    if watch is not None and history and watch.start_cost <= min(history):
        best = 0  # no tree beats the constant
    return Model(booster, objective.loss, objective.start, best, tuple(history))


class _Watch:
    """The mean loss on validation rows, updated tree by tree."""

    def __init__(self, objective: Objective, X: Any, y: Any, weight: Any = None) -> None:
        self.loss = objective.loss
        self.X = np.ascontiguousarray(X, dtype=np.float64)
        self.y = np.asarray(y, dtype=np.float64)
        self.weight = np.ones(self.y.shape) if weight is None else np.asarray(weight, dtype=np.float64)
        self.raw = np.full(self.y.shape, objective.start)
        self.start_cost = self._mean()

    def _mean(self) -> float:
        losses = self.loss.evaluate(self.y, self.raw, ("losses",), trusted=True)["losses"]
        return float(np.average(losses, weights=self.weight))

    def cost(self, booster: Any, rounds: int) -> float:
        """Return the mean loss with the newest tree added."""
        self.raw = self.raw + booster.predict(self.X, start_iteration=rounds - 1, num_iteration=1, raw_score=True)
        return self._mean()
