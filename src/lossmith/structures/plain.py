"""Plain calls: arrays that agree and nothing else, and all that they hold is right.

A loop over small batches makes such calls, and to check, file and weigh takes longer there than to compute. Here they
go straight to the engine that they would come to, for the same bits. What is not as plain, and whatever calls for a
message, gets nothing here and goes the long way.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.core.mistakes import FEW_LOGITS
from lossmith.core.outputs import of_program
from lossmith.engines import choice
from lossmith.engines import numpy as engine
from lossmith.engines.choice import SMALLEST, NoKernel, compiled_is_available, compiled_rows
from lossmith.engines.facts import is_arithmetic
from lossmith.structures.entries import Entries

if TYPE_CHECKING:
    from lossmith.core.loss import Loss
    from lossmith.engines.llvm.entry import Entry
    from lossmith.engines.llvm.kernel import Ready
    from lossmith.engines.llvm.row_call import RowCall
    from lossmith.structures.pointwise import Pointwise

Array = npt.NDArray[Any]

LARGEST = 8 * engine.BLOCK
"""Numbers in an array up to which the way matters, and none of what is written goes past the caches."""

PASSED = ("_batch", "_stream", "_runner", "_run_kernel", "_rows_for_kernel", "_refuse_invalid", "_prepared", "row")
"""What it goes past."""

OFTEN = 1000
"""Calls of few numbers after which an arithmetic formula gets a kernel: about then they took what one takes to make."""

_COMPUTED = (np.dtype(np.float32), np.dtype(np.float64))
_LABELS = "biu"


class Plain(ABC):
    """The plain calls of a loss.

    Args:
        loss: the loss.
        axes: how many axes the first predicted input has, if that is known.

    Attributes:
        lead: the place of that input among all.
        largest: numbers in an array up to which the way of a cost alone matters.
    """

    largest = LARGEST

    def __init__(self, loss: Loss, axes: int | None = None) -> None:
        self._names = tuple(item.name for item in loss.inputs)
        self._paired = loss.paired
        self.lead = self._names.index(loss.predicted[0].name)
        self._parts = tuple(f"gradient:{item.symbol}" for item in loss.inputs)
        self._slopes = tuple(f"gradient:{item.symbol}" for item in loss.predicted)
        self._gradients = tuple(item.name for item in loss.predicted)
        self._single = len(self._slopes) == 1
        self._entries = Entries(self.lead, self._looked_at, axes)

    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        named: Mapping[str, Any],
        *,
        gradient: bool,
        mean: bool,
        out: Any = None,
    ) -> tuple[float, Any] | None:
        """Return the cost of a call and its gradient, or nothing where the call is not plain.

        Args:
            y_true: targets.
            y_pred: predictions.
            named: inputs by name.
            gradient: whether the gradient is wanted.
            mean: whether the cost is a mean, and no sum.
            out: what the gradient is to be written into, if anything. Where that lies otherwise than plain arrays, or
                in what is read, a call that writes much is not plain.
        """
        given = self._in_order(y_true, y_pred, named)
        if given is None:
            return None
        f = given[self.lead]
        if type(f) is not np.ndarray or not 0 < f.size <= (LARGEST if gradient else self.largest):
            return None
        outs = self._outs(out, f) if gradient else ()
        if outs is None:
            return None
        if f.size <= engine.BLOCK:
            for entry in self._entries.known.get((gradient, mean, choice._forced), ()):
                cost = entry(*given, *outs)
                if cost is not None:
                    return cost, self._gathered(outs)
        return self._by_columns(given, f, outs, mean, new=out is None)

    def each(self, y_true: Any, y_pred: Any, named: Mapping[str, Any], parts: Sequence[str]) -> list[Array] | None:
        """Return parts of the outputs of each example, or nothing where the call is not plain."""
        return None

    def _by_columns(
        self, given: Sequence[Any], f: Array, outs: Sequence[Array], mean: bool, *, new: bool
    ) -> tuple[float, Any] | None:
        """Return the same of arrays that no entry took, whose outputs may be new."""
        columns = self.columns(given, f) if f.dtype in _COMPUTED else None
        if columns is None or not all(_takes(array, f) for array in outs):
            return None
        at_once = new or _are_apart(outs, columns)
        if not at_once and (f.size > engine.BLOCK or len(outs) > 1):
            return None
        made = outs if at_once else [np.empty(f.shape, f.dtype)]
        into = made if f is columns[self.lead] else [slope.reshape(columns[self.lead].shape) for slope in made]
        cost = self._compute(columns, into, mean)
        if cost is None:
            return None
        if not at_once:
            outs[0][...] = made[0]
        return cost, self._gathered(outs)

    def _outs(self, out: Any, like: Array) -> Sequence[Any] | None:
        """Return what gradients are to be written into, or nothing where that is not told as it should be."""
        if out is None:
            return [np.empty(like.shape, like.dtype) for _ in self._slopes]
        if self._single:
            return (out,)
        names = self._gradients
        return [out[name] for name in names] if isinstance(out, dict) and out.keys() == set(names) else None

    def _gathered(self, outs: Sequence[Array]) -> Any:
        """Return gradients as callers get them."""
        if self._single or not outs:
            return outs[0] if outs else None
        return dict(zip(self._gradients, outs, strict=True))

    def _in_order(self, y_true: Any, y_pred: Any, named: Mapping[str, Any]) -> tuple[Any, ...] | None:
        if self._paired and not named:
            return y_true, y_pred
        if y_true is not None or y_pred is not None:
            places = {name: value for name, value in (("y_true", y_true), ("y_pred", y_pred)) if value is not None}
            named = {**named, **places}
        given = tuple(map(named.get, self._names))  # what is missing is no array
        return given if len(named) == len(given) else None

    @abstractmethod
    def _looked_at(self, f: Array) -> Mapping[int, int]:
        """Return what functions look at besides the kernel, by the place of an input; see ``entry.Held``."""

    @abstractmethod
    def columns(self, given: Sequence[Any], f: Array) -> Sequence[Array] | None:
        """Return the inputs with one axis for the examples, if they agree with the first that is predicted."""

    @abstractmethod
    def _compute(self, columns: Sequence[Array], into: Sequence[Array], mean: bool) -> float | None:
        """Return the sum of losses or their mean, and write its gradients, if all that the inputs hold is right."""

    @abstractmethod
    def kernel(self, columns: Sequence[Array], into: Mapping[str, Array]) -> tuple[Ready | RowCall, int]:
        """Return the kernel for arrays that lie like these, and how many numbers of a predicted input are a block.

        Args:
            columns: the inputs, as ``columns`` gives them.
            into: gradients, by what structures call them.

        Raises:
            NoKernel: where none can be made.
        """

    def again(self, given: Sequence[Array], wanted: Sequence[int], *, mean: bool, export: int) -> Entry | None:
        """Return a function that takes calls like this one of the tensors of a library, if there can be one.

        Who trains calls a loss thousands of times, so a kernel earns back its compilation whatever the size of arrays.

        Args:
            given: the inputs, in their order.
            wanted: places of the inputs by which the gradient is wanted.
            mean: whether the cost is a mean, and no sum.
            export: what tells where tensors lie; see ``entry.entry``.
        """
        f = given[self.lead]
        few = f.dtype in _COMPUTED and 0 < f.size <= engine.BLOCK and compiled_rows(engine.BLOCK, engine.BLOCK) > 0
        columns = self.columns(given, f) if few else None
        if columns is None or not all(map(is_straight, columns)):
            return None
        into = {self._parts[place]: np.empty_like(columns[place]) for place in wanted}
        try:
            call, most = self.kernel(columns, into)
        except NoKernel:
            return None
        return self._entries.make(call, (*columns, *into.values()), len(into), (1, most), mean=mean, export=export)


class PlainNumbers(Plain):
    """The plain calls of a pointwise loss.

    Args:
        loss: the loss.
        clear: whether predictions need no closer look for a likely mistake.
    """

    def __init__(self, loss: Pointwise, clear: Callable[[Array], bool] | None = None) -> None:
        super().__init__(loss)
        self._loss, self._clear = loss, clear
        self._kernels: dict[tuple[Any, ...], Ready] = {}
        self._called = 0

    def columns(self, given: Sequence[Any], f: Array) -> Sequence[Array] | None:
        """Return the inputs, flat, if they agree; see ``Plain.columns``."""
        dtype, shape, flat = f.dtype, f.shape, f.ndim == 1
        for array in given:
            if type(array) is not np.ndarray or array.shape != shape:
                return None
            if array.dtype is not dtype and array.dtype.kind not in _LABELS:
                return None
            if not flat and not array.flags.c_contiguous:
                return None
        columns = given if flat else [array.reshape(-1) for array in given]
        return columns if self._clear is None or self._clear(columns[self.lead]) else None

    def each(self, y_true: Any, y_pred: Any, named: Mapping[str, Any], parts: Sequence[str]) -> list[Array] | None:
        """Return parts of the outputs of each example; see ``Plain.each``."""
        given = self._in_order(y_true, y_pred, named)
        f = None if given is None else given[self.lead]
        if given is None or type(f) is not np.ndarray or not f.ndim or not 0 < f.size <= LARGEST:
            return None
        if any(part.startswith("full") for part in parts):
            return None
        columns = self.columns(given, f) if f.dtype in _COMPUTED else None
        if columns is None:
            return None
        rows = compiled_rows(f.size, engine.BLOCK, calls=self._loss._calls)
        if rows == f.size:
            found = self._each_by_kernel(columns, parts)
        else:
            found = None if rows or f.size > engine.TILE else self._each_by_reference(columns, parts)
        return None if found is None else [array.reshape(f.shape) for array in found]

    @np.errstate(all="ignore")
    def _each_by_reference(self, columns: Sequence[Array], parts: Sequence[str]) -> list[Array] | None:
        *found, valid = self._loss._runner(tuple(parts), columns[self.lead].dtype).whole(columns)
        return None if np.count_nonzero(valid) < valid.size else [array.copy() for array in found]

    def _each_by_kernel(self, columns: Sequence[Array], parts: Sequence[str]) -> list[Array] | None:
        f = columns[self.lead]
        _, columns, key = self._kept_by(columns)
        found = [np.empty(f.size, f.dtype) for _ in parts]
        ready = self._kernels.get((key, *parts))
        if ready is None:
            try:
                ready = self._ready(columns, dict(zip(map(of_program, parts), found, strict=True)), summed=False)
            except NoKernel:
                return None
            self._kernels[key, *parts] = ready
        return None if ready.plain(columns, found, 1.0) is None else found

    def _compute(self, columns: Sequence[Array], into: Sequence[Array], mean: bool) -> float | None:
        size = columns[0].size
        rows = compiled_rows(size, engine.BLOCK, calls=self._loss._calls)
        run = self._by_kernel if rows else self._by_reference
        return run(columns, into, mean) if rows in (0, size) else None

    def _by_reference(self, columns: Sequence[Array], into: Sequence[Array], mean: bool) -> float | None:
        if columns[0].size > engine.TILE:
            return None
        self._called += 1
        if self._called > OFTEN and choice._forced == "auto" and self._has_twin:
            straight = [_straight(array, columns[self.lead].dtype) for array in columns]
            entry = self._twin(straight, into, mean)
            if entry:
                return entry(*straight, *into)
        return self._steps(columns, into, mean)

    @np.errstate(all="ignore")
    def _steps(self, columns: Sequence[Array], into: Sequence[Array], mean: bool) -> float | None:
        divisor = columns[0].size if mean else 1
        parts = ("losses", *self._slopes) if into else ("losses",)
        losses, *slopes, valid = self._loss._runner(parts, columns[self.lead].dtype).whole(columns)
        total = float(np.add.reduce(losses, dtype=np.float64))
        if not math.isfinite(total) or np.count_nonzero(valid) < valid.size:
            return None
        for slope, array in zip(slopes, into, strict=True):
            np.divide(slope, divisor, array)
        return total / divisor

    @cached_property
    def _has_twin(self) -> bool:
        """Whether there may be a kernel that gives the bits of the reference."""
        return is_arithmetic(self._loss.part("value", *self._slopes, "valid")) and compiled_is_available()

    def _twin(self, columns: Sequence[Array], into: Sequence[Array], mean: bool) -> Entry | None:
        """Return the kernel that takes the place of the reference, if there is one."""
        f = columns[self.lead]
        key = (f"twin {f.dtype.char}", bool(into))
        ready = self._kernels.get(key)
        if ready is None:
            written = dict(zip(("value", *self._slopes), (f, *into), strict=False))
            try:
                ready = self._kernels[key] = self._ready(columns, written, twin=True)
            except NoKernel:
                self._has_twin = False
                return None
        return self._entries.of(key, ready, (*columns, *into), len(into), (1, SMALLEST - 1), mean=mean, twin=True)

    def _by_kernel(self, columns: Sequence[Array], into: Sequence[Array], mean: bool) -> float | None:
        size = columns[0].size
        kind, columns, types = self._kept_by(columns)
        key = (types, bool(into))
        ready = self._kernels.get(key)
        if ready is None:
            try:
                ready = self._ready(columns, dict(zip(self._slopes, into, strict=False)))
            except NoKernel:
                return None
            self._kernels[key] = ready
        if size <= engine.BLOCK:
            sizes = (1, SMALLEST - 1) if kind else (SMALLEST, engine.BLOCK)
            entry = self._entries.of((*key, sizes), ready, (*columns, *into), len(into), sizes, mean=mean)
            if entry:
                return entry(*columns, *into)
        divisor = size if mean else 1
        total = ready.plain(columns, into, 1 / divisor)
        return None if total is None else total / divisor

    def _kept_by(self, columns: Sequence[Array]) -> tuple[np.dtype[Any] | None, Sequence[Array], str]:
        """Return the type that few inputs are brought to, the inputs for a kernel, and what that is kept by."""
        kind = columns[self.lead].dtype if columns[0].size < SMALLEST else None  # few have one kernel for all types
        columns = [_straight(array, kind) for array in columns]
        return kind, columns, kind.char * len(columns) if kind else "".join([array.dtype.char for array in columns])

    def _looked_at(self, f: Array) -> Mapping[int, int]:
        return {self.lead: -FEW_LOGITS} if self._clear else {}

    def _ready(
        self,
        columns: Sequence[Array],
        into: Mapping[str, Array],
        *,
        summed: bool = True,
        twin: bool = False,
        in_place: bool = False,
    ) -> Ready:
        from lossmith.engines.llvm import kernel

        loss, kind = self._loss, kernel.kind_of(columns[self.lead])
        program = loss.part(*dict.fromkeys((*into, *(["value"] if summed else []))), "valid")
        return kernel.choose(
            program, columns, loss.free_parameters, into, kind,
            summed=summed and not twin, divided=twin, in_place=in_place, kept=True,
        )  # fmt: skip

    def kernel(self, columns: Sequence[Array], into: Mapping[str, Array]) -> tuple[Ready, int]:
        """Return the kernel for arrays that lie like these; see ``Plain.kernel``."""
        return self._ready(columns, into, in_place=True), engine.BLOCK


def _takes(out: Any, like: Array) -> bool:
    return type(out) is np.ndarray and out.dtype is like.dtype and out.shape == like.shape and out.flags.writeable


def is_straight(array: Array) -> bool:
    """Return whether an array lies as plain ones do."""
    flags = array.flags
    return flags.c_contiguous and flags.aligned


def _straight(array: Array, kind: np.dtype[Any] | None) -> Array:
    """Return numbers as a kernel reads them, of a type if it matters."""
    dtype = array.dtype
    if (dtype.isnative if kind is None else dtype is kind) and is_straight(array):
        return array
    return array.astype(kind or dtype.newbyteorder("="))


def _are_apart(outs: Sequence[Array], given: Sequence[Array]) -> bool:
    """Return whether arrays lie as plain ones do, and none in another or in what is read."""
    for place, out in enumerate(outs):
        if not is_straight(out):
            return False
        for array in (*given, *outs[:place]):
            if np.may_share_memory(out, array):
                return False
    return True
