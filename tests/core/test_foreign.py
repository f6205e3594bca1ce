"""Losses read arrays of other libraries where they lie, keep none of them, and refuse what they cannot read."""

from __future__ import annotations

import array
import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.core.contract import numbers
from tests.mistakes import is_named

LIBRARIES: dict[str, Callable[[Any], Any]] = {"torch": torch.as_tensor, "jax": jnp.asarray, "tensorflow": tf.constant}
LOSSES = (
    lm.Huber(),
    lm.GaussianNLL(),
    lm.SparseCategoricalCrossEntropy(),
    lm.KLDivergence(),
    lm.MultiQuantile(),
    lm.Triplet(),
    lm.Huber() + lm.LogCosh(),
)
Z = torch.zeros(3)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_every_structure_reads_them(loss: Loss, library: str) -> None:
    data = {name: x.astype(np.float32) if x.dtype.kind == "f" else x for name, x in sample(loss, 6).items()}
    given = {name: LIBRARIES[library](x) for name, x in data.items()}
    weight, mask = np.float32([1, 2, 3, 4, 5, 6]), np.arange(6) > 1
    theirs = {"weight": LIBRARIES[library](weight), "mask": LIBRARIES[library](mask)}
    right, found = loss.evaluate(**data), loss.evaluate(**given)
    assert loss.cost(**given, **theirs) == loss.cost(**data, weight=weight, mask=mask)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(one, other)


READ: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "tensor": (torch.randn(5), lambda x: x.numpy()),
    "indices": (torch.arange(5), lambda x: x.numpy()),
    "half": (torch.randn(5).half(), lambda x: x.numpy()),
    "transposed": (torch.randn(5, 3).T, lambda x: x.numpy()),
    "jax": (jnp.arange(5.0), np.asarray),
    "tensorflow": (tf.constant([1.0, 2.0]), np.asarray),
    "array": (array.array("d", [1.0, 2.0]), lambda x: np.frombuffer(x)),
    "memoryview": (memoryview(np.ones(3)), np.asarray),
}


def test_tensors_of_bfloat16_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for tensor in (torch.arange(5.0), torch.randn(5, 3).T.round(), torch.tensor(2.5)):
        short = tensor.bfloat16()
        read = numbers("Huber", "y_true", short)
        np.testing.assert_array_equal(read.astype(np.float32), short.float().numpy())
        assert read.ctypes.data == short.data_ptr()
        assert np.all(lm.Huber().losses(short, short + 2) == 1.5)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(lm.KindError, match=r"for example by \.float\(\)\.numpy\(\), or install ml_dtypes"):
        lm.Huber()(Z, Z.bfloat16())


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_nothing_is_copied(case: tuple[Any, Callable[[Any], Any]]) -> None:
    value, view = case
    assert np.shares_memory(numbers("Huber", "y_true", value), view(value))


def test_a_copy_would_be_seen() -> None:
    assert not np.shares_memory(numbers("Huber", "y_true", Z.tolist()), Z.numpy())
    assert not np.shares_memory(numbers("Huber", "y_true", Z.clone()), Z.numpy())


def test_nothing_is_kept_and_results_stay() -> None:
    made: list[Any] = []
    for make in (torch.full, jnp.full):
        own = make((4,), 3.0)
        gone = weakref.ref(own)
        made.append(lm.Huber().evaluate(np.zeros(4, np.float32), own))
        del own
        gc.collect()
        assert gone() is None
    for found in made:
        assert found["losses"].tolist() == [2.5] * 4
        assert found["gradient"].tolist() == [1] * 4


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "that learns": (lambda: lm.Huber()(Z, Z.clone().requires_grad_()), "y_pred is a torch Tensor that requires a grad"),
    "parameter": (lambda: lm.Huber()(Z, torch.nn.Parameter(Z)), "call the module lossmith.torch.Huber"),
    "on another device": (lambda: lm.Huber()(Z, Z.to("meta")), "that NumPy cannot read (can't convert meta device"),
    "without numbers": (lambda: lm.Huber()(Z, Z.to("meta")), "with numbers, which tensors on the meta device have not"),
    "of a type NumPy lacks": (lambda: lm.Huber()(Z, Z.to(torch.float8_e5m2)), "for example by .float().numpy()"),
    "sparse": (lambda: lm.Huber()(Z.to_sparse(), Z), "y_true is a torch Tensor that NumPy cannot read"),
    "dense again": (lambda: lm.Huber()(Z.to_sparse(), Z), "for example by .to_dense().numpy()"),
    "cut off": (lambda: lm.Huber()(Z, Z.clone().requires_grad_()), "for example by .detach().numpy()"),
    "mask": (lambda: lm.Huber()(Z, Z, mask=(Z > 0).to("meta")), "mask is a torch Tensor"),
    "weight": (lambda: lm.Huber()(Z, Z, weight=Z.to("meta")), "weight is a torch Tensor"),
    "traced by jax": (lambda: jax.grad(lambda x: lm.Huber()(x, x))(jnp.zeros(3)), "call a function of lossmith.jax"),
    "traced by tensorflow": (
        lambda: tf.function(lambda x: lm.Huber()(x, x), autograph=False)(tf.zeros(3)),
        "call lossmith.keras.Huber()",
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_refused_with_what_to_call(case: tuple[Callable[[], Any], str]) -> None:
    call, text = case
    is_named(call, lm.KindError, text)


class Far:
    """An array on a graphics card, as DLPack tells of it."""

    __module__ = "torch"

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.zeros(3)  # some libraries copy without a word


def test_an_array_on_a_card_is_not_fetched_without_a_word() -> None:
    with pytest.raises(lm.KindError, match="y_pred is a torch Far on another device"):
        lm.Huber()(np.zeros(3), Far())
    with pytest.raises(lm.KindError, match=r"for example by \.cpu\(\)\.numpy\(\)"):
        lm.Huber()(np.zeros(3), Far())
