"""Differentiation: forward mode by the rule table, to any order, again a program.

Forward mode suits losses: they have one output and a handful of inputs, and a ``where`` picks
the tangent of the branch it takes after both are computed, so an infinity in the other branch
cannot turn into NaN as it does in reverse mode.
"""

from __future__ import annotations

from collections.abc import Sequence

from lossmith.errors import ProgramError
from lossmith.program.fading import Fading
from lossmith.program.ops import TABLE
from lossmith.program.program import Program
from lossmith.program.signs import Signs
from lossmith.program.trace import Graph, Symbol


def derive(program: Program, wrt: Sequence[str], order: int = 1) -> Program:
    """Add the derivatives of the output ``value`` to a program.

    Args:
        program: must have an output ``value``; its other outputs are kept.
        wrt: names of the inputs to differentiate with respect to.
        order: 1 adds ``gradient:x`` for each name; 2 adds ``hessian:x,z`` for each pair as well,
            with ``x`` not after ``z`` in ``wrt``.

    Raises:
        ProgramError: for an unknown input, an order other than 0, 1 or 2, or an instruction
            that has no derivative rule.
    """
    if order not in (0, 1, 2):
        raise ProgramError(f"derivatives exist to order 2, got order {order!r}")
    for name in wrt:
        if name not in program.inputs:
            raise ProgramError(f"cannot differentiate with respect to {name!r}; inputs are {', '.join(program.inputs)}")
    graph = Graph(program.inputs, program.parameters)
    outputs: dict[str, Symbol] = {
        name: graph.lift(value)
        for name, value in program.evaluate(
            graph.ops,
            [graph.symbols[name] for name in program.inputs],
            {name: graph.symbols[name] for name in program.parameters},
        ).items()
    }
    graph.differentiating = True
    signs = Signs(graph)
    if order >= 1:
        for name in wrt:
            outputs[f"gradient:{name}"] = tangent(graph, signs, outputs["value"], name)
    if order == 2:
        for place, first in enumerate(wrt):
            for second in wrt[place:]:
                outputs[f"hessian:{first},{second}"] = tangent(graph, signs, outputs[f"gradient:{first}"], second)
    return graph.program(outputs)


def tangent(graph: Graph, signs: Signs, value: Symbol, wrt: str) -> Symbol:
    """Return the derivative of one value of the graph with respect to an input."""
    zero, seed = graph.constant(0.0), graph.symbols[wrt].number
    needed = _ancestors(graph, value.number)
    tangents: dict[int, Symbol] = {}
    fading = Fading(graph)
    for number in sorted(needed):
        op, args = graph.node(number)
        if op not in TABLE:
            tangents[number] = graph.constant(1.0) if number == seed else zero
            continue
        moves = [tangents[arg].number != zero.number for arg in args]
        ops = fading.ops(number, moves)
        if not any(moves):
            tangents[number] = zero
            continue
        varying = [place for place in TABLE[op].held if moves[place]]
        if varying:
            raise ProgramError(
                f"argument {varying[0] + 1} of instruction {op!r} must not depend on {wrt!r}: it has no derivative rule"
            )
        rule = TABLE[op].tangent
        if rule is None:
            raise ProgramError(f"instruction {op!r} has no derivative rule, and {wrt!r} reaches it")
        here = Symbol(graph, number)
        result = graph.lift(
            rule(ops, tuple(Symbol(graph, arg) for arg in args), tuple(tangents[arg] for arg in args), here)
        )
        tangents[number] = signs.settled(here, result) if op in ("mul", "mul0") else result
    return tangents[value.number]


def _ancestors(graph: Graph, number: int) -> set[int]:
    found: set[int] = set()
    stack = [number]
    while stack:
        current = stack.pop()
        if current not in found:
            found.add(current)
            op, args = graph.node(current)
            if op in TABLE:
                stack.extend(args)
    return found
