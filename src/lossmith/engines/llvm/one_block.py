"""Kernels over one block of rows that lie as they did at the call before, and only begin elsewhere."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from lossmith.engines.llvm.frame import NOWHERE
from lossmith.engines.llvm.records import Record

Layout = Callable[[int], tuple[Any, Sequence[Any], Any]]


class _Frame(NamedTuple):
    """What one call of a kernel takes, made once.

    Attributes:
        table: pointers, those that a call brings among them.
        record: what the kernel leaves.
        call: the kernel with its arguments.
        kept: what must live as long.
    """

    table: Any
    record: Record
    call: Callable[[], None]
    kept: Any


class OneBlock:
    """A kernel that only wants to know where arrays begin.

    Args:
        kernel: compiled.
        layout: returns, for the address of a record, a table of pointers, the arguments of the kernel, and what must
            live as long as they are used.
        places: places in the table of what a call brings, in its order.
        leaves: whether the kernel counts what it leaves to the reference.
        judges: whether it finds out about class indices that are none.
    """

    def __init__(
        self, kernel: Any, layout: Layout, places: Sequence[int], *, leaves: bool = False, judges: bool = False
    ) -> None:
        self._kernel, self._layout, self._places, self._leaves = kernel, layout, tuple(places), leaves
        self.judges = judges
        self._free: list[_Frame] = []  # kernels run outside Python's lock, so each thread takes a frame of its own

    def __call__(self, begins: Sequence[int]) -> float | None:
        """Run the kernel and return the sum of losses, or nothing where there is more to say.

        Args:
            begins: where the arrays begin.
        """
        try:
            frame = self._free.pop()
        except IndexError:
            frame = self._frame()
        table, record, call, _ = frame
        for place, begin in zip(self._places, begins):  # noqa: B905  # this is half of a call
            table[place] = begin
        call()
        fine = record.bad == NOWHERE == record.wrong and not (self._leaves and record.count)
        total = record.sum if fine else None
        self._free.append(frame)
        return total

    def _frame(self) -> _Frame:
        record = Record()
        table, arguments, kept = self._layout(ctypes.addressof(record))
        given = [kind(value) for kind, value in zip(self._kernel.argtypes, arguments, strict=True)]
        return _Frame(table, record, partial(self._kernel, *given), kept)
