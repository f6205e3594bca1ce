"""Rows: examples of several numbers each, along an axis of classes, levels or coordinates.

What pointwise losses get from ``contract.prepare`` these get here: one check of shapes, one form of
the arrays, one reading of what a row may hold, one error for a row that does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.columns import lines
from lossmith.core.contract import Batch, common_type, masks, numbers, weights
from lossmith.core.inputs import Input
from lossmith.core.mistakes import warn
from lossmith.engines.hosts import REFERENCE
from lossmith.engines.limits import LARGEST_LOG, SUM_TOLERANCES
from lossmith.engines.numpy import BLOCK
from lossmith.errors import DomainError, ShapeError

Array = npt.NDArray[Any]

_SHOWN = 6
_FEW = 2

WANTED = {
    "indices": "class indices must be whole numbers from 0 up, below the number of classes",
    "probabilities": "probabilities must lie in [0, 1] and sum to 1",
    "log_probabilities": "log-probabilities must be at most 0 and their exponentials sum to 1",
    "logits": "logits must be finite or minus infinity, with one at least finite",
    "values": "values must be finite and at least 0",
    "log_values": "log values must be minus infinity or numbers below 709, whose exponentials are finite",
}
"""What rows of each kind must be."""


def find_axis(owner: str, label: str, shape: tuple[int, ...], axis: int, along: str) -> int:
    """Return an axis, counted from the front.

    Raises:
        ShapeError: when there is no such axis, or nothing along it.
    """
    if not -len(shape) <= axis < len(shape):
        raise ShapeError(f"{owner}: {label} has shape {shape} and no axis {axis} for the {along}")
    if not shape[axis]:  # which a length that nobody knows yet is not, though it equals 0
        raise ShapeError(f"{owner}: {label} has shape {shape}: no {along} along axis {axis % len(shape)}")
    return axis % len(shape)


def agree(
    owner: str,
    inputs: Sequence[Input],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    axis: int = -1,
    along: str = "classes",
    single: Collection[str] = (),
    hint: Callable[[tuple[int, ...], tuple[int, ...]], str] = lambda got, expected: "",
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Return the axis of the rows from the front, the shape of the predictions, and that of the examples.

    Args:
        owner, axis, along, single, hint: see ``prepare_rows``.
        inputs: the arguments; the first that is predicted leads.
        shapes: of the arguments, by symbol.

    Raises:
        ShapeError: when shapes differ.
    """
    leading = next(item for item in inputs if item.predicted)
    whole = shapes[leading.symbol]
    axis = find_axis(owner, leading.name, whole, axis, along)
    shape = whole[:axis] + whole[axis + 1 :]
    for item in inputs:
        got, expected = shapes[item.symbol], shape if item.symbol in single else whole
        if got != expected:
            what = ", a number for each row," if item.symbol in single else ""
            mend = hint(got, expected) or (f"Use {item.name}.squeeze(-1)" if got == (*expected, 1) else "")
            raise ShapeError(
                f"{owner}: {leading.name} has shape {whole} with the {along} along axis {axis}, so {item.name}{what} "
                f"must have shape {expected}, but has {got}. {mend}".rstrip()
            )
    return axis, whole, shape


def prepare_rows(
    owner: str,
    arguments: Sequence[tuple[Input, Any]],
    weight: Any = None,
    mask: Any = None,
    *,
    axis: int = -1,
    along: str = "classes",
    single: Collection[str] = (),
    labels: Collection[str] = (),
    hint: Callable[[tuple[int, ...], tuple[int, ...]], str] = lambda got, expected: "",
    counted: Callable[[Mapping[str, Array], Array | None], Array | None] = lambda arrays, mask: mask,
) -> Batch:
    """Check the arguments of a call and bring them to rows.

    Args:
        owner: the loss, as messages shall name it.
        arguments: each input with what the user gave; the first that is predicted leads.
        weight: a weight for each example, at least zero; size-1 axes broadcast.
        mask: true for the examples that count.
        axis: where the numbers of a row lie.
        along: what they are, for messages.
        single: symbols of inputs with one number an example.
        labels: those of them whose type stays, and does not decide on that of the results.
        hint: ``(shape that came, shape that was wanted) -> what to do``, for messages.
        counted: ``(flat or row arrays, mask) -> mask``, for losses that leave out rows themselves.

    Raises:
        KindError: for what is no array of real numbers.
        ShapeError: when shapes differ.
        DomainError: for negative or non-finite weights.
    """
    arrays = {item.symbol: numbers(owner, item.name, value) for item, value in arguments}
    inputs_of, shapes = [item for item, _ in arguments], {symbol: array.shape for symbol, array in arrays.items()}
    axis, whole, shape = agree(owner, inputs_of, shapes, axis=axis, along=along, single=single, hint=hint)
    dtype = common_type(array for symbol, array in arrays.items() if symbol not in labels)
    inputs = {
        symbol: lines(array, axis)
        if symbol not in single
        else np.ascontiguousarray(array, dtype=None if symbol in labels else dtype).reshape(-1)
        for symbol, array in arrays.items()
    }
    counts = counted(inputs, None if mask is None else masks(owner, mask, shape))
    return Batch(
        owner=owner,
        inputs=inputs,
        arguments=inputs_of,
        shape=shape,
        dtype=dtype,
        weight=None if weight is None else weights(owner, weight, shape, counts),
        mask=counts,
        block=max(1, BLOCK // whole[axis]),
        class_axis=axis if axis != len(whole) - 1 else None,
    )


def valid_rows(xp: Any, rows: Any, kind: str) -> Any:
    """Return which rows are what their kind says; ``xp`` are the functions of a host."""
    if kind == "logits":
        # A logit of minus infinity rules a class out; a row needs one class that is left.
        return xp.all(rows < math.inf, axis=-1) & xp.any(rows > -math.inf, axis=-1)
    if kind in ("values", "log_values"):
        least, most = (0.0, math.inf) if kind == "values" else (-math.inf, LARGEST_LOG)
        return xp.all((rows >= least) & (rows < most), axis=-1)
    p, tolerance = rows if kind == "probabilities" else xp.exp(rows), SUM_TOLERANCES[kind]
    most = 1 if kind == "probabilities" else 1 + tolerance
    inside = xp.all((p >= 0) & (p <= most), axis=-1)
    return inside & (xp.abs(xp.total(p) - 1) <= tolerance)


def row_error(
    batch: Batch, kinds: Mapping[str, str], invalid: Array, first: int, mends: Mapping[str, str] | None = None
) -> DomainError:
    """Return the error for the first row that is not what its kind says.

    Args:
        batch: what was passed.
        kinds: what each symbol holds; the others are not looked at.
        invalid: flat, true where some input is wrong; from the row ``first`` on.
        first: flat row at which ``invalid`` begins.
        mends: how to declare another kind, by symbol.
    """
    row = first + int(np.argmax(invalid))
    for symbol, kind in kinds.items():
        values = batch.inputs[symbol][row]
        with np.errstate(all="ignore"):
            if valid_rows(REFERENCE.xp, values[None], kind)[0]:
                continue
            amounts = np.exp(values.astype(np.float64)) if kind.startswith("log") else values
            total = float(amounts.sum(dtype=np.float64))
        shown = ", ".join(f"{value:g}" for value in values[:_SHOWN]) + (", ..." if values.size > _SHOWN else "")
        text = f"{batch.owner}: {WANTED[kind]}, but row [{batch.place(row)}] of {batch.labels[symbol]} is [{shown}]"
        if np.isnan(values).any():
            return DomainError(f"{text}; a missing value: drop the row, or leave it out by mask=")
        mend = ""
        if kind == "probabilities":
            text += f" with the sum {total:g}"
            mend = (
                "divide it by its sum" if np.all(values >= 0) and 0 < total < np.inf else "these are no probabilities"
            )
        elif kind == "log_probabilities":
            text += f", whose exponentials sum to {total:g}"
            mend = "subtract the logarithm of that sum"
        other = (mends or {}).get(symbol, "")
        if turned := _turned(batch, symbol, kind):
            mend, other = turned, ""
        return DomainError("; ".join(part for part in (text, mend, other) if part))
    raise AssertionError("a row was reported outside the domains, but lies inside")


def _turned(batch: Batch, symbol: str, kind: str) -> str:
    """Return what to write where the first distributions lie along another axis, or an empty string."""
    if kind not in SUM_TOLERANCES or not batch.size:
        return ""
    rows = np.asarray(batch.inputs[symbol][: batch.size]).reshape(*batch.shape, -1)
    own = rows.ndim - 1 if batch.class_axis is None else batch.class_axis
    whole = np.moveaxis(rows, -1, own)
    for axis in range(whole.ndim):
        first = np.moveaxis(whole, axis, -1)[(slice(_SHOWN),) * (whole.ndim - 1)]
        with np.errstate(all="ignore"):
            if axis != own and valid_rows(REFERENCE.xp, first, kind).all():
                return f"along axis {axis} they do: pass class_axis={axis}"
    return ""


def warn_if_rows_of_probabilities(
    batch: Batch, symbol: str, mend: str, evidence: Callable[[], str] = lambda: ""
) -> None:
    """Warn when logits look like probabilities: all in [0, 1], and rows that sum to 1; ``evidence`` is said besides."""
    rows, mask = batch.inputs[symbol], batch.mask
    first = 0 if mask is None or not len(mask) else int(np.argmax(mask))
    if not len(rows) or rows.shape[1] < _FEW or not (rows[first].min() >= 0 and rows[first].max() <= 1):
        return
    counted = 0
    # Block by block: the first that holds something else ends it, and nothing large is made.
    for start in range(0, len(rows), batch.block):
        part = np.asarray(rows[start : start + batch.block])
        part = part if mask is None else part[mask[start : start + batch.block]]
        if not np.all(valid_rows(REFERENCE.xp, part, "probabilities")):
            return
        counted += len(part)
    if counted >= _FEW:
        all_of_them = f"{counted} of {counted} rows"
        warn(
            f"{batch.owner}: {batch.labels[symbol]} is declared as logits, but all values lie in [0, 1] and "
            f"{all_of_them} sum to 1, as probabilities do.{evidence()} If they are probabilities, pass {mend}."
        )
