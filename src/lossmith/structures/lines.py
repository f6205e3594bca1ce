"""How losses are drawn: around the target, the kinks and the start of the tails, or along the true class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.domain import REAL
from lossmith.core.inputs import Input
from lossmith.core.loss import Loss
from lossmith.core.section import Section, finite_place, points_between
from lossmith.errors import DomainError, ParameterError

Array = npt.NDArray[Any]

REACH = {"identity": 4.0, "log": 3.0, "logistic": 6.0}
"""How far from the best prediction the line goes, by the name of the link, where the loss has no scale of its own."""

_CLASSES = 3
_AT, _AT_LOGIT = 0.7, 2.0  # what p says of the first of two classes
_MEANS = ("rate", "mean")
_KINKS = (4.0, 8.0)  # or at least and at most so many times as far as the farthest kink
_BENDS = 6.0  # or so many times as far as where the Hessian has halved
_STEEPER = 5.0  # how much higher one side may rise than the other where a domain or a link makes it so
_TARGET = {"counts": 3.0, "binary": 1.0}


def along_focus(loss: Loss, y_true: float | None, points: int, between: tuple[float, float] | None = None) -> Section:
    """Return a loss along one predicted input, the other inputs in the middle of what is typical for them.

    Args:
        loss: a pointwise loss.
        y_true: the target; by default 0 (1 where that is none, or the loss tells nothing at it, or what is inside the
            domain), a count of 3, or a positive label.
        points: how many.
        between: the ends of the line; by default around what is interesting.

    Raises:
        DomainError: for a target outside the loss's domain.
        ParameterError: for a target where the loss takes none.
    """
    drawn = loss.focus
    held = {item.name: item.middle for item in loss.inputs if item != drawn}
    if "y_true" in held:
        held["y_true"] = _typical_target(loss, held) if y_true is None else finite_place(loss, "target", y_true)
    elif y_true is not None:
        raise ParameterError(f"{loss} takes no target, so it is drawn at none; it takes {', '.join(held)}")
    ends = between or (_range(loss, held) if drawn.name == "y_pred" else drawn.typical)
    x = points_between(loss, ends, points)
    arguments: dict[str, Any] = {name: np.full(points, value) for name, value in held.items()}
    arguments[drawn.name] = x
    found = loss.evaluate(trusted=True, **arguments)
    gradient, hessian = (
        found[name] if len(loss.predicted) == 1 else found[name][drawn.name] for name in ("gradient", "hessian")
    )
    best = None
    if drawn.name == "y_pred" and loss.card.task != "binary":
        best = _best(loss, held["y_true"])
    others = ", ".join(f"{name.replace('y_true', 'target')} {value:g}" for name, value in held.items())
    case = f"at a target of {held['y_true']:g}" if loss.paired else f"at {others}" if held else f"along {drawn.name}"
    return Section(case, _label(loss, drawn), held.get("y_true"), x, found["losses"], gradient, hessian, best)


def _typical_target(loss: Loss, held: Mapping[str, float]) -> float:
    usual = _TARGET.get(loss.card.task, held["y_true"])
    if not loss.domains["y"].includes(usual):
        return 1.0 if loss.domains["y"].includes(1.0) else loss.domains["y"].some
    # A formula of log(y) or y / f has a loss at other targets alone, though its domain does not say so.
    at_one = loss.domains["y"].includes(1.0) and not _varies(loss, {**held, "y_true": usual})
    return 1.0 if at_one and _varies(loss, {**held, "y_true": 1.0}) else usual


def _varies(loss: Loss, held: Mapping[str, float]) -> bool:
    """Return whether a loss is finite somewhere around a target, and changes there."""
    if loss.focus.name != "y_pred":
        return True
    domain, x = loss.domains["f"], held["y_true"] + np.linspace(-REACH["identity"], REACH["identity"], 81)
    losses = _along(loss, held, x[(x > domain.low) & (x < domain.high)], "losses")
    losses = losses[np.isfinite(losses)]
    return losses.size > 0 and bool(np.ptp(losses) > 0)


def _best(loss: Loss, y: float) -> float:
    """Return the best prediction of a target, in the kind that the loss declares."""
    return y if loss.values.get("prediction") in _MEANS else float(loss.best_prediction(np.asarray(y)))


def _label(loss: Loss, drawn: Input) -> str:
    if drawn.name != "y_pred":
        return drawn.name.replace("_", " ")
    kind = loss.values.get("prediction", "prediction")
    label = {"logits": "logit", "probabilities": "probability"}.get(kind, kind.replace("_", " "))
    if kind == "logits" and loss.link.name == "identity":
        label = "score"
    return f"{label} f"


def _range(loss: Loss, held: Mapping[str, float]) -> tuple[float, float]:
    """Return the ends of a line through predictions that shows every bend."""
    y, kind, domain = held["y_true"], loss.values.get("prediction"), loss.domains["f"]
    if kind == "probabilities":
        return 0.001, 0.999
    centre = _best(loss, y)
    if kind in _MEANS:
        return _balanced(loss, held, (0.01, 3 * y + 3))
    if loss.card.task == "binary" or not np.isfinite(centre):
        centre = 0.0
    crossed = [kink for kink in loss.card.kinks if kink.along in ("", "y_pred")]
    kinks = [abs(at - centre) for kink in crossed for at in kink.at(loss, y if loss.paired else dict(held))]
    reach = _reach(loss, held, centre, max(kinks, default=0.0))
    ends = max(centre - reach, domain.low + 0.01), min(centre + reach, domain.high - 0.01)
    bounded = loss.link.name == "log" or np.isfinite(domain.low)
    return _balanced(loss, held, ends) if bounded else ends


def _reach(loss: Loss, held: Mapping[str, float], centre: float, kink: float) -> float:
    """Return how far a line goes from its centre: by the loss's own scale, where it has one."""
    usual = REACH[loss.link.name]
    if loss.link.name != "identity" or loss.card.task == "binary":  # logits and scores have the scale of labels
        return max(usual, 2 * kink)
    if kink > 0:
        return float(np.clip(usual, _KINKS[0] * kink, _KINKS[1] * kink))
    if not np.isfinite(_along(loss, held, np.array([centre]), "losses")).all():
        return usual
    away = np.geomspace(1e-4, 1e6, 401)
    halves = []
    for x in (centre - away, centre + away):
        inside = x[(x > loss.domains["f"].low) & (x < loss.domains["f"].high)]
        bend = _along(loss, held, inside, "hessian")
        beside = _along(loss, held, centre + (inside[:1] - centre) * _NEARER, "hessian")
        # What bends down has no bottom that ends there, and what bends without limit has no scale.
        if np.all(bend[:1] >= 0) and np.all(beside <= 2 * bend[:1]):
            halves += [float(abs(inside[at] - centre)) for at in np.flatnonzero(bend < bend[:1] / 2)[:1]]
    return _rounded_up(_BENDS * max(halves)) if halves else usual


_NEARER = 1e-4  # as near as a search comes to where a loss is least


def _rounded_up(x: float) -> float:
    unit = 10.0 ** np.floor(np.log10(x))
    return float(np.ceil(x / unit) * unit)


def _balanced(loss: Loss, held: Mapping[str, float], ends: tuple[float, float]) -> tuple[float, float]:
    """Return the ends with the steep side cut short, where it would make the other look flat."""
    x = points_between(loss, ends, 801)
    losses = _along(loss, held, x, "losses")
    if not np.isfinite(losses).all():
        return ends
    rises = losses - losses.min()
    shown = x[rises <= _STEEPER * min(rises[0], rises[-1])]
    return (float(shown[0]), float(shown[-1])) if shown.size > 1 else ends  # one where the loss falls to an end


def _along(loss: Loss, held: Mapping[str, float], x: Array, output: str) -> Array:
    arguments: dict[str, Any] = {name: np.full(x.size, value) for name, value in held.items()}
    found = loss.evaluate(outputs=(output,), trusted=True, **arguments, y_pred=x)[output]
    return np.asarray(found["y_pred"] if isinstance(found, dict) else found)


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
    true = int(value) if value is not None and np.isfinite(value) else 0
    vectors = [len(item) for item in loss.values.values() if isinstance(item, tuple)]
    classes = vectors[0] if vectors else _CLASSES
    if not 0 <= true < classes or value not in (None, true):
        raise DomainError(f"{loss}: there is no class {value:g} among {classes} to be the true one")
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


def along_shares(loss: Loss, value: float | None, points: int, between: tuple[float, float] | None) -> Section:
    """Return a divergence of two classes along what q says of the first, as probabilities or as logits."""
    options = loss.options()
    of_logits = "q_kind" not in options
    changes = {name: options[name].choices[0] for name in ("p_kind", "q_kind") if name in options}
    first = (_AT_LOGIT if of_logits else _AT) if value is None else finite_place(loss, "value", value)
    x = points_between(loss, between or ((first - 6, first + 6) if of_logits else (0.001, 0.999)), points)
    ends = np.zeros(points) if of_logits else 1 - x
    p, q = (item.name for item in loss.inputs)
    second = 0.0 if of_logits else 1 - first
    arrays: dict[str, Any] = {p: np.full((points, 2), [first, second]), q: np.stack([x, ends], axis=1)}
    outputs = ("losses", "gradient", "full_hessian")
    found = loss.replace(class_axis=-1, **changes).evaluate(outputs=outputs, **arrays)
    gradient, hessian = found["gradient"], found["full_hessian"]
    if isinstance(gradient, dict):
        gradient, hessian = gradient[q], hessian[q, q]
    # Along probabilities the second class gives what the first takes.
    way = np.array([1.0, 0.0]) if of_logits else np.array([1.0, -1.0])
    return Section(
        case=f"at {p} = ({first:g}, {second:g})",
        label=f"{q} of the first class",
        value=first,
        x=x,
        losses=found["losses"],
        gradient=gradient @ way,
        hessian=hessian @ way @ way,
        best=first,
    )
