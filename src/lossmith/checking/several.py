"""Losses that are no function of one target and one prediction: what can be said along lines through ordinary data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.certify.samples import kind_of, sample
from lossmith.checking.report import Finding, number
from lossmith.core.loss import Loss

_ROWS = 24
_TRUTHS = 3
_LINES = 8
_STRIDES = (1, 8, 40, 100, 200)
_POINTS = 801
_ULPS = 64.0
_SLACK = 1e-9
_GROWS = 30.0
_STEADY = 3.0
_MANY = 256
_SIZES = (1e-4, 1e-2, 1.0, 1e2, 1e4)

Data = dict[str, Any]
Array = npt.NDArray[np.float64]


@np.errstate(all="ignore")
def examine(loss: Loss, *, exact: bool) -> tuple[Finding, ...]:
    """Return what is found out about a loss of rows, of several predicted inputs, or of other inputs."""
    data: Data = {**sample(loss, _ROWS)}
    outputs = loss.evaluate(outputs=("losses", "gradient", "hessian"), trusted=True, **data)
    form = loss.raw_form
    findings = [
        _finite(outputs),
        _derivatives(loss, data, exact=exact),
        _convex(form),
        _bounded(form),
        _sizes(outputs),
    ]
    return (*findings, *_claims(loss, findings), _left_out(loss))


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


def _line(loss: Loss, seed: int, far: float = 1.0) -> Data:
    """Return many points on a line through what is predicted, ``far`` times as far out; the rest is held."""
    # Of a divergence only q learns.
    moving = {loss.focus.name} if loss.card.task == "distributions" else {item.name for item in loss.predicted}
    start, end = sample(loss, 1, seed=2 * seed + 1), sample(loss, 1, seed=2 * seed + 2)
    points: Data = {}
    for name, (here,) in start.items():
        if name in moving:
            steps = np.linspace(0, 1, _POINTS).reshape(-1, *(1,) * np.ndim(here))
            origin = _origin(loss, name)
            points[name] = origin + far * (here - origin + steps * (end[name][0] - here))
        else:
            points[name] = np.broadcast_to(here, (_POINTS, *np.shape(here)))
    return points


def _origin(loss: Loss, name: str) -> float:
    """Return where predictions begin or end, from which they grow; 0 where they do neither."""
    domain = loss.domains[next(item.symbol for item in loss.predicted if item.name == name)]
    return next((end for end in (domain.low, domain.high) if math.isfinite(end)), 0.0)


def _convex(loss: Loss) -> Finding:
    """Look for a negative second derivative, and for a chord below the curve on lines through several predictions."""
    title = "Not convex in what is predicted, taken together"
    data: Data = {**sample(loss, _MANY)}
    found = loss.evaluate(outputs=("hessian",), trusted=True, **data)["hessian"]
    for name, bends in found.items() if isinstance(found, dict) else [("y_pred", found)]:
        if np.min(bends) < -_SLACK * np.max(np.abs(bends)):
            row = int(np.argmin(bends))
            low, where = number(float(np.min(bends))), ""
            if bends.ndim == 1:
                where = f", at {', '.join(f'{key} = {number(float(array[row]))}' for key, array in data.items())}"
            text = f"The second derivative by {name} is {low} at one of {_MANY} ordinary examples{where}."
            return Finding("convex", "note", title, text, facts={"convex": False})
    chord = _above_chord(loss)
    if chord is not None:
        losses, places = chord
        single = {name: x if np.ptp(x) else x[:1] for name, x in places.items() if x.ndim == 1}
        where = "; ".join(f"{name} = {', '.join(map(number, x))}" for name, x in single.items())
        text = f"On a line through ordinary predictions it is {_bent(losses)} at three places of equal distance"
        text += f": {where}." if where else "."
        return Finding("convex", "note", title, text, facts={"convex": False, "losses": losses, "places": places})
    text = f"No second derivative is negative, and no chord along {_LINES} lines lies below the curve."
    return Finding("convex", "ok", "Convex in what is predicted, as far as seen", text, facts={"convex": True})


def _above_chord(loss: Loss) -> tuple[Array, dict[str, Array]] | None:
    """Return losses at three places of a line, the middle one above the chord, where it is clearest, and the inputs."""
    found, most = None, 0.0
    for seed in range(_LINES):
        line = _line(loss, seed)
        values = np.asarray(loss.evaluate(outputs=("losses",), trusted=True, **line)["losses"])
        usual = float(np.median(np.abs(values)))
        for stride in _STRIDES:
            v = values[::stride]
            over = v[1:-1] - (v[:-2] + v[2:]) / 2
            at = int(np.argmax(over))
            if not over[at] > _SLACK * max(1.0, float(np.max(np.abs(v)))):
                continue
            share = float(over[at]) / (usual + float(over[at]))
            if share > most:
                three, most = slice(at * stride, (at + 3) * stride, stride), share
                found = values[three], {name: x[three] for name, x in line.items()}
    return found


def _bent(losses: Array) -> str:
    """Return three numbers with as many digits as show that the middle one is above the mean of the others."""
    for digits in range(4, 17):
        shown = [f"{x:.{digits}g}" for x in losses.tolist()]
        low, middle, high = map(float, shown)
        if middle > (low + high) / 2:
            break
    return ", ".join(shown)


def _bounded(loss: Loss) -> Finding:
    domains = [loss.domains[item.symbol] for item in loss.predicted]
    if any(math.isfinite(domain.low) and math.isfinite(domain.high) for domain in domains):
        text = "Predictions lie between two ends here."
        return Finding("robust", "note", "How far gradients grow was not looked at", text, facts={"lipschitz": True})
    sizes = []
    for far in _SIZES:
        gradient = loss.evaluate(outputs=("gradient",), trusted=True, **_line(loss, 3, far))["gradient"]
        sizes.append(max(float(np.max(np.abs(part))) for part in _each(gradient)))
    told = ", ".join(map(number, sizes))
    text = f"With predictions {', '.join(map(number, _SIZES))} times as large the largest gradient is {told}."
    middle = len(sizes) // 2
    steady = any(c > _STEADY * b > _STEADY**2 * a for a, b, c in (sizes[middle:], sizes[middle::-1]))
    if steady or not max(sizes[0], sizes[-1]) <= _GROWS * max(sizes[middle - 1 : middle + 2]):
        return Finding("robust", "note", "The gradient has no bound", text, facts={"lipschitz": False})
    return Finding("robust", "ok", "The gradient is bounded, as far as seen", text, facts={"lipschitz": True})


def _claims(loss: Loss, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Hold what the card says of convexity and bounds against what was found; it speaks of default options."""
    options = loss.options()
    if not loss.card.references or any(loss.values[name] != option.default for name, option in options.items()):
        return
    facts = {name: value for finding in findings for name, value in finding.facts.items()}
    for trait, topic in (("convex", "convex"), ("lipschitz", "robust")):
        if getattr(loss.card.traits, trait) and not facts.get(trait, True):
            shown = next(finding for finding in findings if finding.topic == topic)
            text = f"The card claims the trait {trait}. {shown.evidence}"
            advice = "Correct the card, or the formula."
            yield Finding("claims", "error", "The card claims what is not so", text, advice)


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
    what = "is" if len(loss.predicted) == 1 else "are"
    others = [item.name for item in loss.inputs if not item.predicted and item.symbol != "y"]
    why = f"{names} {what} predicted"
    if loss.paired:
        why = f"it takes a row of predictions for each target ({names})"
    elif len(loss.predicted) == 1 and others:
        why = f"each example has its own {' and '.join(others)} besides"
    text = (
        f"Kinks, where the loss is least, what it estimates, overflow and boosting: these are looked at along one "
        f"prediction for one target, and here {why}."
    )
    return Finding("left_out", "note", "Not examined", text)


def _each(found: Any) -> list[Any]:
    return list(found.values()) if isinstance(found, dict) else [found]
