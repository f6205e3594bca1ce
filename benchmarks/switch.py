"""From how many numbers on the compiled engine is ahead, and how soon it has earned back its compilation.

``python -m benchmarks.switch`` prints a table of every loss that has kernels; ``--only NAME`` takes one. Both engines
compute cost and gradient in float32 on one thread's worth of work, in turns. ``SMALLEST`` in
``src/lossmith/engines/choice.py`` is chosen by it.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator

os.environ["LOSSMITH_CACHE_DIR"] = ""  # what is measured is compilation, not reading from the disk

import lossmith as lm
from benchmarks import timing
from benchmarks.cases import Case, aligned
from lossmith.core.loss import Loss
from lossmith.engines import choice
from lossmith.engines.llvm import kernel, row_kernel

SIZES = [2**power for power in range(6, 17)]
CLASSES = 16
ROUNDS = 5


def losses() -> Iterator[tuple[str, Loss]]:
    """Yield the losses of the catalogue that have kernels."""
    for name in lm.names():
        loss = lm.get(name)
        if type(loss)._rows_for_kernel is not Loss._rows_for_kernel:
            yield name, loss


def call(name: str, loss: Loss, size: int) -> Callable[[], object]:
    """Return cost and gradient of so many numbers."""
    pointwise = hasattr(loss, "symbols") and "y_pred" not in loss.domains and len(loss.domains) == len(loss.inputs)
    rows = name if not pointwise else None
    shape = (size,) if rows is None else (max(size // CLASSES, 1), CLASSES)
    case = Case("switch", name, loss, shape)
    data = case.data
    out = {"out": aligned(shape, "float32")} if len(loss.predicted) == 1 else {}
    return lambda: loss.cost_and_gradient(**data, **out)
