"""Rows that lie one after the other in memory, turned over in registers so that each lane is one of them, and back.

A group is as many rows as vectors have lanes, from the row ``%group`` on; ``%count`` of them are there. Scratch holds a
vector for each class of a group, in a region for each array.
"""

from __future__ import annotations

from lossmith.engines.llvm.frame import ALIGNED
from lossmith.engines.llvm.lanes import SHORT, Body, Kind, Lanes
from lossmith.engines.llvm.memory import SIZES, masked
from lossmith.engines.llvm.row_frame import lane_numbers


class Regions:
    """The text of one turn of a loop over classes, or over tiles of as many, with what scratch holds for them.

    Args:
        kind: type of a number.
        width: lanes.
        prefix: what the names of its values begin with.
    """

    def __init__(self, kind: Kind, width: int, prefix: str) -> None:
        self.body = Body(kind, width, prefix)
        self.number = f"%{prefix}_k"

    def _at(self, region: str, place: str) -> str:
        return self.body.write("ptr", f"getelementptr {self.body.real}, ptr %lanes_{region}, i64 {place}").name

    @property
    def _align(self) -> int:
        return SIZES[self.body.kind] * self.body.width

    def kept(self, region: str, place: str = "") -> Lanes:
        """Return the vector that scratch holds for a class."""
        at = self._at(region, place or self.number)
        return self.body.write(self.body.real, f"load {self.body.real}, ptr {at}, align {self._align}")

    def keep(self, value: Lanes, region: str, place: str = "") -> None:
        """Write the vector that scratch shall hold for a class."""
        at = self._at(region, place or self.number)
        self.body.lines.append(f"  store {value.type} {value.name}, ptr {at}, align {self._align}")

    def spread(self, element: str, value: str) -> Lanes:
        """Return a single number in every lane."""
        b, type_ = self.body, self.body.vector(element)
        first = b.write(type_, f"insertelement {type_} zeroinitializer, {element} {value}, i32 0").name
        zeros = f"{b.vector('i32')} zeroinitializer"
        return b.write(type_, f"shufflevector {type_} {first}, {type_} zeroinitializer, {zeros}")


def turn_rows(
    array: str, region: str, kind: Kind, width: int, *, element: str = "", out: bool = False
) -> tuple[str, set[str]]:
    """Return the line that brings the rows of a group from an array into lanes, or back, and what it declares.

    That is a call, since such functions take long to compile: arrays of one type share them.

    Args:
        array: whose rows.
        region: of scratch.
        kind: type of a number in scratch.
        width: lanes.
        element: what the array holds, a key of ``lossmith.engines.llvm.memory.SIZES``; by default what scratch does.
        out: whether they are brought back.
    """
    element = element or kind
    name = f"turn_{'out' if out else 'in'}_{element}"
    text, declared = _function(name, kind, width, element, out=out)
    given = f"ptr %{array}, ptr %lanes_{region}, i64 %group, i64 %count, i64 %classes"
    return f"  call void @{name}({given})", {text, *declared}


def _function(name: str, kind: Kind, width: int, element: str, *, out: bool) -> tuple[str, set[str]]:
    """Return the text of such a function, and what it declares."""
    tile = Regions(kind, width, "t")
    b, step, suffix = tile.body, f"[{SIZES[element]} x i8]", f"v{width}{SHORT[kind]}.p0"
    first = b.write("i64", f"mul i64 {tile.number}, {width}").name
    left = b.write("i64", f"sub i64 %classes, {first}").name
    long, lefts = b.vector("i64"), tile.spread("i64", left).name
    inside = b.write(b.truth, f"icmp ult {long} {lane_numbers(width)}, {lefts}").name
    begin = b.write("ptr", f"getelementptr {step}, ptr %array, i64 {first}").name

    def row(number: int) -> str:
        """Return where a row of the group lies; one beyond its end is the first instead."""
        return b.write("ptr", f"getelementptr {step}, ptr {begin}, i64 %row{number}").name

    classes = [b.write("i64", f"add i64 {first}, {n}").name for n in range(width)]
    if out:
        b.declared.add(f"declare void @llvm.masked.store.{suffix}({b.real}, ptr, i32, {b.truth})")
        for n, turned in enumerate(turned_over(b, [tile.kept("out", place) for place in classes])):
            mask = b.write(b.truth, f"select i1 %there{n}, {b.truth} {inside}, {b.truth} zeroinitializer").name
            given = f"{b.real} {turned.name}, ptr {row(n)}, i32 {SIZES[kind]}, {b.truth} {mask}"
            b.lines.append(f"  call void @llvm.masked.store.{suffix}({given})")
    else:
        rows = [masked(b, row(n), element, inside, 0.0) for n in range(width)]
        for place, turned in zip(classes, turned_over(b, rows), strict=True):
            tile.keep(turned, "out", place)
    text = f"""
define internal void @{name}(ptr %array, ptr %lanes_out, i64 %group, i64 %count, i64 %classes) noinline {ALIGNED} {{
entry:
{chr(10).join(_places(width))}
  br label %loop
loop:
  {tile.number} = phi i64 [ 0, %entry ], [ %next, %loop ]
{chr(10).join(b.lines)}
  %next = add i64 {tile.number}, 1
  %end = mul i64 %next, {width}
  %more = icmp ult i64 %end, %classes
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""
    return text, b.declared


def _places(width: int) -> list[str]:
    """Return the lines that say how many numbers from the first of all the rows of a group begin."""
    turn = Body("double", width, "place")
    base = turn.write("i64", "mul i64 %group, %classes").name
    for number in range(width):
        turn.lines.append(f"  %there{number} = icmp ult i64 {number}, %count")
        inside = turn.write("i64", f"select i1 %there{number}, i64 {number}, i64 0").name
        offset = turn.write("i64", f"mul i64 {inside}, %classes").name
        turn.lines.append(f"  %row{number} = add i64 {base}, {offset}")
    return turn.lines


def turned_over(b: Body, vectors: list[Lanes]) -> list[Lanes]:
    """Return the columns of a square of as many vectors as they have lanes."""
    width, half = len(vectors), len(vectors) // 2
    fence = f"{b.real} @llvm.arithmetic.fence.v{width}{SHORT[b.kind]}"
    b.declared.add(f"declare {fence}({b.real})")
    while half:  # blocks of this size change places across the diagonal
        lower = [lane if not lane & half else (lane ^ half) + width for lane in range(width)]
        upper = [lane ^ half if not lane & half else lane + width for lane in range(width)]
        for low in (n for n in range(width) if not n & half):
            a, c = vectors[low], vectors[low + half]
            vectors[low], vectors[low + half] = (_shuffled(b, a, c, picks) for picks in (lower, upper))
        half //= 2
        # Without fences LLVM looks at every chain of shuffles for a shorter one, which takes most of its time.
        vectors = [b.write(v.type, f"call {fence}({v.type} {v.name})") for v in vectors] if half else vectors
    return vectors


def _shuffled(b: Body, a: Lanes, c: Lanes, picks: list[int]) -> Lanes:
    places = ", ".join(f"i32 {pick}" for pick in picks)
    text = f"shufflevector {a.type} {a.name}, {c.type} {c.name}, {b.vector('i32')} <{places}>"
    return b.write(a.type, text)
