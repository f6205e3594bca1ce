"""Gradient and Hessian of a loss of one number a row, in one pass over the rows, in the booster's own types.

Scores are read where the booster holds them, float64 or float32, and float32 results are written; targets are held
in the narrowest type that keeps them, since a pass is as slow as the bytes that it moves. Residuals of float64
scores are taken in float64, since two large numbers may leave a small one, and a loss that they alone decide goes on in
float32, as the results are. So do logits and log rates, which are small numbers, and all that begins with float32
scores; what is left is float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.engines import numpy as reference
from lossmith.engines.choice import MOST, SMALLEST, NoKernel, compiled_rows, fall_back
from lossmith.program import Ops, Program, Value, trace

Array = npt.NDArray[Any]

TINY = 1e-30
"""Below it a Hessian, or a distance, is as nothing, whatever the unit of the targets."""

LARGEST = float(np.finfo(np.float32).max)
"""What boosters keep of a derivative is at most this."""

_NARROW = (np.uint8, np.int8, np.float32)


def narrowed(array: Array, wide: bool = True) -> Array:
    """Return numbers in the narrowest type that holds each of them exactly, or in single precision if not wide."""
    if np.isfinite(array).all():
        with np.errstate(over="ignore", invalid="ignore"):
            for kind in _NARROW:
                found = array.astype(kind)
                if np.array_equal(found, array):
                    return found
    return array if wide else array.astype(np.float32)


class Pass:
    """A pass over the rows by one program, whose ``gradient`` and ``hessian`` are written, and ``value`` is summed."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._stored = [name for name, _ in program.outputs if name in ("gradient", "hessian")]
        self._summed = any(name == "value" for name, _ in program.outputs)
        calls = reference.calls(program)
        self._calls = calls if calls > MOST else None  # of fewer, ``often`` decides

    def run(
        self,
        inputs: Mapping[str, Array],
        parameters: Mapping[str, float],
        into: Sequence[Array] = (),
        weight: Array | None = None,
        divisor: float = 1.0,
        *,
        precise: bool = True,
        often: bool = False,
    ) -> tuple[float, int | None]:
        """Fill the arrays and return the weighted sum of ``value`` and some row at or before which one is invalid.

        Args:
            inputs: arrays of one length, by the program's inputs.
            parameters: numbers of the program.
            into: float32 arrays for gradient and Hessian.
            weight: what both and the sum are weighted by.
            divisor: what both, but not the sum, are divided by.
            precise: whether arithmetic is float64, not float32, where kernels do it.
            often: whether a kernel is worth its compilation however few the rows are.
        """
        columns = [inputs[name] for name in self.program.inputs]
        free = {name: parameters[name] for name in self.program.parameters}
        # An examination of a few rows is no reason to compile.
        rows = len(columns[0])
        if (often or rows >= SMALLEST) and compiled_rows(rows, reference.BLOCK, calls=self._calls):
            from lossmith.engines.llvm import kernel

            try:
                found = kernel.run(
                    self.program,
                    columns,
                    free,
                    dict(zip(self._stored, into, strict=False)),
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
                for name, array in zip(self._stored, into, strict=False):
                    array[start:stop] = _weighted(block[name], heavy) / divisor
                if self._summed:
                    total += float(np.sum(_weighted(np.broadcast_to(block["value"], stop - start), heavy)))
        return total, wrong


def _weighted(values: Array, weight: Array | None) -> Array:
    return values if weight is None else np.where(weight > 0, weight * values, 0.0)


class Rows:
    """Targets of rows and their best predictions, as passes read them.

    Args:
        loss: of the rows.
        y: their targets.
        best: their best predictions, where a floor is asked for.
        often: whether so many blocks of rows are asked for that even a small one is worth a kernel.

    Attributes:
        apart: whether best predictions are others than the targets.
    """

    def __init__(self, loss: Loss, y: Array, best: Array | None = None, *, often: bool = False) -> None:
        self._often = often
        self._loss, self._y, self._best = loss, y, y if best is None else best
        self.apart = not np.array_equal(self._best, y)
        self._of_residuals = loss.is_of_residuals
        self._held: dict[bool, dict[str, Array]] = {}

    def at(self, of: Callable[[Array], Array]) -> Rows:
        """Return some of the rows, given what takes them out of an array."""
        return Rows(self._loss, of(self._y), of(self._best))

    def roots(self, f: Array) -> float:
        """Return the sum of the roots of how far predictions are from the best ones."""
        return self.run(_roots(self.apart), f)[0]

    def run(self, what: Pass, f: Array, *given: Any, **parameters: float) -> tuple[float, int | None]:
        """Run a pass at predictions, whose arithmetic is as precise as these ask for; see ``Pass.run``."""
        wide = f.dtype == np.float64 and self._loss.link.name == "identity"
        if wide not in self._held:
            y = narrowed(self._y, wide)
            self._held[wide] = {"y": y, "best": narrowed(self._best, wide) if self.apart else y}
        inputs = {**self._held[wide], "f": f}
        precise = wide and not self._of_residuals
        numbers = {**self._loss.free_parameters, **parameters}
        return what.run(inputs, numbers, *given, precise=precise, often=self._often)


@lru_cache(maxsize=256)
def exact(loss: Loss) -> Pass:
    """Return the pass of gradient and exact Hessian; its inputs are ``y`` and ``f``."""

    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        at = _At(loss, ops, s)
        return at.checked(at.gradient, at.hessian)

    return Pass(trace(outputs, ("y", "f"), _parameters(loss)))


@lru_cache(maxsize=256)
def bounded(loss: Loss) -> Pass:
    """Return the pass of gradient and the absolute value of the Hessian; its inputs are ``y`` and ``f``."""

    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        at = _At(loss, ops, s)
        return at.checked(at.gradient, ops.abs(at.hessian))

    return Pass(trace(outputs, ("y", "f"), _parameters(loss)))


@lru_cache(maxsize=256)
def floored(loss: Loss, *, apart: bool, met: bool = True, endless: bool = False, summed: bool = True) -> Pass:
    """Return the pass of gradient and Hessian with a floor; see ``lossmith.frameworks.boosting.curvature``.

    Its inputs are ``y`` and ``f``, and ``best``, unless that is ``y``; ``near`` is a parameter.

    Args:
        loss: the loss.
        apart: whether best predictions are an input of their own.
        met: whether some rows are nearer to theirs than ``near``; if none is to be, rows that are count as invalid.
        endless: whether exact Hessians may be infinite nearer than ``near``, as that of ``abs(f - y)**1.5`` is at
            ``f = y``; the difference of gradients stands for them.
        summed: whether the Hessian is summed.
    """

    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        at, near = _At(loss, ops, s), s["near"]
        distance = ops.abs(s["f"] - s["best"] if apart else s["f"] - s["y"])
        floor = ops.max(ops.abs(at.gradient) / ops.max(distance, near), TINY)
        if met:
            floor = ops.max(floor, ops.where(distance < near, at.across(near), 0.0))
        exact = at.hessian
        if endless:
            exact = ops.where(ops.both(distance < near, ops.le(LARGEST, exact)), 0.0, exact)
        hessian = ops.max(exact, floor)
        checked = at.checked(at.gradient, hessian)
        if not met:
            checked["valid"] = ops.both(checked["valid"], ops.le(near, distance))
        return {**({"value": hessian} if summed else {}), **checked}

    symbols = ("y", "f", "best") if apart else ("y", "f")
    return Pass(trace(outputs, symbols, (*_parameters(loss), "near")))


@lru_cache
def _roots(apart: bool) -> Pass:
    """Return the pass that sums the roots of how far predictions are from the best ones."""

    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        distance = ops.abs(s["f"] - s["best" if apart else "y"])
        return {"value": ops.pow(distance, 0.5), "valid": ops.le(0.0, distance)}

    return Pass(trace(outputs, ("best", "f") if apart else ("y", "f")))


class _At:
    """A loss at the prediction of each row.

    A loss of residuals alone is taken at the residual, of a target of zero: it is rounded once, as a difference of the
    numbers that are given, and has as many digits as the results are to have.
    """

    def __init__(self, loss: Loss, ops: Ops, s: Mapping[str, Value]) -> None:
        self._loss, self._ops, self._s = loss, ops, s
        self._y: Value = 0.0 if loss.is_of_residuals else s["y"]
        self.f: Value = s["f"] - s["y"] if loss.is_of_residuals else s["f"]
        found = self._outputs(self.f)
        self.gradient, self.hessian = found["gradient:f"], found["hessian:f,f"]

    def _outputs(self, f: Value) -> dict[str, Value]:
        program = self._loss.program(2)
        return program.evaluate(self._ops, [self._y, f], {name: self._s[name] for name in program.parameters})

    def across(self, near: Value) -> Value:
        """Return the difference of gradients across what is near to a prediction, by its width."""
        ops, f, domain = self._ops, self.f, self._loss.domains["f"]
        above, below, by_width = f + near, f - near, 0.5 / near
        if math.isfinite(domain.high):  # half the way to an end of it at most
            above = ops.min(above, f / 2 + domain.high / 2)
        if math.isfinite(domain.low):
            below = ops.max(below, f / 2 + domain.low / 2)
        width = above - below
        if math.isfinite(domain.high) or math.isfinite(domain.low):
            by_width = 1 / width
        rise = self._outputs(above)["gradient:f"] - self._outputs(below)["gradient:f"]
        # Nothing where the prediction is too large to move by so little.
        return ops.where(width > 0, rise * by_width, 0.0)

    def checked(self, gradient: Value, hessian: Value) -> dict[str, Value]:
        """Return both derivatives, and whether they are finite in single precision, with all inputs in their domains.

        Targets were looked at before; kernels leave out what no target in its domain needs.
        """
        ops, domains = self._ops, self._loss.domains
        valid = ops.both(domains["y"].contains(ops, self._y), domains["f"].contains(ops, self.f))
        for number in (gradient, hessian):
            valid = ops.both(valid, ops.lt(ops.abs(number), LARGEST))
        return {"gradient": gradient, "hessian": hessian, "valid": valid}


def _parameters(loss: Loss) -> tuple[str, ...]:
    return loss.program(2).parameters
