"""The contestants, a module for each library, which is imported only where it runs.

A module has ``contestants(case)``. A contestant sets everything up and returns the call that is timed: set-up,
compilation and the first touch of memory happen before. A call returns the cost, or nothing where the case has none,
and an array for each output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

from benchmarks.cases import Case

Result = tuple[float | None, tuple[Any, ...]]
Call = Callable[[], Result]


class Contestant(NamedTuple):
    """Who runs.

    Attributes:
        name: as tables call it.
        make: sets up and returns the call.
        factor: what multiple of our numbers its numbers are.
    """

    name: str
    make: Callable[[], Call]
    factor: float = 1.0


MODULES = ("lossmith", "floors", "numpy", "numexpr", "torch", "jax", "sklearn")

OURS = "Lossmith"
ALLOCATING = "Lossmith, new arrays"
OWN = "Lossmith, the user's own"
FLOORS = ("floor", "floor, past the caches", "floor, one thread", "memmove")
PEERS = ("NumPy", "numexpr", "PyTorch", "torch.compile", "jax.jit", "scikit-learn")
"""Names of contestants: us, what memory allows, and the others."""


def contestants(case: Case) -> Iterator[Contestant]:
    """Yield everybody who can run a case; a library that is not installed is left out."""
    for module in MODULES:
        try:
            loaded = import_module(f"benchmarks.peers.by_{module}")
        except ImportError:
            continue
        yield from loaded.contestants(case)
