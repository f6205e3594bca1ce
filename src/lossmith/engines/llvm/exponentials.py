"""Exponentials of vectors, and what is made of one alone; see ``math``, which has the other functions."""

from __future__ import annotations

from typing import NamedTuple

from lossmith.engines.llvm.formats import LN2, format_of
from lossmith.engines.llvm.lanes import Body, Lanes, once
from lossmith.engines.llvm.polynomials import polynomial, table


def _power_of_two(b: Body, n: Lanes, more: int = 0) -> Lanes:
    """Return 2 ** (n + more), where that is a normal number; n is a whole number of the type of numbers."""
    # Such a sum has the whole number in its last bits, whatever it is; no other conversion takes a NaN.
    form = format_of(b)
    whole = b.bits(n + (1.5 * 2.0**form.digits + (form.bias + more)))
    return b.from_bits(b.shift_left(whole, form.digits))


def scale_down(b: Body, x: Lanes, n: Lanes) -> Lanes:
    """Return x · 2 ** n, rounded once also where that is subnormal, of an ordinary x and an n that is not large."""
    if b.scales:
        return b.scale(x, n)
    far = format_of(b).far
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
    form, other = format_of(b), b.opposite(x)
    if other and b.scales:  # but for their signs, the parts of both are the same
        parts = _reduce(b, other)
        return _Reduced(-parts.whole, -parts.moved, -parts.rest)
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
    form = format_of(b)
    whole = b.apply("add", b.bits(x.moved), b.whole(form.bias - form.far))  # n + 2 bias, for two powers of two
    half = b.apply("lshr", whole, b.whole(1))
    first, second = (b.from_bits(b.shift_left(part, form.digits)) for part in (half, b.apply("sub", whole, half)))
    return b.fma(p, first, first) * second


def _lowered(b: Body, p: Lanes, x: _Reduced) -> Lanes:
    """Return the same of an ordinary p and an n that is not large."""
    if b.scales:
        return b.scale(p + 1.0, x.whole)
    form = format_of(b)
    power = b.from_bits(b.shift_left(b.bits(x.moved), form.digits))
    return b.fma(p, power, power) * 2.0**-form.far


def exp(b: Body, x: Lanes, low: Lanes | None = None) -> Lanes:
    """Return the exponential of ``x``, or of ``x + low`` where the second is tiny beside the first."""
    # Beyond these ends, where a NaN goes through, what is scaled is 0 or infinite by itself.
    return _exp(b, _within(b, x), low)


def _within(b: Body, x: Lanes) -> Lanes:
    """Return a number, or the end beyond which its exponential is 0 or infinite, whatever it is multiplied by."""
    form, other = format_of(b), b.opposite(x)
    if not b.scales:
        return b.within(x, form.exp_low, form.exp_high)
    end = -4 * form.exp_low
    return -_within(b, other) if other else b.within(x, -end, end)


def exp_inside(b: Body, x: Lanes, low: Lanes | None = None) -> Lanes:
    """Return the same where it is an ordinary number, 0 below, and infinity or no number above."""
    return _exp(b, x if b.scales else b.within(x, format_of(b).exp_low, format_of(b).exp_high), low)


def _exp(b: Body, x: Lanes, low: Lanes | None) -> Lanes:
    parts = _reduce(b, x)
    return _raised(b, _expm1_near_zero(b, parts.rest if low is None else parts.rest + low), parts)


def _expm1_near_zero(b: Body, r: Lanes) -> Lanes:
    return b.fma(r * r, polynomial(b, r, table(b, "EXP")), r)


def mul_exp(b: Body, a: Lanes, x: Lanes, *, finite: bool = False, number: bool = False) -> Lanes:
    """Return a exp(x), where exp(x) alone may overflow or have no digits left; an exact zero wins.

    Only where machines scale by instructions: then both are mantissas, and one power of two is added to the other.
    ``finite`` says that a is, ``number`` that x is one, or infinite; a zero keeps its sign where both are said.
    """
    parts = _reduce(b, _within(b, x))
    product = b.signed_mantissa(a) * (_expm1_near_zero(b, parts.rest) + 1.0)
    # A zero has an exponent of minus infinity, and wins over no number by a look only. An infinite factor has the other
    # exponent, so that a small x needs one.
    there = None if finite else b.compare("uge", x, b.number(2 * format_of(b).exp_low))
    if not number:
        look = b.compare("une", a, b.number(0.0))
        there = there & look if there else look
    return b.scale(product, parts.whole + b.exponent(a), there)


def lowered(b: Body, a: Lanes, x: Lanes, low: Lanes) -> Lanes:
    """Return a exp(x + low) of x at most 0, where exp(x) alone may have no digits left, by what ``expm1`` shares.

    Only where machines scale by instructions.
    """
    parts = _reduce(b, _within(b, x))
    near = _expm1_near_zero(b, parts.rest) + 1.0
    return b.scale(a, parts.whole) * b.fma(low, near, near)


@once
def expm1(b: Body, x: Lanes) -> Lanes:
    """Return exp(x) - 1."""
    form = format_of(b)
    if b.scales:
        parts = _reduce(b, _within(b, x))
        n = b.at_least(parts.whole, -form.digits - 8.0)  # less makes no difference, and has no inverse in the end
        found = b.scale(_expm1_near_zero(b, parts.rest) - (b.scale(b.number(1.0), -n) - 1.0), n)
        return b.copysign(found, x)  # of zeros
    parts = _reduce(b, b.within(x, form.exp_low, form.exp_high))  # as exp does by powers of two, to share its work
    p = _expm1_near_zero(b, parts.rest)
    # By half of 2 ** n, which does not overflow where the result does not; less than 2 ** -99 makes no difference.
    half = _power_of_two(b, b.at_least(parts.whole, -99.0), -1)
    found = b.fma(half, p, half - 0.5)
    # The digits, and the sign, of what is too small to be squared or halved.
    return b.select(b.abs(x) > form.least * 4, found + found, x)


@once
def exp_of_negative(b: Body, x: Lanes) -> Lanes:
    """Return exp(x) of a number that is at most 0."""
    parts = _reduce(b, b.at_least(x, format_of(b).exp_low))
    return _lowered(b, _expm1_near_zero(b, parts.rest), parts)


def exp_of_size(b: Body, x: Lanes) -> Lanes:
    """Return exp(-|x|), which the logistic functions share."""
    return exp_of_negative(b, -b.abs(x))


def sech2(b: Body, x: Lanes) -> Lanes:
    """Return 1 / cosh(x)²."""
    # exp(-2 |x|) is 2 ** n times an ordinary number p, of which it is known what rounding took.
    n, _, r = parts = _reduce(b, b.at_least(-b.abs(x + x), format_of(b).exp_low))
    rest = _expm1_near_zero(b, r)
    p = rest + 1.0
    e = _lowered(b, rest, parts)
    u = e + 1.0
    half = u * 0.5
    square = b.fma(half, half, half * (e - (u - 1.0)))
    inverse = 1.0 / square
    found = p * inverse
    return scale_down(b, b.fma(b.fma(-found, square, p) + (rest - (p - 1.0)), inverse, found), n)
