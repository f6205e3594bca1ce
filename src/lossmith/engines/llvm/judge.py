"""What the records of a call say, read in machine code: after a pass over large arrays Python takes far longer.

Sums of blocks are added exactly: to a sum and to what it lacks, which is added up likewise. As long as the second lacks
nothing, both together are the sum of all blocks, as ``math.fsum`` has it.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from lossmith.engines.llvm.frame import NOWHERE, RECORD

NAME = "judge"
"""What the function is called: ``(records, blocks, leaves, found) -> said``.

``leaves`` is -1 where kernels count what they leave to the reference, else 0; the sum and what it lacks are found."""

MORE, WHOLE, ROUNDED = 0, 1, 2
"""What is said: that there is more to say, or nothing more; or nothing, but that what is found is not the whole sum."""


def _added(name: str, term: str) -> str:
    """Return the lines that add a number to ``%{name}``: ``%{name}_now``, and what that lacks, ``%{name}_lacks``."""
    return f"""
  %{name}_now = fadd double %{name}, {term}
  %{name}_taken = fsub double %{name}_now, %{name}
  %{name}_kept = fsub double %{name}_now, %{name}_taken
  %{name}_left = fsub double %{name}, %{name}_kept
  %{name}_more = fsub double {term}, %{name}_taken
  %{name}_lacks = fadd double %{name}_left, %{name}_more"""


TEXT = f"""
define i64 @{NAME}(ptr %records, i64 %blocks, i64 %leaves, ptr %found) {{
enter:
  br label %block
block:
  %number = phi i64 [ 0, %enter ], [ %next, %fine ]
  %sum = phi double [ -0.0, %enter ], [ %sum_now, %fine ]
  %lost = phi double [ -0.0, %enter ], [ %lost_now, %fine ]
  %none_lost = phi i1 [ true, %enter ], [ %still_none, %fine ]
  %record = getelementptr [{RECORD} x i64], ptr %records, i64 %number
  %count_at = getelementptr i64, ptr %record, i64 1
  %count = load i64, ptr %count_at, align 8
  %bad_at = getelementptr i64, ptr %record, i64 2
  %bad = load i64, ptr %bad_at, align 8
  %wrong_at = getelementptr i64, ptr %record, i64 3
  %wrong = load i64, ptr %wrong_at, align 8
  %none_bad = icmp eq i64 %bad, {NOWHERE}
  %none_wrong = icmp eq i64 %wrong, {NOWHERE}
  %left = and i64 %count, %leaves
  %none_left = icmp eq i64 %left, 0
  %all_right = and i1 %none_bad, %none_wrong
  %is_fine = and i1 %all_right, %none_left
  br i1 %is_fine, label %fine, label %more
more:
  ret i64 {MORE}
fine:
  %term = load double, ptr %record, align 8
{_added("sum", "%term")}
{_added("lost", "%sum_lacks")}
  %lacks_none = fcmp oeq double %lost_lacks, 0.0
  %still_none = and i1 %none_lost, %lacks_none
  %next = add i64 %number, 1
  %again = icmp slt i64 %next, %blocks
  br i1 %again, label %block, label %done
done:
  store double %sum_now, ptr %found, align 8
  %lost_to = getelementptr double, ptr %found, i64 1
  store double %lost_now, ptr %lost_to, align 8
  %said = select i1 %still_none, i64 {WHOLE}, i64 {ROUNDED}
  ret i64 %said
}}
"""


@cache
def judge() -> Any:
    """Return the function."""
    from lossmith.engines.llvm import compile as compiler

    kinds = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
    return compiler.function(TEXT, NAME, ctypes.CFUNCTYPE(ctypes.c_int64, *kinds))
