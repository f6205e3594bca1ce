"""scikit-learn: the losses of its boosting, compiled C that makes value and gradient at once, and its metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn import _loss, metrics

from benchmarks.cases import Case, aligned
from benchmarks.peers import Call, Contestant, Result

LOSSES: dict[str, tuple[Callable[..., Any], float]] = {
    # what makes it, and its multiple of ours
    "squared_error": (_loss.HalfSquaredError, 0.5),
    "half_squared_error": (_loss.HalfSquaredError, 1.0),
    "absolute_error": (_loss.AbsoluteError, 1.0),
    "huber": (lambda: _loss.HuberLoss(delta=1.0), 1.0),
    "quantile": (lambda: _loss.PinballLoss(quantile=0.5), 1.0),
    "binary_cross_entropy": (_loss.HalfBinomialLoss, 1.0),
    "poisson": (_loss.HalfPoissonLoss, 1.0),
    "gamma": (_loss.HalfGammaLoss, 1.0),
    "tweedie": (lambda: _loss.HalfTweedieLoss(power=1.5), 1.0),
    "sparse_categorical_cross_entropy": (_loss.HalfMultinomialLoss, 1.0),
}
METRICS: dict[str, Callable[[Any, Any], float]] = {
    "log_loss": metrics.log_loss,
    "categorical_log_loss": metrics.log_loss,
    "squared_error": metrics.mean_squared_error,
    "absolute_error": metrics.mean_absolute_error,
    "zero_one": lambda y, f: metrics.zero_one_loss(y, f > 0),
}


def contestants(case: Case) -> Iterator[Contestant]:
    """Yield scikit-learn for what it has; its losses take no strided arrays."""
    if case.work == "cost" and case.name in METRICS:
        metric = METRICS[case.name]
        yield Contestant("scikit-learn", lambda: lambda: (float(metric(*case.data.values())), ()))
    elif case.work != "cost" and not case.strided and case.name in LOSSES:
        kind, factor = LOSSES[case.name]
        yield Contestant("scikit-learn", lambda: _compiled(case, kind), factor)


def _compiled(case: Case, kind: Callable[..., Any]) -> Call:
    loss = kind(n_classes=case.shape[1]) if len(case.shape) == 2 else kind()
    y, f = case.data.values()
    y, threads = y.astype(f.dtype), int(os.environ["OMP_NUM_THREADS"])
    values = np.zeros(case.rows, f.dtype)
    first, second = aligned(case.shape, case.dtype), aligned(case.shape, case.dtype)

    def cost_and_gradient() -> Result:
        loss.loss_gradient(y, f, loss_out=values, gradient_out=first, n_threads=threads)
        np.divide(first, case.rows, out=first)  # as its linear models do
        return float(values.mean()), (first,)

    def derivatives() -> Result:
        loss.gradient_hessian(y, f, gradient_out=first, hessian_out=second, n_threads=threads)
        return None, (first, second)

    return derivatives if case.work == "gradient and Hessian" else cost_and_gradient
