"""What to draw of a loss: which target, which predictions, and the values there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.domain import REAL
from lossmith.core.loss import Loss
from lossmith.errors import DomainError

Array = npt.NDArray[Any]

_REACH = {"identity": 4.0, "log": 3.0, "logistic": 6.0}
_TARGET = {"regression": 0.0, "counts": 3.0, "binary": 1.0}
_CLASSES = 3


@dataclass(frozen=True)
class Curve:
    """A loss along the prediction, at one target.

    Attributes:
        target: the target; with classes, the index of the true one.
        prediction: predictions in the kind that the loss declares, ascending.
        losses, gradient, hessian: at those predictions. Where the gradient is a subgradient at a
            kink, it is the value that training would use.
        label: what the predictions are, for an axis.
        case: what is drawn, for a title.
        best: the best prediction, to be marked, or ``None``.
    """

    target: float
    prediction: Array
    losses: Array
    gradient: Array
    hessian: Array
    label: str
    case: str
    best: float | None = None


def curve(loss: Loss, y_true: float | None = None, points: int = 401) -> Curve:
    """Sample a loss around what is interesting: the target, its kinks and the start of its tails.

    Args:
        loss: a pointwise loss, or one of rows over classes, which is drawn along the logit or the
            probability of the true class; the other logits are 0, the other probabilities equal.
        y_true: the target; by default 0, a count of 3, a positive label, or the first class.
        points: how many predictions.

    Raises:
        DomainError: for a target outside the loss's domain.
    """
    if loss.card.task == "categorical":
        return _along_true_class(loss, 0 if y_true is None else int(y_true), points)
    target = _TARGET[loss.card.task] if y_true is None else float(y_true)
    prediction = _range(loss, target, points)
    values = loss.evaluate(np.full(points, target), prediction, trusted=True)
    kind = loss.values.get("prediction", "prediction")
    label = {"logits": "logit", "probabilities": "probability"}.get(kind, kind.replace("_", " "))
    if kind == "logits" and loss.link.name == "identity":
        label = "score"
    best = None if loss.card.task == "binary" else float(loss.best_prediction(np.asarray(target)))
    curves = values["losses"], values["gradient"], values["hessian"]
    return Curve(target, prediction, *curves, f"{label} f", f"at a target of {target:g}", best)


def _along_true_class(loss: Loss, true: int, points: int) -> Curve:
    """Sample a loss of rows on a line: the true class moves, the others share what is left, or stay."""
    vectors = [len(value) for value in loss.values.values() if isinstance(value, tuple)]
    classes = vectors[0] if vectors else _CLASSES
    if not 0 <= true < classes:
        raise DomainError(f"{loss}: there is no class {true} among {classes} to be the true one")
    loss = loss.replace(class_axis=-1)
    scores = not loss.card.activation.startswith("softmax")
    at = np.linspace(0.001, 0.999, points) if loss.values["prediction"] == "probabilities" else _logits(loss, points)
    others = np.arange(classes) != true
    rows, direction = np.zeros((points, classes)), np.zeros(classes)
    rows[:, true], direction[true] = at, 1
    label = f"{'score' if scores else 'logit'} z of the true class, the others 0"
    if loss.values["prediction"] == "probabilities":
        rows[:, others], direction[others] = (1 - at[:, None]) / max(classes - 1, 1), -1 / max(classes - 1, 1)
        label = "probability p of the true class"
    one_hot = np.zeros((points, classes))
    one_hot[:, true] = 1
    indices = loss.domains["y"] == REAL
    parts = loss.evaluate(
        np.full(points, true) if indices else one_hot, rows, ("losses", "gradient", "full_hessian"), trusted=True
    )
    # Derivatives along the line that is drawn, so that slopes are what the eye sees.
    slope, bend = parts["gradient"] @ direction, parts["full_hessian"] @ direction @ direction
    case = f"with class {true} of {classes} the true one"
    return Curve(float(true), at, parts["losses"], slope, bend, label, case)


def _logits(loss: Loss, points: int) -> Array:
    marks = [abs(at) for kink in loss.card.kinks for at in kink.at(loss, 0.0)]
    reach = max(_REACH["logistic"], 2.0 * max(marks, default=0.0))
    return np.linspace(-reach, reach, points)


def _range(loss: Loss, target: float, points: int) -> Array:
    kind = loss.values.get("prediction")
    if kind == "probabilities":
        return np.linspace(0.001, 0.999, points)
    if kind in ("rate", "mean"):
        return np.linspace(0.01, 3 * target + 3, points)
    centre = float(loss.best_prediction(np.asarray(target)))
    centre = 0.0 if not np.isfinite(centre) or loss.card.task == "binary" else centre
    marks = [abs(at - centre) for kink in loss.card.kinks for at in kink.at(loss, target)]
    reach = max(_REACH[loss.link.name], 2.0 * max(marks, default=0.0))
    return np.linspace(centre - reach, centre + reach, points)
