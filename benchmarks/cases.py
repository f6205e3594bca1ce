"""What is measured: cases, in groups, with their data.

Large arrays repeat one stretch of random numbers, so that a reference in double precision has to be computed for
that stretch alone: the mean cost is the same, and so is every gradient but for the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

import lossmith as lm
from lossmith.core.loss import Loss
from lossmith.structures.pointwise import Pointwise

Array = np.ndarray
Work = Literal["cost and gradient", "cost", "gradient and Hessian"]

EXACT = {
    "add", "sub", "mul", "div", "neg", "abs", "sign", "min", "max", "where", "alike", "lt", "le", "equal", "both",
    "either", "mul0", "hold", "sloped", "biweight", "biweight_slope", "harmonic",
}  # fmt: skip
"""Instructions that are arithmetic; a loss with any other is called an exp/log loss here."""

LARGE, MIDDLE, SMALL, TINY = 8_000_000, 65_536, 128, 32
STRETCHES = 32
"""Parts of a large array that are alike."""

MAIN = (
    "squared_error", "absolute_error", "huber", "quantile", "hinge", "binary_cross_entropy", "log_cosh", "poisson",
    "focal", "cauchy",
)  # fmt: skip
"""Losses that everybody has: these run on compilers that need seconds for each, too."""


def gradient_room(loss: Loss, shape: tuple[int, ...], dtype: str) -> Any:
    """Return what the gradient of a loss is written into: an array, or one for each predicted input by name."""
    rooms = {item.name: aligned(shape, dtype) for item in loss.predicted}
    return rooms if len(rooms) > 1 else next(iter(rooms.values()))


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return an array that begins at a cache line and has been touched."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    raw.fill(0)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


@dataclass(frozen=True)
class Case:
    """One loss on arrays of one shape.

    Attributes:
        group: what the table puts it under.
        name: what the loss is called, and its formula.
        loss: ours.
        shape: of the predictions.
        dtype: name of the type.
        work: what is computed.
        strided: whether the arrays are every other number of larger ones.
        own: the same loss as a user would write it, to run beside ours.
    """

    group: str
    name: str
    loss: Loss
    shape: tuple[int, ...]
    dtype: str = "float32"
    work: Work = "cost and gradient"
    strided: bool = False
    own: Loss | None = None

    @property
    def label(self) -> str:
        """What tables call it."""
        return f"{self.name}, {' x '.join(f'{n:,}' for n in self.shape)} {self.dtype}"

    @property
    def rows(self) -> int:
        """How many examples there are."""
        return self.shape[0]

    @property
    def stretch(self) -> int:
        """How many rows repeat."""
        return self.rows // STRETCHES if np.prod(self.shape) > 10 * MIDDLE else self.rows

    @property
    def wrt(self) -> list[str]:
        """Inputs that the gradient is taken by."""
        return [item.name for item in self.loss.predicted]

    @cached_property
    def data(self) -> dict[str, Array]:
        """The inputs by name, aligned and touched."""
        rng = np.random.default_rng(0)
        return {name: self._repeated(drawn) for name, drawn in self._drawn(rng).items()}

    def _drawn(self, rng: np.random.Generator) -> dict[str, Array]:
        shape = (self.stretch, *self.shape[1:])
        if len(shape) == 1:
            return {item.name: draw(rng, self.loss, item.symbol, self.stretch) for item in self.loss.inputs}
        logits = rng.standard_normal(shape) * 2
        first, second = (item.name for item in self.loss.inputs)
        if self.name == "distillation":
            return {"teacher": rng.standard_normal(shape) * 2, "student": logits}
        if self.loss.values.get("prediction") == "probabilities":
            logits = _softmax(logits)
        if first == "y_true" and self.name != "categorical_cross_entropy":  # a class for each row
            return {"y_true": rng.integers(0, shape[1], shape[0]), "y_pred": logits}
        shares_of_both = self.loss.values.get("q_kind") in ("probabilities", "values")
        shares = rng.exponential(size=shape)
        shares /= shares.sum(axis=1, keepdims=True)
        return {first: shares, second: _softmax(logits) if shares_of_both else logits}

    def _repeated(self, drawn: Array) -> Array:
        dtype = drawn.dtype if drawn.dtype.kind == "i" else np.dtype(self.dtype)
        shape = (self.rows, *drawn.shape[1:])
        whole = aligned((2 * shape[0],), dtype)[::2] if self.strided else aligned(shape, dtype)
        for start in range(0, self.rows, self.stretch):
            whole[start : start + self.stretch] = drawn
        return whole

    def forget(self) -> None:
        """Let go of the data."""
        self.__dict__.pop("data", None)


def _softmax(logits: Array) -> Array:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def draw(rng: np.random.Generator, loss: Loss, symbol: str, rows: int) -> Array:
    """Return random numbers for an input of a loss, inside its domain."""
    drawn = rng.standard_normal(rows)
    domain = str(loss.domains[symbol])
    if domain in ("{0, 1}", "[0, 1]"):
        if symbol == "f":  # a probability
            return 1 / (1 + np.exp(-2 * drawn))
        return (drawn > 0).astype(float)
    if domain == "[0, inf)":
        return rng.poisson(2.0, rows).astype(float)
    if domain in ("(0, inf)", "(-1, inf)"):
        return np.exp(drawn / 2)
    if domain == "(-inf, 0]":
        return -np.abs(drawn) * 10
    if "without" in domain:
        return np.copysign(np.abs(drawn) + 0.5, drawn)
    return drawn if symbol == "y" else 2 * drawn


def pointwise() -> Iterator[tuple[str, Pointwise]]:
    """Yield every pointwise loss of the catalogue that can be trained with."""
    for name in lm.names():
        loss = lm.get(name)
        if isinstance(loss, Pointwise) and name != "zero_one":
            yield name, loss


def compiles(case: Case) -> bool:
    """Return whether a case is worth a compilation of several seconds."""
    if case.strided or len(case.shape) == 2:
        return not case.strided
    return case.name in MAIN and case.rows in (LARGE, MIDDLE, SMALL) and (case.dtype == "float32" or case.rows == LARGE)


def exact(loss: Loss) -> bool:
    """Return whether a loss and its gradient are arithmetic alone."""
    program = loss.program(1)
    steps = enumerate(program.steps, start=program.first_step)
    return {step.op for number, step in steps if not program.uniform[number]} <= EXACT
