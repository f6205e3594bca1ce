"""The truth for losses of any structure at ordinary points: definitions in mpmath, derivatives by differences.

A formula is read as ``oracle`` reads it; what a structure makes of arrays before is written here from its
mathematical meaning. Nothing is shared with an engine or with the rule table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from mpmath import mp, mpf

from lossmith.certify.meaning import Exact, noted
from lossmith.certify.samples import kind_of
from lossmith.core.loss import Loss
from lossmith.structures.composite import Sum
from lossmith.structures.distance import Distance
from lossmith.structures.divergence import Divergence
from lossmith.structures.levels import Levels
from lossmith.structures.rows import Rows
from lossmith.structures.softmax import Softmax

Example = tuple[tuple[float, ...], ...]
"""The numbers of each input, in the order of the loss; a single number is a row of one."""
Numbers = Sequence[Any]

_DIGITS = 400
_STEP = mpf(10) ** -100
_NOISE = mpf(10) ** -150
"""What differences leave of 0; no derivative at an ordinary point is as small."""


@cache
def truths(loss: Loss, example: Example) -> dict[str, tuple[mpf, ...]]:
    """Return the loss of an example, and its first and second derivatives by each predicted number.

    Returns:
        ``losses``, and for each predicted input with the symbol x, ``gradient:x`` and ``hessian:x``.
    """
    with mp.workdps(_DIGITS):
        given = [[mpf(x) for x in numbers] for numbers in example]
        here, held = evaluate(loss, given)
        found: dict[str, tuple[mpf, ...]] = {"losses": (here,)}
        for place, item in enumerate(loss.inputs):
            if item.predicted:
                both = [_around(loss, given, place, k, here, held) for k in range(len(given[place]))]
                found[f"gradient:{item.symbol}"], found[f"hessian:{item.symbol}"] = zip(*both, strict=True)
        return found


def _around(
    loss: Loss, given: Sequence[Numbers], place: int, k: int, here: mpf, held: tuple[Any, ...]
) -> tuple[mpf, mpf]:
    """Return the first and the second derivative by one number, from differences."""
    step = _STEP * max(abs(given[place][k]), mpf(2) ** -20)
    above, below = (
        evaluate(loss, [_moved(x, k, side * step) if n == place else x for n, x in enumerate(given)], held)[0]
        for side in (1, -1)
    )
    return _heard((above - below) / (2 * step)), _heard((above - 2 * here + below) / step**2)


def _heard(difference: mpf) -> mpf:
    return mpf(0) if abs(difference) < _NOISE else difference


def _moved(numbers: Numbers, k: int, by: mpf) -> Numbers:
    return [x + by if n == k else x for n, x in enumerate(numbers)]


def evaluate(
    loss: Loss, given: Sequence[Numbers], repeat: tuple[Any, ...] | None = None
) -> tuple[mpf, tuple[Any, ...]]:
    """Return the loss of an example at the precision that holds now, and the choices that its formula made."""
    exact = Exact(repeat)
    return _definition(loss)(loss, exact, *given), tuple(exact.choices)


def _definition(loss: Loss) -> Callable[..., mpf]:
    if loss.name in _BY_NAME:
        return _BY_NAME[loss.name]
    return next((found for kind, found in _BY_STRUCTURE if isinstance(loss, kind)), _single)


def _formula(loss: Any, exact: Exact, *inputs: Any) -> mpf:
    return noted(loss, len(inputs)).run(exact, *inputs)


def _single(loss: Loss, exact: Exact, *given: Numbers) -> mpf:
    return _formula(loss, exact, *(numbers[0] for numbers in given))


def _sum(loss: Sum, exact: Exact, *given: Numbers) -> mpf:
    return mp.fsum(mpf(weight) * _definition(part)(part, exact, *given) for weight, part in loss.parts)


def _softmax(loss: Rows, exact: Exact, *given: Numbers) -> mpf:
    """Return the mean of the formula over the true class, of -log p or of p."""
    shares, row = _target(loss, given)
    inputs = row if loss.probabilities else [mp.log(mp.fsum(mp.exp(x - z) for x in row)) for z in row]
    return mp.fsum(share * _formula(loss, exact, x) for share, x in zip(shares, inputs, strict=True) if share)


def _divergence(loss: Divergence, exact: Exact, p: Numbers, q: Numbers) -> mpf:
    left, right = (_plain(row, kind_of(loss, symbol), loss.scale) for row, symbol in ((p, "p"), (q, "q")))
    return mp.fsum(_formula(loss, exact, a, b) for a, b in zip(left, right, strict=True))


def _plain(row: Numbers, kind: str, scale: float) -> Numbers:
    if kind in ("probabilities", "values"):
        return row
    powers = [mp.exp(x * scale) for x in row]
    return [x / mp.fsum(powers) for x in powers] if kind == "logits" else powers


def _distance(loss: Distance, exact: Exact, *given: Numbers) -> mpf:
    rows = {item.symbol: row for item, row in zip(loss.inputs, given, strict=True)}
    measure = _MEASURES[str(loss.distance)]
    return _formula(loss, exact, *(measure(rows[a], rows[b]) for a, b in loss.pairs))


def _dot(u: Numbers, v: Numbers) -> mpf:
    return mp.fsum(a * b for a, b in zip(u, v, strict=True))


def _squared(u: Numbers, v: Numbers) -> mpf:
    return mp.fsum((a - b) ** 2 for a, b in zip(u, v, strict=True))


_MEASURES: dict[str, Callable[[Numbers, Numbers], mpf]] = {
    "squared": _squared,
    "euclidean": lambda u, v: mp.sqrt(_squared(u, v)),
    "cosine": lambda u, v: 1 - _dot(u, v) / mp.sqrt(_dot(u, u) * _dot(v, v)),
}


def _levels(loss: Levels, exact: Exact, y: Numbers, f: Numbers) -> mpf:
    """Return the mean of the formula over the levels."""
    steps = f if loss.prediction == "quantiles" else [f[0], *(mp.log1p(mp.exp(x)) for x in f[1:])]
    places = [mp.fsum(steps[: k + 1]) for k in range(len(f))] if steps is not f else f
    each = [_formula(loss, exact, y[0], x, mpf(level)) for x, level in zip(places, loss.levels, strict=True)]
    return mp.fsum(each) / len(f)


def _brier(loss: Rows, exact: Exact, *given: Numbers) -> mpf:
    shares, row = _target(loss, given)
    p = _plain(row, kind_of(loss, "f"), 1.0)
    return mp.fsum((a - share) ** 2 for a, share in zip(p, shares, strict=True))


def _margin(together: Callable[[list[mpf]], mpf]) -> Callable[..., mpf]:
    """Return what is missing to a lead of 1 over each rival, put together, as the mean over the true class."""

    def loss_of(loss: Rows, exact: Exact, *given: Numbers) -> mpf:
        shares, row = _target(loss, given)
        total = mpf(0)
        for true, share in enumerate(shares):
            rivals = [x for k, x in enumerate(row) if k != true]
            total += share * together([exact.ops.max(mpf(0), 1 + x - row[true]) for x in rivals])
        return total

    return loss_of


def _target(loss: Rows, given: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
    """Return the share of each class in the target, and the predictions."""
    y, row = given
    return ([mpf(k == y[0]) for k in range(len(row))] if loss.indices else y), row


_BY_NAME: dict[str, Callable[..., mpf]] = {
    "multiclass_brier": _brier,
    "crammer_singer": _margin(max),
    "weston_watkins": _margin(mp.fsum),
}
"""Losses without a formula."""
_BY_STRUCTURE: tuple[tuple[Any, Callable[..., mpf]], ...] = (
    (Sum, _sum),
    (Softmax, _softmax),
    (Divergence, _divergence),
    (Distance, _distance),
    (Levels, _levels),
)
"""Others have a formula of single numbers."""
