"""Plain calls that are made again and again, of which only where arrays begin is new; see ``plain``.

Who trains calls a loss thousands of times, so a kernel earns back its compilation whatever the size of the arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossmith.engines import numpy as engine
from lossmith.engines.choice import NoKernel, compiled_rows
from lossmith.structures.looks import Look

if TYPE_CHECKING:
    from lossmith.core.loss import Loss
    from lossmith.engines.llvm.one_block import OneBlock

Array = npt.NDArray[Any]
_COMPUTED = (np.float32, np.float64)


class Again(NamedTuple):
    """A plain call, to be made again of arrays of the same types and shapes.

    Attributes:
        run: the kernel; it takes where the inputs begin, in their order, and then the gradients that are wanted.
        rows: how many there are.
        divisor: what the sum of losses is divided by.
        sizes: bytes of a number in each of what it takes, which begins at a multiple of it.
        wanted: places of the inputs by which the gradient is wanted.
        looks: what the kernel does not look at.
    """

    run: OneBlock
    rows: int
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
    f = given[plain.lead]
    columns = plain.columns(given, f) if f.dtype in _COMPUTED and 0 < f.size <= engine.BLOCK else None
    if columns is None:
        return None
    slopes = {f"gradient:{loss.inputs[place].symbol}": np.empty_like(columns[place]) for place in wanted}
    rows = len(columns[0])
    try:
        run = plain.one_block(columns, slopes)
    except NoKernel:
        return None
    sizes = tuple(array.itemsize for array in (*columns, *slopes.values()))
    return Again(run, rows, rows if mean else 1, sizes, tuple(wanted), tuple(plain.looks(columns)))
