"""Who runs in ``benchmarks/cpu.py``: cost and gradient of the same losses, as each library's users write them.

A contestant is made from data and returns a callable without arguments that computes the mean cost and
its gradient by the predictions, and leaves both behind so that they can be checked. Set-up, compilation
and the first touch of memory happen before the clock runs.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

import numpy as np

import lossmith as lm

Array = np.ndarray
Run = Callable[[], tuple[float, Any]]
Make = Callable[[Array, Array], Run]


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return an array that begins at a cache line and has been touched."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def ours(loss: lm.Loss, *, engine: str = "auto") -> Make:
    """Return Lossmith, with the gradient in an array that is used again and again."""
    from lossmith.engines import choice

    def make(y: Array, f: Array) -> Run:
        out = aligned(f.shape, f.dtype)

        def run() -> tuple[float, Any]:
            with choice.using(engine):  # type: ignore[arg-type]  # a name of one
                return loss.cost_and_gradient(y, f, out=out)

        return run

    return make


# --- PyTorch ----------------------------------------------------------------------------------------


def torch_formula(name: str) -> Callable[[Any, Any], Any]:
    import torch
    import torch.nn.functional as F

    return {
        "squared_error": lambda f, y: F.mse_loss(f, y),
        "absolute_error": lambda f, y: F.l1_loss(f, y),
        "huber": lambda f, y: F.huber_loss(f, y),
        "smooth_l1": lambda f, y: F.smooth_l1_loss(f, y),
        "quantile": lambda f, y: torch.maximum(0.5 * (y - f), -0.5 * (y - f)).mean(),
        "hinge": lambda f, y: torch.relu(1 - (2 * y - 1) * f).mean(),
        "binary_cross_entropy": lambda f, y: F.binary_cross_entropy_with_logits(f, y),
        "log_cosh": lambda f, y: ((f - y) + F.softplus(-2 * (f - y)) - 0.6931471805599453).mean(),
        "poisson": lambda f, y: F.poisson_nll_loss(f, y),
        "focal": lambda f, y: (
            (1 - torch.exp(-F.binary_cross_entropy_with_logits(f, y, reduction="none"))) ** 2
            * F.binary_cross_entropy_with_logits(f, y, reduction="none")
        ).mean(),
        "cauchy": lambda f, y: torch.log1p(0.5 * (f - y) ** 2).mean(),
        "sparse_categorical_cross_entropy": lambda f, y: F.cross_entropy(f, y),
        "kl_divergence": lambda f, y: F.kl_div(F.log_softmax(f, -1), y, reduction="batchmean"),
    }[name]


def torch_eager(name: str, *, compiled: bool = False) -> Make:
    """Return PyTorch with its autograd; ``compiled`` by ``torch.compile``."""

    def make(y: Array, f: Array) -> Run:
        import torch

        cost = torch_formula(name)
        cost = torch.compile(cost, dynamic=False) if compiled else cost
        target, prediction = torch.from_numpy(y), torch.from_numpy(f.copy()).requires_grad_()

        def run() -> tuple[float, Any]:
            prediction.grad = None
            value = cost(prediction, target)
            value.backward()
            assert prediction.grad is not None
            return value.item(), prediction.grad.numpy()

        run()
        return run

    return make


# --- JAX ----------------------------------------------------------------------------------------------


def jax_jit(name: str) -> Make:
    """Return ``jax.jit`` of ``value_and_grad`` of optax's loss, or of the formula where optax has none."""

    def make(y: Array, f: Array) -> Run:
        import jax
        import jax.numpy as jnp
        import optax

        jax.config.update("jax_enable_x64", f.dtype == np.float64)
        formulas: dict[str, Callable[[Any, Any], Any]] = {
            "squared_error": lambda f, y: optax.losses.squared_error(f, y).mean(),
            "absolute_error": lambda f, y: jnp.abs(f - y).mean(),
            "huber": lambda f, y: optax.losses.huber_loss(f, y).mean(),
            "smooth_l1": lambda f, y: optax.losses.huber_loss(f, y).mean(),
            "quantile": lambda f, y: jnp.maximum(0.5 * (y - f), -0.5 * (y - f)).mean(),
            "hinge": lambda f, y: optax.losses.hinge_loss(f, 2 * y - 1).mean(),
            "binary_cross_entropy": lambda f, y: optax.losses.sigmoid_binary_cross_entropy(f, y).mean(),
            "log_cosh": lambda f, y: optax.losses.log_cosh(f, y).mean(),
            "poisson": lambda f, y: (jnp.exp(f) - y * f).mean(),
            "focal": lambda f, y: optax.losses.sigmoid_focal_loss(f, y, gamma=2.0).mean(),
            "cauchy": lambda f, y: jnp.log1p(0.5 * (f - y) ** 2).mean(),
            "sparse_categorical_cross_entropy": lambda f, y: optax.losses.softmax_cross_entropy_with_integer_labels(
                f, y
            ).mean(),
            "kl_divergence": lambda f, y: optax.losses.kl_divergence(jax.nn.log_softmax(f), y).mean(),
        }
        both = jax.jit(jax.value_and_grad(formulas[name]))
        prediction, target = jnp.asarray(f), jnp.asarray(y)

        def run() -> tuple[float, Any]:
            value, gradient = both(prediction, target)
            return float(value), gradient.block_until_ready()

        run()
        return run

    return make


# --- scikit-learn and NumPy ------------------------------------------------------------------------------


def sklearn_loss(name: str) -> Make | None:
    """Return scikit-learn's private losses, which compute value and gradient in one pass in C."""
    from sklearn import _loss

    kind: Any = {
        "squared_error": _loss.HalfSquaredError,
        "absolute_error": _loss.AbsoluteError,
        "huber": lambda: _loss.HuberLoss(delta=1.0),
        "quantile": lambda: _loss.PinballLoss(quantile=0.5),
        "binary_cross_entropy": _loss.HalfBinomialLoss,
        "poisson": _loss.HalfPoissonLoss,
        "sparse_categorical_cross_entropy": _loss.HalfMultinomialLoss,
    }.get(name)
    if kind is None:
        return None

    def make(y: Array, f: Array) -> Run:
        extra = {"n_classes": f.shape[1]} if f.ndim == 2 else {}
        loss = _loss.HalfMultinomialLoss(**extra) if extra else kind()
        target = y.astype(f.dtype)
        values, gradient = np.zeros(len(f), f.dtype), np.zeros_like(f)

        def run() -> tuple[float, Any]:
            loss.loss_gradient(target, f, loss_out=values, gradient_out=gradient, n_threads=os.cpu_count())
            gradient_mean = gradient / len(f)
            return float(values.mean()), gradient_mean

        return run

    return make


def numpy_formula(name: str) -> Make | None:
    """Return what people write in NumPy, an operation at a time."""

    def bce(y: Array, f: Array) -> tuple[float, Array]:
        e = np.exp(-np.abs(f))
        p = np.where(f >= 0, 1 / (1 + e), e / (1 + e))
        return float((np.maximum(f, 0) - f * y + np.log1p(e)).mean()), (p - y) / f.size

    def huber(y: Array, f: Array) -> tuple[float, Array]:
        r = f - y
        a = np.abs(r)
        return float(np.where(a <= 1, r * r / 2, a - 0.5).mean()), np.clip(r, -1, 1) / f.size

    def softmax(y: Array, f: Array) -> tuple[float, Array]:
        z = f - f.max(axis=1, keepdims=True)
        e = np.exp(z)
        total = e.sum(axis=1, keepdims=True)
        rows = np.arange(len(f))
        value = float((np.log(total)[:, 0] - z[rows, y]).mean())
        g = e / total
        g[rows, y] -= 1
        return value, g / len(f)

    formulas: dict[str, Callable[[Array, Array], tuple[float, Array]]] = {
        "squared_error": lambda y, f: (float(np.mean((f - y) ** 2)), 2 * (f - y) / f.size),
        "absolute_error": lambda y, f: (float(np.mean(np.abs(f - y))), np.sign(f - y) / f.size),
        "huber": huber,
        "binary_cross_entropy": bce,
        "sparse_categorical_cross_entropy": softmax,
    }
    formula = formulas.get(name)
    if formula is None:
        return None
    return lambda y, f: lambda: formula(y, f)


# --- floors ------------------------------------------------------------------------------------------------


def floor_copy(y: Array, f: Array) -> Run:
    """Return one read and one write of the predictions, by the C library."""
    out = aligned(f.shape, f.dtype)

    def run() -> tuple[float, Any]:
        ctypes.memmove(out.ctypes.data, f.ctypes.data, f.nbytes)
        return 0.0, out

    return run


def floor_add() -> Make:
    """Return two reads and one write by our own loop skeleton with two threads: the best that this machine gave."""
    from lossmith.engines.llvm import kernel
    from lossmith.program import trace

    program = trace(lambda ops, s: {"gradient:f": s["y"] + s["f"], "valid": ops.le(0.0, 1.0)}, ["y", "f"])

    def make(y: Array, f: Array) -> Run:
        out, target = aligned(f.shape, f.dtype), y.astype(f.dtype)

        def run() -> tuple[float, Any]:
            kernel.run(program, [target, f], {}, {"gradient:f": out})
            return 0.0, out

        return run

    return make
