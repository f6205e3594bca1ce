"""What JAX says of losses: values and derivatives, as users get them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.frameworks.jax.functions import losses

Array = npt.NDArray[Any]


def eager(loss: Loss, given: Mapping[str, Array], kind: str) -> dict[str, Array]:
    """Return losses, gradients and second derivatives, an operation at a time."""
    with jax.disable_jit():
        return _answers(loss, given, compiled=False)


def compiled(loss: Loss, given: Mapping[str, Array], kind: str) -> dict[str, Array]:
    """Return the same from one function that ``jax.jit`` compiled."""
    return _answers(loss, given, compiled=True)


def _answers(loss: Loss, given: Mapping[str, Array], *, compiled: bool) -> dict[str, Array]:
    names = {item.symbol: item.name for item in loss.predicted}
    first = (..., 0) if loss.row_axis is not None else ...

    def total(ends: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[Any, Any]:
        found = losses(loss, **{**others, **{names[symbol]: x for symbol, x in ends.items()}})
        return found.sum(), found

    def everything(ends: dict[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
        slopes, bends = jax.grad(total, has_aux=True), {}
        for symbol in ends:
            way = {z: jnp.zeros_like(x).at[first].set(z == symbol) for z, x in ends.items()}
            (slope, found), (bend, _) = jax.jvp(lambda z: slopes(z, others), (ends,), (way,))
            bends[f"hessian:{symbol}"] = bend[symbol][first]
        return {"losses": found, **{f"gradient:{symbol}": x for symbol, x in slope.items()}, **bends}

    with jax.enable_x64(True):
        arrays = {name: jnp.asarray(x) for name, x in given.items()}
        ends = {symbol: arrays.pop(name) for symbol, name in names.items()}
        found = (jax.jit(everything) if compiled else everything)(ends, arrays)
        return {name: np.asarray(x) for name, x in found.items()}
