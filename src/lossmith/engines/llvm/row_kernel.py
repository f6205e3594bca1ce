"""Kernels over rows of logits, and how they are called."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.addresses import address
from lossmith.engines.llvm import added, row_tiles, threads
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm.frame import NAME
from lossmith.engines.llvm.kernel import LINE, element_type, of_examples, uniform
from lossmith.engines.llvm.lanes import Kind
from lossmith.engines.llvm.row_by_row import ends
from lossmith.engines.llvm.row_call import Prepared, RowCall
from lossmith.engines.llvm.row_frame import ACROSS, ARGUMENTS, BY_LANE, SLOTS, RowForm, Targets
from lossmith.engines.llvm.row_places import Places, lie_across, stretch_of
from lossmith.engines.llvm.rows import regions
from lossmith.engines.llvm.rows import rows as rows_text
from lossmith.engines.regimes import decided
from lossmith.program import Program

Array = npt.NDArray[Any]

GROUP = 6_144
"""Bytes of exponentials that a group of rows keeps: they stay in the first cache, beside the logits."""

LEAST_NUMBERS = 65_536
"""Logits that are worth a thread of their own."""

HALF = 32
"""Bytes that are written past the caches at once, at least: of less, memory has to read what lies around it."""

TOGETHER = 64
"""Rows that a thread takes at a time where each is written while the next is computed: the last waits for itself."""

FILLED = 4
"""Where classes lie apart, one of so many lanes must have a row of the block, or too many of them are idle."""

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_double] * 3, *[ctypes.c_int64] * 6)


class RowKernel:
    """A formula of rows in machine code."""

    def __init__(self, program: Program, form: RowForm) -> None:
        self.program = program
        self.width = _width(form.kind)
        text = rows_text(program, form, self.width, on_x86=compiler.host().on_x86)
        if form.by_lane and compiler.host().on_x86:
            text = added.in_memory(text)
        self.call = compiler.function(text, NAME, _SIGNATURE, row_tiles.called(text))


@compiler.kept(256)
def row_kernel(program: Program, form: RowForm) -> RowKernel:
    """Return the kernel of a formula, compiled once."""
    return RowKernel(program, form)


def prepare(
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
) -> Prepared:
    """Return the call of a formula of -log p of the target over rows of logits.

    Args:
        program: of ``u``, with ``value`` and the derivatives that outputs need.
        rows: how many of the first rows it takes.
        logits: (rows, classes); any real type and layout. Kernels read one row after the other, or classes one after
            the other, with the rows of each side by side. What lies otherwise than the logits, or is of a type that
            kernels do not read, is brought to that a block at a time; outputs likewise.
        targets: class indices of any integer type, or distributions like the logits. The loss of a row whose index is
            outside the classes is no number.
        parameters: a number for each of the program's parameters.
        outputs: what to write: ``losses`` (rows,), ``gradient`` and ``hessian`` (rows, classes),
            each beginning with the rows that it takes.
        kind: what the targets are; see ``RowForm``.
        block: rows in a block.
        double: whether to compute in double precision.
        share: part of each target that is spread evenly.
        penalty: what the squared log-sum of exponentials is multiplied by and added.
        adjustment: a number for each class that is added to its logits, of their type.
        weight, mask, summed: as for single numbers.
    """
    classes, dtype = logits.shape[1], np.dtype(np.float64 if double else np.float32)
    number: Kind = "double" if double else "float"
    soft = {"targets": targets} if kind == "soft" else {}
    given = {"logits": logits, **soft}
    derived = {name: outputs[name] for name in ("gradient", "hessian") if name in outputs}
    # By the logits alone: what is computed does not depend on what is asked for.
    across = lie_across(logits) and _takes_across(
        rows, block, stretch_of([*given.values(), *derived.values()], rows), number
    )
    places = Places(given, derived, rows, block, dtype, across=across)
    form = RowForm(
        kind=number, targets=kind, losses="losses" in outputs, gradient="gradient" in outputs,
        hessian="hessian" in outputs, summed=summed, weighted=weight is not None, masked=mask is not None,
        adjusted=adjustment is not None, penalised=penalty != 0, spread=kind == "soft" and share != 0,
        given=places.elements["logits"], across=across,
        shares=places.elements["targets"] if kind == "soft" else element_type(targets.dtype),
        by_lane=across or classes * dtype.itemsize <= BY_LANE,
    )  # fmt: skip
    width = _width(number)
    kept = -(-classes // width) * width * form.size
    group = width if form.by_lane else max(1, min(width, block, GROUP // kept))
    if group == 1 and kind == "indices" and tuple(derived) == ("gradient",) and places.begins is not None:
        form = replace(form, late=_past(outputs))
    kernel = row_kernel(decided(program, tuple(parameters.items())), form)
    constants = uniform(kernel.program, tuple(parameters.items()))
    others = {**of_examples(outputs.get("losses"), weight, mask), **({} if soft else {"targets": address(targets)})}
    call = RowCall(
        kernel.call, (*ARGUMENTS, "steps"), brought=("targets", "logits", *outputs),
        numbers=(share, penalty), sizes=(classes, block, group),
        kept={"uniforms": constants, "adjustment": adjustment, "steps": places.steps(ACROSS)},
        scratch=regions(form) * group * kept + len(SLOTS) * 8 * width,
        least=LEAST_NUMBERS, step=max(threads.STEP, TOGETHER // block) if form.late else threads.STEP,
    )  # fmt: skip
    return Prepared(call, places, others, rows)


def _past(outputs: Mapping[str, Array]) -> int:
    """Return to how many bytes the rows of a gradient are aligned that is to be written past the caches, or 0."""
    _, large, at_lines = ends([*outputs.values()])
    return math.gcd(outputs["gradient"][:1].nbytes, LINE) & -HALF if large and at_lines else 0


def _width(kind: Kind) -> int:
    """Return how many numbers are in a vector."""
    return compiler.host().bits // (32 if kind == "float" else 64)


def _takes_across(rows: int, block: int, stretch: int, kind: Kind) -> bool:
    """Return whether a kernel takes rows whose classes lie apart as they lie."""
    group = min(_width(kind), rows)
    return stretch >= group and FILLED * block >= group  # a group is in two stretches at most
