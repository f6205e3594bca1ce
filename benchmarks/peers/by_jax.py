"""JAX: ``jax.jit`` of ``value_and_grad``, with optax's losses where it has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.cases import Case
from benchmarks.formulas import FORMULAS
from benchmarks.peers import Call, Contestant, Result


class Namespace:
    """What formulas are written with."""

    abs, exp, log, log1p, sqrt, tanh, sign = jnp.abs, jnp.exp, jnp.log, jnp.log1p, jnp.sqrt, jnp.tanh, jnp.sign
    where, clip, erf, relu = jnp.where, jnp.clip, jax.scipy.special.erf, jax.nn.relu
    sigmoid, softplus, hold = jax.nn.sigmoid, jax.nn.softplus, jax.lax.stop_gradient


OWN: dict[str, Callable[..., Any]] = {
    "squared_error": lambda y, f: optax.losses.squared_error(f, y).mean(),
    "huber": lambda y, f: optax.losses.huber_loss(f, y).mean(),
    "smooth_l1": lambda y, f: optax.losses.huber_loss(f, y).mean(),
    "hinge": lambda y, f: optax.losses.hinge_loss(f, 2 * y - 1).mean(),
    "perceptron": lambda y, f: optax.losses.perceptron_loss(f, 2 * y - 1).mean(),
    "binary_cross_entropy": lambda y, f: optax.losses.sigmoid_binary_cross_entropy(f, y).mean(),
    "log_cosh": lambda y, f: optax.losses.log_cosh(f, y).mean(),
    "focal": lambda y, f: optax.losses.sigmoid_focal_loss(f, y, gamma=2.0).mean(),
    "sparse_categorical_cross_entropy": lambda y, f: optax.losses.softmax_cross_entropy_with_integer_labels(
        f, y
    ).mean(),
    "categorical_cross_entropy": lambda t, f: optax.losses.softmax_cross_entropy(f, t).mean(),
    "kl_divergence": lambda p, q: optax.losses.kl_divergence(jax.nn.log_softmax(q), p).mean(),
    "kl_of_probabilities": lambda p, q: optax.losses.kl_divergence(jnp.log(q), p).mean(),
    "distillation": lambda t, s: optax.losses.kl_divergence_with_log_targets(
        jax.nn.log_softmax(s), jax.nn.log_softmax(t)
    ).mean(),
}
"""Losses that optax has."""


def contestants(case: Case) -> Iterator[Contestant]:
    """Yield JAX where it differentiates the loss; its arrays are never strided."""
    if case.work == "cost and gradient" and not case.strided and (case.name in OWN or case.name in FORMULAS):
        yield Contestant("jax.jit", lambda: _jit(case))


def _jit(case: Case) -> Call:
    jax.config.update("jax_enable_x64", case.dtype == "float64")
    cost = OWN.get(case.name)
    if cost is None:
        value = FORMULAS[case.name].value

        def cost(*inputs: Any) -> Any:
            return value(Namespace, *inputs).mean()

    names = list(case.data)
    both = jax.jit(jax.value_and_grad(cost, argnums=tuple(names.index(name) for name in case.wrt)))
    given = tuple(jnp.asarray(array) for array in case.data.values())

    def run() -> Result:
        value, gradients = both(*given)
        return float(value), tuple(gradient.block_until_ready() for gradient in gradients)

    return run
