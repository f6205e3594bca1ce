"""Valid data for any loss, made from what it says of its inputs, and the losses that the whole contract is for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

import lossmith as lm
from lossmith import Loss
from lossmith.core.parameter import Vector
from lossmith.structures.composite import Sum
from lossmith.structures.distance import Distance
from lossmith.structures.divergence import Divergence
from lossmith.structures.levels import Levels
from lossmith.structures.rows import Rows

Array = npt.NDArray[Any]

CLASSES = 3
COORDINATES = 4


def forms(name: str) -> Iterator[Loss]:
    """Yield a loss with its defaults, with each option changed alone, and with its vectors filled."""
    cls = lm.loss_class(name)
    yield cls()
    for option in cls.options().values():
        for choice in option.choices:
            yield cls(**{option.name: choice})
    filled = {key: _vector(item) for key, item in cls.declared().items() if isinstance(item, Vector)}
    if issubclass(cls, Rows):
        for values in (filled, {"label_smoothing": 0.1}, {"z_loss": 0.01}, {"ignore_index": -7}, {"class_axis": 0}):
            with suppress(lm.ParameterError):  # an option that this loss does not have
                yield cls(**values)
    if issubclass(cls, Divergence):
        yield cls(class_axis=0)


def _vector(item: Vector) -> tuple[float, ...]:
    if item.default is not None:
        return item.default
    sizes = np.arange(1.0, CLASSES + 1)
    return tuple((sizes / sizes.sum()).tolist())


SUMS = (
    0.7 * lm.Huber() + 0.3 * lm.AbsoluteError(),
    0.5 * lm.BinaryCrossEntropy() + 2 * lm.Focal(),
    lm.SparseCategoricalCrossEntropy() + 0.1 * lm.SoftmaxFocal(),
    0.9 * lm.KLDivergence(q_kind="logits") + 0.1 * lm.JensenShannon(q_kind="logits"),
    2 * lm.MultiQuantile() + lm.MultiQuantile(levels=(0.2, 0.5, 0.8)),
    lm.Triplet() + lm.Triplet(margin=2.0, distance="squared"),
    lm.GANDiscriminator() + 0.5 * lm.GANDiscriminator(kind="hinge"),
    3 * lm.GaussianNLL(full=True),
)
EVERY: tuple[Loss, ...] = tuple(dict.fromkeys([loss for name in lm.names() for loss in forms(name)] + list(SUMS)))
"""Every loss of the catalogue in its forms, and sums of every structure."""


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


def rows_at(loss: Loss, data: dict[str, Array], rows: Any) -> dict[str, Array]:
    """Return some examples, which lie along the first axis of the losses."""
    return {name: _take(loss, name, array, rows) for name, array in data.items()}


def _take(loss: Loss, name: str, array: Array, rows: Any) -> Array:
    first = example_axis(loss, name)
    return array[(slice(None),) * first + (rows,)]


def example_axis(loss: Loss, name: str) -> int:
    """Return the axis along which the examples of an argument lie, where they have one."""
    symbol = next(item.symbol for item in loss.inputs if item.name == name)
    return 1 if axis_of(loss) == 0 and kind_of(loss, symbol) not in ("numbers", "indices", "levels") else 0


def spoiled(loss: Loss, data: dict[str, Array], name: str, row: int, value: Any) -> dict[str, Array]:
    """Return the data with an argument's entries at a row replaced: one of them, for rows of several."""
    array = np.array(data[name], dtype=float)
    index: list[Any] = [row] if array.ndim == 1 else [row, 1]
    array[tuple(index[::-1] if example_axis(loss, name) else index)] = value
    return {**data, name: array}


def each_part(found: Any) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of a result with a name, whether it is one or a dict of them."""
    if isinstance(found, dict):
        yield from ((str(key), part) for key, part in found.items())
    else:
        yield "", found


def name_of(loss: Loss) -> str:
    """Return the id of a case."""
    return str(loss).replace(" ", "")
