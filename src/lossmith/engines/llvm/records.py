"""What kernels leave for each block, and what that says of a call."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import Findings
from lossmith.engines.llvm import judge
from lossmith.engines.llvm.frame import NOWHERE, RECORD

Array = npt.NDArray[Any]

_PAIR = struct.Struct("dd")


class Record(ctypes.Structure):
    """What a kernel leaves for a block; see ``frame.RECORD``."""

    _fields_ = (
        ("sum", ctypes.c_double), ("count", ctypes.c_int64), ("bad", ctypes.c_int64), ("wrong", ctypes.c_int64),
    )  # fmt: skip


TYPE = np.dtype(Record)
SIZE = 8 * RECORD
assert TYPE.itemsize == SIZE


class Room(NamedTuple):
    """Room for the records of a call, and behind them for their sum.

    Attributes:
        content: all of it.
        begin: where it lies.
        blocks: how many there are.
    """

    content: bytearray
    begin: int
    blocks: int

    @classmethod
    def of(cls, blocks: int) -> Room:
        """Return room for so many."""
        content = bytearray(SIZE * (blocks + 1))
        return cls(content, ctypes.addressof(ctypes.c_char.from_buffer(content)), blocks)

    def sums(self, *, leaves: bool = False) -> Sequence[float] | None:
        """Return numbers whose sum is that of all blocks, or nothing where one has more to say than its sum.

        Args:
            leaves: whether the kernel counts what it leaves to the reference.
        """
        behind = SIZE * self.blocks
        said = judge.judge()(self.begin, self.blocks, -int(leaves), self.begin + behind)
        if said == judge.MORE:
            return None
        if said == judge.WHOLE:
            return _PAIR.unpack_from(self.content, behind)
        found: list[float] = np.frombuffer(self.content, TYPE, self.blocks)["sum"].tolist()
        return found

    def total(self, *, leaves: bool = False) -> float | None:
        """Return the sum of all blocks, or nothing where one has more to say or it overflows; see ``sums``."""
        found = self.sums(leaves=leaves)
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
    bad, wrong = (np.flatnonzero(records[what] != NOWHERE).tolist() for what in ("bad", "wrong"))
    return Findings(records["sum"].tolist(), bad, wrong, left)
