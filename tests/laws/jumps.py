"""Where a loss or its derivatives jump, found by search and without the card."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache

from mpmath import mp, mpf

from lossmith import Loss
from tests.laws import oracle

_WIDTH = mpf(10) ** -70
_APART = mpf(10) ** -50
_NAMES = ("value", "gradient", "hessian")


def switches(loss: Loss, y: float, low: mpf, high: mpf) -> Iterator[mpf]:
    """Yield the places between two predictions where a choice of the formula flips.

    Between such places a formula is analytic, so nothing jumps there.
    """
    with mp.workdps(100):
        if high - low <= _WIDTH * max(1, abs(low)):
            yield (low + high) / 2
            return
        middle = (low + high) / 2
        ends = [oracle.choices(loss, y, place, _WIDTH) for place in (low, middle, high)]
    if ends[0] != ends[1]:
        yield from switches(loss, y, low, middle)
    if ends[1] != ends[2]:
        yield from switches(loss, y, middle, high)


@lru_cache(maxsize=None)
def jumps(loss: Loss, y: float, grid: tuple[float, ...]) -> dict[mpf, str]:
    """Return the places in an ascending grid where something jumps, and the lowest of value, gradient, Hessian that does."""
    found: dict[mpf, str] = {}
    for low, high in itertools.pairwise(grid):
        for place in switches(loss, y, mpf(low), mpf(high)):
            if any(abs(place - other) < _APART * max(1, abs(place)) for other in found):
                continue  # a kink on a point of the grid is met from both sides
            for order, name in enumerate(_NAMES):
                left, right = (oracle.one_sided(loss, y, place, side, order) for side in (-1, 1))
                if abs(left - right) > mpf(10) ** -20 * max(1, abs(left), abs(right)):
                    found[place] = name
                    break
    return found
