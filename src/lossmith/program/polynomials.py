"""Polynomials with exact coefficients, in the numbered values of a program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lossmith.program.ranges import SQUARES, Range, around, plus, power_of, times

Powers = tuple[tuple[int, int], ...]
"""Values and their exponents, in ascending order."""

_MOST = 60  # terms


@dataclass(frozen=True)
class Polynomial:
    """A sum of products; ``terms`` maps powers to coefficients, none of which is 0."""

    terms: dict[Powers, Fraction]

    @classmethod
    def constant(cls, number: float) -> Polynomial | None:
        """Return a number, if it is finite."""
        return cls({(): Fraction(number)} if number else {}) if math.isfinite(number) else None

    @classmethod
    def atom(cls, number: int) -> Polynomial:
        """Return a value that is known by its number alone."""
        return cls({((number, 1),): Fraction(1)})

    @classmethod
    def made(cls, number: int, op: str, given: Sequence[Polynomial]) -> Polynomial:
        """Return a value of a program, which an instruction makes of others: one known by its number if by no terms."""
        found: Polynomial | None = None
        if op in ("add", "sub", "neg"):
            found = -given[0] if op == "neg" else given[0] + given[1] if op == "add" else given[0] - given[1]
        elif op in SQUARES:
            found = given[0] * given[1]
        elif op == "div" and given[1].terms.keys() == {()}:
            found = given[0] * cls({(): 1 / given[1].terms[()]})
        elif op == "pow" and given[1].terms.keys() == {()} and (power := given[1].terms[()]) in (1, 2, 3, 4):
            found = given[0]
            for _ in range(int(power) - 1):
                found = found * given[0] if found.is_short() else found
        return found if found is not None and found.is_short() else cls.atom(number)

    def __add__(self, other: Polynomial) -> Polynomial:
        found = dict(self.terms)
        for powers, factor in other.terms.items():
            found[powers] = found.get(powers, Fraction(0)) + factor
        return Polynomial({powers: factor for powers, factor in found.items() if factor})

    def __neg__(self) -> Polynomial:
        return Polynomial({powers: -factor for powers, factor in self.terms.items()})

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        found = Polynomial({})
        for left, one in self.terms.items():
            for right, two in other.terms.items():
                exponents = dict(left)
                for atom, exponent in right:
                    exponents[atom] = exponents.get(atom, 0) + exponent
                found += Polynomial({tuple(sorted(exponents.items())): one * two})
        return found

    def is_short(self) -> bool:
        """Return whether it is short enough to go on with."""
        return len(self.terms) <= _MOST

    def atoms(self) -> set[int]:
        """Return the values in it."""
        return {atom for powers in self.terms for atom, _ in powers}

    def by(self, atom: int) -> dict[int, Polynomial]:
        """Return the coefficients of the powers of a value."""
        found: dict[int, Polynomial] = {}
        for powers, factor in self.terms.items():
            exponent = dict(powers).get(atom, 0)
            rest = tuple(pair for pair in powers if pair[0] != atom)
            found[exponent] = found.get(exponent, Polynomial({})) + Polynomial({rest: factor})
        return found

    def at(self, atom: int, place: Polynomial) -> Polynomial:
        """Return it with a value replaced."""
        found, power = Polynomial({}), Polynomial({(): Fraction(1)})
        coefficients = self.by(atom)
        for exponent in range(max(coefficients, default=0) + 1):
            if exponent in coefficients:
                found += coefficients[exponent] * power
            power *= place
        return found

    def slope(self, atom: int) -> Polynomial:
        """Return its derivative by a value."""
        found = Polynomial({})
        for exponent, factor in self.by(atom).items():
            if exponent:
                power = Polynomial({((atom, exponent - 1),) if exponent > 1 else (): Fraction(exponent)})
                found += factor * power
        return found

    def range(self, of: Callable[[int], Range]) -> Range:
        """Return an interval that it lies in."""
        total: Range = (0.0, 0.0)
        for powers, factor in self.terms.items():
            product = around(factor)
            for atom, exponent in powers:
                product = times(product, power_of(of(atom), exponent))
            total = plus(total, product)
        return total
