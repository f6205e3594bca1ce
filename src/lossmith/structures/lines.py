"""How losses are drawn: around the target, the kinks and the start of the tails, or along the true class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.domain import REAL
from lossmith.core.inputs import Input
from lossmith.core.loss import Loss
from lossmith.core.section import Section
from lossmith.errors import DomainError, ParameterError

Array = npt.NDArray[Any]

REACH = {"identity": 4.0, "log": 3.0, "logistic": 6.0}
"""How far from the best prediction the line goes, by the name of the link."""

_CLASSES = 3
_TARGET = {"counts": 3.0, "binary": 1.0}


def along_focus(loss: Loss, y_true: float | None, points: int, between: tuple[float, float] | None = None) -> Section:
    """Return a loss along one predicted input, the other inputs in the middle of what is typical for them.

    Args:
        loss: a pointwise loss.
        y_true: the target; by default 0 (1 where that is none), a count of 3, or a positive label.
        points: how many.
        between: the ends of the line; by default around what is interesting.

    Raises:
        DomainError: for a target outside the loss's domain.
        ParameterError: for a target where the loss takes none.
    """
    drawn = loss.focus
    held = {item.name: item.middle for item in loss.inputs if item != drawn}
    if "y_true" in held:
        held["y_true"] = _typical_target(loss) if y_true is None else float(y_true)
    elif y_true is not None:
        raise ParameterError(f"{loss} takes no target, so it is drawn at none; it takes {', '.join(held)}")
    x = np.linspace(*(between or (_range(loss, held) if drawn.name == "y_pred" else drawn.typical)), points)
    arguments: dict[str, Any] = {name: np.full(points, value) for name, value in held.items()}
    arguments[drawn.name] = x
    found = loss.evaluate(trusted=True, **arguments)
    gradient, hessian = (
        found[name] if len(loss.predicted) == 1 else found[name][drawn.name] for name in ("gradient", "hessian")
    )
    best = None
    if drawn.name == "y_pred" and loss.card.task != "binary":
        best = float(loss.best_prediction(np.asarray(held["y_true"])))
    others = ", ".join(f"{name.replace('y_true', 'target')} {value:g}" for name, value in held.items())
    case = f"at a target of {held['y_true']:g}" if loss.paired else f"at {others}" if held else f"along {drawn.name}"
    return Section(case, _label(loss, drawn), held.get("y_true"), x, found["losses"], gradient, hessian, best)


def _typical_target(loss: Loss) -> float:
    usual = _TARGET.get(loss.card.task, 0.0)
    return usual if loss.domains["y"].includes(usual) else 1.0


def _label(loss: Loss, drawn: Input) -> str:
    if drawn.name != "y_pred":
        return drawn.name.replace("_", " ")
    kind = loss.values.get("prediction", "prediction")
    label = {"logits": "logit", "probabilities": "probability"}.get(kind, kind.replace("_", " "))
    if kind == "logits" and loss.link.name == "identity":
        label = "score"
    return f"{label} f"


def _range(loss: Loss, held: dict[str, float]) -> tuple[float, float]:
    y = held["y_true"]
    kind = loss.values.get("prediction")
    if kind == "probabilities":
        return 0.001, 0.999
    if kind in ("rate", "mean"):
        return 0.01, 3 * y + 3
    centre = float(loss.best_prediction(np.asarray(y)))
    centre = 0.0 if not np.isfinite(centre) or loss.card.task == "binary" else centre
    crossed = [kink for kink in loss.card.kinks if kink.along in ("", "y_pred")]
    marks = [abs(at - centre) for kink in crossed for at in kink.at(loss, y if loss.paired else held)]
    reach = max(REACH[loss.link.name], 2.0 * max(marks, default=0.0))
    domain = loss.domains["f"]
    return max(centre - reach, domain.low + 0.01), min(centre + reach, domain.high - 0.01)


def along_true_class(
    loss: Loss, value: float | None, points: int, between: tuple[float, float] | None = None
) -> Section:
    """Return a loss of rows along the logit or probability of the true class; the others share what is left, or stay.

    Args:
        loss: of rows over classes.
        value: the index of the true class; by default 0.
        points: how many.
        between: the ends of the line; by default around what is interesting.

    Raises:
        DomainError: when there is no such class.
    """
    true = 0 if value is None else int(value)
    vectors = [len(item) for item in loss.values.values() if isinstance(item, tuple)]
    classes = vectors[0] if vectors else _CLASSES
    if not 0 <= true < classes:
        raise DomainError(f"{loss}: there is no class {true} among {classes} to be the true one")
    loss = loss.replace(class_axis=-1)
    rows, direction = np.zeros((points, classes)), np.zeros(classes)
    direction[true] = 1
    if loss.values["prediction"] == "probabilities":
        x, others = np.linspace(*(between or (0.001, 0.999)), points), np.arange(classes) != true
        rows[:, others], direction[others] = (1 - x[:, None]) / max(classes - 1, 1), -1 / max(classes - 1, 1)
        label = "probability p of the true class"
    else:
        marks = [abs(at) for kink in loss.card.kinks for at in kink.at(loss, 0.0)]
        reach = max(REACH["logistic"], 2.0 * max(marks, default=0.0))
        x = np.linspace(*(between or (-reach, reach)), points)
        kind = "logit" if loss.card.activation.startswith("softmax") else "score"
        label = f"{kind} z of the true class, the others 0"
    rows[:, true] = x
    target = np.full(points, true) if loss.domains["y"] == REAL else np.tile(np.eye(classes)[true], (points, 1))
    found = loss.evaluate(target, rows, ("losses", "gradient", "full_hessian"), trusted=True)
    # Derivatives along the line that is drawn, so that slopes are what the eye sees.
    slope, bend = found["gradient"] @ direction, found["full_hessian"] @ direction @ direction
    return Section(f"with class {true} of {classes} the true one", label, float(true), x, found["losses"], slope, bend)
