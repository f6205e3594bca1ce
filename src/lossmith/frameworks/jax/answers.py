"""What JAX says of losses of a prediction and a target: value and derivatives, as users get them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.frameworks.jax.functions import losses

Array = npt.NDArray[Any]


def eager(loss: Loss, y: Array, f: Array, kind: str) -> list[Array]:
    """Return value, gradient and second derivative of each example, an operation at a time."""
    with jax.disable_jit():
        return _answers(loss, y, f, kind, compiled=False)


def compiled(loss: Loss, y: Array, f: Array, kind: str) -> list[Array]:
    """Return the same from one function that ``jax.jit`` compiled."""
    return _answers(loss, y, f, kind, compiled=True)


def _answers(loss: Loss, y: Array, f: Array, kind: str, *, compiled: bool) -> list[Array]:
    def total(f: Any, y: Any) -> tuple[Any, Any]:
        found = losses(loss, f, y)
        return found.sum(), found

    def everything(f: Any, y: Any) -> list[Any]:
        (slope, found), (bend, _) = jax.jvp(lambda f: jax.grad(total, has_aux=True)(f, y), (f,), (jnp.ones_like(f),))
        return [found, slope, bend]

    with jax.enable_x64(True):
        prediction, target = (jnp.asarray(x).astype(kind) for x in (f, y))
        found = (jax.jit(everything) if compiled else everything)(prediction, target)
        return [np.asarray(x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x) for x in found]
