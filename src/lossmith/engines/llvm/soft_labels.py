"""Labels that are shares, met by a kernel for hard ones: the rest of their block goes to the kernel for all labels.

That one is compiled when it is called first; most data has no such label. What a block comes to depends on what it
holds, and not on other blocks. After the values that are the same for every example, two addresses follow: where the
address of the other kernel is, and where its values are.
"""

from __future__ import annotations

from collections.abc import Mapping

from lossmith.engines.llvm.frame import NOWHERE, RECORD
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.memory import SIZES


def look(b: Body, label: Lanes, ends: tuple[float, float]) -> None:
    """Write the look at a vector of labels: the text goes on in ``hard`` where all are at an end, else in ``soft``."""
    at_ends, reduce = label.equals(ends[0]) | label.equals(ends[1]), f"llvm.vector.reduce.and.v{b.width}i1"
    b.declared.add(f"declare i1 @{reduce}({b.truth})")
    b.lines += [
        f"  %all_hard = call i1 @{reduce}({b.truth} {at_ends.name})",
        "  br i1 %all_hard, label %hard, label %soft\nhard:",
    ]
    b.label[0] = "hard"


def enter(inputs: int, outputs: int, uniforms: int) -> list[str]:
    """Return the lines at the beginning of a kernel.

    Args:
        inputs, outputs: how many there are.
        uniforms: how many values are the same for every example.
    """
    return [
        f"  %soft_inputs = alloca [{max(inputs, 1)} x ptr], align 8",
        f"  %soft_outputs = alloca [{max(outputs, 1)} x ptr], align 8",
        f"  %soft_record = alloca [{RECORD} x i64], align 8",
        *(f"  %soft_{name}_at = getelementptr i64, ptr %soft_record, i64 {place}" for place, name in _PARTS),
        f"  %soft_kernel_at = getelementptr ptr, ptr %uniforms, i64 {uniforms}",
        f"  %soft_uniforms_at = getelementptr ptr, ptr %uniforms, i64 {uniforms + 1}",
    ]


_PARTS = ((0, "sum"), (2, "bad"), (3, "wrong"))


def clear() -> list[str]:
    """Return the lines at the beginning of a block, of which nothing was handed over yet."""
    return _left(0, NOWHERE, NOWHERE)


def _left(*numbers: int) -> list[str]:
    return [
        f"  store i64 {number}, ptr %soft_{name}_at, align 8" for number, (_, name) in zip(numbers, _PARTS, strict=True)
    ]


def serve(room: Mapping[str, str], carried: Mapping[str, tuple[str, str]]) -> str:
    """Return the text that hands over what is left of a block.

    Args:
        room: what arrays hold, by name.
        carried: what is carried from vector to vector, of which ``%soft_own_`` and the name is what was found before.
    """
    # Where the other kernel cannot be made, nothing is written, and this says that there is more to say.
    lines = [
        "soft:",
        "  %soft_rows = sub i64 %end, %row",
        *_left(0, 0, 0),
        *(  # a vector in the room begins anew
            f"  %soft_own_{name} = select i1 %in_room, {type_} %before_{name}, {type_} %{name}"
            for name, (type_, _) in carried.items()
        ),
    ]
    lines += [
        f"  %soft_{name} = getelementptr [{SIZES[element]} x i8], ptr %{name}_given, i64 %row"
        for name, element in room.items()
    ]
    for table, prefix in (("inputs", "in"), ("outputs", "out")):
        for place in range(sum(name.startswith(prefix) for name in room)):
            lines += [
                f"  %soft_{prefix}{place}_at = getelementptr ptr, ptr %soft_{table}, i64 {place}",
                f"  store ptr %soft_{prefix}{place}, ptr %soft_{prefix}{place}_at, align 8",
            ]
    beside = ", ".join(f"ptr %soft_{name}" if name in room else "ptr null" for name in ("weight", "mask"))
    return "\n".join([
        *lines,
        "  %soft_place = load ptr, ptr %soft_kernel_at, align 8",
        "  %soft_kernel = load ptr, ptr %soft_place, align 8",
        "  %soft_uniforms = load ptr, ptr %soft_uniforms_at, align 8",
        f"  call void %soft_kernel(ptr %soft_inputs, ptr %soft_uniforms, ptr %soft_outputs, {beside}, "
        "ptr %soft_record, double %factor, i64 %soft_rows, i64 0, i64 1)",
        "  br label %block_done",
    ])  # fmt: skip


def joined(total: str, own: str) -> list[str]:
    """Return the lines that add to the sum of a block what was handed over."""
    return [
        "  %soft_sum = load double, ptr %soft_sum_at, align 8",
        f"  {total} = fadd double {own}, %soft_sum",
    ]


def noticed_too(bad: str, wrong: str) -> tuple[list[str], str, str]:
    """Return the lines that add what was noticed there, and the names of both truths then."""
    lines = []
    for name, own in (("bad", bad), ("wrong", wrong)):
        lines += [
            f"  %soft_{name} = load i64, ptr %soft_{name}_at, align 8",
            f"  %soft_is_{name} = icmp ne i64 %soft_{name}, {NOWHERE}",
            f"  %{name}_of_all = or i1 {own}, %soft_is_{name}",
        ]
    return lines, "%bad_of_all", "%wrong_of_all"
