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
from lossmith.engines.jax import refuse_derivative
from lossmith.errors import DomainError, KindError, ParameterError, ShapeError
from lossmith.frameworks.calls import JAX, takes_where
from lossmith.frameworks.labels import in_32_bits

Array = Any


def checked(loss: Loss, given: Mapping[str, Any]) -> dict[str, Array]:
    """Return the inputs of a call as arrays of JAX.

    Raises:
        KindError: for what is no array of real numbers, and for predictions that are whole numbers.
    """
    owner, found = type(loss).__name__, {}
    for item in loss.inputs:
        whole = item.symbol in loss.class_indices
        array = found[item.name] = as_array(owner, item.name, given[item.name], whole=whole)
        plain, dtype = isinstance(given[item.name], numbers.Real), getattr(given[item.name], "dtype", array.dtype)
        if item.predicted and not plain and not jnp.issubdtype(dtype, jnp.floating):
            raise KindError(
                f"{owner}: {item.name} must hold floats, got {dtype}; predictions come before targets, "
                "and whole numbers become floats by .astype(float)"
            )
    return found


def as_array(owner: str, label: str, value: Any, *, whole: bool = False) -> Array:
    """Return a number or an array of numbers as an array of JAX; ``whole`` says that they are class indices.

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
    if isinstance(value, np.ndarray | np.integer) and dtype.kind in "iu" and _narrowed(dtype):
        # JAX would wrap what 32 bits do not hold.
        value = in_32_bits(np.asarray(value)) if whole else value.astype(np.float32)
    return jnp.asarray(value)


def _narrowed(dtype: Any) -> bool:
    return bool(jax.dtypes.canonicalize_dtype(dtype) != dtype)


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


def left_out(loss: Loss, arrays: Mapping[str, Array], where: Any) -> tuple[dict[str, Array], Array]:
    """Return the inputs of a loss of logits of which some classes are not there, and the rows that count.

    Args:
        loss: the loss.
        arrays: its inputs, by our names.
        where: true for the classes that are there, an array that broadcasts to the logits; or for rows that count, with
            an axis less.

    Raises:
        ParameterError: for another loss, and for one that gives each class a share of every target.
        KindError, ShapeError
        DomainError: where values are known, for a target with a share of a class that is not there.
    """
    owner = type(loss).__name__
    if not takes_where(loss):
        raise ParameterError(
            f"{owner} takes no where, which leaves out classes of logits; for examples, lossmith.jax.cost takes mask"
        )
    if loss.values.get("label_smoothing"):
        raise ParameterError(f"{owner}: label_smoothing gives a share to classes that where leaves out; smooth targets")
    logits, there = as_array(owner, "y_pred", arrays["y_pred"]), as_array(owner, "where", where)
    if there.dtype != bool:
        raise KindError(f"{owner}: where must be boolean (True is there), got {there.dtype}; write where.astype(bool)")
    axis = loss.values["class_axis"]
    examples = tuple(np.delete(logits.shape, axis).tolist())
    if there.ndim == logits.ndim - 1:
        there = jnp.expand_dims(there, axis)
    try:
        there = jnp.broadcast_to(there, logits.shape)
    except ValueError:
        raise ShapeError(
            f"{owner}: where has shape {where.shape}, but predictions have {logits.shape}; it says of every class "
            f"whether it is there, and axes of size 1 broadcast, or of the examples, {examples}, which ones count"
        ) from None
    rows = there.any(axis)
    # A row without any is left out, with numbers in it.
    found = {**arrays, "y_pred": jnp.where(there | ~jnp.expand_dims(rows, axis), logits, -jnp.inf)}
    if not loss.class_indices:
        found["y_true"] = _of_those_there(owner, as_array(owner, "y_true", arrays["y_true"]), there, rows, axis)
    return found, rows


def _of_those_there(owner: str, targets: Array, there: Array, rows: Array, axis: int) -> Array:
    """Return targets with nothing for the classes that are not there.

    Raises:
        ShapeError: for targets of another shape.
        DomainError: where values are known, for a row that counts and has a share of one of those.
    """
    if targets.shape != there.shape:
        raise ShapeError(
            f"{owner}: targets have shape {targets.shape}, predictions {there.shape}; with where both agree"
        )
    lost = jnp.any(~there & (targets != 0), axis) & rows
    if not isinstance(lost, jax.core.Tracer) and lost.any():
        row = np.argwhere(np.asarray(lost))[0].tolist()
        raise DomainError(
            f"{owner}: row {row} of targets has a share of a class that where leaves out; leave the class in, or give "
            "its share to the others"
        )
    return jnp.where(there, targets, 0)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def held(owner: str, label: str, array: Array) -> Array:
    """Return an array that nothing is to be differentiated by.

    Raises:
        KindError: when something is.
    """
    return array


def _held_changes(owner: str, label: str, primals: tuple[Array], tangents: tuple[Any]) -> tuple[Array, Array]:
    if not isinstance(tangents[0], SymbolicZero):
        refuse_derivative(owner, JAX.get(label, label))
    return primals[0], jnp.zeros_like(primals[0])


held.defjvp(_held_changes, symbolic_zeros=True)
