"""The text of what Python calls with arrays; see ``entry``."""

from __future__ import annotations

from lossmith.engines.llvm import pairwise
from lossmith.engines.llvm.entry_layout import (
    AXES,
    CLASS,
    DATA,
    DTYPE,
    FLAGS,
    KIND,
    MOST,
    NAME,
    OF_ARRAYS,
    SHAPE,
    Fact,
    Slot,
)
from lossmith.engines.llvm.frame import NOWHERE, RECORD


def _knows(name: str, slot: Slot, type_: str = "i64") -> str:
    return f"""
  %{name}_at = getelementptr i64, ptr %known, i64 {slot:d}
  %{name} = load {type_}, ptr %{name}_at, align 8"""


def _fact(name: str, fact: Fact, type_: str = "i64") -> str:
    return f"""
  %{name}_at = getelementptr i64, ptr %facts, i64 {fact:d}
  %{name} = load {type_}, ptr %{name}_at, align 8"""


def _holds(name: str, of: str, offset: int, type_: str) -> str:
    return f"""
  %{name}_at = getelementptr i8, ptr %{of}, i64 {offset}
  %{name} = load {type_}, ptr %{name}_at, align {4 if type_ == "i32" else 8}"""


def _go_on(name: str, condition: str) -> str:
    return f"""
  br i1 {condition}, label %{name}, label %general

{name}:"""


def _call(kernel: str, sizes: str) -> str:
    return f"""
{kernel}:
  call void %kernel(ptr %table, double %factor, double %first, double %second, i64 %rows, i64 %classes, {sizes}, \
i64 0, i64 1)
  br label %computed
"""


def text() -> str:
    """Return the module with the function ``NAME``, in Python's convention for functions with arguments by place."""
    at_lead = f"""
define ptr @{NAME}(ptr %self, ptr %given, i64 %count) alignstack(64) {{
entry:
  %begins = alloca [{MOST} x ptr], align 8
  %ends = alloca [{MOST} x ptr], align 8
  %table = alloca [{MOST} x ptr], align 8
  %record = alloca [{RECORD} x i64], align 8
  %known_at = getelementptr i8, ptr %self, i64 {DATA}
  %known = load ptr, ptr %known_at, align 8
  %about = getelementptr i64, ptr %known, i64 {OF_ARRAYS}"""
    lines = [
        at_lead,
        _knows("arrays", Slot.ARRAYS),
        "\n  %all_there = icmp eq i64 %count, %arrays",
        _go_on("complete", "%all_there"),
        _knows("ndarray", Slot.NDARRAY, "ptr"),
        _knows("place", Slot.LEAD),
        "\n  %lead_at = getelementptr ptr, ptr %given, i64 %place\n  %lead = load ptr, ptr %lead_at, align 8",
        _holds("lead_class", "lead", CLASS, "ptr"),
        "\n  %lead_is_array = icmp eq ptr %lead_class, %ndarray",
        _go_on("measure", "%lead_is_array"),
        _holds("lead_axes32", "lead", AXES, "i32"),
        "\n  %lead_axes = sext i32 %lead_axes32 to i64",
        _holds("shape", "lead", SHAPE, "ptr"),
        _knows("classes", Slot.CLASSES),
        """
  %of_rows = icmp ne i64 %classes, 0
  %least_axes = select i1 %of_rows, i64 2, i64 1
  %axes_enough = icmp sge i64 %lead_axes, %least_axes""",
        _go_on("sizing", "%axes_enough"),
        """
  br label %multiply

multiply:
  %axis = phi i64 [ 0, %sizing ], [ %next_axis, %multiply ]
  %before = phi i64 [ 1, %sizing ], [ %numbers, %multiply ]
  %length_at = getelementptr i64, ptr %shape, i64 %axis
  %length = load i64, ptr %length_at, align 8
  %numbers = mul i64 %before, %length
  %next_axis = add i64 %axis, 1
  %more_axes = icmp slt i64 %next_axis, %lead_axes
  br i1 %more_axes, label %multiply, label %sized

sized:""",
        _knows("least", Slot.LEAST),
        _knows("most", Slot.MOST),
        """
  %is_enough = icmp sge i64 %numbers, %least
  %is_little = icmp sle i64 %numbers, %most
  %in_row = icmp eq i64 %length, %classes
  %rows_fit = select i1 %of_rows, i1 %in_row, i1 true
  %size_fits = and i1 %is_enough, %is_little
  %all_fits = and i1 %size_fits, %rows_fit""",
        _go_on("reading", "%all_fits"),
        _knows("inputs", Slot.INPUTS),
        """
  %width = select i1 %of_rows, i64 %classes, i64 1
  %rows = sdiv i64 %numbers, %width
  br label %array

array:
  %number = phi i64 [ 0, %reading ], [ %next_number, %array_done ]
  %object_at = getelementptr ptr, ptr %given, i64 %number
  %object = load ptr, ptr %object_at, align 8
  %facts_from = mul i64 %number, """
        + f"{len(Fact)}"
        + """
  %facts = getelementptr i64, ptr %about, i64 %facts_from""",
        _holds("class", "object", CLASS, "ptr"),
        "\n  %is_array = icmp eq ptr %class, %ndarray",
        _go_on("typed", "%is_array"),
        _holds("dtype", "object", DTYPE, "ptr"),
        _holds("kind", "dtype", KIND, "i64"),
        _holds("flags", "object", FLAGS, "i32"),
        _holds("axes32", "object", AXES, "i32"),
        _holds("lengths", "object", SHAPE, "ptr"),
        _holds("data", "object", DATA, "ptr"),
        _fact("right_kind", Fact.KIND),
        _fact("right_flags", Fact.FLAGS, "i32"),
        _fact("labels", Fact.LABELS),
        """
  %is_kind = icmp eq i64 %kind, %right_kind
  %flags_set = and i32 %flags, %right_flags
  %has_flags = icmp eq i32 %flags_set, %right_flags
  %axes = sext i32 %axes32 to i64
  %right_axes = sub i64 %lead_axes, %labels
  %has_axes = icmp eq i64 %axes, %right_axes
  %lies_right = and i1 %is_kind, %has_flags
  %is_right = and i1 %lies_right, %has_axes""",
        _go_on("shaped", "%is_right"),
        """
  br label %compare

compare:
  %side = phi i64 [ 0, %shaped ], [ %next_side, %compare_on ]
  %own_at = getelementptr i64, ptr %lengths, i64 %side
  %own = load i64, ptr %own_at, align 8
  %other_at = getelementptr i64, ptr %shape, i64 %side
  %other = load i64, ptr %other_at, align 8
  %sides_agree = icmp eq i64 %own, %other""",
        _go_on("compare_on", "%sides_agree"),
        """
  %next_side = add i64 %side, 1
  %more_sides = icmp slt i64 %next_side, %axes
  br i1 %more_sides, label %compare, label %agrees

agrees:""",
        _fact("bytes", Fact.BYTES),
        _fact("logits", Fact.LOOKED_AT),
        """
  %is_labels = icmp ne i64 %labels, 0
  %held = select i1 %is_labels, i64 %rows, i64 %numbers
  %long = mul i64 %held, %bytes
  %end = getelementptr i8, ptr %data, i64 %long
  %begin_at = getelementptr ptr, ptr %begins, i64 %number
  store ptr %data, ptr %begin_at, align 8
  %end_at = getelementptr ptr, ptr %ends, i64 %number
  store ptr %end, ptr %end_at, align 8
  %is_read = icmp slt i64 %number, %inputs
  br i1 %is_read, label %read, label %apart

apart:
  %beside = phi i64 [ 0, %agrees ], [ %next_beside, %apart_on ]
  %is_itself = icmp eq i64 %beside, %number
  br i1 %is_itself, label %array_done, label %beside_it

beside_it:
  %beside_begin_at = getelementptr ptr, ptr %begins, i64 %beside
  %beside_begin = load ptr, ptr %beside_begin_at, align 8
  %beside_end_at = getelementptr ptr, ptr %ends, i64 %beside
  %beside_end = load ptr, ptr %beside_end_at, align 8
  %lies_before = icmp ule ptr %end, %beside_begin
  %lies_behind = icmp ule ptr %beside_end, %data
  %is_apart = or i1 %lies_before, %lies_behind""",
        _go_on("apart_on", "%is_apart"),
        """
  %next_beside = add i64 %beside, 1
  br label %apart

read:
  %looked_at = icmp ne i64 %logits, 0
  br i1 %looked_at, label %looks, label %array_done

looks:
  %all_over = icmp slt i64 %logits, 0
  %places = sub i64 0, %logits
  %are_few = icmp slt i64 %numbers, %places
  %none_to_see = and i1 %all_over, %are_few
  br i1 %none_to_see, label %array_done, label %look_on

look_on:
  %parts = select i1 %all_over, i64 %places, i64 1
  %step_over = sdiv i64 %numbers, %parts
  %step = select i1 %all_over, i64 %step_over, i64 1
  %stop = select i1 %all_over, i64 %numbers, i64 %logits
  br label %look

look:
  %spot = phi i64 [ 0, %look_on ], [ %next_spot, %look_more ]
  %is_double = icmp eq i64 %bytes, 8
  br i1 %is_double, label %as_double, label %as_float

as_double:
  %double_at = getelementptr double, ptr %data, i64 %spot
  %double_seen = load double, ptr %double_at, align 8
  br label %seen

as_float:
  %float_at = getelementptr float, ptr %data, i64 %spot
  %float_seen = load float, ptr %float_at, align 4
  %widened = fpext float %float_seen to double
  br label %seen

seen:
  %sight = phi double [ %double_seen, %as_double ], [ %widened, %as_float ]
  %is_above = fcmp oge double %sight, 0.0
  %is_below = fcmp ole double %sight, 1.0
  %may_be_probability = and i1 %is_above, %is_below
  br i1 %may_be_probability, label %look_more, label %array_done

look_more:
  %next_spot = add i64 %spot, %step
  %more_spots = icmp slt i64 %next_spot, %stop
  br i1 %more_spots, label %look, label %general

array_done:
  %next_number = add i64 %number, 1
  %more_arrays = icmp slt i64 %next_number, %arrays
  br i1 %more_arrays, label %array, label %ready

ready:""",
        _knows("mean", Slot.MEAN),
        _knows("kernel", Slot.KERNEL, "ptr"),
        _knows("first", Slot.FIRST, "double"),
        _knows("second", Slot.SECOND, "double"),
        _knows("block", Slot.BLOCK),
        _knows("group", Slot.GROUP),
        _knows("constants", Slot.CONSTANTS, "ptr"),
        _knows("sizes", Slot.SIZES),
        _knows("locked", Slot.LOCKED),
        _knows("losses", Slot.LOSSES),
        """
  %is_mean = icmp ne i64 %mean, 0
  %divisor_whole = select i1 %is_mean, i64 %rows, i64 1
  %divisor = sitofp i64 %divisor_whole to double
  %inverse = fdiv double 1.0, %divisor
  %is_summed = icmp eq i64 %losses, 0
  %factor = select i1 %is_summed, double %inverse, double %divisor
  br i1 %of_rows, label %fill, label %go

fill:""",
        _knows("scratch_bytes", Slot.SCRATCH),
        _knows("scratch_place", Slot.SCRATCH_AT),
        _knows("record_place", Slot.RECORD_AT),
        f"""
  %scratch = alloca i8, i64 %scratch_bytes, align 64
  %table_from = getelementptr i64, ptr %known, i64 {Slot.TABLE:d}
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %table, ptr align 8 %table_from, i64 128, i1 false)
  %scratch_at = getelementptr ptr, ptr %table, i64 %scratch_place
  store ptr %scratch, ptr %scratch_at, align 8
  %record_at = getelementptr ptr, ptr %table, i64 %record_place
  store ptr %record, ptr %record_at, align 8
  br label %put

put:
  %turn = phi i64 [ 0, %fill ], [ %next_turn, %put ]
  %turn_from = mul i64 %turn, {len(Fact)}
  %turn_fact = add i64 %turn_from, {Fact.AT:d}
  %at_at = getelementptr i64, ptr %about, i64 %turn_fact
  %at = load i64, ptr %at_at, align 8
  %put_from = getelementptr ptr, ptr %begins, i64 %turn
  %put_begin = load ptr, ptr %put_from, align 8
  %put_at = getelementptr ptr, ptr %table, i64 %at
  store ptr %put_begin, ptr %put_at, align 8
  %next_turn = add i64 %turn, 1
  %more_turns = icmp slt i64 %next_turn, %arrays
  br i1 %more_turns, label %put, label %go

go:
  %lets_go = icmp sge i64 %numbers, %locked
  br i1 %lets_go, label %unlock, label %compute

unlock:""",
        _knows("unlocking", Slot.UNLOCK, "ptr"),
        """
  %thread = call ptr %unlocking()
  br label %compute

compute:
  %held_by = phi ptr [ null, %go ], [ %thread, %unlock ]
  switch i64 %sizes, label %numbers_kernel [ i64 2, label %two i64 3, label %three ]

numbers_kernel:
  %outputs = getelementptr ptr, ptr %begins, i64 %inputs
  br i1 %is_summed, label %numbers_go, label %put_losses

put_losses:
  %losses_bytes = mul i64 %numbers, %losses
  %losses_room = alloca i8, i64 %losses_bytes, align 64
  store ptr %losses_room, ptr %table, align 8
  %after_losses = getelementptr ptr, ptr %table, i64 1
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %after_losses, ptr align 8 %outputs, i64 64, i1 false)
  br label %numbers_go

numbers_go:
  %filled = phi ptr [ %outputs, %numbers_kernel ], [ %table, %put_losses ]
  call void %kernel(ptr %begins, ptr %constants, ptr %filled, ptr null, ptr null, ptr %record, double %factor, \
i64 %rows, i64 0, i64 1)
  br label %computed
""",
        _call("two", "i64 %block"),
        _call("three", "i64 %block, i64 %group"),
        """
computed:
  br i1 %lets_go, label %lock, label %judge

lock:""",
        _knows("locking", Slot.LOCK, "ptr"),
        """
  call void %locking(ptr %held_by)
  br label %judge

judge:
  %count_at = getelementptr i64, ptr %record, i64 1
  %counted = load i64, ptr %count_at, align 8
  %bad_at = getelementptr i64, ptr %record, i64 2
  %bad = load i64, ptr %bad_at, align 8
  %wrong_at = getelementptr i64, ptr %record, i64 3
  %wrong = load i64, ptr %wrong_at, align 8""",
        _knows("leaves", Slot.LEAVES),
        f"""
  %none_bad = icmp eq i64 %bad, {NOWHERE}
  %none_wrong = icmp eq i64 %wrong, {NOWHERE}
  %left = and i64 %counted, %leaves
  %none_left = icmp eq i64 %left, 0
  %all_right = and i1 %none_bad, %none_wrong
  %is_fine = and i1 %all_right, %none_left""",
        _go_on("give", "%is_fine"),
        _knows("make_float", Slot.FLOAT, "ptr"),
        """
  %summed = load double, ptr %record, align 8
  %losses_at_all = load ptr, ptr %table, align 8
  switch i64 %losses, label %divide [ i64 4, label %floats i64 8, label %doubles ]

floats:
  %sum_of_floats = call double @pairwise_float(ptr %losses_at_all, i64 %numbers)
  br label %judge_sum

doubles:
  %sum_of_doubles = call double @pairwise_double(ptr %losses_at_all, i64 %numbers)
  br label %judge_sum

judge_sum:
  %added = phi double [ %sum_of_floats, %floats ], [ %sum_of_doubles, %doubles ]
  %nothing = fsub double %added, %added
  %is_finite = fcmp oeq double %nothing, 0.0""",
        _go_on("divide_after", "%is_finite"),
        """
  br label %divide

divide:
  %sum = phi double [ %summed, %give ], [ %added, %divide_after ]
  %cost = fdiv double %sum, %divisor
  %made = call ptr %make_float(double %cost)
  ret ptr %made

general:""",
        _knows("increase", Slot.INCREF, "ptr"),
        _knows("none", Slot.NONE, "ptr"),
        """
  call void %increase(ptr %none)
  ret ptr %none
}

declare void @llvm.memcpy.p0.p0.i64(ptr noalias nocapture writeonly, ptr noalias nocapture readonly, i64, i1 immarg)
""",
    ]
    return "".join([*lines, *map(pairwise.text, pairwise.KINDS)])
