"""Kernels over rows of logits: groups of rows, whose classes are looked at row by row, and whose arithmetic is one.

A group is as many rows as stay in the caches, at most one for each lane of a vector. What a row is, and what its
derivatives are, follows ``lossmith.structures.row_math``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossmith.engines.llvm import row_across, row_lanes
from lossmith.engines.llvm.frame import (
    ALIGNED,
    FENCE,
    NAME,
    begin_blocks,
    cast,
    end_blocks,
    lane_numbers,
    noticed,
    onward,
    splat,
    tree,
    uniform_lines,
)
from lossmith.engines.llvm.lanes import SHORT, Body
from lossmith.engines.llvm.memory import SIZES, in_memory, whole, widen
from lossmith.engines.llvm.row_formula import Rows
from lossmith.engines.llvm.row_frame import ARGUMENTS, REGIONS, SLOTS, RowForm
from lossmith.engines.llvm.row_looks import find_top, sum_exponentials, sweep, write_derivatives
from lossmith.program import Program


def rows(program: Program, form: RowForm, width: int, *, on_x86: bool = True) -> str:
    """Return the module of a kernel over rows.

    It is called with: a table of pointers (see ``ARGUMENTS``); what derivatives are multiplied by; the share of each
    target that is spread; the multiple of the squared log-sum; the number of rows and of classes; the rows of a block;
    the rows of a group; the first block to work on, and the one to stop before. ``scratch`` is aligned to cache
    lines, and has room for the classes of a group of rows, each rounded up to whole vectors, and for the slots; where
    lanes are rows, a group is as many as there are lanes, and there is room for the classes in every region.

    Args:
        program: of ``u``, with outputs ``value``, ``gradient:u`` and ``hessian:u,u`` as far as needed.
        form: what it does.
        width: numbers in a vector.
    """
    b = Body(form.kind, width)
    wide, truth = b.vector("double"), b.truth
    reading, declared = row_lanes.read(form, b) if form.by_lane else _read(form, b)
    formula = Rows(program, form, width)
    found = formula.write()
    declared |= formula.body.declared
    writing = "  br label %group_done"
    if form.gradient or form.hessian:
        writing, more = row_lanes.write(form, b) if form.by_lane else _write(form, b)
        declared |= more
    declared |= {f"declare i1 @llvm.vector.reduce.or.v{width}i1({truth})"}
    fenced = form.streaming and on_x86
    if fenced:
        declared.add(FENCE)
    text = f"""
define void @{NAME}(ptr %table, double %factor, double %share, double %penalty, i64 %rows, i64 %classes,
                    i64 %block_rows, i64 %group_rows, i64 %first_block, i64 %last_block) {ALIGNED} {{
entry:
{chr(10).join(_entry(program, form, b))}{begin_blocks("%block_rows")}
  br label %groups

groups:
  %group = phi i64 [ %start, %blocks ], [ %next_group, %group_done ]
  %sum = phi {wide} [ zeroinitializer, %blocks ], [ {found["sum"]}, %group_done ]
  %bad = phi {truth} [ zeroinitializer, %blocks ], [ {found["bad"]}, %group_done ]
  %wrong = phi {truth} [ zeroinitializer, %blocks ], [ {found["wrong"]}, %group_done ]
  %left = sub i64 %end, %group
  %few = icmp ult i64 %left, %group_rows
  %count = select i1 %few, i64 %left, i64 %group_rows
{chr(10).join(splat("counts", "i64", b, "count"))}
  %in_group = icmp ult {b.vector("i64")} {lane_numbers(width)}, %counts
  br label %reading

{reading}

formula:
{chr(10).join(formula.body.lines)}
{writing}

group_done:
{onward("%next_group", "%group", "%count")}
  %more_groups = icmp ult i64 %next_group, %end
  br i1 %more_groups, label %groups, label %block_done

block_done:
  %all_sum = fadd {wide} {found["sum"]}, splat (double 0.0)
{chr(10).join(tree(width, "%all_sum", "sum"))}
  %bad_any = call i1 @llvm.vector.reduce.or.v{width}i1({truth} {found["bad"]})
  %wrong_any = call i1 @llvm.vector.reduce.or.v{width}i1({truth} {found["wrong"]})
{chr(10).join(noticed("%bad_any", "%wrong_any", "%bad_any"))}
{end_blocks("%sum_whole", fenced=fenced)}"""
    return "\n".join(sorted(declared)) + text


def _entry(program: Program, form: RowForm, b: Body) -> list[str]:
    """Return the lines that load pointers, spread what is the same for every row, and say where sweeps end."""
    width, lines = b.width, []
    for place, name in enumerate((*ARGUMENTS, "steps") if form.across else ARGUMENTS):
        lines.append(f"  %{name}_at = getelementptr ptr, ptr %table, i64 {place}")
        lines.append(f"  %{name} = load ptr, ptr %{name}_at, align 8")
    lines += row_across.entry(form) if form.across else []
    for place, number in enumerate(number for number, same in enumerate(program.uniform) if same):
        lines += uniform_lines(place, program.types[number], form.kind, b)
    for name, source in (("spread", "share"), ("strength", "penalty")):
        lines += [cast(f"{name}_one", source, form.kind), *splat(name, form.kind, b)]
    lines += splat("scale_wide", "double", b, "factor")
    lines += [f"  %class_count_one = uitofp i64 %classes to {form.kind}", *splat("class_count", form.kind, b)]
    lines += [f"  %even_one = fdiv {form.kind} %spread_one, %class_count_one", *splat("even", form.kind, b)]
    lines += [
        f"  %last_vector = sub i64 %classes, {width}",
        f"  %beyond = add i64 %classes, {width - 1}",
        f"  %padded = and i64 %beyond, -{width}",
        "  %kept = mul i64 %padded, %group_rows",
    ]
    for place, name in enumerate(REGIONS):
        lines.append(f"  %{name}_start = mul i64 %kept, {place}")
        lines.append(f"  %lanes_{name} = getelementptr {form.kind}, ptr %scratch, i64 %{name}_start")
    lines.append(f"  %slots_start = mul i64 %kept, {len(REGIONS) if form.by_lane else 1}")
    lines.append(f"  %slots = getelementptr {form.kind}, ptr %scratch, i64 %slots_start")
    for place, name in enumerate(SLOTS):
        lines.append(f"  %slot_{name} = getelementptr i8, ptr %slots, i64 {place * 8 * width}")
    return lines


def _row(form: RowForm, row: str, arrays: Sequence[str]) -> str:
    """Return the lines that say where a row of the group lies in arrays of all rows, and in scratch."""
    lines = [
        f"%{row}_row = add i64 %group, %{row}",
        f"%{row}_base = mul i64 %{row}_row, %classes",
        f"%{row}_kept = mul i64 %{row}, %padded",
        f"%{row}_scratch = getelementptr {form.kind}, ptr %scratch, i64 %{row}_kept",
        *(
            f"%{row}_{array} = getelementptr [{SIZES[form.element(array)]} x i8], ptr %{array}, i64 %{row}_base"
            for array in arrays
        ),
    ]
    if form.targets != "soft":
        element, one = form.element("targets"), Body(form.kind, 1, f"{row}_class")
        kept = in_memory(element)
        at = one.write("ptr", f"getelementptr {kept}, ptr %targets, i64 %{row}_row").name
        loaded = one.write(one.vector(kept), f"load {one.vector(kept)}, ptr {at}, align {SIZES[element]}")
        found = whole(one, loaded, element)
        lines += [line.strip() for line in one.lines]
        lines += [
            f"%{row}_label = extractelement {found.type} {found.name}, i32 0",
            f"%{row}_inside = icmp ult i64 %{row}_label, %classes",
            f"%{row}_class = select i1 %{row}_inside, i64 %{row}_label, i64 0",
        ]
    return "\n".join(f"  {line}" for line in lines)


def _read(form: RowForm, b: Body) -> tuple[str, set[str]]:
    """Return the loop that looks twice at each row of a group and leaves in slots what it found."""
    width, kind, wide, truth = b.width, form.kind, b.vector("double"), b.truth
    minus_infinity = b.number(-math.inf).name
    top_text, declared, top = sweep("t", find_top, form, width, "r", {"top": (b.real, minus_infinity)})
    nothing = {"others": (wide, "zeroinitializer"), "ties": ("i64", "0")}
    if form.targets != "indices":
        nothing["apart"] = (wide, "zeroinitializer")
    if form.targets == "soft":
        nothing |= {"mass": (wide, "zeroinitializer"), "proper": (truth, b.always.name)}
    sum_text, more, sums = sweep("s", sum_exponentials, form, width, "r", nothing)
    reduce = f"llvm.vector.reduce.fmax.v{width}{SHORT[kind]}"
    declared |= more | {f"declare {kind} @{reduce}({b.real})"}
    after = [line for name in ("others", "apart", "mass") if name in sums for line in tree(width, sums[name], name)]
    after += [
        f"  %tied = sub i64 {sums['ties']}, 1",
        "  %tied_sum = sitofp i64 %tied to double",
        "  %others_found = fadd double %others_whole, %tied_sum",
        *_leave("others", "double", "%others_found"),
        *_leave("top", kind, "%top_found"),
    ]
    if form.targets != "indices":
        after += _leave("apart", "double", "%apart_whole")
    if form.targets == "soft":
        declared.add(f"declare i1 @llvm.vector.reduce.and.v{width}i1({truth})")
        after += [
            f"  %all_proper = call i1 @llvm.vector.reduce.and.v{width}i1({truth} {sums['proper']})",
            "  %mass_found = select i1 %all_proper, double %mass_whole, double 0x7FF8000000000000",
            *_leave("mass", "double", "%mass_found"),
        ]
    else:
        after += _logit_of_target(form, declared)
    text = f"""
reading:
  %r = phi i64 [ 0, %groups ], [ %r_next, %s_end ]
{_row(form, "r", ["logits", *(["targets"] if form.targets == "soft" else [])])}
{top_text}
  %top_found = call nnan {kind} @{reduce}({b.real} {top["top"]})
{chr(10).join(splat("top_all", kind, b, "top_found"))}
{sum_text}
{chr(10).join(after)}
{onward("%r_next", "%r", 1)}
  %r_more = icmp ult i64 %r_next, %count
  br i1 %r_more, label %reading, label %formula
"""
    return text, declared


def _logit_of_target(form: RowForm, declared: set[str]) -> list[str]:
    """Return the lines that leave the logit of the true class, with what that class adds."""
    b, element = Body(form.kind, 1, "target"), form.element("logits")
    at = b.write("ptr", f"getelementptr [{SIZES[element]} x i8], ptr %r_logits, i64 %r_class").name
    type_ = b.vector(in_memory(element))
    logit = widen(b, b.write(type_, f"load {type_}, ptr {at}, align {SIZES[element]}"), element)
    if form.adjusted:
        more = b.write("ptr", f"getelementptr {form.kind}, ptr %adjustment, i64 %r_class").name
        logit = logit + b.write(b.real, f"load {b.real}, ptr {more}, align {form.size}")
    declared |= b.declared
    return [
        *b.lines,
        f"  %target_read = extractelement {b.real} {logit.name}, i32 0",
        f"  %target_logit = select i1 %r_inside, {form.kind} %target_read, {form.kind} 0x7FF8000000000000",
        *_leave("target", form.kind, "%target_logit"),
    ]


def _leave(slot: str, element: str, value: str) -> list[str]:
    return [
        f"  %slot_{slot}_r = getelementptr {element}, ptr %slot_{slot}, i64 %r",
        f"  store {element} {value}, ptr %slot_{slot}_r, align {4 if element == 'float' else 8}",
    ]


def _write(form: RowForm, b: Body) -> tuple[str, set[str]]:
    """Return the loop that writes the derivatives of each row of a group."""
    width, kind, indices = b.width, form.kind, form.targets == "indices"
    lines = []
    for name in ("factor", "inverse", "rest", "slope", "bend", "pull", *(["scale"] if indices else [])):
        lines.append(f"  %{name}_at_w = getelementptr {kind}, ptr %slot_{name}, i64 %w")
        lines.append(f"  %{name}_found = load {kind}, ptr %{name}_at_w, align {form.size}")
        lines += splat(f"{name}_all", kind, b, f"{name}_found")
    lines.append(f"  %live = fcmp ogt {kind} %factor_found, 0.0")
    lines += splat("live_all", "i1", b, "live")
    after: list[str] = []
    if indices:
        lines += _fix("fixed", "scratch", form)
    elif form.targets == "smoothed" and form.gradient:
        after += _fix("fixed", "gradient", form)
    if form.hessian and form.targets != "soft":
        after += _fix("target", "hessian", form)
    text, declared, _ = sweep("w", write_derivatives, form, width, "w", {}, streaming=form.streaming)
    arrays = ["gradient", "hessian", *(["targets"] if form.targets == "soft" else [])]
    return (
        f"""
  br label %writing
writing:
  %w = phi i64 [ 0, %formula ], [ %w_next, %w_end ]
{_row(form, "w", arrays)}
{chr(10).join(lines)}
{text}
{chr(10).join(after)}
{onward("%w_next", "%w", 1)}
  %w_more = icmp ult i64 %w_next, %count
  br i1 %w_more, label %writing, label %group_done
""",
        declared,
    )


def _fix(slot: str, array: str, form: RowForm) -> list[str]:
    """Return the lines that write what the true class has of its own; nothing for a row that does not count."""
    kind, size = form.kind, form.size
    return [
        f"  %fix_{slot}_from = getelementptr {kind}, ptr %slot_{slot}, i64 %w",
        f"  %fix_{slot}_plain = load {kind}, ptr %fix_{slot}_from, align {size}",
        f"  %fix_{slot}_shown = select i1 %live, {kind} %fix_{slot}_plain, {kind} 0.0",
        f"  %fix_{slot}_to = getelementptr {kind}, ptr %w_{array}, i64 %w_class",
        f"  store {kind} %fix_{slot}_shown, ptr %fix_{slot}_to, align {size}",
    ]
