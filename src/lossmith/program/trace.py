"""From a formula to a program: the formula runs once on symbols, which record what it does.

Equal expressions become one value (hash-consing), constants fold, and additions of zero or
products with one vanish, so derivatives come out short without a simplifier.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence

from lossmith.errors import ProgramError, plural
from lossmith.program.ops import TABLE, Ops, Value
from lossmith.program.program import Program, Step

_COMMUTATIVE = frozenset({"add", "mul", "mul0", "hypot", "equal", "both", "either"})
_EXPONENTIALS = frozenset({"exp", "expm1", "expm1_excess", "mul_exp"})
_FOLD: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b if b else math.nan,
    "neg": lambda a: -a,
    "abs": abs,
}


class Symbol:
    """A value of a graph under construction. Arithmetic, ``abs`` and ``< <= > >= == != & |`` record instructions."""

    __slots__ = ("graph", "number")

    def __init__(self, graph: Graph, number: int) -> None:
        self.graph = graph
        self.number = number

    def __add__(self, other: Value) -> Symbol:
        return self.graph.apply("add", (self, other))

    def __radd__(self, other: Value) -> Symbol:
        return self.graph.apply("add", (other, self))

    def __sub__(self, other: Value) -> Symbol:
        return self.graph.apply("sub", (self, other))

    def __rsub__(self, other: Value) -> Symbol:
        return self.graph.apply("sub", (other, self))

    def __mul__(self, other: Value) -> Symbol:
        return self.graph.apply("mul", (self, other))

    def __rmul__(self, other: Value) -> Symbol:
        return self.graph.apply("mul", (other, self))

    def __truediv__(self, other: Value) -> Symbol:
        return self.graph.apply("div", (self, other))

    def __rtruediv__(self, other: Value) -> Symbol:
        return self.graph.apply("div", (other, self))

    def __pow__(self, other: Value) -> Symbol:
        if isinstance(other, int) and 1 <= other <= 4:
            square = self if other == 1 else self * self
            return square if other < 3 else square * (self if other == 3 else square)
        return self.graph.apply("pow", (self, other))

    def __neg__(self) -> Symbol:
        return self.graph.apply("neg", (self,))

    def __rpow__(self, other: Value) -> Symbol:
        return self.graph.apply("pow", (other, self))

    def __abs__(self) -> Symbol:
        return self.graph.apply("abs", (self,))

    def __lt__(self, other: Value) -> Symbol:
        return self.graph.apply("lt", (self, other))

    def __le__(self, other: Value) -> Symbol:
        return self.graph.apply("le", (self, other))

    def __gt__(self, other: Value) -> Symbol:
        return self.graph.apply("lt", (other, self))

    def __ge__(self, other: Value) -> Symbol:
        return self.graph.apply("le", (other, self))

    def __eq__(self, other: object) -> Symbol:  # type: ignore[override]  # Python's answer would be no, without a word
        return self.graph.apply("equal", (self, other))

    def __ne__(self, other: object) -> Symbol:  # type: ignore[override]
        return self.graph.apply("either", (self < other, self > other))

    def __and__(self, other: Value) -> Symbol:
        return self.graph.apply("both", (self, other))

    def __or__(self, other: Value) -> Symbol:
        return self.graph.apply("either", (self, other))

    def __bool__(self) -> bool:
        raise ProgramError(
            "a formula cannot branch in Python, since it is traced once for all examples: "
            "write ops.where(condition, a, b) instead of if, and, or, or a chained comparison"
        )

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<value %{self.number} of a formula>"


class Graph:
    """Values under construction; ``program`` cuts out what the chosen outputs need."""

    def __init__(self, inputs: Sequence[str], parameters: Sequence[str]) -> None:
        self.inputs = tuple(inputs)
        self.parameters = tuple(parameters)
        self._nodes: list[tuple[str, tuple[int, ...]]] = []
        self._varies: list[bool] = []  # whether a value differs between examples
        self._grows: list[bool] = []  # whether an exponential in it can be infinite for some of them
        self._below: list[frozenset[int]] = []
        self._merging = False
        self.differentiating = False  # what a formula divides stays divided as written; what rules divide may merge
        self._index: dict[tuple[str, tuple[int, ...]], int] = {}
        self._constants: dict[str, int] = {}
        self._values: dict[int, float] = {}
        self.ops = Ops(self.apply)
        self.symbols = {name: self._symbol("input", (n,)) for n, name in enumerate(self.inputs + self.parameters)}

    def _symbol(self, op: str, args: tuple[int, ...]) -> Symbol:
        key = (op, args)
        if key not in self._index:
            self._index[key] = len(self._nodes)
            self._nodes.append(key)
            inner = op in TABLE
            varies = any(self._varies[arg] for arg in args) if inner else op == "input" and args[0] < len(self.inputs)
            self._varies.append(varies)
            steep = varies and (op in _EXPONENTIALS or (op == "pow" and self._varies[args[1]]))
            self._grows.append(steep or (inner and any(self._grows[arg] for arg in args)))
            self._below.append(self._denominators(op, args) if inner and self.differentiating else frozenset())
        return Symbol(self, self._index[key])

    def constant(self, value: float) -> Symbol:
        """Return the symbol of a literal number."""
        number = float(value)
        if math.isnan(number):
            raise ProgramError("a formula produced NaN as a constant")
        key = number.hex()
        if key not in self._constants:
            self._constants[key] = len(self._constants)
        symbol = self._symbol("constant", (self._constants[key],))
        self._values[symbol.number] = number
        return symbol

    def lift(self, value: Value) -> Symbol:
        """Return the symbol of a value that a formula used: a symbol of this graph or a number."""
        if isinstance(value, Symbol):
            if value.graph is not self:
                raise ProgramError("a formula mixed symbols of two traces")
            return value
        if isinstance(value, numbers.Real):
            try:
                return self.constant(float(value))
            except OverflowError:
                raise ProgramError("a formula used a whole number that is too large for a float") from None
        raise ProgramError(f"a formula can use numbers and its own symbols, got {value!r} ({type(value).__name__})")

    def apply(self, op: str, args: Sequence[Value]) -> Symbol:
        """Record one instruction, or return the value it is known to have."""
        row = TABLE[op]
        if len(args) != row.arity:
            raise ProgramError(f"ops.{op} takes {plural(row.arity, 'argument')}, got {len(args)}")
        symbols = tuple(self.lift(arg) for arg in args)
        known = self._simplify(op, symbols)
        if known is not None:
            return known
        order = tuple(symbol.number for symbol in symbols)
        return self._symbol(op, tuple(sorted(order)) if op in _COMMUTATIVE else order)

    def _simplify(self, op: str, args: tuple[Symbol, ...]) -> Symbol | None:
        if op in ("mul", "mul0"):
            for factor, other in (args, args[::-1]):
                quotient = self._divide(op, factor, other)
                if quotient is not None:
                    return quotient
        values = [self._values.get(arg.number) for arg in args]
        known = [value for value in values if value is not None]
        if op in _FOLD and len(known) == len(args):
            folded = _FOLD[op](*known)
            return self.constant(folded) if math.isfinite(folded) else None
        if op in ("where", "alike"):
            return args[1] if args[1].number == args[2].number else None
        if op == "neg" and self._nodes[args[0].number][0] == "neg":
            return Symbol(self, self._nodes[args[0].number][1][0])
        if op == "add" and args[0].number == args[1].number:
            return self.apply("mul", (2.0, args[0]))
        if op in ("add", "sub") and not known:
            return self._together(op, *args)
        if not known or len(args) != 2:
            return None
        left, right = values
        if op == "add":
            return args[1] if left == 0 else args[0] if right == 0 else None
        if op == "sub":
            # x - 0 is x, but x - (-0.0) is x without the sign of a zero.
            return (
                args[0]
                if right == 0 and math.copysign(1, right) > 0
                else self.apply("neg", (args[1],))
                if left == 0
                else None
            )
        if op in ("mul", "mul0"):
            if 0 in known:
                return self.constant(0.0)
            if op == "mul0" and self.differentiating and math.isfinite(known[0]):
                return self.apply("mul", args)  # up to a zero's sign, which only values keep
            if op == "mul" and -1 in known:
                return self.apply("neg", (args[1] if left == -1 else args[0],))
            if op == "mul":
                return self._scale(known[0], args[1] if right is None else args[0])
            return args[1] if left == 1 else args[0] if right == 1 else None
        if op == "div":
            if right is not None and _is_power_of_two(right):
                return self.apply("mul", (1.0 / right, args[0]))
            return self.constant(0.0) if left == 0 else None
        if op == "pow":
            return args[0] if right == 1 else None
        if op == "mul_exp":
            if left == 1:
                return self.apply("exp", (args[1],))
            return self.constant(0.0) if left == 0 else args[0] if right == 0 else None
        return None

    def _divide(self, op: str, factor: Symbol, other: Symbol) -> Symbol | None:
        """Return ``a`` for ``c * (a / c)`` with a parameter ``c``, and ``a / c`` for ``a * (1 / c)``.

        The first saves two roundings, the second one, and neither overflows where ``c`` is tiny.
        """
        numerator, denominator = self._quotient(other)
        parameters = range(len(self.inputs), len(self.inputs) + len(self.parameters))
        if numerator is not None and op == "mul" and denominator == factor.number and denominator in parameters:
            return numerator
        node, args = self._nodes[other.number]
        if node == "neg":
            positive = self._divide("mul", factor, Symbol(self, args[0]))
            quotient = None if positive is None else self.apply("neg", (positive,))
        elif node == "div" and self._values.get(args[0]) == 1:
            quotient = self.apply("div", (factor, Symbol(self, args[1])))
        else:
            return None
        if op == "mul" or quotient is None:
            return quotient
        zero = self.apply("equal", (factor, 0.0))
        if self._grows[other.number]:
            zero = self.apply("either", (zero, self.apply("equal", (other, 0.0))))
        return self.apply("where", (zero, 0.0, quotient))

    def _quotient(self, symbol: Symbol) -> tuple[Symbol | None, int]:
        """Return numerator and denominator of a quotient, whose sign or power of two goes into the numerator."""
        node, args = self._nodes[symbol.number]
        if node == "div":
            return Symbol(self, args[0]), args[1]
        if node == "neg":
            numerator, denominator = self._quotient(Symbol(self, args[0]))
            return None if numerator is None else self.apply("neg", (numerator,)), denominator
        if node == "mul":
            for factor, rest in (args, args[::-1]):
                if factor in self._values and _is_power_of_two(self._values[factor]):
                    numerator, denominator = self._quotient(Symbol(self, rest))
                    return None if numerator is None else self.apply(
                        "mul", (self._values[factor], numerator)
                    ), denominator
        return None, -1

    def _together(self, op: str, left: Symbol, right: Symbol) -> Symbol | None:
        """Return ``(a ± b) / c`` for ``a / c ± b / c`` of derivatives: a tiny ``c`` would give infinity - infinity."""
        common = self._below[left.number] & self._below[right.number]
        if not common or self._merging:
            return None
        below = min(common)
        self._merging = True  # once: what is left is ratios of like sizes, which shall stay so
        above = self.apply(op, (self._over(left.number, below), self._over(right.number, below)))
        self._merging = False
        return self.apply("div", (above, Symbol(self, below)))

    def _denominators(self, op: str, args: tuple[int, ...]) -> frozenset[int]:
        """Return what an instruction's result is divided by as a whole, among values that differ between examples."""
        if op == "div":
            return self._below[args[0]] | ({args[1]} if self._varies[args[1]] else set())
        if op in ("mul", "mul0"):
            return self._below[args[0]] | self._below[args[1]]
        if op in ("where", "alike"):
            return self._below[args[1]] & self._below[args[2]]
        return self._below[args[0]] if op == "neg" else frozenset()

    def _over(self, number: int, below: int) -> Symbol:
        """Return a value times one of its denominators, by leaving out the division."""
        op, args = self._nodes[number]
        if op in ("where", "alike"):
            return self.apply(op, (Symbol(self, args[0]), *(self._over(arg, below) for arg in args[1:])))
        if op == "div" and args[1] == below:
            return Symbol(self, args[0])
        if op in ("mul", "mul0"):  # of two such factors, the newer one is the derivative
            newer = max(arg for arg in args if below in self._below[arg])
            other = args[1] if args[0] == newer else args[0]
            return self.apply(op, (self._over(newer, below), Symbol(self, other)))
        return self.apply(op, (self._over(args[0], below), *(Symbol(self, arg) for arg in args[1:])))

    def _scale(self, factor: float, symbol: Symbol) -> Symbol | None:
        """Return ``factor * symbol`` where it is known: one, or a factor that merges with the symbol's own."""
        if factor == 1:
            return symbol
        op, args = self._nodes[symbol.number]
        if op == "div" and args[0] in self._values and _is_power_of_two(factor):
            return self.apply("div", (factor * self._values[args[0]], Symbol(self, args[1])))
        inner = next((arg for arg in args if arg in self._values), None) if op == "mul" else None
        if inner is None or not (_is_power_of_two(factor) or _is_power_of_two(self._values[inner])):
            return None  # merging other factors would round differently
        rest = args[1] if args[0] == inner else args[0]
        return self.apply("mul", (factor * self._values[inner], Symbol(self, rest)))

    def known(self, symbol: Symbol) -> float | None:
        """Return the number that a symbol stands for, if it is a constant."""
        return self._values.get(symbol.number)

    def grows(self, number: int) -> bool:
        """Return whether a value is made with an exponential that differs between examples."""
        return self._grows[number]

    def node(self, number: int) -> tuple[str, tuple[int, ...]]:
        """Return instruction and argument numbers of a value."""
        return self._nodes[number]

    def program(self, outputs: Mapping[str, Symbol]) -> Program:
        """Return the program of these outputs; whatever they do not need is left out."""
        fixed = len(self.inputs) + len(self.parameters)
        live: set[int] = set()
        stack = [symbol.number for symbol in outputs.values()]
        while stack:
            number = stack.pop()
            if number not in live:
                live.add(number)
                op, args = self._nodes[number]
                if op in TABLE:
                    stack.extend(args)
        constants = sorted(number for number in live if number in self._values)
        steps = sorted(number for number in live if self._nodes[number][0] in TABLE)
        renumber = {number: number for number in range(fixed)}
        renumber.update({number: place for place, number in enumerate([*constants, *steps], start=fixed)})
        return Program(
            inputs=self.inputs,
            parameters=self.parameters,
            constants=tuple(self._values[number] for number in constants),
            steps=tuple(
                Step(op, tuple(renumber[arg] for arg in args)) for op, args in (self._nodes[number] for number in steps)
            ),
            outputs=tuple((name, renumber[symbol.number]) for name, symbol in outputs.items()),
        )


def _is_power_of_two(value: float) -> bool:
    return abs(math.frexp(value)[0]) == 0.5 and 2.0**-512 < abs(value) < 2.0**512


def trace(
    function: Callable[[Ops, Mapping[str, Symbol]], Mapping[str, Value]],
    inputs: Sequence[str],
    parameters: Sequence[str] = (),
) -> Program:
    """Trace ``function(ops, symbols) -> {output name: value}`` into a program.

    Args:
        function: receives the namespace of instructions and the symbols by name.
        inputs: names of the per-example inputs.
        parameters: names of the numbers that hold for a whole call.

    Raises:
        ProgramError: when the function branches in Python, returns something that is no
            number, or calls an instruction wrongly.
    """
    graph = Graph(inputs, parameters)
    outputs = function(graph.ops, graph.symbols)
    return graph.program({name: graph.lift(value) for name, value in outputs.items()})
