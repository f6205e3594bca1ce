"""What a program proves about its value: whether it is convex, smooth, never negative, or one of the residual alone.

Each value gets a range, and a curvature by the rules of convex composition (Grant, Boyd and Ye 2006): a convex function
that grows, of a convex one, is convex. Pieces of ``where`` are compared as polynomials at the place where they meet. A
proof holds for all numbers in the ranges. What the rules do not reach is not known, which is not the same as not so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from lossmith.program.polynomials import Polynomial
from lossmith.program.program import Program, Step
from lossmith.program.ranges import BOWLS, EVERYWHERE, GROWING, SQUARES, Range, of_step, side, whole

_EVEN = frozenset(("abs", "logcosh", "bell", "sech2"))
_SMOOTH = frozenset(
    ("add", "sub", "mul", "mul0", "neg", "exp", "expm1", "tanh", "sigmoid", "softplus", "logcosh", "sech2", "bell",
     "expm1_excess", "normal_within", "mul_exp")
)  # fmt: skip


@dataclass(frozen=True)
class Proof:
    """What holds for the value of a program as a function of one input; what is false is not known.

    Attributes:
        convex: every chord lies on or above the curve.
        smooth: neither it nor a derivative jumps.
        nonnegative: it is never below zero.
        shifts: it depends on that input and a target by their difference alone.
        even: by the size of their difference alone.
        scales: it is a multiple of their difference, one on each side.
        square: it is a multiple of their squared difference, above 0, plus what the input does not change.
    """

    convex: bool = False
    smooth: bool = False
    nonnegative: bool = False
    shifts: bool = False
    even: bool = False
    scales: bool = False
    square: bool = False


@lru_cache(maxsize=256)
def prove(program: Program, variable: str, target: str, ranges: tuple[tuple[str, Range], ...]) -> Proof:
    """Return what is proved about the output ``value`` of a program.

    Args:
        program: with that output.
        variable, target: the input that it is a function of, and the one that this is compared with.
        ranges: of inputs and parameters, by name; those without may be any number.
    """
    return _Prover(program, variable, target, dict(ranges)).proof(program.output("value"))


class _Fact(NamedTuple):
    """How a value depends on the variable.

    Attributes:
        curve: ``None`` where it is not known, 0 for affine, 1 for convex, -1 for concave.
        way: 1 where it grows, -1 where it falls, 0 where it is not known.
        fixed: whether it does not depend on it.
        smooth: whether it is smooth.
    """

    curve: int | None
    way: int
    fixed: bool
    smooth: bool


_FIXED, _VARIABLE, _UNKNOWN = _Fact(0, 0, True, True), _Fact(0, 1, False, True), _Fact(None, 0, False, False)


class _Prover:
    """The ranges and polynomials of all values of a program, and what follows from them."""

    def __init__(self, program: Program, variable: str, target: str, ranges: dict[str, Range]) -> None:
        names = program.inputs + program.parameters
        self.steps = dict(enumerate(program.steps, start=program.first_step))
        self.first, self.inputs = program.first_step, range(len(program.inputs))
        self.f, self.y = names.index(variable), names.index(target)
        self.ranges: list[Range] = [ranges.get(name, EVERYWHERE) for name in names]
        self.ranges += [(number, number) for number in program.constants]
        plain = [Polynomial.constant(number) for number in program.constants]
        self.polynomials = [Polynomial.atom(number) for number in range(len(names))]
        self.polynomials += [p or Polynomial.atom(n) for n, p in enumerate(plain, start=len(names))]
        for number, step in self.steps.items():
            self.ranges.append(of_step(step, self.ranges))
            given = [self.polynomials[arg] for arg in step.args]
            self.polynomials.append(Polynomial.made(number, step.op, given))

    def proof(self, result: int) -> Proof:
        """Return what is proved about a value."""
        facts = self._facts(self.f)
        convex = facts[result].curve in (0, 1)
        if not convex:  # of the size of something affine, what is convex and grows is convex as well
            sizes = [n for n, step in self.steps.items() if step.op == "abs" and facts[step.args[0]].curve == 0]
            found = [self._facts(size)[result] for size in sizes if not facts[size].fixed]
            convex = any(fact.curve in (0, 1) and fact.way == 1 for fact in found)
        parity = self._parities()[result]
        return Proof(
            convex=convex,
            smooth=facts[result].smooth,
            nonnegative=self.ranges[result][0] >= 0,
            shifts=parity is not None,
            even=parity == 1,
            scales=self._degrees()[result] == 1,
            square=self._is_square(self.polynomials[result]),
        )

    # --- polynomials ------------------------------------------------------------------------------------

    def _is_square(self, value: Polynomial) -> bool:
        parts = value.by(self.f)
        if not parts.keys() <= {0, 1, 2} or 2 not in parts:
            return False
        twice, fixed = parts[2] + parts[2], {*range(self.first)} - {self.f, self.y}
        linear = parts.get(1, Polynomial({})) + twice * Polynomial.atom(self.y)
        return (
            not linear.terms
            and parts[2].atoms() <= fixed
            and all(not self._reaches(atom) for atom in parts.get(0, Polynomial({})).atoms())
            and parts[2].range(self.ranges.__getitem__)[0] >= 0
        )

    def _reaches(self, number: int) -> bool:
        """Return whether a value depends on the variable."""
        return number == self.f or any(map(self._reaches, self.steps[number].args if number in self.steps else ()))

    # --- curvature ------------------------------------------------------------------------------------

    def _facts(self, variable: int) -> list[_Fact]:
        """Return how all values depend on one of them; where that is no input, the input behind it is not known."""
        facts = [_FIXED] * self.first
        facts[self.f] = _UNKNOWN
        if variable == self.f:
            facts[self.f] = _VARIABLE
        for number, step in self.steps.items():
            given = [facts[arg] for arg in step.args]
            if number == variable:
                facts.append(_VARIABLE)
            elif step.op in SQUARES and not given[0].fixed and self._is_squared(step, variable):
                facts.append(_Fact(1, 1, False, True))
            elif all(fact.fixed for fact in given):
                facts.append(_FIXED)
            else:
                curve, way = self._curve(step, given, facts, variable)
                facts.append(_Fact(curve, way, False, self._is_smooth(step, given)))
        return facts

    def _is_squared(self, step: Step, size: int) -> bool:
        """Return whether a product is the square of what a size is that of."""
        inner = self.polynomials[self.steps[size].args[0]].terms if size in self.steps else {}
        factors = [self.polynomials[arg] for arg in step.args]
        return factors[0].terms == factors[1].terms and inner in (factors[0].terms, (-factors[0]).terms)

    def _of_size(self, value: Polynomial, size: int) -> Polynomial:
        """Return a polynomial with even powers of what a size is that of as powers of the size, if it is that."""
        if size not in self.steps:
            return value
        inner = self.polynomials[self.steps[size].args[0]].by(self.f)
        factor = inner.get(1, Polynomial({})).terms
        if not inner.keys() <= {0, 1} or factor.keys() != {()}:
            return value
        over, fresh = Polynomial({(): 1 / factor[()]}), Polynomial.atom(-1)
        powers = value.at(self.f, (fresh - inner.get(0, Polynomial({}))) * over).by(-1)
        if any(exponent % 2 for exponent in powers):
            return value
        found = Polynomial({})
        for exponent, part in powers.items():
            found += part * (
                Polynomial({((size, exponent),): Fraction(1)}) if exponent else Polynomial({(): Fraction(1)})
            )
        return found

    def _curve(self, step: Step, given: Sequence[_Fact], facts: list[_Fact], variable: int) -> tuple[int | None, int]:
        op, ranges = step.op, [self.ranges[arg] for arg in step.args]
        a, inner = given[0], ranges[0]
        if op in ("sloped", "alike"):
            return given[op == "alike"][:2]
        if op in GROWING:
            least = {"log": 0.0, "log1p": -1.0}.get(op, -math.inf)
            return _composed(GROWING[op][0] or None, 1, a) if inner[0] >= least else (None, 0)
        if op == "log1p_excess" and inner[0] < -1:
            return None, 0
        if op in BOWLS or (op in SQUARES and step.args[0] == step.args[1]):
            return _composed(1, side(inner), a)
        if op == "hypot" and (a.fixed or given[1].fixed):
            of = 1 if a.fixed else 0
            return _composed(1, side(ranges[of]), given[of])
        if op == "bowl" and ranges[1][0] >= 1:
            return _composed(1, side(inner), a)
        if op == "neg":
            return _scaled(-1, a)
        if op in ("add", "sub"):
            return _sum(a, _Fact(*_scaled(-1, given[1]), *given[1][2:]) if op == "sub" else given[1])
        if op in ("max", "min"):
            curve = 1 if op == "max" else -1
            return curve if {a.curve, given[1].curve} <= {0, curve} else None, _common(given)
        if op in (*SQUARES, "div") and (given[1].fixed or (a.fixed and op != "div")):
            by = 1 if given[1].fixed else 0
            return _scaled(side(ranges[by]), given[1 - by])
        if op == "div" and a.fixed and ranges[1][0] >= 0:
            one_over = _Fact(*_composed(1, -1, given[1]), False, False)
            return _scaled(side(inner), one_over)
        if op == "mul_exp" and a.fixed:
            return _scaled(side(inner), _Fact(*_composed(1, 1, given[1]), False, False))
        if op == "pow" and given[1].fixed:
            return self._power(inner, ranges[1], a)
        if op == "where" and step.args[0] in self.steps:
            return self._pieces(self.steps[step.args[0]], step.args[1:], facts, variable)
        return None, 0

    def _power(self, base: Range, exponent: Range, a: _Fact) -> tuple[int | None, int]:
        power = whole(exponent)
        if power is not None and power > 0 and power % 2 == 0:
            return _composed(1, side(base), a)
        if base[0] < 0:
            return None, 0
        if exponent[0] >= 1:
            return _composed(1, 1, a)
        if exponent[0] >= 0 and exponent[1] <= 1:
            return _composed(-1, 1, a)
        return _composed(1, -1, a) if exponent[1] <= 0 else (None, 0)

    def _pieces(
        self, condition: Step, pieces: Sequence[int], facts: list[_Fact], variable: int
    ) -> tuple[int | None, int]:
        """Return curvature and way of two pieces that meet at one place, with a common value there."""
        if condition.op not in ("lt", "le"):
            return None, 0
        left, right = (self.polynomials[arg] for arg in condition.args)
        border = (left - right).by(variable)
        step = border.get(1, Polynomial({})).terms
        inner = [atom for part in border.values() for atom in part.atoms()]
        if not border.keys() <= {0, 1} or step.keys() != {()} or not all(facts[atom].fixed for atom in inner):
            return None, 0
        before = step[()] > 0  # the first piece holds below the border
        place = border.get(0, Polynomial({})) * Polynomial({(): -1 / step[()]})
        apart = self._of_size(self.polynomials[pieces[0]] - self.polynomials[pieces[1]], variable)
        if not all(atom == variable or facts[atom].fixed for atom in apart.atoms()):
            return None, 0
        if apart.at(variable, place).terms:
            return None, 0
        bend = apart.slope(variable).at(variable, place).range(self.ranges.__getitem__)
        given = [facts[piece] for piece in pieces]
        curves = {fact.curve for fact in given}
        # The slope after the border less the one before.
        low, high = (-bend[1], -bend[0]) if before else bend
        curve = 1 if curves <= {0, 1} and low >= 0 else -1 if curves <= {0, -1} and high <= 0 else None
        return curve, _common(given)

    def _is_smooth(self, step: Step, given: Sequence[_Fact]) -> bool:
        if not all(fact.smooth for fact in given):
            return False
        low, high = self.ranges[step.args[-1]]
        if step.op == "div":
            return given[1].fixed or low > 0 or high < 0
        if step.op in ("log", "log1p"):
            return low > (0 if step.op == "log" else -1)
        if step.op == "pow":
            return given[1].fixed and (self.ranges[step.args[0]][0] > 0 or (whole((low, high)) or -1) >= 0)
        return step.op in _SMOOTH

    # --- residuals ------------------------------------------------------------------------------------

    def _parities(self) -> list[int | None]:
        """Return for each value 1 or -1 where it is an even or odd function of the residual, 0 where it is another."""
        found: list[int | None] = [None if number in self.inputs else 1 for number in range(self.first)]
        for step in self.steps.values():
            self_made = self.polynomials[len(found)]
            found.append(self._parity(step, [found[arg] for arg in step.args], self_made))
        return found

    def _degrees(self) -> list[int | None]:
        """Return by which power of a factor above 0 each value grows with the residual, if it does so."""
        found: list[int | None] = [None if number in self.inputs else 0 for number in range(self.first)]
        for step in self.steps.values():
            made, given = self.polynomials[len(found)], [found[arg] for arg in step.args]
            nothing = [not self.polynomials[arg].terms for arg in step.args]
            a, b = given[0], given[-1]
            degree = 0 if set(given) == {0} else None
            if self._residual(made):
                degree = 1
            elif step.op in ("neg", "abs", "sloped"):
                degree = a
            elif step.op in ("lt", "le"):  # of what grows alike, one side stays the larger one
                apart = self.polynomials[step.args[0]] - self.polynomials[step.args[1]]
                alike = (a == b and a is not None) or (b is not None and nothing[0]) or (a is not None and nothing[1])
                degree = 0 if alike or self._residual(apart) else None
            elif step.op == "where" and a == 0:
                kinds = {degree for degree, zero in zip(given[1:], nothing[1:], strict=True) if not zero}
                degree = kinds.pop() if len(kinds) == 1 else None
            elif step.op in ("add", "sub", "max", "min"):
                degree = b if nothing[0] else a if nothing[1] or a == b else None
            elif step.op in SQUARES and a is not None and b is not None:
                degree = a + b
            elif step.op == "div" and b == 0:
                degree = a
            found.append(degree)
        return found

    def _residual(self, value: Polynomial) -> bool:
        """Return whether a polynomial is a multiple of the residual."""
        terms = {powers: factor for powers, factor in value.terms.items() if factor}
        f, y = ((self.f, 1),), ((self.y, 1),)
        return terms.keys() == {f, y} and terms[f] == -terms[y]

    def _parity(self, step: Step, given: list[int | None], made: Polynomial) -> int | None:
        op = step.op
        if self._residual(made):
            return -1
        if op in ("lt", "le", "equal") and None in given:
            one, two = (self.polynomials[arg] for arg in step.args)
            return 0 if self._residual(one - two) else None
        if None in given:
            return None
        if all(parity == 1 for parity in given):
            return 1
        a, b = given[0], given[-1]
        if op in _EVEN and a == -1:
            return 1
        if op in ("hypot", "bowl", "log1p_ratio2", "bell_bowl") and {a, b} <= {1, -1}:
            return 1
        if op in ("mul", "mul0", "div") and a and b:
            return a * b
        if op in ("add", "sub") and a == b:
            return a
        if op in ("neg", "tanh", "sign") and a == -1:
            return -1
        if op == "pow" and a == -1 and (whole(self.ranges[step.args[1]]) or 1) % 2 == 0:
            return 1
        return 0


def _scaled(sign: int, a: _Fact) -> tuple[int | None, int]:
    """Return curvature and way of a fixed multiple."""
    curve = None if a.curve is None or (a.curve and not sign) else a.curve * (sign or 1)
    return curve, a.way * sign


def _sum(a: _Fact, b: _Fact) -> tuple[int | None, int]:
    known_curves = a.curve is not None and b.curve is not None and {a.curve, b.curve} != {1, -1}
    return (a.curve or b.curve) if known_curves else None, _common((a, b))


def _common(given: Sequence[_Fact]) -> int:
    """Return which way all values go that are not fixed."""
    ways = {fact.way for fact in given if not fact.fixed}
    return ways.pop() if len(ways) == 1 else 0


def _composed(curve: int | None, way: int, a: _Fact) -> tuple[int | None, int]:
    """Return curvature and way of a function with some curvature and way, of a value with its own."""
    fits = curve is not None and a.curve is not None and (a.curve == 0 or a.curve * way == curve)
    return (curve if fits else None), way * a.way
