"""Kernels that look at rows one after the other, or some side by side: the text around the looks at a row.

Such a kernel is called with a table of pointers, what derivatives are multiplied by and two numbers more, the number
of rows and of classes, the rows of a block, the first block to work on and the one to stop before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.addresses import address
from lossmith.engines.llvm import added
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm.frame import ALIGNED, CARRIED, FENCE, NAME, begin_blocks, end_blocks, noticed, onward
from lossmith.engines.llvm.kernel import LINE, STREAMING
from lossmith.engines.llvm.lanes import Kind, Lanes
from lossmith.engines.llvm.row_by_lane import LaneText
from lossmith.engines.llvm.row_text import Text, number_at, single
from lossmith.engines.operations import taken
from lossmith.program import Program

Array = npt.NDArray[Any]
Uniform = Mapping[Program, Mapping[int, Lanes]]

BY_LANE = 24
"""Classes up to which lanes are rows."""

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
        by_lane: whether each lane is a row, for few classes; else a vector holds classes of one row.
    """

    element: Kind
    written: tuple[str, ...]
    summed: bool
    weighted: bool = False
    masked: bool = False
    streaming: bool = False
    by_lane: bool = False

    @property
    def registers(self) -> int:
        """How many registers of the machine a vector takes."""
        return 1

    @property
    def text(self) -> type[Text]:
        """What its text is written into."""
        return LaneText if self.by_lane else Text

    @property
    def valued(self) -> bool:
        """Whether anybody wants the losses."""
        return self.summed or "losses" in self.written


def width() -> int:
    """Return how many classes are in a vector."""
    return compiler.host().bits // 64


def enter(text: Text, arguments: Sequence[str], scratch: Sequence[str], programs: Sequence[Program]) -> Uniform:
    """Write what is the same for all rows; return the values of each program that are the same for all classes.

    Args:
        text: what is written into.
        arguments: names of the pointers in the table, in order; ``uniforms`` and ``scratch`` among them.
        scratch: what scratch holds for each class, in vectors of doubles aligned to their size.
        programs: those of the looks, in the order in which their uniform values are passed.
    """
    b = text.row("u")
    for place, name in enumerate(arguments):
        b.lines.append(f"  %{name}_at = getelementptr ptr, ptr %table, i64 {place}")
        b.lines.append(f"  %{name} = load ptr, ptr %{name}_at, align 8")
    b.lines.append("  %carried = alloca [128 x i8], align 64")
    b.lines += [f"  %carried_{name} = getelementptr i8, ptr %carried, i64 {at}" for name, at in CARRIED.items()]
    b.lines += [
        f"  %more_classes = add i64 %classes, {text.width - 1}",
        f"  %padded = and i64 %more_classes, -{text.width}",
        f"  %stride = mul i64 %padded, {text.step}",
    ]
    for place, name in enumerate(scratch):
        b.lines.append(f"  %scratch_{name}_from = mul i64 %stride, {place}")
        b.lines.append(f"  %{text.scratch}_{name} = getelementptr double, ptr %scratch, i64 %scratch_{name}_from")
    for name in ("first", "second"):
        b.lines.append(f"  %{name}_all = fadd {b.real} {single(b, 'double', f'%{name}_one').name}, splat (double -0.0)")
    values: dict[Program, dict[int, Lanes]] = {program: {} for program in programs}
    every = [(program, number) for program in programs for number, same in enumerate(program.uniform) if same]
    kinds, first = _alike(programs), dict[int, int]()
    for place, (program, number) in enumerate(every):
        if number in taken(program):
            value = number_at(b, "%uniforms", "double", str(first.setdefault(kinds[program][number], place)))
            values[program][number] = value if program.types[number] == "real" else value.equals(0.0) ^ b.always
    text.close(b)
    return values


def _alike(programs: Sequence[Program]) -> dict[Program, dict[int, int]]:
    """Return numbers for the values that are the same for all classes: those that programs compute alike have one."""
    found: dict[Program, dict[int, int]] = {}
    known: dict[tuple[object, ...], int] = {}
    for program in programs:
        own = found[program] = {}
        given = (*program.inputs, *program.parameters, *map(repr, program.constants))
        for number, same in enumerate(program.uniform):
            if same:
                step = None if number < program.first_step else program.steps[number - program.first_step]
                key = (step.op, *(own[arg] for arg in step.args)) if step else (given[number],)
                own[number] = known.setdefault(key, len(known))
    return found


def begin_rows(text: Text, form: Form, given: Sequence[str], written: Sequence[str], flags: Sequence[str]) -> None:
    """Write the lines with which blocks and rows begin.

    Args:
        text: what is written into.
        form: what the kernel does.
        given: arrays that hold rows to read; see ``Text.begin_row``.
        written: arrays that hold rows to write.
        flags: what is noticed of rows besides the sum of their losses.
    """
    text.lines += [
        begin_blocks("%block_rows"),
        f"  store {text.sum_type} zeroinitializer, ptr %carried_sum, align 8",
        *(f"  store i64 0, ptr %carried_{name}, align 8" for name in flags),
        "  br label %one_row\none_row:",
        "  %row = phi i64 [ %start, %blocks ], [ %next_row, %row_done ]",
    ]
    text.begin_row(form.element, given, written)


def row_factor(text: Text, form: Form) -> tuple[Lanes, Lanes | None]:
    """Write whether the row counts, and as ``%factor_row`` what its derivatives are multiplied by.

    Returns:
        Whether the row counts, and its weight.
    """
    b = text.row("w")
    counts, factor, weight = Lanes(b, b.truth, text.present), single(b, "double", "%factor"), None
    zero = b.number(0.0)
    if form.masked:
        byte = text.of_row(b, "mask", "i8")
        counts = counts & b.write(b.truth, f"icmp ne {byte.type} {byte.name}, zeroinitializer")
    if form.weighted:
        weight = text.of_row(b, "weight", "double")
        factor = b.select(weight > zero, factor * weight, zero)
    factor = b.select(counts, factor, zero)
    b.lines.append(f"  %factor_row = fadd {b.real} {factor.name}, splat (double 0.0)")
    text.close(b)
    return counts, weight


def end_row(
    text: Text, form: Form, counts: Lanes, weight: Lanes | None, flags: Sequence[str], served: Sequence[str] = ()
) -> None:
    """Write what becomes of the loss of a row, ``%row_value``, and of its flags, and what is carried to the next.

    Args:
        text, form, flags: see ``begin_rows``.
        counts, weight: see ``row_factor``.
        served: lines that leave what other rows add to the sum and to flags; see ``hand_over.Waiting``.
    """
    text.end_row()
    b = text.row("x")
    value, counts, zero = text.named(b, "double", "row_value"), replace(counts, body=b), b.number(0.0)
    term = value
    if weight is not None:
        w = replace(weight, body=b)
        term = b.select(w > zero, value * w, zero)
    term = b.select(counts, term, zero)
    text.name(b, term, "term")
    if "losses" in form.written:
        text.to_row(b, term, "losses", form.element)
    for flag in flags:
        raised = (b.abs(value) < np.inf) ^ b.always if flag == "bad" else text.named(b, "i1", f"row_{flag}")
        bits = text.bits(b, counts & raised, flag)
        b.lines += [
            f"  %{flag}_before = load i64, ptr %carried_{flag}, align 8",
            f"  %{flag}_now = or i64 %{flag}_before, {bits}",
            f"  store i64 %{flag}_now, ptr %carried_{flag}, align 8",
        ]
    b.lines += [
        f"  %sum_before = load {text.sum_type}, ptr %carried_sum, align 8",
        *text.summed("%sum_before", "%term", "%sum_now"),
        f"  store {text.sum_type} %sum_now, ptr %carried_sum, align 8",
        *served,
        "  br label %row_done\nrow_done:",
        onward("%next_row", "%row", text.step),
        "  %row_more = icmp ult i64 %next_row, %end",
        "  br i1 %row_more, label %one_row, label %block_done",
    ]
    text.close(b)


def whole(text: Text, form: Form, flags: Sequence[str], count: str, *, on_x86: bool) -> str:
    """Return the module of a kernel, given the text of its rows.

    Args:
        text: of all rows.
        form: what the kernel does.
        flags: what was noticed of rows.
        count: the one that says in the record of a block whether there is anything to count.
        on_x86: whether writing past the caches needs a fence.
    """
    fenced = form.streaming and on_x86
    if fenced:
        text.declared.add(FENCE)
    head = (
        f"define void @{NAME}(ptr %table, double %factor, double %first_one, double %second_one, i64 %rows, "
        f"i64 %classes, i64 %block_rows, i64 %first_block, i64 %last_block) {ALIGNED} {{\nentry:\n"
    )
    text.lines += ["block_done:", f"  %sum_all = load {text.sum_type}, ptr %carried_sum, align 8"]
    for flag in flags:
        text.lines.append(f"  %{flag}_all = load i64, ptr %carried_{flag}, align 8")
        text.lines.append(f"  %{flag}_any = icmp ne i64 %{flag}_all, 0")
    total = text.end_block()
    text.lines += noticed("%bad_any", "%wrong_any", f"%{count}_any")
    body = "\n".join(text.lines)
    made = "\n".join(sorted(text.declared)) + f"\n{head}{body}\n{end_blocks(total, fenced=fenced)}"
    return added.in_memory(made) if on_x86 else made


def streams(outputs: Mapping[str, Array], classes: int) -> bool:
    """Return whether derivatives are too large for the caches, and their rows lie so that they can be written past."""
    arrays = [array for part, array in outputs.items() if part != "losses"]
    aligned = all(
        array.flags.c_contiguous and address(array) % LINE == 0 and classes * array.itemsize % LINE == 0
        for array in arrays
    )
    return aligned and sum(array.nbytes for array in arrays) > STREAMING


def ends(outputs: Sequence[Array]) -> tuple[bool, ...]:
    """Return what kernels of rows know of contiguous outputs when they write past the caches, or not."""
    sizes, at_lines = [array.nbytes for array in outputs], not any(address(array) % LINE for array in outputs)
    return sizes[0] > STREAMING, sum(sizes) > STREAMING, at_lines


def scratch_of(form: Form, kept: int, classes: int) -> int:
    """Return the bytes of scratch that holds some numbers for each class of the rows that are taken at a time."""
    lanes = width() * form.registers
    return 8 * kept * (classes + lanes) * (lanes if form.by_lane else 1)
