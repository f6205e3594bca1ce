"""The reference engine: runs a program over NumPy arrays, a block of rows at a time.

Temporaries are a few blocks, whatever the length of the arrays. Work is done in the data type
of the inputs, float32 or float64. Floating-point warnings of the arithmetic never leave the
engine: whether a result is finite is for the caller to judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines._numpy_functions import IMPLEMENTATION
from lossmith.engines._numpy_plan import TILE, Runner, calls, runner
from lossmith.errors import ProgramError, plural
from lossmith.program import Program

__all__ = ["BLOCK", "IMPLEMENTATION", "TILE", "Runner", "calls", "ready", "run", "stream", "uniform_values"]

Array = npt.NDArray[Any]

BLOCK = 16_384
"""Rows in a block. Sums are taken by whole blocks, so splits at multiples of it keep every bit."""


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


def ready(
    program: Program,
    parameters: Mapping[str, float],
    dtype: np.dtype[Any],
    names: Mapping[str, str] | None = None,
) -> Runner:
    """Return a program with numbers for its parameters, ready to run in a type, float32 or float64.

    Args:
        program: what to run.
        parameters: a number for each of its parameters.
        dtype: type to compute in.
        names: the outputs that are wanted, by the caller's names for them; by default all by their own.

    Raises:
        ProgramError: when a parameter has no number.
    """
    missing = [name for name in program.parameters if name not in parameters]
    if missing:
        raise ProgramError(f"no number given for parameter {', '.join(missing)}")
    with np.errstate(all="ignore"):
        return runner(program, _uniform(program, parameters), dtype, names)


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
    dtype = _type(program, inputs)
    with np.errstate(all="ignore"):
        blocks = ready(program, parameters, dtype).stream(inputs, block)
    while True:
        with np.errstate(all="ignore"):
            found = next(blocks, None)
        if found is None:
            return
        yield found


def run(program: Program, inputs: Sequence[Array], parameters: Mapping[str, float]) -> dict[str, Array]:
    """Run a program over whole arrays and return each output; see ``stream`` for the arguments."""
    dtype = _type(program, inputs)
    outputs = {
        name: np.empty(len(inputs[0]), dtype if program.types[number] == "real" else np.bool_)
        for name, number in program.outputs
    }
    for start, stop, block in stream(program, inputs, parameters):
        for name, values in block.items():
            outputs[name][start:stop] = values
    return outputs


def _type(program: Program, inputs: Sequence[Array]) -> np.dtype[Any]:
    """Return the type of the inputs, which must fit the program."""
    if len(inputs) != len(program.inputs) or not inputs:
        raise ProgramError(f"the program takes inputs {', '.join(program.inputs)}; got {plural(len(inputs), 'array')}")
    shapes = {array.shape for array in inputs}
    dtypes = {array.dtype for array in inputs}
    if len(shapes) != 1 or inputs[0].ndim != 1:
        raise ProgramError(f"inputs must be one-dimensional and of one length, got shapes {sorted(shapes)}")
    if len(dtypes) != 1 or inputs[0].dtype not in (np.float32, np.float64):
        raise ProgramError(f"inputs must all be float32 or all float64, got {sorted(map(str, dtypes))}")
    return inputs[0].dtype
