"""The functions that hand rows over to another kernel, which all kernels share; see ``hand_over``."""

from __future__ import annotations

import re

from lossmith.engines.llvm.compile import RARELY
from lossmith.engines.llvm.frame import CARRIED, NOWHERE, RECORD, onward

HEAD = 5
"""Numbers with which the list of what is handed over begins: the bytes of the table; in these, the places of records
and of the other kernel; how many arrays are read; and how many there are. Of each array follow its place in the table
and the bytes of a row."""

NUMBERS = 64
"""Bytes after which rows are numbered that wait; before is how many they are."""

POINTERS = 16
"""Pointers of a table at most."""


def _own(record: str) -> str:
    """Return the text that copies the table to ``%own``, and puts the record in."""
    return f"""
  %own = alloca [{POINTERS} x ptr], align 8
  %table_bytes = load i64, ptr %handed, align 8
  call void @llvm.memcpy.p0.p0.i64(ptr %own, ptr %table, i64 %table_bytes, i1 false)
  %records_place_at = getelementptr i64, ptr %handed, i64 1
  %records_place = load i64, ptr %records_place_at, align 8
  %records_at = getelementptr i8, ptr %own, i64 %records_place
  store ptr {record}, ptr %records_at, align 8
  %given_at = getelementptr i64, ptr %handed, i64 3
  %given = load i64, ptr %given_at, align 8
  %all_at = getelementptr i64, ptr %handed, i64 4
  %all = load i64, ptr %all_at, align 8"""


def _call(record: str, rows: str) -> str:
    """Return the text that calls the other kernel over some rows."""
    # Where it cannot be made, nothing is written, and this says that there is more to say.
    lines = []
    for place, before in enumerate((0, 1, NOWHERE, NOWHERE)):
        lines.append(f"  %record{place} = getelementptr i64, ptr {record}, i64 {place}")
        lines.append(f"  store i64 {before}, ptr %record{place}, align 8")
    given = f"double %factor, double %first_one, double %second_one, i64 {rows}, i64 %classes, i64 {rows}, i64 0, i64 1"
    return (
        "\n".join(lines)
        + f"""
  %slow_place_at = getelementptr i64, ptr %handed, i64 2
  %slow_place = load i64, ptr %slow_place_at, align 8
  %slow_at = getelementptr i8, ptr %own, i64 %slow_place
  %slow_to = load ptr, ptr %slow_at, align 8
  %slow = load ptr, ptr %slow_to, align 8
  call void %slow(ptr %own, {given})"""
    )


def _array(n: str, name: str = "") -> str:
    """Return the text that reads of an array its place in the table, and the bytes of a row."""
    return f"""
  %{name}twice = mul i64 {n}, 2
  %{name}first = add i64 %{name}twice, {HEAD}
  %{name}place_at = getelementptr i64, ptr %handed, i64 %{name}first
  %{name}place = load i64, ptr %{name}place_at, align 8
  %{name}bytes_at = getelementptr i64, ptr %{name}place_at, i64 1
  %{name}bytes = load i64, ptr %{name}bytes_at, align 8"""


def _flags() -> str:
    """Return the text that carries on what the other kernel noticed."""
    lines = []
    for name, place, nothing in (("bad", 2, NOWHERE), ("wrong", 3, NOWHERE), ("limit", 1, 0)):
        lines += [
            f"  %{name}_left = load i64, ptr %record{place}, align 8",
            f"  %{name}_one = icmp ne i64 %{name}_left, {nothing}",
            f"  %{name}_here = zext i1 %{name}_one to i64",
            f"  %{name}_at = getelementptr i8, ptr %carried, i64 {CARRIED[name]}",
            f"  %{name}_before = load i64, ptr %{name}_at, align 8",
            f"  %{name} = or i64 %{name}_before, %{name}_here",
            f"  store i64 %{name}, ptr %{name}_at, align 8",
        ]
    return "\n" + "\n".join(lines)


_NUMBERS = "double %factor, double %first_one, double %second_one, i64 %classes"
_ROOM = "ptr %table, ptr %handed, ptr %room, i64 %most"
_ALONE = f"ptr %table, ptr %handed, i64 %row, {_NUMBERS}, ptr %record"
_KEPT = f"{_ROOM}, i64 %lanes, i64 %group"
_SERVED = f"{_ROOM}, {_NUMBERS}, ptr %carried"
_COPY = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)\n"

_OVER = f"""{RARELY}{_COPY}
define void @row_over({_ALONE}) {{
entry:{_own("%record")}
  br label %array
array:
  %n = phi i64 [ 0, %entry ], [ %n_next, %array ]{_array("%n")}
  %at = getelementptr i8, ptr %own, i64 %place
  %begin = load ptr, ptr %at, align 8
  %before = mul i64 %row, %bytes
  %here = getelementptr i8, ptr %begin, i64 %before
  store ptr %here, ptr %at, align 8
{onward("%n_next", "%n", 1)}
  %more = icmp ult i64 %n_next, %all
  br i1 %more, label %array, label %handing
handing:
{_call("%record", "1")}
  ret void
}}
"""

_WAIT = f"""{RARELY}{_COPY}
declare i64 @llvm.cttz.i64(i64, i1)

define void @rows_wait({_KEPT}) {{
entry:
  %before = load i64, ptr %room, align 8
  %numbers = getelementptr i8, ptr %room, i64 {NUMBERS}
  %kept = getelementptr i64, ptr %numbers, i64 %most
  %given_at = getelementptr i64, ptr %handed, i64 3
  %given = load i64, ptr %given_at, align 8
  br label %row
row:
  %left = phi i64 [ %lanes, %entry ], [ %rest, %row_done ]
  %count = phi i64 [ %before, %entry ], [ %after, %row_done ]
  %lane = call i64 @llvm.cttz.i64(i64 %left, i1 true)
  %number = add i64 %group, %lane
  %number_at = getelementptr i64, ptr %numbers, i64 %count
  store i64 %number, ptr %number_at, align 8
  br label %array
array:
  %n = phi i64 [ 0, %row ], [ %n_next, %array ]
  %here = phi ptr [ %kept, %row ], [ %beyond, %array ]{_array("%n")}
  %at = getelementptr i8, ptr %table, i64 %place
  %begin = load ptr, ptr %at, align 8
  %from_byte = mul i64 %number, %bytes
  %from = getelementptr i8, ptr %begin, i64 %from_byte
  %to_byte = mul i64 %count, %bytes
  %to = getelementptr i8, ptr %here, i64 %to_byte
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  %whole = mul i64 %most, %bytes
  %beyond = getelementptr i8, ptr %here, i64 %whole
{onward("%n_next", "%n", 1)}
  %more = icmp ult i64 %n_next, %given
  br i1 %more, label %array, label %row_done
row_done:
  %after = add i64 %count, 1
  %less = sub i64 %left, 1
  %rest = and i64 %left, %less
  %more_rows = icmp ne i64 %rest, 0
  br i1 %more_rows, label %row, label %done
done:
  store i64 %after, ptr %room, align 8
  ret void
}}

define void @rows_serve({_SERVED}) {{
entry:
  %record = alloca [{RECORD} x i64], align 8{_own("%record")}
  %count = load i64, ptr %room, align 8
  %numbers = getelementptr i8, ptr %room, i64 {NUMBERS}
  %kept = getelementptr i64, ptr %numbers, i64 %most
  br label %array
array:
  %n = phi i64 [ 0, %entry ], [ %n_next, %array ]
  %here = phi ptr [ %kept, %entry ], [ %beyond, %array ]{_array("%n")}
  %at = getelementptr i8, ptr %own, i64 %place
  store ptr %here, ptr %at, align 8
  %whole = mul i64 %most, %bytes
  %beyond = getelementptr i8, ptr %here, i64 %whole
{onward("%n_next", "%n", 1)}
  %more = icmp ult i64 %n_next, %all
  br i1 %more, label %array, label %handing
handing:
{_call("%record", "%count")}
  %value = load double, ptr %record0, align 8
  %sum_at = getelementptr i8, ptr %carried, i64 {CARRIED["sum"]}
  %sum_before = load double, ptr %sum_at, align 8
  %sum = fadd double %sum_before, %value
  store double %sum, ptr %sum_at, align 8{_flags()}
  store i64 0, ptr %room, align 8
  br label %row
row:
  %r = phi i64 [ 0, %handing ], [ %r_next, %row_done ]
  %number_at = getelementptr i64, ptr %numbers, i64 %r
  %number = load i64, ptr %number_at, align 8
  br label %written
written:
  %w = phi i64 [ %given, %row ], [ %w_next, %back ]
  %w_more = icmp ult i64 %w, %all
  br i1 %w_more, label %back, label %row_done
back:{_array("%w", "w_")}
  %w_from_at = getelementptr i8, ptr %own, i64 %w_place
  %w_begin = load ptr, ptr %w_from_at, align 8
  %w_from_byte = mul i64 %r, %w_bytes
  %w_from = getelementptr i8, ptr %w_begin, i64 %w_from_byte
  %w_to_at = getelementptr i8, ptr %table, i64 %w_place
  %w_array = load ptr, ptr %w_to_at, align 8
  %w_to_byte = mul i64 %number, %w_bytes
  %w_to = getelementptr i8, ptr %w_array, i64 %w_to_byte
  call void @llvm.memcpy.p0.p0.i64(ptr %w_to, ptr %w_from, i64 %w_bytes, i1 false)
{onward("%w_next", "%w", 1)}
  br label %written
row_done:
{onward("%r_next", "%r", 1)}
  %r_more = icmp ult i64 %r_next, %count
  br i1 %r_more, label %row, label %done
done:
  ret void
}}
"""


_MODULES = {"row_over": _OVER, "rows_wait": _WAIT, "rows_serve": _WAIT}

DECLARED = {
    name: f"declare void @{name}({re.sub(r' %[a-z_]+', '', given)})"
    for name, given in {"row_over": _ALONE, "rows_wait": _KEPT, "rows_serve": _SERVED}.items()
}
"""What kernels declare that call a function, by its name."""


def called(text: str) -> dict[str, str]:
    """Return the modules of the functions of this file that a text calls, by the names of the functions."""
    used = {module for name, module in _MODULES.items() if f"@{name}(" in text}
    return {name: module for name, module in _MODULES.items() if module in used}
