"""The mathematics of rows over classes, on any array namespace that has NumPy's functions.

Everything is written so that no digits are lost where a class is almost certain: log-probabilities
come from the largest logit and the sum of the others, and 1 - p is never taken from a p near 1.
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
    top = xp.argmax(z, axis=-1)[..., None]
    largest = xp.take_along_axis(z, top, axis=-1)
    is_top = xp.arange(z.shape[-1]) == top
    powers = xp.exp(z - largest)
    others = xp.sum(xp.where(is_top, 0, powers), axis=-1, keepdims=True)
    log_others = xp.log1p(others)
    p = powers / (1 + others)
    return Softmax(
        u=(largest - z) + log_others,
        p=p,
        q=xp.where(is_top, others / (1 + others), 1 - p),
        log_sum=largest + log_others,
    )


def mixture_gradient(xp: Any, s: Softmax, a: Array) -> Array:
    """Return the gradient by logits of Σₖ φₖ(uₖ), given a = φ′(u) class by class."""
    total = xp.sum(a, axis=-1, keepdims=True)
    # p S - a, arranged so that a row with one target keeps the digits of 1 - p.
    return s.p * (total - a) - a * s.q


def mixture_hessian(xp: Any, s: Softmax, a: Array, b: Array) -> Array:
    """Return the diagonal of the Hessian by logits of Σₖ φₖ(uₖ), given a = φ′(u) and b = φ″(u)."""
    total = xp.sum(a, axis=-1, keepdims=True)
    bends = xp.sum(b, axis=-1, keepdims=True)
    return s.p * s.p * (bends - b) + b * s.q * s.q + total * s.p * s.q


def mixture_full_hessian(xp: Any, s: Softmax, a: Array, b: Array) -> Array:
    """Return the Hessian blocks by logits of Σₖ φₖ(uₖ), one K × K matrix a row."""
    total = xp.sum(a, axis=-1)[..., None, None]
    bends = xp.sum(b, axis=-1)[..., None, None]
    p, outer = s.p, s.p[..., :, None] * s.p[..., None, :]
    cross = p[..., :, None] * b[..., None, :]
    full = bends * outer - cross - xp.swapaxes(cross, -1, -2) - total * outer
    return _with_diagonal(xp, full, mixture_hessian(xp, s, a, b))


def log_sum_gradient(s: Softmax, strength: float) -> Array:
    """Return the gradient of strength · (log Σ exp z)², the z-loss."""
    return 2 * strength * s.log_sum * s.p


def log_sum_hessian(s: Softmax, strength: float) -> Array:
    """Return the diagonal of the Hessian of the z-loss."""
    return 2 * strength * (s.p * s.p + s.log_sum * s.p * s.q)


def log_sum_full_hessian(xp: Any, s: Softmax, strength: float) -> Array:
    """Return the Hessian blocks of the z-loss."""
    outer = s.p[..., :, None] * s.p[..., None, :]
    full = 2 * strength * (1 - s.log_sum[..., None]) * outer
    return _with_diagonal(xp, full, log_sum_hessian(s, strength))


def through_softmax(xp: Any, s: Softmax, g: Array) -> Array:
    """Carry a gradient by probabilities back to logits."""
    return s.p * (g - xp.sum(s.p * g, axis=-1, keepdims=True))


def full_through_softmax(xp: Any, s: Softmax, g: Array, h: Array) -> Array:
    """Carry a gradient and a diagonal Hessian by probabilities back to Hessian blocks by logits."""
    p = s.p
    eye = xp.eye(p.shape[-1], dtype=p.dtype)
    jacobian = eye * p[..., :, None] - p[..., :, None] * p[..., None, :]
    centred = g - xp.sum(p * g, axis=-1, keepdims=True)
    pulled = p * centred
    # Second derivatives of p contracted with g, plus the Jacobian on both sides of h.
    bend = eye * pulled[..., :, None] - pulled[..., :, None] * p[..., None, :] - p[..., :, None] * pulled[..., None, :]
    return bend + xp.swapaxes(jacobian, -1, -2) @ (h[..., :, None] * jacobian)


def _with_diagonal(xp: Any, full: Array, diagonal: Array) -> Array:
    eye = xp.eye(full.shape[-1], dtype=bool)
    return xp.where(eye, diagonal[..., :, None], full)
