"""What kernels over rows of logits are told, and the pieces that their texts share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lossmith.engines.llvm.lanes import Body, Kind
from lossmith.engines.llvm.memory import SIZES, in_memory, whole

Targets = Literal["indices", "smoothed", "soft"]

BY_LANE = 128
"""Bytes of the classes of a row up to which lanes are rows. Rows that a vector holds classes of are longer."""


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
        adjusted: whether each class adds a number of its own to its logits.
        penalised: whether a multiple of the squared log-sum of exponentials is added to each loss.
        spread: whether part of targets that are distributions is spread evenly.
        given: what the logits are in memory, a key of ``lossmith.engines.llvm.memory.SIZES``; ``kind`` by default.
        shares: what targets are in memory, likewise; ``i64`` by default where they are class indices.
        by_lane: whether each lane is a row, for few classes; else a vector holds classes of one row.
        across: whether each lane is a row, and the rows of a class lie side by side; see ``row_across``.
        late: the bytes to which the rows of the gradient are aligned, where it is written past the caches, of each row
            while the next is looked at, see ``row_late``; 0 where it is not.
    """

    kind: Kind
    targets: Targets
    losses: bool
    gradient: bool
    hessian: bool
    summed: bool
    weighted: bool = False
    masked: bool = False
    adjusted: bool = False
    penalised: bool = False
    spread: bool = False
    given: str = ""
    shares: str = ""
    by_lane: bool = False
    across: bool = False
    late: int = 0

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return 4 if self.kind == "float" else 8

    def element(self, array: str) -> str:
        """Return what an array holds, a key of ``lossmith.engines.llvm.memory.SIZES``."""
        if array == "targets" and self.targets != "soft":
            return self.shares or "i64"
        return {"logits": self.given, "targets": self.shares}.get(array, "") or self.kind

    @property
    def derived(self) -> tuple[str, ...]:
        """The arrays of derivatives that are written."""
        return tuple(name for name, there in (("gradient", self.gradient), ("hessian", self.hessian)) if there)

    @property
    def left(self) -> tuple[str, ...]:
        """The numbers of a row that its derivatives are made of, of ``SLOTS``."""
        indices, soft, hessian = self.targets == "indices", self.targets == "soft", self.hessian
        wanted = {
            "factor": True, "scale": indices and self.gradient,
            "fixed": indices or (self.targets == "smoothed" and self.gradient), "target": hessian and not soft,
            "inverse": hessian or not indices, "rest": hessian or not indices,
            "slope": soft or (hessian and indices), "bend": hessian and indices, "pull": self.penalised,
        }  # fmt: skip
        return tuple(name for name, there in wanted.items() if there)

    @property
    def spreads(self) -> bool:
        """Whether part of each target is spread evenly."""
        return self.spread or self.targets == "smoothed"


ARGUMENTS = (
    "logits", "targets", "losses", "gradient", "hessian", "weight", "mask", "records", "uniforms", "scratch",
    "adjustment",
)  # fmt: skip
"""Pointers in the table that a kernel gets, in order."""

ACROSS = ("logits", "targets", "gradient", "hessian")
"""Arrays whose classes may lie apart. One pointer more then leads to whole numbers: how many rows lie side by side; and
for each of these arrays the bytes from one stretch of so many to the next, and from one class to the next."""

REGIONS = ("kept", "shares", "turned")
"""What scratch holds for each class of a group of rows where lanes are rows: logits, later their exponentials; targets
that are distributions; and derivatives on their way out."""

SLOTS = (
    "top", "others", "apart", "mass", "target", "power", "scale", "fixed", "inverse", "rest", "slope", "bend", "factor",
    "pull",
)  # fmt: skip
"""Numbers that each row of a group leaves at the end of scratch, a vector of 64-bit room for each."""


def class_of(form: RowForm, row: str) -> list[str]:
    """Return the lines that load the class index of ``%{row}_row``, and ``%{row}_class``, which is one in any case."""
    element, one = form.element("targets"), Body(form.kind, 1, f"{row}_class")
    kept = in_memory(element)
    at = one.write("ptr", f"getelementptr {kept}, ptr %targets, i64 %{row}_row").name
    loaded = one.write(one.vector(kept), f"load {one.vector(kept)}, ptr {at}, align {SIZES[element]}")
    found = whole(one, loaded, element)
    return [
        *one.lines,
        f"  %{row}_label = extractelement {found.type} {found.name}, i32 0",
        f"  %{row}_inside = icmp ult i64 %{row}_label, %classes",
        f"  %{row}_class = select i1 %{row}_inside, i64 %{row}_label, i64 0",
    ]


def slot_at(name: str, width: int) -> str:
    """Return the instruction that says where such numbers of a group lie."""
    return f"getelementptr i8, ptr %slots, i64 {SLOTS.index(name) * 8 * width}"
