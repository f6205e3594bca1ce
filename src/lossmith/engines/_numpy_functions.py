"""The instructions of the reference engine, each as a function of NumPy arrays.

A function takes the arguments of its instruction, and an array to write into or ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines import _numpy_bowls as bowls
from lossmith.engines import _numpy_counts as counts
from lossmith.engines._numpy_bowls import store
from lossmith.program import TABLE, Ops
from lossmith.program.ops import Value

Array = npt.NDArray[Any]


def _softplus(o: Ops, x: Value) -> Value:
    # max(x, 0) + log1p(exp(-|x|)): neither overflows nor loses the small tail.
    return o.add(o.max(x, 0.0), o.log1p(o.exp(o.neg(o.abs(x)))))


def _sigmoid(o: Ops, x: Value) -> Value:
    small = o.exp(o.neg(o.abs(x)))
    return o.div(o.where(o.le(0.0, x), 1.0, small), o.add(1.0, small))


def _sech2(o: Ops, x: Value) -> Value:
    small = o.exp(o.mul(-2.0, o.abs(x)))
    whole = o.add(1.0, small)
    return o.div(o.mul(4.0, small), o.mul(whole, whole))


COMPOSED: dict[str, Callable[..., Value]] = {"softplus": _softplus, "sigmoid": _sigmoid, "sech2": _sech2}
"""Instructions that are others put together, so that what several of them have in common is computed once."""


def _apply(name: str, arguments: tuple[Value, ...]) -> Array:
    dtype = next(x.dtype for x in arguments if isinstance(x, np.ndarray | np.generic) and x.dtype != np.bool_)
    return IMPLEMENTATION[name](*(np.asarray(x, dtype) if isinstance(x, float) else x for x in arguments))


def _composed(name: str) -> Callable[..., Array]:
    def function(x: Array, out: Array | None = None) -> Array:
        return store(COMPOSED[name](Ops(_apply), x), out)

    return function


def _logcosh(x: Array, out: Array | None = None) -> Array:
    size = np.abs(x)
    # log1p(2 sinh²(x/2)) keeps the digits of small x; the other form cannot overflow.
    near = np.log1p(2 * np.square(np.sinh(np.minimum(size, 1) / 2)))
    far = size - x.dtype.type(math.log(2)) + np.log1p(np.exp(-2 * size))
    return store(np.where(size < 1, near, far), out)


def _sloped(value: Array, slope: Array, of: Array, out: Array | None = None) -> Array:
    return store(np.array(np.broadcast_to(value, np.broadcast_shapes(value.shape, slope.shape, of.shape))), out)


def _hypot_slope(a: Array, b: Array, out: Array | None = None) -> Array:
    return np.asarray(np.divide(a, np.hypot(a, b), out))


def _mul0(a: Array, b: Array, out: Array | None = None) -> Array:
    product = np.asarray(np.multiply(a, b, out))
    np.copyto(product, 0, where=np.logical_not(np.logical_and(a, b)))
    return product


def _lgamma_scalar(x: float) -> float:
    if math.isnan(x) or x <= 0:
        return math.inf if x == 0 else math.nan
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


def _lgamma(x: Array, out: Array | None = None) -> Array:
    # NumPy has no log-gamma; the C library's is right to the last digits and this is the reference.
    return _one_by_one(_lgamma_scalar, x, out)


def _log_factorial_excess(x: Array, out: Array | None = None) -> Array:
    return _one_by_one(counts.log_factorial_excess, x, out)


def _log1p_ratio2(a: Array, b: Array, out: Array | None = None) -> Array:
    size = np.abs(a)
    ratio = np.asarray(size / b)
    far = np.where(ratio < np.inf, 2 * np.log(ratio), 2 * (np.log(size) - np.log(b)))
    return store(np.where(ratio < 1e10, np.log1p(ratio * ratio), far), out)


def _lgamma_half_scalar(x: float) -> float:
    if not x > 0:
        return -math.inf if x == 0 else math.nan
    # Up to 10 by the recurrence, then by the series: the difference of two log-gammas would lose digits.
    first, product = 0.0, 1.0
    if x < 1:
        first, x = math.log(x + 0.5) - math.log(x), x + 1
    while x < 10:
        product *= 1 + 0.5 / x
        x += 1
    series = sum(c * (1 / x) ** (2 * k + 1) for k, c in enumerate(_HALF_STEP))
    return math.log(x) / 2 - series - math.log(product) - first


# (1 - 4^-k) B(2k) / (k (2k - 1)) with the Bernoulli numbers B, from k = 1 on
_HALF_STEP = (1 / 8, -1 / 192, 1 / 640, -17 / 14336, 31 / 18432, -691 / 180224, 5461 / 425984)


def _lgamma_half(x: Array, out: Array | None = None) -> Array:
    return _one_by_one(_lgamma_half_scalar, x, out)


def _normal_within(x: Array, out: Array | None = None) -> Array:
    # NumPy has no error function either.
    return _one_by_one(math.erf, x * x.dtype.type(math.sqrt(0.5)), out)


def _crps_normal(a: Array, b: Array, out: Array | None = None) -> Array:
    kind = np.result_type(a, b).type
    z = np.asarray(a / b)
    below = kind(math.sqrt(2 / math.pi)) * bowls.bell(z) - kind(1 / math.sqrt(math.pi))
    return store(a * _normal_within(z) + b * below, out)


def _one_by_one(function: Callable[[float], float], x: Array, out: Array | None) -> Array:
    values = np.fromiter(map(function, np.ravel(x).tolist()), dtype=x.dtype, count=np.size(x))
    return store(values.reshape(np.shape(x)), out)


def _where(condition: Array, a: Array, b: Array, out: Array | None = None) -> Array:
    return store(np.where(condition, a, b), out)


IMPLEMENTATION: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "min": np.minimum,
    "max": np.maximum,
    "pow": np.power,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": _composed("sigmoid"),
    "softplus": _composed("softplus"),
    "logcosh": _logcosh,
    "sech2": _composed("sech2"),
    "bowl": bowls.bowl,
    "bowl_slope": bowls.bowl_slope,
    "bowl_curvature": bowls.bowl_curvature,
    "bell": bowls.bell,
    "bell_bowl": bowls.bell_bowl,
    "bell_slope": bowls.bell_slope,
    "bell_curvature": bowls.bell_curvature,
    "biweight": bowls.biweight,
    "biweight_slope": bowls.biweight_slope,
    "biweight_curvature": bowls.biweight_curvature,
    "log1p_excess": bowls.log1p_excess,
    "log1p_bowl": bowls.log1p_bowl,
    "harmonic": bowls.harmonic,
    "log1p_difference": bowls.log1p_difference,
    "lgamma": _lgamma,
    "hypot": np.hypot,
    "hypot_slope": _hypot_slope,
    "log1p_ratio2": _log1p_ratio2,
    "lgamma_half": _lgamma_half,
    "normal_within": _normal_within,
    "crps_normal": _crps_normal,
    "sloped": _sloped,
    "hold": np.positive,
    "mul_exp": counts.mul_exp,
    "expm1_excess": counts.expm1_excess,
    "log_factorial_excess": _log_factorial_excess,
    "mul0": _mul0,
    "where": _where,
    "alike": _where,
    "lt": np.less,
    "le": np.less_equal,
    "equal": np.equal,
    "both": np.logical_and,
    "either": np.logical_or,
}
assert IMPLEMENTATION.keys() == TABLE.keys(), "every row of the table needs an implementation"
