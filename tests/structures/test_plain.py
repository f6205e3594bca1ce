"""Plain calls say what the long way says, to the last bit, and leave to it whatever calls for a message."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.points import kinds
from lossmith.certify.samples import sample
from lossmith.engines import choice

Array = npt.NDArray[Any]
SIZES = (1, 7, 4095, 4096, 16_384, 20_000, 30_000)


def long_way(loss: Loss) -> Loss:
    """Return a loss of the same class without short calls."""
    other = loss.replace()
    other.__dict__["_plain"] = None
    return other


def both_ways(loss: Loss, ask: Callable[[Loss], Any]) -> tuple[Any, Any]:
    """Return what a loss says in a plain call, which has to be one, and the long way."""
    assert loss._plain is not None
    taken = []
    plain = loss._plain

    def noted(*args: Any, **named: Any) -> Any:
        taken.append(plain(*args, **named))
        return taken[-1]

    loss.__dict__["_plain"] = noted
    found = ask(loss)
    assert taken
    assert taken[-1] is not None
    return found, ask(long_way(loss))


def data(loss: Loss, size: int, dtype: Any = np.float64) -> tuple[Array, Array]:
    drawn = sample(loss, size)
    return drawn["y_true"].astype(dtype), drawn["y_pred"].astype(dtype)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
def test_every_loss_has_plain_calls_of_the_same_bits(kind: type[Loss]) -> None:
    for dtype in (np.float32, np.float64):
        for engine in ("numpy", "auto"):
            for size in (5, 5000):
                y, f = data(kind(), size, dtype)
                if engine == "numpy" and size > 4096:
                    continue
                with choice.using(engine):  # type: ignore[arg-type]
                    cost, expected = both_ways(kind(), lambda loss, y=y, f=f: loss(y, f))  # type: ignore[misc]
                    assert cost == expected
                    (cost, slope), (expected, right) = both_ways(
                        kind(),
                        lambda loss, y=y, f=f: loss.cost_and_gradient(y, f),  # type: ignore[misc]
                    )
                    assert cost == expected
                    assert slope.dtype == right.dtype
                    np.testing.assert_array_equal(slope, right, strict=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reduction", ["mean", "count_mean", "sum"])
def test_sizes_shapes_and_reductions(size: int, reduction: str) -> None:
    for engine in ("numpy", "auto", "llvm"):
        y, f = data(lm.Huber(), size)
        with choice.using(engine):  # type: ignore[arg-type]
            loss, other = lm.Huber(), long_way(lm.Huber())
            assert loss.cost(y, f, reduction=reduction) == other.cost(y, f, reduction=reduction)
            for shape in ((size,), (1, size), (size, 1, 1)):
                found = loss.cost_and_gradient(y.reshape(shape), f.reshape(shape), reduction=reduction)
                right = other.cost_and_gradient(y.reshape(shape), f.reshape(shape), reduction=reduction)
                assert found[0] == right[0]
                np.testing.assert_array_equal(found[1], right[1], strict=True)


@pytest.mark.parametrize("label", [np.int64, np.uint8, np.bool_, np.dtype(">i4")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_of_any_type_are_plain(label: Any, dtype: Any) -> None:
    for size in (50, 5000):
        y, f = data(lm.BinaryCrossEntropy(), size, dtype)
        y = (y > 0.5).astype(label)
        found, right = both_ways(lm.BinaryCrossEntropy(), lambda loss, y=y, f=f: loss.cost_and_gradient(y, f))  # type: ignore[misc]
        assert found[0] == right[0]
        np.testing.assert_array_equal(found[1], right[1], strict=True)


def test_strides_and_byte_orders_are_read_right() -> None:
    for size in (50, 5000):
        y, f = data(lm.Huber(), 2 * size)
        for a, b in ((y[::2], f[::2]), (y[::-1], f), (y.astype(">f8"), f.astype(">f8")), (y.astype("f4"), f)):
            found, right = (loss.cost_and_gradient(a, b) for loss in (lm.Huber(), long_way(lm.Huber())))
            assert found[0] == right[0]
            np.testing.assert_array_equal(found[1], right[1], strict=True)
        square = (y.reshape(2, size).T, f.reshape(2, size).T)
        assert lm.Huber()(*square) == long_way(lm.Huber())(*square)


BAD: list[tuple[Loss, Any, Any]] = [
    (lm.Huber(), [0.0, np.nan], [0.0, 1.0]),
    (lm.Huber(), [0.0, 1.0], [0.0, np.inf]),
    (lm.Huber(), [[0.0, 1.0]], [0.0, 1.0]),
    (lm.Huber(), [], []),
    (lm.Welsch(), [0.0, np.inf], [0.0, 1.0]),  # whose loss is bounded
    (lm.BinaryCrossEntropy(), [0.0, 2.0], [0.0, 3.0]),
    (lm.BinaryCrossEntropy(prediction="probabilities"), [0.0, 1.0], [0.5, 1.5]),
    (lm.Poisson(), [-1.0, 1.0], [0.0, 1.0]),
]


@pytest.mark.parametrize("times", [1, 5000])
@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_bad_data_is_refused_as_ever(case: tuple[Loss, Any, Any], times: int) -> None:
    loss, y, f = case[0], *(np.tile(np.asarray(part, float), times) for part in case[1:])
    messages = []
    for way in (loss, long_way(loss)):
        for ask in (way.cost, way.cost_and_gradient):
            with pytest.raises(lm.LossmithError) as caught:
                ask(y, f)
            messages.append((type(caught.value), str(caught.value)))
    assert messages == messages[:1] * 4


def test_an_infinite_loss_is_infinite() -> None:
    loss = lm.BinaryCrossEntropy(prediction="probabilities")
    for times in (1, 5000):
        y, f = np.tile([0.0, 1.0], times), np.tile([0.5, 0.0], times)
        assert loss(y, f) == np.inf
        assert loss.cost_and_gradient(y, f)[0] == np.inf


def test_probabilities_for_logits_are_warned_of() -> None:
    loss = lm.BinaryCrossEntropy()
    y, f = np.arange(100) % 2 * 1.0, np.linspace(0, 1, 100)
    with pytest.warns(lm.LossmithWarning, match="declared as logits"):
        loss(y, f)
    f[7] = -3.0  # none of the places that are looked at
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(y, f) == long_way(loss)(y, f)


@pytest.mark.parametrize("replaced", ["_batch", "_stream", "_runner", "_run_kernel", "_refuse_invalid"])
def test_a_class_that_replaces_what_is_passed_has_none(replaced: str) -> None:
    def other(self: Any, *args: Any, **named: Any) -> Any:
        return getattr(super(lm.Huber, self), replaced)(*args, **named)

    assert type("Other", (lm.Huber,), {replaced: other, "name": "other"})()._plain is None
    assert type("Same", (lm.Huber,), {"name": "same"})()._plain is not None


def test_losses_without_one_way_to_be_plain_have_none() -> None:
    assert lm.Triplet()._plain is None
    assert lm.CrammerSinger()._plain is None


def test_what_was_given_stays() -> None:
    for size in (50, 5000):
        y, f = data(lm.Exponential(), size)
        kept = y.copy(), f.copy()
        lm.Exponential().cost_and_gradient(y, f)
        np.testing.assert_array_equal(y, kept[0])
        np.testing.assert_array_equal(f, kept[1])


@pytest.mark.parametrize("size", [50, 5000, 20_000])
def test_gradients_are_written_where_they_are_wanted(size: int) -> None:
    y, f = data(lm.Huber(), size)
    for shape in ((size,), (size // 10, 10)):
        a, b = y.reshape(shape), f.reshape(shape)
        right = long_way(lm.Huber()).cost_and_gradient(a, b)
        for out in (np.zeros(shape), np.zeros((*shape, 2))[..., 0], np.zeros(shape[::-1]).T):
            cost, slope = lm.Huber().cost_and_gradient(a, b, out=out)
            assert cost == right[0]
            assert slope is out
            np.testing.assert_array_equal(out, right[1])
        over = b.copy()
        assert lm.Huber().cost_and_gradient(a, over, out=over)[0] == right[0]
        np.testing.assert_array_equal(over, right[1])


def test_gradients_that_lie_apart_are_written_at_once() -> None:
    for size in (50, 5000, 30_000):
        y, f = data(lm.Huber(), size)
        out = np.zeros(size)
        found, right = both_ways(lm.Huber(), lambda loss, y=y, f=f, out=out: loss.cost_and_gradient(y, f, out=out)[0])  # type: ignore[misc]
        assert found == right
        np.testing.assert_array_equal(out, long_way(lm.Huber()).cost_and_gradient(y, f)[1])


@pytest.mark.parametrize("size", [50, 5000, 30_000])
def test_gradients_may_be_written_over_what_is_read(size: int) -> None:
    y, f = data(lm.Huber(), size)
    right = long_way(lm.Huber()).cost_and_gradient(y, f)
    for ahead in (-1, 1):
        room = np.zeros(size + 1)
        over, out = (room[:-1], room[1:])[::ahead]
        over[:] = f
        cost, slope = lm.Huber().cost_and_gradient(y, over, out=out)
        assert cost == right[0]
        assert slope is out
        np.testing.assert_array_equal(out, right[1])


def test_what_cannot_be_written_into_is_refused_as_ever() -> None:
    y, f = data(lm.Huber(), 50)
    locked = np.zeros(50)
    locked.flags.writeable = False
    for out in (np.zeros(49), np.zeros(50, np.float32), locked, [0.0] * 50):
        messages = []
        for loss in (lm.Huber(), long_way(lm.Huber())):
            with pytest.raises(lm.LossmithError) as caught:
                loss.cost_and_gradient(y, f, out=out)  # type: ignore[arg-type]
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


@pytest.mark.parametrize(("loss", "taken"), [(lm.Tweedie(), 3), (lm.BinaryCrossEntropy(), 3), (lm.Huber(), 0)])
def test_what_is_many_calls_for_numpy_goes_to_a_kernel_at_any_size(loss: Loss, taken: int) -> None:
    batch = loss._batch(sample(loss.raw_form, 3), None, None, trusted=True)
    assert loss.raw_form._rows_for_kernel(batch, ("losses",)) == taken


def test_few_numbers_share_a_kernel_whatever_their_type() -> None:
    loss = lm.BinaryCrossEntropy()
    for size, kernels in ((50, 1), (5000, 4)):  # those of 5,000 float32 numbers are the same as for few
        for label in (np.float32, np.int8, np.int64, np.bool_):
            loss.cost((np.arange(size) % 2).astype(label), np.linspace(-2, 2, size, dtype=np.float32))
        assert len(loss._plain._kernels) == kernels  # type: ignore[union-attr]
