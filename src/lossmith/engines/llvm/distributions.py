"""Whether rows are distributions: numbers from 0 to 1, which sum to 1.

A loop over classes carries along what it sees of that. Where nothing else is looked at, numbers are not widened and
stay where they lie: sums are of the type that rows hold, with a bound of what they are rounded by. Rows that miss the
tolerance by less than that, or hold anything odd, get a second look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lossmith.engines.limits import SUM_TOLERANCE
from lossmith.engines.llvm.frame import onward, phis
from lossmith.engines.llvm.lanes import Body, Kind, Lanes
from lossmith.engines.llvm.memory import SIZES
from lossmith.engines.llvm.row_text import Carried, Look, Text, single

_UNITS = {"float": 2.0**-24, "double": 2.0**-53}
"""What rounding a number changes at most, as a share of it."""

_PART = 16
"""Bytes of a vector within which machines move numbers at once."""


def unseen(width: int, symbols: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return what a loop carries along of some rows, before the first class."""
    names = dict.fromkeys((f"mass_{symbol}" for symbol in symbols), (f"<{width} x double>", "zeroinitializer"))
    return {"odd": (f"<{width} x i1>", "zeroinitializer"), **names}


def seen(look: Look, before: Mapping[str, Lanes], rows: Mapping[str, Lanes]) -> dict[str, Lanes]:
    """Return the same with these classes of rows; see ``valid_rows``."""
    b, found = look.body, {"odd": before["odd"]}
    for symbol, x in rows.items():
        found["odd"] = found["odd"] | (((x >= 0.0) & (x <= 1.0)) ^ b.always)
        found[f"mass_{symbol}"] = before[f"mass_{symbol}"] + x
    return found


def are_none(text: Text, b: Body, after: Mapping[str, Lanes]) -> Lanes:
    """Return where a row is no distribution, given what a loop carried along."""
    wrong = text.anywhere(b, after["odd"])
    for name in (name for name in after if name.startswith("mass")):
        wrong = wrong | ((b.abs(text.total(b, after[name]) - 1.0) <= SUM_TOLERANCE) ^ b.always)
    return wrong


class InPlace:
    """Looks at an array of rows where they lie, for a text whose lanes are rows.

    Args:
        text: what is written into.
        array: the name of the array.
        element: what it holds.
    """

    def __init__(self, text: Text, array: str, element: Kind) -> None:
        self._text, self._array, self._element = text, array, element
        self._rows = text.width
        self._lanes = 8 * text.width // text.registers // SIZES[element]

    def enter(self) -> None:
        """Write how far from 1 a sum may be to be surely within the tolerance, given ``%class_count``.

        A sum of numbers from 0 on is off by at most a unit of itself for each addition that a number goes through: one
        for each vector of the row, and a few for lanes. The double of that leaves room for what is beyond first order,
        and so does that of a unit for each class, by which the second look is off, with one double after the other.
        """
        b, unit = self._text.row("sb"), _UNITS[self._element]
        each = 2 * (unit / self._lanes + _UNITS["double"])
        found = b.number(SUM_TOLERANCE - 16 * unit) - single(b, "double", "%class_count") * each
        found = b.convert("fptrunc", found, b.vector(self._element))
        b.lines.append(f"  %sure_within = fadd {found.type} {found.name}, zeroinitializer")
        self._text.close(b)

    def look(self, otherwise: Lanes) -> Lanes:
        """Write the looks at a group of rows.

        Args:
            otherwise: which rows are none whatever they hold.

        Returns:
            Which rows are none.
        """
        self._first_look(otherwise)
        self._text.lines.append("  br i1 %sure, label %known, label %unsure\nunsure:")
        self._second_look()
        b = self._text.row("k")
        self._text.name(b, Lanes(b, b.truth, "%unsure_odd") | replace(otherwise, body=b), "unsure_none")
        b.lines.append("  br label %unsure_known\nunsure_known:\n  br label %known\nknown:")
        none = b.write(b.truth, f"phi {b.truth} [ zeroinitializer, %sure_done ], [ %unsure_none, %unsure_known ]")
        self._text.close(b)
        return none

    def _first_look(self, otherwise: Lanes) -> None:
        """Write as ``%sure`` whether surely no row of a group is none."""
        text, rows = self._text, self._rows
        b = Body(self._element, self._lanes, "sv")
        carried: Carried = {
            **{f"sum{n}": (b.real, "zeroinitializer") for n in range(rows)},
            "least": (b.real, b.number(0.0).name),
            "most": (b.real, b.number(1.0).name),
        }
        found = self._turn(b, {name: Lanes(b, type_, f"%sure_{name}") for name, (type_, _) in carried.items()})
        text.lines += [
            "  br label %sure_begin\nsure_begin:",
            *self._begin(),
            "  br i1 %sure_there, label %sure_ready, label %sure_done\nsure_ready:",
            "  br label %sure_vectors\nsure_vectors:",
            "  %sure_k = phi i64 [ 0, %sure_ready ], [ %sure_next, %sure_vectors ]",
            phis(carried, "sure_", ({}, "sure_ready"), ({name: a.name for name, a in found.items()}, "sure_vectors")),
            *b.lines,
            onward("%sure_next", "%sure_k", self._lanes),
            "  %sure_more = icmp ult i64 %sure_next, %classes",
            "  br i1 %sure_more, label %sure_vectors, label %sure_end\nsure_end:",
        ]
        b.lines.clear()
        each = Body(self._element, rows, "sx")
        sums = Lanes(each, each.real, _sums(b, [found[f"sum{n}"] for n in range(rows)]).name)
        near = each.abs(sums - 1.0) <= Lanes(each, each.real, "%sure_within")
        near = near & (replace(otherwise, body=each) ^ each.always)
        inside = (found["least"] >= 0.0) & (found["most"] <= 1.0)
        text.lines += [*b.lines, *each.lines]
        for name, which in (("near", near), ("inside", inside)):
            reduce = f"llvm.vector.reduce.and.v{which.body.width}i1"
            text.lines.append(f"  %sure_{name} = call i1 @{reduce}({which.type} {which.name})")
            text.declared |= {f"declare i1 @{reduce}({which.type})", *which.body.declared}
        text.lines += [
            "  %sure_both = and i1 %sure_inside, %sure_near",
            "  br label %sure_done\nsure_done:",
            "  %sure = phi i1 [ false, %sure_begin ], [ %sure_both, %sure_end ]",
        ]

    def _begin(self) -> list[str]:
        """Return the lines that say where rows begin, and whether there is a whole group of them to read in vectors.

        The last vector of a row ends with it, or, of a row that is shorter, goes on into the next ones.
        """
        row = f"getelementptr {self._element}, ptr %{{}}, i64 %{{}}".format
        return [
            "  %sure_first = mul i64 %group, %classes",
            f"  %sure_row0 = {row(self._array, 'sure_first')}",
            *(f"  %sure_row{n} = {row(f'sure_row{n - 1}', 'classes')}" for n in range(1, self._rows)),
            f"  %sure_fits = icmp ugt i64 %classes, {self._lanes}",
            f"  %sure_behind = sub i64 %classes, {self._lanes}",
            "  %sure_last = select i1 %sure_fits, i64 %sure_behind, i64 0",
            f"  %sure_reach = add i64 %sure_last, {self._lanes}",
            f"  %sure_before = mul i64 %classes, {self._rows - 1}",
            "  %sure_wanted = add i64 %sure_before, %sure_reach",
            "  %sure_left = mul i64 %left, %classes",
            "  %sure_there = icmp uge i64 %sure_left, %sure_wanted",
        ]

    def _turn(self, b: Body, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
        """Write what is found in a vector of each row, with what was carried along."""
        found, small = dict(before), b.vector("i32")
        b.declared.add("declare i64 @llvm.umin.i64(i64, i64)")
        at = b.write("i64", "call i64 @llvm.umin.i64(i64 %sure_k, i64 %sure_last)").name
        numbers = b.write("i64", f"sub i64 %sure_k, {at}").name, b.write("i64", "sub i64 %classes, %sure_k").name
        had, left = (single(b, "i32", b.write("i32", f"trunc i64 {number} to i32").name) for number in numbers)
        lanes = Lanes(b, small, f"<{', '.join(f'i32 {lane}' for lane in range(b.width))}>")
        own = b.compare_whole("ult", b.apply("sub", lanes, had), left)  # not of the vector before, nor of the next row
        for n in range(self._rows):
            place = b.write("ptr", f"getelementptr {b.kind}, ptr %sure_row{n}, i64 {at}").name
            x = b.write(b.real, f"load {b.real}, ptr {place}, align {SIZES[b.kind]}")
            found["least"], found["most"] = b.smallest(x, found["least"]), b.largest(x, found["most"])
            found[f"sum{n}"] = found[f"sum{n}"] + b.select(own, x, 0.0)
        return found

    def _second_look(self) -> None:
        """Write as ``%unsure_odd`` which rows of a group are no distributions, by one number after the other."""
        text, array, bits = self._text, self._array, f"i{self._rows}"
        one = Text(1)
        after = one.loop(
            "class",
            lambda look, before: seen(look, before, {array: look.load(array, self._element, 0.0)}),
            unseen(1, [array]),
            streaming=True,  # as what writes past the caches, it takes no part of a vector
        )
        b = one.row("ub")
        one.name(b, are_none(one, b, after), "unsure_one")
        one.close(b)
        text.lines += [
            "  br label %unsure_row\nunsure_row:",
            "  %unsure_n = phi i64 [ 0, %unsure ], [ %unsure_next, %unsure_end ]",
            f"  %unsure_before = phi {bits} [ 0, %unsure ], [ %unsure_bits, %unsure_end ]",
            "  %unsure_number = add i64 %group, %unsure_n",
            "  %unsure_first = mul i64 %unsure_number, %classes",
            f"  %row_{array} = getelementptr {self._element}, ptr %{array}, i64 %unsure_first",
            *one.lines,
            f"  %unsure_bit = zext i1 %unsure_one to {bits}",
            f"  %unsure_place = trunc i64 %unsure_n to {bits}",
            f"  %unsure_here = shl {bits} %unsure_bit, %unsure_place",
            f"  %unsure_bits = or {bits} %unsure_before, %unsure_here",
            "  br label %unsure_end\nunsure_end:",
            onward("%unsure_next", "%unsure_n", 1),
            "  %unsure_more = icmp ult i64 %unsure_next, %count",
            "  br i1 %unsure_more, label %unsure_row, label %unsure_done\nunsure_done:",
            f"  %unsure_odd = bitcast {bits} %unsure_bits to {text.type_of('i1')}",
        ]
        text.declared |= one.declared


def _sums(b: Body, vectors: Sequence[Lanes]) -> Lanes:
    """Write the sum of each of some vectors, as the lanes of one: of neighbours first, then of parts of vectors."""
    count, part = len(vectors), _PART // SIZES[b.kind]
    starts = [start + other for start in range(0, b.width, part) for other in (0, b.width)]
    even = [start + lane for start in starts for lane in range(0, part, 2)]  # those of one, of the other, and so on
    for _ in range(part.bit_length() - 1):
        pairs = list(zip(vectors[::2], vectors[1::2] or vectors, strict=True))
        vectors = [_picked(b, *both, even) + _picked(b, *both, [lane + 1 for lane in even]) for both in pairs]
    half = b.width // 2
    while half >= part:
        vectors = [_picked(b, a, a, range(half)) + _picked(b, a, a, range(half, 2 * half)) for a in vectors]
        half //= 2
    while len(vectors) > 1:
        part *= 2
        vectors = [_picked(b, *both, range(part)) for both in zip(vectors[::2], vectors[1::2], strict=True)]
    return vectors[0] if part == count else _picked(b, vectors[0], vectors[0], range(count))


def _picked(b: Body, one: Lanes, other: Lanes, places: Sequence[int]) -> Lanes:
    """Return the numbers at some places of two vectors, one after the other."""
    mask = f"<{len(places)} x i32> <{', '.join(f'i32 {place}' for place in places)}>"
    type_ = f"<{len(places)} x {b.kind}>"
    return b.write(type_, f"shufflevector {one.type} {one.name}, {other.type} {other.name}, {mask}")
