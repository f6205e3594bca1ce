"""The examination of objectives that people write by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from lossmith.frameworks.boosting.examine import examine
from lossmith.frameworks.boosting.objective import Objective

Array = npt.NDArray[Any]


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
    data: Callable[[Array, Array | None], Any] = _Rows,
) -> None:
    """Examine a custom objective that somebody wrote by hand, by finite differences of the loss that it is to be.

    Args:
        function: ``(raw, data) -> (gradient, Hessian)``, as ``lightgbm.train`` takes it.
        loss: the loss, or its name.
        y: targets.
        weight: their weights.
        classes: number of classes, for losses over classes.
        data: makes of targets and weights what the function is passed; by default it has ``get_label()`` and
            ``get_weight()``.

    Raises:
        ParameterError: for a gradient of the wrong sign, that vanishes everywhere, or is no multiple of the weighted
            slope, and for a Hessian that is nowhere positive.
        DomainError: for derivatives that are no finite numbers.
    """
    ours = Objective(loss, y, weight, classes=classes)
    few = ours.few()
    examine(
        getattr(function, "__name__", type(function).__name__),
        lambda raw: function(raw, data(few.y, few.weight)),
        lambda raw: ours.form.losses(few.y, raw),
        ours.probes(few.y),
        few.weight,
        kind="your own",
        strict=True,
    )
