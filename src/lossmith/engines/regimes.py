"""Programs with their choices made: what parameters alone decide is decided before a kernel is compiled.

A loss often has one form for a parameter of zero and another for the rest. A kernel holds the one that the
parameters ask for; it serves all others that ask for the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from lossmith.engines import numpy as reference
from lossmith.engines.facts import WHOLE, below, powers, ranges
from lossmith.program import Program
from lossmith.program.program import Step


@lru_cache(maxsize=1024)
def decided(program: Program, parameters: tuple[tuple[str, float], ...]) -> Program:
    """Return the part of a program that these parameters need: the same one for all that decide alike."""
    values = _uniform(program, parameters)
    while (simpler := _with(program, *_told(program, values))) != program:  # what is left may be the same for all now
        program, values = simpler, _uniform(simpler, parameters)
    easy = tuple((place, value) for place, wanted in _asked(program) if (value := values.get(place[2])) in wanted)
    return _with_constants(program, easy) if easy else program


def _told(
    program: Program, values: Mapping[int, float]
) -> tuple[tuple[tuple[int, bool], ...], frozenset[int], frozenset[int]]:
    """Return which values are truths, and which, which zeros and which ones, by number."""
    truths = tuple((number, bool(value)) for number, value in values.items() if program.types[number] == "bool")
    zeros, ones = (
        frozenset(n for n, value in values.items() if program.types[n] == "real" and value == wanted)
        for wanted in (0, 1)
    )
    return truths, zeros, ones


def _uniform(program: Program, parameters: tuple[tuple[str, float], ...]) -> dict[int, float]:
    """Return the values that are the same for every example, by number."""
    found = reference.uniform_values(program, dict(parameters)).tolist()
    return dict(zip((number for number, same in enumerate(program.uniform) if same), found, strict=True))


EASY = {
    "pow": WHOLE | {-1.0, 0.5},
    **dict.fromkeys(("bowl", "bowl_slope", "bowl_curvature"), frozenset((-2.0, 0.0, 1.0))),
    **dict.fromkeys(("bell_bowl", "bell_slope", "bell_curvature", "log1p_bowl", "harmonic"), frozenset((1.0,))),
}
"""Second arguments with which an instruction is a few of the simplest ones; see ``math.py`` and ``composites.py``."""


@lru_cache(maxsize=1024)
def _asked(program: Program) -> tuple[tuple[tuple[int, int, int], frozenset[float]], ...]:
    """Return the arguments with which an instruction is easy: of which step, which one, what value; and for which."""
    asked = [(number, 1, EASY[step.op]) for number, step in enumerate(program.steps) if step.op in EASY]
    for number, (exponent, _, _) in powers(program).items():
        product = program.steps[number - program.first_step].args[0] - program.first_step
        asked.append((product, program.steps[product].args.index(exponent), WHOLE))
    return tuple(((number, which, program.steps[number].args[which]), wanted) for number, which, wanted in asked)


@lru_cache(maxsize=1024)
def _with_constants(program: Program, easy: tuple[tuple[tuple[int, int, int], float], ...]) -> Program:
    """Return a program in which a value that makes an instruction easy is a number of the program there."""
    added = sorted({value for _, value in easy})
    place = {value: program.first_step + n for n, value in enumerate(added)}

    def moved(number: int) -> int:
        return number if number < program.first_step else number + len(added)

    steps = [Step(step.op, tuple(map(moved, step.args))) for step in program.steps]
    for (number, which, _), value in easy:
        args = list(steps[number].args)
        args[which] = place[value]
        steps[number] = Step(steps[number].op, tuple(args))
    outputs = tuple((name, moved(number)) for name, number in program.outputs)
    whole = Program(program.inputs, program.parameters, (*program.constants, *added), tuple(steps), outputs)
    return whole.select([name for name, _ in outputs])


@lru_cache(maxsize=1024)
def _with(
    program: Program, truths: tuple[tuple[int, bool], ...], zeros: frozenset[int], ones: frozenset[int]
) -> Program:
    """Return a program in which choices by known truth values are made, an exact zero wins where it is to win, and
    nothing is multiplied or divided by one, or a zero added."""
    if not (truths or zeros or ones):
        return program
    known, bounds, printed = dict(truths), ranges(program), below(program, "value")
    instead: dict[int, int] = {}
    steps = list(program.steps)
    for number, step in enumerate(program.steps, start=program.first_step):
        args = tuple(instead.get(arg, arg) for arg in step.args)
        steps[number - program.first_step] = Step(step.op, args)
        if step.op in ("where", "alike") and args[0] in known:
            instead[number] = args[1] if known[args[0]] else args[2]
        elif step.op == "mul0" and (zero := [arg for arg in args if arg in zeros]):
            instead[number] = zero[0]
        elif (
            step.op == "mul0"
            and (left := _beside_one(args, ones))
            and (number not in printed or bounds.get(left[0], (-1.0, 0.0))[0] >= 0)
        ):
            instead[number] = left[0]
        elif (step.op in ("mul", "div") and args[1] in ones) or (step.op == "add" and args[1] in zeros):
            instead[number] = args[0]
        elif (step.op == "mul" and args[0] in ones) or (step.op == "add" and args[0] in zeros):
            instead[number] = args[1]
        elif step.op in ("both", "either") and any(arg in known for arg in args):
            sure = [known[arg] for arg in args if arg in known]
            rest = [arg for arg in args if arg not in known]
            decides = step.op == "either"  # one true side makes either true, one false side both false
            if decides in sure or not rest:
                known[number] = any(sure) if decides else all(sure)
            else:
                instead[number] = rest[0]
    if not instead:
        return program
    outputs = tuple((name, instead.get(number, number)) for name, number in program.outputs)
    whole = Program(program.inputs, program.parameters, program.constants, tuple(steps), outputs)
    return whole.select([name for name, _ in outputs])


def _beside_one(args: tuple[int, ...], ones: frozenset[int]) -> tuple[int, ...]:
    """Return the factors beside one that is 1; nothing if none is."""
    return args[1:] if args[0] in ones else args[:1] if args[1] in ones else ()
