"""What kernels leave for each block, and what that says of a call."""

from __future__ import annotations

import ctypes
import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import Findings
from lossmith.engines.llvm.frame import NOWHERE, RECORD

Array = npt.NDArray[Any]

FEW = 64
"""Blocks that are few: Python is quicker over their records, and NumPy smaller over those of more."""


class Record(ctypes.Structure):
    """What a kernel leaves for a block; see ``frame.RECORD``."""

    _fields_ = (
        ("sum", ctypes.c_double), ("count", ctypes.c_int64), ("bad", ctypes.c_int64), ("wrong", ctypes.c_int64),
    )  # fmt: skip


TYPE = np.dtype(Record)
assert TYPE.itemsize == 8 * RECORD


@cache
def _several(blocks: int) -> type[ctypes.Array[Record]]:
    return Record * blocks


def of_few(blocks: int) -> ctypes.Array[Record]:
    """Return records for a few blocks, sooner made and read than an array."""
    return _several(blocks)()


def total(records: ctypes.Array[Record], *, leaves: bool = False) -> float | None:
    """Return the sum of a few blocks, or nothing where one has more to say than its sum.

    Args:
        records: what a kernel left.
        leaves: whether it counts what it leaves to the reference.
    """
    sums = []
    for record in records:
        if record.bad != NOWHERE or record.wrong != NOWHERE or (leaves and record.count):
            return None
        sums.append(record.sum)
    return math.fsum(sums)


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
