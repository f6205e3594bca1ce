"""The slow, obvious reference for losses of rows over classes: textbook definitions, loops, 60 digits and more.

Nothing here knows how the library computes. A loss is defined by what one row with one true class
costs; soft and smoothed targets cost the mean over their classes, but for the Brier score, which
is a function of the target distribution itself. Derivatives are differences over tiny steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf

import lossmith as lm
from tests.structures import differences

Numbers = Sequence[Any]


class Row:
    """A row of logits and what it says of each class; 1 - p is the sum of the others."""

    def __init__(self, z: Numbers) -> None:
        self.scores = z
        self.powers = [_exp(x) for x in z]
        self.total = mpmath.fsum(self.powers)

    def others(self, k: int) -> Any:
        return mpmath.fsum(self.powers[:k] + self.powers[k + 1 :])

    def p(self, k: int) -> Any:
        return self.powers[k] / self.total

    def rest(self, k: int) -> Any:
        return self.others(k) / self.total

    def surprise(self, k: int) -> Any:
        """Return -log p."""
        return mpmath.log1p(self.others(k) / self.powers[k]) if self.powers[k] else mp.inf


class Given:
    """A row of probabilities, taken as it is."""

    def __init__(self, p: Numbers) -> None:
        self.given = p

    def p(self, k: int) -> Any:
        return self.given[k]

    def rest(self, k: int) -> Any:
        return 1 - self.given[k]

    def surprise(self, k: int) -> Any:
        """Return -log p."""
        return -mpmath.log(self.given[k]) if self.given[k] > 0 else mp.inf


def _exp(x: Any) -> Any:
    return _cached_exp(x, mp.prec)


@lru_cache(maxsize=4096)
def _cached_exp(x: Any, precision: int) -> Any:
    return mpmath.exp(x) if x > -mp.inf else mpf(0)


def _log(x: float) -> Any:
    return _cached_log(x, mp.prec)


@lru_cache(maxsize=256)
def _cached_log(x: float, precision: int) -> Any:
    return mpmath.log(mpf(x))


def _lead(row: Any, true: int) -> list[Any]:
    return [1 + x - row.scores[true] for k, x in enumerate(row.scores) if k != true]


def _focal(row: Any, y: int, v: Mapping[str, Any]) -> Any:
    return row.rest(y) ** v["gamma"] * row.surprise(y) if row.rest(y) > 0 or v["gamma"] == 0 else mpf(0)


def _power(row: Any, y: int, v: Mapping[str, Any]) -> Any:
    return row.surprise(y) if v["q"] == 0 else -mpmath.expm1(-v["q"] * row.surprise(y)) / v["q"]


def _both_ways(row: Any, y: int, v: Mapping[str, Any]) -> Any:
    forward = v["alpha"] * row.surprise(y) if v["alpha"] else mpf(0)
    # -Σ pₖ log(one-hot): the logarithm is 0 at the true class and log_zero at each other.
    return forward - v["beta"] * v["log_zero"] * row.rest(y)


DEFINITIONS: dict[str, Callable[[Any, int, Mapping[str, Any]], Any]] = {
    "sparse_categorical_cross_entropy": lambda row, y, v: row.surprise(y),
    "categorical_cross_entropy": lambda row, y, v: row.surprise(y),
    "softmax_focal": _focal,
    "generalised_cross_entropy": _power,
    "softmax_poly_one": lambda row, y, v: row.surprise(y) + v["epsilon"] * row.rest(y),
    "symmetric_cross_entropy": _both_ways,
    "logit_adjusted": lambda row, y, v: row.surprise(y),
    "balanced_softmax": lambda row, y, v: row.surprise(y),
    "crammer_singer": lambda row, y, v: max([mpf(0), *_lead(row, y)]),
    "weston_watkins": lambda row, y, v: mpmath.fsum(max(mpf(0), x) for x in _lead(row, y)),
}
"""What a row costs when class ``y`` is the true one."""


def brier(row: Any, t: Numbers) -> Any:
    """Return Σ (p - t)², where 1 - p of a certain class has its own digits."""
    return mpmath.fsum((row.rest(k) if t[k] == 1 else row.p(k) - t[k]) ** 2 for k in range(len(t)))


def adjusted(z: Numbers, name: str, v: Mapping[str, Any]) -> Numbers:
    """Return logits as the definition of the loss sees them."""
    if name == "logit_adjusted" and v["prior"]:
        return [x + v["tau"] * _log(share) for x, share in zip(z, v["prior"], strict=True)]
    if name == "balanced_softmax" and v["counts"]:
        return [x + _log(count) for x, count in zip(z, v["counts"], strict=True)]
    return z


def row_loss(loss: lm.Loss, prediction: Numbers, t: Numbers, **changed: Any) -> Any:
    """Return the loss of a row with target distribution ``t``, smoothing included in ``t``; z-loss is added."""
    v = {**loss.values, **changed}
    if v["prediction"] == "probabilities":
        row: Any = Given(prediction)
    else:
        row = Row(adjusted(prediction, loss.name, v))
    if loss.name == "multiclass_brier":
        return brier(row, t)
    total = mpmath.fsum(t[k] * DEFINITIONS[loss.name](row, k, v) for k in range(len(t)) if t[k] > 0)
    if v.get("z_loss"):
        shares = normalised(loss.name, v)
        z = adjusted(prediction, loss.name, {**v, **shares})
        total += v["z_loss"] * mpmath.log(mpmath.fsum(_exp(x) for x in z)) ** 2
    return total


def normalised(name: str, v: Mapping[str, Any]) -> dict[str, Any]:
    """Return the vectors of a loss as shares: what a common factor does is a matter of the z-loss alone."""
    return {key: [mpf(x) / mpmath.fsum(v[key]) for x in v[key]] for key in ("prior", "counts") if v.get(key)}


def smoothed(t: Numbers, share: Any) -> Numbers:
    return [x * (1 - mpf(share)) + mpf(share) / len(t) for x in t] if share else t


@contextmanager
def enough_digits(prediction: Numbers, relative: bool) -> Iterator[None]:
    """Work with 60 digits behind the steps of differences, and behind products of the smallest probabilities.

    Beyond a spread of 3000 these are no float64 numbers, and ``noticed`` takes them as zero. Steps
    relative to tiny probabilities need digits too.
    """
    spread = _spread(prediction)
    with mp.workdps(
        (220 if relative else 110) + int(spread * (0.9 if len(prediction) > 2 else 0.45) if spread < _FAR else 60)
    ):
        yield


_FAR = 3000


def _spread(prediction: Numbers) -> float:
    finite = [float(x) for x in prediction if abs(float(x)) < np.inf]
    return max(finite) - min(finite)


def noticed(value: Any, prediction: Numbers, relative: bool) -> Any:
    """Return a difference, or zero where it is but the noise of one."""
    noise = mpf(10) ** (-80 if relative else -30 if _spread(prediction) > _FAR else -mp.dps * 100)
    return mpf(0) if abs(value) < noise else value


def gradient(f: Callable[[Numbers], Any], x: Numbers, relative: bool = False) -> list[Any]:
    """Return central differences of ``f`` at ``x``."""
    return differences.gradient(f, x, [_step(value, relative) for value in x])


def hessian(f: Callable[[Numbers], Any], x: Numbers, relative: bool = False) -> list[list[Any]]:
    """Return second differences of ``f`` at ``x``."""
    return differences.hessian(f, x, [_step(value, relative) for value in x])


def _step(value: Any, relative: bool) -> Any:
    if abs(value) == mp.inf:
        return mpf(0)  # a class that is ruled out stays so
    return mpf(10) ** -20 * (value if relative else 1)


def rows_of(loss: lm.Loss, y_true: Any, y_pred: Any) -> Iterator[tuple[tuple[int, ...], list[Any], Any]]:
    """Yield the place, the predictions and the target of each row: an index, or a distribution."""
    axis = loss.values["class_axis"]
    predictions = np.moveaxis(np.asarray(y_pred), axis, -1)
    distributions = getattr(type(loss), "fixed_targets", None) == "distributions" or (
        loss.values.get("targets") == "distributions"
    )
    targets = np.moveaxis(np.asarray(y_true), axis, -1) if distributions else np.asarray(y_true)
    for place in np.ndindex(predictions.shape[:-1]):
        yield place, [mpf(x) for x in predictions[place].tolist()], targets[place]


def data_set(
    loss: lm.Loss, y_true: Any, y_pred: Any, weight: Any = None, mask: Any = None
) -> tuple[dict[tuple[int, ...], tuple[Any, Any]], dict[tuple[int, ...], list[Any]]]:
    """Return, for each row that counts, weight and loss; and the gradient of its loss."""
    found, slopes = {}, {}
    for place, prediction, target in rows_of(loss, y_true, y_pred):
        if mask is not None and not mask[place]:
            continue
        if loss.values["ignore_index"] is not None and np.ndim(target) == 0 and target == loss.values["ignore_index"]:
            continue
        classes = len(prediction)
        t = [mpf(k == int(target)) for k in range(classes)] if np.ndim(target) == 0 else [mpf(float(x)) for x in target]
        w = mpf(1) if weight is None else mpf(float(weight[place]))
        if loss.values["class_weight"] is not None:
            w *= mpmath.fsum(t[k] * loss.values["class_weight"][k] for k in range(classes))
        t = smoothed(t, loss.values["label_smoothing"])
        value, slopes[place] = _of_one_row(loss.replace(**_OF_DATA), tuple(prediction), tuple(t), mp.prec)
        found[place] = (w, value)
    return found, slopes


_OF_DATA = {"class_weight": None, "ignore_index": None, "label_smoothing": 0.0, "class_axis": -1}
"""Options that say which rows and targets there are and how they count, and not what a row costs."""


@lru_cache(maxsize=1024)
def _of_one_row(loss: lm.Loss, prediction: Any, t: Any, precision: int) -> tuple[Any, list[Any]]:
    return row_loss(loss, prediction, t), gradient(lambda x: row_loss(loss, x, t), prediction)


def divisor(found: Mapping[Any, tuple[Any, Any]], reduction: str) -> Any:
    if reduction == "mean":
        return mpmath.fsum(w for w, _ in found.values())
    return mpf(len(found)) if reduction == "count_mean" else mpf(1)
