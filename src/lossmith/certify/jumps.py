"""Where a loss or its derivatives jump, found by search and without the card."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from typing import Any

from mpmath import mp, mpf

from lossmith.certify import oracle
from lossmith.core.loss import Loss

_WIDTH = mpf(10) ** -45
_APART = mpf(10) ** -35
NAMES = ("value", "gradient", "hessian")


def switches(loss: Loss, y: float, low: mpf, high: mpf) -> list[mpf]:
    """Return the places between two predictions where a choice of the formula flips.

    Between such places a formula is analytic, so nothing jumps there. What ``hold`` keeps would flip everywhere.
    """
    with mp.workdps(70):
        return list(_search(loss, y, low, high, _choices(loss, y, low), _choices(loss, y, high)))


def _search(loss: Loss, y: float, low: mpf, high: mpf, at_low: Any, at_high: Any) -> Iterator[mpf]:
    middle = (low + high) / 2
    if high - low <= _WIDTH * max(1, abs(low)):
        yield middle
        return
    between = _choices(loss, y, middle)
    if at_low != between:
        yield from _search(loss, y, low, middle, at_low, between)
    if between != at_high:
        yield from _search(loss, y, middle, high, between, at_high)


def _choices(loss: Loss, y: float, f: mpf) -> Any:
    # What is no number differs from itself, and would flip everywhere.
    return tuple(None if choice != choice else choice for choice in oracle.choices(loss, y, f, _WIDTH))


@cache
def jumps(loss: Loss, y: float, grid: tuple[float, ...]) -> dict[mpf, str]:
    """Return where in an ascending grid something jumps, and the lowest of value, gradient and Hessian that does."""
    found: dict[mpf, str] = {}
    for low, high in itertools.pairwise(grid):
        for place in switches(loss, y, mpf(low), mpf(high)):
            if any(abs(place - other) < _APART * max(1, abs(place)) for other in found):
                continue  # a kink on a point of the grid is met from both sides
            name = jumping(loss, y, place)
            if name:
                found[place] = name
    return found


def jumping(loss: Loss, y: float, place: mpf) -> str:
    """Return the lowest of value, gradient and Hessian that jumps at a place; empty where none does."""
    for order, name in enumerate(NAMES):
        left, right = (oracle.one_sided(loss, y, place, side, order) for side in (-1, 1))
        if not abs(left - right) <= mpf(10) ** -20 * max(1, abs(left), abs(right)):  # a slope without limit too
            return name
    return ""
