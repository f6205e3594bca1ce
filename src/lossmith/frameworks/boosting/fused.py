"""Gradient and Hessian of a loss of one number a row, in one pass over the rows, in the booster's own types.

Scores are read where the booster holds them, float64 or float32, and float32 results are written; targets are held
in the narrowest type that keeps them, since a pass is as slow as the bytes that it moves. Residuals of float64
scores are float64, since two large numbers may leave a small one. Logits and log rates are small numbers: their
arithmetic is float32, as the results are, and so is all that begins with float32 scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.engines import numpy as reference
from lossmith.engines.choice import SMALLEST, NoKernel, compiled_rows, fall_back
from lossmith.program import Ops, Program, Value, trace

Array = npt.NDArray[Any]

TINY = 1e-16
LARGEST = float(np.finfo(np.float32).max)
"""What boosters keep of a derivative is at most this."""

_NARROW = (np.uint8, np.int8, np.float32)


def narrowed(array: Array) -> Array:
    """Return numbers in the narrowest type that holds each of them exactly."""
    if np.isfinite(array).all():
        with np.errstate(over="ignore", invalid="ignore"):
            for kind in _NARROW:
                found = array.astype(kind)
                if np.array_equal(found, array):
                    return found
    return array


class Pass:
    """A pass over the rows by one program, whose ``gradient`` and ``hessian`` are written, and ``value`` is summed."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._stored = [name for name, _ in program.outputs if name in ("gradient", "hessian")]
        self._summed = any(name == "value" for name, _ in program.outputs)

    def run(
        self,
        inputs: Mapping[str, Array],
        parameters: Mapping[str, float],
        into: Sequence[Array] = (),
        weight: Array | None = None,
        divisor: float = 1.0,
        *,
        precise: bool = True,
    ) -> tuple[float, int | None]:
        """Fill the arrays and return the weighted sum of ``value`` and some row at or before which one is invalid.

        Args:
            inputs: arrays of one length, by the program's inputs.
            parameters: numbers of the program.
            into: float32 arrays for gradient and Hessian.
            weight: what both and the sum are weighted by.
            divisor: what both, but not the sum, are divided by.
            precise: whether arithmetic is float64, not float32, where kernels do it.
        """
        columns = [inputs[name] for name in self.program.inputs]
        free = {name: parameters[name] for name in self.program.parameters}
        # An examination of a few rows is no reason to compile.
        if len(columns[0]) >= SMALLEST and compiled_rows(len(columns[0]), reference.BLOCK):
            from lossmith.engines.llvm import kernel

            try:
                found = kernel.run(
                    self.program,
                    columns,
                    free,
                    dict(zip(self._stored, into, strict=True)),
                    kind="double" if precise else "float",
                    weight=weight,
                    summed=self._summed,
                    divisor=divisor,
                )
                wrong = found.wrong[0] * reference.BLOCK if found.wrong else None
                return math.fsum(found.sums) if self._summed else 0.0, wrong
            except NoKernel as error:
                fall_back(error)
        return self._by_reference(columns, free, into, weight, divisor)

    def _by_reference(
        self,
        columns: Sequence[Array],
        free: Mapping[str, float],
        into: Sequence[Array],
        weight: Array | None,
        divisor: float,
    ) -> tuple[float, int | None]:
        total, wrong = 0.0, None
        wide = [np.ascontiguousarray(column, np.float64) for column in columns]
        with np.errstate(all="ignore"):
            for start, stop, block in reference.stream(self.program, wide, free):
                heavy = None if weight is None else np.asarray(weight[start:stop], np.float64)
                valid = block["valid"] if heavy is None else block["valid"] | ~(heavy > 0)
                if wrong is None and not np.all(valid):
                    wrong = start
                for name, array in zip(self._stored, into, strict=True):
                    array[start:stop] = _weighted(block[name], heavy) / divisor
                if self._summed:
                    total += float(np.sum(_weighted(np.broadcast_to(block["value"], stop - start), heavy)))
        return total, wrong


def _weighted(values: Array, weight: Array | None) -> Array:
    return values if weight is None else np.where(weight > 0, weight * values, 0.0)


@lru_cache(maxsize=256)
def exact(loss: Loss) -> Pass:
    """Return the pass of gradient and exact Hessian; its inputs are ``y`` and ``f``."""

    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        found = _at(loss, ops, s, s["f"])
        return _checked(loss, ops, s["f"], found["gradient:f"], found["hessian:f,f"])

    return Pass(trace(outputs, ("y", "f"), _parameters(loss)))


@lru_cache(maxsize=256)
def bounded(loss: Loss) -> Pass:
    """Return the pass of gradient and the absolute value of the Hessian; its inputs are ``y`` and ``f``."""

    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        found = _at(loss, ops, s, s["f"])
        return _checked(loss, ops, s["f"], found["gradient:f"], ops.abs(found["hessian:f,f"]))

    return Pass(trace(outputs, ("y", "f"), _parameters(loss)))


@lru_cache(maxsize=256)
def floored(loss: Loss, *, apart: bool, met: bool = True) -> Pass:
    """Return the pass of gradient and Hessian with a floor, which is summed; see ``lossmith.frameworks.boosting``.

    Its inputs are ``y`` and ``f``, and ``best``, unless that is ``y``; ``near`` is a parameter.

    Args:
        loss: the loss.
        apart: whether best predictions are an input of their own.
        met: whether some rows are nearer to theirs than ``near``; if none is to be, rows that are count as invalid.
    """

    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        f, near, best = s["f"], s["near"], s["best"] if apart else s["y"]
        found = _at(loss, ops, s, f)
        gradient, distance = found["gradient:f"], ops.abs(f - best)
        floor = ops.max(ops.abs(gradient) / ops.max(distance, near), TINY)
        if met:
            floor = ops.max(floor, ops.where(distance < near, _across(loss, ops, s), 0.0))
        hessian = ops.max(found["hessian:f,f"], floor)
        checked = _checked(loss, ops, f, gradient, hessian)
        if not met:
            checked["valid"] = ops.both(checked["valid"], ops.le(near, distance))
        return {"value": hessian, **checked}

    symbols = ("y", "f", "best") if apart else ("y", "f")
    return Pass(trace(outputs, symbols, (*_parameters(loss), "near")))


def _across(loss: Loss, ops: Ops, s: Mapping[str, Value]) -> Value:
    """Return the difference of gradients across what is near to a prediction, by its width."""
    f, near, domain = s["f"], s["near"], loss.domains["f"]
    above, below, by_width = f + near, f - near, 0.5 / near
    if math.isfinite(domain.high):  # half the way to an end of it at most
        above = ops.min(above, f / 2 + domain.high / 2)
    if math.isfinite(domain.low):
        below = ops.max(below, f / 2 + domain.low / 2)
    width = above - below
    if math.isfinite(domain.high) or math.isfinite(domain.low):
        by_width = 1 / width
    rise = _at(loss, ops, s, above)["gradient:f"] - _at(loss, ops, s, below)["gradient:f"]
    # Nothing where the prediction is too large to move by so little.
    return ops.where(width > 0, rise * by_width, 0.0)


def _parameters(loss: Loss) -> tuple[str, ...]:
    return loss.program(2).parameters


def _at(loss: Loss, ops: Ops, s: Mapping[str, Value], f: Value) -> dict[str, Value]:
    """Return the outputs of the loss's program at a prediction."""
    program = loss.program(2)
    return program.evaluate(ops, [s["y"], f], {name: s[name] for name in program.parameters})


def _checked(loss: Loss, ops: Ops, f: Value, gradient: Value, hessian: Value) -> dict[str, Value]:
    """Return both derivatives, and whether they are finite in single precision, at a prediction in its domain."""
    valid = loss.domains["f"].contains(ops, f)
    for number in (gradient, hessian):
        valid = ops.both(valid, ops.both(ops.lt(-LARGEST, number), ops.lt(number, LARGEST)))
    return {"gradient": gradient, "hessian": hessian, "valid": valid}
