"""Rows that a kernel is not for, and hands over to another one, which is compiled when the first such row is met.

Most calls meet none, and compiling that kernel takes longer than compiling the first. A kernel finds the address of the
other behind a pointer in its table: at first, it is that of a function of Python.
"""

from __future__ import annotations

import _thread
import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lossmith.engines.choice import NoKernel
from lossmith.engines.llvm.frame import NOWHERE, RECORD

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_double] * 3, *[ctypes.c_int64] * 5)
"""The type of both kernels; see ``row_by_row`` for what they are called with."""


def enter(pointers: int) -> list[str]:
    """Return the lines, at the beginning of a kernel, that make room for the table and the record of one row."""
    return [f"  %slow_table = alloca [{pointers} x ptr], align 8", f"  %slow_record = alloca [{RECORD} x i64], align 8"]


def call(given: Mapping[int, str], record: int, factor: str) -> list[str]:
    """Return the lines that hand a row over and read what is left of it: ``slow_value``, ``_wrong`` and ``_limit``.

    Args:
        given: what the table holds, by place.
        record: the place of the record.
        factor: what derivatives are multiplied by.
    """
    lines = []
    for place, pointer in {**given, record: "%slow_record"}.items():
        lines.append(f"  %slow_to{place} = getelementptr ptr, ptr %slow_table, i64 {place}")
        lines.append(f"  store ptr {pointer}, ptr %slow_to{place}, align 8")
    names = ("value", "count", "bad", "wrong")
    # Where the other kernel cannot be made, nothing is written, and this says that there is more to say.
    for place, (name, before) in enumerate(zip(names, (0, 1, NOWHERE, NOWHERE), strict=True)):
        lines.append(f"  %slow_{name}_at = getelementptr i64, ptr %slow_record, i64 {place}")
        lines.append(f"  store i64 {before}, ptr %slow_{name}_at, align 8")
    return [
        *lines,
        "  %slow_way = load ptr, ptr %slow, align 8",
        f"  call void %slow_way(ptr %slow_table, double {factor}, double %first_one, double %second_one, i64 1, "
        "i64 %classes, i64 1, i64 0, i64 1)",
        "  %slow_value = load double, ptr %slow_value_at, align 8",
        "  %slow_found = load i64, ptr %slow_wrong_at, align 8",
        f"  %slow_wrong = icmp ne i64 %slow_found, {NOWHERE}",
        "  %slow_left = load i64, ptr %slow_count_at, align 8",
        "  %slow_limit = icmp ne i64 %slow_left, 0",
    ]


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
