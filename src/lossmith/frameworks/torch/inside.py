"""Modules that are made inside of a function under ``torch.compile``.

PyTorch cannot follow how a module of ours is made, which reads texts and writes programs. So it is made while the
function is compiled, by PyTorch's word that what makes it always gives the same, and compiled calls use that one. A
graph knows it as an attribute of ``MADE``, as it knows other modules from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch._dynamo.exc import RestartAnalysis
from torch.fx.experimental.symbolic_shapes import guard_scalar

from lossmith.core.loss import Loss
from lossmith.engines.torch import CONSTANTS
from lossmith.errors import DomainError, LossmithError

M = TypeVar("M", bound=torch.nn.Module)


class Made:
    """What was made so, once each, by a name that it got here."""


MADE = Made()
_names: dict[Any, str] = {}


def anywhere(make: Callable[..., M], *values: Any, **named: Any) -> M:
    """Return a module, within a function that is being compiled or not; see ``inside``."""
    if torch.compiler.is_dynamo_compiling():
        found: M = inside(make, *values, **named)
        return found
    return make(*values, **named)


def inside(make: Callable[..., Any], *values: Any, **named: Any) -> Any:
    """Return a module within a function that is being compiled.

    Args:
        make: makes it.
        values, named: what it takes. They are constants of the compiled function; a tensor is none, since its numbers
            may be others in the next call.
    """
    if any(isinstance(x, torch.Tensor) for x in (*values, *named.values())):
        return _outside(make, *values, **named)
    places, keywords = [_number(x) for x in values], {key: _number(x) for key, x in named.items()}
    name = _name_of(make, *places, **keywords)
    return getattr(MADE, name) if name else _mistaken(make, *values, **named)


def check() -> None:
    """Raise an error if compiled functions met examples outside the domains, in modules that they make themselves.

    Such a module has no name that its own ``check`` could be called by. Equal ones are one module, whichever function
    makes it, and each counts from one check to the next.

    Raises:
        DomainError: as ``check`` of the module raises it, of each that met some.
    """
    told = []
    for module in list(vars(MADE).values()):
        try:
            module.check()
        except DomainError as error:
            told.append(error)
    if told:
        raise told[0] if len(told) == 1 else DomainError("\n".join(map(str, told)))


def _made(make: Callable[..., Any], *values: Any, **named: Any) -> Any:
    return make(*values, **named)


_disabled: Any = torch.compiler.disable
_outside = _disabled(_made, reason="a module of tensors is to be made outside of what torch.compile compiles")
_mistaken = _disabled(_made, reason="there is no such module; without torch.compile it is said why")
"""Both end the graph, or say so where there shall be one."""


def _number(value: Any) -> Any:
    """Return a value, or a float as this one: PyTorch takes one that changed between calls for any."""
    return guard_scalar(value) if isinstance(value, float) else value


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _name_of(make: Callable[..., Any], *values: Any, **named: Any) -> str:
    # A loss that came in is known as an object whose parts PyTorch follows; one of our own as the constant that it is.
    known = len(CONSTANTS)
    try:
        module = make(*(x.replace() if isinstance(x, Loss) else x for x in values), **named)
    except LossmithError:
        return ""
    name = _names.setdefault((type(module), module.loss, module.reduction, module.empty), f"made_{len(_names)}")
    if not hasattr(MADE, name):
        setattr(MADE, name, module)
    if len(CONSTANTS) > known:  # what is being compiled may have read which classes there are: it has to read again
        raise RestartAnalysis(restart_reason=f"the class {type(module.loss).__name__} is new to graphs")
    return name
