"""Probability repair: from the raw predictions of a model to probabilities, whatever loss and weights it learned by.

A model that is trained well gives, for rows whose classes have probabilities p, the raw prediction with the least
expected loss. There the slopes of the classes' losses, each times its p, balance. That is a linear equation in p, so p
follows from the slopes alone, in closed form and for every loss, whatever it does to probabilities: focal loss flattens
them (the result is that of Charoenphakdee et al. 2021, doi 10.1109/CVPR46437.2021.00517), smoothing too, and weights of
classes move them (Elkan 2001, "The foundations of cost-sensitive learning"). Rows that were resampled by class are a
change of the prior (Saerens et al. 2002, doi 10.1162/089976602753284446), which is undone like a weight.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import numbers
from lossmith.core.halving import jumps
from lossmith.core.mistakes import LossmithWarning, warn
from lossmith.core.parameter import Vector
from lossmith.errors import ParameterError, ShapeError, plural

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

Array = npt.NDArray[Any]

_LABELED = ("binary", "categorical")
_PLACES = np.sinh(np.linspace(-14.0, 14.0, 257))  # raw predictions of every size, to 600,000
_GAP = 1e-3  # probabilities that no raw prediction tells
_HALVINGS = 1100  # from the largest number to the smallest


def _factors(name: str, doc: str) -> Vector:
    found = Vector(domain="(0, inf)", doc=doc)
    found.name = name
    return found


_WEIGHTS = _factors("class_weight", "what the losses of each class were multiplied by")
_RATES = _factors("sampling_rates", "how many rows of each class were in training, for each one that there is")


class Probable:
    """Gives losses of labels and classes ``to_probability``."""

    def to_probability(
        self,
        raw: npt.ArrayLike,
        *,
        class_weight: Sequence[float] | None = None,
        sampling_rates: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> Array:
        """Return the probabilities that a well-trained model's raw predictions stand for.

        What the loss itself does to probabilities (focus, weights of classes, smoothing, adjustments) is undone, and so
        is what is named here. Raw predictions beyond those of any probability, as smoothing has them, mean certainty.
        Labels are taken to be drawn by the probabilities; nothing is estimated, so what a model has not learned, this
        does not know.

        Args:
            raw: logits or scores, finite: of any shape where the loss is of a yes or no, else with the classes along
                the ``class_axis`` of the loss.
            class_weight: what the rows of each class, 0 first, were weighted by in training, besides the loss's own.
            sampling_rates: share of the rows of each class that were kept in training, or how often they were repeated.
            label_smoothing: share of each label of a yes or no that was spread evenly over both, as
                ``y * (1 - s) + s / 2``. Losses over classes have it as their own parameter.

        Returns:
            float64 probabilities of the shape of ``raw``: of the positive class, or of each class.

        Raises:
            ParameterError: when the loss knows no classes, or its minimum does not tell their probabilities, as that of
                a hinge does not.
            ShapeError: for factors of another number of classes.
            DomainError: for raw predictions that are none.
        """
        loss = cast("Loss", self).raw_form
        _refuse_others(loss, label_smoothing)
        given = np.asarray(numbers(type(self).__name__, "raw", raw), dtype=np.float64)
        axis = loss.row_axis
        _validate(loss, given)
        rows = given.reshape(-1, 1) if axis is None else np.moveaxis(given, axis, -1)
        shape, classes = rows.shape, 2 if axis is None else rows.shape[-1]
        if classes < 2:
            raise ShapeError(
                f"{loss}: raw has shape {given.shape}, with one class along axis {axis}; give a column for each class"
                " or, where a row has the logit of a yes or no, take binary_cross_entropy"
            )
        factors = _product(loss, classes, {_WEIGHTS: class_weight, _RATES: sampling_rates})
        _refuse_untold(loss, classes, label_smoothing)
        p = loss._label_shares(rows.reshape(-1, shape[-1]), label_smoothing) / factors
        p /= p.sum(axis=-1, keepdims=True)
        return p[:, 1].reshape(given.shape) if axis is None else np.moveaxis(p.reshape(shape), -1, axis)

    def _label_shares(self, raw: Array, label_smoothing: float) -> Array:
        """Return the probabilities of the classes, (examples, classes), as the rows of training have them.

        Args:
            raw: predictions: (examples, 1) for a yes or no, else (examples, classes).
            label_smoothing: see ``to_probability``.
        """
        loss, at = cast("Loss", self), raw[:, 0].copy()
        no, yes = (_label(loss, share) for share in (label_smoothing / 2, 1 - label_smoothing / 2))
        shares = np.full((at.size, 2), np.nan)
        left = np.arange(at.size)
        with np.errstate(all="ignore"):
            for _ in range(_HALVINGS):
                falls, rises = (
                    loss.evaluate(np.full(left.size, label), at[left], ("gradient",), trusted=True)["gradient"]
                    for label in (yes, no)
                )
                odds = np.stack([np.maximum(-falls, 0.0), np.maximum(rises, 0.0)], axis=-1).astype(np.float64)
                shares[left] = odds / odds.sum(axis=-1, keepdims=True)
                # Far out slopes overflow or vanish, but not before the probability is certain.
                left = left[np.isnan(shares[left]).any(axis=-1) & (at[left] != 0)]
                if not left.size:
                    break
                at[left] /= 2
        return shares


def _label(loss: Loss, share: float) -> float:
    """Return the label that is a yes to this share: between 0 and 1, or -1 and 1 where labels are signed."""
    return 2 * share - 1 if loss.domains["y"].low == -1 else share


def _refuse_others(loss: Loss, label_smoothing: float) -> None:
    if loss.card.task not in _LABELED or not loss.paired:
        raise ParameterError(
            f"{loss} predicts no class, so there is no probability to tell; `lossmith list` shows the losses of labels "
            "(binary) and classes (categorical)"
        )
    if not isinstance(label_smoothing, Real) or not 0 <= label_smoothing < 1:
        raise ParameterError(f"to_probability(label_smoothing={label_smoothing!r}): it must be a number in [0, 1)")
    if label_smoothing and not loss.elementwise:
        raise ParameterError(
            f"{loss}: a loss over classes smooths by itself; make it with label_smoothing={label_smoothing:g}"
        )


def _validate(loss: Loss, given: Array) -> None:
    """Refuse raw predictions outside the domain, and warn of those that look like probabilities."""
    axis = loss.row_axis
    if axis is not None and not -given.ndim <= axis < given.ndim:
        raise ShapeError(f"{loss}: raw has shape {given.shape}, but its classes must lie along axis {axis}")
    if axis is None:
        y = np.full(given.shape, _label(loss, 0.0))
    elif loss.class_indices:
        y = np.zeros(np.delete(given.shape, axis), int)
    else:
        y = np.full(given.shape, 1 / given.shape[axis])
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        loss.evaluate(y, given, ())
    if any(issubclass(item.category, LossmithWarning) for item in met):
        warn(
            f"{loss}: raw is declared as logits, but all {given.size} values lie in [0, 1], as probabilities do. Give "
            "raw predictions, from before the sigmoid or softmax: how a model was distorted shows in them"
        )


def _product(loss: Loss, classes: int, given: dict[Vector, Any]) -> Array:
    """Return what the classes were multiplied by together."""
    product = np.ones(classes)
    for kind, values in given.items():
        known = kind.validate("to_probability", values)
        if known is not None and len(known) != classes:
            raise ShapeError(
                f"{loss}: {kind.name} has {plural(len(known), 'number')} for {plural(classes, 'class', 'classes')}, of "
                "which the first is class 0"
            )
        product *= 1.0 if known is None else known
    return product


def _refuse_untold(loss: Loss, classes: int, label_smoothing: float) -> None:
    gap = _gap(loss, classes, label_smoothing)
    if gap is not None:
        raise ParameterError(
            f"{loss} does not tell probabilities: its best prediction is the same for all those between {gap[0]:.3g} "
            f"and {gap[1]:.3g}. Train with a loss whose minimum tells them apart, as a cross-entropy does, or "
            "calibrate by held-out rows"
        )


@lru_cache(maxsize=256)
def _gap(loss: Loss, classes: int, label_smoothing: float) -> tuple[float, float] | None:
    """Return the ends of the widest range of probabilities that no raw prediction of one class tells."""

    def told(raw: Array) -> Array:
        rows = np.zeros((raw.size, classes if loss.row_axis is not None else 1))
        rows[:, -1] = raw
        found: Array = loss._label_shares(rows, label_smoothing)[:, -1]
        return found

    domain = loss.domains["f"]
    ends = np.nextafter(domain.low, np.inf), np.nextafter(domain.high, -np.inf)
    places = np.unique(np.clip(_PLACES, *ends))
    known = told(places)
    places, known = places[~np.isnan(known)], known[~np.isnan(known)]
    if not known.size or np.ptp(known) <= _GAP:
        return 0.0, 1.0
    low, high = jumps(told, places, known, _GAP)
    if not low.size:
        return None
    widest = int(np.argmax(high - low))
    return (float(low[widest]), float(high[widest])) if high[widest] - low[widest] > _GAP else None
