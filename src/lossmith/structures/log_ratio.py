"""Divergences of one class as formulas of p, q and d = log(p/q), written so that no digits are lost.

Each comes in its general form, for numbers that need not sum to one: it is never negative, and
zero with zero slopes where p = q. ``terms`` is the loss of the class, ``pulls`` its derivatives by
log p and by log q. With d at hand, nothing has to be taken from the difference of two logarithms
or of two nearly equal probabilities, and nothing overflows where p or q underflows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossmith.program import Ops, Value

_MEAN_SERIES = 27
LOG_2 = math.log(2)


def _by_halves(x: Value, coefficients: Sequence[float]) -> Value:
    """Return a polynomial, by even and odd powers apart, so that each step waits for half as many before it."""
    square, sums = x * x, []
    for powers in (coefficients[::2], coefficients[1::2]):
        found: Value = powers[-1]
        for coefficient in powers[-2::-1]:
            found = found * square + coefficient
        sums.append(found)
    return sums[0] + sums[1] * x


def entropy_terms(ops: Ops, p: Value, q: Value, d: Value) -> Value:
    """Return p log(p/q) - p + q, the generalised Kullback-Leibler divergence of a class."""
    near = ops.lt(ops.abs(d), 1.0)
    return ops.where(near, p * ops.expm1_excess(-ops.where(near, d, 0.0)), q + ops.mul0(p, d - 1))


def entropy_pulls(ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
    """Return its derivatives by log p and log q: p d and q - p."""
    return ops.mul0(p, d), ops.where(ops.lt(ops.abs(d), 1.0), -q * ops.expm1(d), q - p)


def power_terms(ops: Ops, p: Value, q: Value, d: Value, alpha: Value) -> Value:
    """Return (pᵅ q¹⁻ᵅ - α p - (1 - α) q) / (α (α - 1)), continued to α = 0 and 1."""
    # The divergence at α is that at 1 - α with p and q exchanged, and the smaller of the two keeps its digits.
    swap = ops.lt(0.5, alpha)
    a = ops.where(swap, 1 - alpha, alpha)
    p, q, d = ops.where(swap, q, p), ops.where(swap, p, q), ops.where(swap, -d, d)
    near = ops.lt(ops.abs(d), 1.0)
    bend = ops.where(ops.equal(a, 0), 0.0, ops.expm1_excess(a * d) / a) - ops.expm1_excess(ops.where(near, d, 0.0))
    rise = ops.mul0(q, _power(ops, a, d)) - (p - q)
    return ops.where(near, q * bend, rise) / (a - 1)


def power_pulls(ops: Ops, p: Value, q: Value, d: Value, alpha: Value) -> tuple[Value, Value]:
    """Return its derivatives by log p and log q."""
    return _pull(ops, p, q, -d, 1 - alpha, alpha), _pull(ops, q, p, d, alpha, 1 - alpha)


def power_slopes(ops: Ops, d: Value, alpha: Value) -> tuple[Value, Value]:
    """Return its derivatives by p and by q."""
    return -_power(ops, 1 - alpha, -d), -_power(ops, alpha, d)


def _power(ops: Ops, a: Value, d: Value) -> Value:
    """Return (exp(a d) - 1) / a, which is d at a = 0."""
    return ops.where(ops.equal(a, 0), d, ops.expm1(a * d) / a)


def _pull(ops: Ops, p: Value, q: Value, d: Value, a: Value, b: Value) -> Value:
    """Return -p (exp(a d) - 1) / a with d = log(q/p) and b = 1 - a; the power may be large where p or q is nothing."""
    far, above = ops.lt(0.5, ops.mul0(a, d)), ops.lt(0, d)
    # Both are p exp(a d), by the one that is not nothing.
    grown = ops.mul0(ops.where(above, q, p), ops.exp(ops.where(above, -ops.mul0(b, d), ops.mul0(a, d))))
    return ops.where(far, (p - grown) / a, -ops.mul0(p, _power(ops, a, d)))


def mean_terms(ops: Ops, p: Value, q: Value, d: Value) -> Value:
    """Return (p log(p/m) + q log(q/m)) / 2 with m = (p + q) / 2, the Jensen-Shannon divergence of a class."""
    x, size = d / 2, ops.abs(d)
    near = x * ops.tanh(x) - ops.logcosh(x)
    # Far apart it is log 2 less the entropy of the odds p : q.
    far = LOG_2 - ops.mul0(ops.sigmoid(-size), size) - ops.softplus(-size)
    return (p + q) / 2 * ops.where(ops.lt(size, 3.0), near, far)


def mean_of_shares(ops: Ops, p: Value, q: Value) -> Value:
    """Return the same of p and q that are given as such."""
    both = p + q
    y = ops.where(ops.equal(both, 0), 0.0, (p - q) / both)
    near = ops.lt(ops.abs(y), 0.5)
    square = ops.where(near, y, 0.0) ** 2
    series = _by_halves(square, [1 / (2 * k * (2 * k - 1)) for k in range(1, _MEAN_SERIES + 1)]) * square
    far = ops.mul0(p, ops.log((p + p) / both)) + ops.mul0(q, ops.log((q + q) / both))
    return ops.where(near, both * series, far) / 2


def mean_pulls(ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
    """Return its derivatives by log p and log q."""
    x, near = d / 2, ops.lt(ops.abs(d), 1.0)
    common = ops.logcosh(x)
    # log(p/m) and log(q/m)
    own = ops.where(near, x - common, LOG_2 - ops.softplus(-d))
    other = ops.where(near, -x - common, LOG_2 - ops.softplus(d))
    return ops.mul0(p, own) / 2, ops.mul0(q, other) / 2
