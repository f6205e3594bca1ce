"""Rows that a kernel is not for, and hands over to another one, which is compiled when the first such row is met.

Most calls meet none, and compiling that kernel takes longer than compiling the first. A kernel finds the address of the
other behind a pointer in its table: at first, it is that of a function of Python. A kernel whose lanes are classes
hands over one row after the other; where lanes are rows, they wait until there are enough of them to fill lanes again.
What hands over is the same for all kernels, which share it: a list in memory says what there is to copy.
"""

from __future__ import annotations

import _thread
import ctypes
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import NoKernel
from lossmith.engines.llvm.frame import NOWHERE, RECORD
from lossmith.engines.llvm.hand_over_text import NUMBERS
from lossmith.engines.llvm.lanes import Kind
from lossmith.engines.llvm.memory import SIZES

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_double] * 3, *[ctypes.c_int64] * 5)
"""The type of both kernels; see ``row_by_row`` for what they are called with."""

ROOM = 4
"""Groups of rows that may wait."""


class Others(ABC):
    """The rows that a kernel hands over.

    Args:
        arguments: names of the pointers in the table of both kernels; ``handed`` is a list for ``called``.
        given, written: arrays of rows to read and to write; ``weight`` and ``losses`` are one number a row.
        element: what arrays hold.
    """

    def __init__(self, arguments: Sequence[str], given: Sequence[str], written: Sequence[str], element: Kind) -> None:
        self._arguments, self._given, self._all, self._size = arguments, given, (*given, *written), SIZES[element]

    def handed(self, classes: int) -> npt.NDArray[np.int64]:
        """Return the list of what is handed over."""
        records, slow = (8 * self._arguments.index(name) for name in ("records", "slow"))
        head = (8 * len(self._arguments), records, slow, len(self._given), len(self._all))
        arrays = ((8 * self._arguments.index(name), self._bytes(name, classes)) for name in self._all)
        return np.array([*head, *itertools.chain(*arrays)], np.int64)

    def _bytes(self, name: str, classes: int) -> int:
        """Return the bytes of a row in an array."""
        return {"weight": 8, "losses": self._size}.get(name, classes * self._size)

    def size(self, classes: int) -> int:
        """Return the bytes of scratch that this takes, from ``%lanes_waiting`` on."""
        return 0

    @abstractmethod
    def enter(self) -> list[str]:
        """Return the lines at the beginning of a kernel."""

    @abstractmethod
    def take(self, which: str) -> list[str]:
        """Return the lines that take rows; ``which`` is an integer with a bit for each lane where those are rows."""

    def serve(self) -> list[str]:
        """Return the lines that hand over what was taken for later; see ``row_by_row.end_row``."""
        return []


class Alone(Others):
    """A row that is handed over by itself."""

    def enter(self) -> list[str]:
        """Return the lines that make room for a record."""
        return [f"  %slow_record = alloca [{RECORD} x i64], align 8"]

    def take(self, which: str) -> list[str]:
        """Return the lines that hand the row over, and leave ``%slow_value``, ``_bad``, ``_wrong`` and ``_limit``."""
        given = "double %factor_one, double %first_one, double %second_one, i64 %classes, ptr %slow_record"
        lines = [
            f"  call void @row_over(ptr %table, ptr %handed, i64 %row, {given})",
            "  %slow_value = load double, ptr %slow_record, align 8",
        ]
        for name, place, nothing in (("bad", 2, NOWHERE), ("wrong", 3, NOWHERE), ("limit", 1, 0)):
            lines += [
                f"  %slow_{name}_at = getelementptr i64, ptr %slow_record, i64 {place}",
                f"  %slow_{name}_left = load i64, ptr %slow_{name}_at, align 8",
                f"  %slow_{name} = icmp ne i64 %slow_{name}_left, {nothing}",
            ]
        return lines


class Waiting(Others):
    """Rows that wait for others, with what is read of them, since results may be written over that.

    Args:
        arguments, given, written, element: see ``Others``.
        lanes: rows that are taken at a time.
    """

    def __init__(
        self, arguments: Sequence[str], given: Sequence[str], written: Sequence[str], element: Kind, lanes: int
    ) -> None:
        super().__init__(arguments, given, written, element)
        self._lanes, self._room = lanes, ROOM * lanes

    def size(self, classes: int) -> int:
        """Return the bytes that rows take which wait; see ``Others``."""
        return NUMBERS + self._room * (8 + sum(self._bytes(name, classes) for name in self._all))

    def enter(self) -> list[str]:
        """Return the line after which no row waits."""
        return ["  store i64 0, ptr %lanes_waiting, align 8"]

    def take(self, which: str) -> list[str]:
        """Return the lines that keep rows of the group."""
        given = f"ptr %table, ptr %handed, ptr %lanes_waiting, i64 {self._room}, i64 %waiting_lanes, i64 %group"
        return [
            f"  %waiting_any = icmp ne i{self._lanes} {which}, 0",
            "  br i1 %waiting_any, label %waiting_some, label %waiting_on\nwaiting_some:",
            f"  %waiting_lanes = zext i{self._lanes} {which} to i64",
            f"  call void @rows_wait({given})",
            "  br label %waiting_on\nwaiting_on:",
        ]

    def serve(self) -> list[str]:
        """Return the lines that hand rows over once there is no room for more, or the block ends."""
        given = f"ptr %table, ptr %handed, ptr %lanes_waiting, i64 {self._room}, double %factor, double %first_one"
        return [
            "  br label %serve\nserve:",
            f"  %serve_next = add i64 %group, {self._lanes}",
            "  %serve_on = icmp ult i64 %serve_next, %end",
            f"  %serve_most = select i1 %serve_on, i64 {self._room - self._lanes}, i64 0",
            "  %serve_rows = load i64, ptr %lanes_waiting, align 8",
            "  %serve_now = icmp ugt i64 %serve_rows, %serve_most",
            "  br i1 %serve_now, label %serving, label %served\nserving:",
            f"  call void @rows_serve({given}, double %second_one, i64 %classes, ptr %carried)",
            "  br label %served\nserved:",
        ]


class Later:
    """A kernel that is compiled when it is called first, by whatever thread that is.

    Args:
        make: returns it as ``ctypes`` has it.
        signature: its type.

    Attributes:
        place: an array that holds its address.
    """

    def __init__(self, make: Callable[[], Any], signature: Any = SIGNATURE) -> None:
        self._make = make
        self._made: Any = None
        self._error: NoKernel | None = None
        self._first = signature(self._meet)
        self.place = np.array([_address(self._first)], np.uintp)

    def _meet(self, *arguments: Any) -> None:
        try:
            made = self._make()
        except NoKernel as error:
            self._error = error
            return
        except KeyboardInterrupt:
            _thread.interrupt_main()  # which nothing around this function would see
            return
        self._made = made  # which has to live as long
        self.place[0] = _address(made)
        made(*arguments)

    def heed(self) -> None:
        """Raise what kept it from being made, if it was called."""
        if self._error is not None:
            raise self._error


def _address(function: Any) -> int:
    found = ctypes.cast(function, ctypes.c_void_p).value
    assert found is not None
    return found
