"""The mathematics of rows of probabilities, given as such, as logarithms or as logits.

Written on any array namespace that has NumPy's functions. The derivatives of a divergence come in
as ``slope`` (by the probability), ``pull`` (by its logarithm, that is probability times slope) and
``weight`` (p² times the second derivative by p, which equals q² times that by q); here they are
carried back to what the caller passed. ``curve`` is the second derivative by the logarithm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lossmith.structures.row_math import pairs, place, softmax, without_each, without_two

Array = Any

_HUGE = 1e100


@dataclass(frozen=True)
class View:
    """Rows of probabilities, and how they were given.

    Attributes:
        kind: ``probabilities``, ``log_probabilities`` or ``logits``.
        given: what was passed.
        p: the probabilities.
        log_p: their logarithms.
        rest: 1 - p with its own digits; only for logits.
    """

    kind: str
    given: Array
    p: Array
    log_p: Array
    rest: Array = None


def view(xp: Any, kind: str, given: Array) -> View:
    """Return the rows with probabilities and logarithms."""
    if kind == "probabilities":
        return View(kind, given, given, xp.log(given))
    if kind == "log_probabilities":
        return View(kind, given, xp.exp(given), given)
    s = softmax(xp, given)
    return View(kind, given, s.p, -s.u, s.q)


def log_ratio(xp: Any, left: View, right: View) -> Array:
    """Return log(p/q) of each class, right also where p and q are nearly equal; 0 where both are 0."""
    p, q = left.p, right.p
    if left.kind == right.kind == "probabilities":
        ratio = p / q
        near = (ratio > 0.5) & (ratio < 2)
        ordinary = (ratio > 1e-290) & (ratio < 1e290)
        far = xp.where(ordinary, xp.log(ratio), left.log_p - right.log_p)
        d = xp.where(near, xp.log1p((p - q) / q), far)
    elif left.kind == right.kind == "logits":
        d = _log_ratio_of_logits(xp, left, right)
    else:
        d = left.log_p - right.log_p
    return xp.where((left.log_p == right.log_p) & (left.log_p == -xp.inf), 0, d)


def _log_ratio_of_logits(xp: Any, left: View, right: View) -> Array:
    """Return the difference of the logits less that of their log-sums, which need not be formed one by one."""
    e = left.given - right.given
    top = xp.argmax(right.given, axis=-1)[..., None]
    e = e - xp.take_along_axis(e, top, axis=-1)
    grown = xp.where(xp.abs(e) <= 1, right.p * xp.expm1(e), xp.exp(right.log_p + e) - right.p)
    grown = xp.where(right.log_p == left.log_p, xp.where(right.log_p == -xp.inf, 0, grown), grown)
    total = xp.sum(grown, axis=-1, keepdims=True)
    return xp.where((total > -0.5) & (total < 2), e - xp.log1p(total), left.log_p - right.log_p)


def gradient(xp: Any, rows: View, slope: Array, pull: Array) -> Array:
    """Return the derivative by what was given."""
    if rows.kind == "probabilities":
        return slope
    if rows.kind == "log_probabilities":
        return pull
    beta = _centred(xp, rows, slope, pull)
    found = beta - rows.p * xp.sum(beta, axis=-1, keepdims=True)
    return _limit(xp, found, pull, lambda one: gradient(xp, rows, one, rows.p * one))


def hessian(xp: Any, rows: View, slope: Array, pull: Array, curve: Array, bend: Array) -> Array:
    """Return the diagonal of the second derivative by what was given; ``bend`` is that by the probability."""
    if rows.kind == "probabilities":
        return bend
    if rows.kind == "log_probabilities":
        return curve
    beta, h = _centred(xp, rows, slope, pull), _centred_curve(xp, rows, slope, curve)
    p, rest = rows.p, rows.rest
    found = h * rest * rest + p * p * without_each(xp, h) - xp.sum(beta, axis=-1, keepdims=True) * p * rest
    return _limit(xp, found, pull, lambda one: hessian(xp, rows, one, rows.p * one, rows.p * one, 0 * one))


def full_hessian(xp: Any, rows: View, slope: Array, pull: Array, curve: Array, bend: Array) -> Array:
    """Return the Hessian blocks by what was given, one K x K matrix a row."""
    diagonal = hessian(xp, rows, slope, pull, curve, bend)
    if rows.kind != "logits":
        return place(xp, xp.zeros((*diagonal.shape, diagonal.shape[-1])), diagonal)
    beta, h = _centred(xp, rows, slope, pull), _centred_curve(xp, rows, slope, curve)
    total = xp.sum(beta, axis=-1)[..., None, None]
    off = pairs(rows.p, rows.p) * (total + without_two(xp, h))
    off = off - pairs(h * rows.rest, rows.p) - pairs(rows.p, h * rows.rest)
    return place(xp, off, diagonal)


def cross_hessian(xp: Any, left: View, right: View, weight: Array, inner: Array) -> Array:
    """Return the blocks of second derivatives by what was given for p and for q.

    Args:
        xp: array namespace.
        left, right: the rows of p and of q.
        weight: see above.
        inner: the derivative by the logarithm of what comes as logits or logarithms, and by the
            probability of what comes as such; one number a class.
    """
    k = inner.shape[-1]
    if "logits" not in (left.kind, right.kind):
        return place(xp, xp.zeros((*inner.shape, k)), inner)
    if right.kind != "logits":
        return place(xp, -pairs(left.p, inner), inner * left.rest)
    if left.kind != "logits":
        return place(xp, -pairs(inner, right.p), inner * right.rest)
    diagonal = weight * left.rest * right.rest + left.p * right.p * without_each(xp, weight)
    off = pairs(left.p, right.p) * without_two(xp, weight)
    off = off - pairs(weight * left.rest, right.p) - pairs(left.p, weight * right.rest)
    return -place(xp, off, diagonal)


def _centred(xp: Any, rows: View, slope: Array, pull: Array) -> Array:
    """Return p times the slope less that of the likeliest class.

    On rows that sum to one a constant in the slopes means nothing, and with this one the
    likeliest class keeps its digits when it is almost certain.
    """
    reference = _reference(xp, rows, slope)
    # A slope may be infinite where the pull, its product with the probability, is not.
    return xp.where(xp.abs(slope) < _HUGE, rows.p * (slope - reference), pull - rows.p * reference)


def _limit(xp: Any, found: Array, pull: Array, of: Callable[[Array], Array]) -> Array:
    """Return derivatives with those of rows that have an infinite pull as limits, where infinities meet.

    There only the signs of the infinite slopes matter: ``of`` gives the derivatives that belong to slopes.
    """
    endless = xp.isinf(pull)
    if not endless.any():
        return found
    signs = of(xp.where(endless, xp.sign(pull), 0.0))
    limits = xp.where(signs == 0, 0.0, xp.inf * signs)
    return xp.where(endless.any(axis=-1, keepdims=True), limits, found)


def _centred_curve(xp: Any, rows: View, slope: Array, curve: Array) -> Array:
    """Return the second derivative by the logarithm with the same constant taken from the slopes."""
    return curve - rows.p * _reference(xp, rows, slope)


def _reference(xp: Any, rows: View, slope: Array) -> Array:
    top = xp.argmax(rows.p, axis=-1)[..., None]
    return xp.take_along_axis(slope, top, axis=-1)
