"""The second derivatives that a booster divides by: which there are, and what each is.

A booster's leaf is minus the sum of gradients over the sum of Hessians, so what is returned under the name Hessian
decides how far a model moves, and whether it moves at all. Each kind has a name:

``floor``
    The larger of the exact Hessian (over classes of twice its diagonal, of several predicted inputs of
    ``upper_bound``) and the slope of the secant to the row's own best prediction, |gradient| / |distance|. No row's
    step oversteps its own minimum; for convex losses with a bounded gradient it is the weight of iteratively
    reweighted least squares (Huber 1964, doi 10.1214/aoms/1177703732; Holland and Welsch 1977, doi
    10.1080/03610927708827533). A best prediction at infinity counts as a logit of 37, which is certainty in float64.
    Rows nearer to their minimum than half the typical distance get the difference of gradients across that half
    instead: at a kink the gradient of an exact fit is zero, and yet moving it away has a price. Both derivatives are
    divided by the mean Hessian, so that regularisation of the booster means the same whatever the unit of the loss;
    of several predicted inputs each by its own. What is typical, and that mean, are taken over all rows of a few, and
    else over 32,768 rows from all over, so that one pass over the rows is enough.
``exact``
    The true second derivative, of several outputs the diagonal. It vanishes for robust losses and is negative for
    some others.
``upper_bound``
    The sum of absolute values of the row of the exact Hessian: of one output its absolute value; of softmax
    cross-entropy 2 p (1 - p), twice the diagonal, which XGBoost takes. LightGBM takes K / (K - 1) times the
    diagonal, after Friedman (2001, doi 10.1214/aos/1013203451). A common factor of all Hessians is the same as one
    of the learning rate where nothing is regularised. Of several predicted inputs, each in a unit of its own, it is
    the absolute diagonal times their number.
``gauss_newton``
    The second derivative where the target is what is predicted: what is left when the curvature of the link is
    weighed by a residual of zero, and for the losses of a mean or a probability the expected Hessian, as in Fisher's
    scoring. It is never negative, but needs a loss whose best prediction of a target is that target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from lossmith.errors import DomainError, ParameterError
from lossmith.frameworks.boosting import fused
from lossmith.frameworks.boosting.classes import Classes
from lossmith.frameworks.boosting.forms import CERTAIN, Derivatives, Form, Kind, OneNumber

Array = npt.NDArray[Any]
KINDS: tuple[Kind, ...] = get_args(Kind)

NEAR = 0.5
"""Share of the typical distance to the best prediction within which rows count as being there."""

SAMPLE, RUN = 2**15, 16
"""Rows that means are taken over where there are more, and how many of them lie side by side, as in a line of cache."""

_NEAREST = 1e-16  # where all predictions are the best ones, and there is no typical distance
_AGREES = 1e-6

Mean = Callable[[str, float, float], float]
"""The mean over all rows of what is named (``root``, ``hessian``), from its sum and weight over the rows at hand."""


def mean_here(what: str, total: float, weight: float) -> float:
    """Return the mean over the rows at hand, which are all there are."""
    return total / weight


class Curvature:
    """Weighted gradients and Hessians of some rows, by one kind of Hessian.

    Args:
        form: the loss.
        kind: of the Hessian.
        y: targets of the rows.
        weight: their weights, float64.
        scale: what both are divided by; by default the mean Hessian with ``floor``, and else 1.
        mean: how the means that ``floor`` needs are taken, where these are not all rows.
        often: whether these are one of many blocks of rows.
    """

    def __init__(
        self,
        form: Form,
        kind: Kind,
        y: Array,
        weight: Array | None,
        scale: float | None = None,
        mean: Mean = mean_here,
        *,
        often: bool = False,
    ) -> None:
        self.form, self.kind, self.weight, self.scale, self._mean = form, kind, weight, scale, mean
        self._y = y
        self._softmax = (
            isinstance(form, Classes)
            and form.softmax
            and (kind in ("exact", "floor") or (kind == "upper_bound" and form.twice))
        )
        self._best = form.best(y) if kind == "floor" and not self._softmax else None
        self._targets = form.narrow(y) if self._softmax and isinstance(form, Classes) else y
        self._total = float(len(y)) if weight is None else float(weight.sum())
        if self._fuses:
            self._rows = fused.Rows(form.loss, y, self._best, often=often)
            self._met = 0
            self._some = _some(len(y), weight) if kind == "floor" else None
            if self._some is not None:
                self._few = self._rows.at(self._some.of)
                self._heavy = None if weight is None else self._some.of(weight)

    @property
    def _fuses(self) -> bool:
        return isinstance(self.form, OneNumber) and self.kind != "gauss_newton"

    def into(self, raw: Array, gradient: Array, hessian: Array) -> None:
        """Write gradient and Hessian, weighted, at raw predictions.

        Args:
            raw: float64 or float32, of the form's shape.
            gradient, hessian: float32 arrays of that shape.

        Raises:
            DomainError: where one is no finite number, or a raw prediction lies outside the domain.
        """
        if self._fuses:
            self._fused(raw, gradient, hessian)
        elif self._softmax:
            self._over_classes(raw, gradient, hessian)
        else:
            self._plain(np.asarray(raw, np.float64), gradient, hessian)

    def _fused(self, raw: Array, gradient: Array, hessian: Array) -> None:
        loss, into, f = self.form.loss, (gradient, hessian), np.ascontiguousarray(raw)
        if self.kind != "floor":
            what = fused.exact(loss) if self.kind == "exact" else fused.bounded(loss)
            self._refuse(raw, self._rows.run(what, f, into, self.weight, self.scale or 1.0)[1])
        elif self._some is None:
            near = self._near(self._mean("root", self._rows.roots(f), float(len(f))))
            sums, wrong = self._floored(self._rows, f, near, into, self.weight)
            self._refuse(raw, wrong)
            factor = np.float32(1 / self._scale_of(sums))
            for array in into:
                array *= factor
        else:
            few, heavy = self._some.of(f), self._heavy
            share = len(few) / len(f)
            near = self._near(self._mean("root", self._few.roots(few) / share, float(len(f))))
            sums, wrong = self._floored(self._few, few, near, (), heavy)
            share = share if heavy is None else float(heavy.sum()) / self._total
            scale = self._scale_of(sums / share) if wrong is None else 1.0
            self._refuse(raw, self._floored(self._rows, f, near, into, self.weight, scale)[1])

    def _floored(
        self, rows: fused.Rows, f: Array, near: float, into: Sequence[Array], weight: Array | None, scale: float = 0.0
    ) -> tuple[float, int | None]:
        """Run the pass of a floor; without a scale the Hessian is summed.

        Where labels are certain, no row comes near to its best prediction, and one gradient is enough. Few losses have
        an infinite Hessian there, which is looked for last.
        """
        first, tried = self._met, ((False, False), (True, False), (True, True))
        for place in range(first, len(tried)):
            met, endless = tried[place]
            what = fused.floored(self.form.loss, apart=self._rows.apart, met=met, endless=endless, summed=not scale)
            sums, wrong = rows.run(what, f, into, weight, scale or 1.0, near=near)
            if wrong is None:
                self._met = place  # rows that are not near do not notice
                break
        return sums, wrong

    @staticmethod
    def _near(mean_root: float) -> float:
        # Mean of roots, squared: a few rows far out do not set the scale.
        near = NEAR * mean_root**2
        return near if near > fused.TINY else _NEAREST

    def _scale_of(self, sums: float) -> float:
        """Return the mean Hessian from its sum over all rows."""
        scale = self.scale or self._mean("hessian", sums, self._total)
        if not (0 < scale < np.inf):
            raise DomainError(f"{self.form.loss}: the mean Hessian is {scale:g}; rescale the targets")
        return scale

    @np.errstate(all="ignore")
    def _over_classes(self, raw: Array, gradient: Array, hessian: Array) -> None:
        """Write both where classes have probabilities: logits need no more than float32."""
        assert isinstance(self.form, Classes)
        logits = raw
        if raw.dtype != gradient.dtype or raw.strides != gradient.strides:
            logits = np.empty_like(gradient)
            logits[...] = raw
        self.form.fill(self._targets, logits, gradient, hessian)
        plain = self.form.twice  # then the diagonal is p (1 - p), and where that is finite so is the gradient
        if self.kind != "exact":
            np.multiply(hessian if plain else np.abs(hessian, out=hessian), 2, out=hessian)
        if self.kind == "floor":
            # The best logit is 37 of the true class and -37 of others.
            distance = logits + np.float32(CERTAIN)
            if self._targets.ndim == 1:
                rows = np.arange(len(raw))
                distance[rows, self._targets] = np.float32(CERTAIN) - logits[rows, self._targets]
            else:
                distance -= 2 * np.float32(CERTAIN) * self._targets
            np.maximum(np.abs(distance, out=distance), 1, out=distance)  # as good as there
            np.divide(gradient, distance, out=distance)
            np.maximum(hessian, np.abs(distance, out=distance), out=hessian)
            np.maximum(hessian, np.float32(fused.TINY), out=hessian)
        if not (_are_finite(hessian) and (plain or _are_finite(gradient))):
            self._refuse(raw, 0)
        factor = np.float32(1.0 if self.scale is None else 1 / self.scale)
        if self.kind == "floor" and self.scale is None:
            by_row = hessian.sum(axis=1, dtype=np.float64) / self.form.outputs
            total = float(by_row.sum() if self.weight is None else by_row @ self.weight)
            factor = np.float32(1 / self._mean("hessian", total, self._total))
        for array in (gradient, hessian):
            if self.weight is not None:
                array *= (self.weight * factor).astype(np.float32)[:, None]
            elif factor != 1:
                array *= factor

    def _plain(self, raw: Array, gradient: Array, hessian: Array) -> None:
        with np.errstate(all="ignore"):
            found, curvature = self._two(raw)
            valid = (np.abs(found) < fused.LARGEST) & (np.abs(curvature) < fused.LARGEST)
            if not valid.all():
                self._refuse(raw, int(np.argmin(valid.reshape(len(raw), -1).all(axis=1))))
            factor: Any = 1.0
            if self.weight is not None:
                factor = self.weight if found.ndim == 1 else self.weight[:, None]
            if self.kind == "floor" or self.scale:
                factor = factor / (self.scale or self._means(curvature))
            np.multiply(found, factor, out=gradient, casting="same_kind")
            np.multiply(curvature, factor, out=hessian, casting="same_kind")

    def _means(self, hessian: Array) -> Array:
        """Return the mean Hessian, or one of each column where those have units of their own."""
        totals = np.atleast_1d(hessian.sum(axis=0) if self.weight is None else self.weight @ hessian)
        if not self.form.units:
            totals = totals.mean(keepdims=True)
        found = [self._mean(f"hessian {place}", float(total), self._total) for place, total in enumerate(totals)]
        return np.array(found)

    def _two(self, raw: Array) -> Derivatives:
        gradient, exact = self.form.derivatives(self._y, raw)
        if self.kind == "exact":
            return gradient, exact
        if self.kind == "gauss_newton":
            return gradient, self._expected(raw)
        if self.kind == "upper_bound":
            return gradient, self.form.bound(self._y, raw, exact)
        inner = self.form.inner(raw)
        base = self.form.base(exact)
        if inner is None:
            floor, met = self._secant(raw, gradient)
            base = np.where(met & (base >= fused.LARGEST), 0.0, base)
        else:
            floor = self._carried(*inner)
        return gradient, np.maximum(base, np.maximum(floor, fused.TINY))

    def _secant(self, raw: Array, gradient: Array) -> tuple[Array, Array]:
        """Return slopes of secants to the best predictions, and which rows are near to theirs.

        Where best predictions are not known they count as 1 away.
        """
        best = np.nan if self._best is None else self._best
        distance = np.abs(raw - best)
        known = np.isfinite(distance)
        roots, count = float(np.sqrt(distance[known]).sum()), float(np.count_nonzero(known))
        near = self._near(self._mean("root", roots, count)) if count else 1.0
        distance = np.where(known, distance, 1.0)
        floor = np.abs(gradient) / np.maximum(distance, near)
        met = known & (distance < near)
        if met.any():
            above, below = (self.form.derivatives(self._y, raw + step * known)[0] for step in (near, -near))
            floor = np.where(met, np.maximum(floor, (above - below) / (2 * near)), floor)
        return floor, met

    def _carried(self, form: Form, raw: Array, slopes: Array) -> Array:
        """Return the floor of what raw predictions stand for, carried back by slopes and bounded by rows."""
        _, floor = Curvature(form, "floor", self._y, None, 1.0, self._mean)._two(raw)
        full = np.einsum("nik,ni,nil->nkl", slopes, floor, slopes)
        return np.asarray(np.abs(full).sum(axis=-1))

    def _expected(self, raw: Array) -> Array:
        slope, bend = self.form.expected(raw)
        if np.abs(slope).max(initial=0.0) > _AGREES * (1 + np.abs(bend).max(initial=0.0)):
            raise ParameterError(
                f"{self.form.loss}: hessian='gauss_newton' needs a loss whose best prediction of a target is that "
                "target, and this one's is another; take 'upper_bound' or 'floor'"
            )
        return bend

    def _refuse(self, raw: Array, at: int | None) -> None:
        """Refuse rows from one on of which some have no finite derivatives; the first is named."""
        if at is None:
            return
        loss, domain = self.form.loss, self.form.loss.domains.get("f")
        y, f = self._y[at:], np.asarray(raw[at:], np.float64)
        if domain is not None and isinstance(self.form, OneNumber):
            outside = [row for row, value in enumerate(f.tolist()) if not domain.includes(value)]
            if outside:
                row = outside[0]
                raise DomainError(
                    f"{loss}: the raw prediction of row {at + row} is {f[row]:g}, outside {domain}; {domain.hint}"
                )
        with np.errstate(all="ignore"):
            gradient, hessian = self.form.derivatives(y, f)
            second = "the Hessian"
            if self.kind == "gauss_newton":
                second, hessian = "the Hessian for a target that is the prediction", self.form.expected(f)[1]
            gradient, hessian = gradient.astype(np.float32), hessian.astype(np.float32)
        good = (np.isfinite(gradient) & np.isfinite(hessian)).reshape(len(f), -1).all(axis=1)
        row = int(np.argmin(good))
        safer = "" if self.kind == "floor" else "; hessian='floor' (the default) takes steps that overshoot no target"
        raise DomainError(
            f"{loss}: at row {at + row} the gradient is {gradient[row]} and {second} {hessian[row]}, which must be "
            f"finite in single precision; the target is {y[row]} and the raw prediction {f[row]}{safer}"
        )


class _Some:
    """Rows that means are taken over: runs of them from all over, always the same ones.

    Args:
        counted: the rows that count, in order.
        of: how many rows there are.
    """

    def __init__(self, counted: npt.NDArray[np.intp], of: int) -> None:
        self._all = len(counted) == of
        self.rows = counted if len(counted) <= SAMPLE else _spread(counted)

    def of(self, array: Array) -> Array:
        """Return what an array has at these rows."""
        return _spread(array) if self._all else array[self.rows]


def _spread(array: Array) -> Array:
    runs = SAMPLE // RUN
    apart = len(array) // runs
    found: Array = array[: runs * apart].reshape(runs, apart)[:, :RUN].ravel()
    return found


def _are_finite(array: Array) -> bool:
    """Return whether all numbers are finite; their sum is taken in double precision only where it is too large."""
    return bool(np.isfinite(array.sum()) or np.isfinite(array.sum(dtype=np.float64)))


def _some(rows: int, weight: Array | None) -> _Some | None:
    """Return which rows means are taken over; nothing where these are all.

    Rows without weight are none of them, since a sample of those alone would have no mean.
    """
    if rows <= SAMPLE:
        return None
    return _Some(np.arange(rows) if weight is None else np.flatnonzero(weight > 0), rows)
