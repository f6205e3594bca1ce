"""The mathematics of rows over classes, on the functions of any host; see ``engines.hosts``.

Everything is written so that no digits are lost where a class is almost certain: log-probabilities
come from the largest logit and the sum of the others, 1 - p is never taken from a p near 1, and
sums over the other classes are never taken from a total that one class dominates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Array = Any


@dataclass(frozen=True)
class Softmax:
    """What a row of logits says.

    Attributes:
        u: minus log-probability of each class.
        p: probability of each class.
        q: 1 - p, with its own digits.
        log_sum: logarithm of the sum of the exponentials.
    """

    u: Array
    p: Array
    q: Array
    log_sum: Array


def softmax(xp: Any, z: Array) -> Softmax:
    """Return the softmax of each row of ``z``; logits may be minus infinity."""
    return Softmax(*xp.bound(_SOFTMAX, z))


class _SoftmaxRule:
    """The softmax as a function with derivatives that keep the digits of an almost certain class."""

    def value(self, xp: Any, z: Array) -> tuple[Array, ...]:
        top = xp.argmax(z, axis=-1)[..., None]
        largest = xp.take_along_axis(z, top, axis=-1)
        is_top = xp.places(z) == top
        powers = xp.exp(z - largest)
        others = xp.sum(xp.where(is_top, 0, powers), axis=-1, keepdims=True)
        log_others = xp.log1p(others)
        p = powers / (1 + others)
        q = xp.where(is_top, others / (1 + others), 1 - p)
        return (largest - z) + log_others, p, q, largest + log_others

    def push(self, xp: Any, arrays: Any, found: tuple[Array, ...], tangent: Array) -> tuple[Array, ...]:
        _, p, q, _ = found
        shares = p * tangent
        rise = tangent * q - _without_each(xp, shares, xp.argmax(p, axis=-1)[..., None])
        return -rise, p * rise, -p * rise, xp.sum(shares, axis=-1, keepdims=True)

    def pull(self, xp: Any, arrays: Any, found: tuple[Array, ...], slopes: tuple[Array, ...]) -> Array:
        _, p, q, _ = found
        by_u, by_p, by_q, by_log_sum = slopes
        pulls = _times(xp, by_p - by_q, p) - by_u
        return pulls * q - p * without_each(xp, pulls) + by_log_sum * p


_SOFTMAX = _SoftmaxRule()


def of_one_class(xp: Any, z: Array, y: Array, known: Array) -> tuple[Array, Array]:
    """Return u = -log p of one class of each row of logits, and its derivatives by the logits.

    That is less than ``softmax`` says of all classes, and takes half of its steps. Where a row is none of logits, or
    its class is unknown, the results are no numbers.

    Args:
        xp: functions of a host.
        z: the logits, which may be minus infinity.
        y: the index of the class.
        known: whether it is one.
    """
    u, slope = xp.bound(_ONE_CLASS, z, y, known)
    return u, slope


class _OneClassRule:
    """Minus the log-probability of a class, and its derivatives, as a function with derivatives that keep digits."""

    def value(self, xp: Any, z: Array, y: Array, known: Array) -> tuple[Array, ...]:
        largest = xp.amax(z, axis=-1)
        lead = xp.picked(z, y, known) - largest
        mine = xp.exp(lead)
        powers = xp.placed(xp.exp(z - largest[..., None]), y, xp.zeros_like(largest))
        others = xp.total(powers)
        near = mine + others
        share = 1.0 / near
        # Where the class is the largest, this is all that near was rounded by (Dekker 1971); else the loss is large.
        lost = others - (near - mine)
        return (xp.log(near) + lost * share) - lead, xp.placed(powers, y, -others) * share[..., None]

    def push(self, xp: Any, arrays: Any, found: tuple[Array, ...], tangent: Array) -> tuple[Array, ...]:
        z = arrays[0]
        change = _SOFTMAX.push(xp, (z,), _SOFTMAX.value(xp, z), tangent)[1]
        return xp.sum(found[1] * tangent, axis=-1), change

    def pull(self, xp: Any, arrays: Any, found: tuple[Array, ...], slopes: tuple[Array, ...]) -> Array:
        z, (by_u, by_slope) = arrays[0], slopes
        nothing = xp.zeros_like(z)
        others = (nothing, by_slope, nothing, nothing[..., :1])
        return by_u[..., None] * found[1] + _SOFTMAX.pull(xp, (z,), _SOFTMAX.value(xp, z), others)


_ONE_CLASS = _OneClassRule()


def without_each(xp: Any, a: Array) -> Array:
    """Return, for each class, the sum of ``a`` over the other classes."""
    return _without_each(xp, a, xp.argmax(xp.abs(a), axis=-1)[..., None])


def _without_each(xp: Any, a: Array, top: Array) -> Array:
    """Return the same, given the class that comes last because it is the largest."""
    is_top = xp.places(a) == top
    rest = xp.sum(xp.where(is_top, 0, a), axis=-1, keepdims=True)
    return xp.where(is_top, rest, (rest - a) + xp.take_along_axis(a, top, axis=-1))


def without_two(xp: Any, a: Array) -> Array:
    """Return, for each pair of different classes, the sum of ``a`` over all other classes."""
    classes = xp.places(a)
    top = xp.argmax(xp.abs(a), axis=-1)[..., None]
    is_top = classes == top
    rest = xp.where(is_top, 0, a)
    largest = xp.take_along_axis(a, top, axis=-1)
    each = without_each(xp, rest)
    either = is_top[..., :, None] | is_top[..., None, :]
    # With the largest left out by the pair, what remains is the rest without the other of the pair.
    one = xp.where(is_top[..., :, None], each[..., None, :], each[..., :, None])
    both_small = (each[..., :, None] - rest[..., None, :]) + largest[..., :, None]
    return xp.where(either, one, both_small)


def mixture_gradient(xp: Any, s: Softmax, a: Array) -> Array:
    """Return the gradient by logits of Σₖ φₖ(uₖ), given a = φ′(u) class by class."""
    # p Σa - a, arranged so that a certain class keeps the digits of 1 - p.
    return s.p * without_each(xp, a) - a * s.q


def mixture_hessian(xp: Any, s: Softmax, a: Array, b: Array) -> Array:
    """Return the diagonal of the Hessian by logits of Σₖ φₖ(uₖ), given a = φ′(u) and b = φ″(u)."""
    total = xp.sum(a, axis=-1, keepdims=True)
    return s.p * _times(xp, without_each(xp, b), s.p) + _times(xp, b, s.q) * s.q + total * s.p * s.q


def mixture_full_hessian(xp: Any, s: Softmax, a: Array, b: Array) -> Array:
    """Return the Hessian blocks by logits of Σₖ φₖ(uₖ), one K × K matrix a row."""
    total = xp.sum(a, axis=-1)[..., None, None]
    p, bends = s.p, _times(xp, b, s.q)
    cross = pairs(p, bends)
    # Pairs first with each other, or the product of two small probabilities underflows too soon.
    pair = p[..., :, None] * _times(xp, without_two(xp, b) - total, p[..., None, :])
    return _symmetric(xp, pair - cross - xp.swapaxes(cross, -1, -2), mixture_hessian(xp, s, a, b))


def log_sum_gradient(s: Softmax, strength: float) -> Array:
    """Return the gradient of strength · (log Σ exp z)², the z-loss."""
    return 2 * strength * s.log_sum * s.p


def log_sum_hessian(s: Softmax, strength: float) -> Array:
    """Return the diagonal of the Hessian of the z-loss."""
    return 2 * strength * (s.p * s.p + s.log_sum * s.p * s.q)


def log_sum_full_hessian(xp: Any, s: Softmax, strength: float) -> Array:
    """Return the Hessian blocks of the z-loss."""
    full = 2 * strength * (1 - s.log_sum[..., None]) * pairs(s.p, s.p)
    return _symmetric(xp, full, log_sum_hessian(s, strength))


def through_softmax(xp: Any, s: Softmax, g: Array) -> Array:
    """Carry a gradient by probabilities back to logits."""
    return s.p * _centred(xp, s, g)


def diagonal_through_softmax(xp: Any, s: Softmax, g: Array, h: Array) -> Array:
    """Carry a gradient and a diagonal Hessian by probabilities back to the diagonal of the Hessian by logits."""
    bends = h * s.q * s.q + without_each(xp, h * s.p * s.p)
    return s.p * ((s.q - s.p) * _centred(xp, s, g) + s.p * bends)


def full_through_softmax(xp: Any, s: Softmax, g: Array, h: Array) -> Array:
    """Carry a gradient and a diagonal Hessian by probabilities back to Hessian blocks by logits."""
    p, c, bends = s.p, _centred(xp, s, g), h * s.p * s.q
    inner = (c + bends)[..., :, None] + (c + bends)[..., None, :] - without_two(xp, h * p * p)
    return _symmetric(xp, -p[..., :, None] * (p[..., None, :] * inner), diagonal_through_softmax(xp, s, g, h))


def diagonal_blocks(xp: Any, diagonal: Array) -> Array:
    """Return Hessian blocks of classes that do not couple."""
    return place(xp, xp.zeros_like(diagonal)[..., None], diagonal)


def pairs(a: Array, b: Array) -> Array:
    """Return the product of each class of ``a`` with each of ``b``."""
    return a[..., :, None] * b[..., None, :]


def place(xp: Any, off: Array, diagonal: Array) -> Array:
    """Return blocks with this diagonal, and elsewhere as in ``off``."""
    classes = xp.places(diagonal)
    return xp.where(classes[..., :, None] == classes[..., None, :], diagonal[..., :, None], off)


def _centred(xp: Any, s: Softmax, g: Array) -> Array:
    """Return g - Σ p g, from the digits of 1 - p."""
    return g * s.q - without_each(xp, s.p * g)


def _times(xp: Any, bend: Array, share: Array) -> Array:
    """Return a product in which a share of zero wins: a second derivative may be infinite where 1 - p is 0."""
    return xp.where(share == 0, 0, bend * share)


def _symmetric(xp: Any, full: Array, diagonal: Array) -> Array:
    """Return Hessian blocks with this diagonal, symmetric to the last bit."""
    return place(xp, (full + xp.swapaxes(full, -1, -2)) / 2, diagonal)
