"""A vector of classes, as the quicker ways of divergences take a row, and what it adds to sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lossmith.engines.llvm.lanes import Body, Lanes


@dataclass
class Chunk:
    """A vector of classes, or what there is of one."""

    body: Body
    k: str
    inside: str = ""

    def _at(self, name: str) -> str:
        pointer = f"%{name}" if name.startswith("short_") else f"%row_{name}"
        return self.body.write("ptr", f"getelementptr float, ptr {pointer}, i64 {self.k}").name

    def load(self, name: str, otherwise: Lanes) -> Lanes:
        """Return the numbers of an array at these classes; ``otherwise`` beyond its end."""
        b, at = self.body, self._at(name)
        if not self.inside:
            return b.write(b.real, f"load {b.real}, ptr {at}, align 4")
        load = f"llvm.masked.load.v{b.width}f32.p0"
        b.declared.add(f"declare {b.real} @{load}(ptr, i32, {b.truth}, {b.real})")
        text = f"ptr {at}, i32 4, {b.truth} {self.inside}, {b.real} {otherwise.name}"
        return b.write(b.real, f"call {b.real} @{load}({text})")

    def store(self, value: Lanes, name: str, streaming: bool = False) -> None:
        """Write the numbers of an array at these classes."""
        b, at = self.body, self._at(name)
        if not self.inside:
            how = f"align {4 * b.width}, !nontemporal !0" if streaming else "align 4"
            b.lines.append(f"  store {b.real} {value.name}, ptr {at}, {how}")
            return
        store = f"llvm.masked.store.v{b.width}f32.p0"
        b.declared.add(f"declare void @{store}({b.real}, ptr, i32, {b.truth})")
        b.lines.append(f"  call void @{store}({b.real} {value.name}, ptr {at}, i32 4, {b.truth} {self.inside})")

    def counted(self, value: Lanes) -> Lanes:
        """Return numbers, and 0 beyond the end."""
        inside = Lanes(self.body, self.body.truth, self.inside)
        return self.body.select(inside, value, 0.0) if self.inside else value


Add = Callable[[Lanes], Lanes]
"""Returns a sum, or the greatest bits, with what a chunk has, given that of the chunks before."""

Write = Callable[[Chunk], Mapping[str, Add]]
"""Writes the work on a chunk; returns what it adds, by the names of sums."""


def plus(term: Lanes, before: Lanes) -> Lanes:
    """Return a sum with one term more."""
    return before + term


def greater(bits: Lanes, before: Lanes) -> Lanes:
    """Return the greater bits."""
    return before.body.call("umax", before, bits)
