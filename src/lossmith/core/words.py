"""What a host calls things: where losses are at home in a framework, errors and warnings speak its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from lossmith.errors import LossmithError

Words = Mapping[str, str]
"""What a host says, by what the catalogue says: names of inputs, and whole phrases."""

_spoken: ContextVar[Words | None] = ContextVar("words", default=None)


@contextmanager
def speaking(words: Words) -> Iterator[None]:
    """Let errors and warnings speak the words of a host for a while."""
    before = _spoken.set(words)
    try:
        yield
    except LossmithError as error:
        said = reworded(str(error), words)
        if said == str(error) or len(error.args) > 1:  # one with more shows what was written, in nobody else's words
            raise
        raise type(error)(said) from None
    finally:
        _spoken.reset(before)


def spoken(text: str) -> str:
    """Return a text in the words of the host that is at work, if one is."""
    words = _spoken.get()
    return reworded(text, words) if words else text


def reworded(text: str, words: Words) -> str:
    """Return a text in other words."""
    return _pattern(tuple(words)).sub(lambda found: words[found[0]], text) if words else text


@lru_cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds any of some words, but not within others."""
    longest_first = sorted(words, key=len, reverse=True)
    edged = (rf"{_edge(word[0], '(?<!')}{re.escape(word)}{_edge(word[-1], '(?!')}" for word in longest_first)
    return re.compile("|".join(edged))


def _edge(character: str, look: str) -> str:
    return rf"{look}\w)" if character.isalnum() else ""
