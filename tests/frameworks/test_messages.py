"""One mistake has one message on every host: they differ in what the inputs are called, and in nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import lossmith as lm
import lossmith.jax as lj
import lossmith.keras as lk
import lossmith.torch as lt

# PyTorch warns of what its own compiler does.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")

Given = Mapping[str, Any]


def _numpy(loss: lm.Loss, given: Given) -> Any:
    return loss(**given)


def _torch(loss: lm.Loss, given: Given) -> Any:
    told = {"y_pred": "input", "y_true": "target", "weight": "weight"}
    return lt.module(loss)(**{told[name]: torch.tensor(array) for name, array in given.items()})


def _jax(loss: lm.Loss, given: Given) -> Any:
    told = {"y_pred": "predictions", "y_true": "targets", "weight": "weight"}
    return lj.cost(loss, **{told[name]: jnp.asarray(array) for name, array in given.items()})


def _keras(loss: lm.Loss, given: Given) -> Any:
    return lk.loss(loss)(given["y_true"], given["y_pred"], sample_weight=given.get("weight"))


HOSTS: list[Callable[[lm.Loss, Given], Any]] = [_numpy, _torch, _jax, _keras]
CALLED = {
    "target": "y_true", "targets": "y_true", "input": "y_pred", "predictions": "y_pred", "sample_weight": "weight",
}  # fmt: skip


def message(host: Callable[[lm.Loss, Given], Any], loss: lm.Loss, given: Given) -> tuple[type, str]:
    """Return the error of a call, with the inputs by the names of the catalogue."""
    with pytest.raises(lm.LossmithError) as caught:
        host(loss, given)
    said = re.sub(r"\w+", lambda found: CALLED.get(found[0], found[0]), str(caught.value))
    return caught.type, said


def floats(*numbers: float) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.float32)


ROWS = np.zeros((2, 3), np.float32)
MISTAKES: dict[str, tuple[lm.Loss, Given, type, str]] = {
    "a class that there is not": (
        lm.SparseCategoricalCrossEntropy(), {"y_true": np.array([0, 3]), "y_pred": ROWS}, lm.DomainError,
        "SparseCategoricalCrossEntropy: class indices must be whole numbers in [0, 3), but y_true[1] is 3 (1 such of "
        "2); if 3 marks rows to leave out, pass ignore_index=3",
    ),
    "a class that is negative": (
        lm.SoftmaxFocal(), {"y_true": np.array([-1, 2]), "y_pred": ROWS}, lm.DomainError,
        "SoftmaxFocal: class indices must be whole numbers in [0, 3), but y_true[0] is -1 (1 such of 2)",
    ),
    "a label that is none": (
        lm.BinaryCrossEntropy(), {"y_true": floats(0, 2), "y_pred": floats(0, 0)}, lm.DomainError,
        "BinaryCrossEntropy: y_true must be in [0, 1], but y_true[1] is 2; labels are 0 and 1, or probabilities; for "
        "-1 and +1 pass labels='signed', and for more classes take a loss of them, such as "
        "sparse_categorical_cross_entropy",
    ),
    "a count below zero": (
        lm.Poisson(), {"y_true": floats(1, -1), "y_pred": floats(0, 0)}, lm.DomainError,
        "Poisson: y_true must be in [0, inf), but y_true[1] is -1; a Poisson y_true is a count",
    ),
    "a prediction that is infinite": (
        lm.Huber(), {"y_true": floats(0, 0), "y_pred": floats(0, np.inf)}, lm.DomainError,
        "Huber: y_pred must be finite, but y_pred[1] is inf",
    ),
    "rows that are no distributions": (
        lm.CategoricalCrossEntropy(), {"y_true": np.full((2, 3), 0.5, np.float32), "y_pred": ROWS}, lm.DomainError,
        "CategoricalCrossEntropy: probabilities must lie in [0, 1] and sum to 1, but row [0] of y_true is [0.5, 0.5, "
        "0.5] with the sum 1.5",
    ),
    "shapes that differ": (
        lm.Huber(), {"y_true": ROWS[0], "y_pred": ROWS}, lm.ShapeError,
        "Huber: y_true has shape (3,) and y_pred (2, 3); shapes must be equal, since broadcasting would give (2, 3).",
    ),
    "more labels than rows": (
        lm.SparseCategoricalCrossEntropy(), {"y_true": np.array([0, 1, 2]), "y_pred": ROWS}, lm.ShapeError,
        "SparseCategoricalCrossEntropy: y_pred has shape (2, 3) with the classes along axis 1, so y_true, a number for "
        "each row, must have shape (2,), but has (3,).",
    ),
    "a negative weight": (
        lm.Huber(), {"y_true": ROWS[0], "y_pred": ROWS[0], "weight": floats(-1, 0, 0)}, lm.DomainError,
        "Huber: weights must be finite and at least 0, but weight[0] is -1 (1 such of 3); drop those rows or give them "
        "weight 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_has_one_message_on_every_host(mistake: str) -> None:
    loss, given, error, text = MISTAKES[mistake]
    told = {host.__name__: message(host, loss, given) for host in HOSTS}
    assert set(told.values()) == {told["_numpy"]}
    assert told["_numpy"][0] is error
    assert told["_numpy"][1].startswith(text)


@pytest.mark.parametrize(
    ("mistake", "demand"),
    [
        ("a label that is none", "target must be in [0, 1]; input must be finite"),
        ("a count below zero", "target must be in [0, inf); input must be finite"),
        ("a prediction that is infinite", "target must be finite; input must be finite"),
        ("a class that there is not", "class indices must be whole numbers"),
        ("a negative weight", "weights must be finite and at least 0"),
    ],
)
def test_a_compiled_graph_has_its_words_but_for_the_row(mistake: str, demand: str) -> None:
    loss, given, error, _ = MISTAKES[mistake]
    criterion = lt.module(loss)
    told = {"y_pred": "input", "y_true": "target", "weight": "weight"}
    arguments = {told[name]: torch.tensor(array) for name, array in given.items()}
    call = torch.compile(lambda **arguments: criterion(**arguments), backend="aot_eager", fullgraph=True)
    assert torch.isnan(call(**arguments))
    assert torch.isnan(call(**arguments))  # a call does not wait for what the last one found
    with pytest.raises(error) as caught:
        criterion.check()
    assert f"{type(loss).__name__}: 2 examples of traced calls lie outside the domains" in str(caught.value)
    assert demand in str(caught.value)
    assert str(caught.value).endswith("call the module on them without torch.compile to see which")
