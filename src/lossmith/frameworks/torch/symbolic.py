"""Modules in ``torch.fx.symbolic_trace``: a call is one node, as that of a module of PyTorch is.

What a call does depends on shapes, types and devices, which nobody knows while a graph is written. So a graph holds the
module, and each call of it looks at what comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import Proxy
from torch.fx import _symbolic_trace as tracing

Tensor = Any

BESIDE = ("weight", "mask")
ITSELF = "_itself"
"""The attribute by which a graph that is of a module alone knows that module."""


def is_writing() -> bool:
    """Return whether somebody writes a graph."""
    return tracing._is_fx_tracing_flag


def node(
    forward: Callable[..., Any],
    module: torch.nn.Module,
    places: Sequence[str],
    given: Any,
    named: Any,
    beside: tuple[Any, Any],
) -> Any:
    """Return the call of a module as a node of the graph that is being written, or nothing if it is not of that graph.

    Args:
        forward: what the graph shall call. It takes the module first, and calls neither hooks nor what a subclass does
            besides, since these are in the graph themselves.
        module: the module.
        places: what it calls its inputs.
        given, named, beside: inputs by place and by name, the weight and the mask. Where the graph is of the module
            alone, the first two stand for whatever may come.
    """
    if isinstance(given, Proxy):
        given, named, beside = _arguments(given.tracer, places)
    kept: dict[str, Any] = {**named, **{key: x for key, x in zip(BESIDE, beside, strict=True) if x is not None}}
    tracer: Any = next((x.tracer for x in (*given, *kept.values()) if isinstance(x, Proxy)), None)
    if tracer is None:
        return None
    itself = tracer.create_proxy("get_attr", tracer.path_of_module(module) or ITSELF, (), {})
    return tracer.create_proxy("call_function", forward, (itself, *given), kept)


def _arguments(tracer: Any, places: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any], tuple[Any, Any]]:
    """Return the arguments of a graph that is of a module alone.

    PyTorch has written those of ``forward`` into it, and would take inputs by place for what comes by name alone.
    """
    for placeholder in reversed(tracer.graph.nodes):
        tracer.graph.erase_node(placeholder)
    inputs = {name: tracer.create_proxy("placeholder", name, (), {}) for name in places}
    weight, mask = (tracer.create_proxy("placeholder", name, (None,), {}) for name in BESIDE)
    return (), inputs, (weight, mask)
