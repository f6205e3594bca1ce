"""The engine of PyTorch: programs over tensors, in operations that autograd, ``torch.compile`` and ``vmap`` know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.autograd import forward_ad
from torch.utils._pytree import is_constant_class, register_constant

from lossmith.engines.arrays import Arrays, Formula
from lossmith.engines.hosts import Rule, Tracing, by_symbol, differentiable, functions

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


def _constant(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def _holds(number: int, like: Tensor) -> bool:
    limits: Any = torch.finfo(like.dtype) if like.dtype.is_floating_point else torch.iinfo(like.dtype)
    return bool(limits.min <= number <= limits.max)


FUNCTIONS = functions(
    torch,
    constant=_constant,
    flip=lambda a, axis: torch.flip(a, (axis,)),
    holds=_holds,
    indices=lambda a: a.long(),
    log=torch.log,
    may_hold=lambda condition: True,
    moveaxis=torch.movedim,  # its namesake of NumPy has no rule for many calls at once
    nonzero=lambda condition: None,
    places=lambda like: torch.arange(like.shape[-1], device=like.device),
    take_along_axis=lambda a, indices, axis: torch.gather(a, axis, indices),
    total=lambda a: torch.sum(a, dim=-1),
)


def _plain(formula: Formula, output: str, *inputs: Tensor) -> Tensor:
    found = formula.evaluate(Tensors(inputs[0]), output, inputs)
    if found.shape != inputs[0].shape:
        return found.expand(inputs[0].shape).clone()
    return found.view_as(found) if any(found is x for x in inputs) else found  # what autograd keeps it cannot return


@contextmanager
def _forward(ctx: Any) -> Iterator[list[Tensor]]:
    """Give what was kept without its tangents, where outer levels differentiate forward too.

    PyTorch lets nobody do so within a ``jvp``, which would make forward derivatives of forward derivatives 0.
    """
    with forward_ad._set_fwd_grad_enabled(True):
        yield [forward_ad.unpack_dual(x).primal for x in ctx.saved_tensors]  # type: ignore[no-untyped-call]


class _Evaluated(torch.autograd.Function):
    """An output of a formula, whose derivatives are outputs of it too, forward as well, and for many calls at once."""

    generate_vmap_rule = True

    @staticmethod
    def forward(formula: Formula, output: str, *inputs: Tensor) -> Tensor:
        """Return the output."""
        return _plain(formula, output, *inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what derivatives need."""
        ctx.formula, ctx.name, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the derivatives by the inputs, each times ``g``."""
        found: list[Tensor | None] = [None, None]
        for place, needed in enumerate(ctx.needs_input_grad[2:]):
            name = ctx.formula.derivative(ctx.name, place) if needed else None
            found.append(None if name is None else times(g, _evaluate(ctx.formula, name, *ctx.saved_tensors)))
        return tuple(found)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """Return how the output changes along tangents of the inputs."""
        with _forward(ctx) as tensors:
            total = torch.zeros_like(tensors[0])
            for place, tangent in enumerate(tangents[2:]):
                name = None if tangent is None else ctx.formula.derivative(ctx.name, place)
                if name is not None:
                    total = total + times(tangent, _evaluate(ctx.formula, name, *tensors))
            return total


def _evaluate(formula: Formula, output: str, *inputs: Tensor) -> Tensor:
    return _Evaluated.apply(formula, output, *inputs)  # type: ignore[no-untyped-call]


class _Bound(torch.autograd.Function):
    """What a rule returns, with its derivatives; see ``lossmith.engines.hosts.Rule``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rule: Rule, *arrays: Tensor) -> tuple[Tensor, ...]:
        """Return the results."""
        return rule.value(FUNCTIONS, *arrays)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what derivatives need."""
        ctx.rule, *arrays = inputs
        ctx.given = len(arrays)
        ctx.save_for_backward(*arrays, *output)
        ctx.save_for_forward(*arrays, *output)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        """Return the derivative by the first array."""
        arrays, found = ctx.saved_tensors[: ctx.given], ctx.saved_tensors[ctx.given :]
        return None, ctx.rule.pull(FUNCTIONS, arrays, found, slopes), *[None] * (ctx.given - 1)

    @staticmethod
    def jvp(ctx: Any, _: None, tangent: Tensor, *others: None) -> tuple[Tensor, ...]:
        """Return how the results change along a tangent of the first array."""
        with _forward(ctx) as kept:
            changes: tuple[Tensor, ...] = ctx.rule.push(FUNCTIONS, kept[: ctx.given], kept[ctx.given :], tangent)
            return changes


def _bound(rule: Rule, *arrays: Tensor) -> tuple[Tensor, ...]:
    return _Bound.apply(rule, *arrays)  # type: ignore[no-untyped-call, no-any-return]


PLAIN = Tracing(FUNCTIONS, _plain)
"""PyTorch where nobody differentiates, as ``torch.compile`` takes it inside of a derivative."""
DIFFERENTIABLE = Tracing(differentiable(FUNCTIONS, held=lambda a: a.detach(), bound=_bound), _evaluate)
"""PyTorch where somebody does."""


def losses(loss: Any, *inputs: Tensor) -> Tensor:
    """Return the loss of each example over tensors of one type, with the derivatives that the loss says.

    Args:
        loss: made ready, and ``in_graphs``; see ``lossmith.core.traceable``.
        inputs: in its order, with the numbers of an example along the last axis.
    """
    if not torch.compiler.is_compiling():
        return _apply(loss, *inputs)
    # What torch.export(strict=True) records may hold no call that its compiler does not look into.
    recorded = torch.compiler.is_exporting() and torch.compiler.is_dynamo_compiling()
    if not recorded and torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        if _is_forward():  # PyTorch would take the directions of two levels for those of one
            torch._dynamo.graph_break(msg="losses take no forward derivative of another one in a graph")
        return _in_graph(loss, *inputs)
    return _plain_losses(loss, inputs)


CONSTANTS: set[type] = set()
"""Classes of losses that graphs may hold."""


def in_graphs(cls: type) -> None:
    """Let graphs of ``torch.compile`` hold losses of a class, which never change, as constants."""
    if cls not in CONSTANTS:
        CONSTANTS.add(cls)
        if not is_constant_class(cls):
            register_constant(cls)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _is_forward() -> bool:
    """Return whether a level of ``torch.func`` differentiates forward."""
    levels = torch._C._functorch.get_interpreter_stack() or ()
    return any(level.key() == torch._C._functorch.TransformType.Jvp for level in levels)


def _plain_losses(loss: Any, inputs: Sequence[Tensor]) -> Tensor:
    found: Tensor = loss.compute(PLAIN, by_symbol(loss, inputs), ("losses",))["losses"]
    return found


@dataclass(frozen=True, eq=False)
class _Whole:
    """A loss as one argument, where ``torch.func`` would look for the parts of a constant."""

    loss: Any


class _Losses(torch.autograd.Function):
    """Losses with derivatives of derivatives, forward too, and for many calls at once."""

    generate_vmap_rule = True

    @staticmethod
    def forward(whole: _Whole, *inputs: Tensor) -> Tensor:
        """Return the losses."""
        return _plain_losses(whole.loss, inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what derivatives need."""
        whole, *tensors = inputs
        ctx.loss = whole.loss
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Return the derivatives by the inputs, each times ``g``."""
        found = _gradients(DIFFERENTIABLE, ctx.loss, ctx.saved_tensors, ctx.needs_input_grad[1:])
        spread = g if ctx.loss.row_axis is None else g[..., None]
        slopes = [None if slope is None else times(spread, slope) for slope in found]
        if torch.is_grad_enabled():
            pairs = zip(slopes, ctx.saved_tensors, strict=True)
            slopes = [None if slope is None else _tied(slope, x) for slope, x in pairs]
        return None, *slopes

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor:
        """Return how the losses change along tangents of the inputs."""
        with _forward(ctx) as tensors:
            found = _gradients(DIFFERENTIABLE, ctx.loss, tensors, [tangent is not None for tangent in tangents])
            terms = [times(tangent, slope) for tangent, slope in zip(tangents, found, strict=True) if slope is not None]
            total = torch.stack(terms).sum(0)
            return total if ctx.loss.row_axis is None else total.sum(-1)


def _apply(loss: Any, *inputs: Tensor) -> Tensor:
    return _Losses.apply(_Whole(loss), *inputs)  # type: ignore[no-untyped-call]


_in_graph = torch._dynamo.nonstrict_trace(_apply)
"""The same as one call of a graph: as PyTorch takes a function of autograd otherwise, it has no second derivatives."""


def _gradients(host: Tracing, loss: Any, inputs: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor | None]:
    """Return the gradients by the wanted inputs in the places of all."""
    names = [
        f"gradient:{item.symbol}" if item.predicted and want else None
        for item, want in zip(loss.inputs, wanted, strict=True)
    ]
    found = loss.compute(host, by_symbol(loss, inputs), [name for name in names if name is not None])
    return [None if name is None else found[name] for name in names]


def _tied(slope: Tensor, x: Tensor) -> Tensor:
    """Return a slope that is a function of an input, be it a constant one: a derivative of 0 is one."""
    return slope if slope.requires_grad else torch.where(torch.zeros_like(x, dtype=torch.bool), x, slope)


def times(factor: Tensor, slope: Tensor) -> Tensor:
    """Return a product in which an exact zero wins: what does not count has no derivative, whatever it would be.

    It is linear in the factor, also at zero: PyTorch differentiates by a cotangent of zeros where it wants a product
    with a Jacobian (``torch.autograd.functional.jvp`` and ``hvp``).
    """
    return factor.to(slope.dtype) * torch.where((factor == 0) & ~torch.isfinite(slope), 0.0, slope)


def total(a: Tensor) -> Tensor:
    """Return the sum of all numbers, in double precision on processors."""
    return a.sum(dtype=torch.float64 if a.is_cpu else None)


def known(tensor: Tensor) -> bool:
    """Return whether the numbers of a tensor can be looked at without waiting for a device."""
    return tensor.is_cpu and not torch.compiler.is_compiling() and not torch._C._are_functorch_transforms_active()


def replicas() -> int:
    """Return how many copies of a model a cost is added over: processes average gradients themselves."""
    return 1
