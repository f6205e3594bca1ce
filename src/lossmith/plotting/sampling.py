"""What to draw of a loss: which target, which predictions, and the values there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.core.section import Sectioned

Array = npt.NDArray[Any]

_REACH = {"identity": 4.0, "log": 3.0, "logistic": 6.0}
_TARGET = {"regression": 0.0, "counts": 3.0, "binary": 1.0}


@dataclass(frozen=True)
class Curve:
    """A loss along the prediction, at one target.

    Attributes:
        target: the target.
        prediction: predictions in the kind that the loss declares, ascending.
        losses, gradient, hessian: at those predictions. Where the gradient is a subgradient at a
            kink, it is the value that training would use.
        label: what the predictions are, for an axis.
        at: what is held fixed, for a title.
        best: where the loss is least, to be marked, or ``None``.
    """

    target: float
    prediction: Array
    losses: Array
    gradient: Array
    hessian: Array
    label: str
    at: str
    best: float | None = None


def curve(loss: Loss, y_true: float | None = None, points: int = 401) -> Curve:
    """Sample a loss around what is interesting: the target, its kinks and the start of its tails.

    Args:
        loss: any loss of a target and a prediction, or one that says what to draw of it.
        y_true: the target; by default 0, a count of 3, or a positive label. Losses of other inputs
            say what it stands for.
        points: how many predictions.

    Raises:
        DomainError: for a target outside the loss's domain.
    """
    if isinstance(loss, Sectioned):
        s = loss.section(y_true, points)
        return Curve(s.value, s.x, s.losses, s.gradient, s.hessian, s.label, s.at, s.best)
    target = _TARGET[loss.card.task] if y_true is None else float(y_true)
    prediction = _range(loss, target, points)
    values = loss.evaluate(np.full(points, target), prediction, trusted=True)
    kind = loss.values.get("prediction", "prediction")
    label = {"logits": "logit", "log_rate": "log rate", "rate": "rate", "probabilities": "probability"}.get(kind, kind)
    if kind == "logits" and loss.link.name == "identity":
        label = "score"
    best = None if loss.card.task == "binary" else float(loss.best_prediction(np.asarray(target)))
    at = f"a target of {target:g}"
    return Curve(target, prediction, values["losses"], values["gradient"], values["hessian"], f"{label} f", at, best)


def _range(loss: Loss, target: float, points: int) -> Array:
    kind = loss.values.get("prediction")
    if kind == "probabilities":
        return np.linspace(0.001, 0.999, points)
    if kind == "rate":
        return np.linspace(0.01, 3 * target + 3, points)
    centre = float(loss.best_prediction(np.asarray(target)))
    centre = 0.0 if not np.isfinite(centre) or loss.card.task == "binary" else centre
    marks = [abs(at - centre) for kink in loss.card.kinks for at in kink.at(loss, target)]
    reach = max(_REACH[loss.link.name], 2.0 * max(marks, default=0.0))
    return np.linspace(centre - reach, centre + reach, points)
