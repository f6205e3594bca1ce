"""Keywords that a function does not have: who passes one is told which there are, and what is meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from lossmith.errors import ParameterError, did_you_mean

P = ParamSpec("P")
R = TypeVar("R")
Answer = Callable[[str, Collection[str], tuple[Any, ...], Mapping[str, Any]], str]


def told(answer: Answer) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator for functions and methods, which refuse keywords that they do not have.

    What it decorates raises ``ParameterError`` for them.

    Args:
        answer: ``(keyword, those that there are, arguments by place, arguments by name)`` to what is said of it.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters
        taken = [name for name in parameters if name != "self"]

        @wraps(function)
        def call(*given: P.args, **named: P.kwargs) -> R:
            for name in named:
                if name not in taken:
                    said = answer(name, taken, given, named)
                    owner = f"{type(given[0]).__name__}." if "self" in parameters else ""
                    raise ParameterError(f"{owner}{function.__name__} has no argument {name!r}; {said}")
            return function(*given, **named)

        return call

    return decorate


def all_of(mend: Callable[[str, Any], str]) -> Answer:
    """Return an answer that tells of all that there are, and what is meant.

    Args:
        mend: ``(keyword, value)`` to what to write in its place, or an empty text for the nearest name.
    """

    def answer(name: str, taken: Collection[str], _: tuple[Any, ...], named: Mapping[str, Any]) -> str:
        meant = mend(name, named[name])
        return f"it has {', '.join(taken)}.{f' {meant}.' if meant else did_you_mean(name, taken)}"

    return answer
