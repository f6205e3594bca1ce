"""Lossmith for Keras 3, on TensorFlow, PyTorch and JAX: every loss of the catalogue as a ``keras.losses.Loss``.

    model.compile(loss=lossmith.keras.Huber(delta=1.35), optimizer="adam")
    lossmith.keras.Huber()(y_true, y_pred, sample_weight)  # in a loop of your own, or without a model

``loss(loss)`` makes one of any loss, sums and your own included. Models are saved and loaded with them, with a
class of your own after ``@register``. ``Invalid`` counts what no compiled step can stop at, and ``Check`` raises an
error of it after each epoch.
"""

from __future__ import annotations

from typing import Any

from lossmith.errors import MissingDependencyError

try:
    from lossmith.frameworks.calls import instead
    from lossmith.frameworks.keras.configs import register
    from lossmith.frameworks.keras.counting import Check, Invalid
    from lossmith.frameworks.keras.objects import LossObject, every_class
except ModuleNotFoundError as error:
    if error.name != "keras":
        raise
    raise MissingDependencyError("lossmith.keras needs Keras: pip install 'lossmith[keras]'") from None

_CLASSES = every_class()
globals().update(_CLASSES)

__all__ = ["Check", "Invalid", "LossObject", "loss", "register", *_CLASSES]


def loss(
    loss: Any, *, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None
) -> LossObject:
    """Return a loss as an object of Keras.

    Args:
        loss: any loss, or its text, such as ``"huber(delta=1.35)"``.
        reduction, name, dtype: see ``LossObject``.
    """
    return LossObject(loss, reduction=reduction, name=name, dtype=dtype)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"module 'lossmith.keras' has no attribute {name!r}.{instead('keras', name)}")
