"""A product in which an exact zero wins, as an operation of JAX.

It is linear in either factor, which where(a == 0, 0, a * b) is not to JAX: a derivative that passes through it can be
transposed, and what does not count has none, however infinite the slope, in second derivatives too.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Array = Any


def product(a: Array, b: Array) -> Array:
    """Return a b, and 0 where a factor is 0, whatever the other is; arrays of one shape and type."""
    return _PRODUCT.bind(a, b)  # type: ignore[no-untyped-call]


def _value(a: Array, b: Array) -> Array:
    return jnp.where((a == 0) | (b == 0), jnp.zeros_like(a), a * b)


def _changes(factors: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    a, b = factors
    found = product(a, b)
    known = [product(change, other) for change, other in zip(tangents, (b, a), strict=True) if _is_known(change)]
    return found, sum(known[1:], start=known[0]) if known else jnp.zeros_like(found)


def _pulled(cotangent: Any, a: Array, b: Array) -> tuple[Any, Any]:
    """Return the cotangent of the factor that is to be transposed, which is one of the two."""
    if ad.is_undefined_primal(a):  # type: ignore[no-untyped-call]
        return (product(cotangent, b) if _is_known(cotangent) else ad.Zero(a.aval)), None
    return None, (product(a, cotangent) if _is_known(cotangent) else ad.Zero(b.aval))


def _batched(factors: tuple[Array, Array], axes: tuple[Any, Any]) -> tuple[Array, int]:
    """Return a product of batches, where an axis of ``None`` says that all of them have the same factor."""
    count = next(x.shape[axis] for x, axis in zip(factors, axes, strict=True) if axis is not None)
    a, b = (
        jnp.broadcast_to(x, (count, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(factors, axes, strict=True)
    )
    return product(a, b), 0


def _is_known(change: Any) -> bool:
    return type(change) is not ad.Zero


_PRODUCT = Primitive("product_in_which_zero_wins")
_PRODUCT.def_impl(_value)  # type: ignore[no-untyped-call]
_PRODUCT.def_abstract_eval(lambda a, b: a)  # type: ignore[no-untyped-call]
ad.primitive_jvps[_PRODUCT] = _changes
ad.primitive_transposes[_PRODUCT] = _pulled
batching.primitive_batchers[_PRODUCT] = _batched
mlir.register_lowering(_PRODUCT, mlir.lower_fun(_value, multiple_results=False))
