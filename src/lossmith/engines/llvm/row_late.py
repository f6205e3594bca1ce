"""Gradients of long rows, written past the caches: of each row while the next one is looked at.

What is written at once keeps the processor waiting for memory, which has had nothing to do while it computed. What is
written into the caches is read from memory first, a third more than has to be moved. So a row leaves its exponentials
in one of two places, and the look at the exponentials of the next row writes its gradient as well. The first row of a
call writes nothing that counts, over the other place; the last is written by a look of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from lossmith.engines.llvm.frame import part, splat
from lossmith.engines.llvm.kernel import NEAR, PAGE
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.row_frame import RowForm, class_of, slot_at
from lossmith.engines.llvm.row_looks import Look, sum_exponentials, sweep

PLACES = 2
"""Rows of numbers in scratch: the exponentials of a row and those of the one before."""

AWAY = 1024
"""Bytes by which what is written leads where it would stand in the way of what is read; see ``kernel.NEAR``."""

_SLOTS = ("scale", "factor", "fixed")


def entry(form: RowForm, b: Body) -> list[str]:
    """Return the lines that make ready for a call: no row is to be written."""
    lines = ["  %late_row_at = alloca i64, align 8", "  store i64 -1, ptr %late_row_at, align 8"]
    for name, place in (("now", 0), ("before", 1)):
        lines += [
            f"  %{name}_at = alloca ptr, align 8",
            f"  %{name}_start = mul i64 %padded, {place}",
            f"  %{name}_first = getelementptr {form.kind}, ptr %scratch, i64 %{name}_start",
            f"  store ptr %{name}_first, ptr %{name}_at, align 8",
        ]
    for name in _SLOTS:
        lines += [
            f"  %no_{name} = {slot_at(name, b.width)}",
            f"  store {form.kind} 0.0, ptr %no_{name}, align {form.size}",
        ]
    return lines


def row_before(form: RowForm, b: Body, row: str, *, leads: bool = False) -> list[str]:
    """Return the lines that say of the row that is to be written where it lies and what it is made of.

    Args:
        form: what the kernel does.
        b: whose vectors.
        row: what the names begin with.
        leads: whether another row is read meanwhile.
    """
    kind = form.kind
    lines = [
        f"  %{row}_late = load i64, ptr %late_row_at, align 8",
        f"  %{row}_some = icmp sge i64 %{row}_late, 0",
        f"  %{row}_late_row = select i1 %{row}_some, i64 %{row}_late, i64 0",
        f"  %{row}_late_base = mul i64 %{row}_late_row, %classes",
        f"  %{row}_there = getelementptr {kind}, ptr %gradient, i64 %{row}_late_base",
        f"  %{row}_before = load ptr, ptr %before_at, align 8",
        f"  %{row}_written = select i1 %{row}_some, ptr %{row}_there, ptr %{row}_before",
        *class_of(form, f"{row}_late"),
    ]
    for name in _SLOTS:
        lines += [
            f"  %{row}_{name}_at = {slot_at(name, b.width)}",
            f"  %{row}_{name}_found = load {kind}, ptr %{row}_{name}_at, align {form.size}",
        ]
    lines += _shift(form, row) if leads else []
    lines += splat(f"{row}_scale", kind, b, f"{row}_scale_found")
    lines.append(f"  %{row}_live_one = fcmp ogt {kind} %{row}_factor_found, 0.0")
    lines += splat(f"{row}_live", "i1", b)
    return [
        *lines,
        # The true class is given what makes the product right for it too.
        f"  %{row}_own_at = getelementptr {kind}, ptr %{row}_before, i64 %{row}_late_class",
        f"  store {kind} %{row}_fixed_found, ptr %{row}_own_at, align {form.size}",
    ]


def _shift(form: RowForm, row: str) -> list[str]:
    """Return the lines that say by how many classes what is written leads, and begins again when it comes to the end.

    Where it keeps close behind what is read, in its page of memory, processors take the one for the other.
    """
    away = AWAY // form.size
    return [
        f"  %{row}_to = ptrtoint ptr %{row}_written to i64",
        f"  %{row}_from = ptrtoint ptr %{row}_logits to i64",
        f"  %{row}_apart = sub i64 %{row}_to, %{row}_from",
        f"  %{row}_in_page = and i64 %{row}_apart, {PAGE - 1}",
        f"  %{row}_near = icmp ult i64 %{row}_in_page, {NEAR}",
        f"  %{row}_shift = select i1 %{row}_near, i64 {away}, i64 0",
    ]


def leave(row: str) -> list[str]:
    """Return the lines that make a row the one that is to be written, and change places."""
    return [
        f"  store i64 %{row}_row, ptr %late_row_at, align 8",
        f"  store ptr %{row}_scratch, ptr %before_at, align 8",
        f"  store ptr %{row}_before, ptr %now_at, align 8",
        "  br label %group_done",
    ]


def write_before(look: Look, before: Mapping[str, str], first: str = "") -> dict[str, str]:
    """Write the gradient of the row before, from the exponentials that were kept: of these classes, or of others."""
    b, row = look.body, look.row
    kept, out = (_at(look, array, first or look.first) for array in ("before", "written"))
    live, scale = look.named(f"{row}_live", b.truth), look.named(f"{row}_scale")
    for place in look.places:
        e = b.write(b.real, f"load {b.real}, ptr {_behind(look, kept, place * b.width)}, align {look.form.size}")
        _store(look, b.select(live, e * scale, 0.0), out, place * b.width)
    return {}


def sum_and_write(look: Look, before: Mapping[str, str]) -> dict[str, str]:
    """Write the second look at a row, and with it the gradient of the row before."""
    found, b = sum_exponentials(look, before), look.body
    first = ""
    if not look.at_end:
        moved = b.write("i64", f"add i64 {look.first}, %{look.row}_shift").name
        back = b.write("i64", f"sub i64 {moved}, %s_stop").name
        over = b.write("i1", f"icmp uge i64 {moved}, %s_stop").name
        first = b.write("i64", f"select i1 {over}, i64 {back}, i64 {moved}").name
    write_before(look, before, first)
    return found


def _at(look: Look, array: str, first: str) -> str:
    return look.body.write("ptr", f"getelementptr {look.body.kind}, ptr %{look.row}_{array}, i64 {first}").name


def _behind(look: Look, at: str, numbers: int) -> str:
    """Return the place that lies so many numbers behind another."""
    return look.body.write("ptr", f"getelementptr i8, ptr {at}, i64 {numbers * look.form.size}").name if numbers else at


def _store(look: Look, value: Lanes, at: str, first: int) -> None:
    """Write a vector past the caches, in parts that are aligned, so many numbers behind a place."""
    b = look.body
    count = min(b.width, look.form.late // look.form.size)
    for lane in range(0, b.width, count):
        type_, name = f"<{count} x {b.kind}>", value.name
        if count < b.width:
            name = b.write(type_, part(value.name, value.type, lane, count)).name
        to = _behind(look, at, first + lane)
        b.lines.append(f"  store {type_} {name}, ptr {to}, align {count * look.form.size}, !nontemporal !0")


@cache
def last(form: RowForm, width: int) -> tuple[str, set[str]]:
    """Return the lines that write the row that is left at the end of a call, and what they declare."""
    text, declared, _ = sweep("d", write_before, form, width, "d", {}, again=True)
    lines = "\n".join(row_before(form, Body(form.kind, width), "d"))
    return f"{lines}\n{text}", declared
