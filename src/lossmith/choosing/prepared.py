"""A table made ready for training, and new rows made ready in the same way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lossmith.choosing.features import Features, encode_like, read_features, read_weight
from lossmith.choosing.target import Target, read_target

if TYPE_CHECKING:
    from lossmith.scoring.source import Table

__all__ = ["Prepared", "opened", "read"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A table as arrays.

    Attributes:
        features: The features with their names, labels and the columns that were dropped.
        target: The target with its labels.
        weight: Weights of the rows, or ``None``.
    """

    features: Features
    target: Target
    weight: FloatArray | None

    @property
    def X(self) -> FloatArray:
        """The features: one row an example, NaN for missing."""
        return self.features.matrix

    @property
    def y(self) -> FloatArray:
        """The targets; 0 and 1 for two classes."""
        return self.target.values

    @property
    def categorical(self) -> list[int]:
        """Positions of the features that are categories."""
        return list(self.features.categorical)

    def encode(self, table: Table | str | os.PathLike[str]) -> FloatArray:
        """Read the same features from another table; a label that was not seen here counts as missing.

        Raises:
            TableError: A feature's column is not there, or is of another kind.
        """
        with opened(table) as source:
            return encode_like(self.features, source)


@contextlib.contextmanager
def opened(table: Table | str | os.PathLike[str]) -> Iterator[Table]:
    """Give a table as it is, or open a path and close it afterwards."""
    from lossmith.scoring.source import Table as Source

    if isinstance(table, (str, os.PathLike)):
        with Source.open(table) as source:
            yield source
    else:
        yield table


def read(
    table: Table | str | os.PathLike[str],
    target: str,
    *,
    drop: Sequence[str] = (),
    weight: str | None = None,
    positive: str | None = None,
) -> Prepared:
    """Read target, features and weight; see :func:`lossmith.choosing.prepare`."""
    with opened(table) as source:
        values = read_target(source, target, positive=positive)
        heavy = None if weight is None else read_weight(source, weight, target)
        return Prepared(read_features(source, target, drop=drop, weight=weight), values, heavy)
