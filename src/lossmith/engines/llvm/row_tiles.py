"""Rows that lie one after the other in memory, turned over in registers so that each lane is one of them, and back.

A group is as many rows as vectors have lanes, from the row ``%group`` on; ``%count`` of them are there. Scratch holds a
vector for each class of a group, in a region for each array.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from lossmith.engines.llvm.frame import ALIGNED, lane_numbers, onward
from lossmith.engines.llvm.lanes import Body, Kind, Lanes
from lossmith.engines.llvm.memory import SIZES, in_memory, masked, widen
from lossmith.engines.llvm.row_text import single
from lossmith.engines.llvm.spelling import SHORT


def turn_rows(
    array: str, region: str, kind: Kind, width: int, *, element: str = "", out: bool = False
) -> tuple[str, set[str]]:
    """Return the line that brings the rows of a group from an array into lanes, or back, and what it declares.

    That is a call, since such functions take long to compile: all kernels share them; see ``called``.

    Args:
        array: whose rows.
        region: of scratch.
        kind: type of a number in scratch.
        width: lanes.
        element: what the array holds, a key of ``lossmith.engines.llvm.memory.SIZES``; by default what scratch does.
        out: whether they are brought back.
    """
    element = element or kind
    name = f"turn_{'out' if out else 'in'}_{element}_{kind}_{width}"
    given = f"ptr %{array}, ptr %lanes_{region}, i64 %group, i64 %count, i64 %classes"
    return f"  call void @{name}({given})", {f"declare void @{name}(ptr, ptr, i64, i64, i64)"}


def called(text: str) -> dict[str, str]:
    """Return the modules of the functions that turn rows over in a text, by the names of the functions."""
    found = {}
    for name, way, element, kind, width in sorted(set(_CALLED.findall(text))):
        found[name] = _module(name, "float" if kind == "float" else "double", int(width), element, out=way == "out")
    return found


_CALLED = re.compile(r"@(turn_(in|out)_(\w+)_(float|double)_(\d+))\(")


@cache
def _module(name: str, kind: Kind, width: int, element: str, *, out: bool) -> str:
    """Return the module of such a function.

    The last square of a row of at least one vector ends where the row does, and has some classes a second time: so
    only rows of fewer classes need masks, which some machines take long to write through. A whole group of rows of very
    few classes is no square, but as many vectors as there are classes; see ``_few``.
    """
    few = {classes: _of_few(classes, kind, width, element, out=out) for classes in _few(width)}
    b, step, suffix = Body(kind, width, "t"), f"[{SIZES[element]} x i8]", f"v{width}{SHORT[kind]}.p0"
    small, size = b.vector("i32"), SIZES[kind] * width
    lefts = single(b, "i32", "%left").name
    lanes = ", ".join(f"i32 {lane}" for lane in range(width))
    inside = b.write(b.truth, f"icmp ult {small} <{lanes}>, {lefts}").name
    begin = b.write("ptr", f"getelementptr {step}, ptr %array, i64 %first").name
    region = b.write("ptr", f"getelementptr {b.real}, ptr %lanes, i64 %first").name
    rows = [b.write("ptr", f"getelementptr {step}, ptr {begin}, i64 %row{n}").name for n in range(width)]
    kept = [b.write("ptr", f"getelementptr {b.real}, ptr {region}, i64 {n}").name for n in range(width)]
    if out:
        b.declared.add(f"declare void @llvm.masked.store.{suffix}({b.real}, ptr, i32, {b.truth})")
        vectors = [b.write(b.real, f"load {b.real}, ptr {at}, align {size}") for at in kept]
        whole, parts = [], []
        # In the order of memory, which is a third faster than the other way. What is beyond goes nowhere.
        for n, turned in enumerate(turned_over(b, vectors)):
            there = b.write("i1", f"icmp ult i64 {n}, %count").name
            place = b.write("ptr", f"select i1 {there}, ptr {rows[n]}, ptr %aside").name
            whole.append(f"  store {b.real} {turned.name}, ptr {place}, align {SIZES[kind]}")
            given = f"{b.real} {turned.name}, ptr {place}, i32 {SIZES[kind]}, {b.truth} {inside}"
            parts.append(f"  call void @llvm.masked.store.{suffix}({given})")
        b.lines += ["  br i1 %vectors, label %whole, label %parts\nwhole:", *whole, "  br label %stored"]
        b.lines += ["parts:", *parts, "  br label %stored\nstored:"]
    else:
        vectors = [masked(b, row, element, inside, 0.0) for row in rows]
        for at, turned in zip(kept, turned_over(b, vectors), strict=True):
            b.lines.append(f"  store {b.real} {turned.name}, ptr {at}, align {size}")
    rows_of = _rows(width)
    if out:
        rows_of.lines.append(f"  %aside = alloca {b.real}, align {size}")
    text = f"""
define void @{name}(ptr %array, ptr %lanes, i64 %group, i64 %count, i64 %classes) {ALIGNED} {{
entry:
  %full = icmp eq i64 %count, {width}
  br i1 %full, label %few, label %squares
few:
  switch i64 %classes, label %squares [ {" ".join(f"i64 {n}, label %of_{n}" for n in few)} ]
{chr(10).join(chr(10).join([f"of_{n}:", *each.lines]) for n, each in few.items())}
squares:
{chr(10).join(rows_of.lines)}
  %vectors = icmp uge i64 %classes, {width}
  %most = sub i64 %classes, {width}
  %last = select i1 %vectors, i64 %most, i64 0
  br label %loop
loop:
  %first = phi i64 [ 0, %squares ], [ %next, %{"stored" if out else "loop"} ]
  %left_long = sub i64 %classes, %first
  %left = trunc i64 %left_long to i32
{chr(10).join(b.lines)}
{onward("%behind", "%first", width)}
  %beyond = icmp ugt i64 %behind, %last
  %next = select i1 %beyond, i64 %last, i64 %behind
  %more = icmp ult i64 %first, %last
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""
    return "\n".join(sorted(set[str]().union(*(body.declared for body in (b, rows_of, *few.values()))))) + text


def _few(width: int) -> range:
    """Return the numbers of classes that are no squares.

    For these, vectors are exchanged two by two, which is less to do than in squares while there are no more pairs of
    classes than exchanges of lanes in a square.
    """
    exchanges = width // 2 * (width.bit_length() - 1)
    return range(2, next(n for n in range(2, width + 2) if n * (n - 1) > exchanges))


def _of_few(classes: int, kind: Kind, width: int, element: str, *, out: bool) -> Body:
    """Return the lines for a whole group of rows of so few classes, as vectors that lie one after the other."""
    b, size, step = Body(kind, width, f"of{classes}_"), SIZES[kind] * width, SIZES[element]
    first = b.write("i64", f"mul i64 %group, {classes}").name
    begin = b.write("ptr", f"getelementptr [{step} x i8], ptr %array, i64 {first}").name
    there = [b.write("ptr", f"getelementptr i8, ptr {begin}, i64 {n * step * width}").name for n in range(classes)]
    kept = [b.write("ptr", f"getelementptr {b.real}, ptr %lanes, i64 {n}").name for n in range(classes)]
    type_ = b.vector(in_memory(element))
    if out:
        vectors = [b.write(b.real, f"load {b.real}, ptr {at}, align {size}") for at in kept]
    else:
        vectors = [widen(b, b.write(type_, f"load {type_}, ptr {at}, align {step}"), element) for at in there]
    for n in range(classes):
        # Of each lane the vector and the lane in it that it comes from: a class and a row, or a place in memory.
        if out:
            picks = [divmod(n * width + lane, classes)[::-1] for lane in range(width)]
        else:
            picks = [divmod(lane * classes + n, width) for lane in range(width)]
        to, align = (there[n], step) if out else (kept[n], size)
        b.lines.append(f"  store {b.real} {_picked(b, vectors, picks).name}, ptr {to}, align {align}")
    b.lines.append("  ret void")
    return b


def _picked(b: Body, vectors: Sequence[Lanes], picks: Sequence[tuple[int, int]]) -> Lanes:
    """Return lanes picked from vectors, by the vector and the lane of each."""
    found, places = vectors[0], [lane for _, lane in picks]
    for number, other in enumerate(vectors[1:], start=1):
        found = found if number == 1 else _fenced(b, found)
        places = [b.width + lane if vector == number else at for (vector, lane), at in zip(picks, places, strict=True)]
        found, places = _shuffled(b, found, other, places), list(range(b.width))
    return found


def _rows(width: int) -> Body:
    """Return the lines that say where each row of a group begins; beyond its end it is the last once more.

    In a vector, since LLVM takes long over sums that it can see through.
    """
    b = Body("double", width, "place")
    last = b.write("i64", "sub i64 %count, 1").name
    lanes = Lanes(b, b.integer, lane_numbers(width))
    number = b.call("umin", lanes, single(b, "i64", last))
    places = b.apply("mul", b.apply("add", number, single(b, "i64", "%group")), single(b, "i64", "%classes"))
    b.lines += [f"  %row{n} = extractelement {places.type} {places.name}, i32 {n}" for n in range(width)]
    return b


def turned_over(b: Body, vectors: list[Lanes]) -> list[Lanes]:
    """Return the columns of a square of as many vectors as they have lanes."""
    width, half = len(vectors), len(vectors) // 2
    while half:  # blocks of this size change places across the diagonal
        lower = [lane if not lane & half else (lane ^ half) + width for lane in range(width)]
        upper = [lane ^ half if not lane & half else lane + width for lane in range(width)]
        for low in (n for n in range(width) if not n & half):
            a, c = vectors[low], vectors[low + half]
            vectors[low], vectors[low + half] = (_shuffled(b, a, c, picks) for picks in (lower, upper))
        half //= 2
        vectors = [_fenced(b, v) for v in vectors] if half else vectors
    return vectors


def _fenced(b: Body, a: Lanes) -> Lanes:
    """Return a vector that LLVM does not see through.

    It looks at every chain of shuffles for a shorter one otherwise, which takes most of its time.
    """
    fence = f"{b.real} @llvm.arithmetic.fence.v{b.width}{SHORT[b.kind]}"
    b.declared.add(f"declare {fence}({b.real})")
    return b.write(a.type, f"call {fence}({a.type} {a.name})")


def _shuffled(b: Body, a: Lanes, c: Lanes, picks: list[int]) -> Lanes:
    places = ", ".join(f"i32 {pick}" for pick in picks)
    text = f"shufflevector {a.type} {a.name}, {c.type} {c.name}, {b.vector('i32')} <{places}>"
    return b.write(a.type, text)
