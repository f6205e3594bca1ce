"""The examination of objectives that people write by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.errors import ShapeError, plural
from lossmith.frameworks.boosting.examine import examine
from lossmith.frameworks.boosting.objective import Objective

Array = npt.NDArray[Any]

_PARTS = 2


class _Rows:
    """Rows as far as a custom objective asks a data set for them."""

    def __init__(self, y: Array, weight: Array | None) -> None:
        self.get_label, self.get_weight = (lambda: y), (lambda: weight)


def check(
    function: Any,
    loss: Any,
    y: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    classes: int | None = None,
    flat: bool = True,
    data: Callable[[Array, Array | None], Any] = _Rows,
) -> None:
    """Examine a custom objective that somebody wrote by hand, by finite differences of the loss that it is to be.

    Args:
        function: ``(raw, data) -> (gradient, Hessian)``, as ``lightgbm.train`` takes it.
        loss: the loss, or its name.
        y: targets.
        weight: their weights.
        classes: number of classes, for losses over classes.
        flat: whether results of several predictions a row may be flat, column after column, as LightGBM takes them.
        data: makes of targets and weights what the function is passed; by default it has ``get_label()`` and
            ``get_weight()``.

    Raises:
        ParameterError: for a gradient of the wrong sign, that vanishes everywhere, or is no multiple of the weighted
            slope, and for a Hessian that is nowhere positive.
        DomainError: for derivatives that are no finite numbers.
        ShapeError: for what is no gradient and Hessian of the shape of the raw predictions.
    """
    ours = Objective(loss, y, weight, classes=classes)
    few = ours.few()
    owner = getattr(function, "__name__", type(function).__name__)
    examine(
        owner,
        lambda raw: _both(owner, function(raw, data(few.y, few.weight)), raw.shape, flat),
        lambda raw: ours.form.losses(few.y, raw),
        ours.probes(few.y),
        few.weight,
        kind="your own",
        strict=True,
    )


def _both(owner: str, found: Any, shape: tuple[int, ...], flat: bool) -> tuple[Array, Array]:
    """Return gradient and Hessian that a function returned.

    Raises:
        ShapeError: with what it has to return.
    """
    several = isinstance(found, tuple | list | np.ndarray)
    parts = [np.asarray(part, np.float64) for part in found] if several and len(found) == _PARTS else []
    if flat:
        parts = [part.reshape(shape, order="F") if part.shape == (math.prod(shape),) else part for part in parts]
    if [part.shape for part in parts] != [shape] * _PARTS:
        each = "got " + " and ".join(str(part.shape) for part in parts) if parts else f"got {_described(found)}"
        raise ShapeError(
            f"{owner} must return gradient and Hessian, two arrays of the shape of the raw predictions, {shape}; {each}"
        )
    return parts[0], parts[1]


def _described(found: Any) -> str:
    if isinstance(found, np.ndarray):
        return f"one array of shape {found.shape}"
    return plural(len(found), "part") if isinstance(found, tuple | list) else type(found).__name__
