"""Arithmetic of losses: ``0.7 * a + 0.3 * b`` is a loss.

What a sum is, is a structure's matter; here are only the operators that lead to it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossmith.core.loss import Loss


class Summable:
    """Gives losses ``+`` and multiplication by a number."""

    def __add__(self, other: Any) -> Loss:
        if not isinstance(other, Summable):
            return NotImplemented
        return _sum(((1.0, self), (1.0, other)))

    def __radd__(self, other: Any) -> Loss:
        if other == 0:  # sum([a, b]) begins with 0
            return _sum(((1.0, self),))
        return NotImplemented

    def __mul__(self, weight: Any) -> Loss:
        if isinstance(weight, Summable):
            return NotImplemented
        return _sum(((weight, self),))

    __rmul__ = __mul__


def _sum(terms: tuple[tuple[Any, Any], ...]) -> Loss:
    found: Loss = import_module("lossmith.structures.composite").Sum(terms)
    return found
