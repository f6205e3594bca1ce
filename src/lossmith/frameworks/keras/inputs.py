"""Inputs of calls in Keras: which they are, and tensors of its backend made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend import get_keras_mask  # a mask has no public name, and not every backend's tensors carry one

from lossmith.core.contract import NO_NUMBERS, no_numbers
from lossmith.core.inputs import FOR_COSTS, PAIR, compares, judged
from lossmith.core.loss import Loss
from lossmith.core.words import speaking
from lossmith.errors import KindError, ParameterError, ShapeError
from lossmith.frameworks.calls import bound
from lossmith.frameworks.labels import in_32_bits

Tensor = Any

_INSTEAD = {
    "weight": "weights of examples are called sample_weight in Keras",
    "mask": "in Keras a mask comes with y_pred, as from keras.layers.Masking; or pass it as sample_weight",
}
KEYWORDS = {
    "weight=": "sample_weight=",
    "mask= in the call": "a mask of Keras, which comes with y_pred",
    FOR_COSTS: "It is said when the loss is made.",
}
"""What is said of keywords of calls."""

_NO_INDEX = -(2**31)


def inputs_of(loss: Loss, y_true: Any, y_pred: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a call by name.

    Raises:
        ParameterError: for one that is missing or not taken.
    """
    pair = dict(zip(PAIR, (y_true, y_pred), strict=True))
    given = {**named, **{name: value for name, value in pair.items() if value is not None}}
    for name in named.keys() & _INSTEAD.keys():
        raise ParameterError(f"{type(loss).__name__} has no input {name!r}: {_INSTEAD[name]}")
    try:
        with speaking({**KEYWORDS, **words(loss)}):
            return bound(loss, (), words(loss), (), given)
    except ParameterError as error:
        if set(given) != set(pair):
            raise
        raise ParameterError(
            f"{str(error).rstrip('.')}. model.compile and fit pass y_true and y_pred alone; call this loss by "
            "keyword in a train_step or a loop of your own"
        ) from None


def words(loss: Loss) -> dict[str, str]:
    """Return what Keras calls inputs, by their names in the catalogue: of two distributions, the first is the truth."""
    if not compares(loss):
        return {}
    named = {item.name: word for item, word in zip(loss.inputs, PAIR, strict=True)}
    return {**named, judged(loss).strip(): "The truth is called y_true here, and what is judged by it y_pred."}


def mask_of(y_pred: Any) -> Tensor | None:
    """Return the mask that predictions carry."""
    return get_keras_mask(y_pred)


def tensor_of(loss: Loss, item: Any, value: Any, kind: str) -> Tensor:
    """Return an input as a tensor in the type to compute in; class indices as whole numbers.

    Raises:
        KindError: for what holds no real numbers, and for predictions that are whole numbers.
    """
    owner = type(loss).__name__
    tensor, found = real(owner, item.name, value, None if item.symbol in loss.class_indices else kind)
    if item.symbol in loss.class_indices:
        return _indices(tensor, found)
    if item.predicted and "float" not in found:
        raise KindError(
            f"{owner}: {item.name} must hold floats, got {found}; targets come before predictions, "
            "and whole numbers become floats by keras.ops.cast"
        )
    return ops.cast(tensor, kind)


def real(owner: str, name: str, value: Any, kind: str | None) -> tuple[Tensor, str]:
    """Return a tensor of real numbers, and what their type is called.

    Args:
        owner, name: for messages.
        value: what came.
        kind: the type to compute in, or ``None`` for class indices.

    Raises:
        KindError: for anything else.
        ShapeError: for a tensor whose number of axes is not known.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in NO_NUMBERS:
        raise no_numbers(owner, name, value)
    if isinstance(value, keras.KerasTensor):
        raise KindError(
            f"{owner}: {name} is a KerasTensor, which stands for what a model will compute; pass the loss to "
            "model.compile, or call it where there are numbers, as in the call of a layer, in its add_loss"
        )
    try:
        if isinstance(value, np.ndarray) and value.dtype in (np.int64, np.uint64):
            # JAX would wrap what 32 bits do not hold.
            known = in_32_bits(value) if kind is None else value.astype(kind)
            return ops.convert_to_tensor(known), known.dtype.name if kind is None else value.dtype.name
        tensor: Any = ops.convert_to_tensor(value)
        found = keras.backend.standardize_dtype(tensor.dtype)
    except (TypeError, ValueError) as error:
        raise KindError(f"{owner}: {name} must be an array of numbers, got {type(value).__name__}") from error
    if "complex" in found or "string" in found:
        raise KindError(f"{owner}: {name} must hold real numbers, got {found}")
    if (mend := _DENSE.get(type(tensor).__name__)) is not None:
        raise KindError(f"{owner}: {name} is a {type(tensor).__name__}; {mend}")
    if getattr(tensor.shape, "rank", 0) is None:  # in a graph of TensorFlow
        raise ShapeError(
            f"{owner}: nobody knows how many axes {name} has; say it by tf.ensure_shape({name}, (None,)), with a None "
            "for each, or by output_signature= where a data set is made from a generator"
        )
    return tensor, found


_DENSE = {
    "RaggedTensor": "pass .to_tensor() of it, and a sample_weight that leaves out what this fills in",
    "SparseTensor": "pass tf.sparse.to_dense of it",
}
"""What to pass instead of tensors of TensorFlow whose numbers lie otherwise."""


def _indices(tensor: Tensor, kind: str) -> Tensor:
    """Return class indices in 32 bits; what is none there becomes one that no loss takes."""
    if kind in ("bool", "int8", "uint8", "int16", "uint16", "int32"):
        return ops.cast(tensor, "int32")
    within = tensor < 2**31 - 1
    within = within if "uint" in kind else within & (tensor > _NO_INDEX)
    if "float" in kind:
        within = within & (tensor == ops.floor(tensor))
    # No ``full_like``: on PyTorch's meta device, where Keras tries a model first, it asks for the number.
    nothing = ops.cast(2**31 - 1 if "uint" in kind else _NO_INDEX, kind)
    return ops.cast(ops.where(within, tensor, nothing), "int32")
