"""Powers of vectors, within 2 units in the last place, and right at every special value; see ``math``."""

from __future__ import annotations

import math
from collections.abc import Callable

from lossmith.engines.coefficients import COEFFICIENTS
from lossmith.engines.llvm import exponentials
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.polynomials import polynomial


def pow(b: Body, x: Lanes, y: Lanes) -> Lanes:
    """Return x ** y: any x above 0, 0 to powers of at least 0, and less than 0 to whole powers."""
    constant = b.constant(y)
    if constant in _EASY_POWERS:
        return _EASY_POWERS[constant](b, x)
    size = b.abs(x)
    found = _power(b, size, y)

    def special() -> Lanes:
        whole = b.rint(y).equals(y)
        half = y * 0.5
        odd = whole & (b.rint(half).equals(half) ^ b.always)
        result = b.select(size.equals(0.0), b.select(y < 0.0, math.inf, 0.0), found)
        result = b.select(odd, b.copysign(result, x), result)
        result = b.select((x < 0.0) & (whole ^ b.always) & (size < math.inf), math.nan, result)
        result = b.select((x.equals(x) & y.equals(y)) ^ b.always, math.nan, result)
        one = y.equals(0.0) | x.equals(1.0) | (size.equals(1.0) & b.abs(y).equals(math.inf))
        return b.select(one, 1.0, result)

    plain = (x > 0.0) & (x < math.inf) & (b.abs(y) < math.inf)
    return b.rarely(plain ^ b.always, special, found)


_EASY_POWERS: dict[float | None, Callable[[Body, Lanes], Lanes]] = {
    -1.0: lambda b, x: 1.0 / x,
    0.5: lambda b, x: b.select(x.equals(-math.inf), math.inf, b.sqrt(x + 0.0)),
    1.0: lambda b, x: x,
    2.0: lambda b, x: x * x,
    3.0: lambda b, x: x * x * x,
    4.0: lambda b, x: (x * x) * (x * x),
    5.0: lambda b, x: (x * x) * (x * x) * x,
}


def _power(b: Body, x: Lanes, y: Lanes) -> Lanes:
    """Return x ** y for x above 0 and at most infinity."""
    if b.kind == "float":
        # A float's power has its digits in doubles, without any care.
        wide = b.widened()
        found = exponentials.exp(wide, wide.take(y) * vector.log(wide, wide.take(x), normal=True))
        return b.give(found)
    high, low = _log_pair(b, x)
    product = y * high
    rest = b.fma(y, low, b.fma(y, high, -product))
    # Where the logarithm or the product is infinite, there is nothing left over.
    rest = b.select(b.abs(product) < 1e4, rest, 0.0)
    return exponentials.exp(b, product, rest)


def _log_pair(b: Body, x: Lanes) -> tuple[Lanes, Lanes]:
    """Return the natural logarithm of a positive number as a sum of two, to some 65 bits."""
    n, m = vector.split(b, x)
    k = -n
    f = m - 1.0
    d = m + 1.0
    q = f / d
    # What the division left over, by the exact sum 1 + m.
    left = b.fma(-q, d, f) - q * (m - (d - 1.0))
    q_low = left / d
    z = q * q
    z_low = b.fma(q, q, -z) + (q + q) * q_low
    c, table = z * (2 / 3), COEFFICIENTS["LOG2", b.kind]
    c_low = b.fma(z, 2 / 3, -c) + z * _THIRDS_REST + z_low * (2 / 3) + z * z * polynomial(b, z, table)
    cube = q * c
    cube_low = b.fma(q, c, -cube) + q * c_low + q_low * c
    # k ln 2 + 2 q + cube, from the large to the small, each with what its rounding left.
    a = k * _LN2_HIGH
    s = a + (q + q)
    s_low = (a - s) + (q + q)
    t = s + cube
    t_low = (s - t) + cube
    low = s_low + t_low + cube_low + (q_low + q_low) + k * _LN2_LOW
    high = t + low
    infinite = b.select(x.equals(0.0), -math.inf, math.inf)
    inside = (x > 0.0) & (x < math.inf)
    return b.select(inside, high, infinite), b.select(inside, (t - high) + low, 0.0)


_THIRDS_REST = 3.700743415417188e-17  # two thirds less its nearest double
_LN2_HIGH = 0.6931471805598903  # 42 bits, so that products with whole numbers up to 2047 are exact
_LN2_LOW = 5.497923018708371e-14
