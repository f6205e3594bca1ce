"""What PyTorch says of losses of a prediction and a target: value and derivatives, as users get them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lossmith.core.loss import Loss
from lossmith.frameworks.torch import traced
from lossmith.frameworks.torch.modules import LossModule

Array = npt.NDArray[Any]
Tensor = Any


def eager(loss: Loss, y: Array, f: Array, kind: str) -> list[Array]:
    """Return value, gradient and second derivative of each example from a module of tensors in memory."""
    return _answers(LossModule(loss, reduction="none"), y, f, kind)


def in_operations(loss: Loss, y: Array, f: Array, kind: str) -> list[Array]:
    """Return the same from operations on tensors, as on other devices."""
    loss.ready()
    return _answers(lambda f, y: traced.sums(loss, {"y_pred": f, "y_true": y}, None, None).losses, y, f, kind)


def compiled(loss: Loss, y: Array, f: Array, kind: str, backend: str = "inductor") -> list[Array]:
    """Return value and gradient from ``torch.compile``, which takes no second derivatives."""
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the compiler itself
        return _answers(torch.compile(LossModule(loss, reduction="none"), backend=backend), y, f, kind, twice=False)


def _answers(
    run: Callable[[Tensor, Tensor], Tensor], y: Array, f: Array, kind: str, *, twice: bool = True
) -> list[Array]:
    dtype = getattr(torch, kind)
    target, prediction = (torch.as_tensor(x).to(dtype) for x in (y, f))
    prediction.requires_grad_()
    losses = run(prediction, target)
    (slope,) = torch.autograd.grad(losses.sum(), prediction, create_graph=twice)
    found = [losses.detach(), slope.detach()]
    if twice:
        found += torch.autograd.grad(slope.sum(), prediction)
    return [_array(x) for x in found]


def _array(found: Tensor) -> Array:
    # NumPy has no bfloat16; every number of it is one of float32.
    numbers: Array = (found.float() if found.dtype == torch.bfloat16 else found).numpy()
    return np.ascontiguousarray(numbers)
