"""The instructions of robust losses and of likelihoods, written once for every engine that has plain arithmetic.

Each keeps the digits that its plain form loses: a quotient is carried with what its rounding left over. There are no
branches, so they can be traced and compiled as they stand. ``lossmith.engines.arithmetic`` says what an engine brings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from lossmith.engines._numpy_counts import HALF_LOG_2_PI, ONE_MINUS_EULER, STIRLING, ZETA_MINUS_1
from lossmith.engines.arithmetic import Arithmetic, Lanes

_INF = math.inf
_FAR = 1e12  # from here on 1 + x² is x² to the last digit, and soon x² overflows


def _bowl_parts(b: Arithmetic, x: Lanes, shape: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return |x|, x² and (1 + x²) ** (shape / 2)."""
    size, square = b.abs(x), x * x
    return size, square, b.pow(b.select(size < _FAR, b.sqrt(square + 1.0), size), shape)


def _lowered(b: Arithmetic, size: Lanes, power: Lanes, shape: Lanes, by: int) -> Lanes:
    quotient = power / size if by == 1 else power / size / size
    return b.select((shape < 1.0) & (size < _INF), quotient, b.pow(size, shape - float(by)))


def _closed(b: Arithmetic, x: Lanes, shape: Lanes, near: _Closed, far: _Closed) -> Lanes | None:
    """Return a bowl of a shape that has a closed form, ``near`` where x² is a number and ``far`` beyond."""
    constant = b.constant(shape)
    if constant not in near:
        return None
    size, square = b.abs(x), x * x
    most = 0.25 * b.normal_range()[1]  # three times it is a number
    return b.rarely((square < most) ^ b.always, lambda: far[constant](b, x, size), near[constant](b, x, square + 1.0))


_Closed = Mapping[float | None, Callable[[Arithmetic, Lanes, Lanes], Lanes]]
"""By shape: a function of x and 1 + x², or far out of x and |x|."""


def bowl(b: Arithmetic, x: Lanes, shape: Lanes) -> Lanes:
    """Return half of x² near zero, |x| ** shape / shape far out."""
    closed = _closed(b, x, shape, _BOWLS, _FAR_BOWLS)
    if closed is not None:
        return closed
    size, square, power = _bowl_parts(b, x, shape)
    log = b.rarely((size < _FAR) ^ b.always, lambda: 2.0 * b.log(size), b.log1p(square))
    half = shape * 0.5 * log
    grown = b.select((b.abs(half) < 1.0) | (size < 1.0), b.expm1(half), power - 1.0)
    flat = (b.abs(shape) < 1e-20) | (b.abs(half) < 1e-17)
    return b.select(flat, log * 0.5, grown / shape)


_BOWLS: _Closed = {
    -2.0: lambda b, x, more: x * (x / more) * 0.5,
    0.0: lambda b, x, more: b.log1p(x * x) * 0.5,
    1.0: lambda b, x, more: x * (x / (b.sqrt(more) + 1.0)),
}
_FAR_BOWLS: _Closed = {
    -2.0: lambda b, x, size: b.number(0.5),
    0.0: lambda b, x, size: b.log(size),
    1.0: lambda b, x, size: size,
}


def bowl_slope(b: Arithmetic, x: Lanes, shape: Lanes) -> Lanes:
    """Return the first derivative of ``bowl``."""
    closed = _closed(b, x, shape, _SLOPES, _FAR_SLOPES)
    if closed is not None:
        return closed
    size, square, power = _bowl_parts(b, x, shape)
    near = size * b.exp((shape * 0.5 - 1.0) * b.log1p(square))
    root = b.sqrt(square + 1.0)
    found = b.select(size < 1.0, near, (size / root) * (power / root))  # its square may be too large for a quotient
    found = b.rarely((size < _FAR) ^ b.always, lambda: _lowered(b, size, power, shape, 1), found)
    return b.copysign(found, x)


_SLOPES: _Closed = {
    -2.0: lambda b, x, more: x / more / more,
    0.0: lambda b, x, more: x / more,
    1.0: lambda b, x, more: x / b.sqrt(more),
}
_FAR_SLOPES: _Closed = {
    -2.0: lambda b, x, size: 1.0 / x / size / size,
    0.0: lambda b, x, size: 1.0 / x,
    1.0: lambda b, x, size: b.copysign(b.number(1.0), x),
}


def bowl_curvature(b: Arithmetic, x: Lanes, shape: Lanes) -> Lanes:
    """Return the second derivative of ``bowl``."""
    closed = _closed(b, x, shape, _CURVATURES, _FAR_CURVATURES)
    if closed is not None:
        return closed
    size, square, power = _bowl_parts(b, x, shape)
    bend = 1.0 + (shape - 1.0) * square
    near = b.exp((shape * 0.5 - 2.0) * b.log1p(square)) * bend
    far = power / (square + 1.0) * (bend / (square + 1.0))
    found = b.select(size < 1.0, near, far)

    def farther() -> Lanes:
        inverse = 1.0 / size
        return _lowered(b, size, power, shape, 2) * ((shape - 1.0) + inverse * inverse)

    return b.rarely((size < _FAR) ^ b.always, farther, found)


_CURVATURES: _Closed = {
    -2.0: lambda b, x, more: (1.0 - 3.0 * (x * x)) / more / more / more,
    0.0: lambda b, x, more: (1.0 - b.abs(x)) / more * ((1.0 + b.abs(x)) / more),
    1.0: lambda b, x, more: 1.0 / more / b.sqrt(more),
}
_FAR_CURVATURES: _Closed = {
    -2.0: lambda b, x, size: -3.0 / size / size / size / size,
    0.0: lambda b, x, size: -1.0 / size / size,
    1.0: lambda b, x, size: 1.0 / size / size / size,
}


def _left_over(b: Arithmetic, a: Lanes, c: Lanes, quotient: Lanes) -> Lanes:
    """Return a - c · quotient of a rounded quotient a / c, to the last digits of what is left."""
    return b.fma(-quotient, c, a)


def _bell_exponent(b: Arithmetic, a: Lanes, c: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return -(a / c)² / 2 of |a| / c up to 64, what that is rounded by, and where |a| / c is below 64."""
    size = b.abs(a) / c
    inside, kept = size < 64.0, b.select(size > 64.0, 64.0, size)
    square = kept * kept
    low = b.fma(kept, kept, -square) * -0.5
    if b.constant(c) != 1:
        low = low - kept * b.select(inside, _left_over(b, b.abs(a), c, kept) / c, 0.0)
    return square * -0.5, low, inside


def bell_bowl(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return c² (1 - exp(-(a / c)² / 2))."""
    x, _, _ = _bell_exponent(b, a, c)
    return c * (c * -b.expm1(x))


def bell_slope(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return a exp(-(a / c)² / 2)."""
    x, low, inside = _bell_exponent(b, a, c)
    return b.select(inside, b.lowered(a, x, low), 0.0)


def bell_curvature(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return (1 - (a / c)²) exp(-(a / c)² / 2)."""
    x, low, inside = _bell_exponent(b, a, c)
    bend = (c - b.abs(a)) / c * (b.abs(a) / c + 1.0)
    return b.select(inside, b.lowered(bend, x, low), 0.0)


def lowered(b: Arithmetic, a: Lanes, x: Lanes, low: Lanes) -> Lanes:
    """Return a exp(x + low) of x at most 0, where exp(x) alone may have no digits left."""
    root = b.exp(x * 0.5, low * 0.5)
    return a * root * root


def _biweight_parts(b: Arithmetic, a: Lanes, c: Lanes) -> tuple[Lanes, Lanes]:
    size = b.abs(a)
    ratio = size / c
    square = ratio * ratio
    return square, b.select(square < 0.25, 1.0 - square, (c - size) / c * (ratio + 1.0))


def biweight(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return c² / 6 (1 - (1 - (a / c)²)³)."""
    _, left = _biweight_parts(b, a, c)
    return a * (a * (1.0 + left + left * left)) * (1 / 6)


def biweight_slope(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return a (1 - (a / c)²)²."""
    _, left = _biweight_parts(b, a, c)
    return a * left * left


def biweight_curvature(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return (1 - (a / c)²) (1 - 5 (a / c)²)."""
    square, left = _biweight_parts(b, a, c)
    return left * (1.0 - square * 5.0)


def cross_entropy(b: Arithmetic, yes: Lanes, no: Lanes, x: Lanes) -> Lanes:
    """Return yes log(1 + exp(-x)) + no log(1 + exp(x)), of shares that add up to 1."""
    return b.softplus_below(-b.abs(x)) + b.abs(x) * b.select(x > 0.0, no, yes)


def cross_entropy_slope(b: Arithmetic, yes: Lanes, no: Lanes, x: Lanes) -> Lanes:
    """Return no / (1 + exp(-x)) - yes / (1 + exp(x)), of shares that add up to 1."""
    less = b.sigmoid_below(-b.abs(x))
    return b.select(x > 0.0, no - less, less - yes)


def log1p_bowl(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return c (a - c log(1 + a / c)) for a of at least zero."""
    x = a / c
    t, gap = b.atanh_gap(b.smallest(x, 1.0))
    log = b.rarely((x < _INF) ^ b.always, lambda: b.log(a) - b.log(c), b.log1p(x))
    far = c * b.select(a < _INF, a - c * log, a)
    return b.select(x < 1.0, c * t * (a - c * gap), far)


def harmonic(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return a c / (a + c) for a of at least zero."""
    ratio = a / c
    return b.select(ratio < _INF, a / (ratio + 1.0), c)


def log1p_difference(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return log(1 + a) - log(1 + c)."""
    # The larger less the smaller is log(1 + share) of a share that is not negative and has all its digits.
    up = a > c
    large, small = b.select(up, a, c), b.select(up, c, a)
    share = (large - small) / (small + 1.0)

    def far() -> Lanes:
        return b.log(large - small) - b.log(small + 1.0)

    size = b.rarely((share < _INF) ^ b.always, far, b.log1p(share))
    return b.select(up, size, -size)


def log1p_ratio2(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return log(1 + (a / c)²)."""
    size = b.abs(a)
    ratio = size / c

    def far() -> Lanes:
        apart = 2.0 * (b.log(size) - b.log(c))
        return b.select(ratio < _INF, 2.0 * b.log(ratio), apart)

    return b.rarely((ratio < 1e10) ^ b.always, far, b.log1p(ratio * ratio))


_HALF_STEP = (1 / 8, -1 / 192, 1 / 640, -17 / 14336, 31 / 18432, -691 / 180224, 5461 / 425984)
"""(1 - 4^-k) B(2k) / (k (2k - 1)) with the Bernoulli numbers B, from k = 1 on."""


def lgamma_half(b: Arithmetic, x: Lanes) -> Lanes:
    """Return log Γ(x + 1/2) - log Γ(x)."""
    below = x < 1.0
    first = b.select(below, b.log(x + 0.5) - b.log(x), 0.0)
    least = b.select(below, x + 1.0, x)
    product, steps = b.number(1.0), b.number(0.0)
    for n in range(10):  # each from the start: compilers that repeat a value where it is used double it with each step
        there = least + float(n)
        small = there < 10.0
        product = product * b.select(small, 1.0 + 0.5 / there, 1.0)
        steps = steps + b.select(small, 1.0, 0.0)
    moved = least + steps
    inverse = 1.0 / moved
    series = inverse * b.polynomial(inverse * inverse, _HALF_STEP)
    found = b.log(moved) * 0.5 - series - b.log(product) - first
    return b.select(x > 0.0, found, b.select(b.equal(x, 0.0), -_INF, math.nan))


def crps_normal(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return the continuous ranked probability score of a normal distribution off by a, with scale c."""
    z = a / c
    below = math.sqrt(2 / math.pi) * b.bell(z) - 1 / math.sqrt(math.pi)
    return a * b.normal_within(z) + c * below


def lgamma(b: Arithmetic, x: Lanes) -> Lanes:
    """Return the logarithm of the gamma function, which of less than 0 is no number here."""
    return b.select(x < 0.0, math.nan, b.lgamma(x))


def mul_exp(b: Arithmetic, a: Lanes, c: Lanes) -> Lanes:
    """Return a exp(c), where exp(c) alone may overflow or have no digits left; an exact zero wins."""
    whole = b.exp(c)
    least, greatest = b.normal_range()

    def by_steps() -> Lanes:
        # A subnormal number has so much room above it that even half of the way is further than exp reaches.
        step = b.exp(c * 0.25)
        return b.select(b.equal(a, 0.0) | b.equal(step * step, 0.0), 0.0, a * step * step * step * step)

    plain = (whole >= least) & (whole <= greatest)
    return b.rarely(plain ^ b.always, by_steps, a * whole)


def expm1_excess(b: Arithmetic, x: Lanes) -> Lanes:
    """Return exp(x) - 1 - x."""
    close = expm1_excess_near(b, b.smallest(b.largest(x, -1.0), 1.0))
    far = b.select(x < _INF, b.expm1(x) - x, x)
    return b.select(b.abs(x) < 1.0, close, far)


def expm1_excess_near(b: Arithmetic, x: Lanes) -> Lanes:
    """Return the same of a number from -1 to 1."""
    return x * x * b.exp_rest(x)


def log_factorial_excess(b: Arithmetic, x: Lanes) -> Lanes:
    """Return log x! - x log x + x."""
    signed = [(-1) ** n * term / n for n, term in enumerate(ZETA_MINUS_1, start=2)]
    small = b.smallest(x, 0.25)
    inner = 1.0 - b.log(small) + ONE_MINUS_EULER + small * b.polynomial(small, signed)
    close = small * inner - b.log1p(small)
    rest, steps = b.number(0.0), b.number(0.0)
    for n in range(8):  # as in ``lgamma_half``
        there = x + float(n)
        below = there < 8.0
        rest = rest + b.select(below, there * b.log1p(1.0 / there) - 1.0, 0.0)
        steps = steps + b.select(below, 1.0, 0.0)
    moved = x + steps
    inverse = 1.0 / moved
    series = inverse * b.polynomial(inverse * inverse, STIRLING)
    far = rest + series + b.log(moved) * 0.5 + HALF_LOG_2_PI
    found = b.select(x < 0.25, close, far)
    return b.select(x > 0.0, found, b.select(b.equal(x, 0.0), 0.0, math.nan))
