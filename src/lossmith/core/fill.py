"""One pass over a batch: outputs are written and losses summed, by kernels where there are any, else block by block."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import Batch
from lossmith.core.outputs import symbol
from lossmith.core.reduction import Empty, Reduction, check_empty, check_reduction
from lossmith.core.state import Tally, divisor, reduced
from lossmith.engines.choice import Findings, NoKernel, fall_back

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

Array = npt.NDArray[Any]


@np.errstate(all="ignore")  # what is not finite is counted instead
def fill(
    loss: Loss, batch: Batch, into: Mapping[str, Array], tally: Tally | None = None, *, divisor: float = 1.0
) -> None:
    """Write parts of the outputs, weighted, and add the losses to a tally, all in one pass.

    Args:
        loss: whose outputs.
        batch: what came in.
        into: flat arrays to write, by part.
        tally: what the losses are added to, if anything.
        divisor: what derivatives are divided by; by infinity where nothing counts, and then they are zero.
    """
    if math.isinf(divisor):
        for result in into.values():
            result[...] = 0
        into, divisor = {}, 1.0
    # Kernels multiply by the inverse, which of the smallest numbers there is none.
    first = _rows_for_kernel(loss, batch, into) if math.isfinite(1 / divisor) else 0
    if not first and any(part.startswith("full") for part in into) and _split(loss, batch, into, tally, divisor):
        return
    over = {part: result for part, result in into.items() if first and batch.lies_in(result)}
    # Kernels may look at a row again for its loss, and what they find wrong is looked up in the inputs: so all else is
    # done before these are written over.
    _pass(loss, batch, first, {part: result for part, result in into.items() if part not in over}, tally, divisor)
    if over:
        _pass(loss, batch, first, over, None, divisor)


def fill_slopes(loss: Loss, batch: Batch, into: Mapping[str, Array], reduction: Reduction, empty: Empty) -> Any:
    """Write derivatives of the cost, and return the cost; see ``Loss.cost_and_gradient``.

    Args:
        loss, batch, into: see ``fill``.
        reduction, empty: how losses are put together.
    """
    tally = Tally(loss, batch)
    below = divisor(tally, reduction) or math.inf  # nothing counts: the gradient is zero
    if reduction == "none":
        losses = batch.room("losses")
        fill(loss, batch, {"losses": losses, **into})
        return batch.restore(losses)[()]
    fill(loss, batch, into, tally, divisor=below)
    return reduced(tally, reduction, empty)


def cost_and_slopes(
    loss: Loss, given: Mapping[str, Any], weight: Any, mask: Any, reduction: str, empty: str, wanted: Collection[str]
) -> tuple[Any, dict[str, Array]]:
    """Return the cost, and its derivatives by some predicted inputs alone, by name; see ``Loss.cost_and_gradient``.

    Args:
        loss: whose cost.
        given: the inputs by name.
        weight, mask, reduction, empty: as there.
        wanted: names of the inputs that it is differentiated by.
    """
    names = [item.name for item in loss.predicted]
    if len(wanted) == len(names):  # which has a short way
        cost, slopes = loss.cost_and_gradient(**given, weight=weight, mask=mask, reduction=reduction, empty=empty)
        return cost, slopes if isinstance(slopes, dict) else {names[0]: slopes}
    chosen, policy = check_reduction(reduction), check_empty(empty)
    batch = loss._batch(given, weight, mask)
    keys = {name: key for name, key in zip(names, loss._parts["gradient"], strict=True) if name in wanted}
    flat = {key: batch.room(key) for key in keys.values()}
    cost = fill_slopes(loss, batch, flat, chosen, policy)
    return cost, {name: batch.own(symbol(key), batch.restore(flat[key])) for name, key in keys.items()}


def _split(loss: Loss, batch: Batch, into: Mapping[str, Array], tally: Tally | None, divisor: float) -> bool:
    """Fill full Hessians, which kernels leave to the reference, apart from the rest, if kernels take that.

    So what kernels compute does not depend on what is asked for besides, and diagonals are the same in either form.
    """
    full = {part: result for part, result in into.items() if part.startswith("full")}
    rest = {part: result for part, result in into.items() if part not in full}
    twins = {part: part.removeprefix("full_") for part in full if len(set(part.partition(":")[2].split(","))) == 1}
    rest |= {twin: batch.room(twin) for twin in twins.values() if twin not in rest}
    if not _rows_for_kernel(loss, batch, rest):
        return False
    fill(loss, batch, rest, tally, divisor=divisor)
    _pass(loss, batch, 0, full, None, divisor)
    for part, twin in twins.items():
        places = np.arange(full[part].shape[-1])
        full[part][:, places, places] = rest[twin]
    return True


def _rows_for_kernel(loss: Loss, batch: Batch, into: Mapping[str, Array]) -> int:
    known = batch.size and keeps(type(loss), "_run_kernel", ("_stream", "row"))
    return loss._rows_for_kernel(batch, into) if known else 0


@lru_cache(maxsize=1024)  # classes of formulas come and go, and a cache of all would keep them
def keeps(cls: type[Loss], short: str, names: tuple[str, ...]) -> bool:
    """Return whether a short way does what a class does: nothing that it goes past is replaced below its own home."""
    home = next(place for place, base in enumerate(cls.__mro__) if short in vars(base))
    return not any(name in vars(base) for base in cls.__mro__[:home] for name in names)


def _pass(loss: Loss, batch: Batch, first: int, into: Mapping[str, Array], tally: Tally | None, divisor: float) -> None:
    """Do the first rows by a kernel, if there can be one, and the others block by block."""
    if first:
        try:
            found = loss._run_kernel(first, batch, into, summed=tally is not None, divisor=divisor)
        except NoKernel as error:
            fall_back(error)
            first = 0
        else:
            _heed(loss, found, batch, tally)
            for number in found.left:
                _write(batch, *next(loss._stream(batch, tuple(into), number * batch.block)), into, divisor)
            if first == batch.size:
                return
    wanted = tuple(into) if tally is None or "losses" in into else ("losses", *into)
    for start, stop, block in loss._stream(batch, wanted, first):
        loss._refuse_invalid(batch, start, stop, block["valid"])
        if tally is not None:
            tally.add(start, stop, block["losses"])
        _write(batch, start, stop, block, into, divisor)


def _write(
    batch: Batch, start: int, stop: int, block: Mapping[str, Array], into: Mapping[str, Array], divisor: float
) -> None:
    """Write a block of outputs, weighted."""
    for part, result in into.items():
        values = batch.weighted(start, stop, block[part])
        result[start:stop] = values if part == "losses" or divisor == 1 else values / divisor


def _heed(loss: Loss, found: Findings, batch: Batch, tally: Tally | None) -> None:
    """Go over the blocks in which a kernel found something wrong, and add all sums to the tally."""
    for block in found.wrong:
        start, stop, outputs = next(loss._stream(batch, (), block * batch.block))
        loss._refuse_invalid(batch, start, stop, outputs["valid"])
    if tally is None:
        return
    for block in found.bad:
        start, stop, outputs = next(loss._stream(batch, ("losses",), block * batch.block))
        tally.count_bad(start, stop, outputs["losses"])
    tally.add_sums(found.sums)
