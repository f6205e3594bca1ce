"""The labels of a matrix, where they lie.

``DMatrix.get_label`` copies them, which takes longer than to compute derivatives of as many rows.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost
from xgboost.libpath import find_lib_path

Array = npt.NDArray[Any]


def are(labels: Array, matrix: xgboost.DMatrix) -> bool:
    """Return whether a matrix has these labels, float32, one after the other."""
    there = _view(matrix)
    return there.size == labels.size and bool(np.array_equal(_bits(there), _bits(labels.reshape(-1))))


def _view(matrix: xgboost.DMatrix) -> Array:
    """Return the labels of a matrix, which last as long as it has them; a copy where they cannot be looked at."""
    read, place, count = _reader(), ctypes.POINTER(ctypes.c_float)(), ctypes.c_uint64()
    if read is None or read(matrix.handle, b"label", ctypes.byref(count), ctypes.byref(place)):
        return np.asarray(matrix.get_label(), np.float32).reshape(-1)
    return np.ctypeslib.as_array(place, (count.value,)) if count.value else np.zeros(0, np.float32)


@cache
def _reader() -> Any:
    """Return the function of XGBoost's C interface that says where numbers of a matrix lie, if it is found."""
    try:
        return ctypes.CDLL(find_lib_path()[0]).XGDMatrixGetFloatInfo
    except (OSError, AttributeError, IndexError, xgboost.core.XGBoostError):
        return None


def _bits(numbers: Array) -> Array:
    """Return numbers as whole ones, two in one where that can be, which are compared in half the time."""
    return numbers.view(np.int32 if numbers.size % 2 else np.int64)
