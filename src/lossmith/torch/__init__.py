"""Lossmith for PyTorch: every loss of the catalogue as a module, by its class name and with its keywords.

    criterion = lossmith.torch.Huber(delta=1.35)
    criterion(input, target).backward()

``module(loss)`` makes one of any loss, sums and your own included. Classes lie along axis 1, as everywhere in PyTorch,
unless ``class_axis=`` says otherwise. ``check()`` raises an error of what compiled functions met outside the domains in
modules that they make themselves.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lossmith.errors import MissingDependencyError

try:
    from lossmith.frameworks.torch.inside import anywhere, check
    from lossmith.frameworks.torch.modules import LossModule, every_name, module_class
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise MissingDependencyError("lossmith.torch needs PyTorch: pip install 'lossmith[torch]'") from None

__all__ = ["LossModule", "check", "module", *every_name()]


def module(loss: Any, *, reduction: str = "mean", empty: str = "zero") -> LossModule:
    """Return a loss as a module of PyTorch.

    Args:
        loss: any loss, or its text, such as ``"huber(delta=1.35)"``; its own ``class_axis`` holds.
        reduction, empty: see ``LossModule``.
    """
    return anywhere(LossModule, loss, reduction=reduction, empty=empty)


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'lossmith.torch' has no attribute {name!r}")
    # What needs processes is loaded when it is named, as ``torch.distributed`` can be without an import of its own.
    found = import_module(f"{__name__}.{name}") if name == "distributed" else module_class(name)
    globals()[name] = found
    return found
