"""Plain calls for the outputs of each example say what the long way says, to the last bit, or leave it to that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.engines import choice
from lossmith.structures.plain_numbers import PlainNumbers
from tests.structures.test_plain import long_way

OUTPUTS = (("losses",), ("gradient",), ("hessian",), ("gradient", "hessian"), ("hessian", "losses", "gradient"))
NUMBERS = [name for name in lm.names() if isinstance(lm.loss_class(name)()._plain, PlainNumbers)]


def each(loss: Loss, given: dict[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    """Return what a plain call gives, which has to be one, held against the long way."""
    found, right = loss.evaluate(**given, outputs=outputs), long_way(loss).evaluate(**given, outputs=outputs)
    assert list(found) == list(right)
    arrays = list(given.values())
    for output, expected in right.items():
        by_name = expected if isinstance(expected, dict) else {"": expected}
        for name, array in by_name.items():
            mine = found[output][name] if name else found[output]
            np.testing.assert_array_equal(mine, array, strict=True)
            assert not any(np.shares_memory(mine, other) for other in arrays)
            arrays.append(mine)
    parts = [part for output in outputs for part in loss._parts[output]]
    assert loss._plain is not None
    assert loss._plain.each(None, None, given, parts) is not None
    return found


@pytest.mark.parametrize("name", NUMBERS)
def test_every_loss_of_numbers_has_them(name: str) -> None:
    loss = lm.loss_class(name)()
    for dtype, engine, size in ((np.float32, "numpy", 5), (np.float64, "auto", 5), (np.float32, "auto", 5000)):
        given = {key: array.astype(dtype) for key, array in sample(loss, size).items()}
        with choice.using(engine):  # type: ignore[arg-type]
            each(loss, given, ("losses", "gradient", "hessian"))


@pytest.mark.parametrize("loss", [lm.Huber(), lm.BinaryCrossEntropy(), lm.GaussianNLL()], ids=str)
def test_sizes_shapes_and_outputs(loss: Loss) -> None:
    for size in (1, 7, 4095, 4096, 16_384, 30_000):
        given = sample(loss, size)
        for outputs in OUTPUTS:
            each(loss, given, outputs)
        each(loss, {key: array.reshape(1, size, 1) for key, array in given.items()}, ("gradient",))
        each(loss, {key: array[::-1] for key, array in given.items()}, ("losses", "gradient"))


def test_what_is_kept_for_other_arrays_does_not_ask_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = pytest.importorskip("lossmith.engines.llvm.kernel")
    forms: list[Any] = []
    monkeypatch.setattr(kernel, "STREAMING", 0)
    monkeypatch.setattr(kernel, "address", lambda array: 0)  # a cache line, whatever it is
    monkeypatch.setattr(kernel, "ready", lambda program, form, parameters: forms.append(form))
    plain, arrays = lm.Huber()._plain, [np.zeros(8192)] * 2
    assert isinstance(plain, PlainNumbers)
    plain._ready(arrays, {"gradient:f": np.empty(8192)})
    kernel.choose(lm.Huber().part("gradient:f", "valid"), arrays, {}, {"gradient:f": np.empty(8192)}, "double")
    assert [form.streaming for form in forms] == [False, True]


def test_full_hessians_go_the_long_way() -> None:
    loss, given = lm.GaussianNLL(), sample(lm.GaussianNLL(), 9)
    found = loss.evaluate(**given, outputs=("hessian", "full_hessian"))
    np.testing.assert_equal(found, long_way(loss).evaluate(**given, outputs=("hessian", "full_hessian")))


def test_labels_may_be_whole_numbers_and_losses_infinite() -> None:
    loss = lm.BinaryCrossEntropy(prediction="probabilities")
    found = each(loss, {"y_true": np.array([1, 0, 1]), "y_pred": np.array([0.0, 0.5, 1.0])}, ("losses",))
    assert found["losses"].tolist() == [np.inf, np.log(2.0), 0.0]


@pytest.mark.parametrize("size", [3, 5000])
def test_what_calls_for_a_message_gets_it(size: int) -> None:
    f = np.ones(size)
    for y, error in ((np.full(size, np.nan), lm.DomainError), (np.ones(size + 1), lm.ShapeError)):
        for kind in (lm.Poisson, lm.Huber):
            for loss in (kind(), long_way(kind())):
                with pytest.raises(error, match=kind.__name__):
                    loss.gradient(y, f)
    with pytest.warns(lm.LossmithWarning, match="probabilities"):
        lm.BinaryCrossEntropy().gradient(np.ones(50), np.linspace(0.1, 0.9, 50))
