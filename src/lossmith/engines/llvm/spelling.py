"""How texts of LLVM spell numbers, types, and functions of its own."""

from __future__ import annotations

import ctypes
import struct
from functools import lru_cache

SHORT = {"half": "f16", "float": "f32", "double": "f64", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64"}
"""What the names of intrinsics call a type."""


def element_of(vector: str) -> str:
    """Return the type of the elements of a vector type."""
    return vector.partition(" x ")[2][:-1]


def literal(value: float, kind: str) -> str:
    """Return a number: the bits of the nearest double, of a float that it is."""
    if kind == "float":
        value = ctypes.c_float(value).value
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def splat(value: float, kind: str) -> str:
    """Return a number for every lane."""
    return _splat(struct.pack("<d", value), kind)  # by its bits: 0.0 is not -0.0


@lru_cache(maxsize=4096)
def _splat(bits: bytes, kind: str) -> str:
    (value,) = struct.unpack("<d", bits)
    return f"splat ({kind} {literal(value, kind)})"


@lru_cache(maxsize=1024)
def intrinsic(name: str, width: int, types: tuple[str, ...]) -> tuple[str, str]:
    """Return how one of LLVM's functions of vectors is called and declared, given the types of its arguments."""
    spelled = f"{types[0]} @llvm.{name}.v{width}{SHORT[element_of(types[0])]}"
    return f"call {spelled}", f"declare {spelled}({', '.join(types)})"
