"""Cross-entropies of logits in programs: y log(1 + exp(-x)) + (1 - y) log(1 + exp(x)), and their derivatives.

Written so, each takes two functions of all numbers. In terms of exp(-|x|) one is enough, and no digit is lost; see
``lossmith.engines.composites``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from lossmith.engines.facts import step_of
from lossmith.program import Program

Found = tuple[str, tuple[int, ...]]
"""What a value is, and of which others.

``softplus`` and ``sigmoid``: a cross-entropy, or its slope, of the shares of yes and no and the logit; ``same``: one
value, by shares that add up to 1.
"""

_SIGNS = {"softplus": 1, "sigmoid": -1}
"""Which sign the function of the negative logit has."""


def crosses(program: Program, known: Mapping[int, Any]) -> dict[int, Found]:
    """Return the values that are cross-entropies or derivatives of them, by number.

    Args:
        program: where they may be.
        known: what is known to be finite, by number: there an exact zero wins by itself.
    """
    found: dict[int, Found] = {}
    for number, step in enumerate(program.steps, start=program.first_step):
        for one, other in (step.args, step.args[::-1]) if step.op == "add" else ():
            what = _cross(program, known, one, other) or _same(program, known, one, other)
            if what is not None:
                found[number] = what
    return found


def _cross(program: Program, known: Mapping[int, Any], one: int, other: int) -> Found | None:
    """Return what the sum of two products is, if the first has the function of the negative logit."""
    for (yes, first), (no, second) in product(_factors(program, one), _factors(program, other)):
        (function, sign, negative), (same, plus, logit) = _function(program, first), _function(program, second)
        right = (function, sign, 1) == (same, _SIGNS.get(function), plus) and _negated(program, negative) == logit
        if right and logit in known and _make_one(program, known, yes, no):
            return function, (yes, no, logit)
    return None


def _same(program: Program, known: Mapping[int, Any], one: int, other: int) -> Found | None:
    """Return of which one value the sum of two products is."""
    for (yes, first), (no, second) in product(_factors(program, one), _factors(program, other)):
        if first == second and _make_one(program, known, yes, no):
            return "same", (first,)
    return None


def _factors(program: Program, number: int) -> Iterator[tuple[int, int]]:
    """Yield the factors of a product, in both orders."""
    step = step_of(program, number)
    if step is not None and step.op in ("mul", "mul0"):
        one, other = step.args
        yield from ((one, other), (other, one))


def _function(program: Program, number: int) -> tuple[str, int, int]:
    """Return what function a value is, its sign and its argument; no name for all others."""
    sign, step = 1, step_of(program, number)
    if step is not None and step.op == "neg":
        sign, step = -1, step_of(program, step.args[0])
    return (step.op, sign, step.args[0]) if step is not None and step.op in _SIGNS else ("", 0, -1)


def _negated(program: Program, number: int) -> int:
    step = step_of(program, number)
    return step.args[0] if step is not None and step.op == "neg" else -1


def _make_one(program: Program, known: Mapping[int, Any], one: int, other: int) -> bool:
    """Return whether two values add up to 1, whatever the finite input that they are linear in."""
    a, b = linear(program, one), linear(program, other)
    if a is None or b is None or (a[0] is not None and a[0] not in known):
        return False
    return a[0] == b[0] and (a[1] + b[1], a[2] + b[2]) == (0, 1)


def linear(program: Program, number: int) -> tuple[int | None, float, float] | None:
    """Return the input, slope and offset of a value that is linear in one input; no input for a constant."""
    fixed = len(program.inputs) + len(program.parameters)
    if number < len(program.inputs):
        return number, 1.0, 0.0
    if number < fixed:
        return None
    step = step_of(program, number)
    if step is None:
        return None, 0.0, program.constants[number - fixed]
    if step.op not in ("add", "sub", "mul"):
        return None
    one, other = (linear(program, arg) for arg in step.args)
    if one is None or other is None:
        return None
    of = other[0] if one[0] is None else one[0]
    if step.op == "mul":
        bent = one[1] and other[1]
        return None if bent else (of, one[1] * other[2] + one[2] * other[1], one[2] * other[2])
    sign = 1 if step.op == "add" else -1
    alike = None in (one[0], other[0]) or one[0] == other[0]
    return (of, one[1] + sign * other[1], one[2] + sign * other[2]) if alike else None
