"""The looks that a kernel takes at the classes of a row, which stays in the caches between them.

The first finds the largest logit; the second sums exponentials and keeps them in scratch; the third writes
derivatives. The sum leaves out the largest, so that a certain class keeps its digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.frame import LINE, onward, phis, side_by_side
from lossmith.engines.llvm.lanes import SHORT, Body, Lanes
from lossmith.engines.llvm.memory import SIZES, in_memory, masked, widen
from lossmith.engines.llvm.row_frame import RowForm

UNROLLED = 4
"""Vectors that one turn of a loop over classes takes."""


class Look:
    """The text of one turn of a look: some whole vectors of classes, or the part of one that ``inside`` says.

    Args:
        form: what the kernel does.
        width: classes in a vector.
        row: what the names of the pointers into the row begin with.
        prefix: what the names of its values begin with.
        count: vectors of a turn.
        inside: the name of a mask, where the vector is not whole.
    """

    def __init__(self, form: RowForm, width: int, row: str, prefix: str, count: int = 1, inside: str = "") -> None:
        self.form, self.row, self.inside = form, row, inside
        self.body = Body(form.kind, width, prefix)
        self.first = f"%k_{prefix}"
        b = self.body
        self.places = [self.first] + [
            b.write("i64", f"add i64 {self.first}, {n * width}").name for n in range(1, count)
        ]

    def named(self, name: str, type_: str = "") -> Lanes:
        """Return a value of the frame around."""
        return Lanes(self.body, type_ or self.body.real, f"%{name}")

    def at(self, array: str, place: str) -> str:
        """Return where in the row, or in ``adjustment``, these classes lie."""
        pointer = f"%{array}" if array == "adjustment" else f"%{self.row}_{array}"
        size = SIZES[self.form.element(array)]
        return self.body.write("ptr", f"getelementptr [{size} x i8], ptr {pointer}, i64 {place}").name

    def load(self, array: str, place: str, otherwise: float) -> Lanes:
        """Return the numbers of an array at these classes; ``otherwise`` beyond its end."""
        b, at, element = self.body, self.at(array, place), self.form.element(array)
        if not self.inside:
            type_ = b.vector(in_memory(element))
            return widen(b, b.write(type_, f"load {type_}, ptr {at}, align {SIZES[element]}"), element)
        return masked(b, at, element, self.inside, otherwise)

    def logits(self, place: str) -> Lanes:
        """Return the logits at these classes, with what classes add."""
        z = self.load("logits", place, -math.inf)
        return z + self.load("adjustment", place, 0.0) if self.form.adjusted else z

    def mixed(self, t: Lanes) -> Lanes:
        """Return the shares of classes that are trained for: some of each is spread evenly, if that is asked for."""
        if not self.form.spread:
            return t
        found = t * (1.0 - self.named("spread")) + self.named("even")
        return self.body.select(self.named(self.inside[1:], self.body.truth), found, 0.0) if self.inside else found

    def apart(self, t: Lanes) -> Lanes:
        """Return what the shares that are trained for lack to 1, with its own digits."""
        if not self.form.spread:
            return 1.0 - t
        spread, even = self.named("spread"), self.named("even")
        return (1.0 - t) * (1.0 - spread) + (spread - even)

    def kept(self, place: str) -> Lanes:
        """Return what scratch, which is as wide as whole vectors, holds for these classes."""
        b = self.body
        return b.write(b.real, f"load {b.real}, ptr {self.at('scratch', place)}, align {self.form.size}")

    def keep(self, value: Lanes, place: str) -> None:
        """Write what scratch shall hold for these classes."""
        b, at = self.body, self.at("scratch", place)
        b.lines.append(f"  store {b.real} {value.name}, ptr {at}, align {self.form.size}")

    def store(self, value: Lanes, array: str, place: str, *, streaming: bool = False) -> None:
        """Write the numbers of an array at these classes."""
        b, size, at = self.body, self.form.size, self.at(array, place)
        if not self.inside:
            how = f"align {size * b.width}, !nontemporal !0" if streaming else f"align {size}"
            b.lines.append(f"  store {b.real} {value.name}, ptr {at}, {how}")
            return
        name = f"llvm.masked.store.v{b.width}{SHORT[b.kind]}.p0"
        b.declared.add(f"declare void @{name}({b.real}, ptr, i32, {b.truth})")
        b.lines.append(f"  call void @{name}({b.real} {value.name}, ptr {at}, i32 {size}, {b.truth} {self.inside})")


Write = Callable[[Look, Mapping[str, str]], dict[str, str]]


def find_top(look: Look, before: Mapping[str, str]) -> dict[str, str]:
    """Write the first look: the largest logit. What is no number may hide another; it spoils the sum."""
    b = look.body
    found = [look.logits(place) for place in look.places]
    while len(found) > 1:  # in pairs, which need not wait for each other
        found = [b.select(z > other, z, other) for z, other in zip(found[::2], found[1::2], strict=True)]
    top = Lanes(b, b.real, before["top"])
    return {"top": b.select(found[0] > top, found[0], top).name}


def sum_exponentials(look: Look, before: Mapping[str, str]) -> dict[str, str]:
    """Write the second look: exponentials, kept and summed, and what targets of several classes need."""
    b, form = look.body, look.form
    wide = b.widened()
    found = dict(before)

    def add(name: str, terms: Sequence[Lanes]) -> None:
        while len(terms) > 1:  # a few are added as they are, always in this order, and widened together
            terms = [a + c for a, c in zip(terms[::2], terms[1::2], strict=True)]
        found[name] = (Lanes(b, wide.real, found[name]) + wide.take(terms[0])).name

    heights = [look.logits(place) - look.named("top_all") for place in look.places]
    exponentials, ties = [], found["ties"]
    made = side_by_side(b, [partial(vector.exp_of_negative, b, height) for height in heights])
    for place, height, e in zip(look.places, heights, made, strict=True):
        look.keep(e, place)
        is_top = height.equals(0.0)
        exponentials.append(b.select(is_top, 0.0, e))
        ties = _count(b, is_top, ties)
    found["ties"] = ties
    add("others", exponentials)
    below = [-height for height in heights] if form.targets != "indices" else []
    if form.targets == "smoothed":
        add("apart", [b.select(look.named(look.inside[1:], b.truth), d, 0.0) if look.inside else d for d in below])
    if form.targets == "soft":
        shares = [look.load("targets", place, 0.0) for place in look.places]
        mixed = [look.mixed(t) for t in shares]
        add("apart", [b.select(t > 0.0, t * d, 0.0) for t, d in zip(mixed, below, strict=True)])
        add("mass", shares)
        proper = Lanes(b, b.truth, found["proper"])
        for t in shares:
            proper = proper & ((t >= 0.0) & (t <= 1.0))
        found["proper"] = proper.name
    line = max(1, LINE // (b.width * SIZES[form.element("logits")]))  # vectors of a cache line
    for place in look.places[::line]:
        ahead = b.write("i64", f"add i64 {place}, %classes").name
        at = look.at("logits", ahead)
        b.declared.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        b.lines.append(f"  call void @llvm.prefetch.p0(ptr {at}, i32 0, i32 3, i32 1)")
    return found


def _count(b: Body, where: Lanes, before: str) -> str:
    """Return how often something held before and in these lanes."""
    bits = f"i{b.width}"
    b.declared.add(f"declare {bits} @llvm.ctpop.{bits}({bits})")
    mask = b.write(bits, f"bitcast {where.type} {where.name} to {bits}").name
    some = b.write(bits, f"call {bits} @llvm.ctpop.{bits}({bits} {mask})").name
    return b.write("i64", f"add i64 {before}, {b.write('i64', f'zext {bits} {some} to i64').name}").name


def write_derivatives(look: Look, before: Mapping[str, str]) -> dict[str, str]:
    """Write the third look: derivatives by the logits, from the exponentials that were kept."""
    b, form = look.body, look.form
    live = look.named("live_all", b.truth)
    for place in look.places:
        e = look.kept(place)
        if form.gradient and form.targets == "indices":
            # The true class has been given what makes this right for it too.
            first = e * look.named("scale_all")
            look.store(b.select(live, first, 0.0), "gradient", place, streaming=form.streaming)
        if (form.gradient and form.targets != "indices") or form.hessian:
            p = e * look.named("inverse_all")
            q = b.select(e.equals(1.0), look.named("rest_all"), 1.0 - p)
            factor = look.named("factor_all")
        if form.gradient and form.targets != "indices":
            if form.targets == "soft":
                given = look.load("targets", place, 0.0)
                first = p * look.apart(given) - look.mixed(given) * q
            else:
                first = p * (1.0 - look.named("even")) - look.named("even") * q
            if form.penalised:
                first = first + p * look.named("pull_all")
            look.store(b.select(live, first * factor, 0.0), "gradient", place, streaming=form.streaming)
        if form.hessian:
            slope, bend = look.named("slope_all"), look.named("bend_all")
            second = p * q
            if form.targets == "indices":
                # A share of 0 wins over a second derivative that is infinite there.
                second = b.select(p.equals(0.0), 0.0, bend * p) * p + slope * second
            if form.penalised:
                second = second + (look.named("strength") * 2.0 * p + look.named("pull_all") * q) * p
            look.store(b.select(live, second * factor, 0.0), "hessian", place)
    return {}


@dataclass(frozen=True)
class Bounds:
    """Names of the values that say where a sweep over classes is: its start, the ends of its loops, and its rest."""

    start: str = "0"
    many: str = "%many_end"
    whole: str = "%whole_end"
    inside: str = "%inside"
    no_rest: str = "%no_rest"


def sweep(
    name: str,
    write: Write,
    form: RowForm,
    width: int,
    row: str,
    carried: Mapping[str, tuple[str, str]],
    bounds: Bounds,
) -> tuple[str, set[str], dict[str, str]]:
    """Return the text of a look at all classes of a row, what it declares, and the names of what it carried.

    Args:
        name: what the names of its values begin with.
        write: the look.
        form: what the kernel does.
        width: classes in a vector.
        row: what the names of the pointers into the row begin with.
        carried: by name, the type and the first value of what is carried from turn to turn.
        bounds: where it is.
    """
    many, one, last = (
        Look(form, width, row, f"{name}{letter}", count, inside)
        for letter, count, inside in (("m", UNROLLED, ""), ("o", 1, ""), ("l", 1, bounds.inside))
    )
    after_many, after_one, after_last = (
        write(look, {key: f"%{look.body.prefix}_{key}" for key in carried}) for look in (many, one, last)
    )

    def turns(look: Look, label: str, before: str, start: str, end: str, after: Mapping[str, str], out: str) -> str:
        first: Mapping[str, str] = {} if before == f"{name}_begin" else {key: f"%{name}_f_{key}" for key in carried}
        return f"""
{label}:
  {look.first} = phi i64 [ {start}, %{before} ], [ %{label}_next, %{label} ]
{phis(carried, f"{look.body.prefix}_", (first, before), (after, label))}
{chr(10).join(look.body.lines)}
{onward(f"%{label}_next", look.first, width * len(look.places))}
  %{label}_more = icmp ult i64 %{label}_next, {end}
  br i1 %{label}_more, label %{label}, label %{out}"""

    after_few = {key: f"%{name}_f_{key}" for key in carried}
    before_last = {key: f"%{last.body.prefix}_{key}" for key in carried}
    text = f"""
  br label %{name}_begin
{name}_begin:
  %{name}_some = icmp ult i64 {bounds.start}, {bounds.many}
  br i1 %{name}_some, label %{name}_many, label %{name}_few
{turns(many, f"{name}_many", f"{name}_begin", bounds.start, bounds.many, after_many, f"{name}_few")}
{name}_few:
{phis(carried, f"{name}_f_", ({}, f"{name}_begin"), (after_many, f"{name}_many"))}
  %{name}_left = icmp ult i64 {bounds.many}, {bounds.whole}
  br i1 %{name}_left, label %{name}_one, label %{name}_rest
{turns(one, f"{name}_one", f"{name}_few", bounds.many, bounds.whole, after_one, f"{name}_rest")}
{name}_rest:
{phis(carried, f"{last.body.prefix}_", (after_few, f"{name}_few"), (after_one, f"{name}_one"))}
  br i1 {bounds.no_rest}, label %{name}_end, label %{name}_last
{name}_last:
  {last.first} = add i64 {bounds.whole}, 0
{chr(10).join(last.body.lines)}
  br label %{name}_end
{name}_end:
{phis(carried, f"{name}_e_", (before_last, f"{name}_rest"), (after_last, f"{name}_last"))}
"""
    declared = many.body.declared | one.body.declared | last.body.declared
    return text, declared, {key: f"%{name}_e_{key}" for key in carried}
