"""Sections: the line through the inputs of a loss along which it is drawn.

A loss of a target and a prediction is drawn against the prediction. A loss of rows, embeddings or
several inputs has no such axis of its own, so its structure names one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.errors import DomainError

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Section:
    """A loss and its derivatives along a line.

    Attributes:
        case: what is held fixed, for a title: ``at a target of 0``; empty where nothing is.
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


def points_between(loss: Loss, ends: tuple[float, float], points: int) -> Array:
    """Return the points of a line, ascending.

    Args:
        loss: what is drawn, as messages name it.
        ends: of the line.
        points: how many.

    Raises:
        DomainError: for ends that are not finite, or between which there are not so many floats.
    """
    first, last = ends
    if not (np.isfinite(ends).all() and np.isfinite(last - first)):
        raise DomainError(f"{loss} cannot be drawn from {first:g} to {last:g}, which is too far for floats")
    x = np.linspace(first, last, points)
    if not np.all(np.diff(x) > 0):
        raise DomainError(
            f"{loss} cannot be drawn from {first:g} to {last:g}, where floats lie too far apart; draw it closer to 0"
        )
    return x


def finite_place(loss: Loss, what: str, value: float) -> float:
    """Return the number that is held fixed.

    Raises:
        DomainError: when it is not finite.
    """
    if not np.isfinite(value):
        raise DomainError(f"{loss} is drawn at a finite {what}, got {value:g}")
    return float(value)


def in_common(
    losses: Sequence[Loss], value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
) -> list[Section]:
    """Return several losses along one line: as far as one of them is interesting, and none outside its domain.

    Args:
        losses: one or more, of the same inputs.
        value: what is held fixed; by default what is typical for these losses.
        points, between: see ``Loss.section``.
    """
    lines = [loss.section(value, 2) for loss in losses]
    if len({line.value for line in lines}) > 1:
        # The largest, such as the 3 of relative errors: 0 tells little about those, and other losses do not mind.
        value = max((line.value for line in lines if line.value is not None), key=abs)
        lines = [loss.section(value, 2) for loss in losses]
    ends = between or _ends(losses, lines)
    return [loss.section(value, points, ends) for loss in losses]


def _ends(losses: Sequence[Loss], lines: Sequence[Section]) -> tuple[float, float]:
    firsts, lasts = [float(line.x[0]) for line in lines], [float(line.x[-1]) for line in lines]
    domains = [loss.domains.get(loss.focus.symbol) for loss in losses]
    lowest = [x for x, domain in zip(firsts, domains, strict=True) if domain and np.isfinite(domain.low)]
    highest = [x for x, domain in zip(lasts, domains, strict=True) if domain and np.isfinite(domain.high)]
    return max([min(firsts), *lowest]), min([max(lasts), *highest])
