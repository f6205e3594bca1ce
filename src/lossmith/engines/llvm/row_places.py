"""Where rows lie in memory, and how kernels get at them: as they lie, or a block at a time through rooms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.addresses import address
from lossmith.engines.llvm.kernel import element_type

Array = npt.NDArray[Any]
Call = Callable[[int, int, Mapping[str, int]], None]


def lie_across(rows: Any) -> bool:
    """Return whether classes lie apart, with the rows of each side by side, so far as axes tell."""
    apart = not isinstance(rows, np.ndarray) or rows.strides[0] == rows.itemsize
    return apart and not rows.flags.c_contiguous


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
        self._rows, self._block, self._dtype, self._across, self._exact = rows, block, dtype, across, exact
        self._all = {**given, **taken}
        self._stretch = stretch_of(self._all.values(), rows) if across else 0
        self._begins: dict[str, int] = {}
        self.elements: dict[str, str] = {}
        for name, array in self._all.items():
            held = array if isinstance(array, np.ndarray) else array.array
            self._begins[name], self.elements[name] = address(held), self._element(array, held)
        self._given = {name: array for name, array in given.items() if not self.elements[name]}
        self._taken = {name: array for name, array in taken.items() if not self.elements[name]}

    def _element(self, rows: Any, held: Array) -> str:
        if not (held.flags.aligned and (self._steps(rows) if self._across else rows.flags.c_contiguous)):
            return ""
        return element_type(rows.dtype) if not self._exact or rows.dtype == self._dtype else ""

    def _steps(self, rows: Any) -> tuple[int, int] | None:
        """Return the bytes from one stretch to the next and from one class to the next, if rows lie so."""
        if not isinstance(rows, np.ndarray):
            found: tuple[int, int] | None = rows.steps
            return found
        near, along = rows.strides
        return (self._stretch * near, along) if near == rows.itemsize else None

    def steps(self, names: Collection[str]) -> Array | None:
        """Return how many rows a stretch has, and the steps of each array, or of its room; nothing but across."""
        if not self._across:
            return None
        room = (self._stretch * self._dtype.itemsize, self._block * self._dtype.itemsize)
        found = [(self.elements.get(name) and self._steps(self._all[name])) or room for name in names]
        return np.array([self._stretch, *(step for both in found for step in both)], np.int64)

    @property
    def begins(self) -> Mapping[str, int] | None:
        """Where arrays begin, if all lie as the kernel wants them."""
        return None if self._given or self._taken else self._begins

    def work(self, call: Call, first: int, last: int) -> None:
        """Call a kernel on single blocks, by ``call(first block, the one to stop before, where arrays begin)``.

        Rows count from the first of all, in rooms as well.
        """
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
