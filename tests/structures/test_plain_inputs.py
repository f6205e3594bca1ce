"""Plain calls of rows and of inputs by name say what the long way says, to the last bit."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import axis_of, sample
from lossmith.engines import choice
from lossmith.structures.plain_rows import PlainRows
from tests.laws.samples import EVERY, each_part, name_of
from tests.structures.test_plain import both_ways, long_way

Array = npt.NDArray[Any]

FORMS = [
    loss for loss in EVERY
    if loss._plain is not None and axis_of(loss) == -1 and (not loss.paired or isinstance(loss._plain, PlainRows))
]  # fmt: skip
"""Losses of rows, and of inputs by name, that have plain calls."""


def data(loss: Loss, shape: Any = 40, dtype: Any = np.float64) -> dict[str, Array]:
    return {name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in sample(loss, shape).items()}


def assert_same(found: Any, right: Any) -> None:
    assert found[0] == right[0]
    for (name, slope), (other, expected) in zip(each_part(found[1]), each_part(right[1]), strict=True):
        assert name == other
        np.testing.assert_array_equal(slope, expected, strict=True)


@pytest.mark.parametrize("loss", FORMS, ids=name_of)
def test_every_loss_has_plain_calls_of_the_same_bits(loss: Loss) -> None:
    for dtype, reduction in ((np.float32, "mean"), (np.float64, "sum")):
        given = data(loss, dtype=dtype)
        cost, right = both_ways(loss.replace(), lambda loss, given=given: loss.cost(**given))  # type: ignore[misc]
        assert cost == right
        found, expected = both_ways(
            loss.replace(),
            lambda loss, given=given, how=reduction: loss.cost_and_gradient(**given, reduction=how),  # type: ignore[misc]
        )
        assert_same(found, expected)


@pytest.mark.parametrize("loss", [lm.SparseCategoricalCrossEntropy(), lm.KLDivergence(), lm.GaussianNLL()], ids=name_of)
@pytest.mark.parametrize("shape", [(40,), (5, 8), (20, 20, 20), (6000,), (1, 64), (1,)])
def test_shapes(loss: Loss, shape: Any) -> None:
    given = data(loss, shape, np.float32)
    found, right = (each.cost_and_gradient(**given) for each in (loss.replace(), long_way(loss)))
    assert_same(found, right)


def test_engines_without_kernels_go_the_long_way() -> None:
    loss = lm.SparseCategoricalCrossEntropy()
    assert loss._plain is not None
    given = data(loss)
    with choice.using("numpy"):
        assert loss._plain(given["y_true"], given["y_pred"], {}, gradient=False, mean=True) is None
        assert loss(**given) == long_way(loss)(**given)


@pytest.mark.parametrize("label", ["i1", "u1", "i2", "u4", "i8", "u8", ">i4", "f4", "f8"])
def test_labels_of_any_type(label: str) -> None:
    given = data(lm.SparseCategoricalCrossEntropy())
    given["y_true"] = given["y_true"].astype(label)
    assert_same(*(each.cost_and_gradient(**given) for each in ways(lm.SparseCategoricalCrossEntropy())))


def ways(loss: Loss) -> tuple[Loss, Loss]:
    return loss.replace(), long_way(loss)


def test_layouts() -> None:
    for loss in (lm.SparseCategoricalCrossEntropy(), lm.KLDivergence()):
        given = data(loss, 80)
        turned = {name: np.asfortranarray(x) for name, x in given.items()}
        skipped = {name: x[::2] for name, x in given.items()}
        locked = {name: x.copy() for name, x in given.items()}
        odd = {
            name: np.frombuffer(b"x" + x.tobytes(), x.dtype, x.size, 1).reshape(x.shape) for name, x in given.items()
        }
        for array in locked.values():
            array.flags.writeable = False
        for case in (turned, skipped, locked, odd):
            assert_same(*(each.cost_and_gradient(**case) for each in ways(loss)))


def test_conventions_that_change_what_counts_go_the_long_way() -> None:
    for loss in (
        lm.SparseCategoricalCrossEntropy(class_weight=[1.0, 2.0, 3.0]),
        lm.SparseCategoricalCrossEntropy(ignore_index=2),
        lm.SparseCategoricalCrossEntropy(class_axis=0),
    ):
        given = sample(loss, 40)
        plain = loss._plain
        assert plain is None or plain(given["y_true"], given["y_pred"], {}, gradient=True, mean=True) is None
    given = sample(lm.SparseCategoricalCrossEntropy(), 40)
    assert_same(*(each.cost_and_gradient(**given) for each in ways(lm.SparseCategoricalCrossEntropy(class_axis=1))))


def test_gradients_are_written_where_they_are_wanted() -> None:
    loss = lm.SparseCategoricalCrossEntropy()
    given = sample(loss, 40)
    right = long_way(loss).cost_and_gradient(**given)
    for out in (np.zeros((40, 3)), np.zeros((3, 40)).T, np.zeros((40, 6))[:, ::2], given["y_pred"].copy()):
        cost, slope = loss.cost_and_gradient(**given, out=out)
        assert slope is out
        assert_same((cost, np.ascontiguousarray(out)), right)
    over = {**given, "y_pred": given["y_pred"].copy()}
    assert_same(loss.cost_and_gradient(**over, out=over["y_pred"]), right)
    with pytest.raises(lm.ParameterError, match="several predicted inputs"):
        lm.GaussianNLL().cost_and_gradient(**sample(lm.GaussianNLL(), 40), out=np.zeros(40))


ROWS = np.tile([0.2, -1.0, 3.0], (40, 1))
HALVES = np.tile([0.5, 0.5, 0.0], (40, 1))
BAD: list[tuple[Loss, dict[str, Any]]] = [
    (lm.SparseCategoricalCrossEntropy(), {"y_true": np.full(40, 3), "y_pred": ROWS}),
    (lm.SparseCategoricalCrossEntropy(), {"y_true": np.full(40, -1, np.int8), "y_pred": ROWS}),
    (lm.SparseCategoricalCrossEntropy(), {"y_true": np.zeros(39, int), "y_pred": ROWS}),
    (lm.SparseCategoricalCrossEntropy(), {"y_true": np.zeros(40, int), "y_pred": ROWS * np.nan}),
    (lm.SparseCategoricalCrossEntropy(), {"y_true": np.zeros(40, int), "y_pred": ROWS * np.inf}),
    (lm.BalancedSoftmax(counts=[1.0, 2.0]), {"y_true": np.zeros(40, int), "y_pred": ROWS}),
    (lm.CategoricalCrossEntropy(), {"y_true": 2 * HALVES, "y_pred": ROWS}),
    (lm.KLDivergence(), {"p": HALVES, "q": HALVES * 1.1}),
    (lm.KLDivergence(), {"p": HALVES, "q": ROWS}),
    (lm.KLDivergence(), {"p": HALVES, "r": HALVES}),
    (lm.KLDivergence(), {"p": HALVES}),
    (lm.GaussianNLL(), {"y_true": np.zeros(40), "y_pred": np.zeros(40), "variance": np.full(40, -1.0)}),
    (lm.GaussianNLL(), {"y_true": np.zeros(40), "y_pred": np.zeros(40), "scale": np.ones(40)}),
    (lm.GaussianNLL(), {"y_true": np.zeros(40), "y_pred": np.zeros(40)}),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[0]}-{sorted(case[1])}")
def test_bad_data_is_refused_as_ever(case: tuple[Loss, dict[str, Any]]) -> None:
    messages = []
    for way in ways(case[0]):
        for ask in (way.cost, way.cost_and_gradient):
            with pytest.raises(lm.LossmithError) as caught:
                ask(**case[1])
            messages.append((type(caught.value), str(caught.value)))
    assert messages == messages[:1] * 4


def test_what_a_known_kernel_cannot_read_is_refused_too() -> None:
    loss, right = lm.SparseCategoricalCrossEntropy(), np.zeros(40, np.int8)
    loss(right, ROWS)  # from now on it knows its kernel
    for wrong in (3, -1):
        with pytest.raises(lm.DomainError, match=rf"y_true\[7\] is {wrong}"):
            loss(np.where(np.arange(40) == 7, np.int8(wrong), right), ROWS)
    with pytest.raises(lm.DomainError, match=r"row \[7\] of y_pred"):
        loss(right, np.where(np.arange(40)[:, None] == 7, np.nan, ROWS))


def test_probabilities_for_logits_are_warned_of() -> None:
    loss = lm.SparseCategoricalCrossEntropy()
    y = np.zeros(40, int)
    with pytest.warns(lm.LossmithWarning, match="declared as logits"):
        loss(y, HALVES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(y, ROWS) == long_way(loss)(y, ROWS)


def test_infinite_losses_and_limits_are_those_of_the_long_way() -> None:
    certain = np.tile([1.0, 0.0, 0.0], (40, 1))
    for loss in (lm.KLDivergence(), lm.ReverseKLDivergence(), lm.AlphaDivergence()):
        for p, q in ((HALVES, certain), (certain, HALVES), (certain, certain)):
            assert_same(*(each.cost_and_gradient(p=p, q=q) for each in ways(loss)))


@pytest.mark.parametrize("replaced", ["_batch", "_stream", "_run_kernel", "_prepared", "row", "_refuse_invalid"])
def test_a_class_that_replaces_what_is_passed_has_none(replaced: str) -> None:
    for base in (lm.SoftmaxFocal, lm.KLDivergence):

        def other(self: Any, *args: Any, base: Any = base, **named: Any) -> Any:
            return getattr(super(base, self), replaced)(*args, **named)

        assert type("Other", (base,), {replaced: other, "name": "other"})()._plain is None  # type: ignore[misc]
        assert type("Same", (base,), {"name": "same"})()._plain is not None  # type: ignore[misc]


def test_threads_and_sizes_keep_out_of_each_others_way() -> None:
    losses = (lm.LogCosh(), lm.KLDivergence(), lm.SparseCategoricalCrossEntropy(prediction="probabilities"))
    calls = [(loss, data(loss, size)) for size in (3, 40, 9, 700) for loss in losses]
    right = [long_way(loss.replace()).cost_and_gradient(**given) for loss, given in calls]

    def ask(number: int) -> None:
        loss, given = calls[number % len(calls)]
        assert_same(loss.cost_and_gradient(**given), right[number % len(calls)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(400)))
