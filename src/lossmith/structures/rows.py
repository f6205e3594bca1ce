"""The row structure: each example is a row over classes, with one loss.

Here are the conventions that all losses over classes share: where the class axis is, what targets
are, class weights, ignored rows, smoothing. What a row costs is the subclass's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from lossmith.core.constant import Context
from lossmith.core.contract import Batch, numbers, prepare
from lossmith.core.domain import REAL, Domain
from lossmith.core.inputs import TARGET
from lossmith.core.loss import Loss
from lossmith.core.parameter import Integer, Option, Parameter, Vector
from lossmith.core.rows import WANTED, agree, prepare_rows, row_error, valid_rows, warn_if_rows_of_probabilities
from lossmith.core.section import Section
from lossmith.core.traceable import NONE, Counting
from lossmith.engines.hosts import REFERENCE, Host
from lossmith.errors import DomainError, EmptyError, ParameterError, ProgramError, ShapeError, plural
from lossmith.program import Program
from lossmith.structures import row_constant, row_labels
from lossmith.structures.lines import along_true_class

Array = Any

_PROBABILITIES = Domain.parse("[0, 1]")


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
    def row(self, host: Host, z: Array, t: Array, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the outputs for rows of predictions ``z`` and of target distributions ``t``, both (..., classes).

        Outputs are ``losses``, ``gradient:f`` and, from NumPy, ``hessian:f,f`` and ``full_hessian:f,f``; more than
        asked for is welcome. Target distributions sum to 1, and the loss is the expected one under them
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
    def single(self) -> bool:
        """Whether one class of a row is all of its target."""
        return self.indices and not self.label_smoothing

    @property
    def row_axis(self) -> int | None:
        """That of the classes."""
        axis: int = self.class_axis
        return axis

    @property
    def singles(self) -> tuple[str, ...]:
        """The target, where it is a class index."""
        return ("y",) if self.indices else ()

    @property
    def class_indices(self) -> tuple[str, ...]:
        """The same."""
        return self.singles

    @property
    def demands(self) -> Mapping[str, str]:
        """What targets and predictions must be."""
        return {"y": WANTED["indices"], **{symbol: WANTED[kind] for symbol, kind in self._kinds.items()}}

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

    @np.errstate(over="ignore", invalid="ignore")
    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        batch = prepare_rows(
            type(self).__name__,
            [(item, given[item.name]) for item in self.inputs],
            weight,
            mask,
            **self._where,
            labels=self.class_indices,
            counted=lambda arrays, mask: self._counted(arrays["y"], mask),
        )
        batch = self._with_targets(batch, batch.inputs["f"].shape[1])
        if not trusted and not self.probabilities:
            self._warn_if_probabilities(batch)
        return batch

    @property
    def _where(self) -> dict[str, Any]:
        """What is to be known of shapes; see ``prepare_rows``."""
        return {"axis": self.class_axis, "single": self.singles, "hint": self._other_targets}

    def row_axis_of(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """Return the axis of the classes; see ``Traceable.row_axis_of``."""
        return agree(type(self).__name__, self.inputs, shapes, **self._where)[0]

    def _with_targets(self, batch: Batch, classes: int) -> Batch:
        """Return the batch with targets as indices where they are, and with the weights that classes have."""
        targets = self._class_indices(batch, classes) if self.indices else batch.inputs["y"]
        by_class = self._class_weights(targets, classes)
        weight = batch.weight if by_class is None else by_class * (1 if batch.weight is None else batch.weight)
        return replace(batch, inputs={**batch.inputs, "y": targets}, weight=weight)

    def _other_targets(self, got: tuple[int, ...], expected: tuple[int, ...]) -> str:
        if self.indices and len(got) == len(expected) + 1 and got[-1] != 1:
            return "For distributions, one-hot or soft, use CategoricalCrossEntropy or targets='distributions'"
        if not self.indices and len(got) == len(expected) - 1:
            return "For class indices use SparseCategoricalCrossEntropy or targets='indices'"
        if len(got) == len(expected) > 1:
            return "If the classes lie along another axis, pass class_axis="
        return ""

    def _counted(self, y: Array, mask: Array | None) -> Array | None:
        """Return the mask without the rows whose target says that they be ignored."""
        if self.ignore_index is None:
            return mask
        kept: Array = y != self.ignore_index
        return kept if mask is None else kept & mask

    def counting(self, host: Host, given: Mapping[str, Array], vectors: Mapping[str, Array] = NONE) -> Counting:
        """Return the weights of classes, and what is not ignored; see ``Traceable.counting``."""
        weight = None
        if self.class_weight is not None:
            numbers = self._weight_by_class(host.xp.shape(given["f"])[-1])
            by_class = vectors["class_weight"] if vectors else host.xp.constant(numbers, given["f"])
            t = _hits(host, given["y"], given["f"]) if self.indices else given["y"] > 0
            share = 1.0 if self.indices else given["y"]
            found = host.xp.sum(host.xp.where(t, share * by_class, 0.0), axis=-1)
            # A row of no class is invalid: with a weight of 0 its loss, which is no number, would not show.
            weight = host.xp.where(host.xp.any(t, axis=-1), found, 1.0)
        y = given["y"]
        if self.ignore_index is not None and not host.xp.holds(self.ignore_index, y):  # libraries wrap it, or fail
            return Counting(weight)
        return Counting(weight, self._counted(y, None))

    def _class_indices(self, batch: Batch, classes: int) -> Array:
        """Return the targets as indices, and 0 for rows that do not count."""
        y = batch.inputs["y"] if batch.mask is None else np.where(batch.mask, batch.inputs["y"], 0)
        if y.dtype.kind in "iu" and y.dtype.isnative and (not y.size or (y.min() >= 0 and y.max() < classes)):
            return y
        with np.errstate(invalid="ignore"):
            wrong = ~((y >= 0) & (y < classes) & (y == np.floor(y)))
        if wrong.any():
            row = int(np.argmax(wrong))
            first = y[row].item()
            mend = f"; if {first:.17g} marks rows to leave out, pass ignore_index={first:.17g}"
            if y.min() == 1 and y.max() == classes:
                mend = "; yours begin at 1: subtract 1"
            if first != np.floor(first) or abs(first) == np.inf:
                mend = "; a missing value: drop the row, or leave it out by mask=" if first != first else ""
            raise DomainError(
                f"{batch.owner}: class indices must be whole numbers in [0, {classes}), but {batch.entry('y', row)} is "
                f"{first:.17g} ({int(wrong.sum())} such of {y.size}){mend}"
            )
        return y.astype(np.int64)

    def _class_weights(self, targets: Array, classes: int) -> Array | None:
        """Return the weight that each row has by its class, or ``None`` for one each."""
        if self.class_weight is None:
            return None
        by_class = np.asarray(self._weight_by_class(classes))
        # A soft row counts with the weight that its classes have on average.
        with np.errstate(invalid="ignore"):  # rows that do not count may hold anything
            found: Array = by_class[targets] if self.indices else np.ascontiguousarray(targets, np.float64) @ by_class
        return found

    def _weight_by_class(self, classes: int) -> tuple[float, ...]:
        found: tuple[float, ...] = self.class_weight
        if len(found) != classes:
            raise ShapeError(
                f"{type(self).__name__}: class_weight has {plural(len(found), 'number')}, but y_pred has "
                f"{plural(classes, 'class', 'classes')}"
            )
        return found

    def dense(self, host: Host, targets: Array, like: Array) -> Array:
        """Return targets as distributions over the classes of ``like``, in its type, smoothed as declared."""
        share = self.label_smoothing or 0.0
        low = share / host.xp.length(like, like) if share else 0.0
        if self.indices:
            return host.xp.where(_hits(host, targets, like), (1.0 - share) + low, host.xp.full_like(like, low))
        return targets if not share else targets * (1.0 - share) + low

    def compute(self, host: Host, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return outputs of each example; see ``Traceable.compute``."""
        y, z = given["y"], given["f"]
        wanted = [output for output in outputs if output != "valid"]
        results = self.row(host, z, self.dense(host, y, z), wanted) if wanted else {}
        if "valid" in outputs:
            valid = valid_rows(host.xp, z, self._kinds["f"])
            right = are_indices(host, y, z) if self.indices else valid_rows(host.xp, y, self._kinds["y"])
            results["valid"] = valid & right
        return results

    def _stream(
        self, batch: Batch, outputs: Sequence[str], first: int = 0
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        for start, stop, given in batch.blocks(first):
            with np.errstate(all="ignore"):
                yield start, stop, self.compute(REFERENCE, given, (*outputs, "valid"))

    @property
    def _kinds(self) -> dict[str, str]:
        """What the rows of each input hold; class indices are no rows."""
        targets = {} if self.indices else {"y": "probabilities"}
        return {**targets, "f": "probabilities" if self.probabilities else "logits"}

    def _invalid(self, batch: Batch, invalid: Array, start: int) -> Exception:
        offered = self.probabilities and "logits" in self._options["prediction"].choices
        return row_error(
            batch, self._kinds, invalid, start, {"f": "for logits pass prediction='logits'"} if offered else {}
        )

    def _warn_if_probabilities(self, batch: Batch) -> None:
        def evidence() -> str:
            certain = np.eye(1, batch.inputs["f"].shape[1])
            least = float(self._value(np.zeros(1, dtype=np.intp) if self.indices else certain, certain)[0])
            return f" As logits, even a certain row costs {least:.3g}."

        offered = "prediction" in self._options and "probabilities" in self._options["prediction"].choices
        mend = "prediction='probabilities'" if offered else "the scores from before the softmax instead"
        warn_if_rows_of_probabilities(batch, "f", mend, evidence)

    def _value(self, y: Array, f: Array) -> Array:
        with np.errstate(all="ignore"):
            return self.row(REFERENCE, f, self.dense(REFERENCE, y, f), ("losses",))["losses"]

    # --- the best constant ------------------------------------------------------------------------

    def optimal_constant(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Array:
        """Return the constant row of logits with the least cost: log frequencies for the cross-entropies.

        Logits have a mean of zero, unless a z-loss fixes where they are. A class without target has
        minus infinity and is left out of the mean. Class indices tell of no class beyond the largest,
        unless the loss holds a number for each class.

        Raises:
            NoConstantError: when the cost has no minimum at finite logits.
            EmptyError: when no example has weight.
        """
        return row_constant.best_constant([(1.0, self.raw_form)], y_true, weight)

    def context(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Context:
        """Return what a cost on this data is to be compared with; see ``Loss.context``.

        The floor is the least loss that any predictions reach on soft or smoothed targets: for a
        cross-entropy it is their entropy.
        """
        return row_constant.context([(1.0, self.raw_form)], y_true, weight)

    def best_row(self, target: Array) -> Array:
        """Return the logits with the least loss for one target distribution; minus infinity rules a class out.

        Raises:
            NoConstantError: when the least loss is a limit, at certainty of one of several classes.
        """
        return row_constant.newton([(1.0, self)], [target])

    def _distinct(self, y_true: Any, weight: Any) -> tuple[Array, int, Array]:
        """Return the targets that occur, the number of classes, and the weight of each target."""
        owner = type(self).__name__
        y = np.ascontiguousarray(numbers(owner, "y_true", y_true))
        if self.indices:
            # Without rows of predictions, which would be as many as there are targets.
            batch = prepare(owner, [TARGET], {TARGET.name: y}, weight, self._counted(y, None))
            seen = batch.inputs["y"] if batch.mask is None else batch.inputs["y"][batch.mask]
            declared = [len(self._values[name]) for name, item in self._others.items() if self._is_vector(name)]
            classes = declared[0] if declared else int(np.nan_to_num(seen.max(initial=0), posinf=0)) + 1
            batch = self._with_targets(batch, classes)
        else:
            batch = self._batch({"y_true": y, "y_pred": np.zeros(y.shape)}, weight, None, trusted=True)
            for start, stop, block in self._stream(batch, ()):
                self._refuse_invalid(batch, start, stop, block["valid"])
            classes = batch.inputs["f"].shape[1]
        w = np.ones(batch.size) if batch.weight is None else np.asarray(batch.weight, np.float64)
        w = w if batch.mask is None else np.where(batch.mask, w, 0.0)
        if not np.any(w > 0):
            raise EmptyError(f"{self}: no example with weight to choose a constant for")
        found, places = np.unique(batch.inputs["y"][w > 0], axis=0, return_inverse=True)
        return found, classes, np.bincount(places.reshape(-1), weights=w[w > 0])

    @property
    def unanchored(self) -> Self:
        """The same loss without what only says where logits are."""
        return self

    def _label_shares(self, raw: Array, label_smoothing: float) -> Array:
        return row_labels.shares([(1.0, self)], raw)

    def _is_vector(self, name: str) -> bool:
        return isinstance(self._values[name], tuple)

    def _offsets(self, classes: int) -> Array:
        """Return what the loss adds to the logits of each class before it looks at them."""
        return np.zeros(classes)

    def _centred(self, z: Array) -> Array:
        """Return logits that mean the same, as they are shown: with a mean of zero."""
        return np.asarray(z - np.mean(z[np.isfinite(z)]))


def are_indices(host: Host, y: Array, like: Array) -> Array:
    """Return which numbers are indices of classes of ``like``."""
    return (y >= 0) & (y < host.xp.length(like, y)) & (y == host.xp.floor(y))


def _hits(host: Host, indices: Array, like: Array) -> Array:
    """Return which class of each row is the one that an index names, true and false."""
    return indices[..., None] == host.xp.places(like)
