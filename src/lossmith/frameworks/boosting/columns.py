"""Columns of features: which ones hold categories, by name or by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lossmith.errors import ParameterError, did_you_mean, plural


def places(categorical: Any, X: Any, names: Sequence[str] | None = None) -> list[int]:
    """Return where the columns lie that hold categories.

    Args:
        categorical: their indexes or names.
        X: features, as the library takes them.
        names: of all columns; by default those of a data frame.

    Raises:
        ParameterError: for a column that is not there.
    """
    known, width = names_of(X) if names is None else list(names), int(X.shape[1])
    if isinstance(categorical, str) or not hasattr(categorical, "__iter__"):
        raise ParameterError(f"categorical must be a list of indexes or names of columns, got {categorical!r}")
    found = []
    for column in categorical:
        if isinstance(column, int | np.integer) and not isinstance(column, bool) and 0 <= column < width:
            found.append(int(column))  # a place, whatever columns are called
        elif isinstance(column, str) and column in known:
            found.append(known.index(column))
        else:
            raise ParameterError(f"categorical holds {column!r}, {_missing(column, known, width)}")
    return found


def names_of(X: Any) -> list[Any]:
    """Return the names that a table has for its columns; none of an array."""
    found = getattr(X, "column_names", None)
    return list(getattr(X, "columns", ()) if found is None else found)  # in Arrow's tables ``columns`` are the numbers


def _missing(column: Any, known: Sequence[Any], width: int) -> str:
    if not isinstance(column, str):
        return f"but X has {plural(width, 'column')}, from 0 to {width - 1}"
    if not known:
        return "but the columns of X have no names; take indexes, or pass feature_names="
    shown = [name for name in known if isinstance(name, str)]
    return f"but no column of X is called so.{did_you_mean(column, shown)}"
