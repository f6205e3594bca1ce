"""What kernels read and write in place: every real type, any stride, any alignment, and nothing beside it."""

from __future__ import annotations

import tracemalloc
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines import numpy as reference
from lossmith.engines.llvm import kernel as kernels
from lossmith.engines.llvm.kernel import element_of

Array = np.ndarray
HUBER = lm.Huber()
PROGRAM = HUBER.part("value", "gradient:f", "valid")
ROWS = 2 * reference.BLOCK + 37
KEPT = (
    np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.bool_,
    np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
)  # fmt: skip


def drawn(dtype: Any, rows: int = ROWS, seed: int = 0) -> Array:
    """Return numbers that a type can hold, up to its extremes."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind not in "iub":
        return (rng.normal(size=rows) * 3).astype(dtype)
    if np.dtype(dtype).kind == "b":
        return rng.random(rows) < 0.5
    found = rng.integers(0, 100, rows).astype(dtype)
    found[:2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    return found


def laid_out(array: Array, how: str) -> Array:
    """Return the same numbers, lying otherwise."""
    if how == "strided":
        return np.repeat(array, 3)[::3]
    if how == "reversed":
        return np.ascontiguousarray(array[::-1])[::-1]
    if how == "misaligned":
        raw = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype)
        raw[:] = array
        return raw
    if how == "swapped":
        return array.astype(array.dtype.newbyteorder())
    if how == "spread":
        return np.broadcast_to(array[7:8], array.shape)
    return array


@pytest.mark.parametrize("how", ["plain", "strided", "reversed", "misaligned", "swapped", "spread"])
@pytest.mark.parametrize("kept", KEPT, ids=lambda item: np.dtype(item).name)
def test_targets_of_every_type_and_layout_are_read(kept: Any, how: str) -> None:
    if how == "swapped" and kept is ml_dtypes.bfloat16:
        kept = np.float16  # of the other byte order there is none
    y, f = laid_out(drawn(kept), how), drawn(np.float64, seed=1)
    outputs = {name: np.empty(ROWS) for name in ("value", "gradient:f")}
    kernels.run(PROGRAM, [y, f], HUBER.free_parameters, outputs)
    expected = reference.run(PROGRAM, [y.astype(np.float64), f], HUBER.free_parameters)
    for name, got in outputs.items():
        np.testing.assert_array_equal(got, expected[name])


@pytest.mark.parametrize("taken", [np.float16, ml_dtypes.bfloat16, np.float32], ids=lambda item: np.dtype(item).name)
@pytest.mark.parametrize("kept", [np.float16, ml_dtypes.bfloat16], ids=lambda item: np.dtype(item).name)
def test_half_precision_is_computed_in_float32_and_rounded_once(kept: Any, taken: Any) -> None:
    y, f = drawn(kept), drawn(kept, seed=1)
    f[5] = np.inf  # its loss is infinite in either type
    outputs = {name: np.empty(ROWS, taken) for name in ("value", "gradient:f")}
    kernels.run(PROGRAM, [y, f], HUBER.free_parameters, outputs)
    wide = [array.astype(np.float32) for array in (y, f)]
    expected = reference.run(PROGRAM, wide, HUBER.free_parameters)
    for name, got in outputs.items():
        np.testing.assert_array_equal(got.astype(np.float32), expected[name].astype(taken).astype(np.float32))


def test_rounding_to_bfloat_is_to_even_and_keeps_what_is_no_number() -> None:
    from lossmith.program import trace

    program = trace(lambda ops, s: {"value": s["x"] + 0.0 * s["x"], "valid": ops.lt(0.0, 1.0)}, ["x"])
    bits = np.arange(0, 2**32, 65_521, dtype=np.uint64).astype(np.uint32)
    x = np.concatenate([bits.view(np.float32), np.float32([np.nan, -np.nan])])
    x = x[np.isfinite(x) | np.isnan(x)]
    out = {"value": np.empty(len(x), ml_dtypes.bfloat16)}
    kernels.run(program, [x], {}, out)
    with np.errstate(all="ignore"):
        expected = x.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(out["value"].astype(np.float32), expected)


@pytest.mark.parametrize("how", ["strided", "misaligned", "spread"])
def test_strided_weights_are_read(how: str) -> None:
    y, f, weight = drawn(np.float64), drawn(np.float64, seed=1), laid_out(np.abs(drawn(np.float64, seed=2)), how)
    outputs = {"gradient:f": np.empty(ROWS)}
    found = kernels.run(PROGRAM, [y, f], HUBER.free_parameters, outputs, weight=weight, summed=True)
    expected = reference.run(PROGRAM, [y, f], HUBER.free_parameters)
    np.testing.assert_allclose(outputs["gradient:f"], weight * expected["gradient:f"], rtol=1e-15)
    assert sum(found.sums) == pytest.approx(np.sum(weight * expected["value"]), rel=1e-13)


def test_what_has_to_be_copied_is_copied_a_few_blocks_at_a_time() -> None:
    rows = 1_000_000
    y, f = np.zeros((rows, 2))[:, 0], np.linspace(-3, 3, 2 * rows)[::2]
    assert element_of(y) == element_of(f) == ""
    out = {"gradient:f": np.empty(rows)}
    kernels.run(PROGRAM, [y, f], HUBER.free_parameters, out, summed=True)
    tracemalloc.start()
    try:
        kernels.run(PROGRAM, [y, f], HUBER.free_parameters, out, summed=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20, f"{peak / 2**20:.1f} MB of temporaries"


@pytest.mark.parametrize("engine", ["numpy", "llvm"])
def test_losses_take_bfloat16_and_answer_in_float32(engine: choice.Name) -> None:
    rng = np.random.default_rng(0)
    f, z = (rng.normal(size=shape).astype(ml_dtypes.bfloat16) for shape in (5000, (500, 7)))
    y, labels = (rng.random(5000) < 0.5).astype(ml_dtypes.bfloat16), rng.integers(0, 7, 500)
    with choice.using(engine):
        for loss, target, prediction in (
            (lm.BinaryCrossEntropy(), y, f),
            (lm.SparseCategoricalCrossEntropy(), labels, z),
        ):
            cost, gradient = loss.cost_and_gradient(target, prediction)
            wide = [array if array is labels else array.astype(np.float32) for array in (target, prediction)]
            expected, slopes = loss.cost_and_gradient(*wide)
            assert gradient.dtype == np.float32
            assert cost == expected
            np.testing.assert_array_equal(gradient, slopes)
