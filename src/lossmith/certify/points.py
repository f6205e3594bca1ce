"""The points that losses of a target and a prediction are tried on: the law grid, and ordinary numbers."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.domain import Domain
from lossmith.core.loss import Loss
from lossmith.core.registry import loss_class, names
from lossmith.engines import choice
from lossmith.structures.pointwise import Pointwise

Array = npt.NDArray[Any]

TINY = 5e-324  # the least positive float64
SMALL = 1e-310  # a subnormal with some digits
BELOW_ONE = 1 - 2.0**-53


def kinds() -> list[type[Loss]]:
    """Return the losses of a target and a prediction, element by element: those that these laws are about.

    Losses of other structures and inputs have laws of their own.
    """
    return [kind for kind in map(loss_class, names()) if issubclass(kind, Pointwise) and kind().paired]


def combinations(cls: type[Loss]) -> Iterator[dict[str, Any]]:
    """Yield every combination of the options of a loss."""
    options = cls.options()
    for chosen in itertools.product(*(option.choices for option in options.values())):
        yield dict(zip(options, chosen, strict=True))


_SIZES = (0.0, TINY, SMALL, 1e-8, 1e-3, 0.3, 0.5, 0.9, BELOW_ONE, 1.0, 2.5, 5.0, 17.0, 37.0, 100.0, 700.0, 1e3, 1e20)
_TARGETS = (0.0, -0.0, 1e-8, 0.3, 0.5, 1.0, -1.0, BELOW_ONE, TINY, -SMALL, SMALL, -2.5, 7.0, 1e3, -1e3, 1e20, -1e20)
SAMPLE = 120
_NEAR = (0.0, 1e-8, 0.5, 1.0, 3.0)


def within(domain: Domain, numbers: Iterable[float], dtype: Any = np.float64) -> list[float]:
    """Return the numbers of a type that lie in a domain, each once; 0.0 and -0.0 are two."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = [float(dtype(number)) for number in numbers]
    return [float.fromhex(h) for h in dict.fromkeys(n.hex() for n in rounded if domain.includes(n))]


def inside(domain: Domain, rng: np.random.Generator, shape: int | tuple[int, ...], scale: float = 2.0) -> Array:
    """Return random numbers well inside a domain, spread by ``scale`` where it has no end."""
    if domain.values:
        return rng.choice(domain.values, shape)
    if math.isfinite(domain.low) and math.isfinite(domain.high):
        return domain.low + (domain.high - domain.low) * rng.uniform(0.05, 0.95, shape)
    numbers = rng.normal(0, scale, shape)
    if math.isfinite(domain.low):
        return domain.low + np.exp(numbers / 2)
    if math.isfinite(domain.high):
        return domain.high - np.exp(numbers / 2)
    return numbers


def extreme(domain: Domain, far: float) -> float:
    """Return where losses are largest: an end that belongs to the domain, or ``far`` where none does."""
    return next((end for end in (domain.low, domain.high) if domain.includes(end)), far)


def targets(loss: Loss, dtype: Any = np.float64) -> list[float]:
    """Return targets of every kind that the loss takes, the ends of its domain among them."""
    domain = loss.domains["y"]
    return within(domain, domain.values or (*_TARGETS, domain.low, domain.high), dtype)


def predictions(loss: Loss, y: float, best: float, dtype: Any = np.float64) -> list[float]:
    """Return predictions for a target: plain, far, near the target and the best, and kinks with their neighbours."""
    domain = loss.domains["f"]
    kinks = [float(dtype(place)) for place in kinks_at(loss, y)]
    beside = [float(np.nextafter(dtype(place), dtype(way))) for place in kinks for way in (-np.inf, np.inf)]
    spread = [sign * size for size in _SIZES for sign in (1, -1)]
    near = [place + sign * step for place in (y, best) for step in _NEAR for sign in (1, -1)]
    return within(domain, [*spread, *near, *kinks, *beside, domain.low, domain.high], dtype)


def kinks_at(loss: Loss, y: float) -> list[float]:
    """Return the kinks that the card declares for a target."""
    return [place for kink in loss.card.kinks for place in kink.at(loss, y)]


def law_pairs(loss: Loss, dtype: Any = np.float64) -> list[tuple[float, float]]:
    """Return all of the law grid of a loss, targets with their predictions."""
    wanted = targets(loss, dtype)
    best = loss.best_prediction(wanted).tolist() if loss.raw_form == loss else wanted
    return [(y, f) for y, near in zip(wanted, best, strict=True) for f in predictions(loss, y, near, dtype)]


@cache
def points(loss: Loss, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Return the law grid of a loss, targets and predictions.

    It is whole for every loss with its defaults, in float64. Its other forms differ little from
    one another and get a sample each, since 60 digits take their time.
    """
    with choice.using("numpy"):  # where derivatives vanish, which is searched, engines differ in the last place
        pairs = law_pairs(loss, dtype)
    most = len(pairs) if loss == type(loss)() and dtype == np.float64 else SAMPLE
    if len(pairs) > most:
        pairs = random.Random(f"{loss} {np.dtype(dtype)}").sample(pairs, most)
    y, f = np.array(pairs, dtype=dtype).T
    return np.ascontiguousarray(y), np.ascontiguousarray(f)
