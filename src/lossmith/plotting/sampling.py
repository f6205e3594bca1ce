"""What to draw of a loss: which target, which predictions, and the values there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.inputs import Input
from lossmith.core.loss import Loss
from lossmith.errors import ParameterError

Array = npt.NDArray[Any]

_REACH = {"identity": 4.0, "log": 3.0, "logistic": 6.0}
_TARGET = {"counts": 3.0, "binary": 1.0}


@dataclass(frozen=True)
class Curve:
    """A loss along one predicted input, with the other inputs held.

    Attributes:
        held: value of each other input by name, such as the target.
        name: the input along which it is drawn.
        prediction: its values in the kind that the loss declares, ascending.
        losses, gradient, hessian: at those values; derivatives are with respect to that input. Where
            the gradient is a subgradient at a kink, it is the value that training would use.
        label: what the values are, for an axis.
    """

    held: Mapping[str, float]
    name: str
    prediction: Array
    losses: Array
    gradient: Array
    hessian: Array
    label: str

    @property
    def target(self) -> Any:
        """What the loss is drawn at: the target, or all that is held by name where that is more."""
        return self.held["y_true"] if self.held.keys() == {"y_true"} else self.held

    @property
    def place(self) -> str:
        """What is held, for a title."""
        if self.held.keys() == {"y_true"}:
            return f"a target of {self.held['y_true']:g}"
        return ", ".join(f"{name.replace('y_true', 'target')} {value:g}" for name, value in self.held.items())


def curve(loss: Loss, y_true: float | None = None, points: int = 401) -> Curve:
    """Sample a loss around what is interesting: the target, its kinks and the start of its tails.

    A loss of several predicted inputs is sampled along the first one, the others in the middle of
    what is typical for them.

    Args:
        loss: any pointwise loss.
        y_true: the target; by default 0, a count of 3, or a positive label.
        points: how many predictions.

    Raises:
        DomainError: for a target outside the loss's domain.
        ParameterError: for a target where the loss takes none.
    """
    drawn, *_ = loss.predicted
    held = {item.name: item.middle for item in loss.inputs if item != drawn}
    if "y_true" in held:
        held["y_true"] = _TARGET.get(loss.card.task, 0.0) if y_true is None else float(y_true)
    elif y_true is not None:
        raise ParameterError(f"{loss} takes no target, so it is drawn at none; it takes {', '.join(held)}")
    target = held["y_true"] if loss.paired else held
    prediction = _range(loss, target, points) if drawn.name == "y_pred" else np.linspace(*drawn.typical, points)
    arguments: dict[str, Any] = {name: np.full(points, value) for name, value in held.items()}
    arguments[drawn.name] = prediction
    values = loss.evaluate(trusted=True, **arguments)
    gradient, hessian = [
        values[name] if len(loss.predicted) == 1 else values[name][drawn.name] for name in ("gradient", "hessian")
    ]
    return Curve(held, drawn.name, prediction, values["losses"], gradient, hessian, _label(loss, drawn))


def _label(loss: Loss, drawn: Input) -> str:
    if drawn.name != "y_pred":
        return drawn.name
    kind = loss.values.get("prediction", "prediction")
    label = {"logits": "logit", "log_rate": "log rate", "rate": "rate", "probabilities": "probability"}.get(kind, kind)
    if kind == "logits" and loss.link.name == "identity":
        label = "score"
    return f"{label} f"


def _range(loss: Loss, target: Any, points: int) -> Array:
    y = float(target if loss.paired else target["y_true"])
    kind = loss.values.get("prediction")
    if kind == "probabilities":
        return np.linspace(0.001, 0.999, points)
    if kind == "rate":
        return np.linspace(0.01, 3 * y + 3, points)
    centre = float(loss.best_prediction(np.asarray(y)))
    centre = 0.0 if not np.isfinite(centre) or loss.card.task == "binary" else centre
    crossed = [kink for kink in loss.card.kinks if kink.along in ("", "y_pred")]
    marks = [abs(at - centre) for kink in crossed for at in kink.at(loss, target)]
    reach = max(_REACH[loss.link.name], 2.0 * max(marks, default=0.0))
    return np.linspace(centre - reach, centre + reach, points)
