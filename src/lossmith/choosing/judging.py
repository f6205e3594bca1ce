"""Judging a trained model by a cost that it was not trained with.

Each model speaks in the raw predictions of its own loss. A judge wants those of its own: a log rate, a logit,
a plain number. The way from one to the other goes through the prediction on the target's scale. Where that way
does not exist, such as the log of a negative prediction, the judge's verdict is infinite and the rows are
counted: a number made up there would decide the contest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossmith.choosing.rules import DECISION_METRICS
from lossmith.errors import DomainError

__all__ = ["Judgement", "gives_scores", "judge", "measure", "readable"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """A cost or a metric on held-out rows.

    Attributes:
        value: The cost or metric; infinite, on the bad side, where ``undefined`` is not zero.
        undefined: Rows for which the judge is not defined.
    """

    value: float
    undefined: int = 0


def gives_scores(loss: Any) -> bool:
    """Return whether the loss trains scores without a scale, as hinge does, instead of probabilities."""
    return bool(loss.card.task == "binary" and loss.link.name == "identity")


def readable(loss: Any, raw: FloatArray) -> FloatArray:
    """Return a model's predictions on the target's scale; the scores themselves where it gives scores."""
    return np.asarray(loss.link.inverse(raw), dtype=np.float64)


def judge(model: Any, by: Any, raw: FloatArray, y: FloatArray, weight: FloatArray | None = None) -> Judgement:
    """Judge raw predictions of a model trained with one loss by the cost of another.

    Args:
        model: The loss that the model was trained with.
        by: The loss that judges.
        raw: The model's raw predictions.
        y: The truth.
        weight: Weights of the rows.
    """
    given, rows = _raw_for(model, by, raw)
    undefined = ~np.isfinite(given) if rows is None else rows
    if undefined.any():
        return Judgement(math.inf, int(undefined.sum()))
    return Judgement(float(by.cost(y, given, weight=weight)))


def _raw_for(model: Any, by: Any, raw: FloatArray) -> tuple[FloatArray, NDArray[np.bool_] | None]:
    """Return the raw prediction that ``by`` reads, and the rows without one where more than NaN tells them."""
    scores, wants_scores = gives_scores(model), gives_scores(by)
    if wants_scores and (scores or model.link.name == "logistic"):
        return raw, None  # a logit is a score: its sign is the class
    if scores != wants_scores:
        return raw, np.ones(raw.shape, dtype=bool)  # a score is no probability, a plain number is no score
    if model.link.name == by.link.name:
        return raw, None
    return np.asarray(by.link.forward(readable(model, raw)), dtype=np.float64), None


def measure(model: Any, metric: Any, raw: FloatArray, y: FloatArray, weight: FloatArray | None = None) -> Judgement:
    """Measure raw predictions of a model by a metric on the target's scale.

    A metric of order or side takes scores as they are, brought to (0, 1) by the logistic function, which keeps
    both. A metric of probabilities does not: scores are undefined there.
    """
    worst = -math.inf if metric.greater_is_better else math.inf
    prediction = readable(model, raw)
    if metric.kind == "binary":
        if gives_scores(model):
            if metric.name not in DECISION_METRICS:
                return Judgement(worst, int(raw.size))
            prediction = 0.5 * (1.0 + np.tanh(0.5 * prediction))
        outside = ~((prediction >= 0.0) & (prediction <= 1.0))
        if outside.any():
            return Judgement(worst, int(outside.sum()))
    if not np.isfinite(prediction).all():
        return Judgement(worst, int((~np.isfinite(prediction)).sum()))
    try:
        value = float(metric(y, prediction, weight))
    except DomainError:
        return Judgement(worst, _outside(metric, y, prediction))
    return Judgement(value) if math.isfinite(value) else Judgement(worst, _outside(metric, y, prediction))


def _outside(metric: Any, y: FloatArray, prediction: FloatArray) -> int:
    """Count the rows on which a metric fails, one row at a time; at least one."""
    count = 0
    for truth, value in zip(y, prediction, strict=True):
        try:
            count += not math.isfinite(float(metric(np.array([truth]), np.array([value]))))
        except DomainError:
            count += 1
    return max(count, 1)
