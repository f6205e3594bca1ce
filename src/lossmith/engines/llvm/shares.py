"""Loops in machine code over the blocks of a call, which several threads share by counting.

A thread that comes late takes less, and nobody waits for longer than a few blocks take: to share by Python's objects,
or to wait for one of its locks, takes as long as a hundred thousand numbers do.
"""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import Any

from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm.threads import Share

LOOKS = 20_000
"""Looks at a counter, some nanoseconds each, before the thread that looks sleeps in between."""

_NAP = 5e-5
_TYPES = {"ptr": ctypes.c_void_p, "double": ctypes.c_double, "i64": ctypes.c_int64}


@cache
def shared(arguments: tuple[str, ...]) -> Any:
    """Return the function that calls kernels over blocks until none is left or it has done enough of them.

    It takes the kernel, a ``Share``, how many blocks are enough, and the kernel's arguments but for the first block and
    the one to stop before; it returns whether blocks may be left.

    Args:
        arguments: types of those arguments, as LLVM calls them.
    """
    taken = "".join(f", {kind} %a{place}" for place, kind in enumerate(arguments))
    given = "".join(f"{kind} %a{place}, " for place, kind in enumerate(arguments))
    text = f"""
define i64 @share(ptr %kernel, ptr %share, i64 %most{taken}) {{
enter:
  %active = getelementptr i64, ptr %share, i64 1
  %blocks_at = getelementptr i64, ptr %share, i64 2
  %step_at = getelementptr i64, ptr %share, i64 3
  %before = atomicrmw add ptr %active, i64 1 seq_cst
  %blocks = load i64, ptr %blocks_at, align 8
  %step = load i64, ptr %step_at, align 8
  br label %take
take:
  %done = phi i64 [ 0, %enter ], [ %so_far, %work ]
  %first = atomicrmw add ptr %share, i64 %step seq_cst
  %some = icmp slt i64 %first, %blocks
  br i1 %some, label %work, label %leave
work:
  %end = add i64 %first, %step
  %beyond = icmp sgt i64 %end, %blocks
  %last = select i1 %beyond, i64 %blocks, i64 %end
  call void %kernel({given}i64 %first, i64 %last)
  %so_far = add i64 %done, %step
  %enough = icmp sge i64 %so_far, %most
  br i1 %enough, label %leave, label %take
leave:
  %more = phi i64 [ 0, %take ], [ 1, %work ]
  %after = atomicrmw sub ptr %active, i64 1 seq_cst
  ret i64 %more
}}
"""
    kinds = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, *map(_TYPES.__getitem__, arguments)]
    return compiler.function(text, "share", ctypes.CFUNCTYPE(ctypes.c_int64, *kinds))


@cache
def _watched() -> Any:
    text = f"""
define i64 @watched(ptr %share) {{
enter:
  %active = getelementptr i64, ptr %share, i64 1
  br label %look
look:
  %looks = phi i64 [ 0, %enter ], [ %more, %on ]
  %left = load atomic i64, ptr %active seq_cst, align 8
  %none = icmp eq i64 %left, 0
  br i1 %none, label %leave, label %on
on:
  %more = add i64 %looks, 1
  %enough = icmp eq i64 %more, {LOOKS}
  br i1 %enough, label %leave, label %look
leave:
  ret i64 %left
}}
"""
    return compiler.function(text, "watched", ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p))


def settle(share: Share) -> None:
    """Wait until no thread works on blocks any more, and none will."""
    share.next = share.blocks
    watched, begin = _watched(), ctypes.addressof(share)
    while watched(begin):
        time.sleep(_NAP)
