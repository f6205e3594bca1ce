"""The instructions that robust losses are made of, over NumPy arrays.

Each is right to the last digits at every scale: a quotient of two arguments is carried with the
digits that its rounding lost wherever a result would multiply that error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_FAR = 1e12  # from here on 1 + x² is x² to the last digit, and soon x² overflows

_FLAT = 1e-20  # a shape below which a bowl is its limit at 0


def store(values: Array, out: Array | None) -> Array:
    """Return the values, in ``out`` where there is one."""
    if out is None:
        return values
    out[...] = values
    return out


def bowl(x: Array, shape: Array, out: Array | None = None) -> Array:
    """Half of x² near zero, |x| ** shape / shape far out."""
    if _is_root(x, shape):
        square = x * x
        return _quotient(square, 1 + np.sqrt(1 + square), out)
    log = _log_of_square(x)
    if np.ndim(shape) == 0 and abs(shape) < _FLAT:
        return store(log / 2, out)
    size, _, power = _bowl_parts(x, shape)
    half = shape / 2 * log
    # Far out by powers: an exponent would carry its own rounding error into the result.
    grown = np.where((np.abs(half) < 1) | (size < 1), np.expm1(half), power - 1)
    return store(np.where((np.abs(shape) < _FLAT) | (np.abs(half) < 1e-17), log / 2, grown / shape), out)


def bowl_slope(x: Array, shape: Array, out: Array | None = None) -> Array:
    """Return the first derivative of ``bowl``."""
    if _is_root(x, shape):
        return _quotient(x, np.sqrt(1 + x * x), out)
    if np.ndim(shape) == 0 and abs(shape) < _FLAT and _is_near(np.abs(x)):
        return _quotient(x, 1 + x * x, out)
    size, square, power = _bowl_parts(x, shape)
    root = np.sqrt(1 + square)  # by the square the quotient might be too small for a number
    far = np.where(size < _FAR, (size / root) * (power / root), _lowered(size, power, shape, 1))
    slope = np.where(size < 1, size * np.exp((shape / 2 - 1) * np.log1p(square)), far)
    return store(np.copysign(slope, x), out)


def bowl_curvature(x: Array, shape: Array, out: Array | None = None) -> Array:
    """Return the second derivative of ``bowl``."""
    if _is_root(x, shape):
        root = np.sqrt(1 + x * x)
        return _quotient(1 / root, root * root, out)
    size, square, power = _bowl_parts(x, shape)
    bend = 1 + (shape - 1) * square
    near = np.exp((shape / 2 - 2) * np.log1p(square)) * bend
    far = power / (1 + square) * (bend / (1 + square))
    farther = _lowered(size, power, shape, 2) * ((shape - 1) + np.square(1 / size))
    return store(np.where(size < 1, near, np.where(size < _FAR, far, farther)), out)


def _bowl_parts(x: Array, shape: Array) -> tuple[Array, Array, Array]:
    """Return |x|, x² and (1 + x²) ** (shape / 2)."""
    size, square = np.abs(x), x * x
    root = np.sqrt(1 + square)
    return size, square, np.power(root if _is_near(size) else np.where(size < _FAR, root, size), shape)


def _log_of_square(x: Array) -> Array:
    """Return log(1 + x²)."""
    size, near = np.abs(x), np.log1p(x * x)
    return near if _is_near(size) else np.where(size < _FAR, near, 2 * np.log(size))


def _quotient(a: Array, b: Array, out: Array | None) -> Array:
    found: Array = np.divide(a, b, out=out)
    return found


def _is_near(size: Array) -> bool:
    """Return whether no number is so far out that its square could overflow, as is usual."""
    return bool(np.maximum.reduce(size, axis=None, initial=0) < _FAR)


def _is_root(x: Array, shape: Array) -> bool:
    """Return whether a bowl is √(1 + x²) - 1, and no number far out: then roots do without powers."""
    return np.ndim(shape) == 0 and bool(shape == 1) and _is_near(np.abs(x))


def _lowered(size: Array, power: Array, shape: Array, by: int) -> Array:
    """Return size ** (shape - by) from size ** shape, whose exponent is exact, unless that overflows."""
    quotient = power / size if by == 1 else power / size / size
    return np.where((shape < 1) & (size < np.inf), quotient, np.power(size, shape - by))


def bell(x: Array, out: Array | None = None) -> Array:
    """exp(-x² / 2)."""
    root, rest = _bell_parts(np.minimum(np.abs(x), 64), x.dtype.type(0))
    product: Array = np.multiply(root * root, rest, out=out)
    return product


def _bell_parts(size: Array, lost: Array) -> tuple[Array, Array]:
    """Return two factors of exp(-(size + lost)² / 2), of which the first counts twice, for ``size`` up to 64.

    An exponential turns the rounding error of its argument into a relative one, so the square is
    taken of a rounded number, which is exact, and of what is left.
    """
    head = np.floor(size * 16) / 16
    return np.exp(-head * head / 4), np.exp(-((size - head) + lost) * (size + head) / 2)


def bell_bowl(a: Array, b: Array, out: Array | None = None) -> Array:
    """Half of a² near zero, b² far out, by a bell of width b."""
    x = np.asarray(a / b)
    return store(b * (b * -np.expm1(-x * x / 2)), out)


def bell_slope(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return the derivative of ``bell_bowl`` by a."""
    size, lost, inside = _over(a, b)
    root, rest = _bell_parts(size, lost)
    # Half of the exponent comes last, so that a result below the normal range is rounded once.
    return store(np.where(inside, a * root * rest * root, 0), out)


def bell_curvature(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return the second derivative of ``bell_bowl`` by a."""
    size, lost, inside = _over(a, b)
    root, rest = _bell_parts(size, lost)
    bend = (b - np.abs(a)) / b * (1 + size)  # 1 - x² without its rounding error
    return store(np.where(inside, bend * root * rest * root, 0), out)


def _over(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return |a| / b up to 64, what its rounding lost, and where it is below 64."""
    size = np.asarray(np.abs(a) / b)
    inside = size < 64
    size = np.where(inside, size, size.dtype.type(64))
    return size, np.where(inside, left_over(np.abs(a), b, size) / b, 0), inside


def left_over(a: Array, b: Array, quotient: Array) -> Array:
    """Return a - b * quotient of a rounded quotient a / b, to the last digits of what is left."""
    if quotient.dtype == np.float32:
        return (a.astype(np.float64) - b.astype(np.float64) * quotient).astype(np.float32)
    (b_head, b_tail), (q_head, q_tail) = _halves(b), _halves(quotient)
    left: Array = a - b_head * q_head - b_head * q_tail - b_tail * q_head - b_tail * q_tail
    return left


def _halves(x: Array) -> tuple[Array, Array]:
    """Return two numbers of 26 and 27 digits, whose products with one another are exact."""
    head = (np.asarray(x).view(np.int64) & ~0x7FFFFFF).view(np.float64)
    return head, x - head


def biweight(a: Array, b: Array, out: Array | None = None) -> Array:
    """Half of a² near zero, b² / 6 at b."""
    _, left = _biweight_parts(a, b)
    return store(a * (a * (1 + left + left * left)) * (1 / 6), out)


def biweight_slope(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return the derivative of ``biweight`` by a."""
    _, left = _biweight_parts(a, b)
    return store(a * left * left, out)


def biweight_curvature(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return the second derivative of ``biweight`` by a."""
    square, left = _biweight_parts(a, b)
    return store(left * (1 - 5 * square), out)


def _biweight_parts(a: Array, b: Array) -> tuple[Array, Array]:
    """Return (a / b)², and 1 - (a / b)² with its digits where it vanishes."""
    size = np.abs(a)
    ratio = size / b
    square = np.square(ratio)
    return square, np.where(square < 0.25, 1 - square, (b - size) / b * (1 + ratio))


def log1p_bowl(a: Array, b: Array, out: Array | None = None) -> Array:
    """Half of a² near zero, b |a| far out, for a of at least zero."""
    x = np.asarray(a / b)
    _, gap = _atanh_gap(np.minimum(x, 1))
    log = np.where(x < np.inf, np.log1p(x), np.log(a) - np.log(b))
    far = b * np.where(a < np.inf, a - b * log, a)
    return store(np.where(x < 1, a / (2 + x) * (a - b * gap), far), out)


def log1p_excess(x: Array, out: Array | None = None) -> Array:
    """x - log(1 + x)."""
    near = np.clip(x, -0.5, 1)
    t, gap = _atanh_gap(near)
    far = np.where(x < np.inf, x - np.log1p(x), x)
    return store(np.where((x > -0.5) & (x < 1), t * (near - gap), far), out)


def _atanh_gap(x: Array) -> tuple[Array, Array]:
    """Return t = x / (2 + x), and what t has to be multiplied with to make log(1 + x) - 2 t = 2 atanh(t) - 2 t."""
    t = x / (2 + x)
    square, series = t * t, np.zeros_like(t)
    for term in reversed(ATANH_TERMS):
        series = series * square + t.dtype.type(term)
    return t, 2 * square * series


ATANH_TERMS = tuple(1 / (2 * k + 3) for k in range(19))


def harmonic(a: Array, b: Array, out: Array | None = None) -> Array:
    """a b / (a + b) for a and b of at least zero, not both: near the smaller one."""
    small, large = np.minimum(a, b), np.maximum(a, b)
    ratio = np.where(small == large, small.dtype.type(1), small / large)  # also of infinity and infinity
    return store(np.asarray(small / (1 + ratio)), out)


def log1p_difference(a: Array, b: Array, out: Array | None = None) -> Array:
    """log(1 + a) - log(1 + b)."""
    (top, top_lost), (bottom, bottom_lost) = _one_more(a), _one_more(b)
    share = (a - b) / bottom
    quotient = np.asarray(top / bottom)
    lost = left_over(top, bottom, quotient) / top + top_lost / top - bottom_lost / bottom
    plain = np.log(top) - np.log(bottom)
    far = np.where((quotient > 1e-30) & (quotient < 1e30), np.log(quotient) + lost, plain)
    return store(np.where(np.abs(share) < 0.5, np.log1p(share), far), out)


def _one_more(x: Array) -> tuple[Array, Array]:
    """Return 1 + x and what its rounding lost."""
    total = 1 + x
    added = total - 1
    return total, (1 - (total - added)) + (x - added)
