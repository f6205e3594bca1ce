"""Kernels over rows of logits: groups of rows, whose classes are looked at row by row, and whose arithmetic is one.

A group is as many rows as stay in the caches, at most one for each lane of a vector. What a row is, and what its
derivatives are, follows ``lossmith.structures.row_math``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossmith.engines.llvm import row_across, row_lanes, row_late
from lossmith.engines.llvm.frame import (
    ALIGNED,
    FENCE,
    NAME,
    begin_blocks,
    cast,
    end_blocks,
    first_lanes,
    noticed,
    onward,
    pointer,
    splat,
    tree,
)
from lossmith.engines.llvm.lanes import Body
from lossmith.engines.llvm.memory import SIZES, in_memory, widen
from lossmith.engines.llvm.row_formula import Rows
from lossmith.engines.llvm.row_frame import ARGUMENTS, REGIONS, RowForm, class_of, slot_at
from lossmith.engines.llvm.row_looks import find_top, sum_exponentials, sweep, write_derivatives
from lossmith.engines.llvm.spelling import SHORT, element_of
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
        on_x86: whether what is written past the caches needs a fence of x86 to be ordered.
    """
    b = Body(form.kind, width)
    wide, bits = b.vector("double"), f"i{width}"
    reading, declared = row_lanes.read(form, b) if form.by_lane else _read(form, b)
    formula = Rows(program, form, width)
    found = formula.write()
    declared |= formula.body.declared
    writing, last = "  br label %group_done", ""
    if form.late:
        writing = "\n".join(row_late.leave("r"))
        last, more = row_late.last(form, width)
        declared |= more
    elif form.derived:
        writing, more = row_lanes.write(form, b) if form.by_lane else _write(form, b)
        declared |= more
    fenced = form.late > 0 and on_x86
    if fenced:
        declared.add(FENCE)
    text = f"""
define void @{NAME}(ptr %table, double %factor, double %share, double %penalty, i64 %rows, i64 %classes,
                    i64 %block_rows, i64 %group_rows, i64 %first_block, i64 %last_block) {ALIGNED} {{
entry:
{chr(10).join(_entry(form, b))}{begin_blocks("%block_rows")}
  br label %groups

groups:
  %group = phi i64 [ %start, %blocks ], [ %next_group, %group_done ]
  %sum = phi {wide} [ zeroinitializer, %blocks ], [ {found["sum"]}, %group_done ]
  %bad = phi {bits} [ 0, %blocks ], [ {found["bad"]}, %group_done ]
  %wrong = phi {bits} [ 0, %blocks ], [ {found["wrong"]}, %group_done ]
  %left = sub i64 %end, %group
  %few = icmp ult i64 %left, %group_rows
  %count = select i1 %few, i64 %left, i64 %group_rows
{chr(10).join(first_lanes("in_group", "count", b))}
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
  %bad_any = icmp ne {bits} {found["bad"]}, 0
  %wrong_any = icmp ne {bits} {found["wrong"]}, 0
{chr(10).join(noticed("%bad_any", "%wrong_any", "%bad_any"))}
{end_blocks("%sum_whole", fenced=fenced, last=last)}"""
    return "\n".join(sorted(declared)) + text


def _entry(form: RowForm, b: Body) -> list[str]:
    """Return the lines that load pointers, spread what is the same for every row, and part scratch."""
    width, lines = b.width, []
    used = {"adjustment": form.adjusted, "gradient": form.gradient, "hessian": form.hessian, "steps": form.across}
    for name in ("logits", "targets", "records", "scratch", *(name for name, there in used.items() if there)):
        lines += pointer((*ARGUMENTS, "steps"), name)
    lines += row_across.entry(form) if form.across else []
    if form.penalised:
        lines += [cast("strength_one", "penalty", form.kind), *splat("strength", form.kind, b)]
    if form.spreads:
        lines += [cast("spread_one", "share", form.kind), *splat("spread", form.kind, b)]
        lines += [f"  %class_count = uitofp i64 %classes to {form.kind}"]
        lines += [f"  %even_one = fdiv {form.kind} %spread_one, %class_count", *splat("even", form.kind, b)]
    lines += [
        f"  %beyond = add i64 %classes, {width - 1}",
        f"  %padded = and i64 %beyond, -{width}",
        "  %kept = mul i64 %padded, %group_rows",
    ]
    for place, name in enumerate(REGIONS if form.by_lane else ()):
        lines.append(f"  %{name}_start = mul i64 %kept, {place}")
        lines.append(f"  %lanes_{name} = getelementptr {form.kind}, ptr %scratch, i64 %{name}_start")
    lines.append(f"  %slots_start = mul i64 %kept, {regions(form)}")
    lines.append(f"  %slots = getelementptr {form.kind}, ptr %scratch, i64 %slots_start")
    return [*lines, *(row_late.entry(form, b) if form.late else [])]


def regions(form: RowForm) -> int:
    """Return how many numbers scratch holds for each class of a group."""
    return row_late.PLACES if form.late else len(REGIONS) if form.by_lane else 1


def _row(form: RowForm, row: str, arrays: Sequence[str]) -> str:
    """Return the lines that say where a row of the group lies in arrays of all rows, and in scratch."""
    scratch = [f"  %{row}_kept = mul i64 %{row}, %padded",
               f"  %{row}_scratch = getelementptr {form.kind}, ptr %scratch, i64 %{row}_kept"]  # fmt: skip
    lines = [
        f"  %{row}_row = add i64 %group, %{row}",
        f"  %{row}_base = mul i64 %{row}_row, %classes",
        *([f"  %{row}_scratch = load ptr, ptr %now_at, align 8"] if form.late else scratch),
        *(
            f"  %{row}_{array} = getelementptr [{SIZES[form.element(array)]} x i8], ptr %{array}, i64 %{row}_base"
            for array in arrays
        ),
    ]
    return "\n".join([*lines, *(class_of(form, row) if form.targets != "soft" else [])])


def _read(form: RowForm, b: Body) -> tuple[str, set[str]]:
    """Return the loop that looks twice at each row of a group and leaves in slots what it found."""
    width, kind, wide = b.width, form.kind, b.vector("double")
    minus_infinity = b.number(-math.inf).name
    top_text, declared, top = sweep("t", find_top, form, width, "r", {"top": (b.real, minus_infinity)}, again=True)
    nothing = {"others": (wide, "zeroinitializer"), "ties": (b.integer, "zeroinitializer")}
    if form.targets != "indices":
        nothing["apart"] = (wide, "zeroinitializer")
    if form.targets == "soft":
        nothing |= {"mass": (wide, "zeroinitializer"), "least": (b.real, "zeroinitializer")}
        nothing["most"] = b.real, b.number(1.0).name
    look, late = (
        (row_late.sum_and_write, row_late.row_before(form, b, "r", leads=True)) if form.late else (sum_exponentials, [])
    )
    sum_text, more, sums = sweep("s", look, form, width, "r", nothing)
    reduce = f"llvm.vector.reduce.fmax.v{width}{SHORT[kind]}"
    count = f"llvm.vector.reduce.add.v{width}{element_of(b.integer)}"
    declared |= more | {f"declare {kind} @{reduce}({b.real})", f"declare {element_of(b.integer)} @{count}({b.integer})"}
    after = [line for name in ("others", "apart", "mass") if name in sums for line in tree(width, sums[name], name)]
    after += [
        f"  %ties = call {element_of(b.integer)} @{count}({b.integer} {sums['ties']})",
        f"  %tied = sub {element_of(b.integer)} %ties, 1",
        f"  %tied_sum = sitofp {element_of(b.integer)} %tied to double",
        "  %others_found = fadd double %others_whole, %tied_sum",
        *_leave("others", "double", "%others_found", width),
        *_leave("top", kind, "%top_found", width),
    ]
    if form.targets != "indices":
        after += _leave("apart", "double", "%apart_whole", width)
    if form.targets == "soft":
        after += [
            f"  %low = fcmp olt {b.real} {sums['least']}, zeroinitializer",
            f"  %high = fcmp ogt {b.real} {sums['most']}, {b.number(1.0).name}",
            f"  %improper = or {b.truth} %low, %high",
            f"  %improper_bits = bitcast {b.truth} %improper to i{width}",
            f"  %all_proper = icmp eq i{width} %improper_bits, 0",
            "  %mass_found = select i1 %all_proper, double %mass_whole, double 0x7FF8000000000000",
            *_leave("mass", "double", "%mass_found", width),
        ]
    else:
        after += _logit_of_target(form, declared, width)
    text = f"""
reading:
  %r = phi i64 [ 0, %groups ], [ %r_next, %s_end ]
{_row(form, "r", ["logits", *(["targets"] if form.targets == "soft" else []), *(() if form.late else form.derived)])}
{chr(10).join(late)}
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


def _logit_of_target(form: RowForm, declared: set[str], width: int) -> list[str]:
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
        *_leave("target", form.kind, "%target_logit", width),
        # Its exponential is at hand, which is what its derivative needs.
        f"  %power_at = getelementptr {form.kind}, ptr %r_scratch, i64 %r_class",
        f"  %power_read = load {form.kind}, ptr %power_at, align {form.size}",
        f"  %power = select i1 %r_inside, {form.kind} %power_read, {form.kind} 0x7FF8000000000000",
        *_leave("power", form.kind, "%power", width),
    ]


def _leave(slot: str, element: str, value: str, width: int) -> list[str]:
    return [
        f"  %slot_{slot} = {slot_at(slot, width)}",
        f"  %slot_{slot}_r = getelementptr {element}, ptr %slot_{slot}, i64 %r",
        f"  store {element} {value}, ptr %slot_{slot}_r, align {4 if element == 'float' else 8}",
    ]


def _left(slot: str, form: RowForm, width: int) -> list[str]:
    """Return the lines that read what a row has left, as ``%{slot}_found``."""
    return [
        f"  %{slot}_slot = {slot_at(slot, width)}",
        f"  %{slot}_at_w = getelementptr {form.kind}, ptr %{slot}_slot, i64 %w",
        f"  %{slot}_found = load {form.kind}, ptr %{slot}_at_w, align {form.size}",
    ]


def _write(form: RowForm, b: Body) -> tuple[str, set[str]]:
    """Return the loop that writes the derivatives of each row of a group."""
    width, kind = b.width, form.kind
    lines = []
    for name in form.left:
        lines += _left(name, form, width)
        if name not in ("fixed", "target"):
            lines += splat(f"{name}_all", kind, b, f"{name}_found")
    lines.append(f"  %live = fcmp ogt {kind} %factor_found, 0.0")
    lines += splat("live_all", "i1", b, "live")
    after: list[str] = []
    if form.targets == "indices":
        lines += _fix("fixed", "scratch", form)
    elif "fixed" in form.left:
        after += _fix("fixed", "gradient", form)
    if "target" in form.left:
        after += _fix("target", "hessian", form)
    text, declared, _ = sweep("w", write_derivatives, form, width, "w", {}, again=True)
    return (
        f"""
  br label %writing
writing:
  %w = phi i64 [ 0, %formula ], [ %w_next, %w_end ]
{_row(form, "w", [*form.derived, *(["targets"] if form.targets == "soft" else [])])}
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
    kind = form.kind
    return [
        f"  %fix_{slot} = select i1 %live, {kind} %{slot}_found, {kind} 0.0",
        f"  %fix_{slot}_to = getelementptr {kind}, ptr %w_{array}, i64 %w_class",
        f"  store {kind} %fix_{slot}, ptr %fix_{slot}_to, align {form.size}",
    ]
