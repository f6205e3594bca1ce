"""Plain arithmetic on the arrays of a library, for libraries that trace, differentiate or compile what is done to them.

Nothing here looks at a number, so everything can be traced as it stands. Functions are right to a few units in the
last place for every argument, whatever the library's own composite functions do.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lossmith.engines import composites
from lossmith.engines import numpy as reference
from lossmith.engines._numpy_bowls import ATANH_TERMS
from lossmith.engines._numpy_counts import EXP_TERMS
from lossmith.engines.operations import OPERATIONS, Step, needed, recipe
from lossmith.engines.regimes import decided
from lossmith.errors import ProgramError
from lossmith.program import Program

Array = Any


def log1p_by_halves(where: Callable[..., Any], log: Callable[[Any], Any], log1p: Callable[[Any], Any], a: Any) -> Any:
    """Return log(1 + a) where a library's own is good above -1/4 only: below it, 1 + a has the digits that count."""
    low = a < -0.25
    return where(low, log(1 + where(low, a, 0.0)), log1p(where(low, 0.0, a)))


class Arrays:
    """What a library brings; see ``lossmith.engines.arithmetic``.

    A subclass gives ``xp`` and the functions whose names differ from library to library.

    Args:
        double: whether numbers have 64 bits, not 32.
    """

    always = True

    def __init__(self, double: bool) -> None:
        self.double = double

    # --- what a library gives -----------------------------------------------------------------------

    xp: ClassVar[Any]
    """The module with its functions, under the names that NumPy, PyTorch and JAX share."""

    @abstractmethod
    def scalar(self, value: float | bool) -> Array:
        """Return a number, or a truth value, as an array without axes."""

    @abstractmethod
    def erf(self, a: Array) -> Array:
        """Return the error function."""

    @abstractmethod
    def lgamma(self, a: Array) -> Array:
        """Return the logarithm of the gamma function."""

    @abstractmethod
    def power(self, a: Array, b: Array) -> Array:
        """Return a ** b."""

    def abs(self, a: Array | float) -> Array:
        """Return the absolute value."""
        return math.fabs(a) if isinstance(a, float) else self.xp.abs(a)

    def sqrt(self, a: Array) -> Array:
        """Return the square root."""
        return self.xp.sqrt(a)

    def copysign(self, a: Array, sign: Array) -> Array:
        """Return ``a`` with the sign of the other."""
        return self.xp.copysign(self.scalar(a) if isinstance(a, float) else a, sign)

    def expm1(self, a: Array) -> Array:
        """Return exp(a) - 1."""
        return self.xp.expm1(a)

    def log(self, a: Array) -> Array:
        """Return the natural logarithm; of a number that is known, which is above 0, at once."""
        return math.log(a) if isinstance(a, float) else self.xp.log(a)

    def log1p(self, a: Array) -> Array:
        """Return log(1 + a)."""
        return self.xp.log1p(a)

    def log_of_either(self, condition: Array, a: Array, x: Array) -> Array:
        """Return log(a) where a condition holds, else log(1 + x)."""
        return self.select(condition, self.log(a), self.log1p(x))

    def log1p_of_share(self, a: Array) -> Array:
        """Return log(1 + a) of a number from 0 to 1."""
        return self.log1p(a)

    def tanh(self, a: Array) -> Array:
        """Return the hyperbolic tangent."""
        return self.xp.tanh(a)

    # --- what follows from it -----------------------------------------------------------------------

    def number(self, value: float) -> float:
        """Return a number that is known before anything runs."""
        return value

    def constant(self, a: Array) -> float | None:
        """Return the number that ``a`` is known to be, if it is."""
        return a if isinstance(a, float) else None

    def normal_range(self) -> tuple[float, float]:
        """Return the least and the greatest normal number."""
        kind = np.finfo(np.float64 if self.double else np.float32)
        return float(kind.tiny), float(kind.max)

    def select(self, condition: Array, a: Array | float, b: Array | float) -> Array:
        """Return ``a`` where the condition holds, else ``b``."""
        if isinstance(condition, bool):
            return a if condition else b
        if isinstance(a, float) and isinstance(b, float):
            a = self.scalar(a)
        return self.xp.where(condition, a, b)

    def rarely(self, where: Array, rare: Callable[[], Array], common: Array) -> Array:
        """Return ``rare()`` where a condition holds, else ``common``."""
        return self.select(where, rare(), common)

    def equal(self, a: Array, b: Array | float) -> Array:
        """Return where two are equal."""
        return (a <= b) & (a >= b)  # not all libraries mean this by ==

    def largest(self, a: Array, b: Array | float) -> Array:
        """Return the larger one; ``b`` where ``a`` is no number."""
        return self.select(a > b, a, b)

    def smallest(self, a: Array, b: Array | float) -> Array:
        """Return the smaller one; ``b`` where ``a`` is no number."""
        return self.select(a < b, a, b)

    def finite_product(self, a: Array, b: Array) -> Array:
        """Return a b of finite factors, which is 0.0 and never -0.0 where one of them is zero."""
        return a * b + 0.0

    def exp_rest(self, x: Array) -> Array:
        """Return (exp(x) - 1 - x) / x² of numbers from -1 to 1."""
        return self.polynomial(x, EXP_TERMS)

    def polynomial(self, x: Array, coefficients: Sequence[float]) -> Array:
        """Return a polynomial, from the constant coefficient up."""
        found: Array = coefficients[-1]
        for coefficient in reversed(coefficients[:-1]):
            found = found * x + coefficient
        return found

    def fma(self, a: Array, b: Array, c: Array) -> Array:
        """Return a b + c with what rounding takes from the product."""
        product = a * b
        (a_high, a_low), (b_high, b_low) = self._halves(a), self._halves(b)
        lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
        # Halves of what is large overflow, and then nothing can be said of what is lost.
        return (product + c) + self.select(self.abs(lost) < math.inf, lost, 0.0)

    def _halves(self, a: Array) -> tuple[Array, Array]:
        """Return two numbers of half of the digits each (Dekker 1971, doi 10.1007/BF01397083)."""
        shifted = a * (2.0**27 + 1 if self.double else 2.0**12 + 1)
        high = shifted - (shifted - a)
        return high, a - high

    def pow(self, a: Array, b: Array) -> Array:
        """Return a ** b; small whole exponents are products."""
        whole = self.constant(b)
        if whole in _PRODUCTS:
            return _PRODUCTS[whole](a)
        return self.power(a, b)

    def exp(self, a: Array, low: Array | None = None) -> Array:
        """Return exp(a), or exp(a + low) where the second is tiny beside the first."""
        found = self.xp.exp(a)
        return found if low is None else self.select(found < math.inf, found + found * low, found)

    def sigmoid(self, a: Array) -> Array:
        """Return 1 / (1 + exp(-a))."""
        e = self.xp.exp(-self.abs(a))
        return self.select(a >= 0.0, 1.0, e) / (1.0 + e)

    def sigmoid_of_negative(self, a: Array) -> Array:
        """Return 1 / (1 + exp(a)), by the steps that ``sigmoid`` of the same takes."""
        e = self.xp.exp(-self.abs(a))
        return self.select(a <= 0.0, 1.0, e) / (1.0 + e)

    def softplus(self, a: Array) -> Array:
        """Return log(1 + exp(a))."""
        return self.largest(a, 0.0) + self.log1p(self.xp.exp(-self.abs(a)))

    def softplus_of_negative(self, a: Array) -> Array:
        """Return log(1 + exp(-a)), by the steps that ``softplus`` of the same takes."""
        return self.largest(-a, 0.0) + self.log1p(self.xp.exp(-self.abs(a)))

    def sigmoid_below(self, a: Array) -> Array:
        """Return 1 / (1 + exp(-a)) of what is at most 0."""
        e = self.xp.exp(a)
        return e / (1.0 + e)

    def softplus_below(self, a: Array) -> Array:
        """Return log(1 + exp(a)) of what is at most 0."""
        return self.log1p(self.xp.exp(a))

    def logcosh(self, a: Array) -> Array:
        """Return log(cosh(a))."""
        # By the derivative, which is wanted as well: 1 / cosh² is 1 - tanh², and exp(-2 |a|) a quotient of its kind.
        size, slope = self.abs(a), self.abs(self.tanh(a))
        near = size < 0.6
        log = self.log1p(self.select(near, -slope * slope, (1.0 - slope) / (1.0 + slope)))
        return self.select(near, -0.5 * log, (size - math.log(2)) + log)

    def sech2(self, a: Array) -> Array:
        """Return 1 / cosh(a)²."""
        e = self.xp.exp(-2.0 * self.abs(a))
        return 4.0 * e / ((1.0 + e) * (1.0 + e))

    def mul_exp(self, a: Array, b: Array, *, finite: bool = False, number: bool = False) -> Array:
        """Return a exp(b), where exp(b) alone may overflow or have no digits left; an exact zero wins."""
        return composites.mul_exp(self, a, b)

    def lowered(self, a: Array, x: Array, low: Array) -> Array:
        """Return a exp(x + low) of x at most 0, where exp(x) alone may have no digits left."""
        return composites.lowered(self, a, x, low)

    def hypot(self, a: Array, b: Array) -> Array:
        """Return √(a² + b²), without overflow on the way; infinite beside infinity, even where the other is none."""
        one, other = self.abs(a), self.abs(b)
        large = self.select(one > other, one, other)
        small = self.select(one > other, other, one)
        ratio = self.select(self.equal(large, 0.0), small, small / large)
        infinite = (one >= math.inf) | (other >= math.inf)
        return self.select(infinite, math.inf, large * self.sqrt(1.0 + ratio * ratio))

    def bell(self, a: Array) -> Array:
        """Return exp(-a² / 2)."""
        size = self.smallest(self.abs(a), 64.0)
        square = size * size
        found = self.exp(square * -0.5, self.fma(size, size, -square) * -0.5)
        return self.select(self.equal(a, a), found, a)

    def normal_within(self, a: Array) -> Array:
        """Return erf(a / √2)."""
        return self.erf(a * math.sqrt(0.5))

    def atanh_gap(self, x: Array) -> tuple[Array, Array]:
        """Return t = x / (2 + x), and what t is multiplied by to make log(1 + x) - 2 t, for x from -1/2 to 1."""
        t = x / (x + 2.0)
        square = t * t
        return t, 2.0 * square * self.polynomial(square, ATANH_TERMS)

    def log1p_excess(self, a: Array) -> Array:
        """Return a - log(1 + a)."""
        inside = self.smallest(self.largest(a, -0.5), 1.0)
        t, gap = self.atanh_gap(inside)
        far = self.select(a < math.inf, a - self.log1p(a), a)
        return self.select((a > -0.5) & (a < 1.0), t * (inside - gap), far)


_PRODUCTS: Mapping[float | None, Callable[[Array], Array]] = {
    -1.0: lambda a: 1.0 / a,
    1.0: lambda a: a,
    2.0: lambda a: a * a,
    3.0: lambda a: a * a * a,
    4.0: lambda a: (a * a) * (a * a),
    5.0: lambda a: (a * a) * (a * a) * a,
}


_OF_NEGATIVE: Mapping[Callable[..., Array], Callable[..., Array]] = {
    OPERATIONS["sigmoid"]: lambda b, a: b.sigmoid_of_negative(a),
    OPERATIONS["softplus"]: lambda b, a: b.softplus_of_negative(a),
}
"""What instructions are of -a, in terms of a: compilers do not see that |-a| is |a|, and would compute all twice."""


def _single(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


class Formula:
    """A program with numbers for its parameters, whose outputs know which of them are derivatives of which.

    Everything that does not depend on arrays is settled here, so that what compilers trace is arithmetic alone.

    Args:
        program: with outputs ``value``, ``gradient:x``, ``hessian:x,z`` by symbols of its inputs, and any others.
        parameters: a number for each of its parameters.
    """

    def __init__(self, program: Program, parameters: Mapping[str, float]) -> None:
        self.inputs = program.inputs
        self._plans = {name: _Plan(program, name, parameters) for name, _ in program.outputs}

    def derivative(self, output: str, place: int) -> str | None:
        """Return what the derivative of an output by an input is called, or ``None`` where it is 0 everywhere.

        Raises:
            ProgramError: for a third derivative, unless it is that of a constant.
        """
        by = self.inputs[place]
        what, _, first = output.partition(":")
        found = {
            "value": [f"gradient:{by}"],
            "gradient": [f"hessian:{first},{by}", f"hessian:{by},{first}"],
        }.get(what, [])
        for name in found:
            if name in self._plans:
                return name
        if what in ("value", "gradient") or self.derivative("value", place) is None or self._plans[output].constant:
            return None
        raise ProgramError("a loss has first and second derivatives, and no third one")

    def evaluate(self, b: Arrays, output: str, inputs: Sequence[Array]) -> Array:
        """Return an output, which has no axes where it is the same for every example.

        Args:
            b: the library's arithmetic in the type of the inputs.
            output: which one.
            inputs: arrays of one shape and one type, in the program's order.
        """
        plan = self._plans[output]
        values: dict[int, Array] = dict(enumerate(inputs))
        for number, value, single in plan.fixed:
            values[number] = value if b.double else single
        for number, make, arguments in plan.steps:
            values[number] = make(b, *[values[argument] for argument in arguments])
        found = values[plan.output]
        return b.scalar(found) if isinstance(found, float | bool) else found


class _Plan:
    """How one output is computed.

    Attributes:
        fixed: values that are the same for every example: their number, and what they are in double and in single
            precision.
        steps: the others; see ``lossmith.engines.operations``.
        output: the number of the result.
        constant: whether that is the same for every example.
    """

    def __init__(self, program: Program, output: str, parameters: Mapping[str, float]) -> None:
        # What is valid tells what is finite.
        told = [name for name, _ in program.outputs if name in (output, "valid")]
        chosen = decided(program.select(told), tuple(parameters.items()))
        self.output = dict(chosen.outputs)[output]
        found = reference.uniform_values(chosen, parameters).tolist()
        numbers = [number for number, same in enumerate(chosen.uniform) if same]
        self.fixed = [
            (number, bool(value), bool(value)) if chosen.types[number] == "bool" else (number, value, _single(value))
            for number, value in zip(numbers, found, strict=True)
        ]
        steps = _turned(recipe(chosen, tame=all(map(math.isfinite, parameters.values()))))
        minus = {number for number, value, _ in self.fixed if value == 0 and math.copysign(1, value) < 0}
        self.steps = needed(_unsigned(steps, minus), [self.output])
        self.constant = self.output in numbers


def _unsigned(steps: Sequence[Step], minus: Collection[int]) -> list[Step]:
    """Return steps in which a zero still loses its sign where -0.0, a number of ``minus``, is subtracted.

    XLA takes what is subtracted there for nothing.
    """
    return [
        (number, _without_sign if make is OPERATIONS["sub"] and arguments[1] in minus else make, arguments)
        for number, make, arguments in steps
    ]


def _without_sign(b: Arrays, a: Array, _: float) -> Array:
    return b.select(b.equal(a, 0.0), 0.0, a)


def _turned(steps: Sequence[Step]) -> list[Step]:
    """Return steps in which instructions of negatives are those of what is negated."""
    negatives = {number: arguments for number, make, arguments in steps if make is OPERATIONS["neg"]}
    return [
        (number, _OF_NEGATIVE[make], negatives[arguments[0]])
        if make in _OF_NEGATIVE and arguments[0] in negatives
        else (number, make, arguments)
        for number, make, arguments in steps
    ]
