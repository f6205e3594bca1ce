"""How vectors compute polynomials; coefficients go from the constant one up."""

from __future__ import annotations

from collections.abc import Sequence

from lossmith.engines.coefficients import COEFFICIENTS
from lossmith.engines.llvm.lanes import Body, Lanes

LONG = 5
"""Coefficients from which on a polynomial is long."""

STRETCHED = 12
"""Coefficients from which on ``stretches`` takes four powers at a time, and not two."""


def table(b: Body, name: str) -> tuple[float, ...]:
    """Return the coefficients of a polynomial for the numbers of a text."""
    return COEFFICIENTS[name, b.kind]


def polynomial(b: Body, x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """Return a polynomial.

    A long one is summed by even and odd powers apart: one chain of products would keep the machine waiting. Where the
    two parts cancel, the others have the digits.
    """
    if len(coefficients) >= LONG:
        square = x * x
        even, odd = (horner(b, square, coefficients[first::2]) for first in (0, 1))
        return b.fma(odd, x, even)
    return horner(b, x, coefficients)


def horner(b: Body, x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """Return it by Horner's rule."""
    found: Lanes = b.number(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        found = b.fma(found, x, coefficient)
    return found


def stretches(b: Body, x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """Return it by Horner's rule for a few powers at a time: as many digits, in half the steps after one another."""
    first, *others = coefficients
    square = x * x
    size, power = (4, square * square) if len(coefficients) >= STRETCHED else (2, square)
    *lower, found = (horner(b, x, others[at : at + size]) for at in range(0, len(others), size))
    for part in reversed(lower):
        found = b.fma(found, power, part)
    return b.fma(found, x, first)
