"""Sums in the order of NumPy's, which adds eight by eight up to 128 numbers, and halves what is more.

Arithmetic has the same bits on every engine; with the same order of its sums so has a cost.
"""

from __future__ import annotations

from lossmith.engines.llvm.lanes import Kind

KINDS: tuple[Kind, ...] = ("float", "double")


def name(kind: Kind) -> str:
    """Return what the sum of numbers of a type is called: ``(where they begin, how many) -> double``."""
    return f"pairwise_{kind}"


def text(kind: Kind) -> str:
    """Return the function that sums numbers of a type in double precision."""
    size = 4 if kind == "float" else 8

    def load(to: str, place: str, lanes: int) -> str:
        given, wide = (kind, "double") if lanes == 1 else (f"<{lanes} x {kind}>", f"<{lanes} x double>")
        loaded = to if kind == "double" else f"{to}_given"
        return f"""
  %{to}_at = getelementptr {kind}, ptr %begin, i64 {place}
  %{loaded} = load {given}, ptr %{to}_at, align {size}""" + (
            "" if kind == "double" else f"\n  %{to} = fpext {given} %{loaded} to {wide}"
        )

    return f"""
define double @{name(kind)}(ptr %begin, i64 %count) {{
entry:
  %is_few = icmp ult i64 %count, 8
  br i1 %is_few, label %rest, label %several

several:
  %is_much = icmp ugt i64 %count, 128
  br i1 %is_much, label %halves, label %begun

begun:{load("first", "0", 8)}
  %whole = and i64 %count, -8
  %has_more = icmp ugt i64 %whole, 8
  br i1 %has_more, label %eight, label %eights

eight:
  %place = phi i64 [ 8, %begun ], [ %next_place, %eight ]
  %before = phi <8 x double> [ %first, %begun ], [ %sum8, %eight ]{load("next", "%place", 8)}
  %sum8 = fadd <8 x double> %before, %next
  %next_place = add i64 %place, 8
  %again = icmp ult i64 %next_place, %whole
  br i1 %again, label %eight, label %eights

eights:
  %all8 = phi <8 x double> [ %first, %begun ], [ %sum8, %eight ]
  %even4 = shufflevector <8 x double> %all8, <8 x double> zeroinitializer, <4 x i32> <i32 0, i32 2, i32 4, i32 6>
  %odd4 = shufflevector <8 x double> %all8, <8 x double> zeroinitializer, <4 x i32> <i32 1, i32 3, i32 5, i32 7>
  %sum4 = fadd <4 x double> %even4, %odd4
  %even2 = shufflevector <4 x double> %sum4, <4 x double> zeroinitializer, <2 x i32> <i32 0, i32 2>
  %odd2 = shufflevector <4 x double> %sum4, <4 x double> zeroinitializer, <2 x i32> <i32 1, i32 3>
  %sum2 = fadd <2 x double> %even2, %odd2
  %left1 = extractelement <2 x double> %sum2, i32 0
  %right1 = extractelement <2 x double> %sum2, i32 1
  %of_eights = fadd double %left1, %right1
  br label %rest

rest:
  %from = phi i64 [ 0, %entry ], [ %whole, %eights ]
  %so_far = phi double [ -0.0, %entry ], [ %of_eights, %eights ]
  %is_left = icmp ult i64 %from, %count
  br i1 %is_left, label %one, label %done

one:
  %spot = phi i64 [ %from, %rest ], [ %next_spot, %one ]
  %till = phi double [ %so_far, %rest ], [ %sum, %one ]{load("single", "%spot", 1)}
  %sum = fadd double %till, %single
  %next_spot = add i64 %spot, 1
  %more = icmp ult i64 %next_spot, %count
  br i1 %more, label %one, label %done

done:
  %result = phi double [ %so_far, %rest ], [ %sum, %one ]
  ret double %result

halves:
  %half = lshr i64 %count, 1
  %low = and i64 %half, -8
  %high = sub i64 %count, %low
  %middle = getelementptr {kind}, ptr %begin, i64 %low
  %below = call double @{name(kind)}(ptr %begin, i64 %low)
  %above = call double @{name(kind)}(ptr %middle, i64 %high)
  %both = fadd double %below, %above
  ret double %both
}}
"""
