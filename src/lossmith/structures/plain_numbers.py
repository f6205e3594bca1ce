"""Plain calls of pointwise losses: kernels take blocks, and the reference engine what is left for it; see ``plain``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.core.mistakes import FEW_LOGITS
from lossmith.core.outputs import fresh, of_program
from lossmith.engines import choice
from lossmith.engines import numpy as engine
from lossmith.engines.choice import SMALLEST, NoKernel, compiled_is_available, compiled_rows, smallest_block
from lossmith.engines.facts import is_arithmetic, tells_all
from lossmith.structures.plain import COMPUTED, LARGEST, Plain, are_apart, is_straight, takes

if TYPE_CHECKING:
    from lossmith.engines.llvm.kernel import Move, Ready
    from lossmith.structures.pointwise import Pointwise

Array = npt.NDArray[Any]

OFTEN = 1000
"""Calls of few numbers after which an arithmetic formula gets a kernel: about then they took what one takes to make."""

_LABELS = "biu"


class PlainNumbers(Plain):
    """The plain calls of a pointwise loss.

    Args:
        loss: the loss.
        clear: whether predictions need no closer look for a likely mistake.
    """

    def __init__(self, loss: Pointwise, clear: Callable[[Array], bool] | None = None) -> None:
        super().__init__(loss)
        self._loss, self._clear = loss, clear
        self.tail = smallest_block(loss._calls)
        self._kernels: dict[tuple[Any, ...], Ready] = {}
        self._called = 0

    def columns(self, given: Sequence[Any], f: Array) -> Sequence[Array] | None:
        """Return the inputs, flat, if they agree; see ``Plain.columns``."""
        dtype, shape, flat = f.dtype, f.shape, f.ndim == 1
        straight = not flat or f.size > LARGEST  # of so many numbers none are copied
        for array in given:
            if type(array) is not np.ndarray or array.shape != shape:
                return None
            if array.dtype is not dtype and array.dtype.kind not in _LABELS:
                return None
            if straight and not (is_straight(array) and array.dtype.isnative):
                return None
        columns = given if flat else [array.reshape(-1) for array in given]
        return columns if self._clear is None or self._clear(columns[self.lead]) else None

    def each(
        self, y_true: Any, y_pred: Any, named: Mapping[str, Any], parts: Sequence[str], out: Any = None
    ) -> list[Array] | None:
        """Return parts of the outputs of each example; see ``Plain.each``."""
        given = self._in_order(y_true, y_pred, named)
        f = None if given is None else given[self.lead]
        if given is None or type(f) is not np.ndarray or not f.ndim or not f.size:
            return None
        if any(part.startswith("full") for part in parts):
            return None
        columns = self.columns(given, f) if f.dtype in COMPUTED else None
        into = None if columns is None else self._into(out, parts, f, columns)
        if columns is None or into is None:
            return None
        flat = dict(zip(parts, [array.reshape(-1) for array in into], strict=True))
        rows = compiled_rows(f.size, engine.BLOCK, calls=self._loss._calls)
        if 0 < rows < f.size and self._has_twin:  # of no sums, and nothing divided, the bits are those of the reference
            rows = f.size
        return None if self._fill(columns, flat, rows, summed=False) is None else into

    def _into(self, out: Any, parts: Sequence[str], f: Array, columns: Sequence[Array]) -> list[Array] | None:
        """Return an array for each part, those that a caller brought among them, if they are all right."""
        if out is None:
            return [fresh(f) for _ in parts]
        if not self._single or type(out) is not dict:
            return None
        given = {self._loss._parts[name][0]: array for name, array in out.items() if name in ("gradient", "hessian")}
        arrays = list(given.values())
        right = len(given) == len(out) and given.keys() <= set(parts) and all(takes(array, f) for array in arrays)
        if not right or not are_apart(arrays, columns):
            return None
        return [given[part] if part in given else fresh(f) for part in parts]

    def _compute(self, columns: Sequence[Array], into: Mapping[str, Array], mean: bool) -> float | None:
        size = columns[0].size
        rows = compiled_rows(size, engine.BLOCK, calls=self._loss._calls)
        whole = not into or len(into) == len(self._slopes)  # as those ask that functions take
        if whole and (rows == size <= LARGEST or (not rows and self._is_frequent)):
            found = self._at_once(columns, into, mean=mean, twin=not rows)
            if found:
                return found[0]
        divisor = size if mean else 1
        sums = self._fill(columns, into, rows, summed=True, divisor=divisor)
        try:
            return None if sums is None else math.fsum(sums) / divisor
        except OverflowError:
            return None

    def _fill(
        self, columns: Sequence[Array], into: Mapping[str, Array], rows: int, *, summed: bool, divisor: int = 1
    ) -> Sequence[float] | None:
        """Write parts, the first rows by a kernel, derivatives divided; return numbers that sum to losses, if right."""
        size = columns[0].size
        if rows == size:
            return self._by_kernel(columns, into, summed, divisor)
        if size - rows > engine.TILE:
            return None
        sums: list[float] = []
        if rows:
            head = {part: array[:rows] for part, array in into.items()}
            found = self._by_kernel([column[:rows] for column in columns], head, summed, divisor)
            if found is None:
                return None
            sums += found
            into = {part: array[rows:] for part, array in into.items()}
            columns = [column[rows:] for column in columns]
        return sums if self._by_reference(columns, into, sums if summed else None, divisor) else None

    @np.errstate(all="ignore")
    def _by_reference(
        self, columns: Sequence[Array], into: Mapping[str, Array], sums: list[float] | None, divisor: int
    ) -> bool:
        """Write parts of a tile, add the sum of its losses, if they are asked for, and return whether all is right."""
        parts, looked_at = ((*into, "losses"), not self._tells_all) if sums is not None else (tuple(into), True)
        found = self._loss._runner(parts, columns[self.lead].dtype, valid=looked_at).whole(columns)
        if looked_at and np.count_nonzero(valid := found.pop()) < valid.size:
            return False
        if sums is not None:
            total = float(np.add.reduce(found.pop(), dtype=np.float64))
            if not math.isfinite(total):
                return False
            sums.append(total)
        for values, array in zip(found, into.values(), strict=True):
            np.divide(values, divisor, array)
        return True

    def _by_kernel(
        self, columns: Sequence[Array], into: Mapping[str, Array], summed: bool, divisor: int
    ) -> Sequence[float] | None:
        """Do the same to whole blocks, and what is worth a kernel."""
        straight, types = self._kept_by(columns)
        ready = self._kernel(straight, into, types, summed=summed)
        return None if ready is None else ready.plain(straight, list(into.values()), 1 / divisor)

    def _at_once(
        self, columns: Sequence[Array], into: Mapping[str, Array], *, mean: bool, twin: bool
    ) -> tuple[float | None] | None:
        """Return what a function says that takes such calls from now on, if there can be one.

        Args:
            columns: the inputs, flat.
            into: gradients.
            mean: whether the cost is a mean, and no sum.
            twin: whether the kernel gives the bits of the reference.
        """
        straight, types = self._kept_by(columns)
        ready = self._kernel(straight, into, types, summed=True, twin=twin)
        if ready is None:
            self._has_twin = self._has_twin and not twin
            return None
        size = columns[0].size
        if size > ready.most:
            return None
        sizes = (1, SMALLEST - 1) if size < SMALLEST else (SMALLEST, ready.most)
        key, arrays = (types, bool(into), sizes, twin), (*straight, *into.values())
        entry = self._entries.of(key, ready, arrays, len(into), sizes, mean=mean, tail=self.tail, twin=twin)
        return (entry(*arrays),) if entry else None

    @property
    def _is_frequent(self) -> bool:
        """Count a call of few numbers; return whether they are many and a kernel gives the bits of the reference."""
        self._called += 1
        return self._called > OFTEN and choice._forced == "auto" and self._has_twin

    @cached_property
    def _tells_all(self) -> bool:
        return tells_all(self._loss.part("value", "valid"))

    @cached_property
    def _has_twin(self) -> bool:
        return is_arithmetic(self._loss.part("value", *self._slopes, "valid")) and compiled_is_available()

    def _kept_by(self, columns: Sequence[Array]) -> tuple[Sequence[Array], str]:
        """Return the inputs for a kernel, and what that is kept by: few numbers have one for all types."""
        kind = columns[self.lead].dtype if columns[0].size < SMALLEST else None
        straight = [_straight(array, kind) for array in columns]
        return straight, kind.char * len(columns) if kind else "".join([array.dtype.char for array in straight])

    def _looked_at(self, f: Array) -> Mapping[int, int]:
        return {self.lead: -FEW_LOGITS} if self._clear else {}

    def _kernel(
        self, columns: Sequence[Array], into: Mapping[str, Array], types: str, *, summed: bool, twin: bool = False
    ) -> Ready | None:
        """Return the kernel for arrays that lie like these, if there is one."""
        move = None
        if columns[0].size > LARGEST:
            from lossmith.engines.llvm.kernel import Move

            move = Move.of(columns, list(into.values()))
        key = (types, *into, summed, twin, move)
        ready = self._kernels.get(key)
        if ready is None:
            try:
                ready = self._kernels[key] = self._ready(columns, into, summed=summed, twin=twin, move=move)
            except NoKernel:
                return None
        return ready

    def _ready(
        self,
        columns: Sequence[Array],
        into: Mapping[str, Array],
        *,
        summed: bool = True,
        twin: bool = False,
        in_place: bool = False,
        move: Move | None = None,
    ) -> Ready:
        from lossmith.engines.llvm import kernel

        loss, kind = self._loss, kernel.kind_of(columns[self.lead])
        written = {of_program(part): array for part, array in into.items()}
        if twin:
            written = {"value": columns[self.lead], **written}
        program = loss.part(*dict.fromkeys((*written, *(["value"] if summed else []))), "valid")
        return kernel.choose(
            program, columns, loss.free_parameters, written, kind,
            summed=summed and not twin, divided=twin, in_place=in_place, move=move or kernel.WITHIN,
        )  # fmt: skip

    def kernel(self, columns: Sequence[Array], into: Mapping[str, Array]) -> Ready:
        """Return the kernel for arrays that lie like these; see ``Plain.kernel``."""
        return self._ready(columns, into, in_place=True)


def _straight(array: Array, kind: np.dtype[Any] | None) -> Array:
    """Return numbers as a kernel reads them, of a type if it matters."""
    dtype = array.dtype
    if (dtype.isnative if kind is None else dtype is kind) and is_straight(array):
        return array
    return array.astype(kind or dtype.newbyteorder("="))
