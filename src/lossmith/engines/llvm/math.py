"""Vector mathematics, in the type of its argument: within 2 units in the last place, and right at every special value.

Each function is a few lines of arithmetic that LLVM keeps in registers. Subnormal arguments and
results, infinities, NaN and signed zeros are as in the standard library of C.
"""

from __future__ import annotations

import math

from lossmith.engines.coefficients import COEFFICIENTS
from lossmith.engines.llvm.exponentials import exp, exp_of_size, scale_down
from lossmith.engines.llvm.formats import LN2, format_of
from lossmith.engines.llvm.lanes import Body, Lanes, once
from lossmith.engines.llvm.polynomials import horner, polynomial, stretches, table

_INF = math.inf


_DENSITY, _DENSITY_REST = 0.7978845608028654, -4.98465440455546e-17  # √(2 / π) is the sum of the two
_ROOT_2 = 1.4142135623730951


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
    form = format_of(b)
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
    magic = b.number(1.5 * 2.0 ** format_of(b).digits)
    return b.from_bits(b.apply("add", k, b.bits(magic))) - magic


def _log_parts(b: Body, n: Lanes, f: Lanes) -> tuple[Lanes, Lanes]:
    """Return what log(1 + f) - n ln 2 is less than f, for small f: what of that f may be rounded with, and the rest."""
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    return half, b.fma(s, b.fma(z, polynomial(b, z, table(b, "LOG")), half), n * -format_of(b).ln2[1])


def _log_near_one(b: Body, n: Lanes, f: Lanes) -> Lanes:
    """Return log(1 + f) - n ln 2 for small f."""
    half, share = _log_parts(b, n, f)
    return b.fma(n, -format_of(b).ln2[0], f - (half - share))


@once
def log(b: Body, x: Lanes, *, normal: bool = False, ordinary: bool = False) -> Lanes:
    """Return the natural logarithm; of 0 it is minus infinity, of less no number. For what is known see ``split``."""
    n, m = split(b, x, normal=normal, ordinary=ordinary)
    return _log_of_parts(b, n, m, m - 1.0)


def _log_of_parts(b: Body, n: Lanes, m: Lanes, f: Lanes) -> Lanes:
    """Return log(1 + f) - n ln 2 of an ``m`` from 3/4 to 3/2 that is nearly 1 + f."""
    return _log_by_place(b, n, m, f) if b.scales and b.kind == "float" else _log_near_one(b, n, f)


def _log_by_place(b: Body, n: Lanes, m: Lanes, f: Lanes) -> Lanes:
    """Return the same without a division, by the logarithm of one of sixteen numbers near m."""
    place = b.shift_right(b.bits(m), format_of(b).digits - 4)
    inverse, log = (b.look_up(table(b, name), place) for name in ("INVERSES", "LOGS"))
    g = b.fma(f, inverse, -(1.0 - inverse))  # so signed that -0.0 stays
    return b.fma(n, -LN2, log + b.fma(g * g, polynomial(b, g, table(b, "LOG_BETWEEN")), g))


def log_quotient(b: Body, x: Lanes, y: Lanes) -> Lanes:
    """Return log(x / y) of numbers from 0 on, with its digits also where they are nearly equal; no number of 0 / 0."""
    form = format_of(b)
    (n, u), (k, v) = split(b, x), split(b, y)
    e = k - n
    # So that the quotient of the two is as near to 1 as can be: their difference is exact then.
    above, below = u > v * _ROOT_2, v > u * _ROOT_2
    u, v = b.select(below, u + u, u), b.select(above, v + v, v)
    e = b.select(above, e + 1.0, b.select(below, e - 1.0, e))
    s = (u - v) / (u + v)
    z = s * s
    rest = b.fma(s, z * polynomial(b, z, table(b, "LOG")), e * form.ln2[1])
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
    (n, rest), (much, little) = _inside(b, x), format_of(b).ln2
    apart = more - less
    back = apart - more
    lost = (more - (apart - back)) - (less + back)
    return b.fma(n, much, apart) + (b.fma(n, little, lost) + rest)


def _inside(b: Body, x: Lanes) -> tuple[Lanes, Lanes]:
    """Return the exponent of an ordinary number, and the logarithm of its mantissa."""
    form, bits = format_of(b), b.bits(x)
    one = b.bits(b.number(1.0))
    n = b.convert("sitofp", b.shift_right(b.apply("sub", bits, one), form.digits), b.real)
    m = b.from_bits(b.apply("or", b.apply("and", bits, b.whole((1 << form.digits) - 1)), one))
    f = m - 1.0
    return n, b.fma(f * f, horner(b, f, COEFFICIENTS["LOG1P", "float"]), f)


def _rest_of_one_more(b: Body, x: Lanes, n: Lanes) -> Lanes:
    """Return f of 1 + x = (1 + f) / 2 ** n, with the digits of x."""
    unit = scale_down(b, b.number(1.0), n)
    return b.fma(x, unit, -(1.0 - unit))  # so signed that -0.0 stays


@once
def log1p(b: Body, x: Lanes) -> Lanes:
    """Return log(1 + x)."""
    n, m = split(b, x + 1.0, normal=True)
    return b.select(b.abs(n) < _INF, _log_of_parts(b, n, m, _rest_of_one_more(b, x, n)), -n)


def log_of_either(b: Body, condition: Lanes, a: Lanes, x: Lanes) -> Lanes:
    """Return log(a) where a condition holds, else log(1 + x)."""
    n, m = split(b, b.select(condition, a, x + 1.0))
    f = b.select(condition, m - 1.0, _rest_of_one_more(b, x, n))
    return b.select(b.abs(n) < _INF, _log_of_parts(b, n, m, f), -n)


def log1p_of_sum(b: Body, x: Lanes) -> Lanes:
    """Return log(1 + x) of a number from 0 to 2 ** 63, or infinity, or none."""
    if b.scales:
        return log1p(b, x)
    form = format_of(b)
    moved = b.apply("sub", b.bits(x + 1.0), b.whole(form.root_half))
    n = 0.0 - _number(b, b.shift_right(moved, form.digits))
    power = b.apply("and", moved, b.whole(-1 << form.digits))
    unit = b.from_bits(b.apply("sub", b.whole(form.bias << form.digits), power))  # 2 ** n
    return b.select(x < _INF, _log_near_one(b, n, b.fma(x, unit, -(1.0 - unit))), x)


@once
def tanh(b: Body, x: Lanes) -> Lanes:
    """Return the hyperbolic tangent."""
    size = b.abs(x)
    z = x * x
    near = b.fma(size * z, polynomial(b, z, table(b, "TANH")), size)
    e = exp_of_size(b, x + x)
    far = 1.0 - (e + e) / (e + 1.0)
    return b.copysign(b.select(size < 0.6, near, far), x)


@once
def sigmoid(b: Body, x: Lanes) -> Lanes:
    """Return 1 / (1 + exp(-x))."""
    e = exp_of_size(b, x)
    u = e + 1.0
    upper = 1.0 / u
    # The quotient of e without a second division, and with what the product loses put back.
    lower = e * upper
    lower = b.fma(b.fma(-lower, e, e - lower), upper, lower)  # by the exact 1 + e: the difference is exact
    # By the sign, which machines choose by without a comparison; where it makes no difference, both are a half.
    minus = b.opposite(x)
    if minus and (told := b.known(*_has_sign(b, minus))):  # as when the other side was asked for
        return b.select(told, upper, lower)
    return b.select(b.write(*_has_sign(b, x)), lower, upper)


def _has_sign(b: Body, x: Lanes) -> tuple[str, str]:
    """Return the type and the text of what tells where the sign is a minus."""
    return b.truth, f"icmp slt {b.integer} {b.bits(x).name}, zeroinitializer"


@once
def softplus(b: Body, x: Lanes) -> Lanes:
    """Return log(1 + exp(x))."""
    return b.largest(x, 0.0) + log1p_of_share(b, exp_of_size(b, x))


def sigmoid_below(b: Body, x: Lanes) -> Lanes:
    """Return 1 / (1 + exp(-x)) of a number of at most 0."""
    e = exp_of_size(b, x)
    return e / (e + 1.0)


def softplus_below(b: Body, x: Lanes) -> Lanes:
    """Return log(1 + exp(x)) of a number of at most 0."""
    return log1p_of_share(b, exp_of_size(b, x))


@once
def log1p_of_share(b: Body, e: Lanes) -> Lanes:
    """Return log(1 + e) of a number from 0 to 1."""
    return _log1p_by(b, e, "LOG1P")


def _log1p_by(b: Body, e: Lanes, name: str) -> Lanes:
    return b.fma(e * e, stretches(b, e, table(b, name)), e)  # what is added to e is rounded where it is small


@once
def logcosh(b: Body, x: Lanes) -> Lanes:
    """Return log(cosh(x))."""
    size = b.abs(x)
    z = x * x
    near = z * horner(b, z, table(b, "LOGCOSH"))
    far = (size - LN2) + _log1p_by(b, exp_of_size(b, x + x), "LOG1P_LITTLE")
    return b.select(size < 0.7, near, far)


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
    first, *others = table(b, "WITHIN")
    square = b.smallest(size * size, 2.0)
    rest = b.fma(square, horner(b, square, others), (_DENSITY - first) + _DENSITY_REST)
    near = b.fma(size, first, size * rest)
    # Beyond, the tails are the density times a smooth function of this place.
    place = b.smallest(size, 9.0)
    tails = bell(b, x) * polynomial(b, (place - 3.0) / (place + 3.0), table(b, "BEYOND"))
    return b.copysign(b.select(size < math.sqrt(2), near, 1.0 - tails), x)


def log1p_excess(b: Body, x: Lanes) -> Lanes:
    """Return x - log(1 + x)."""
    inside = b.smallest(b.largest(x, -0.5), 1.0)
    t, gap = atanh_gap(b, inside)
    rest, more = inside - gap, inside + 2.0
    left = b.fma(-t, more, inside) - t * (inside - (more - 2.0))  # of the division by the exact sum
    near = b.fma(t, rest, left * b.fma(t, -0.5, 0.5) * rest)  # 1 / (2 + x) is (1 - t) / 2
    n, _ = split(b, x + 1.0, normal=True)
    f = _rest_of_one_more(b, x, n)
    half, share = _log_parts(b, n, f)
    whole = n * format_of(b).ln2[0]
    both = whole + x
    lost = b.select(n > 0.0, (whole - both) + x, (x - both) + whole)  # to rounding, by the larger of the two
    far = b.select(b.abs(n) < _INF, (both - f) + ((half - share) + lost), b.abs(n))
    return b.select((x > -0.5) & (x < 1.0), near, far)


def atanh_gap(b: Body, x: Lanes) -> tuple[Lanes, Lanes]:
    """Return t = x / (2 + x), and what t is multiplied by to make log(1 + x) - 2 t, for x from -1/2 to 1."""
    t = x / (x + 2.0)
    z = t * t
    return t, (z + z) * polynomial(b, z, table(b, "ATANH"))


def normal_range(b: Body) -> tuple[float, float]:
    """Return the least and the greatest normal number of the type."""
    form = format_of(b)
    return form.least, (2.0 - 2.0**-form.digits) * 2.0**form.bias


def hypot(b: Body, x: Lanes, y: Lanes) -> Lanes:
    """Return √(x² + y²), without overflow on the way; infinite beside infinity, even where the other is no number."""
    a, c = b.abs(x), b.abs(y)
    large = b.select(a > c, a, c)

    def scaled() -> Lanes:
        small = b.select(a > c, c, a)
        ratio = b.select(large.equals(0.0), small, small / large)  # of 0 or of no number where the larger one is 0
        return b.select((a >= _INF) | (c >= _INF), _INF, large * b.sqrt(b.fma(ratio, ratio, 1.0)))

    far = math.sqrt(normal_range(b)[1]) / 2
    plain = (large > 1 / far) & (large < far)
    return b.rarely(plain ^ b.always, scaled, b.sqrt(b.fma(a, a, c * c)))
