"""The arithmetic of rows, once their classes were looked at: each lane is a row of a group."""

from __future__ import annotations

import math

from lossmith.engines.limits import SUM_TOLERANCE
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.frame import cast, pointer, uniform_lines
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.memory import SIZES
from lossmith.engines.llvm.row_frame import ARGUMENTS, RowForm, slot_at
from lossmith.engines.llvm.row_text import single
from lossmith.engines.llvm.spelling import SHORT
from lossmith.engines.llvm.vectors import Vector
from lossmith.engines.operations import evaluate, taken
from lossmith.program import Program


def noticed(b: Body, before: str, where: Lanes) -> str:
    """Return what was noticed of rows before, and of these: a bit for each lane."""
    bits = f"i{b.width}"
    here = b.write(bits, f"bitcast {where.type} {where.name} to {bits}").name
    return b.write(bits, f"or {bits} {before}, {here}").name


class Rows:
    """The text for a group of rows.

    Args:
        program: of ``u``, with outputs ``value``, ``gradient:u`` and ``hessian:u,u`` as far as needed.
        form: what the kernel does.
        width: rows in a vector.
    """

    def __init__(self, program: Program, form: RowForm, width: int) -> None:
        self.program, self.form = program, form
        self.body = Vector(form.kind, width, "f")
        self.wide = self.body.widened()

    def write(self) -> dict[str, str]:
        """Write the text, and return the names of what is carried from group to group."""
        b, form, wide = self.body, self.form, self.wide
        self._enter()
        top, others = self._slot("top"), b.give(self._slot("others", double=True))
        log_others, inverse = vector.log1p_of_sum(b, others), 1.0 / (others + 1.0)
        # A logit that is no number, or infinite, has spoiled the sum, and so has a row without any.
        right = (others < math.inf) & (top > -math.inf)
        value, slope, bend = b.number(0.0), b.number(1.0), b.number(0.0)
        if form.targets == "soft":
            mass = self._slot("mass", double=True)
            right = right & (wide.abs(mass - 1.0) <= SUM_TOLERANCE)
            whole = slope = b.give(mass)  # which is what slopes of all classes are multiplied by
            if form.spread:
                whole = whole * (1.0 - self._named("spread")) + self._named("spread")
            value = b.give(self._slot("apart", double=True)) + log_others * whole
        else:
            below = top - self._slot("target")
            if form.targets == "smoothed":
                share = self._named("even")
                apart = b.give(self._slot("apart", double=True))
                value = (log_others + (1.0 - self._named("spread")) * below) + share * apart
            else:
                found = evaluate(b, self.program, [below + log_others], self._uniform())
                value, slope, bend = found["value"], found.get("gradient:u", slope), found.get("hessian:u,u", bend)
        pull = b.number(0.0)
        if form.penalised:
            log_sum, strength = top + log_others, self._named("strength")
            value = value + strength * (log_sum * log_sum)
            pull = strength * 2.0 * log_sum
        factor, carried = self._sum(value, right)
        if form.gradient or form.hessian:
            self._leave(factor, others, inverse, slope, bend, pull)
        return carried

    def _sum(self, value: Lanes, right: Lanes) -> tuple[Lanes, dict[str, str]]:
        """Write losses and their sum; return what derivatives are multiplied by, and what is carried."""
        b, form = self.body, self.form
        counts = self._named("in_group", b.truth)
        if form.masked:
            byte = self._load("i8", "%mask")
            counts = counts & b.write(b.truth, f"icmp ne {byte.type} {byte.name}, zeroinitializer")
        if form.weighted:
            weight, zero = self._load("double", "%weight"), self.wide.number(0.0)
            live = weight > zero
            term = b.select(counts, b.select(live, self.wide.take(value) * weight, zero), zero)
            factor = b.give(b.select(live, single(self.wide, "double", "%factor") * weight, zero))
        else:
            b.lines.append(cast("factor_one", "factor", form.kind))
            term, factor = b.select(counts, value, 0.0), single(b, form.kind, "%factor_one")
        if form.losses:
            self._store(b.give(term), "%losses")
        carried = {"sum": "%sum", "bad": "%bad"}
        carried["wrong"] = noticed(b, "%wrong", counts & (right ^ b.always))
        if form.summed:
            carried["bad"] = noticed(b, "%bad", counts & ((b.abs(value) < math.inf) ^ b.always))
            carried["sum"] = (self._named("sum", self.wide.real) + self.wide.take(term)).name
        return b.select(counts, factor, 0.0), carried

    def _leave(self, factor: Lanes, others: Lanes, inverse: Lanes, slope: Lanes, bend: Lanes, pull: Lanes) -> None:
        """Write what the derivatives of each row are made of."""
        b, form = self.body, self.form
        slots = {"inverse": inverse, "rest": others * inverse, "slope": slope, "bend": bend}
        slots |= {"factor": factor, "pull": pull}
        if form.targets != "soft":
            height = self._slot("target") - self._slot("top")
            e = self._slot("power")
            p = e * inverse
            # What the true class leaves to the others, by itself and as a multiple of the inverse.
            left = b.select(height.equals(0.0), others, (others + 1.0) - e)
            rest = b.select(height.equals(0.0), others * inverse, 1.0 - p)
            if form.targets == "indices":
                steep = slope + pull
                fixed = (
                    -left
                    if not form.penalised
                    else b.select(steep.equals(0.0), 0.0, e - slope * (others + 1.0) / steep)
                )
                slots |= {"scale": factor * steep * inverse, "fixed": fixed}
            elif form.gradient:
                spread, even = self._named("spread"), self._named("even")
                t = (1.0 - spread) + even
                slots["fixed"] = factor * ((p * (spread - even) - t * rest) + p * pull)
            if form.hessian:
                curve = p * rest
                if form.targets == "indices":
                    share = b.select(rest.equals(0.0), 0.0, bend * rest)
                    curve = share * rest + slope * p * rest
                slots["target"] = factor * (curve + self._bent(p, rest, pull))
        for name in form.left:
            at = b.write("ptr", slot_at(name, b.width)).name
            b.lines.append(f"  store {b.real} {slots[name].name}, ptr {at}, align 64")

    def _bent(self, p: Lanes, rest: Lanes, pull: Lanes) -> Lanes:
        """Return the second derivative of the squared log-sum by a class, times its strength."""
        if not self.form.penalised:
            return self.body.number(0.0)
        return (self._named("strength") * 2.0 * p + pull * rest) * p

    # --- the frame around ---------------------------------------------------------------------

    def _named(self, name: str, type_: str = "") -> Lanes:
        return Lanes(self.body, type_ or self.body.real, f"%{name}")

    def _enter(self) -> None:
        """Write what is the same for all rows: here, since it would be in the way everywhere else."""
        form, lines = self.form, self.body.lines
        for name, used in (("losses", form.losses), ("weight", form.weighted), ("mask", form.masked)):
            lines += pointer(ARGUMENTS, name) if used else []
        if any(self.program.uniform):
            lines += pointer(ARGUMENTS, "uniforms")
        wanted = taken(self.program)
        for place, number in enumerate(number for number, same in enumerate(self.program.uniform) if same):
            if number in wanted:
                lines += uniform_lines(place, self.program.types[number], form.kind, self.body)

    def _uniform(self) -> dict[int, Lanes]:
        types = {"real": self.body.real, "bool": self.body.truth}
        same = [number for number, uniform in enumerate(self.program.uniform) if uniform]
        return {n: self._named(f"uniform{place}", types[self.program.types[n]]) for place, n in enumerate(same)}

    def _slot(self, name: str, *, double: bool = False) -> Lanes:
        b, type_ = self.body, self.wide.real if double else self.body.real
        return b.write(type_, f"load {type_}, ptr {b.write('ptr', slot_at(name, b.width)).name}, align 64")

    def _load(self, element: str, array: str) -> Lanes:
        """Return what an array holds for the rows of the group; zeros beyond."""
        b, type_ = self.body, self.body.vector(element)
        at = b.write("ptr", f"getelementptr {element}, ptr {array}, i64 %group").name
        name = f"llvm.masked.load.v{b.width}{SHORT[element]}.p0"
        b.declared.add(f"declare {type_} @{name}(ptr, i32, {b.truth}, {type_})")
        text = f"ptr {at}, i32 {SIZES[element]}, {b.truth} %in_group, {type_} zeroinitializer"
        return b.write(type_, f"call {type_} @{name}({text})")

    def _store(self, value: Lanes, array: str) -> None:
        b = self.body
        at = b.write("ptr", f"getelementptr {b.kind}, ptr {array}, i64 %group").name
        name = f"llvm.masked.store.v{b.width}{SHORT[b.kind]}.p0"
        b.declared.add(f"declare void @{name}({b.real}, ptr, i32, {b.truth})")
        given = f"{b.real} {value.name}, ptr {at}, i32 {self.form.size}, {b.truth} %in_group"
        b.lines.append(f"  call void @{name}({given})")
