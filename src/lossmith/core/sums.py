"""Arithmetic of losses: ``0.7 * a + 0.3 * b`` is a loss, and so is ``(a + b) / 2``.

What a sum is, is a structure's matter; here are only the operators that lead to it.
"""

from __future__ import annotations

import numbers
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lossmith.core.parameter import rounded
from lossmith.errors import KindError, ParameterError

if TYPE_CHECKING:
    from lossmith.core.loss import Loss


class Summable:
    """Gives losses ``+``, and multiplication and division by a number."""

    def __add__(self, other: Any) -> Loss:
        if not isinstance(other, Summable):
            raise KindError(
                f"{self} + {other!r}: a loss is added to losses alone. What regularises is added to the cost: "
                "loss(y_true, y_pred) + lossmith.L2(0.01)(parameters)"
            )
        return _sum(((1.0, self), (1.0, other)))

    def __radd__(self, other: Any) -> Loss:
        if other == 0:  # sum([a, b]) begins with 0
            return _sum(((1.0, self),))
        return self.__add__(other)

    def __mul__(self, weight: Any) -> Loss:
        if isinstance(weight, Summable):
            return NotImplemented
        return _sum(((weight, self),))

    __rmul__ = __mul__

    def __truediv__(self, number: Any) -> Loss:
        if isinstance(number, Summable):
            return NotImplemented
        if isinstance(number, bool) or not isinstance(number, numbers.Real) or not number:
            raise ParameterError(f"{self} / {number!r}: a loss is divided by a number above 0")
        weight = rounded(1 / number)
        if not weight:
            raise ParameterError(
                f"{self} / {rounded(number):g}: nothing is left of a loss divided by so large a number"
            )
        return self * weight

    def __neg__(self) -> Loss:
        return -1 * self

    def __sub__(self, other: Any) -> Loss:
        return self.__add__(-1 * other)


def _sum(terms: tuple[tuple[Any, Any], ...]) -> Loss:
    found: Loss = import_module("lossmith.structures.composite").Sum(terms)
    return found
