"""What each instruction of the table is in plain arithmetic: the one place where programs meet engines of arrays.

The reference engine has a table of its own, of functions that write into buffers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from lossmith.engines import composites
from lossmith.engines.arithmetic import Arithmetic, Lanes
from lossmith.engines.crosses import crosses
from lossmith.engines.facts import (
    WHOLE,
    Range,
    below,
    finite_tests,
    lengths,
    numbers,
    plain_products,
    powers,
    ranges,
    step_of,
    told_by_ranges,
)
from lossmith.program import TABLE, Program
from lossmith.program.program import Step as WrittenStep


def _sign(b: Arithmetic, a: Lanes) -> Lanes:
    return b.select(a > 0.0, 1.0, b.select(a < 0.0, -1.0, b.select(b.equal(a, 0.0), 0.0, a)))


def _first_unless(b: Arithmetic, better: Lanes, a: Lanes, c: Lanes) -> Lanes:
    """Return ``a`` where it is better or no number, else ``c``."""
    return b.select(better | (b.equal(a, a) ^ b.always), a, c)


def _mul0(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    return b.select(b.equal(a, 0.0) | b.equal(c, 0.0), 0.0, a * c)


OPERATIONS: Mapping[str, Callable[..., Lanes]] = {
    "add": lambda b, a, c: a + c,
    "sub": lambda b, a, c: a - c,
    "mul": lambda b, a, c: a * c,
    "div": lambda b, a, c: a / c,
    "neg": lambda b, a: -a,
    "abs": lambda b, a: b.abs(a),
    "sign": _sign,
    "min": lambda b, a, c: _first_unless(b, a < c, a, c),
    "max": lambda b, a, c: _first_unless(b, a > c, a, c),
    "pow": lambda b, *given: b.pow(*given),
    "exp": lambda b, *given: b.exp(*given),
    "expm1": lambda b, *given: b.expm1(*given),
    "log": lambda b, *given: b.log(*given),
    "log1p": lambda b, *given: b.log1p(*given),
    "tanh": lambda b, *given: b.tanh(*given),
    "sigmoid": lambda b, *given: b.sigmoid(*given),
    "softplus": lambda b, *given: b.softplus(*given),
    "logcosh": lambda b, *given: b.logcosh(*given),
    "sech2": lambda b, *given: b.sech2(*given),
    "bowl": composites.bowl,
    "bowl_slope": composites.bowl_slope,
    "bowl_curvature": composites.bowl_curvature,
    "bell": lambda b, *given: b.bell(*given),
    "bell_bowl": composites.bell_bowl,
    "bell_slope": composites.bell_slope,
    "bell_curvature": composites.bell_curvature,
    "biweight": composites.biweight,
    "biweight_slope": composites.biweight_slope,
    "biweight_curvature": composites.biweight_curvature,
    "log1p_bowl": composites.log1p_bowl,
    "harmonic": composites.harmonic,
    "log1p_difference": composites.log1p_difference,
    "mul_exp": lambda b, *given: b.mul_exp(*given),
    "expm1_excess": composites.expm1_excess,
    "log_factorial_excess": composites.log_factorial_excess,
    "sloped": lambda b, value, slope, x: value,
    "alike": lambda b, condition, a, c: b.select(condition, a, c),
    "log1p_excess": lambda b, *given: b.log1p_excess(*given),
    "lgamma": composites.lgamma,
    "hypot": lambda b, *given: b.hypot(*given),
    "hypot_slope": lambda b, a, c: a / b.hypot(a, c),
    "log1p_ratio2": composites.log1p_ratio2,
    "lgamma_half": composites.lgamma_half,
    "normal_within": lambda b, *given: b.normal_within(*given),
    "crps_normal": composites.crps_normal,
    "hold": lambda b, a: a,
    "mul0": _mul0,
    "where": lambda b, condition, a, c: b.select(condition, a, c),
    "lt": lambda b, a, c: a < c,
    "le": lambda b, a, c: a <= c,
    "equal": lambda b, a, c: b.equal(a, c),
    "both": lambda b, a, c: a & c,
    "either": lambda b, a, c: a | c,
}
assert OPERATIONS.keys() == TABLE.keys(), "every row of the table needs its instructions"


Step = tuple[int, Callable[..., Lanes], tuple[int, ...]]
"""The number of a value, and what makes it of which others."""


@lru_cache(maxsize=1024)
def recipe(program: Program, *, tame: bool = False, watched: bool = False) -> tuple[Step, ...]:
    """Return the steps of a program that are not the same for every example.

    Args:
        program: the program.
        tame: whether all parameters are finite.
        watched: whether somebody else sees inputs that are no numbers, so that results need not show them.
    """
    fixed = len(program.inputs) + len(program.parameters)
    constants = {fixed + n: constant for n, constant in enumerate(program.constants)}
    finite, known, raised = finite_tests(program), ranges(program, tame=tame), powers(program)
    plain, sure, crossed = plain_products(program, known), numbers(program, known), crosses(program, known)
    told = told_by_ranges(program, known) if watched else {}
    sizes, shown = lengths(program), below(program, "value")
    found: list[Step] = []
    for number, step in enumerate(program.steps, start=program.first_step):
        if program.uniform[number]:
            continue
        exponent, what, of = raised.get(number, (0, "", 0))
        if number in finite:
            found.append((number, _is_finite, (finite[number],)))
        elif what and constants.get(exponent) in WHOLE:
            found.append((number, _BASES[what], (of, exponent)))
        elif number in crossed:
            function, arguments = crossed[number]
            found.append((number, _CROSSES[function], arguments))
        elif number in sizes:
            found.append((number, OPERATIONS["div"], (step.args[0], sizes[number])))
        elif step.op == "sloped":  # whose slope is in programs of derivatives by now
            found.append((number, _CROSSES["same"], step.args[:1]))
        elif number in told:
            found.append((number, _CROSSES["same"], (told[number],)))
        elif watched and step.op in _OF_NUMBERS and step.args[0] in sure:
            found.append((number, _OF_NUMBERS[step.op], step.args))
        elif watched and step.op == "mul_exp" and (number not in shown or known.get(step.args[0], (-1.0,))[0] >= 0):
            found.append((number, MUL_EXP[step.args[0] in known, step.args[1] in sure], step.args))
        elif watched and step.op in _BESIDE_NUMBERS and step.args[1] in sure:
            found.append((number, _BESIDE_NUMBERS[step.op], step.args))
        elif number in plain:
            found.append((number, OPERATIONS["mul"], step.args))
        elif step.op == "mul0" and all(arg in known for arg in step.args):
            found.append((number, _finite_product, step.args))
        elif step.op in ("alike", "where") and (logs := _logs(program, step)):
            found.append((number, _log_of_either, logs))
        elif step.op == "log1p" and _is_share(known.get(step.args[0])):
            found.append((number, _log1p_of_share, step.args))
        elif step.op == "expm1_excess" and _is_near(known.get(step.args[0])):
            found.append((number, composites.expm1_excess_near, step.args))
        else:
            found.append((number, OPERATIONS[step.op], step.args))
    return needed(found, [number for _, number in program.outputs])


def needed(steps: Sequence[Step], outputs: Iterable[int]) -> tuple[Step, ...]:
    """Return the steps that lead to some values."""
    wanted, found = {*outputs}, []
    for number, make, arguments in reversed(steps):
        if number in wanted:
            wanted.update(arguments)
            found.append((number, make, arguments))
    return tuple(reversed(found))


@lru_cache(maxsize=1024)
def taken(program: Program) -> frozenset[int]:
    """Return the values that ``evaluate`` takes to compute others, or gives back, but for constants, which it has."""
    steps = (*recipe(program, watched=True), *recipe(program, tame=True, watched=True))
    found = frozenset(number for _, number in program.outputs).union(*(arguments for _, _, arguments in steps))
    return found.difference(range(program.first_step - len(program.constants), program.first_step))


def _logs(program: Program, step: WrittenStep) -> tuple[int, ...]:
    """Return the condition, a and x of a choice between log(a) and log(1 + x); nothing where it is another."""
    condition, *sides = step.args
    log, more = (step_of(program, side) for side in sides)
    if log is None or more is None or (log.op, more.op) != ("log", "log1p"):
        return ()
    return condition, *log.args, *more.args


def _log_of_either(b: Arithmetic, condition: Lanes, a: Lanes, x: Lanes) -> Lanes:
    return b.log_of_either(condition, a, x)


def _is_share(bounds: Range | None) -> bool:
    return bounds is not None and bounds[0] >= 0 and bounds[1] <= 1


def _is_near(bounds: Range | None) -> bool:
    return bounds is not None and bounds[0] >= -1 and bounds[1] <= 1


def _log1p_of_share(b: Arithmetic, a: Lanes) -> Lanes:
    return b.log1p_of_share(a)


def _finite_product(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    return b.finite_product(a, c)


def _is_finite(b: Arithmetic, a: Lanes) -> Lanes:
    return b.abs(a) < math.inf


_CROSSES: Mapping[str, Callable[..., Lanes]] = {
    "softplus": composites.cross_entropy,
    "sigmoid": composites.cross_entropy_slope,
    "same": lambda b, a: a,
}

_OF_NUMBERS: Mapping[str, Callable[..., Lanes]] = {
    "sign": lambda b, a: b.select(b.equal(a, 0.0), 0.0, b.copysign(b.number(1.0), a)),
    "min": lambda b, a, c: b.select(a < c, a, c),
    "max": lambda b, a, c: b.select(a > c, a, c),
}
"""Instructions that need no look for what is no number, if their first argument is one."""

_BESIDE_NUMBERS: Mapping[str, Callable[..., Lanes]] = {
    "min": lambda b, a, c: b.select(c <= a, c, a),
    "max": lambda b, a, c: b.select(a <= c, c, a),
}
"""The same where the second argument is one: a first one that is none stays."""


MUL_EXP: Mapping[tuple[bool, bool], Callable[..., Lanes]] = {
    (finite, number): lambda b, a, c, finite=finite, number=number: b.mul_exp(a, c, finite=finite, number=number)
    for finite in (False, True)
    for number in (False, True)
}
"""Products with exponentials by what is known: that the factor is finite, and that the exponent is a number."""


_BASES: Mapping[str, Callable[..., Lanes]] = {
    "sigmoid": lambda b, a, exponent: b.pow(b.sigmoid(-a), exponent),
    "one_more": lambda b, a, exponent: b.pow(a + 1.0, exponent),
}


def evaluate(
    b: Arithmetic, program: Program, inputs: Sequence[Lanes], uniform: Mapping[int, Lanes], *, tame: bool = False
) -> dict[str, Lanes]:
    """Return the outputs of a program, where somebody else sees inputs that are no numbers.

    Args:
        b: what computes.
        program: what to compute.
        inputs: the inputs, in the program's order.
        uniform: values that were computed before, by number: those that are the same for every example, and others.
        tame: whether all parameters are finite.
    """
    values: dict[int, Lanes] = {**dict(enumerate(inputs)), **uniform}
    fixed = len(program.inputs) + len(program.parameters)
    values |= {fixed + n: b.number(constant) for n, constant in enumerate(program.constants)}
    for number, make, arguments in recipe(program, tame=tame, watched=True):
        if number not in values:
            values[number] = make(b, *(values[argument] for argument in arguments))
    return {name: values[number] for name, number in program.outputs}
