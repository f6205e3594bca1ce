"""Kernels over rows of logits, and how they are called."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import Findings
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import threads
from lossmith.engines.llvm.frame import NAME
from lossmith.engines.llvm.kernel import RECORD_TYPE, STREAMING, address, element_of, findings, pointer, uniform
from lossmith.engines.llvm.lanes import Kind
from lossmith.engines.llvm.row_frame import ARGUMENTS, REGIONS, SLOTS, RowForm, Targets
from lossmith.engines.llvm.rows import rows as rows_text
from lossmith.engines.regimes import decided
from lossmith.program import Program

Array = npt.NDArray[Any]

GROUP = 65_536
"""Bytes of exponentials that a group of rows keeps: they stay in the caches, beside the logits."""

LEAST_NUMBERS = 65_536
"""Logits that are worth a thread of their own."""

BY_LANE = 2
"""Vectors of classes up to which lanes are rows."""

STREAMED = 128
"""Classes from which on a row is written past the caches, as part of a large gradient."""

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_double] * 3, *[ctypes.c_int64] * 6)


class RowKernel:
    """A formula of rows in machine code."""

    def __init__(self, program: Program, form: RowForm) -> None:
        self.program = program
        self.width = compiler.host().bits // (8 * form.size)
        text = rows_text(program, form, self.width, on_x86=compiler.host().on_x86)
        self.call = compiler.function(text, NAME, _SIGNATURE)


@compiler.kept(256)
def row_kernel(program: Program, form: RowForm) -> RowKernel:
    """Return the kernel of a formula, compiled once."""
    return RowKernel(program, form)


def run(
    program: Program,
    rows: int,
    logits: Array,
    targets: Array,
    parameters: Mapping[str, float],
    outputs: Mapping[str, Array],
    *,
    kind: Targets,
    block: int,
    double: bool,
    share: float = 0.0,
    penalty: float = 0.0,
    adjustment: Array | None = None,
    weight: Array | None = None,
    mask: Array | None = None,
    summed: bool = False,
    divisor: float = 1.0,
) -> Findings:
    """Run a formula of -log p of the target over rows of logits.

    Args:
        program: of ``u``, with ``value`` and the derivatives that outputs need.
        rows: how many of the first rows it takes.
        logits: (rows, classes); any real type and layout. What is not contiguous, or of a type that kernels do not
            read, is brought to theirs a block at a time.
        targets: int64 class indices inside the classes, or distributions like the logits.
        parameters: a number for each of the program's parameters.
        outputs: what to write: ``losses`` (rows,), ``gradient`` and ``hessian`` (rows, classes).
        kind: what the targets are; see ``RowForm``.
        block: rows in a block.
        double: whether to compute in double precision.
        share: part of each target that is spread evenly.
        penalty: what the squared log-sum of exponentials is multiplied by and added.
        adjustment: a number for each class that is added to its logits, of their type.
        weight, mask, summed, divisor: as for single numbers.
    """
    classes, gradient = logits.shape[1], outputs.get("gradient")
    number: Kind = "double" if double else "float"
    read = {"logits": _element(logits)} | ({"targets": _element(targets)} if kind == "soft" else {})
    form = RowForm(
        kind=number, targets=kind, losses="losses" in outputs, gradient=gradient is not None,
        hessian="hessian" in outputs, summed=summed, weighted=weight is not None, masked=mask is not None,
        adjusted=adjustment is not None, penalised=penalty != 0, spread=kind == "soft" and share != 0,
        given=read["logits"], shares=read.get("targets", ""),
        by_lane=classes <= BY_LANE * compiler.host().bits // (32 if number == "float" else 64),
        # Where the true class is put right at the end, its row must not be on its way to memory.
        streaming=gradient is not None and gradient.nbytes > STREAMING and classes >= STREAMED and kind != "smoothed",
    )  # fmt: skip
    kernel = row_kernel(decided(program, tuple(parameters.items())), form)
    blocks = -(-rows // block)
    records = np.empty(blocks, RECORD_TYPE)
    constants = uniform(kernel.program, tuple(parameters.items()))
    kept = -(-classes // kernel.width) * kernel.width * form.size
    group = kernel.width if form.by_lane else max(1, min(kernel.width, block, GROUP // kept))
    room = (len(REGIONS) if form.by_lane else 1) * group * kept + len(SLOTS) * 8 * kernel.width
    arrays = {"logits": logits, "targets": targets}
    copied = [name for name, element in read.items() if not element]
    begins = {name: 0 if name in copied else address(array) for name, array in arrays.items()}

    def work(first: int, last: int) -> None:
        scratch = np.empty(room + 64, np.uint8)  # each thread its own
        if not copied:
            call(first, last, scratch, begins)
            return
        rooms = {name: np.empty((block, classes), np.float64 if double else np.float32) for name in copied}
        for number in range(first, last):
            start, stop, here = number * block, min((number + 1) * block, rows), begins.copy()
            for name, lines in rooms.items():
                lines[: stop - start] = arrays[name][start:stop]
                here[name] = address(lines) - start * lines.strides[0]  # rows count from the first of all
            call(number, number + 1, scratch, here)

    def call(first: int, last: int, scratch: Array, begins: Mapping[str, int]) -> None:
        written = (pointer(outputs.get(name)) for name in ("losses", "gradient", "hessian"))
        table = (ctypes.c_void_p * len(ARGUMENTS))(
            begins["logits"], begins["targets"], *written, pointer(weight), pointer(mask), records.ctypes.data,
            address(constants), address(scratch) + -address(scratch) % 64, pointer(adjustment),
        )  # fmt: skip
        kernel.call(ctypes.addressof(table), 1 / divisor, share, penalty, rows, classes, block, group, first, last)

    threads.run(work, blocks, max(1, LEAST_NUMBERS // (block * classes)))
    return findings(records)


def _element(rows: Array) -> str:
    """Return what a kernel calls what rows hold; nothing where they have to be copied first."""
    contiguous = isinstance(rows, np.ndarray) and rows.flags.c_contiguous
    return element_of(rows.reshape(-1)) if contiguous else ""
