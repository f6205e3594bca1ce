"""What is said where tensors do not fit a call, whichever way it takes."""

from __future__ import annotations

import numbers
from typing import Any, NoReturn

import torch
from torch.autograd import forward_ad
from torch.masked import MaskedTensor

from lossmith.core.words import spoken
from lossmith.errors import KindError

Tensor = Any


def check(owner: str, name: str, value: Any, *, predicted: bool) -> None:
    """Check an input of a call, but for its values, shape and device.

    Raises:
        KindError: for what is no tensor, or none that lies in memory number by number, and for predictions that are
            whole numbers.
    """
    if not isinstance(value, torch.Tensor):
        raise KindError(f"{owner}: {name} must be a tensor, got {type(value).__name__}; pass torch.as_tensor(...)")
    if value.is_nested:
        raise KindError(f"{owner}: {name} is a nested tensor; pass {name}.to_padded_tensor(0), and a mask= of its rows")
    if isinstance(value, MaskedTensor):
        raise KindError(f"{owner}: {name} is a MaskedTensor; pass {name}.get_data(), and {name}.get_mask() as mask=")
    if value.layout != torch.strided:
        raise KindError(f"{owner}: {name} is {value.layout}; pass {name}.to_dense()")
    if predicted and not value.is_floating_point() and not value.is_complex():
        raise KindError(
            f"{owner}: {name} must hold floats, got {value.dtype}; the input comes before the target, "
            "and whole numbers become floats by .float()"
        )


def spread(value: Any, like: Tensor) -> Any:
    """Return what is spread over the examples as the catalogue takes it, where PyTorch has other forms besides.

    Args:
        value: a tensor, a number for all, or a tensor that lacks the last axis, as ``var`` of PyTorch may.
        like: the input that has all axes.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        kind = torch.float64 if like.dtype == torch.float64 else torch.float32
        return torch.full((), float(value), dtype=kind, device=like.device)
    if isinstance(value, torch.Tensor) and value.ndim and value.shape == like.shape[:-1]:
        return value.unsqueeze(-1)
    return value


def elsewhere(owner: str, name: str, tensor: Tensor, other: Tensor, label: str = "the input") -> KindError:
    """Return the error for a tensor on another device than another."""
    return KindError(f"{owner}: {label} is on {other.device} and {name} on {tensor.device}; bring both to one device")


def no_gradient(owner: str, name: str) -> KindError:
    """Return the error for what wants a gradient and has none."""
    return KindError(f"{owner}: {name} requires a gradient, and the loss has none by it; pass {name}.detach()")


class _Closed(torch.autograd.Function):
    """What no derivative may reach, neither backward nor forward, however many levels of ``torch.func`` lie outside.

    A level is asked when it differentiates: a tensor does not tell what those around it want.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(owner: str, name: str, tensor: Tensor) -> Tensor:
        """Return the same."""
        return tensor.view_as(tensor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what is to be said."""
        ctx.said = inputs[:2]

    @staticmethod
    def backward(ctx: Any, *_: Any) -> NoReturn:
        """Raise an error.

        Raises:
            KindError: for a derivative.
        """
        raise no_gradient(*ctx.said)

    jvp = backward


def closed(owner: str, name: str, tensor: Tensor) -> Tensor:
    """Return a tensor whose derivatives are refused where anybody asks for those that a tensor does not tell of."""
    if torch.compiler.is_compiling() or not tensor.is_floating_point():
        return tensor
    if not torch._C._are_functorch_transforms_active() and forward_ad._current_level < 0:
        return tensor
    return _Closed.apply(owner, spoken(name), tensor)  # type: ignore[no-untyped-call]
