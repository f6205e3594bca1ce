"""The instructions that likelihoods of counts and amounts are made of, over NumPy arrays."""

from __future__ import annotations

import math

import numpy as np

from lossmith.engines._numpy_bowls import Array, store


def mul_exp(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return a exp(b), where exp(b) alone may overflow or have no digits left; an exact zero wins."""
    kind = np.finfo(np.result_type(a, b))
    exp, half, quarter = np.exp(b), np.exp(b / 2), np.exp(b / 4)
    whole = (exp >= kind.tiny) & (exp <= kind.max)
    # A subnormal number has so much room above it that even half of the way is further than exp reaches.
    parts = np.where(half <= kind.max, a * half * half, a * quarter * quarter * quarter * quarter)
    return store(np.where((a == 0) | (half == 0), kind.dtype.type(0), np.where(whole, a * exp, parts)), out)


def expm1_excess(x: Array, out: Array | None = None) -> Array:
    """Return exp(x) - 1 - x."""
    near = np.clip(x, -1, 1)
    series = np.zeros_like(near)
    for term in reversed(EXP_TERMS):
        series = series * near + near.dtype.type(term)
    return store(np.where(np.abs(x) < 1, near * near * series, np.where(x < np.inf, np.expm1(x) - x, x)), out)


EXP_TERMS = tuple(1 / math.factorial(k) for k in range(2, 20))


def log_factorial_excess(x: float) -> float:
    """Return log x! - x log x + x of a number, which is positive: half of log(2 pi x) for large x."""
    if not x > 0:
        return 0.0 if x == 0 else math.nan
    if x < 0.25:  # where log x! is small, and x + 1 has lost digits of x
        series = 0.0
        for n, term in reversed(list(enumerate(ZETA_MINUS_1, start=2))):
            series = (-1) ** n * term / n + x * series
        return x * (1 - math.log(x) + ONE_MINUS_EULER + x * series) - math.log1p(x)
    rest = []
    while x < 8:
        rest.append(x * math.log1p(1 / x) - 1)
        x += 1
    series = sum(c * (1 / x) ** (2 * k + 1) for k, c in enumerate(STIRLING))
    return math.fsum([*rest, series, math.log(x) / 2, HALF_LOG_2_PI])


ONE_MINUS_EULER = 0.42278433509846714
HALF_LOG_2_PI = 0.9189385332046727
# Riemann's zeta(k) - 1 from k = 2 on: log x! + log(1 + x) - (1 - gamma) x as a power series in x
ZETA_MINUS_1 = (
    0.6449340668482264, 0.2020569031595943, 0.08232323371113819, 0.03692775514336993, 0.01734306198444914,
    0.008349277381922827, 0.00407735619794434, 0.0020083928260822143, 0.0009945751278180853,
    0.0004941886041194645, 0.0002460865533080483, 0.00012271334757848915, 6.124813505870483e-05,
    3.058823630702049e-05, 1.528225940865187e-05, 7.637197637899763e-06, 3.81729326499984e-06,
)  # fmt: skip
# B(2k) / (2k (2k - 1)) with the Bernoulli numbers B, from k = 1 on
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
