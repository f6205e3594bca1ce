"""Plain calls of modules: tensors in memory and nothing else, which training on small batches is full of.

To bind, check and file takes longer there than to compute. A call like an earlier one goes straight to the kernel of
that one, which only wants to know where tensors begin. What is not as plain, and whatever calls for a message, gets
nothing here and goes the long way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter, itemgetter, mod
from typing import Any

import torch
from torch.autograd import forward_ad

from lossmith.core.loss import Loss
from lossmith.engines import choice
from lossmith.engines.torch import times
from lossmith.frameworks.torch.costs import IN_MEMORY, Call, scaled, weighted
from lossmith.structures.again import Again, again, fits

Tensor = Any
Like = tuple[Any, ...]
"""What calls that are alike have in common."""
Computed = tuple[float, list[Tensor], Sequence[int]]
"""A cost, the gradients that are wanted, and the places of the inputs that they are by."""

Compute = Callable[[Sequence[Tensor]], Computed | None]
"""What computes calls that are alike, or gives nothing where there is more to say."""

MOST = 64
"""Calls that are remembered, all unlike."""

# Each is one step of the interpreter, and these are most of what a small call takes.
_facts = attrgetter("__class__", "dtype", "shape", "is_cpu", "requires_grad")
_begin, _is_contiguous, _is_negated = torch.Tensor.data_ptr, torch.Tensor.is_contiguous, torch.Tensor.is_neg
_CPU = torch.device("cpu")


class Quick:
    """The plain calls of a module.

    Args:
        loss: the loss.
        reduction, empty: those of the module.
        places: the names of the inputs in the order in which calls bring them.
    """

    def __init__(self, loss: Loss, reduction: str, empty: str, places: Sequence[str]) -> None:
        self._loss, self._reduction, self._empty = loss, reduction, empty
        self._plain = loss._plain if reduction != "none" else None
        self._names = [item.name for item in loss.inputs]
        self.count = len(self._names)
        self._predicted = [place for place, item in enumerate(loss.inputs) if item.predicted]
        self._ordered: Callable[..., Any] = tuple
        if self.count > 1:
            self._ordered = itemgetter(*map(places.index, self._names))
        self._met: dict[Like, Compute] = {}

    def __call__(self, given: Sequence[Tensor]) -> Tensor | None:
        """Return the cost, or nothing where the call is not plain.

        Args:
            given: the inputs.
        """
        if self._plain is None or torch._C._are_functorch_transforms_active():
            return None
        if forward_ad._current_level >= 0:  # where tensors carry tangents along
            return None
        tensors = self._ordered(given)
        try:
            like = (choice._forced, torch.is_grad_enabled(), *map(_facts, tensors))
            compute = self._met.get(like) or self._meet(like, tensors)
            found = compute and compute(tensors)
        except (AttributeError, RuntimeError, TypeError):  # there is what is no tensor, or has no numbers in memory
            return None
        if found is None:
            return None
        kind = tensors[self._predicted[0]].dtype
        if found[1]:
            return _apply((found, kind, compute, self), *tensors)
        return torch.scalar_tensor(found[0], dtype=kind, device=_CPU)

    def _meet(self, like: Like, tensors: Sequence[Tensor]) -> Compute | None:
        """Return what computes tensors that are alike, now and from now on, if they are plain."""
        if self._plain is None or any(type(tensor) not in IN_MEMORY for tensor in tensors):
            return None
        learning, mean = torch.is_grad_enabled(), self._reduction != "sum"
        wanted = [place for place, tensor in enumerate(tensors) if learning and tensor.requires_grad]
        if not all(place in self._predicted for place in wanted):
            return None
        compute: Compute = partial(_by_arrays, self._loss, mean, wanted)
        if fits(tensors[self._predicted[0]].numel()):
            met = again(self._loss, [tensor.detach().numpy() for tensor in tensors], wanted, mean=mean)
            if met is None:
                return None
            compute = partial(_by_kernel, met)
        if len(self._met) >= MOST:  # more where threads met here
            self._met.clear()
        self._met[like] = compute
        return compute

    def again(self, tensors: Sequence[Tensor], wanted: Sequence[int]) -> list[Tensor]:
        """Return the gradients by some inputs, to be differentiated again."""
        names = [self._names[place] for place in wanted]
        call = Call(self._loss, self._loss.inputs, None, None, self._reduction, self._empty, names)
        return weighted(call, tensors)


def _by_kernel(met: Again, tensors: Sequence[Tensor]) -> Computed | None:
    """Return what comes of tensors like those of an earlier call, or nothing where there is more to say."""
    if any(map(_is_negated, tensors)) or not all(map(_is_contiguous, tensors)):
        return None
    slopes = []
    for place in met.wanted:
        slopes.append(torch.empty_like(tensors[place]))
    begins = list(map(_begin, tensors))
    begins += map(_begin, slopes)
    if 0 in begins or any(map(mod, begins, met.sizes)):
        return None
    for look in met.looks:
        if not look(begins):
            return None
    total = met.run(begins, met.rows, 1 / met.divisor)
    return None if total is None else (total / met.divisor, slopes, met.wanted)


def _by_arrays(loss: Loss, mean: bool, wanted: Sequence[int], tensors: Sequence[Tensor]) -> Computed | None:
    """Return what a plain call of arrays gives: of many numbers, or where there are no kernels."""
    names = [item.name for item in loss.inputs]
    named = {name: tensor.detach().numpy() for name, tensor in zip(names, tensors, strict=True)}
    found = loss._plain and loss._plain(None, None, named, gradient=bool(wanted), mean=mean)
    if not found:
        return None
    cost, slopes = found
    by_name = slopes if isinstance(slopes, dict) else {loss.predicted[0].name: slopes}
    return cost, [torch.from_numpy(by_name[names[place]]) for place in wanted], wanted


class Known(torch.autograd.Function):
    """A cost that is known, as its gradients are."""

    @staticmethod
    def forward(ctx: Any, known: tuple[Computed, Any, Compute, Quick], *tensors: Tensor) -> Tensor:
        """Return the cost, and keep what derivatives need.

        Args:
            ctx: where that is kept.
            known: what was computed, the type of the cost, what computed it, and whose call it is.
            tensors: the inputs.
        """
        ctx.known = known
        ctx.save_for_backward(*tensors)
        return torch.scalar_tensor(known[0][0], dtype=known[1], device=_CPU)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients: the first time those which came with the cost."""
        (_, slopes, wanted), _, compute, quick = ctx.known
        gradients: list[Tensor | None] = [None] * (1 + quick.count)
        if torch.is_grad_enabled():  # they may be differentiated again
            for place, slope in zip(wanted, quick.again(ctx.saved_tensors, wanted), strict=True):
                gradients[1 + place] = times(g, slope)
            return tuple(gradients)
        if not slopes:
            found = compute(ctx.saved_tensors)
            slopes = found[1] if found else quick.again(ctx.saved_tensors, wanted)
        for place in reversed(wanted):  # they are given away, and whoever gets them may write over them
            gradients[1 + place] = scaled(g, slopes.pop())
        return tuple(gradients)


_apply: Any = super(torch.autograd.Function, Known).apply
"""``Known.apply``, for where functions of ``torch.func`` are known not to be at work."""
