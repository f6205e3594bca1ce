"""Kernels that read arrays by themselves take what they were made for, to the same bits, and nothing else."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.engines import choice
from lossmith.engines.llvm import entry, entry_layout
from tests.structures.test_plain import long_way

Array = npt.NDArray[Any]

pytestmark = pytest.mark.usefixtures("reading_arrays")


class Subclass(np.ndarray[Any, Any]):
    """Arrays that may mean anything."""


def entered(loss: Loss, **given: Any) -> list[Any]:
    """Return the functions that take such calls."""
    loss.cost_and_gradient(**given)
    plain: Any = loss._plain
    return [found for kind, known in plain._entries.known.items() if kind[0] for found in known]


def unaligned(array: Array) -> Array:
    room = np.zeros(array.nbytes + 1, np.uint8)
    found = room[1:].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


def locked(array: Array) -> Array:
    array.flags.writeable = False
    return array


Y, F, OUT = np.linspace(-1, 2, 40), np.linspace(2, -1, 40), np.zeros(40)
ROOM = np.zeros(60)
OTHERS: dict[str, tuple[Any, ...]] = {
    "too few": (Y, F),
    "too many": (Y, F, OUT, OUT),
    "none": (),
    "a list": (Y.tolist(), F, OUT),
    "nothing": (Y, None, OUT),
    "a number": (Y, 3.0, OUT),
    "a class": (Y, np.ndarray, OUT),
    "a subclass": (Y, F.view(Subclass), OUT),
    "a masked array": (np.ma.masked_invalid(Y), F, OUT),
    "a single number": (np.array(1.0), np.array(1.0), np.array(1.0)),
    "no numbers": (Y[:0], F[:0], OUT[:0]),
    "no numbers in rows": (Y.reshape(40, 1)[:, :0], F.reshape(40, 1)[:, :0], OUT.reshape(40, 1)[:, :0]),
    "another type": (Y.astype("f4"), F, OUT),
    "another type to write": (Y, F, OUT.astype("f4")),
    "whole numbers": (Y.astype(int), F, OUT),
    "complex numbers": (Y, F.astype(complex), OUT),
    "objects": (Y.astype(object), F, OUT),
    "another order of bytes": (Y.astype(">f8"), F, OUT),
    "times": (Y.view("M8[ns]"), F, OUT),
    "records": (Y.view([("x", "f8")]), F, OUT),
    "every other": (np.repeat(Y, 2)[::2], F, OUT),
    "backwards": (Y[::-1], F, OUT),
    "spread": (np.broadcast_to(Y[:1], 40), F, OUT),
    "columns first": tuple(np.asfortranarray(x.reshape(8, 5)) for x in (Y, F, OUT)),
    "unaligned": (unaligned(Y), F, OUT),
    "unaligned to write": (Y, F, unaligned(OUT)),
    "locked": (Y, F, locked(OUT.copy())),
    "one more": (np.append(Y, 0.0), F, OUT),
    "one less to write": (Y, F, OUT[1:]),
    "fewer axes": (Y[:8].copy(), F.reshape(8, 5), OUT.reshape(8, 5)),
    "other axes": (Y.reshape(8, 5), F, OUT),
    "other sides": (Y.reshape(8, 5), F.reshape(5, 8), OUT.reshape(8, 5)),
    "over what is read": (Y, F, F),
    "over the targets": (Y, F, Y),
    "over a part of it": (Y, ROOM[:40], ROOM[20:]),
    "over a part before": (Y, ROOM[20:], ROOM[:40]),
    "too large": (np.zeros(5000),) * 2 + (np.zeros(5000),),
}


@pytest.mark.parametrize("case", OTHERS)
def test_whatever_else_comes_goes_the_general_way(case: str) -> None:
    (enter,) = entered(lm.LogCosh(), y_true=Y, y_pred=F)
    assert enter(Y, F, OUT) == long_way(lm.LogCosh())(Y, F)
    OUT[...] = ROOM[...] = 7.0
    kept = [(x, x.copy()) for x in OTHERS[case] if isinstance(x, np.ndarray)]
    assert enter(*OTHERS[case]) is None
    for now, before in kept:  # and has written nothing
        np.testing.assert_array_equal(np.asarray(now), np.asarray(before))


def test_arrays_that_touch_are_apart() -> None:
    (enter,) = entered(lm.LogCosh(), y_true=Y, y_pred=F)
    room = np.zeros(120)
    room[:40], room[80:] = Y, F
    assert enter(room[:40], room[80:], room[40:80]) == long_way(lm.LogCosh())(Y, F)
    np.testing.assert_array_equal(room[40:80], long_way(lm.LogCosh()).cost_and_gradient(Y, F)[1])


def test_outputs_over_each_other_are_left_alone() -> None:
    given = {"y_true": Y, "y_pred": F, "variance": np.full(40, 2.0)}
    (enter,) = entered(lm.GaussianNLL(), **given)
    assert enter(*given.values(), np.zeros(40), np.zeros(40)) == long_way(lm.GaussianNLL())(**given)
    assert enter(*given.values(), OUT, OUT) is None
    assert enter(*given.values(), ROOM[:40], ROOM[20:]) is None


def test_types_count_and_not_the_objects_that_stand_for_them() -> None:
    (enter,) = entered(lm.LogCosh(), y_true=Y, y_pred=F)
    y, f = pickle.loads(pickle.dumps((Y, F)))
    assert y.dtype is not Y.dtype
    assert enter(y, f, OUT) == long_way(lm.LogCosh())(Y, F)


ROWS = np.random.default_rng(0).normal(size=(6, 5, 4))
LABELS = np.random.default_rng(0).integers(0, 4, (6, 5))
WRONG_ROWS: dict[str, tuple[Any, ...]] = {
    "as many axes": (LABELS[..., None], ROWS, ROWS.copy()),
    "fewer axes": (LABELS[:, 0].copy(), ROWS, ROWS.copy()),
    "other sides": (LABELS.T.copy(), ROWS, ROWS.copy()),
    "fewer classes": (LABELS, ROWS[..., :3].copy(), ROWS[..., :3].copy()),
    "one axis": (np.array(1), ROWS[0, 0], ROWS[0, 0].copy()),
    "other whole numbers": (LABELS.astype("i4"), ROWS, ROWS.copy()),
    "labels without a sign": (LABELS.astype("u8"), ROWS, ROWS.copy()),
}


@pytest.mark.parametrize("case", WRONG_ROWS)
def test_rows_and_labels_have_to_agree(case: str) -> None:
    loss = lm.SparseCategoricalCrossEntropy()
    (enter,) = entered(loss, y_true=LABELS, y_pred=ROWS)
    assert enter(LABELS, ROWS, ROWS.copy()) == long_way(loss)(LABELS, ROWS)
    assert enter(*WRONG_ROWS[case]) is None


def test_another_axis_of_classes_is_not_mistaken() -> None:
    loss, y, f = lm.SparseCategoricalCrossEntropy(class_axis=1), LABELS[:, :4].copy(), ROWS[:, 0]
    assert loss(LABELS[:, 0], f) == long_way(loss)(LABELS[:, 0], f)
    cube = np.random.default_rng(1).normal(size=(6, 4, 4))
    assert loss(y, cube) == long_way(loss)(y, cube)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_for_logits_are_warned_of_every_time(dtype: Any) -> None:
    numbers, rows = lm.BinaryCrossEntropy(), lm.SparseCategoricalCrossEntropy()
    for size in (16, 40, 5000):
        labels, f, p = (
            np.arange(size) % 2,
            np.linspace(0.1, 0.9, size, dtype=dtype),
            np.tile(dtype([0.25, 0.75]), (size, 1)),
        )
        for loss, y, likely in ((numbers, labels.astype(dtype), f), (rows, labels, p)):
            for _ in range(2):
                loss(y, likely - 3)  # from now on there is a function
            with pytest.warns(lm.LossmithWarning, match="declared as logits"):
                loss(y, likely)
    assert numbers(*[np.full(15, 0.5, dtype)] * 2) == long_way(numbers)(
        *[np.full(15, 0.5, dtype)] * 2
    )  # few say nothing


@pytest.mark.parametrize("size", [1, 31, 4095, 4096, 16_384])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_invalid_and_infinite_numbers_are_met_every_time(size: int, dtype: Any) -> None:
    loss = lm.Poisson(prediction="rate")
    y, f = np.ones(size, dtype), np.full(size, 2.0, dtype)
    for _ in range(2):
        loss.cost_and_gradient(y, f)
        loss(y, f)
    y[size // 2] = -1
    for ask in (loss, loss.cost_and_gradient):
        with pytest.raises(lm.DomainError, match=rf"y_true\[{size // 2}\]"):
            ask(y, f)
    y[size // 2] = 1
    f[size // 2] = 0
    assert loss(y, f) == loss.cost_and_gradient(y, f)[0] == np.inf


def test_rows_that_are_none_are_met_every_time() -> None:
    loss = lm.SparseCategoricalCrossEntropy()
    for _ in range(2):
        loss.cost_and_gradient(LABELS, ROWS)
    with pytest.raises(lm.DomainError, match=r"y_true\[0, 0\] is 9"):
        loss.cost_and_gradient(np.where(LABELS[0, 0] == LABELS, 9, LABELS), ROWS)
    with pytest.raises(lm.DomainError, match="y_pred"):
        loss.cost_and_gradient(LABELS, np.where(ROWS[0, 0, 0] == ROWS, np.nan, ROWS))


def test_limits_are_left_to_the_general_way_every_time() -> None:
    halves, certain = np.tile([0.5, 0.5, 0.0], (9, 1)), np.tile([1.0, 0.0, 0.0], (9, 1))
    for loss in (lm.ReverseKLDivergence(), lm.AlphaDivergence()):
        for p, q in ((halves, certain), (certain, halves), (certain, certain)):
            for given in ({"p": np.full((9, 3), 1 / 3), "q": np.full((9, 3), 1 / 3)}, {"p": p, "q": q}):
                found, right = (each.cost_and_gradient(**given) for each in (loss, long_way(loss)))
                assert found[0] == right[0]
                for name, slope in right[1].items():
                    np.testing.assert_array_equal(found[1][name], slope)


def test_who_asks_for_another_engine_gets_it() -> None:
    loss, given = lm.LogCosh(), {"y_true": Y, "y_pred": F}
    loss(**given)
    plain: Any = loss._plain
    known = plain._entries.known
    with choice.using("numpy"):
        assert loss(**given) == long_way(lm.LogCosh())(**given)
        plain._entries.known = {kind: (lambda *_: -1.0,) for kind in known}
        assert loss(**given) == long_way(lm.LogCosh())(**given)


def test_nothing_of_python_is_used_up() -> None:
    (enter,) = entered(lm.LogCosh(), y_true=Y, y_pred=F)
    arrays = (Y, F, OUT)
    before = [sys.getrefcount(x) for x in (None, enter, *arrays)]
    for _ in range(5000):
        enter(Y, F)
        enter(*arrays)
    after = [sys.getrefcount(x) for x in (None, enter, *arrays)]
    assert all(abs(now - then) < 100 for now, then in zip(after, before, strict=True))


def test_functions_outlive_their_loss() -> None:
    (enter,) = entered(lm.LogCosh(), y_true=Y, y_pred=F)
    for _ in range(100):
        entered(lm.Barron(alpha=1.5), y_true=Y, y_pred=F)
    assert enter(Y, F, OUT) == long_way(lm.LogCosh())(Y, F)


@pytest.mark.parametrize("fact", ["CLASS", "DATA", "AXES", "SHAPE", "DTYPE", "FLAGS", "KIND"])
def test_arrays_that_are_laid_out_otherwise_go_the_general_way(fact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, fact, getattr(entry_layout, fact) - 8)
    entry._lie_as_known.cache_clear()
    try:
        assert not entry._lie_as_known()
        assert entered(lm.LogCosh(), y_true=Y, y_pred=F) == []
        assert lm.LogCosh()(Y, F) == long_way(lm.LogCosh())(Y, F)
    finally:
        entry._lie_as_known.cache_clear()


def test_large_scratch_goes_the_general_way() -> None:
    loss = lm.KLDivergence(p_kind="logits", q_kind="logits")
    for classes, functions in ((10, 1), (3000, 0)):
        given = sample(loss, (2, classes))
        assert len(entered(loss.replace(), **given)) == functions
        assert loss.replace()(**given) == long_way(loss)(**given)
