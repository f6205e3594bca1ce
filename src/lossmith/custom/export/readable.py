"""From a program that keeps every digit to one that people read: the same mathematics with less around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from lossmith.custom.export.helpers import EASY, HELPERS
from lossmith.engines.facts import lengths, ranges
from lossmith.engines.numpy import IMPLEMENTATION
from lossmith.program import TABLE, Program, Value, derive, trace
from lossmith.program.trace import Graph, Symbol

_SHAPED = ("bowl", "bowl_slope", "bowl_curvature")
"""Instructions with a choice by their second argument, which is made where that is a number."""


def readable(program: Program, names: Sequence[str]) -> Program:
    """Return the part of a program that computes some outputs, without what only engines need.

    Conditions of ``valid`` tell where products with a winning zero are plain ones; the sign of a zero is not kept;
    what states its own derivative is its value, and derivatives are those of the whole program. What is made of numbers
    alone is a number, since functions of libraries take arrays.
    """
    known, sizes = ranges(program, tame=True), lengths(program)
    graph = Graph(program.inputs, program.parameters)
    values: list[Symbol] = [graph.symbols[name] for name in program.inputs + program.parameters]
    values += [graph.constant(constant) for constant in program.constants]
    for number, step in enumerate(program.steps, start=program.first_step):
        args = [values[arg] for arg in step.args]
        if step.op == "mul0" and (all(arg in known for arg in step.args) or any(_counts(graph, arg) for arg in args)):
            values.append(_step(graph, "mul", args))
        elif step.op == "hypot_slope":
            size = values[sizes[number]] if number in sizes else graph.apply("hypot", args)
            values.append(_step(graph, "div", [args[0], size]))
        elif step.op == "div" and args[0].number == args[1].number:
            values.append(graph.constant(1.0))  # as over what is held, which differs to derivatives alone
        else:
            values.append(_step(graph, step.op, args))
    outputs = {name: values[program.output(name)] for name in names}
    return graph.program(outputs)


def _counts(graph: Graph, symbol: Symbol) -> bool:
    """Return whether a symbol is a number that neither wins over infinity nor is infinite."""
    return math.isfinite(graph.known(symbol) or math.inf)


def _step(graph: Graph, op: str, args: Sequence[Symbol]) -> Symbol:
    if op in ("sloped", "hold"):
        return args[0]
    if op in ("where", "alike"):
        truth = _truth(graph, args[0])
        return graph.apply("where", args) if truth is None else args[1 if truth else 2]
    if op in ("both", "either"):
        left, right = (_truth(graph, arg) for arg in args)  # what is decided as a whole decides where it is used
        sure = op == "both"  # beside which the other side decides
        return args[1] if left is sure else args[0] if right is sure else graph.apply(op, args)
    value = _computed(graph, op, args)
    if value is not None and TABLE[op].result == "real" and math.isfinite(value):
        return graph.constant(value)
    if op == "sub" and graph.known(args[1]) == 0:
        return args[0]
    last = graph.known(args[-1])
    easy = None if last is None else EASY.get((op, last))
    if easy is not None:
        return graph.lift(easy(graph.ops, args[0]))
    if last and op in _SHAPED:
        return graph.lift(HELPERS[op](graph.ops, args[0], last))
    inner = [_negated(graph, arg) for arg in args]
    if op == "add" and inner[1] is not None:
        return graph.apply("sub", (args[0], inner[1]))
    if op == "add" and inner[0] is not None:
        return graph.apply("sub", (args[1], inner[0]))
    if op == "sub" and inner[1] is not None:
        return graph.apply("add", (args[0], inner[1]))
    if op == "sub" and inner[0] is not None:
        return graph.apply("neg", (graph.apply("add", (inner[0], args[1])),))
    if op in ("mul", "div") and inner[0] is not None:
        return graph.apply("neg", (_step(graph, op, (inner[0], args[1])),))
    if op in ("mul", "div") and inner[1] is not None:
        return graph.apply("neg", (_step(graph, op, (args[0], inner[1])),))
    return graph.apply(op, args)


def _computed(graph: Graph, op: str, args: Sequence[Symbol]) -> float | None:
    """Return what an instruction gives for numbers, nothing where an argument is none."""
    given = [graph.known(arg) for arg in args]
    if None in given:
        return None
    with np.errstate(all="ignore"):
        return float(IMPLEMENTATION[op](*(np.asarray(number, dtype=np.float64) for number in given)))


def _truth(graph: Graph, condition: Symbol) -> bool | None:
    """Return whether a condition holds that numbers alone decide, nothing of others."""
    op, args = graph.node(condition.number)
    symbols = [Symbol(graph, arg) for arg in args]
    if op in ("both", "either"):
        sides, decides = [_truth(graph, symbol) for symbol in symbols], op == "either"
        return decides if decides in sides else None if None in sides else not decides
    value = _computed(graph, op, symbols)
    return None if value is None else bool(value)


def _negated(graph: Graph, symbol: Symbol) -> Symbol | None:
    op, args = graph.node(symbol.number)
    return Symbol(graph, args[0]) if op == "neg" else None


def summed(parts: Sequence[tuple[float, Program]], wrt: Sequence[str], spell: Callable[[int, str], str]) -> Program:
    """Return the program of a weighted sum of losses of the same inputs, with its derivatives and ``valid``.

    Args:
        parts: weight and program of each, with outputs ``value`` and ``valid``.
        wrt: what it is differentiated by.
        spell: ``(place of a part, name of its parameter) -> name in the sum``.
    """
    inputs = parts[0][1].inputs
    parameters = [spell(place, name) for place, (_, part) in enumerate(parts) for name in part.parameters]

    def function(ops: object, symbols: dict[str, Symbol]) -> dict[str, Value]:
        value: Value = 0.0
        valid: Value = None
        for place, (weight, part) in enumerate(parts):
            given = {name: symbols[spell(place, name)] for name in part.parameters}
            found = part.evaluate(symbols[inputs[0]].graph.ops, [symbols[name] for name in inputs], given)
            value = value + weight * found["value"]
            valid = found["valid"] if valid is None else valid & found["valid"]
        return {"value": value, "valid": valid}

    return derive(trace(function, inputs, parameters), wrt, order=2)  # type: ignore[arg-type]  # Mapping is a dict here
