"""Sections: lines through the inputs of a loss along which it is drawn.

A loss of a target and a prediction is drawn against the prediction. A loss of rows, embeddings or
several inputs has no such axis of its own, so its structure names one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Section:
    """A loss and its derivatives along a line.

    Attributes:
        at: what is held fixed, such as ``p = (0.7, 0.3)``.
        label: what runs along the axis.
        value: the number that was held fixed.
        x: where, ascending.
        losses, gradient, hessian: there, the derivatives along the axis.
        best: where the loss is least, or ``None`` to mark nothing.
    """

    at: str
    label: str
    value: float
    x: Array
    losses: Array
    gradient: Array
    hessian: Array
    best: float | None = None


@runtime_checkable
class Sectioned(Protocol):
    """A loss that says what to draw of it."""

    def section(self, value: float | None, points: int) -> Section:
        """Return the loss along its line, with ``value`` held fixed (by default a typical one)."""
