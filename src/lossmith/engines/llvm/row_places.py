"""Where rows lie in memory, and how kernels get at them: as they lie, or a block at a time through rooms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.llvm.kernel import address, element_type

Array = npt.NDArray[Any]
Call = Callable[[int, int, Mapping[str, int]], None]


def stretch_of(arrays: Collection[Any], rows: int) -> int:
    """Return how many rows lie side by side where classes lie apart: all, if no axis comes before that of the classes.

    Args:
        arrays: of rows, as ``lossmith.core.columns`` has them.
        rows: how many there are.
    """
    return next((int(array.inner) for array in arrays if not isinstance(array, np.ndarray)), rows)


class Places:
    """The places of all rows of a call.

    Args:
        given: rows to read, by name.
        taken: rows to write, by name.
        rows: how many of the first rows count.
        block: rows in a block.
        dtype: what is computed in, and rooms hold.
        across: whether the kernel wants the rows of a class side by side, instead of one row after the other.
        exact: whether it reads nothing but that type.

    Attributes:
        elements: what a kernel calls what the rows hold; nothing for those that go through a room.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        taken: Mapping[str, Any],
        rows: int,
        block: int,
        dtype: np.dtype[Any],
        *,
        across: bool = False,
        exact: bool = False,
    ) -> None:
        self._all, self._rows, self._block, self._dtype = {**given, **taken}, rows, block, dtype
        self._across, self._exact = across, exact
        self._stretch = stretch_of(self._all.values(), rows)
        self.elements = {name: self._element(array) for name, array in self._all.items()}
        self._begins = {name: address(_held(array)) for name, array in self._all.items()}
        self._given, self._taken = (
            {name: array for name, array in some.items() if not self.elements[name]} for some in (given, taken)
        )

    def _element(self, rows: Any) -> str:
        lie = self._steps(rows) is not None if self._across else rows.flags.c_contiguous
        lie = lie and _held(rows).flags.aligned and not (self._exact and rows.dtype != self._dtype)
        return element_type(rows.dtype) if lie else ""

    def _steps(self, rows: Any) -> tuple[int, int] | None:
        """Return the bytes from one stretch to the next and from one class to the next, if rows lie so."""
        if not isinstance(rows, np.ndarray):
            found: tuple[int, int] | None = rows.steps
            return found
        near, along = rows.strides
        return (self._stretch * near, along) if near == rows.itemsize else None

    def steps(self, names: Collection[str]) -> Array:
        """Return how many rows a stretch has, and the steps of each array, of its room where it has one."""
        room = (self._stretch * self._dtype.itemsize, self._block * self._dtype.itemsize)
        found = [(self.elements.get(name) and self._steps(self._all[name])) or room for name in names]
        return np.array([self._stretch, *(step for both in found for step in both)], np.int64)

    def work(self, call: Call, first: int, last: int) -> None:
        """Call a kernel on some blocks, by ``call(first block, the one to stop before, where arrays begin)``.

        Rows count from the first of all, in rooms as well.
        """
        if not self._given and not self._taken:
            call(first, last, self._begins)
            return
        rooms = {name: self._room(array.shape[1]) for name, array in {**self._given, **self._taken}.items()}
        for number in range(first, last):
            start, stop = number * self._block, min((number + 1) * self._block, self._rows)
            for name, array in self._given.items():
                rooms[name][: stop - start] = array[start:stop]
            here = {name: int(room.ctypes.data) - start * room.strides[0] for name, room in rooms.items()}
            call(number, number + 1, {**self._begins, **here})
            for name, array in self._taken.items():
                array[start:stop] = rooms[name][: stop - start]

    def _room(self, classes: int) -> Array:
        if self._across:
            return np.empty((classes, self._block), self._dtype).T
        return np.empty((self._block, classes), self._dtype)


def _held(rows: Any) -> Array:
    """Return the array that rows are of."""
    found: Array = getattr(rows, "array", rows)
    return found
