"""Hosts: libraries of arrays that the mathematics of losses runs over, NumPy among them.

A structure computes with a host's functions, under NumPy's names, and asks it to run programs. What NumPy may look at,
others may be tracing: nothing that is computed depends on having looked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from lossmith.engines import numpy as engine
from lossmith.engines.arrays import Formula
from lossmith.program import Program

Array = Any

_SHARED = (
    *("abs", "all", "amax", "any", "argmax", "cumsum", "exp", "expm1", "floor", "full_like", "inf"),
    *("isfinite", "isinf", "log1p", "ones_like", "sign", "sqrt", "square", "stack", "sum", "swapaxes", "where"),
    "zeros_like",
)
"""What libraries call as NumPy does, keywords ``axis`` and ``keepdims`` included."""
_MOST = {kind().itemsize: float(np.finfo(kind).max) for kind in (np.float32, np.float64)}
ANYWHERE = 0.5
"""A number at which formulas of one number, and rows that hold nothing else, have finite derivatives."""


class Rule(Protocol):
    """A function whose derivatives are written out, since those of its steps lose digits.

    It is differentiated by its first array alone.
    """

    def value(self, xp: Any, *arrays: Array) -> tuple[Array, ...]:
        """Return its results; ``xp`` are functions of a host."""

    def push(self, xp: Any, arrays: Sequence[Array], found: Sequence[Array], tangent: Array) -> tuple[Array, ...]:
        """Return how the results change along a tangent of the first array, of which that is a linear function."""

    def pull(self, xp: Any, arrays: Sequence[Array], found: Sequence[Array], slopes: Sequence[Array]) -> Array:
        """Return the derivative by the first array from those by the results."""


def functions(module: Any, **own: Any) -> SimpleNamespace:
    """Return the functions of a library that the mathematics of rows needs.

    Args:
        module: with the functions that it names as NumPy does.
        own: the others, and what it has better under another name:
            ``flip(a, axis)``, ``log``, ``moveaxis``, ``take_along_axis``;
            ``constant(values, like)``: numbers along the last axis, as an array of the type of another;
            ``places(like)``: 0, 1, 2, ... along the last axis;
            ``total(a)``: the sum along the last axis, in double precision where that costs little;
            ``holds(number, like)``: whether a whole number fits into the type of an array;
            ``may_hold(condition)``: whether it holds anywhere, true where nobody may look;
            ``nonzero(condition)``: where it holds, ``None`` where nobody may look;
            where it traces, ``indices(a)``: whole numbers as it wants them to look something up; and what takes fewer
            steps there of ``picked(a, index, known)``, the number of each row at an index, NaN where that is unknown,
            and ``placed(a, index, value)``, rows with another number at an index, if there is such a place;
            where tensors are of another kind, ``spread(a, like)``: an array in the shape of another; ``shape(a)``,
            in which a length that nobody knows yet equals every other; ``length(a, like)``: that of the last axis,
            in the type of another array where it is none that is known; ``most(like)``: the largest number of its type;
            where lengths may be unknown, ``paired(columns, single)``: the inputs of a loss, an error when they have
            numbers if lengths differ; ``single`` says which have one number for each row of the others.

    Returns:
        Those and what ``differentiable`` changes: ``held(a)``, the same without derivatives; ``moved(value, path)``, a
        value with the derivatives of a path, which is the same with fewer digits; ``bound(rule, *arrays)``, see
        ``Rule``.
    """
    made = SimpleNamespace(**{name: getattr(module, name) for name in _SHARED})
    made.spread = lambda a, like: module.broadcast_to(a, like.shape)
    made.shape, made.most = (lambda a: tuple(a.shape)), (lambda like: _MOST[like.dtype.itemsize])
    made.paired = lambda columns, single: columns
    made.holds, made.length = _holds, (lambda a, like: a.shape[-1])
    made.held, made.moved = (lambda a: a), (lambda value, path: value)
    made.placed = lambda a, index, value: made.where(made.places(a) == index[..., None], value[..., None], a)
    made.picked = partial(_picked, made)
    made.bound = lambda rule, *arrays: rule.value(made, *arrays)
    vars(made).update(own)
    return made


def differentiable(
    xp: SimpleNamespace, held: Callable[[Array], Array], bound: Callable[..., tuple[Array, ...]]
) -> SimpleNamespace:
    """Return functions of a library as it shall differentiate them.

    Args:
        xp: its functions.
        held: takes an array out of its differentiation.
        bound: ``(rule, *arrays)``: the results of a rule, with the rule's derivatives.
    """
    where, plain_exp, plain_log = xp.where, xp.exp, xp.log

    # Where nothing is, there is no derivative, even of what is infinite there: 0 times infinity would be no number.
    def exp(a: Array) -> Array:
        found = plain_exp(held(a))
        return where(found > 0, plain_exp(where(found > 0, a, 0.0)), found)

    def log(a: Array) -> Array:
        return where(a > 0, plain_log(where(a > 0, a, 1.0)), plain_log(held(a)))

    def moved(value: Array, path: Array) -> Array:
        return held(value) + where(xp.isfinite(path), path - held(path), 0.0)

    return SimpleNamespace(**{**vars(xp), "exp": exp, "log": log, "held": held, "moved": moved, "bound": bound})


def _holds(number: int, like: Array) -> bool:
    if like.dtype.kind not in "iu":
        return True
    limits = np.iinfo(like.dtype)
    return int(limits.min) <= number <= int(limits.max)


def _picked(xp: SimpleNamespace, a: Array, index: Array, known: Array) -> Array:
    place = xp.indices(xp.where(known, index, xp.zeros_like(index)))[..., None]
    return xp.where(known, xp.take_along_axis(a, place, axis=-1)[..., 0], math.nan)


class Source(Protocol):
    """What has programs, by label."""

    @property
    def formulas(self) -> Mapping[str, Formula]:
        """Each program made ready for arrays that are traced."""

    @property
    def free_parameters(self) -> dict[str, float]:
        """A number for each of their parameters."""

    def program_of(self, label: str, outputs: Sequence[str]) -> Program:
        """Return a program with some outputs, and perhaps more."""


class Host(Protocol):
    """A library that losses are computed with."""

    xp: Any
    """Its functions; see ``functions``."""
    traces: bool
    """Whether it may be tracing: then it differentiates what it is given, and asks for no second derivatives."""

    def run(self, source: Source, label: str, outputs: Sequence[str], arrays: Sequence[Array]) -> dict[str, Array]:
        """Return outputs of a program, and perhaps more, over arrays of one shape."""

    def shared(
        self, source: Source, label: str, outputs: Sequence[str], array: Array, share: Array, *, single: bool
    ) -> dict[str, Array]:
        """Return ``share`` times outputs of a program of one array where the share is above 0, and 0 elsewhere.

        ``single`` says that in each row it is so at one place at most.
        """


class Reference:
    """NumPy with the reference engine."""

    traces = False

    def __init__(self) -> None:
        self.xp = functions(
            np,
            constant=lambda values, like: np.asarray(values, like.dtype),
            flip=np.flip,
            log=np.log,
            may_hold=np.any,
            moveaxis=np.moveaxis,
            nonzero=np.nonzero,
            places=lambda like: np.arange(like.shape[-1]),
            take_along_axis=np.take_along_axis,
            total=lambda a: np.sum(a, axis=-1, dtype=np.float64),
        )

    def run(self, source: Source, label: str, outputs: Sequence[str], arrays: Sequence[Array]) -> dict[str, Array]:
        """Return outputs of a program over arrays of one shape."""
        shape = arrays[0].shape
        flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
        found = engine.run(source.program_of(label, outputs), flat, source.free_parameters)
        return {name: values.reshape(shape) for name, values in found.items()}

    def shared(
        self, source: Source, label: str, outputs: Sequence[str], array: Array, share: Array, *, single: bool
    ) -> dict[str, Array]:
        """Return shares of outputs, which are computed only where there is one."""
        hit = share > 0
        found = self.run(source, label, outputs, [array[hit]])
        results = {name: np.zeros_like(array) for name in outputs}
        for name, result in results.items():
            result[hit] = share[hit] * found[name]
        return results


REFERENCE = Reference()


def by_symbol(loss: Any, inputs: Sequence[Array]) -> dict[str, Array]:
    """Return inputs in the order of a loss by their symbols."""
    return {item.symbol: array for item, array in zip(loss.inputs, inputs, strict=True)}


class Tracing:
    """A library that may be tracing what is done to its arrays.

    Args:
        xp: its functions.
        evaluate: ``(formula, output, *arrays) -> array`` in the shape of the arrays.
    """

    traces = True

    def __init__(self, xp: Any, evaluate: Callable[..., Array]) -> None:
        self.xp, self.evaluate = xp, evaluate

    def run(self, source: Source, label: str, outputs: Sequence[str], arrays: Sequence[Array]) -> dict[str, Array]:
        """Return outputs of a program over arrays of one shape."""
        formula = source.formulas[label]
        return {output: self.evaluate(formula, output, *arrays) for output in outputs}

    def shared(
        self, source: Source, label: str, outputs: Sequence[str], array: Array, share: Array, *, single: bool
    ) -> dict[str, Array]:
        """Return shares of outputs; where there is none, no derivative reaches the formula either."""
        where, hit = self.xp.where, share > 0
        inside = where(hit, array, ANYWHERE)
        if single:
            there = self.xp.sum(where(hit, array, 0.0), axis=-1, keepdims=True)
            inside = where(self.xp.any(hit, axis=-1)[..., None], there, ANYWHERE)
        found = self.run(source, label, outputs, [inside])
        return {name: where(hit, share * result, 0.0) for name, result in found.items()}
