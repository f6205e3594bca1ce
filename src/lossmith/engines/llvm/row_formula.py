"""The arithmetic of rows, once their classes were looked at: each lane is a row of a group."""

from __future__ import annotations

import math

from lossmith.engines.limits import SUM_TOLERANCE
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.lanes import SHORT, Lanes
from lossmith.engines.llvm.memory import SIZES
from lossmith.engines.llvm.row_frame import RowForm
from lossmith.engines.llvm.vectors import Vector
from lossmith.engines.operations import evaluate
from lossmith.program import Program


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
        self.factor = self._named("scale_wide", self.wide.real)

    def write(self) -> dict[str, str]:
        """Write the text, and return the names of what is carried from group to group."""
        b, form, wide = self.body, self.form, self.wide
        top, others = self._slot("top"), b.give(self._slot("others", double=True))
        log_others, inverse = vector.log1p(b, others), 1.0 / (others + 1.0)
        # A logit that is no number, or infinite, has spoiled the sum, and so has a row without any.
        right = (others < math.inf) & (top > -math.inf)
        value, slope, bend = b.number(0.0), b.number(1.0), b.number(0.0)
        if form.targets == "soft":
            mass = self._slot("mass", double=True)
            right = right & (wide.abs(mass - 1.0) <= SUM_TOLERANCE)
            whole = b.give(mass)
            if form.spread:
                whole = whole * (1.0 - self._named("spread")) + self._named("spread")
            value = b.give(self._slot("apart", double=True)) + log_others * whole
        else:
            below = top - self._slot("target")
            if form.targets == "smoothed":
                share = self._named("spread") / self._named("class_count")
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
        counts, carried = self._sum(value, right)
        if form.gradient or form.hessian:
            self._leave(counts, others, inverse, slope, bend, pull)
        return carried

    def _sum(self, value: Lanes, right: Lanes) -> tuple[Lanes, dict[str, str]]:
        """Write losses and their sum; return which rows count, and what is carried."""
        b, form, zero = self.body, self.form, self.wide.number(0.0)
        counts = self._named("in_group", b.truth)
        if form.masked:
            byte = self._load("i8", "%mask")
            counts = counts & b.write(b.truth, f"icmp ne {byte.type} {byte.name}, zeroinitializer")
        weight = self._load("double", "%weight") if form.weighted else None

        def weighted(number: Lanes) -> Lanes:
            return number if weight is None else b.select(weight > zero, number * weight, zero)

        term = b.select(counts, weighted(self.wide.take(value)), zero)
        if form.losses:
            self._store(b.give(term), "%losses")
        self.factor = b.select(counts, weighted(self.factor), zero)
        carried = {"sum": "%sum", "bad": "%bad"}
        wrong = counts & (right ^ b.always)
        carried["wrong"] = (self._named("wrong", b.truth) | wrong).name
        if form.summed:
            bad = counts & ((b.abs(value) < math.inf) ^ b.always)
            carried["bad"] = (self._named("bad", b.truth) | bad).name
            carried["sum"] = (self._named("sum", self.wide.real) + term).name
        return counts, carried

    def _leave(self, counts: Lanes, others: Lanes, inverse: Lanes, slope: Lanes, bend: Lanes, pull: Lanes) -> None:
        """Write what the derivatives of each row are made of."""
        b, form = self.body, self.form
        factor = b.select(counts, b.give(self.factor), 0.0)
        slots = {"inverse": inverse, "rest": others * inverse, "slope": slope, "bend": bend}
        slots |= {"factor": factor, "pull": pull}
        if form.targets != "soft":
            height = self._slot("target") - self._slot("top")
            e = vector.exp_of_negative(b, height)
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
                share = b.select(rest.equals(0.0), 0.0, bend * rest)
                slots["target"] = factor * (share * rest + slope * p * rest + self._bent(p, rest, pull))
            else:
                spread, even = self._named("spread"), self._named("even")
                t = (1.0 - spread) + even
                slots["fixed"] = factor * ((p * (spread - even) - t * rest) + p * pull)
                slots["target"] = factor * (p * rest + self._bent(p, rest, pull))
        for name, number in slots.items():
            b.lines.append(f"  store {number.type} {number.name}, ptr %slot_{name}, align 64")

    def _bent(self, p: Lanes, rest: Lanes, pull: Lanes) -> Lanes:
        """Return the second derivative of the squared log-sum by a class, times its strength."""
        if not self.form.penalised:
            return self.body.number(0.0)
        return (self._named("strength") * 2.0 * p + pull * rest) * p

    # --- the frame around ---------------------------------------------------------------------

    def _named(self, name: str, type_: str = "") -> Lanes:
        return Lanes(self.body, type_ or self.body.real, f"%{name}")

    def _uniform(self) -> dict[int, Lanes]:
        types = {"real": self.body.real, "bool": self.body.truth}
        same = [number for number, uniform in enumerate(self.program.uniform) if uniform]
        return {n: self._named(f"uniform{place}", types[self.program.types[n]]) for place, n in enumerate(same)}

    def _slot(self, name: str, *, double: bool = False) -> Lanes:
        type_ = self.wide.real if double else self.body.real
        return self.body.write(type_, f"load {type_}, ptr %slot_{name}, align 64")

    def _load(self, element: str, pointer: str) -> Lanes:
        """Return what an array holds for the rows of the group; zeros beyond."""
        b, type_ = self.body, self.body.vector(element)
        at = b.write("ptr", f"getelementptr {element}, ptr {pointer}, i64 %group").name
        name = f"llvm.masked.load.v{b.width}{SHORT[element]}.p0"
        b.declared.add(f"declare {type_} @{name}(ptr, i32, {b.truth}, {type_})")
        text = f"ptr {at}, i32 {SIZES[element]}, {b.truth} %in_group, {type_} zeroinitializer"
        return b.write(type_, f"call {type_} @{name}({text})")

    def _store(self, value: Lanes, pointer: str) -> None:
        b = self.body
        at = b.write("ptr", f"getelementptr {b.kind}, ptr {pointer}, i64 %group").name
        name = f"llvm.masked.store.v{b.width}{SHORT[b.kind]}.p0"
        b.declared.add(f"declare void @{name}({b.real}, ptr, i32, {b.truth})")
        given = f"{b.real} {value.name}, ptr {at}, i32 {self.form.size}, {b.truth} %in_group"
        b.lines.append(f"  call void @{name}({given})")
