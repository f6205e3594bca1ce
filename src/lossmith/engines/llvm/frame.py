"""What the texts of all kernels share: blocks of rows and the records that they leave, sums, and what loops carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from lossmith.engines.llvm.lanes import Body, Kind
from lossmith.engines.llvm.spelling import element_of

T = TypeVar("T")

NAME = "kernel"
"""What the function of a kernel is called."""

ALIGNED = "alignstack(64)"
"""What every kernel is declared with. Threads give stacks of any alignment to 16 bytes, and a vector kept on the stack
across two cache lines takes twice as long to come back."""

RECORD = 4
"""Numbers of 8 bytes that a kernel leaves for each block: the weighted sum of losses; a count; and two places that are
0 where a loss that counts is not finite, or a row that counts is not valid, and ``NOWHERE`` where none is."""

NOWHERE = 2**31 - 1

CARRIED = {"bad": 0, "wrong": 8, "limit": 16, "sum": 64}
"""Where kernels of rows keep what they carry from row to row: a bit, or some, for what was noticed, and the sum."""

LINE = 64
"""Bytes of a cache line."""


def onward(after: str, before: str, step: int | str) -> str:
    """Return the lines that count a loop on, from ``before`` to ``after``.

    The freeze does nothing but hide what is counted: LLVM would look long for pointers that could count in its place,
    and machines add a base and an index by themselves.
    """
    return f"  {after}_from = freeze i64 {before}\n  {after} = add i64 {after}_from, {step}"


def pointer(arguments: Sequence[str], name: str, called: str = "") -> list[str]:
    """Return the lines that load one of the pointers in the table, by default under its own name."""
    called = called or name
    return [
        f"  %{called}_at = getelementptr ptr, ptr %table, i64 {arguments.index(name)}",
        f"  %{called} = load ptr, ptr %{called}_at, align 8",
    ]


def begin_blocks(rows: str) -> str:
    """Return the text that begins a block of so many rows, ``%start`` to ``%end``; it follows a block ``entry``."""
    return f"""
  br label %blocks

blocks:
  %block = phi i64 [ %first_block, %entry ], [ %next_block, %block_done ]
  %start = mul i64 %block, {rows}
  %ends = add i64 %start, {rows}
  %short = icmp ult i64 %rows, %ends
  %end = select i1 %short, i64 %rows, i64 %ends"""


def end_blocks(total: str, *, fenced: bool, last: str = "") -> str:
    """Return the text that leaves the record of a block, ``%count_value`` and so on, and goes on to the next.

    Args:
        total: the sum of the block.
        fenced: whether what was written past the caches needs a fence of x86 to be ordered.
        last: lines that are run when no block is left.
    """
    lines = [
        f"%record = getelementptr [{RECORD} x i64], ptr %records, i64 %block",
        f"store double {total}, ptr %record, align 8",
    ]
    for place, name in enumerate(("count", "bad", "wrong"), start=1):
        lines.append(f"%record{place} = getelementptr i64, ptr %record, i64 {place}")
        lines.append(f"store i64 %{name}_value, ptr %record{place}, align 8")
    lines += [
        onward("%next_block", "%block", 1).strip(),
        "%again = icmp ult i64 %next_block, %last_block",
        "br i1 %again, label %blocks, label %done\n\ndone:",
        last,
        *(["call void @llvm.x86.sse.sfence()"] if fenced else []),
        "ret void\n}\n\n!0 = !{i32 1}\n",
    ]
    return "\n".join(f"  {line}" for line in lines)


FENCE = "declare void @llvm.x86.sse.sfence()"


def noticed(bad: str, wrong: str, count: str) -> list[str]:
    """Return the lines that say in a record whether there was any bad loss, any wrong row, and anything to count."""
    return [
        f"  %bad_value = select i1 {bad}, i64 0, i64 {NOWHERE}",
        f"  %wrong_value = select i1 {wrong}, i64 0, i64 {NOWHERE}",
        f"  %count_value = zext i1 {count} to i64",
    ]


def phis(carried: Mapping[str, tuple[str, str]], prefix: str, *sources: tuple[Mapping[str, str], str]) -> str:
    """Return the lines at the head of a block for what is carried into it.

    Args:
        carried: by name, the type and what it is before the first turn.
        prefix: what the names of the values begin with.
        sources: names by which other blocks pass them on, and the labels of those blocks.
    """
    lines = []
    for name, (type_, start) in carried.items():
        given = ", ".join(f"[ {values.get(name, start)}, %{label} ]" for values, label in sources)
        lines.append(f"  %{prefix}{name} = phi {type_} {given}")
    return "\n".join(lines)


def tree(width: int, summed: str, name: str) -> list[str]:
    """Return the lines that sum the lanes of a vector of doubles in pairs of halves, into ``%name_whole``."""
    lines = []
    while width > 1:
        half = width // 2
        for end, start in (("low", 0), ("high", half)):
            lines.append(f"  %{name}_{end}{half} = {part(summed, f'<{width} x double>', start, half)}")
        lines.append(f"  %{name}_half{half} = fadd <{half} x double> %{name}_low{half}, %{name}_high{half}")
        summed, width = f"%{name}_half{half}", half
    lines.append(f"  %{name}_whole = extractelement <1 x double> {summed}, i32 0")
    return lines


def part(whole: str, type_: str, first: int, count: int) -> str:
    """Return the instruction that takes so many lanes of a vector, from the first on."""
    places = ", ".join(f"i32 {first + lane}" for lane in range(count))
    return f"shufflevector {type_} {whole}, {type_} zeroinitializer, <{count} x i32> <{places}>"


def lane_numbers(width: int) -> str:
    """Return a vector of the numbers of the lanes."""
    return f"<{', '.join(f'i64 {lane}' for lane in range(width))}>"


def first_lanes(name: str, count: str, b: Body) -> list[str]:
    """Return the lines that say of lanes whether they are among the first so many, at most all of them."""
    element = element_of(b.integer)
    narrow = [f"  %{count}_narrow = trunc i64 %{count} to i32"] if element == "i32" else []
    return [
        *narrow,
        *splat(f"{count}s", element, b, f"{count}_narrow" if narrow else count),
        f"  %{name} = icmp slt {b.integer} <{', '.join(f'{element} {lane}' for lane in range(b.width))}>, %{count}s",
    ]


def uniform_lines(place: int, type_: str, kind: Kind, b: Body) -> list[str]:
    """Return the lines that load a value that is the same for every example, and spread it."""
    name = f"uniform{place}"
    lines = [
        f"  %{name}_at = getelementptr double, ptr %uniforms, i64 {place}",
        f"  %{name}_value = load double, ptr %{name}_at, align 8",
    ]
    if type_ == "bool":
        lines.append(f"  %{name}_one = fcmp une double %{name}_value, 0.0")
        return lines + splat(name, "i1", b)
    return [*lines, cast(f"{name}_one", f"{name}_value", kind), *splat(name, kind, b)]


def cast(name: str, source: str, kind: Kind) -> str:
    """Return the line that brings a double to the type of the kernel."""
    return f"  %{name} = " + (
        f"fptrunc double %{source} to float" if kind == "float" else f"fadd double %{source}, 0.0"
    )


def splat(name: str, element: str, b: Body, source: str = "") -> list[str]:
    """Return the lines that make a vector of one number, ``name`` of ``name_one`` unless another source is told."""
    type_, small = b.vector(element), b.vector("i32")
    return [
        f"  %{name}_first = insertelement {type_} zeroinitializer, {element} %{source or name + '_one'}, i32 0",
        f"  %{name} = shufflevector {type_} %{name}_first, {type_} zeroinitializer, {small} zeroinitializer",
    ]


def side_by_side(b: Body, writes: Sequence[Callable[[], T]]) -> list[T]:
    """Return what several texts of the same steps give, each step of one beside that of the others.

    So the machine, which looks only so far ahead, has work while a chain of products of one waits.
    """
    start, found, parts = len(b.lines), [], []
    for write in writes:
        before = len(b.lines)
        found.append(write())
        parts.append(b.lines[before:])
    # What all share is written by the first, which is longer then: they end together.
    steps = zip(*([""] * (max(map(len, parts)) - len(part)) + part for part in parts), strict=True)
    b.lines[start:] = [line for step in steps for line in step if line]
    return found
