"""What kernels over rows of logits share: what they are told, the frame around their loops, and their arithmetic.

What the reference does stands in ``lossmith.structures.row_math``: the sum of exponentials leaves out the
largest, so that a certain class keeps its digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lossmith.engines.llvm.lanes import Body, Kind
from lossmith.engines.llvm.loops import NOWHERE, RECORD, tree

Targets = Literal["indices", "smoothed", "soft"]
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class RowForm:
    """What a kernel over rows does.

    Attributes:
        kind: type of the logits.
        targets: class indices; class indices with part of each spread evenly; or a distribution a row. All but
            the first are for a formula that is -log p itself.
        losses, gradient, hessian: whether they are written; the Hessian is its diagonal.
        summed: whether losses are summed.
        weighted, masked: whether there are weights and a mask.
    """

    kind: Kind
    targets: Targets
    losses: bool
    gradient: bool
    hessian: bool
    summed: bool
    weighted: bool = False
    masked: bool = False


ARGUMENTS = (
    "logits", "targets", "losses", "gradient", "hessian", "weight", "mask", "records", "uniforms", "scratch",
)  # fmt: skip
"""Pointers in the table that a kernel gets, in order."""


def uniform_lines(place: int, type_: str, kind: Kind, b: Body) -> list[str]:
    """Return the lines that load a value that is the same for every row, and spread it."""
    name = f"uniform{place}"
    lines = [
        f"  %{name}_at = getelementptr double, ptr %uniforms, i64 {place}",
        f"  %{name}_value = load double, ptr %{name}_at, align 8",
    ]
    if type_ == "bool":
        lines.append(f"  %{name}_one = fcmp une double %{name}_value, 0.0")
        return lines + splat(name, "i1", b)
    cast = f"fptrunc double %{name}_value to float" if kind == "float" else f"fadd double %{name}_value, -0.0"
    return [*lines, f"  %{name}_one = {cast}", *splat(name, kind, b)]


def splat(name: str, element: str, b: Body, source: str = "") -> list[str]:
    """Return the lines that make a vector of one number, ``name`` of ``name_one`` unless another source is told."""
    type_, small = b.vector(element), b.vector("i32")
    return [
        f"  %{name}_first = insertelement {type_} zeroinitializer, {element} %{source or name + '_one'}, i32 0",
        f"  %{name} = shufflevector {type_} %{name}_first, {type_} zeroinitializer, {small} zeroinitializer",
    ]


def finish(width: int, wide: str, truth: str, found: Mapping[str, str]) -> list[str]:
    """Return the lines that reduce what lanes carried to the record of a block."""
    lines = [f"  %all_sum = fadd {wide} {found['sum']}, splat (double 0.0)", *tree(width)]
    for name in ("bad", "wrong"):
        lines.append(f"  %{name}_any = call i1 @llvm.vector.reduce.or.v{width}i1({truth} {found[name]})")
    return [*lines, *leave_record("%whole_sum", "%bad_any", "%wrong_any")]


def leave_record(total: str, bad: str, wrong: str) -> list[str]:
    """Return the lines that write the record of a block from single values."""
    lines = [
        f"%bad_value = select i1 {bad}, i64 0, i64 {NOWHERE}",
        f"%wrong_value = select i1 {wrong}, i64 0, i64 {NOWHERE}",
        f"%count_value = zext i1 {bad} to i64",
        f"%record = getelementptr [{RECORD} x i64], ptr %records, i64 %block",
        f"store double {total}, ptr %record, align 8",
    ]
    for place, name in enumerate(("count", "bad", "wrong"), start=1):
        lines.append(f"%record{place} = getelementptr i64, ptr %record, i64 {place}")
        lines.append(f"store i64 %{name}_value, ptr %record{place}, align 8")
    return [f"  {line}" for line in lines]
