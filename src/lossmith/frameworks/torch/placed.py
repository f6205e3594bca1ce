"""Tensors that several processes hold (``DTensor``): each process computes the examples that it has.

What a loss does to a row stays within the row, so nothing is sent but for the classes of a row that lie apart, and for
sums. PyTorch cannot know that: it has rules for operations one by one, and for some of ours none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from lossmith.errors import KindError

Tensor = Any


class Placed(NamedTuple):
    """Where examples lie.

    Attributes:
        mesh: the processes.
        placements: which examples each has.
        shape: that of all examples.
    """

    mesh: Any
    placements: tuple[Any, ...]
    shape: torch.Size

    def here(self, tensor: Tensor) -> Tensor:
        """Return what belongs to the examples that this process has, with derivatives."""
        if tensor.placements != self.placements:
            tensor = tensor.redistribute(self.mesh, self.placements)
        return tensor.to_local(grad_placements=self.placements)

    def together(self, local: Tensor) -> Tensor:
        """Return the numbers that all processes have computed, one an example, as one tensor."""
        from torch.distributed.tensor import DTensor

        stride = torch.empty(self.shape, device="meta").stride()
        return DTensor.from_local(local, self.mesh, self.placements, run_check=False, shape=self.shape, stride=stride)


def is_placed(tensor: Tensor) -> bool:
    """Return whether several processes hold a tensor."""
    return hasattr(tensor, "placements") and hasattr(tensor, "device_mesh")


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor that is on every process."""
    return tensor.full_tensor() if is_placed(tensor) else tensor


def placed(owner: str, names: Sequence[str], tensors: Sequence[Tensor], axes: int) -> Placed | None:
    """Return where the examples of a call lie, or nothing if each process has its own.

    Args:
        owner: whose call it is.
        names: what the tensors are called.
        tensors: those of a call. Examples stay where one of them has them apart.
        axes: how many axes the examples have, which come first.

    Raises:
        KindError: for a tensor that only this process has, beside others, and for one of other processes.
    """
    found = next((x for x in tensors if is_placed(x)), None)
    if found is None:
        return None
    for name, tensor in zip(names, tensors, strict=True):
        if not is_placed(tensor):
            raise KindError(
                f"{owner}: {name} is a plain tensor beside others that several processes hold; pass "
                f"distribute_tensor({name}, device_mesh, placements)"
            )
        if tensor.device_mesh != found.device_mesh:
            raise KindError(f"{owner}: {name} is on {tensor.device_mesh}, others on {found.device_mesh}; use one mesh")
    from torch.distributed.tensor import Replicate, Shard

    kept: list[Any] = []
    for along in zip(*(x.placements for x in tensors), strict=True):  # an axis of the mesh
        kept.append(next((x for x in along if type(x) is Shard and x.dim < axes), Replicate()))
    return Placed(found.device_mesh, tuple(kept), found.shape[:axes])
