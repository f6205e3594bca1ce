"""Loops over examples: reading, a program's arithmetic, writing and summing in one pass.

Sums are taken by blocks of a fixed size, in double precision and in a fixed order, so they do not
depend on who works on which block.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lossmith.engines.crosses import crosses
from lossmith.engines.facts import conditions, is_arithmetic, ranges, spans, told_by
from lossmith.engines.hard_labels import Hard
from lossmith.engines.llvm import added, soft_labels
from lossmith.engines.llvm.form import Form
from lossmith.engines.llvm.frame import (
    ALIGNED,
    FENCE,
    LINE,
    NAME,
    begin_blocks,
    cast,
    end_blocks,
    first_lanes,
    noticed,
    onward,
    part,
    phis,
    splat,
    tree,
    uniform_lines,
)
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.memory import SIZES, ask_for, in_memory, narrow, widen
from lossmith.engines.llvm.room import copies, shifted
from lossmith.engines.llvm.vectors import Vector
from lossmith.engines.operations import evaluate, taken
from lossmith.program import Program

SUMMED = 2
"""Registers whose numbers a sum is given together, whatever a vector takes: so it has the same bits."""

AHEAD = 2048
"""Bytes ahead of what is read that are asked for: machines foresee reading only as far as the page of memory goes."""


class _Vector:
    """The text for one vector of examples."""

    def __init__(self, program: Program, form: Form, width: int, registers: int, hard: Hard | None) -> None:
        self.body = Vector(form.kind, width, "v", "vectors", registers=registers)
        self.hard = hard
        self.form, self.ahead = form, form.large and is_arithmetic(program)
        self.sums = max(1, registers // SUMMED) if form.summed else 1
        finite, others = conditions(program) if form.spoils else ([], [])
        self.told = set(finite) & _told(program, form) if finite else set[int]()
        self.untold = [place for place in finite if place not in self.told]
        self.spans = spans(program, others) if self.body.scales else {}
        others = [number for number in others if number not in self.spans]
        self.others = tuple((f"condition {number}", number) for number in others)
        self.program = replace(program, outputs=(*program.outputs, *self.others))

    def _at(self, pointer: str, size: int) -> str:
        return self.body.write("ptr", f"getelementptr [{size} x i8], ptr {pointer}, i64 %row").name

    def _load(self, element: str, pointer: str) -> Lanes:
        """Return what lies in memory for these examples, as it lies there."""
        b, kept, size = self.body, in_memory(element), SIZES[element]
        at = self._at(pointer, size)
        if self.ahead:
            ask_for(b, b.write("ptr", f"getelementptr i8, ptr {at}, i64 {AHEAD}").name)
        return b.write(b.vector(kept), f"load {b.vector(kept)}, ptr {at}, align {size}")

    def _store(self, value: Lanes, element: str, pointer: str) -> None:
        b, size = self.body, SIZES[element]
        value, at = narrow(b, value, element), self._at(pointer, size)
        how = f"align {min(size * b.width, LINE)}, !nontemporal !0" if self.form.streaming else f"align {size}"
        b.lines.append(f"  store {value.type} {value.name}, ptr {at}, {how}")

    def write(self, carried: Mapping[str, str]) -> dict[str, str]:
        """Write the work on a vector, given the names of what is carried along, and return their new names."""
        b, form, program = self.body, self.form, self.program
        given, taken = _elements(program, form)
        loaded = [self._load(kept, f"%in{place}") for place, kept in enumerate(given)]
        inputs = [widen(b, lanes, kept) for lanes, kept in zip(loaded, given, strict=True)]
        if self.hard is not None:
            soft_labels.look(b, inputs[self.hard.place], self.hard.ends)
        same = [number for number, uniform in enumerate(program.uniform) if uniform]
        types = {"real": b.real, "bool": b.truth}
        uniform = {n: Lanes(b, types[program.types[n]], f"%uniform{place}") for place, n in enumerate(same)}
        known = {**uniform, **self._differences(loaded, given)}
        found = evaluate(b, program, inputs, known, tame=form.tame)
        counts = b.always
        if form.masked:
            byte = self._load("u8", "%mask")
            counts = counts & b.write(b.truth, f"icmp ne {byte.type} {byte.name}, zeroinitializer")
        weight = self._load("double", "%weight") if form.weighted else None
        for place, (name, kept) in enumerate(zip(form.stored, taken, strict=True)):
            self._store(self._as_stored(name, found[name], weight, counts), kept, f"%out{place}")
        new = dict(carried)
        if not form.spoils:
            right = found["valid"] | (counts ^ b.always)
            new["right"] = (Lanes(b, b.truth, carried["right"]) & right).name
        if form.weighted and form.summed:
            bad = counts & ((b.abs(found["value"]) < math.inf) ^ b.always)
            new["bad"] = (Lanes(b, b.truth, carried["bad"]) | bad).name
        if form.summed:
            value = self._spoilt(found, inputs) if form.spoils else found["value"]
            wide = b.widened()
            term = self._weighted(wide.take(value), weight)
            if form.masked:
                term = b.select(counts, term, b.number(0.0, "double"))
            self.terms = self._summed(term)
            for some in self.terms:
                new["sum"] = b.write(self.sum_type, f"fadd {self.sum_type} {new['sum']}, {some}").name
        return new

    @property
    def sum_type(self) -> str:
        """The type of the sum that is carried along."""
        return f"<{self.body.width // self.sums} x double>"

    def _summed(self, terms: Lanes) -> list[str]:
        """Return what the sum is given, one after the other."""
        b, width = self.body, self.body.width // self.sums
        if self.sums == 1:
            return [terms.name]
        return [b.write(self.sum_type, part(terms.name, terms.type, at, width)).name for at in range(0, b.width, width)]

    def rest(self, only: str) -> list[str]:
        """Return the lines that make ``%rest_sum`` of the sum and of what the room holds, whose sum is ``only``."""
        width, total, lines = self.body.width // self.sums, "%before_sum", []
        for number, term in enumerate([only] if self.sums == 1 else self.terms, start=1):
            inside, kept, more = f"%inside{number}", f"%rest_term{number}", f"%rest_sum{number % self.sums or ''}"
            lines += [
                f"  {inside} = {part('%inside', self.body.truth, (number - 1) * width, width)}",
                f"  {kept} = select <{width} x i1> {inside}, {self.sum_type} {term}, {self.sum_type} zeroinitializer",
                f"  {more} = fadd {self.sum_type} {total}, {kept}",
            ]
            total = more
        return lines

    def _differences(self, loaded: Sequence[Lanes], given: Sequence[str]) -> dict[int, Lanes]:
        """Return the differences of inputs, of which one is wider than what is computed with, rounded once."""
        b, wide, found = self.body, self.body.widened(), {}
        for number, step in enumerate(self.program.steps, start=self.program.first_step):
            if b.kind == "float" and step.op == "sub" and max(step.args) < len(given):
                kept = [given[place] for place in step.args]
                if "double" in kept:
                    left, right = (
                        replace(widen(wide, loaded[place], element), body=wide)
                        for place, element in zip(step.args, kept, strict=True)
                    )
                    found[number] = b.give(left - right)
        return found

    def _spoilt(self, found: Mapping[str, Lanes], inputs: Sequence[Lanes]) -> Lanes:
        """Return the loss, and no number where an example is not valid."""
        b, value = self.body, found["value"]
        for place in self.untold:
            value = b.fma(inputs[place], 0.0, value)
        # All bits of it are set, which machines do sooner than to choose.
        nothing = Lanes(b, b.real, f"splat ({b.kind} {'0xFFFFFFFFE0000000' if b.kind == 'float' else '0x' + 16 * 'F'})")
        for name, _ in self.others:
            value = b.select(found[name], value, nothing)
        # By bits, of which those of numbers below 0 are the largest.
        for place, how, high in sorted({*self.spans.values()}):
            bits, end = b.bits(inputs[place] - b.number(-0.0)), b.bits(b.number(high))
            value = b.select(b.compare_whole(how, bits, end), value, nothing)
        return value

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


def _told(program: Program, form: Form) -> frozenset[int]:
    """Return the inputs for which the loss is infinite or no number, for certain, wherever one of them is."""
    function, arguments = crosses(program, ranges(program, tame=form.tame)).get(program.output("value"), ("", ()))
    # A cross-entropy of an infinite logit is infinite, or infinity times a share of zero.
    return told_by(program, "value") | frozenset(arguments[2:] if function == "softplus" else ())


def _elements(program: Program, form: Form) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what inputs and stored outputs hold in memory."""
    return form.given or (form.kind,) * len(program.inputs), form.taken or (form.kind,) * len(form.stored)


def pointwise(
    program: Program,
    form: Form,
    width: int,
    block: int,
    *,
    registers: int = 1,
    on_x86: bool = True,
    hard: Hard | None = None,
) -> str:
    """Return the module of a kernel over examples.

    It is called with: pointers to the inputs, to the uniform values (one double each, in the program's order), to the
    stored outputs; the weights; the mask; room for a record for each block; what stored outputs are multiplied by
    (``value`` only with weights); the number of examples; the first block to work on, and the one to stop before.

    What is left of a block beyond its last whole vector is copied to a vector's room on the stack, filled up with its
    last example, and goes through the same loop: so there is one text to compile, and no masks.

    Args:
        program: has the stored outputs, ``valid``, and ``value`` where it is summed.
        form: what the kernel does.
        width: examples in a vector.
        block: examples in a block.
        registers: how many registers of the machine a vector takes.
        on_x86: whether there are instructions of x86.
        hard: what the program is for, if it is not for all labels; see ``soft_labels``.
    """
    vector = _Vector(program, form, width, registers, hard)
    b = vector.body
    # What is carried from vector to vector: its type, and what it is before the first.
    nothing = {"sum": (vector.sum_type, "zeroinitializer")}
    if not form.spoils:
        nothing |= {"right": (b.truth, b.always.name), "bad": (b.truth, "zeroinitializer")}
    after = vector.write({name: f"%{name}" for name in nothing})
    (end,) = b.label
    given, taken = _elements(program, form)
    read = {f"in{place}": element for place, element in enumerate(given)}
    read |= {"weight": "double"} if form.weighted else {}
    read |= {"mask": "u8"} if form.masked else {}
    written = {f"out{place}": element for place, element in enumerate(taken)}
    room = {**read, **written}
    b.declared.add("declare i64 @llvm.umin.i64(i64, i64)")
    fenced = form.streaming and on_x86
    if fenced:
        b.declared.add(FENCE)
    kept = {name: f"%kept_{name}" for name in nothing}
    served = [] if hard is None else [soft_labels.serve(room, nothing)]
    handed = [] if hard is None else [({name: f"%soft_own_{name}" for name in nothing}, "soft")]
    loop = f"""{begin_blocks(str(block))}
{chr(10).join([] if hard is None else soft_labels.clear())}
  %size = sub i64 %end, %start
  %rest = and i64 %size, {width - 1}
  %stop = sub i64 %end, %rest
  %some = icmp ult i64 %start, %stop
  br i1 %some, label %stretch, label %rest_of_block

stretch:
  %from = phi i64 [ %start, %blocks ], [ %stop, %fetched ]
  %to = phi i64 [ %stop, %blocks ], [ %end, %fetched ]
  %in_room = phi i1 [ false, %blocks ], [ true, %fetched ]
{chr(10).join(f"  %{name} = phi ptr [ %{name}_given, %blocks ], [ %{name}_shifted, %fetched ]" for name in room)}
{phis(nothing, "before_", ({}, "blocks"), (kept, "fetched"))}
  br label %vectors

vectors:
  %row = phi i64 [ %from, %stretch ], [ %next_row, %{end} ]
{phis(nothing, "", ({}, "stretch"), (after, end))}
{chr(10).join(b.lines)}
{onward("%next_row", "%row", width)}
  %more = icmp ult i64 %next_row, %to
  br i1 %more, label %vectors, label %stretch_done

stretch_done:
  br i1 %in_room, label %bring, label %rest_of_block

rest_of_block:
{phis(nothing, "kept_", ({}, "blocks"), (after, "stretch_done"))}
  %none = icmp eq i64 %rest, 0
  br i1 %none, label %block_done, label %fetch

fetch:
  %rest_last = sub i64 %rest, 1
{copies("fetch", read, str(width), "fetched")}

fetched:
  %before_room = sub i64 0, %stop
{chr(10).join(shifted(room))}
  br label %stretch

bring:
{chr(10).join(first_lanes("inside", "rest", b))}
{"" if form.spoils else _joined(after, b)}
{chr(10).join(vector.rest(after["sum"]))}
{copies("bring", written, "%rest", "brought")}

brought:
  br label %block_done

{chr(10).join(served)}
block_done:
{phis(nothing, "all_", (kept, "rest_of_block"), ({name: f"%rest_{name}" for name in nothing}, "brought"), *handed)}
{chr(10).join(tree(width // vector.sums, "%all_sum", "sum" if hard is None else "own"))}
{chr(10).join(_record(form, b, told=bool(vector.told), handed=hard is not None))}
{end_blocks("%sum_whole", fenced=fenced)}"""
    head = (
        f"define void @{NAME}(ptr %inputs, ptr %uniforms, ptr %outputs, ptr %weight_given, ptr %mask_given, "
        f"ptr %records, double %factor, i64 %rows, i64 %first_block, i64 %last_block) {ALIGNED} {{\nentry:\n"
    )
    entry = "\n".join(_entry(vector.program, form, room, b, handed=hard is not None))
    text = "\n".join(sorted(b.declared)) + "\n" + head + entry + loop
    return added.in_memory(text) if on_x86 else text


def _joined(after: Mapping[str, str], b: Body) -> str:
    """Return the lines that join what was found in the room, where all is what the last example is, to the rest."""
    return f"""  %rest_right = and {b.truth} %before_right, {after["right"]}
  %rest_bad = or {b.truth} %before_bad, {after["bad"]}"""


def _record(form: Form, b: Body, *, told: bool, handed: bool) -> list[str]:
    """Return the lines that leave the record of a block.

    Args:
        form: what the kernel does.
        b: what is written into.
        told: whether what is infinite may be so by an input, which is seen when the block is gone over.
        handed: whether the rest of a block may have been handed over.
    """
    b.declared.add("declare double @llvm.fabs.f64(double)")
    lines = [
        *(soft_labels.joined("%sum_whole", "%own_whole") if handed else []),
        "  %sum_size = call double @llvm.fabs.f64(double %sum_whole)",
        "  %sum_bad = fcmp ueq double %sum_size, 0x7FF0000000000000",
    ]
    bad = wrong = "%sum_bad"
    if form.spoils and not told:
        lines.append("  %sum_wrong = fcmp uno double %sum_whole, 0.0")
        wrong = "%sum_wrong"
    elif not form.spoils:
        for name, how in (("bad", "or"), ("right", "and")):
            b.declared.add(f"declare i1 @llvm.vector.reduce.{how}.v{b.width}i1({b.truth})")
            lines.append(f"  %{name}_found = call i1 @llvm.vector.reduce.{how}.v{b.width}i1({b.truth} %all_{name})")
        lines += ["  %some_bad = or i1 %bad_found, %sum_bad", "  %wrong_found = xor i1 %right_found, true"]
        bad, wrong = "%some_bad", "%wrong_found"
    if handed:
        more, bad, wrong = soft_labels.noticed_too(bad, wrong)
        lines += more
    return [*lines, *noticed(bad, wrong, bad)]


def _entry(program: Program, form: Form, room: Mapping[str, str], b: Body, *, handed: bool) -> list[str]:
    """Return the lines that load pointers, make room, and spread what is the same for every example."""
    lines = []
    for name, table, count in (("in", "inputs", len(program.inputs)), ("out", "outputs", len(form.stored))):
        for place in range(count):
            lines.append(f"  %{name}{place}_at = getelementptr ptr, ptr %{table}, i64 {place}")
            lines.append(f"  %{name}{place}_given = load ptr, ptr %{name}{place}_at, align 8")
    for name, element in room.items():
        lines.append(f"  %{name}_room = alloca [{b.width * SIZES[element]} x i8], align {LINE}")
    if handed:
        lines += soft_labels.enter(len(program.inputs), len(form.stored), sum(program.uniform))
    wanted = taken(program)
    same = (number for number, same in enumerate(program.uniform) if same)
    for place, number in enumerate(same):
        lines += uniform_lines(place, program.types[number], form.kind, b) if number in wanted else []
    return [*lines, cast("scale_one", "factor", form.kind), *splat("scale", form.kind, b),
            *splat("scale_wide", "double", b, "factor")]  # fmt: skip
