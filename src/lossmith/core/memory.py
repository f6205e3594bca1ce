"""Blocks of memory for large results: lent to them, and kept for the next when they are gone.

Allocators map anew, each time, what is larger than about 32 MB, and the system clears every page of that before it is
first written. That takes as long as many losses take, and a training loop would pay it at every step. A block that is
kept is marked as free, so a system short of memory takes its pages back. Where it cannot be so marked, nothing is kept.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Block = npt.NDArray[np.uint8]

LARGE = 1 << 25
"""Bytes from which blocks are lent; allocators keep smaller ones themselves."""
KEPT = 1 << 30
"""Bytes that are kept at most, in all."""
_WASTE = 1.25
"""How many times as large as it has to be a block may be."""

_FREE: int | None = getattr(mmap, "MADV_FREE", None)


def bytes_for(size: int) -> Block:
    """Return an array of bytes to fill; memory that was kept where some of the size is there."""
    return np.empty(size, np.uint8) if size < LARGE or not SPARE.can_keep else SPARE.lend(size)


class Spare:
    """What is kept. Every step on the dictionary is one of the interpreter, so threads and finalisers need no lock.

    Attributes:
        can_keep: whether memory can be marked as free here.
    """

    def __init__(self) -> None:
        self._blocks: dict[int, Block] = {}
        self._mark = _marker()
        self.can_keep = self._mark is not None

    def lend(self, size: int) -> Block:
        """Return an array of bytes, whose block comes back when nothing lies in it any more."""
        block = self._kept(size)
        if block is None:
            try:
                block = np.empty(size, np.uint8)
            except MemoryError:
                self.clear()
                block = np.empty(size, np.uint8)
        return np.asarray(_Loan(block, self.take_back))[:size]

    def _kept(self, size: int) -> Block | None:
        for key, block in list(self._blocks.items()):
            if size <= block.size <= _WASTE * size and self._blocks.pop(key, None) is not None:  # else it was taken
                return block
        return None

    def take_back(self, block: Block) -> None:
        """Keep a block that nothing lies in, and let go of the oldest where there are too many."""
        if block.size > KEPT or self._mark is None or not self._mark(block):
            return
        self._blocks[id(block)] = block
        for key in list(self._blocks):
            if self.kept <= KEPT:
                break
            self._blocks.pop(key, None)

    @property
    def kept(self) -> int:
        """The bytes that are kept."""
        return sum(block.size for block in list(self._blocks.values()))

    def clear(self) -> None:
        """Let go of all that is kept."""
        self._blocks.clear()


class _Loan:
    """What arrays hold on to that lie in a block."""

    __slots__ = ("__array_interface__", "_back", "_block")

    def __init__(self, block: Block, back: Callable[[Block], None]) -> None:
        self._block, self._back = block, back
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        self._back(self._block)


def _marker() -> Callable[[Block], bool] | None:
    """Return what marks the pages of a block as free, and says whether it could."""
    if _FREE is None:
        return None
    try:
        advise = ctypes.CDLL(None).madvise
    except (AttributeError, OSError):
        return None
    advise.argtypes, advise.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    page = mmap.PAGESIZE

    def mark(block: Block) -> bool:
        begin = block.__array_interface__["data"][0]
        first, last = -(-begin // page) * page, (begin + block.size) // page * page
        found: int = advise(first, last - first, _FREE)
        return found == 0

    return mark


SPARE = Spare()
"""What this process keeps."""
