"""Vectors of losses, such as class weights, as buffers: they move with their module and are saved with its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch

from lossmith.core.loss import Loss
from lossmith.core.parameter import Vector
from lossmith.core.registry import parse
from lossmith.errors import KindError
from lossmith.frameworks.torch.refusals import no_gradient
from lossmith.structures.composite import COUNTING, Sum

Tensor = Any
Numbers = dict[str, tuple[float, ...] | None]
"""Vectors of a loss by what their buffers are called; ``None`` where somebody took one away."""


class Holder(torch.nn.Module):
    """A module that holds a loss, with a buffer for each of its vectors.

    The loss and its buffers say the same: what is written into a buffer, assigned to it or loaded from a
    ``state_dict`` becomes that of the loss at the next call. Numbers keep their digits when a module is brought to
    another type. In a sum of losses all terms have one ``class_weight``, as they must, and other vectors have the place
    of their term in their name: ``prior_0``, ``prior_1``.
    """

    @property
    def loss(self) -> Loss:
        """The loss; another may be assigned, or its text."""
        return self._loss

    @loss.setter
    def loss(self, loss: Loss | str) -> None:
        for name in self._numbers:
            del self._buffers[name]
        self._hold(parse(loss))
        self._prepare()

    def _hold(self, loss: Loss) -> None:
        self._loss = self._template = loss  # equal terms become one, so the loss of the day may have fewer
        vectors = _vectors_of(loss)
        self._numbers: Numbers = {**vectors}
        for name, numbers in vectors.items():
            self.register_buffer(name, _tensor(numbers, torch.device("cpu")))
        self._mark()

    def _mark(self) -> None:
        """Note what the buffers are now."""
        self._marks = {name: _mark(self._buffers[name]) for name in self._numbers}

    def _follow(self) -> None:
        """Take over what came into the buffers: from a checkpoint, another process or a user.

        Raises:
            ParameterError: for numbers that the loss cannot take.
        """
        now = {name: _mark(self._buffers[name]) for name in self._marks}
        if all(a is b and n == m for (a, n), (b, m) in zip(now.values(), self._marks.values(), strict=True)):
            return
        numbers = {name: None if x is None else tuple(x.tolist()) for name, (x, _) in now.items()}
        if numbers != self._numbers:  # others write what is there
            self._loss, self._numbers = _with(self._template, numbers), numbers
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
        for name, numbers in self._numbers.items():
            if numbers is not None:
                moved: Tensor = self._buffers[name]
                self._buffers[name] = _tensor(numbers, moved.device)
        self._mark()
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._follow()


def _vectors_of(loss: Loss) -> dict[str, tuple[float, ...]]:
    """Return the vectors of a loss by what their buffers are called."""
    terms = [term for _, term in loss.parts] if isinstance(loss, Sum) else [loss]
    found: dict[str, tuple[float, ...]] = {}
    for place, term in enumerate(terms):
        for name, item in term.declared().items():
            if isinstance(item, Vector) and term.values[name] is not None:
                found.setdefault(_label(loss, place, name), term.values[name])
    return found


def _with(loss: Loss, vectors: Numbers) -> Loss:
    """Return a loss with other vectors, by what their buffers are called."""
    if not isinstance(loss, Sum):
        return loss.replace(**vectors)
    terms = []
    for place, (weight, term) in enumerate(loss.parts):
        labels = {name: _label(loss, place, name) for name in term.declared()}
        changed = {name: vectors[label] for name, label in labels.items() if label in vectors}
        terms.append((weight, term.replace(**changed)))
    return loss.replace(terms=terms)


def _label(loss: Loss, place: int, name: str) -> str:
    return f"{name}_{place}" if isinstance(loss, Sum) and name not in COUNTING else name


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


def _tensor(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def _mark(tensor: Tensor) -> tuple[Tensor, int]:
    """Return a tensor and how often it was written to, where PyTorch tells."""
    return tensor, -1 if tensor is None or tensor.is_inference() else tensor._version
