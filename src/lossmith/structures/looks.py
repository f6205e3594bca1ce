"""What plain calls look at and kernels do not, told of where arrays begin; see ``again``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Look = Callable[[Sequence[int]], bool]
"""What tells, of where inputs begin, whether all is right that they hold."""

FIRST = 16
"""Logits of the first row that are looked at."""


def clear(place: int, like: Array, is_clear: Callable[[Any], bool]) -> Look:
    """Return the look at predictions for a likely mistake.

    Args:
        place: which of the inputs.
        like: what lies and is as long as those that will be looked at.
        is_clear: what tells.
    """
    held = _held(like, len(like))
    return lambda begins: is_clear(held.from_address(begins[place]))


def logits(place: int, like: Array) -> Look:
    """Return the look at rows that shows at once that they hold no probabilities; arguments as in ``clear``."""
    held = _held(like, min(FIRST, like.shape[1]))

    def look(begins: Sequence[int]) -> bool:
        values = held.from_address(begins[place])[:]
        return bool(min(values) < 0 or max(values) > 1)

    return look


def _held(array: Array, count: int) -> Any:
    """Return the type of so many numbers in memory."""
    return np.ctypeslib.as_ctypes_type(array.dtype) * count
