"""LightGBM itself, imported when it is first needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

from lossmith.core.mistakes import warn
from lossmith.errors import MissingDependencyError, did_you_mean
from lossmith.frameworks.boosting.columns import refuse_no_numbers
from lossmith.frameworks.boosting.held import by_rows, numbers_of, refuse_no_table


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
        refuse_no_numbers(X, "LightGBM")
        return X
    array = numbers_of(X)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
