"""The losses that the whole contract is for, and what tests do with their data."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import CLASSES, axis_of, kind_of
from lossmith.core.parameter import Vector
from lossmith.structures.divergence import Divergence
from lossmith.structures.rows import Rows

Array = npt.NDArray[Any]


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


def is_plain(loss: Loss) -> bool:
    """Return whether a loss has its defaults, or is a sum; what other forms change is the formula."""
    return loss in SUMS or loss == type(loss)()


def in_turn(loss: Loss) -> list[tuple[bool, bool]]:
    """Return with what a loss is reduced: whether with weights, and whether with a mask.

    Each is kernels to compile, and lies around the formula. So other forms than plain ones take turns: with neither
    and with both, or with one and with the other.
    """
    ways = list(itertools.product((False, True), repeat=2))
    if is_plain(loss):
        return ways
    return ways[::3] if zlib.crc32(str(loss).encode()) % 2 else ways[1:3]


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
