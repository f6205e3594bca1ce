"""Kernels over pairs of rows, and how they are called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import hand_over_text, row_tiles
from lossmith.engines.llvm.divergence_form import DivergenceForm, Formulas, Given
from lossmith.engines.llvm.divergence_lanes import QuickInLanes, SharesInLanes
from lossmith.engines.llvm.divergence_looks import Looks
from lossmith.engines.llvm.divergence_quick import Quick, is_quick
from lossmith.engines.llvm.divergence_shares import Shares, is_of_shares
from lossmith.engines.llvm.frame import NAME
from lossmith.engines.llvm.hand_over import SIGNATURE, Alone, Later, Others, Waiting
from lossmith.engines.llvm.kernel import of_examples, uniform
from lossmith.engines.llvm.lanes import Lanes
from lossmith.engines.llvm.row_by_row import (
    BY_LANE,
    LEAST_NUMBERS,
    Uniform,
    begin_rows,
    end_row,
    enter,
    row_factor,
    scratch_of,
    streams,
    whole,
    width,
)
from lossmith.engines.llvm.row_call import Prepared, RowCall
from lossmith.engines.llvm.row_places import Places
from lossmith.engines.llvm.row_text import Text
from lossmith.engines.llvm.vectors import Vector
from lossmith.engines.regimes import decided
from lossmith.program import Program

Array = npt.NDArray[Any]

ARGUMENTS = (
    "p", "q", "losses", "gradient_p", "gradient_q", "hessian_p", "hessian_q", "weight", "mask", "records", "uniforms",
    "scratch", "slow", "handed",
)  # fmt: skip
"""Pointers in the table that a kernel gets, in order; for the last two see ``hand_over``."""

QUICK_BY_LANE = 48
"""Classes up to which lanes are rows in a quicker way: from there on a row has whole vectors enough."""

LONG = 55_000
"""Characters of a text from which on it is compiled as a long one."""

_PLAIN: Mapping[str, Given] = {
    "probabilities": "probabilities", "log_probabilities": "log_probabilities", "logits": "logits",
    "values": "probabilities", "log_values": "log_probabilities",
}  # fmt: skip

_FLAGS = ("bad", "wrong", "limit")


def module(formulas: Formulas, form: DivergenceForm, width: int, *, on_x86: bool = True) -> str:
    """Return the module of a kernel; see ``row_by_row`` for how it is called.

    Its numbers are what logits are multiplied by, and which multiple of Σ p log(p/q) the loss is, if any. In the
    record of a block, ``count`` says whether derivatives are left to the reference, since they are limits.

    Args:
        formulas, form: what it does.
        width: doubles in a register.
        on_x86: whether it is for such a machine.
    """
    text = form.text(width * form.registers, form.registers)
    values = enter(text, ARGUMENTS, (*_kept(form), "waiting"), () if form.quick else formulas.each())
    way = _way(form) if form.quick else None
    quick = way(form, text, 2 * width, _others(form, text.step)) if way else None
    if quick is not None:
        quick.enter()
    begin_rows(text, form, ("p", "q"), _rows(form), _FLAGS)
    counts, weight = row_factor(text, form)
    b = text.row("f")
    for name in ("gradient", "hessian"):
        factor = Lanes(b, b.real, f"%factor_{'gradient' if name == 'hessian' else 'row'}")
        factor = factor * Lanes(b, b.real, "%first_all") if form.scaled else factor
        b.lines.append(f"  %factor_{name} = fadd {b.real} {factor.name}, splat (double 0.0)")
    text.close(b)
    if quick is None:
        _look(text, form, formulas, values)
    else:
        quick.write(counts)
    # Rows of lanes that the quicker way is for are neither wrong nor at a limit.
    flags = _FLAGS[:1] if form.quick and form.by_lane else _FLAGS
    end_row(text, form, counts, weight, flags, () if quick is None else quick.served())
    found = whole(text, form, _FLAGS, "limit", on_x86=on_x86)
    return compiler.LONG + found if len(found) > LONG else found


def _look(text: Text, form: DivergenceForm, formulas: Formulas, values: Uniform) -> None:
    """Write all looks at a row, and what is known of it then."""
    looks = Looks(text, form, formulas, values)
    wrong = looks.largest() if form.logits() else replace(Vector("double", text.width).always, name="zeroinitializer")
    if form.logits():
        looks.sums()
        if form.both_logits:
            looks.growth()
    found = looks.terms()
    found |= looks.sums_of_slopes(found)
    looks.derivatives(found)
    b = text.row("j")
    limit = replace(b.always, name="zeroinitializer")
    for name, beta in found.items():
        if name.startswith("beta"):
            limit = limit | ((b.abs(replace(beta, body=b)) < math.inf) ^ b.always)
    text.name(b, replace(found["value"], body=b), "row_value")
    text.name(b, replace(wrong, body=b) | found["wrong"], "row_wrong")
    text.name(b, limit, "row_limit")
    text.close(b)


def _rows(form: DivergenceForm) -> tuple[str, ...]:
    """Return the arrays of rows that are written."""
    return tuple(_filled(part) for part in form.written if part != "losses")


def _filled(part: str) -> str:
    """Return what the array of a part is called, as ``gradient_q`` of ``gradient:q``."""
    return part.replace(":", "_").partition(",")[0]


def _kept(form: DivergenceForm) -> tuple[str, ...]:
    """Return what scratch holds of each class."""
    looks = form.kept()
    if not form.by_lane:
        return looks
    rows = ("p", "q", *_rows(form))
    if not form.quick:
        return (*looks, *rows)
    kept = (*rows, *(f"short_{symbol}" for symbol in form.logits()))
    # The other kernel has the same scratch, and half as many rows.
    return (*kept, *(f"more_{n}" for n in range(len(kept), (len(looks) + len(rows) + 1) // 2)))


def _way(form: DivergenceForm) -> type[Quick] | None:
    """Return the quicker way that there is for some rows."""
    if is_quick(form):
        return QuickInLanes if form.by_lane else Quick
    if is_of_shares(form):
        return SharesInLanes if form.by_lane else Shares
    return None


def _others(form: DivergenceForm, lanes: int) -> Others:
    """Return how the rows are handed over that this way is not for; ``lanes`` are rows that are taken at a time."""
    if not form.by_lane:
        return Alone(ARGUMENTS, ("p", "q"), _rows(form), form.element)
    given = ("p", "q", *(["weight"] if form.weighted else []))
    written = (*_rows(form), *(["losses"] if "losses" in form.written else []))
    return Waiting(ARGUMENTS, given, written, form.element, lanes)


def _by_lane(form: DivergenceForm, classes: int) -> DivergenceForm:
    """Return the form for so many classes: few are taken a row a lane."""
    form = replace(form, quick=_way(form) is not None)
    few = classes <= (QUICK_BY_LANE if form.quick else BY_LANE)
    return replace(form, by_lane=True, streaming=False) if few else form


class DivergenceKernel:
    """A divergence in machine code.

    Args:
        formulas, form: what it does.

    Attributes:
        call: the kernel.
        slow: that of the rows that its quicker way is not for, if it has one.
    """

    def __init__(self, formulas: Formulas, form: DivergenceForm) -> None:
        text = module(formulas, form, width(), on_x86=compiler.host().on_x86)
        shared = row_tiles.called(text) | hand_over_text.called(text)
        self.call = compiler.function(text, NAME, SIGNATURE, shared)
        self.slow: Later | None = None
        if form.quick:
            # A row is handed over only if it counts; alone, with what its derivatives are multiplied by.
            plain = replace(form, quick=False, masked=False)
            if not form.by_lane:
                rest = tuple(part for part in form.written if part != "losses")
                plain = replace(plain, written=rest, summed=form.valued, weighted=False)
            self.slow = Later(lambda: divergence_kernel(formulas, plain).call)


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


def prepare(
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
) -> Prepared:
    """Return the call of a divergence over pairs of rows.

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
        weight, mask, summed: as for single numbers.
    """
    classes, dtype = p.shape[1], np.dtype(np.float64 if double else np.float32)
    form = DivergenceForm(
        element="double" if double else "float", kinds=(_PLAIN[kinds[0]], _PLAIN[kinds[1]]),
        amounts="values" in kinds[1], scaled=scale != 1.0, linear=linear, crossed=multiple is not None,
        written=tuple(outputs), summed=summed, weighted=weight is not None, masked=mask is not None,
        streaming=streams(outputs, classes),
    )  # fmt: skip
    form = _by_lane(form, classes)
    scratch = scratch_of(form, len(_kept(form)), classes)
    handed = None
    if form.quick:
        others = _others(form, width() * form.registers)
        scratch, handed = scratch + others.size(classes), others.handed(classes)
    given = tuple(parameters.items())
    formulas = _formulas(terms, pulls, slopes, given, form.hessian("p") or form.hessian("q"))
    filled = {_filled(part): array for part, array in outputs.items()}
    of_rows = of_examples(filled.pop("losses", None), weight, mask)
    kernel = divergence_kernel(formulas, form)
    call = RowCall(
        kernel.call, ARGUMENTS, brought=("p", "q", *filled),
        kept={"uniforms": _uniform(formulas, given), "handed": handed}, slow=kernel.slow,
        numbers=(scale, multiple or 0.0), sizes=(classes, block), scratch=scratch,
        least=LEAST_NUMBERS, leaves=True,
    )  # fmt: skip
    return Prepared(call, Places({"p": p, "q": q}, filled, rows, block, dtype, exact=True), of_rows, rows)
