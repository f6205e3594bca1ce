"""Columns of features, by name or by place: which ones hold categories, may meet, or have a sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossmith.errors import KindError, ParameterError, ShapeError, did_you_mean, plural


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


_GROUPS, _SIGNS = "interaction_constraints", "monotone_constraints"


def constrained(given: Mapping[str, Any], X: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the settings of which columns may meet in a tree, and of which way predictions go along columns.

    LightGBM takes names, tuples of places and text in brackets for something else without a word, and ends the process
    at a place that is not there; XGBoost has no places in lists, and no lists of signs.

    Args:
        given: settings of the library.
        X: features, as the library takes them.
        names: of all columns; by default those of a data frame.

    Returns:
        Lists of places and the signs of all columns, of those that are set; groups that are text stay as they are.

    Raises:
        ParameterError: for columns that are not there, and for what is no groups or signs.
    """
    groups, signs = given.get(_GROUPS), given.get(_SIGNS)
    found: dict[str, Any] = {}
    if groups is not None and not isinstance(groups, str):
        if not hasattr(groups, "__iter__") or any(isinstance(it, str) or not hasattr(it, "__iter__") for it in groups):
            raise ParameterError(
                f"{_GROUPS} must be a list of groups of columns, such as [[0, 1], [2]], got {groups!r}"
            )
        found[_GROUPS] = [places(group, X, names, called=_GROUPS) for group in groups]
    if signs is not None:
        found[_SIGNS] = _signs(signs, X, names)
    return found


def _signs(signs: Any, X: Any, names: Sequence[str] | None) -> tuple[int, ...]:
    width, each = int(X.shape[1]), signs
    if isinstance(signs, Mapping):
        by_place = dict(zip(places(signs, X, names, called=_SIGNS), signs.values(), strict=True))
        each = [by_place.get(place, 0) for place in range(width)]
    elif isinstance(signs, str):
        each = signs.strip(" ()[]").split(",")
    try:
        known = tuple(float(sign) for sign in each)
    except (TypeError, ValueError):
        known = ()
    if len(known) != width or any(sign not in (-1, 0, 1) for sign in known):
        raise ParameterError(
            f"{_SIGNS} must be -1, 0 or 1 for each of {plural(width, 'column')}, or a mapping of columns to these, got "
            f"{signs!r}"
        )
    return tuple(map(int, known))


def names_of(X: Any) -> list[Any]:
    """Return the names that a table has for its columns; none of an array."""
    found = getattr(X, "column_names", None)
    return list(getattr(X, "columns", ()) if found is None else found)  # in Arrow's tables ``columns`` are the numbers


def refuse_other_width(X: Any, width: int, *, what: str = "X") -> None:
    """Refuse another number of columns than in training.

    Args:
        X: features of other rows, as the library takes them.
        width: the number of columns in training.
        what: the name of X in messages.

    Raises:
        ShapeError: for another number.
    """
    if X.shape[1] != width:
        raise ShapeError(f"{what} has {plural(X.shape[1], 'column')}, and in training there were {width}")


def refuse_others(X: Any, known: Sequence[str], library: str, *, what: str = "X") -> None:
    """Refuse other columns than those of the training, for libraries that go by places and take what lies there.

    Args:
        X: features of other rows, as the library takes them.
        known: what the library calls the columns of the training, in their order.
        library: its name.
        what: the name of X in messages.

    Raises:
        ShapeError: for another number of columns.
        ParameterError: for a table that has some of these columns at other places.
    """
    refuse_other_width(X, len(known), what=what)
    spelt = [_spelt(name) for name in known]
    for place, name in enumerate(names_of(X)):
        if spelt[place] != _spelt(name) in spelt:
            raise ParameterError(
                f"{what} has column {name!r} at place {place}, where it was at {spelt.index(_spelt(name))} in "
                f"training, and {library} goes by places; pass the columns in the order of training"
            )


_NUMBERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {
    *("float", "double", "bool"),  # of Arrow
    *("float32", "float64", "boolean"),  # of polars
}


def refuse_no_numbers(X: Any, library: str, others: tuple[str, ...] = ()) -> None:
    """Refuse columns of types of Arrow at which LightGBM ends the whole process, and XGBoost in a ``KeyError``.

    Args:
        X: a table; those of pandas are left to the libraries.
        library: its name.
        others: how types begin that the library takes beside numbers.

    Raises:
        KindError: for the first such column.
    """
    schema = getattr(X, "schema", None)
    if schema is None or not hasattr(X, "__arrow_c_stream__") or hasattr(X, "iloc"):
        return
    kinds = schema.items() if hasattr(schema, "items") else zip(schema.names, schema.types, strict=True)
    for name, kind in kinds:
        if (text := str(kind).lower()) not in _NUMBERS and not text.startswith(others):
            raise KindError(
                f"column {name!r} of X is of type {kind}, and {library} takes whole numbers, float32, float64 and "
                "booleans of Arrow and polars; pass codes of categories and categorical=, or X.to_pandas(), whose "
                "categories are found"
            )


def _spelt(name: Any) -> str:
    return str(name).replace(" ", "_")  # as LightGBM keeps it


def _missing(column: Any, known: Sequence[Any], width: int) -> str:
    if not isinstance(column, str):
        return f"but X has {plural(width, 'column')}, from 0 to {width - 1}"
    if not known:
        return "but the columns of X have no names; take indexes, or pass feature_names="
    shown = [name for name in known if isinstance(name, str)]
    return f"but no column of X is called so.{did_you_mean(column, shown)}"
