"""How functions that take arrays find out where one lies and what it holds, in LLVM's text; see ``entry``.

Each text begins with ``%object`` and what is known of it, ``%held``, and ends with ``%data``, ``%lengths`` and
``%axes``. It goes to ``general`` where the object is not what is known.
"""

from __future__ import annotations

from lossmith.engines.llvm import entry_layout as layout
from lossmith.engines.llvm import exchange
from lossmith.engines.llvm.entry_layout import Fact, Slot


def knows(name: str, slot: Slot, type_: str = "i64") -> str:
    """Return the lines that load what a function knows."""
    return f"""
  %{name}_at = getelementptr i64, ptr %known, i64 {slot:d}
  %{name} = load {type_}, ptr %{name}_at, align 8"""


def fact(name: str, fact: Fact, type_: str = "i64", of: str = "facts") -> str:
    """Return the lines that load what a function knows of an array."""
    return f"""
  %{name}_at = getelementptr i64, ptr %{of}, i64 {fact:d}
  %{name} = load {type_}, ptr %{name}_at, align 8"""


def holds(name: str, of: str, offset: int, type_: str) -> str:
    """Return the lines that load what lies at an offset in something."""
    return f"""
  %{name}_at = getelementptr i8, ptr %{of}, i64 {offset}
  %{name} = load {type_}, ptr %{name}_at, align {4 if type_ == "i32" else 8}"""


def go_on(name: str, condition: str) -> str:
    """Return the end of a block, and the label of the next, where a condition holds."""
    return f"""
  br i1 {condition}, label %{name}, label %general

{name}:"""


OF_ARRAYS = "".join([
    knows("ndarray", Slot.NDARRAY, "ptr"),
    holds("class", "object", layout.CLASS, "ptr"),
    "\n  %is_array = icmp eq ptr %class, %ndarray",
    go_on("typed", "%is_array"),
    holds("dtype", "object", layout.DTYPE, "ptr"),
    holds("kind", "dtype", layout.KIND, "i64"),
    holds("flags", "object", layout.FLAGS, "i32"),
    holds("axes32", "object", layout.AXES, "i32"),
    holds("lengths", "object", layout.SHAPE, "ptr"),
    holds("data", "object", layout.DATA, "ptr"),
    fact("right_kind", Fact.KIND, of="held"),
    fact("right_flags", Fact.FLAGS, "i32", of="held"),
    """
  %axes = sext i32 %axes32 to i64
  %is_kind = icmp eq i64 %kind, %right_kind
  %flags_set = and i32 %flags, %right_flags
  %has_flags = icmp eq i32 %flags_set, %right_flags
  %lies_right = and i1 %is_kind, %has_flags""",
    go_on("told", "%lies_right"),
])  # fmt: skip
"""Of arrays of NumPy, by where NumPy keeps it."""

OF_TENSORS = "".join([
    knows("export", Slot.EXPORT, "ptr"),
    """
  %status = call i32 %export(ptr %object, ptr %said)
  %is_said = icmp eq i32 %status, 0
  br i1 %is_said, label %described, label %refused

refused:""",
    knows("forget", Slot.FORGET, "ptr"),
    """
  call void %forget()
  br label %general

described:""",
    holds("data", "said", exchange.DATA, "ptr"),
    holds("device", "said", exchange.DEVICE, "i32"),
    holds("axes32", "said", exchange.AXES, "i32"),
    holds("kind", "said", exchange.KIND, "i32"),
    holds("lengths", "said", exchange.SHAPE, "ptr"),
    holds("strides", "said", exchange.STRIDES, "ptr"),
    holds("offset", "said", exchange.OFFSET, "i64"),
    fact("right_kind", Fact.KIND, "i32", of="held"),
    fact("wide", Fact.BYTES, of="held"),
    f"""
  %axes = sext i32 %axes32 to i64
  %is_kind = icmp eq i32 %kind, %right_kind
  %is_near = icmp eq i32 %device, {exchange.CPU}
  %begin = ptrtoint ptr %data to i64
  %begins_there = icmp ne i64 %begin, 0
  %beyond = urem i64 %begin, %wide
  %strayed = or i64 %beyond, %offset
  %is_aligned = icmp eq i64 %strayed, 0
  %is_kind_near = and i1 %is_kind, %is_near
  %is_there = and i1 %begins_there, %is_aligned
  %may_lie_right = and i1 %is_kind_near, %is_there""",
    go_on("laid", "%may_lie_right"),
    """
  br label %stride

stride:
  %behind = phi i64 [ %axes, %laid ], [ %at_axis, %stride_on ]
  %inner = phi i64 [ 1, %laid ], [ %outer, %stride_on ]
  %more_strides = icmp sgt i64 %behind, 0
  br i1 %more_strides, label %stride_seen, label %told

stride_seen:
  %at_axis = sub i64 %behind, 1
  %along_at = getelementptr i64, ptr %lengths, i64 %at_axis
  %along = load i64, ptr %along_at, align 8
  %step_at = getelementptr i64, ptr %strides, i64 %at_axis
  %step_seen = load i64, ptr %step_at, align 8
  %is_one = icmp eq i64 %along, 1
  %is_inner = icmp eq i64 %step_seen, %inner
  %is_in_piece = or i1 %is_one, %is_inner""",
    go_on("stride_on", "%is_in_piece"),
    """
  %outer = mul i64 %inner, %along
  br label %stride

told:""",
])  # fmt: skip
"""Of tensors of a library that exports them; see ``exchange``."""
