"""Losses as plain data within the configurations of Keras, those of your own by the name of their class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import keras

from lossmith.core.loss import Loss
from lossmith.core.registry import from_config
from lossmith.errors import LossmithError, LossNotFoundError, ParameterError
from lossmith.structures.composite import Sum

_PACKAGE = "loss of your own"
_Class = TypeVar("_Class", bound=type[Loss])


def register(cls: _Class) -> _Class:
    """Make the class of a loss of your own known to Keras by its name, so that models trained with it can be loaded.

    To be put before the class: ``@lossmith.keras.register``.

    Raises:
        ParameterError: for what is no class of a loss.
    """
    if not (isinstance(cls, type) and issubclass(cls, Loss)):
        raise ParameterError(f"a class of losses is wanted, got {cls!r}")
    keras.saving.get_custom_objects()[f"{_PACKAGE}>{cls.__name__}"] = cls
    return cls


def plain(loss: Loss) -> dict[str, Any]:
    """Return a loss as plain data; see ``read``."""
    if isinstance(loss, Sum):
        return {"loss": "sum", "parameters": {"terms": [[weight, plain(part)] for weight, part in loss.parts]}}
    found = loss.to_config()
    own = type(loss)
    return found if _leads_back(found, loss) else {**found, "class": own.__name__, "module": own.__module__}


def _leads_back(config: Mapping[str, Any], loss: Loss) -> bool:
    """Return whether plain data alone give a loss again, as those of the catalogue and of formulas as text do."""
    try:
        return bool(from_config(config) == loss)
    except LossmithError:
        return False


def read(config: Mapping[str, Any]) -> Loss:
    """Return the loss that ``plain`` described.

    Raises:
        LossNotFoundError: for a loss of your own whose class Keras has not heard of.
    """
    if config["loss"] == "sum":
        return Sum([(weight, read(part)) for weight, part in config["parameters"]["terms"]])
    if "class" not in config:
        found: Loss = from_config(config)
        return found
    own = config["class"]
    for name in (own, f"{_PACKAGE}>{own}"):  # what ``custom_objects`` says comes first
        made = keras.saving.get_registered_object(name)
        if isinstance(made, type) and issubclass(made, Loss):
            return made(**config["parameters"])
    home = config.get("module", "__main__")
    there = "in the script that trained it" if home == "__main__" else f"by `from {home} import {own}`"
    raise LossNotFoundError(
        f"the model was trained with a loss of your own, {own}, which Keras does not know here: put "
        f"@lossmith.keras.register before its class, and run that, {there}, before the model is loaded; or load "
        f"the model with custom_objects={{{own!r}: {own}}}; with compile=False it loads without a loss"
    )
