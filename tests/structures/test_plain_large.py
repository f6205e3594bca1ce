"""Plain calls of many numbers say what the long way says, to the last bit: past the caches or not, and with a rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.core.outputs import set_apart
from lossmith.engines.numpy import BLOCK
from lossmith.structures import plain_numbers
from lossmith.structures.plain_numbers import PlainNumbers
from tests.structures.test_plain import long_way

Array = npt.NDArray[Any]
kernel = pytest.importorskip("lossmith.engines.llvm.kernel")

BOTH = ("gradient", "hessian")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three blocks be many, too many for the caches."""
    monkeypatch.setattr(plain_numbers, "LARGEST", 2 * BLOCK)
    monkeypatch.setattr(kernel, "STREAMING", 0)


def elsewhere(size: int, begin: int) -> Array:
    """Return an array that begins so many bytes into a page."""
    raw = np.zeros(8 * size + 2 * 4096, np.uint8)
    start = -raw.ctypes.data % 4096 + begin
    return raw[start : start + 8 * size].view(np.float64)


def short(loss: Loss, y: Any, f: Any, out: Any = None) -> Any:
    """Return what the short way says of gradient and Hessian, if anything."""
    assert loss._plain is not None
    return loss._plain.each(y, f, {}, ["gradient:f", "hessian:f,f"], out)


@pytest.mark.parametrize("rest", [0, 100, 5000], ids=["", "some more", "a kernel's more"])
@pytest.mark.parametrize("loss", [lm.Huber(), lm.Poisson(), lm.BinaryCrossEntropy()], ids=str)
def test_results_are_those_of_the_long_way(loss: Loss, rest: int) -> None:
    for dtype in (np.float32, np.float64):
        y, f = (array.astype(dtype) for array in sample(loss, 3 * BLOCK + rest).values())
        right = long_way(loss).evaluate(y, f)
        for name, array in loss.evaluate(y, f).items():
            np.testing.assert_array_equal(array, right[name], strict=True)
        assert short(loss, y, f) is not None
        room = {name: set_apart(f.shape, f.dtype) for name in BOTH}
        found = loss.evaluate(y, f, BOTH, out=room)
        for name in BOTH:
            assert found[name] is room[name]
            np.testing.assert_array_equal(found[name], right[name], strict=True)
        for reduction in ("mean", "sum"):
            cost, slopes = loss.cost_and_gradient(y, f, reduction=reduction)
            expected, wanted = long_way(loss).cost_and_gradient(y, f, reduction=reduction)
            assert cost == expected == loss.cost(y, f, reduction=reduction)
            np.testing.assert_array_equal(slopes, wanted, strict=True)


@pytest.mark.parametrize("name", [n for n in lm.names() if isinstance(lm.loss_class(n)()._plain, PlainNumbers)])
def test_every_loss_of_numbers_has_them(name: str) -> None:
    loss = lm.loss_class(name)()
    given = {key: array.astype(np.float32) for key, array in sample(loss, 3 * BLOCK + 9).items()}
    assert loss._plain is not None
    found = loss._plain(None, None, given, gradient=True, mean=True)
    right = long_way(loss).cost_and_gradient(**given)
    assert found is not None
    np.testing.assert_equal(found, right)


def test_what_lies_otherwise_or_in_what_is_read_goes_the_long_way() -> None:
    y, f = sample(lm.Huber(), 3 * BLOCK).values()
    right = long_way(lm.Huber()).evaluate(y, f, BOTH)
    room = np.zeros(6 * BLOCK)
    cases: list[tuple[Any, Any, Any]] = [
        (np.repeat(y, 2)[::2], f, None),
        (y, f.astype(">f8"), None),
        (y, f, {"gradient": room[::2], "hessian": room[1::2]}),
        (y, mine := f.copy(), {"gradient": mine}),
        (y, f, {"gradient": room[: f.size], "hessian": room[1 : f.size + 1][: f.size]}),
    ]
    for targets, predictions, out in cases[:4]:
        assert short(lm.Huber(), targets, predictions, out) is None
        for name, array in lm.Huber().evaluate(targets, predictions, BOTH, out=out).items():
            np.testing.assert_array_equal(array, right[name])
    assert short(lm.Huber(), *cases[4]) is None
    with pytest.raises(lm.ParameterError, match="share memory"):
        lm.Huber().evaluate(y, f, BOTH, out=cases[4][2])


@pytest.mark.parametrize("out", [{"losses": 1}, {"gradient": np.zeros(5)}, {"gradient": None}, {"slope": 1}, 7])
def test_outputs_that_are_not_right_are_refused_as_ever(out: Any) -> None:
    y, f = sample(lm.Huber(), 3 * BLOCK).values()
    messages = []
    for loss in (lm.Huber(), long_way(lm.Huber())):
        with pytest.raises((lm.LossmithError, TypeError, AttributeError)) as caught:
            loss.evaluate(y, f, BOTH, out=out)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_what_calls_for_a_look_gets_it() -> None:
    y, f = np.zeros(3 * BLOCK + 10), np.ones(3 * BLOCK + 10)
    for place in (0, 2 * BLOCK, f.size - 1):
        wrong = y.copy()
        wrong[place] = -1.0
        with pytest.raises(lm.DomainError, match=rf"y_true\[{place}\]"):
            lm.Poisson().gradient(wrong, f)


def test_sums_that_overflow_are_infinite() -> None:
    f = np.full(3 * BLOCK, np.sqrt(1.2e308 / BLOCK))  # each block has a finite sum
    for size in (2 * BLOCK, 3 * BLOCK):
        assert lm.SquaredError().cost(np.zeros(size), f[:size]) == np.inf
        assert long_way(lm.SquaredError()).cost(np.zeros(size), f[:size]) == np.inf


def test_nothing_is_written_past_the_caches_just_behind_what_is_read() -> None:
    size = BLOCK
    y, f = elsewhere(size, 16), elsewhere(size, 1040)
    far, also = elsewhere(size, 2048), elsewhere(size, 3072)
    assert kernel.Move.of([y, f], [far, also]) == (True, True)
    for begin in (64, 128, 320, 1088, 1344):
        assert not kernel.Move.of([y, f], [far, elsewhere(size, begin)]).past
    for begin in (0, 384, 1024, 1408):
        assert kernel.Move.of([y, f], [far, elsewhere(size, begin)]).past
    assert not kernel.Move.of([y, f], [far, elsewhere(size, 2056)]).past  # no cache line begins there
    assert kernel.Move.of([y[::2], f[::2]], [elsewhere(size // 2, 64)]).past  # what is copied is read elsewhere
