"""What an engine of arrays brings to a program: plain arithmetic, choices, and the functions that every library has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Lanes = Any
"""Numbers, or truth values, that are computed with at once: they add, multiply and compare as numbers do."""


class Arithmetic(Protocol):
    """What an engine brings: the functions of the standard library of C, and choices between two results."""

    @property
    def always(self) -> Any:
        """True, as truth values are."""

    def number(self, value: float) -> Lanes:
        """Return a number in the type of all others."""

    def constant(self, a: Lanes) -> float | None:
        """Return the number that ``a`` is known to be before anything runs, if it is."""

    def select(self, condition: Lanes, a: Lanes | float, b: Lanes | float) -> Lanes:
        """Return ``a`` where the condition holds, else ``b``, whatever the other is."""

    def rarely(self, where: Lanes, rare: Callable[[], Lanes], common: Lanes) -> Lanes:
        """Return ``rare()`` where a condition holds, which it hardly ever does, else ``common``."""

    def equal(self, a: Lanes, b: Lanes | float) -> Lanes:
        """Return where two are equal; what is no number equals nothing."""

    def largest(self, a: Lanes, b: float) -> Lanes:
        """Return the larger one; ``b`` where ``a`` is no number."""

    def smallest(self, a: Lanes, b: float) -> Lanes:
        """Return the smaller one; ``b`` where ``a`` is no number."""

    def fma(self, a: Lanes, b: Lanes | float, c: Lanes | float) -> Lanes:
        """Return a b + c, with what rounding takes from the product where c takes the product away."""

    def finite_product(self, a: Lanes, b: Lanes) -> Lanes:
        """Return a b of finite factors, which is 0.0 and never -0.0 where one of them is zero."""

    def exp_rest(self, x: Lanes) -> Lanes:
        """Return (exp(x) - 1 - x) / x² of a number from -1 to 1."""

    def polynomial(self, x: Lanes, coefficients: Sequence[float]) -> Lanes:
        """Return a polynomial, from the constant coefficient up."""

    def normal_range(self) -> tuple[float, float]:
        """Return the least and the greatest normal number of the type."""

    def abs(self, a: Lanes) -> Lanes:
        """Return the absolute value."""

    def sqrt(self, a: Lanes) -> Lanes:
        """Return the square root."""

    def copysign(self, a: Lanes, sign: Lanes) -> Lanes:
        """Return ``a`` with the sign of the other."""

    def pow(self, a: Lanes, b: Lanes) -> Lanes:
        """Return a ** b."""

    def exp(self, a: Lanes, low: Lanes | None = None) -> Lanes:
        """Return the exponential of a, or of a + low where the second is tiny beside the first."""

    def expm1(self, a: Lanes) -> Lanes:
        """Return exp(a) - 1."""

    def mul_exp(self, a: Lanes, b: Lanes, *, finite: bool = False, number: bool = False) -> Lanes:
        """Return a exp(b), where exp(b) alone may overflow or have no digits left; an exact zero wins.

        ``finite`` says that a is, ``number`` that b is one, or infinite.
        """

    def lowered(self, a: Lanes, x: Lanes, low: Lanes) -> Lanes:
        """Return a exp(x + low) of x at most 0, where exp(x) alone may have no digits left; low is tiny beside x."""

    def log(self, a: Lanes) -> Lanes:
        """Return the natural logarithm."""

    def log1p(self, a: Lanes) -> Lanes:
        """Return log(1 + a)."""

    def log_of_either(self, condition: Lanes, a: Lanes, x: Lanes) -> Lanes:
        """Return log(a) where a condition holds, else log(1 + x)."""

    def log1p_of_share(self, a: Lanes) -> Lanes:
        """Return log(1 + a) of a number from 0 to 1."""

    def tanh(self, a: Lanes) -> Lanes:
        """Return the hyperbolic tangent."""

    def sigmoid(self, a: Lanes) -> Lanes:
        """Return 1 / (1 + exp(-a))."""

    def softplus(self, a: Lanes) -> Lanes:
        """Return log(1 + exp(a))."""

    def sigmoid_below(self, a: Lanes) -> Lanes:
        """Return 1 / (1 + exp(-a)) of what is at most 0."""

    def softplus_below(self, a: Lanes) -> Lanes:
        """Return log(1 + exp(a)) of what is at most 0."""

    def logcosh(self, a: Lanes) -> Lanes:
        """Return log(cosh(a))."""

    def sech2(self, a: Lanes) -> Lanes:
        """Return 1 / cosh(a)²."""

    def hypot(self, a: Lanes, b: Lanes) -> Lanes:
        """Return √(a² + b²), without overflow on the way."""

    def log1p_excess(self, a: Lanes) -> Lanes:
        """Return a - log(1 + a)."""

    def bell(self, a: Lanes) -> Lanes:
        """Return exp(-a² / 2)."""

    def normal_within(self, a: Lanes) -> Lanes:
        """Return erf(a / √2)."""

    def atanh_gap(self, x: Lanes) -> tuple[Lanes, Lanes]:
        """Return t = x / (2 + x), and what t is multiplied by to make log(1 + x) - 2 t, for x from -1/2 to 1."""

    def lgamma(self, a: Lanes) -> Lanes:
        """Return the logarithm of the gamma function for a above 0, and its absolute value's below."""
