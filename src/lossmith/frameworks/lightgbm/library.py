"""LightGBM itself, imported when it is first needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

from lossmith.core.mistakes import warn
from lossmith.errors import KindError, MissingDependencyError, did_you_mean
from lossmith.frameworks.boosting.held import by_rows, numbers_of, refuse_no_table

_NUMBERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {
    *("float", "double", "bool"),  # of Arrow
    *("float32", "float64", "boolean"),  # of polars
}


def library(module: str = "lightgbm") -> Any:
    """Return LightGBM, or a module of it.

    Raises:
        MissingDependencyError: when it, or what that module needs, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"training needs LightGBM, which is not installed: pip install 'lossmith[lightgbm]' ({error})"
        ) from None


def warn_of_unknown(owner: str, given: Iterable[str]) -> None:
    """Warn of settings that LightGBM does not know: it trains without them, and says so only where it may talk.

    Args:
        owner: what the message begins with.
        given: names of settings.
    """
    names = getattr(library("lightgbm.basic"), "_ConfigAliases", None)  # its list has no public name
    if names is None:
        return
    names.get("seed")  # it is read when it is first asked for
    known = {*names.aliases, *itertools.chain.from_iterable(names.aliases.values())}
    for name in given:
        if name not in known:
            warn(f"{owner}: LightGBM has no setting {name!r}, and trains without.{did_you_mean(name, known)}")


def table(X: Any) -> Any:
    """Return features as LightGBM takes them: data frames as they are, sparse matrices by rows, all else as numbers.

    Raises:
        KindError: for a data set, and for what holds no numbers.
    """
    refuse_no_table(X)
    if hasattr(X, "tocsr"):
        return by_rows(X)
    if any(hasattr(X, name) for name in ("columns", "column_names")):
        _refuse_no_numbers(X)
        return X
    array = numbers_of(X)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _refuse_no_numbers(X: Any) -> None:
    """Refuse columns of other types of Arrow than numbers, at which LightGBM ends the whole process."""
    schema = getattr(X, "schema", None)
    if schema is None or not hasattr(X, "__arrow_c_stream__") or hasattr(X, "iloc"):
        return
    kinds = schema.items() if hasattr(schema, "items") else zip(schema.names, schema.types, strict=True)
    for name, kind in kinds:
        if str(kind).lower() not in _NUMBERS:
            raise KindError(
                f"column {name!r} of X is of type {kind}, and LightGBM takes whole numbers, float32, float64 and "
                "booleans of Arrow and polars; pass codes of categories and categorical=, or X.to_pandas(), whose "
                "categories are found"
            )
