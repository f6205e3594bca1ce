"""Loops over examples: reading, a program's arithmetic, writing and summing in one pass.

Sums are taken by blocks of a fixed size, in double precision and in a fixed order, so they do not
depend on who works on which block.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lossmith.engines.llvm.frame import (
    ALIGNED,
    FENCE,
    NAME,
    NOWHERE,
    begin_blocks,
    end_blocks,
    noticed,
    onward,
    phis,
    tree,
)
from lossmith.engines.llvm.lanes import SHORT, Body, Kind, Lanes
from lossmith.engines.llvm.memory import SIZES, in_memory, narrow, widen
from lossmith.engines.llvm.vectors import Vector
from lossmith.engines.operations import evaluate
from lossmith.program import Program


@dataclass(frozen=True)
class Form:
    """What a kernel of a program does.

    Attributes:
        kind: type of the numbers.
        stored: outputs that are written, in order.
        summed: whether ``value`` is summed.
        weighted, masked: whether there are weights and a mask.
        careful: whether bad values and invalid examples are counted and placed, not only noticed. That is
            for the few blocks that have some.
        streaming: whether outputs are written past the caches; they must be aligned to whole vectors.
        given: what each input holds in memory, a key of ``lossmith.engines.llvm.memory.SIZES``; ``kind`` by default.
        taken: what each stored output holds in memory, likewise.
        tame: whether all parameters are finite.
        divided: whether derivatives are divided by what they are multiplied by else; there are no weights then.
    """

    kind: Kind
    stored: tuple[str, ...]
    summed: bool
    weighted: bool = False
    masked: bool = False
    careful: bool = False
    streaming: bool = False
    given: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    tame: bool = False
    divided: bool = False


class _Vector:
    """The text for one vector of examples, which lie where ``%at_`` pointers and ``%row`` say."""

    def __init__(self, program: Program, form: Form, width: int) -> None:
        self.body = Vector(form.kind, width, "v", "vectors")
        self.program, self.form = program, form

    def _at(self, array: str, size: int) -> str:
        return self.body.write("ptr", f"getelementptr [{size} x i8], ptr %at_{array}, i64 %row").name

    def _load(self, element: str, array: str) -> Lanes:
        """Return what lies in memory for these examples, as it lies there."""
        type_, size = self.body.vector(in_memory(element)), SIZES[element]
        return self.body.write(type_, f"load {type_}, ptr {self._at(array, size)}, align {size}")

    def _store(self, value: Lanes, element: str, array: str) -> None:
        b, size = self.body, SIZES[element]
        value, at = narrow(b, value, element), self._at(array, size)
        how = f"align {size * b.width}, !nontemporal !0" if self.form.streaming else f"align {size}"
        b.lines.append(f"  store {value.type} {value.name}, ptr {at}, {how}")

    def write(self, carried: Mapping[str, str]) -> dict[str, str]:
        """Write the work on a vector, given the names of what is carried along, and return their new names."""
        b, form, program = self.body, self.form, self.program
        inputs = [widen(b, self._load(kept, name), kept) for name, kept in _inputs(program, form).items()]
        same = [number for number, uniform in enumerate(program.uniform) if uniform]
        types = {"real": b.real, "bool": b.truth}
        uniform = {n: Lanes(b, types[program.types[n]], f"%uniform{place}") for place, n in enumerate(same)}
        found = evaluate(b, program, inputs, uniform, tame=form.tame)
        counts = b.always
        if form.masked:
            byte = self._load("u8", "mask")
            counts = b.write(b.truth, f"icmp ne {byte.type} {byte.name}, zeroinitializer")
        weight = self._load("double", "weight") if form.weighted else None
        for name, (array, kept) in zip(form.stored, _outputs(form).items(), strict=True):
            self._store(self._as_stored(name, found[name], weight, counts), kept, array)
        new = dict(carried)
        if form.careful:
            self._first(new, "wrong", counts & (found["valid"] ^ b.always))
            step = f"add {b.vector('i32')} %places, splat (i32 {b.width})"
            new["places"] = b.write(b.vector("i32"), step).name
        else:
            right = found["valid"] | (counts ^ b.always) if form.masked else found["valid"]
            new["right"] = (Lanes(b, b.truth, carried["right"]) & right).name
        if form.summed:
            value = found["value"]
            if form.careful or form.weighted:
                bad = counts & ((b.abs(value) < math.inf) ^ b.always)
            if form.weighted and not form.careful:
                new["bad"] = (Lanes(b, b.truth, carried["bad"]) | bad).name
            if form.careful:
                self._first(new, "bad", bad)
                one = b.write(b.vector("i32"), f"zext {b.truth} {bad.name} to {b.vector('i32')}")
                new["count"] = b.write(one.type, f"add {one.type} {new['count']}, {one.name}").name
            wide = b.widened()
            term = self._weighted(wide.take(value), weight)
            if form.masked:
                term = b.select(counts, term, b.number(0.0, "double"))
            new["sum"] = b.write(wide.real, f"fadd {wide.real} {new['sum']}, {term.name}").name
        return new

    def _weighted(self, value: Lanes, weight: Lanes | None) -> Lanes:
        """Return weight times value; a weight of 0 silences any value."""
        if weight is None:
            return value
        zero = self.body.number(0.0, "double")
        return self.body.select(weight > zero, value * weight, zero)

    def _as_stored(self, name: str, value: Lanes, weight: Lanes | None, counts: Lanes) -> Lanes:
        b = self.body
        if weight is not None:
            wide = b.widened()
            value = wide.take(value) if name == "value" else wide.take(value) * Lanes(b, wide.real, "%scale_wide")
            value = b.give(self._weighted(value, weight))
        elif name != "value":
            scale = Lanes(b, b.real, "%scale")
            value = value / scale if self.form.divided else value * scale
        return b.select(counts, value, 0.0) if self.form.masked else value

    def _first(self, carried: dict[str, str], name: str, where: Lanes) -> None:
        """Carry along where first something holds, in each lane."""
        b = self.body
        place = Lanes(b, b.vector("i32"), "%places")
        here = b.select(where, place, Lanes(b, place.type, f"splat (i32 {NOWHERE})"))
        carried[name] = b.call("umin", Lanes(b, place.type, carried[name]), here).name


def _inputs(program: Program, form: Form) -> dict[str, str]:
    """Return what the inputs are called, and what they hold in memory."""
    given = form.given or (form.kind,) * len(program.inputs)
    return {f"in{place}": kept for place, kept in enumerate(given)}


def _outputs(form: Form) -> dict[str, str]:
    """Return what the stored outputs are called, and what they hold in memory."""
    taken = form.taken or (form.kind,) * len(form.stored)
    return {f"out{place}": kept for place, kept in enumerate(taken)}


def pointwise(program: Program, form: Form, width: int, block: int, *, on_x86: bool = True) -> str:
    """Return the module of a kernel over examples.

    It is called with: pointers to the inputs, to the uniform values (one double each, in the program's order), to the
    stored outputs; the weights; the mask; room for a record for each block; what stored outputs are multiplied by
    (``value`` only with weights); the number of examples; the first block to work on, and the one to stop before.

    What is left of a block goes through the same loop, in rooms on the stack: arithmetic that stands there once
    compiles in half the time.
    """
    each = _Vector(program, form, width)
    b = each.body
    wide, small = b.vector("double"), b.vector("i32")
    places = f"<{', '.join(f'i32 {lane}' for lane in range(width))}>"
    # What is carried from vector to vector: its type, and what it is before the first.
    nothing = {"right": (b.truth, b.always.name), "bad": (b.truth, "zeroinitializer")}
    if form.careful:
        nowhere = f"splat (i32 {NOWHERE})"
        nothing = {"wrong": (small, nowhere), "bad": (small, nowhere), "count": (small, "zeroinitializer")}
        nothing["places"] = (small, places)
    nothing["sum"] = (wide, "zeroinitializer")
    after = each.write({name: f"%{name}" for name in nothing})
    (end,) = b.label
    before = {name: f"%left_{name}" for name in nothing}
    long_places = f"<{', '.join(f'i64 {lane}' for lane in range(width))}>"
    given = _inputs(program, form)
    given |= {"weight": "double"} if form.weighted else {}
    given |= {"mask": "u8"} if form.masked else {}
    taken = _outputs(form)
    rooms, bring, moved, take = [], [], [], []
    for name, element in {**given, **taken}.items():
        kept, size = in_memory(element), SIZES[element]
        rooms.append(f"  %room_{name} = alloca [{size * width} x i8], align {max(64, size * width)}")
        bring.append(f"  %from_{name} = getelementptr [{size} x i8], ptr %{name}, i64 %stop")
        bring.append(f"  %back_{name} = getelementptr [{size} x i8], ptr %room_{name}, i64 %before")
        moved.append(f"  %at_{name} = phi ptr [ %{name}, %blocks ], [ %back_{name}, %rest_of_block ]")
        type_, how = b.vector(kept), f"v{width}{SHORT[kept]}.p0"
        if name in given:
            b.declared.add(f"declare {type_} @llvm.masked.load.{how}(ptr, i32, {b.truth}, {type_})")
            masked = f"ptr %from_{name}, i32 {size}, {b.truth} %inside, {type_} zeroinitializer"
            bring.append(f"  %last_{name} = call {type_} @llvm.masked.load.{how}({masked})")
            bring.append(f"  store {type_} %last_{name}, ptr %room_{name}, align {size}")
        else:
            b.declared.add(f"declare void @llvm.masked.store.{how}({type_}, ptr, i32, {b.truth})")
            take.append(f"  %last_{name} = load {type_}, ptr %room_{name}, align {size}")
            take.append(f"  %to_{name} = getelementptr [{size} x i8], ptr %{name}, i64 %stop")
            masked = f"{type_} %last_{name}, ptr %to_{name}, i32 {size}, {b.truth} %inside"
            take.append(f"  call void @llvm.masked.store.{how}({masked})")
    for name, (type_, _) in nothing.items():  # lanes of none keep what was before, which takes no register meanwhile
        wide_bits = small if type_ == b.truth else type_
        rooms.append(f"  %room_{name} = alloca {wide_bits}, align 64")
        value = f"%left_{name}"
        if type_ == b.truth:
            bring.append(f"  %wide_{name} = sext {type_} {value} to {small}")
            value = f"%wide_{name}"
        bring.append(f"  store {wide_bits} {value}, ptr %room_{name}, align 64")
        take.append(f"  %kept_{name} = load {wide_bits}, ptr %room_{name}, align 64")
        value = f"%kept_{name}"
        if type_ == b.truth:
            take.append(f"  %narrow_{name} = icmp ne {small} {value}, zeroinitializer")
            value = f"%narrow_{name}"
        take.append(f"  %whole_{name} = select {b.truth} %inside, {type_} {after[name]}, {type_} {value}")
    fenced = form.streaming and on_x86
    if fenced:
        b.declared.add(FENCE)
    loop = f"""{begin_blocks(str(block))}
  %size = sub i64 %end, %start
  %rest = and i64 %size, {width - 1}
  %stop = sub i64 %end, %rest
  %none = icmp eq i64 %rest, 0
  %before = sub i64 0, %stop
  %rest_one = insertelement {b.vector("i64")} zeroinitializer, i64 %rest, i32 0
  %rests = shufflevector {b.vector("i64")} %rest_one, {b.vector("i64")} zeroinitializer, {small} zeroinitializer
  %inside = icmp ult {b.vector("i64")} {long_places}, %rests
  %some = icmp ult i64 %start, %stop
  br i1 %some, label %turns, label %left_of_block

turns:
  %first = phi i64 [ %start, %blocks ], [ %stop, %rest_of_block ]
  %whole = phi i1 [ true, %blocks ], [ false, %rest_of_block ]
{chr(10).join(moved)}
{phis(nothing, "begin_", ({}, "blocks"), (before, "rest_of_block"))}
  br label %vectors

vectors:
  %row = phi i64 [ %first, %turns ], [ %next_row, %{end} ]
{phis(nothing, "", ({name: f"%begin_{name}" for name in nothing}, "turns"), (after, end))}
{chr(10).join(b.lines)}
{onward("%next_row", "%row", width)}
  %more = icmp ult i64 %next_row, %stop
  br i1 %more, label %vectors, label %turned

turned:
  br i1 %whole, label %left_of_block, label %rest_done

left_of_block:
{phis(nothing, "left_", ({}, "blocks"), (after, "turned"))}
  br i1 %none, label %block_done, label %rest_of_block

rest_of_block:
{chr(10).join(bring)}
  br label %turns

rest_done:
{chr(10).join(take)}
  br label %block_done

block_done:
{phis(nothing, "all_", (before, "left_of_block"), ({name: f"%whole_{name}" for name in nothing}, "rest_done"))}
{chr(10).join(tree(width, "%all_sum", "sum"))}
{chr(10).join(_record(b, form))}
{end_blocks("%sum_whole", fenced=fenced)}"""
    head = (
        f"define void @{NAME}(ptr %inputs, ptr %uniforms, ptr %outputs, ptr %weight, ptr %mask, ptr %records, "
        f"double %factor, i64 %rows, i64 %first_block, i64 %last_block) {ALIGNED} {{\nentry:\n"
    )
    entry = "\n".join([*rooms, *(f"  {line}" for line in _entry(program, form, b))])
    return "\n".join(sorted(b.declared)) + "\n" + head + entry + loop


def _record(b: Body, form: Form) -> list[str]:
    """Return the lines that leave the record of a block."""
    small, lines = b.vector("i32"), []
    if form.careful:
        b.declared |= {
            f"declare i32 @llvm.vector.reduce.umin.v{b.width}i32({small})",
            f"declare i32 @llvm.vector.reduce.add.v{b.width}i32({small})",
        }
        reduced = {"count": "add", "bad": "umin", "wrong": "umin"}
        for name, how in reduced.items():
            lines.append(f"%{name}_found = call i32 @llvm.vector.reduce.{how}.v{b.width}i32({small} %all_{name})")
            lines.append(f"%{name}_value = zext i32 %{name}_found to i64")
    else:
        for name, how in (("bad", "or"), ("right", "and")):
            b.declared.add(f"declare i1 @llvm.vector.reduce.{how}.v{b.width}i1({b.truth})")
            lines.append(f"%{name}_found = call i1 @llvm.vector.reduce.{how}.v{b.width}i1({b.truth} %all_{name})")
        # Without weights, a sum tells of a value that is not finite.
        lines.append("%sum_size = call double @llvm.fabs.f64(double %sum_whole)")
        lines.append("%sum_bad = fcmp ueq double %sum_size, 0x7FF0000000000000")
        b.declared.add("declare double @llvm.fabs.f64(double)")
        lines.append("%some_bad = or i1 %bad_found, %sum_bad")
        lines.append("%wrong_found = xor i1 %right_found, true")
        lines += noticed("%some_bad", "%wrong_found", "%some_bad")
    return [f"  {line}" for line in lines]


def _entry(program: Program, form: Form, body: Body) -> list[str]:
    """Return the lines that load pointers and spread what is the same for every example."""
    lines = []
    for name, table, count in (("in", "inputs", len(program.inputs)), ("out", "outputs", len(form.stored))):
        for place in range(count):
            lines.append(f"%{name}{place}_at = getelementptr ptr, ptr %{table}, i64 {place}")
            lines.append(f"%{name}{place} = load ptr, ptr %{name}{place}_at, align 8")
    kinds = [program.types[number] for number, same in enumerate(program.uniform) if same]
    for place, type_ in enumerate(kinds):
        lines.append(f"%uniform{place}_at = getelementptr double, ptr %uniforms, i64 {place}")
        lines.append(f"%uniform{place}_value = load double, ptr %uniform{place}_at, align 8")
        if type_ == "bool":
            lines.append(f"%uniform{place}_one = fcmp une double %uniform{place}_value, 0.0")
            lines += _spread(f"uniform{place}", "i1", body.truth, body.width)
        elif form.kind == "float":
            lines.append(f"%uniform{place}_one = fptrunc double %uniform{place}_value to float")
            lines += _spread(f"uniform{place}", "float", body.real, body.width)
        else:
            lines += _spread(f"uniform{place}", "double", body.real, body.width, suffix="value")
    if form.kind == "float":
        lines.append("%scale_one = fptrunc double %factor to float")
    else:
        lines.append("%scale_one = fadd double %factor, 0.0")
    lines += _spread("scale", form.kind, body.real, body.width)
    lines.append("%scale_wide_one = fadd double %factor, 0.0")
    lines += _spread("scale_wide", "double", body.vector("double"), body.width)
    return lines


def _spread(name: str, element: str, type_: str, width: int, suffix: str = "one") -> list[str]:
    return [
        f"%{name}_first = insertelement {type_} zeroinitializer, {element} %{name}_{suffix}, i32 0",
        f"%{name} = shufflevector {type_} %{name}_first, {type_} zeroinitializer, <{width} x i32> zeroinitializer",
    ]
