"""Which form a loss takes, and what is refused: losses that no booster can be trained with, targets that do not fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import numbers
from lossmith.core.loss import Loss
from lossmith.errors import DomainError, ParameterError, ShapeError, plural
from lossmith.frameworks.boosting.classes import Classes
from lossmith.frameworks.boosting.forms import Columns, Form, OneNumber
from lossmith.frameworks.boosting.quantiles import Quantiles
from lossmith.frameworks.labels import ignored
from lossmith.structures.levels import Levels

Array = npt.NDArray[Any]

_LARGEST = float(np.finfo(np.float32).max)


def form_of(loss: Loss, y: Array, outputs: int | None, *, mends: str) -> Form:
    """Return the form in which a booster can train with a loss.

    Args:
        loss: in raw form.
        y: the targets; for losses over classes the class indices, or a distribution a row.
        outputs: number of classes, where targets need not tell it.
        mends: what the caller names ``outputs``.

    Raises:
        ParameterError: for a loss that no booster can be trained with.
        ShapeError: for targets of another shape.
        DomainError: for class indices that are none.
    """
    names = [item.name for item in loss.inputs]
    if not loss.paired:
        return _columns(loss, names)
    if y.ndim != 1 and not (loss._couples and not loss.singles and y.ndim == 2):
        raise ShapeError(f"{loss}: targets must be one number a row, got shape {y.shape}")
    if not loss._couples:
        if outputs not in (None, 1):
            raise ParameterError(f"{loss} takes one raw prediction a row; {mends}={outputs} is for losses over classes")
        return OneNumber(loss)
    if isinstance(loss, Levels):
        if len(loss.levels) == 1:
            raise ParameterError(f"{loss} has one level; take Quantile(level={loss.levels[0]:g})")
        if outputs not in (None, len(loss.levels)):
            raise ParameterError(f"{loss} has {plural(len(loss.levels), 'level')}; leave {mends}={outputs} out")
        return Quantiles(loss)
    found, declared = _classes(loss, y, outputs, mends)
    return Classes(loss, found, declared=declared, mends=mends)


def _columns(loss: Loss, names: list[str]) -> Form:
    given = [item for item in loss.inputs if not item.predicted]
    if [item.name for item in given] != ["y_true"] or loss.row_axis is not None:
        raise ParameterError(
            f"{loss} cannot be an objective: it is a loss of {', '.join(names)}, and a booster predicts numbers for "
            "one target a row; it trains with losses of y_true and what is predicted"
        )
    bounded = [item for item in loss.predicted if not _is_real(loss, item.symbol)]
    if bounded:
        first = bounded[0]
        logarithms = [
            f"; pass {name}={choice!r}, which may be any number"
            for name, option in loss.options().items()
            for choice in option.choices
            if str(choice).startswith("log_")
        ]
        raise ParameterError(
            f"{loss} cannot be an objective: trees add up to any number, but {first.name} must be in "
            f"{loss.domains[first.symbol]}{''.join(logarithms[:1])}"
        )
    return Columns(loss)


def _is_real(loss: Loss, symbol: str) -> bool:
    domain = loss.domains[symbol]
    return math.isinf(domain.low) and math.isinf(domain.high) and domain.hole is None


def _classes(loss: Loss, y: Array, outputs: int | None, mends: str) -> tuple[int, bool]:
    """Return the number of classes and whether it was declared, refusing targets that do not go with it."""
    if y.ndim == 2:
        found = y.shape[1]
    else:
        without = y == ignored(loss)
        wrong = ~(without | ((y >= 0) & (y == np.floor(y))))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DomainError(
                f"{loss}: class indices must be whole numbers from 0 up, but y_true[{row}] is {y[row]:g} "
                f"({int(wrong.sum())} such of {y.size})"
            )
        found = int(y[~without].max(initial=0)) + 1
    name, declared = _declared(loss)
    wanted = outputs or declared or max(found, 2)
    if declared and wanted != declared:
        raise ParameterError(f"{loss} has {declared} numbers in {name}, one for each class, but there are {wanted}")
    if found > wanted or (y.ndim == 2 and found != wanted):
        row = int(np.argmax(y >= wanted)) if y.ndim == 1 else 0
        came = f"y_true[{row}] is {y[row]:g}" if y.ndim == 1 else f"y_true has {plural(found, 'column')}"
        mend = f"give {name} a number for each class" if declared else f"say how many there are by {mends}="
        raise DomainError(f"{loss}: there are {wanted} classes, but {came}; {mend}")
    return int(wanted), bool(outputs or declared)


def _declared(loss: Loss) -> tuple[str, int | None]:
    """Return a parameter that has a number for each class, of a sum too, and how many these are."""
    terms = [term for _, term in loss.values["terms"]] if "terms" in loss.values else [loss]
    found = [(name, len(v)) for term in terms for name, v in term.values.items() if isinstance(v, tuple)]
    return found[0] if found else ("", None)


def as_targets(loss: Loss, y: Any) -> Array:
    """Return targets as float64, refusing what is no number, or none in single precision.

    Raises:
        KindError, DomainError
    """
    found = np.ascontiguousarray(numbers(type(loss).__name__, "y_true", y), np.float64)
    lacks = np.isnan(found).any(axis=tuple(range(1, found.ndim)))
    if lacks.any():
        raise DomainError(
            f"{type(loss).__name__}: y_true must be finite, but y_true[{int(np.argmax(lacks))}] is nan "
            f"({int(lacks.sum())} such of {lacks.size}); a missing value: drop the row"
        )
    large = np.isfinite(found) & (np.abs(found) > _LARGEST)
    if large.any():
        place = int(np.argmax(large.reshape(len(found), -1).any(axis=1)))
        raise DomainError(
            f"{type(loss).__name__}: y_true[{place}] is {found[place]} ({int(large.sum())} such of {found.size}), and "
            f"boosters keep targets in single precision, up to {_LARGEST:.2g}; divide the targets, or drop the row"
        )
    return found


def form_again(loss: Loss, outputs: int) -> Form:
    """Return the form of a loss that was trained with so many outputs, without targets."""
    if not loss.paired:
        return Columns(loss)
    if isinstance(loss, Levels):
        return Quantiles(loss)
    return Classes(loss, outputs) if loss._couples else OneNumber(loss)
