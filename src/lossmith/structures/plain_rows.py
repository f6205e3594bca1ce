"""Plain calls of losses of rows, all of which have kernels; see ``plain``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.engines import numpy as engine
from lossmith.engines.choice import NoKernel, compiled_rows
from lossmith.structures.plain import LARGEST, Plain, is_straight

if TYPE_CHECKING:
    from lossmith.engines.llvm.row_call import RowCall
    from lossmith.structures.divergence import Divergence
    from lossmith.structures.softmax import Softmax

Array = npt.NDArray[Any]

FIRST = 16
"""Logits of the first row that are looked at."""


class PlainRows(Plain):
    """The plain calls of a loss of rows, which have a kernel.

    Args:
        loss: the loss.
        labels: whether targets are class indices.
        logits: symbols of the inputs that hold logits, which need a look for a likely mistake.
    """

    def __init__(self, loss: Softmax | Divergence, *, labels: bool, logits: Sequence[str]) -> None:
        super().__init__(loss, None if loss.class_axis < 0 else loss.class_axis + 1)
        self._loss, self._labels, self._axis = loss, labels, loss.class_axis
        self._logits = [place for place, item in enumerate(loss.inputs) if item.symbol in logits]
        self._kernels: dict[tuple[Any, ...], RowCall] = {}

    def columns(self, given: Sequence[Any], f: Array) -> Sequence[Array] | None:
        """Return the inputs, with one axis before the classes, if they agree; see ``Plain.columns``."""
        axes, dtype, shape = f.ndim, f.dtype, f.shape
        if axes < 2 or self._axis not in (-1, axes - 1):
            return None
        for place, array in enumerate(given):
            if type(array) is not np.ndarray or not is_straight(array):
                return None
            if self._labels and place != self.lead:
                if array.shape != shape[:-1] or array.dtype.kind not in "iu" or not array.dtype.isnative:
                    return None
            elif array.shape != shape or array.dtype is not dtype:
                return None
        columns = given if axes == 2 else [a.reshape(-1, shape[-1]) if a.ndim == axes else a.reshape(-1) for a in given]
        for place in self._logits:
            if not _are_logits(columns[place]):
                return None
        return columns

    def _compute(self, columns: Sequence[Array], into: Mapping[str, Array], mean: bool) -> float | None:
        rows, classes = columns[self.lead].shape
        block = max(1, engine.BLOCK // classes)
        if compiled_rows(rows, block, classes) != rows:
            return None
        outs = list(into.values())
        key = (classes, "".join([array.dtype.char for array in columns]), *into, self._ends(outs))
        call = self._kernels.get(key)
        if call is None:
            try:
                call = self._ready(columns, into)
            except NoKernel:
                return None
            self._kernels[key] = call
        arrays = (*columns, *outs)
        if rows * classes <= call.most and (not into or len(into) == len(self._slopes)):
            entry = self._entries.of(key, call, arrays, len(into), (1, call.most), mean=mean)
            if entry:
                return entry(*arrays)
        divisor = rows if mean else 1
        total = call.plain(arrays, 1 / divisor)
        return None if total is None else total / divisor

    def _ends(self, into: Sequence[Array]) -> tuple[bool, ...]:
        """Return what decides whether outputs are written past the caches, which is another kernel."""
        if not into or into[0].size <= LARGEST:
            return ()
        from lossmith.engines.llvm.row_by_row import ends

        return ends(into)

    def _looked_at(self, f: Array) -> Mapping[int, int]:
        return dict.fromkeys(self._logits, min(FIRST, f.shape[-1]))

    def _ready(self, columns: Sequence[Array], into: Mapping[str, Array]) -> RowCall:
        batch = self._loss._batch(dict(zip(self._names, columns, strict=True)), None, None, trusted=True)
        return self._loss._prepared(batch.size, batch, into, summed=True).call

    def kernel(self, columns: Sequence[Array], into: Mapping[str, Array]) -> RowCall:
        """Return the kernel for arrays that lie like these; see ``Plain.kernel``."""
        return self._ready(columns, into)


def _are_logits(rows: Array) -> bool:
    """Return whether the first of some rows shows at once that they hold no probabilities."""
    first = rows[0, :FIRST].tolist()
    return not (min(first) >= 0 and max(first) <= 1)
