"""What kernels leave for each block, and what that says of a call."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import Findings
from lossmith.engines.llvm.frame import NOWHERE, RECORD

Array = npt.NDArray[Any]

FEW = 12
"""Blocks that are few: Python is quicker over their records, and NumPy smaller over those of more."""


class Record(ctypes.Structure):
    """What a kernel leaves for a block; see ``frame.RECORD``."""

    _fields_ = (
        ("sum", ctypes.c_double), ("count", ctypes.c_int64), ("bad", ctypes.c_int64), ("wrong", ctypes.c_int64),
    )  # fmt: skip


Records = ctypes.Array[Record] | Array
TYPE = np.dtype(Record)
assert TYPE.itemsize == 8 * RECORD


@cache
def _several(blocks: int) -> type[ctypes.Array[Record]]:
    return Record * blocks


def room(blocks: int) -> tuple[Records, int]:
    """Return records for blocks, and where they begin; a few are sooner made and read than an array."""
    if blocks <= FEW:
        few = _several(blocks)()
        return few, ctypes.addressof(few)
    many = np.empty(blocks, TYPE)
    return many, int(many.ctypes.data)


def sums(records: Records, *, leaves: bool = False) -> list[float] | None:
    """Return the sum of each block, or nothing where one has more to say than its sum.

    Args:
        records: what a kernel left.
        leaves: whether it counts what it leaves to the reference.
    """
    if isinstance(records, np.ndarray):
        found = findings(records, leaves=leaves)
        return None if found.bad or found.wrong or found.left else found.sums
    if any(record.bad != NOWHERE or record.wrong != NOWHERE or (leaves and record.count) for record in records):
        return None
    return [record.sum for record in records]


def total(found: Sequence[float] | None) -> float | None:
    """Return the sum of the sums of blocks, or nothing where there are none or it overflows."""
    try:
        return None if found is None else math.fsum(found)
    except OverflowError:
        return None


def findings(records: Array, *, leaves: bool = False) -> Findings:
    """Return what the records of blocks say.

    Args:
        records: what a kernel left.
        leaves: whether it counts what it leaves to the reference.
    """
    left = np.flatnonzero(records["count"]).tolist() if leaves else ()
    if len(records) <= FEW:
        found = Findings([], [], [], left)
        for number, (sum_, _, bad, wrong) in enumerate(records.tolist()):
            found.sums.append(sum_)
            if bad != NOWHERE:
                found.bad.append(number)
            if wrong != NOWHERE:
                found.wrong.append(number)
        return found
    bad, wrong = (np.flatnonzero(records[what] != NOWHERE).tolist() for what in ("bad", "wrong"))
    return Findings(records["sum"].tolist(), bad, wrong, left)
