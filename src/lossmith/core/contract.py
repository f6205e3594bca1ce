"""The contract: what may come in, checked once for every loss.

Shapes are equal or it is an error, numbers are numbers, weights are weights. What each value
may be is the loss's domain and is checked in the same pass that computes.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.domain import Domain
from lossmith.errors import DomainError, KindError, ShapeError

Array = npt.NDArray[Any]

_OTHER_LIBRARIES = ("torch", "tensorflow", "jax", "jaxlib", "keras")
_FEW_LOGITS = 16


class LossmithWarning(UserWarning):
    """Something that is allowed but looks like a mistake."""


@dataclass(frozen=True)
class Batch:
    """Arrays that passed the contract, flattened.

    Attributes:
        owner: the loss, as messages name it.
        inputs: by the formula's symbol, one-dimensional, contiguous, all of one float type.
        labels: the argument name behind each symbol, for messages.
        shape: shape of the arguments.
        weight: float64 weights, or ``None`` for one each.
        mask: which examples count, or ``None`` for all.
    """

    owner: str
    inputs: Mapping[str, Array]
    labels: Mapping[str, str]
    shape: tuple[int, ...]
    weight: Array | None
    mask: Array | None

    @property
    def size(self) -> int:
        """Number of examples."""
        return int(next(iter(self.inputs.values())).size)

    def weighted(self, start: int, stop: int, values: Array) -> Array:
        """Return weight times value of some rows; weight zero or a mask gives zero whatever the value."""
        if self.weight is not None:
            weight = self.weight[start:stop]
            with np.errstate(invalid="ignore", over="ignore"):
                values = np.where(weight > 0, weight * values.astype(np.float64), 0.0)
        if self.mask is not None:
            values = np.where(self.mask[start:stop], values, 0.0)
        return values

    def output(self, out: Array | None) -> Array:
        """Return an array for a result of each example: the caller's, checked, or a new one."""
        dtype = self.inputs["f"].dtype
        if out is None:
            return np.empty(self.shape, dtype=dtype)
        if (
            not isinstance(out, np.ndarray)
            or out.dtype != dtype
            or not (out.flags.c_contiguous and out.flags.writeable)
        ):
            got = f"{out.dtype} array" if isinstance(out, np.ndarray) else type(out).__name__
            raise KindError(f"{self.owner}: out must be a writeable, contiguous {dtype} array, got a {got}")
        if out.shape != self.shape:
            raise ShapeError(f"{self.owner}: out has shape {out.shape}, the predictions have {self.shape}")
        return out

    def place(self, row: int) -> str:
        """Return the index of a flat row, as one writes it: ``3`` or ``3, 1``."""
        return _place(row, self.shape)


@np.errstate(over="ignore")  # of a wider type than float64
def prepare(
    owner: str,
    arguments: Mapping[str, tuple[str, Any]],
    weight: Any = None,
    mask: Any = None,
    *,
    unsigned_zero: Collection[str] = (),
) -> Batch:
    """Check the arguments of a call and bring them to the form that engines take.

    Args:
        owner: the loss, as messages shall name it.
        arguments: by the formula's symbol, the argument's name and what the user gave.
        weight: a weight for each example, at least zero; size-1 axes broadcast.
        mask: true for the examples that count.
        unsigned_zero: symbols for which -0.0 becomes 0.0.

    Raises:
        KindError: for what is no array of real numbers.
        ShapeError: when shapes differ.
        DomainError: for negative or non-finite weights and a mask that is not boolean.
    """
    arrays = {symbol: _numbers(owner, label, value) for symbol, (label, value) in arguments.items()}
    labels = {symbol: label for symbol, (label, _) in arguments.items()}
    first = next(iter(arrays))
    for symbol, array in arrays.items():
        if array.shape != arrays[first].shape:
            raise ShapeError(_shapes_differ(owner, labels[first], arrays[first], labels[symbol], array))
    shape = arrays[first].shape
    floats = {array.dtype for array in arrays.values() if array.dtype.kind == "f"}
    # Labels are often integers: they take the type of the predictions instead of widening them.
    common = np.result_type(*floats) if floats else np.dtype(np.float64)
    dtype = np.dtype(np.float32 if common.itemsize < 4 else np.float64 if common.itemsize > 8 else common)
    counts = None if mask is None else _mask(owner, mask, shape)
    inputs = {symbol: np.ascontiguousarray(array, dtype=dtype).reshape(-1) for symbol, array in arrays.items()}
    for symbol in unsigned_zero:
        if np.signbit(inputs[symbol]).any():
            inputs[symbol] = inputs[symbol] + 0.0
    return Batch(
        owner=owner,
        inputs=inputs,
        labels=labels,
        shape=shape,
        weight=None if weight is None else _weights(owner, weight, shape, counts),
        mask=counts,
    )


def _place(row: int, shape: tuple[int, ...]) -> str:
    return ", ".join(str(int(i)) for i in np.unravel_index(row, shape)) if shape else "()"


def _numbers(owner: str, label: str, value: Any) -> Array:
    module = type(value).__module__.partition(".")[0]
    if module in _OTHER_LIBRARIES:
        raise KindError(
            f"{owner}: {label} is a {module} {type(value).__name__}, and there is no engine for those here yet; "
            "pass a NumPy array, for example by .detach().numpy() or numpy.asarray"
        )
    # numpy.ma takes 15 ms to import; when nobody has, there are no masked arrays.
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray):
        raise KindError(f"{owner}: {label} is a masked array; pass its data, and mask=~{label}.mask")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{owner}: {label} is no rectangular array of numbers ({error})") from None
    if array.dtype.kind in "fiub":
        return array
    example = repr(array.flat[0]) if array.size else "nothing"
    mend = {
        "c": "losses are of real numbers: take the modulus, or the parts one by one",
        "O": "convert it with numpy.asarray(..., dtype=float); missing values must become NaN and be masked",
    }.get(array.dtype.kind, "convert labels to numbers first, such as (labels == 'yes').astype(float)")
    raise KindError(f"{owner}: {label} must hold real numbers, got {array.dtype} (the first is {example}); {mend}")


def _shapes_differ(owner: str, a_label: str, a: Array, b_label: str, b: Array) -> str:
    message = f"{owner}: {a_label} has shape {a.shape} and {b_label} {b.shape}; shapes must be equal"
    try:
        together = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return f"{message}."
    message += f", since broadcasting would give {together}."
    for label, other_label, array, other in ((a_label, b_label, a, b), (b_label, a_label, b, a)):
        if array.ndim == other.ndim + 1 and array.shape[-1] == 1 and array.shape[:-1] == other.shape:
            return f"{message} Use {label}.squeeze(-1), or {other_label}[..., None]."
    return message


def _weights(owner: str, weight: Any, shape: tuple[int, ...], counts: Array | None) -> Array:
    array = _numbers(owner, "weight", weight).astype(np.float64, copy=False)
    full = _spread(owner, "weight", array, shape)
    wrong = ~((full >= 0) & (full < np.inf))
    if counts is not None:
        wrong &= counts
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DomainError(
            f"{owner}: weights must be finite and at least 0, but weight[{_place(row, shape)}] is {full[row]:g} "
            f"({int(wrong.sum())} such of {full.size}); drop those rows or give them weight 0"
        )
    return full


def _mask(owner: str, mask: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        raise KindError(f"{owner}: mask must be boolean (True counts), got {array.dtype}; write mask.astype(bool)")
    return _spread(owner, "mask", array, shape)


def _spread(owner: str, label: str, array: Array, shape: tuple[int, ...]) -> Array:
    fits = array.ndim == len(shape) and all(a in (1, b) for a, b in zip(array.shape, shape, strict=True))
    if not fits:
        raise ShapeError(
            f"{owner}: {label} has shape {array.shape}, but the examples have {shape}; only axes of size 1 broadcast"
        )
    return np.ascontiguousarray(np.broadcast_to(array, shape)).reshape(-1)


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
        value = float(batch.inputs[symbol][row])
        if not domain.includes(value):
            label = batch.labels[symbol]
            wanted = "finite" if domain == Domain(hint=domain.hint) else f"in {domain}"
            hint = f"; {domain.hint}" if domain.hint else ""
            if np.isnan(value):
                hint = "; a missing value: drop the row, or leave it out by mask="
            return DomainError(
                f"{batch.owner}: {label} must be {wanted}, but {label}[{batch.place(row)}] is {value:g}{hint}"
            )
    raise AssertionError("a row was reported outside the domains, but lies inside")


def warn_if_probabilities(batch: Batch, symbol: str, *, offered: bool = True) -> None:
    """Warn when logits look like probabilities, with the evidence; ``offered`` says whether the loss takes those.

    A network gives logits of both signs, so many of them all within [0, 1] speak for a sigmoid
    that was applied before. Few or equal values are no evidence.
    """
    logits = batch.inputs[symbol]
    if logits.size < _FEW_LOGITS or not 0 <= logits[0] <= 1:
        return
    low, high = float(logits.min()), float(logits.max())
    if 0 <= low < high <= 1:
        label = batch.labels[symbol]
        mend = "pass prediction='probabilities'" if offered else "pass the scores from before the sigmoid"
        warnings.warn(
            f"{batch.owner}: {label} is declared as logits, but all {logits.size} values lie in [0, 1] "
            f"(from {low:.3g} to {high:.3g}), as probabilities do. If they are, {mend}; "
            "as logits they can never say better than 0.5 for the negative class.",
            LossmithWarning,
            stacklevel=4,
        )
