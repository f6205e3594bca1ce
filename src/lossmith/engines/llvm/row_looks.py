"""The looks that a kernel takes at the classes of a row, which stays in the caches between them.

The first finds the largest logit; the second sums exponentials and keeps them in scratch; the third writes
derivatives. The sum leaves out the largest, so that a certain class keeps its digits.

A look takes some vectors of classes at a time, and what is left of a row one at a time. The last vector ends with the
row, and so begins among classes that another has had: what it finds and writes of them is the same again, and what it
adds leaves them out. So no vector reads or writes by a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from lossmith.engines.llvm import exponentials
from lossmith.engines.llvm.frame import LINE, onward, phis, side_by_side
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.memory import SIZES, ask_for, in_memory, widen
from lossmith.engines.llvm.row_frame import BY_LANE, RowForm
from lossmith.engines.llvm.row_mixing import Mixing
from lossmith.engines.llvm.spelling import element_of

UNROLLED = 4
"""Vectors at most that one turn of a loop over classes takes."""


class Look(Mixing):
    """The text of one turn of a look: some whole vectors of classes.

    Args:
        form: what the kernel does.
        width: classes in a vector.
        row: what the names of the pointers into the row begin with.
        prefix: what the names of its values begin with.
        count: vectors of a turn.
        at_end: whether it may be the last turn, which begins where the row has room for it.
    """

    def __init__(
        self, form: RowForm, width: int, row: str, prefix: str, count: int = 1, *, at_end: bool = False
    ) -> None:
        self.form, self.row, self.at_end = form, row, at_end
        self.body = b = Body(form.kind, width, prefix)
        self.k = first = f"%k_{prefix}"
        if at_end:
            b.declared.add("declare i64 @llvm.umin.i64(i64, i64)")
            last = b.write("i64", f"sub i64 %classes, {count * width}").name
            first = b.write("i64", f"call i64 @llvm.umin.i64(i64 {first}, i64 {last})").name
        self.first, self.places = first, range(count)

    def named(self, name: str, type_: str = "") -> Lanes:
        """Return a value of the frame around."""
        return Lanes(self.body, type_ or self.body.real, f"%{name}")

    def at(self, array: str, place: int, row: int = 0) -> str:
        """Return where a vector of the turn lies in the row, or in ``adjustment``, or in a row that follows."""
        b, size = self.body, SIZES[self.form.element(array)]
        pointer = f"%{array}" if array == "adjustment" else f"%{self.row}_{array}"
        at = b.write("ptr", f"getelementptr [{size} x i8], ptr {pointer}, i64 {self.first}").name
        for _ in range(row):
            at = b.write("ptr", f"getelementptr [{size} x i8], ptr {at}, i64 %classes").name
        # From where the turn begins, which instructions of machines add by themselves.
        return b.write("ptr", f"getelementptr i8, ptr {at}, i64 {place * b.width * size}").name if place else at

    def load(self, array: str, place: int) -> Lanes:
        """Return the numbers of an array at these classes."""
        b, at, element = self.body, self.at(array, place), self.form.element(array)
        type_ = b.vector(in_memory(element))
        return widen(b, b.write(type_, f"load {type_}, ptr {at}, align {SIZES[element]}"), element)

    def logits(self, place: int) -> Lanes:
        """Return the logits at these classes, with what classes add."""
        z = self.load("logits", place)
        return z + self.load("adjustment", place) if self.form.adjusted else z

    def counted(self, value: Lanes) -> Lanes:
        """Return what is to be added of numbers or integers of these classes: nothing of what was there before."""
        if not self.at_end:
            return value
        b, size = self.body, self.form.size
        bits = ", ".join(f"{element_of(b.integer)} {seen}" for seen in [0] * b.width + [-1] * b.width)
        b.declared.add(f"@unseen = private unnamed_addr constant [{2 * b.width} x {element_of(b.integer)}] [{bits}]")
        seen = b.write("i64", f"sub i64 {self.first}, {self.k}").name  # their number, less than 0
        own = b.write("ptr", f"getelementptr [{size} x i8], ptr @unseen, i64 {b.width}").name
        at = b.write("ptr", f"getelementptr [{size} x i8], ptr {own}, i64 {seen}").name
        mask = b.write(b.integer, f"load {b.integer}, ptr {at}, align {size}")
        return value & mask if value.type == b.integer else b.from_bits(b.bits(value) & mask)

    @property
    def mass(self) -> Lanes:
        """What the targets of a row sum to."""
        return self.named("slope_all")

    def kept(self, place: int) -> Lanes:
        """Return what scratch holds for these classes."""
        b = self.body
        return b.write(b.real, f"load {b.real}, ptr {self.at('scratch', place)}, align {self.form.size}")

    def store(self, value: Lanes, array: str, place: int) -> None:
        """Write the numbers of an array, or of scratch, at these classes."""
        b, at = self.body, self.at(array, place)
        b.lines.append(f"  store {b.real} {value.name}, ptr {at}, align {self.form.size}")


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
    apart, ties = [], Lanes(b, b.integer, found["ties"])
    made = side_by_side(b, [partial(exponentials.exp_of_negative, b, height) for height in heights])
    for place, e in zip(look.places, made, strict=True):
        look.store(e, "scratch", place)
        is_top = e.equals(1.0)  # or so close to it that its term is 1 as well
        apart.append(look.counted(b.select(is_top, 0.0, e)))
        ties = b.apply("sub", ties, look.counted(b.convert("sext", is_top, b.integer)))
    found["ties"] = ties.name
    add("others", apart)
    below = [-height for height in heights] if form.targets != "indices" else []
    if form.targets == "smoothed":
        add("apart", [look.counted(d) for d in below])
    if form.targets == "soft":
        shares = [look.load("targets", place) for place in look.places]
        mixed = [look.counted(look.mixed(t)) for t in shares]
        add("apart", [b.select(t > 0.0, t * d, 0.0) for t, d in zip(mixed, below, strict=True)])
        add("mass", [look.counted(t) for t in shares])
        least, most = (Lanes(b, b.real, found[name]) for name in ("least", "most"))
        for t in shares:  # what is none is none in their sum as well
            least, most = b.smallest(t, least), b.largest(t, most)
        found |= {"least": least.name, "most": most.name}
    # The next row, and where derivatives of this one go unless that is past the caches.
    soon = {"logits": 1, **dict.fromkeys(() if form.late else form.derived, 0)}
    for array, row in soon.items():
        line = max(1, LINE // (b.width * SIZES[form.element(array)]))  # vectors of a cache line
        for place in look.places[::line]:
            ask_for(b, look.at(array, place, row), write=not row)
    return found


def write_derivatives(look: Look, before: Mapping[str, str]) -> dict[str, str]:
    """Write the third look: derivatives by the logits, from the exponentials that were kept."""
    b, form = look.body, look.form
    live = look.named("live_all", b.truth)
    for place in look.places:
        e = look.kept(place)
        if form.gradient and form.targets == "indices":
            # The true class has been given what makes this right for it too.
            first = e * look.named("scale_all")
            look.store(b.select(live, first, 0.0), "gradient", place)
        if (form.gradient and form.targets != "indices") or form.hessian:
            p = e * look.named("inverse_all")
            q = b.select(e.equals(1.0), look.named("rest_all"), 1.0 - p)
            factor = look.named("factor_all")
        if form.gradient and form.targets != "indices":
            if form.targets == "soft":
                given = look.load("targets", place)
                first = p * look.apart(given) - look.mixed(given) * q
            else:
                first = p * (1.0 - look.named("even")) - look.named("even") * q
            if form.penalised:
                first = first + p * look.named("pull_all")
            look.store(b.select(live, first * factor, 0.0), "gradient", place)
        if form.hessian:
            slope, bend = look.named("slope_all"), look.named("bend_all")
            second = p * q
            if form.targets == "indices":
                # A share of 0 wins over a second derivative that is infinite there.
                second = b.select(p.equals(0.0), 0.0, bend * p) * p + slope * second
            elif form.targets == "soft":
                second = look.whole * second
            if form.penalised:
                second = second + (look.named("strength") * 2.0 * p + look.named("pull_all") * q) * p
            look.store(b.select(live, second * factor, 0.0), "hessian", place)
    return {}


def sweep(
    name: str,
    write: Write,
    form: RowForm,
    width: int,
    row: str,
    carried: Mapping[str, tuple[str, str]],
    *,
    again: bool = False,
) -> tuple[str, set[str], dict[str, str]]:
    """Return the text of a look at all classes of a row, what it declares, and the names of what it carried.

    Args:
        name: what the names of its values and blocks begin with; the last is ``{name}_end``.
        write: the look.
        form: what the kernel does.
        width: classes in a vector.
        row: what the names of the pointers into the row begin with.
        carried: by name, the type and the first value of what is carried from turn to turn.
        again: whether it may look at some classes twice, so that its last turn can end with the row.
    """
    count = min(UNROLLED, BY_LANE // (width * form.size))  # so that a row has no fewer
    many = Look(form, width, row, f"{name}m", count, at_end=again)
    after: list[dict[str, str]] = []

    def turns(look: Look, label: str, start: str, stop: str, before: str, first: Mapping[str, str], out: str) -> str:
        p = look.body.prefix
        after.append(write(look, {key: f"%{p}_{key}" for key in carried}))
        return f"""{label}:
  {look.k} = phi i64 [ {start}, %{before} ], [ %{label}_next, %{label} ]
{phis(carried, f"{p}_", (first, before), (after[-1], label))}
{chr(10).join(look.body.lines)}
{onward(f"%{label}_next", look.k, width * len(look.places))}
  %{label}_more = icmp ult i64 %{label}_next, {stop}
  br i1 %{label}_more, label %{label}, label %{out}"""

    begin = f"  br label %{name}_begin\n{name}_begin:"
    if again:
        loop = turns(many, f"{name}_many", "0", "%classes", f"{name}_begin", {}, f"{name}_end")
        return f"{begin}\n  br label %{name}_many\n{loop}\n{name}_end:", many.body.declared, after[0]
    one = Look(form, width, row, f"{name}o", at_end=True)
    stop = f"%{name}_stop"
    text = [
        begin,
        f"  {stop} = and i64 %classes, -{count * width}",
        f"  br label %{name}_many",
        turns(many, f"{name}_many", "0", stop, f"{name}_begin", {}, f"{name}_few"),
        f"{name}_few:",
        f"  %{name}_left = icmp ult i64 {stop}, %classes",
        f"  br i1 %{name}_left, label %{name}_one, label %{name}_end",
        turns(one, f"{name}_one", stop, "%classes", f"{name}_few", after[0], f"{name}_end"),
    ]
    text.append(f"{name}_end:\n{phis(carried, f'{name}_', (after[0], f'{name}_few'), (after[1], f'{name}_one'))}")
    return "\n".join(text), many.body.declared | one.body.declared, {key: f"%{name}_{key}" for key in carried}
