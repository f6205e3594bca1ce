"""Losses as code that stands alone, in the languages and libraries that people use."""

from __future__ import annotations

from importlib import import_module
from typing import Literal, get_args

from lossmith.core.loss import Loss
from lossmith.core.registry import parse
from lossmith.errors import ParameterError, did_you_mean

Target = Literal["torch", "keras", "jax", "numpy", "c", "onnx", "latex", "json", "lightgbm", "xgboost", "catboost"]

TARGETS: tuple[Target, ...] = get_args(Target)
ARRAYS = ("numpy", "torch", "jax", "keras")
BOOSTING = ("lightgbm", "xgboost", "catboost")


def export(loss: Loss | str, to: Target) -> str | bytes:
    """Return a loss as code that runs without Lossmith.

    Values and gradients are those of the loss up to rounding, at kinks and far out too. Nothing is checked there: what
    lies outside the domains, which the text of the code states, gives whatever it gives. For boosting alone, code
    refuses raw predictions of which the loss says nothing, since trees may lead to any number.

    Args:
        loss: a loss, its name, or a formula as text, and weighted sums of such. Boosting takes losses of one target and
            one prediction; LightGBM and XGBoost also those of class indices and logits.
        to: ``numpy``, ``jax`` (functions); ``torch`` (a module), ``keras`` (a class, on every backend); ``c`` (a
            header of C99); ``onnx`` (a model in float32); ``lightgbm``, ``xgboost``, ``catboost`` (objective, metric,
            start score and link, on raw predictions); ``latex`` (for ``amsmath``) and ``json`` (the program as data).

    Returns:
        Text; of ``onnx`` the bytes of the file.

    Raises:
        ParameterError: for an unknown target, and a loss that it cannot hold.
        MissingDependencyError: where ``onnx`` or, for ``latex``, SymPy is not installed.
    """
    if to not in TARGETS:
        raise ParameterError(
            f"to={to!r} is not known.{did_you_mean(str(to), TARGETS)} It is one of {', '.join(TARGETS)}"
        )
    found = parse(loss)
    if to in BOOSTING:
        text: str = import_module(f"{__name__}.boosting").export(found, to)
        return text
    result: str | bytes = import_module(f"{__name__}.{to}").export(found)
    return result
