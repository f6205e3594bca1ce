"""Vectors of losses, such as class weights, as buffers: they move with their module and are saved with its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch

from lossmith.core.loss import Loss
from lossmith.core.parameter import Vector
from lossmith.errors import KindError
from lossmith.frameworks.torch.refusals import no_gradient

Tensor = Any


class Holder(torch.nn.Module):
    """A module that holds a loss, with a buffer for each of its vectors.

    The loss and its buffers say the same: what is written into a buffer, assigned to it or loaded from a
    ``state_dict`` becomes that of the loss at the next call. Numbers keep their digits when a module is brought to
    another type.
    """

    loss: Loss

    def _hold(self, loss: Loss) -> None:
        self.loss = loss
        for name, item in loss.declared().items():
            if isinstance(item, Vector) and loss.values[name] is not None:
                self.register_buffer(name, _numbers(loss.values[name], torch.device("cpu")))
        self._mark()

    def _mark(self) -> None:
        """Note what the buffers are now."""
        names = self.loss.declared()
        self._marks = {name: _mark(tensor) for name, tensor in self._buffers.items() if name in names}

    def _follow(self) -> None:
        """Take over what came into the buffers: from a checkpoint, another process or a user.

        Raises:
            ParameterError: for numbers that the loss cannot take.
        """
        now = {name: _mark(self._buffers[name]) for name in self._marks}
        if all(a is b and n == m for (a, n), (b, m) in zip(now.values(), self._marks.values(), strict=True)):
            return
        values = {name: None if x is None else tuple(x.tolist()) for name, (x, _) in now.items()}
        if any(self.loss.values[name] != value for name, value in values.items()):  # others write what is there
            self.loss = self.loss.replace(**values)
            self._prepare()
        self._marks = now

    def _prepare(self) -> None:
        """Settle what depends on the loss alone; a subclass does."""

    def _vectors(self, device: torch.device) -> dict[str, Tensor]:
        """Return the buffers on the device of a call; those on the CPU, where they are made, go to any.

        Raises:
            KindError: for one that somebody has brought to another device.
        """
        found = {name: x for name in self._marks if (x := self._buffers[name]) is not None}
        for name, vector in found.items():
            if vector.device != device and vector.device.type != "cpu":
                raise KindError(
                    f"{type(self.loss).__name__}: {name} is on {vector.device} and the input on {device}; "
                    "bring the module to the device of the input by .to(device)"
                )
        return {name: vector.to(device) for name, vector in found.items()}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._follow()
        ours = {id(x) for x, _ in self._marks.values()}
        super()._apply(lambda x: fn(x.float() if id(x) in ours else x), recurse)  # type: ignore[no-untyped-call]
        for name, (before, _) in self._marks.items():
            if before is not None:
                moved: Tensor = self._buffers[name]
                self._buffers[name] = _numbers(self.loss.values[name], moved.device)
        self._mark()
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._follow()


def value_of(owner: str, name: str, value: Any) -> Any:
    """Return what a user gives for a parameter: the numbers of a tensor, or anything else as it is.

    Raises:
        KindError: for a tensor that wants a gradient, or has no numbers that could be read.
    """
    if not isinstance(value, torch.Tensor):
        return value
    if value.requires_grad:
        raise no_gradient(owner, name)
    if value.is_meta:
        raise KindError(f"{owner}: {name} is on the device meta, which has no numbers; pass them from another")
    return value.tolist()


def _numbers(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def _mark(tensor: Tensor) -> tuple[Tensor, int]:
    """Return a tensor and how often it was written to, where PyTorch tells."""
    return tensor, -1 if tensor is None or tensor.is_inference() else tensor._version
