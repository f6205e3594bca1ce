"""Plain calls: two arrays of one shape and nothing else, and all that they hold is right.

A loop over small batches makes such calls, and to check, file and weigh takes longer there than to compute. Here they
go straight to the engine that they would come to, for the same bits. What is not as plain, and whatever calls for a
message, gets nothing here and goes the long way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.engines import numpy as engine
from lossmith.engines.choice import NoKernel, compiled_rows

if TYPE_CHECKING:
    from lossmith.structures.pointwise import Pointwise

Array = npt.NDArray[Any]
Found = tuple[float, Array | None]
"""A sum of losses, or their mean, and its gradient where that was asked for."""

LARGEST = 8 * engine.BLOCK
"""Numbers in an array up to which the way matters."""

PASSED = ("_batch", "_stream", "_runner", "_run_kernel", "_rows_for_kernel", "_refuse_invalid")
"""What it goes past."""

_COMPUTED = (np.dtype(np.float32), np.dtype(np.float64))
_LABELS = "biu"


class Plain:
    """The plain calls of a loss of a target and a prediction.

    Args:
        loss: the loss.
        clear: whether predictions need no closer look for a likely mistake.
    """

    def __init__(self, loss: Pointwise, clear: Callable[[Array], bool] | None = None) -> None:
        self._loss, self._clear = loss, clear
        self._slope = f"gradient:{loss.wrt[0]}"
        self._kernels: dict[tuple[str, str, bool], tuple[Callable[..., Array], Callable[[Array], Any]]] = {}

    def __call__(self, y_true: Any, y_pred: Any, *, gradient: bool, mean: bool, out: Any = None) -> Found | None:
        """Return the cost of a call and its gradient, or nothing where the call is not plain.

        Args:
            y_true: targets.
            y_pred: predictions.
            gradient: whether the gradient is wanted.
            mean: whether the cost is a mean, and no sum.
            out: what the gradient is to be written into, if anything; a call that writes much is not plain.
        """
        if type(y_true) is not np.ndarray or type(y_pred) is not np.ndarray or y_true.shape != y_pred.shape:
            return None
        dtype, size = y_pred.dtype, y_pred.size
        if dtype not in _COMPUTED or (y_true.dtype is not dtype and y_true.dtype.kind not in _LABELS):
            return None
        if not 0 < size <= LARGEST:
            return None
        if out is not None and not (size <= engine.BLOCK and _takes(out, y_pred)):
            return None
        columns: tuple[Array, Array] = (y_true, y_pred)
        if y_pred.ndim != 1:
            if not (y_true.flags.c_contiguous and y_pred.flags.c_contiguous):
                return None
            columns = (y_true.reshape(-1), y_pred.reshape(-1))
        if self._clear is not None and not self._clear(columns[1]):
            return None
        rows = compiled_rows(size, engine.BLOCK)
        run = self._by_kernel if rows else self._by_reference
        found = run(columns, gradient, size if mean else 1) if rows in (0, size) else None
        if found is None or found[1] is None or (out is None and y_pred.ndim == 1):
            return found
        slope = found[1].reshape(y_pred.shape)
        if out is None:
            return found[0], slope
        out[...] = slope
        return found[0], out

    @np.errstate(all="ignore")
    def _by_reference(self, columns: Sequence[Array], gradient: bool, divisor: int) -> Found | None:
        if columns[0].size > engine.TILE:
            return None
        parts = ("losses", self._slope) if gradient else ("losses",)
        losses, *slopes, valid = self._loss._runner(parts, columns[1].dtype).whole(columns)
        total = float(np.add.reduce(losses, dtype=np.float64))
        if not math.isfinite(total) or np.count_nonzero(valid) < valid.size:
            return None
        return total / divisor, np.divide(slopes[0], divisor, slopes[0]) if gradient else None

    def _by_kernel(self, columns: Sequence[Array], gradient: bool, divisor: int) -> Found | None:
        y, f = columns
        outputs = {self._slope: np.empty(f.size, f.dtype)} if gradient else {}
        key = (y.dtype.char, f.dtype.char, gradient)
        if key not in self._kernels:
            from lossmith.engines.llvm import kernel

            loss, kind = self._loss, kernel.kind_of(f)
            try:
                ready = kernel.choose(
                    loss.part(*outputs, "value", "valid"), columns, loss.free_parameters, outputs, kind, summed=True
                )
            except NoKernel:
                return None
            self._kernels[key] = ready.run, kernel.findings
        run, findings = self._kernels[key]
        found = findings(run(columns, tuple(outputs.values()), factor=1 / divisor))
        if found.bad or found.wrong:
            return None
        return math.fsum(found.sums) / divisor, outputs.get(self._slope)


def _takes(out: Any, like: Array) -> bool:
    return type(out) is np.ndarray and out.dtype is like.dtype and out.shape == like.shape and out.flags.writeable
