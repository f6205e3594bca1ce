"""Costs over several processes, and gradients that are those of one."""

from __future__ import annotations

import numbers
import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from lossmith.errors import DistributedError, KindError, MergeError, ParameterError
from lossmith.frameworks.torch.placed import whole
from lossmith.frameworks.torch.states import State

Tensor = Any

_MARKS = 2**20
"""What tells losses apart is a number below this, so that its squares add up without rounding."""
_SUMS = ("total", "weight", "count", "invalid")
_LONGEST = 10**9
"""Seconds that PyTorch can wait; of more its clock makes no number."""


def all_reduce(state: State, group: Any = None, *, timeout: float = 60.0) -> State:
    """Return the state of all processes together, on each of them and without gradients; one message for all.

    Args:
        state: that of this process; of a batch without rows, too. That of a ``DTensor`` is of all processes that
            hold it, whether they are in the group or not.
        group: a group of ``torch.distributed``, or a mesh of one axis; all processes by default. Without any, there is
            one process.
        timeout: seconds to wait for the others.

    Raises:
        DistributedError: when another process is gone or does not answer in time.
        MergeError: when processes hold states of different losses.
        KindError: for what is no state, and for what is no group.
        ParameterError: for a timeout that is no positive number, for a mesh of several axes, and for a group without
            this process.
    """
    if not isinstance(timeout, numbers.Real) or not timeout > 0:
        raise ParameterError(f"all_reduce(timeout={timeout!r}): it must be a positive number of seconds")
    alone = replace(_checked(state), **{name: whole(getattr(state, name).detach()) for name in _SUMS})
    if not _is_distributed():
        return alone
    group = _group(group)
    world = _world(group)
    wide = alone.total.dtype
    mark = zlib.crc32(repr(state.loss).encode()) % _MARKS
    marks = torch.tensor([mark, mark**2], dtype=wide, device=alone.total.device)
    told = torch.cat([torch.stack([x.to(wide) for x in alone.sums]), marks])
    try:
        dist.all_reduce(told, group=group, async_op=True).wait(timedelta(seconds=min(float(timeout), _LONGEST)))
    except RuntimeError as error:
        place = f"process {dist.get_rank(group)} of {world}"
        raise DistributedError(
            f"all_reduce of {state.loss}, {place}: another process is gone, or did not answer within {timeout:g} s; "
            "every process must call it as often as the others, without examples with the state of a batch without rows"
        ) from error
    total, weight, count, invalid, all_marks, squares = told.unbind()
    if all_marks * all_marks != squares * world:  # equal only where all marks are
        raise MergeError(f"processes hold states of different losses; this one belongs to {state.loss}")
    count, invalid = (x.round().to(torch.int64) for x in (count, invalid))
    return replace(alone, total=total, weight=weight, count=count, invalid=invalid)


def backward_scale(state: State, reduction: str = "mean", group: Any = None, *, averaged: bool = True) -> Tensor:
    """Return what gradients of sums of losses are multiplied by to be those of the cost over all processes.

    Args:
        state: of all examples of a step: summed over accumulation steps and by ``all_reduce``.
        reduction: ``mean``, ``count_mean`` or ``sum``; that of the cost.
        group: the processes that gradients are averaged over; see ``all_reduce``.
        averaged: whether somebody averages gradients over processes, as ``DistributedDataParallel`` and ``fully_shard``
            do; false where they are summed.

    Returns:
        A tensor without axes; 0 where nothing counts.

    Raises:
        ParameterError: for another reduction, for a mesh of several axes, and for a group without this process.
        KindError: for what is no state, and for what is no group.
    """
    below = whole(_checked(state).divisor(reduction))
    world = _world(_group(group)) if averaged and _is_distributed() else 1
    return torch.where(below == 0, 0.0, world / torch.where(below == 0, 1.0, below))


def scale_gradients(
    parameters: Tensor | Iterable[Tensor],
    state: State,
    reduction: str = "mean",
    group: Any = None,
    *,
    averaged: bool = True,
) -> None:
    """Turn gradients of sums of losses into those of the cost over all processes, before they are clipped or used.

    Args:
        parameters: a parameter, or some, whose ``.grad`` is multiplied in place; those without one are left alone.
        state, reduction, group, averaged: see ``backward_scale``.

    Raises:
        ParameterError, KindError: see ``backward_scale``; also a ``KindError`` for what holds other than parameters.
    """
    factor = backward_scale(state, reduction, group, averaged=averaged)
    given = [parameters] if isinstance(parameters, torch.Tensor) else _listed(parameters)
    with torch.no_grad():
        for parameter in given:
            if parameter.grad is not None:
                _scale(parameter.grad, factor)


def _listed(parameters: Any) -> list[Tensor]:
    """Return parameters, all looked at before any is changed."""
    given = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    strange = next((x for x in given if not isinstance(x, torch.Tensor)), None)
    if strange is not None:
        raise KindError(f"scale_gradients takes parameters, got {type(strange).__name__}; pass model.parameters()")
    return given


def _scale(gradient: Tensor, factor: Tensor) -> None:
    """Multiply a gradient in place; in half precision, a factor of many examples would be 0."""
    wide = torch.promote_types(gradient.dtype, torch.float32)
    scaled = gradient.to(wide).mul_(factor.to(gradient.device, wide))
    if scaled is not gradient:
        gradient.copy_(scaled)


def _checked(state: Any) -> State:
    if not isinstance(state, State):
        raise KindError(
            f"a state is wanted, got {type(state).__name__}; pass what criterion.state(input, target) returns, or a "
            "sum of such; where there are no examples, that of a batch without rows"
        )
    return state


def _group(group: Any) -> Any:
    """Return a group of processes, which a mesh of one axis has, too."""
    from torch.distributed.device_mesh import DeviceMesh  # not every build of PyTorch has it

    if isinstance(group, DeviceMesh):
        if group.ndim != 1:
            first = (group.mesh_dim_names or ["name"])[0]
            raise ParameterError(
                f"a mesh of {group.ndim} axes has a group for each; pass that which gradients are averaged over, such "
                f"as mesh[{first!r}]"
            )
        return group.get_group()
    # The number is PyTorch's word for a group without this process.
    if group is None or isinstance(group, dist.ProcessGroup | int):
        return group
    raise KindError(
        f"a group of processes is wanted, got {type(group).__name__}; pass what dist.new_group(ranks) returns"
    )


def _world(group: Any) -> int:
    """Return how many processes a group has; PyTorch says -1 to those that are not in it."""
    size = dist.get_world_size(group)
    if size < 1:
        raise ParameterError(
            f"process {dist.get_rank()} is not in the group that was passed; pass one that it is in, or call this only "
            "on the processes of that group"
        )
    return size


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()
