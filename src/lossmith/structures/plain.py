"""Plain calls: arrays that agree and nothing else, and all that they hold is right.

A loop over small batches makes such calls, and to check, file and weigh takes longer there than to compute. Here they
go straight to the engine that they would come to, for the same bits. What is not as plain, and whatever calls for a
message, gets nothing here and goes the long way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.core.outputs import fresh
from lossmith.engines import choice
from lossmith.engines import numpy as engine
from lossmith.engines.choice import NoKernel, compiled_rows
from lossmith.structures.entries import Entries

if TYPE_CHECKING:
    from lossmith.core.loss import Loss
    from lossmith.engines.llvm.entry import Entry
    from lossmith.engines.llvm.kernel import Ready
    from lossmith.engines.llvm.row_call import RowCall

Array = npt.NDArray[Any]

LARGEST = 8 * engine.BLOCK
"""Numbers in an array up to which none of what is written goes past the caches."""

PASSED = ("_batch", "_stream", "_runner", "_run_kernel", "_rows_for_kernel", "_refuse_invalid", "_prepared", "row")
"""What it goes past."""

COMPUTED = (np.dtype(np.float32), np.dtype(np.float64))
"""Types that losses are computed in."""


class Plain(ABC):
    """The plain calls of a loss.

    Args:
        loss: the loss.
        axes: how many axes the first predicted input has, if that is known.

    Attributes:
        lead: the place of that input among all.
        tail: numbers that the last of several blocks holds at least, if a kernel takes it.
    """

    tail = 1

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
        if type(f) is not np.ndarray or not f.size:
            return None
        if f.size > engine.BLOCK and f.dtype not in COMPUTED:  # before there is room for a gradient
            return None
        outs = self._outs(out, f) if gradient else ()
        if outs is None:
            return None
        if f.size <= LARGEST:
            for entry in self._entries.known.get((gradient, mean, choice._forced), ()):
                cost = entry(*given, *outs)
                if cost is not None:
                    return cost, self._gathered(outs)
        return self._by_columns(given, f, outs, mean, new=out is None)

    def each(
        self, y_true: Any, y_pred: Any, named: Mapping[str, Any], parts: Sequence[str], out: Any = None
    ) -> list[Array] | None:
        """Return parts of the outputs of each example, or nothing where the call is not plain.

        Args:
            y_true: targets.
            y_pred: predictions.
            named: inputs by name.
            parts: which parts.
            out: what gradient and Hessian are to be written into, if anything.
        """
        return None

    def some(self, given: Sequence[Any], wanted: Sequence[int], *, mean: bool) -> tuple[float, list[Array]] | None:
        """Return the cost and some of its gradients, or nothing where the call is not plain.

        Args:
            given: the inputs, in their order.
            wanted: places of the inputs by which the gradient is wanted.
            mean: whether the cost is a mean, and no sum.
        """
        f = given[self.lead]
        columns = self.columns(given, f) if f.size and f.dtype in COMPUTED else None
        if columns is None:
            return None
        outs = [fresh(given[place]) for place in wanted]
        into = {self._parts[place]: out.reshape(columns[place].shape) for place, out in zip(wanted, outs, strict=True)}
        cost = self._compute(columns, into, mean)
        return None if cost is None else (cost, outs)

    def _by_columns(
        self, given: Sequence[Any], f: Array, outs: Sequence[Array], mean: bool, *, new: bool
    ) -> tuple[float, Any] | None:
        """Return the same of arrays that no entry took, whose outputs may be new."""
        columns = self.columns(given, f) if f.dtype in COMPUTED else None
        if columns is None or not (new or all(takes(array, f) for array in outs)):
            return None
        at_once = new or are_apart(outs, columns)
        if not at_once and (f.size > engine.BLOCK or len(outs) > 1):
            return None
        made = outs if at_once else [np.empty(f.shape, f.dtype)]
        into = made if f is columns[self.lead] else [slope.reshape(columns[self.lead].shape) for slope in made]
        cost = self._compute(columns, dict(zip(self._slopes, into, strict=False)), mean)
        if cost is None:
            return None
        if not at_once:
            outs[0][...] = made[0]
        return cost, self._gathered(outs)

    def _outs(self, out: Any, like: Array) -> Sequence[Any] | None:
        """Return what gradients are to be written into, or nothing where that is not told as it should be."""
        if out is None:
            return [fresh(like) for _ in self._slopes]
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
    def _compute(self, columns: Sequence[Array], into: Mapping[str, Array], mean: bool) -> float | None:
        """Return the sum of losses or their mean, and write gradients, if all that the inputs hold is right."""

    @abstractmethod
    def kernel(self, columns: Sequence[Array], into: Mapping[str, Array]) -> Ready | RowCall:
        """Return the kernel for arrays that lie like these.

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
        few = f.dtype in COMPUTED and 0 < f.size <= LARGEST and compiled_rows(engine.BLOCK, engine.BLOCK) > 0
        columns = self.columns(given, f) if few else None
        if columns is None or not all(map(is_straight, columns)):
            return None
        into = {self._parts[place]: np.empty_like(columns[place]) for place in wanted}
        try:
            call = self.kernel(columns, into)
        except NoKernel:
            return None
        arrays, sizes = (*columns, *into.values()), (1, call.most)
        return self._entries.make(call, arrays, len(into), sizes, mean=mean, tail=self.tail, export=export)


def takes(out: Any, like: Array) -> bool:
    """Return whether an array can be written in place of one like another."""
    return type(out) is np.ndarray and out.dtype is like.dtype and out.shape == like.shape and out.flags.writeable


def is_straight(array: Array) -> bool:
    """Return whether an array lies as plain ones do."""
    flags = array.flags
    return flags.c_contiguous and flags.aligned


def are_apart(outs: Sequence[Array], given: Sequence[Array]) -> bool:
    """Return whether arrays lie as plain ones do, and none in another or in what is read."""
    for place, out in enumerate(outs):
        if not is_straight(out):
            return False
        for array in (*given, *outs[:place]):
            if np.may_share_memory(out, array):
                return False
    return True
