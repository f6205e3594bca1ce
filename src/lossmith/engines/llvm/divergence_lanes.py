"""The quicker ways of divergences where each lane is a row, for few classes.

They compute in single precision, twice as many rows at a time as lanes hold doubles. Rows that they are not for wait
until there are some, and go to a kernel in double precision; see ``hand_over``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lossmith.engines.llvm.divergence_chunk import Chunk, Write
from lossmith.engines.llvm.divergence_quick import ONE, STRIP, Quick
from lossmith.engines.llvm.divergence_shares import Shares
from lossmith.engines.llvm.frame import onward, phis
from lossmith.engines.llvm.hand_over_text import DECLARED
from lossmith.engines.llvm.lanes import Body, Kind, Lanes


@dataclass
class LaneChunk(Chunk):
    """A class of each row."""

    spared: bool = False  # whether some rows have no derivatives

    def _at(self, name: str) -> str:
        return self.body.write("ptr", f"getelementptr {self.body.real}, ptr %lanes_{name}, i64 {self.k}").name

    def store(self, value: Lanes, name: str, streaming: bool = False) -> None:
        """Write numbers of the rows at this class; a row of factor 0 has no derivatives, whatever came out."""
        if self.spared and name.startswith("gradient"):
            live = Lanes(self.body, self.body.truth, "%factor_live")
            value = self.body.select(live, value, 0.0)
        super().store(value, name, streaming)


class InLanes(Quick):
    """What such a way does in another manner than one through a row of many classes."""

    def _places(self) -> list[str]:
        return []  # regions of scratch have their names

    def write(self, counts: Lanes) -> None:
        """Write the way through a group of rows, of which those wait that it is not for; see ``Quick``."""
        b = Body("double", self.width, "ql")
        zero = b.number(0.0).name
        b.lines.append(f"  %factor_live = fcmp ogt {b.real} %factor_gradient, {zero}")
        b.lines.append(f"  %uncounted = xor {b.truth} {counts.name}, {b.always.name}")
        self.text.close(b)
        self._through()

    def _first(self, b: Body, symbol: str) -> Lanes:
        return b.write(b.real, f"load {b.real}, ptr %lanes_{symbol}, align {4 * b.width}")

    def _known(self, b: Body, name: str, element: str) -> Lanes:
        return Lanes(b, b.vector(element) if element != "i1" else b.truth, f"%{name}")

    def row(self) -> Body:
        """Return a text for numbers of the rows."""
        return Body("float", self.width, "qb").widened()

    def total(self, b: Body, a: Lanes) -> Lanes:
        """Return the sum over all classes, which is what the loop carried along."""
        return Lanes(b, a.type, a.name)

    def are_shares(self, b: Body, bits: Lanes) -> Lanes:
        """Return whether numbers of single precision are from 0 to 1, by the greatest of their bits."""
        return b.compare_whole("ule", bits, Lanes(b, bits.type, f"splat (i32 {ONE})"))

    def factor(self, b: Body) -> Lanes:
        """Return what derivatives are multiplied by."""
        return Lanes(b, b.real, "%factor_gradient")

    def name(self, b: Body, numbers: Mapping[str, Lanes], kind: Kind = "float") -> None:
        """Write numbers of the rows under names, for the loops over their classes."""
        for name, number in numbers.items():
            one = b.convert("fptrunc", number, b.vector(kind))
            b.lines.append(f"  %{name} = fadd {one.type} {one.name}, splat ({kind} -0.0)")

    def settle(self, b: Body, loss: Lanes, fits: Lanes) -> None:
        """Write the losses of rows, and keep those that do not fit for the other kernel."""
        known = fits | Lanes(b, b.truth, "%uncounted")
        self.text.name(b, b.select(known, loss, 0.0), "row_value")
        unknown = b.convert("bitcast", known ^ b.always, f"i{self.width}").name
        self.text.close(b)
        self.text.lines += self.others.take(unknown)
        self.text.declared |= {DECLARED["rows_wait"], DECLARED["rows_serve"]}

    def _loop(self, name: str, write: Write, summed: Sequence[str], turn: int = 1) -> dict[str, Lanes]:
        """Add a loop over strips of classes, whose sums are of single precision; see ``Quick``."""
        b, end = Body("float", self.width, f"{name}v"), Body("float", self.width, f"{name}e")
        none = "zeroinitializer"
        greatest = {"bits": (b.integer, none)} if summed else {}
        short = {**dict.fromkeys(summed, (b.real, none)), **greatest}
        long = {**dict.fromkeys(summed, (b.vector("double"), none)), **greatest}
        before = {key: Lanes(b, type_, f"%{name}_s_{key}") for key, (type_, _) in short.items()}
        more = write(LaneChunk(b, f"%{name}_k", spared=self.form.masked or self.form.weighted))
        after = before | {key: add(before[key]) for key, add in more.items()}
        so_far = {key: x.name for key, x in after.items()}
        sums = dict(so_far)  # the greatest bits go on from strip to strip; sums begin anew
        for key in summed:
            carried, strip = Lanes(end, long[key][0], f"%{name}_w_{key}"), replace(after[key], body=end)
            sums[key] = (carried + end.widened().take(strip)).name
        self.text.lines += [
            f"  br label %{name}_begin\n{name}_begin:\n  br label %{name}_strips\n{name}_strips:",
            f"  %{name}_from = phi i64 [ 0, %{name}_begin ], [ %{name}_next, %{name}_strip ]",
            phis(long, f"{name}_w_", ({}, f"{name}_begin"), (sums, f"{name}_strip")),
            f"  %{name}_full = add i64 %{name}_from, {STRIP}",
            f"  %{name}_stop = call i64 @llvm.umin.i64(i64 %{name}_full, i64 %classes)",
            f"  br label %{name}_vectors\n{name}_vectors:",
            f"  %{name}_k = phi i64 [ %{name}_from, %{name}_strips ], [ %{name}_next, %{name}_vectors ]",
            phis(short, f"{name}_s_", ({"bits": f"%{name}_w_bits"}, f"{name}_strips"), (so_far, f"{name}_vectors")),
            *b.lines,
            onward(f"%{name}_next", f"%{name}_k", 1),
            f"  %{name}_on = icmp ult i64 %{name}_next, %{name}_stop",
            f"  br i1 %{name}_on, label %{name}_vectors, label %{name}_strip\n{name}_strip:",
            *end.lines,
            f"  %{name}_more = icmp ult i64 %{name}_next, %classes",
            f"  br i1 %{name}_more, label %{name}_strips, label %{name}_end\n{name}_end:",
        ]
        self.text.declared |= b.declared | end.declared | {"declare i64 @llvm.umin.i64(i64, i64)"}
        return {key: Lanes(b, type_, sums[key]) for key, (type_, _) in long.items()}


class QuickInLanes(InLanes):
    """The way of ``Quick`` in lanes."""


class SharesInLanes(InLanes, Shares):
    """The way of ``Shares`` in lanes."""
