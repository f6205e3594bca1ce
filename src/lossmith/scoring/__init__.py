"""Scoring: measure the predictions in a file with any losses, in one pass, however large it is.

``score`` does the work; ``Table`` reads files; ``lossmith.scoring.metrics`` judges predictions in memory.
Names are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossmith.scoring.engine_local import Score, ScoreReport, score
    from lossmith.scoring.source import Table

__all__ = ["Score", "ScoreReport", "Table", "score"]

_HOMES = {"Table": "source", "Score": "engine_local", "ScoreReport": "engine_local", "score": "engine_local"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "metrics"]
