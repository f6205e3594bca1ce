"""A quicker way through rows of single precision for a multiple of Σ p log(p/q) with q given as logits.

A row is read once, for sums of exponentials below a reference that need not be the largest logit, and once more to
write the gradient. What single precision cannot hold is left to the looks in double precision: rows whose loss is a
small difference of its parts, logits far above or below the reference, infinite ones, and rows that are none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lossmith.engines.limits import SUM_TOLERANCE
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.divergence_form import DivergenceForm
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.row_text import Text, first_lane, single, swapped, total

STRIP = 8
"""Vectors whose sums are taken in single precision before they are added in double."""

SMALL = 0.05
"""Share of its parts that a loss must be to have its digits."""

_NEAR = 27.0  # logits up to this size need no reference
_LEAST, _MOST = 1e-12, 1e30  # what sums of exponentials are within, if their parts have their digits
_ONE = 0x3F800000  # the bits of 1


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


def are_shares(b: Body, bits: Lanes) -> Lanes:
    """Return whether numbers of single precision are from 0 to 1, by the greatest of their bits."""
    one = Lanes(b, bits.type, f"splat (i32 {_ONE})")
    return b.compare_whole("ule", Lanes(b, bits.type, bits.name), one)


@dataclass
class Chunk:
    """A vector of classes, or what there is of one."""

    body: Body
    k: str
    inside: str = ""

    def _at(self, pointer: str) -> str:
        return self.body.write("ptr", f"getelementptr float, ptr {pointer}, i64 {self.k}").name

    def load(self, pointer: str, otherwise: Lanes) -> Lanes:
        """Return the numbers of an array at these classes; ``otherwise`` beyond its end."""
        b, at = self.body, self._at(pointer)
        if not self.inside:
            return b.write(b.real, f"load {b.real}, ptr {at}, align 4")
        name = f"llvm.masked.load.v{b.width}f32.p0"
        b.declared.add(f"declare {b.real} @{name}(ptr, i32, {b.truth}, {b.real})")
        text = f"ptr {at}, i32 4, {b.truth} {self.inside}, {b.real} {otherwise.name}"
        return b.write(b.real, f"call {b.real} @{name}({text})")

    def store(self, value: Lanes, pointer: str, streaming: bool) -> None:
        """Write the numbers of an array at these classes."""
        b, at = self.body, self._at(pointer)
        if not self.inside:
            how = f"align {4 * b.width}, !nontemporal !0" if streaming else "align 4"
            b.lines.append(f"  store {b.real} {value.name}, ptr {at}, {how}")
            return
        name = f"llvm.masked.store.v{b.width}f32.p0"
        b.declared.add(f"declare void @{name}({b.real}, ptr, i32, {b.truth})")
        b.lines.append(f"  call void @{name}({b.real} {value.name}, ptr {at}, i32 4, {b.truth} {self.inside})")

    def counted(self, value: Lanes) -> Lanes:
        """Return numbers, and 0 beyond the end."""
        inside = Lanes(self.body, self.body.truth, self.inside)
        return self.body.select(inside, value, 0.0) if self.inside else value


_Write = Callable[[Sequence[Chunk], Mapping[str, Lanes]], Mapping[str, Lanes]]


class Quick:
    """The quicker way, which writes itself into a text.

    Args:
        form: what the kernel does.
        text: what is written into.
        width: numbers in a vector.
    """

    def __init__(self, form: DivergenceForm, text: Text, width: int) -> None:
        self.form, self.text, self.width = form, text, width

    def enter(self) -> None:
        """Write what is the same for all rows."""
        b = Body("float", self.width, "us")
        b.lines += [
            "  %scale_high = fptrunc double %first_one to float",
            "  %scale_back = fpext float %scale_high to double",
            "  %scale_left = fsub double %first_one, %scale_back",
            "  %scale_low = fptrunc double %scale_left to float",
            *(f"  %short_{symbol} = getelementptr i8, ptr %scratch_powers_{symbol}, i64 0" for symbol in "pq"),
        ]
        for name, source in (("scale_float", "%scale_high"), ("scale_rest", "%scale_low")):
            b.lines.append(f"  %{name} = fadd {b.real} {single(b, 'float', source).name}, splat (float -0.0)")
        value = single(b.widened(), "double", "%second_one")
        b.lines.append(f"  %multiple = fadd {value.type} {value.name}, splat (double -0.0)")
        self.text.close(b)

    def write(self) -> None:
        """Write the way through a row, up to ``slow_row``, where rows go on that it is not for.

        The others go to ``joined`` from ``quick_done``, with the loss as ``%quick_value``.
        """
        b = Body("float", self.width, "qa")
        for symbol in self.form.logits():
            b.lines.append(f"  %near_{symbol} = load float, ptr %row_{symbol}, align 4")
            near = single(b, "float", f"%near_{symbol}")
            # Without a reference, nothing is rounded.
            near = b.select(b.abs(near) < _NEAR, 0.0, near)
            b.lines.append(f"  %reference_{symbol} = fadd {b.real} {near.name}, splat (float -0.0)")
        self.text.close(b)
        found = self._loop("pass", self._sums, self._carried())
        self._decide(found)
        if self.form.gradient("p") or self.form.gradient("q"):
            self._loop("slope", self._gradients, {})
        self.text.lines.append("  br label %quick_done\nquick_done:\n  br label %joined\nslow_row:")

    def _below(self, b: Body, z: Lanes, reference: Lanes) -> tuple[Lanes, Lanes | None]:
        """Return how far logits are from the reference, and what rounding took from their scale and the product."""
        far = z - reference
        if not self.form.scaled:
            return far, None
        scale, rest = (Lanes(b, b.real, f"%scale_{name}") for name in ("float", "rest"))
        scaled = far * scale
        return scaled, b.fma(far, rest, b.fma(far, scale, -scaled))

    # --- sums -------------------------------------------------------------------------------------

    def _carried(self) -> dict[str, tuple[str, str]]:
        wide, whole = (f"<{self.width} x {x}>" for x in ("double", "i32"))
        carried = {"value": (wide, "zeroinitializer")}
        carried |= {f"total_{symbol}": (wide, "zeroinitializer") for symbol in "pq"}
        if "p" not in self.form.logits():
            carried["bits"] = (whole, "zeroinitializer")
        return carried

    def _sums(self, chunks: Sequence[Chunk], before: Mapping[str, Lanes]) -> dict[str, Lanes]:
        found = dict(before)
        sums: dict[str, Lanes] = {}
        for chunk in chunks:
            b, below, shares = chunk.body, {}, {}
            for symbol in "pq":
                kind = self.form.kind(symbol)
                if kind == "logits":
                    reference = Lanes(b, b.real, f"%reference_{symbol}")
                    z = chunk.load(f"%row_{symbol}", reference)
                    below[symbol], lost = self._below(b, z, reference)
                    shares[symbol] = vector.exp_inside(b, below[symbol], lost)
                    chunk.store(shares[symbol], f"%short_{symbol}", streaming=False)
                else:
                    p = chunk.load(f"%row_{symbol}", b.number(0.0))
                    found["bits"] = b.call("umax", found["bits"], b.bits(p))
                    shares[symbol], below[symbol] = p, vector.log_inside(b, p)
                shares[symbol] = chunk.counted(shares[symbol])
            apart = below["p"] - below["q"]
            if sums:
                sums["value"] = b.fma(shares["p"], apart, sums["value"])
                sums |= {f"total_{symbol}": sums[f"total_{symbol}"] + shares[symbol] for symbol in "pq"}
            else:
                sums["value"] = shares["p"] * apart
                sums |= {f"total_{symbol}": shares[symbol] for symbol in "pq"}
        wide = chunks[0].body.widened()
        return found | {name: before[name] + wide.take(value) for name, value in sums.items()}

    def _decide(self, found: Mapping[str, Lanes]) -> None:
        """Write what becomes of the sums, and which rows go the other way."""
        form, float_body = self.form, Body("float", self.width, "qb")
        b = float_body.widened()
        value, mass, sum_q = (total(b, found[name]) for name in ("value", "total_p", "total_q"))
        log_q = vector.log(b, sum_q)
        fits = b.always
        for symbol, amount in (("p", mass), ("q", sum_q)):
            if symbol in form.logits():
                fits = fits & (amount > _LEAST) & (amount < _MOST)
        if form.kind("p") == "logits":
            share = 1.0 / mass
            first, mass, log_p = value * share, b.number(1.0), vector.log(b, mass)
        else:
            share, first, log_p = b.number(1.0), value, b.number(0.0)
            fits = fits & are_shares(b, found["bits"]) & (b.abs(mass - 1.0) <= SUM_TOLERANCE)
        loss = first + (log_q - log_p) * mass
        # Each logarithm is as large as what rounding works on, also where they are alike.
        fits = fits & (loss > (b.abs(first) + b.abs(log_q) + b.abs(log_p)) * SMALL)
        factor = single(b, "double", "%factor_first") * Lanes(b, b.real, "%multiple")
        self.name(b, {"of_q": mass / sum_q * factor, "of_p": share * factor})
        if form.gradient("p"):  # log(p/q) + 1
            live = factor > 0.0
            b.lines.append(f"  %of_rest = fadd {b.real} {(log_q + 1.0).name}, splat (double -0.0)")
            b.lines.append(f"  %of_slope = fadd {b.real} {factor.name}, splat (double -0.0)")
            b.lines.append(f"  %of_live = or {live.type} {live.name}, zeroinitializer")
        self.settle(b, loss, fits)

    def name(self, b: Body, numbers: Mapping[str, Lanes]) -> None:
        """Write numbers under names, in single precision."""
        short = f"<{self.width} x float>"
        for name, number in numbers.items():
            found = b.convert("fptrunc", number, short)
            b.lines.append(f"  %{name} = fadd {short} {found.name}, splat (float -0.0)")

    def settle(self, b: Body, loss: Lanes, fits: Lanes) -> None:
        """Write the loss of a row, in units of its multiple, and go the other way where it does not fit."""
        for distance in [self.width >> step for step in range(1, self.width.bit_length())]:
            fits = fits & swapped(b, fits, distance)
        first_lane(b, loss * Lanes(b, b.real, "%multiple"), "quick_value")
        first_lane(b, fits, "quick_fits")
        b.lines.append("  br i1 %quick_fits, label %quick_fit, label %slow_row\nquick_fit:")
        self.text.close(b)

    # --- the gradient -------------------------------------------------------------------------------

    def _gradients(self, chunks: Sequence[Chunk], before: Mapping[str, Lanes]) -> dict[str, Lanes]:
        form = self.form
        for chunk in chunks:
            b = chunk.body
            kept = "%row_p" if form.kind("p") == "probabilities" else "%short_p"
            p = chunk.load(kept, b.number(0.0))
            if form.gradient("q"):
                q = chunk.load("%short_q", b.number(0.0))
                of_p, of_q = (Lanes(b, b.real, f"%of_{symbol}") for symbol in "pq")
                chunk.store(b.fma(q, of_q, -(p * of_p)), "%row_gradient_q", form.streaming)
            if form.gradient("p"):
                reference = Lanes(b, b.real, "%reference_q")
                z, wide = chunk.load("%row_q", reference), b.widened()
                below = wide.take(z) - wide.take(reference)
                log_p, rest = vector.log_inside(wide, wide.take(p)), Lanes(wide, wide.real, "%of_rest")
                log_p = b.select(p.equals(0.0), wide.number(-math.inf), log_p)
                live = Lanes(b, b.truth, "%of_live")
                slope = ((log_p - below) + rest) * Lanes(wide, wide.real, "%of_slope")
                chunk.store(b.give(b.select(live, slope, wide.number(0.0))), "%row_gradient_p", form.streaming)
        return {}

    # --- loops ----------------------------------------------------------------------------------------

    def _loop(self, name: str, write: _Write, carried: Mapping[str, tuple[str, str]]) -> dict[str, Lanes]:
        """Add a loop over strips of whole vectors, and one over what is left of the row, a vector at a time."""
        width, step = self.width, self.width * STRIP
        whole, part = (Body("float", width, f"{name}{letter}") for letter in "wp")
        chunks = []
        for place in range(STRIP):
            whole.lines.append(f"  %{name}_k{place} = add i64 %{name}_k, {place * width}")
            chunks.append(Chunk(whole, f"%{name}_k{place}"))
        last = Chunk(part, f"%{name}_j", f"%{name}_inside")
        lanes = f"<{', '.join(f'i64 {lane}' for lane in range(width))}>"
        part.lines.append(f"  %{name}_left = sub i64 %classes, %{name}_j")
        part.lines.append(f"  {last.inside} = icmp ult {part.vector('i64')} {lanes}, "
                          f"{single(part, 'i64', f'%{name}_left').name}")  # fmt: skip

        def written(body: Body, chunks: Sequence[Chunk], prefix: str) -> dict[str, str]:
            before = {key: Lanes(body, type_, f"%{prefix}_{key}") for key, (type_, _) in carried.items()}
            return {key: value.name for key, value in write(chunks, before).items()}

        after, end = written(whole, chunks, name), written(part, [last], f"{name}_p")

        def phis(prefix: str, *sources: tuple[Mapping[str, str], str]) -> list[str]:
            return [
                f"  %{prefix}_{key} = phi {type_} "
                + ", ".join(f"[ {values[key]}, %{label} ]" for values, label in sources)
                for key, (type_, _) in carried.items()
            ]

        start = {key: first for key, (_, first) in carried.items()}
        middle = {key: f"%{name}_m_{key}" for key in carried}
        self.text.lines += [
            f"  br label %{name}_begin\n{name}_begin:",
            f"  %{name}_whole = and i64 %classes, -{step}",
            f"  %{name}_any = icmp ne i64 %{name}_whole, 0",
            f"  br i1 %{name}_any, label %{name}_strips, label %{name}_middle\n{name}_strips:",
            f"  %{name}_k = phi i64 [ 0, %{name}_begin ], [ %{name}_next, %{name}_strips ]",
            *phis(name, (start, f"{name}_begin"), (after, f"{name}_strips")),
            *whole.lines,
            f"  %{name}_next = add i64 %{name}_k, {step}",
            f"  %{name}_more = icmp ult i64 %{name}_next, %{name}_whole",
            f"  br i1 %{name}_more, label %{name}_strips, label %{name}_middle\n{name}_middle:",
            *phis(f"{name}_m", (start, f"{name}_begin"), (after, f"{name}_strips")),
            f"  %{name}_rest = icmp ult i64 %{name}_whole, %classes",
            f"  br i1 %{name}_rest, label %{name}_parts, label %{name}_end\n{name}_parts:",
            f"  %{name}_j = phi i64 [ %{name}_whole, %{name}_middle ], [ %{name}_j_next, %{name}_parts ]",
            *phis(f"{name}_p", (middle, f"{name}_middle"), (end, f"{name}_parts")),
            *part.lines,
            f"  %{name}_j_next = add i64 %{name}_j, {width}",
            f"  %{name}_j_more = icmp ult i64 %{name}_j_next, %classes",
            f"  br i1 %{name}_j_more, label %{name}_parts, label %{name}_end\n{name}_end:",
            *phis(f"{name}_e", (middle, f"{name}_middle"), (end, f"{name}_parts")),
        ]
        self.text.declared |= whole.declared | part.declared
        return {key: Lanes(whole, type_, f"%{name}_e_{key}") for key, (type_, _) in carried.items()}
