"""Kernels over rows of logits, and how they are called."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import Findings
from lossmith.engines.llvm import cache, threads
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm.kernel import RECORD_TYPE, findings, kind_of, pointer, uniform
from lossmith.engines.llvm.loops import NAME
from lossmith.engines.llvm.row_classes import by_classes
from lossmith.engines.llvm.row_frame import RowForm, Targets
from lossmith.engines.llvm.rows import by_rows
from lossmith.program import Program

Array = npt.NDArray[Any]

MANY = 24
"""Classes from which on a vector holds classes of one row, and below it one class of several rows."""

LEAST_NUMBERS = 65_536
"""Logits that are worth a thread of their own."""

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_double, ctypes.c_double, *[ctypes.c_int64] * 5)


class RowKernel:
    """A formula of rows in machine code."""

    def __init__(self, program: Program, form: RowForm, *, many: bool) -> None:
        self.program, self.many = program, many
        self.width = compiler.host().bits // (32 if form.kind == "float" else 64)
        text = (by_classes if many else by_rows)(program, form, self.width)
        key = f"{compiler.host()} {compiler.VERSION}\n{text}"
        self._loaded = compiler.Loaded(cache.fetch(key, lambda: compiler.build(text)))
        self.call = _SIGNATURE(self._loaded.address(NAME))


@compiler.kept(256)
def row_kernel(program: Program, form: RowForm, *, many: bool) -> RowKernel:
    """Return the kernel of a formula, compiled once."""
    return RowKernel(program, form, many=many)


def run(
    program: Program,
    logits: Array,
    targets: Array,
    parameters: Mapping[str, float],
    outputs: Mapping[str, Array],
    *,
    kind: Targets,
    block: int,
    share: float = 0.0,
    weight: Array | None = None,
    mask: Array | None = None,
    summed: bool = False,
    divisor: float = 1.0,
) -> Findings:
    """Run a formula of -log p of the target over rows of logits.

    Args:
        program: of ``u``, with ``value`` and the derivatives that outputs need.
        logits: (rows, classes), contiguous, float32 or float64.
        targets: int64 class indices inside the classes, or distributions like the logits.
        parameters: a number for each of the program's parameters.
        outputs: what to write: ``losses`` (rows,), ``gradient`` and ``hessian`` (rows, classes).
        kind: what the targets are; see ``RowForm``.
        block: rows in a block.
        share: part of each target that is spread evenly.
        weight, mask, summed, divisor: as for single numbers.
    """
    if divisor == math.inf:  # nothing counts
        for array in outputs.values():
            array[...] = 0
        outputs, divisor = {}, 1.0
    rows, classes = logits.shape
    form = RowForm(
        kind=kind_of(logits), targets=kind, losses="losses" in outputs, gradient="gradient" in outputs,
        hessian="hessian" in outputs, summed=summed, weighted=weight is not None, masked=mask is not None,
    )  # fmt: skip
    kernel = row_kernel(program, form, many=classes >= MANY)
    blocks = -(-rows // block)
    records = np.empty(blocks, dtype=RECORD_TYPE)
    constants = uniform(program, tuple(parameters.items()))
    room = classes * logits.itemsize if kernel.many else classes * kernel.width * logits.itemsize

    def work(first: int, last: int) -> None:
        scratch = np.empty(room + 128, np.uint8)  # each thread its own
        table = (ctypes.c_void_p * 10)(
            logits.ctypes.data, targets.ctypes.data,
            *(pointer(outputs.get(name)) for name in ("losses", "gradient", "hessian")),
            pointer(weight), pointer(mask), records.ctypes.data, constants.ctypes.data,
            scratch.ctypes.data + -scratch.ctypes.data % 64,
        )  # fmt: skip
        kernel.call(ctypes.addressof(table), 1 / divisor, share, rows, classes, block, first, last)

    threads.run(work, blocks, max(1, LEAST_NUMBERS // (block * classes)))
    return findings(records)
