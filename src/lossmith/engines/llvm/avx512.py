"""Instructions of AVX-512 that LLVM has no name of its own for, over lanes of one register or of several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossmith.engines.llvm.lanes import Body


_CLOSING: dict[str, tuple[str, ...]] = {"permvar": ()}
"""What types end the operands of an instruction, where these are not a mask and a way to round."""


def in_lanes(body: Body, name: str, given: Sequence[tuple[str, str]], where: str = "") -> str:
    """Write what an instruction gives in each lane, with the usual rounding, and return what the text calls it.

    Args:
        body: the text; lanes of several registers are taken a register at a time.
        name: the instruction, such as ``scalef``.
        given: types and names of its operands. Where there is a mask, the last is what other lanes hold.
        where: what the text calls the lanes that it is to work in; all, if nothing.
    """
    letter, lanes = ("s", 16) if body.kind == "float" else ("d", 8)
    closing = _CLOSING.get(name, (f"i{lanes}", "i32"))
    spelled = f"llvm.x86.avx512.{f'mask.{name}.p{letter}' if closing else f'{name}.{letter}f'}.512"
    type_, wide = f"<{lanes} x {body.kind}>", f"<{body.width} x "
    kinds = [*(kind.replace(wide, f"<{lanes} x ") for kind, _ in given), *closing]
    body.declared.add(f"declare {type_} @{spelled}({', '.join(kinds)})")

    def mask(first: int) -> str:
        if not where:
            return "-1"
        part = _part(body, f"{wide}i1>", where, first, lanes)
        return body.write(f"i{lanes}", f"bitcast <{lanes} x i1> {part} to i{lanes}").name

    def call(first: int) -> str:
        texts = [_part(body, kind, text, first, lanes) if kind.startswith(wide) else text for kind, text in given]
        if closing:
            texts += mask(first), "4"
        operands = (f"{kind} {text}" for kind, text in zip(kinds, texts, strict=True))
        return body.write(type_, f"call {type_} @{spelled}({', '.join(operands)})").name

    found = [call(first) for first in range(0, body.width, lanes)]
    while len(found) > 1:  # two and two, until all are one vector again
        kind, both = f"<{lanes} x {body.kind}>", _places(0, 2 * lanes)
        pairs = zip(found[::2], found[1::2], strict=True)
        lanes *= 2
        found = [
            body.write(f"<{lanes} x {body.kind}>", f"shufflevector {kind} {low}, {kind} {high}, {both}").name
            for low, high in pairs
        ]
    return found[0]


def _part(body: Body, kind: str, text: str, first: int, lanes: int) -> str:
    """Return what the text calls some lanes of a vector."""
    if text == "zeroinitializer" or body.width == lanes:
        return text
    part = f"shufflevector {kind} {text}, {kind} zeroinitializer, {_places(first, lanes)}"
    return body.write(kind.replace(str(body.width), str(lanes), 1), part).name


@cache
def _places(first: int, count: int) -> str:
    """Return lanes one after another, as ``shufflevector`` takes them."""
    return f"<{count} x i32> <{', '.join(f'i32 {first + lane}' for lane in range(count))}>"
