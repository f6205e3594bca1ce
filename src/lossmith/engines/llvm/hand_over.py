"""Rows that a kernel is not for, and hands over to another one, which is compiled when the first such row is met.

Most calls meet none, and compiling that kernel takes longer than compiling the first. A kernel finds the address of the
other behind a pointer in its table: at first, it is that of a function of Python. A kernel whose lanes are classes
hands over one row after the other; where lanes are rows, they wait until there are enough of them to fill lanes again.
"""

from __future__ import annotations

import _thread
import ctypes
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lossmith.engines.choice import NoKernel
from lossmith.engines.llvm.frame import NOWHERE, RECORD, onward
from lossmith.engines.llvm.lanes import Kind
from lossmith.engines.llvm.memory import SIZES

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_double] * 3, *[ctypes.c_int64] * 5)
"""The type of both kernels; see ``row_by_row`` for what they are called with."""


ROOM = 4
"""Groups of rows that may wait."""

DECLARED = {"declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)", "declare i64 @llvm.cttz.i64(i64, i1)"}
"""What the text of rows that wait declares."""


class Others(ABC):
    """The rows that a kernel hands over.

    Args:
        arguments: names of the pointers in the table of both kernels.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments

    def size(self, classes: int) -> int:
        """Return the bytes of scratch that this takes, from ``%lanes_waiting`` on."""
        return 0

    def enter(self) -> list[str]:
        """Return the lines, at the beginning of a kernel, that make room for the table and the record."""
        return [
            f"  %slow_table = alloca [{len(self._arguments)} x ptr], align 8",
            f"  %slow_record = alloca [{RECORD} x i64], align 8",
        ]

    @abstractmethod
    def take(self, which: str) -> list[str]:
        """Return the lines that take rows; ``which`` is an integer with a bit for each lane where those are rows."""

    def serve(self, sum_type: str, truth: str) -> list[str]:
        """Return the lines that hand over what was taken for later; see ``row_by_row.end_row``."""
        return []

    def _call(self, arrays: Mapping[str, str], factor: str, rows: int | str = 1) -> list[str]:
        """Return the lines that hand rows over and read what is left: ``slow_value``, ``_bad``, ``_wrong``, ``_limit``.

        Args:
            arrays: where they begin, by name.
            factor: what derivatives are multiplied by.
            rows: how many there are.
        """
        given = {**arrays, "uniforms": "%uniforms", "scratch": "%scratch", "records": "%slow_record"}
        lines = []
        for name, pointer in given.items():
            place = self._arguments.index(name)
            lines.append(f"  %slow_to{place} = getelementptr ptr, ptr %slow_table, i64 {place}")
            lines.append(f"  store ptr {pointer}, ptr %slow_to{place}, align 8")
        # Where the other kernel cannot be made, nothing is written, and this says that there is more to say.
        for place, (name, before) in enumerate({"value": 0, "count": 1, "bad": NOWHERE, "wrong": NOWHERE}.items()):
            lines.append(f"  %slow_{name}_at = getelementptr i64, ptr %slow_record, i64 {place}")
            lines.append(f"  store i64 {before}, ptr %slow_{name}_at, align 8")
        sizes = f"i64 {rows}, i64 %classes, i64 {rows}, i64 0, i64 1"
        lines += [
            "  %slow_way = load ptr, ptr %slow, align 8",
            f"  call void %slow_way(ptr %slow_table, double {factor}, double %first_one, double %second_one, {sizes})",
            "  %slow_value = load double, ptr %slow_value_at, align 8",
        ]
        for flag, name, nothing in (("bad", "bad", NOWHERE), ("wrong", "wrong", NOWHERE), ("limit", "count", 0)):
            lines.append(f"  %slow_{flag}_left = load i64, ptr %slow_{name}_at, align 8")
            lines.append(f"  %slow_{flag} = icmp ne i64 %slow_{flag}_left, {nothing}")
        return lines


class Alone(Others):
    """A row that is handed over by itself.

    Args:
        arguments: see ``Others``.
        arrays: those that hold rows.
    """

    def __init__(self, arguments: Sequence[str], arrays: Sequence[str]) -> None:
        super().__init__(arguments)
        self._arrays = arrays

    def take(self, which: str) -> list[str]:
        """Return the lines that hand the row over, and leave what is left of it; see ``_call``."""
        return self._call({name: f"%row_{name}" for name in self._arrays}, "%factor_one")


class Waiting(Others):
    """Rows of a kernel whose lanes are rows, which wait until some can be handed over together.

    What is read of them is kept, since results may be written over it by then. What comes of them is put where it
    belongs after the kernel has written its own results there.

    Args:
        arguments: see ``Others``.
        given, written: arrays of rows to read and to write; ``weight`` and ``losses`` are one number a row.
        element: what arrays hold.
        lanes: rows that are taken at a time.
    """

    def __init__(
        self, arguments: Sequence[str], given: Sequence[str], written: Sequence[str], element: Kind, lanes: int
    ) -> None:
        super().__init__(arguments)
        self._given, self._written, self._size, self._lanes = given, written, SIZES[element], lanes
        self._room = ROOM * lanes

    def size(self, classes: int) -> int:
        """Return the bytes that rows take which wait; see ``Others``."""
        return self._room * (8 + sum(self._bytes(name) or classes * self._size for name in self._all))

    @property
    def _all(self) -> tuple[str, ...]:
        return (*self._given, *self._written)

    def _bytes(self, name: str) -> int:
        """Return the bytes of a row in an array of one number a row, or 0."""
        return {"row": 8, "weight": 8, "losses": self._size}.get(name, 0)

    def enter(self) -> list[str]:
        """Return the lines, at the beginning of a kernel, that make room, for rows that wait as well."""
        lines = [
            *super().enter(),
            "  %waiting_rows = alloca i64, align 8",
            "  store i64 0, ptr %waiting_rows, align 8",
            f"  %row_bytes = mul i64 %classes, {self._size}",
        ]
        begin = "%lanes_waiting"
        for name in ("row", *self._all):
            lines += [
                f"  %waiting_{name} = getelementptr i8, ptr {begin}, i64 0",
                f"  %waiting_{name}_bytes = mul i64 {self._bytes(name) or '%row_bytes'}, {self._room}",
                f"  %waiting_{name}_end = getelementptr i8, ptr %waiting_{name}, i64 %waiting_{name}_bytes",
            ]
            begin = f"%waiting_{name}_end"
        return lines

    def take(self, which: str) -> list[str]:
        """Return the lines that keep rows of the group."""
        return [
            f"  %waiting_any = icmp ne i{self._lanes} {which}, 0",
            "  br i1 %waiting_any, label %waiting_some, label %waiting_on\nwaiting_some:",
            f"  %waiting_first = zext i{self._lanes} {which} to i64",
            "  %waiting_from = load i64, ptr %waiting_rows, align 8",
            "  br label %waiting_one\nwaiting_one:",
            "  %waiting_bits = phi i64 [ %waiting_first, %waiting_some ], [ %waiting_rest, %waiting_one ]",
            "  %waiting_n = phi i64 [ %waiting_from, %waiting_some ], [ %waiting_next, %waiting_one ]",
            "  %waiting_lane = call i64 @llvm.cttz.i64(i64 %waiting_bits, i1 true)",
            "  %waiting_number = add i64 %group, %waiting_lane",
            "  %waiting_number_to = getelementptr i64, ptr %waiting_row, i64 %waiting_n",
            "  store i64 %waiting_number, ptr %waiting_number_to, align 8",
            *self._copied("kept", self._given, "%waiting_n", "%waiting_number"),
            "  %waiting_less = sub i64 %waiting_bits, 1",
            "  %waiting_rest = and i64 %waiting_bits, %waiting_less",
            onward("%waiting_next", "%waiting_n", 1),
            "  %waiting_more = icmp ne i64 %waiting_rest, 0",
            "  br i1 %waiting_more, label %waiting_one, label %waiting_end\nwaiting_end:",
            "  store i64 %waiting_next, ptr %waiting_rows, align 8",
            "  br label %waiting_on\nwaiting_on:",
        ]

    def serve(self, sum_type: str, truth: str) -> list[str]:
        """Return the lines that hand rows over once there is no room for more, or the block ends.

        They leave what there is to add to the sum and to flags of the block: ``served_sum``, ``_bad`` and so on.
        """
        flags = ("bad", "wrong", "limit")
        return [
            "  br label %serve\nserve:",
            f"  %serve_next = add i64 %group, {self._lanes}",
            "  %serve_on = icmp ult i64 %serve_next, %end",
            f"  %serve_most = select i1 %serve_on, i64 {self._room - self._lanes}, i64 0",
            "  %serve_rows = load i64, ptr %waiting_rows, align 8",
            "  %serve_now = icmp ugt i64 %serve_rows, %serve_most",
            "  br i1 %serve_now, label %serving, label %served\nserving:",
            *self._call({name: f"%waiting_{name}" for name in self._all}, "%factor", "%serve_rows"),
            f"  %serve_sum = insertelement {sum_type} zeroinitializer, double %slow_value, i32 0",
            *(f"  %serve_{name} = insertelement {truth} zeroinitializer, i1 %slow_{name}, i32 0" for name in flags),
            "  store i64 0, ptr %waiting_rows, align 8",
            "  br label %serve_one\nserve_one:",
            "  %serve_n = phi i64 [ 0, %serving ], [ %serve_n_next, %serve_one ]",
            "  %serve_number_at = getelementptr i64, ptr %waiting_row, i64 %serve_n",
            "  %serve_number = load i64, ptr %serve_number_at, align 8",
            *self._copied("given", self._written, "%serve_number", "%serve_n"),
            onward("%serve_n_next", "%serve_n", 1),
            "  %serve_more = icmp ult i64 %serve_n_next, %serve_rows",
            "  br i1 %serve_more, label %serve_one, label %served\nserved:",
            *(
                f"  %served_{name} = phi {type_} [ zeroinitializer, %serve ], [ %serve_{name}, %serve_one ]"
                for name, type_ in {"sum": sum_type, **dict.fromkeys(flags, truth)}.items()
            ),
        ]

    def _copied(self, prefix: str, arrays: Sequence[str], to: str, source: str) -> list[str]:
        """Return the lines that copy a row of some arrays: to what is kept, or from there."""
        lines = []
        for name in arrays:
            bytes_ = self._bytes(name) or "%row_bytes"
            for end, row in (("to", to), ("from", source)):
                kept = (end == "to") == (prefix == "kept")
                pointer = f"%waiting_{name}" if kept else f"%{name}"
                lines.append(f"  %{prefix}_{name}_{end}_byte = mul i64 {row}, {bytes_}")
                at = f"getelementptr i8, ptr {pointer}, i64 %{prefix}_{name}_{end}_byte"
                lines.append(f"  %{prefix}_{name}_{end} = {at}")
            ends = f"ptr %{prefix}_{name}_to, ptr %{prefix}_{name}_from"
            lines.append(f"  call void @llvm.memcpy.p0.p0.i64({ends}, i64 {bytes_}, i1 false)")
        return lines


class Later:
    """A kernel of rows that is compiled when it is called first, by whatever thread that is.

    Args:
        make: returns it as ``ctypes`` has it.

    Attributes:
        place: an array that holds its address.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._error: NoKernel | None = None
        self._first = SIGNATURE(self._meet)
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
