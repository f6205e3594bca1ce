"""Losses of tensors in memory: the compiled engine computes, and autograd hears of the result.

A call reads tensors where they lie and writes its gradient once, together with the cost. Who differentiates that
gradient again gets the second derivatives of the loss itself, so kinks and tails are those of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch.autograd import forward_ad

from lossmith.core.fill import cost_and_slopes
from lossmith.core.inputs import Input
from lossmith.core.loss import Loss
from lossmith.core.state import extent
from lossmith.engines.torch import times
from lossmith.errors import ProgramError
from lossmith.frameworks.torch.refusals import elsewhere, no_gradient

Array = npt.NDArray[Any]
Tensor = Any


IN_MEMORY = (torch.Tensor, torch.nn.Parameter)
"""Types of tensors that hold numbers and nothing else."""
CPU = torch.device("cpu")
"""Where they are, and so what comes of them; PyTorch would take its default device (``torch.set_default_device``)."""
_OF_NUMPY = (torch.float16, torch.float32, torch.float64)


@dataclass(eq=False)
class Call:
    """A call of a loss but for its tensors.

    Attributes:
        loss: whose cost.
        inputs: what the tensors are, in their order.
        weight, mask, reduction, empty: as in ``Loss.cost``.
        wanted: the predicted inputs whose gradient is wanted.
        wide: whether the cost is float64, whatever comes in.
        beside: the tensors whose memory ``weight`` and ``mask`` are, so that autograd sees what is written into them.
    """

    loss: Loss
    inputs: tuple[Input, ...]
    weight: Array | None
    mask: Array | None
    reduction: str
    empty: str
    wanted: Sequence[str]
    wide: bool = False
    beside: Sequence[Tensor] = ()

    def keep(self, ctx: Any, tensors: Sequence[Tensor]) -> None:
        """Keep what derivatives need."""
        ctx.call = self
        ctx.save_for_backward(*tensors, *self.beside)
        ctx.save_for_forward(*tensors)

    def kept(self, ctx: Any) -> tuple[Tensor, ...]:
        """Return the tensors, which nobody has written into since.

        Raises:
            RuntimeError: by PyTorch, where somebody has.
        """
        found: tuple[Tensor, ...] = ctx.saved_tensors[: len(self.inputs)]
        return found

    def arguments(self, tensors: Sequence[Tensor]) -> dict[str, Array]:
        """Return the tensors as arrays, by argument."""
        return {item.name: array_of(tensor) for item, tensor in zip(self.inputs, tensors, strict=True)}

    def gradients(self, tensors: Sequence[Tensor], reduction: str, weight: Array | None) -> tuple[Any, list[Tensor]]:
        """Return the cost and its gradient by each input that is wanted, in the type of its tensor.

        That of half precision is in single: a share of many examples would be 0 in half, whatever multiplies it then.
        """
        given = self.arguments(tensors)
        found, by_name = cost_and_slopes(self.loss, given, weight, self.mask, reduction, self.empty, self.wanted)
        kinds = self.kinds(tensors)
        return found, [_tensor_of(by_name[name], kinds[name]) for name in self.wanted]

    def kinds(self, tensors: Sequence[Tensor]) -> dict[str, Any]:
        """Return the types of gradients by inputs, before they are multiplied by what comes back."""
        pairs = zip(self.inputs, tensors, strict=True)
        return {item.name: torch.promote_types(tensor.dtype, torch.float32) for item, tensor in pairs}

    def places(self, found: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor | None]:
        """Return what belongs to the wanted inputs, in the types of their tensors, in the places of all."""
        by_name, pairs = dict(zip(self.wanted, found, strict=True)), zip(self.inputs, tensors, strict=True)
        return [by_name[item.name].to(x.dtype) if item.name in by_name else None for item, x in pairs]

    def along(self, slopes: Sequence[Tensor], tangents: Sequence[Tensor | None], *, whole: bool) -> Tensor:
        """Return the sum of slopes times tangents, over all examples or of each."""
        by_name = dict(zip((item.name for item in self.inputs), tangents, strict=True))
        terms = [times(by_name[name], slope) for name, slope in zip(self.wanted, slopes, strict=True)]
        axis = self.loss.row_axis
        if whole:
            return torch.stack([term.sum() for term in terms]).sum()
        return torch.stack([term if axis is None else term.sum(axis) for term in terms]).sum(0)

    def filled(self, tensors: Sequence[Tensor]) -> dict[str, Array]:
        """Return the tensors as arrays, with the first example that counts in the place of those that do not."""
        arrays = self.arguments(tensors)
        if self.mask is None or not self.mask.any():
            return arrays
        axis, first = self.loss.row_axis, np.unravel_index(int(np.argmax(self.mask)), self.mask.shape)
        found = {}
        for name, array in arrays.items():
            rows = array if axis is None or array.ndim == self.mask.ndim else np.moveaxis(array, axis, -1)
            kept = self.mask if rows.ndim == self.mask.ndim else self.mask[..., None]
            rows = np.where(kept, rows, rows[first])
            found[name] = rows if axis is None or rows.ndim == self.mask.ndim else np.moveaxis(rows, -1, axis)
        return found

    def counting(self, values: Tensor) -> Tensor:
        """Return what belongs to examples, 0 for those that do not count."""
        return values if self.mask is None else torch.where(self.spread(torch.from_numpy(self.mask)), values, 0.0)

    def spread(self, of_examples: Tensor) -> Tensor:
        """Return a number an example beside what has several numbers an example, where examples are rows."""
        axis = self.loss.row_axis
        return of_examples if axis is None or of_examples.ndim == 0 else of_examples.unsqueeze(axis)

    def shares(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return what the gradient of each example's own loss is multiplied by in that of the cost.

        The weights of classes, and rows that a loss leaves out itself, are in those gradients already, but count in
        what the cost is divided by.
        """
        below = 1.0
        if self.reduction in ("mean", "count_mean"):
            whole, count = extent(self.loss, self.arguments(tensors), self.weight, self.mask)
            below = whole if self.reduction == "mean" else float(count)
        weight = np.asarray(1.0 if self.weight is None else self.weight, np.float64)
        if self.weight is not None and self.mask is not None:
            weight = np.where(self.mask, weight, 0.0)  # elsewhere it may be no number
        return torch.as_tensor(weight / below if below else 0 * weight, device=CPU)


def _tensor_of(array: Any, kind: Any) -> Tensor:
    found = torch.from_numpy(array) if isinstance(array, np.ndarray) else torch.as_tensor(array, device=CPU)
    return found if found.dtype == kind else found.to(kind)


def kind_of(loss: Loss, tensors: Iterable[Tensor]) -> Any:
    """Return the type to compute in, and of the cost: float64 where an input of numbers has it, else float32."""
    kinds = [x.dtype for item, x in zip(loss.inputs, tensors, strict=True) if item.symbol not in loss.class_indices]
    return torch.float64 if torch.float64 in kinds else torch.float32


def array_of(tensor: Tensor) -> Array:
    """Return a tensor's numbers as an array, without a copy where NumPy has the type."""
    plain = tensor.detach().resolve_neg()
    strange = plain.is_floating_point() and plain.dtype not in _OF_NUMPY
    found: Array = (plain.float() if strange else plain).numpy()
    return found


def cost(
    loss: Loss,
    given: Mapping[str, Any],
    weight: Any = None,
    mask: Any = None,
    reduction: str = "mean",
    empty: str = "error",
    *,
    wide: bool = False,
) -> Tensor:
    """Return the cost of tensors in memory as a tensor that knows its derivatives.

    Args:
        loss: whose cost.
        given: tensors, or what ``torch.as_tensor`` takes, by argument.
        weight, mask, reduction, empty: as in ``Loss.cost``.
        wide: whether the cost shall be float64, whatever comes in.

    Raises:
        KindError: for a target, weight or mask that wants a gradient: there is none by it.
    """
    inputs = loss.inputs
    tensors = [given[item.name] for item in inputs]
    learning = torch.is_grad_enabled()
    wanted = []
    for place, (item, tensor) in enumerate(zip(inputs, tensors, strict=True)):
        if not isinstance(tensor, torch.Tensor):
            tensors[place] = torch.as_tensor(tensor, device=CPU)
        elif (learning and tensor.requires_grad) or _has_tangent(tensor):
            if not item.predicted:
                raise no_gradient(type(loss).__name__, item.name)
            wanted.append(item.name)
    if any(item.broadcast for item in inputs):
        tensors = _one_each(inputs, tensors)
    weights, kept = (_plain(loss, name, x, keeps=bool(wanted)) for name, x in (("weight", weight), ("mask", mask)))
    beside = [x for x in (weight, mask) if isinstance(x, torch.Tensor)]
    call = Call(loss, inputs, weights, kept, reduction, empty, wanted, wide, beside)
    return _apply(Cost, call, *tensors)


def _has_tangent(tensor: Tensor) -> bool:
    """Return whether forward-mode differentiation is at work, and this is what it differentiates by."""
    return forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]


def sums(loss: Loss, given: Mapping[str, Any], weight: Any, mask: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weighted sum of losses, which knows its derivatives, the sum of the weights, and what counts."""
    total = cost(loss, given, weight, mask, "sum", "zero", wide=True)
    weights, kept = _plain(loss, "weight", weight), _plain(loss, "mask", mask)
    whole, count = extent(loss, {name: array_of(x) for name, x in given.items()}, weights, kept)
    return total, torch.tensor(whole, dtype=torch.float64, device=CPU), torch.tensor(count, device=CPU)


def _one_each(inputs: Sequence[Input], tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors with those that are spread over the examples as such: autograd adds up their gradients."""
    shape = next(x.shape for item, x in zip(inputs, tensors, strict=True) if not item.broadcast)
    return [
        torch.broadcast_to(x, shape) if item.broadcast and _spreads(x, shape) else x
        for item, x in zip(inputs, tensors, strict=True)
    ]


def _apply(function: Any, *arguments: Any) -> Any:
    return function.apply(*arguments)  # which PyTorch does not type


def _spreads(tensor: Tensor, shape: Sequence[int]) -> bool:
    return tensor.ndim == 0 or (
        tensor.ndim == len(shape) and all(a in (1, b) for a, b in zip(tensor.shape, shape, strict=True))
    )


def _plain(loss: Loss, label: str, value: Any, *, keeps: bool = False) -> Any:
    """Return weights or a mask as an array; one that derivatives keep is nobody else's, or autograd watches it."""
    if not isinstance(value, torch.Tensor):
        return None if value is None else np.array(value, copy=True if keeps else None)
    if not value.is_cpu:
        raise elsewhere(type(loss).__name__, label, value, torch.empty(0, device=CPU))
    if (value.requires_grad and torch.is_grad_enabled()) or _has_tangent(value):
        raise no_gradient(type(loss).__name__, label)
    return array_of(value)


class Cost(torch.autograd.Function):
    """The cost of a call."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor) -> Tensor:
        """Return the cost, and keep what derivatives need."""
        found, slopes = _computed(call, tensors)
        ctx.slopes = [] if is_kept_elsewhere() else slopes
        call.keep(ctx, tensors)
        return found

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients: the first time those that came with the cost."""
        call = ctx.call
        tensors = call.kept(ctx)
        if torch.is_grad_enabled():  # they may be differentiated again
            found = [times(call.spread(g), slope) for slope in weighted(call, tensors)]
        else:
            slopes = ctx.slopes or call.gradients(tensors, call.reduction, call.weight)[1]
            ctx.slopes = []  # they are given away, and whoever gets them may write over them
            found = [scaled(call.spread(g), slope) for slope in slopes]
        return None, *call.places(found, tensors)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor:
        """Return how the cost changes along tangents of its tensors."""
        call = ctx.call
        return call.along(weighted(call, call.kept(ctx)), tangents, whole=call.reduction != "none")


def is_kept_elsewhere() -> bool:
    """Return whether hooks take what is kept for backward passes, as those of ``torch.utils.checkpoint`` do.

    They know of tensors that autograd keeps, so nothing as large may be kept beside these.
    """
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def _computed(call: Call, tensors: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return the cost, and its gradient by each input that is wanted."""
    slopes: list[Tensor] = []
    if call.wanted:
        found, slopes = call.gradients(tensors, call.reduction, call.weight)
    else:
        given: dict[str, Any] = {**call.arguments(tensors), "weight": call.weight, "mask": call.mask}
        found = call.loss.cost(**given, reduction=call.reduction, empty=call.empty)
    kind = torch.float64 if call.wide else kind_of(call.loss, tensors)
    make = torch.scalar_tensor if isinstance(found, float) else torch.as_tensor
    return make(found, dtype=kind, device=CPU), slopes


class Slopes(torch.autograd.Function):
    """The gradient of each example's loss by each input that is wanted; 0 where an example does not count."""

    @staticmethod
    def forward(call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients."""
        return tuple(call.gradients(tensors, "sum", None)[1])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what second derivatives need."""
        call, *tensors = inputs
        call.keep(ctx, tensors)

    @staticmethod
    def backward(ctx: Any, *g: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the second derivatives along ``g``."""
        tensors = ctx.call.kept(ctx)
        return None, *ctx.call.places(_bend(ctx.call, tensors, g), tensors)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        """Return how the gradients change along tangents of the tensors."""
        by_name = dict(zip((item.name for item in ctx.call.inputs), tangents, strict=True))
        found = _bend(ctx.call, ctx.call.kept(ctx), [by_name[name] for name in ctx.call.wanted])
        return tuple(found)


def scaled(g: Tensor, slope: Tensor) -> Tensor:
    """Return a gradient that is nobody else's times what came back, in place where that is one number."""
    if g.ndim or torch.compiler.is_compiling():  # graphs of compiled backward passes have no numbers yet
        return times(g, slope)
    try:
        factor = g.item()
    except RuntimeError:  # several at once have come as one (``is_grads_batched``)
        return times(g, slope)
    return slope if factor == 1 else slope.mul_(factor) if factor else slope.zero_()


def weighted(call: Call, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of the cost, to be differentiated again."""
    shares = call.spread(call.shares(tensors))
    return [times(shares, slope) for slope in _apply(Slopes, call, *tensors)]


class Bends(torch.autograd.Function):
    """The second derivatives of each example's loss, by pairs of inputs, which have no derivative themselves."""

    generate_vmap_rule = True  # of directions, never of tensors: where these are many at once, calls are traced

    @staticmethod
    def forward(call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return them in the order of ``_pairs``."""
        found = call.loss.hessian(**call.filled(tensors), kind="full" if call.loss._couples else "diagonal")
        blocks = [found[pair] for pair in _pairs(call.loss)] if isinstance(found, dict) else [found]
        return tuple(torch.as_tensor(block, device=CPU) for block in blocks)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> NoReturn:
        """Raise an error.

        Raises:
            ProgramError: for a third derivative.
        """
        raise ProgramError("a loss has first and second derivatives, and no third one")

    jvp = backward


def _pairs(loss: Loss) -> list[tuple[str, str]]:
    """Return the pairs of inputs that have second derivatives together."""
    return list(combinations_with_replacement([item.name for item in loss.predicted], 2))


def _bend(call: Call, tensors: Sequence[Tensor], along: Sequence[Tensor | None]) -> list[Tensor]:
    """Return the second derivatives of each example's loss along a change of each wanted input.

    They are products of tensors, so that they are linear in the change for autograd too, and for several at once.
    """
    axis, total = call.loss.row_axis, dict[str, Tensor]()
    for (left, right), block in zip(_pairs(call.loss), _apply(Bends, call, *tensors), strict=True):
        ways = {(left, right): block, (right, left): block if axis is None else block.mT}
        for (to, of), piece in ways.items():
            change = along[call.wanted.index(of)] if to in call.wanted and of in call.wanted else None
            if change is not None:
                term = times(change, piece) if axis is None else _applied(axis, piece, change)
                total[to] = total[to] + term if to in total else term
    kinds = call.kinds(tensors)
    return [call.counting(total[name]).to(kinds[name]) for name in call.wanted]


def _applied(axis: int, block: Tensor, change: Tensor) -> Tensor:
    """Return the product of a matrix for each row with a row."""
    return times(change.movedim(axis, -1).unsqueeze(-2), block).sum(-1).movedim(-1, axis)
