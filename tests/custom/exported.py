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
    lm.formula(  # functions of numbers alone, some in derivatives only, and what they decide
        "abs(f - y)/log(10) + 2**f*tanh(1) + log(1 + exp(f - y))/log(2) + hypot(f, y)**sqrt(6.25)"
        " + where(log(2) < 1 and f < y, min(sqrt(9), 4), 4)*f + where(exp(1) < 1 or cosh(1) < 1, f, 2*f)",
        target="(0.1, 4)",
        prediction="(0.1, 4)",
        name="numbers",
    ),
    lm.formula("f", name="critic"),  # the input itself
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

WEIGHTS = (1.0, 2.0, 0.5)
ROW_LOSSES: list[lm.Loss] = [
    lm.SparseCategoricalCrossEntropy(),
    lm.SparseCategoricalCrossEntropy(label_smoothing=0.1, class_weight=WEIGHTS, ignore_index=2),
    lm.SparseCategoricalCrossEntropy(prediction="probabilities", class_weight=WEIGHTS),
    lm.CategoricalCrossEntropy(label_smoothing=0.2, z_loss=0.01, class_axis=0),
    lm.CategoricalCrossEntropy(prediction="probabilities", class_weight=WEIGHTS),
    lm.SoftmaxFocal(ignore_index=-1, z_loss=0.01),
    lm.GeneralisedCrossEntropy(q=0.5, targets="distributions"),
    lm.SoftmaxPolyOne(label_smoothing=0.1),
    lm.LogitAdjusted(prior=(0.5, 0.3, 0.2), class_weight=WEIGHTS),
    lm.MulticlassBrier(),
    lm.MulticlassBrier(prediction="probabilities", targets="distributions"),
    lm.CrammerSinger(ignore_index=0),
    lm.WestonWatkins(class_weight=WEIGHTS),
    lm.CrammerSinger(label_smoothing=0.1, ignore_index=2),
    lm.CrammerSinger(targets="distributions"),
    lm.WestonWatkins(label_smoothing=0.1, class_weight=WEIGHTS),
    lm.WestonWatkins(targets="distributions", class_axis=0),
    lm.KLDivergence(),
    lm.KLDivergence(p_kind="logits", q_kind="logits"),
    lm.ReverseKLDivergence(p_kind="log_probabilities", q_kind="logits"),
    lm.JensenShannon(q_kind="logits", class_axis=0),
    lm.TotalVariation(p_kind="logits"),
    lm.GeneralisedKL(q_kind="log_values"),
    lm.SquaredHellinger(p_kind="logits", q_kind="logits"),
    lm.AlphaDivergence(alpha=2, q_kind="logits"),
    lm.Distillation(temperature=3),
    lm.Triplet(),
    lm.Triplet(distance="squared"),
    lm.Triplet(margin=1.5, distance="cosine"),
    lm.MultiQuantile(),
    lm.MultiQuantile(prediction="increments"),
    0.5 * lm.SparseCategoricalCrossEntropy(class_weight=WEIGHTS) + lm.SoftmaxFocal(gamma=1, class_weight=WEIGHTS),
    2 * lm.KLDivergence(q_kind="logits") + lm.JensenShannon(q_kind="logits"),
]
"""Each kind of losses of rows with each of its options, some of them together."""
FEW_ROWS = [ROW_LOSSES[place] for place in (1, 2, 3, 8, 9, 11, 12, 13, 15, 18, 23, 25, 26, 28, 30, 31)]
"""Those that have all statements between them, for what takes long."""


def rows(loss: lm.Loss) -> Arrays:
    """Return rows, those of logits from small to large ones."""
    found = sample(loss, 60)
    if loss.values.get("prediction") == "logits":
        far = np.repeat([1, 10, 50], 20)
        found["y_pred"] = found["y_pred"] * (far if loss.class_axis == 0 else far[:, None])
    return found


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
