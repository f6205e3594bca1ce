"""What instructions mean in simpler ones, for targets that lack them: each a formula in its stable form.

A target names the instructions that its library has; the others are written out as small functions made of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from lossmith.program import TABLE, Ops, Program, Value, trace

_LOG_2 = math.log(2)
_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
_NEAR = 0.1  # from here on a difference has digits enough; below it a few terms of a series have


def _sigmoid(o: Ops, a: Value) -> Value:
    e = o.exp(-o.abs(a))
    return o.where(a >= 0, 1.0, e) / (1 + e)


def _softplus(o: Ops, a: Value) -> Value:
    return o.max(a, 0.0) + o.log1p(o.exp(-o.abs(a)))


def _logcosh(o: Ops, a: Value) -> Value:
    size, slope = o.abs(a), o.tanh(a)
    near = -0.5 * o.log1p(-slope * slope)
    return o.where(size < 1, near, size + o.log1p(o.exp(-2 * size)) - _LOG_2)


def _sech2(o: Ops, a: Value) -> Value:
    e = o.exp(-2 * o.abs(a))
    return 4 * e / ((1 + e) * (1 + e))


def _hypot(o: Ops, a: Value, b: Value) -> Value:
    one, other = o.abs(a), o.abs(b)
    less = one < other
    large, small = o.where(less, other, one), o.where(less, one, other)  # one of them is no number if a or b is none
    ratio = o.where(o.equal(large, 0), small, small / large)
    infinite = o.equal(one, math.inf) | o.equal(other, math.inf)  # even beside what is no number, as in C
    return o.where(infinite, math.inf, large * o.pow(1 + ratio * ratio, 0.5))


def _log1p_square(o: Ops, a: Value) -> Value:
    """Return log(1 + a²), also where a² is too large for a number."""
    size = o.abs(a)
    return o.where(size < 1e8, o.log1p(a * a), 2 * o.log(size))


def _bowl(o: Ops, a: Value, b: Value) -> Value:
    log = _log1p_square(o, a)
    grown = o.expm1(0.5 * b * log) / b
    return grown if isinstance(b, float) else o.where(o.equal(b, 0), 0.5 * log, grown)


def _bowl_slope(o: Ops, a: Value, b: Value) -> Value:
    return a * o.exp((0.5 * b - 1) * _log1p_square(o, a))


def _bowl_curvature(o: Ops, a: Value, b: Value) -> Value:
    size = o.hypot(a, 1.0)
    inside, outside = 1 / size, a / size
    bend = inside * inside + (b - 1) * (outside * outside)
    return bend * o.exp((0.5 * b - 1) * _log1p_square(o, a))


def _log1p_excess(o: Ops, a: Value) -> Value:
    # log(1 + a) = 2 atanh(t); its first term is taken from a exactly
    t = a / (2 + a)
    near = t * (a - 2 * t * t * _polynomial(t * t, [1 / (2 * n + 3) for n in range(6)]))
    return o.where(o.abs(a) < _NEAR, near, a - o.log1p(a))


def _expm1_excess(o: Ops, a: Value) -> Value:
    near = a * a * _polynomial(a, [1 / math.factorial(n + 2) for n in range(8)])
    return o.where(o.abs(a) < _NEAR, near, o.expm1(a) - a)


def _polynomial(x: Value, coefficients: list[float]) -> Value:
    found: Value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        found = coefficient + x * found
    return found


def _log1p_difference(o: Ops, a: Value, b: Value) -> Value:
    return o.where(a > b, o.log1p((a - b) / (1 + b)), -o.log1p((b - a) / (1 + a)))


def _log1p_ratio2(o: Ops, a: Value, b: Value) -> Value:
    ratio = o.abs(a) / b
    return o.where(ratio < 1e8, o.log1p(ratio * ratio), 2 * (o.log(o.abs(a)) - o.log(b)))


def _stirling(x: Value) -> Value:
    """Return what log Γ has beyond (x - 1/2) log x - x + log(2π)/2, for x of at least 8."""
    inverse = 1 / x
    return inverse * _polynomial(inverse * inverse, [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188])


def _lgamma(o: Ops, a: Value) -> Value:
    small = a < 8
    x = o.where(small, a + 8, a)
    product = a
    for step in range(1, 8):
        product = product * (a + step)
    return (x - 0.5) * o.log(x) - x + _HALF_LOG_2_PI + _stirling(x) - o.where(small, o.log(product), 0.0)


def _log_factorial_excess(o: Ops, a: Value) -> Value:
    near = o.lgamma(a + 1) - o.mul0(a, o.log(a)) + a
    far = 0.5 * o.log(a) + _HALF_LOG_2_PI + _stirling(a)
    return o.where(a < 8, o.where(o.equal(a, 0), 0.0, near), far)


def _crps_normal(o: Ops, a: Value, b: Value) -> Value:
    z = a / b
    return a * o.normal_within(z) + b * (math.sqrt(2 / math.pi) * o.bell(z) - 1 / math.sqrt(math.pi))


def _mul_exp(o: Ops, a: Value, b: Value) -> Value:
    step = o.exp(0.25 * b)  # where exp(b) itself would be too large or too small for a number
    return o.where(o.equal(a, 0) | o.equal(step, 0), 0.0, a * step * step * step * step)


def _bell_curvature(o: Ops, a: Value, b: Value) -> Value:
    z = o.min(o.abs(a / b), 64.0)
    return (1 - z * z) * o.bell(z)


def _biweight(o: Ops, a: Value, b: Value) -> Value:
    left = _left(a, b)
    return a * (a * (1 + left + left * left)) / 6


def _left(a: Value, b: Value) -> Value:
    z = a / b
    return (1 - z) * (1 + z)


def _biweight_slope(o: Ops, a: Value, b: Value) -> Value:
    left = _left(a, b)
    return a * left * left


def _biweight_curvature(o: Ops, a: Value, b: Value) -> Value:
    z = a / b
    return _left(a, b) * (1 - 5 * (z * z))


def _expm1(o: Ops, a: Value) -> Value:
    # Kahan: what rounding does to exp(a) it does to its logarithm too
    grown = o.exp(a)
    near = (grown - 1) * (a / o.log(grown))
    return o.where(o.abs(a) > 0.7, grown - 1, o.where(o.equal(grown, 1), a, near))


def _log1p(o: Ops, a: Value) -> Value:
    whole = 1 + a
    near = o.log(whole) * (a / (whole - 1))
    return o.where(o.abs(a) > 0.7, o.log(whole), o.where(o.equal(whole, 1), a, near))


def _sign(o: Ops, a: Value) -> Value:
    return o.where(a > 0, 1.0, o.where(a < 0, -1.0, a))


HELPERS: Mapping[str, Callable[..., Value]] = {
    "sign": _sign,
    "expm1": _expm1,
    "log1p": _log1p,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "logcosh": _logcosh,
    "sech2": _sech2,
    "hypot": _hypot,
    "bowl": _bowl,
    "bowl_slope": _bowl_slope,
    "bowl_curvature": _bowl_curvature,
    "bell": lambda o, a: o.exp(-0.5 * (a * a)),
    "bell_bowl": lambda o, a, b: -(b * b) * o.expm1(-0.5 * ((a / b) * (a / b))),
    "bell_slope": lambda o, a, b: a * o.bell(a / b),
    "bell_curvature": _bell_curvature,
    "biweight": _biweight,
    "biweight_slope": _biweight_slope,
    "biweight_curvature": _biweight_curvature,
    "log1p_excess": _log1p_excess,
    "log1p_bowl": lambda o, a, b: b * (b * o.log1p_excess(a / b)),
    "harmonic": lambda o, a, b: a / (1 + a / b),
    "log1p_difference": _log1p_difference,
    "expm1_excess": _expm1_excess,
    "log_factorial_excess": _log_factorial_excess,
    "lgamma": _lgamma,
    "log1p_ratio2": _log1p_ratio2,
    "lgamma_half": lambda o, a: o.lgamma(a + 0.5) - o.lgamma(a),
    "crps_normal": _crps_normal,
    "mul_exp": _mul_exp,
    "mul0": lambda o, a, b: o.where(o.equal(a, 0) | o.equal(b, 0), 0.0, a * b),
}

EASY: Mapping[tuple[str, float], Callable[..., Value]] = {
    ("bowl", 1.0): lambda o, a: a * (a / (1 + o.hypot(a, 1.0))),
    ("bowl", 0.0): lambda o, a: 0.5 * _log1p_square(o, a),
    ("bowl", -2.0): lambda o, a: 0.5 * ((a / o.hypot(a, 1.0)) * (a / o.hypot(a, 1.0))),
    ("bowl_slope", 1.0): lambda o, a: a / o.hypot(a, 1.0),
    ("bowl_slope", 0.0): lambda o, a: a / o.hypot(a, 1.0) / o.hypot(a, 1.0),
    ("bowl_slope", -2.0): lambda o, a: a / o.hypot(a, 1.0) / o.hypot(a, 1.0) / o.hypot(a, 1.0) / o.hypot(a, 1.0),
    ("bowl_curvature", 1.0): lambda o, a: 1 / o.hypot(a, 1.0) / o.hypot(a, 1.0) / o.hypot(a, 1.0),
}
"""Instructions that are simple ones for a certain second argument."""


@lru_cache(maxsize=256)
def helper(name: str) -> Program:
    """Return the program of an instruction in simpler ones, with inputs ``a``, ``b`` and the output ``value``."""
    row = TABLE[name]
    letters = "abc"[: row.arity]
    return trace(lambda ops, given: {"value": HELPERS[name](ops, *(given[x] for x in letters))}, letters)


NOTES: Mapping[str, str] = {
    "mul0": "a b, and 0 where one of them is 0",
    "mul_exp": "a exp(b), also where exp(b) alone is too large or too small",
    "bowl": "((1 + a²) ** (b / 2) - 1) / b, at b = 0 its limit",
    "crps_normal": "the continuous ranked probability score of a normal distribution off by a, with scale b",
    "sign": "-1, 0 or 1",
}


def meaning(name: str) -> str:
    """Return in words what an instruction returns."""
    return NOTES.get(name, TABLE[name].meaning)
