"""The engine of PyTorch: programs over tensors, in operations that autograd, ``torch.compile`` and ``vmap`` know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from lossmith.engines.arrays import Arrays, Formula

Tensor = Any


class Tensors(Arrays):
    """Plain arithmetic on tensors of one type, on one device.

    Args:
        like: a tensor of that type, float32 or float64, on that device.
    """

    xp: ClassVar[Any] = torch

    def __init__(self, like: Tensor) -> None:
        super().__init__(double=like.dtype == torch.float64)
        self._device, self._dtype = like.device, like.dtype

    def scalar(self, value: float | bool) -> Tensor:
        """Return a number, or a truth value, as a tensor without axes."""
        return torch.full((), value, device=self._device, dtype=torch.bool if isinstance(value, bool) else self._dtype)

    def power(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a ** b."""
        return torch.pow(a, b)

    def erf(self, a: Tensor) -> Tensor:
        """Return the error function."""
        return torch.erf(a)

    def lgamma(self, a: Tensor) -> Tensor:
        """Return the logarithm of the gamma function."""
        return torch.lgamma(a)


def evaluate(formula: Formula, output: str, *inputs: Tensor) -> Tensor:
    """Return an output of a formula over tensors of one shape and type; its derivatives are outputs of it too."""
    if not torch.compiler.is_compiling():
        return _Evaluated.apply(formula, output, *inputs)  # type: ignore[no-untyped-call]
    # The compiler takes functions of autograd where something is differentiated, and in no derivative.
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _Traced.apply(formula, output, *inputs)  # type: ignore[no-untyped-call]
    return _Traced.forward(formula, output, *inputs)


class _Traced(torch.autograd.Function):
    """An output of a formula, as ``torch.compile`` takes it: with first derivatives, and those not forward."""

    @staticmethod
    def forward(formula: Formula, output: str, *inputs: Tensor) -> Tensor:
        """Return the output."""
        found = formula.evaluate(Tensors(inputs[0]), output, inputs)
        return found if found.shape == inputs[0].shape else found.expand(inputs[0].shape).clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what derivatives need."""
        ctx.formula, ctx.name, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the derivatives by the inputs, each times ``g``."""
        return _slopes(_Traced.forward, ctx, g)


class _Evaluated(_Traced):
    """The same with derivatives of derivatives, forward too, and for many calls at once."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what derivatives need."""
        _Traced.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the derivatives by the inputs, each times ``g``."""
        return _slopes(evaluate, ctx, g)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """Return how the output changes along tangents of the inputs."""
        total = torch.zeros_like(ctx.saved_tensors[0])
        for place, tangent in enumerate(tangents[2:]):
            name = None if tangent is None else ctx.formula.derivative(ctx.name, place)
            if name is not None:
                total = total + times(tangent, evaluate(ctx.formula, name, *ctx.saved_tensors))
        return total


def _slopes(function: Callable[..., Tensor], ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    found: list[Tensor | None] = [None, None]
    for place, needed in enumerate(ctx.needs_input_grad[2:]):
        name = ctx.formula.derivative(ctx.name, place) if needed else None
        found.append(None if name is None else times(g, function(ctx.formula, name, *ctx.saved_tensors)))
    return tuple(found)


def times(factor: Tensor, slope: Tensor) -> Tensor:
    """Return a product in which an exact zero wins: what does not count has no derivative, whatever it would be."""
    return torch.where(factor == 0, torch.zeros_like(slope), factor.to(slope.dtype) * slope)
