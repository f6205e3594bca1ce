"""Kernels over pairs of rows, and how they are called."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import Findings
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import threads
from lossmith.engines.llvm.divergence_frame import (
    DivergenceForm,
    Formulas,
    Given,
    Text,
    first_lane,
    number_at,
    single,
)
from lossmith.engines.llvm.divergence_looks import Looks
from lossmith.engines.llvm.divergence_quick import Quick, is_quick
from lossmith.engines.llvm.frame import FENCE, NAME, begin_blocks, end_blocks, noticed
from lossmith.engines.llvm.kernel import RECORD_TYPE, STREAMING, address, findings, pointer, uniform
from lossmith.engines.llvm.lanes import Lanes
from lossmith.engines.llvm.memory import SIZES
from lossmith.engines.llvm.row_places import Places
from lossmith.engines.regimes import decided
from lossmith.program import Program

Array = npt.NDArray[Any]

ARGUMENTS = (
    "p", "q", "losses", "gradient_p", "gradient_q", "hessian_p", "hessian_q", "weight", "mask", "records", "uniforms",
    "scratch",
)  # fmt: skip
"""Pointers in the table that a kernel gets, in order."""

_SCRATCH = tuple(f"{name}_{symbol}" for symbol in "pq" for name in ("powers", "beta", "curve"))

_PLAIN: Mapping[str, Given] = {
    "probabilities": "probabilities", "log_probabilities": "log_probabilities", "logits": "logits",
    "values": "probabilities", "log_values": "log_probabilities",
}  # fmt: skip

LEAST_NUMBERS = 16_384
"""Numbers that are worth a thread of their own."""

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_double] * 3, *[ctypes.c_int64] * 5)


def module(formulas: Formulas, form: DivergenceForm, width: int, *, on_x86: bool = True) -> str:
    """Return the module of a kernel.

    It is called with: a table of pointers (see ``ARGUMENTS``); what derivatives are multiplied by; what logits are
    multiplied by; which multiple of Σ p log(p/q) the loss is, if any; the number of rows and of classes; the rows of a
    block; the first block to work on, and the one to stop before. ``scratch`` has room for six numbers for each class,
    in whole vectors and aligned to them. In the record of a block, ``count`` says whether derivatives are left to the
    reference, since they are limits.
    """
    text = Text([], set())
    b = text.row(width, "u")
    long = b.vector("i64")
    lanes = f"<{', '.join(f'i64 {lane}' for lane in range(width))}>"
    for place, name in enumerate(ARGUMENTS):
        b.lines.append(f"  %{name}_at = getelementptr ptr, ptr %table, i64 {place}")
        b.lines.append(f"  %{name} = load ptr, ptr %{name}_at, align 8")
    b.lines += [
        f"  %rest_classes = and i64 %classes, {width - 1}",
        "  %whole_classes = sub i64 %classes, %rest_classes",
        "  %any_whole = icmp ne i64 %whole_classes, 0",
        "  %no_rest = icmp eq i64 %rest_classes, 0",
        f"  %more_classes = add i64 %classes, {width - 1}",
        f"  %stride = and i64 %more_classes, -{width}",
    ]
    for place, name in enumerate(_SCRATCH):
        b.lines.append(f"  %scratch_{name}_from = mul i64 %stride, {place}")
        b.lines.append(f"  %scratch_{name} = getelementptr double, ptr %scratch, i64 %scratch_{name}_from")
    b.lines.append(f"  %inside = icmp ult {long} {lanes}, {single(b, 'i64', '%rest_classes').name}")
    b.lines.append(f"  %scale = fadd {b.real} {single(b, 'double', '%scale_one').name}, splat (double -0.0)")
    values: dict[Program, dict[int, Lanes]] = {}
    place = 0
    for program in formulas.each():
        known = values.setdefault(program, {})
        for number in (n for n, same in enumerate(program.uniform) if same):
            value = number_at(b, "%uniforms", "double", str(place))
            known[number] = value if program.types[number] == "real" else value.equals(0.0) ^ b.always
            place += 1
    text.close(b)
    quick = Quick(form, text, 2 * width) if is_quick(form) else None
    if quick is not None:
        quick.enter()
    text.lines += _begin(form)
    looks = Looks(form, formulas, values, text, width)
    counts, weight = _row_factor(text, form, width)
    if quick is not None:
        quick.write()
    wrong = looks.largest() if form.logits() else replace(b.always, name="zeroinitializer")
    if form.logits():
        looks.sums()
        if form.both_logits:
            looks.growth()
        looks.slopes()
    found = looks.terms()
    looks.derivatives(found)
    _join(text, form, width, found, wrong)
    _end_of_row(text, form, width, counts, weight)
    fenced = form.streaming and on_x86
    if fenced:
        text.declared.add(FENCE)
    head = (
        f"define void @{NAME}(ptr %table, double %factor, double %scale_one, double %multiple_one, i64 %rows, "
        "i64 %classes, i64 %block_rows, i64 %first_block, i64 %last_block) {\nentry:\n"
    )
    text.lines += ["block_done:", *noticed("%bad_now", "%wrong_now", "%limit_now")]
    body = "\n".join(text.lines)
    return "\n".join(sorted(text.declared)) + f"\n{head}{body}\n{end_blocks('%sum_now', fenced=fenced)}"


def _begin(form: DivergenceForm) -> list[str]:
    """Return the lines with which blocks and rows begin."""
    rows = [name for name in ARGUMENTS if name in ("p", "q") or name.partition("_")[0] in ("gradient", "hessian")]
    return [
        begin_blocks("%block_rows"),
        "  br label %one_row\none_row:",
        "  %row = phi i64 [ %start, %blocks ], [ %next_row, %row_done ]",
        "  %sum = phi double [ 0.0, %blocks ], [ %sum_now, %row_done ]",
        *(f"  %{name} = phi i1 [ false, %blocks ], [ %{name}_now, %row_done ]" for name in ("bad", "wrong", "limit")),
        "  %base = mul i64 %row, %classes",
        *(f"  %row_{name} = getelementptr {form.element}, ptr %{name}, i64 %base" for name in rows),
    ]


def _row_factor(text: Text, form: DivergenceForm, width: int) -> tuple[Lanes, Lanes | None]:
    """Write whether the row counts and what its derivatives are multiplied by; return whether, and its weight."""
    b = text.row(width, "w")
    counts, factor, weight = b.always, single(b, "double", "%factor"), None
    zero = b.number(0.0)
    if form.masked:
        byte = number_at(b, "%mask", "i8", "%row")
        counts = b.write(b.truth, f"icmp ne {byte.type} {byte.name}, zeroinitializer")
    if form.weighted:
        weight = number_at(b, "%weight", "double", "%row")
        factor = b.select(weight > zero, factor * weight, zero)
    factor = b.select(counts, factor, zero)
    scale = Lanes(b, b.real, "%scale")
    for name in ("gradient", "hessian"):
        factor = factor * scale if form.scaled else factor
        b.lines.append(f"  %factor_{name} = fadd {b.real} {factor.name}, splat (double 0.0)")
    if is_quick(form):
        b.lines.append(f"  %factor_first = extractelement {b.real} %factor_gradient, i32 0")
    text.close(b)
    return counts, weight


def _join(text: Text, form: DivergenceForm, width: int, found: Mapping[str, Lanes], wrong: Lanes) -> None:
    """Write what is known of a row, whichever way it went: its loss, whether it is none, whether limits are asked."""
    b = text.row(width, "j")
    limit = replace(b.always, name="zeroinitializer")
    for name, beta in found.items():
        if name.startswith("beta"):
            limit = limit | ((b.abs(replace(beta, body=b)) < math.inf) ^ b.always)
    first_lane(b, replace(found["value"], body=b), "slow_value")
    first_lane(b, replace(wrong, body=b) | found["wrong"], "slow_wrong")
    first_lane(b, limit, "slow_limit")
    b.lines.append("  br label %slow_done\nslow_done:\n  br label %joined\njoined:")
    for name, type_ in (("value", "double"), ("wrong", "i1"), ("limit", "i1")):
        quick = f", [ {'%quick_value' if name == 'value' else 'false'}, %quick_done ]" if is_quick(form) else ""
        b.lines.append(f"  %row_{name} = phi {type_} [ %slow_{name}, %slow_done ]{quick}")
    text.close(b)


def _end_of_row(text: Text, form: DivergenceForm, width: int, counts: Lanes, weight: Lanes | None) -> None:
    """Write what becomes of the loss of a row, and what is carried to the next."""
    b = text.row(width, "x")
    value, counts, zero = single(b, "double", "%row_value"), replace(counts, body=b), b.number(0.0)
    bad = counts & ((b.abs(value) < math.inf) ^ b.always)
    term = value
    if weight is not None:
        w = replace(weight, body=b)
        term = b.select(w > zero, value * w, zero)
    term = b.select(counts, term, zero)
    first_lane(b, term, "term")
    if "losses" in form.written:
        one, at = "%term", "%loss_at"
        if form.element == "float":
            b.lines.append("  %term_short = fptrunc double %term to float")
            one = "%term_short"
        b.lines.append(f"  {at} = getelementptr {form.element}, ptr %losses, i64 %row")
        b.lines.append(f"  store {form.element} {one}, ptr {at}, align {SIZES[form.element]}")
    first_lane(b, bad, "bad_here")
    first_lane(b, counts & single(b, "i1", "%row_wrong"), "wrong_here")
    first_lane(b, counts & single(b, "i1", "%row_limit"), "limit_here")
    b.lines += [
        *(f"  %{name}_now = or i1 %{name}, %{name}_here" for name in ("bad", "wrong", "limit")),
        "  %sum_now = fadd double %sum, %term",
        "  br label %row_done\nrow_done:",
        "  %next_row = add i64 %row, 1",
        "  %row_more = icmp ult i64 %next_row, %end",
        "  br i1 %row_more, label %one_row, label %block_done",
    ]
    text.close(b)


class DivergenceKernel:
    """A divergence in machine code."""

    def __init__(self, formulas: Formulas, form: DivergenceForm) -> None:
        self.width = compiler.host().bits // 64
        text = module(formulas, form, self.width, on_x86=compiler.host().on_x86)
        self.call = compiler.function(text, NAME, _SIGNATURE)


@compiler.kept(256)
def divergence_kernel(formulas: Formulas, form: DivergenceForm) -> DivergenceKernel:
    """Return the kernel of a divergence, compiled once."""
    return DivergenceKernel(formulas, form)


@lru_cache(maxsize=512)
def _formulas(
    terms: Program,
    pulls: tuple[Program, ...],
    slopes: tuple[Program, ...],
    parameters: tuple[tuple[str, float], ...],
    hessian: bool,
) -> Formulas:
    """Return what of the programs is needed with some parameters."""
    bend = ("gradient:d",) if hessian else ()
    by_p, by_q = (
        decided(program.select(["value", *bend, *([f"gradient:{symbol}"] if hessian else [])]), parameters)
        for symbol, program in zip("pq", pulls, strict=True)
    )
    of_p, of_q = (decided(program.select(["value", *bend]), parameters) for program in slopes)
    return Formulas(decided(terms, parameters), (by_p, by_q), (of_p, of_q))


@lru_cache(maxsize=512)
def _uniform(formulas: Formulas, parameters: tuple[tuple[str, float], ...]) -> Array:
    return np.concatenate([uniform(program, parameters) for program in formulas.each()])


def run(
    terms: Program,
    pulls: tuple[Program, ...],
    slopes: tuple[Program, ...],
    rows: int,
    p: Array,
    q: Array,
    parameters: Mapping[str, float],
    outputs: Mapping[str, Array],
    *,
    kinds: tuple[str, str],
    block: int,
    double: bool,
    scale: float = 1.0,
    linear: float = 0.0,
    multiple: float | None = None,
    weight: Array | None = None,
    mask: Array | None = None,
    summed: bool = False,
    divisor: float = 1.0,
) -> Findings:
    """Run a divergence over pairs of rows.

    Args:
        terms, pulls, slopes: programs; see ``Formulas``.
        rows: how many of the first rows it takes.
        p, q: (rows, classes); any real type and layout. What is not one row after the other, or not of the type to
            compute in, is brought to that a block at a time, and so is what is written.
        parameters: a number for each of the programs' parameters.
        outputs: what to write: ``losses`` (rows,); ``gradient:p``, ``hessian:q,q`` and so on (rows, classes),
            each beginning with the rows that it takes.
        kinds: what p and q hold, as ``lossmith.core.rows`` calls it.
        block: rows in a block.
        double: whether float64 comes in and goes out, instead of float32.
        scale: what logits are multiplied by first.
        linear: the multiple of p - q beyond the terms.
        multiple: which multiple of Σ p log(p/q) the loss is, or nothing where it is none.
        weight, mask, summed, divisor: as for single numbers.
    """
    classes, dtype = p.shape[1], np.dtype(np.float64 if double else np.float32)
    form = DivergenceForm(
        element="double" if double else "float", kinds=(_PLAIN[kinds[0]], _PLAIN[kinds[1]]),
        amounts="values" in kinds[1], scaled=scale != 1.0, linear=linear, crossed=multiple is not None,
        written=tuple(outputs), summed=summed, weighted=weight is not None, masked=mask is not None,
        streaming=_streams(outputs, classes),
    )  # fmt: skip
    given = tuple(parameters.items())
    formulas = _formulas(terms, pulls, slopes, given, form.hessian("p") or form.hessian("q"))
    kernel = divergence_kernel(formulas, form)
    constants = _uniform(formulas, given)
    blocks = -(-rows // block)
    records = np.empty(blocks, RECORD_TYPE)
    room = 8 * len(_SCRATCH) * (classes + kernel.width)
    filled = {part.replace(":", "_").partition(",")[0]: array for part, array in outputs.items()}
    losses = filled.pop("losses", None)
    places = Places({"p": p, "q": q}, filled, rows, block, dtype, exact=True)

    def work(first: int, last: int) -> None:
        scratch = np.empty(room + 64, np.uint8)  # each thread its own
        begin = address(scratch)
        pointers = {
            "losses": pointer(losses), "weight": pointer(weight), "mask": pointer(mask), "records": address(records),
            "uniforms": address(constants), "scratch": begin + -begin % 64,
        }  # fmt: skip

        def call(first: int, last: int, begins: Mapping[str, int]) -> None:
            known = {**pointers, **begins}
            table = (ctypes.c_void_p * len(ARGUMENTS))(*(known.get(name) for name in ARGUMENTS))
            kernel.call(ctypes.addressof(table), 1 / divisor, scale, multiple or 0.0, rows, classes, block, first, last)

        places.work(call, first, last)

    threads.run(work, blocks, max(1, LEAST_NUMBERS // (block * classes)))
    return findings(records)._replace(left=np.flatnonzero(records["count"]).tolist())


def _streams(outputs: Mapping[str, Array], classes: int) -> bool:
    """Return whether derivatives are too large for the caches, and their rows lie so that they can be written past."""
    arrays = [array for part, array in outputs.items() if part != "losses"]
    aligned = all(
        array.flags.c_contiguous and address(array) % 64 == 0 and classes * array.itemsize % 64 == 0 for array in arrays
    )
    return aligned and sum(array.nbytes for array in arrays) > STREAMING
