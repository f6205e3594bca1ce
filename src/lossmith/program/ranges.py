"""Intervals that the values of a program lie in, and how instructions carry them on.

Ends are rounded outward, so that what is said of an interval holds for every number that a program stands for. They
may be infinite, and then do not belong; where a value is no number, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from lossmith.program.program import Step

Range = tuple[float, float]

EVERYWHERE: Range = (-math.inf, math.inf)
SQUARES = frozenset(("mul", "mul0"))
"""Products, which are squares where both factors are one value."""

GROWING: dict[str, tuple[int, Callable[[float], float], Range]] = {
    "exp": (1, math.exp, (0.0, math.inf)),
    "expm1": (1, math.expm1, (-1.0, math.inf)),
    "softplus": (1, lambda a: max(a, 0.0) + math.log1p(math.exp(-abs(a))), (0.0, math.inf)),
    "log": (-1, lambda a: math.log(a) if a > 0 else -math.inf, EVERYWHERE),
    "log1p": (-1, lambda a: math.log1p(a) if a > -1 else -math.inf, EVERYWHERE),
    "tanh": (0, math.tanh, (-1.0, 1.0)),
    "sigmoid": (0, lambda a: math.exp(min(a, 0.0)) / (1 + math.exp(-abs(a))), (0.0, 1.0)),
    "normal_within": (0, lambda a: math.erf(a * math.sqrt(0.5)), (-1.0, 1.0)),
}
"""Functions that grow: 1 for convex ones, -1 for concave ones; what they are, and what they stay between."""
BOWLS = frozenset(("abs", "logcosh", "expm1_excess", "log1p_excess"))
"""Convex functions that are least at 0, where they are 0."""

_BELLS: dict[str, Callable[[float], float]] = {
    "sech2": lambda a: 0.0 if a > 700 else (1 / math.cosh(a)) ** 2,
    "bell": lambda a: math.exp(-a * a / 2),
}
"""Functions that fall from 1 at 0 to 0, by the size of their argument."""
_SLACK = 1e-12  # what functions of the math module, and these of them, are off by at most, with much room


def plus(a: Range, b: Range) -> Range:
    """Return the range of a sum."""
    return known(_sum(a[0], b[0], -1), _sum(a[1], b[1], 1))


def around(number: Fraction) -> Range:
    """Return the range of one number, which may lie between two that there are."""
    try:
        found = float(number)
    except OverflowError:
        return EVERYWHERE
    return _outward(found, -1, number), _outward(found, 1, number)


def minus(a: Range) -> Range:
    """Return the range of the opposite."""
    return -a[1], -a[0]


def times(a: Range, b: Range) -> Range:
    """Return the range of a product, in which 0 times infinity is 0: ends that are infinite do not belong."""
    pairs = [(x, y) for x in a for y in b]
    return known(min(_product(x, y, -1) for x, y in pairs), max(_product(x, y, 1) for x, y in pairs))


def over(b: Range) -> Range:
    """Return the range of 1 over what has a range, where that is not 0."""
    if b[0] < 0 < b[1] or b == (0.0, 0.0):
        return EVERYWHERE
    if b[1] <= 0 and b[0] < 0:
        return minus(over(minus(b)))
    low = 0.0 if math.isinf(b[1]) else _outward(1 / b[1], -1, 1 / Fraction(b[1])) if b[1] else math.inf
    high = math.inf if not b[0] else 0.0 if math.isinf(b[0]) else _outward(1 / b[0], 1, 1 / Fraction(b[0]))
    return known(low, high)


def power_of(a: Range, exponent: int) -> Range:
    """Return the range of a whole power."""
    if exponent == 1:
        return a
    half = power_of(a, exponent // 2)  # so that large exponents, which anybody can write, take no longer
    low, high = times(half, half)
    square = max(low, 0.0), high
    return times(square, a) if exponent % 2 else square


def meet(a: Range, b: Range) -> Range:
    """Return what two ranges have in common; the low end is above the high one where that is nothing."""
    return max(a[0], b[0]), min(a[1], b[1])


def known(low: float, high: float) -> Range:
    """Return a range, or all numbers where it is none."""
    return (low, high) if low <= high else EVERYWHERE


def of_step(step: Step, ranges: Sequence[Range]) -> Range:
    """Return the range of what an instruction makes of numbered values with these."""
    return of(step.op, [ranges[arg] for arg in step.args], square=len(set(step.args)) == 1)


def of(op: str, given: Sequence[Range], *, square: bool = False) -> Range:
    """Return the range of what an instruction makes of values with these; ``square`` where all of them are one."""
    a, b = given[0], given[-1]
    if op in GROWING:
        _, function, within = GROWING[op]
        return meet(known(_loose(function, a[0], -1), _loose(function, a[1], 1)), within)
    if op in _BELLS:
        near, far = _sizes(a)
        return meet((_loose(_BELLS[op], far, -1), _loose(_BELLS[op], near, 1)), (0.0, 1.0))
    if op in ("abs", "logcosh"):
        near, far = _sizes(a)
        return (near if op == "abs" else 0.0), far
    if op in BOWLS or op in ("bowl", "log1p_ratio2"):
        return 0.0, math.inf
    if op in ("lt", "le", "equal", "both", "either"):
        return EVERYWHERE
    if op in SQUARES:
        return power_of(a, 2) if square else times(a, b)
    if op == "pow":
        return _power(a, b)
    if op in _SLOPES:
        return _slope(_SLOPES[op](_sizes(a)[1], b), a)
    rules: dict[str, Callable[[], Range]] = {
        "add": lambda: plus(a, b),
        "sub": lambda: plus(a, minus(b)),
        "neg": lambda: minus(a),
        "sign": lambda: (-1.0 if a[0] < 0 else float(a[0] > 0), 1.0 if a[1] > 0 else -float(a[1] < 0)),
        "min": lambda: (min(a[0], b[0]), min(a[1], b[1])),
        "max": lambda: (max(a[0], b[0]), max(a[1], b[1])),
        "div": lambda: times(a, over(b)),
        "hypot": lambda: _hypot(_sizes(a), _sizes(b)),
        "hypot_slope": lambda: _slope(1.0, a),
        "mul_exp": lambda: times(a, of("exp", [b])),
        "where": lambda: (min(given[1][0], b[0]), max(given[1][1], b[1])),
        "alike": lambda: given[1],
        "sloped": lambda: a,
        "hold": lambda: a,
    }
    return rules.get(op, lambda: EVERYWHERE)()


def whole(exponent: Range) -> int | None:
    """Return the whole number that a range is."""
    low, high = exponent
    return int(low) if low == high and math.isfinite(low) and low == int(low) else None


def side(values: Range) -> int:
    """Return the sign of all numbers in a range, 0 where there are both."""
    return 1 if values[0] >= 0 else -1 if values[1] <= 0 else 0


# --- slopes that rise from 0 and may fall again ----------------------------------------------------------


def _bowl_slope(far: float, shape: Range) -> float:
    """Return the most that a*(1 + a**2)**(b/2 - 1) is for sizes up to one."""
    if shape[1] > 1:
        return math.inf if math.isinf(far) or shape[1] > 2 else far
    return min(far, 1.0)


def _biweight_slope(far: float, width: Range) -> float:
    if far > width[0]:  # there a*(1 - (a/b)**2)**2 grows again
        return math.inf
    return min(far, _above(16 / 25 / math.sqrt(5) * width[1]))


_SLOPES: dict[str, Callable[[float, Range], float]] = {
    "bowl_slope": _bowl_slope,
    "bell_slope": lambda far, width: min(far, _above(math.exp(-0.5) * width[1])),
    "biweight_slope": _biweight_slope,
    "harmonic": lambda far, width: min(far, width[1]),
}
"""The most of what has the sign of its first argument and is never larger, by the size of that."""


def _slope(most: float, a: Range) -> Range:
    return (-most if a[0] < 0 else 0.0), (most if a[1] > 0 else 0.0)


def _power(base: Range, exponent: Range) -> Range:
    power = whole(exponent)
    if power is not None and power > 0:
        return power_of(base, power)
    if power is not None and power < 0:
        return over(power_of(base, -power))
    if base[0] < 0:
        return EVERYWHERE
    if not all(map(math.isfinite, exponent)):
        return 0.0, math.inf
    found = [(_to_the(end, power, -1), _to_the(end, power, 1)) for end in base for power in exponent]
    return max(min(low for low, _ in found), 0.0), max(high for _, high in found)


def _to_the(base: float, exponent: float, way: int) -> float:
    try:
        return _widened(base**exponent, way)
    except ZeroDivisionError:
        return math.inf
    except OverflowError:
        return math.inf if way > 0 else 1e300


def _hypot(a: Range, b: Range) -> Range:
    return max(_widened(math.hypot(a[0], b[0]), -1), a[0], b[0]), _widened(math.hypot(a[1], b[1]), 1)


def _sizes(a: Range) -> Range:
    """Return the range of the absolute value."""
    near = 0.0 if a[0] <= 0 <= a[1] else min(abs(a[0]), abs(a[1]))
    return near, max(abs(a[0]), abs(a[1]))


# --- rounding outward ------------------------------------------------------------------------------------


def _sum(a: float, b: float, way: int) -> float:
    found = a + b
    exact = Fraction(a) + Fraction(b) if math.isfinite(a) and math.isfinite(b) else None
    return _outward(found, way, exact)


def _product(a: float, b: float, way: int) -> float:
    if not a or not b:
        return 0.0
    exact = Fraction(a) * Fraction(b) if math.isfinite(a) and math.isfinite(b) else None
    return _outward(a * b, way, exact)


def _outward(found: float, way: int, exact: Fraction | None) -> float:
    """Return a rounded number, moved past the exact one if it is on the wrong side of it."""
    if exact is None:  # of something infinite
        return found
    if math.isinf(found):
        return found if (found > 0) == (way > 0) else math.nextafter(found, 0.0)
    wrong = exact < Fraction(found) if way < 0 else exact > Fraction(found)
    return math.nextafter(found, way * math.inf) if wrong else found


def _above(x: float) -> float:
    return _widened(x, 1)


def _loose(function: Callable[[float], float], end: float, way: int) -> float:
    """Return what is on one side of a function at an end of a range; from 0 and 1 to 0 and 1 functions are exact."""
    try:
        found = function(end)
    except OverflowError:
        return math.inf if way > 0 else 1e300
    return found if {end, found} <= {0.0, 1.0} else _widened(found, way)


def _widened(x: float, way: int) -> float:
    return x + way * (_SLACK * abs(x) + 1e-300) if math.isfinite(x) else x
