"""The objective: all that a booster needs to train with a loss, in one object."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import weights
from lossmith.core.domain import REAL
from lossmith.core.loss import Loss
from lossmith.core.outputs import set_apart
from lossmith.core.registry import parse
from lossmith.errors import EmptyError, NoConstantError, ParameterError, ShapeError, did_you_mean, plural
from lossmith.frameworks.boosting.curvature import KINDS, Curvature, Mean, mean_here
from lossmith.frameworks.boosting.examine import examine, places, some_rows
from lossmith.frameworks.boosting.forms import Form, Kind
from lossmith.frameworks.boosting.head import Head, Metric
from lossmith.frameworks.boosting.held import refuse_no_table
from lossmith.frameworks.boosting.suited import as_targets, form_of

Array = npt.NDArray[Any]
Order = Literal["C", "F"]

_UNSHARED = 2  # references to what one holder and the call that asks for their number hold


class Objective:
    """What a booster needs to train with a loss: derivatives, weights, start score, link, metric.

    Faces of single boosters derive from it; they alone know signs, layouts and names of their library.

    Args:
        loss: a loss or its name. It is used in its raw form: logits, log rates.
        y: targets of the training rows: numbers; of losses over classes the class indices from 0 up, or a
            distribution a row.
        weight: their weights, at least 0; they are applied.
        hessian: which second derivative is returned; see ``lossmith.frameworks.boosting.curvature``.
        classes: number of classes, for losses over classes; by default as many as the targets tell.

    Attributes:
        head: loss, start score and link, which predict without the data.
        metric: the mean loss, less is better.
        y, weight: targets and weights, as float64; no weights are ``None``.

    Raises:
        ParameterError: when the loss cannot be trained with (it has no minimum, one that says nothing, or no
            gradient, or what it gives is not the slope of the loss).
        DomainError: for targets or weights outside their domain, and targets that ask for an infinite start, such
            as labels of one class only.
        EmptyError: when no row has weight.
        ShapeError: for targets and weights of different lengths.
    """

    head: Head
    metric: Metric
    _mean: Mean = staticmethod(mean_here)  # a face whose library brings rows in parts says how to take means of all

    def __init__(
        self,
        loss: Loss | str,
        y: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        *,
        hessian: Kind = "floor",
        classes: int | None = None,
    ) -> None:
        if hessian not in KINDS:
            known = ", ".join(map(repr, KINDS))
            raise ParameterError(
                f"hessian={hessian!r} is not known; it is one of {known}.{did_you_mean(hessian, KINDS)}"
            )
        raw = parse(loss).raw_form
        targets = as_targets(raw, y)
        self._hold(targets, _weights(raw, weight, targets))
        form = form_of(raw, self.y, classes, mends="classes")
        if form.loss.card.estimates == "zero":
            raise ParameterError(
                f"{form.loss} cannot be an objective: zero for every row costs nothing, whatever the targets, so its "
                "minimum says nothing about them; take a loss with a margin, such as Hinge()"
            )
        try:
            start = form.start(self.y, self.weight)
        except NoConstantError as error:
            raise ParameterError(f"{form.loss} cannot be an objective: {error}") from None
        self._settle(Head(form, start, hessian))
        self._examine()

    def _hold(self, y: Array, weight: Array | None) -> None:
        self.y, self.weight = y, weight
        self._kept: list[tuple[Array, Array]] = []

    def _settle(self, head: Head, scale: float | None = None) -> None:
        self.head, self.metric = head, Metric(head.form)
        self._curvature = Curvature(head.form, head.hessian, self.y, self.weight, scale, self._mean)

    @property
    def form(self) -> Form:
        """The loss, as a booster sees it."""
        return self.head.form

    @property
    def loss(self) -> Loss:
        """The loss, in raw form."""
        return self.head.loss

    @property
    def hessian(self) -> str:
        """The kind of Hessian that is returned."""
        return self.head.hessian

    @property
    def outputs(self) -> int:
        """Raw predictions of a row: 1, or the number of classes or levels."""
        return self.head.outputs

    @property
    def start(self) -> Any:
        """The best constant raw prediction, which a model starts from: a number, or an array of one an output."""
        return self.head.start if self.outputs > 1 else float(self.head.start[0])

    @property
    def init_score(self) -> Array:
        """The start score of every row, of shape (n,) or (n, outputs)."""
        return self.head.constant(len(self.y))

    def fitting(self, X: Any) -> Any:
        """Return features of the rows, as they are.

        Raises:
            ShapeError: for another number of rows, and for what has no rows by columns.
            KindError: for a data set of a library, and for what is no array.
        """
        refuse_no_table(X)
        rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if rows != len(self.y):
            raise ShapeError(f"{self.loss}: X has {plural(rows, 'row')}, for {plural(len(self.y), 'target')}")
        return X

    def gradient_and_hessian(self, raw: Array, *, order: Order = "C") -> tuple[Array, Array]:
        """Return gradient and Hessian of the loss, weighted, at the raw predictions of all rows.

        Args:
            raw: raw predictions, start score included, float64 or float32, of shape (n,) or (n, outputs).
            order: ``C`` or ``F``: how rows of several lie in the results.

        Returns:
            Two float32 arrays of that shape. They are written anew only once nobody holds them any more.

        Raises:
            ShapeError: for another number of rows.
            DomainError: where a derivative is no finite number; the row is named.
        """
        shape = self.form.shape(len(self.y))
        if raw.shape != shape:
            raise ShapeError(f"{self.loss}: raw predictions have shape {raw.shape}, but the targets ask for {shape}")
        gradient, hessian = self._room(shape, order)
        self._curvature.into(raw, gradient, hessian)
        self._kept = [(gradient, hessian)]
        return gradient, hessian

    def _room(self, shape: tuple[int, ...], order: Order) -> tuple[Array, Array]:
        """Return two arrays to fill: the last ones, whose pages are there already, where nobody holds them any more.

        Whoever takes them leaves none, so that no other thread takes them as well.
        """
        last: tuple[Array, ...] = ()
        with suppress(IndexError):
            last = self._kept.pop()
        free = len(last) == 2 and all(
            sys.getrefcount(last[place]) <= _UNSHARED
            and sys.getrefcount(last[place].base) <= _UNSHARED  # which views of it hold
            and (last[place].flags.c_contiguous if order == "C" else last[place].flags.f_contiguous)
            for place in (0, 1)
        )
        if free:
            return last[0], last[1]
        return set_apart(shape, np.dtype(np.float32), order), set_apart(shape, np.dtype(np.float32), order)

    def on(self, y: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, scale: float | None = None) -> Self:
        """Return the same objective for other rows; see ``of``."""
        return self.of(self.head, y, weight, scale=scale)

    @classmethod
    def of(
        cls, head: Head, y: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, scale: float | None = None
    ) -> Self:
        """Return the objective of a head for some rows: start score and kind of Hessian stay, nothing is examined.

        Args:
            head: of another objective.
            y: targets of those rows.
            weight: their weights.
            scale: what gradient and Hessian are divided by, where rows are spread over workers; see
                ``scale_at_start``.
        """
        made = object.__new__(cls)
        targets = as_targets(head.loss, y)
        made._hold(targets, _weights(head.loss, weight, targets))
        made._settle(head, scale)
        return made

    def scale_at_start(self) -> float:
        """Return the mean Hessian at the start score: a scale that is the same for all workers."""
        _, hessian = self.on(self.y, self.weight, scale=1.0).gradient_and_hessian(self.init_score)
        found = float(np.mean(hessian, dtype=np.float64))
        return found / (1.0 if self.weight is None else float(np.mean(self.weight)))

    def predict(self, raw: npt.ArrayLike) -> Array:
        """Return predictions on the target's scale; see ``Head.predict``."""
        return self.head.predict(raw)

    def _examine(self) -> None:
        few = self.few()
        examine(
            str(self.loss),
            few.gradient_and_hessian,
            lambda raw: self.form.losses(few.y, raw),
            self.probes(few.y),
            few.weight,
            kind=self.hessian,
        )

    def few(self) -> Self:
        """Return the objective for some of the rows, which an examination looks at."""
        counted = np.arange(len(self.y)) if self.weight is None else np.flatnonzero(self.weight > 0)
        chosen = counted[some_rows(len(counted))]
        return self.on(self.y[chosen], None if self.weight is None else self.weight[chosen], scale=1.0)

    def probes(self, y: Array) -> Iterator[Array]:
        """Yield raw predictions of rows with these targets at which an examination looks: far from the start and near.

        What ends somewhere is approached half the way.
        """
        domain = self.loss.domains.get("f", REAL)
        for raw in places(self.head.start, self.form.best(y), self.form.shape(len(y))):
            low, high = self.head.start / 2 + domain.low / 2, self.head.start / 2 + domain.high / 2
            yield np.clip(raw, low, high)

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # boosters copy their settings, and the data shall not go with them

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.head})"


def _weights(loss: Loss, weight: Any, y: Array) -> Array | None:
    """Return weights as float64, one for each row.

    Raises:
        DomainError, ShapeError, EmptyError
    """
    if len(y) == 0:
        raise EmptyError(f"{loss}: there are no rows to train with")
    if weight is None:
        return None
    found = weights(type(loss).__name__, weight, (len(y),))
    if not np.any(found > 0):
        raise EmptyError(f"{loss}: the weights sum to zero, so no row counts")
    return found
