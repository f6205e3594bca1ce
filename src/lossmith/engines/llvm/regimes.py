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
    values = reference.uniform_values(program, dict(parameters))
    numbers = [number for number, same in enumerate(program.uniform) if same]
    truths = {
        number: bool(value)
        for number, value in zip(numbers, values.tolist(), strict=True)
        if program.types[number] == "bool"
    }
    return _with(program, truths) if truths else program


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
