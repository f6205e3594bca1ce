"""Rows that lie one after the other in memory, turned over in registers so that each lane is one of them, and back.

A group is as many rows as vectors have lanes, from the row ``%group`` on; ``%count`` of them are there. Scratch holds a
vector for each class of a group, in a region for each array.
"""

from __future__ import annotations

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


def over_tiles(
    turn: Regions,
    array: str,
    region: str,
    before: str,
    *,
    element: str = "",
    out: bool = False,
    otherwise: float = 0.0,
) -> tuple[str, set[str]]:
    """Return the text that brings the rows of a group from an array into lanes, or back, and what it declares.

    Args:
        turn: of a loop over tiles, with nothing in it.
        array: whose rows.
        region: of scratch.
        before: the block that it comes after.
        element: what the array holds, a key of ``lossmith.engines.llvm.memory.SIZES``; by default what scratch does.
        out: whether they are brought back.
        otherwise: what rows are thought to hold beyond their ends.
    """
    b, name, width = turn.body, turn.body.prefix, turn.body.width
    element = element or b.kind
    suffix = f"v{width}{SHORT[b.kind]}.p0"
    first = b.write("i64", f"mul i64 {turn.number}, {width}").name
    left = b.write("i64", f"sub i64 %classes, {first}").name
    long, lefts = b.vector("i64"), turn.spread("i64", left).name
    inside = b.write(b.truth, f"icmp ult {long} {lane_numbers(width)}, {lefts}").name
    step = f"[{SIZES[element]} x i8]"
    begin = b.write("ptr", f"getelementptr {step}, ptr %{array}, i64 {first}").name

    def row(number: int) -> str:
        """Return where a row of the group lies; one beyond its end is the first instead."""
        return b.write("ptr", f"getelementptr {step}, ptr {begin}, i64 %row_place{number}").name

    tile = [b.write("i64", f"add i64 {first}, {n}").name for n in range(width)]
    if out:
        b.declared.add(f"declare void @llvm.masked.store.{suffix}({b.real}, ptr, i32, {b.truth})")
        for n, turned in enumerate(turned_over(b, [turn.kept(region, place) for place in tile])):
            there = b.write("i1", f"icmp ult i64 {n}, %count").name
            mask = b.write(b.truth, f"select i1 {there}, {b.truth} {inside}, {b.truth} zeroinitializer").name
            given = f"{b.real} {turned.name}, ptr {row(n)}, i32 {SIZES[b.kind]}, {b.truth} {mask}"
            b.lines.append(f"  call void @llvm.masked.store.{suffix}({given})")
    else:
        rows = [masked(b, row(n), element, inside, otherwise) for n in range(width)]
        for place, turned in zip(tile, turned_over(b, rows), strict=True):
            turn.keep(turned, region, place)
    text = f"""
  br label %{name}_loop
{name}_loop:
  {turn.number} = phi i64 [ 0, %{before} ], [ %{name}_next, %{name}_loop ]
{chr(10).join(b.lines)}
  %{name}_next = add i64 {turn.number}, 1
  %{name}_more = icmp ult i64 %{name}_next, %tiles
  br i1 %{name}_more, label %{name}_loop, label %{name}_end
{name}_end:"""
    return text, b.declared


def places(width: int) -> list[str]:
    """Return the lines that say how many numbers from the first of all the rows of a group begin."""
    turn = Body("double", width, "place")
    base = turn.write("i64", "mul i64 %group, %classes").name
    for number in range(width):
        there = turn.write("i1", f"icmp ult i64 {number}, %count").name
        inside = turn.write("i64", f"select i1 {there}, i64 {number}, i64 0").name
        offset = turn.write("i64", f"mul i64 {inside}, %classes").name
        turn.lines.append(f"  %row_place{number} = add i64 {base}, {offset}")
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
