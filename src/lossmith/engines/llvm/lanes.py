"""Writing LLVM's text: vectors of numbers that are added and compared like numbers in Python.

Every instruction is written once for the same arguments, so what two formulas share, such as an
exponential, is computed once without either knowing of the other.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Literal

from lossmith.engines.llvm import avx512
from lossmith.engines.llvm.spelling import element_of, intrinsic, literal, splat

Kind = Literal["float", "double"]

_COMMUTATIVE = ("fadd", "fmul", "and", "or", "xor", "add", "mul")


@dataclass(eq=False, slots=True)
class Lanes:
    """A value in the text: its name, and the type behind it.

    Attributes:
        body: the text that it belongs to.
        type: the type, such as ``<8 x double>``.
        name: what the text calls it, or the literal it is.
    """

    body: Body
    type: str
    name: str

    def __add__(self, other: Number) -> Lanes:
        return self.body.apply("fadd", self, self.body.like(self, other))

    def __radd__(self, other: float) -> Lanes:
        return self.body.like(self, other) + self

    def __sub__(self, other: Number) -> Lanes:
        return self.body.apply("fsub", self, self.body.like(self, other))

    def __rsub__(self, other: float) -> Lanes:
        return self.body.like(self, other) - self

    def __mul__(self, other: Number) -> Lanes:
        return self.body.apply("fmul", self, self.body.like(self, other))

    def __rmul__(self, other: float) -> Lanes:
        return self.body.like(self, other) * self

    def __truediv__(self, other: Number) -> Lanes:
        return self.body.apply("fdiv", self, self.body.like(self, other))

    def __rtruediv__(self, other: float) -> Lanes:
        return self.body.like(self, other) / self

    def __neg__(self) -> Lanes:
        return self.body.negative(self)

    def __lt__(self, other: Number) -> Lanes:
        return self.body.compare("olt", self, self.body.like(self, other))

    def __le__(self, other: Number) -> Lanes:
        return self.body.compare("ole", self, self.body.like(self, other))

    def __gt__(self, other: Number) -> Lanes:
        return self.body.compare("ogt", self, self.body.like(self, other))

    def __ge__(self, other: Number) -> Lanes:
        return self.body.compare("oge", self, self.body.like(self, other))

    def equals(self, other: Number) -> Lanes:
        """Return where two vectors are equal; a NaN equals nothing."""
        return self.body.compare("oeq", self, self.body.like(self, other))

    def __and__(self, other: Lanes) -> Lanes:
        return self.body.apply("and", self, other)

    def __or__(self, other: Lanes) -> Lanes:
        return self.body.apply("or", self, other)

    def __xor__(self, other: Lanes) -> Lanes:
        return self.body.apply("xor", self, other)


Number = Lanes | float


class Body:
    """The text of a function, written from top to bottom.

    Args:
        kind: type of a number.
        width: numbers in a vector.
        prefix: what the names of its values begin with.
        label: the block of the function in which the text begins. With one, the text may branch, and ``label[0]``
            is the block that it is in; without, it stays one block.
        registers: how many registers of the machine a vector takes.
    """

    def __init__(self, kind: Kind, width: int, prefix: str = "v", label: str = "", *, registers: int = 1) -> None:
        self.kind: Kind = kind
        self.width, self.prefix = width, prefix
        self._bits = width * (32 if kind == "float" else 64)  # which a view of wider numbers does not change
        self._register = self._bits // registers
        self.lines: list[str] = []
        self.declared: set[str] = set()
        self.label = [label] if label else []
        self._known: dict[tuple[str, str], str] = {}
        self._opposite: dict[str, str] = {}
        self._half: dict[str, str] = {}
        self._sizes: set[str] = set()
        self._numbers: dict[str, float] = {}
        self._count = itertools.count()

    # --- types ----------------------------------------------------------------------------------

    @property
    def real(self) -> str:
        """The type of a vector of numbers."""
        return self.vector(self.kind)

    @property
    def integer(self) -> str:
        """The type of a vector of integers of the same width in bits."""
        return self.vector("i32" if self.kind == "float" else "i64")

    @property
    def truth(self) -> str:
        """The type of a vector of truth values."""
        return self.vector("i1")

    def vector(self, element: str) -> str:
        """Return the type of a vector of these elements."""
        return f"<{self.width} x {element}>"

    # --- values -----------------------------------------------------------------------------------

    def number(self, value: float, kind: Kind | None = None) -> Lanes:
        """Return the same number in every lane, rounded to the type."""
        kind = kind or self.kind
        name = splat(value, kind)
        self._numbers[name] = value
        return Lanes(self, self.vector(kind), name)

    def whole(self, value: int) -> Lanes:
        """Return the same integer in every lane."""
        return Lanes(self, self.integer, f"splat ({element_of(self.integer)} {value})")

    @property
    def always(self) -> Lanes:
        """True in every lane."""
        return Lanes(self, self.truth, "splat (i1 true)")

    def widened(self) -> Body:
        """Return a view of this text in which numbers are doubles."""
        wide = copy.copy(self)  # the lines and what is known are the same objects
        wide.kind = "double"
        return wide

    def take(self, a: Lanes) -> Lanes:
        """Return numbers in the type of this text, wider than they were."""
        return replace(self.convert("fpext", a, self.real), body=self)

    def give(self, a: Lanes) -> Lanes:
        """Return numbers in the type of this text, rounded to it."""
        return replace(self.convert("fptrunc", replace(a, body=self), self.real), body=self)

    def like(self, other: Lanes, value: Number) -> Lanes:
        """Return a number as a vector of another's type; a vector as it is."""
        if isinstance(value, Lanes):
            return value
        return self.number(value, "float" if other.type.endswith("float>") else "double")

    # --- instructions -------------------------------------------------------------------------------

    def write(self, type_: str, text: str) -> Lanes:
        """Write an instruction and return its result; the same text again is the same value."""
        name = self._known.get((type_, text))
        if name is None:
            name = self._known[type_, text] = f"%{self.prefix}{next(self._count)}"
            self.lines.append(f"  {name} = {text}")
        return Lanes(self, type_, name)

    def once(self, write: Callable[..., Lanes], given: Sequence[Lanes], known: Mapping[str, Any]) -> Lanes:
        """Return what a function of numbers gives, whose lines are not gone through again for the same ones."""
        key = f"{write.__name__} {known}", " ".join(x.name for x in given)
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = write(self, *given, **known).name
        return Lanes(self, given[0].type, name)

    def known(self, type_: str, text: str) -> Lanes | None:
        """Return the result of an instruction, if it is written already."""
        return Lanes(self, type_, self._known[type_, text]) if (type_, text) in self._known else None

    def apply(self, op: str, a: Lanes, b: Lanes) -> Lanes:
        """Return an operation of two vectors."""
        if op in ("fmul", "fdiv") and self.constant(b) == 1:
            return a
        if op == "fadd" and a.name == b.name and a.name in self._half:
            return replace(a, name=self._half[a.name])
        if op == "fmul" and (one := self.opposite(a)) and (other := self.opposite(b)):
            a, b = one, other
        if op in _COMMUTATIVE and a.name > b.name:
            a, b = b, a
        found = self.write(a.type, f"{op} {a.type} {a.name}, {b.name}")
        if op == "fmul" and self.constant(b) == 0.5:
            self._half[found.name] = a.name
        return found

    def unary(self, op: str, a: Lanes) -> Lanes:
        """Return an operation of one vector."""
        return self.write(a.type, f"{op} {a.type} {a.name}")

    def compare(self, how: str, a: Lanes, b: Lanes) -> Lanes:
        """Return where a comparison holds; with a NaN, none that begins with ``o`` does."""
        return self.write(self.truth, f"fcmp {how} {a.type} {a.name}, {b.name}")

    def compare_whole(self, how: str, a: Lanes, b: Lanes) -> Lanes:
        """Return where a comparison of integers holds."""
        return self.write(self.truth, f"icmp {how} {a.type} {a.name}, {b.name}")

    def select(self, condition: Lanes, a: Number, b: Number) -> Lanes:
        """Return ``a`` where the condition holds, else ``b``."""
        if isinstance(a, Lanes):
            b = self.like(a, b)
        elif isinstance(b, Lanes):
            a = self.like(b, a)
        else:
            a, b = self.number(a), self.number(b)
        if a.name == b.name:
            return a
        return self.write(a.type, f"select {condition.type} {condition.name}, {a.type} {a.name}, {b.type} {b.name}")

    def rarely(self, where: Lanes, rare: Callable[[], Lanes], common: Lanes) -> Lanes:
        """Return ``rare()`` where a condition holds, else ``common``; no time is lost on it while it holds nowhere.

        A lane's result does not depend on what the other lanes hold.
        """
        if not self.label:
            return self.select(where, rare(), common)
        some, number, before = self.anywhere(where), next(self._count), self.label[0]
        branch, join = (f"{self.prefix}{what}{number}" for what in ("rare", "join"))
        self.lines.append(f"  br i1 {some}, label %{branch}, label %{join}\n{branch}:")
        known, opposite = self._known.copy(), self._opposite.copy()
        self.label[0] = branch
        found = self.select(where, rare(), common)
        self.lines.append(f"  br label %{join}\n{join}:")
        # What was written in the branch is not there outside of it; views of this text share these objects.
        self._known.clear()
        self._known.update(known)
        self._opposite.clear()
        self._opposite.update(opposite)
        ends = f"[ {found.name}, %{self.label[0]} ], [ {common.name}, %{before} ]"
        self.label[0] = join
        return self.write(common.type, f"phi {common.type} {ends}")

    def anywhere(self, where: Lanes) -> str:
        """Return the name of what says whether a condition holds in some lane."""
        reduce = f"llvm.vector.reduce.or.v{self.width}i1"
        self.declared.add(f"declare i1 @{reduce}({self.truth})")
        return self.write("i1", f"call i1 @{reduce}({where.type} {where.name})").name

    def constant(self, a: Lanes) -> float | None:
        """Return the number that a value is in every lane, where the text itself says so."""
        return self._numbers.get(a.name)

    def convert(self, op: str, a: Lanes, type_: str) -> Lanes:
        """Return a vector converted to another type, by ``bitcast``, ``fptosi``, ``fpext`` and so on."""
        return a if a.type == type_ else self.write(type_, f"{op} {a.type} {a.name} to {type_}")

    def call(self, name: str, *arguments: Lanes, extra: Sequence[str] = ()) -> Lanes:
        """Return what an intrinsic of LLVM gives, such as ``fma`` or ``sqrt``; ``extra`` are further arguments."""
        types = (*[argument.type for argument in arguments], *[item.partition(" ")[0] for item in extra])
        called, declared = intrinsic(name, self.width, types)
        self.declared.add(declared)
        given = ", ".join([*[f"{argument.type} {argument.name}" for argument in arguments], *extra])
        return self.write(arguments[0].type, f"{called}({given})")

    def fma(self, a: Lanes, b: Number, c: Number) -> Lanes:
        """Return ``a * b + c``, rounded once."""
        return self.call("fma", a, self.like(a, b), self.like(a, c))

    def negative(self, a: Lanes) -> Lanes:
        """Return a number with the other sign."""
        if known := self.opposite(a):
            return known
        found = self.unary("fneg", a)
        self._opposite[found.name] = a.name
        return found

    def opposite(self, a: Lanes) -> Lanes | None:
        """Return what a number is the negative of, where the text itself says so."""
        return replace(a, name=self._opposite[a.name]) if a.name in self._opposite else None

    def abs(self, a: Lanes) -> Lanes:
        """Return the absolute value, which a number and its negative share."""
        a = self.opposite(a) or a
        if a.name not in self._sizes:
            a = self.call("fabs", a)
            self._sizes.add(a.name)
        return a

    def copysign(self, a: Lanes, sign: Lanes) -> Lanes:
        """Return ``a`` with the sign of ``sign``."""
        return self.call("copysign", a, sign)

    def sqrt(self, a: Lanes) -> Lanes:
        """Return the square root."""
        return self.call("sqrt", a)

    def rint(self, a: Lanes) -> Lanes:
        """Return the nearest whole number, ties to even."""
        return self.call("rint", a)

    def largest(self, a: Lanes, b: Number) -> Lanes:
        """Return the larger one; ``b`` at a NaN in ``a``."""
        other = self.like(a, b)
        return self.select(a > other, a, other)

    def smallest(self, a: Lanes, b: Number) -> Lanes:
        """Return the smaller one; ``b`` at a NaN in ``a``."""
        other = self.like(a, b)
        return self.select(a < other, a, other)

    def at_least(self, a: Lanes, low: float) -> Lanes:
        """Return ``a``, or ``low`` where it is less; a NaN stays."""
        return self.select(self.like(a, low) > a, low, a)

    def within(self, a: Lanes, low: float, high: float) -> Lanes:
        """Return ``a``, or the nearer end where it lies outside; a NaN stays."""
        a = self.at_least(a, low)
        return self.select(self.like(a, high) < a, high, a)

    @property
    def scales(self) -> bool:
        """Whether the machine takes numbers apart into powers of two and the rest, and back, by one instruction each.

        These are of AVX-512, and right for subnormal, infinite and zero numbers and for what is no number.
        """
        return self._bits == self.width * (32 if self.kind == "float" else 64) and self._register % 512 == 0

    def scale(self, x: Lanes, n: Lanes, where: Lanes | None = None) -> Lanes:
        """Return x · 2 ** n, and 0 where a condition does not hold, if one is given; only where ``scales`` says so."""
        given = ((x.type, x.name), (x.type, n.name), (x.type, "zeroinitializer"))
        return self._wide("scalef", *given, where=where.name if where else "")

    def exponent(self, x: Lanes) -> Lanes:
        """Return the exponent of |x|, a whole number; only where ``scales`` says so."""
        return self._wide("getexp", (x.type, x.name), (x.type, "zeroinitializer"))

    def mantissa(self, x: Lanes) -> Lanes:
        """Return x by a power of two, from 3/4 to 3/2; no number for negative x; only where ``scales`` says so."""
        return self._wide("getmant", (x.type, x.name), ("i32", "11"), (x.type, "zeroinitializer"))

    def signed_mantissa(self, x: Lanes) -> Lanes:
        """Return x by the power of two that ``exponent`` tells, from 1 to 2 but for the sign, which ±0 and ±∞ have as
        ±1; only where ``scales`` says so."""
        return self._wide("getmant", (x.type, x.name), ("i32", "0"), (x.type, "zeroinitializer"))

    def look_up(self, numbers: Sequence[float], place: Lanes) -> Lanes:
        """Return of sixteen floats those at places, whose last four bits count; only where ``scales`` says so."""
        listed = ", ".join(f"float {literal(number, 'float')}" for number in numbers)
        given = ("<16 x float>", f"<{listed}>"), (place.type, place.name)
        return Lanes(self, self.real, avx512.in_lanes(self, "permvar", given))

    def _wide(self, name: str, *given: tuple[str, str], where: str = "") -> Lanes:
        return Lanes(self, given[0][0], avx512.in_lanes(self, name, given, where))

    def bits(self, a: Lanes) -> Lanes:
        """Return the bits of numbers, as integers."""
        return self.convert("bitcast", a, self.integer)

    def from_bits(self, a: Lanes) -> Lanes:
        """Return the numbers that these bits are."""
        return self.convert("bitcast", a, self.real)

    def shift_left(self, a: Lanes, places: int) -> Lanes:
        """Return integers moved to higher bits."""
        return self.apply("shl", a, self.whole(places))

    def shift_right(self, a: Lanes, places: int) -> Lanes:
        """Return integers moved to lower bits; the sign stays."""
        return self.apply("ashr", a, self.whole(places))


def once(write: Callable[..., Lanes]) -> Callable[..., Lanes]:
    """Return a function of numbers of a text that costs no time for the same numbers again; see ``Body.once``."""

    @wraps(write)
    def written(b: Body, *given: Lanes, **known: bool) -> Lanes:
        return b.once(write, given, known)

    return written
