"""Losses of rows as a list of statements: formulas of one entry or of a whole row, and what is gathered along a row.

A row has entries along its last axis: classes, levels or coordinates. What each statement makes is of one of them or of
the whole row; targets print both in their own way, as arrays with an axis of size 1 or as loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lossmith.custom.export.readable import readable
from lossmith.program import Ops, Program, Step, Value
from lossmith.program.trace import Graph, Symbol

GATHERING: Mapping[str, str] = {
    "sum": "the sum over the entries of the row",
    "max": "the largest of the entries of the row",
    "argmax": "the place of the largest of the entries of the row, of several the first",
    "pick": "the entry of the row at a place",
    "lookup": "the number of a list at a place",
    "place": "the place, or 0 where it is the number that marks rows to leave out",
    "log_sum_exp": "the logarithm of the sum of the exponentials of the entries of the row",
    "width": "how many entries the row has",
}
"""What makes a number of a whole row."""
SPREADING: Mapping[str, str] = {
    "log_softmax": "each entry less the logarithm of the sum of the exponentials of all of them",
    "cumsum": "the sum of the entries up to each, itself included",
    "places": "0, 1, 2, ... along the row",
    "numbers": "a list of numbers, one for each entry",
    "across": "the sum over all entries of the row, with the values in others, of a formula of each entry and that one",
}
"""What makes a number of each entry of what is no formula of that entry alone."""

KINDS: Mapping[str, str] = {"formula": "a formula of values of the same entry and of the row", **GATHERING, **SPREADING}


@dataclass(frozen=True)
class Statement:
    """What one value of a row is.

    Attributes:
        kind: ``formula``, or one of those above.
        of: the names of the values that it is made of; those of a formula are the inputs of its program.
        program: the formula, with the output ``value``.
        numbers: the list, of ``numbers`` and ``lookup``.
        others: the names of values of a second entry, whose inputs in a program follow those of the first.
    """

    kind: str
    of: tuple[str, ...] = ()
    program: Program | None = None
    numbers: tuple[float, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of all values that it is made of."""
        return (*self.of, *self.others)


OTHER = " of the other"
"""What ends the name of a program's input that is of a second entry."""

Made = str | float
"""A value of a row, by its name, or a number."""


class _Symbols(dict[Made, Value]):
    """Values by name, among which a number is itself."""

    def __missing__(self, key: Made) -> Value:
        if isinstance(key, str):
            raise KeyError(key)
        return key


class _Logarithms(Graph):
    """A graph in which exponentials are known by their exponents, so that what is computed of logarithms stays so."""

    def apply(self, op: str, args: Sequence[Value]) -> Symbol:
        """Record one instruction."""
        powers = [self._exponent(arg) for arg in args]
        if op == "log" and powers[0] is not None:
            return powers[0]
        if op == "pow" and powers[0] is not None:
            return super().apply("exp", (super().apply("mul", (args[1], powers[0])),))
        if op == "mul" and powers[0] is not None and powers[1] is not None:
            return super().apply("exp", (super().apply("add", (powers[0], powers[1])),))
        return super().apply(op, args)

    def _exponent(self, value: Value) -> Symbol | None:
        if not isinstance(value, Symbol):
            return None
        op, args = self.node(value.number)
        return Symbol(self, args[0]) if op == "exp" else None


def traced(
    function: Callable[[Ops, Mapping[str, Symbol]], Mapping[str, Value]], inputs: Sequence[str], numbers: Sequence[str]
) -> Program:
    """Return the program of formulas, in which logarithms of exponentials and powers of them are none."""
    graph = _Logarithms(inputs, numbers)
    return graph.program({name: graph.lift(value) for name, value in function(graph.ops, graph.symbols).items()})


@dataclass
class Recipe:
    """Statements by the name of what they make, in order.

    Attributes:
        entries: names of inputs that have entries.
        wholes: names of inputs with one number for a row.
        places: those of them that are places of entries, such as class indices.
        parameters: names of numbers that hold for all rows.
        outputs: the name of each result: ``value``, ``weight`` (what a row counts), ``gradient:x`` and ``hessian:x``.
    """

    entries: tuple[str, ...]
    wholes: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    statements: dict[str, Statement] = field(default_factory=dict)
    outputs: dict[str, Made] = field(default_factory=dict)

    def each(self, name: str, function: Callable[[Ops, Mapping[Made, Value]], Value]) -> Made:
        """Add a formula of what there is, and return what it is called: ``name``, or what it comes to already."""
        known = [*self.entries, *self.wholes, *self.statements]
        program = traced(lambda ops, s: {"value": function(ops, _Symbols(s))}, known, self.parameters)
        program = readable(program, ["value"])
        number = program.output("value")
        if number < len(known):
            return known[number]
        if 0 <= number - len(known) - len(self.parameters) < len(program.constants):
            return program.constants[0]
        program = _of_used(program)
        return self._add(name, Statement("formula", program.inputs, program))

    def across(self, name: str, function: Callable[[Ops, Names, Names], Value]) -> Made:
        """Add the sum, over all entries of the row, of a formula of an entry and that one, and return its name.

        Args:
            name: what to call it.
            function: ``(ops, values of the entry, values of the other) -> formula``.
        """
        known = [name for name in (*self.entries, *self.statements) if not self.whole(name)]
        second = [f"{item}{OTHER}" for item in known]

        def both(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
            other = {item: s[spelt] for item, spelt in zip(known, second, strict=True)}
            return {"value": function(ops, _Symbols(s), _Symbols(other))}

        program = _of_used(readable(traced(both, [*known, *second], self.parameters), ["value"]))
        others = tuple(known[second.index(item)] for item in program.inputs if item in second)
        of = tuple(item for item in program.inputs if item not in second)
        return self._add(name, Statement("across", of, program, (), others))

    def gather(self, name: str, kind: str, *of: Made, numbers: Sequence[float] = ()) -> Made:
        """Add another statement, and return what it is called."""
        if of and of[0] == 0.0:
            return 0.0
        return self._add(name, Statement(kind, tuple(map(str, of)), None, tuple(numbers)))

    def _add(self, name: str, statement: Statement) -> str:
        for found, other in self.statements.items():
            if other == statement:
                return found
        spelt, count = name, 1
        while spelt in (*self.entries, *self.wholes, *self.parameters, *self.statements):
            count += 1
            spelt = f"{name}_{count}"
        self.statements[spelt] = statement
        return spelt

    def whole(self, name: str) -> bool:
        """Return whether a value is one of a row, and not of each entry."""
        if name not in self.statements:
            return name not in self.entries
        statement = self.statements[name]
        if statement.kind == "formula":
            return all(self.whole(item) for item in statement.of)
        return statement.kind in GATHERING

    def needed(self, *outputs: str) -> dict[str, Statement]:
        """Return the statements that some outputs need, in order."""
        wanted: set[Made] = {self.outputs[output] for output in outputs}
        for name, statement in reversed(self.statements.items()):
            if name in wanted:
                wanted |= set(statement.needs)
        return {name: statement for name, statement in self.statements.items() if name in wanted}

    def lowered(self) -> Recipe:
        """Return the same without the softmax, for targets that have none."""
        made = Recipe(self.entries, self.wholes, self.places, self.parameters)
        new: dict[str, Made] = {name: name for name in (*self.entries, *self.wholes)}
        for name, statement in self.statements.items():
            of, others = (tuple(str(new[item]) for item in items) for items in (statement.of, statement.others))
            if statement.kind in ("log_softmax", "log_sum_exp"):
                new[name] = _of_exponentials(made, name, statement.kind, of[0])
            else:
                new[name] = made._add(name, Statement(statement.kind, of, statement.program, statement.numbers, others))
        made.outputs = {output: new.get(str(name), name) for output, name in self.outputs.items()}
        return made


def _of_exponentials(made: Recipe, name: str, kind: str, z: str) -> Made:
    # The largest first, so that no exponential is too large.
    largest = made.gather("largest", "max", z)
    power = made.each("power", lambda ops, s: ops.exp(s[z] - s[largest]))
    total = made.gather("total_power", "sum", power)
    log_total = made.each("log_total", lambda ops, s: ops.log(s[total]))
    if kind == "log_softmax":
        return made.each(name, lambda ops, s: (s[z] - s[largest]) - s[log_total])
    return made.each(name, lambda ops, s: s[largest] + s[log_total])


def _of_used(program: Program) -> Program:
    """Return a program with those of its inputs that it uses."""
    used = {arg for step in program.steps for arg in step.args} | {number for _, number in program.outputs}
    kept = [place for place in range(len(program.inputs)) if place in used]
    gone = len(program.inputs) - len(kept)

    def new(number: int) -> int:
        return kept.index(number) if number < len(program.inputs) else number - gone

    return Program(
        tuple(program.inputs[place] for place in kept),
        program.parameters,
        program.constants,
        tuple(Step(step.op, tuple(map(new, step.args))) for step in program.steps),
        tuple((name, new(number)) for name, number in program.outputs),
    )


Names = Mapping[Made, Value]
Outputs = dict[str, Made]


@dataclass(frozen=True)
class Part:
    """One term, into whose recipe its statements go.

    Attributes:
        recipe: all that is computed.
        loss: the term.
        spelt: what its parameters are called there, by name.
    """

    recipe: Recipe
    loss: Any
    spelt: Mapping[str, str]

    def run(self, program: Program, output: str) -> Callable[..., Value]:
        """Return a function ``(ops, symbols, *arguments)`` for one output of a program of the loss."""
        part = readable(program, [output])

        def run(ops: Ops, s: Names, *given: Value) -> Value:
            return part.evaluate(ops, given, {name: s[self.spelt[name]] for name in part.parameters})[output]

        return run
