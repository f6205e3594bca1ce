"""Slow, obvious references: the definitions in loops, with 100 digits, and derivatives by differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import mpmath
import numpy as np

from tests.structures import differences

mp = mpmath.mp.clone()
mp.dps = 100

ULPS = 8
STEP = mp.mpf(10) ** -25
NOISE = 1e-50  # of the differences themselves
Number = Any
Rows = Sequence[Sequence[Number]]


def xlogy(x: Number, y: Number) -> Number:
    return mp.zero if x == 0 else x * (mp.log(y) if y else -mp.inf)


def kl(p: Number, q: Number) -> Number:
    return xlogy(p, p) - xlogy(p, q)


def js(p: Number, q: Number) -> Number:
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def alpha(a: float) -> Callable[[Number, Number], Number]:
    a = mp.mpf(a)
    if a == 1:
        return lambda p, q: kl(p, q) - p + q
    if a == 0:
        return lambda p, q: kl(q, p) - q + p
    return lambda p, q: (mp.power(p, a) * mp.power(q, 1 - a) - a * p - (1 - a) * q) / (a * (a - 1))


DEFINITIONS: dict[str, Callable[[Number, Number], Number]] = {
    "KLDivergence()": kl,
    "ReverseKLDivergence()": lambda p, q: kl(q, p),
    "JensenShannon()": js,
    "TotalVariation()": lambda p, q: abs(p - q) / 2,
    "SquaredHellinger()": lambda p, q: (mp.sqrt(p) - mp.sqrt(q)) ** 2 / 2,
    "AlphaDivergence(alpha=0.3)": alpha(0.3),
    "AlphaDivergence(alpha=0.5)": alpha(0.5),
    "AlphaDivergence(alpha=1.5)": alpha(1.5),
    "AlphaDivergence(alpha=0)": alpha(0),
    "AlphaDivergence(alpha=1)": alpha(1),
    "AlphaDivergence(alpha=-1)": alpha(-1),
    "GeneralisedKL()": lambda p, q: kl(p, q) - p + q,
}


def probabilities(row: Sequence[Number], kind: str) -> Sequence[Number]:
    return _probabilities(tuple(row), kind)


@lru_cache(maxsize=1024)  # differences move one row and then the other
def _probabilities(row: tuple[Number, ...], kind: str) -> Sequence[Number]:
    if kind in ("probabilities", "values"):
        return row
    powers = [mp.exp(x) for x in row]
    total = mp.fsum(powers)
    return [x / total for x in powers] if kind == "logits" else powers


@lru_cache(maxsize=1024)  # without a softmax, they move one class
def _term(definition: Callable[[Number, Number], Number], p: Number, q: Number) -> Number:
    return definition(p, q)


def divergence(definition: Callable[[Number, Number], Number], p_kind: str, q_kind: str) -> Callable[..., Number]:
    """Return the loss of one row of p and q, both in one list."""

    def loss(x: Sequence[Number]) -> Number:
        half = len(x) // 2
        pairs = zip(probabilities(x[:half], p_kind), probabilities(x[half:], q_kind), strict=True)
        return mp.fsum(_term(definition, p, q) for p, q in pairs)

    return loss


def exact(x: Sequence[float]) -> list[Number]:
    return [mp.mpf(float(number)) for number in x]


def steps(x: Sequence[Number]) -> list[Number]:
    return [STEP * (abs(number) if 0 < abs(number) < 1 else 1) for number in x]


def gradient(loss: Callable[..., Number], x: Sequence[Number]) -> list[Number]:
    return differences.gradient(loss, x, steps(x))


def hessian(loss: Callable[..., Number], x: Sequence[Number]) -> list[list[Number]]:
    return differences.hessian(loss, x, steps(x))


def ulps_off(found: Any, truth: Any, change: Callable[[], Any], within: float = ULPS) -> np.ndarray:
    """Return how many ulps a result is off the truth beyond what one ulp of the inputs changes.

    ``change`` says that, and is asked only where a result is off by more than ``within``: it takes many truths.
    """
    eps, numbers, true = 2.0**-52, [mp.mpf(float(number)) for number in np.ravel(found)], flat(truth)

    def off(changes: Sequence[Number]) -> np.ndarray:
        beyond = [
            max(abs(a - b) - c - NOISE, 0) / max(abs(b), mp.mpf(5e-324) / eps) / eps
            for a, b, c in zip(numbers, true, changes, strict=True)
        ]
        return np.array(beyond, dtype=float)

    plain = off([mp.zero] * len(true))
    return plain if np.all(plain <= within) else off(flat(change()))


def flat(nested: Any) -> list[Number]:
    return [x for inner in nested for x in flat(inner)] if isinstance(nested, list | tuple) else [nested]


def change(function: Callable[..., Any], x: Sequence[float]) -> list[Number]:
    """Return what one ulp of each input changes in each output, summed over the inputs."""
    start, given = flat(function(exact(x))), exact(x)
    ulps = [mp.mpf(float(np.spacing(abs(number)))) for number in x]
    moves = [flat(function(differences.moved(given, {place: ulp}))) for place, ulp in enumerate(ulps) if ulp]
    return [mp.fsum(abs(move[k] - start[k]) for move in moves) for k in range(len(start))]


class Here:
    """A loss at some inputs, with its derivatives, which are found when they are asked for, and kept."""

    def __init__(self, loss: Callable[[Sequence[Number]], Number], x: Sequence[float]) -> None:
        self._loss, self.x = loss, x

    @cached_property
    def value(self) -> Number:
        return self._loss(exact(self.x))

    @cached_property
    def slopes(self) -> list[Number]:
        return gradient(self._loss, exact(self.x))

    @cached_property
    def bends(self) -> list[list[Number]]:
        return hessian(self._loss, exact(self.x))

    def change_of_value(self) -> list[Number]:
        """Return what one ulp of the inputs changes, and so below."""
        ulps = [mp.mpf(float(np.spacing(abs(number)))) for number in self.x]
        return [mp.fsum(abs(slope) * ulp for slope, ulp in zip(self.slopes, ulps, strict=True))]

    def change_of_slopes(self) -> list[Number]:
        return change(lambda x: gradient(self._loss, x), self.x)

    def change_of_bends(self) -> list[Number]:
        return change(lambda x: hessian(self._loss, x), self.x)
