"""How kernels of rows are called: with what stays the same from call to call, and with what each call brings."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.addresses import address
from lossmith.engines.choice import Findings
from lossmith.engines.llvm import records, shares, threads
from lossmith.engines.llvm.entry import Target, most
from lossmith.engines.llvm.hand_over import Later
from lossmith.engines.llvm.one_block import OneBlock
from lossmith.engines.llvm.row_places import Places

Array = npt.NDArray[Any]
Pointers = Mapping[str, int | None]


class RowCall:
    """A kernel of rows with all that stays the same from call to call.

    Args:
        kernel: compiled; takes a table of pointers, what derivatives are multiplied by, two numbers more, how many rows
            there are, some sizes, the first block to work on and the one to stop before.
        arguments: names of the pointers in the table, in order; ``records`` and ``scratch`` among them.
        brought: those of what a plain call brings: targets or p, predictions or q, then what is written.
        kept: arrays that stay the same, by name.
        numbers: the two numbers.
        sizes: classes in a row, rows in a block, and whatever else the kernel wants.
        scratch: bytes that each thread needs for itself.
        least: numbers that are worth a thread of their own.
        step: blocks that a thread takes at a time, at most.
        leaves: whether it counts what it leaves to the reference.
        slow: the kernel that it hands rows over to, if there is one.

    Attributes:
        most: how many numbers a function takes; see ``entry.most``.
    """

    def __init__(
        self,
        kernel: Any,
        arguments: Sequence[str],
        *,
        brought: Sequence[str],
        kept: Mapping[str, Array | None],
        numbers: tuple[float, float],
        sizes: tuple[int, ...],
        scratch: int,
        least: int,
        step: int = threads.STEP,
        leaves: bool = False,
        slow: Later | None = None,
    ) -> None:
        self._kernel, self._brought, self._kept, self._slow = kernel, brought, kept, slow
        self._begin = ctypes.cast(kernel, ctypes.c_void_p)
        known = {name: address(array) for name, array in kept.items() if array is not None}
        if slow is not None:
            known["slow"] = address(slow.place)
        self._fixed = [known.get(name) for name in arguments]
        self._place = {name: place for place, name in enumerate(arguments)}
        self._numbers, self._sizes, self._scratch, self._leaves = numbers, sizes, scratch + 64, leaves
        self._least, self._step = max(1, least // (sizes[0] * sizes[1])), step
        self.most = most(sizes[0] * sizes[1], self._least)
        self._table = ctypes.c_void_p * len(arguments)

    def run(self, places: Places, given: Pointers, rows: int, factor: float) -> Findings:
        """Run the kernel over all blocks, on as many threads as are worth it.

        Args:
            places: where rows lie.
            given: the other pointers of this call, by name.
            rows: how many there are.
            factor: what derivatives are multiplied by.

        Raises:
            NoKernel: when the kernel that rows were handed over to could not be made.
        """
        left = np.empty(-(-rows // self._sizes[1]), records.TYPE)
        given = {**given, "records": address(left)}

        def through_rooms(first: int, last: int) -> None:
            table, scratch = self._filled(given)

            def call(first: int, last: int, begins: Mapping[str, int]) -> None:
                self._put(table, begins)
                self._kernel(*self._arguments(table, rows, factor), first, last)

            places.work(call, first, last)
            del scratch  # it had to live as long

        if places.begins is None:
            threads.run(through_rooms, len(left), self._least)
        else:
            self._over(len(left), {**given, **places.begins}, rows, factor)
        if self._slow is not None:
            self._slow.heed()
        return records.findings(left, leaves=self._leaves)

    def plain(self, arrays: Sequence[Array], factor: float) -> float | None:
        """Run the kernel over a few blocks of arrays that lie and hold what it wants, in the order of what is brought.

        Returns:
            The sum, or nothing where a block has more to say.
        """
        rows = len(arrays[0])
        if rows <= self._sizes[1]:
            return self.one_block([*map(address, arrays)], rows, factor)
        room = records.Room.of(-(-rows // self._sizes[1]))
        given = dict(zip(self._brought, map(address, arrays), strict=True), records=room.begin)
        self._over(room.blocks, given, rows, factor)
        return room.total(leaves=self._leaves)

    def _over(self, blocks: int, given: Pointers, rows: int, factor: float) -> None:
        """Call the kernel over blocks of rows that lie as it wants them; each thread has its own scratch."""

        def work(first: int, last: int) -> None:
            table, scratch = self._filled(given)
            self._kernel(*self._arguments(table, rows, factor), first, last)
            del scratch  # it had to live as long

        def share(at: int, most: int) -> int:
            table, scratch = self._filled(given)
            shared = shares.shared(("ptr", *["double"] * 3, *["i64"] * (1 + len(self._sizes))))
            left = shared(self._begin, at, most, *self._arguments(table, rows, factor))
            del scratch
            return int(left)

        threads.run(work, blocks, self._least, share, self._step)

    @cached_property
    def one_block(self) -> OneBlock:
        """The kernel over at most a block of arrays as ``plain`` takes them."""

        def layout(left: int) -> tuple[Any, Sequence[Any], Any]:
            table, scratch = self._filled({"records": left})
            begin = ctypes.addressof(table)
            return table, (begin, 1.0, *self._numbers, 0, *self._sizes, 0, 1), (self._kept, scratch)

        places = [self._place[name] for name in self._brought]
        return OneBlock(self._kernel, layout, places, factor=1, rows=4, leaves=self._leaves)

    @property
    def target(self) -> Target:
        """The kernel as functions of Python call it, with arrays in the order of what is brought."""
        return Target(
            self._kernel, self, self._sizes[1], leaves=self._leaves,
            table=self._fixed, at=[self._place[x] for x in self._brought],
            record=self._place["records"], scratch=self._place["scratch"], scratch_bytes=self._scratch,
            numbers=self._numbers, sizes=self._sizes,
        )  # fmt: skip

    def _filled(self, given: Pointers) -> tuple[ctypes.Array[ctypes.c_void_p], Array]:
        """Return the table of a thread, and the scratch that it points to, which has to live as long."""
        table, scratch = self._table(*self._fixed), np.empty(self._scratch, np.uint8)
        begin = address(scratch)
        self._put(table, given)
        table[self._place["scratch"]] = begin + -begin % 64
        return table, scratch

    def _put(self, table: ctypes.Array[ctypes.c_void_p], begins: Pointers) -> None:
        for name, begin in begins.items():
            table[self._place[name]] = begin

    def _arguments(self, table: ctypes.Array[ctypes.c_void_p], rows: int, factor: float) -> tuple[Any, ...]:
        return table, factor, *self._numbers, rows, *self._sizes


@dataclass(frozen=True)
class Prepared:
    """A call that only wants to be run."""

    call: RowCall
    places: Places
    given: Pointers
    rows: int

    def run(self, divisor: float) -> Findings:
        """Run the kernel; derivatives are divided by a number."""
        return self.call.run(self.places, self.given, self.rows, 1 / divisor)
