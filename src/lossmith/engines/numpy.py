"""The reference engine: runs a program over NumPy arrays, a block of rows at a time.

Temporaries are a few blocks, whatever the length of the arrays. Work is done in the data type
of the inputs, float32 or float64. Floating-point warnings of the arithmetic never leave the
engine: whether a result is finite is for the caller to judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines import _numpy_bowls as bowls
from lossmith.engines import _numpy_counts as counts
from lossmith.engines._numpy_bowls import store
from lossmith.errors import ProgramError
from lossmith.program import TABLE, Program

Array = npt.NDArray[Any]

BLOCK = 16_384
"""Rows in a block. Sums are taken by whole blocks, so splits at multiples of it keep every bit."""


def _softplus(x: Array, out: Array | None = None) -> Array:
    # max(x, 0) + log1p(exp(-|x|)): neither overflows nor loses the small tail.
    tail = np.log1p(np.exp(-np.abs(x)))
    total: Array = np.add(np.maximum(x, 0), tail, out=out)
    return total


def _sigmoid(x: Array, out: Array | None = None) -> Array:
    small = np.exp(-np.abs(x))
    ratio: Array = np.divide(np.where(x >= 0, x.dtype.type(1), small), 1 + small, out=out)
    return ratio


def _logcosh(x: Array, out: Array | None = None) -> Array:
    size = np.abs(x)
    # log1p(2 sinh²(x/2)) keeps the digits of small x; the other form cannot overflow.
    near = np.log1p(2 * np.square(np.sinh(np.minimum(size, 1) / 2)))
    far = size - x.dtype.type(math.log(2)) + np.log1p(np.exp(-2 * size))
    return store(np.where(size < 1, near, far), out)


def _sech2(x: Array, out: Array | None = None) -> Array:
    small = np.exp(-2 * np.abs(x))
    ratio: Array = np.divide(4 * small, np.square(1 + small), out=out)
    return ratio


def _sloped(value: Array, slope: Array, of: Array, out: Array | None = None) -> Array:
    same: Array = np.positive(value, out=out)
    return same


def _mul0(a: Array, b: Array, out: Array | None = None) -> Array:
    zero = np.asarray(a == 0) | np.asarray(b == 0)
    return store(np.where(zero, np.result_type(a, b).type(0), a * b), out)


def _lgamma_scalar(x: float) -> float:
    if math.isnan(x) or x <= 0:
        return math.inf if x == 0 else math.nan
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


def _lgamma(x: Array, out: Array | None = None) -> Array:
    # NumPy has no log-gamma; the C library's is right to the last digits and this is the reference.
    return _one_by_one(_lgamma_scalar, x, out)


def _log_factorial_excess(x: Array, out: Array | None = None) -> Array:
    return _one_by_one(counts.log_factorial_excess, x, out)


def _log1p_ratio2(a: Array, b: Array, out: Array | None = None) -> Array:
    size = np.abs(a)
    ratio = np.asarray(size / b)
    far = np.where(ratio < np.inf, 2 * np.log(ratio), 2 * (np.log(size) - np.log(b)))
    return store(np.where(ratio < 1e10, np.log1p(ratio * ratio), far), out)


def _lgamma_half_scalar(x: float) -> float:
    if not x > 0:
        return -math.inf if x == 0 else math.nan
    # Up to 10 by the recurrence, then by the series: the difference of two log-gammas would lose digits.
    first, product = 0.0, 1.0
    if x < 1:
        first, x = math.log(x + 0.5) - math.log(x), x + 1
    while x < 10:
        product *= 1 + 0.5 / x
        x += 1
    series = sum(c * (1 / x) ** (2 * k + 1) for k, c in enumerate(_HALF_STEP))
    return math.log(x) / 2 - series - math.log(product) - first


# (1 - 4^-k) B(2k) / (k (2k - 1)) with the Bernoulli numbers B, from k = 1 on
_HALF_STEP = (1 / 8, -1 / 192, 1 / 640, -17 / 14336, 31 / 18432, -691 / 180224, 5461 / 425984)


def _lgamma_half(x: Array, out: Array | None = None) -> Array:
    return _one_by_one(_lgamma_half_scalar, x, out)


def _normal_within(x: Array, out: Array | None = None) -> Array:
    # NumPy has no error function either.
    return _one_by_one(math.erf, x * x.dtype.type(math.sqrt(0.5)), out)


def _crps_normal(a: Array, b: Array, out: Array | None = None) -> Array:
    kind = np.result_type(a, b).type
    z = np.asarray(a / b)
    below = kind(math.sqrt(2 / math.pi)) * bowls.bell(z) - kind(1 / math.sqrt(math.pi))
    return store(a * _normal_within(z) + b * below, out)


def _one_by_one(function: Callable[[float], float], x: Array, out: Array | None) -> Array:
    values = np.fromiter(map(function, np.ravel(x).tolist()), dtype=x.dtype, count=np.size(x))
    return store(values.reshape(np.shape(x)), out)


def _where(condition: Array, a: Array, b: Array, out: Array | None = None) -> Array:
    return store(np.where(condition, a, b), out)


IMPLEMENTATION: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "min": np.minimum,
    "max": np.maximum,
    "pow": np.power,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "logcosh": _logcosh,
    "sech2": _sech2,
    "bowl": bowls.bowl,
    "bowl_slope": bowls.bowl_slope,
    "bowl_curvature": bowls.bowl_curvature,
    "bell": bowls.bell,
    "bell_bowl": bowls.bell_bowl,
    "bell_slope": bowls.bell_slope,
    "bell_curvature": bowls.bell_curvature,
    "biweight": bowls.biweight,
    "biweight_slope": bowls.biweight_slope,
    "biweight_curvature": bowls.biweight_curvature,
    "log1p_excess": bowls.log1p_excess,
    "log1p_bowl": bowls.log1p_bowl,
    "harmonic": bowls.harmonic,
    "log1p_difference": bowls.log1p_difference,
    "lgamma": _lgamma,
    "hypot": np.hypot,
    "log1p_ratio2": _log1p_ratio2,
    "lgamma_half": _lgamma_half,
    "normal_within": _normal_within,
    "crps_normal": _crps_normal,
    "sloped": _sloped,
    "hold": np.positive,
    "mul_exp": counts.mul_exp,
    "expm1_excess": counts.expm1_excess,
    "log_factorial_excess": _log_factorial_excess,
    "mul0": _mul0,
    "where": _where,
    "alike": _where,
    "lt": np.less,
    "le": np.less_equal,
    "equal": np.equal,
    "both": np.logical_and,
    "either": np.logical_or,
}
assert IMPLEMENTATION.keys() == TABLE.keys(), "every row of the table needs an implementation"


@dataclass(frozen=True)
class _Plan:
    """Which buffer each value of a program lives in, so that buffers are reused."""

    buffers: tuple[int, ...]  # by value; -1 for inputs, uniform values and outputs
    types: tuple[str, ...]  # by buffer


@lru_cache(maxsize=512)
def _plan(program: Program) -> _Plan:
    outputs = {number for _, number in program.outputs}
    last_use: dict[int, int] = {}
    for place, step in enumerate(program.steps):
        for arg in step.args:
            last_use[arg] = place
    buffers = [-1] * len(program.types)
    types: list[str] = []
    free: dict[str, list[int]] = {"real": [], "bool": []}
    for place, step in enumerate(program.steps):
        number = program.first_step + place
        if not program.uniform[number] and number not in outputs:
            kind = program.types[number]
            if not free[kind]:
                free[kind].append(len(types))
                types.append(kind)
            buffers[number] = free[kind].pop()
        # Arguments are freed after the result has its place: no instruction writes over its input.
        for arg in set(step.args):
            if last_use[arg] == place and buffers[arg] >= 0:
                free[program.types[arg]].append(buffers[arg])
    return _Plan(tuple(buffers), tuple(types))


def _uniform(program: Program, parameters: Mapping[str, float]) -> dict[int, Array]:
    """Return the values that are the same for every example, in double precision."""
    literals = [*(parameters[name] for name in program.parameters), *program.constants]
    values = {n: np.asarray(x, dtype=np.float64) for n, x in enumerate(literals, start=len(program.inputs))}
    for number, step in enumerate(program.steps, start=program.first_step):
        if program.uniform[number]:
            values[number] = np.asarray(IMPLEMENTATION[step.op](*(values[arg] for arg in step.args)))
    return values


def uniform_values(program: Program, parameters: Mapping[str, float]) -> Array:
    """Return the values that are the same for every example, as one array of doubles in their order."""
    with np.errstate(all="ignore"):
        return np.array(list(_uniform(program, parameters).values()), dtype=np.float64)


def stream(
    program: Program, inputs: Sequence[Array], parameters: Mapping[str, float], *, block: int = BLOCK
) -> Iterator[tuple[int, int, dict[str, Array]]]:
    """Run a program block by block.

    Args:
        program: what to run.
        inputs: one-dimensional arrays of one length and one type, float32 or float64, in the
            program's order.
        parameters: a number for each of the program's parameters.
        block: rows in a block.

    Yields:
        ``(start, stop, {output: array of stop - start})``. The arrays are overwritten by the
        next block: copy what you keep.

    Raises:
        ProgramError: when inputs or parameters do not fit the program.
    """
    length, dtype = _check(program, inputs, parameters)
    plan = _plan(program)
    rows = min(block, length)
    scratch = [np.empty(rows, dtype if kind == "real" else np.bool_) for kind in plan.types]
    results = {
        number: np.empty(rows, dtype if program.types[number] == "real" else np.bool_) for _, number in program.outputs
    }
    # Zero-dimensional arrays keep the data type in every NumPy, unlike Python numbers.
    values: list[Any] = [None] * len(program.types)
    fixed = len(program.inputs)
    with np.errstate(all="ignore"):
        for number, value in _uniform(program, parameters).items():
            values[number] = value.astype(dtype) if program.types[number] == "real" else value
        for number, result in results.items():
            if program.uniform[number]:
                result[...] = values[number]
    for start in range(0, length, block):
        stop = min(start + block, length)
        width = stop - start
        with np.errstate(all="ignore"):
            for number in range(fixed):
                values[number] = inputs[number][start:stop]
            for number, step in enumerate(program.steps, start=program.first_step):
                if program.uniform[number]:
                    continue
                buffer = plan.buffers[number]
                out = (results[number] if buffer < 0 else scratch[buffer])[:width]
                values[number] = IMPLEMENTATION[step.op](*(values[arg] for arg in step.args), out=out)
            for number in results:
                if number < fixed:
                    results[number][:width] = values[number]
        yield start, stop, {name: results[number][:width] for name, number in program.outputs}


def run(program: Program, inputs: Sequence[Array], parameters: Mapping[str, float]) -> dict[str, Array]:
    """Run a program over whole arrays and return each output; see ``stream`` for the arguments."""
    length, dtype = _check(program, inputs, parameters)
    outputs = {
        name: np.empty(length, dtype if program.types[number] == "real" else np.bool_)
        for name, number in program.outputs
    }
    for start, stop, block in stream(program, inputs, parameters):
        for name, values in block.items():
            outputs[name][start:stop] = values
    return outputs


def _check(program: Program, inputs: Sequence[Array], parameters: Mapping[str, float]) -> tuple[int, np.dtype[Any]]:
    if len(inputs) != len(program.inputs) or not inputs:
        raise ProgramError(f"the program takes inputs {', '.join(program.inputs)}; got {len(inputs)} arrays")
    shapes = {array.shape for array in inputs}
    dtypes = {array.dtype for array in inputs}
    if len(shapes) != 1 or inputs[0].ndim != 1:
        raise ProgramError(f"inputs must be one-dimensional and of one length, got shapes {sorted(shapes)}")
    if len(dtypes) != 1 or inputs[0].dtype not in (np.float32, np.float64):
        raise ProgramError(f"inputs must all be float32 or all float64, got {sorted(map(str, dtypes))}")
    missing = [name for name in program.parameters if name not in parameters]
    if missing:
        raise ProgramError(f"no number given for parameter {', '.join(missing)}")
    return inputs[0].shape[0], inputs[0].dtype
