"""Lossmith for JAX: every loss of the catalogue as a pure function, by its name and with its keywords.

    lossmith.jax.huber(predictions, targets, delta=1.35)  # the loss of each example
    lossmith.jax.cost("huber(delta=1.35)", predictions, targets, weight=w, mask=m)  # one number, for jax.grad

``losses`` and ``cost`` take any loss, sums and your own included. ``state`` returns the sums behind a cost, which
add up over batches and devices and count what no traced call could look at.
"""

from __future__ import annotations

from typing import Any

from lossmith.errors import MissingDependencyError

try:
    from lossmith.frameworks.jax.costs import State
    from lossmith.frameworks.jax.functions import cost, function, losses, names, state
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise MissingDependencyError("lossmith.jax needs JAX: pip install 'lossmith[jax]'") from None

__all__ = ["State", "cost", "losses", "state", *names()]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'lossmith.jax' has no attribute {name!r}")
    found = function(name)
    globals()[name] = found
    return found
