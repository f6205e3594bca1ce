"""One pass over a batch: outputs are written and losses summed, by kernels where there are any, else block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from lossmith.core.contract import Batch
from lossmith.core.state import CostState
from lossmith.engines.choice import Findings

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

Array = npt.NDArray[Any]


def fill(
    loss: Loss, batch: Batch, into: Mapping[str, Array], state: CostState | None = None, *, divisor: float = 1.0
) -> CostState | None:
    """Write parts of the outputs, weighted, and add the losses to a state, all in one pass.

    Args:
        loss: whose outputs.
        batch: what came in.
        into: flat arrays to write, by part.
        state: what the losses are added to, if anything.
        divisor: what derivatives are divided by.

    Returns:
        The state with the losses added.
    """
    first = loss._rows_for_kernel(batch, into) if batch.size else 0
    if first:
        found = loss._run_kernel(first, batch, into, summed=state is not None, divisor=divisor)
        state = _heed(loss, found, batch, state)
        for number in found.left:
            _write(batch, *next(loss._stream(batch, tuple(into), number * batch.block)), into, divisor)
        if first == batch.size:
            return state
    wanted = tuple(into) if state is None else tuple(dict.fromkeys(("losses", *into)))
    for start, stop, block in loss._stream(batch, wanted, first):
        loss._refuse_invalid(batch, start, stop, block["valid"])
        _write(batch, start, stop, block, into, divisor)
        if state is not None:
            state = state.add(batch, start, stop, block["losses"])
    return state


def _write(
    batch: Batch, start: int, stop: int, block: Mapping[str, Array], into: Mapping[str, Array], divisor: float
) -> None:
    for part, result in into.items():
        weighted = batch.weighted(start, stop, block[part])
        result[start:stop] = weighted if part == "losses" or divisor == 1 else weighted / divisor


def _heed(loss: Loss, found: Findings, batch: Batch, state: CostState | None) -> CostState | None:
    """Go over the blocks in which a kernel found something wrong, and return the state with all sums added."""
    for block in found.wrong:
        start, stop, outputs = next(loss._stream(batch, (), block * batch.block))
        loss._refuse_invalid(batch, start, stop, outputs["valid"])
    if state is None:
        return None
    for block in found.bad:
        start, stop, outputs = next(loss._stream(batch, ("losses",), block * batch.block))
        state = state.count_bad(batch, start, stop, outputs["losses"])
    return state.add_sums(found.sums)
