"""Which losses, rows and targets the laws of rows look at, and how near is near enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

import lossmith as lm
from lossmith.core.parameter import Vector
from lossmith.structures.rows import Rows
from tests import exceptions
from tests.structures import oracle_rows as oracle

EXCEPTIONS = exceptions.of("rows")

NAMES = tuple(name for name in lm.names() if issubclass(lm.loss_class(name), Rows))
ULPS = 8
FLOAT32 = 1e-6


def own_parameters(cls: type[lm.Loss]) -> dict[str, Any]:
    """Return the parameters of the loss itself, without those that all losses of rows have."""
    return {name: item for name, item in cls.parameters().items() if name not in ("z_loss", "label_smoothing")}


def with_vectors(name: str, classes: int, **options: Any) -> lm.Loss:
    """Return the loss with its vectors filled, but for class weights."""
    cls = lm.loss_class(name)
    shares = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    own = [key for key, item in cls.declared().items() if isinstance(item, Vector) and key != "class_weight"]
    return cls(**{key: tuple(shares.tolist()) for key in own}, **options)


def instances(name: str, classes: int) -> Iterator[lm.Loss]:
    """Yield a loss in its default form and at both ends of what is typical, in all its prediction kinds."""
    cls = lm.loss_class(name)
    typical = {key: item.typical for key, item in own_parameters(cls).items()}
    ends = [{}, *({key: ends[side] for key, ends in typical.items()} for side in (0, 1) if typical)]
    for kind in cls.options()["prediction"].choices:
        for values in ends:
            yield with_vectors(name, classes, prediction=kind, **values)


def takes(loss: lm.Loss, kind: str) -> bool:
    return kind in type(loss).options()["prediction"].choices


def soft(loss: lm.Loss) -> lm.Loss | None:
    """Return the loss on target distributions, or ``None``."""
    if type(loss).fixed_targets == "distributions":
        return loss
    return loss.replace(targets="distributions") if "targets" in loss.values else None


ORDINARY = (
    (0.3, -1.2, 2.1),
    (-0.7, 0.1, -3.3),
    (5.5, 4.25, -6.0),
    (1e-3, 2e-3, -1e-3),
    (0.0, 9.0, -9.0),
    (-20.0, -20.5, -22.0),
)
TIES = ((0.0, 0.0, 0.0), (2.5, 2.5, -1.0), (3.0, -1.0, -1.0))
SATURATED = ((40.0, -40.0, 0.5), (-40.0, -39.0, 40.0))
EXTREME = ((700.0, -700.0), (-700.0, 700.0), (1e20, -1e20, 3.0), (-1e20, 1e20, 1e20))
RULED_OUT = ((1.5, -np.inf, 0.25), (-np.inf, -np.inf, 4.0))
SIZES = ((2.0,), (0.75, -1.5), (-40.0, 40.0), (0.0, 0.0))
LOGITS = (*ORDINARY, *TIES, *SATURATED, *EXTREME, *RULED_OUT, *SIZES)
PROBABILITIES = (
    (0.2, 0.5, 0.3),
    (1 / 3, 1 / 3, 1 / 3),
    (1e-3, 0.998, 1e-3),
    (1 - 2**-40, 2.0**-41, 2.0**-41),
    (1e-12, 0.25, 0.75 - 1e-12),
    (1e-300, 1.0, 1e-300),
    (1.0, 0.0, 0.0),
    (0.0, 0.5, 0.5),
    (1.0,),
    (0.9375, 0.0625),
)


def rows(loss: lm.Loss, classes: int | None = None) -> list[tuple[float, ...]]:
    """Return the rows that the laws put to a loss, of its kind."""
    found = PROBABILITIES if loss.values["prediction"] == "probabilities" else LOGITS
    return [row for row in found if classes is None or len(row) == classes]


def targets(loss: lm.Loss, row: tuple[float, ...]) -> Iterator[tuple[lm.Loss, Any, list[float]]]:
    """Yield the loss, y_true and the distribution behind it: each class that is not ruled out, and mixtures."""
    classes = len(row)
    smooth = loss.replace(label_smoothing=0.1)
    alive = [k for k in range(classes) if row[k] > -np.inf]
    for k in alive:
        one_hot = [float(i == k) for i in range(classes)]
        yield (loss, one_hot, one_hot) if type(loss).fixed_targets == "distributions" else (loss, k, one_hot)
    if len(alive) == classes:
        k = 0
        one_hot = [float(i == k) for i in range(classes)]
        dense = [x * (1 - 0.1) + 0.1 / classes for x in one_hot]
        yield (smooth, one_hot, dense) if type(loss).fixed_targets == "distributions" else (smooth, k, dense)
        mixed = soft(loss)
        if mixed is not None and classes > 1:
            weights = {2: [0.25, 0.75], 3: [0.5, 0.125, 0.375]}[classes]
            yield mixed, weights, weights


def change_by_inputs(
    loss: lm.Loss, row: tuple[float, ...], t: list[float], what: Callable[..., Any], dtype: Any = np.float64
) -> Any:
    """Return how much one unit in the last place of each input changes ``what``, added up.

    Inputs are the predictions, the target distribution as far as it is neither 0 nor 1, and the
    parameters of the loss. The ulp of a small logit is that of 1, as its exponential is rounded to it.
    """
    least = 0.0 if loss.values["prediction"] == "probabilities" else 1.0
    here = what(row, t)
    total = np.zeros(np.shape(here), dtype=object) + mpf(0)

    def spacing(x: float, least: float = 0.0) -> Any:
        return mpf(float(np.spacing(dtype(max(abs(x), least)))))

    for k, x in enumerate(row):
        if np.isfinite(x) and not (loss.values["prediction"] == "probabilities" and x in (0.0, 1.0)):
            moved = [mpf(value) + (spacing(x, least) if i == k else 0) for i, value in enumerate(row)]
            total += np.abs(np.asarray(what(moved, t), dtype=object) - here)
    for k, x in enumerate(t):
        if 0 < x < 1:
            moved = [mpf(value) + (spacing(x) if i == k else 0) for i, value in enumerate(t)]
            total += np.abs(np.asarray(what(row, moved), dtype=object) - here)
    for key in own_parameters(type(loss)):
        value = loss.values[key]
        if value != 0:
            changed = {key: mpf(value) - spacing(value)}  # towards the inside of every domain that ends at a number
            total += np.abs(np.asarray(what(row, t, **changed), dtype=object) - here)
    return total


def miss(got: float, truth: Any, change: Any, dtype: Any = np.float64) -> float:
    """Return the error in units of what is allowed, 1 being all of it: the one tolerance of these laws.

    Allowed are 8 ulp in float64, or 1e-6 in float32, and what one ulp of the inputs changes.
    """
    if mpmath.isinf(truth) or abs(truth) > mpf(float(np.finfo(dtype).max)):
        return 0.0 if got == float(mpmath.sign(truth)) * np.inf else np.inf
    if not np.isfinite(got):
        return np.inf
    nearest = dtype(float(truth))
    scale = ULPS * mpf(float(np.spacing(np.abs(nearest)))) if dtype is np.float64 else FLOAT32 * abs(truth)
    least = ULPS * mpf(float(np.finfo(dtype).smallest_subnormal))
    return float(abs(mpf(float(got)) - truth) / (scale + change + least))


def reference(loss: lm.Loss, row: Any, t: Any, **changed: Any) -> Any:
    """Return the slow loss of one row of numbers."""
    return oracle.row_loss(loss, [mpf(x) for x in row], [mpf(x) for x in t], **changed)
