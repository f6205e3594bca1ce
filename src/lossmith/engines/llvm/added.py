"""The numbers that fused products take, in memory side by side, from where instructions read them.

LLVM takes a number in a text for one to be had anywhere: it makes all of them ready before the outermost loop, has no
registers for most, puts those on the stack, and takes long to find that out. What lies in memory that something might
write to is read where it is wanted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from lossmith.engines.llvm.memory import SIZES

OFTEN = 2
"""Times that a block of the text may take a number that is read: more often, it is better kept, which LLVM sees to."""

_PRODUCT = "@llvm.fma."
_NUMBER = re.compile(r"<(\d+) x (float|double)> (splat \(\w+ 0x\w+\))")
_ZERO = " 0x0000000000000000)"
_BEGIN = "\nentry:\n"


class _Table:
    """Vectors side by side, each aligned to its size; what is between them is nothing."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], int] = {}
        self._parts: list[tuple[str, str]] = []  # types and values
        self._end = 0

    def place(self, type_: str, value: str, size: int) -> int:
        """Return where a vector lies."""
        found = self._places.get((type_, value))
        if found is None:
            if gap := -self._end % size:
                self._parts.append((f"[{gap} x i8]", "zeroinitializer"))
            found = self._places[type_, value] = self._end + gap
            self._parts.append((type_, value))
            self._end = found + size
        return found

    def text(self) -> str:
        """Return the line that defines it, or nothing where it is empty."""
        types, values = ", ".join(x for x, _ in self._parts), ", ".join(f"{x} {value}" for x, value in self._parts)
        return f"@added = private global <{{ {types} }}> <{{ {values} }}>, align 64\n" if self._parts else ""


def in_memory(text: str) -> str:
    """Return the module of a kernel that reads numbers of its fused products from memory."""
    table, lines, block = _Table(), list[str](), list[str]()
    for line in text.split("\n"):
        block.append(line)
        if not line.startswith("  ") or line.startswith("  br "):
            lines += _read(block, table, len(lines))
            block = []
    lines += block
    head = table.text()
    begin = f"{_BEGIN}  %added = getelementptr i8, ptr @added, i64 0\n" if head else _BEGIN
    return head + "\n".join(lines).replace(_BEGIN, begin, 1)


def _read(block: Sequence[str], table: _Table, number: int) -> Sequence[str]:
    """Return the lines of a block, with those that read numbers before the first product that takes them."""
    products = [_NUMBER.findall(line) if _PRODUCT in line else () for line in block]
    if not any(products):
        return block
    taken = Counter(value for numbers in products for *_, value in numbers)
    lines: list[str] = []
    known: dict[tuple[str, str], str] = {}
    for line, numbers in zip(block, products, strict=True):
        for lanes, kind, value in numbers:
            if taken[value] > OFTEN or value.endswith(_ZERO):
                continue
            type_, size = f"<{lanes} x {kind}>", int(lanes) * SIZES[kind]
            if (type_, value) not in known:
                name = known[type_, value] = f"%added_{number + len(lines)}"
                at = f"getelementptr i8, ptr %added, i64 {table.place(type_, value, size)}"
                lines += [f"  {name}_at = {at}", f"  {name} = load {type_}, ptr {name}_at, align {size}"]
            line = line.replace(value, known[type_, value])
        lines.append(line)
    return lines
