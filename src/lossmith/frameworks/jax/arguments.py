"""Arguments of calls in JAX: what is an array, in which type it is computed with, and how messages name it."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from lossmith.core.columns import check_spread
from lossmith.core.contract import NO_NUMBERS, check_mask, no_numbers
from lossmith.core.loss import Loss
from lossmith.errors import KindError
from lossmith.frameworks.calls import JAX

Array = Any


def checked(loss: Loss, given: Mapping[str, Any]) -> dict[str, Array]:
    """Return the inputs of a call as arrays of JAX.

    Raises:
        KindError: for what is no array of real numbers, and for predictions that are whole numbers.
    """
    owner, found = type(loss).__name__, {}
    for item in loss.inputs:
        array = found[item.name] = as_array(owner, item.name, given[item.name])
        plain = isinstance(given[item.name], numbers.Real)
        if item.predicted and not plain and not jnp.issubdtype(array.dtype, jnp.floating):
            raise KindError(
                f"{owner}: {item.name} must hold floats, got {array.dtype}; predictions come before targets, "
                "and whole numbers become floats by .astype(float)"
            )
    return found


def as_array(owner: str, label: str, value: Any) -> Array:
    """Return a number or an array of numbers as an array of JAX.

    Raises:
        KindError: for anything else.
    """
    if not isinstance(value, jax.Array | np.ndarray | np.generic | numbers.Real):
        raise KindError(
            f"{owner}: {label} must be an array of JAX or NumPy, got {type(value).__name__}; pass jnp.asarray(...)"
        )
    if isinstance(value, np.ndarray) and value.dtype.kind in NO_NUMBERS:
        raise no_numbers(owner, label, value)
    dtype = getattr(value, "dtype", np.dtype(float))
    if not any(jnp.issubdtype(dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
        raise KindError(f"{owner}: {label} must hold real numbers, got {dtype}")
    return jnp.asarray(value)


def kind_of(loss: Loss, arrays: Mapping[str, Array]) -> Any:
    """Return the type to compute in: float64 where an input of numbers has it, else float32."""
    numbers = [arrays[item.name] for item in loss.inputs if item.symbol not in loss.class_indices]
    floats = [x for x in numbers if jnp.issubdtype(x.dtype, jnp.floating)]
    return np.float64 if floats and jnp.result_type(*floats) == np.float64 else np.float32


def weights(loss: Loss, weight: Array, shape: tuple[int, ...], kind: Any) -> Array:
    """Return the weights of all examples.

    Raises:
        ShapeError
    """
    check_spread(type(loss).__name__, "weight", weight.shape, shape)
    return jnp.broadcast_to(weight, shape).astype(kind)


def masks(loss: Loss, mask: Array, shape: tuple[int, ...]) -> Array:
    """Return which of all examples count.

    Raises:
        KindError, ShapeError
    """
    owner = type(loss).__name__
    check_mask(owner, mask.dtype)
    check_spread(owner, "mask", mask.shape, shape)
    return jnp.broadcast_to(mask, shape)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def held(owner: str, label: str, array: Array) -> Array:
    """Return an array that nothing is to be differentiated by.

    Raises:
        KindError: when something is.
    """
    return array


def _held_changes(owner: str, label: str, primals: tuple[Array], tangents: tuple[Any]) -> tuple[Array, Array]:
    if not isinstance(tangents[0], SymbolicZero):
        word = JAX.get(label, label)
        raise KindError(f"{owner} has no derivative by {word}; pass jax.lax.stop_gradient({word})")
    return primals[0], jnp.zeros_like(primals[0])


held.defjvp(_held_changes, symbolic_zeros=True)
