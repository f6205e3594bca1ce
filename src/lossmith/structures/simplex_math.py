"""The mathematics of rows of probabilities, given as such, as logarithms or as logits.

Written on the functions of any host; see ``engines.hosts``. The derivatives of a divergence come in
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
_ORDINARY = 1e-8
"""Up to this share of the largest number, a ratio has as many digits as its logarithm."""


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
    found = _log_ratio(xp, left, right)
    found = xp.where((left.log_p == right.log_p) & (left.log_p == -xp.inf), 0, found)
    return xp.moved(found, left.log_p - right.log_p)


def _log_ratio(xp: Any, left: View, right: View) -> Array:
    p, q = left.p, right.p
    if left.kind == right.kind == "probabilities":
        ratio = p / q
        near = (ratio > 0.5) & (ratio < 2)
        most = _ORDINARY * xp.most(ratio)
        ordinary = (ratio > 1 / most) & (ratio < most)
        far = xp.where(ordinary, xp.log(ratio), left.log_p - right.log_p)
        return xp.where(near, xp.log1p((p - q) / q), far)
    if left.kind == right.kind == "logits":
        return _log_ratio_of_logits(xp, left, right)
    return left.log_p - right.log_p


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
    return _limit(xp, slope, pull, rows.p, lambda slope, pull: _gradient(xp, rows, slope, pull))


def _gradient(xp: Any, rows: View, slope: Array, pull: Array) -> Array:
    beta = _centred(xp, rows, slope, pull)
    return beta - rows.p * xp.sum(beta, axis=-1, keepdims=True)


def hessian(xp: Any, rows: View, slope: Array, pull: Array, curve: Array, bend: Array) -> Array:
    """Return the diagonal of the second derivative by what was given; ``bend`` is that by the probability."""
    if rows.kind == "probabilities":
        return bend
    if rows.kind == "log_probabilities":
        return curve

    def of(slope: Array, pull: Array, curve: Array = None) -> Array:
        beta, h = _centred(xp, rows, slope, pull), _centred_curve(xp, rows, slope, pull if curve is None else curve)
        p, rest = rows.p, rows.rest
        return h * rest * rest + p * p * without_each(xp, h) - xp.sum(beta, axis=-1, keepdims=True) * p * rest

    return _limit(xp, slope, pull, rows.p, of, curve)


def full_hessian(xp: Any, rows: View, slope: Array, pull: Array, curve: Array, bend: Array) -> Array:
    """Return the Hessian blocks by what was given, one K x K matrix a row."""
    diagonal = hessian(xp, rows, slope, pull, curve, bend)
    if rows.kind != "logits":
        return place(xp, xp.zeros_like(diagonal)[..., None], diagonal)
    beta, h = _centred(xp, rows, slope, pull), _centred_curve(xp, rows, slope, curve)
    total = xp.sum(beta, axis=-1)[..., None, None]
    off = pairs(rows.p, rows.p) * (total + without_two(xp, h))
    off = off - pairs(h * rows.rest, rows.p) - pairs(rows.p, h * rows.rest)
    return place(xp, off, diagonal)


def cross_hessian(xp: Any, left: View, right: View, weight: Array, inner: Array) -> Array:
    """Return the blocks of second derivatives by what was given for p and for q.

    Args:
        xp: functions of a host.
        left, right: the rows of p and of q.
        weight: see above.
        inner: the derivative by the logarithm of what comes as logits or logarithms, and by the
            probability of what comes as such; one number a class.
    """
    if "logits" not in (left.kind, right.kind):
        return place(xp, xp.zeros_like(inner)[..., None], inner)
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
    most = _HUGE if float(xp.most(slope)) > _HUGE else xp.inf  # JAX warns of a number that the type does not hold
    ordinary = xp.abs(slope) < most
    plain = rows.p * (xp.where(ordinary, slope, 0.0) - reference)
    return xp.where(ordinary, plain, pull - rows.p * reference)


def _limit(xp: Any, slope: Array, pull: Array, p: Array, of: Callable[..., Array], *more: Array) -> Array:
    """Return the derivatives ``of`` slopes, pulls and ``more``, which are limits in rows that have an infinite pull.

    There only the signs of the infinite slopes matter, and what grows with them as fast.
    """
    endless = xp.isinf(pull)
    if not xp.may_hold(endless):
        return of(slope, pull, *more)
    one = xp.where(endless, xp.sign(pull), 0.0)
    signs = xp.held(of(one, p * one))
    limits = xp.where(signs == 0, 0.0, xp.inf * signs)
    # What traces must not meet infinities on the way to a derivative that is another.
    row = xp.any(endless, axis=-1)[..., None]
    tame = [xp.where(row, 0.0, array) for array in (slope, pull, *more)]
    return xp.where(row, limits, of(*tame))


def _centred_curve(xp: Any, rows: View, slope: Array, curve: Array) -> Array:
    """Return the second derivative by the logarithm with the same constant taken from the slopes."""
    return curve - rows.p * _reference(xp, rows, slope)


def _reference(xp: Any, rows: View, slope: Array) -> Array:
    top = xp.argmax(rows.p, axis=-1)[..., None]
    return xp.take_along_axis(slope, top, axis=-1)
