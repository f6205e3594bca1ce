"""Likely mistakes: what is allowed but looks wrong, and is warned of with the evidence."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np

from lossmith.core.contract import Batch
from lossmith.core.words import spoken

FEW_LOGITS = 16
"""Logits that are no evidence; of more, so many places are looked at first."""

_BETWEEN = ("lossmith", "numpy", "torch", "jax", "keras", "tensorflow")  # whose code calls ours


class LossmithWarning(UserWarning):
    """Something that is allowed but looks like a mistake."""


def warn_if_probabilities(batch: Batch, symbol: str, *, offered: bool = True) -> None:
    """Warn when logits look like probabilities, with the evidence; ``offered`` says whether the loss takes those.

    A network gives logits of both signs, so many of them all within [0, 1] speak for a sigmoid
    that was applied before. Few or equal values are no evidence.
    """
    logits = batch.inputs[symbol]
    if are_no_probabilities(logits):
        return
    low, high = np.inf, -np.inf
    for start in range(0, logits.size, batch.block):
        here = logits[start : start + batch.block]
        low, high = min(low, float(here.min())), max(high, float(here.max()))
        if not 0 <= low <= high <= 1:  # nor is any with a NaN
            return
    if low < high:
        label = batch.labels[symbol]
        mend = "pass prediction='probabilities'" if offered else "pass the scores from before the sigmoid"
        warn(
            f"{batch.owner}: {label} is declared as logits, but all {logits.size} values lie in [0, 1] "
            f"(from {low:.3g} to {high:.3g}), as probabilities do. If they are, {mend}; "
            "as logits they can never say better than 0.5 for the negative class."
        )


def are_no_probabilities(logits: Any) -> bool:
    """Return whether flat logits are few, or show at one of some places, as nearly all do, that they are logits."""
    size = len(logits)
    return size < FEW_LOGITS or any(not 0 <= value <= 1 for value in logits[:: size // FEW_LOGITS])


def warn(text: str) -> None:
    """Warn of a likely mistake, at the line outside the library that made it."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(spoken(text), LossmithWarning, stacklevel=level)
