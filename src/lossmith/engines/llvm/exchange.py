"""How libraries tell machine code where their tensors lie: the table of functions of DLPack 1.

A class of tensors has the table as ``__dlpack_c_exchange_api__``. One function of it, ``(object, description) -> 0`` or
an error, fills in a description, which stays right as long as nobody changes the tensor.
"""

from __future__ import annotations

import ctypes

import numpy as np

FUNCTION = 40
"""Where the table keeps that function."""
DATA, DEVICE, AXES, KIND, SHAPE, STRIDES, OFFSET = 0, 8, 16, 20, 24, 32, 40
"""Where a description keeps what it says; strides are numbers, no bytes."""
DESCRIPTION = 48
"""Bytes of a description."""
CPU = 1
"""The device that is memory."""

_VERSION = 1
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}


def exports(cls: type) -> int:
    """Return where the function of a class is, or 0 where there is none that is known."""
    table = getattr(cls, "__dlpack_c_exchange_api__", None)
    if table is None:
        return 0
    find = ctypes.pythonapi["PyCapsule_GetPointer"]
    find.restype, find.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    begin = find(table, b"dlpack_exchange_api")
    if ctypes.c_uint32.from_address(begin).value != _VERSION:
        return 0
    return ctypes.c_void_p.from_address(begin + FUNCTION).value or 0


def kind(dtype: np.dtype[np.generic]) -> bytes:
    """Return what a description says of numbers of a type."""
    return bytes((_CODES[dtype.kind], 8 * dtype.itemsize, 1, 0))
