"""Sections: the line through the inputs of a loss along which it is drawn.

A loss of a target and a prediction is drawn against the prediction. A loss of rows, embeddings or
several inputs has no such axis of its own, so its structure names one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Section:
    """A loss and its derivatives along a line.

    Attributes:
        case: what is drawn, for a title: ``at a target of 0``.
        label: what runs along the axis.
        value: the number that was held fixed, such as the target, or ``None`` where none can be chosen.
        x: the points of the line, ascending.
        losses, gradient, hessian: there; the derivatives are along the line. Where the gradient is a
            subgradient at a kink, it is the value that training would use.
        best: where the loss is least, to be marked, or ``None``.
    """

    case: str
    label: str
    value: float | None
    x: Array
    losses: Array
    gradient: Array
    hessian: Array
    best: float | None = None
