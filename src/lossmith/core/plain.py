"""What a loss needs of a short way for plain calls, which structures have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Plain(Protocol):
    """A short way of calls that hold arrays that agree, and nothing else; for all others it has nothing."""

    def __call__(
        self, y_true: Any, y_pred: Any, named: Mapping[str, Any], *, gradient: bool, mean: bool, out: Any = None
    ) -> tuple[float, Any] | None:
        """Return the cost and, where it is wanted, the gradient."""

    def each(
        self, y_true: Any, y_pred: Any, named: Mapping[str, Any], parts: Sequence[str], out: Any = None
    ) -> Sequence[Any] | None:
        """Return parts of the outputs of each example."""

    def some(self, given: Sequence[Any], wanted: Sequence[int], *, mean: bool) -> tuple[float, list[Any]] | None:
        """Return the cost and the gradients by inputs at some places, or nothing where the call is not plain."""
