"""Instructions of AVX-512 that LLVM has no name of its own for, over lanes of one register or of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossmith.engines.llvm.lanes import Body


def in_every_lane(body: Body, name: str, given: Sequence[tuple[str, str]]) -> str:
    """Write what an instruction gives in every lane, with the usual rounding, and return what the text calls it.

    Args:
        body: the text; lanes of two registers are taken a register at a time.
        name: the instruction, such as ``scalef``.
        given: types and names of its operands; the first is of numbers.
    """
    letter, lanes = ("s", 16) if body.kind == "float" else ("d", 8)
    name, whole = f"llvm.x86.avx512.mask.{name}.p{letter}.512", given[0][0]
    type_ = f"<{lanes} x {body.kind}>"
    kinds = [type_ if kind == whole else kind for kind, _ in given] + [f"i{lanes}", "i32"]
    body.declared.add(f"declare {type_} @{name}({', '.join(kinds)})")

    def call(first: int) -> str:
        texts = [_part(body, kind, text, first, lanes) if kind == whole else text for kind, text in given]
        operands = (f"{kind} {text}" for kind, text in zip(kinds, (*texts, "-1", "4"), strict=True))
        return body.write(type_, f"call {type_} @{name}({', '.join(operands)})").name

    if body.width == lanes:
        return call(0)
    low, high = call(0), call(lanes)
    return body.write(whole, f"shufflevector {type_} {low}, {type_} {high}, {_places(0, 2 * lanes)}").name


def _part(body: Body, kind: str, text: str, first: int, lanes: int) -> str:
    """Return what the text calls some lanes of a vector."""
    if text == "zeroinitializer" or body.width == lanes:
        return text
    part = f"shufflevector {kind} {text}, {kind} zeroinitializer, {_places(first, lanes)}"
    return body.write(f"<{lanes} x {body.kind}>", part).name


def _places(first: int, count: int) -> str:
    """Return lanes one after another, as ``shufflevector`` takes them."""
    return f"<{count} x i32> <{', '.join(f'i32 {first + lane}' for lane in range(count))}>"
