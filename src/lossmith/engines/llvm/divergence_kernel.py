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
from lossmith.engines.llvm import hand_over, row_tiles
from lossmith.engines.llvm.divergence_form import DivergenceForm, Formulas, Given
from lossmith.engines.llvm.divergence_looks import Looks
from lossmith.engines.llvm.divergence_quick import Quick, is_quick
from lossmith.engines.llvm.divergence_shares import Shares, is_of_shares
from lossmith.engines.llvm.frame import NAME
from lossmith.engines.llvm.hand_over import SIGNATURE, Later
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
    "scratch", "slow",
)  # fmt: skip
"""Pointers in the table that a kernel gets, in order; for the last see ``hand_over``."""

_SCRATCH = (*(f"{name}_{symbol}" for symbol in "pq" for name in ("powers", "beta", "curve")), "ratio")

_PLAIN: Mapping[str, Given] = {
    "probabilities": "probabilities", "log_probabilities": "log_probabilities", "logits": "logits",
    "values": "probabilities", "log_values": "log_probabilities",
}  # fmt: skip

_FLAGS = ("bad", "wrong", "limit")


def module(formulas: Formulas, form: DivergenceForm, width: int, *, slow: bool = False, on_x86: bool = True) -> str:
    """Return the module of a kernel; see ``row_by_row`` for how it is called.

    Its numbers are what logits are multiplied by, and which multiple of Σ p log(p/q) the loss is, if any. In the
    record of a block, ``count`` says whether derivatives are left to the reference, since they are limits.

    Args:
        formulas, form: what it does.
        width: numbers in a vector.
        slow: whether it is for rows that the quicker way is not for, where there is one.
        on_x86: whether it is for such a machine.
    """
    text = form.text(width)
    quick = None if slow else _quick(form, text, width)
    values = enter(text, ARGUMENTS, _kept(form), () if quick else formulas.each())
    if quick is not None:
        quick.enter()
        text.lines += hand_over.enter(len(ARGUMENTS))
    begin_rows(text, form, ("p", "q"), _rows(form), _FLAGS)
    counts, weight = row_factor(text, form)
    b = text.row("f")
    for name in ("gradient", "hessian"):
        factor = Lanes(b, b.real, f"%factor_{'gradient' if name == 'hessian' else 'row'}")
        factor = factor * Lanes(b, b.real, "%first_all") if form.scaled else factor
        b.lines.append(f"  %factor_{name} = fadd {b.real} {factor.name}, splat (double 0.0)")
    if quick is not None:
        b.lines.append(f"  %factor_first = extractelement {b.real} %factor_gradient, i32 0")
        b.lines.append(f"  %factor_one = extractelement {b.real} %factor_row, i32 0")
    text.close(b)
    if quick is not None:
        quick.write()
        given = {name: f"%row_{name}" for name in ("p", "q", *_rows(form))}
        given |= {name: f"%{name}" for name in ("uniforms", "scratch")}
        places = {place: given[name] for place, name in enumerate(ARGUMENTS) if name in given}
        text.lines += hand_over.call(places, ARGUMENTS.index("records"), "%factor_one")
    else:
        _look(text, form, formulas, values)
    _join(text, quick is not None)
    end_row(text, form, counts, weight, _FLAGS)
    return whole(text, form, _FLAGS, "limit", on_x86=on_x86)


def _look(text: Text, form: DivergenceForm, formulas: Formulas, values: Uniform) -> None:
    """Write all looks at a row, and what is known of it then."""
    looks = Looks(text, form, formulas, values)
    wrong = looks.largest() if form.logits() else replace(Vector("double", text.width).always, name="zeroinitializer")
    if form.logits():
        looks.sums()
        if form.both_logits:
            looks.growth()
        looks.slopes()
    found = looks.terms()
    looks.derivatives(found)
    b = text.row("j")
    limit = replace(b.always, name="zeroinitializer")
    for name, beta in found.items():
        if name.startswith("beta"):
            limit = limit | ((b.abs(replace(beta, body=b)) < math.inf) ^ b.always)
    text.name(b, replace(found["value"], body=b), "slow_value")
    text.name(b, replace(wrong, body=b) | found["wrong"], "slow_wrong")
    text.name(b, limit, "slow_limit")
    text.close(b)


def _rows(form: DivergenceForm) -> tuple[str, ...]:
    """Return the arrays of rows that are written."""
    return tuple(_filled(part) for part in form.written if part != "losses")


def _filled(part: str) -> str:
    """Return what the array of a part is called, as ``gradient_q`` of ``gradient:q``."""
    return part.replace(":", "_").partition(",")[0]


def _kept(form: DivergenceForm) -> tuple[str, ...]:
    """Return what scratch holds of each class."""
    return (*_SCRATCH, "p", "q", *_rows(form)) if form.by_lane else _SCRATCH


def _way(form: DivergenceForm) -> type[Quick] | None:
    """Return the quicker way that there is for some rows, where lanes are classes."""
    return Quick if is_quick(form) else Shares if is_of_shares(form) else None


def _quick(form: DivergenceForm, text: Text, width: int) -> Quick | None:
    """Return that way of a kernel, which takes twice as many numbers a vector."""
    way = None if form.by_lane else _way(form)
    return way(form, text, 2 * width) if way else None


def _by_lane(form: DivergenceForm, classes: int) -> DivergenceForm:
    """Return the form for so many classes: few are taken a row a lane, fewer where there is a quicker way."""
    if classes > {Quick: 10, Shares: 16, None: BY_LANE}[_way(form)]:
        return form
    return replace(form, by_lane=True, streaming=False)


def _join(text: Text, quick: bool) -> None:
    """Write what is known of a row, whichever way it went: its loss, whether it is none, whether limits are asked.

    Args:
        text: what is written into.
        quick: whether there is a quicker way.
    """
    text.lines.append("  br label %slow_done\nslow_done:\n  br label %joined\njoined:")
    for name, type_ in (("value", "double"), ("wrong", "i1"), ("limit", "i1")):
        other = f", [ {'%quick_value' if name == 'value' else 'false'}, %quick_done ]" if quick else ""
        text.lines.append(f"  %row_{name} = phi {text.type_of(type_)} [ %slow_{name}, %slow_done ]{other}")


class DivergenceKernel:
    """A divergence in machine code.

    Args:
        formulas, form: what it does.
        slow: see ``module``.

    Attributes:
        call: the kernel.
        slow: that of the rows that its quicker way is not for, if it has one.
    """

    def __init__(self, formulas: Formulas, form: DivergenceForm, *, slow: bool = False) -> None:
        text = module(formulas, form, width(), slow=slow, on_x86=compiler.host().on_x86)
        self.call = compiler.function(text, NAME, SIGNATURE, row_tiles.called(text))
        self.slow: Later | None = None
        if not slow and not form.by_lane and _way(form):
            # A row is handed over with what its derivatives are multiplied by, and is counted here.
            rest = tuple(part for part in form.written if part != "losses")
            plain = replace(form, written=rest, summed=form.valued, weighted=False, masked=False)
            self.slow = Later(lambda: divergence_kernel(formulas, plain, slow=True).call)


@compiler.kept(256)
def divergence_kernel(formulas: Formulas, form: DivergenceForm, *, slow: bool = False) -> DivergenceKernel:
    """Return the kernel of a divergence, compiled once."""
    return DivergenceKernel(formulas, form, slow=slow)


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
    given = tuple(parameters.items())
    formulas = _formulas(terms, pulls, slopes, given, form.hessian("p") or form.hessian("q"))
    filled = {_filled(part): array for part, array in outputs.items()}
    of_rows = of_examples(filled.pop("losses", None), weight, mask)
    kernel = divergence_kernel(formulas, form)
    call = RowCall(
        kernel.call, ARGUMENTS, brought=("p", "q", *filled),
        kept={"uniforms": _uniform(formulas, given)}, slow=kernel.slow,
        numbers=(scale, multiple or 0.0), sizes=(classes, block), scratch=scratch_of(form, len(_kept(form)), classes),
        least=LEAST_NUMBERS, leaves=True,
    )  # fmt: skip
    return Prepared(call, Places({"p": p, "q": q}, filled, rows, block, dtype, exact=True), of_rows, rows)
