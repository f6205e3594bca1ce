"""Plain calls of many rows say what the long way says, past the caches or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.core.outputs import set_apart
from lossmith.engines.numpy import BLOCK
from lossmith.structures import plain_rows
from tests.structures.test_plain import both_ways, long_way

Array = npt.NDArray[Any]
row_by_row = pytest.importorskip("lossmith.engines.llvm.row_by_row")

LOSSES = (
    lm.SparseCategoricalCrossEntropy(),
    lm.SoftmaxFocal(label_smoothing=0.1),
    lm.KLDivergence(q_kind="logits"),
    lm.JensenShannon(),
)


def room(loss: Loss, given: Mapping[str, Array], begin: int) -> Any:
    """Return arrays for gradients, so many numbers behind a cache line."""
    rooms = {}
    for item in loss.predicted:
        like = given[item.name]
        rooms[item.name] = set_apart((like.size + 16,), like.dtype)[begin : begin + like.size].reshape(like.shape)
    return rooms if len(rooms) > 1 else next(iter(rooms.values()))


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_results_are_those_of_the_long_way(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_rows, "LARGEST", 2 * BLOCK)
    classes = 128
    given = {name: x.astype("f4") if x.dtype.kind == "f" else x for name, x in sample(loss, (500, classes)).items()}
    rows = len(next(iter(given.values())))
    assert rows * classes > 2 * BLOCK
    for limit in (row_by_row.STREAMING, rows * classes * 4 - 1, 0):
        monkeypatch.setattr(row_by_row, "STREAMING", limit)
        for begin in (0, 1):
            out, other = room(loss, given, begin), room(loss, given, begin)
            found, right = both_ways(
                loss, lambda asked, a=out, b=other: asked.cost_and_gradient(**given, out=a if asked is loss else b)
            )
            np.testing.assert_equal(found, right)
        np.testing.assert_equal(*both_ways(loss, lambda asked: asked.cost(**given)))


def test_each_way_past_the_caches_has_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_rows, "LARGEST", 2 * BLOCK)
    loss = lm.KLDivergence()
    given = {name: x.astype("f4") for name, x in sample(loss, (500, 128)).items()}
    for limit, begin in ((row_by_row.STREAMING, 0), (0, 0), (0, 1)):
        monkeypatch.setattr(row_by_row, "STREAMING", limit)
        for _ in range(2):
            assert loss._plain is not None
            assert loss._plain(None, None, given, gradient=True, mean=True, out=room(loss, given, begin)) is not None
    kernels: Any = loss._plain._kernels  # type: ignore[union-attr]
    assert {key[-1] for key in kernels} == {(False, False, True), (True, True, True), (True, True, False)}


def test_what_a_later_row_holds_is_met() -> None:
    loss, draw = lm.SparseCategoricalCrossEntropy(), np.random.default_rng(0)
    f, y = draw.normal(size=(2000, 100)), draw.integers(0, 100, 2000)
    loss.cost_and_gradient(y, f)
    for place in (0, 1000, 1999):
        wrong = y.copy()
        wrong[place] = 100
        with pytest.raises(lm.DomainError, match=rf"y_true\[{place}\]"):
            loss.cost_and_gradient(wrong, f)
    f[1500, 3] = 1e39
    assert loss.cost_and_gradient(y, f)[0] == long_way(loss).cost_and_gradient(y, f)[0]
