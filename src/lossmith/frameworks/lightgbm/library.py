"""LightGBM itself, imported when it is first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from lossmith.errors import MissingDependencyError
from lossmith.frameworks.boosting.held import by_rows, refuse_data_set


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


def table(X: Any) -> Any:
    """Return features as LightGBM takes them: data frames as they are, sparse matrices by rows, all else as numbers."""
    refuse_data_set(X)
    if hasattr(X, "tocsr"):
        return by_rows(X)
    if any(hasattr(X, name) for name in ("columns", "column_names")):
        return X
    array = np.asarray(X)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
