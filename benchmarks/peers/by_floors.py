"""Floors: what it costs to read and to write the same memory and to do next to nothing with it.

A loop reads as many arrays as the case has inputs and writes as many as it has outputs; written with ordinary stores
and past the caches, on all threads and on one, and the C library's ``memmove`` for a copy. The best of them counts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache

import numpy as np

from benchmarks.cases import MIDDLE, Case, aligned
from benchmarks.peers import Call, Contestant, Result

UNROLL, VECTOR, STRIP = 4, 64, 1 << 15
"""Vectors in a turn of the loop, bytes of a vector, and bytes that a thread takes at once."""


def contestants(case: Case) -> Iterator[Contestant]:
    """Yield the loops that might be the floor."""
    if (case.rows < MIDDLE and len(case.shape) == 1) or case.strided:
        return
    yield Contestant("floor", lambda: _stream(case))
    if case.rows * np.prod(case.shape[1:]) > MIDDLE:
        yield Contestant("floor, past the caches", lambda: _stream(case, past=True))
        if len(case.shape) == 2:
            yield Contestant("memmove", lambda: _memmove(case))
    else:
        yield Contestant("floor, one thread", lambda: _stream(case, threads=1))


def _arrays(case: Case) -> tuple[list[np.ndarray], int]:
    """Return what is read, of the predictions' size, and how many such arrays are written."""
    size = int(np.prod(case.shape))
    reads = [array for array in case.data.values() if array.size == size]
    writes = {"cost": 0, "gradient and Hessian": 2}.get(case.work, len(case.wrt))
    return reads, writes


def _memmove(case: Case) -> Call:
    given = next(iter(_arrays(case)[0]))
    out = aligned(case.shape, case.dtype)

    def run() -> Result:
        ctypes.memmove(out.ctypes.data, given.ctypes.data, given.nbytes)
        return None, (out,)

    return run


def _stream(case: Case, *, past: bool = False, threads: int | None = None) -> Call:
    from lossmith.engines.llvm import threads as pool

    reads, writes = _arrays(case)
    outputs = tuple(aligned(case.shape, case.dtype) for _ in range(writes))
    loop = _loop(case.dtype, len(reads), writes, past)
    sources, targets = _table(reads), _table(outputs)
    turn = UNROLL * VECTOR
    strips = -(-reads[0].nbytes // STRIP)
    last = reads[0].nbytes // turn
    sums = np.zeros((strips, 8))

    def work(first: int, stop: int) -> None:
        loop(sources, targets, sums[first].ctypes.data, first * STRIP // turn, min(stop * STRIP // turn, last))

    def run() -> Result:
        if threads == 1:
            work(0, strips)
        else:
            pool.run(work, strips, 1)
        return None, outputs

    return run


def _table(arrays: object) -> ctypes.Array[ctypes.c_void_p]:
    addresses = [array.ctypes.data for array in arrays]  # type: ignore[attr-defined]
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)


@cache
def _loop(dtype: str, reads: int, writes: int, past: bool) -> ctypes._CFuncPtr:
    """Return the loop in machine code: ``loop(sources, targets, where sums go, first turn, last turn)``."""
    from lossmith.engines.llvm import compile as compiler

    loaded = compiler.Loaded(compiler.build(_text(dtype, reads, writes, past)), ["stream"])
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64)
    loop = prototype(loaded.address("stream"))
    loop.keeps = loaded  # type: ignore[attr-defined]  # the code lives as long as this
    return loop


def _text(dtype: str, reads: int, writes: int, past: bool) -> str:
    """Return the loop in LLVM's language; each output is the sum of all inputs."""
    element, size = ("float", 4) if dtype == "float32" else ("double", 8)
    type_ = f"<{VECTOR // size} x {element}>"
    store = f"align {VECTOR}, !nontemporal !0" if past else f"align {size}"
    head, body, carried = [], [], []
    for place in range(reads + writes):
        table, number = ("%sources", place) if place < reads else ("%targets", place - reads)
        head += [
            f"  %at{place} = getelementptr ptr, ptr {table}, i64 {number}",
            f"  %p{place} = load ptr, ptr %at{place}",
        ]
    for lane in range(UNROLL):
        body.append(f"  %o{lane} = add i64 %offset, {lane * VECTOR}")
        for place in range(reads):
            at = f"{place}.{lane}"
            body += [
                f"  %q{at} = getelementptr i8, ptr %p{place}, i64 %o{lane}",
                f"  %v{at} = load {type_}, ptr %q{at}, align {size}",
            ]
        total = f"%v0.{lane}"
        for place in range(1, reads):
            body.append(f"  %t{place}.{lane} = fadd {type_} {total}, %v{place}.{lane}")
            total = f"%t{place}.{lane}"
        for place in range(reads, reads + writes):
            at = f"{place}.{lane}"
            body += [
                f"  %q{at} = getelementptr i8, ptr %p{place}, i64 %o{lane}",
                f"  store {type_} {total}, ptr %q{at}, {store}",
            ]
        if not writes:
            carried.append(f"  %s{lane} = phi {type_} [ zeroinitializer, %entry ], [ %n{lane}, %turn ]")
            body.append(f"  %n{lane} = fadd {type_} %s{lane}, {total}")
    left = [] if writes else [
        f"  %a = fadd {type_} %n0, %n1", f"  %b = fadd {type_} %n2, %n3", f"  %c = fadd {type_} %a, %b",
        f"  store {type_} %c, ptr %sums, align 8",
    ]  # fmt: skip
    return "\n".join([
        "define void @stream(ptr %sources, ptr %targets, ptr %sums, i64 %first, i64 %last) {",
        "entry:", *head, "  %some = icmp slt i64 %first, %last", "  br i1 %some, label %turn, label %done",
        "turn:", "  %place = phi i64 [ %first, %entry ], [ %next, %turn ]", *carried,
        f"  %offset = mul i64 %place, {UNROLL * VECTOR}", *body, "  %next = add i64 %place, 1",
        "  %more = icmp slt i64 %next, %last", "  br i1 %more, label %turn, label %out",
        "out:", *left, "  br label %done",
        "done:", "  ret void", "}", "!0 = !{i32 1}",
    ])  # fmt: skip
