"""Kernels over one block, called again and again: what a call takes is made once, and only what is new is put in."""

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
        rows, factor: those that are put into these arguments.
        kept: what must live as long.
    """

    table: Any
    record: Record
    call: Callable[[], None]
    rows: Any
    factor: Any
    kept: Any


class OneBlock:
    """A kernel that only wants to know where arrays begin, how many rows there are, and what derivatives become.

    Args:
        kernel: compiled.
        layout: returns, for the address of a record, a table of pointers, the arguments of the kernel but for rows
            and factor, and what must live as long as they are used.
        places: places in the table of what a call brings, in its order.
        rows: the place of their number among the arguments.
        factor: the place of what derivatives are multiplied by.
        leaves: whether the kernel counts what it leaves to the reference.
    """

    def __init__(
        self,
        kernel: Any,
        layout: Layout,
        places: Sequence[int],
        *,
        rows: int,
        factor: int,
        leaves: bool = False,
    ) -> None:
        self._kernel, self._layout, self._places, self._leaves = kernel, layout, tuple(places), leaves
        self._rows, self._factor = rows, factor
        self._free: list[_Frame] = []  # kernels run outside Python's lock, so each thread takes a frame of its own

    def __call__(self, begins: Sequence[int], rows: int, factor: float) -> float | None:
        """Run the kernel and return the sum of losses, or nothing where there is more to say.

        Args:
            begins: where the arrays begin.
            rows: how many there are, at most a block.
            factor: what derivatives are multiplied by.
        """
        try:
            frame = self._free.pop()
        except IndexError:
            frame = self._frame()
        table, record, call, count, scale, _ = frame
        for place, begin in zip(self._places, begins):  # noqa: B905  # this is half of a call
            table[place] = begin
        count.value, scale.value = rows, factor
        call()
        fine = record.bad == NOWHERE == record.wrong and not (self._leaves and record.count)
        total = record.sum if fine else None
        self._free.append(frame)
        return total

    def _frame(self) -> _Frame:
        record = Record()
        table, arguments, kept = self._layout(ctypes.addressof(record))
        given = [kind(value) for kind, value in zip(self._kernel.argtypes, arguments, strict=True)]
        call = partial(self._kernel, *given)
        return _Frame(table, record, call, given[self._rows], given[self._factor], kept)
