"""Plain calls of few numbers get a kernel once they are many, where it gives the bits of the reference engine."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.engines import choice
from lossmith.engines.llvm import entry
from lossmith.structures import plain_numbers as plain
from lossmith.structures.pointwise import Pointwise
from tests.laws.samples import EVERY, each_part, name_of
from tests.structures.test_plain import long_way

Array = npt.NDArray[Any]

FORMS = [
    loss for loss in EVERY
    if isinstance(loss, Pointwise) and loss._calls < choice.MANY and getattr(loss._plain, "_has_twin", False)
]  # fmt: skip
"""Losses that stay on NumPy where there are few numbers, and are arithmetic."""

pytestmark = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="without its lock, objects of Python begin otherwise"
)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plain, "OFTEN", 1)
    with choice.using("auto"):
        yield


def often(loss: Loss) -> Loss:
    """Return a loss that has been called so often."""
    found: Any = loss.replace()
    found._plain._called = 1
    return found  # type: ignore[no-any-return]


def given(loss: Loss, size: int, dtype: Any) -> dict[str, Array]:
    drawn = {name: x.astype(dtype) for name, x in sample(loss, size).items()}
    kinks = [array for array, item in zip(drawn.values(), loss.inputs, strict=True) if item.predicted]
    if loss.paired and str(loss.domains["y"]) == "(-inf, inf)":
        kinks[0][::3] = drawn["y_true"][::3]  # exact fits
    return drawn


def assert_same_bits(found: Any, right: Any) -> None:
    for (name, slope), (other, expected) in zip(each_part(found[1]), each_part(right[1]), strict=True):
        assert name == other
        np.testing.assert_array_equal(slope, expected, strict=True)
        np.testing.assert_array_equal(np.signbit(slope), np.signbit(expected))
    assert found[0] == right[0]


def test_there_are_such_losses() -> None:
    assert len({type(loss) for loss in FORMS}) > 10
    assert {lm.Huber, lm.SquaredError, lm.Quantile, lm.Hinge} <= {type(loss) for loss in FORMS}
    assert not {lm.Exponential, lm.LogCosh} & {type(loss) for loss in FORMS}


@pytest.mark.parametrize("loss", FORMS, ids=name_of)
def test_kernels_give_the_bits_of_the_reference(loss: Loss) -> None:
    known: Any = (many := often(loss))._plain
    for dtype in (np.float32, np.float64):
        for size in (1, 9, 300):
            data = given(loss, size, dtype)
            for reduction in ("mean", "sum"):
                for _ in range(2):  # as the general way hands it on, and at once
                    found = many.cost_and_gradient(**data, reduction=reduction)
                    assert_same_bits(found, long_way(loss).cost_and_gradient(**data, reduction=reduction))
                    assert many.cost(**data, reduction=reduction) == found[0]
    assert len(known._entries.known) == 4
    assert all(len(functions) == 2 for functions in known._entries.known.values())


@pytest.mark.parametrize("size", [7, 8, 127, 128, 129, 1000, 2047, 4095, 4096])
def test_sums_of_every_size(size: int) -> None:
    loss = often(lm.Huber())
    for dtype in (np.float32, np.float64):
        data = given(loss, size, dtype)
        data["y_pred"] *= 10.0 ** np.arange(-3, 4).repeat(size // 7 + 1)[:size].astype(dtype)
        for _ in range(2):
            assert_same_bits(loss.cost_and_gradient(**data), long_way(loss).cost_and_gradient(**data))


def test_labels_shapes_and_outputs() -> None:
    loss = often(lm.Hinge())
    data = given(loss, 60, np.float32)
    right = long_way(loss).cost_and_gradient(**data)
    for label in (np.int64, np.int8, np.bool_):
        assert_same_bits(loss.cost_and_gradient(data["y_true"].astype(label), data["y_pred"]), right)
    found = loss.cost_and_gradient(**{name: x.reshape(5, 3, 4) for name, x in data.items()})
    assert_same_bits((found[0], found[1].reshape(-1)), right)
    out = np.zeros(60, np.float32)
    assert loss.cost_and_gradient(**data, out=out)[1] is out
    assert_same_bits((right[0], out), right)
    over = {**data, "y_pred": data["y_pred"].copy()}
    assert_same_bits(loss.cost_and_gradient(**over, out=over["y_pred"]), right)


def test_what_is_wrong_or_not_finite_is_met() -> None:
    loss = often(lm.AbsolutePercentageError())
    y, f = np.full(40, 2.0), np.full(40, 1.0)
    for _ in range(2):
        loss(y, f)
    for wrong in (0.0, np.nan, np.inf):
        with pytest.raises(lm.DomainError, match=r"y_true\[7\]"):
            loss(np.where(np.arange(40) == 7, wrong, y), f)
    square, large = often(lm.SquaredError()), np.full(40, 1e200)
    for _ in range(2):
        square(y, f)
    assert square(large, -large) == np.inf
    signed = np.where(np.arange(40) < 20, 1e308, -1e308)  # a sum that overflows on its way
    for _ in range(2):
        assert_same_bits(
            *(each.cost_and_gradient(signed, f) for each in (often(lm.MeanError()), long_way(lm.MeanError())))
        )


def test_probabilities_for_logits_are_warned_of() -> None:
    loss = often(lm.Hinge())
    y, f = np.arange(40) % 2 * 1.0, np.linspace(0.1, 0.9, 40)
    for _ in range(2):
        loss(y, f - 3)
    with pytest.warns(lm.LossmithWarning, match="declared as logits"):
        loss(y, f)


def test_few_calls_and_other_engines_stay_with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    data = given(lm.Huber(), 40, np.float64)
    monkeypatch.setattr(plain, "OFTEN", 3)
    loss: Any = lm.Huber()
    for number in range(5):
        loss(**data)
        assert bool(loss._plain._kernels) == (number >= 3)
    other: Any = often(lm.Huber())
    with choice.using("numpy"):
        for _ in range(5):
            other(**data)
    assert not other._plain._kernels


def test_what_is_not_arithmetic_stays_with_numpy() -> None:
    loss: Any = often(lm.formula("exp(f - y)"))
    assert loss._calls < choice.MANY
    for _ in range(3):
        loss(np.zeros(40), np.linspace(-1, 1, 40))
    assert not loss._plain._kernels


def test_where_sums_are_others_numpy_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    data = given(lm.Huber(), 40, np.float64)
    entry._sums_as_numpy.cache_clear()
    monkeypatch.setattr(entry.pairwise, "KINDS", entry.pairwise.KINDS[::-1])  # as if NumPy took another order
    loss: Any = often(lm.Huber())
    for _ in range(3):
        assert loss(**data) == long_way(lm.Huber())(**data)
    entry._sums_as_numpy.cache_clear()
    assert not loss._plain._entries.known
