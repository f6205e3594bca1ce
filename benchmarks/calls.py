"""What a call costs beside NumPy's own expression of the same cost, interleaved in one run.

``python -m benchmarks.calls`` prints a Markdown table: for each loss and number of examples, of which those with
classes have ten, the microseconds of a call less those of the expression, and their ratio. ``--gradient`` asks for cost
and gradient; ``--json FILE`` writes the times.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

import lossmith as lm
from benchmarks import timing
from lossmith.engines.choice import SMALLEST, Name, using

Array = npt.NDArray[Any]
Expression = Callable[..., Any]

LENGTHS = (1, 32, 128, 1024, 16 * 1024, 256 * 1024)
CLASSES = 10
BURST = 0.002
"""Seconds of calls that are timed as one."""


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _log_softmax(z: Array) -> Array:
    lowered = z - z.max(axis=1, keepdims=True)
    return lowered - np.log(np.exp(lowered).sum(axis=1, keepdims=True))


def _at(rows: Array, y: Array) -> Array:
    return rows[np.arange(len(y)), y]


def _less_one(p: Array, y: Array) -> Array:
    p[np.arange(len(y)), y] -= 1
    return p / len(y)


def _log_loss(y: Array, p: Array) -> float:
    return -float(np.mean(np.log(_at(p, y))))


def _checked_log_loss(y: Array, p: Array) -> float:
    if not (np.all(p >= 0) and np.all(np.abs(p.sum(axis=1) - 1) < 1e-4) and y.min() >= 0):
        raise ValueError("these are no probabilities, or no classes")
    return _log_loss(y, p)


def _log_loss_gradient(y: Array, p: Array) -> Array:
    return np.where(np.arange(CLASSES) == y[:, None], -1 / p, 0) / len(y)


@dataclass(frozen=True)
class Case:
    """A loss, what a NumPy user writes for its mean and the gradient of that, and what it takes; see ``data``."""

    loss: lm.Loss
    mean: Expression
    gradient: Expression
    targets: str = "numbers"
    note: str = ""

    @property
    def label(self) -> str:
        """What tables call it."""
        return f"{self.loss}{self.note}"


CASES = (
    Case(lm.SquaredError(), lambda y, f: np.mean((f - y) ** 2), lambda y, f: 2 * (f - y) / f.size),
    Case(lm.AbsoluteError(), lambda y, f: np.mean(np.abs(f - y)), lambda y, f: np.sign(f - y) / f.size),
    Case(
        lm.Huber(),
        lambda y, f: np.mean(np.where(np.abs(f - y) <= 1, (f - y) ** 2 / 2, np.abs(f - y) - 0.5)),
        lambda y, f: np.clip(f - y, -1, 1) / f.size,
    ),
    Case(
        lm.Quantile(0.9),
        lambda y, f: np.mean(np.maximum(0.9 * (y - f), -0.1 * (y - f))),
        lambda y, f: np.where(f < y, -0.9, 0.1) / f.size,
    ),
    Case(
        lm.LogCosh(),
        lambda y, f: np.mean(np.abs(f - y) + np.log1p(np.exp(-2 * np.abs(f - y))) - np.log(2)),
        lambda y, f: np.tanh(f - y) / f.size,
    ),
    Case(
        lm.PseudoHuber(),
        lambda y, f: np.mean(np.sqrt(1 + (f - y) ** 2) - 1),
        lambda y, f: (f - y) / np.sqrt(1 + (f - y) ** 2) / f.size,
    ),
    Case(
        lm.Cauchy(),
        lambda y, f: np.mean(np.log1p((f - y) ** 2) / 2),
        lambda y, f: (f - y) / (1 + (f - y) ** 2) / f.size,
    ),
    Case(
        lm.EpsilonInsensitive(0.1),
        lambda y, f: np.mean(np.maximum(np.abs(f - y) - 0.1, 0)),
        lambda y, f: np.where(np.abs(f - y) > 0.1, np.sign(f - y), 0) / f.size,
    ),
    Case(
        lm.Expectile(0.9),
        lambda y, f: np.mean(np.where(f < y, 0.9, 0.1) * (f - y) ** 2),
        lambda y, f: 2 * np.where(f < y, 0.9, 0.1) * (f - y) / f.size,
    ),
    Case(
        lm.BinaryCrossEntropy(),
        lambda y, f: np.mean(_softplus(f) - y * f),
        lambda y, f: (_sigmoid(f) - y) / f.size,
        "labels",
    ),
    Case(
        lm.Hinge(),
        lambda y, f: np.mean(np.maximum(1 - (2 * y - 1) * f, 0)),
        lambda y, f: np.where((2 * y - 1) * f < 1, 1 - 2 * y, 0) / f.size,
        "labels",
    ),
    Case(
        lm.SquaredHinge(),
        lambda y, f: np.mean(np.maximum(1 - (2 * y - 1) * f, 0) ** 2),
        lambda y, f: -2 * (2 * y - 1) * np.maximum(1 - (2 * y - 1) * f, 0) / f.size,
        "labels",
    ),
    Case(
        lm.Exponential(),
        lambda y, f: np.mean(np.exp(-(2 * y - 1) * f)),
        lambda y, f: (1 - 2 * y) * np.exp(-(2 * y - 1) * f) / f.size,
        "labels",
    ),
    Case(
        lm.GaussianNLL(),
        lambda y, f, v: np.mean((np.log(v) + (y - f) ** 2 / v) / 2),
        lambda y, f, v: ((f - y) / v / f.size, (1 / v - ((y - f) / v) ** 2) / 2 / f.size),
        "variances",
    ),
    Case(
        lm.SparseCategoricalCrossEntropy(),
        lambda y, z: -np.mean(_at(_log_softmax(z), y)),
        lambda y, z: _less_one(_softmax(z), y),
        "classes",
    ),
    Case(
        lm.CategoricalCrossEntropy(),
        lambda t, z: -np.mean(np.sum(t * _log_softmax(z), axis=1)),
        lambda t, z: (_softmax(z) - t) / len(t),
        "distributions",
    ),
    Case(
        lm.SparseCategoricalCrossEntropy(prediction="probabilities"),
        _log_loss,
        _log_loss_gradient,
        "probabilities",
    ),
    Case(
        lm.SparseCategoricalCrossEntropy(prediction="probabilities"),
        _checked_log_loss,
        _log_loss_gradient,
        "probabilities",
        ", where NumPy checks as well",
    ),
    Case(
        lm.KLDivergence(),
        lambda p, q: np.mean(np.sum(p * np.log(p / q), axis=1)),
        lambda p, q: ((np.log(p / q) + 1) / len(p), -p / q / len(p)),
        "pairs",
    ),
    Case(lm.Poisson(), lambda y, f: np.mean(np.exp(f) - y * f), lambda y, f: (np.exp(f) - y) / f.size, "counts"),
)


def data(case: Case, length: int, dtype: str) -> list[Array]:
    """Return inputs of so many examples, in the order in which the loss takes them."""
    rng = np.random.default_rng(length)
    numbers, others = rng.normal(size=(2, length))
    logits, other_logits = rng.normal(size=(2, length, CLASSES))
    labels = rng.integers(0, CLASSES, size=length)
    found = {
        "numbers": [others, numbers],
        "labels": [rng.integers(0, 2, size=length).astype(float), numbers],
        "counts": [rng.poisson(2.0, size=length).astype(float), numbers],
        "variances": [others, numbers, rng.uniform(0.5, 2, size=length)],
        "classes": [labels, logits],
        "distributions": [_softmax(other_logits), logits],
        "probabilities": [labels, _softmax(logits)],
        "pairs": [_softmax(logits), _softmax(other_logits)],
    }[case.targets]
    return [array.astype(dtype) if array.dtype.kind == "f" else array for array in found]


def contestants(case: Case, given: list[Array], *, gradient: bool) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return our call and NumPy's expression, which must agree."""
    loss = case.loss
    named = {} if loss.paired else dict(zip((item.name for item in loss.inputs), given, strict=True))
    pair = given if loss.paired else ()

    if gradient:
        ours, theirs = (
            lambda: loss.cost_and_gradient(*pair, **named),
            lambda: (case.mean(*given), case.gradient(*given)),
        )
    else:
        ours, theirs = lambda: (loss.cost(*pair, **named),), lambda: (case.mean(*given),)
    for found, expected in zip(ours(), theirs(), strict=True):
        arrays = tuple(found.values()) if isinstance(found, dict) else found
        np.testing.assert_allclose(arrays, expected, rtol=2e-4, atol=1e-6, err_msg=str(loss))
    return ours, theirs


def calls_of(run: Callable[[], Any]) -> int:
    """Return how many calls make a burst."""
    run()
    start = time.perf_counter()
    run()
    return max(1, int(BURST / (time.perf_counter() - start)))


def burst(run: Callable[[], Any], calls: int) -> float:
    """Return the microseconds of a call, over some of them."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls * 1e6


def measure(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Return the best microseconds of both."""
    counts = calls_of(ours), calls_of(theirs)
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for place, run in enumerate((ours, theirs)):
            best[place] = min(best[place], burst(run, counts[place]))
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds")
    parser.add_argument("--gradient", action="store_true", help="cost and gradient instead of the cost")
    parser.add_argument("--dtype", default="float64", choices=("float32", "float64"), help="type of the data")
    parser.add_argument("--engine", default="auto", choices=get_args(Name), help="engine that takes all rows")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="name of a loss; may be repeated")
    parser.add_argument("--json", type=Path, help="write the times there")
    options = parser.parse_args()
    rows: dict[str, dict[str, list[float]]] = {}
    print(f"| loss, {options.dtype} | " + " | ".join(f"{length:,}" for length in LENGTHS) + " |")
    print("| --- |" + " ---: |" * len(LENGTHS))
    with using(options.engine):
        for case in CASES:
            if options.only and case.loss.name not in options.only:
                continue
            found = {}
            for length in LENGTHS:
                pair = contestants(case, data(case, length, options.dtype), gradient=options.gradient)
                for _ in range(timing.SETTLED if length < SMALLEST else 0):
                    pair[0]()
                found[str(length)] = list(measure(*pair, options.rounds))
            rows[case.loss.name + case.note] = found
            cells = [f"{mine - theirs:+.1f} µs, {mine / theirs:.2f}x" for mine, theirs in found.values()]
            print(f"| {case.label} | " + " | ".join(cells) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
