"""What each instruction of the table becomes: the one place where programs meet LLVM."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from lossmith.engines import composites
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.facts import WHOLE, finite_tests, powers, ranges
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.math import Vector
from lossmith.program import TABLE, Program


def _sign(b: Body, a: Lanes) -> Lanes:
    return b.select(a > 0.0, 1.0, b.select(a < 0.0, -1.0, b.select(a.equals(0.0), 0.0, a)))


def _first_unless(b: Body, better: Lanes, a: Lanes, c: Lanes) -> Lanes:
    """Return ``a`` where it is better or no number, else ``c``."""
    return b.select(better | (a.equals(a) ^ b.always), a, c)


def _mul0(b: Body, a: Lanes, c: Lanes) -> Lanes:
    return b.select(a.equals(0.0) | c.equals(0.0), 0.0, a * c)


EMIT: Mapping[str, Callable[..., Lanes]] = {
    "add": lambda b, a, c: a + c,
    "sub": lambda b, a, c: a - c,
    "mul": lambda b, a, c: a * c,
    "div": lambda b, a, c: a / c,
    "neg": lambda b, a: -a,
    "abs": lambda b, a: b.abs(a),
    "sign": _sign,
    "min": lambda b, a, c: _first_unless(b, a < c, a, c),
    "max": lambda b, a, c: _first_unless(b, a > c, a, c),
    "pow": vector.pow,
    "exp": vector.exp,
    "expm1": vector.expm1,
    "log": vector.log,
    "log1p": vector.log1p,
    "tanh": vector.tanh,
    "sigmoid": vector.sigmoid,
    "softplus": vector.softplus,
    "logcosh": vector.logcosh,
    "sech2": vector.sech2,
    "bowl": composites.bowl,
    "bowl_slope": composites.bowl_slope,
    "bowl_curvature": composites.bowl_curvature,
    "bell": vector.bell,
    "bell_bowl": composites.bell_bowl,
    "bell_slope": composites.bell_slope,
    "bell_curvature": composites.bell_curvature,
    "biweight": composites.biweight,
    "biweight_slope": composites.biweight_slope,
    "biweight_curvature": composites.biweight_curvature,
    "log1p_bowl": composites.log1p_bowl,
    "harmonic": composites.harmonic,
    "log1p_difference": composites.log1p_difference,
    "mul_exp": composites.mul_exp,
    "expm1_excess": composites.expm1_excess,
    "log_factorial_excess": composites.log_factorial_excess,
    "sloped": lambda b, value, slope, x: value,
    "alike": lambda b, condition, a, c: b.select(condition, a, c),
    "log1p_excess": vector.log1p_excess,
    "lgamma": composites.lgamma,
    "hypot": vector.hypot,
    "log1p_ratio2": composites.log1p_ratio2,
    "lgamma_half": composites.lgamma_half,
    "normal_within": vector.normal_within,
    "crps_normal": composites.crps_normal,
    "hold": lambda b, a: a,
    "mul0": _mul0,
    "where": lambda b, condition, a, c: b.select(condition, a, c),
    "lt": lambda b, a, c: a < c,
    "le": lambda b, a, c: a <= c,
    "equal": lambda b, a, c: a.equals(c),
    "both": lambda b, a, c: a & c,
    "either": lambda b, a, c: a | c,
}
assert EMIT.keys() == TABLE.keys(), "every row of the table needs its instructions"


def emit(
    body: Vector, program: Program, inputs: list[Lanes], uniform: Mapping[int, Lanes], *, tame: bool = False
) -> dict[str, Lanes]:
    """Write a program and return its outputs.

    Args:
        body: what is written into.
        program: what to write.
        inputs: the values of one vector of examples, in the program's order.
        uniform: values that are the same for every example, by number; they were computed before.
        tame: whether all parameters are finite.
    """
    values: dict[int, Lanes] = {**dict(enumerate(inputs)), **uniform}
    fixed = len(program.inputs) + len(program.parameters)
    values |= {fixed + n: body.number(constant) for n, constant in enumerate(program.constants)}
    finite, known, raised = finite_tests(program), ranges(program, tame=tame), powers(program)
    for number, step in enumerate(program.steps, start=program.first_step):
        if number in values:
            continue
        exponent, what, of = raised.get(number, (0, "", 0))
        if number in finite:
            values[number] = body.abs(values[finite[number]]) < math.inf
        elif what and body.constant(values[exponent]) in WHOLE:
            base = vector.sigmoid(body, -values[of]) if what == "sigmoid" else values[of] + 1.0
            values[number] = vector.pow(body, base, values[exponent])
        elif step.op == "mul0" and all(arg in known for arg in step.args):
            values[number] = values[step.args[0]] * values[step.args[1]]
        else:
            values[number] = EMIT[step.op](body, *(values[arg] for arg in step.args))
    return {name: values[number] for name, number in program.outputs}
