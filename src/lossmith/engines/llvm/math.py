"""Vector mathematics, in the type of its argument: within 2 units in the last place, and right at every special value.

Each function is a few lines of arithmetic that LLVM keeps in registers. Subnormal arguments and
results, infinities, NaN and signed zeros are as in the standard library of C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from lossmith.engines.llvm.coefficients import COEFFICIENTS
from lossmith.engines.llvm.lanes import Body, Lanes

_INF = math.inf


@dataclass(frozen=True)
class _Format:
    """What a type of floating-point numbers is made of."""

    digits: int  # bits of the mantissa that are stored
    bias: int
    ln2: tuple[float, float]  # with room in the first for products with whole numbers
    exp_low: float  # below it four times exp is 0
    exp_high: float  # above it exp overflows
    root_half: int  # the bits of √½
    least: float  # the least normal number

    @property
    def far(self) -> int:
        """Half of what exponents go to, by which small powers of two are kept ordinary numbers."""
        return (self.bias + 1) // 2


_FORMATS = {
    "double": _Format(
        52, 1023, (0.6931471803691238, 1.9082149292705877e-10), -748.0, 709.79, 0x3FE6A09E667F3BCD, 2.0**-1022
    ),
    "float": _Format(23, 127, (0.693145751953125, 1.42860682030941723e-06), -106.0, 88.73, 0x3F3504F3, 2.0**-126),
}
_DENSITY, _DENSITY_REST = 0.7978845608028654, -4.98465440455546e-17  # √(2 / π) is the sum of the two
LN2 = 0.6931471805599453
_ROOT_2 = 1.4142135623730951
LN2_REST = 2.3190468138462996e-17  # ln 2 is the sum of the two


def _format(b: Body) -> _Format:
    return _FORMATS[b.kind]


def _table(b: Body, name: str) -> tuple[float, ...]:
    return COEFFICIENTS[name, b.kind]


def _power_of_two(b: Body, n: Lanes, more: int = 0) -> Lanes:
    """Return 2 ** (n + more), where that is a normal number; n is a whole number of the type of numbers."""
    # Such a sum has the whole number in its last bits, whatever it is; no other conversion takes a NaN.
    form = _format(b)
    whole = b.bits(n + (1.5 * 2.0**form.digits + (form.bias + more)))
    return b.from_bits(b.shift_left(whole, form.digits))


def _scale_down(b: Body, x: Lanes, n: Lanes) -> Lanes:
    """Return x · 2 ** n, rounded once also where that is subnormal, of an ordinary x and an n of a few dozen at most."""
    if b.scales:
        return b.scale(x, n)
    far = _format(b).far
    return (x * _power_of_two(b, n, far)) * 2.0**-far


class _Reduced(NamedTuple):
    """A number taken apart as n ln 2 + r.

    Attributes:
        whole: n.
        moved: n + 191, or n + 1535 in double precision, as a number that ends with the bits of that.
        rest: r.
    """

    whole: Lanes
    moved: Lanes
    rest: Lanes


def _reduce(b: Body, x: Lanes) -> _Reduced:
    """Return the parts of a number; where machines scale by instructions, nothing is moved."""
    form = _format(b)
    if b.scales:
        n = moved = b.rint(x * (1 / LN2))
    else:
        unit = 1.5 * 2.0**form.digits + form.bias + form.far  # so large a number has no digits behind the point
        moved = b.fma(x, 1 / LN2, unit)
        n = moved - unit
    return _Reduced(n, moved, b.fma(n, -form.ln2[1], b.fma(n, -form.ln2[0], x)))


def _raised(b: Body, p: Lanes, x: _Reduced) -> Lanes:
    """Return (1 + p) · 2 ** n, rounded once also where that is subnormal."""
    if b.scales:
        return b.scale(p + 1.0, x.whole)
    form = _format(b)
    whole = b.apply("add", b.bits(x.moved), b.whole(form.bias - form.far))  # n + 2 bias, for two powers of two
    half = b.apply("lshr", whole, b.whole(1))
    first, second = (b.from_bits(b.shift_left(part, form.digits)) for part in (half, b.apply("sub", whole, half)))
    return b.fma(p, first, first) * second


def _lowered(b: Body, p: Lanes, x: _Reduced) -> Lanes:
    """Return the same of an ordinary p and an n that is at most a few dozen."""
    if b.scales:
        return b.scale(p + 1.0, x.whole)
    form = _format(b)
    power = b.from_bits(b.shift_left(b.bits(x.moved), form.digits))
    return b.fma(p, power, power) * 2.0**-form.far


def exp(b: Body, x: Lanes, low: Lanes | None = None) -> Lanes:
    """Return the exponential of ``x``, or of ``x + low`` where the second is tiny beside the first."""
    form = _format(b)
    # Beyond these ends, where a NaN goes through, what is scaled is 0 or infinite by itself.
    return _exp(b, b.within(x, form.exp_low, form.exp_high), low)


def exp_inside(b: Body, x: Lanes, low: Lanes | None = None) -> Lanes:
    """Return the same where it is an ordinary number, 0 below, and infinity or no number above."""
    return _exp(b, x if b.scales else b.within(x, _format(b).exp_low, _format(b).exp_high), low)


def _exp(b: Body, x: Lanes, low: Lanes | None) -> Lanes:
    parts = _reduce(b, x)
    return _raised(b, _expm1_near_zero(b, parts.rest if low is None else parts.rest + low), parts)


def _expm1_near_zero(b: Body, r: Lanes) -> Lanes:
    return b.fma(r * r, b.polynomial(r, _table(b, "EXP")), r)


def expm1(b: Body, x: Lanes) -> Lanes:
    """Return exp(x) - 1."""
    form = _format(b)
    parts = _reduce(b, b.within(x, form.exp_low, form.exp_high))  # as exp does, to share its work
    p = _expm1_near_zero(b, parts.rest)
    # By half of 2 ** n, which does not overflow where the result does not; less than 2 ** -99 makes no difference.
    n = parts.whole
    half = b.scale(b.number(1.0), n - 1.0) if b.scales else _power_of_two(b, b.at_least(n, -99.0), -1)
    found = b.fma(half, p, half - 0.5)
    # The digits, and the sign, of what is too small to be squared or halved.
    return b.select(b.abs(x) > form.least * 4, found + found, x)


def split(b: Body, x: Lanes, *, normal: bool = False, ordinary: bool = False) -> tuple[Lanes, Lanes]:
    """Return n and m of x = m / 2 ** n, with m near 1.

    For 0 and infinity n is infinite and m is 1; for a negative number, and for none, n is none.

    Args:
        b: what is written into.
        x: the number.
        normal: whether none is subnormal.
        ordinary: whether all are normal and above 0; of others, n and m are something.
    """
    normal = normal or ordinary
    form = _format(b)
    if b.scales:
        x = x + 0.0  # of -0.0 the mantissa would be negative
        m = b.mantissa(x)
        return b.exponent(m) - b.exponent(x), m
    small = x < form.least
    lifted = b.bits(x if normal else b.select(small, x * 2.0 ** (form.digits + 2), x))
    k = b.shift_right(b.apply("sub", lifted, b.whole(form.root_half)), form.digits)
    m = b.from_bits(b.apply("sub", lifted, b.shift_left(k, form.digits)))
    k = _number(b, k)
    k = k if normal else b.select(small, k - float(form.digits + 2), k)
    if not ordinary:
        k = b.select((x > 0.0) & (x < _INF), k, b.select(x.equals(0.0), -_INF, b.select(x > 0.0, x, math.nan)))
    return 0.0 - k, m


def _number(b: Body, k: Lanes) -> Lanes:
    """Return integers of few digits as numbers; of 64 bits by a sum, since only AVX-512 converts these."""
    if b.kind == "float":
        return b.convert("sitofp", k, b.real)
    magic = b.number(1.5 * 2.0 ** _format(b).digits)
    return b.from_bits(b.apply("add", k, b.bits(magic))) - magic


def _log_parts(b: Body, n: Lanes, f: Lanes) -> tuple[Lanes, Lanes]:
    """Return what log(1 + f) - n ln 2 is less than f, for small f: what of that f may be rounded with, and the rest."""
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    return half, b.fma(s, b.fma(z, b.polynomial(z, _table(b, "LOG")), half), n * -_format(b).ln2[1])


def _log_near_one(b: Body, n: Lanes, f: Lanes) -> Lanes:
    """Return log(1 + f) - n ln 2 for small f."""
    half, share = _log_parts(b, n, f)
    return b.fma(n, -_format(b).ln2[0], f - (half - share))


def log(b: Body, x: Lanes, *, normal: bool = False, ordinary: bool = False) -> Lanes:
    """Return the natural logarithm; of 0 it is minus infinity, of less no number. For what is known see ``split``."""
    n, m = split(b, x, normal=normal, ordinary=ordinary)
    return _log_near_one(b, n, m - 1.0)


def log_quotient(b: Body, x: Lanes, y: Lanes) -> Lanes:
    """Return log(x / y) of numbers from 0 on, with its digits also where they are nearly equal; no number of 0 / 0."""
    form = _format(b)
    (n, u), (k, v) = split(b, x), split(b, y)
    e = k - n
    # So that the quotient of the two is as near to 1 as can be: their difference is exact then.
    above, below = u > v * _ROOT_2, v > u * _ROOT_2
    u, v = b.select(below, u + u, u), b.select(above, v + v, v)
    e = b.select(above, e + 1.0, b.select(below, e - 1.0, e))
    s = (u - v) / (u + v)
    z = s * s
    rest = b.fma(s, z * b.polynomial(z, _table(b, "LOG")), e * form.ln2[1])
    return b.fma(e, form.ln2[0], b.fma(s, 2.0, rest))


def log_inside(b: Body, x: Lanes, less: Lanes | None = None) -> Lanes:
    """Return the logarithm of an ordinary number, off by 1e-8 beside rounding; something finite at 0.

    Args:
        b: what is written into.
        x: the number.
        less: what is taken from the logarithm before it is rounded, if anything.
    """
    n, rest = _inside(b, x)
    return b.fma(n, LN2, -less) + rest if less else b.fma(n, LN2, rest)


def log_near(b: Body, x: Lanes, less: Lanes, more: Lanes) -> Lanes:
    """Return log(x) - less + more, rounded as what is near 1, whatever the size of its terms; see ``log_inside``."""
    (n, rest), (much, little) = _inside(b, x), _format(b).ln2
    apart = more - less
    back = apart - more
    lost = (more - (apart - back)) - (less + back)
    return b.fma(n, much, apart) + (b.fma(n, little, lost) + rest)


def _inside(b: Body, x: Lanes) -> tuple[Lanes, Lanes]:
    """Return the exponent of an ordinary number, and the logarithm of its mantissa."""
    form, bits = _format(b), b.bits(x)
    one = b.bits(b.number(1.0))
    n = b.convert("sitofp", b.shift_right(b.apply("sub", bits, one), form.digits), b.real)
    m = b.from_bits(b.apply("or", b.apply("and", bits, b.whole((1 << form.digits) - 1)), one))
    f = m - 1.0
    return n, b.fma(f * f, b.horner(f, COEFFICIENTS["LOG1P", "float"]), f)


def _split_one_more(b: Body, x: Lanes) -> tuple[Lanes, Lanes]:
    """Return n and f of 1 + x = (1 + f) / 2 ** n, with the digits of x; for n see ``split``."""
    n, _ = split(b, x + 1.0, normal=True)
    unit = _scale_down(b, b.number(1.0), n)
    return n, b.fma(x, unit, -(1.0 - unit))  # so signed that -0.0 stays


def log1p(b: Body, x: Lanes) -> Lanes:
    """Return log(1 + x)."""
    n, f = _split_one_more(b, x)
    return b.select(b.abs(n) < _INF, _log_near_one(b, n, f), -n)


def log1p_of_sum(b: Body, x: Lanes) -> Lanes:
    """Return log(1 + x) of a number from 0 to 2 ** 63, or infinity, or none."""
    if b.scales:
        return log1p(b, x)
    form = _format(b)
    moved = b.apply("sub", b.bits(x + 1.0), b.whole(form.root_half))
    n = 0.0 - _number(b, b.shift_right(moved, form.digits))
    power = b.apply("and", moved, b.whole(-1 << form.digits))
    unit = b.from_bits(b.apply("sub", b.whole(form.bias << form.digits), power))  # 2 ** n
    return b.select(x < _INF, _log_near_one(b, n, b.fma(x, unit, -(1.0 - unit))), x)


def tanh(b: Body, x: Lanes) -> Lanes:
    """Return the hyperbolic tangent."""
    size = b.abs(x)
    z = x * x
    near = b.fma(size * z, b.polynomial(z, _table(b, "TANH")), size)
    e = _fall(b, x + x)
    far = 1.0 - (e + e) / (e + 1.0)
    return b.copysign(b.select(size < 0.6, near, far), x)


def exp_of_negative(b: Body, x: Lanes) -> Lanes:
    """Return exp(x) of a number that is at most 0."""
    parts = _reduce(b, b.at_least(x, _format(b).exp_low))
    return _lowered(b, _expm1_near_zero(b, parts.rest), parts)


def _fall(b: Body, x: Lanes) -> Lanes:
    """Return exp(-|x|), which the logistic functions share."""
    return exp_of_negative(b, -b.abs(x))


def sigmoid(b: Body, x: Lanes) -> Lanes:
    """Return 1 / (1 + exp(-x))."""
    e = _fall(b, x)
    u = e + 1.0
    upper = 1.0 / u
    # The quotient of e without a second division, and with what the product loses put back.
    lower = e * upper
    lower = b.fma(b.fma(-lower, e, e - lower), upper, lower)  # by the exact 1 + e: the difference is exact
    # By the sign, which machines choose by without a comparison; where it makes no difference, both are a half.
    return b.select(b.compare_whole("slt", b.bits(x), b.whole(0)), lower, upper)


def softplus(b: Body, x: Lanes) -> Lanes:
    """Return log(1 + exp(x))."""
    return b.largest(x, 0.0) + _log1p_share(b, _fall(b, x))


def _log1p_share(b: Body, e: Lanes) -> Lanes:
    """Return log(1 + e) of a number from 0 to 1."""
    return b.fma(e * e, b.stretches(e, _table(b, "LOG1P")), e)  # what is added to e is rounded where it is small


def logcosh(b: Body, x: Lanes) -> Lanes:
    """Return log(cosh(x))."""
    size = b.abs(x)
    z = x * x
    near = z * b.horner(b.smallest(z, 1.0), _table(b, "LOGCOSH"))
    far = (size - LN2) + _log1p_share(b, _fall(b, x + x))
    return b.select(size < 1.0, near, far)


def sech2(b: Body, x: Lanes) -> Lanes:
    """Return 1 / cosh(x)²."""
    # exp(-2 |x|) is 2 ** n times an ordinary number p, of which it is known what rounding took.
    n, _, r = parts = _reduce(b, b.at_least(-b.abs(x + x), _format(b).exp_low))
    rest = _expm1_near_zero(b, r)
    p = rest + 1.0
    e = _lowered(b, rest, parts)
    u = e + 1.0
    half = u * 0.5
    square = b.fma(half, half, half * (e - (u - 1.0)))
    inverse = 1.0 / square
    found = p * inverse
    return _scale_down(b, b.fma(b.fma(-found, square, p) + (rest - (p - 1.0)), inverse, found), n)


def bell(b: Body, x: Lanes) -> Lanes:
    """Return exp(-x² / 2)."""
    # The square and what rounding took from it: an exponential turns that into a relative error.
    size = b.smallest(b.abs(x), 64.0)
    square = size * size
    found = exp(b, square * -0.5, b.fma(size, size, -square) * -0.5)
    return b.select(x.equals(x), found, x)


def normal_within(b: Body, x: Lanes) -> Lanes:
    """Return what of the standard normal distribution lies between -x and x."""
    size = b.abs(x)
    # The first coefficient, what it is rounded by, and the others, which are added where they are small.
    first, *others = _table(b, "WITHIN")
    square = b.smallest(size * size, 2.0)
    rest = b.fma(square, b.horner(square, others), (_DENSITY - first) + _DENSITY_REST)
    near = b.fma(size, first, size * rest)
    # Beyond, the tails are the density times a smooth function of this place.
    place = b.smallest(size, 9.0)
    tails = bell(b, x) * b.polynomial((place - 3.0) / (place + 3.0), _table(b, "BEYOND"))
    return b.copysign(b.select(size < math.sqrt(2), near, 1.0 - tails), x)


def log1p_excess(b: Body, x: Lanes) -> Lanes:
    """Return x - log(1 + x)."""
    inside = b.smallest(b.largest(x, -0.5), 1.0)
    t, gap = atanh_gap(b, inside)
    rest, more = inside - gap, inside + 2.0
    left = b.fma(-t, more, inside) - t * (inside - (more - 2.0))  # of the division by the exact sum
    near = b.fma(t, rest, left * b.fma(t, -0.5, 0.5) * rest)  # 1 / (2 + x) is (1 - t) / 2
    n, f = _split_one_more(b, x)
    half, share = _log_parts(b, n, f)
    whole = n * _format(b).ln2[0]
    both = whole + x
    lost = b.select(n > 0.0, (whole - both) + x, (x - both) + whole)  # to rounding, by the larger of the two
    far = b.select(b.abs(n) < _INF, (both - f) + ((half - share) + lost), b.abs(n))
    return b.select((x > -0.5) & (x < 1.0), near, far)


def atanh_gap(b: Body, x: Lanes) -> tuple[Lanes, Lanes]:
    """Return t = x / (2 + x), and what t is multiplied by to make log(1 + x) - 2 t, for x from -1/2 to 1."""
    t = x / (x + 2.0)
    z = t * t
    return t, (z + z) * b.polynomial(z, _table(b, "ATANH"))


def normal_range(b: Body) -> tuple[float, float]:
    """Return the least and the greatest normal number of the type."""
    form = _format(b)
    return form.least, (2.0 - 2.0**-form.digits) * 2.0**form.bias


def hypot(b: Body, x: Lanes, y: Lanes) -> Lanes:
    """Return √(x² + y²), without overflow on the way."""
    a, c = b.abs(x), b.abs(y)
    large = b.select(a > c, a, c)

    def scaled() -> Lanes:
        small = b.select(a > c, c, a)
        ratio = b.select(large > 0.0, small / large, 0.0)
        return b.select(large < _INF, large * b.sqrt(b.fma(ratio, ratio, 1.0)), large)

    far = math.sqrt(normal_range(b)[1]) / 2
    plain = (large > 1 / far) & (large < far)
    return b.rarely(plain ^ b.always, scaled, b.sqrt(b.fma(a, a, c * c)))
