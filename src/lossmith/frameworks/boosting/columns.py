"""Columns of features: which ones hold categories or may meet, by name or by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossmith.errors import ParameterError, did_you_mean, plural


def places(columns: Any, X: Any, names: Sequence[str] | None = None, *, called: str = "categorical") -> list[int]:
    """Return where some columns lie.

    Args:
        columns: their indexes or names.
        X: features, as the library takes them.
        names: of all columns; by default those of a data frame.
        called: what the user calls them.

    Raises:
        ParameterError: for a column that is not there.
    """
    known, width = names_of(X) if names is None else list(names), int(X.shape[1])
    if isinstance(columns, str) or not hasattr(columns, "__iter__"):
        raise ParameterError(f"{called} must be a list of indexes or names of columns, got {columns!r}")
    found = []
    for column in columns:
        if isinstance(column, int | np.integer) and not isinstance(column, bool) and 0 <= column < width:
            found.append(int(column))  # a place, whatever columns are called
        elif isinstance(column, str) and column in known:
            found.append(known.index(column))
        else:
            raise ParameterError(f"{called} holds {column!r}, {_missing(column, known, width)}")
    return found


_GROUPS = "interaction_constraints"


def grouped(given: Mapping[str, Any], X: Any, names: Sequence[str] | None = None) -> dict[str, list[list[int]]]:
    """Return the setting of which columns may meet in a tree, with their places; nothing where there is none, or text.

    LightGBM takes names, and tuples of places, for other columns without a word, and ends the process at a place that
    is not there; XGBoost knows no places in lists.

    Args:
        given: settings of the library.
        X: features, as the library takes them.
        names: of all columns; by default those of a data frame.

    Raises:
        ParameterError: for a column that is not there, and for what is no list of groups.
    """
    groups = given.get(_GROUPS)
    if groups is None or isinstance(groups, str):
        return {}
    if not hasattr(groups, "__iter__") or any(isinstance(it, str) or not hasattr(it, "__iter__") for it in groups):
        raise ParameterError(f"{_GROUPS} must be a list of groups of columns, such as [[0, 1], [2]], got {groups!r}")
    return {_GROUPS: [places(group, X, names, called=_GROUPS) for group in groups]}


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
