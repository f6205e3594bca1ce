"""What is left of a block beyond its last whole vector: it goes to a vector's room on the stack and back."""

from __future__ import annotations

from collections.abc import Mapping

from lossmith.engines.llvm.memory import SIZES


def shifted(room: Mapping[str, str]) -> list[str]:
    """Return the lines that say where arrays would begin whose rows at ``%stop`` and after are the room."""
    return [
        f"  %{name}_shifted = getelementptr [{SIZES[element]} x i8], ptr %{name}_room, i64 %before_room"
        for name, element in room.items()
    ]


def copies(name: str, arrays: Mapping[str, str], lanes: str, done: str) -> str:
    """Return the text that goes on from a block, and copies what is left of a block to the room, or back from there.

    Args:
        name: ``fetch``, which fills the room up with the last example, or ``bring``.
        arrays: what they hold, by name.
        lanes: how many are copied.
        done: where it goes on.
    """
    if not arrays:
        return f"  br label %{done}"
    fetches, one = name == "fetch", f"{name}_one"
    lines = [f"  br label %{one}", f"{one}:", f"  %{name}_lane = phi i64 [ 0, %{name} ], [ %{name}_next, %{one} ]"]
    within = f"%{name}_lane"
    if fetches:
        within = "%fetch_within"
        lines.append(f"  {within} = call i64 @llvm.umin.i64(i64 %fetch_lane, i64 %rest_last)")
    lines.append(f"  %{name}_row = add i64 %stop, {within}")
    for array, element in arrays.items():
        size, at = SIZES[element], f"%{name}_{array}"
        source, target = ("given", "room") if fetches else ("room", "given")
        lines += [
            f"  {at}_given = getelementptr [{size} x i8], ptr %{array}_given, i64 %{name}_row",
            f"  {at}_room = getelementptr [{size} x i8], ptr %{array}_room, i64 %{name}_lane",
            f"  {at}_one = load i{8 * size}, ptr {at}_{source}, align {size}",
            f"  store i{8 * size} {at}_one, ptr {at}_{target}, align {size}",
        ]
    return "\n".join([
        *lines,
        f"  %{name}_next = add i64 %{name}_lane, 1",
        f"  %{name}_more = icmp ult i64 %{name}_next, {lanes}",
        f"  br i1 %{name}_more, label %{one}, label %{done}",
    ])  # fmt: skip
