"""Kernels: programs compiled for a type and a set of outputs, and how they are called."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines import numpy as reference
from lossmith.engines.choice import Findings
from lossmith.engines.llvm import cache, threads
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm.lanes import Kind
from lossmith.engines.llvm.loops import NAME, NOWHERE, RECORD, Form, pointwise
from lossmith.program import Program

Array = npt.NDArray[Any]

RECORD_TYPE = np.dtype([("sum", "f8"), *((name, "i8") for name in ("count", "bad", "wrong"))])
assert RECORD_TYPE.itemsize == 8 * RECORD

LEAST_BLOCKS = 4
"""Blocks that are worth a thread of their own."""

STREAMING = 8 * 2**20
"""Bytes of outputs from which on they are written past the caches."""

_SIGNATURE = ctypes.CFUNCTYPE(
    None, *[ctypes.c_void_p] * 6, ctypes.c_double, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)


class Kernel:
    """A program in machine code; see ``lossmith.engines.llvm.loops`` for what it computes."""

    def __init__(self, program: Program, form: Form) -> None:
        bits = 32 if form.kind == "float" else 64
        self.program, self.form = program, form
        self.width = compiler.host().bits // bits
        text = pointwise(program, form, self.width, reference.BLOCK, on_x86=compiler.host().triple.startswith("x86"))
        key = f"{compiler.host()} {compiler.VERSION}\n{text}"
        self._loaded = compiler.Loaded(cache.fetch(key, lambda: compiler.build(text)))
        self._call = _SIGNATURE(self._loaded.address(NAME))

    def run(
        self,
        inputs: Sequence[Array],
        parameters: Mapping[str, float],
        outputs: Sequence[Array],
        weight: Array | None = None,
        mask: Array | None = None,
        factor: float = 1.0,
    ) -> Array:
        """Fill the outputs and return a record for each block."""
        rows = len(inputs[0])
        blocks = -(-rows // reference.BLOCK)
        records = np.empty(blocks, dtype=RECORD_TYPE)
        if not blocks:
            return records
        constants = uniform(self.program, tuple(parameters.items()))
        given, filled = pointers(inputs), pointers(outputs)

        def work(first: int, last: int) -> None:
            self._call(
                given, constants.ctypes.data, filled, pointer(weight), pointer(mask), records.ctypes.data,
                factor, rows, first, last,
            )  # fmt: skip

        threads.run(work, blocks, LEAST_BLOCKS)
        return records


def pointers(arrays: Sequence[Array]) -> Any:
    """Return a table of where arrays begin."""
    return (ctypes.c_void_p * max(len(arrays), 1))(*(array.ctypes.data for array in arrays))


def pointer(array: Array | None) -> int | None:
    """Return where an array begins, or nothing."""
    return None if array is None else array.ctypes.data


@lru_cache(maxsize=512)
def uniform(program: Program, parameters: tuple[tuple[str, float], ...]) -> Array:
    """Return the values of a program that are the same for every example, which kernels are given."""
    return reference.uniform_values(program, dict(parameters))


@compiler.kept(512)
def kernel(program: Program, form: Form) -> Kernel:
    """Return the kernel of a program, compiled once."""
    return Kernel(program, form)


def run(
    program: Program,
    inputs: Sequence[Array],
    parameters: Mapping[str, float],
    outputs: Mapping[str, Array],
    *,
    weight: Array | None = None,
    mask: Array | None = None,
    summed: bool = False,
    divisor: float = 1.0,
) -> Findings:
    """Run a program in machine code.

    Args:
        program: must have the outputs, ``valid``, and ``value`` where it is summed.
        inputs: contiguous arrays of one length and one type, float32 or float64.
        parameters: a number for each of the program's parameters.
        outputs: what to write, by name: contiguous arrays of that length and type.
        weight: float64 weights of the outputs and of the sum; what has weight 0 is 0, whatever it would be.
        mask: true for the examples that count; the others are 0.
        summed: whether to sum ``value``.
        divisor: what derivatives are divided by.
    """
    if divisor == math.inf:  # nothing counts
        for array in outputs.values():
            array[...] = 0
        outputs, divisor = {}, 1.0
    form = Form(
        kind=kind_of(inputs[0]),
        stored=tuple(outputs),
        summed=summed,
        weighted=weight is not None,
        masked=mask is not None,
        streaming=_streams(list(outputs.values())),
    )
    return findings(kernel(program, form).run(inputs, parameters, list(outputs.values()), weight, mask, 1 / divisor))


def kind_of(array: Array) -> Kind:
    """Return what LLVM calls the type of an array."""
    return "float" if array.dtype == np.float32 else "double"


def _streams(outputs: Sequence[Array]) -> bool:
    """Return whether outputs are too large for the caches, and lie so that they can be written past them."""
    return sum(array.nbytes for array in outputs) > STREAMING and all(array.ctypes.data % 64 == 0 for array in outputs)


def findings(records: Array) -> Findings:
    """Return what the records of blocks say."""
    bad, wrong = (np.flatnonzero(records[what] != NOWHERE).tolist() for what in ("bad", "wrong"))
    return Findings(records["sum"].tolist(), bad, wrong)
