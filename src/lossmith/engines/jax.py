"""The engine of JAX: programs over its arrays, in operations that ``jit``, ``grad`` and ``vmap`` know."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lossmith.engines.arrays import Arrays

Array = Any


class JaxArrays(Arrays):
    """Plain arithmetic on arrays of one type.

    Args:
        like: an array of that type, float32 or float64.
    """

    xp: ClassVar[Any] = jnp

    def __init__(self, like: Array) -> None:
        super().__init__(double=like.dtype == jnp.float64)
        self._dtype = like.dtype

    def scalar(self, value: float | bool) -> Array:
        """Return a number, or a truth value, as an array without axes."""
        return jnp.asarray(value, dtype=jnp.bool_ if isinstance(value, bool) else self._dtype)

    def power(self, a: Array, b: Array) -> Array:
        """Return a ** b."""
        return jnp.power(a, b)

    def erf(self, a: Array) -> Array:
        """Return the error function."""
        return jax.lax.erf(a)

    def lgamma(self, a: Array) -> Array:
        """Return the logarithm of the gamma function."""
        return jax.lax.lgamma(a)
