"""Bounds of an output of a program that hold for all inputs: what proves that a gradient is bounded.

That is interval arithmetic (see ``ranges``) with three things more. A branch of ``where`` is looked at under its
condition, which is kept as a range of a polynomial, so that ``f < y`` tells of ``3*(y - f)`` too. A product or quotient
with one variable in both parts, such as x/(1 + x**2), gets its largest value where its form is known. And a product or
quotient of a sum is also taken apart into those of its terms. Where that is not enough, an end is infinite: no bound is
known, which is not the same as none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache, partial
from typing import NamedTuple

from lossmith.program.polynomials import Polynomial, Powers
from lossmith.program.program import Program, Step
from lossmith.program.ranges import EVERYWHERE, SQUARES, Range, around, meet, minus, of, over, plus, side, times

_WORK = 1000
"""How many values are looked at, over and over under other conditions, before conditions are left out."""
_NESTED = 40
"""How many conditions are looked at one inside the other before those further in are left out."""
_LONG = 8  # terms of a variable whose square is looked for
_DEEP = 6
"""How often a product or quotient is taken apart."""


@lru_cache(maxsize=256)
def bounds(program: Program, output: str, ranges: tuple[tuple[str, Range], ...]) -> Range:
    """Return two numbers that an output lies between wherever it is a number, infinite ones where none are known.

    Args:
        program: with that output.
        output: what it calls it.
        ranges: of inputs and parameters, by name; those without may be any number.
    """
    return _Bounds(program, dict(ranges)).range(program.output(output), _Case({}))


Key = tuple[tuple[Powers, Fraction], ...]
"""The terms of a polynomial without its constant, over the coefficient of the first of them."""


class _Form(NamedTuple):
    """A value as ``scale`` times what has a key, plus ``offset``."""

    key: Key
    scale: Fraction
    offset: Fraction


@dataclass
class _Case:
    """What conditions say, by the key of a polynomial, and the ranges that are found under them."""

    said: Mapping[Key, Range]
    found: dict[int, Range] = field(default_factory=dict)


_CHOICES = ("where", "alike")
_DECIDED = (*_CHOICES, "lt", "le", "equal", "both", "either")
"""Instructions whose range is not made of those of all that they take: choices, and truths."""


class _Bounds:
    def __init__(self, program: Program, ranges: dict[str, Range]) -> None:
        names = program.inputs + program.parameters
        self.steps = dict(enumerate(program.steps, start=program.first_step))
        self.given = [ranges.get(name, EVERYWHERE) for name in names] + [(x, x) for x in program.constants]
        self.polynomials = [
            (Polynomial.constant(low) if low == high else None) or Polynomial.atom(number)
            for number, (low, high) in enumerate(self.given)
        ]
        for number, step in self.steps.items():
            given = [self.polynomials[arg] for arg in step.args]
            self.polynomials.append(Polynomial.made(number, step.op, given))
        self.forms = [_form(polynomial) for polynomial in self.polynomials]
        self.work, self.depth = _WORK, 0

    def range(self, number: int, case: _Case) -> Range:
        """Return the range of a value where conditions hold."""
        waiting = [number]
        while waiting:  # what others are made of comes first, so that no chain is too long
            ahead = [arg for arg in self._made_of(waiting[-1]) if arg not in case.found]
            if ahead:
                waiting += ahead
            else:
                self._find(waiting.pop(), case)
        return case.found[number]

    def _made_of(self, number: int) -> Sequence[int]:
        """Return the values whose ranges that of another takes under the same conditions, in any case."""
        step = self.steps.get(number)
        if step is None or step.op in _DECIDED:
            return step.args[1:] if step and step.op in _CHOICES and self._leaves_conditions_out else ()
        return step.args

    @property
    def _leaves_conditions_out(self) -> bool:
        return self.work < 0 or self.depth > _NESTED

    def _find(self, number: int, case: _Case) -> None:
        if number in case.found:
            return
        self.work -= 1
        found = self._plain(number, case)
        form = self.forms[number]
        if form is not None and form.key in case.said:
            said = plus(times(case.said[form.key], around(form.scale)), around(form.offset))
            narrowed = meet(found, said)
            found = narrowed if narrowed[0] <= narrowed[1] else found
        case.found[number] = found

    def _plain(self, number: int, case: _Case) -> Range:
        if number not in self.steps:
            return self.given[number]
        step = self.steps[number]
        if step.op in _CHOICES:
            return self._chosen(step, case)
        if step.op in _DECIDED:
            return EVERYWHERE
        direct = of(step.op, [self.range(arg, case) for arg in step.args], square=len(set(step.args)) == 1)
        a, b = step.args[0], step.args[-1]
        if step.op == "div" and not _bounded(direct):
            return meet(direct, self._quotient(a, b, case, _DEEP))
        if step.op == "mul_exp" and not _bounded(direct):
            return meet(direct, self._against_exp(a, self.polynomials[b], case))
        if step.op in SQUARES and a != b and not _bounded(direct):
            return meet(direct, self._product(a, b, case, _DEEP))
        return direct

    # --- choices --------------------------------------------------------------------------------------

    def _chosen(self, step: Step, case: _Case) -> Range:
        condition, *branches = step.args
        found = []
        self.depth += 1
        for holds, branch in zip((True, False), branches, strict=True):
            under = case if self._leaves_conditions_out else self._assumed(condition, holds, case)
            if under is not None:
                found.append(self.range(branch, under))
        self.depth -= 1
        return (min(low for low, _ in found), max(high for _, high in found)) if found else EVERYWHERE

    def _assumed(self, condition: int, holds: bool, case: _Case) -> _Case | None:
        """Return a case with a condition more, the same where that says nothing, or nothing where it cannot be."""
        said = dict(case.said)
        for left, right in self._sides(condition, holds):
            a, b = self.range(left, case), self.range(right, case)
            apart = _form(self.polynomials[left] - self.polynomials[right])
            if a[0] > b[1]:
                return None
            if apart is not None and not self._say(said, apart, (-math.inf, 0.0)):
                return None
            limits = [(self.forms[left], (-math.inf, b[1])), (self.forms[right], (a[0], math.inf))]
            limits += self._root(left, b[1])
            if not all(form is None or self._say(said, form, limit) for form, limit in limits):
                return None
        return case if said == case.said else _Case(said)

    def _sides(self, condition: int, holds: bool) -> Iterator[tuple[int, int]]:
        """Yield pairs of values of which the first is at most the second."""
        step = self.steps.get(condition)
        if step is None:
            return
        if step.op == ("both" if holds else "either"):
            for part in step.args:
                yield from self._sides(part, holds)
        elif step.op in ("lt", "le"):
            yield (step.args[0], step.args[1]) if holds else (step.args[1], step.args[0])
        elif step.op == "equal" and holds:
            yield step.args[0], step.args[1]
            yield step.args[1], step.args[0]

    def _say(self, said: dict[Key, Range], form: _Form, limit: Range) -> bool:
        """Note that a value lies within a limit, and what follows for what it is the size or square of."""
        one = times(plus(limit, minus(around(form.offset))), around(1 / form.scale))
        found = meet(said.get(form.key, EVERYWHERE), one)
        if found[0] > found[1]:
            return False
        if found == EVERYWHERE:
            return True
        said[form.key] = found
        ((powers, _), *rest) = form.key
        if rest or len(powers) != 1 or powers[0][1] != 1:
            return True
        return all(self._say(said, inner, limit) for inner, limit in self._root(powers[0][0], found[1]))

    def _root(self, number: int, most: float) -> Iterator[tuple[_Form, Range]]:
        """Yield what lies within a range because its size or square, a value, is at most a number."""
        step = self.steps.get(number)
        if step is None or not 0 <= most < math.inf:
            return
        inner = self.forms[step.args[0]]
        if inner is not None and step.op == "abs":
            yield inner, (-most, most)
        elif inner is not None and step.op in SQUARES and step.args[0] == step.args[1]:
            root = math.nextafter(math.sqrt(most), math.inf)
            yield inner, (-root, root)

    # --- products and quotients ------------------------------------------------------------------------

    def _quotient(self, n: int, d: int, case: _Case, deep: int) -> Range:
        below, form = self.range(d, case), self.steps.get(d)
        found = times(self.range(n, case), over(below))
        if n == d:
            return 1.0, 1.0
        if form is not None and form.op == "hypot":
            for arg in form.args:
                found = meet(found, _even(self._ratio(n, arg)))
        if below[0] >= 0:
            found = meet(found, self._of_square(n, self.polynomials[d], case, lambda c, s: 0.5 / math.sqrt(c * s)))
            found = meet(found, self._of_more(n, d, case))
        if _bounded(found) or not deep:
            return found
        return meet(found, self._apart(n, case, lambda part: self._quotient(part, d, case, deep - 1)))

    def _product(self, a: int, b: int, case: _Case, deep: int) -> Range:
        found = times(self.range(a, case), self.range(b, case))
        for n, g in ((a, b), (b, a)):
            form = self.steps.get(g)
            if form is not None and form.op in ("exp", "bell"):
                inner = self.polynomials[form.args[0]]
                exponent = inner if form.op == "exp" else inner * inner * Polynomial({(): Fraction(-1, 2)})
                found = meet(found, self._against_exp(n, exponent, case))
            elif form is not None and form.op == "pow":
                found = meet(found, self._against_power(n, form.args[0], form.args[1], case))
            if not _bounded(found) and deep:
                found = meet(found, self._apart(n, case, partial(self._times, g, case, deep - 1)))
        return found

    def _times(self, g: int, case: _Case, deep: int, n: int) -> Range:
        return self._product(n, g, case, deep)

    def _apart(self, n: int, case: _Case, rest: Callable[[int], Range]) -> Range:
        """Return the range of a value times something, by its parts: ``rest(part)`` is that of one times it."""
        step = self.steps.get(n)
        if step is None or self.work < 0:
            return EVERYWHERE
        self.work -= 1
        if step.op == "neg":
            return minus(rest(step.args[0]))
        if step.op in ("add", "sub"):
            first, second = map(rest, step.args)
            return plus(first, second if step.op == "add" else minus(second))
        if step.op in SQUARES:
            a, b = step.args
            return meet(times(self.range(a, case), rest(b)), times(rest(a), self.range(b, case)))
        if step.op == "div":
            return times(rest(step.args[0]), over(self.range(step.args[1], case)))
        return EVERYWHERE

    def _ratio(self, n: int, d: int) -> float:
        """Return the size of n/d where both are multiples of one polynomial, else infinity."""
        n_form, d_form = self.forms[n], self.forms[d]
        if n_form is None or d_form is None or n_form.key != d_form.key or n_form.offset or d_form.offset:
            return math.inf
        return around(abs(n_form.scale / d_form.scale))[1]

    def _of_square(self, n: int, of_it: Polynomial, case: _Case, most: Callable[[float, float], float]) -> Range:
        """Return the range of n times a function of c + s*n**2, and ``most(c, s)`` is the top of that."""
        if len(self.polynomials[n].terms) > _LONG:
            return EVERYWHERE
        square = self.polynomials[n] * self.polynomials[n]
        lead = next((powers for powers in square.terms if powers), None)
        if lead is None or lead not in of_it.terms:
            return EVERYWHERE
        share = of_it.terms[lead] / square.terms[lead]
        rest = of_it - square * Polynomial({(): share})
        low = rest.range(lambda number: self.range(number, case))[0]
        if share <= 0 or not 0 < low < math.inf:
            return EVERYWHERE
        return _even(most(low, around(share)[0]))

    def _of_more(self, n: int, d: int, case: _Case) -> Range:
        """Return the range of n/d where d is n, or its size, and something that is not below 0."""
        sign = side(self.range(n, case))
        sizes = [self.polynomials[n] * Polynomial({(): Fraction(sign)})] if sign else []
        for atom in self.polynomials[d].atoms():
            step = self.steps.get(atom)
            if step is not None and step.op == "abs" and math.isfinite(ratio := self._ratio(n, step.args[0])):
                sizes.append(Polynomial({((atom, 1),): Fraction(ratio)}))
        for size in (size for size in sizes if size.terms):
            lead = next((powers for powers in size.terms if powers), ())
            share = self.polynomials[d].terms.get(lead, Fraction(0)) / size.terms[lead]
            rest = self.polynomials[d] - size * Polynomial({(): share})
            if share > 0 and rest.range(lambda number: self.range(number, case))[0] >= 0:
                return _even(around(1 / share)[1])
        return EVERYWHERE

    def _against_exp(self, n: int, exponent: Polynomial, case: _Case) -> Range:
        """Return the range of n*exp(-(c + s*n**2))."""
        shifted = Polynomial({(): Fraction(1)}) - exponent  # c may be 0

        def most(c: float, s: float) -> float:
            return math.exp(1 - c) / math.sqrt(2 * math.e * s)

        return self._of_square(n, shifted, case, most)

    def _against_power(self, n: int, base: int, exponent: int, case: _Case) -> Range:
        """Return the range of n*(c + s*n**2)**-p."""
        low, high = self.range(exponent, case)
        p = -high
        if low != high or p < 0.5:
            return EVERYWHERE

        def most(c: float, s: float) -> float:
            if p == 0.5:
                return 1 / math.sqrt(s)
            square = c / (s * (2 * p - 1))
            return math.sqrt(square) * math.pow(c + s * square, -p)

        return self._of_square(n, self.polynomials[base], case, most)


def _form(polynomial: Polynomial) -> _Form | None:
    """Return a polynomial as a multiple of one with a key, plus a number; nothing where it is a number."""
    terms = sorted((powers, factor) for powers, factor in polynomial.terms.items() if powers)
    if not terms:
        return None
    scale = terms[0][1]
    key = tuple((powers, factor / scale) for powers, factor in terms)
    return _Form(key, scale, polynomial.terms.get((), Fraction(0)))


def _bounded(found: Range) -> bool:
    return math.isfinite(found[0]) and math.isfinite(found[1])


def _even(most: float) -> Range:
    """Return the range of what is no larger than a number, with room for how that was computed."""
    most *= 1 + 1e-12
    return -most, most
