"""A quicker way through rows of single precision for a multiple of Σ p log(p/q) with q given as logits.

A row is read once, for sums of exponentials below a reference that need not be the largest logit, and once more to
write the gradient. What single precision cannot hold is left to the looks in double precision: rows whose loss is a
small difference of its parts, logits far above or below the reference, infinite ones, and rows that are none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from lossmith.engines.limits import SUM_TOLERANCE
from lossmith.engines.llvm import exponentials
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.divergence_chunk import Add, Chunk, Write, greater, plus
from lossmith.engines.llvm.divergence_form import DivergenceForm
from lossmith.engines.llvm.frame import first_lanes, onward, side_by_side
from lossmith.engines.llvm.hand_over import Others
from lossmith.engines.llvm.hand_over_text import DECLARED
from lossmith.engines.llvm.lanes import Body, Kind, Lanes
from lossmith.engines.llvm.row_text import Text, first_lane, halved, single, total

STRIP = 8
"""Vectors whose sums are taken in single precision before they are added in double."""

UNROLLED = 2
"""Whole vectors in a turn, as a rule."""

SMALL = 0.05
"""Share of its parts that a loss must be to have its digits."""

ONE = 0x3F800000
"""The bits of 1."""

DIFFERENCES = 1.0
"""What differences of logarithms are off by, beside their size, as a multiple of what rounds 1."""

_FAR = 100.0  # more than the logarithm of a share lacks to a logit near the others
_NEAR = 27.0  # logits up to this size need no reference
_LEAST, _MOST = 1e-12, 1e30  # what sums of exponentials are within, if their parts have their digits


def is_quick(form: DivergenceForm) -> bool:
    """Return whether a kernel has the quicker way."""
    known = {"losses", "gradient:q"}
    if form.kinds == ("probabilities", "logits") and not form.scaled:
        known.add("gradient:p")
    return (
        form.crossed
        and form.element == "float"
        and form.kinds in (("probabilities", "logits"), ("logits", "logits"))
        and known.issuperset(form.written)
    )


class Quick:
    """The quicker way, which writes itself into a text.

    Args:
        form: what the kernel does.
        text: what is written into.
        width: numbers in a vector.
        others: how rows are handed over that it is not for.
    """

    def __init__(self, form: DivergenceForm, text: Text, width: int, others: Others) -> None:
        self.form, self.text, self.width, self.others = form, text, width, others

    def enter(self) -> None:
        """Write what is the same for all rows."""
        b = Body("float", self.width, "us")
        b.lines += [
            "  %scale_high = fptrunc double %first_one to float",
            "  %scale_back = fpext float %scale_high to double",
            "  %scale_left = fsub double %first_one, %scale_back",
            "  %scale_low = fptrunc double %scale_left to float",
            *self._places(),
        ]
        for name, source in (("scale_float", "%scale_high"), ("scale_rest", "%scale_low")):
            b.lines.append(f"  %{name} = fadd {b.real} {single(b, 'float', source).name}, splat (float -0.0)")
        self.text.close(b)
        self.text.lines += self.others.enter()

    def _places(self) -> list[str]:
        """Return the lines that say where exponentials are kept."""
        powers = {symbol: f"%scratch_powers_{symbol}" for symbol in self.form.logits()}
        return [f"  %short_{symbol} = getelementptr i8, ptr {at}, i64 0" for symbol, at in powers.items()]

    def write(self, counts: Lanes) -> None:
        """Write the way through a row, or hand it over: up to ``%row_value``, its loss, ``%row_wrong`` and ``_limit``.

        Args:
            counts: whether the row does.
        """
        b = self.text.row("qf")
        for name, source in (("first", "gradient"), ("one", "row")):
            first_lane(b, Lanes(b, b.real, f"%factor_{source}"), f"factor_{name}")
        self.text.close(b)
        self._through()
        self.text.declared.add(DECLARED["row_over"])
        self.text.lines += [
            "  br label %quick_done\nquick_done:\n  br label %joined\nslow_row:",
            *self.others.take(""),
            "  br label %slow_done\nslow_done:\n  br label %joined\njoined:",
            "  %row_value = phi double [ %slow_value, %slow_done ], [ %quick_value, %quick_done ]",
            *(f"  %row_{x} = phi i1 [ %slow_{x}, %slow_done ], [ false, %quick_done ]" for x in ("wrong", "limit")),
        ]

    def served(self) -> Sequence[str]:
        """Return the lines that leave what other rows add; see ``row_by_row.end_row``."""
        return self.others.serve()

    def _through(self) -> None:
        """Write the way through a row, whichever it is for."""
        b = Body("float", self.width, "qa")
        exact, first = b.always, {}
        for symbol in self.form.logits():
            near = self._first(b, symbol)
            needless = b.abs(near) < _NEAR
            exact = exact & needless
            reference = b.select(needless, 0.0, near)  # without one, nothing is rounded
            b.lines.append(f"  %reference_{symbol} = fadd {b.real} {reference.name}, splat (float -0.0)")
            first[symbol] = near - reference
        if first:
            b.lines.append(f"  %exact = or {b.truth} {exact.name}, zeroinitializer")
        if self.form.logits() == ("q",):
            share = self._first(b, "p")
            lacks = self._scaled(b, first["q"])[0] - vector.log_inside(b, share)
            lacks = b.select((share > 0.0) & (b.abs(lacks) < _FAR), lacks, 0.0)
            b.lines.append(f"  %lacks = fadd {b.real} {lacks.name}, splat (float -0.0)")
        self.text.close(b)
        found = self._loop("pass", self._sums, self._summed)
        self._decide(found)
        if self.form.gradient("p") or self.form.gradient("q"):
            # Slopes by p are in double precision, so that a vector is work enough for a turn.
            self._loop("slope", self._gradients, (), 1 if self.form.gradient("p") else UNROLLED)

    def _first(self, b: Body, symbol: str) -> Lanes:
        """Return the first number of the row."""
        b.lines.append(f"  %near_{symbol} = load float, ptr %row_{symbol}, align 4")
        return single(b, "float", f"%near_{symbol}")

    def _known(self, b: Body, name: str, element: str) -> Lanes:
        """Return a value of the row that was named before the loops."""
        wide, lanes = f"<{self.width} x {element}>", f"<{b.width} x i32> zeroinitializer"
        return b.write(f"<{b.width} x {element}>", f"shufflevector {wide} %{name}, {wide} zeroinitializer, {lanes}")

    def _scaled(self, b: Body, far: Lanes) -> tuple[Lanes, Lanes | None]:
        """Return what distances from the reference are scaled to, and what rounding takes from the scale and that."""
        if not self.form.scaled:
            return far, None
        scale, rest = (Lanes(b, b.real, f"%scale_{name}") for name in ("float", "rest"))
        scaled = far * scale
        return scaled, b.fma(far, rest, b.fma(far, scale, -scaled))

    # --- sums -------------------------------------------------------------------------------------

    @property
    def _summed(self) -> tuple[str, ...]:
        """What is summed over a row."""
        return ("value", "total_p", "total_q")

    def _sums(self, chunk: Chunk) -> dict[str, Add]:
        b, far, shares = chunk.body, {}, {}
        found: dict[str, Add] = {}
        for symbol in self.form.logits():
            reference = Lanes(b, b.real, f"%reference_{symbol}")
            far[symbol] = chunk.load(symbol, reference) - reference
            shares[symbol] = exponentials.exp_inside(b, *self._scaled(b, far[symbol]))
            chunk.store(shares[symbol], f"short_{symbol}")
        if self.form.kind("p") == "logits":
            d = far["p"] - far["q"]  # which is scaled when it is summed
        else:
            shares["p"] = chunk.load("p", b.number(0.0))
            found["bits"] = partial(greater, b.bits(shares["p"]))
            # Near log(p/q), by what the first class has: where p and q are alike, all of them have.
            lacks = Lanes(b, b.real, "%lacks")
            d = vector.log_near(b, shares["p"], self._scaled(b, far["q"])[0], lacks)
        for symbol in "pq":
            shares[symbol] = chunk.counted(shares[symbol])
            found[f"total_{symbol}"] = partial(plus, shares[symbol])
        return found | {"value": partial(b.fma, shares["p"], d)}

    def _decide(self, found: Mapping[str, Lanes]) -> None:
        """Write what becomes of the sums, and which rows go the other way."""
        form, b = self.form, self.row()
        value, mass, sum_q = (self.total(b, found[name]) for name in ("value", "total_p", "total_q"))
        log_q = vector.log(b, sum_q, ordinary=True)  # or the row does not fit
        fits = b.always
        for symbol, amount in (("p", mass), ("q", sum_q)):
            if symbol in form.logits():
                fits = fits & (amount > _LEAST) & (amount < _MOST)
        if form.kind("p") == "logits":
            share = 1.0 / mass
            first, mass, log_p = value * share, b.number(1.0), vector.log(b, mass, ordinary=True)
            if form.scaled:
                first = first * single(b, "double", "%first_one")
        else:
            share, first = b.number(1.0), value
            log_p = b.convert("fpext", self._known(b, "lacks", "float"), b.real)
            fits = fits & self.are_shares(b, found["bits"]) & (b.abs(mass - 1.0) <= SUM_TOLERANCE)
        more = log_q - log_p
        loss = first + more * mass
        # Exponentials are off by what rounds 1, and so are logarithms of their sums, however large. Distances from a
        # reference are off by what rounds them, and they are as large as each logarithm.
        rounded = b.select(self._known(b, "exact", "i1"), b.abs(more), b.abs(log_q) + b.abs(log_p))
        fits = fits & (loss > (b.abs(first) + rounded + mass * DIFFERENCES) * SMALL)
        multiple = single(b, "double", "%second_one")
        factor = self.factor(b) * multiple
        self.name(b, {"of_q": mass / sum_q * factor, "of_p": share * factor})
        if form.gradient("p"):  # log(p/q) + 1
            self.name(b, {"of_rest": log_q + 1.0, "of_slope": factor}, "double")
        self.settle(b, loss * multiple, fits)

    def row(self) -> Body:
        """Return a text for numbers of the row, half as many lanes as loops have: one register."""
        return Body("double", self.width // 2, "qb")

    def total(self, b: Body, a: Lanes) -> Lanes:
        """Return the sum over all classes, given what the loop carried along."""
        return total(b, halved(b, a))

    def are_shares(self, b: Body, bits: Lanes) -> Lanes:
        """Return whether numbers of single precision are from 0 to 1, by the greatest of their bits."""
        found = halved(b, bits)
        return b.compare_whole("ule", found, Lanes(b, found.type, f"splat (i32 {ONE})"))

    def factor(self, b: Body) -> Lanes:
        """Return what derivatives are multiplied by."""
        return single(b, "double", "%factor_first")

    def name(self, b: Body, numbers: Mapping[str, Lanes], kind: Kind = "float") -> None:
        """Write numbers of the row under names, for the loops over its classes."""
        for name, number in numbers.items():
            one = b.convert("fptrunc", number, b.vector(kind))
            lanes = f"<{self.width} x i32> zeroinitializer"
            b.lines.append(f"  %{name} = shufflevector {one.type} {one.name}, {one.type} zeroinitializer, {lanes}")

    def settle(self, b: Body, loss: Lanes, fits: Lanes) -> None:
        """Write the loss of a row, and go the other way where it does not fit."""
        first_lane(b, loss, "quick_value")
        b.lines.append(f"  br i1 {b.anywhere(fits ^ b.always)}, label %slow_row, label %quick_fit\nquick_fit:")
        self.text.close(b)

    # --- the gradient -------------------------------------------------------------------------------

    def _gradients(self, chunk: Chunk) -> dict[str, Add]:
        form, b = self.form, chunk.body
        kept = "p" if form.kind("p") == "probabilities" else "short_p"
        p = chunk.load(kept, b.number(0.0))
        reference = Lanes(b, b.real, "%reference_q")
        z = chunk.load("q", reference) if form.gradient("p") else p  # before what may be written over it
        if form.gradient("q"):
            q = chunk.load("short_q", b.number(0.0))
            of_p, of_q = (Lanes(b, b.real, f"%of_{symbol}") for symbol in "pq")
            chunk.store(b.fma(q, of_q, -(p * of_p)), "gradient_q", form.streaming)
        if form.gradient("p"):
            wide = b.widened()
            below = wide.take(z) - wide.take(reference)
            log_p, rest = vector.log_inside(wide, wide.take(p)), Lanes(wide, wide.real, "%of_rest")
            log_p = b.select(p.equals(0.0), wide.number(-math.inf), log_p)
            factor = Lanes(wide, wide.real, "%of_slope")
            slope = ((log_p - below) + rest) * factor
            chunk.store(b.give(b.select(factor > 0.0, slope, wide.number(0.0))), "gradient_p", form.streaming)
        return {}

    # --- loops ----------------------------------------------------------------------------------------

    def _loop(self, name: str, write: Write, summed: Sequence[str], turn: int = UNROLLED) -> dict[str, Lanes]:
        """Add a loop over strips of whole vectors, and one over what is left of the row, a vector at a time.

        Args:
            name: of the loop.
            write: writes a vector.
            summed: what is summed.
            turn: whole vectors in a turn.

        Returns:
            The sums in double precision, and the greatest bits.
        """
        width, strip = self.width, self.width * STRIP
        short = dict.fromkeys(summed, f"<{width} x float>") | ({"bits": f"<{width} x i32>"} if summed else {})
        types = {key: f"<{width} x double>" if key in summed else type_ for key, type_ in short.items()}
        whole, part = (Body("float", width, f"{name}{letter}") for letter in "wp")

        # Some whole vectors, whose sums are those of the strip so far.
        vectors = {key: Lanes(whole, type_, f"%{name}_s_{key}") for key, type_ in short.items()}
        places = [f"%{name}_k{place}" for place in range(turn)]
        whole.lines += [f"  {k} = add i64 %{name}_k, {place * width}" for place, k in enumerate(places)]
        for more in side_by_side(whole, [partial(write, Chunk(whole, k)) for k in places]):
            vectors |= {key: add(vectors[key]) for key, add in more.items()}
        # One that may not be whole. Less than a strip is left.
        part.lines.append(f"  %{name}_left = sub i64 %classes, %{name}_j")
        part.lines += first_lanes(f"{name}_inside", f"{name}_left", part)
        before = {key: Lanes(part, type_, f"%{name}_p_{key}") for key, type_ in short.items()}
        more = write(Chunk(part, f"%{name}_j", f"%{name}_inside"))
        parts = {key: add(before[key]).name for key, add in more.items()}
        last = {key: Lanes(part, type_, f"%{name}_e_{key}") for key, type_ in short.items()}

        def added(prefix: str, sums: Mapping[str, Lanes]) -> tuple[list[str], dict[str, str]]:
            """Return the lines that add sums to those before, and the names of the new ones."""
            b, found = Body("float", width, f"{prefix}_a"), {}
            for key, value in sums.items():
                before, value = Lanes(b, types[key], f"%{prefix}_{key}"), replace(value, body=b)
                total = before + b.widened().take(value) if key in summed else b.call("umax", before, value)
                found[key] = total.name
            self.text.declared |= b.declared
            return b.lines, found

        def phis(prefix: str, kinds: Mapping[str, str], *sources: tuple[Mapping[str, str], str]) -> list[str]:
            return [
                f"  %{prefix}_{key} = phi {type_} "
                + ", ".join(f"[ {values.get(key, 'zeroinitializer')}, %{label} ]" for values, label in sources)
                for key, type_ in kinds.items()
            ]

        (after, strip_sums), (rest, sums) = added(f"{name}_w", vectors), added(f"{name}_m", last)
        self.text.lines += [
            f"  br label %{name}_begin\n{name}_begin:",
            f"  %{name}_whole = and i64 %classes, -{strip}",
            f"  %{name}_any = icmp ne i64 %{name}_whole, 0",
            f"  br i1 %{name}_any, label %{name}_strips, label %{name}_middle\n{name}_strips:",
            f"  %{name}_from = phi i64 [ 0, %{name}_begin ], [ %{name}_next, %{name}_strip ]",
            *phis(f"{name}_w", types, ({}, f"{name}_begin"), (strip_sums, f"{name}_strip")),
            f"  %{name}_stop = add i64 %{name}_from, {strip}",
            f"  br label %{name}_vectors\n{name}_vectors:",
            f"  %{name}_k = phi i64 [ %{name}_from, %{name}_strips ], [ %{name}_next, %{name}_vectors ]",
            *phis(f"{name}_s", short, ({}, f"{name}_strips"),
                  ({key: value.name for key, value in vectors.items()}, f"{name}_vectors")),
            *whole.lines,
            onward(f"%{name}_next", f"%{name}_k", width * turn),
            f"  %{name}_on = icmp ult i64 %{name}_next, %{name}_stop",
            f"  br i1 %{name}_on, label %{name}_vectors, label %{name}_strip\n{name}_strip:",
            *after,
            f"  %{name}_more = icmp ult i64 %{name}_next, %{name}_whole",
            f"  br i1 %{name}_more, label %{name}_strips, label %{name}_middle\n{name}_middle:",
            *phis(f"{name}_m", types, ({}, f"{name}_begin"), (strip_sums, f"{name}_strip")),
            f"  %{name}_rest = icmp ult i64 %{name}_whole, %classes",
            f"  br i1 %{name}_rest, label %{name}_parts, label %{name}_end\n{name}_parts:",
            f"  %{name}_j = phi i64 [ %{name}_whole, %{name}_middle ], [ %{name}_j_next, %{name}_parts ]",
            *phis(f"{name}_p", short, ({}, f"{name}_middle"), (parts, f"{name}_parts")),
            *part.lines,
            onward(f"%{name}_j_next", f"%{name}_j", width),
            f"  %{name}_j_more = icmp ult i64 %{name}_j_next, %classes",
            f"  br i1 %{name}_j_more, label %{name}_parts, label %{name}_end\n{name}_end:",
            *phis(f"{name}_e", short, ({}, f"{name}_middle"), (parts, f"{name}_parts")),
            *rest,
        ]  # fmt: skip
        self.text.declared |= whole.declared | part.declared
        return {key: Lanes(whole, type_, sums[key]) for key, type_ in types.items()}
