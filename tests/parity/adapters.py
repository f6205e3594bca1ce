"""How to call a loss of each peer by its name, with derivatives where the peer has them.

A peer is imported when a loss of it is called, and never before.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.parity.table import Difference, Row

Array = npt.NDArray[Any]
Weight = tuple[str, Array] | None


@dataclass(frozen=True)
class Found:
    """What a peer gives: a cost or losses, and the gradient of their sum by each input asked for."""

    value: Array
    gradients: Mapping[str, Array] = field(default_factory=dict)


@lru_cache(maxsize=1)
def _prepare_keras() -> tempfile.TemporaryDirectory[str]:
    # Keras chooses its backend when it is imported; a folder of its own keeps a user's settings out.
    home = tempfile.TemporaryDirectory(prefix="keras-")
    os.environ.setdefault("KERAS_HOME", home.name)
    return home  # the cache keeps it until the tests end


@lru_cache(maxsize=512)
def resolve(name: str) -> Any:
    """Return what a dotted name means."""
    if name.startswith("keras."):
        _prepare_keras()
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def has_no_reduction(row: Row | Difference, name: str) -> bool:
    """Whether this name takes no reduction, as functions of Keras where its classes do."""
    return bool(row.returns) and not (name.startswith("keras.losses") and inspect.isclass(resolve(name)))


def reductions(row: Row, name: str) -> Mapping[str, str]:
    """Return the reductions that this name takes, with ours; ``returned`` for what it returns without one."""
    return {"returned": str(row.returns)} if has_no_reduction(row, name) else row.reductions


def weights(row: Row, name: str) -> Mapping[str, Mapping[str, str]]:
    """Return the keywords by which this name takes weights: functions of PyTorch, classes of Keras."""
    is_class = inspect.isclass(resolve(name))
    takes_none = is_class if name.startswith("torch.") else name.startswith("keras.") and not is_class
    return {} if takes_none else row.weights


def second_order(name: str) -> bool:
    """Whether the peer gives second derivatives itself."""
    return name.startswith("sklearn._loss.")


@dataclass(frozen=True)
class Call:
    """What a peer is called with: its name and options, arrays in the order of ``arguments``, and a weight.

    ``wanted`` are the arguments that the gradient is asked for.
    """

    name: str
    options: Mapping[str, Any]
    arguments: Sequence[str]
    given: Mapping[str, Array]
    wanted: Sequence[str]
    weight: Weight

    @property
    def weighted(self) -> dict[str, Array]:
        """The keyword of the weight, if there is one."""
        return {} if self.weight is None else dict([self.weight])


def call(
    name: str,
    options: Mapping[str, Any],
    arguments: Sequence[str],
    given: Mapping[str, Array],
    predicted: Iterable[str] = (),
    reduction: str = "returned",
    weight: Weight = None,
) -> Found:
    """Return what the peer gives for arrays by name, passed in the order of ``arguments``."""
    keywords = options if reduction == "returned" else {**options, "reduction": reduction}
    wanted = [key for key in predicted if key in arguments]
    return ADAPTERS[name.split(".")[0]](Call(name, keywords, arguments, given, wanted, weight))


def _torch(call: Call) -> Found:
    torch, target = import_module("torch"), resolve(call.name)
    dtype = torch.tensor(call.given[call.arguments[0]]).dtype
    options = {
        key: torch.tensor(item, dtype=dtype) if isinstance(item, list) else item for key, item in call.options.items()
    }
    if inspect.isclass(target):
        return _backward(target(**options), call)
    extra = {key: torch.tensor(array) for key, array in call.weighted.items()}
    return _backward(lambda *places: target(*places, **options, **extra), call)


def _keras(call: Call) -> Found:
    target = resolve(call.name)
    assert resolve("keras.backend.backend")() == "torch", "these tests run Keras on PyTorch: unset KERAS_BACKEND"
    if call.name.startswith("keras.distillation"):
        return _backward(target(**call.options).compute_loss, call)
    if not inspect.isclass(target):
        return _backward(lambda *places: target(*places, **call.options), call)
    dtype = str(np.result_type(*(array for array in call.given.values() if array.dtype.kind == "f")))
    extra = {key: import_module("torch").tensor(array) for key, array in call.weighted.items()}
    loss = target(**{"dtype": dtype, **call.options})
    return _backward(lambda *places: loss(*places, **extra), call)


def _backward(loss: Callable[..., Any], call: Call) -> Found:
    torch = import_module("torch")
    tensors = {key: torch.tensor(call.given[key], requires_grad=key in call.wanted) for key in call.arguments}
    value = loss(*(tensors[key] for key in call.arguments))
    if call.wanted:
        value.sum().backward()
    return Found(value.detach().numpy(), {key: tensors[key].grad.numpy() for key in call.wanted})


def _optax(call: Call) -> Found:
    jax, target = import_module("jax"), resolve(call.name)

    def total(predicted: Mapping[str, Any]) -> tuple[Any, Any]:
        value = target(*({**arrays, **predicted}[key] for key in call.arguments), **call.options)
        return value.sum(), value

    with jax.enable_x64(True):
        arrays = {key: jax.numpy.asarray(call.given[key]) for key in call.arguments}
        slopes, value = jax.grad(total, has_aux=True)({key: arrays[key] for key in call.wanted})
        return Found(np.asarray(value), {key: np.asarray(slope) for key, slope in slopes.items()})


def _sklearn(call: Call) -> Found:
    target, places = resolve(call.name), [call.given[key] for key in call.arguments]
    if call.name.startswith("sklearn.metrics."):
        return Found(np.asarray(target(*places, **call.options, **call.weighted)))
    loss = target(**call.options)
    if call.name.startswith("sklearn._loss."):
        y, f = _boosting(call.arguments, call.given)
        value, slope = loss.loss(y, f, **call.weighted), loss.gradient(y, f, **call.weighted)
        return Found(np.asarray(value), {key: np.asarray(slope) for key in call.wanted})
    value = np.array([loss.py_loss(*pair) for pair in zip(*places, strict=True)])
    slope = np.array([loss.py_dloss(*pair) for pair in zip(*places, strict=True)])
    return Found(value, dict.fromkeys(call.wanted, slope))


def hessian(name: str, options: Mapping[str, Any], arguments: Sequence[str], given: Mapping[str, Array]) -> Array:
    """Return the diagonal of the Hessian by the prediction, of peers that give it."""
    y, f = _boosting(arguments, given)
    _, found = resolve(name)(**options).gradient_hessian(y, f)
    # One number stands for all where the Hessian is constant.
    return np.broadcast_to(np.asarray(found), f.shape) if np.size(found) == 1 else np.asarray(found)


def _boosting(arguments: Sequence[str], given: Mapping[str, Array]) -> tuple[Array, Array]:
    y, f = (np.ascontiguousarray(given[key], dtype=np.float64) for key in arguments)
    return y, f


ADAPTERS = {"torch": _torch, "keras": _keras, "optax": _optax, "sklearn": _sklearn}
