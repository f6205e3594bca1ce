"""Rows of any number of classes, between pages that nobody may touch: the same as the reference engine says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lossmith as lm
from lossmith.engines import choice
from tests.engines import test_llvm_divergence as divergences
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


PAIRS = {
    lm.KLDivergence(q_kind="log_probabilities"): (True, True, "none"),
    lm.KLDivergence(q_kind="logits"): (False, True, "mean"),
    lm.KLDivergence(): (False, False, "sum"),
    lm.Distillation(2.0): (True, False, "mean"),
}
"""Divergences with a quicker way: whether with weights, whether with a mask, and how they are reduced."""


@settings(max_examples=40)
@pytest.mark.parametrize("loss", PAIRS, ids=str)
@given(
    classes=st.sampled_from(CLASSES), rows=st.integers(1, 90), seed=st.integers(0, 10**6), in_place=st.booleans(),
    slack=st.sampled_from((0, 0, 8)), low=st.booleans(), near=st.sampled_from((0, 0.1, 0.5, 1)),
)  # fmt: skip
def test_random_pairs_of_rows(
    loss: lm.Distillation, classes: int, rows: int, seed: int, in_place: bool, slack: int, low: bool, near: float
) -> None:
    """Of which some are nearly equal, and handed over."""
    weighted, masked, reduction = PAIRS[loss]
    rng = np.random.default_rng(seed)
    sample = divergences.sample(loss, 70, classes, np.float32)
    places = np.where(rng.random(rows) < near, 1 + 7 * rng.integers(0, 10, rows), rng.integers(0, 70, rows))
    ROOMS.empty()
    arrays = {name: ROOMS.hold(array[places], slack=slack, low=low) for name, array in sample.items()}
    options: dict[str, Any] = {"reduction": reduction}
    if weighted:
        options["weight"] = ROOMS.hold(rng.choice((0.5, 2.0), rows), low=low)
    if masked:
        options["mask"] = ROOMS.hold(np.arange(rows) != rng.integers(1, rows + 1), low=low)
    names = [item.name for item in loss.predicted]
    out = {name: arrays[name] if in_place else ROOMS.hold(arrays[name], slack=slack, low=low) for name in names}
    with choice.using("numpy"):
        cost, gradient = loss.cost_and_gradient(**arrays, **options)
    with choice.using("llvm"):
        found, written = loss.cost_and_gradient(**arrays, **options, out=out if len(names) > 1 else out[names[0]])
    assert ROOMS.untouched()
    close(found, cost, np.float32, "cost")
    for name in names:
        got, expected = (x[name] if isinstance(x, dict) else x for x in (written, gradient))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6, err_msg=name)
