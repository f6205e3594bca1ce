"""Valid data for any loss, made from what it says of its inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.structures.composite import Sum
from lossmith.structures.distance import Distance
from lossmith.structures.divergence import Divergence
from lossmith.structures.levels import Levels
from lossmith.structures.rows import Rows

Array = npt.NDArray[Any]

CLASSES = 3
COORDINATES = 4


def structure(loss: Loss) -> Loss:
    """Return a loss of the same inputs that is no sum."""
    return structure(loss.parts[0][1]) if isinstance(loss, Sum) else loss


def kind_of(loss: Loss, symbol: str) -> str:
    """Return what an input holds: ``indices``, a kind of rows, ``coordinates``, ``levels`` or ``numbers``."""
    loss = structure(loss)
    if isinstance(loss, Rows):
        if symbol == "y" and loss.indices:
            return "indices"
        return "probabilities" if symbol == "y" or loss.probabilities else "logits"
    if isinstance(loss, Divergence):
        return loss.kinds["pq".index(symbol)]
    if isinstance(loss, Distance):
        return "coordinates"
    return "levels" if isinstance(loss, Levels) and symbol == "f" else "numbers"


def axis_of(loss: Loss) -> int:
    """Return where the numbers of a row lie."""
    return int(structure(loss).values.get("class_axis", -1))


def sample(loss: Loss, shape: int | tuple[int, ...] = 8, seed: int = 0) -> dict[str, Array]:
    """Return inputs of ordinary size inside the domains, by argument name; ``shape`` is that of the losses."""
    rng = np.random.default_rng(seed)
    size = (shape,) if isinstance(shape, int) else shape
    return {item.name: _draw(loss, item.symbol, size, rng) for item in loss.inputs}


def _draw(loss: Loss, symbol: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    kind = kind_of(loss, symbol)
    if kind == "numbers":
        return _numbers(loss, symbol, shape, rng)
    if kind == "indices":
        return rng.integers(0, CLASSES, shape)
    if kind == "levels":
        return rng.normal(0, 2, (*shape, len(structure(loss).values["levels"])))
    if kind == "coordinates":
        return rng.normal(0, 1, (*shape, COORDINATES))
    logits = rng.normal(0, 1.5, (*shape, CLASSES))
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    rows = {"logits": logits, "probabilities": p, "log_probabilities": np.log(p)}
    rows |= {"values": np.exp(logits), "log_values": logits}
    return np.moveaxis(rows[kind], -1, axis_of(loss))


def _numbers(loss: Loss, symbol: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    domain = loss.domains[symbol]
    if domain.values:
        return rng.choice(domain.values, shape)
    if math.isinf(domain.low) and math.isinf(domain.high):
        drawn = rng.normal(0, 2, shape)
    elif math.isinf(domain.low):
        drawn = domain.high - rng.uniform(0.1, 3, shape)
    elif math.isinf(domain.high):
        drawn = domain.low + rng.uniform(0.1, 3, shape)
    else:
        drawn = domain.low + (domain.high - domain.low) * rng.uniform(0.05, 0.95, shape)
    # Counts are whole where they are all that the domain tells.
    return np.round(drawn) + 1 if symbol == "y" and loss.card.task == "counts" else drawn
