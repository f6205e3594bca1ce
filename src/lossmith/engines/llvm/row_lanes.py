"""Each lane is a row, so that a vector holds one class of several rows: for few classes, or where classes lie apart.

Where rows lie one after the other in memory, tiles of them, as many rows as a vector has lanes, are turned over in
registers on the way in and on the way out, by ``row_tiles``. Else vectors are read and written as they lie; see
``row_across``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from lossmith.engines.llvm import exponentials, row_across
from lossmith.engines.llvm.frame import onward
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.memory import SIZES, in_memory, whole
from lossmith.engines.llvm.row_frame import RowForm, slot_at
from lossmith.engines.llvm.row_mixing import Mixing
from lossmith.engines.llvm.row_text import single
from lossmith.engines.llvm.row_tiles import turn_rows
from lossmith.engines.llvm.spelling import SHORT


class Turn(Mixing):
    """The text of one turn of a loop over classes."""

    def __init__(self, form: RowForm, width: int, prefix: str) -> None:
        self.form = form
        self.body = Body(form.kind, width, prefix)
        self.number = f"%{prefix}_k"
        self.end = f"{prefix}_loop"  # the block of the text in which the turn ends

    def _at(self, region: str) -> str:
        return self.body.write("ptr", f"getelementptr {self.body.real}, ptr %lanes_{region}, i64 {self.number}").name

    def kept(self, region: str) -> Lanes:
        """Return the vector that scratch holds for a class."""
        at = self._at(region)
        return self.body.write(self.body.real, f"load {self.body.real}, ptr {at}, align {self._align}")

    def keep(self, value: Lanes, region: str) -> None:
        """Write the vector that scratch shall hold for a class."""
        at = self._at(region)
        self.body.lines.append(f"  store {value.type} {value.name}, ptr {at}, align {self._align}")

    @property
    def _align(self) -> int:
        return self.form.size * self.body.width

    def spread(self, element: str, value: str) -> Lanes:
        """Return a single number in every lane."""
        return single(self.body, element, value)

    def taken(self, array: str, region: str) -> Lanes:
        """Return the vector of a class as it came in."""
        if not self.form.across:
            return self.kept(region)
        found, self.end = row_across.load(self.body, self.form, array, self.number)
        return found

    def give(self, value: Lanes, array: str) -> None:
        """Write the vector of a class to where it goes out."""
        if self.form.across:
            self.end = row_across.store(self.body, self.form, array, self.number, value)
        else:
            self.keep(value, "turned")

    @property
    def mass(self) -> Lanes:
        """What the targets of a row sum to."""
        return self.slot("slope")

    @property
    def is_target(self) -> Lanes:
        """The rows whose target is this class."""
        classes = Lanes(self.body, self.body.vector("i64"), "%classes_of_rows")
        return self.body.compare_whole("eq", self.spread("i64", self.number), classes)

    def slot(self, name: str) -> Lanes:
        """Return what was found for each row of the group."""
        b = self.body
        return b.write(b.real, f"load {b.real}, ptr {b.write('ptr', slot_at(name, b.width)).name}, align 64")


Write = Callable[[Turn, Mapping[str, str]], dict[str, str]]


def over_classes(
    name: str, write: Write, form: RowForm, width: int, carried: Mapping[str, tuple[str, str]], before: str
) -> tuple[str, set[str], dict[str, str]]:
    """Return the text of a loop over classes, what it declares, and the names of what it carried.

    It begins after the block ``before`` and ends in a block ``{name}_end``.
    """
    turn = Turn(form, width, name)
    after = write(turn, {key: f"%{name}_{key}" for key in carried})
    phis = "\n".join(
        f"  %{name}_{key} = phi {type_} [ {start}, %{before} ], [ {after[key]}, %{turn.end} ]"
        for key, (type_, start) in carried.items()
    )
    text = f"""
  br label %{name}_loop
{name}_loop:
  {turn.number} = phi i64 [ 0, %{before} ], [ %{name}_next, %{turn.end} ]
{phis}
{chr(10).join(turn.body.lines)}
{onward(f"%{name}_next", turn.number, 1)}
  %{name}_more = icmp ult i64 %{name}_next, %classes
  br i1 %{name}_more, label %{name}_loop, label %{name}_end
{name}_end:"""
    return text, turn.body.declared, after


def find_top(turn: Turn, before: Mapping[str, str]) -> dict[str, str]:
    """Write the first look: the largest logit of each row, with what classes add to theirs."""
    b = turn.body
    z, top = turn.taken("logits", "kept"), Lanes(b, b.real, before["top"])
    if turn.form.adjusted:
        at = b.write("ptr", f"getelementptr {b.kind}, ptr %adjustment, i64 {turn.number}").name
        z = z + turn.spread(b.kind, b.write(b.kind, f"load {b.kind}, ptr {at}, align {turn.form.size}").name)
    if turn.form.adjusted or turn.form.across:
        turn.keep(z, "kept")
    return {"top": b.select(z > top, z, top).name}


def sum_exponentials(turn: Turn, before: Mapping[str, str]) -> dict[str, str]:
    """Write the second look: exponentials, kept and summed, and what targets of several classes need."""
    b, form = turn.body, turn.form
    wide, found = b.widened(), dict(before)

    def add(name: str, term: Lanes) -> None:
        found[name] = (Lanes(b, wide.real, before[name]) + wide.take(term)).name

    z = turn.kept("kept")
    height = z - turn.slot("top")
    e = exponentials.exp_of_negative(b, height)
    turn.keep(e, "kept")
    is_top, below = height.equals(0.0), -height
    add("others", b.select(is_top, 0.0, e))
    found["ties"] = (Lanes(b, b.real, before["ties"]) + b.select(is_top, b.number(1.0), 0.0)).name
    if form.targets != "soft":
        for name, value in (("target", z), ("power", e)):
            found[name] = b.select(turn.is_target, value, Lanes(b, b.real, before[name])).name
    if form.targets == "smoothed":
        add("apart", below)
    if form.targets == "soft":
        t = turn.taken("targets", "shares")
        if form.across and form.gradient:
            turn.keep(t, "shares")
        mixed = turn.mixed(t)
        add("apart", b.select(mixed > 0.0, mixed * below, 0.0))
        add("mass", t)
        least, most = (Lanes(b, b.real, before[name]) for name in ("least", "most"))
        found |= {"least": b.smallest(t, least).name, "most": b.largest(t, most).name}  # what is none spoils the sum
    return found


def derive(output: str) -> Write:
    """Return the third look for ``gradient`` or ``hessian``: derivatives by a class, from its exponentials."""

    def write(turn: Turn, before: Mapping[str, str]) -> dict[str, str]:
        b, form = turn.body, turn.form
        factor, e = turn.slot("factor"), turn.kept("kept")
        if output == "gradient" and form.targets == "indices":
            found = b.select(turn.is_target, turn.slot("fixed"), e) * turn.slot("scale")
        else:
            p = e * turn.slot("inverse")
            q = b.select(e.equals(1.0), turn.slot("rest"), 1.0 - p)
            strength = Lanes(b, b.real, "%strength")
            if output == "hessian":
                found = p * q
                if form.targets == "indices":
                    # A share of 0 wins over a second derivative that is infinite there.
                    found = b.select(p.equals(0.0), 0.0, turn.slot("bend") * p) * p + turn.slot("slope") * found
                elif form.targets == "soft":
                    found = turn.whole * found
                if form.penalised:
                    found = found + (strength * 2.0 * p + turn.slot("pull") * q) * p
            else:
                if form.targets == "soft":
                    t = turn.kept("shares")
                    found = p * turn.apart(t) - turn.mixed(t) * q
                else:
                    even = Lanes(b, b.real, "%even")
                    found = p * (1.0 - even) - even * q
                if form.penalised:
                    found = found + p * turn.slot("pull")
            found = found * factor
            if form.targets != "soft":
                fixed = turn.slot("target" if output == "hessian" else "fixed")
                found = b.select(turn.is_target, fixed, found)
        # A row of factor 0 has no derivative, whatever came out.
        turn.give(b.select(factor > 0.0, found, 0.0), output)
        return {}

    return write


def read(form: RowForm, b: Body) -> tuple[str, set[str]]:
    """Return the text that looks twice at the classes of a group of rows and leaves in slots what it found."""
    width, real, wide = b.width, b.real, b.vector("double")
    into, declared = _turned_in(form, b.width) if not form.across else ("", set[str]())
    look, more, top = over_classes("t", find_top, form, width, {"top": (real, b.number(-math.inf).name)}, "reading")
    declared |= more
    nothing = {"others": (wide, "zeroinitializer"), "ties": (real, "zeroinitializer")}
    if form.targets != "indices":
        nothing["apart"] = (wide, "zeroinitializer")
    if form.targets == "soft":
        nothing |= {"mass": (wide, "zeroinitializer"), "least": (real, "zeroinitializer")}
        nothing["most"] = real, b.number(1.0).name
    else:  # which no label outside the classes puts right
        nothing |= dict.fromkeys(("target", "power"), (real, b.number(math.nan).name))
    sums, more, found = over_classes("s", sum_exponentials, form, width, nothing, "t_end")
    declared |= more
    ties = found["ties"] if form.kind == "double" else "%ties_wide"
    after = [] if form.kind == "double" else [f"  %ties_wide = fpext {real} {found['ties']} to {wide}"]
    after += [
        f"  %tied = fadd {wide} {ties}, {b.number(-1.0, 'double').name}",
        f"  %others_found = fadd {wide} {found['others']}, %tied",
        *_leave("others", wide, "%others_found", width),
    ]
    if form.targets != "indices":
        after += _leave("apart", wide, found["apart"], width)
    if form.targets == "soft":
        none = b.number(math.nan, "double").name
        after += [
            f"  %low = fcmp olt {real} {found['least']}, zeroinitializer",
            f"  %high = fcmp ogt {real} {found['most']}, {b.number(1.0).name}",
            f"  %improper = or {b.truth} %low, %high",
            f"  %mass_found = select {b.truth} %improper, {wide} {none}, {wide} {found['mass']}",
            *_leave("mass", wide, "%mass_found", width),
        ]
    else:
        for name in ("target", "power"):
            after += _leave(name, real, found[name], width)
    group = row_across.begin_group(form, b) if form.across else []
    text = f"""
reading:
{chr(10).join(_classes_of_rows(form, b, declared) + group)}
{into}
{look}
{chr(10).join(_leave("top", real, top["top"], width))}
{sums}
{chr(10).join(after)}
  br label %formula
"""
    return text, declared


def _leave(slot: str, type_: str, value: str, width: int) -> list[str]:
    return [f"  %slot_{slot} = {slot_at(slot, width)}", f"  store {type_} {value}, ptr %slot_{slot}, align 64"]


def _turned_in(form: RowForm, width: int) -> tuple[str, set[str]]:
    """Return the lines that turn over what comes in, and what they declare."""
    regions = {"logits": "kept", **({"targets": "shares"} if form.targets == "soft" else {})}
    lines, declared = [], set[str]()
    for array, region in regions.items():
        line, more = turn_rows(array, region, form.kind, width, element=form.element(array))
        lines.append(line)
        declared |= more
    return "\n".join(lines), declared


def _classes_of_rows(form: RowForm, b: Body, declared: set[str]) -> list[str]:
    """Return the lines that load the targets of a group of rows, where they are class indices."""
    if form.targets == "soft":
        return []
    element, turn = form.element("targets"), Body(form.kind, b.width, "classes")
    kept, size = in_memory(element), SIZES[element]
    type_, name = b.vector(kept), f"llvm.masked.load.v{b.width}{SHORT[kept]}.p0"
    declared.add(f"declare {type_} @{name}(ptr, i32, {b.truth}, {type_})")
    at = turn.write("ptr", f"getelementptr {kept}, ptr %targets, i64 %group").name
    given = f"ptr {at}, i32 {size}, {b.truth} %in_group, {type_} zeroinitializer"
    found = whole(turn, turn.write(type_, f"call {type_} @{name}({given})"), element)
    return [*turn.lines, f"  %classes_of_rows = or {found.type} {found.name}, zeroinitializer"]


def write(form: RowForm, b: Body) -> tuple[str, set[str]]:
    """Return the text that writes the derivatives of a group of rows."""
    declared: set[str] = set()
    text, before = "", "formula"
    for output, wanted in (("gradient", form.gradient), ("hessian", form.hessian)):
        if wanted:
            loop, more, _ = over_classes(f"{output[0]}d", derive(output), form, b.width, {}, before)
            text, declared, before = text + loop, declared | more, f"{output[0]}d_end"
            if not form.across:
                line, more = turn_rows(output, "turned", form.kind, b.width, out=True)
                text, declared = f"{text}\n{line}", declared | more
    return f"{text}\n  br label %group_done", declared
