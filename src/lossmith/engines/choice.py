"""Which engine takes which rows of a call.

The compiled engine takes whatever is many calls for NumPy, and of the rest blocks of at least ``SMALLEST`` numbers: a
kernel takes milliseconds to compile, which small arrays of simple formulas never earn back. What decides is the loss
and the size of a block alone, so a block has the same bits in whatever call it stands.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple, cast, get_args

from lossmith.engines.forks import ForkLock

Name = Literal["auto", "numpy", "llvm"]

SMALLEST = 4096
"""Numbers in a block from which on a kernel is worth its compilation; see ``benchmarks/switch.py``."""

MANY = 15
"""Calls of NumPy from which on it is worth that for a block of any size."""

MOST, TOO_MANY = 1_000, 10_000
"""Calls above which it is worth that for as large blocks alone as where they are few, since compilation takes seconds;
and above which it is never, since that takes minutes."""

_log = logging.getLogger("lossmith")


def _asked_for() -> Name:
    wanted = os.environ.get("LOSSMITH_ENGINE", "auto")
    for name in get_args(Name):
        if name == wanted:
            return cast(Name, name)
    _log.warning("LOSSMITH_ENGINE=%s: there are %s; auto is taken", wanted, ", ".join(get_args(Name)))
    return "auto"


_forced: Name = _asked_for()


_deciding = ForkLock()
_available: bool | None = None
_told: set[str] = set()


class NoKernel(Exception):
    """A program has no kernel: it could not be made; the text says why."""


def say_once(text: str, about: str) -> None:
    """Log a warning, the first time that there is one about this."""
    with _deciding:
        if about in _told:
            return
        _told.add(about)
    _log.warning(text)


def compiled_is_available() -> bool:
    """Return whether kernels can be compiled here; says so once when they cannot."""
    global _available
    if _available is None:
        with _deciding:
            if _available is None:
                _available = _can_compile()
    return _available


def _can_compile() -> bool:
    try:
        from lossmith.engines.llvm import compile as compiler

        compiler.check()
    except ModuleNotFoundError:
        _log.warning("the compiled engine needs llvmlite (pip install 'lossmith[fast]'); NumPy serves instead")
        return False
    except Exception as error:  # executable memory is forbidden here, for one
        _log.warning("the compiled engine cannot run here (%s); NumPy serves instead", error)
        return False
    return True


def fall_back(error: NoKernel) -> None:
    """Say, once, that NumPy serves where there should have been a kernel.

    Raises:
        NoKernel: where nothing but the compiled engine is wanted.
    """
    if _forced == "llvm":
        raise error
    say_once(f"a kernel could not be made ({error}); NumPy serves instead", about="kernel")


class Findings(NamedTuple):
    """What a kernel found out besides what it wrote.

    Attributes:
        sums: the weighted sum of losses of each block.
        bad: blocks in which a loss that counts is not finite.
        wrong: blocks in which an example that counts lies outside the domains.
        left: blocks whose outputs the kernel leaves to the reference.
    """

    sums: list[float]
    bad: list[int]
    wrong: list[int]
    left: Sequence[int] = ()


def smallest_block(calls: int | None) -> int:
    """Return how many numbers a block has at least that a kernel takes, given about how many calls NumPy would take."""
    return SMALLEST if calls is not None and not MANY <= calls <= MOST else 1


def compiled_rows(rows: int, block: int, width: int = 1, *, calls: int | None = None) -> int:
    """Return how many of the rows, from the first on, the compiled engine takes.

    Args:
        rows: how many there are.
        block: rows in a block.
        width: numbers in a row.
        calls: about how many calls NumPy would take; not said of rows of several numbers, where they are many.
    """
    smallest = 1 if _forced == "llvm" else smallest_block(calls)
    if _forced == "numpy" or rows * width < smallest:
        return 0
    if calls is not None and calls > TOO_MANY and _forced != "llvm":
        return 0
    if not compiled_is_available():
        if _forced == "llvm":
            raise RuntimeError("the compiled engine was asked for, and cannot run here; see the message before")
        return 0
    rest = rows % block
    return rows - rest if rest * width < smallest else rows


@contextmanager
def using(name: Name) -> Iterator[None]:
    """Let one engine take all rows for a while, for tests and benchmarks; it holds for all threads."""
    global _forced
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before
