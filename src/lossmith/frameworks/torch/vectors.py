"""Vectors of losses, such as class weights, as buffers: they move with their module and are saved with its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import torch

from lossmith.core.loss import Loss
from lossmith.core.parameter import Vector
from lossmith.core.registry import parse
from lossmith.errors import KindError, LossmithError
from lossmith.frameworks.torch.costs import IN_MEMORY, array_of
from lossmith.frameworks.torch.refusals import no_gradient
from lossmith.structures.composite import COUNTING, Sum

Tensor = Any
Numbers = dict[str, tuple[float, ...] | None]
"""Vectors of a loss by what their buffers are called; ``None`` where it has none."""
Marks = dict[str, tuple[Tensor, bytes | int]]
"""Buffers, and what they held when they were looked at."""


class Holder(torch.nn.Module):
    """A module that holds a loss, with a buffer for each of its vectors.

    The loss and its buffers say the same: what is assigned to a buffer becomes that of the loss at once, what is
    written into it or loaded from a ``state_dict`` at the next call. A vector that the loss could have is ``None``.
    Numbers keep their digits when a module is brought to another type. In a sum of losses all terms have one
    ``class_weight``, as they must, and other vectors have the place of their term in their name: ``prior_0``,
    ``prior_1``.
    """

    _counters: ClassVar[tuple[str, ...]] = ()
    """Other buffers of whole numbers, which are 0 to begin with."""

    @property
    def loss(self) -> Loss:
        """The loss; another may be assigned, or its text."""
        return self._loss

    @loss.setter
    def loss(self, loss: Loss | str) -> None:
        self._accept(other := parse(loss))
        self._hold(other, {name: x for name in self._numbers if (x := self._buffers.pop(name, None)) is not None})
        self._prepare()

    def _accept(self, loss: Loss) -> None:
        """Raise an error where another loss does not fit; a subclass does."""

    def _hold(self, loss: Loss, before: Mapping[str, Tensor] = MappingProxyType({})) -> None:
        """Hold a loss.

        Args:
            loss: the loss.
            before: buffers of the one before. Those that say the same stay, others are made where these are.
        """
        self._show(loss)
        self._loss = self._template = loss  # equal terms become one, so the loss of the day may have fewer
        places = {name: x.device for name, x in before.items()}
        there = next(iter(places.values()), torch.device("cpu"))
        made: dict[str, Tensor | None] = {}
        for name, numbers in (vectors := _vectors_of(loss)).items():
            made[name] = before.get(name)
            if name not in before or before[name].requires_grad or self._read(name, before[name]) != numbers:
                made[name] = None if numbers is None else _tensor(numbers, places.get(name, there))
        self._numbers: Numbers = {}
        for name, vector in made.items():
            self.register_buffer(name, vector)
        self._numbers, self._names = vectors, tuple(vectors)
        self._marks = self._now()

    def _show(self, loss: Loss) -> None:
        """Have the other parameters of a loss as attributes, but for names that mean something else here."""
        for name in self.__dict__.get("_shown", ()):
            del self.__dict__[name]
        values = {} if isinstance(loss, Sum) else loss.values
        taken = {*self.__dict__, *_vectors_of(loss)}
        self._shown = frozenset(name for name in values if name not in taken and not hasattr(type(self), name))
        self.__dict__.update({name: values[name] for name in self._shown})

    def _set(self, name: str, value: Any) -> None:
        """Change a parameter of the loss that is no vector."""
        self._follow()
        self.loss = self.loss.replace(**{name: value_of(type(self.loss).__name__, name, value)})

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; what is a parameter of the loss is taken over at once, so that compiled calls see it too.

        Raises:
            KindError: for a vector that shall be learned, or has no numbers.
            ParameterError: for what the loss cannot take; the parameter stays what it was.
        """
        if name in self.__dict__.get("_shown", ()):
            self._set(name, value)
            return
        if name not in self.__dict__.get("_numbers", ()):
            super().__setattr__(name, value)
            return
        if isinstance(value, torch.nn.Parameter):
            raise no_gradient(type(self.loss).__name__, name)
        value_of(type(self.loss).__name__, name, value)  # which refuses what has no numbers
        before = self._buffers.get(name)
        self.register_buffer(name, value)
        try:
            self._follow(surely=True)
        except LossmithError:
            self._buffers[name] = before
            raise

    def __delattr__(self, name: str) -> None:
        """Take an attribute away; without a vector, the loss has none."""
        super().__delattr__(name)
        if name in self._numbers:
            self._follow()

    def _now(self) -> Marks:
        """Return what the buffers are that there are."""
        return {name: (x, _held(x)) for name in self._numbers if (x := self._buffers.get(name)) is not None}

    def _follow(self, *, surely: bool = False) -> None:
        """Take over what came into the buffers: from a checkpoint, another process or a user.

        Args:
            surely: whether to look at all numbers, also on other devices where PyTorch tells of no change.

        Raises:
            KindError: for a buffer that wants a gradient.
            ParameterError: for numbers that the loss cannot take.
        """
        if not surely and all(
            self._buffers.get(name) is x and _held(x) == held for name, (x, held) in self._marks.items()
        ):
            return
        now = self._now()
        numbers = {name: self._told(name) for name in self._numbers}
        if numbers != self._numbers:  # others write what is there
            self._loss, self._numbers = _with(self._template, numbers), numbers
            self._prepare()
        self._marks = now

    def _told(self, name: str) -> tuple[float, ...] | None:
        """Return the numbers of a buffer; where it has none, those from before."""
        vector = self._buffers.get(name)
        if vector is None:
            return None
        if vector.requires_grad:
            raise no_gradient(type(self.loss).__name__, name)
        return self._read(name, vector)

    def _read(self, name: str, vector: Tensor) -> tuple[float, ...] | None:
        """Return the numbers of a buffer, or where nobody can read them, those that are known."""
        return tuple(vector.tolist()) if _has_numbers(vector) else self._numbers[name]

    def _prepare(self) -> None:
        """Settle what depends on the loss alone; a subclass does."""

    def _vectors(self, device: torch.device) -> dict[str, Tensor]:
        """Return the buffers on the device of a call; those on the CPU, where they are made, go to any.

        Raises:
            KindError: for one that somebody has brought to another device.
        """
        # By names: graphs would hold the numbers.
        found = {name: x for name in self._names if (x := self._buffers.get(name)) is not None}
        for name, vector in found.items():
            if vector.device != device and vector.device.type != "cpu":
                raise KindError(
                    f"{type(self.loss).__name__}: {name} is on {vector.device} and the input on {device}; "
                    "bring the module to the device of the input by .to(device)"
                )
        return {name: vector.to(device) for name, vector in found.items()}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._follow(surely=True)
        ours = {id(x): name for name in (*self._numbers, *self._counters) if (x := self._buffers[name]) is not None}
        super()._apply(lambda x: self._brought(ours[id(x)], x, fn) if id(x) in ours else fn(x), recurse)  # type: ignore[no-untyped-call]
        self._marks = self._now()
        return self

    def _brought(self, name: str, x: Tensor, fn: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a buffer where a function brings it: it keeps type and numbers, and is the same on the same device."""
        try:
            there = fn(x).device
        except TypeError:  # not every device has float64
            there = fn(x.float()).device
        if there == x.device:
            return x
        with torch.inference_mode(False):  # what is made within could not be written to outside of it
            if (numbers := self._numbers.get(name)) is not None:
                return _tensor(numbers, there)
            return torch.zeros_like(x, device=there) if x.is_meta else x.to(there)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._follow()


def _vectors_of(loss: Loss) -> Numbers:
    """Return the vectors of a loss by what their buffers are called, with those that it could have."""
    terms = [term for _, term in loss.parts] if isinstance(loss, Sum) else [loss]
    found: Numbers = {}
    for place, term in enumerate(terms):
        for name, item in term.declared().items():
            if isinstance(item, Vector):
                label = _label(loss, place, name)
                found[label] = found.get(label) or term.values[name]
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


def drawn(loss: Loss) -> Loss:
    """Return a loss as graphs hold it: they read class weights from a buffer, so that any numbers stand for these."""
    numbers = _vectors_of(loss).get("class_weight")
    return loss if numbers is None else _with(loss, {"class_weight": (1.0,) * len(numbers)})


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


def _has_numbers(tensor: Tensor) -> bool:
    """Return whether a tensor holds numbers and nothing stands between them and who reads them."""
    return type(tensor) in IN_MEMORY and not tensor.is_meta and not torch._C._len_torch_dispatch_stack()


def _held(tensor: Tensor) -> bytes | int:
    """Return what a tensor holds, or on other devices how often it was written to, where PyTorch tells.

    In memory not all that writes tells PyTorch so: messages of other processes and arrays of NumPy do not.
    """
    if tensor.is_cpu and not tensor.requires_grad and _has_numbers(tensor):
        return array_of(tensor).tobytes()
    return -1 if tensor.is_inference() else tensor._version
