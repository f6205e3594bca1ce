"""Columns: arrays of any shape, type and layout read as one axis, without copies of the whole.

A column is a one-dimensional view where there is one, in the array's own type. Where there is none it is
a ``Flat``, of which a slice is a copy. Rows are two-dimensional views or ``Lines``. Engines bring a block at a
time to the type they compute in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.errors import ShapeError

Array = npt.NDArray[Any]


class Flat:
    """An array as one axis, last index fastest, that cannot be a view; what is taken out of it is a copy."""

    ndim = 1
    strides = ()

    def __init__(self, array: Array, size: int | None = None) -> None:
        self._array, self.dtype = array, array.dtype
        self.size = array.size if size is None else size
        self.shape = (self.size,)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Any) -> Any:
        return self._array.flat[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self._array.flat[: self.size], dtype)

    def head(self, rows: int) -> Flat:
        """Return the first rows."""
        return Flat(self._array, rows)


class Lines:
    """Rows along an axis of an array of more axes, where no view has them all; a stretch of them is a view.

    What is assigned to rows lands in the array.

    Attributes:
        array: the array, with what a row holds along the last axis.
        inner: rows that differ only in what came after that axis, and so lie side by side in a plain array.
    """

    ndim = 2
    flags = SimpleNamespace(c_contiguous=False)  # rows do not lie one after the other

    def __init__(self, array: Array, axis: int) -> None:
        self.array, self.dtype, self._axis = np.moveaxis(array, axis, -1), array.dtype, axis
        self.shape = (math.prod(self.array.shape[:-1]), array.shape[axis])
        self.inner = math.prod(array.shape[axis + 1 :])
        *shape, along = self.array.shape
        *strides, step = self.array.strides
        found = ((n, _step(shape[n:], strides[n:])) for n in range(len(shape)))
        self._outer, near = next((shape[:n], near) for n, near in found if near is not None)
        length = math.prod(shape[len(self._outer) :])
        self._stretches = np.lib.stride_tricks.as_strided(
            self.array, (*self._outer, length, along), (*strides[: len(self._outer)], near, step)
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            pieces = list(self._pieces(key))
            return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        rows = np.asarray(key)
        return self.array[
            np.unravel_index(np.flatnonzero(rows) if rows.dtype == np.bool_ else rows, self.array.shape[:-1])
        ]

    def __setitem__(self, key: Any, values: Any) -> None:
        if key is Ellipsis:
            self.array[...] = values
            return
        first = 0
        for piece in self._pieces(key):
            piece[...] = values[first : first + len(piece)]
            first += len(piece)

    def _pieces(self, rows: slice) -> Iterator[Array]:
        """Yield views that together are a slice of rows."""
        start, stop, _ = rows.indices(len(self))
        while start < stop:
            number, place = divmod(start, self._stretches.shape[-2])
            piece = self._stretches[np.unravel_index(number, self._outer)][place : place + stop - start]
            yield piece
            start += len(piece)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.array.reshape(self.shape), dtype)

    @property
    def steps(self) -> tuple[int, int] | None:
        """Bytes from the first of ``inner`` rows to that of the next, and from what a row holds first to the second.

        None where the rows between do not lie side by side.
        """
        shape, strides, axis = self.array.shape, self.array.strides, self._axis
        outer, near = (_step(shape[part], strides[part]) for part in (slice(axis), slice(axis, -1)))
        return None if outer is None or near != self.dtype.itemsize else (outer, strides[-1])


def lines(array: Array, axis: int) -> Any:
    """Return an array as rows of what lies along an axis: a view where there is one."""
    moved = np.moveaxis(array, axis, -1)
    shape = (math.prod(moved.shape[:-1]), moved.shape[-1])
    if moved.ndim == 2 or moved.flags.c_contiguous:
        return moved.reshape(shape)
    step = _step(moved.shape[:-1], moved.strides[:-1])
    if step is not None:
        return np.lib.stride_tricks.as_strided(moved, shape, (step, moved.strides[-1]))
    return Lines(array, axis)


def _step(sizes: Sequence[int], strides: Sequence[int]) -> int | None:
    """Return the bytes from one place to the next of axes read as one, last index fastest; None where they vary."""
    axes = [(size, stride) for size, stride in zip(sizes, strides, strict=True) if size != 1]
    if any(axes[n][1] != size * stride for n, (size, stride) in enumerate(axes[1:])):
        return None
    return axes[-1][1] if axes else 0


def column(array: Array) -> Any:
    """Return an array as a column."""
    if array.ndim == 1:
        return array
    if array.flags.c_contiguous:
        return array.reshape(-1)
    thin = array.squeeze()
    return thin if thin.ndim == 1 else Flat(array)


def head(column: Any, rows: int) -> Any:
    """Return the first rows of a column as a column."""
    return column.head(rows) if isinstance(column, Flat) else column[:rows]


def source(column: Any) -> Array:
    """Return the array whose memory a column reads."""
    if isinstance(column, Lines):
        return column.array
    return column._array if isinstance(column, Flat) else column


def spread(owner: str, label: str, array: Array, shape: tuple[int, ...]) -> Any:
    """Return an array spread over the examples along its axes of size 1, as a column; a single number fits all.

    Raises:
        ShapeError: when other axes differ.
    """
    if array.shape == shape:
        return column(array)
    check_spread(owner, label, array.shape, shape)
    if array.size == 1:
        return np.broadcast_to(array.reshape(()), (math.prod(shape),))
    return column(np.broadcast_to(array, shape))


def check_spread(owner: str, label: str, own: Sequence[int], shape: Sequence[int]) -> None:
    """Check that an array of one shape, of any library, can be spread over the examples.

    Raises:
        ShapeError: when axes differ that are not of size 1.
    """
    if own and not (len(own) == len(shape) and all(a == 1 or a == b for a, b in zip(own, shape, strict=True))):
        given, wanted = tuple(own), tuple(shape)
        mends = ((wanted[:-1], "[..., None]"), (wanted[1:], "[None]"), ((*wanted, 1), "[..., 0]"))
        meant = " or ".join(f"{label}{mend}" for shape_meant, mend in mends if given == shape_meant)
        raise ShapeError(
            f"{owner}: {label} has shape {given}, but the examples have {wanted}; only axes of size 1 broadcast"
            f"{f': write {meant}' if meant else ''}"
        )
