"""Losses over the arrays of any library: what structures compute without looking at a number."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from lossmith.engines.hosts import Host

Array = Any


NONE: Mapping[str, Any] = MappingProxyType({})


class Counting(NamedTuple):
    """What a loss itself says of how much each example counts; ``None`` stands for one each, and for all.

    Attributes:
        weight: what its loss is multiplied by, and counts in a mean.
        counted: false where it is left out.
    """

    weight: Array | None = None
    counted: Array | None = None


class Traceable:
    """What libraries of arrays ask of a loss. They bind its derivatives to their own differentiation.

    Arrays come by symbol, with an example's numbers along the last axis, all in one type, float32 or float64, but for
    class indices, which keep theirs.
    """

    @property
    def row_axis(self) -> int | None:
        """The axis along which an example has several numbers, or ``None`` where it has one of each input."""
        return None

    @property
    def singles(self) -> Collection[str]:
        """The symbols of inputs that hold one number an example where others hold a row."""
        return ()

    @property
    def is_of_residuals(self) -> bool:
        """Whether it is proved that residuals alone decide, and any target may be predicted."""
        return False

    @property
    def class_indices(self) -> Collection[str]:
        """The symbols of inputs that hold class indices."""
        return ()

    @property
    def demands(self) -> Mapping[str, str]:
        """What rows of inputs must be, which their domains do not tell, in words, by symbol."""
        return {}

    def row_axis_of(self, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
        """Return the axis of the rows from the front, where there is one, or refuse shapes of arguments, by symbol.

        Raises:
            ShapeError: when they do not belong together.
        """
        return None

    def ready(self) -> None:  # a hook: most losses have nothing to settle
        """Settle what does not depend on arrays, before anything is traced."""

    def compute(self, host: Host, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return outputs of each example: among ``losses``, ``gradient:x`` by the symbol of an input, and ``valid``.

        More than asked for is welcome. Differentiated by the library, the gradients give second derivatives. What
        ``counting`` says is not in them.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be traced")

    def marked(self, host: Host, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return outputs as ``compute`` does, which are no numbers where an example is invalid."""
        valid, found = self._valid(host, given), self.compute(host, given, outputs)
        for name in outputs:
            if not self._shows(name):
                each = valid if len(found[name].shape) == len(valid.shape) else valid[..., None]
                found[name] = host.xp.where(each, found[name], math.nan)
        return found

    def _valid(self, host: Host, given: Mapping[str, Array]) -> Array:
        known = {symbol: host.xp.held(array) for symbol, array in given.items()}
        return self.compute(host, known, ("valid",))["valid"]

    def _shows(self, output: str) -> bool:
        """Whether an output from who traces is no number by itself where an example is invalid."""
        return False

    def counting(self, host: Host, given: Mapping[str, Array], vectors: Mapping[str, Array] = NONE) -> Counting:
        """Return how much each example counts by the loss's own rules.

        Args:
            host, given: see ``compute``.
            vectors: arrays that stand for vectors of the loss, by name, where a library holds them itself.
        """
        return Counting()
