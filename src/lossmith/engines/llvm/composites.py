"""The instructions of robust losses and of likelihoods, as vector arithmetic.

Each keeps the digits that its plain form loses: a quotient is carried with what its rounding left over.
"""

from __future__ import annotations

import math

from lossmith.engines._numpy_counts import EXP_TERMS, HALF_LOG_2_PI, ONE_MINUS_EULER, STIRLING, ZETA_MINUS_1
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.lanes import Body, Lanes

_INF = math.inf
_FAR = 1e12  # from here on 1 + x² is x² to the last digit, and soon x² overflows


def _bowl_parts(b: Body, x: Lanes, shape: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return |x|, x² and (1 + x²) ** (shape / 2)."""
    size, square = b.abs(x), x * x
    return size, square, vector.pow(b, b.select(size < _FAR, b.sqrt(square + 1.0), size), shape)


def _lowered(b: Body, size: Lanes, power: Lanes, shape: Lanes, by: int) -> Lanes:
    quotient = power / size if by == 1 else power / size / size
    return b.select((shape < 1.0) & (size < _INF), quotient, vector.pow(b, size, shape - float(by)))


def bowl(b: Body, x: Lanes, shape: Lanes) -> Lanes:
    """Return half of x² near zero, |x| ** shape / shape far out."""
    size, square, power = _bowl_parts(b, x, shape)
    log = b.select(size < _FAR, vector.log1p(b, square), 2.0 * vector.log(b, size))
    half = shape * 0.5 * log
    grown = b.select((b.abs(half) < 1.0) | (size < 1.0), vector.expm1(b, half), power - 1.0)
    flat = (b.abs(shape) < 1e-20) | (b.abs(half) < 1e-17)
    return b.select(flat, log * 0.5, grown / shape)


def bowl_slope(b: Body, x: Lanes, shape: Lanes) -> Lanes:
    """Return the first derivative of ``bowl``."""
    size, square, power = _bowl_parts(b, x, shape)
    far = b.select(size < _FAR, size * (power / (square + 1.0)), _lowered(b, size, power, shape, 1))
    near = size * vector.exp(b, (shape * 0.5 - 1.0) * vector.log1p(b, square))
    return b.copysign(b.select(size < 1.0, near, far), x)


def bowl_curvature(b: Body, x: Lanes, shape: Lanes) -> Lanes:
    """Return the second derivative of ``bowl``."""
    size, square, power = _bowl_parts(b, x, shape)
    bend = 1.0 + (shape - 1.0) * square
    near = vector.exp(b, (shape * 0.5 - 2.0) * vector.log1p(b, square)) * bend
    far = power / (square + 1.0) * (bend / (square + 1.0))
    inverse = 1.0 / size
    farther = _lowered(b, size, power, shape, 2) * ((shape - 1.0) + inverse * inverse)
    return b.select(size < 1.0, near, b.select(size < _FAR, far, farther))


def _left_over(b: Body, a: Lanes, c: Lanes, quotient: Lanes) -> Lanes:
    """Return a - c · quotient of a rounded quotient a / c, to the last digits of what is left."""
    return b.fma(-quotient, c, a)


def bell_bowl(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return c² (1 - exp(-(a / c)² / 2))."""
    x = a / c
    return c * (c * -vector.expm1(b, x * x * -0.5))


def _root_of_bell(b: Body, a: Lanes, c: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return |a| / c up to 64, the square root of exp(-(a / c)² / 2), and where |a| / c is below 64."""
    size = b.abs(a) / c
    inside = size < 64.0
    kept = b.select(inside, size, 64.0)
    lost = b.select(inside, _left_over(b, b.abs(a), c, kept) / c, 0.0)
    square = kept * kept
    low = b.fma(kept, kept, -square) * -0.25 - kept * lost * 0.5
    return kept, vector.exp(b, square * -0.25, low), inside


def bell_slope(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return a exp(-(a / c)² / 2)."""
    _, root, inside = _root_of_bell(b, a, c)
    return b.select(inside, a * root * root, 0.0)


def bell_curvature(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return (1 - (a / c)²) exp(-(a / c)² / 2)."""
    size, root, inside = _root_of_bell(b, a, c)
    bend = (c - b.abs(a)) / c * (size + 1.0)
    return b.select(inside, bend * root * root, 0.0)


def _biweight_parts(b: Body, a: Lanes, c: Lanes) -> tuple[Lanes, Lanes]:
    size = b.abs(a)
    ratio = size / c
    square = ratio * ratio
    return square, b.select(square < 0.25, 1.0 - square, (c - size) / c * ((c + size) / c))


def biweight(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return c² / 6 (1 - (1 - (a / c)²)³)."""
    _, left = _biweight_parts(b, a, c)
    return a * (a * (1.0 + left + left * left)) / 6.0


def biweight_slope(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return a (1 - (a / c)²)²."""
    _, left = _biweight_parts(b, a, c)
    return a * left * left


def biweight_curvature(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return (1 - (a / c)²) (1 - 5 (a / c)²)."""
    square, left = _biweight_parts(b, a, c)
    return left * (1.0 - square * 5.0)


def log1p_bowl(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return c (a - c log(1 + a / c)) for a of at least zero."""
    x = a / c
    _, gap = vector.atanh_gap(b, b.smallest(x, 1.0))
    far = c * b.select(a < _INF, a - c * vector.log1p(b, x), a)
    return b.select(x < 1.0, a / (x + 2.0) * (a - c * gap), far)


def harmonic(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return a c / (a + c)."""
    small, large = b.select(a < c, a, c), b.select(a < c, c, a)
    return small / (small / large + 1.0)


def log1p_difference(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return log(1 + a) - log(1 + c)."""
    (top, top_lost), (bottom, bottom_lost) = _one_more(a), _one_more(c)
    share = (a - c) / bottom
    quotient = top / bottom
    lost = _left_over(b, top, bottom, quotient) / top + top_lost / top - bottom_lost / bottom
    plain = vector.log(b, top) - vector.log(b, bottom)
    far = b.select((quotient > 1e-30) & (quotient < 1e30), vector.log(b, quotient) + lost, plain)
    return b.select(b.abs(share) < 0.5, vector.log1p(b, share), far)


def _one_more(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return 1 + x and what its rounding lost."""
    total = x + 1.0
    added = total - 1.0
    return total, (1.0 - (total - added)) + (x - added)


def log1p_ratio2(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return log(1 + (a / c)²)."""
    size = b.abs(a)
    ratio = size / c
    apart = 2.0 * (vector.log(b, size) - vector.log(b, c))
    far = b.select(ratio < _INF, 2.0 * vector.log(b, ratio), apart)
    return b.select(ratio < 1e10, vector.log1p(b, ratio * ratio), far)


_HALF_STEP = (1 / 8, -1 / 192, 1 / 640, -17 / 14336, 31 / 18432, -691 / 180224, 5461 / 425984)
"""(1 - 4^-k) B(2k) / (k (2k - 1)) with the Bernoulli numbers B, from k = 1 on."""


def lgamma_half(b: Body, x: Lanes) -> Lanes:
    """Return log Γ(x + 1/2) - log Γ(x)."""
    below = x < 1.0
    first = b.select(below, vector.log(b, x + 0.5) - vector.log(b, x), 0.0)
    moved = b.select(below, x + 1.0, x)
    product = b.number(1.0)
    for _ in range(10):
        small = moved < 10.0
        product = b.select(small, product * (1.0 + 0.5 / moved), product)
        moved = b.select(small, moved + 1.0, moved)
    inverse = 1.0 / moved
    series = inverse * b.polynomial(inverse * inverse, _HALF_STEP)
    found = vector.log(b, moved) * 0.5 - series - vector.log(b, product) - first
    return b.select(x > 0.0, found, b.select(x.equals(0.0), -_INF, math.nan))


def normal_within(b: Body, x: Lanes) -> Lanes:
    """Return what of the standard normal distribution lies between -x and x."""
    return b.one_by_one("erf", x * math.sqrt(0.5))


def crps_normal(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return the continuous ranked probability score of a normal distribution off by a, with scale c."""
    z = a / c
    below = math.sqrt(2 / math.pi) * vector.bell(b, z) - 1 / math.sqrt(math.pi)
    return a * normal_within(b, z) + c * below


def lgamma(b: Body, x: Lanes) -> Lanes:
    """Return the logarithm of the gamma function, by the library of C."""
    found = b.one_by_one("lgamma", x)
    return b.select(x < 0.0, math.nan, found)


def mul_exp(b: Body, a: Lanes, c: Lanes) -> Lanes:
    """Return a exp(c), where exp(c) alone may overflow or have no digits left; an exact zero wins."""
    whole, step = vector.exp(b, c), vector.exp(b, c * 0.25)
    least, greatest = vector.normal_range(b)
    # A subnormal number has so much room above it that even half of the way is further than exp reaches.
    found = b.select((whole >= least) & (whole <= greatest), a * whole, a * step * step * step * step)
    return b.select(a.equals(0.0) | (step * step).equals(0.0), 0.0, found)


def expm1_excess(b: Body, x: Lanes) -> Lanes:
    """Return exp(x) - 1 - x."""
    near = b.smallest(b.largest(x, -1.0), 1.0)
    close = near * near * b.polynomial(near, EXP_TERMS)
    far = b.select(x < _INF, vector.expm1(b, x) - x, x)
    return b.select(b.abs(x) < 1.0, close, far)


def log_factorial_excess(b: Body, x: Lanes) -> Lanes:
    """Return log x! - x log x + x."""
    signed = [(-1) ** n * term / n for n, term in enumerate(ZETA_MINUS_1, start=2)]
    small = b.smallest(x, 0.25)
    inner = 1.0 - vector.log(b, small) + ONE_MINUS_EULER + small * b.polynomial(small, signed)
    close = small * inner - vector.log1p(b, small)
    rest, moved = b.number(0.0), x
    for _ in range(8):
        below = moved < 8.0
        rest = b.select(below, rest + (moved * vector.log1p(b, 1.0 / moved) - 1.0), rest)
        moved = b.select(below, moved + 1.0, moved)
    inverse = 1.0 / moved
    series = inverse * b.polynomial(inverse * inverse, STIRLING)
    far = rest + series + vector.log(b, moved) * 0.5 + HALF_LOG_2_PI
    found = b.select(x < 0.25, close, far)
    return b.select(x > 0.0, found, b.select(x.equals(0.0), 0.0, math.nan))
