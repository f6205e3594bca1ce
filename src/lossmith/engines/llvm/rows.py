"""Rows of few classes: each lane is a row, so a vector holds one class of several rows.

The formula of a row is then the same arithmetic as that of an example.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.emit import emit
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.loops import NAME
from lossmith.engines.llvm.row_frame import ARGUMENTS, SUM_TOLERANCE, RowForm, finish, splat, uniform_lines
from lossmith.program import Program


class _Part:
    """Text for one stretch of the kernel, in a body of its own."""

    def __init__(self, form: RowForm, width: int, prefix: str) -> None:
        self.form, self.body = form, Body(form.kind, width, prefix)
        self.size = 4 if form.kind == "float" else 8

    def named(self, name: str, type_: str = "") -> Lanes:
        """Return a value of another part, or of the frame around them."""
        return Lanes(self.body, type_ or self.body.real, f"%{name}")

    def gather(self, base: str, offsets: Lanes) -> Lanes:
        """Return numbers at offsets from a pointer, of the rows that there are."""
        b = self.body
        at = b.write(f"<{b.width} x ptr>", f"getelementptr {b.kind}, ptr {base}, {offsets.type} {offsets.name}")
        suffix = f"v{b.width}{'f32' if b.kind == 'float' else 'f64'}"
        b.declared.add(
            f"declare {b.real} @llvm.masked.gather.{suffix}.v{b.width}p0({at.type}, i32, {b.truth}, {b.real})"
        )
        given = f"{at.type} {at.name}, i32 {self.size}, {b.truth} %inside, {b.real} zeroinitializer"
        return b.write(b.real, f"call {b.real} @llvm.masked.gather.{suffix}.v{b.width}p0({given})")

    def scatter(self, value: Lanes, base: str, offsets: Lanes) -> None:
        """Write numbers to offsets from a pointer."""
        b = self.body
        at = b.write(f"<{b.width} x ptr>", f"getelementptr {b.kind}, ptr {base}, {offsets.type} {offsets.name}")
        suffix = f"v{b.width}{'f32' if b.kind == 'float' else 'f64'}"
        b.declared.add(f"declare void @llvm.masked.scatter.{suffix}.v{b.width}p0({b.real}, {at.type}, i32, {b.truth})")
        given = f"{b.real} {value.name}, {at.type} {at.name}, i32 {self.size}, {b.truth} %inside"
        b.lines.append(f"  call void @llvm.masked.scatter.{suffix}.v{b.width}p0({given})")

    def masked_load(self, element: str, pointer: str, offset: str) -> Lanes:
        """Return the numbers of the rows of this group from an array with one a row."""
        b, type_ = self.body, self.body.vector(element)
        short, size = {"float": ("f32", 4), "double": ("f64", 8), "i64": ("i64", 8), "i8": ("i8", 1)}[element]
        at = b.write("ptr", f"getelementptr {element}, ptr {pointer}, i64 {offset}").name
        name = f"llvm.masked.load.v{b.width}{short}.p0"
        b.declared.add(f"declare {type_} @{name}(ptr, i32, {b.truth}, {type_})")
        text = f"ptr {at}, i32 {size}, {b.truth} %inside, {type_} zeroinitializer"
        return b.write(type_, f"call {type_} @{name}({text})")

    def masked_store(self, value: Lanes, pointer: str, offset: str) -> None:
        """Write one number a row."""
        b = self.body
        at = b.write("ptr", f"getelementptr {b.kind}, ptr {pointer}, i64 {offset}").name
        name = f"llvm.masked.store.v{b.width}{'f32' if b.kind == 'float' else 'f64'}.p0"
        b.declared.add(f"declare void @{name}({b.real}, ptr, i32, {b.truth})")
        b.lines.append(f"  call void @{name}({b.real} {value.name}, ptr {at}, i32 {self.size}, {b.truth} %inside)")

    def kept(self, k: str) -> Lanes:
        """Return the vector that scratch holds for a class."""
        b = self.body
        at = b.write("ptr", f"getelementptr {b.real}, ptr %scratch, i64 {k}").name
        self.body.lines.append(f"  %kept_{b.prefix} = load {b.real}, ptr {at}, align {self.size * b.width}")
        return self.named(f"kept_{b.prefix}")

    def keep(self, value: Lanes, k: str) -> None:
        """Write the vector that scratch shall hold for a class."""
        b = self.body
        at = b.write("ptr", f"getelementptr {b.real}, ptr %scratch, i64 {k}").name
        b.lines.append(f"  store {b.real} {value.name}, ptr {at}, align {self.size * b.width}")

    def offsets(self, k: str) -> Lanes:
        """Return the offsets of a class in the rows of this group."""
        b, small = self.body, self.body.vector("i32")
        one = b.write("i32", f"trunc i64 {k} to i32").name
        first = b.write(small, f"insertelement {small} zeroinitializer, i32 {one}, i32 0")
        spread = b.write(small, f"shufflevector {small} {first.name}, {small} zeroinitializer, {small} zeroinitializer")
        return b.apply("add", spread, self.named("row_offsets", small))

    def class_is(self, k: str) -> Lanes:
        """Return the rows whose target is a class."""
        b, small = self.body, self.body.vector("i32")
        one = b.write("i32", f"trunc i64 {k} to i32").name
        first = b.write(small, f"insertelement {small} zeroinitializer, i32 {one}, i32 0")
        spread = b.write(small, f"shufflevector {small} {first.name}, {small} zeroinitializer, {small} zeroinitializer")
        return b.compare_whole("eq", spread, self.named("index", small))


def by_rows(program: Program, form: RowForm, width: int) -> str:
    """Return the module of a kernel whose lanes are rows.

    It is called with: a table of pointers (see ``ARGUMENTS``); what derivatives are multiplied by; the share of each
    target that is spread; the number of rows and of classes; the rows of a block; the first block to work on, and the
    one to stop before. ``scratch`` has room for a vector for each class, aligned to vectors.

    Args:
        program: of ``u``, with outputs ``value``, ``gradient:u`` and ``hessian:u,u`` as far as needed.
        form: what it does.
        width: rows in a vector.
    """
    reading, summing, formula, writing = (_Part(form, width, name) for name in ("r", "s", "f", "w"))
    b = reading.body
    real, wide, small, truth = b.real, b.vector("double"), b.vector("i32"), b.truth
    read = _read(reading)
    summed = _sum(summing, read["top"])
    found = _formula(formula, program, read, summed)
    _write(writing)
    declared = set().union(*(part.body.declared for part in (reading, summing, formula, writing)))
    declared.add(f"declare i1 @llvm.vector.reduce.or.v{width}i1({truth})")
    lanes = f"<{', '.join(f'i32 {lane}' for lane in range(width))}>"
    uniform = [number for number, same in enumerate(program.uniform) if same]
    loads = []
    for place, name in enumerate(ARGUMENTS):
        loads.append(f"  %{name}_at = getelementptr ptr, ptr %table, i64 {place}")
        loads.append(f"  %{name} = load ptr, ptr %{name}_at, align 8")
    for place, number in enumerate(uniform):
        loads += uniform_lines(place, program.types[number], form.kind, b)
    for name, kind in (("scale", form.kind), ("scale_wide", "double"), ("spread", form.kind)):
        source = "%share" if name == "spread" else "%factor"
        cast = f"fptrunc double {source} to float" if kind == "float" else f"fadd double {source}, 0.0"
        loads.append(f"  %{name}_one = {cast}")
        loads += splat(name, kind, b)
    loads.append(f"  %class_count_one = {'uitofp i64 %classes to ' + form.kind}")
    loads += splat("class_count", form.kind, b)
    loads.append("  %class_step = trunc i64 %classes to i32")
    loads += [f"  %class_steps_first = insertelement {small} zeroinitializer, i32 %class_step, i32 0"]
    loads += [
        f"  %class_steps = shufflevector {small} %class_steps_first, {small} zeroinitializer, {small} zeroinitializer",
        f"  %row_offsets = mul {small} {lanes}, %class_steps",
    ]
    gradient_loop = ""
    if form.gradient or form.hessian:
        gradient_loop = f"""
  br label %writing
writing:
  %kw = phi i64 [ 0, %formula ], [ %kw_next, %writing ]
{chr(10).join(writing.body.lines)}
  %kw_next = add i64 %kw, 1
  %kw_more = icmp ult i64 %kw_next, %classes
  br i1 %kw_more, label %writing, label %group_done
"""
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
  br label %groups

groups:
  %row = phi i64 [ %start, %blocks ], [ %next_row, %group_done ]
  %sum = phi {wide} [ zeroinitializer, %blocks ], [ {found["sum"]}, %group_done ]
  %bad = phi {truth} [ zeroinitializer, %blocks ], [ {found["bad"]}, %group_done ]
  %wrong = phi {truth} [ zeroinitializer, %blocks ], [ {found["wrong"]}, %group_done ]
  %left = sub i64 %end, %row
  %left_small = trunc i64 %left to i32
  %left_first = insertelement {small} zeroinitializer, i32 %left_small, i32 0
  %lefts = shufflevector {small} %left_first, {small} zeroinitializer, {small} zeroinitializer
  %inside = icmp slt {small} {lanes}, %lefts
  %base_offset = mul i64 %row, %classes
  %base = getelementptr {form.kind}, ptr %logits, i64 %base_offset
  %gradient_base = getelementptr {form.kind}, ptr %gradient, i64 %base_offset
  %hessian_base = getelementptr {form.kind}, ptr %hessian, i64 %base_offset
  %soft_base = getelementptr {form.kind}, ptr %targets, i64 %base_offset
  br label %reading

reading:
  %kr = phi i64 [ 0, %groups ], [ %kr_next, %reading ]
  %top_before = phi {real} [ {_minus_infinity(b)}, %groups ], [ {read["top"]}, %reading ]
  %odd_before = phi {truth} [ zeroinitializer, %groups ], [ {read["odd"]}, %reading ]
{chr(10).join(reading.body.lines)}
  %kr_next = add i64 %kr, 1
  %kr_more = icmp ult i64 %kr_next, %classes
  br i1 %kr_more, label %reading, label %summing

summing:
  %ks = phi i64 [ 0, %reading ], [ %ks_next, %summing ]
  %others_before = phi {wide} [ zeroinitializer, %reading ], [ {summed["others"]}, %summing ]
  %ties_before = phi {wide} [ zeroinitializer, %reading ], [ {summed["ties"]}, %summing ]
  %apart_before = phi {wide} [ zeroinitializer, %reading ], [ {summed["apart"]}, %summing ]
  %mass_before = phi {wide} [ zeroinitializer, %reading ], [ {summed["mass"]}, %summing ]
  %improper_before = phi {truth} [ zeroinitializer, %reading ], [ {summed["improper"]}, %summing ]
{chr(10).join(summing.body.lines)}
  %ks_next = add i64 %ks, 1
  %ks_more = icmp ult i64 %ks_next, %classes
  br i1 %ks_more, label %summing, label %formula

formula:
{chr(10).join(formula.body.lines)}
{gradient_loop or "  br label %group_done"}
group_done:
  %next_row = add i64 %row, {width}
  %row_more = icmp ult i64 %next_row, %end
  br i1 %row_more, label %groups, label %block_done

block_done:
{chr(10).join(finish(width, wide, truth, found))}
  %next_block = add i64 %block, 1
  %again = icmp ult i64 %next_block, %last_block
  br i1 %again, label %blocks, label %done

done:
  ret void
}}
"""
    return "\n".join(sorted(declared | {"declare double @llvm.fabs.f64(double)"})) + text


def _minus_infinity(b: Body) -> str:
    return b.number(-math.inf).name


def _read(part: _Part) -> dict[str, str]:
    """Write the first look at a class: keep it, and carry the largest logit and whether one is odd."""
    b = part.body
    z = part.gather("%base", part.offsets("%kr"))
    part.keep(z, "%kr")
    top = part.named("top_before")
    odd = part.named("odd_before", b.truth) | ((z < math.inf) ^ b.always)
    return {"top": b.select(z > top, z, top).name, "odd": odd.name}


def _sum(part: _Part, top_name: str) -> dict[str, str]:
    """Write the second look at a class: keep its exponential, and carry the sum of those below the largest."""
    b = part.body
    wide = b.widened()
    z, top = part.kept("%ks"), part.named(top_name[1:])
    below = top - z  # infinite where a class is ruled out
    e = vector.exp_of_minus(b, below)
    part.keep(e, "%ks")
    is_top = below.equals(0.0)
    zero = wide.number(0.0)

    def carried(name: str, value: Lanes) -> str:
        return (part.named(f"{name}_before", wide.real) + wide.take(value)).name

    found = {
        "others": carried("others", b.select(is_top, 0.0, e)),
        "ties": (part.named("ties_before", wide.real) + b.select(is_top, wide.number(1.0), zero)).name,
        "apart": "zeroinitializer",
        "mass": "zeroinitializer",
        "improper": "zeroinitializer",
    }
    if part.form.targets == "smoothed":
        found["apart"] = carried("apart", below)
    if part.form.targets == "soft":
        t = part.gather("%soft_base", part.offsets("%ks"))
        found["apart"] = carried("apart", b.select(t > 0.0, t * below, 0.0))
        found["mass"] = carried("mass", t)
        improper = ((t >= 0.0) & (t <= 1.0)) ^ b.always
        found["improper"] = (part.named("improper_before", b.truth) | improper).name
    return found


def _formula(part: _Part, program: Program, read: Mapping[str, str], summed: Mapping[str, str]) -> dict[str, str]:
    """Write the arithmetic of a row, and return the names of what is carried from group to group."""
    b, form = part.body, part.form
    wide, small = b.widened(), b.vector("i32")
    zero = wide.number(0.0)
    top = part.named(read["top"][1:])
    ties = Lanes(b, wide.real, summed["ties"])
    others = b.give(Lanes(b, wide.real, summed["others"]) + (ties - 1.0))
    log_others = vector.log1p(b, others)
    inverse = 1.0 / (others + 1.0)
    b.lines.append(f"  %others = fadd {b.real} {others.name}, splat ({b.kind} 0.0)")
    b.lines.append(f"  %inverse = fadd {b.real} {inverse.name}, splat ({b.kind} 0.0)")
    counts = part.named("inside", b.truth)
    if form.masked:
        byte = part.masked_load("i8", "%mask", "%row")
        counts = counts & b.write(b.truth, f"icmp ne {byte.type} {byte.name}, zeroinitializer")
    wrong = part.named(read["odd"][1:], b.truth) | ((top > -math.inf) ^ b.always)
    same = [number for number, uniform in enumerate(program.uniform) if uniform]
    types = {"real": b.real, "bool": b.truth}
    uniform = {n: part.named(f"uniform{place}", types[program.types[n]]) for place, n in enumerate(same)}
    if form.targets == "soft":
        mass = Lanes(b, wide.real, summed["mass"])
        off = wide.abs(mass - 1.0)
        wrong = wrong | (Lanes(b, b.truth, summed["improper"]) | ((off <= SUM_TOLERANCE) ^ b.always))
        value = b.give(Lanes(b, wide.real, summed["apart"])) + log_others * b.give(mass)
        slope = bend = None
    else:
        long = part.masked_load("i64", "%targets", "%row")
        index = b.convert("trunc", long, small)
        b.lines.append(f"  %index = add {small} {index.name}, zeroinitializer")
        z = part.gather("%base", b.apply("add", index, part.named("row_offsets", small)))
        below = top - z
        if form.targets == "smoothed":
            spread, classes = part.named("spread"), part.named("class_count")
            apart = b.give(Lanes(b, wide.real, summed["apart"]))
            value = (log_others + (1.0 - spread) * below) + spread / classes * apart
            slope = bend = None
        else:
            e = vector.exp_of_minus(b, below)
            q = b.select(below.equals(0.0), others * inverse, 1.0 - e * inverse)
            b.lines.append(f"  %target_rest = fadd {b.real} {q.name}, splat ({b.kind} 0.0)")
            found = emit(b, program, [below + log_others], uniform)
            value, slope, bend = found["value"], found.get("gradient:u"), found.get("hessian:u,u")
    for name, term in (("slope", slope), ("bend", bend)):
        given = b.number(1.0 if name == "slope" else 0.0) if term is None else term
        b.lines.append(f"  %{name} = fadd {b.real} {given.name}, splat ({b.kind} -0.0)")
    weight = part.masked_load("double", "%weight", "%row") if form.weighted else None

    def weighted(number: Lanes) -> Lanes:
        if weight is None:
            return number
        return b.select(weight > zero, number * weight, zero)

    if form.losses:
        stored = b.give(weighted(wide.take(value)))
        part.masked_store(b.select(counts, stored, 0.0) if form.masked else stored, "%losses", "%row")
    factor = weighted(part.named("scale_wide", wide.real))
    factor = b.select(counts, factor, zero)
    silent = b.select(counts & (factor > zero), b.give(factor), 0.0)
    b.lines.append(f"  %row_factor = fadd {b.real} {silent.name}, splat ({b.kind} 0.0)")
    carried = {"sum": "%sum", "bad": "%bad", "wrong": (part.named("wrong", b.truth) | (counts & wrong)).name}
    if form.summed:
        bad = counts & ((b.abs(value) < math.inf) ^ b.always)
        carried["bad"] = (part.named("bad", b.truth) | bad).name
        term = b.select(counts, weighted(wide.take(value)), zero)
        carried["sum"] = (part.named("sum", wide.real) + term).name
    return carried


def _write(part: _Part) -> None:
    """Write the third look at a class: its derivatives."""
    b, form = part.body, part.form
    e, inverse, others = part.kept("%kw"), part.named("inverse"), part.named("others")
    factor, slope, bend = part.named("row_factor"), part.named("slope"), part.named("bend")
    p = e * inverse
    q = b.select(e.equals(1.0), others * inverse, 1.0 - p)
    offsets = part.offsets("%kw")

    def written(value: Lanes, base: str) -> None:
        # A row of factor 0 has no derivative, whatever came out.
        part.scatter(b.select(factor > 0.0, value * factor, 0.0), base, offsets)

    if form.targets == "indices":
        target = part.class_is("%kw")
        rest = part.named("target_rest")
        first = b.select(target, -slope * rest, slope * p)
        # A share of 0 wins over a second derivative that is infinite there.
        share = b.select(target, rest, p)
        second = b.select(share.equals(0.0), 0.0, bend * share) * share + slope * p * b.select(target, rest, q)
    else:
        if form.targets == "soft":
            t = part.gather("%soft_base", offsets)
        else:
            even = part.named("spread") / part.named("class_count")
            t = b.select(part.class_is("%kw"), (1.0 - part.named("spread")) + even, even)
        first = p * (1.0 - t) - t * q
        second = p * q
    if form.gradient:
        written(first, "%gradient_base")
    if form.hessian:
        written(second, "%hessian_base")
