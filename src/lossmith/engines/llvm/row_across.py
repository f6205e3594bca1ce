"""Rows whose classes lie apart: of each class the rows lie side by side, so a vector of them is read where it lies.

So do rows along an axis that is not the last. They come in stretches, of as many rows as the axes behind have places,
and a stretch holds one class after the other. A group of rows may end in the stretch behind the one in which it
begins, but no further: a stretch is no shorter than a vector.
"""

from __future__ import annotations

from lossmith.engines.llvm.frame import lane_numbers, splat
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.memory import SIZES, ask_for, in_memory, widen
from lossmith.engines.llvm.row_frame import ACROSS, RowForm
from lossmith.engines.llvm.spelling import SHORT

AHEAD = 256
"""Bytes ahead of what is read that are asked for: nothing foresees the lines of so many classes, far apart."""


def _arrays(form: RowForm) -> dict[str, int]:
    """Return the arrays of a kernel that lie so, each with its place in ``ACROSS``."""
    there = {"targets": form.targets == "soft", "gradient": form.gradient, "hessian": form.hessian}
    return {array: place for place, array in enumerate(ACROSS) if there.get(array, True)}


def entry(form: RowForm) -> list[str]:
    """Return the lines that load how arrays lie."""
    lines = ["  %stretch = load i64, ptr %steps, align 8"]
    for array, place in _arrays(form).items():
        for step, name in enumerate(("stretch", "class"), start=1 + 2 * place):
            lines.append(f"  %{array}_{name}_at = getelementptr i64, ptr %steps, i64 {step}")
            lines.append(f"  %{array}_{name} = load i64, ptr %{array}_{name}_at, align 8")
        lines.append(f"  %{array}_side = mul i64 %stretch, {SIZES[form.element(array)]}")
        lines.append(f"  %{array}_jump = sub i64 %{array}_stretch, %{array}_side")
    return lines


def begin_group(form: RowForm, b: Body) -> list[str]:
    """Return the lines that say where the first class of a group lies, and which lanes are in the next stretch."""
    lines = [
        "  %stretches = udiv i64 %group, %stretch",
        "  %stretch_start = mul i64 %stretches, %stretch",
        "  %within = sub i64 %group, %stretch_start",
        "  %to_its_end = sub i64 %stretch, %within",
        "  %parted = icmp ult i64 %to_its_end, %count",
        "  %here = select i1 %parted, i64 %to_its_end, i64 %count",
        f"  %all_here = icmp eq i64 %here, {b.width}",
        *splat("heres", "i64", b, "here"),
        f"  %lanes_here = icmp ult {b.vector('i64')} {lane_numbers(b.width)}, %heres",
        f"  %lanes_next = xor {b.truth} %lanes_here, %in_group",
    ]
    for array in _arrays(form):
        lines += [
            f"  %{array}_before = mul i64 %stretches, %{array}_stretch",
            f"  %{array}_from = getelementptr i8, ptr %{array}, i64 %{array}_before",
            f"  %{array}_here = getelementptr [{SIZES[form.element(array)]} x i8], ptr %{array}_from, i64 %within",
            # Where no lane is there, the next stretch may be none, and its address is not touched.
            f"  %{array}_on = select i1 %parted, i64 %{array}_jump, i64 0",
            f"  %{array}_next = getelementptr i8, ptr %{array}_here, i64 %{array}_on",
        ]
    return lines


def _places(b: Body, array: str, number: str) -> tuple[str, str]:
    """Return where the class of a number lies, in the stretch where the group begins and in the next."""
    offset = b.write("i64", f"mul i64 {number}, %{array}_class").name
    here, following = (
        b.write("ptr", f"getelementptr i8, ptr %{array}_{where}, i64 {offset}").name for where in ("here", "next")
    )
    return here, following


def load(b: Body, form: RowForm, array: str, number: str) -> tuple[Lanes, str]:
    """Return a class of the rows of a group, 0 beyond its end, and the block of the text that comes to it."""
    element = form.element(array)
    kept, size = in_memory(element), SIZES[element]
    type_, name = b.vector(kept), f"llvm.masked.load.v{b.width}{SHORT[kept]}.p0"
    b.declared.add(f"declare {type_} @{name}(ptr, i32, {b.truth}, {type_})")
    here, following = _places(b, array, number)
    ask_for(b, b.write("ptr", f"getelementptr i8, ptr {here}, i64 {AHEAD}").name, once=True)
    block = f"{b.prefix}_{array}"
    b.lines.append(f"  br i1 %all_here, label %{block}_whole, label %{block}_parts\n{block}_whole:")
    whole = b.write(type_, f"load {type_}, ptr {here}, align {size}").name
    b.lines.append(f"  br label %{block}_read\n{block}_parts:")
    parts = "zeroinitializer"
    for at, lanes in ((here, "%lanes_here"), (following, "%lanes_next")):
        given = f"ptr {at}, i32 {size}, {b.truth} {lanes}, {type_} {parts}"
        parts = b.write(type_, f"call {type_} @{name}({given})").name
    b.lines.append(f"  br label %{block}_read\n{block}_read:")
    found = b.write(type_, f"phi {type_} [ {whole}, %{block}_whole ], [ {parts}, %{block}_parts ]")
    return found if type_ == b.real else widen(b, found, element), f"{block}_read"


def store(b: Body, form: RowForm, array: str, number: str, value: Lanes) -> str:
    """Write a class of the rows of a group, and return the block of the text that comes after it."""
    name = f"llvm.masked.store.v{b.width}{SHORT[b.kind]}.p0"
    b.declared.add(f"declare void @{name}({b.real}, ptr, i32, {b.truth})")
    here, following = _places(b, array, number)
    block, given = f"{b.prefix}_{array}", f"{b.real} {value.name}, ptr"
    b.lines += [
        f"  br i1 %all_here, label %{block}_whole, label %{block}_parts\n{block}_whole:",
        f"  store {given} {here}, align {form.size}",
        f"  br label %{block}_written\n{block}_parts:",
        f"  call void @{name}({given} {here}, i32 {form.size}, {b.truth} %lanes_here)",
        f"  call void @{name}({given} {following}, i32 {form.size}, {b.truth} %lanes_next)",
        f"  br label %{block}_written\n{block}_written:",
    ]
    return f"{block}_written"
