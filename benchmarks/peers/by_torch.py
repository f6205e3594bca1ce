"""PyTorch with its autograd, eager and through ``torch.compile``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.cases import Case, compiles
from benchmarks.formulas import FORMULAS
from benchmarks.peers import Call, Contestant, Result


class Namespace:
    """What formulas are written with; softplus is told to be exact in double precision, too."""

    abs, exp, log, log1p, sqrt, tanh, sign = (
        torch.abs, torch.exp, torch.log, torch.log1p, torch.sqrt, torch.tanh, torch.sign,
    )  # fmt: skip
    where, clip, erf, relu, sigmoid, softplus = (
        torch.where, torch.clamp, torch.erf, torch.relu, torch.sigmoid, partial(F.softplus, threshold=40.0),
    )  # fmt: skip

    @staticmethod
    def hold(x: torch.Tensor) -> torch.Tensor:
        """Return the same as a constant."""
        return x.detach()


OWN: dict[str, Callable[..., Any]] = {
    "squared_error": lambda y, f: F.mse_loss(f, y),
    "absolute_error": lambda y, f: F.l1_loss(f, y),
    "huber": lambda y, f: F.huber_loss(f, y),
    "smooth_l1": lambda y, f: F.smooth_l1_loss(f, y),
    "binary_cross_entropy": lambda y, f: F.binary_cross_entropy_with_logits(f, y),
    "poisson": lambda y, f: F.poisson_nll_loss(f, y),
    "gaussian_nll": lambda y, f, v: F.gaussian_nll_loss(f, y, v),
    "sparse_categorical_cross_entropy": lambda y, f: F.cross_entropy(f, y),
    "categorical_cross_entropy": lambda t, f: F.cross_entropy(f, t),
    "kl_divergence": lambda p, q: F.kl_div(F.log_softmax(q, -1), p, reduction="batchmean"),
    "kl_of_probabilities": lambda p, q: F.kl_div(q.log(), p, reduction="batchmean"),
    "distillation": lambda t, s: F.kl_div(
        F.log_softmax(s, -1), F.log_softmax(t, -1), reduction="batchmean", log_target=True
    ),
}
"""Losses that PyTorch has itself."""


def contestants(case: Case) -> Iterator[Contestant]:
    """Yield PyTorch where it differentiates the loss; compiled for what everybody has."""
    if case.work != "cost and gradient" or (case.name not in OWN and case.name not in FORMULAS):
        return
    yield Contestant("PyTorch", lambda: _autograd(case, _cost(case.name)))
    if compiles(case):
        yield Contestant("torch.compile", lambda: _autograd(case, torch.compile(_cost(case.name), dynamic=False)))


def _cost(name: str) -> Callable[..., Any]:
    if name in OWN:
        return OWN[name]
    value = FORMULAS[name].value
    return lambda *inputs: value(Namespace, *inputs).mean()


def _autograd(case: Case, cost: Callable[..., Any]) -> Call:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    inputs = {name: torch.from_numpy(array) for name, array in case.data.items()}
    predicted = [inputs[name].requires_grad_() for name in case.wrt]
    given = tuple(inputs.values())

    def run() -> Result:
        for tensor in predicted:
            tensor.grad = None
        value = cost(*given)
        value.backward()
        return value.item(), tuple(tensor.grad.numpy() for tensor in predicted)

    return run
