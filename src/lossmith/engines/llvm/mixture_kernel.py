"""Kernels over rows whose targets are of several classes, or which hold probabilities, and how they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.addresses import address
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import row_tiles
from lossmith.engines.llvm.frame import NAME
from lossmith.engines.llvm.hand_over import SIGNATURE
from lossmith.engines.llvm.kernel import element_type, of_examples, uniform
from lossmith.engines.llvm.mixture_looks import MixtureForm, MixtureLooks
from lossmith.engines.llvm.row_by_row import (
    BY_LANE,
    LEAST_NUMBERS,
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
from lossmith.engines.llvm.row_frame import Targets
from lossmith.engines.llvm.row_places import Places
from lossmith.engines.regimes import decided
from lossmith.program import Program

Array = npt.NDArray[Any]

ARGUMENTS = (
    "f", "targets", "losses", "gradient", "hessian", "weight", "mask", "records", "uniforms", "scratch", "adjustment",
)  # fmt: skip
"""Pointers in the table that a kernel gets, in order."""

LEAST_SEEN = 65_536
"""Numbers that are worth a thread of their own where most are only looked at."""

_SCRATCH = ("powers_f", "slope", "bend")
_FLAGS = ("bad", "wrong")


def module(program: Program, form: MixtureForm, width: int, *, on_x86: bool = True) -> str:
    """Return the module of a kernel; see ``row_by_row`` for how it is called.

    Its numbers are the share of each target that is spread evenly, and the multiple of the squared log-sum.

    Args:
        program: of -log p where rows hold logits, else of p; see ``MixtureLooks``.
        form: what it does.
        width: doubles in a vector.
        on_x86: whether writing past the caches needs a fence.
    """
    text = form.text(width * form.registers, form.registers)
    looks = MixtureLooks(text, form, program, enter(text, ARGUMENTS, _kept(form), [program]))
    looks.enter()
    begin_rows(text, form, *_rows(form), _FLAGS)
    counts, weight = row_factor(text, form)
    found = looks.row()
    b = text.row("j")
    for name in ("value", "wrong"):
        text.name(b, found[name], f"row_{name}")
    text.close(b)
    end_row(text, form, counts, weight, _FLAGS)
    return whole(text, form, _FLAGS, "bad", on_x86=on_x86)


def _rows(form: MixtureForm) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the arrays of rows that are read, and those that are written."""
    given = () if form.in_place else ("f", *(["targets"] if form.targets == "soft" else []))
    return given, tuple(x for x in form.written if x != "losses")


def _kept(form: MixtureForm) -> tuple[str, ...]:
    """Return what scratch holds of each class."""
    given, written = _rows(form)
    return () if form.in_place else (*_SCRATCH, *given, *written) if form.by_lane else _SCRATCH


class MixtureKernel:
    """A mixture in machine code."""

    def __init__(self, program: Program, form: MixtureForm) -> None:
        text = module(program, form, width(), on_x86=compiler.host().on_x86)
        self.call = compiler.function(text, NAME, SIGNATURE, row_tiles.called(text))


@compiler.kept(256)
def mixture_kernel(program: Program, form: MixtureForm) -> MixtureKernel:
    """Return the kernel of a mixture, compiled once."""
    return MixtureKernel(program, form)


@lru_cache(maxsize=512)
def _decided(program: Program, parameters: tuple[tuple[str, float], ...]) -> tuple[Program, Array]:
    found = decided(program, parameters)
    return found, uniform(found, parameters)


def prepare(
    program: Program,
    rows: int,
    f: Array,
    targets: Array,
    parameters: Mapping[str, float],
    outputs: Mapping[str, Array],
    *,
    kind: Targets,
    logits: bool,
    block: int,
    double: bool,
    share: float = 0.0,
    penalty: float = 0.0,
    adjustment: Array | None = None,
    weight: Array | None = None,
    mask: Array | None = None,
    summed: bool = False,
) -> Prepared:
    """Return the call of a mixture over rows.

    Args:
        program: φ; see ``module``.
        rows: how many of the first rows it takes.
        f: (rows, classes), logits or probabilities; any real type and layout. What is not one row after the other, or
            not of the type of the results, is brought to that a block at a time, and so is what is written.
        targets: class indices of any integer type, or distributions like ``f``. A row whose index is outside the
            classes is none.
        parameters: a number for each of the program's parameters.
        outputs: what to write: ``losses`` (rows,), ``gradient`` and ``hessian`` (rows, classes), each beginning with
            the rows that it takes.
        kind: what the targets are; see ``MixtureForm``.
        logits: whether ``f`` holds logits.
        block: rows in a block.
        double: whether float64 comes in and goes out, instead of float32.
        share: part of each target that is spread evenly.
        penalty: what the squared log-sum of exponentials is multiplied by and added.
        adjustment: a number for each class that is added to its logits.
        weight, mask, summed: as for single numbers.
    """
    classes, dtype = f.shape[1], np.dtype(np.float64 if double else np.float32)
    form = MixtureForm(
        element="double" if double else "float", written=tuple(outputs), summed=summed, weighted=weight is not None,
        masked=mask is not None, streaming=streams(outputs, classes), targets=kind, logits=logits,
        labels="" if kind == "soft" else element_type(targets.dtype), spread=kind == "soft" and share != 0,
        penalised=penalty != 0, adjusted=adjustment is not None,
    )  # fmt: skip
    if classes <= BY_LANE or form.in_place:
        form = replace(form, by_lane=True, streaming=False)
    found, constants = _decided(program, tuple(parameters.items()))
    derived = {name: array for name, array in outputs.items() if name != "losses"}
    added = None if adjustment is None else adjustment.astype(np.float64)
    soft = {"targets": targets} if kind == "soft" else {}
    places = Places({"f": f, **soft}, derived, rows, block, dtype, exact=True)
    given = {
        **of_examples(outputs.get("losses"), weight, mask), **({} if soft else {"targets": address(targets)}),
    }  # fmt: skip
    call = RowCall(
        mixture_kernel(found, form).call, ARGUMENTS, brought=("targets", "f", *outputs),
        kept={"uniforms": constants, "adjustment": added}, numbers=(share, penalty), sizes=(classes, block),
        scratch=scratch_of(form, len(_kept(form)), classes),
        least=LEAST_SEEN if form.in_place else LEAST_NUMBERS,
    )  # fmt: skip
    return Prepared(call, places, given, rows)
