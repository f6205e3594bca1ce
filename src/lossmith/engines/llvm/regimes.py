"""Programs with their choices made: what parameters alone decide is decided before a kernel is compiled.

A loss often has one form for a parameter of zero and another for the rest. A kernel holds the one that the
parameters ask for; it serves all others that ask for the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from lossmith.engines import numpy as reference
from lossmith.program import Program
from lossmith.program.program import Step


@lru_cache(maxsize=1024)
def decided(program: Program, parameters: tuple[tuple[str, float], ...]) -> Program:
    """Return the part of a program that these parameters need."""
    found = reference.uniform_values(program, dict(parameters)).tolist()
    numbers = [number for number, same in enumerate(program.uniform) if same]
    values = dict(zip(numbers, found, strict=True))
    truths = {number: bool(value) for number, value in values.items() if program.types[number] == "bool"}
    return _with_constants(_with(program, truths) if truths else program, dict(parameters))


EASY = {
    "pow": frozenset((-1.0, 0.5, 1.0, 2.0)),
    **dict.fromkeys(("bowl", "bowl_slope", "bowl_curvature"), frozenset((-2.0, 0.0, 1.0))),
}
"""Second arguments with which an instruction is a few of the simplest ones; see ``math.py`` and ``composites.py``."""


def _with_constants(program: Program, parameters: Mapping[str, float]) -> Program:
    """Return a program in which a parameter that makes an instruction easy is a number of the program there."""
    values = {len(program.inputs) + n: parameters[name] for n, name in enumerate(program.parameters)}
    easy = [
        number
        for number, step in enumerate(program.steps)
        if step.op in EASY and values.get(step.args[1]) in EASY[step.op]
    ]
    added = sorted({values[program.steps[number].args[1]] for number in easy})
    if not added:
        return program
    place = {value: program.first_step + n for n, value in enumerate(added)}

    def moved(number: int) -> int:
        return number if number < program.first_step else number + len(added)

    steps = [Step(step.op, tuple(map(moved, step.args))) for step in program.steps]
    for number in easy:
        step = program.steps[number]
        steps[number] = Step(step.op, (moved(step.args[0]), place[values[step.args[1]]]))
    outputs = tuple((name, moved(number)) for name, number in program.outputs)
    return Program(program.inputs, program.parameters, (*program.constants, *added), tuple(steps), outputs)


def _with(program: Program, truths: Mapping[int, bool]) -> Program:
    """Return a program in which every choice by a known truth value is made."""
    known = dict(truths)
    instead: dict[int, int] = {}
    steps = list(program.steps)
    for number, step in enumerate(program.steps, start=program.first_step):
        args = tuple(instead.get(arg, arg) for arg in step.args)
        steps[number - program.first_step] = Step(step.op, args)
        if step.op in ("where", "alike") and args[0] in known:
            instead[number] = args[1] if known[args[0]] else args[2]
        elif step.op in ("both", "either") and any(arg in known for arg in args):
            sure = [known[arg] for arg in args if arg in known]
            rest = [arg for arg in args if arg not in known]
            if (step.op == "either") in sure or not rest:  # one true side makes either true, one false side both false
                known[number] = (step.op == "either") in sure
            else:
                instead[number] = rest[0]
    outputs = tuple((name, instead.get(number, number)) for name, number in program.outputs)
    whole = Program(program.inputs, program.parameters, program.constants, tuple(steps), outputs)
    return whole.select([name for name, _ in outputs])
