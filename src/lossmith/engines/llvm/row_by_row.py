"""Kernels that take one row after the other: the text around the looks at a row.

Such a kernel is called with a table of pointers, what derivatives are multiplied by and two numbers more, the number
of rows and of classes, the rows of a block, the first block to work on and the one to stop before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm.frame import ALIGNED, FENCE, NAME, begin_blocks, end_blocks, noticed
from lossmith.engines.llvm.kernel import STREAMING, address
from lossmith.engines.llvm.lanes import Kind, Lanes
from lossmith.engines.llvm.memory import SIZES
from lossmith.engines.llvm.row_text import Text, first_lane, number_at, single
from lossmith.program import Program

Array = npt.NDArray[Any]
Uniform = Mapping[Program, Mapping[int, Lanes]]

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_double] * 3, *[ctypes.c_int64] * 5)

LEAST_NUMBERS = 16_384
"""Numbers that are worth a thread of their own."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a kernel does, so far as the text around the looks must know.

    Attributes:
        element: type of the numbers in arrays; a kernel computes in double precision.
        written: parts that are written, such as ``losses``, ``gradient:q`` and ``hessian:p,p``.
        summed: whether losses are summed.
        weighted, masked: whether there are weights and a mask.
        streaming: whether derivatives are written past the caches; rows must be aligned to whole vectors.
    """

    element: Kind
    written: tuple[str, ...]
    summed: bool
    weighted: bool = False
    masked: bool = False
    streaming: bool = False

    @property
    def valued(self) -> bool:
        """Whether anybody wants the losses."""
        return self.summed or "losses" in self.written


def width() -> int:
    """Return how many classes are in a vector."""
    return compiler.host().bits // 64


def enter(
    text: Text, width: int, arguments: Sequence[str], scratch: Sequence[str], programs: Sequence[Program]
) -> Uniform:
    """Write what is the same for all rows; return the values of each program that are the same for all classes.

    Args:
        text: what is written into.
        width: classes in a vector.
        arguments: names of the pointers in the table, in order; ``uniforms`` and ``scratch`` among them.
        scratch: what scratch holds for each class, a vector of doubles aligned to its size.
        programs: those of the looks, in the order in which their uniform values are passed.
    """
    b = text.row(width, "u")
    for place, name in enumerate(arguments):
        b.lines.append(f"  %{name}_at = getelementptr ptr, ptr %table, i64 {place}")
        b.lines.append(f"  %{name} = load ptr, ptr %{name}_at, align 8")
    b.lines += [
        f"  %more_classes = add i64 %classes, {width - 1}",
        f"  %stride = and i64 %more_classes, -{width}",
    ]
    for place, name in enumerate(scratch):
        b.lines.append(f"  %scratch_{name}_from = mul i64 %stride, {place}")
        b.lines.append(f"  %scratch_{name} = getelementptr double, ptr %scratch, i64 %scratch_{name}_from")
    for name in ("first", "second"):
        b.lines.append(f"  %{name}_all = fadd {b.real} {single(b, 'double', f'%{name}_one').name}, splat (double -0.0)")
    values: dict[Program, dict[int, Lanes]] = {}
    place = 0
    for program in programs:
        known = values.setdefault(program, {})
        for number in (n for n, same in enumerate(program.uniform) if same):
            value = number_at(b, "%uniforms", "double", str(place))
            known[number] = value if program.types[number] == "real" else value.equals(0.0) ^ b.always
            place += 1
    text.close(b)
    return values


def begin_rows(text: Text, form: Form, rows: Sequence[str], flags: Sequence[str]) -> None:
    """Write the lines with which blocks and rows begin.

    Args:
        text: what is written into.
        form: what the kernel does.
        rows: arrays that hold rows; each gets a pointer ``%row_{name}``.
        flags: what is noticed of rows besides the sum of their losses.
    """
    text.lines += [
        begin_blocks("%block_rows"),
        "  br label %one_row\none_row:",
        "  %row = phi i64 [ %start, %blocks ], [ %next_row, %row_done ]",
        "  %sum = phi double [ 0.0, %blocks ], [ %sum_now, %row_done ]",
        *(f"  %{name} = phi i1 [ false, %blocks ], [ %{name}_now, %row_done ]" for name in flags),
        "  %base = mul i64 %row, %classes",
        *(f"  %row_{name} = getelementptr {form.element}, ptr %{name}, i64 %base" for name in rows),
    ]


def row_factor(text: Text, form: Form, width: int) -> tuple[Lanes, Lanes | None]:
    """Write whether the row counts, and as ``%factor_row`` what its derivatives are multiplied by.

    Returns:
        Whether the row counts, and its weight.
    """
    b = text.row(width, "w")
    counts, factor, weight = b.always, single(b, "double", "%factor"), None
    zero = b.number(0.0)
    if form.masked:
        byte = number_at(b, "%mask", "i8", "%row")
        counts = b.write(b.truth, f"icmp ne {byte.type} {byte.name}, zeroinitializer")
    if form.weighted:
        weight = number_at(b, "%weight", "double", "%row")
        factor = b.select(weight > zero, factor * weight, zero)
    factor = b.select(counts, factor, zero)
    b.lines.append(f"  %factor_row = fadd {b.real} {factor.name}, splat (double 0.0)")
    text.close(b)
    return counts, weight


def end_row(text: Text, form: Form, width: int, counts: Lanes, weight: Lanes | None, flags: Sequence[str]) -> None:
    """Write what becomes of the loss of a row, ``%row_value``, and of its flags, and what is carried to the next."""
    b = text.row(width, "x")
    value, counts, zero = single(b, "double", "%row_value"), replace(counts, body=b), b.number(0.0)
    term = value
    if weight is not None:
        w = replace(weight, body=b)
        term = b.select(w > zero, value * w, zero)
    first_lane(b, b.select(counts, term, zero), "term")
    if "losses" in form.written:
        one, at = "%term", "%loss_at"
        if form.element == "float":
            b.lines.append("  %term_short = fptrunc double %term to float")
            one = "%term_short"
        b.lines.append(f"  {at} = getelementptr {form.element}, ptr %losses, i64 %row")
        b.lines.append(f"  store {form.element} {one}, ptr {at}, align {SIZES[form.element]}")
    for flag in flags:
        raised = (b.abs(value) < np.inf) ^ b.always if flag == "bad" else single(b, "i1", f"%row_{flag}")
        first_lane(b, counts & raised, f"{flag}_here")
    b.lines += [
        *(f"  %{name}_now = or i1 %{name}, %{name}_here" for name in flags),
        "  %sum_now = fadd double %sum, %term",
        "  br label %row_done\nrow_done:",
        "  %next_row = add i64 %row, 1",
        "  %row_more = icmp ult i64 %next_row, %end",
        "  br i1 %row_more, label %one_row, label %block_done",
    ]
    text.close(b)


def whole(text: Text, form: Form, count: str, *, on_x86: bool) -> str:
    """Return the module of a kernel, given the text of its rows.

    Args:
        text: of all rows.
        form: what the kernel does.
        count: the flag that says in the record of a block whether there is anything to count.
        on_x86: whether writing past the caches needs a fence.
    """
    fenced = form.streaming and on_x86
    if fenced:
        text.declared.add(FENCE)
    head = (
        f"define void @{NAME}(ptr %table, double %factor, double %first_one, double %second_one, i64 %rows, "
        f"i64 %classes, i64 %block_rows, i64 %first_block, i64 %last_block) {ALIGNED} {{\nentry:\n"
    )
    lines = [*text.lines, "block_done:", *noticed("%bad_now", "%wrong_now", f"%{count}_now")]
    body = "\n".join(lines)
    return "\n".join(sorted(text.declared)) + f"\n{head}{body}\n{end_blocks('%sum_now', fenced=fenced)}"


def streams(outputs: Mapping[str, Array], classes: int) -> bool:
    """Return whether derivatives are too large for the caches, and their rows lie so that they can be written past."""
    arrays = [array for part, array in outputs.items() if part != "losses"]
    aligned = all(
        array.flags.c_contiguous and address(array) % 64 == 0 and classes * array.itemsize % 64 == 0 for array in arrays
    )
    return aligned and sum(array.nbytes for array in arrays) > STREAMING


def scratch_of(kept: int, classes: int) -> int:
    """Return the bytes of scratch that holds some numbers for each class."""
    return 8 * kept * (classes + width())
