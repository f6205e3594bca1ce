"""Kernels of a loss as functions that take small plain calls at once; see ``lossmith.engines.llvm.entry``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from lossmith.engines import choice

if TYPE_CHECKING:
    from lossmith.engines.llvm.entry import Entry
    from lossmith.engines.llvm.kernel import Ready
    from lossmith.engines.llvm.row_call import RowCall

Array = npt.NDArray[Any]
Kind = tuple[bool, bool, choice.Name]
"""Whether a call asks for the gradient, whether its cost is a mean, and which engine is asked for."""

MOST = 4
"""Functions that are tried one after the other; arrays of more kinds than that seldom come in turns."""


class Entries:
    """The functions of a loss.

    Args:
        lead: the place of its first predicted input.
        looks: tells what is looked at besides, by the place of an input, given that one; see ``entry.Held``.
        axes: how many axes that has, if that is known.

    Attributes:
        known: those that are tried, by kind of call.
    """

    def __init__(self, lead: int, looks: Callable[[Array], Mapping[int, int]], axes: int | None = None) -> None:
        self._lead, self._looks, self._axes = lead, looks, axes
        self._made: dict[tuple[Any, Kind], Entry | None] = {}
        self.known: dict[Kind, tuple[Entry, ...]] = {}

    def of(
        self,
        key: Any,
        call: Ready | RowCall,
        arrays: Sequence[Array],
        written: int,
        sizes: tuple[int, int],
        *,
        mean: bool,
        tail: int = 1,
        twin: bool = False,
    ) -> Entry | None:
        """Return the function of a kernel, which from now on takes calls at once, where there can be one.

        Args:
            key: what tells the kernel from the others of the loss.
            call: the kernel.
            arrays: what lies as the arrays of a call do, the last of which are written.
            written: how many are.
            sizes: the least and the most numbers in an array.
            mean: whether the cost is a mean, and no sum.
            tail: numbers that the last of several blocks holds at least.
            twin: whether the kernel is one that takes the place of NumPy; see ``entry.entry``.
        """
        kind = (written > 0, mean, choice._forced)
        if (key, kind) not in self._made:
            made = self.make(call, arrays, written, sizes, mean=mean, tail=tail, twin=twin)
            self._made[key, kind] = made
            if made:
                self.known[kind] = (made, *self.known.get(kind, ()))[:MOST]
        return self._made[key, kind]

    def make(
        self,
        call: Ready | RowCall,
        arrays: Sequence[Array],
        written: int,
        sizes: tuple[int, int],
        *,
        mean: bool,
        tail: int = 1,
        twin: bool = False,
        export: int = 0,
    ) -> Entry | None:
        """Return a function that is for the caller alone; arguments as in ``of``.

        Args:
            export: what tells where the tensors of a library lie; see ``entry.entry``.
        """
        from lossmith.engines.llvm.entry import Held, entry

        f, read = arrays[self._lead], len(arrays) - written
        looks = self._looks(f)
        held = [
            Held(array.dtype, written=place >= read, labels=array.ndim < f.ndim, looked_at=looks.get(place, 0))
            for place, array in enumerate(arrays)
        ]
        axes = None if self._axes is None else (self._axes, self._axes)
        return entry(call.target, held, self._lead, *sizes, mean=mean, tail=tail, axes=axes, twin=twin, export=export)
