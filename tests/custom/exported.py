"""What tests of exported code share: losses, points, the right answers, and how far others may be from them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

import lossmith as lm
from lossmith.certify.points import combinations, points
from lossmith.certify.samples import sample
from lossmith.structures.pointwise import Pointwise

ROWS = 128  # the same for all, so that JAX compiles each of its functions once

Arrays = dict[str, np.ndarray[Any, Any]]


@lm.loss(parameters={"level": "(0, 1)"})
def leaning(ops, y, f, level=0.9):
    """Pinball, as a user writes it."""
    return ops.max(level * (y - f), (1 - level) * (f - y))


@lm.loss
def odd_names(ops, y, f, softplus=1.0, grad=0.5, training=2.0, slope=1.5, u=0.1, sum=3.0, tangents=0.3):
    """Parameters with names that mean something in the targets."""
    return softplus * ops.softplus(grad * (f - y)) + training * (f - y) ** 2 + slope * u * sum * tangents


PLAIN = [kind() for kind in map(lm.loss_class, lm.names()) if issubclass(kind, Pointwise)]
OWN = [
    lm.formula("where(f < y, k*log(1 + exp(y - f)), (y - f)**2)", parameters={"k": (4.0, "(0, inf)")}, name="late"),
    lm.formula("lgamma(1 + exp(y)) + f**2 * s + log(s + 1)", predicted={"s": "(0, inf)"}, name="two_inputs"),
    # names that mean something in the targets
    lm.formula(
        "np*(y - f)**2 + tanh(exp_*f)**2/double", parameters={"np": 1.0, "exp_": 2.0, "double": 3.0}, name="odd"
    ),
    lm.formula(  # everything that a formula can call
        "abs(f - 1)*sign(y - 1) + min(f, y, 1)*max(f, y) + expm1(f/9) - log1p(y*f) + tanh(f)*sigmoid(y)"
        " + sqrt(f)*cosh(f) + softplus(f - y) + logcosh(f)/hypot(f, y) + square(f) + xlogy(f, y)"
        " + log1mexp(f) + mul0(f, y) + log(f)",
        target="(0.1, 4)",
        prediction="(0.1, 4)",
        name="everything",
    ),
    lm.formula(
        "where(f < y and not f < 0.5 or y == 1, expm1_excess(f)*log1p_excess(f), bowl(f, 1) + bowl(f, 0.5)*f**y)"
        " + (2 if 0.5 < f <= 2 else 3)*f**3 + lgamma(y)*f + f**-2 + hold(f)*f + exp(-f)**0.5",
        target="(0.1, 4)",
        prediction="(0.1, 4)",
        name="choices",
    ),
    leaning(),
    odd_names(),
    0.5 * lm.Huber(delta=2) + lm.AbsoluteError() + 0.25 * lm.Huber(delta=0.5),
]
CHOICES = [  # made by a parameter
    lm.Tweedie(power=2),
    lm.Barron(alpha=0),
    lm.Barron(alpha=-np.inf),
    lm.BinaryCrossEntropy(prediction="probabilities", eps=1e-3),
]
LOSSES: list[lm.Loss] = [*PLAIN, *OWN]
"""What every target is tried with."""
FORMS = list(dict.fromkeys([
    *LOSSES, *CHOICES, *(type(loss)(**form) for loss in PLAIN for form in combinations(type(loss))),
    lm.Barron(alpha=-2), lm.Barron(alpha=2), lm.Tweedie(power=1), lm.Focal(gamma=0.5, alpha=0.25),
]))  # fmt: skip
"""What NumPy alone is tried with, since options change the formula and not how it is printed."""

SOFTMAX = [
    lm.SparseCategoricalCrossEntropy(),
    lm.SparseCategoricalCrossEntropy(label_smoothing=0.1),
    lm.CategoricalCrossEntropy(label_smoothing=0.2),
    lm.SoftmaxFocal(),
    lm.GeneralisedCrossEntropy(q=0.5),
    lm.SoftmaxPolyOne(),
    lm.SymmetricCrossEntropy(),
    lm.LogitAdjusted(prior=(0.5, 0.3, 0.2)),
]
ROW_LOSSES: list[lm.Loss] = [
    *SOFTMAX, lm.KLDivergence(), lm.ReverseKLDivergence(), lm.JensenShannon(), lm.TotalVariation(), lm.GeneralisedKL(),
    lm.SquaredHellinger(), lm.AlphaDivergence(), lm.MultiQuantile(),
]  # fmt: skip


def rows(loss: lm.Loss) -> Arrays:
    """Return rows, those of logits from small to large ones."""
    if loss not in SOFTMAX:
        return sample(loss, 60)
    z = np.random.default_rng(0).normal(0, 5, (60, 3)) * np.repeat([1, 10, 100], 20)[:, None]
    y = np.arange(60) % 3
    return {"y_true": y if loss.indices else np.eye(3)[y] * 0.7 + 0.1, "y_pred": z}


@cache
def data(loss: lm.Loss) -> Arrays:
    """Return typical points, tails and kinks, for a loss of several inputs typical ones alone."""
    if isinstance(loss, Pointwise) and loss.paired and loss.card.examples:
        y, f = points(loss)
        # -0.0 turns slopes at an end of a domain around, and squares of tinier numbers are none
        kept = np.all([(np.abs(x) <= 1e3) & ((np.abs(x) > 1e-9) | (~np.signbit(x) & (x == 0))) for x in (y, f)], axis=0)
        found = {"y_true": y[kept], "y_pred": f[kept]}
    else:
        found = sample(loss, ROWS)
    size = len(next(iter(found.values())))
    order = np.random.default_rng(0).permutation(np.resize(np.arange(size), ROWS))
    return {name: np.ascontiguousarray(x[order]) for name, x in found.items()}


def single(arrays: Mapping[str, Any]) -> Arrays:
    """Return arrays in single precision."""
    return {name: x.astype(np.float32) for name, x in arrays.items()}


def right(loss: lm.Loss, arrays: Mapping[str, Any]) -> Arrays:
    """Return the losses, and the gradient by the name of each predicted input."""
    with np.errstate(all="ignore"):
        slopes = loss.gradient(**arrays)
        slopes = slopes if isinstance(slopes, dict) else {loss.predicted[0].name: slopes}
        return {"losses": loss.losses(**arrays), **slopes}


def apart(loss: lm.Loss, found: Mapping[str, Any], wanted: Mapping[str, Any], *, double: bool = True) -> list[str]:
    """Return where results differ from others by more than rounding, in words."""
    relative, absolute = (1e-9, 1e-13) if double else (3e-5, 3e-6)
    said = []
    assert found.keys() == wanted.keys(), loss
    for name, right in wanted.items():
        result = np.asarray(found[name], dtype=float)
        assert result.shape == right.shape, f"{loss} {name}"
        with np.errstate(all="ignore"):
            wrong = ~((np.abs(result - right) <= relative * np.abs(right) + absolute) | (result == right))
        if wrong.any():
            at = int(np.argmax(wrong.reshape(-1)))
            said.append(f"{loss} {name}: {result.reshape(-1)[at]} for {right.reshape(-1)[at]} at {at}")
    return said


def run(text: str) -> dict[str, Any]:
    """Return the names that a module of Python defines."""
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(text, "exported.py", "exec"), names)
    return names


def in_order(loss: lm.Loss) -> list[str]:
    """Return the names of the inputs as libraries that put predictions first take them."""
    return sorted((item.name for item in loss.inputs), key=lambda name: {"y_pred": 0, "y_true": 1}.get(name, 2))
