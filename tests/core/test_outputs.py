"""Where results lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm

ROWS = 1 << 14
"""The least of float32 that is 64 KB."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [ROWS, 5 * ROWS])
def test_what_is_not_small_begins_at_a_cache_line(rows: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    y, f = rng.integers(0, 2, rows).astype(dtype), rng.normal(size=rows).astype(dtype)
    logits, labels = np.stack([f, y], axis=1), y.astype(np.int64)
    number, classes = lm.Huber(), lm.SparseCategoricalCrossEntropy()
    kept: list[Any] = []  # all alive, so that none lies where another was
    for loss, target, predicted in ((number, y, f), (classes, labels, logits)):
        kept += [loss.losses(target, predicted), loss.gradient(target, predicted), loss.hessian(target, predicted)]
        kept += [loss.cost_and_gradient(target, predicted, weight=w)[1] for w in (None, np.ones(rows))]
        kept += loss.evaluate(target, predicted).values()
    assert [array.ctypes.data % 64 for array in kept] == [0] * len(kept)
    assert all(array.dtype == dtype and array.flags.writeable for array in kept)
