"""The cases by group; each group runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import lossmith as lm
from benchmarks.cases import LARGE, MIDDLE, SMALL, TINY, Case, pointwise

ROWS = ((1_000_000, 10), (65_536, 1_000), (4_096, 32_000))
BOOSTING = (1_000_000, 10_000_000)


QUICK = ("squared_error", "huber", "quantile", "binary_cross_entropy", "log_cosh", "poisson")


def _catalogue(group: str, rows: int, dtype: str, quick: bool) -> Iterator[Case]:
    for name, loss in pointwise():
        if name in QUICK or not quick:
            yield Case(group, name, loss, (rows,), dtype)


def _single(quick: bool) -> Iterator[Case]:
    yield from _catalogue("single", LARGE, "float32", quick)


def _double(quick: bool) -> Iterator[Case]:
    yield from _catalogue("double", LARGE, "float64", quick)


def _cached(quick: bool) -> Iterator[Case]:
    for dtype in ("float32",) if quick else ("float32", "float64"):
        yield from _catalogue("cached", MIDDLE, dtype, quick)


def _small(quick: bool) -> Iterator[Case]:
    for dtype in ("float32",) if quick else ("float32", "float64"):
        yield from _catalogue("small", SMALL, dtype, quick)
    yield from _catalogue("small", TINY, "float64", quick)


def _rows(quick: bool) -> Iterator[Case]:
    for shape in ROWS:
        name = "sparse_categorical_cross_entropy"
        yield Case("rows", name, lm.get(name), shape)
    if not quick:
        for name in ("categorical_cross_entropy", "distillation"):
            yield Case("rows", name, lm.get(name), ROWS[-1])
        yield Case("rows", "softmax_focal", lm.SoftmaxFocal(label_smoothing=0.1), ROWS[0])
        yield Case("rows", "kl_divergence", lm.KLDivergence(q_kind="logits"), ROWS[-1])
        for dtype in ("float32", "float64"):
            yield Case("rows", "kl_of_probabilities", lm.KLDivergence(), ROWS[0], dtype)


def _metrics(quick: bool) -> Iterator[Case]:
    for dtype in ("float32", "float64"):
        yield Case("metrics", "log_loss", lm.BinaryCrossEntropy(prediction="probabilities"), (LARGE,), dtype, "cost")
        classes = lm.SparseCategoricalCrossEntropy(prediction="probabilities")
        yield Case("metrics", "categorical_log_loss", classes, ROWS[0], dtype, "cost")
        for name in ("squared_error", "absolute_error", "zero_one"):
            if name == "squared_error" or not quick:
                yield Case("metrics", name, lm.get(name), (LARGE,), dtype, "cost")


def _boosting(quick: bool) -> Iterator[Case]:
    for rows in BOOSTING[:1] if quick else BOOSTING:
        for dtype in ("float32", "float64"):
            for name in ("binary_cross_entropy", "poisson", "huber"):
                yield Case("boosting", name, lm.get(name), (rows,), dtype, "gradient and Hessian")


def _custom(quick: bool) -> Iterator[Case]:
    text = "where(abs(f - y) <= delta, (f - y)**2/2, delta*(abs(f - y) - delta/2))"
    own = lm.formula(text, parameters={"delta": (1.0, "(0, inf)")})
    for rows in (MIDDLE,) if quick else (LARGE, MIDDLE, SMALL):
        yield Case("custom", "huber", lm.Huber(), (rows,), own=own)


def _strided(quick: bool) -> Iterator[Case]:
    for name in ("huber", "binary_cross_entropy"):
        yield Case("strided", name, lm.get(name), (LARGE,), strided=True)


GROUPS: dict[str, tuple[str, Callable[[bool], Iterator[Case]]]] = {
    "single": ("cost and gradient, 8 million float32", _single),
    "double": ("cost and gradient, 8 million float64", _double),
    "cached": ("cost and gradient, 65,536 numbers, in the caches", _cached),
    "small": ("cost and gradient, 128 and 32 numbers", _small),
    "rows": ("cost and gradient of rows of logits", _rows),
    "metrics": ("cost alone, 8 million", _metrics),
    "boosting": ("gradient and Hessian, 1 and 10 million", _boosting),
    "custom": ("a loss of the user's own beside the same built in", _custom),
    "strided": ("every other number of larger arrays, 8 million float32", _strided),
}
"""What a group is about, and its cases, fewer of them when in a hurry."""
