"""Rows of many classes: a vector holds several classes of one row, which stays in the caches between three looks at it.

The first look finds the largest logit, the second sums exponentials and keeps them in scratch, the third writes
derivatives. The formula of a row is the arithmetic of a single number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.emit import emit
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.loops import NAME, tree
from lossmith.engines.llvm.row_frame import (
    ARGUMENTS,
    SUM_TOLERANCE,
    RowForm,
    leave_record,
    splat,
    uniform_lines,
)
from lossmith.program import Program


class _Look:
    """The text of one look at a vector of classes, whole or the last of a row."""

    def __init__(self, form: RowForm, width: int, prefix: str, tail: bool) -> None:
        self.form, self.tail = form, tail
        self.body = Body(form.kind, width, prefix + ("t" if tail else ""))
        self.size = 4 if form.kind == "float" else 8
        self.k = f"%k_{self.body.prefix}"

    def named(self, name: str, type_: str = "") -> Lanes:
        """Return a value of the frame around."""
        return Lanes(self.body, type_ or self.body.real, f"%{name}")

    def load(self, pointer: str, otherwise: float) -> Lanes:
        """Return the numbers of the row at these classes; ``otherwise`` beyond its end."""
        b = self.body
        at = b.write("ptr", f"getelementptr {b.kind}, ptr {pointer}, i64 {self.k}").name
        if not self.tail:
            return b.write(b.real, f"load {b.real}, ptr {at}, align {self.size}")
        name = f"llvm.masked.load.v{b.width}{'f32' if b.kind == 'float' else 'f64'}.p0"
        b.declared.add(f"declare {b.real} @{name}(ptr, i32, {b.truth}, {b.real})")
        text = f"ptr {at}, i32 {self.size}, {b.truth} %inside, {b.real} {b.number(otherwise).name}"
        return b.write(b.real, f"call {b.real} @{name}({text})")

    def store(self, value: Lanes, pointer: str) -> None:
        """Write the numbers of the row at these classes."""
        b = self.body
        at = b.write("ptr", f"getelementptr {b.kind}, ptr {pointer}, i64 {self.k}").name
        if not self.tail:
            b.lines.append(f"  store {b.real} {value.name}, ptr {at}, align {self.size}")
            return
        name = f"llvm.masked.store.v{b.width}{'f32' if b.kind == 'float' else 'f64'}.p0"
        b.declared.add(f"declare void @{name}({b.real}, ptr, i32, {b.truth})")
        given = f"{b.real} {value.name}, ptr {at}, i32 {self.size}, {b.truth} %inside"
        b.lines.append(f"  call void @{name}({given})")


Carried = dict[str, tuple[str, str]]
"""What a look carries along: the type and the first value of each name."""


def _first(look: _Look, before: Mapping[str, str]) -> dict[str, str]:
    b = look.body
    z = look.load("%row_logits", -math.inf)
    top = look.named(before["top"][1:])
    odd = look.named(before["odd"][1:], b.truth) | ((z < math.inf) ^ b.always)
    return {"top": b.select(z > top, z, top).name, "odd": odd.name}


def _second(look: _Look, before: Mapping[str, str]) -> dict[str, str]:
    b, form = look.body, look.form
    wide = b.widened()
    below = look.named("top_all") - look.load("%row_logits", -math.inf)
    e = vector.exp_of_minus(b, below)
    look.store(e, "%scratch")
    is_top, zero = below.equals(0.0), wide.number(0.0)

    def carried(name: str, value: Lanes) -> str:
        return (look.named(before[name][1:], wide.real) + value).name

    found = {
        "others": carried("others", wide.take(b.select(is_top, 0.0, e))),
        "ties": carried("ties", b.select(is_top, wide.number(1.0), zero)),
    }
    if form.targets == "smoothed":
        inside = b.select(look.named("inside", b.truth), below, 0.0) if look.tail else below
        found["apart"] = carried("apart", wide.take(inside))
    if form.targets == "soft":
        t = look.load("%row_targets", 0.0)
        found["apart"] = carried("apart", wide.take(b.select(t > 0.0, t * below, 0.0)))
        found["mass"] = carried("mass", wide.take(t))
        improper = ((t >= 0.0) & (t <= 1.0)) ^ b.always
        found["improper"] = (look.named(before["improper"][1:], b.truth) | improper).name
    return found


def _third(look: _Look, before: Mapping[str, str]) -> dict[str, str]:
    b, form = look.body, look.form
    e, inverse, others, factor = (
        look.load("%scratch", 0.0), look.named("inverse_all"), look.named("others_all"), look.named("factor_all"),
    )  # fmt: skip
    p = e * inverse
    q = b.select(e.equals(1.0), others * inverse, 1.0 - p)
    if form.targets == "indices":
        slope, bend = look.named("slope_all"), look.named("bend_all")
        first = slope * p
        second = b.select(p.equals(0.0), 0.0, bend * p) * p + slope * p * q
    else:
        t = look.load("%row_targets", 0.0) if form.targets == "soft" else look.named("even_all")
        first, second = p * (1.0 - t) - t * q, p * q
    live = factor > 0.0
    if form.gradient:
        look.store(b.select(live, first * factor, 0.0), "%row_gradient")
    if form.hessian:
        look.store(b.select(live, second * factor, 0.0), "%row_hessian")
    return {}


def _loop(
    name: str, write: object, form: RowForm, width: int, carried: Carried
) -> tuple[str, set[str], dict[str, str]]:
    """Return the text of a look at all classes of a row, what it declares, and the names of what it carried."""
    assert callable(write)
    full, tail = (_Look(form, width, name, last) for last in (False, True))
    after = write(full, {key: f"%{name}_{key}" for key in carried})
    last = write(tail, {key: f"%{name}_rest_{key}" for key in carried})

    def phis(prefix: str, *sources: tuple[Mapping[str, str], str]) -> str:
        lines = []
        for key, (type_, start) in carried.items():
            given = ", ".join(f"[ {values.get(key, start)}, %{label} ]" for values, label in sources)
            lines.append(f"  %{prefix}_{key} = phi {type_} {given}")
        return "\n".join(lines)

    text = f"""
  br label %{name}_begin
{name}_begin:
  br i1 %any_whole, label %{name}_vectors, label %{name}_rest
{name}_vectors:
  {full.k} = phi i64 [ 0, %{name}_begin ], [ %{name}_next, %{name}_vectors ]
{phis(name, ({}, f"{name}_begin"), (after, f"{name}_vectors"))}
{chr(10).join(full.body.lines)}
  %{name}_next = add i64 {full.k}, {width}
  %{name}_more = icmp ult i64 %{name}_next, %whole_classes
  br i1 %{name}_more, label %{name}_vectors, label %{name}_rest
{name}_rest:
{phis(f"{name}_rest", ({}, f"{name}_begin"), (after, f"{name}_vectors"))}
  br i1 %no_rest, label %{name}_end, label %{name}_last
{name}_last:
  {tail.k} = add i64 %whole_classes, 0
{chr(10).join(tail.body.lines)}
  br label %{name}_end
{name}_end:
{phis(f"{name}_end", ({key: f"%{name}_rest_{key}" for key in carried}, f"{name}_rest"), (last, f"{name}_last"))}
"""
    return text, full.body.declared | tail.body.declared, {key: f"%{name}_end_{key}" for key in carried}


def by_classes(program: Program, form: RowForm, width: int) -> str:
    """Return the module of a kernel whose lanes are classes; it is called as one whose lanes are rows is.

    ``scratch`` has room for a number for each class.
    """
    b = Body(form.kind, width)
    real, wide, truth = b.real, b.vector("double"), b.truth
    top_text, declared, top = _loop("look", _first, form, width, {
        "top": (real, b.number(-math.inf).name), "odd": (truth, "zeroinitializer"),
    })  # fmt: skip
    nothing = dict.fromkeys(("others", "ties"), (wide, "zeroinitializer"))
    if form.targets != "indices":
        nothing["apart"] = (wide, "zeroinitializer")
    if form.targets == "soft":
        nothing |= {"mass": (wide, "zeroinitializer"), "improper": (truth, "zeroinitializer")}
    sum_text, more, sums = _loop("sum", _second, form, width, nothing)
    declared |= more
    write_text = ""
    if form.gradient or form.hessian:
        write_text, more, _ = _loop("write", _third, form, width, {})
        declared |= more
    row, more, carried = _row(program, form, width)
    declared |= more
    reduced = []
    for name in ("others", "ties", "apart", "mass"):
        if name in sums:
            reduced += [line.replace("%", f"%{name}_") for line in tree(width)]
            reduced = [line.replace(f"%{name}_all_sum", sums[name]) for line in reduced]
    element = form.kind
    short = "f32" if element == "float" else "f64"
    declared |= {
        f"declare {element} @llvm.vector.reduce.fmax.v{width}{short}({real})",
        f"declare i1 @llvm.vector.reduce.or.v{width}i1({truth})",
    }
    improper = (
        f"  %improper_any = call i1 @llvm.vector.reduce.or.v{width}i1({truth} {sums['improper']})"
        if form.targets == "soft" else "  %improper_any = or i1 false, false"
    )  # fmt: skip
    lanes = f"<{', '.join(f'i64 {lane}' for lane in range(width))}>"
    loads = []
    for place, name in enumerate(ARGUMENTS):
        loads.append(f"  %{name}_at = getelementptr ptr, ptr %table, i64 {place}")
        loads.append(f"  %{name} = load ptr, ptr %{name}_at, align 8")
    one = Body(form.kind, 1)
    same = [number for number, uniform in enumerate(program.uniform) if uniform]
    for place, number in enumerate(same):
        loads += uniform_lines(place, program.types[number], form.kind, one)
    cast = f"fptrunc double %share to {element}" if element == "float" else "fadd double %share, 0.0"
    count = f"uitofp i64 %classes to {element}"
    loads += [f"  %spread_one = {cast}", *splat("spread", element, one)]
    loads += [f"  %class_count_one = {count}", *splat("class_count", element, one)]
    loads += [f"  %even_one = fdiv {element} %spread_one, %class_count_one", *splat("even_all", element, b, "even_one")]
    loads += [
        f"  %rest_classes = and i64 %classes, {width - 1}",
        "  %whole_classes = sub i64 %classes, %rest_classes",
        "  %any_whole = icmp ne i64 %whole_classes, 0",
        "  %no_rest = icmp eq i64 %rest_classes, 0",
        f"  %rest_first = insertelement {b.vector('i64')} zeroinitializer, i64 %rest_classes, i32 0",
        f"  %rests = shufflevector {b.vector('i64')} %rest_first, {b.vector('i64')} zeroinitializer, "
        f"{b.vector('i32')} zeroinitializer",
        f"  %inside = icmp ult {b.vector('i64')} {lanes}, %rests",
    ]
    spread = [
        line
        for name in ("inverse", "others", "factor", "slope", "bend")
        for line in splat(f"{name}_all", element, b, f"{name}_found")
    ]
    fix = "\n".join(_fix_target(form)) if write_text and form.targets != "soft" else ""
    text = f"""
define void @{NAME}(ptr %table, double %factor, double %share, i64 %rows, i64 %classes, i64 %block_rows,
                    i64 %first_block, i64 %last_block) {{
entry:
{chr(10).join(loads)}
  br label %blocks

blocks:
  %block = phi i64 [ %first_block, %entry ], [ %next_block, %block_done ]
  %start = mul i64 %block, %block_rows
  %ends = add i64 %start, %block_rows
  %short = icmp ult i64 %rows, %ends
  %end = select i1 %short, i64 %rows, i64 %ends
  br label %one_row

one_row:
  %row = phi i64 [ %start, %blocks ], [ %next_row, %row_done ]
  %sum = phi double [ 0.0, %blocks ], [ {carried["sum"]}, %row_done ]
  %bad = phi i1 [ false, %blocks ], [ {carried["bad"]}, %row_done ]
  %wrong = phi i1 [ false, %blocks ], [ {carried["wrong"]}, %row_done ]
  %base = mul i64 %row, %classes
  %row_logits = getelementptr {element}, ptr %logits, i64 %base
  %row_gradient = getelementptr {element}, ptr %gradient, i64 %base
  %row_hessian = getelementptr {element}, ptr %hessian, i64 %base
  %row_targets = getelementptr {element}, ptr %targets, i64 %base
{top_text}
  %top_found = call nnan {element} @llvm.vector.reduce.fmax.v{width}{short}({real} {top["top"]})
  %odd_any = call i1 @llvm.vector.reduce.or.v{width}i1({truth} {top["odd"]})
{chr(10).join(splat("top_all", element, b, "top_found"))}
{chr(10).join(splat("top", element, one, "top_found"))}
{sum_text}
{chr(10).join(reduced)}
{improper}
{row}
{chr(10).join(spread)}
{write_text}
{fix}
  br label %row_done
row_done:
  %next_row = add i64 %row, 1
  %row_more = icmp ult i64 %next_row, %end
  br i1 %row_more, label %one_row, label %block_done

block_done:
{chr(10).join(leave_record(carried["sum"], carried["bad"], carried["wrong"]))}
  %next_block = add i64 %block, 1
  %again = icmp ult i64 %next_block, %last_block
  br i1 %again, label %blocks, label %done

done:
  ret void
}}
"""
    return "\n".join(sorted(declared)) + text


def _row(program: Program, form: RowForm, width: int) -> tuple[str, set[str], dict[str, str]]:
    """Return the arithmetic of a row: its loss, and what its derivatives are made of."""
    b = Body(form.kind, 1, "f")
    wide, kind = b.widened(), form.kind

    def single(name: str, type_: str) -> Lanes:
        return b.write(type_, f"insertelement {type_} zeroinitializer, {type_.split(' x ')[1][:-1]} {name}, i32 0")

    def number(pointer: str, element: str, offset: str) -> Lanes:
        at = b.write("ptr", f"getelementptr {element}, ptr {pointer}, i64 {offset}").name
        return single(b.write(element, f"load {element}, ptr {at}, align 1").name, b.vector(element))

    def out(value: Lanes, name: str) -> None:
        b.lines.append(f"  %{name} = extractelement {value.type} {value.name}, i32 0")

    top = Lanes(b, b.real, "%top")
    others = b.give(single("%others_whole_sum", wide.real) + (single("%ties_whole_sum", wide.real) - 1.0))
    log_others, inverse = vector.log1p(b, others), 1.0 / (others + 1.0)
    wrong = single("%odd_any", b.truth) | ((top > -math.inf) ^ b.always)
    counts = b.always
    if form.masked:
        byte = number("%mask", "i8", "%row")
        counts = b.write(b.truth, f"icmp ne {byte.type} {byte.name}, zeroinitializer")
    same = [n for n, uniform in enumerate(program.uniform) if uniform]
    types = {"real": b.real, "bool": b.truth}
    uniform = {n: Lanes(b, types[program.types[n]], f"%uniform{place}") for place, n in enumerate(same)}
    slope, bend, rest = b.number(1.0), b.number(0.0), b.number(0.0)
    p_target = b.number(0.0)
    if form.targets == "soft":
        mass = single("%mass_whole_sum", wide.real)
        off = b.call("fabs", mass - 1.0)
        wrong = wrong | single("%improper_any", b.truth) | ((off <= SUM_TOLERANCE) ^ b.always)
        value = b.give(single("%apart_whole_sum", wide.real)) + log_others * b.give(mass)
    else:
        at = b.write("ptr", "getelementptr i64, ptr %targets, i64 %row").name
        b.lines.append(f"  %index = load i64, ptr {at}, align 8")
        below = top - number("%row_logits", kind, "%index")
        e = vector.exp_of_minus(b, below)
        p_target = e * inverse
        rest = b.select(below.equals(0.0), others * inverse, 1.0 - p_target)
        if form.targets == "smoothed":
            spread, classes = Lanes(b, b.real, "%spread"), Lanes(b, b.real, "%class_count")
            apart = b.give(single("%apart_whole_sum", wide.real))
            value = (log_others + (1.0 - spread) * below) + spread / classes * apart
        else:
            found = emit(b, program, [below + log_others], uniform)
            value, slope, bend = found["value"], found.get("gradient:u", slope), found.get("hessian:u,u", bend)
    weight = number("%weight", "double", "%row") if form.weighted else None
    zero = wide.number(0.0)

    def weighted(given: Lanes) -> Lanes:
        return given if weight is None else b.select(weight > zero, given * weight, zero)

    term = b.select(counts, weighted(wide.take(value)), zero)
    if form.losses:
        at = b.write("ptr", f"getelementptr {kind}, ptr %losses, i64 %row").name
        out(b.give(term), "loss_found")
        b.lines.append(f"  store {kind} %loss_found, ptr {at}, align {4 if kind == 'float' else 8}")
    factor = b.select(counts, weighted(single("%factor", wide.real)), zero)
    for name, given in (
        ("inverse", inverse), ("others", others), ("factor", b.give(factor)), ("slope", slope), ("bend", bend),
        ("target_rest", rest), ("target_share", p_target),
    ):  # fmt: skip
        out(given, f"{name}_found")
    bad = counts & ((b.abs(value) < math.inf) ^ b.always)
    out(counts & wrong, "wrong_here")
    out(bad, "bad_here")
    out(term, "term_here")
    b.lines += [
        "  %wrong_now = or i1 %wrong, %wrong_here",
        "  %bad_now = or i1 %bad, %bad_here",
        "  %sum_now = fadd double %sum, %term_here",
    ]
    return "\n".join(b.lines), b.declared, {"sum": "%sum_now", "bad": "%bad_now", "wrong": "%wrong_now"}


def _fix_target(form: RowForm) -> list[str]:
    """Return the lines that write the derivatives by the true class, whose digits come from the others."""
    b = Body(form.kind, 1, "x")
    kind = form.kind

    def given(name: str) -> Lanes:
        return b.write(b.real, f"insertelement {b.real} zeroinitializer, {kind} %{name}_found, i32 0")

    rest, p, factor, slope, bend = (given(n) for n in ("target_rest", "target_share", "factor", "slope", "bend"))
    if form.targets == "smoothed":
        even = Lanes(b, b.real, "%spread") / Lanes(b, b.real, "%class_count")
        t = (1.0 - Lanes(b, b.real, "%spread")) + even
        first, second = p * (1.0 - t) - t * rest, p * rest
    else:
        first = -slope * rest
        second = b.select(rest.equals(0.0), 0.0, bend * rest) * rest + slope * p * rest
    for name, value, wanted in (("gradient", first, form.gradient), ("hessian", second, form.hessian)):
        if wanted:
            shown = b.select(factor > 0.0, value * factor, 0.0)
            at = b.write("ptr", f"getelementptr {kind}, ptr %row_{name}, i64 %index").name
            b.lines.append(f"  %fixed_{name} = extractelement {shown.type} {shown.name}, i32 0")
            b.lines.append(f"  store {kind} %fixed_{name}, ptr {at}, align {4 if kind == 'float' else 8}")
    return b.lines
