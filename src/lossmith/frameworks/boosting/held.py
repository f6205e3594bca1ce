"""Held-out rows: how they are given to a training, one set or several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.errors import KindError, ParameterError, ShapeError, plural

Array = npt.NDArray[Any]
Rows = tuple[Any, ...]
"""Features, targets, and weights if there are any."""

Validation = Rows | Sequence[Rows] | Mapping[str, Rows]
"""One set of rows, several of them, or several by name."""

_PARTS = (2, 3)
_AXES = 2
_LIBRARIES = ("lightgbm", "xgboost", "catboost", "_catboost")


def counted(name: str, value: Any, least: int) -> None:
    """Refuse what is no number of rounds or folds.

    Raises:
        ParameterError: with what it must be.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ParameterError(f"{name} must be a whole number, at least {least}, got {value!r}")


def listed(callbacks: Any) -> list[Any]:
    """Return callbacks of a library as a list.

    Raises:
        ParameterError: for one that stands alone, and for a text.
    """
    if isinstance(callbacks, str) or not hasattr(callbacks, "__iter__"):
        raise ParameterError(f"callbacks must be a list of them, such as callbacks=[...], got {callbacks!r}")
    return list(callbacks)


def by_name(validation: Validation | None, patience: int | None = None) -> dict[str, Rows]:
    """Return sets of rows by name: ``validation``, or ``validation_0`` and so on of several without names.

    Args:
        validation: what a user gave.
        patience: rounds without a better mean loss before training stops, if any.

    Raises:
        ParameterError: where something is no pair of features and targets, with weights or without; for patience
            without a set, and below 1.
    """
    if isinstance(validation, Mapping):
        sets: dict[str, Any] = dict(validation)
    elif isinstance(validation, list) and all(isinstance(rows, tuple) for rows in validation):
        sets = {f"validation_{place}": rows for place, rows in enumerate(validation)}
    else:
        sets = {} if validation is None else {"validation": validation}
    for name, rows in sets.items():
        if not isinstance(rows, tuple | list) or len(rows) not in _PARTS:
            came = plural(len(rows), "part") if isinstance(rows, tuple | list) else type(rows).__name__
            raise ParameterError(
                f"{name} must be (X, y) or (X, y, weight), got {came}; several sets are a list of such pairs, or a "
                "mapping of them by name"
            )
    if patience is not None:
        counted("patience", patience, 1)
    if patience is not None and not sets:
        raise ParameterError("patience needs validation=(X, y): without it there is nothing to stop on")
    return sets


def refuse_rescaled(name: str, wanted: Any) -> None:
    """Refuse to choose among the rounds of a booster that changes trees of earlier ones later, as dart does.

    Args:
        name: of the argument that asks for it.
        wanted: its value; nothing asks for nothing.

    Raises:
        ParameterError: where it was asked for.
    """
    if wanted is not None:
        raise ParameterError(
            f"{name} chooses a round, but 'dart' changes trees of earlier rounds later, so that a model of some rounds "
            f"is not the one that was measured; leave {name} out, and pass rounds="
        )


def rows_of(part: Any, rows: Array) -> Any:
    """Return some rows of features, targets or weights; of none, none."""
    if part is None or hasattr(part, "iloc"):
        return None if part is None else part.iloc[rows]
    if hasattr(part, "tocsr"):
        return by_rows(part)[rows]
    if hasattr(part, "column_names"):
        return part.take(rows)  # of Arrow
    return (part if hasattr(part, "shape") else np.asarray(part))[rows]


def refuse_no_table(X: Any) -> None:
    """Refuse what is no table of features: a data set of a library, and what has no rows by columns.

    Raises:
        KindError: for a data set, with where it goes, and for what is no array.
        ShapeError: for an array of other axes.
    """
    if any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(X).__mro__):
        raise KindError(
            f"X must be features, rows by columns, got {type(X).__name__}: a data set goes into the library's own "
            "functions, which take an Objective"
        )
    if not (hasattr(X, "shape") or isinstance(X, list | tuple) or hasattr(X, "__array__")):
        raise KindError(f"X must be features, rows by columns, got {type(X).__name__}; pass an array or a data frame")
    shape = tuple(X.shape) if hasattr(X, "shape") else np.shape(X)
    if len(shape) != _AXES:
        mend = (
            "one column is X.reshape(-1, 1), and one row X.reshape(1, -1)" if len(shape) == 1 else "leave no axis over"
        )
        raise ShapeError(f"X must be features, rows by columns, got shape {shape}; {mend}")


def unmasked(X: Any) -> Any:
    """Return a masked array as one in which NaN stands for what is masked, and all else as it is."""
    if not isinstance(X, np.ma.MaskedArray):
        return X
    return np.ma.filled(X.astype(X.dtype if X.dtype.kind in "fcO" else np.float64), np.nan)


def array_of(X: Any) -> Array:
    """Return features that are no table as an array, in which what was masked is missing.

    Raises:
        KindError: for complex numbers and times, of which libraries drop a part or make numbers of their own.
    """
    found = np.asarray(unmasked(X))
    if found.dtype.kind in "cmM":
        raise KindError(f"X must hold real numbers, got {found.dtype}; make columns of numbers of it")
    return found


def numbers_of(X: Any) -> Array:
    """Return features that are no table as an array of numbers; texts and objects are converted.

    Raises:
        KindError: for what is no number; see ``array_of`` too.
    """
    found = array_of(X)
    try:
        return found.astype(np.float64) if found.dtype.kind in "OUS" else found
    except (TypeError, ValueError) as error:
        raise KindError(f"X must hold numbers: {error}; pass codes of categories, and categorical=") from None


def by_rows(X: Any) -> Any:
    """Return a sparse matrix or array as the kind that all libraries take, to train with and to predict for."""
    from scipy.sparse import csr_matrix

    return csr_matrix(X)
