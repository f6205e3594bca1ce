"""What kernels that take one row after the other are made of: loops over the classes of a row, and reductions.

Lanes are classes of one row, and every number of a row is spread over all lanes. They compute in double precision. What
looks at rows by these means works on rows in lanes as well; see ``row_by_lane``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lossmith.engines.llvm.frame import onward, phis
from lossmith.engines.llvm.lanes import Body, Kind, Lanes
from lossmith.engines.llvm.memory import SIZES
from lossmith.engines.llvm.spelling import SHORT, element_of
from lossmith.engines.llvm.vectors import Vector


class Look:
    """The text of one look at a vector of classes of a row, which may be the last one and not whole.

    Args:
        name: of the loop that it stands in.
        width: numbers in a vector.
        streaming: whether it writes past the caches; rows are whole vectors then.
    """

    def __init__(self, name: str, width: int, streaming: bool) -> None:
        self.body = Vector("double", width, f"{name}v", f"{name}_vectors")
        self.streaming = self.whole = streaming
        self.k = f"%k_{name}"
        if streaming:
            self.inside = self.body.always
            return
        b, long = self.body, self.body.vector("i64")
        left = single(b, "i64", b.write("i64", f"sub i64 %classes, {self.k}").name)
        lanes = f"<{', '.join(f'i64 {lane}' for lane in range(width))}>"
        self.inside = b.write(b.truth, f"icmp slt {long} {lanes}, {left.name}")

    def of(self, value: Lanes) -> Lanes:
        """Return a number of the row, to compute with here."""
        return replace(value, body=self.body)

    def named(self, name: str, type_: str = "") -> Lanes:
        """Return a value of the text around."""
        return Lanes(self.body, type_ or self.body.real, name)

    def counted(self, value: Lanes) -> Lanes:
        """Return a value, or 0 beyond the end of the row."""
        return value if self.whole else self.body.select(self.inside, value, 0.0)

    def holds(self, condition: Lanes) -> Lanes:
        """Return where a condition holds inside the row."""
        return condition if self.whole else condition & self.inside

    @property
    def places(self) -> Lanes:
        """The indices of these classes."""
        b, long = self.body, self.body.vector("i64")
        first = b.write(long, f"insertelement {long} zeroinitializer, i64 {self.k}, i32 0").name
        each = f"<{b.width} x i32> zeroinitializer"
        here = b.write(long, f"shufflevector {long} {first}, {long} zeroinitializer, {each}")
        lanes = f"<{', '.join(f'i64 {lane}' for lane in range(b.width))}>"
        return b.write(long, f"add {long} {here.name}, {lanes}")

    def _at(self, pointer: str, element: str) -> str:
        return self.body.write("ptr", f"getelementptr {element}, ptr {pointer}, i64 {self.k}").name

    def load(self, name: str, element: Kind, otherwise: float) -> Lanes:
        """Return the numbers of a row at these classes as doubles; ``otherwise`` beyond its end."""
        return self._read(f"%row_{name}", element, otherwise)

    def shared(self, name: str) -> Lanes:
        """Return the numbers at these classes that are the same for all rows; 0 beyond the end of a row."""
        return self._read(f"%{name}", "double", 0.0)

    def _read(self, pointer: str, element: Kind, otherwise: float) -> Lanes:
        b, at, type_ = self.body, self._at(pointer, element), self.body.vector(element)
        if self.streaming:
            found = b.write(type_, f"load {type_}, ptr {at}, align {SIZES[element]}")
        else:
            name = f"llvm.masked.load.v{b.width}{SHORT[element]}.p0"
            b.declared.add(f"declare {type_} @{name}(ptr, i32, {b.truth}, {type_})")
            beyond = b.number(otherwise, element).name
            text = f"ptr {at}, i32 {SIZES[element]}, {b.truth} {self.inside.name}, {type_} {beyond}"
            found = b.write(type_, f"call {type_} @{name}({text})")
        return b.convert("fpext", found, b.real)

    def store(self, value: Lanes, name: str, element: Kind) -> None:
        """Write numbers of a row at these classes."""
        b, at = self.body, self._at(f"%row_{name}", element)
        value = b.convert("fptrunc", value, b.vector(element))
        size = SIZES[element]
        if self.streaming:
            how = f"align {size * b.width}, !nontemporal !0"
            b.lines.append(f"  store {value.type} {value.name}, ptr {at}, {how}")
            return
        name = f"llvm.masked.store.v{b.width}{SHORT[element]}.p0"
        b.declared.add(f"declare void @{name}({value.type}, ptr, i32, {b.truth})")
        given = f"{value.type} {value.name}, ptr {at}, i32 {size}, {b.truth} {self.inside.name}"
        b.lines.append(f"  call void @{name}({given})")

    def keep(self, value: Lanes, name: str) -> None:
        """Write numbers to scratch, which has room for whole vectors."""
        at = self._at(f"%scratch_{name}", "double")
        self.body.lines.append(f"  store {value.type} {value.name}, ptr {at}, align {8 * self.body.width}")

    def kept(self, name: str) -> Lanes:
        """Return the numbers that scratch holds."""
        at = self._at(f"%scratch_{name}", "double")
        return self.body.write(self.body.real, f"load {self.body.real}, ptr {at}, align {8 * self.body.width}")


Write = Callable[[Look, Mapping[str, Lanes]], Mapping[str, Lanes]]
Carried = Mapping[str, tuple[str, str]]
"""What a loop carries along: the type and the first value of each name."""


class Text:
    """A function under construction: lines, and the intrinsics that they need.

    Args:
        width: lanes.
        registers: how many registers of the machine a vector takes.

    Attributes:
        step: rows that are taken at a time.
    """

    scratch = "scratch"
    """What the names of pointers to what is kept of classes begin with."""

    def __init__(self, width: int, registers: int = 1) -> None:
        self.width, self.registers, self.step = width, registers, 1
        self.lines: list[str] = []
        self.declared: set[str] = set()

    def row(self, name: str) -> Vector:
        """Return a body for arithmetic on numbers of the row; ``close`` adds it."""
        return Vector("double", self.width, name, registers=self.registers)

    def close(self, body: Body) -> None:
        """Add what was written into a body."""
        self.lines += body.lines
        self.declared |= body.declared

    def look(self, name: str, streaming: bool) -> Look:
        """Return the text of a look that is to be written."""
        return Look(name, self.width, streaming)

    def loop(self, name: str, write: Write, carried: Carried, streaming: bool = False) -> dict[str, Lanes]:
        """Add a look at all classes of the row, and return what it carried along, unreduced."""
        look = self.look(name, streaming)
        before = {key: look.named(f"%{name}_{key}", type_) for key, (type_, _) in carried.items()}
        after = {key: replace(value, body=look.body) for key, value in write(look, before).items()}
        (end,) = look.body.label
        self.lines += [
            f"  br label %{name}_begin\n{name}_begin:\n  br label %{name}_vectors\n{name}_vectors:",
            f"  {look.k} = phi i64 [ 0, %{name}_begin ], [ %{name}_next, %{end} ]",
            phis(carried, f"{name}_", ({}, f"{name}_begin"), ({key: x.name for key, x in after.items()}, end)),
            *look.body.lines,
            onward(f"%{name}_next", look.k, self.width // self.step),
            f"  %{name}_more = icmp ult i64 %{name}_next, %classes",
            f"  br i1 %{name}_more, label %{name}_vectors, label %{name}_end\n{name}_end:",
        ]
        self.declared |= look.body.declared
        return after

    # --- numbers of the row ---------------------------------------------------------------------------

    def total(self, b: Body, a: Lanes) -> Lanes:
        """Return the sum over all classes, given what a loop carried along."""
        return total(b, a)

    def together(self, b: Body, function: Callable[[Lanes], Lanes], numbers: Sequence[Lanes]) -> Sequence[Lanes]:
        """Return a function of several numbers of the row, which is computed once where lanes are free."""
        if len(numbers) == 1:
            return [function(a) for a in numbers]
        first, second = numbers
        half = b.width // 2
        lanes = ", ".join(f"i32 {lane if lane < half else lane + half}" for lane in range(b.width))
        lower, upper = (f"<{b.width} x i32> <{', '.join([f'i32 {lane}'] * b.width)}>" for lane in (0, half))
        text = f"{first.type} {first.name}, {first.type} {second.name}, <{b.width} x i32> <{lanes}>"
        both = function(b.write(first.type, f"shufflevector {text}"))
        texts = (f"shufflevector {both.type} {both.name}, {both.type} zeroinitializer, {to}" for to in (lower, upper))
        return [b.write(both.type, text) for text in texts]

    def anywhere(self, b: Body, a: Lanes) -> Lanes:
        """Return whether something holds at some class."""
        return single(b, "i1", b.anywhere(a))

    def first_largest(self, b: Body, a: Lanes, place: Lanes) -> tuple[Lanes, Lanes]:
        """Return the largest number of all classes and its place, the first where there are several."""
        top, place = replace(a, body=b), replace(place, body=b)
        for distance in _distances(b):
            top = b.largest(top, swapped(b, top, distance))
        nowhere = Lanes(b, place.type, "splat (i64 -1)")
        place = b.select(top.equals(replace(a, body=b)), place, nowhere)
        for distance in _distances(b):
            place = b.call("umin", place, swapped(b, place, distance))
        return top, place

    def all_but_largest(self, b: Body, best: Lanes, rest: Lanes, place: Lanes) -> tuple[Lanes, Lanes, Lanes]:
        """Return the largest number by size, the sum of all others, and the place of the largest.

        Args:
            b: what is written into.
            best: the largest of each lane.
            rest: the sum of the others of each lane.
            place: where the largest stands.
        """
        best, rest, place = (replace(a, body=b) for a in (best, rest, place))
        for distance in _distances(b):
            other, more, there = (swapped(b, a, distance) for a in (best, rest, place))
            size, far = b.abs(best), b.abs(other)
            better = (far > size) | (far.equals(size) & b.compare_whole("ult", there, place))
            rest = (rest + more) + b.select(better, best, other)
            best, place = b.select(better, other, best), b.select(better, there, place)
        return best, rest, place

    def at_class(self, b: Body, array: str, element: Kind, place: Lanes) -> Lanes:
        """Return what a row holds at one of its classes."""
        at = b.write("i64", f"extractelement {place.type} {place.name}, i32 0").name
        return number_at(b, f"%row_{array}", element, at)

    def kept_at(self, b: Body, name: str, place: Lanes) -> Lanes:
        """Return what scratch holds of a row at one of its classes."""
        at = b.write("i64", f"extractelement {place.type} {place.name}, i32 0").name
        return number_at(b, f"%scratch_{name}", "double", at)

    def of_row(self, b: Body, array: str, element: str) -> Lanes:
        """Return what an array of one number for each row holds, as it lies there."""
        return number_at(b, f"%{array}", element, "%row")

    def to_row(self, b: Body, value: Lanes, array: str, element: Kind) -> None:
        """Write what an array of one number for each row is to hold."""
        one = b.convert("fptrunc", value, b.vector(element))
        at = b.write("ptr", f"getelementptr {element}, ptr %{array}, i64 %row").name
        found = b.write(element, f"extractelement {one.type} {one.name}, i32 0")
        b.lines.append(f"  store {element} {found.name}, ptr {at}, align {SIZES[element]}")

    def type_of(self, element: str) -> str:
        """Return the type of a number of the row with a name."""
        return element

    def name(self, b: Body, a: Lanes, name: str) -> None:
        """Give a number of the row a name."""
        first_lane(b, a, name)

    def named(self, b: Body, element: str, name: str) -> Lanes:
        """Return a number of the row that has a name."""
        return single(b, element, f"%{name}")

    # --- around rows ------------------------------------------------------------------------------------

    @property
    def present(self) -> str:
        """Where there is a row."""
        return "splat (i1 true)"

    def begin_row(self, element: Kind, given: Sequence[str], written: Sequence[str]) -> None:
        """Write where arrays hold the row, as ``%row_{name}``.

        Args:
            element: what arrays hold.
            given: names of those to read.
            written: names of those to write.
        """
        self.lines.append("  %base = mul i64 %row, %classes")
        for name in (*given, *written):
            self.lines.append(f"  %row_{name} = getelementptr {element}, ptr %{name}, i64 %base")

    def end_row(self) -> None:
        """Write what is left to do for a row."""

    @property
    def sum_type(self) -> str:
        """The type of the sum of losses."""
        return "double"

    def summed(self, before: str, term: str, after: str) -> list[str]:
        """Return the lines that add the loss of a row to a sum."""
        return [f"  {after} = fadd double {before}, {term}"]

    def bits(self, b: Body, where: Lanes, name: str) -> str:
        """Return the name of an integer that is not 0 where something holds of the row."""
        return b.write("i64", f"zext i1 {first_lane(b, where, f'{name}_here')} to i64").name

    def end_block(self) -> str:
        """Write the end of a block; return its sum, of ``%sum_all``."""
        return "%sum_all"


def swapped(b: Body, a: Lanes, distance: int) -> Lanes:
    """Return lanes exchanged with those at a distance, a power of two."""
    places = ", ".join(f"i32 {lane ^ distance}" for lane in range(b.width))
    return b.write(a.type, f"shufflevector {a.type} {a.name}, {a.type} zeroinitializer, <{b.width} x i32> <{places}>")


def _distances(b: Body) -> list[int]:
    return [b.width >> step for step in range(1, b.width.bit_length())]


def total(b: Body, a: Lanes) -> Lanes:
    """Return the sum of all lanes in each of them, to the same bits."""
    a = replace(a, body=b)
    for distance in _distances(b):
        a = a + swapped(b, a, distance)
    return a


def first_lane(b: Body, a: Lanes, name: str) -> str:
    """Give a number of the row a name of its own, as a single one, and return that."""
    b.lines.append(f"  %{name} = extractelement {a.type} {a.name}, i32 0")
    return f"%{name}"


def single(b: Body, element: str, name: str) -> Lanes:
    """Return a single value in every lane."""
    type_ = b.vector(element)
    first = b.write(type_, f"insertelement {type_} zeroinitializer, {element} {name}, i32 0").name
    return b.write(type_, f"shufflevector {type_} {first}, {type_} zeroinitializer, <{b.width} x i32> zeroinitializer")


def number_at(b: Body, pointer: str, element: str, place: str) -> Lanes:
    """Return a number in memory, in every lane, as it lies there."""
    at = b.write("ptr", f"getelementptr {element}, ptr {pointer}, i64 {place}").name
    return single(b, element, b.write(element, f"load {element}, ptr {at}, align {SIZES[element]}").name)


# --- sums that leave out the largest, which others are subtracted from without losing digits ---------------


def largest(name: str, width: int) -> dict[str, tuple[str, str]]:
    """Return what a loop carries to know the largest of some numbers by size, its place, and the sum of all others."""
    real, long = f"<{width} x double>", f"<{width} x i64>"
    types = {f"best_{name}": real, f"rest_{name}": real, f"place_{name}": long}
    return {key: (type_, "zeroinitializer") for key, type_ in types.items()}


def with_largest(look: Look, before: Mapping[str, Lanes], name: str, h: Lanes) -> dict[str, Lanes]:
    """Return the same with the numbers of these classes."""
    b, (best, rest, place) = look.body, (before[f"{part}_{name}"] for part in ("best", "rest", "place"))
    larger = b.abs(h) > b.abs(best)
    return {
        f"best_{name}": b.select(larger, h, best),
        f"rest_{name}": rest + b.select(larger, best, h),
        f"place_{name}": b.select(larger, look.places, place),
    }


def without_largest(text: Text, b: Body, after: Mapping[str, Lanes], name: str) -> dict[str, Lanes]:
    """Return the same of the row, given what a loop carried along."""
    parts = [f"{part}_{name}" for part in ("best", "rest", "place")]
    return dict(zip(parts, text.all_but_largest(b, *(after[part] for part in parts)), strict=True))


def without_each(look: Look, found: Mapping[str, Lanes], name: str, h: Lanes) -> Lanes:
    """Return, for each of these classes, the sum over all others; see ``row_math.without_each``."""
    b, (best, rest, place) = look.body, (look.of(found[f"{part}_{name}"]) for part in ("best", "rest", "place"))
    return b.select(b.compare_whole("eq", look.places, place), rest, (rest - h) + best)


def halved(b: Body, a: Lanes) -> Lanes:
    """Return lanes put together with those of the other half: sums of numbers, and of bits the greatest."""
    parts, element = [], element_of(a.type)
    for first in (0, b.width):
        lanes = ", ".join(f"i32 {first + lane}" for lane in range(b.width))
        text = f"shufflevector {a.type} {a.name}, {a.type} zeroinitializer, <{b.width} x i32> <{lanes}>"
        parts.append(b.write(b.vector(element), text))
    return parts[0] + parts[1] if element == b.kind else b.call("umax", *parts)
