"""How kernels of rows are called: with what stays the same from call to call, and with what each call brings."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import Findings
from lossmith.engines.llvm import threads
from lossmith.engines.llvm.kernel import RECORD_TYPE, address, findings
from lossmith.engines.llvm.row_places import AsTheyLie, Places

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
        leaves: whether it counts what it leaves to the reference.
    """

    def __init__(
        self,
        kernel: Callable[..., None],
        arguments: Sequence[str],
        *,
        brought: Sequence[str],
        kept: Mapping[str, Array | None],
        numbers: tuple[float, float],
        sizes: tuple[int, ...],
        scratch: int,
        least: int,
        leaves: bool = False,
    ) -> None:
        self._kernel, self._arguments, self._brought, self._kept = kernel, arguments, brought, kept
        self._known = {name: address(array) for name, array in kept.items() if array is not None}
        self._numbers, self._sizes, self._scratch, self._leaves = numbers, sizes, scratch + 64, leaves
        self._least = max(1, least // (sizes[0] * sizes[1]))
        self._table = ctypes.c_void_p * len(arguments)

    def run(self, places: Places | AsTheyLie, given: Pointers, rows: int, factor: float) -> Findings:
        """Run the kernel over all blocks, on as many threads as are worth it.

        Args:
            places: where rows lie.
            given: the other pointers of this call, by name.
            rows: how many there are.
            factor: what derivatives are multiplied by.
        """
        blocks = -(-rows // self._sizes[1])
        records = np.empty(blocks, RECORD_TYPE)

        def work(first: int, last: int) -> None:
            scratch = np.empty(self._scratch, np.uint8)  # each thread its own
            begin = address(scratch)
            known = {**self._known, **given, "records": address(records), "scratch": begin + -begin % 64}

            def call(first: int, last: int, begins: Mapping[str, int]) -> None:
                known.update(begins)
                table = self._table(*map(known.get, self._arguments))
                self._kernel(ctypes.addressof(table), factor, *self._numbers, rows, *self._sizes, first, last)

            places.work(call, first, last)

        threads.run(work, blocks, self._least)
        found = findings(records)
        return found._replace(left=np.flatnonzero(records["count"]).tolist()) if self._leaves else found

    def plain(self, arrays: Sequence[Array], factor: float) -> Findings:
        """Run the kernel over arrays that lie and hold what it wants, in the order of what a plain call brings."""
        begins = dict(zip(self._brought, map(address, arrays), strict=True))
        return self.run(AsTheyLie(begins), {}, len(arrays[0]), factor)


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
