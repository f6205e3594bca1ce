"""Where a loss of a target and a prediction is looked at: typical targets, each with a line of predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.domain import Domain
from lossmith.core.link import IDENTITY, Link
from lossmith.core.loss import Loss
from lossmith.engines import numpy as engine
from lossmith.program.ranges import EVERYWHERE, Range, plus, times
from lossmith.structures.pointwise import Pointwise
from lossmith.structures.written import Written

Array = npt.NDArray[np.float64]

OUTPUTS = ("value", "gradient:f", "hessian:f,f")
"""What is computed, by order of the derivative."""

NEAR = 30.0
"""How far from the target predictions are ordinary, in units of the target."""

_TARGETS = (-2.5, -1.0, 0.0, 0.3, 1.0, 7.0)
_SHARES = (0.02, 0.25, 0.5, 0.75, 0.98)  # of the user's own targets
_AWAY = np.unique(np.concatenate([np.geomspace(1e-3, NEAR, 34), np.arange(1, 17) / 2]))
_FAR = np.geomspace(2 * NEAR, 1e6, 16)
_INWARD = np.geomspace(1e-6, 0.5, 12)


@dataclass(frozen=True)
class Curve:
    """The loss of one target along predictions.

    Attributes:
        y: the target.
        centre: the prediction to expect for it, through the link and finite.
        f: predictions in ascending order.
        near: which of them are ordinary.
        parts: value, gradient and Hessian there.
    """

    y: float
    centre: float
    f: Array
    near: npt.NDArray[np.bool_]
    parts: tuple[Array, Array, Array]

    @property
    def value(self) -> Array:
        """The loss."""
        return self.parts[0]


@dataclass(frozen=True)
class Data:
    """The user's own targets, with weights and predictions."""

    y: Array
    w: Array
    f: Array | None


@dataclass(frozen=True)
class Ground:
    """What every examination of a loss of a target and a prediction works on.

    Attributes:
        loss: the loss.
        data: the user's own, where there is any.
        exact: whether truths of sixty digits can be had.
    """

    loss: Loss
    data: Data | None
    exact: bool

    @cached_property
    def link(self) -> Link:
        """From what the target is measured in to the predictions that the loss is declared on."""
        return self.loss.link if self.loss.raw_form == self.loss else IDENTITY

    @cached_property
    def domain(self) -> Domain:
        """Where predictions may lie."""
        return self.loss.domains["f"]

    @cached_property
    def unit(self) -> float:
        """The typical distance between predictions: 1, or what the domain or the user's own targets say."""
        if math.isfinite(self.domain.high - self.domain.low):
            return min(1.0, (self.domain.high - self.domain.low) / 4)
        if self.data is None or self.link.name != "identity":
            return 1.0
        spread = float(np.subtract(*np.quantile(self.data.y, (0.75, 0.25))))
        return spread if spread > 0 else max(float(np.ptp(self.data.y)), 0.0) or 1.0

    @cached_property
    def binary(self) -> bool:
        """Whether targets are no and yes, at the ends of their domain; some formulas declare none."""
        domain = self.loss.domains["y"]
        return self.loss.card.task == "binary" and math.isfinite(domain.low) and math.isfinite(domain.high)

    @cached_property
    def targets(self) -> tuple[float, ...]:
        """Typical targets."""
        domain = self.loss.domains["y"]
        if domain.values or self.binary:
            return domain.values or (domain.low, domain.high)
        if self.data is not None:
            return tuple(np.unique(np.quantile(self.data.y, _SHARES)).tolist())
        found = [y for y in _TARGETS if domain.includes(y)]
        if len(found) > 1:
            return tuple(found)
        if math.isfinite(domain.low) and math.isfinite(domain.high):
            return tuple(domain.low + (domain.high - domain.low) * share for share in (0.1, 0.5, 0.9))
        end, way = (domain.low, 1) if math.isfinite(domain.low) else (domain.high, -1)
        beside = (end + way * far for far in sorted(map(abs, _TARGETS)))  # as many and as far apart as beside 0
        return tuple(sorted({y for y in beside if domain.includes(y)}))

    @cached_property
    def curves(self) -> tuple[Curve, ...]:
        """The loss along predictions, for each typical target."""
        return tuple(map(self.curve, self.targets))

    @cached_property
    def steepest(self) -> float:
        """What the size of the gradient is proved never to be above, infinity where nothing is proved."""
        total: Range = (0.0, 0.0)
        for weight, part in terms(self.loss):
            slopes = part._slopes if isinstance(part, Pointwise) else EVERYWHERE
            total = plus(total, times((weight, weight), slopes))
        return max(-total[0], total[1])

    def truths(self, order: int, y: float, *places: float) -> tuple[Any, ...]:
        """Return the true value (0), gradient (1) or Hessian (2) at some predictions; nothing where it is not known."""
        if not self.exact:
            return ()
        from lossmith.certify import oracle

        try:
            return tuple(oracle.truth(self.loss, y, f, order) for f in places)
        except (oracle.Undecided, ArithmeticError, ValueError):
            return ()

    def centre(self, y: float) -> float:
        """Return the prediction to expect for a target: of a certain label, none in particular."""
        found = float(self.link.forward(y))
        if self.binary or not math.isfinite(found):
            found = 0.5 if self.loss.raw_form != self.loss and self.binary else 0.0
        return found if self.domain.includes(found) else self.domain.some

    def curve(self, y: float) -> Curve:
        """Return the loss of a target along predictions."""
        centre, unit, domain = self.centre(y), self.unit, self.domain
        away = unit * np.concatenate([_AWAY, _FAR])
        low, high = domain.low, domain.high
        ends = [
            end + way * min(unit, high - low) * _INWARD for end, way in ((low, 1), (high, -1)) if math.isfinite(end)
        ]
        marks = [centre, 0.0, y, -y, 1.0, -1.0, low, high]
        f = np.unique(np.concatenate([centre - away, centre + away, *ends, marks]))
        f = self.inside(f) + 0.0  # of the two zeros one
        near = np.abs(f - centre) <= NEAR * unit * (1 + 1e-12)
        return Curve(y, centre, f, near, self.parts(np.full(f.shape, y), f))

    def inside(self, f: Array) -> Array:
        """Return the predictions that lie in the domain."""
        domain = self.domain
        kept = (f > domain.low) & (f < domain.high)
        kept |= (f == domain.low) & domain.low_included | (f == domain.high) & domain.high_included
        return f[kept & np.isfinite(f) & (True if domain.hole is None else f != domain.hole)]

    def parts(self, y: Array, f: Array, dtype: npt.DTypeLike = np.float64) -> tuple[Array, Array, Array]:
        """Return value, gradient and Hessian, as NumPy computes them."""
        value, slope, bend = (np.zeros(f.shape, dtype) for _ in OUTPUTS)
        for weight, part in terms(self.loss):
            found = _run(part, OUTPUTS, y, f, dtype)
            value, slope, bend = (a + weight * found[key] for a, key in zip((value, slope, bend), OUTPUTS, strict=True))
        return value, slope, bend

    def values(self, y: Array, f: Array) -> Array:
        """Return the losses alone."""
        total = np.zeros(f.shape)
        for weight, part in terms(self.loss):
            total = total + weight * _run(part, OUTPUTS[:1], y, f, np.float64)["value"]
        return total

    @cached_property
    def steps(self) -> int:
        """How many instructions the formula has."""
        return sum(len(part.part("value").steps) for _, part in terms(self.loss))

    @cached_property
    def operations(self) -> frozenset[str]:
        """The instructions that the formula is made of."""
        return frozenset(step.op for _, part in terms(self.loss) for step in part.part("value").steps)


def terms(loss: Loss) -> Iterator[tuple[float, Written]]:
    """Yield the losses with a formula that a loss is the sum of, with their weights."""
    parts: tuple[tuple[float, Any], ...] = getattr(loss, "parts", ((1.0, loss),))
    yield from ((weight, part) for weight, part in parts if weight)


@np.errstate(all="ignore")
def _run(loss: Written, outputs: tuple[str, ...], y: Array, f: Array, dtype: npt.DTypeLike) -> dict[str, Array]:
    columns = [np.ascontiguousarray(x, dtype=dtype).reshape(-1) for x in (y, f)]
    found = engine.run(loss.part(*outputs), columns, loss.free_parameters)
    return {name: array.reshape(f.shape) for name, array in found.items()}
