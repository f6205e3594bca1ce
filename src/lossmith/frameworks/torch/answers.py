"""What PyTorch says of losses: values and derivatives, as users get them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lossmith.core.loss import Loss
from lossmith.frameworks.torch import traced
from lossmith.frameworks.torch.modules import LossModule

Array = npt.NDArray[Any]
Tensor = Any


def eager(loss: Loss, given: Mapping[str, Array], kind: str) -> dict[str, Array]:
    """Return losses, gradients and second derivatives from a module of tensors in memory."""
    return _answers(loss, LossModule(loss, reduction="none"), given, kind)


def in_operations(loss: Loss, given: Mapping[str, Array], kind: str) -> dict[str, Array]:
    """Return the same from operations on tensors, as on other devices."""
    loss.ready()
    return _answers(loss, lambda **tensors: traced.sums(loss, tensors, None, None, {}).losses, given, kind)


def compiled(loss: Loss, given: Mapping[str, Array], kind: str, backend: str = "inductor") -> dict[str, Array]:
    """Return losses and gradients from ``torch.compile``, which takes no second derivatives."""
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the compiler itself
        module = torch.compile(LossModule(loss, reduction="none"), backend=backend)
        return _answers(loss, module, given, kind, twice=False)


def _answers(
    loss: Loss, run: Callable[..., Tensor], given: Mapping[str, Array], kind: str, *, twice: bool = True
) -> dict[str, Array]:
    tensors = {name: torch.as_tensor(x if x.dtype.kind == "i" else x.astype(float)) for name, x in given.items()}
    tensors = {name: x if x.dtype == torch.int64 else x.to(getattr(torch, kind)) for name, x in tensors.items()}
    ends = {item.symbol: tensors[item.name].requires_grad_() for item in loss.predicted}
    losses = run(**tensors)
    slopes = torch.autograd.grad(losses.sum(), list(ends.values()), create_graph=twice)
    found = {"losses": losses}
    first = (..., 0) if loss.row_axis is not None else ...
    for (symbol, x), slope in zip(ends.items(), slopes, strict=True):
        found[f"gradient:{symbol}"] = slope
        if twice:
            (bend,) = torch.autograd.grad(slope[first].sum(), x, retain_graph=True)
            found[f"hessian:{symbol}"] = bend[first]
    return {name: _array(x.detach()) for name, x in found.items()}


def _array(found: Tensor) -> Array:
    if found.dtype != torch.bfloat16:
        return np.asarray(found.numpy())
    import ml_dtypes  # only who asks in bfloat16 needs it

    return np.asarray(found.float().numpy().astype(ml_dtypes.bfloat16))
