"""Rows of any number of classes, between pages that nobody may touch: the same as the reference engine says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lossmith as lm
from lossmith.engines import choice
from tests.engines.guarded import Rooms
from tests.engines.test_llvm_rows import LOSSES, close, sample, way

ROOMS = Rooms(8 * 40 * 300)
CLASSES = (2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 23, 24, 25, 31, 33, 47, 63, 65, 127, 129, 255, 257)


@settings(max_examples=12)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
@given(
    classes=st.sampled_from(CLASSES), rows=st.integers(1, 40), seed=st.integers(0, 10**6), place=st.integers(0, 3),
    in_place=st.booleans(), slack=st.sampled_from((0, 0, 8)), low=st.booleans(),
)  # fmt: skip
def test_random_rows(
    loss: lm.Loss, dtype: Any, classes: int, rows: int, seed: int, place: int, in_place: bool, slack: int, low: bool
) -> None:
    weighted, masked, reduction = way(loss, dtype, place)
    rng = np.random.default_rng(seed)
    y, z = sample(loss, rows, classes, dtype)
    places = rng.permutation(rows)
    ROOMS.empty()
    targets, logits = (ROOMS.hold(array[places], slack=slack, low=low) for array in (y, z))
    options: dict[str, Any] = {"reduction": reduction}
    if weighted:
        options["weight"] = ROOMS.hold(rng.choice((0.5, 2.0), rows), low=low)
    if masked:
        options["mask"] = ROOMS.hold(np.arange(rows) != rng.integers(1, rows + 1), low=low)
    out = logits if in_place else ROOMS.hold(np.empty_like(logits), slack=slack, low=low)
    with choice.using("numpy"):
        cost, gradient = loss.cost_and_gradient(targets, logits, **options)
    with choice.using("llvm"):
        found, written = loss.cost_and_gradient(targets, logits, out=out, **options)
    assert written is out
    assert ROOMS.untouched()
    close(found, cost, dtype, "cost")
    close(written, gradient, dtype, "gradient")
