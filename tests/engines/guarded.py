"""Arrays between pages that nobody may touch: reading or writing beyond their ends ends the process."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

Array = np.ndarray
PAGE = mmap.PAGESIZE
CANARY = 0xA5
_libc = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """Room for one array at a time."""

    def __init__(self, size: int) -> None:
        self._size = -(-size // PAGE) * PAGE
        self._room = mmap.mmap(-1, self._size + 2 * PAGE)
        self._all = np.frombuffer(self._room, np.uint8)
        for start in (0, self._size + PAGE):
            page = ctypes.c_void_p(self._all.ctypes.data + start)
            assert _libc.mprotect(page, ctypes.c_size_t(PAGE), 0) == 0  # no access
        self._open = self._all[PAGE:-PAGE]

    def hold(self, values: Array, *, slack: int = 0, low: bool = False, stride: int = 1) -> Array:
        """Return a copy of an array, ``slack`` bytes before the page behind, or behind the page before.

        The bytes around it say in ``untouched`` whether they were written to; with a ``stride`` other than 1, of an
        array of one axis, those between its numbers do, too. A negative one begins at the end.
        """
        self._open[:] = CANARY
        step = abs(stride)
        span = values.nbytes if step == 1 else ((values.size - 1) * step + 1) * values.itemsize
        first = slack if low else self._size - span - slack
        used = slice(first, first + span)
        self._around = np.ones(self._size, bool)
        if step == 1:
            held = self._open[used].view(values.dtype).reshape(values.shape)
            self._around[used] = False
        else:
            held = self._open[used].view(values.dtype)[::step]
            np.lib.stride_tricks.as_strided(
                self._around[first:], (values.size, values.itemsize), (step * values.itemsize, 1)
            )[...] = False
        held = held if stride > 0 else held[::-1]
        held[...] = values
        return held

    def untouched(self) -> bool:
        """Return whether the bytes around the numbers of the array are as they were."""
        return bool((self._open[self._around] == CANARY).all())


class Rooms:
    """As many guarded arrays as a test needs, made once."""

    def __init__(self, size: int) -> None:
        self._size, self._rooms, self._taken = size, list[Guarded](), 0

    def empty(self) -> None:
        """Let the next arrays take the places of those before."""
        self._taken = 0

    def hold(self, values: Array, **where: Any) -> Array:
        """Return a copy of an array in a room of its own."""
        if self._taken == len(self._rooms):
            self._rooms.append(Guarded(self._size))
        self._taken += 1
        return self._rooms[self._taken - 1].hold(values, **where)

    def untouched(self) -> bool:
        """Return whether nothing was written around any array."""
        return all(room.untouched() for room in self._rooms[: self._taken])
