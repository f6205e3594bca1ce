"""Random arrays of every kind that the table's inputs may have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tests.parity.table import Row

Array = npt.NDArray[np.float64]

EXAMPLES, COLUMNS, CLASSES, DEPTH = 8, 5, 4, 3


def _distributions(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    amounts = rng.uniform(0.2, 2.0, (*shape, CLASSES))
    return amounts / amounts.sum(axis=-1, keepdims=True)


def _classes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    # Every class occurs: some peers find out from the targets which classes there are.
    return rng.permutation(np.arange(int(np.prod(shape))) % CLASSES).reshape(shape)


def _classes_or_ignored(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    found = _classes(rng, shape)
    found.reshape(-1)[::3] = -100
    return found


def _labels(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.permutation(np.arange(int(np.prod(shape))) % 2).reshape(shape).astype(np.float64)


ELEMENTS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "numbers": lambda rng, shape: 1.5 * rng.normal(size=shape),
    "negative numbers": lambda rng, shape: -rng.uniform(0.1, 3, shape),
    "positive numbers": lambda rng, shape: rng.uniform(0.2, 4, shape),
    "counts": lambda rng, shape: rng.poisson(2.0, shape).astype(np.float64),
    "ones": lambda rng, shape: np.ones(shape),
    "0 and 1": _labels,
    "0 and 1, now and then another": lambda rng, shape: rng.integers(0, 2, shape).astype(np.float64),
    "-1 and +1": lambda rng, shape: 2 * _labels(rng, shape) - 1,
    "soft labels": lambda rng, shape: rng.uniform(0, 1, shape),
    "probabilities": lambda rng, shape: rng.uniform(0.02, 0.98, shape),
}
ROWS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "classes": _classes,
    "classes or -100": _classes_or_ignored,
    "one-hot rows": lambda rng, shape: np.eye(CLASSES)[_classes(rng, shape)],
    "distributions": _distributions,
    "rows of probabilities": _distributions,
    "rows of log-probabilities": lambda rng, shape: np.log(_distributions(rng, shape)),
    "rows of numbers": lambda rng, shape: 1.5 * rng.normal(size=(*shape, CLASSES)),
    "rows of positive numbers": lambda rng, shape: rng.uniform(0.2, 4, (*shape, CLASSES)),
}


def shape_of(row: Row) -> tuple[int, ...]:
    """Return the shape of the examples of a row of the table."""
    if any(word in ROWS for word in row.inputs.values()):
        return (EXAMPLES, DEPTH) if getattr(row.loss, "class_axis", -1) == 1 else (EXAMPLES,)
    return (EXAMPLES,) if row.peer == "scikit-learn" else (EXAMPLES, COLUMNS)


def draw(row: Row, rng: np.random.Generator) -> dict[str, Array]:
    """Return random inputs by name, with the classes along the axis that our loss has them on."""
    shape = shape_of(row)
    found: dict[str, Array] = {}
    for name, word in row.inputs.items():
        array = (ROWS if word in ROWS else ELEMENTS)[word](rng, shape)
        found[name] = np.moveaxis(array, -1, 1) if array.ndim > len(shape) > 1 else array
    return found
