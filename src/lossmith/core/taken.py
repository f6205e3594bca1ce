"""Keywords that a function does not have: who passes one is told which there are, and what is meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from lossmith.errors import ParameterError, did_you_mean

P = ParamSpec("P")
R = TypeVar("R")


def told(mend: Callable[[str, Any], str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator for functions, which refuse keywords that they do not have.

    Args:
        mend: ``(keyword, value)`` to what to write in its place, or an empty text for the nearest name.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        taken = [name for name in inspect.signature(function).parameters if name != "self"]

        @wraps(function)
        def call(*given: P.args, **named: P.kwargs) -> R:
            for name, value in named.items():
                if name not in taken:
                    meant = mend(name, value)
                    raise ParameterError(
                        f"{function.__name__} has no argument {name!r}; it has {', '.join(taken)}."
                        f"{f' {meant}.' if meant else did_you_mean(name, taken)}"
                    )
            return function(*given, **named)

        return call

    return decorate
