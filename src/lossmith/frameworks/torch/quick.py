"""Plain calls of modules: tensors in memory and nothing else, which training on small batches is full of.

To bind, check and file takes longer there than to compute. So a call like an earlier one goes straight to a function in
machine code, which looks at the tensors itself. What is not as plain, and whatever calls for a message, gets nothing
here and goes the long way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import torch
from torch.autograd import forward_ad

from lossmith.core.loss import Loss
from lossmith.engines import choice
from lossmith.engines.llvm.exchange import exports
from lossmith.engines.numpy import BLOCK
from lossmith.engines.torch import times
from lossmith.errors import LossmithError
from lossmith.frameworks.torch.costs import CPU, IN_MEMORY, Call, is_kept_elsewhere, kind_of, scaled, weighted
from lossmith.structures.plain import LARGEST

Tensor = Any
Like = tuple[Any, ...]
"""What calls that are alike have in common."""
Computed = tuple[float, list[Tensor]]
"""A cost, and the gradients that are wanted."""
Typed = tuple[Any, Any]
"""A function of tensors (``lossmith.engines.llvm.entry.Entry``), and the type of its cost."""

MOST = 64
"""Calls that are remembered, all unlike."""
TRIED = 4
"""Functions that are tried one after the other; tensors of more kinds than that seldom come in turns."""

# Each is one step of the interpreter, and these are most of what a small call takes.
_facts = attrgetter("__class__", "requires_grad")
_is_negated, _empty_like = torch.Tensor.is_neg, torch.empty_like
_EXPORT = exports(torch.Tensor)


class Ways(NamedTuple):
    """The ways of calls whose tensors want the same gradients.

    Attributes:
        wanted: places of the inputs that want one.
        tried: functions that are tried, one after the other, and the type of the cost that each gives.
        made: all of them, by what they were made for; nothing where there is none.
    """

    wanted: Sequence[int]
    tried: list[Typed]
    made: dict[Like, Typed | None]

    def remember(self, like: Like, known: Typed | None) -> Typed | None:
        """Keep what there is for calls that are alike, and return it."""
        if len(self.made) >= MOST:
            self.made.clear()
        self.made[like] = known
        return known


class Quick:
    """The plain calls of a module.

    Args:
        loss: the loss.
        reduction, empty: those of the module.
        places: the names of the inputs in the order in which calls bring them.
    """

    def __init__(self, loss: Loss, reduction: str, empty: str, places: Sequence[str]) -> None:
        self._loss, self._reduction, self._empty = loss, reduction, empty
        self._plain: Any = loss._plain if reduction != "none" else None
        self._names = [item.name for item in loss.inputs]
        self.count = len(self._names)
        self._predicted = [place for place, item in enumerate(loss.inputs) if item.predicted]
        self._ordered: Callable[..., Any] = tuple
        if self.count > 1:
            self._ordered = itemgetter(*map(places.index, self._names))
        self._met: dict[Like, Ways] = {}

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
            ways = self._met.get(like) or self._meet(like, tensors)
            if ways is None or any(map(_is_negated, tensors)):
                return None
            found = self.computed(ways, tensors)
        except (AttributeError, RuntimeError, TypeError, LossmithError):
            return None  # there is what is no tensor, has no numbers in memory, or calls for a message
        if found is None:
            return None
        (cost, slopes), kind = found
        if slopes:
            return _apply((cost, slopes, kind, ways, self), *tensors)
        return torch.scalar_tensor(cost, dtype=kind, device=CPU)

    def computed(self, ways: Ways, tensors: Sequence[Tensor]) -> tuple[Computed, Any] | None:
        """Return what comes of a call, and the type of its cost, or nothing where there is more to say."""
        wanted, tried, _ = ways
        if tried:
            slopes = [*map(_empty_like, map(tensors.__getitem__, wanted))]
            for enter, kind in tried:
                cost = enter(*tensors, *slopes)
                if cost is not None:
                    return (cost, slopes), kind
        return self._otherwise(ways, tensors)

    def _meet(self, like: Like, tensors: Sequence[Tensor]) -> Ways | None:
        """Return the ways of calls that are alike, from now on, if they may be plain."""
        if any(type(tensor) not in IN_MEMORY for tensor in tensors):
            return None
        learning = torch.is_grad_enabled()
        wanted = [place for place, tensor in enumerate(tensors) if learning and tensor.requires_grad]
        if not all(place in self._predicted for place in wanted):
            return None
        return self._met.setdefault(like, Ways(wanted, [], {}))

    def _otherwise(self, ways: Ways, tensors: Sequence[Tensor]) -> tuple[Computed, Any] | None:
        """Return what comes of a call that no function takes that is tried, which this may change."""
        lead = tensors[self._predicted[0]]
        like = (lead.ndim, lead.shape[-1:], lead.numel() <= LARGEST, *[tensor.dtype for tensor in tensors])
        given = [tensor.detach().numpy() for tensor in tensors]
        mean, known = self._reduction != "sum", ways.made.get(like)
        new = like not in ways.made and _EXPORT  # without that no function could read tensors
        if new and (enter := self._plain.again(given, ways.wanted, mean=mean, export=_EXPORT)):
            known = ways.remember(like, (enter, kind_of(self._loss, tensors)))
        if known is not None and known not in ways.tried:
            ways.tried.insert(0, known)
            del ways.tried[TRIED:]
            slopes = [torch.empty_like(tensors[place]) for place in ways.wanted]
            cost = known[0](*tensors, *slopes)
            if cost is not None:
                return (cost, slopes), known[1]
        if known is not None and lead.numel() <= BLOCK:  # then there is more to say
            return None
        found = _by_arrays(self._loss, mean, ways.wanted, given)
        if found and known is None:  # else it is this call that is not plain
            ways.remember(like, None)
        return found and (found, kind_of(self._loss, tensors))

    def again(self, tensors: Sequence[Tensor], wanted: Sequence[int]) -> list[Tensor]:
        """Return the gradients by some inputs, to be differentiated again."""
        names = [self._names[place] for place in wanted]
        call = Call(self._loss, self._loss.inputs, None, None, self._reduction, self._empty, names)
        return weighted(call, tensors)


def _by_arrays(loss: Loss, mean: bool, wanted: Sequence[int], given: Sequence[Any]) -> Computed | None:
    """Return what a plain call of arrays gives: of many numbers, or where there are no functions."""
    found = loss._plain and loss._plain.some(given, wanted, mean=mean)
    if not found:
        return None
    cost, slopes = found
    return cost, [torch.from_numpy(slope) for slope in slopes]


class Known(torch.autograd.Function):
    """A cost that is known, as its gradients are."""

    @staticmethod
    def forward(ctx: Any, known: tuple[float, list[Tensor], Any, Ways, Quick], *tensors: Tensor) -> Tensor:
        """Return the cost, and keep what derivatives need.

        Args:
            ctx: where that is kept.
            known: cost, gradients and the type of the cost, the ways that the call took, and whose it is.
            tensors: the inputs.
        """
        ctx.known = known
        if is_kept_elsewhere():
            known[1].clear()  # the backward pass computes them again
        ctx.save_for_backward(*tensors)
        return torch.scalar_tensor(known[0], dtype=known[2], device=CPU)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients: the first time those which came with the cost."""
        _, slopes, _, ways, quick = ctx.known
        wanted = ways.wanted
        gradients: list[Tensor | None] = [None] * (1 + quick.count)
        if torch.is_grad_enabled():  # they may be differentiated again
            for place, slope in zip(wanted, quick.again(ctx.saved_tensors, wanted), strict=True):
                gradients[1 + place] = times(g, slope)
            return tuple(gradients)
        if not slopes:
            found = quick.computed(ways, ctx.saved_tensors)
            slopes = found[0][1] if found else quick.again(ctx.saved_tensors, wanted)
        for place in reversed(wanted):  # they are given away, and whoever gets them may write over them
            gradients[1 + place] = scaled(g, slopes.pop())
        return tuple(gradients)


_apply: Any = super(torch.autograd.Function, Known).apply
"""``Known.apply``, for where functions of ``torch.func`` are known not to be at work."""
