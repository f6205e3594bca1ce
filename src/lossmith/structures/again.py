"""Plain calls that are made again and again, of which only where arrays begin is new; see ``plain``.

Who trains calls a loss thousands of times, so a kernel earns back its compilation whatever the size of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossmith.engines import numpy as engine
from lossmith.engines.choice import NoKernel, compiled_rows
from lossmith.structures.plain import Plain, PlainNumbers, PlainRows

if TYPE_CHECKING:
    from lossmith.core.loss import Loss
    from lossmith.engines.llvm.one_block import OneBlock
    from lossmith.engines.llvm.row_call import Prepared

Array = npt.NDArray[Any]
Look = Callable[[Sequence[int]], bool]
"""What tells, of where inputs begin, whether all is right that they hold."""

_COMPUTED = (np.float32, np.float64)
_FEW = 256
"""Labels over which Python is quicker than NumPy."""
_FIRST = 16
"""Logits of the first row that are looked at."""


class Again(NamedTuple):
    """A plain call, to be made again of arrays of the same types and shapes.

    Attributes:
        run: the kernel; it takes where the inputs begin, in their order, and then the gradients that are wanted.
        divisor: what the sum of losses is divided by.
        sizes: bytes of a number in each of what it takes, which begins at a multiple of it.
        wanted: places of the inputs by which the gradient is wanted.
        looks: what the kernel does not look at.
    """

    run: OneBlock
    divisor: int
    sizes: tuple[int, ...]
    wanted: tuple[int, ...]
    looks: tuple[Look, ...]


def fits(size: int) -> bool:
    """Return whether so many numbers are at most a block, and kernels serve."""
    return size <= engine.BLOCK and compiled_rows(engine.BLOCK, engine.BLOCK) > 0


def again(loss: Loss, given: Sequence[Array], wanted: Sequence[int], *, mean: bool) -> Again | None:
    """Return a call to be made again, or nothing where it is not plain, has more than a block, or has no kernel.

    Args:
        loss: whose cost.
        given: its inputs, in their order.
        wanted: places of the inputs by which the gradient is wanted.
        mean: whether the cost is a mean, and no sum.
    """
    plain: Any = loss._plain
    if plain is None:
        return None
    f = given[plain._lead]
    columns = plain._columns(given, f) if f.dtype in _COMPUTED and 0 < f.size <= engine.BLOCK else None
    if columns is None:
        return None
    slopes = {f"gradient:{loss.inputs[place].symbol}": np.empty_like(columns[place]) for place in wanted}
    divisor = len(columns[0]) if mean else 1
    try:
        run = (_of_rows if isinstance(plain, PlainRows) else _of_numbers)(loss, columns, slopes, 1 / divisor)
    except NoKernel:
        return None
    sizes = tuple(array.itemsize for array in (*columns, *slopes.values()))
    return Again(run, divisor, sizes, tuple(wanted), tuple(_looks(plain, columns, run)))


def _of_numbers(loss: Any, columns: Sequence[Array], slopes: Mapping[str, Array], factor: float) -> OneBlock:
    from lossmith.engines.llvm import kernel

    kind = kernel.kind_of(columns[loss._plain._lead])
    program = loss.part(*slopes, "value", "valid")
    ready = kernel.choose(program, columns, loss.free_parameters, slopes, kind, summed=True, in_place=True)
    return ready.one_block(len(columns[0]), len(slopes), factor)


def _of_rows(loss: Any, columns: Sequence[Array], slopes: Mapping[str, Array], factor: float) -> OneBlock:
    given = {item.name: column for item, column in zip(loss.inputs, columns, strict=True)}
    batch = loss._batch(given, None, None, trusted=True)
    prepared: Prepared = loss._prepared(batch.size, batch, slopes, summed=True)
    return prepared.call.one_block(batch.size, factor)


def _looks(plain: Plain, columns: Sequence[Array], run: OneBlock) -> Iterator[Look]:
    """Yield what plain calls look at and the kernel does not, but without arrays."""
    lead = columns[plain._lead]
    if isinstance(plain, PlainNumbers) and plain._clear:
        yield _clear_at(plain._lead, _held(lead, len(lead)), plain._clear)
    if isinstance(plain, PlainRows):
        for place, column in enumerate(columns):
            if column.ndim == 1 and not run.judges:
                yield _below_at(place, _held(column.view(f"u{column.itemsize}"), len(column)), lead.shape[1])
            if place in plain._logits:
                yield _logits_at(place, _held(column, min(_FIRST, lead.shape[1])))


def _held(array: Array, count: int) -> Any:
    """Return the type of so many numbers in memory."""
    return np.ctypeslib.as_ctypes_type(array.dtype) * count


def _clear_at(place: int, held: Any, clear: Callable[[Any], bool]) -> Look:
    return lambda begins: clear(held.from_address(begins[place]))


def _logits_at(place: int, held: Any) -> Look:
    def look(begins: Sequence[int]) -> bool:
        values = held.from_address(begins[place])[:]
        return bool(min(values) < 0 or max(values) > 1)

    return look


def _below_at(place: int, held: Any, classes: int) -> Look:
    """Return the look at labels, without signs: what is negative is large then."""

    def few(begins: Sequence[int]) -> bool:
        largest: int = max(held.from_address(begins[place])[:])
        return largest < classes

    def many(begins: Sequence[int]) -> bool:
        return int(np.maximum.reduce(np.frombuffer(held.from_address(begins[place]), held._type_))) < classes

    return few if held._length_ <= _FEW else many
