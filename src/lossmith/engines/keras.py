"""The engine of Keras: that of its backend."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import keras

from lossmith.engines.hosts import Tracing
from lossmith.errors import MissingDependencyError

Tensor = Any
_BACKENDS = ("tensorflow", "torch", "jax")


class Backend(NamedTuple):
    """What a backend brings.

    Attributes:
        host: where nobody differentiates.
        losses: ``(loss, *inputs)``: the loss of each example, with its derivatives.
        times: ``(share, losses)``: a product in which a share of zero wins.
        total: the sum of all numbers of a tensor, in double precision on processors.
        known: whether the numbers of a tensor can be looked at.
        replicas: how many copies of a model a cost is added over.
        in_graphs: lets graphs hold losses of a class, where a backend has to be told.
        as_is: lets a function run as it is written, where a backend would rewrite it.
    """

    host: Tracing
    losses: Callable[..., Tensor]
    times: Callable[[Tensor, Tensor], Tensor]
    total: Callable[[Tensor], Tensor]
    known: Callable[[Tensor], bool]
    replicas: Callable[[], int]
    in_graphs: Callable[[type], None]
    as_is: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]


_backend: Backend | None = None
"""It, when it was asked for; PyTorch's compiler takes a function for what is kept, and warns of a cache around it."""


def backend() -> Backend:
    """Return the backend that Keras was imported with.

    Raises:
        MissingDependencyError: for one that nothing can be trained with.
    """
    global _backend
    if _backend is None:
        _backend = _found()
    return _backend


def _found() -> Backend:
    name = keras.backend.backend()
    if name not in _BACKENDS:
        raise MissingDependencyError(
            f"lossmith.keras runs on the backends {', '.join(_BACKENDS)}, and Keras has {name!r}; "
            "set the environment variable KERAS_BACKEND before Keras is imported"
        )
    engine = import_module(f"{__package__}.{name}")
    told = getattr(engine, "in_graphs", lambda cls: None)
    as_is = getattr(engine, "as_is", lambda function: function)
    return Backend(engine.PLAIN, engine.losses, engine.times, engine.total, engine.known, engine.replicas, told, as_is)
