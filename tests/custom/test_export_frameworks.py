"""Code that losses are exported as for PyTorch, Keras and JAX: values, gradients, and what else is expected there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch

import lossmith as lm
from tests.custom.exported import CHOICES, FEW_ROWS, LOSSES, OWN, ROW_LOSSES, apart, data, in_order, right, rows, run

pytestmark = pytest.mark.engines("numpy")  # costs are those of either engine, and kernels take a while to compile


def made(loss: lm.Loss, target: str) -> Any:
    """Return the one class that a file defines."""
    names = run(lm.export(loss, target))
    return names["WeightedSum" if hasattr(loss, "parts") else type(loss).__name__]


def test_pytorch_says_what_the_loss_says() -> None:
    said = []
    for loss in (*LOSSES, *CHOICES):
        arrays, predicted = data(loss), [item.name for item in loss.predicted]
        tensors = {name: torch.tensor(x, requires_grad=name in predicted) for name, x in arrays.items()}
        losses = made(loss, "torch")(reduction="none")(*(tensors[name] for name in in_order(loss)))
        losses.sum().backward()
        found = {"losses": losses.detach(), **{name: tensors[name].grad for name in predicted}}
        said += apart(loss, found, right(loss, arrays))
    for loss in ROW_LOSSES:
        arrays, predicted = rows(loss), [item.name for item in loss.predicted]
        tensors = {name: torch.tensor(x, requires_grad=name in predicted) for name, x in arrays.items()}
        losses = made(loss, "torch")(reduction="none")(*(tensors[name] for name in in_order(loss)))
        losses.sum().backward()
        found = {"losses": losses.detach(), **{name: tensors[name].grad for name in predicted}}
        said += apart(loss, found, right(loss, arrays))
    assert said == []


@pytest.mark.parametrize("loss", [lm.Huber(), lm.GaussianNLL(), lm.Focal(), OWN[0], lm.SoftmaxFocal()], ids=str)
def test_modules_of_pytorch_pass_its_own_checks(loss: lm.Loss) -> None:
    module = made(loss, "torch")(reduction="none")
    if loss.name == "softmax_focal":
        given: list[torch.Tensor] = [torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 0])]
    else:
        arrays = {"y_true": [0.2, 0.9, 0.5], "y_pred": [0.1, -1.5, 2.0], "variance": [0.5, 1.0, 2.0]}
        given = [torch.tensor(arrays[name], dtype=torch.float64) for name in in_order(loss)]
    for place, name in enumerate(in_order(loss)):
        given[place].requires_grad_(name != "y_true")
    assert torch.autograd.gradcheck(module, given)
    assert torch.autograd.gradgradcheck(module, given)
    one = torch.func.vmap(torch.func.grad(lambda *each: module(*each)))(*(x.detach() for x in given))
    torch.testing.assert_close(one, torch.autograd.grad(module(*given).sum(), given[0])[0])


def test_modules_of_pytorch_reduce_by_weight() -> None:
    loss, weight = lm.Huber(delta=1.5), np.array([1.0, 2.0, 0.0])
    y, f = np.array([0.0, 1.0, 2.0]), np.array([1.0, 5.0, 2.5])
    for reduction in ("mean", "sum"):
        found = made(loss, "torch")(reduction=reduction)(*map(torch.tensor, (f, y, weight)))
        assert found.item() == pytest.approx(loss.cost(y, f, weight=weight, reduction=reduction), rel=1e-12)
    assert made(loss, "torch")()(torch.tensor(f), torch.tensor(y)).item() == pytest.approx(loss.cost(y, f), rel=1e-12)


def packed(arrays: list[np.ndarray] | list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Return arrays as Keras passes them: one, or several along the last axis."""
    tensors = [torch.as_tensor(x) for x in arrays]
    return tensors[0] if len(tensors) == 1 else torch.stack(tensors, -1) if tensors else like


def test_keras_says_what_the_loss_says() -> None:
    said = []
    for loss in (loss for loss in (*LOSSES, *CHOICES) if loss.name != "two_inputs"):
        arrays = data(loss)
        slopes = {item.name: torch.tensor(arrays[item.name], requires_grad=True) for item in loss.predicted}
        y_pred = packed(list(slopes.values()), torch.zeros(1))
        y_true = packed([arrays[item.name] for item in loss.inputs if not item.predicted], y_pred)
        losses = made(loss, "keras")(reduction=None, dtype="float64")(y_true, y_pred)
        losses.sum().backward()
        found = {"losses": losses.detach(), **{name: x.grad for name, x in slopes.items()}}
        said += apart(loss, found, right(loss, arrays))
    for loss in FEW_ROWS:
        arrays, names = rows(loss), [item.name for item in loss.inputs]
        tensors = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays.values()]
        y_true, y_pred = tensors if len(names) == 2 else (torch.zeros(1), torch.stack(tensors, -2))
        losses = made(loss, "keras")(reduction=None, dtype="float64")(y_true, y_pred)
        losses.sum().backward()
        slopes = dict(zip(names, (x.grad for x in tensors), strict=True))
        found = {"losses": losses.detach(), **{item.name: slopes[item.name] for item in loss.predicted}}
        said += apart(loss, found, right(loss, arrays))
    assert said == []


def test_a_model_of_keras_is_trained_and_loaded_with_it(tmp_path: Path) -> None:
    loss = made(lm.Huber(delta=1.5), "keras")(delta=0.75)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", loss=loss)
    x = np.linspace(-1, 1, 16, dtype=np.float32)[:, None]
    history = model.fit(x, 2 * x, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").loss.delta == 0.75


def test_jax_says_what_the_loss_says() -> None:
    said = []
    with jax.enable_x64(True), jax.disable_jit():  # or most of the time goes to compiling what is called once
        for loss in (*LOSSES, *CHOICES):
            arrays, order, predicted = data(loss), in_order(loss), [item.name for item in loss.predicted]
            losses = run(lm.export(loss, "jax"))["loss"]
            value, pull = jax.vjp(losses, *(jnp.asarray(arrays[name]) for name in order))
            slopes = dict(zip(order, pull(jnp.ones_like(value)), strict=True))
            found = {"losses": value, **{name: slopes[name] for name in predicted}}
            said += apart(loss, found, right(loss, arrays))
        for loss in FEW_ROWS:
            arrays, order = rows(loss), in_order(loss)
            losses = run(lm.export(loss, "jax"))["loss"]
            predicted = [name for name in order if name in {item.name for item in loss.predicted}]

            def of(*given, losses=losses, arrays=arrays, order=order, predicted=predicted):
                known = arrays | dict(zip(predicted, given, strict=True))
                return losses(*(known[name] for name in order))

            value, pull = jax.vjp(of, *(jnp.asarray(arrays[name]) for name in predicted))
            slopes = dict(zip(predicted, pull(jnp.ones_like(value)), strict=True))
            said += apart(loss, {"losses": value, **slopes}, right(loss, arrays))
    assert said == []


def test_functions_of_jax_are_compiled_and_mapped() -> None:
    with jax.enable_x64(True):
        names = run(lm.export(lm.Huber(delta=1.5), "jax"))
        f, y = jnp.array([1.0, 5.0, 2.5]), jnp.array([0.0, 1.0, 2.0])
        weight = jnp.array([1.0, 2.0, 0.0])
        cost = jax.jit(jax.value_and_grad(names["cost"]))(f, y, weight=weight, delta=2.0)
        expected = lm.Huber(delta=2).cost_and_gradient(np.asarray(y), np.asarray(f), np.asarray(weight))
        np.testing.assert_allclose(cost[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(cost[1], expected[1], rtol=1e-12)
        bends = jax.vmap(jax.grad(jax.grad(names["loss"])))(f, y)
        np.testing.assert_allclose(bends, lm.Huber(delta=1.5).hessian(np.asarray(y), np.asarray(f)))
