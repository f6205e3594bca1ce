"""When a computed number counts as right: the one tolerance of NumPy and of the compiled engine.

A result is right when it lies within 8 units in the last place of the truth (float32: within
1e-6 of it), plus what one unit in the last place of the inputs would change, so that a
cancellation which the inputs themselves carry does not count. A truth beyond the range of the
type must come out infinite. What is allowed beyond that stands in ``ALLOWANCES``, by name; why stands in
the table of exceptions of the tests.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from mpmath import mp, mpf

from lossmith.certify import oracle
from lossmith.certify.points import Array
from lossmith.core.loss import Loss
from lossmith.structures.pointwise import Pointwise

ULPS = 8
FLOAT32 = mpf("1e-6")
OUTPUTS = ("losses", "gradient", "hessian")
"""By order of the derivative."""


Also = Callable[[Loss, int, float, float, Any], Iterator[tuple[mpf, mpf]]]


@dataclass(frozen=True)
class Allowance:
    """A place where less is promised.

    Attributes:
        name: what it is called in the table of exceptions, where its reason stands.
        concerns: the losses and orders of derivative that it is about.
        also: ``(loss, order, y, f, type) -> (truth, size)``: a result is also right when it is as near to
            this truth as a number of this size has to be; nothing where the allowance does not apply.
    """

    name: str
    concerns: Callable[[Loss, int], bool]
    also: Also


def _larger_part(loss: Loss, order: int, y: float, f: float, dtype: Any) -> Iterator[tuple[mpf, mpf]]:
    low, high = loss.domains["y"].low, loss.domains["y"].high
    if low < y < high:
        share = (mpf(y) - low) / (high - low)
        sizes = [abs(oracle.truth(loss, end, f, order)) for end in (low, high)]
        yield oracle.truth(loss, y, f, order), max((1 - share) * sizes[0], share * sizes[1])


def _power_of_rounded(loss: Loss, order: int, y: float, f: float, dtype: Any) -> Iterator[tuple[mpf, mpf]]:
    truth = oracle.truth(loss, y, f, order)
    parts = [abs(oracle.truth(loss, loss.domains["y"].low, f, below)) for below in range(1, order + 1)]
    yield truth, (1 + mpf(loss.values["gamma_negative"]) / 2) * mp.fsum(parts or [truth])


def _normal_range(loss: Loss, order: int, y: float, f: float, dtype: Any) -> Iterator[tuple[mpf, mpf]]:
    least, truth = mpf(float(np.finfo(dtype).tiny)), oracle.truth(loss, y, f, order)
    if abs(truth) < least:
        yield truth, least * 2**8


def _takes_soft_labels(loss: Loss) -> bool:
    return loss.card.task == "binary" and not loss.domains["y"].values


ALLOWANCES = (
    Allowance(
        "derivatives at soft labels",
        lambda loss, order: _takes_soft_labels(loss) and order > 0,
        _larger_part,
    ),
    Allowance(
        "asymmetric loss of a negative",
        lambda loss, order: loss.name == "asymmetric" and loss.values["prediction"] == "logits",
        _power_of_rounded,
    ),
    Allowance(
        "focal losses below the normal range",
        lambda loss, order: (loss.name == "asymmetric" and order > 0) or (loss.name == "focal" and order == 2),
        _normal_range,
    ),
)


def paired(loss: Loss) -> bool:
    """Return whether a loss is of a target and a prediction, element by element: those that these rules are about."""
    return isinstance(loss, Pointwise) and loss.paired


def misses(
    loss: Loss,
    order: int,
    y: Array,
    f: Array,
    got: Array,
    allowances: Sequence[Allowance] = ALLOWANCES,
    *,
    inputs_vary: bool = True,
    within: float = ULPS,
) -> list[str]:
    """Return a line for each result that is not right, empty when all are.

    Args:
        loss: the loss.
        order: 0 for values, 1 for gradients, 2 for Hessians.
        y: targets.
        f: predictions, of the type that the tolerance follows.
        got: what the engine says.
        allowances: places where less is promised.
        inputs_vary: whether one unit in the last place of the inputs counts.
        within: how many units in the last place a result may be off.
    """
    found = []
    allowances = [allowance for allowance in allowances if allowance.concerns(loss, order)]
    for target, prediction, value in zip(y.tolist(), f.tolist(), got.tolist(), strict=True):
        truth = oracle.truth(loss, target, prediction, order)
        if _near(value, truth, truth, f.dtype, within=within):
            continue
        if inputs_vary:
            carried = _carried(loss, order, target, prediction, f.dtype)
            if _near(value, truth, max(abs(truth), carried), f.dtype, carried, within):
                continue
        if any(
            _near(value, *other, f.dtype, within=within)
            for allowance in allowances
            for other in allowance.also(loss, order, target, prediction, f.dtype)
        ):
            continue
        found.append(
            f"{loss} {OUTPUTS[order]} at y={target!r}, f={prediction!r} ({f.dtype}): got {value!r}, "
            f"truth {mp.nstr(truth, 20)}, {ulps(value, truth, f.dtype):.3g} ulp"
        )
    return found


def ulps(value: float, truth: mpf, dtype: Any = np.float64) -> float:
    """Return how many units in the last place lie between a result and the truth."""
    if not math.isfinite(value) or not mp.isfinite(truth):
        return 0.0 if value == float(truth) else math.inf
    return float(abs(mpf(value) - truth) / _unit(truth, dtype))


def _near(value: float, truth: mpf, size: mpf, dtype: Any, carried: mpf | int = 0, within: float = ULPS) -> bool:
    if value == _rounded(truth, dtype):  # most are, and units take longer to find
        return True
    allowed = max(within, _single(size, dtype)) if dtype == np.float32 else within
    return _apart(value, truth, size, dtype, carried) <= allowed


def _single(size: mpf, dtype: Any) -> float:
    """Return how many units in the last place of a number the tolerance of float32 is."""
    return float(FLOAT32 * abs(size) / _unit(size, dtype))


def _apart(value: float, truth: mpf, size: mpf, dtype: Any, carried: mpf | int = 0) -> float:
    """Return how far a result is from the truth beyond ``carried``, in units in the last place of a size."""
    rounded = _rounded(truth, dtype)
    if math.isnan(value):
        return math.inf
    if math.isinf(rounded) or math.isinf(value):
        return 0.0 if value == rounded else math.inf
    return float(max(abs(mpf(value) - truth) - carried, mpf(0)) / _unit(size, dtype))


def _rounded(truth: mpf, dtype: Any) -> float:
    """Return the number of a type that is nearest to a truth."""
    with np.errstate(over="ignore"):
        return float(np.dtype(dtype).type(float(truth)))


def error(
    loss: Loss, order: int, y: float, f: float, value: float, dtype: Any, enough: float = 0, rounded: Any = None
) -> float:
    """Return how far a result is from right, in units in the last place, by the rules of ``misses``.

    Args:
        loss, order: whose output.
        y, f: the inputs.
        value: the result.
        dtype: the type that it was computed in.
        enough: an error up to which nobody needs to know whether it is smaller still.
        rounded: the type that it was rounded to, if that is another.
    """
    kind = dtype if rounded is None else rounded
    truth = oracle.truth(loss, y, f, order)
    found = off(value, truth, kind, lambda: _carried(loss, order, y, f, dtype), enough)
    for allowance in ALLOWANCES:
        if found > enough and allowance.concerns(loss, order):
            others = allowance.also(loss, order, y, f, dtype)
            found = min([found, *(_apart(value, *other, kind) for other in others)])
    return found


def off(
    value: float, truth: mpf, dtype: Any, carried: Callable[[], mpf], enough: float = 0, size: mpf | int = 0
) -> float:
    """Return how far a result is from the truth, in units in the last place, beyond what its inputs carry.

    Args:
        value: the result.
        truth: what it should be.
        dtype: the type of the result.
        carried: says what one unit in the last place of the inputs changes; asked only where it matters.
        enough: an error up to which nobody needs to know whether it is smaller still.
        size: the size of a number whose last place is the unit, where that is larger than the truth.
    """
    found = _apart(value, truth, max(abs(truth), size), dtype)
    if found <= enough:
        return found
    change = carried()
    return min(found, _apart(value, truth, max(abs(truth), size, change), dtype, change))


@cache
def _largest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return np.finfo(dtype).max
    from ml_dtypes import finfo  # which knows bfloat16 too

    return finfo(dtype).max


def _unit(size: mpf, dtype: Any) -> mpf:
    with np.errstate(over="ignore", invalid="ignore"):
        number = min(np.dtype(dtype).type(float(abs(size))), _largest(np.dtype(dtype)))
        return mpf(float(np.spacing(number)))


def _carried(loss: Loss, order: int, y: float, f: float, dtype: Any) -> mpf:
    """Return how far the truth moves when each input moves by at most one unit in the last place."""
    centre, kind = oracle.truth(loss, y, f, order), np.dtype(dtype).type
    ways = [np.array(way, dtype=dtype) for way in (-np.inf, np.inf)]
    choices = [
        [x, *(float(np.nextafter(kind(x), way)) for way in ways)] if not domain.values else [x]
        for x, domain in ((y, loss.domains["y"]), (f, loss.domains["f"]))
    ]
    around = [
        oracle.truth(loss, *place, order)
        for place in itertools.product(*choices)
        if loss.domains["y"].includes(place[0]) and loss.domains["f"].includes(place[1])
    ]
    return max((abs(truth - centre) for truth in around if mp.isfinite(truth)), default=mpf(0))
