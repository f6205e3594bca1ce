"""The best constant prediction, and what a cost is to be compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.core.domain import REAL
from lossmith.core.minimum import minimise
from lossmith.errors import EmptyError, NoConstantError

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

Array = npt.NDArray[Any]


@np.errstate(over="ignore", invalid="ignore")
def best_constant(loss: Loss, y: Array, w: Array) -> float:
    """Return the raw constant with the least weighted cost.

    Args:
        loss: on raw predictions.
        y: targets inside their domain, float64.
        w: positive weights.

    Raises:
        NoConstantError: when the loss says that nothing is estimated, or is found to fall without bound.
    """
    estimates = loss.card.estimates
    if estimates == "nothing" or (estimates == "not known" and _falls(loss, y)):
        raise NoConstantError(f"{loss} has no best constant: its cost falls without bound as the prediction moves")
    w = w / w.max()  # only their ratios count, and their sum shall not overflow
    if estimates in ("mean", "probability"):
        return float(loss.best_prediction(weighted_mean(y, w)))
    if estimates == "median":
        return weighted_quantile(y, w, 0.5)
    level = float(loss.values["level"]) if estimates == "quantile" else loss._level
    if level is not None:
        return weighted_quantile(y, w, level)
    return minimise(loss, y, w)


def _falls(loss: Loss, y: Array) -> bool:
    ends = np.array([y.min(), y.max()])
    return bool(np.isneginf(loss._value(ends, loss.best_prediction(ends))).any())


def checked_targets(loss: Loss, y_true: npt.ArrayLike, weight: npt.ArrayLike | None) -> tuple[Array, Array]:
    """Return the targets that have weight, and their weights, as float64.

    Raises:
        NoConstantError: for a loss of other inputs than a target and a prediction.
        DomainError: for a target outside its domain.
        EmptyError: when no example has weight.
    """
    if not loss.paired:
        raise NoConstantError(f"{loss} has no best constant: {_why_none(loss)}")
    raw = loss.raw_form
    some = np.full(np.shape(np.asarray(y_true)), raw.domains.get("f", REAL).some)
    batch = raw._batch({"y_true": y_true, "y_pred": some}, weight, None, trusted=True)
    for start, stop, block in raw._stream(batch, ()):
        loss._refuse_invalid(batch, start, stop, block["valid"])
    targets = np.asarray(batch.inputs["y"], np.float64)
    weights = np.ones(batch.size) if batch.weight is None else np.asarray(batch.weight, np.float64)
    counts = weights > 0
    if not counts.any():
        raise EmptyError(f"{loss}: no example with weight to choose a constant for")
    return targets[counts], weights[counts]


def _why_none(loss: Loss) -> str:
    names = ", ".join(item.name for item in loss.inputs)
    if "y_true" in (item.name for item in loss.inputs):
        predicted = " and ".join(item.name for item in loss.predicted)
        return f"it is a loss of {names}, and {predicted} are predicted together, not one number for each target"
    return f"it is a loss of {names}, none of which is a target that one number could be predicted for"


def weighted_mean(y: Array, w: Array) -> float:
    """Return Σwy/Σw, summed exactly."""
    largest = float(np.max(np.abs(y))) or 1.0  # scaled, so that targets near 1e308 do not overflow
    shares = y / largest
    if _are_ones(w):
        return _exact_sum(shares) / len(w) * largest
    return _exact_sum(w * shares) / _exact_sum(w) * largest


def _are_ones(w: Array) -> bool:
    return bool(np.min(w) == 1 == np.max(w))


def _exact_sum(x: Array) -> float:
    """Return a sum, rounded once."""
    return math.fsum(np.ascontiguousarray(x, np.float64).data)


def weighted_quantile(y: Array, w: Array, level: float) -> float:
    """Return the weighted quantile; the midpoint of the interval where every value is one."""
    alike = _are_ones(w)  # what is reached is then known before anything is sorted
    order = None if alike else np.argsort(y, kind="stable")
    cumulative = np.arange(1.0, len(y) + 1) if order is None else np.cumsum(w[order])
    target = level * cumulative[-1]
    slack = 1e-12 * cumulative[-1]  # sums of weights such as 0.1 miss the level by rounding
    low = int(np.searchsorted(cumulative, target - slack, side="left"))
    high = int(np.searchsorted(cumulative, target + slack, side="right"))
    low, high = min(low, len(y) - 1), min(high, len(y) - 1)
    values = np.partition(y, (low, high)) if order is None else y[order]
    return float(values[low] / 2 + values[high] / 2) if low != high else float(values[low])


@dataclass(frozen=True)
class Context:
    """What a cost is to be compared with.

    Attributes:
        floor: the least cost that any predictions could reach on these targets.
        constant: the best constant raw prediction, a row of logits with classes, or ``None`` where
            there is none.
        constant_cost: its cost, or ``None``.
        can_be_negative: whether the loss can fall below zero.
    """

    floor: float
    constant: Any
    constant_cost: float | None
    can_be_negative: bool

    @classmethod
    def of(cls, loss: Loss, y_true: npt.ArrayLike, weight: npt.ArrayLike | None) -> Context:
        """Return the context of a loss on some targets.

        Raises:
            NoConstantError: when the loss takes other inputs than a target and a prediction.
        """
        if not loss.paired:
            loss.optimal_constant(y_true)  # refuses, and says why
        raw = loss.raw_form
        can_be_negative = not loss.card.traits.nonnegative
        try:
            constant = loss.optimal_constant(y_true, weight)
        except NoConstantError:
            return cls(-math.inf, None, None, can_be_negative)
        targets = np.asarray(y_true, dtype=np.float64)
        weights = (
            np.ones(targets.shape) if weight is None else np.broadcast_to(np.asarray(weight, float), targets.shape)
        )

        def cost(predictions: Array) -> float:
            return weighted_mean(raw._value(targets, predictions).reshape(-1), weights.reshape(-1))

        return cls(
            cost(raw.best_prediction(targets)), constant, cost(np.full(targets.shape, constant)), can_be_negative
        )

    def share(self, cost: float) -> float | None:
        """Return how far a cost lies on the way from the best constant (0) to the floor (1)."""
        if self.constant_cost is None or self.constant_cost == self.floor:
            return None
        return (self.constant_cost - cost) / (self.constant_cost - self.floor)
