"""Losses that are no function of one target and one prediction: what can be said along lines through ordinary data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from lossmith.certify.samples import kind_of, sample
from lossmith.checking.report import Finding, number
from lossmith.core.loss import Loss

_ROWS = 24
_TRUTHS = 3
_LINES = 8
_POINTS = 801
_ULPS = 64.0
_SLACK = 1e-9
_GROWS = 30.0

Data = dict[str, Any]


def examine(loss: Loss, *, exact: bool) -> Iterator[Finding]:
    """Yield what is found out about a loss of rows, of several predicted inputs, or of other inputs."""
    data: Data = {**sample(loss, _ROWS)}
    outputs = loss.evaluate(outputs=("losses", "gradient", "hessian"), trusted=True, **data)
    yield _finite(outputs)
    yield _derivatives(loss, data, exact=exact)
    form = loss.raw_form
    lines = [_line(form, seed) for seed in range(_LINES)]
    yield _convex(form, lines)
    yield _bounded(form)
    yield _sizes(outputs)
    yield _left_out(loss)


def _finite(outputs: Data) -> Finding:
    bad = [name for name in outputs if not all(np.isfinite(part).all() for part in _each(outputs[name]))]
    if bad:
        text = f"At {_ROWS} ordinary examples the {' and the '.join(bad)} hold numbers that are not finite."
        return Finding("finite", "error", "Not finite at ordinary data", text, "Declare domains that refuse such data.")
    return Finding("finite", "ok", "Finite at ordinary data", f"{_ROWS} examples give finite numbers.")


def _derivatives(loss: Loss, data: Data, *, exact: bool) -> Finding:
    if not exact:
        text = "That needs mpmath (pip install mpmath)."
        return Finding("derivatives", "note", "Derivatives were not held against the truth", text)
    from mpmath import mp

    from lossmith.certify.definitions import truths

    worst, place, count = 0.0, "", 0
    symbols = {item.symbol: item.name for item in loss.inputs}
    found = loss.evaluate(outputs=("losses", "gradient", "hessian"), trusted=True, **data)
    for row in range(_TRUTHS):
        example = tuple(tuple(np.ravel(_row(loss, name, data[name], row)).tolist()) for name in data)
        known = truths(loss, example)
        for key, numbers in known.items():
            part, _, symbol = key.partition(":")
            array = found[part][symbols[symbol]] if isinstance(found[part], dict) else found[part]
            got = np.ravel(_row(loss, symbols.get(symbol, ""), array, row) if symbol else array[row])
            # In a row parts cancel in single numbers: a unit is that of the largest.
            size = max(abs(x) for name, each in known.items() if name.startswith(part) for x in each)
            for value, truth in zip(got.tolist(), numbers, strict=True):
                count += 1
                off = float(abs(mp.mpf(value) - truth)) / float(np.spacing(max(float(size), 1e-300)))
                if off > worst:
                    worst, place = (
                        off,
                        f"{part} {f'by {symbols[symbol]}' if symbol else ''} of example {row}".replace("  ", " "),
                    )
    text = f"Of {count} numbers against 60 digits the worst is off by {worst:.2g} units in the last place: the {place}."
    facts = {"truths": count, "ulps": worst}
    if worst > 1e9:
        title = "Derivatives or values are wrong"
        return Finding("derivatives", "error", title, text, "Correct the formula or its derivatives.", facts)
    if worst > _ULPS:
        return Finding("derivatives", "note", "Some digits are lost to rounding", text, facts=facts)
    return Finding("derivatives", "ok", "Derivatives are right to the last digits", text, facts=facts)


def _row(loss: Loss, name: str, array: Any, row: int) -> Any:
    from lossmith.certify.samples import axis_of

    symbol = next((item.symbol for item in loss.inputs if item.name == name), "")
    of_rows = symbol and kind_of(loss, symbol) not in ("numbers", "indices", "levels")
    return np.take(array, row, axis=1 if of_rows and axis_of(loss) == 0 else 0)


def _line(loss: Loss, seed: int, far: float = 1.0) -> tuple[Data, Data]:
    """Return many points on a line through the predicted inputs, and how far each input moves along it."""
    moving = {loss.focus.name} if loss.card.task == "distributions" else {item.name for item in loss.predicted}
    start, end = sample(loss, 1, seed=2 * seed + 1), sample(loss, 1, seed=2 * seed + 2)
    steps = np.linspace(0, 1, _POINTS)
    points, way = {}, {}
    for name, array in start.items():
        step = (
            far * (end[name] - array)[0] * (name in moving) if name in moving else np.zeros_like(array[0], dtype=float)
        )
        here = array[0] * (far if name in moving else 1)
        shape = (-1, *(1,) * np.ndim(here))
        points[name] = (
            here + steps.reshape(shape) * step if name in moving else np.broadcast_to(here, (_POINTS, *np.shape(here)))
        )
        way[name] = step
    return points, {name: way[name] for name in moving}


def _convex(loss: Loss, lines: list[tuple[Data, Data]]) -> Finding:
    for points, _ in lines:
        values = np.asarray(loss.evaluate(outputs=("losses",), trusted=True, **points)["losses"])
        over = values[1:-1] - (values[:-2] + values[2:]) / 2
        for stride in (1, 40):
            v = values[::stride]
            over = v[1:-1] - (v[:-2] + v[2:]) / 2
            at = int(np.argmax(over))
            if over[at] > _SLACK * max(1.0, float(np.max(np.abs(v)))):
                shown = ", ".join(number(float(x)) for x in v[at : at + 3])
                text = f"On a line through ordinary predictions it is {shown} at three places of equal distance."
                facts = {"convex": False, "losses": v[at : at + 3]}
                return Finding("convex", "note", "Not convex in what is predicted, taken together", text, facts=facts)
    text = f"No chord along {len(lines)} lines through ordinary predictions lies below the curve."
    return Finding("convex", "ok", "Convex in what is predicted, as far as seen", text, facts={"convex": True})


def _bounded(loss: Loss) -> Finding:
    if any(math.isfinite(domain.low) and math.isfinite(domain.high) for symbol, domain in loss.domains.items()
           if symbol in {item.symbol for item in loss.predicted}):  # fmt: skip
        return Finding("robust", "note", "How far gradients grow was not looked at", "Predictions are bounded here.")
    sizes = []
    for far in (1.0, 100.0, 1e4):
        data = _line(loss, 3, far)[0]
        gradient = loss.evaluate(outputs=("gradient",), trusted=True, **data)["gradient"]
        sizes.append(max(float(np.max(np.abs(part))) for part in _each(gradient)))
    told = ", ".join(map(number, sizes))
    text = f"With predictions 1, 100 and 10,000 times as large the largest gradient is {told}."
    if not sizes[2] <= _GROWS * sizes[1]:
        return Finding("robust", "note", "The gradient has no bound", text, facts={"lipschitz": False})
    return Finding("robust", "ok", "The gradient is bounded, as far as seen", text, facts={"lipschitz": True})


def _sizes(outputs: Data) -> Finding:
    sizes = [
        float(np.median(np.abs(np.concatenate([np.ravel(part) for part in _each(outputs[name])])))) for name in outputs
    ]
    bends = np.concatenate([np.ravel(part) for part in _each(outputs["hessian"])])
    text = (
        f"At ordinary data the loss is about {number(sizes[0])}, its gradient {number(sizes[1])}; of its Hessian's "
        f"diagonal {np.mean(bends < 0):.0%} is negative and {np.mean(bends == 0):.0%} zero."
    )
    slopes = np.concatenate([np.ravel(part) for part in _each(outputs["gradient"])])
    if not np.any(slopes):
        return Finding("scale", "error", "The gradient is zero everywhere", text, "Nothing can learn from it.")
    return Finding("scale", "ok", "Of ordinary size", text, facts={"value": sizes[0], "gradient": sizes[1]})


def _left_out(loss: Loss) -> Finding:
    names = " and ".join(item.name for item in loss.predicted)
    why = f"it takes a row of predictions for each target ({names})" if loss.paired else f"{names} are predicted"
    text = (
        f"Kinks, where the loss is least, what it estimates, overflow and boosting: these are looked at along one "
        f"prediction for one target, and here {why}."
    )
    return Finding("left_out", "note", "Not examined", text)


def _each(found: Any) -> list[Any]:
    return list(found.values()) if isinstance(found, dict) else [found]
