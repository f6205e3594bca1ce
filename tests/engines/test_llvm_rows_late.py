"""Gradients of long rows that are written past the caches, a row later, are those that are written at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines.llvm import row_by_row, row_kernel, threads
from lossmith.structures import plain, plain_rows
from tests.engines.guarded import PAGE, Rooms

Array = np.ndarray
ROOMS = Rooms(40 * PAGE)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    ROOMS.empty()
    yield
    threads.set_num_threads(None)


@pytest.fixture(autouse=True)
def _however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_by_row, "STREAMING", 0)
    for module in (plain, plain_rows):
        monkeypatch.setattr(module, "LARGEST", 0)  # so that kernels are kept apart by how outputs lie


def placed(shape: tuple[int, ...], dtype: Any, first: int = 1024) -> Array:
    """Return room for an array that begins so many bytes behind the beginning of a page."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.full(size + 2 * PAGE, 0x7F, np.uint8)
    begin = -room.ctypes.data % PAGE + first
    return room[begin : begin + size].view(dtype).reshape(shape)


def past(gradient: Array) -> int:
    """Return to how many bytes rows are aligned that are written a row later; 0 where they are written at once."""
    return row_kernel._past({"gradient": gradient})


def given(loss: lm.Loss, rows: int, classes: int, dtype: Any) -> dict[str, Array]:
    rng = np.random.default_rng(rows + classes)
    z = placed((rows, classes), dtype, 0)
    z[...] = rng.normal(size=z.shape) * 3
    z[::7, 3] = 80  # all but certain
    z[1::7] = 0
    data = {"y_true": rng.integers(0, classes, rows), "y_pred": z}
    if loss.values["ignore_index"] is not None:
        data["y_true"][1::3] = loss.values["ignore_index"]
    return data


LOSSES = [
    lm.SparseCategoricalCrossEntropy(),
    lm.SparseCategoricalCrossEntropy(z_loss=1e-3, ignore_index=-1),
    lm.SoftmaxFocal(),
    lm.GeneralisedCrossEntropy(),
]
WIDE = [
    (np.float32, 1000, 32),
    (np.float32, 1024, 64),
    (np.float32, 4001, 0),
    (np.float64, 1004, 32),
    (np.float64, 776, 64),
]


@pytest.mark.parametrize(("dtype", "classes", "bytes_"), WIDE)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_row_later_is_the_same(loss: lm.Loss, dtype: Any, classes: int, bytes_: int) -> None:
    for rows in (1, 2, 37, 300):
        data = given(loss, rows, classes, dtype)
        weight = np.where(np.arange(rows) % 5 == 1, 0.0, 1.5)
        for threads_ in (1, 2):
            threads.set_num_threads(threads_)
            for more in ({}, {"weight": weight, "mask": np.arange(rows) % 4 != 2}):
                with choice.using("llvm"):
                    out, beside = (placed((rows, classes), dtype, first) for first in (1024, 1032))
                    assert [past(array) for array in (out, beside)] == [bytes_, 0]
                    found = loss.cost_and_gradient(**data, **more, out=out)
                    right = loss.cost_and_gradient(**data, **more, out=beside)
                assert found[0] == right[0]
                np.testing.assert_array_equal(out, beside)


def test_nothing_around_is_written_and_logits_may_give_way() -> None:
    loss = LOSSES[0]
    for classes in (1000, 1504):
        data = given(loss, 23, classes, np.float32)
        right = loss.cost_and_gradient(**data, out=placed((23, classes), np.float32, 1032))
        logits = ROOMS.hold(data["y_pred"], low=True)
        out = ROOMS.hold(np.zeros_like(logits), low=True, slack=1024)
        with choice.using("llvm"):
            cost, _ = loss.cost_and_gradient(data["y_true"], logits, out=out)
            assert past(out) > 0
            assert cost == right[0]
            np.testing.assert_array_equal(out, right[1])
            assert ROOMS.untouched()
            out = ROOMS.hold(logits, low=True)
            cost, _ = loss.cost_and_gradient(data["y_true"], out, out=out)
        assert cost == right[0]
        np.testing.assert_array_equal(out, right[1])


def test_a_wrong_row_is_named_and_one_without_a_number_too() -> None:
    loss = LOSSES[0]
    data = given(loss, 40, 1000, np.float32)
    data["y_true"][17] = 1000
    with choice.using("llvm"), pytest.raises(lm.DomainError, match=r"17"):
        loss.cost_and_gradient(**data, out=placed((40, 1000), np.float32))
    data["y_true"][17], data["y_pred"][31, 5] = 3, np.nan
    with choice.using("llvm"), pytest.raises(lm.DomainError, match=r"31"):
        loss.cost_and_gradient(**data, out=placed((40, 1000), np.float32))
