"""What kernels that take as many rows at once as vectors have lanes are made of, for rows of few classes.

Lanes are rows, and a vector holds one class of each: so the numbers of a row need no reduction over lanes, and what is
computed once a row is computed for all of them at once. Rows are brought into lanes, and back, by ``row_tiles``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lossmith.engines.llvm.frame import first_lanes, lane_numbers, tree
from lossmith.engines.llvm.lanes import Body, Kind, Lanes
from lossmith.engines.llvm.memory import SIZES
from lossmith.engines.llvm.row_text import Look, Text, number_at, single
from lossmith.engines.llvm.row_tiles import turn_rows
from lossmith.engines.llvm.spelling import SHORT


class LaneLook(Look):
    """The text of one look at a class of each row.

    Args:
        name: of the loop that it stands in.
        width: rows.
    """

    def __init__(self, name: str, width: int) -> None:
        super().__init__(name, width, streaming=True)

    @property
    def places(self) -> Lanes:
        """The index of this class."""
        return single(self.body, "i64", self.k)

    def _in_lanes(self, region: str, element: Kind) -> tuple[str, str]:
        type_ = self.body.vector(element)
        at = self.body.write("ptr", f"getelementptr {type_}, ptr %lanes_{region}, i64 {self.k}").name
        return type_, f"ptr {at}, align {SIZES[element] * self.body.width}"

    def load(self, name: str, element: Kind, otherwise: float) -> Lanes:
        """Return the numbers of the rows at this class as doubles."""
        type_, at = self._in_lanes(name, element)
        return self.body.convert("fpext", self.body.write(type_, f"load {type_}, {at}"), self.body.real)

    def shared(self, name: str) -> Lanes:
        """Return the number at this class that is the same for all rows."""
        return number_at(self.body, f"%{name}", "double", self.k)

    def store(self, value: Lanes, name: str, element: Kind) -> None:
        """Write numbers of the rows at this class."""
        type_, at = self._in_lanes(name, element)
        self.body.lines.append(f"  store {type_} {self.body.convert('fptrunc', value, type_).name}, {at}")

    def keep(self, value: Lanes, name: str) -> None:
        """Write numbers to scratch."""
        type_, at = self._in_lanes(name, "double")
        self.body.lines.append(f"  store {type_} {value.name}, {at}")

    def kept(self, name: str) -> Lanes:
        """Return the numbers that scratch holds."""
        type_, at = self._in_lanes(name, "double")
        return self.body.write(type_, f"load {type_}, {at}")


class LaneText(Text):
    """A function under construction whose lanes are rows; see ``Text``."""

    scratch = "lanes"

    def __init__(self, width: int, registers: int = 1) -> None:
        super().__init__(width, registers)
        self.step = width

    def look(self, name: str, streaming: bool) -> Look:
        """Return the text of a look that is to be written."""
        return LaneLook(name, self.width)

    # --- numbers of the row ---------------------------------------------------------------------------

    def total(self, b: Body, a: Lanes) -> Lanes:
        """Return the sum over all classes, given what a loop carried along."""
        return replace(a, body=b)

    def together(self, b: Body, function: Callable[[Lanes], Lanes], numbers: Sequence[Lanes]) -> Sequence[Lanes]:
        """Return a function of several numbers of the row."""
        return [function(a) for a in numbers]

    def anywhere(self, b: Body, a: Lanes) -> Lanes:
        """Return whether something holds at some class."""
        return replace(a, body=b)

    def first_largest(self, b: Body, a: Lanes, place: Lanes) -> tuple[Lanes, Lanes]:
        """Return the largest number of all classes and its place, the first where there are several."""
        return replace(a, body=b), replace(place, body=b)

    def all_but_largest(self, b: Body, best: Lanes, rest: Lanes, place: Lanes) -> tuple[Lanes, Lanes, Lanes]:
        """Return the largest number by size, the sum of all others, and the place of the largest."""
        return replace(best, body=b), replace(rest, body=b), replace(place, body=b)

    def at_class(self, b: Body, array: str, element: Kind, place: Lanes) -> Lanes:
        """Return what each row holds at one of its classes."""
        long = b.vector("i64")
        zero = "zeroinitializer"  # lanes beyond the last row read of the first one
        step = b.write(long, f"mul {long} {lane_numbers(self.width)}, {single(b, 'i64', '%classes').name}").name
        here = b.write(long, f"select {b.truth} {self.present}, {long} {step}, {long} {zero}").name
        number = b.write(long, f"add {long} {here}, {place.name}").name
        begin = b.write("i64", "mul i64 %group, %classes").name
        rows = b.write("ptr", f"getelementptr {element}, ptr %{array}, i64 {begin}").name
        return self._gathered(b, rows, element, number)

    def kept_at(self, b: Body, name: str, place: Lanes) -> Lanes:
        """Return what scratch holds of each row at one of its classes."""
        long = b.vector("i64")
        first = b.write(long, f"mul {long} {place.name}, splat (i64 {self.width})").name
        number = b.write(long, f"add {long} {first}, {lane_numbers(self.width)}").name
        return self._gathered(b, f"%lanes_{name}", "double", number)

    def _gathered(self, b: Body, begin: str, element: Kind, numbers: str) -> Lanes:
        long, type_ = b.vector("i64"), b.vector(element)
        at = b.write(b.vector("ptr"), f"getelementptr {element}, ptr {begin}, {long} {numbers}").name
        name = f"llvm.masked.gather.v{self.width}{SHORT[element]}.v{self.width}p0"
        b.declared.add(f"declare {type_} @{name}({b.vector('ptr')}, i32, {b.truth}, {type_})")
        given = f"{b.vector('ptr')} {at}, i32 {SIZES[element]}, {b.truth} {b.always.name}, {type_} zeroinitializer"
        return b.write(type_, f"call {type_} @{name}({given})")

    def of_row(self, b: Body, array: str, element: str) -> Lanes:
        """Return what an array of one number for each row holds, as it lies there; 0 beyond the last row."""
        type_, at = b.vector(element), b.write("ptr", f"getelementptr {element}, ptr %{array}, i64 %row").name
        name = f"llvm.masked.load.v{self.width}{SHORT[element]}.p0"
        b.declared.add(f"declare {type_} @{name}(ptr, i32, {b.truth}, {type_})")
        given = f"ptr {at}, i32 {SIZES[element]}, {b.truth} {self.present}, {type_} zeroinitializer"
        return b.write(type_, f"call {type_} @{name}({given})")

    def to_row(self, b: Body, value: Lanes, array: str, element: Kind) -> None:
        """Write what an array of one number for each row is to hold."""
        one = b.convert("fptrunc", value, b.vector(element))
        at = b.write("ptr", f"getelementptr {element}, ptr %{array}, i64 %row").name
        name = f"llvm.masked.store.v{self.width}{SHORT[element]}.p0"
        b.declared.add(f"declare void @{name}({one.type}, ptr, i32, {b.truth})")
        given = f"{one.type} {one.name}, ptr {at}, i32 {SIZES[element]}, {b.truth} {self.present}"
        b.lines.append(f"  call void @{name}({given})")

    def type_of(self, element: str) -> str:
        """Return the type of a number of the row with a name."""
        return f"<{self.width} x {element}>"

    def name(self, b: Body, a: Lanes, name: str) -> None:
        """Give a number of the row a name."""
        same = "or" if a.type == b.truth else "fadd"
        b.lines.append(f"  %{name} = {same} {a.type} {a.name}, {'zeroinitializer' if same == 'or' else _NOTHING}")

    def named(self, b: Body, element: str, name: str) -> Lanes:
        """Return a number of the row that has a name."""
        return Lanes(b, b.vector(element), f"%{name}")

    # --- around rows ------------------------------------------------------------------------------------

    @property
    def present(self) -> str:
        """Where there is a row."""
        return "%in_group"

    def begin_row(self, element: Kind, given: Sequence[str], written: Sequence[str]) -> None:
        """Write what brings rows into lanes; see ``Text.begin_row``."""
        self._element, self._written = element, tuple(written)
        b = Body("double", self.width)
        self.lines += [
            "  %group = add i64 %row, 0",
            "  %left = sub i64 %end, %group",
            f"  %few = icmp ult i64 %left, {self.width}",
            f"  %count = select i1 %few, i64 %left, i64 {self.width}",
            *first_lanes("in_group", "count", b),
        ]
        self._turn(given, out=False)

    def end_row(self) -> None:
        """Write what brings rows back."""
        self._turn(self._written, out=True)

    def _turn(self, arrays: Sequence[str], *, out: bool) -> None:
        for array in arrays:
            line, declared = turn_rows(array, array, self._element, self.width, out=out)
            self.lines.append(line)
            self.declared |= declared

    @property
    def sum_type(self) -> str:
        """The type of the sum of losses: a register, whatever a vector takes, so that sums are the same."""
        return f"<{self.width // self.registers} x double>"

    def summed(self, before: str, term: str, after: str) -> list[str]:
        """Return the lines that add losses of rows to a sum, a register after the other."""
        lines, lanes = [], self.width // self.registers
        for n in range(self.registers):
            places = ", ".join(f"i32 {n * lanes + lane}" for lane in range(lanes))
            part = f"{term}_{n}"
            given = f"{self.type_of('double')} {term}, {self.type_of('double')} {term}, <{lanes} x i32> <{places}>"
            name = after if n == self.registers - 1 else f"{after}_{n}"
            lines += [f"  {part} = shufflevector {given}", f"  {name} = fadd {self.sum_type} {before}, {part}"]
            before = name
        return lines

    def bits(self, b: Body, where: Lanes, name: str) -> str:
        """Return the name of an integer that has a bit for each row of which something holds."""
        found = b.convert("bitcast", where, f"i{self.width}")
        return b.write("i64", f"zext {found.type} {found.name} to i64").name

    def end_block(self) -> str:
        """Write the end of a block; return its sum, of ``%sum_all``."""
        self.lines += tree(self.width // self.registers, "%sum_all", "sum")
        return "%sum_whole"


_NOTHING = "splat (double -0.0)"
