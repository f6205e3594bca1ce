"""How far hosts are from the truth: the worst result of each over points of losses."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from mpmath import mp, mpf

from lossmith.certify import oracle
from lossmith.certify.exactness import OUTPUTS, error
from lossmith.certify.hosts import HALF, SIGN_CHANGES, Host
from lossmith.certify.points import combinations, inside, law_pairs
from lossmith.core.loss import Loss

Array = npt.NDArray[Any]

EACH = 16
"""Points of each sort, ordinary ones and ones of the law grid; as many for every loss, so that hosts compile less."""


@dataclass(frozen=True)
class Worst:
    """The worst result of a host.

    Attributes:
        ulps: how far it is off, in units in the last place.
        tolerance: how far it may be.
        loss: whose output.
        y, f: the target and the prediction.
        got: the result.
        truth: what it should have been.
    """

    ulps: float
    tolerance: float
    loss: Loss
    y: float
    f: float
    got: float
    truth: float

    @property
    def within(self) -> bool:
        """Whether that is near enough."""
        return self.ulps <= self.tolerance

    @property
    def rank(self) -> float:
        """What makes a result worse than another: its part of the tolerance."""
        return self.ulps / self.tolerance


Key = tuple[str, str, str]
"""Host, type of inputs, and output."""


def forms(kind: type[Loss]) -> list[Loss]:
    """Return a loss with every combination of its options."""
    return list(dict.fromkeys(kind(**chosen) for chosen in combinations(kind)))


@cache
def places(loss: Loss, kind: str) -> tuple[Array, Array]:
    """Return targets and predictions: ordinary ones, and some of the law grid with its far tails and kinks."""
    dtype: Any = np.float64 if kind == "float64" else np.float32
    rng = np.random.default_rng(0)
    y, f = (inside(loss.domains[x], rng, EACH) for x in ("y", "f"))
    grid = law_pairs(loss, dtype)
    drawn = random.Random(f"{loss} {kind}").choices(grid, k=EACH)
    pairs = np.array([*zip(y, f, strict=True), *drawn]).astype(dtype)
    if kind == "bfloat16":
        pairs = _cut(pairs)
        kept = np.array([loss.domains["y"].includes(a) and loss.domains["f"].includes(b) for a, b in pairs.tolist()])
        pairs = np.where(kept[:, None], pairs, pairs[kept][0])
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _cut(numbers: Array) -> Array:
    """Return the float32 numbers that bfloat16 has, towards zero."""
    return (np.ascontiguousarray(numbers).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def measure(loss: Loss, hosts: Mapping[str, Host], kinds: Iterable[str]) -> dict[Key, Worst]:
    """Return the worst result of each host for one loss, by type of inputs and output."""
    found = {}
    for kind in kinds:
        for name, host in hosts.items():
            y, f = host.usable(*places(loss, kind))
            for order, numbers in enumerate(host.ask(loss, y, f, kind)):
                found[name, kind, OUTPUTS[order]] = _worst(loss, order, y, f, numbers, host, kind)
    return found


def _worst(loss: Loss, order: int, y: Array, f: Array, numbers: Array, host: Host, kind: str) -> Worst:
    computed = "float64" if kind == "float64" else "float32"
    tolerance = getattr(host.tolerance, computed) * (SIGN_CHANGES if order == 2 else 1)
    worst: Worst | None = None
    for target, prediction, value in zip(y.tolist(), f.tolist(), numbers.tolist(), strict=True):
        truth = oracle.truth(loss, target, prediction, order)
        got = value
        if host.narrow and kind == "bfloat16" and order > 0:
            got = _widened(value, truth)
        if not host.promises(order, truth, computed):
            continue
        ulps = error(loss, order, target, prediction, got, f.dtype, tolerance)
        if worst is None or ulps > worst.ulps:
            worst = Worst(ulps, tolerance, loss, target, prediction, value, float(truth))
    if worst is None:
        return Worst(0.0, tolerance, loss, float(y[0]), float(f[0]), 0.0, 0.0)
    return worst


def _widened(value: float, truth: mpf) -> float:
    """Return the truth where a bfloat16 is it but for its rounding, and else the number."""
    if not mp.isfinite(truth) or not np.isfinite(value) or truth == 0:
        return value
    unit = mpf(2) ** max(int(mp.floor(mp.log(abs(truth), 2))) - 7, -133)
    return float(np.float32(float(truth))) if abs(value - truth) <= HALF * unit else value


def worse(found: dict[Key, Worst], more: Mapping[Key, Worst]) -> None:
    """Put into one table what is worse in another."""
    for key, worst in more.items():
        if key not in found or worst.rank > found[key].rank:
            found[key] = worst
