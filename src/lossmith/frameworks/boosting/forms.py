"""Forms: how the raw predictions of a row, one or several, go into a loss, and its derivatives come back.

Boosters know nothing but numbers: for each row one raw prediction, or K of them. A loss of a target and a prediction
takes one; a loss over classes or levels takes a row of K; a loss of several predicted inputs takes a column for each.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.errors import DomainError, ParameterError, plural
from lossmith.frameworks.boosting.constants import best_columns

Array = npt.NDArray[Any]
Derivatives = tuple[Array, Array]
"""Gradient and second derivative by each raw prediction, in float64."""

Kind = Literal["floor", "exact", "upper_bound", "gauss_newton"]
"""Which second derivative a booster divides by; see ``lossmith.frameworks.boosting.curvature``."""

CERTAIN = 37.0
"""A logit that is certainty in float64: where a best prediction at infinity counts as."""


class Form(ABC):
    """A loss in raw form, as a booster sees it.

    Attributes:
        loss: the loss, on raw predictions.
        outputs: raw predictions of a row.
        units: whether each of them has a unit of its own.
    """

    units = False

    def __init__(self, loss: Loss, outputs: int) -> None:
        self.loss, self.outputs = loss, outputs

    def shape(self, rows: int) -> tuple[int, ...]:
        """Return the shape of raw predictions: rows, and outputs where there are several."""
        return (rows,) if self.outputs == 1 else (rows, self.outputs)

    def start(self, y: Array, weight: Array | None) -> Array:
        """Return the raw constant with the least cost, one number for each output."""
        return np.atleast_1d(np.asarray(self.loss.optimal_constant(y, weight), np.float64))

    def losses(self, y: Array, raw: Array) -> Array:
        """Return the loss of each row."""
        return self._evaluate(y, raw, "losses")["losses"]  # type: ignore[no-any-return]

    def derivatives(self, y: Array, raw: Array) -> Derivatives:
        """Return the exact gradient and the diagonal of the exact Hessian."""
        found = self._evaluate(y, raw, "gradient", "hessian")
        return found["gradient"], found["hessian"]

    def full(self, y: Array, raw: Array) -> tuple[Array, Array, Array]:
        """Return losses, gradients and full Hessians."""
        found = self._evaluate(y, raw, "losses", "gradient", "full_hessian")
        return found["losses"], found["gradient"], found["full_hessian"]

    def bound(self, y: Array, raw: Array, hessian: Array) -> Array:
        """Return, for each raw prediction, the sum of absolute values of its row of the exact Hessian.

        As a diagonal matrix it is never below the Hessian, nor below its negative: what it exceeds the Hessian by is
        diagonally dominant (Gershgorin). Steps that are Newton's by it do not overshoot the quadratic model.
        """
        return np.abs(hessian)

    def base(self, hessian: Array) -> Array:
        """Return what a floor begins with, given the exact diagonal, which is quick to tell."""
        return hessian

    @abstractmethod
    def expected(self, raw: Array) -> Derivatives:
        """Return gradient and second derivative where the target is what is predicted: Gauss and Newton's Hessian."""

    @abstractmethod
    def best(self, y: Array) -> Array | None:
        """Return the raw prediction that each row likes best, bounded where it is infinite; none if not known."""

    def inner(self, raw: Array) -> tuple[Form, Array, Array] | None:
        """Return what raw predictions stand for, where they are no place to look for a best one.

        That is a form, its raw predictions, and their slopes (n, inner, outputs) by those of this form.
        """
        return None

    def inverse(self, raw: Array) -> Array:
        """Return predictions on the target's scale."""
        return self.loss.link.inverse(raw)

    def _evaluate(self, y: Array, raw: Array, *outputs: str) -> dict[str, Any]:
        return self.loss.evaluate(y, raw, outputs, trusted=True)


class OneNumber(Form):
    """One raw prediction a row."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss, 1)

    def start(self, y: Array, weight: Array | None) -> Array:
        """Return the best constant; see ``Form.start``.

        Raises:
            DomainError: where it is infinite.
        """
        found = super().start(y, weight)
        if not np.isfinite(found).all():
            raise DomainError(
                f"{self.loss}: the best constant for {plural(y.size, 'target')} is {found[0]:g}: all of them ask "
                "for the same extreme, as labels of one class and counts of zero do, so there is nothing to learn"
            )
        return found

    def best(self, y: Array) -> Array:
        """Return each row's best prediction; see ``Form.best``."""
        found = self.loss.best_prediction(y)
        return found if self.loss.link.name == "identity" else np.clip(found, -CERTAIN, CERTAIN)

    def expected(self, raw: Array) -> Derivatives:
        """Return the derivatives at the predicted target; see ``Form.expected``.

        Raises:
            ParameterError: where predictions are no targets, as scores are no labels.
        """
        try:
            return self.derivatives(self.inverse(raw), raw)
        except DomainError as error:
            raise ParameterError(
                f"{self.loss}: hessian='gauss_newton' needs predictions that could be targets ({error})"
            ) from None


class Columns(Form):
    """A column of raw predictions for each predicted input of a loss, such as a mean and a log-variance."""

    units = True

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss, len(loss.predicted))
        self.names = [item.name for item in loss.predicted]

    def start(self, y: Array, weight: Array | None) -> Array:
        """Return the best constant of each column; see ``Form.start``."""
        return best_columns(self, y, weight)

    def _evaluate(self, y: Array, raw: Array, *outputs: str) -> dict[str, Any]:
        columns = {name: np.ascontiguousarray(raw[:, place]) for place, name in enumerate(self.names)}
        given: dict[str, Any] = {"y_true": y, **columns}
        found = self.loss.evaluate(outputs=outputs, trusted=True, **given)
        stacked: dict[str, Any] = {}
        for output, parts in found.items():
            if output == "losses":
                stacked[output] = parts
            elif output == "full_hessian":
                stacked[output] = self._square(parts)
            else:
                stacked[output] = np.stack([parts[name] for name in self.names], axis=-1)
        return stacked

    def _square(self, parts: Any) -> Array:
        return np.stack(
            [np.stack([parts.get((a, b), parts.get((b, a))) for b in self.names], -1) for a in self.names], -1
        )

    def bound(self, y: Array, raw: Array, hessian: Array) -> Array:
        """Return the absolute diagonal times the number of columns, which a convex loss's Hessian does not exceed.

        Unlike sums over rows it keeps to the unit of each column.
        """
        return np.abs(hessian) * self.outputs

    def base(self, hessian: Array) -> Array:
        """Return the bound; see ``Form.base``."""
        return np.abs(hessian) * self.outputs

    def expected(self, raw: Array) -> Derivatives:
        """Refuse: what is predicted is no target.

        Raises:
            ParameterError: always.
        """
        raise ParameterError(
            f"{self.loss}: hessian='gauss_newton' needs predictions that could be targets; take 'upper_bound'"
        )

    def best(self, y: Array) -> Array:
        """Return the target for columns that move with it, as a mean does and a variance does not; else no number."""
        return np.where(self._moving, y[:, None], np.nan)

    @cached_property
    def _moving(self) -> Array:
        """Which columns go where targets go: the loss stays when both are shifted."""
        y, raw = np.linspace(-1.0, 2.0, 7), np.linspace(-0.7, 0.9, 7 * self.outputs).reshape(7, -1)
        here = self.losses(y, raw)
        for chosen in itertools.product((True, False), repeat=self.outputs):
            if any(chosen) and np.allclose(self.losses(y + 1.5, raw + 1.5 * np.array(chosen)), here, rtol=1e-9):
                return np.array(chosen)
        return np.zeros(self.outputs, bool)

    def inverse(self, raw: Array) -> Array:
        """Return the columns as they are, in the order of the loss's predicted inputs."""
        return np.array(raw, np.float64)
