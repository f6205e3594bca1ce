"""Where arrays begin in memory, told more quickly than NumPy tells it, since small calls ask for it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy.typing as npt

_addressof, _byte_of = ctypes.addressof, ctypes.c_char.from_buffer


def address(array: npt.NDArray[Any]) -> int:
    """Return where an array begins."""
    try:
        return _addressof(_byte_of(array))  # type: ignore[arg-type]  # NumPy does not say so
    except (TypeError, ValueError, BufferError):  # for read-only, strided and empty ones by the slower way
        return int(array.ctypes.data)
