"""The levels structure: one target a row, one prediction for each of several levels.

The loss of a row is the mean over levels of a formula of the target, the quantile and its level.
Quantiles come as they are, or as increments: the first as it is, each further one as what lies
between it and the one before, through a softplus. Increments cannot cross.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lossmith.core.constant import Context, weighted_quantile
from lossmith.core.contract import Batch, common_type, numbers, weights
from lossmith.core.domain import REAL, Domain
from lossmith.core.loss import Loss
from lossmith.core.outputs import needed
from lossmith.core.parameter import Option, Vector
from lossmith.core.rows import agree, prepare_rows
from lossmith.core.section import Section, finite_place, points_between
from lossmith.engines.hosts import REFERENCE, Host
from lossmith.errors import DomainError, EmptyError, ParameterError, ShapeError, plural
from lossmith.structures.written import Written

Array = Any


class Levels(Written):
    """A loss of a target and a quantile for each level; levels lie along the last axis of predictions.

    A subclass gives ``card`` and ``formula(ops, y, f, level)``.
    """

    symbols = ("y", "f", "level")
    wrt = ("f",)

    levels = Vector((0.1, 0.5, 0.9), domain="(0, 1)", doc="the quantiles to estimate, ascending")
    prediction = Option(
        "quantiles",
        ("quantiles", "increments"),
        doc="what y_pred holds: quantiles, or the lowest and then softplus increments, which cannot cross",
    )

    def _check(self) -> None:
        if not self.levels or any(b <= a for a, b in zip(self.levels, self.levels[1:], strict=False)):
            raise ParameterError(
                f"{type(self).__name__}(levels={self.levels!r}): levels must be one or more numbers that ascend"
            )

    @property
    def raw_form(self) -> Self:
        """The loss itself: increments are no link of quantiles one by one."""
        return self

    @property
    def row_axis(self) -> int | None:
        """That of the levels: the last."""
        return -1

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Domain of the target and of each prediction."""
        return MappingProxyType({"y": REAL, "f": REAL})

    @property
    def _couples(self) -> bool:
        return True

    def quantiles(self, y_pred: npt.ArrayLike) -> Array:
        """Return the quantiles that predictions stand for, levels along the last axis."""
        f = self._predictions(y_pred)
        found: Array = self._cumulated(REFERENCE.xp, f.astype(np.float64)).astype(common_type([f]))
        return found

    def crossing_rate(self, y_pred: npt.ArrayLike) -> float:
        """Return the share of rows in which a higher level has a lower quantile.

        Raises:
            EmptyError: when there are no rows.
        """
        q = self.quantiles(y_pred).reshape(-1, len(self.levels))
        if not len(q):
            raise EmptyError(f"{type(self).__name__}.crossing_rate: there are no rows")
        return float(np.mean(np.any(q[:, 1:] < q[:, :-1], axis=1)))

    def optimal_constant(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Array:
        """Return the best constant prediction, a number for each level in the kind that the loss declares.

        Equal quantiles make an increment of minus infinity.
        """
        owner = type(self).__name__
        y = numbers(owner, "y_true", y_true).astype(np.float64).reshape(-1)
        w = np.ones(y.shape) if weight is None else weights(owner, weight, np.shape(np.asarray(y_true)))
        if not np.any(w > 0):
            raise EmptyError(f"{self}: no example with weight to choose a constant for")
        if not np.isfinite(y).all():
            row = int(np.argmin(np.isfinite(y)))
            raise DomainError(f"{owner}: y_true must be finite, but y_true[{row}] is {y[row]:g}")
        q = np.array([weighted_quantile(y[w > 0], w[w > 0], level) for level in self.levels])
        return q if self.prediction == "quantiles" else np.concatenate([q[:1], _inverse_softplus(np.diff(q))])

    def context(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Context:
        """Return what a cost is to be compared with; the best constant is a row, so only its cost is given."""
        q = self.replace(prediction="quantiles").optimal_constant(y_true, weight)
        y = np.asarray(y_true, dtype=np.float64)
        plain = self.replace(prediction="quantiles")
        cost = plain.cost(y, np.broadcast_to(q, (*y.shape, q.size)).copy(), weight)
        return Context(0.0, None, float(cost), False)

    @property
    def singles(self) -> tuple[str, ...]:
        """The target."""
        return ("y",)

    def _predictions(self, y_pred: Any) -> Array:
        f = numbers(type(self).__name__, "y_pred", y_pred)
        self._refuse_other_levels(f.shape)
        return f

    def _refuse_other_levels(self, shape: tuple[int, ...]) -> None:
        if shape[-1:] != (len(self.levels),):
            raise ShapeError(
                f"{type(self).__name__}: y_pred has shape {shape}, but needs one prediction for each of the "
                f"{plural(len(self.levels), 'level')} {self.levels} along the last axis"
            )

    def row_axis_of(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """Return the axis of the levels; see ``Traceable.row_axis_of``."""
        self._refuse_other_levels(shapes["f"])
        return agree(type(self).__name__, self.inputs, shapes, along="levels", single=self.singles)[0]

    @np.errstate(over="ignore", invalid="ignore")
    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        self._predictions(given["y_pred"])
        arguments = [(item, given[item.name]) for item in self.inputs]
        return prepare_rows(type(self).__name__, arguments, weight, mask, along="levels", single=self.singles)

    def _stream(
        self, batch: Batch, outputs: Sequence[str], first: int = 0
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        for start, stop, given in batch.blocks(first):
            with np.errstate(all="ignore"):
                wide = {symbol: array.astype(np.float64) for symbol, array in given.items()}
                yield start, stop, self.compute(REFERENCE, wide, (*outputs, "valid"))

    def compute(self, host: Host, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return outputs of each example; see ``Traceable.compute``."""
        xp, y, f = host.xp, given["y"], given["f"]
        levels = xp.spread(xp.constant(self.levels, f), f)
        columns = [xp.spread(y[..., None], f), self._cumulated(xp, f), levels]
        parts = needed(outputs, "f")
        found = host.run(self, "formula", parts, columns) if parts else {}
        found = {name: array / len(self.levels) for name, array in found.items()}
        results: dict[str, Array] = {}
        if "losses" in outputs:
            results["losses"] = xp.sum(found["value"], axis=-1)
        if "valid" in outputs:
            results["valid"] = xp.isfinite(y) & xp.all(xp.isfinite(f), axis=-1)
        if "gradient:f" in outputs:
            results["gradient:f"] = self._carried(xp, f, found["gradient:f"])
        return results | (self._bends(f, found) if "hessian:f,f" in found else {})

    def _carried(self, xp: Any, f: Array, g: Array) -> Array:
        """Return derivatives by predictions from those by quantiles."""
        if self.prediction == "quantiles":
            return g
        # An increment moves its own quantile and all above it.
        return _steps(xp, f) * _above(xp, g)

    def _bends(self, f: Array, found: Mapping[str, Array]) -> dict[str, Array]:
        """Return the second derivatives, which NumPy alone is asked for."""
        g, h, count = found["gradient:f"], found["hessian:f,f"], len(self.levels)
        if self.prediction == "quantiles":
            return {"hessian:f,f": h, "full_hessian:f,f": h[:, :, None] * np.eye(count)}
        small = np.exp(-np.abs(f))
        steps, bends = _steps(REFERENCE.xp, f), small / np.square(1 + small)
        bends[:, 0] = 0
        above, curved = (_above(REFERENCE.xp, x) for x in (g, h))
        later = np.maximum(*np.indices((count, count)))
        full = steps[:, :, None] * steps[:, None, :] * curved[:, later]
        full += (bends * above)[:, :, None] * np.eye(count)
        return {"hessian:f,f": np.einsum("nii->ni", full), "full_hessian:f,f": full}

    def _cumulated(self, xp: Any, f: Array) -> Array:
        if self.prediction == "quantiles":
            return f
        softplus = xp.where(f > 0, f, 0.0) + xp.log1p(xp.exp(xp.where(f > 0, -f, f)))
        return xp.cumsum(xp.where(xp.places(f) > 0, softplus, f), axis=-1)

    def section(
        self, value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
    ) -> Section:
        """Return the loss when all levels predict the same number; ``value`` is the target."""
        target = 0.0 if value is None else finite_place(self, "target", value)
        x = points_between(self, between or (target - 4, target + 4), points)
        plain: Loss = self.replace(prediction="quantiles")
        same = np.repeat(x[:, None], len(self.levels), axis=1)
        found = plain.evaluate(np.full(points, target), same)
        gradient, hessian = found["gradient"].sum(axis=1), found["hessian"].sum(axis=1)
        case = f"at a target of {target:g}, one number for all levels"
        return Section(case, "prediction f", target, x, found["losses"], gradient, hessian, best=target)


def _steps(xp: Any, f: Array) -> Array:
    """Return the slopes of quantiles by the increments that lead to them."""
    small = xp.exp(xp.where(f >= 0, -f, f))  # which, unlike the absolute value, bends nowhere where it is met
    steps = xp.where(f >= 0, 1.0, small) / (1 + small)
    return xp.where(xp.places(f) > 0, steps, 1.0)


def _above(xp: Any, a: Array) -> Array:
    """Return the sum over each level and all above it."""
    return xp.flip(xp.cumsum(xp.flip(a, -1), axis=-1), -1)


def _inverse_softplus(x: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(x + np.log(-np.expm1(-x)))
