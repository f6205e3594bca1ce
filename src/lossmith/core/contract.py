"""The contract: what may come in, checked once for every loss.

Shapes are equal or it is an error, numbers are numbers, weights are weights. What each value
may be is the loss's domain and is checked in the same pass that computes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.columns import column, lines, source, spread
from lossmith.core.domain import Domain
from lossmith.core.foreign import is_foreign, read
from lossmith.core.inputs import Input
from lossmith.core.outputs import room
from lossmith.core.outputs import symbol as symbol_of
from lossmith.engines.numpy import BLOCK
from lossmith.errors import DomainError, KindError, ShapeError

Array = npt.NDArray[Any]

NO_NUMBERS = "OSTUcMm"
"""What NumPy calls types that hold none."""

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_FLOATS, _NARROW = frozenset("efdgE"), frozenset("efE")  # as dtypes call them; E is bfloat16
_ROWS = 2  # axes that rows have


@dataclass
class Batch:
    """Arrays that passed the contract, with one axis for the examples; nobody changes one.

    Attributes:
        owner: the loss, as messages name it.
        inputs: by the formula's symbol: columns or, with classes, rows, with the examples along the first axis and
            the classes along the last; see ``lossmith.core.columns``.
        arguments: what the loss takes, for messages.
        shape: shape of the examples, that is, of the losses.
        dtype: float32 or float64, the type of the results.
        weight: a column of weights, or ``None`` for one each. What it holds where the mask is false does not matter.
        mask: which examples count, or ``None`` for all.
        block: rows in a block of work, which is also the unit of exact sums.
        shapes: shape of each argument that may be spread over the examples, for results that have it.
        class_axis: where the classes stood in the arguments, or ``None`` without classes.
    """

    owner: str
    inputs: Mapping[str, Array]
    arguments: Sequence[Input]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    weight: Array | None
    mask: Array | None
    block: int = BLOCK
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    class_axis: int | None = None

    @property
    def size(self) -> int:
        """Number of examples."""
        return math.prod(self.shape)

    @property
    def labels(self) -> dict[str, str]:
        """The argument name behind each symbol."""
        return {item.symbol: item.name for item in self.arguments}

    @cached_property
    def weight_sums(self) -> list[float]:
        """The sum of the weights that count, of each block."""
        with np.errstate(all="ignore"):
            return [float(np.add.reduce(here)) for _, here in _weights_by_block(self.weight, self.mask, self.block)]

    def weighted(self, start: int, stop: int, values: Array) -> Array:
        """Return weight times value of some rows; weight zero or a mask gives zero whatever the value."""
        if self.weight is None and self.mask is None:
            return values
        tail = (1,) * (values.ndim - 1)
        if self.weight is not None:
            weight = np.ascontiguousarray(self.weight[start:stop], np.float64).reshape(-1, *tail)
            values = weight * values
            np.copyto(values, 0.0, where=~(weight > 0))
        if self.mask is not None:
            values = np.where(self.mask[start:stop].reshape(-1, *tail), values, 0.0)
        return values

    def room(self, part: str) -> Array:
        """Return an array to fill with a part of the outputs, row by row; see ``lossmith.core.outputs``.

        Derivatives of predictions whose classes are not side by side lie like those, so that nobody has to move them.
        """
        made = room(self.size, part, self.inputs, self.dtype)
        if self.class_axis is None or made.ndim != _ROWS or self.inputs[symbol_of(part)].flags.c_contiguous:
            return made
        rows: Array = lines(made.reshape(self._whole(made.shape[1:])), self.class_axis)
        return rows

    def _whole(self, tail: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of an argument that has these axes for each example."""
        axis = len(self.shape) if self.class_axis is None else self.class_axis
        return self.shape[:axis] + tail + self.shape[axis:]

    def rows_of(self, out: Any, part: str, *, own: bool = False) -> Array:
        """Check an array that a part is to be written into, and return it as rows, or others where that cannot be.

        Args:
            out: what came.
            part: what is to be written; see ``lossmith.core.outputs``.
            own: whether it is to come in its argument's own shape; see ``own``.

        Raises:
            KindError: for what is no writeable array of the right type.
            ShapeError: for another shape than the predictions have.
        """
        if not isinstance(out, np.ndarray) or out.dtype != self.dtype or not out.flags.writeable:
            kept = "" if getattr(getattr(out, "flags", None), "writeable", True) else "read-only "
            got = f"{kept}{out.dtype} array" if isinstance(out, np.ndarray) else type(out).__name__
            raise KindError(f"{self.owner}: out must be a writeable {self.dtype} array, got a {got}")
        read, tail = source(self.inputs[symbol_of(part)]), self.inputs[symbol_of(part)].shape[1:]
        whole = self._whole(tail)
        wanted = self.shapes.get(symbol_of(part), whole) if own else whole
        if out.shape != wanted:
            raise ShapeError(f"{self.owner}: out has shape {out.shape}, the predictions have {wanted}")
        if wanted != whole:
            return self.room(part)  # which is summed up later
        # Each prediction is read before it is written over; of whatever else lies there, some is read later.
        over = [array for array in self._read() if np.may_share_memory(array, out)]
        moved = out if self.class_axis is None else np.moveaxis(out, self.class_axis, -1)
        if out.flags.carray or moved.flags.carray:
            rows: Array = out.reshape((self.size, *tail)) if self.class_axis is None else lines(out, self.class_axis)
            if all(x is read and same_memory(x, source(rows)) for x in over):
                return rows
        return self.room(part)

    def lies_in(self, array: Array) -> bool:
        """Return whether some of what is read lies in an array's memory."""
        return any(np.may_share_memory(source(array), other) for other in self._read())

    def _read(self) -> list[Array]:
        return [source(array) for array in (*self.inputs.values(), self.weight, self.mask) if array is not None]

    def restore(self, values: Array, *, full: bool = False) -> Array:
        """Return a result of rows in the shape in which the arguments came."""
        tail = values.shape[1:]
        if not tail and self.shape == values.shape:
            return values
        restored = source(values).reshape(self.shape + tail)
        if tail and not full and self.class_axis is not None:
            restored = np.moveaxis(restored, -1, self.class_axis)
        return restored

    def own(self, symbol: str, gradient: Array) -> Array:
        """Return a gradient in its argument's own shape: summed over the axes along which that was spread."""
        shape = self.shapes.get(symbol)
        if shape is None or shape == gradient.shape:
            return gradient
        spread_along = tuple(axis for axis, size in enumerate(shape) if size != gradient.shape[axis])
        total = gradient.sum(axis=spread_along if shape else None, keepdims=bool(shape), dtype=np.float64)
        return np.asarray(total, dtype=gradient.dtype)

    def place(self, row: int) -> str:
        """Return the index of a flat row, as one writes it: ``3`` or ``3, 1``."""
        return _place(row, self.shape)

    def blocks(self, first: int = 0) -> Iterator[tuple[int, int, dict[str, Array]]]:
        """Yield ``start, stop`` and the inputs of those rows, block by block; ``first`` is where a block begins."""
        for start in range(first, self.size, self.block):
            stop = min(start + self.block, self.size)
            yield start, stop, {symbol: self._computed(array[start:stop]) for symbol, array in self.inputs.items()}

    def _computed(self, array: Array) -> Array:
        """Return rows of numbers in the type to compute in; single numbers, which may be labels, as they are."""
        return np.ascontiguousarray(array, self.dtype) if array.ndim > 1 else array

    def entry(self, symbol: str, row: int, column: int | None = None) -> str:
        """Return what a message calls the entry of an argument at a flat row: ``y_true[3]``, ``y_pred[3, 1]``."""
        label, shape = self.labels[symbol], self.shapes.get(symbol, self.shape)
        if column is not None:
            index = [int(i) for i in np.unravel_index(row, self.shape)] if self.shape else []
            index.insert(len(index) if self.class_axis is None else self.class_axis, column)
            return f"{label}[{', '.join(map(str, index))}]"
        if shape == self.shape:
            return f"{label}[{self.place(row)}]"
        if not shape:
            return label  # one number for all examples
        spread = zip(np.unravel_index(row, self.shape), shape, strict=True)
        return f"{label}[{', '.join(str(0 if size == 1 else int(i)) for i, size in spread)}]"


def prepare(
    owner: str, inputs: Sequence[Input], given: Mapping[str, Any], weight: Any = None, mask: Any = None
) -> Batch:
    """Check the arguments of a pointwise call and bring them to the form that engines take.

    Args:
        owner: the loss, as messages shall name it.
        inputs: what it takes.
        given: what the user gave, by the names of the inputs.
        weight: a weight for each example, at least zero; size-1 axes broadcast.
        mask: true for the examples that count.

    Raises:
        KindError: for what is no array of real numbers.
        ShapeError: when shapes differ.
        DomainError: for negative or non-finite weights and a mask that is not boolean.
    """
    arrays = [numbers(owner, item.name, given[item.name]) for item in inputs]
    lead = 0
    while inputs[lead].broadcast:
        lead += 1
    shape = arrays[lead].shape
    columns, shapes, deciding = {}, {}, arrays
    for item, array in zip(inputs, arrays, strict=True):
        if item.broadcast:
            shapes[item.symbol] = array.shape
            columns[item.symbol] = spread(owner, item.name, array, shape)
            if isinstance(given[item.name], (int, float)):  # a plain Python number for all examples is of no width
                deciding = [other for other in deciding if other is not array]
        elif array.shape == shape:
            columns[item.symbol] = column(array)
        else:
            raise ShapeError(shapes_differ(owner, inputs[lead].name, arrays[lead], item.name, array))
    weigh = None if weight is None else spread(owner, "weight", numbers(owner, "weight", weight), shape)
    counts = None if mask is None else masks(owner, mask, shape)
    if weigh is not None:
        check_weights(owner, weigh, shape, counts)
    return Batch(owner, columns, inputs, shape, common_type(deciding), weigh, counts, BLOCK, shapes)


def common_type(arrays: Iterable[Array]) -> np.dtype[Any]:
    """Return the type to compute in: the widest float among the arrays, at least float32, at most float64."""
    # Labels are often integers: they take the type of the predictions instead of widening them.
    floats = {array.dtype.char for array in arrays} & _FLOATS
    return _FLOAT32 if floats and floats <= _NARROW else _FLOAT64


def same_memory(a: Array, b: Array) -> bool:
    """Return whether two arrays hold the same numbers in the same order, each in the same place."""
    alike = (a.flags.c_contiguous and b.flags.c_contiguous) or (a.shape, a.strides) == (b.shape, b.strides)
    return alike and a.dtype == b.dtype and a.size == b.size and a.ctypes.data == b.ctypes.data


def _place(row: int, shape: tuple[int, ...]) -> str:
    return ", ".join(str(int(i)) for i in np.unravel_index(row, shape)) if shape else "()"


def numbers(owner: str, label: str, value: Any) -> Array:
    """Return an argument as an array of real numbers, whatever their type, without a copy where it lies in memory.

    Raises:
        KindError: for strings, complex numbers, objects, and arrays of other libraries that cannot be read there.
    """
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return value
    if is_foreign(value):
        value = read(owner, label, value)
    # numpy.ma takes 15 ms to import; when nobody has, there are no masked arrays.
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray):
        raise KindError(f"{owner}: {label} is a masked array; pass its data, and mask=~{label}.mask")
    try:
        exchanged = hasattr(value, "__dlpack__") and not hasattr(value, "__array__")
        array = np.from_dlpack(value) if exchanged else np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{owner}: {label} is no rectangular array of numbers ({error})") from None
    if array.dtype.kind in "fiub" or array.dtype.name == "bfloat16":  # which JAX and others add to NumPy
        return array
    raise no_numbers(owner, label, array)


def no_numbers(owner: str, label: str, array: Array) -> KindError:
    """Return the error for an array of NumPy that holds no real numbers."""
    example = "nothing"
    if array.size:
        example = repr(array.flat[0].item() if array.dtype.kind in "cSU" else array.flat[0])
    kind = "U" if array.size and isinstance(array.flat[0], str) else array.dtype.kind
    mend = {
        "c": "losses are of real numbers: take the modulus, or the parts one by one",
        "O": "convert it with numpy.asarray(..., dtype=float); missing values must become NaN and be masked",
    }.get(
        kind,
        "convert labels to numbers first, such as (labels == 'yes').astype(float), or of several "
        "classes numpy.unique(labels, return_inverse=True)[1]",
    )
    return KindError(f"{owner}: {label} must hold real numbers, got {array.dtype} (the first is {example}); {mend}")


def shapes_differ(owner: str, a_label: str, a: Any, b_label: str, b: Any) -> str:
    """Return the message for two arrays of any library whose shapes differ."""
    message = f"{owner}: {a_label} has shape {tuple(a.shape)} and {b_label} {tuple(b.shape)}; shapes must be equal"
    together = _broadcast(a.shape, b.shape)
    if together is None:
        return f"{message}."
    message = f"{message}, since broadcasting would give {together}."
    for label, other_label, array, other in ((a_label, b_label, a, b), (b_label, a_label, b, a)):
        if array.ndim == other.ndim + 1 and array.shape[-1] == 1 and array.shape[:-1] == other.shape:
            return f"{message} Use {label}.squeeze(-1), or {other_label}[..., None]."
    return message


def _broadcast(a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return the shape that two are spread to, if they can be; compilers have other errors for NumPy's function."""
    axes = max(len(a), len(b))
    pairs = [*zip((1,) * (axes - len(a)) + tuple(a), (1,) * (axes - len(b)) + tuple(b), strict=True)]
    can = all(n == m or n == 1 or m == 1 for n, m in pairs)
    return tuple(m if n == 1 else n for n, m in pairs) if can else None


def check_weights(owner: str, weight: Any, shape: tuple[int, ...], counts: Array | None = None) -> None:
    """Check a column of weights, where they count.

    Raises:
        DomainError: for a negative weight, or one that is not finite.
    """
    wrong, first = 0, 0
    for start, here in _weights_by_block(weight, counts, BLOCK):
        right = (here >= 0) & (here < np.inf)
        if missed := right.size - int(np.count_nonzero(right)):
            first = first if wrong else start + int(np.argmin(right))
            wrong += missed
    if wrong:
        raise DomainError(
            f"{owner}: weights must be finite and at least 0, but weight[{_place(first, shape)}] is "
            f"{float(weight[first]):g} ({wrong} such of {weight.size}); drop those rows or give them weight 0"
        )


def _weights_by_block(weight: Any, counts: Array | None, block: int) -> Iterator[tuple[int, Array]]:
    """Yield where a block begins and its weights, 0 where they do not count."""
    for start in range(0, weight.size, block):
        with np.errstate(over="ignore"):  # of a wider type than float64
            here = np.ascontiguousarray(weight[start : start + block], np.float64)
        yield start, here if counts is None else np.where(counts[start : start + block], here, 0.0)


def weights(owner: str, weight: Any, shape: tuple[int, ...], counts: Array | None = None) -> Array:
    """Return flat float64 weights, which are 0 where ``counts`` is false, whatever was given there.

    Raises:
        DomainError: for a negative weight, or one that is not finite.
    """
    found = spread(owner, "weight", numbers(owner, "weight", weight), shape)
    check_weights(owner, found, shape, counts)
    full = np.ascontiguousarray(found, np.float64)
    return full if counts is None else np.where(counts, full, 0.0)


def masks(owner: str, mask: Any, shape: tuple[int, ...]) -> Array:
    """Return a flat, contiguous boolean mask.

    Raises:
        KindError: when it is not boolean.
    """
    array = read(owner, "mask", mask) if is_foreign(mask) else np.asarray(mask)
    check_mask(owner, array.dtype)
    return np.ascontiguousarray(spread(owner, "mask", array, shape))


def check_mask(owner: str, dtype: Any) -> None:
    """Check the type of a mask, of any library that has those of NumPy.

    Raises:
        KindError: when it is not boolean.
    """
    if dtype != np.bool_:
        raise KindError(f"{owner}: mask must be boolean (True counts), got {dtype}; write mask.astype(bool)")


def domain_error(batch: Batch, domains: Mapping[str, Domain], invalid: Array, first: int) -> DomainError:
    """Return the error for the first row outside a domain.

    Args:
        batch: what was passed.
        domains: by the formula's symbol.
        invalid: flat, true where some input lies outside; from the row ``first`` on.
        first: flat row at which ``invalid`` begins.
    """
    row = first + int(np.argmax(invalid))
    for symbol, domain in domains.items():
        values = batch.inputs[symbol][row]
        outside = [place for place, value in enumerate(np.atleast_1d(values).tolist()) if not domain.includes(value)]
        if outside:
            value, column = float(np.atleast_1d(values)[outside[0]]), outside[0] if values.ndim else None
            label = batch.labels[symbol]
            hint = f"; {domain.hint}" if domain.hint else ""
            if np.isnan(value):
                hint = "; a missing value: drop the row, or leave it out by mask="
            entry = batch.entry(symbol, row, column)
            return DomainError(f"{batch.owner}: {label} must be {domain.wanted}, but {entry} is {value:g}{hint}")
    raise AssertionError("a row was reported outside the domains, but lies inside")
