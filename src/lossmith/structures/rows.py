"""The row structure: each example is a row over classes, with one loss.

Here are the conventions that all losses over classes share: where the class axis is, what targets
are, class weights, ignored rows, smoothing. What a row costs is the subclass's.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lossmith.core.constant import Context
from lossmith.core.contract import Batch, LossmithWarning, common_type, masks, numbers, weights
from lossmith.core.domain import REAL, Domain
from lossmith.core.loss import Loss
from lossmith.core.parameter import Integer, Option, Parameter, Vector
from lossmith.core.section import Section
from lossmith.engines.numpy import BLOCK
from lossmith.errors import DomainError, EmptyError, ParameterError, ProgramError, ShapeError
from lossmith.program import Program
from lossmith.structures import row_constant
from lossmith.structures.lines import along_true_class

Array = npt.NDArray[Any]

_PROBABILITIES = Domain.parse("[0, 1]")
SUM_TOLERANCE = 1e-3  # probabilities in float16 miss a sum of 1 by up to half of that


class Rows(Loss):
    """A loss of a row of predictions, one for each class.

    A subclass gives ``card`` and ``row``, and sets ``fixed_targets`` where it takes only one kind.
    """

    fixed_targets: ClassVar[str | None] = None

    class_axis = Integer(-1, doc="axis of y_pred along which the classes lie")
    class_weight = Vector(domain="[0, inf)", doc="weight of the rows whose true class it is; all 1 by default")
    ignore_index = Integer(None, doc="target that marks rows to leave out; only with class indices")
    targets = Option(
        "indices", ("indices", "distributions"), doc="what y_true holds: a class index a row, or a distribution a row"
    )
    label_smoothing = Parameter(
        None,
        domain="[0, 1]",
        symbol=r"\varepsilon",
        typical=(0.01, 0.2),
        doc="share of each target that is spread evenly over the classes",
        in_formula=False,
    )

    @abstractmethod
    def row(self, z: Array, t: Array, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the outputs for rows of predictions ``z`` and of target distributions ``t``, both (rows, classes).

        Outputs are ``losses``, ``gradient:f``, ``hessian:f,f`` and ``full_hessian:f,f``; more than asked
        for is welcome. Target distributions sum to 1, and the loss is the expected one under them
        where it is not a function of the distribution itself.
        """

    def program(self, order: int = 2) -> Program:
        """Refuse: a row has as many inputs as there are classes.

        Raises:
            ProgramError: always; losses of the true class's probability have a program.
        """
        raise ProgramError(f"{type(self).__name__} is no function of a few inputs: it has no program")

    @property
    def probabilities(self) -> bool:
        """Whether predictions are declared as probabilities."""
        return self._values.get("prediction") == "probabilities"

    @property
    def indices(self) -> bool:
        """Whether targets are class indices."""
        return (self.fixed_targets or self._values["targets"]) == "indices"

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Domain of the entries of the target ``y`` and of the prediction ``f``."""
        target = REAL if self.indices else _PROBABILITIES
        return MappingProxyType({"y": target, "f": _PROBABILITIES if self.probabilities else REAL})

    @property
    def _couples(self) -> bool:
        return True

    def _check(self) -> None:
        if self.ignore_index is not None and not self.indices:
            raise ParameterError(
                f"{type(self).__name__}(ignore_index={self.ignore_index}): distributions have no index to ignore; "
                "pass mask="
            )

    def section(
        self, value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
    ) -> Section:
        """Return the loss along the logit or probability of the true class, whose index is ``value``."""
        return along_true_class(self, value, points, between)

    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        owner = type(self).__name__
        f, y = numbers(owner, "y_pred", given["y_pred"]), numbers(owner, "y_true", given["y_true"])
        axis = self._axis(f)
        shape = f.shape[:axis] + f.shape[axis + 1 :]
        expected = shape if self.indices else f.shape
        if y.shape != expected:
            what = "a class index for each row" if self.indices else "a distribution for each row"
            raise ShapeError(
                f"{owner}: y_pred has shape {f.shape} with classes along axis {axis}, so y_true, {what}, must have "
                f"shape {expected}, but has {y.shape}. {self._other_targets(y.shape, shape, f.shape)}"
            )
        dtype = common_type([f] if self.indices else [f, y])
        classes = f.shape[axis]
        rows = np.ascontiguousarray(np.moveaxis(f, axis, -1), dtype=dtype).reshape(-1, classes)
        counted = None if mask is None else masks(owner, mask, shape)
        if self.indices:
            targets, counted = self._indices(y, classes, counted)
        else:
            targets = np.ascontiguousarray(np.moveaxis(y, axis, -1), dtype=dtype).reshape(-1, classes)
        batch = Batch(
            owner=owner,
            inputs={"y": targets, "f": rows},
            labels={"y": "y_true", "f": "y_pred"},
            shape=shape,
            dtype=dtype,
            weight=self._row_weights(weight, shape, targets, classes),
            mask=counted,
            block=max(1, BLOCK // max(1, classes)),
            class_axis=axis if axis != f.ndim - 1 else None,
        )
        if not trusted and not self.probabilities:
            self._warn_if_probabilities(rows if counted is None else rows[counted])
        return batch

    def _axis(self, f: Array) -> int:
        if f.ndim == 0 or not -f.ndim <= self.class_axis < f.ndim:
            raise ShapeError(
                f"{type(self).__name__}: y_pred has shape {f.shape} and no axis {self.class_axis} for the classes"
            )
        axis = int(self.class_axis) % f.ndim
        if f.shape[axis] == 0:
            raise ShapeError(f"{type(self).__name__}: y_pred has shape {f.shape}: no classes along axis {axis}")
        return axis

    def _other_targets(self, got: tuple[int, ...], rows: tuple[int, ...], full: tuple[int, ...]) -> str:
        if self.indices and got == full:
            return "For distributions, one-hot or soft, use CategoricalCrossEntropy or targets='distributions'"
        if not self.indices and got == rows:
            return "For class indices use SparseCategoricalCrossEntropy or targets='indices'"
        if len(got) == len(full) and len(got) > 1:
            return "If the classes lie along another axis, pass class_axis="
        return ""

    def _indices(self, y: Array, classes: int, mask: Array | None) -> tuple[Array, Array | None]:
        flat = y.reshape(-1)
        if self.ignore_index is not None:
            kept = flat != self.ignore_index
            mask = kept if mask is None else kept & mask
        counted = np.ones(flat.shape, dtype=bool) if mask is None else mask
        with np.errstate(invalid="ignore"):
            wrong = counted & ~((flat >= 0) & (flat < classes) & (flat == np.floor(flat)))
        if wrong.any():
            row = int(np.argmax(wrong))
            place = ", ".join(str(int(i)) for i in np.unravel_index(row, y.shape)) if y.shape else "()"
            first = flat[row].item()
            mend = f"; if {first:.17g} marks rows to leave out, pass ignore_index={first:.17g}"
            if first != np.floor(first) or abs(first) == np.inf:
                mend = "; a missing value: drop the row, or leave it out by mask=" if first != first else ""
            raise DomainError(
                f"{type(self).__name__}: {int(wrong.sum())} of {flat.size} class indices are no whole number in "
                f"[0, {classes}): the first is y_true[{place}] = {first:.17g}{mend}"
            )
        return np.where(counted, flat, 0).astype(np.intp), mask

    def _row_weights(self, weight: Any, shape: tuple[int, ...], targets: Array, classes: int) -> Array | None:
        owner = type(self).__name__
        own = None if weight is None else weights(owner, weight, shape)
        if self.class_weight is None:
            return own
        by_class = np.asarray(self.class_weight)
        if by_class.size != classes:
            raise ShapeError(f"{owner}: class_weight has {by_class.size} numbers, but y_pred has {classes} classes")
        # A soft row counts with the weight that its classes have on average.
        with np.errstate(invalid="ignore"):  # rows that do not count may hold anything
            of_row = by_class[targets] if self.indices else targets.astype(np.float64) @ by_class
            return of_row if own is None else own * of_row

    def _dense(self, targets: Array, classes: int, dtype: np.dtype[Any]) -> Array:
        """Return targets as distributions, smoothed as declared."""
        t = np.eye(classes, dtype=dtype)[targets] if self.indices and classes <= 64 else targets
        if self.indices and classes > 64:
            t = np.zeros((len(targets), classes), dtype=dtype)
            t[np.arange(len(targets)), targets] = 1
        share = self.label_smoothing
        return t if not share else t * dtype.type(1 - share) + dtype.type(share / classes)

    def _stream(self, batch: Batch, outputs: Sequence[str]) -> Iterator[tuple[int, int, dict[str, Array]]]:
        f, y = batch.inputs["f"], batch.inputs["y"]
        for start in range(0, batch.size, batch.block):
            stop = min(start + batch.block, batch.size)
            z = f[start:stop]
            with np.errstate(all="ignore"):
                results = self.row(z, self._dense(y[start:stop], z.shape[1], batch.dtype), outputs)
                valid = self._valid_rows(z, probabilities=self.probabilities)
                if not self.indices:
                    valid &= self._valid_rows(y[start:stop], probabilities=True)
            yield start, stop, {**results, "valid": valid}

    def _warn_if_probabilities(self, rows: Array) -> None:
        """Warn when logits look like probabilities: all in [0, 1], and rows that sum to 1."""
        if len(rows) < 2 or rows.shape[1] < 2 or not (rows[0].min() >= 0 and rows[0].max() <= 1):
            return
        sums = rows.sum(axis=1, dtype=np.float64)
        if rows.min() >= 0 and rows.max() <= 1 and np.all(np.abs(sums - 1) <= SUM_TOLERANCE):
            certain = np.eye(1, rows.shape[1])
            least = float(self._value(np.zeros(1, dtype=np.intp) if self.indices else certain, certain)[0])
            offered = "prediction" in self._options and "probabilities" in self._options["prediction"].choices
            mend = "prediction='probabilities'" if offered else "the scores from before the softmax instead"
            warnings.warn(
                f"{type(self).__name__}: y_pred is declared as logits, but all values lie in [0, 1] and {len(rows)} of "
                f"{len(rows)} rows sum to 1, as probabilities do. As logits, even a certain row costs {least:.3g}. "
                f"If they are probabilities, pass {mend}.",
                LossmithWarning,
                stacklevel=5,
            )

    @staticmethod
    def _valid_rows(rows: Array, *, probabilities: bool) -> Array:
        if probabilities:
            inside = np.all((rows >= 0) & (rows <= 1), axis=1)
            return np.asarray(inside & (np.abs(rows.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE))
        # A logit of minus infinity rules a class out; a row needs one class that is left.
        return np.asarray(np.all(rows < np.inf, axis=1) & np.any(rows > -np.inf, axis=1))

    def _invalid(self, batch: Batch, invalid: Array, start: int) -> Exception:
        row = start + int(np.argmax(invalid))
        checks = [("f", "y_pred", self.probabilities)] + ([] if self.indices else [("y", "y_true", True)])
        for symbol, label, probabilities in checks:
            values = batch.inputs[symbol][row]
            if self._valid_rows(values[None], probabilities=probabilities)[0]:
                continue
            where = f"row [{batch.place(row)}] of {label}"
            if not probabilities:
                return DomainError(
                    f"{batch.owner}: logits must be finite or minus infinity, with one at least finite, "
                    f"but {where} is {_few(values)}"
                )
            mend = (
                "divide it by its sum"
                if np.all(values >= 0) and np.isfinite(values.sum())
                else "these are no probabilities"
            )
            if label == "y_pred" and "prediction" in self._options:
                mend += "; for logits pass prediction='logits'"
            return DomainError(
                f"{batch.owner}: each row of {label} must lie in [0, 1] and sum to 1, but {where} is {_few(values)} "
                f"with the sum {values.sum(dtype=np.float64):g}; {mend}"
            )
        raise AssertionError("a row was reported outside the domains, but lies inside")

    def _value(self, y: Array, f: Array) -> Array:
        t = self._dense(y, f.shape[-1], np.dtype(np.float64))
        with np.errstate(all="ignore"):
            return self.row(f, t, ("losses",))["losses"]

    # --- the best constant ------------------------------------------------------------------------

    def optimal_constant(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Array:
        """Return the constant row of logits with the least cost: log frequencies for the cross-entropies.

        Logits have a mean of zero, unless a z-loss fixes where they are. A class without target has
        minus infinity and is left out of the mean. Class indices tell of no class beyond the largest,
        unless the loss holds a number for each class.

        Raises:
            NoConstantError: when the cost has no minimum at finite logits, or kinks.
            EmptyError: when no example has weight.
        """
        loss = self.raw_form
        return row_constant.best_constant(loss, *loss._distinct(y_true, weight))

    def context(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Context:
        """Return what a cost on this data is to be compared with; see ``Loss.context``.

        The floor of a cross-entropy is the entropy of soft or smoothed targets. It is NaN where it is
        not known: for losses with kinks on such targets.
        """
        loss = self.raw_form
        return row_constant.context(loss, *loss._distinct(y_true, weight))

    def _distinct(self, y_true: Any, weight: Any) -> tuple[Array, Array]:
        """Return the target distributions that occur, smoothed as declared, and the weight of each."""
        owner = type(self).__name__
        y = numbers(owner, "y_true", y_true)
        if self.indices:
            counted = y if self.ignore_index is None else y[y != self.ignore_index]
            declared = [len(self._values[name]) for name, item in self._others.items() if self._is_vector(name)]
            classes = declared[0] if declared else int(np.nan_to_num(counted.max(initial=0), posinf=0)) + 1
            rows, mask = self._indices(y, classes, None)
            own = self._row_weights(weight, y.shape, rows, classes)
        else:
            batch = self._batch({"y_true": y, "y_pred": np.zeros(y.shape)}, weight, None, trusted=True)
            for start, stop, block in self._stream(batch, ()):
                self._refuse_invalid(batch, start, stop, block["valid"])
            rows, mask, own, classes = batch.inputs["y"].astype(np.float64), None, batch.weight, y.shape[self._axis(y)]
        w = np.ones(len(rows)) if own is None else own
        w = w if mask is None else np.where(mask, w, 0.0)
        if not np.any(w > 0):
            raise EmptyError(f"{self}: no example with weight to choose a constant for")
        found, places = np.unique(rows[w > 0], axis=0, return_inverse=True)
        return self._dense(found, classes, np.dtype(np.float64)), np.bincount(places.reshape(-1), weights=w[w > 0])

    def _is_vector(self, name: str) -> bool:
        return isinstance(self._values[name], tuple)

    def _offsets(self, classes: int) -> Array:
        """Return what the loss adds to the logits of each class before it looks at them."""
        return np.zeros(classes)

    def _centred(self, z: Array) -> Array:
        """Return logits that mean the same, as they are shown: with a mean of zero."""
        return np.asarray(z - np.mean(z[np.isfinite(z)]))


def _few(values: Array) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:6])
    return f"[{shown}{', ...' if values.size > 6 else ''}]"
