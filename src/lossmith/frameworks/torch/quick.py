"""Plain calls of modules: two tensors in memory and nothing else, which training on small batches is full of.

To bind, check and file takes longer there than to compute. What is not as plain, and whatever calls for a message, gets
nothing here and goes the long way, to the same bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad

from lossmith.core.loss import Loss
from lossmith.engines.torch import times
from lossmith.frameworks.torch.costs import IN_MEMORY, Call, scaled, weighted

Tensor = Any

_COMPUTED = (torch.float32, torch.float64)


class Quick:
    """The plain calls of a module.

    Args:
        loss: the loss.
        reduction, empty: those of the module.
    """

    def __init__(self, loss: Loss, reduction: str, empty: str) -> None:
        self._loss, self._reduction, self._empty = loss, reduction, empty
        self._plain = loss._plain if loss.paired and reduction in ("mean", "sum") else None
        self._inputs = loss.inputs
        self._input_first = self._inputs[0].name == "y_pred"

    def __call__(self, input: Tensor, target: Tensor) -> Tensor | None:
        """Return the cost, or nothing where the call is not plain."""
        if self._plain is None or type(input) not in IN_MEMORY or type(target) is not torch.Tensor:
            return None
        kind = input.dtype
        if kind not in _COMPUTED or (target.dtype is not kind and target.is_floating_point()) or target.is_complex():
            return None
        if not input.is_cpu or not target.is_cpu or target.requires_grad or torch._C._are_functorch_transforms_active():
            return None
        if forward_ad._current_level >= 0:  # where tensors carry tangents along
            return None
        learning = input.requires_grad and torch.is_grad_enabled()
        y, f = target.numpy(), input.detach().numpy()
        found = self._plain(y, f, {}, gradient=learning, mean=self._reduction == "mean")
        if found is None:
            return None
        cost = torch.scalar_tensor(found[0], dtype=kind)
        return Known.apply(cost, found[1], self, input, target) if learning else cost  # type: ignore[no-untyped-call]

    def again(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the gradient by the input, to be differentiated again."""
        tensors = (input, target) if self._input_first else (target, input)
        call = Call(self._loss, self._inputs, None, None, self._reduction, self._empty, ("y_pred",))
        return weighted(call, tensors)[0]


class Known(torch.autograd.Function):
    """A cost that is known, as its gradient is."""

    @staticmethod
    def forward(ctx: Any, cost: Tensor, slope: Any, quick: Quick, input: Tensor, target: Tensor) -> Tensor:
        """Return the cost, and keep what derivatives need."""
        ctx.slope, ctx.quick = slope, quick
        ctx.save_for_backward(input, target)
        return cost

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient: the first time that which came with the cost."""
        if ctx.slope is None or torch.is_grad_enabled():
            return None, None, None, times(g, ctx.quick.again(*ctx.saved_tensors)), None
        slope, ctx.slope = ctx.slope, None  # it is given away, and whoever gets it may write over it
        return None, None, None, scaled(g, torch.from_numpy(slope)), None
