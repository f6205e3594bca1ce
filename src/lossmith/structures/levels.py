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
from lossmith.core.parameter import Option, Vector
from lossmith.core.rows import prepare_rows
from lossmith.core.section import Section
from lossmith.engines import numpy as engine
from lossmith.errors import DomainError, EmptyError, ParameterError, ShapeError
from lossmith.structures.written import Written

Array = npt.NDArray[Any]


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
        found: Array = self._cumulated(f.astype(np.float64)).astype(common_type([f]))
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

    def _predictions(self, y_pred: Any) -> Array:
        owner, count = type(self).__name__, len(self.levels)
        f = numbers(owner, "y_pred", y_pred)
        if f.ndim == 0 or f.shape[-1] != count:
            raise ShapeError(
                f"{owner}: y_pred has shape {f.shape}, but needs one prediction for each of the {count} levels "
                f"{self.levels} along the last axis"
            )
        return f

    @np.errstate(over="ignore", invalid="ignore")
    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        self._predictions(given["y_pred"])
        arguments = [(item, given[item.name]) for item in self.inputs]
        return prepare_rows(type(self).__name__, arguments, weight, mask, along="levels", single="y")

    def _stream(
        self, batch: Batch, outputs: Sequence[str], first: int = 0
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        for start, stop, given in batch.blocks(first):
            y, f = (given[symbol].astype(np.float64) for symbol in "yf")
            with np.errstate(all="ignore"):
                results = self._row(y, f, outputs)
            yield start, stop, {**results, "valid": np.isfinite(y) & np.isfinite(f).all(axis=1)}

    def _row(self, y: Array, f: Array, outputs: Sequence[str]) -> dict[str, Array]:
        levels = np.broadcast_to(np.asarray(self.levels), f.shape)
        columns = [np.broadcast_to(y[:, None], f.shape), self._cumulated(f), levels]
        flat = [np.ascontiguousarray(column).reshape(-1) for column in columns]
        program = self.part("value", "gradient:f", "hessian:f,f")
        found = engine.run(program, flat, self.free_parameters)
        count = f.shape[1]
        value, g, h = (found[name].reshape(f.shape) / count for name, _ in program.outputs)
        results = {"losses": value.sum(axis=1)}
        if self.prediction == "quantiles":
            full = h[:, :, None] * np.eye(count)
            results |= {"gradient:f": g, "hessian:f,f": h, "full_hessian:f,f": full}
        else:
            small = np.exp(-np.abs(f))
            steps = np.where(f >= 0, 1, small) / (1 + small)
            steps[:, 0] = 1
            bends = small / np.square(1 + small)
            bends[:, 0] = 0
            # An increment moves its own quantile and all above it.
            above, curved = (np.flip(np.cumsum(np.flip(x, 1), axis=1), 1) for x in (g, h))
            later = np.maximum(*np.indices((count, count)))
            full = steps[:, :, None] * steps[:, None, :] * curved[:, later]
            full += (bends * above)[:, :, None] * np.eye(count)
            results |= {"gradient:f": steps * above, "full_hessian:f,f": full}
            results["hessian:f,f"] = np.einsum("nii->ni", full)
        return {name: results[name] for name in outputs}

    def _cumulated(self, f: Array) -> Array:
        if self.prediction == "quantiles":
            return f
        softplus = np.maximum(f, 0) + np.log1p(np.exp(-np.abs(f)))
        return np.cumsum(np.concatenate([f[..., :1], softplus[..., 1:]], axis=-1), axis=-1)

    def section(
        self, value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
    ) -> Section:
        """Return the loss when all levels predict the same number; ``value`` is the target."""
        target = 0.0 if value is None else float(value)
        x = np.linspace(*(between or (target - 4, target + 4)), points)
        plain: Loss = self.replace(prediction="quantiles")
        same = np.repeat(x[:, None], len(self.levels), axis=1)
        found = plain.evaluate(np.full(points, target), same)
        gradient, hessian = found["gradient"].sum(axis=1), found["hessian"].sum(axis=1)
        case = f"at a target of {target:g}, one number for all levels"
        return Section(case, "prediction f", target, x, found["losses"], gradient, hessian, best=target)


def _inverse_softplus(x: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(x + np.log(-np.expm1(-x)))
