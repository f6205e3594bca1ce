"""The text of what Python calls with arrays; see ``entry``."""

from __future__ import annotations

from lossmith.engines.llvm import judge, pairwise
from lossmith.engines.llvm.entry_layout import DATA, MOST, NAME, OF_ARRAYS, SEVERAL, Fact, Slot
from lossmith.engines.llvm.entry_reading import fact, go_on, knows
from lossmith.engines.llvm.exchange import DESCRIPTION
from lossmith.engines.llvm.frame import RECORD


def _call(kernel: str, sizes: str) -> str:
    return f"""
{kernel}:
  call void %kernel(ptr %table, double %factor, double %first, double %second, i64 %rows, i64 %classes, {sizes}, \
i64 0, i64 %blocks)
  br label %computed
"""


def text(reading: str) -> str:
    """Return the module with the function ``NAME``, in Python's convention for functions with arguments by place.

    Args:
        reading: what finds out about an array; see ``entry_reading``.
    """
    lines = [
        f"""
define ptr @{NAME}(ptr %self, ptr %given, i64 %count) alignstack(64) {{
entry:
  %begins = alloca [{MOST} x ptr], align 8
  %ends = alloca [{MOST} x ptr], align 8
  %shapes = alloca [{MOST} x ptr], align 8
  %ranks = alloca [{MOST} x i64], align 8
  %table = alloca [{MOST} x ptr], align 8
  %record = alloca [{SEVERAL * RECORD} x i64], align 8
  %total = alloca [2 x double], align 8
  %said = alloca i8, i64 {DESCRIPTION}, align 8
  %known_at = getelementptr i8, ptr %self, i64 {DATA}
  %known = load ptr, ptr %known_at, align 8
  %about = getelementptr i64, ptr %known, i64 {OF_ARRAYS}""",
        knows("arrays", Slot.ARRAYS),
        "\n  %all_there = icmp eq i64 %count, %arrays",
        go_on("complete", "%all_there"),
        f"""
  br label %object_next

object_next:
  %turned = phi i64 [ 0, %complete ], [ %next_object, %told ]
  %object_at = getelementptr ptr, ptr %given, i64 %turned
  %object = load ptr, ptr %object_at, align 8
  %held_from = mul i64 %turned, {len(Fact)}
  %held = getelementptr i64, ptr %about, i64 %held_from""",
        reading,
        """
  %begin_at = getelementptr ptr, ptr %begins, i64 %turned
  store ptr %data, ptr %begin_at, align 8
  %shape_at = getelementptr ptr, ptr %shapes, i64 %turned
  store ptr %lengths, ptr %shape_at, align 8
  %rank_at = getelementptr i64, ptr %ranks, i64 %turned
  store i64 %axes, ptr %rank_at, align 8
  %next_object = add i64 %turned, 1
  %more_objects = icmp slt i64 %next_object, %arrays
  br i1 %more_objects, label %object_next, label %measure

measure:""",
        knows("place", Slot.LEAD),
        knows("least_axes", Slot.LEAST_AXES),
        knows("most_axes", Slot.MOST_AXES),
        knows("classes", Slot.CLASSES),
        """
  %lead_rank_at = getelementptr i64, ptr %ranks, i64 %place
  %lead_axes = load i64, ptr %lead_rank_at, align 8
  %lead_shape_at = getelementptr ptr, ptr %shapes, i64 %place
  %shape = load ptr, ptr %lead_shape_at, align 8
  %of_rows = icmp ne i64 %classes, 0
  %axes_enough = icmp sge i64 %lead_axes, %least_axes
  %axes_few = icmp sle i64 %lead_axes, %most_axes
  %axes_right = and i1 %axes_enough, %axes_few""",
        go_on("sizing", "%axes_right"),
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
        knows("least", Slot.LEAST),
        knows("most", Slot.MOST),
        knows("block", Slot.BLOCK),
        knows("tail", Slot.TAIL),
        """
  %is_enough = icmp sge i64 %numbers, %least
  %is_little = icmp sle i64 %numbers, %most
  %in_row = icmp eq i64 %length, %classes
  %rows_fit = select i1 %of_rows, i1 %in_row, i1 true
  %size_fits = and i1 %is_enough, %is_little
  %all_fits = and i1 %size_fits, %rows_fit""",
        go_on("parting", "%all_fits"),
        f"""
  %width = select i1 %of_rows, i64 %classes, i64 1
  %rows = sdiv i64 %numbers, %width
  %rows_beyond = add i64 %rows, %block
  %rows_over = sub i64 %rows_beyond, 1
  %blocks = sdiv i64 %rows_over, %block
  %last_from = sub i64 %blocks, 1
  %rows_before = mul i64 %last_from, %block
  %rows_last = sub i64 %rows, %rows_before
  %numbers_last = mul i64 %rows_last, %width
  %is_one_block = icmp eq i64 %blocks, 1
  %is_tail = icmp sge i64 %numbers_last, %tail
  %is_full = icmp eq i64 %rows_last, %block
  %has_tail = or i1 %is_tail, %is_full
  %ends_well = or i1 %is_one_block, %has_tail
  %are_few_blocks = icmp sle i64 %blocks, {SEVERAL}
  %parts_well = and i1 %ends_well, %are_few_blocks""",
        go_on("reading", "%parts_well"),
        knows("inputs", Slot.INPUTS),
        f"""
  br label %array

array:
  %number = phi i64 [ 0, %reading ], [ %next_number, %array_done ]
  %facts_from = mul i64 %number, {len(Fact)}
  %facts = getelementptr i64, ptr %about, i64 %facts_from
  %own_begin_at = getelementptr ptr, ptr %begins, i64 %number
  %own_begin = load ptr, ptr %own_begin_at, align 8
  %own_shape_at = getelementptr ptr, ptr %shapes, i64 %number
  %own_shape = load ptr, ptr %own_shape_at, align 8
  %own_rank_at = getelementptr i64, ptr %ranks, i64 %number
  %own_rank = load i64, ptr %own_rank_at, align 8""",
        fact("labels", Fact.LABELS),
        """
  %right_rank = sub i64 %lead_axes, %labels
  %has_rank = icmp eq i64 %own_rank, %right_rank""",
        go_on("shaped", "%has_rank"),
        """
  br label %compare

compare:
  %side = phi i64 [ 0, %shaped ], [ %next_side, %compare_on ]
  %own_at = getelementptr i64, ptr %own_shape, i64 %side
  %own = load i64, ptr %own_at, align 8
  %other_at = getelementptr i64, ptr %shape, i64 %side
  %other = load i64, ptr %other_at, align 8
  %sides_agree = icmp eq i64 %own, %other""",
        go_on("compare_on", "%sides_agree"),
        """
  %next_side = add i64 %side, 1
  %more_sides = icmp slt i64 %next_side, %own_rank
  br i1 %more_sides, label %compare, label %agrees

agrees:""",
        fact("bytes", Fact.BYTES),
        fact("logits", Fact.LOOKED_AT),
        """
  %is_labels = icmp ne i64 %labels, 0
  %count_held = select i1 %is_labels, i64 %rows, i64 %numbers
  %long = mul i64 %count_held, %bytes
  %end = getelementptr i8, ptr %own_begin, i64 %long
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
  %lies_behind = icmp ule ptr %beside_end, %own_begin
  %is_apart = or i1 %lies_before, %lies_behind""",
        go_on("apart_on", "%is_apart"),
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
  %double_at = getelementptr double, ptr %own_begin, i64 %spot
  %double_seen = load double, ptr %double_at, align 8
  br label %seen

as_float:
  %float_at = getelementptr float, ptr %own_begin, i64 %spot
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
        knows("mean", Slot.MEAN),
        knows("kernel", Slot.KERNEL, "ptr"),
        knows("first", Slot.FIRST, "double"),
        knows("second", Slot.SECOND, "double"),
        knows("group", Slot.GROUP),
        knows("constants", Slot.CONSTANTS, "ptr"),
        knows("sizes", Slot.SIZES),
        knows("locked", Slot.LOCKED),
        knows("losses", Slot.LOSSES),
        """
  %is_mean = icmp ne i64 %mean, 0
  %divisor_whole = select i1 %is_mean, i64 %rows, i64 1
  %divisor = sitofp i64 %divisor_whole to double
  %inverse = fdiv double 1.0, %divisor
  %is_summed = icmp eq i64 %losses, 0
  %factor = select i1 %is_summed, double %inverse, double %divisor
  br i1 %of_rows, label %fill, label %go

fill:""",
        knows("scratch_bytes", Slot.SCRATCH),
        knows("scratch_place", Slot.SCRATCH_AT),
        knows("record_place", Slot.RECORD_AT),
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
        knows("unlocking", Slot.UNLOCK, "ptr"),
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
i64 %rows, i64 0, i64 %blocks)
  br label %computed
""",
        _call("two", "i64 %block"),
        _call("three", "i64 %block, i64 %group"),
        """
computed:
  br i1 %lets_go, label %lock, label %judge

lock:""",
        knows("locking", Slot.LOCK, "ptr"),
        """
  call void %locking(ptr %held_by)
  br label %judge

judge:""",
        knows("leaves", Slot.LEAVES),
        f"""
  %said_of_all = call i64 @{judge.NAME}(ptr %record, i64 %blocks, i64 %leaves, ptr %total)
  %is_whole = icmp eq i64 %said_of_all, {judge.WHOLE}""",
        go_on("give", "%is_whole"),
        knows("make_float", Slot.FLOAT, "ptr"),
        """
  %sum_of_all = load double, ptr %total, align 8
  %lacking_at = getelementptr double, ptr %total, i64 1
  %lacking = load double, ptr %lacking_at, align 8
  %of_blocks = fadd double %sum_of_all, %lacking
  %summed = select i1 %is_one_block, double %sum_of_all, double %of_blocks
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
        go_on("divide_after", "%is_finite"),
        """
  br label %divide

divide:
  %sum = phi double [ %summed, %give ], [ %added, %divide_after ]
  %cost = fdiv double %sum, %divisor
  %made = call ptr %make_float(double %cost)
  ret ptr %made

general:""",
        knows("increase", Slot.INCREF, "ptr"),
        knows("none", Slot.NONE, "ptr"),
        """
  call void %increase(ptr %none)
  ret ptr %none
}

declare void @llvm.memcpy.p0.p0.i64(ptr noalias nocapture writeonly, ptr noalias nocapture readonly, i64, i1 immarg)
""",
    ]
    return "".join([*lines, judge.TEXT, *map(pairwise.text, pairwise.KINDS)])
