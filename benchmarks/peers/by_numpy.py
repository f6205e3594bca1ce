"""NumPy as people write it, an operation at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import erf

from benchmarks.cases import Case
from benchmarks.formulas import FORMULAS
from benchmarks.peers import Call, Contestant, Result

Array = np.ndarray


class Namespace:
    """What formulas are written with."""

    abs, exp, log, log1p, sqrt, tanh, sign = np.abs, np.exp, np.log, np.log1p, np.sqrt, np.tanh, np.sign
    where, clip, erf = np.where, np.clip, erf

    @staticmethod
    def hold(x: Array) -> Array:
        """Return the same: nothing is differentiated here."""
        return x

    @staticmethod
    def relu(x: Array) -> Array:
        """Return the positive part."""
        return np.maximum(x, 0)

    @staticmethod
    def sigmoid(x: Array) -> Array:
        """Return 1 / (1 + exp(-x)); where that overflows it is still 0."""
        return 1 / (1 + np.exp(-x))

    @staticmethod
    def softplus(x: Array) -> Array:
        """Return log(1 + exp(x)) without overflow."""
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _cross_entropy(y: Array, z: Array) -> Result:
    z = z - z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    rows = np.arange(len(z))
    value = float((np.log(total)[:, 0] - z[rows, y]).mean())
    g = e / total
    g[rows, y] -= 1
    g /= len(z)
    return value, (g,)


def _soft_cross_entropy(t: Array, z: Array) -> Result:
    z = z - z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    value = float((np.log(total)[:, 0] - (t * z).sum(axis=1)).mean())
    g = e / total - t
    g /= len(z)
    return value, (g,)


def _log_softmax(z: Array) -> Array:
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def _kl_divergence(p: Array, z: Array) -> Result:
    apart = np.log(p) - _log_softmax(z)
    return float((p * apart).sum(axis=1).mean()), ((apart + 1) / len(z), (np.exp(_log_softmax(z)) - p) / len(z))


def _kl_of_probabilities(p: Array, q: Array) -> Result:
    apart = np.log(p / q)
    return float((p * apart).sum(axis=1).mean()), ((apart + 1) / len(p), -p / q / len(p))


def _distillation(teacher: Array, student: Array) -> Result:
    t, s = _log_softmax(teacher), _log_softmax(student)
    p = np.exp(t)
    return float((p * (t - s)).sum(axis=1).mean()), ((np.exp(s) - p) / len(s),)


def _logistic_derivatives(y: Array, f: Array) -> Result:
    p = Namespace.sigmoid(f)
    return None, (p - y, p * (1 - p))


def _poisson_derivatives(y: Array, f: Array) -> Result:
    e = np.exp(f)
    return None, (e - y, e)


def _huber_derivatives(y: Array, f: Array) -> Result:
    r = f - y
    return None, (np.clip(r, -1, 1), (np.abs(r) <= 1).astype(r.dtype))


def _log_loss(y: Array, p: Array) -> Result:
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))), ()


def _categorical_log_loss(y: Array, p: Array) -> Result:
    return float(-np.mean(np.log(p[np.arange(len(p)), y]))), ()


ROWS: dict[str, Callable[[Array, Array], Result]] = {
    "sparse_categorical_cross_entropy": _cross_entropy,
    "categorical_cross_entropy": _soft_cross_entropy,
    "kl_divergence": _kl_divergence,
    "kl_of_probabilities": _kl_of_probabilities,
    "distillation": _distillation,
}
DERIVATIVES: dict[str, Callable[[Array, Array], Result]] = {
    "binary_cross_entropy": _logistic_derivatives,
    "poisson": _poisson_derivatives,
    "huber": _huber_derivatives,
}
COSTS: dict[str, Callable[[Array, Array], Result]] = {
    "log_loss": _log_loss,
    "categorical_log_loss": _categorical_log_loss,
    "squared_error": lambda y, f: (float(np.mean((f - y) ** 2)), ()),
    "absolute_error": lambda y, f: (float(np.mean(np.abs(f - y))), ()),
    "zero_one": lambda y, f: (float(np.mean((f > 0) != y)), ()),
}


def contestants(case: Case) -> Iterator[Contestant]:
    """Yield NumPy where it has the formula."""
    if case.work == "cost" or case.work == "gradient and Hessian" or len(case.shape) == 2:
        table = {"cost": COSTS, "gradient and Hessian": DERIVATIVES}.get(case.work, ROWS)
        if case.name in table:
            formula = table[case.name]
            yield Contestant("NumPy", lambda: lambda: formula(*case.data.values()))
    elif case.name in FORMULAS:
        yield Contestant("NumPy", lambda: _pointwise(case))


def _pointwise(case: Case) -> Call:
    value, gradients = FORMULAS[case.name]
    data: tuple[Any, ...] = tuple(case.data.values())

    def run() -> Result:
        cost = float(np.mean(value(Namespace, *data)))
        return cost, tuple(gradient(Namespace, *data) / case.rows for gradient in gradients)

    return run
