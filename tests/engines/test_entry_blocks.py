"""Functions that read arrays take several blocks as well, to the bits of the general way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.engines.choice import SMALLEST
from lossmith.engines.llvm import row_kernel
from lossmith.engines.llvm.entry_layout import SEVERAL
from lossmith.engines.numpy import BLOCK
from tests.structures.test_plain import long_way

Array = npt.NDArray[Any]

pytestmark = pytest.mark.usefixtures("reading_arrays")


def taken_by(loss: Loss, *given: Array) -> bool:
    """Return whether a function takes such a call, which has to say what the general way says."""
    first = loss.cost_and_gradient(*given)
    known: Any = loss._plain._entries.known  # type: ignore[union-attr]
    (enter,) = known[True, True, "auto"]
    out, right = np.empty_like(given[1]), long_way(loss).cost_and_gradient(*given)
    found = enter(*given, out)
    assert first[0] == right[0]
    np.testing.assert_array_equal(first[1], right[1])
    if found is not None:
        assert found == right[0]
        np.testing.assert_array_equal(out, right[1])
    return found is not None


def drawn(loss: Loss, size: int, dtype: str) -> tuple[Array, Array]:
    y, f = (array.astype(dtype) for array in sample(loss, size).values())
    return y, f


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_are_summed_exactly(dtype: str) -> None:
    arithmetic, functions = lm.Huber(), lm.LogCosh()
    for size in (BLOCK, BLOCK + SMALLEST, 2 * BLOCK, 5 * BLOCK - 1, 7 * BLOCK):
        for loss in (arithmetic, functions):
            assert taken_by(loss, *drawn(loss, size, dtype))
    assert taken_by(arithmetic, *drawn(arithmetic, SEVERAL * BLOCK, dtype))
    assert not taken_by(functions, *drawn(functions, SEVERAL * BLOCK, dtype))  # which two threads are better for


def test_what_is_left_for_another_engine_is_left() -> None:
    light, heavy = lm.Huber(), lm.CRPSGaussian()
    assert taken_by(light, *drawn(light, 2 * BLOCK, "float64"))
    for rest in (1, SMALLEST - 1):
        assert not taken_by(light, *drawn(light, 2 * BLOCK + rest, "float64"))
    given = sample(heavy, 2 * BLOCK + 1)
    heavy.cost_and_gradient(**given)
    (enter,) = heavy._plain._entries.known[True, True, "auto"]  # type: ignore[union-attr]
    room = [np.empty(2 * BLOCK + 1) for _ in heavy.predicted]
    assert enter(*given.values(), *room) == long_way(heavy)(**given)


@pytest.mark.parametrize("classes", [3, 10, 300, 6000])
def test_rows_are_in_blocks_too(classes: int) -> None:
    loss, draw = lm.SparseCategoricalCrossEntropy(), np.random.default_rng(classes)
    block = max(1, BLOCK // classes)
    least = row_kernel.LEAST_NUMBERS // (block * classes)
    for rows in (block + 1, 2 * block, 3 * block - 1, 2 * least * block - block, 2 * least * block):
        f = draw.normal(size=(rows, classes)).astype("float32")
        few = -(-rows // block) < min(2 * least, SEVERAL + 1)
        assert taken_by(loss, draw.integers(0, classes, rows), f) is few


def test_a_sum_that_would_be_rounded_twice_goes_the_general_way() -> None:
    loss, size = lm.AbsoluteError(), 3 * BLOCK
    y, f = np.zeros(size), np.ones(size)
    assert taken_by(loss, y, f)
    # Half a unit in the last place of the first block, and a little more, which is lost unless it is kept apart.
    f[:BLOCK], f[BLOCK : 2 * BLOCK], f[2 * BLOCK :] = 0.0, 0.0, 0.0
    f[0], f[BLOCK], f[2 * BLOCK] = 1.0, 2.0**-53, 2.0**-120
    assert not taken_by(loss, y, f)
    assert loss.cost(y, f, reduction="sum") == 1 + 2.0**-52
    f[2 * BLOCK] = 2.0**-60
    assert taken_by(loss, y, f)
    f[0] = f[BLOCK] = 1.7e308  # and a sum that is infinite is the general way's as well
    assert not taken_by(loss, y, f)


def test_what_a_later_block_holds_is_met_every_time() -> None:
    loss, size = lm.Poisson(prediction="rate"), 3 * BLOCK
    y, f = np.ones(size), np.full(size, 2.0)
    for place in (0, BLOCK, size - 1):
        for _ in range(2):
            loss.cost_and_gradient(y, f)
        for array, wrong, what in ((y, -1.0, "y_true"), (f, -2.0, "y_pred"), (f, np.nan, "y_pred")):
            right = array[place]
            array[place] = wrong
            with pytest.raises(lm.DomainError, match=rf"{what}\[{place}\]"):
                loss.cost_and_gradient(y, f)
            array[place] = right
        f[place] = 0
        assert loss(y, f) == np.inf
        f[place] = 2
