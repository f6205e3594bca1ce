"""The cost of a linear model as a function of its parameters: value, gradient and products with the Hessian.

Parameters are the slopes of columns of unit spread, and an intercept for columns of mean zero, whatever the units of
the table: a change of variables that leaves the model what it is, and makes every table as well conditioned as the
correlations of its columns allow. With several outputs they are a matrix, one column each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss

Array = npt.NDArray[Any]

_NUMBERS = 1 << 25  # of matrices of rows, a quarter of a gigabyte
_STEP = 1e-5
_CONSTANT = 1e-14  # a spread that small, relative to the size of the column, is rounding
_CONSTANT_BY_SQUARES = 1e-7  # where it is the root of a difference of squares


class Design:
    """The columns of a table, dense or sparse, as a map from parameters to raw predictions.

    Args:
        X: rows by columns, float64; sparse ones stay so.
        weight: weights of the rows, with a sum of 1.
        intercept: whether there is one.
    """

    def __init__(self, X: Any, weight: Array, intercept: bool) -> None:
        self.intercept, self._dense = intercept, not hasattr(X, "multiply")
        squares = X * X if self._dense else X.multiply(X)
        mean, size = np.asarray(X.T @ weight), np.asarray(squares.T @ weight)
        self.mean = mean if intercept else np.zeros(mean.shape)
        columns = X - self.mean if self._dense else X
        squared = (columns * columns).T @ weight if self._dense else np.maximum(size - self.mean**2, 0.0)
        constant = _CONSTANT if self._dense else _CONSTANT_BY_SQUARES
        self.scale = np.where(squared > constant**2 * size, np.sqrt(squared), 1.0)
        self._columns = np.divide(columns, self.scale, out=columns) if self._dense else columns
        self.parameters = mean.size + intercept

    def predict(self, theta: Array) -> Array:
        """Return the raw predictions, (rows, outputs)."""
        slopes = theta[:-1] if self.intercept else theta
        if self._dense:
            found = self._columns @ slopes
        else:
            slopes = slopes / self.scale[:, None]
            found = self._columns @ slopes - self.mean @ slopes
        return np.asarray(found + theta[-1] if self.intercept else found)

    def adjoint(self, pulls: Array) -> Array:
        """Return what a change of each parameter does to a sum of raw predictions with these factors."""
        total = pulls.sum(axis=0, keepdims=True)
        found = self._columns.T @ pulls
        if not self._dense:
            found = (found - self.mean[:, None] * total) / self.scale[:, None]
        return np.concatenate([found, total]) if self.intercept else np.asarray(found)

    def settled(self, theta: Array, points: Array) -> Array:
        """Return parameters that are to have the proximal points of raw predictions: as they are."""
        return theta

    def coefficients(self, theta: Array) -> tuple[Array, Array]:
        """Return slopes by output and column, in the units of the table, and intercepts by output."""
        slopes = (theta[:-1] if self.intercept else theta) / self.scale[:, None]
        intercepts = theta[-1] - self.mean @ slopes if self.intercept else np.zeros(theta.shape[1])
        return slopes.T, np.asarray(intercepts)


class Slopes:
    """The map from parameters to the slopes alone, in the units of the table, which penalties are of."""

    def __init__(self, design: Design) -> None:
        self._scale, self._intercept = design.scale[:, None], design.intercept

    def predict(self, theta: Array) -> Array:
        """Return the slopes, (columns, outputs)."""
        return np.asarray((theta[:-1] if self._intercept else theta) / self._scale)

    def adjoint(self, pulls: Array) -> Array:
        """Return what a change of each parameter does to a sum of slopes with these factors."""
        found = pulls / self._scale
        return np.concatenate([found, np.zeros((1, pulls.shape[1]))]) if self._intercept else np.asarray(found)

    def settled(self, theta: Array, points: Array) -> Array:
        """Return the parameters with slopes of 0 where their proximal points are 0."""
        found = theta.copy()
        # Others may be off by a step still, at which the gap is blind: an absolute value has no kink on the way.
        found[: points.shape[0]][points == 0] = 0.0
        return found


@dataclass
class Bends:
    """A sum of functions at a place.

    Attributes:
        value: the sum; infinite outside the domain.
        slopes: derivatives, of the shape of the place.
        curvature: second derivatives, of that shape.
    """

    value: float
    slopes: Array
    curvature: Array

    def times(self, change: Array) -> Array:
        """Return how slopes change along a change of the place."""
        return np.asarray(self.curvature * change)


@dataclass
class RowBends(Bends):
    """The same where the numbers of a row couple.

    Attributes:
        along: ``change -> change of the slopes``.
    """

    along: Callable[[Array], Array]

    def times(self, change: Array) -> Array:
        """Return how slopes change along a change of the place."""
        return self.along(change)


class Function(Protocol):
    """A sum of functions of numbers that depend on the parameters by a map."""

    def at(self, place: Array) -> Bends:
        """Return value and derivatives."""


class RowLosses:
    """The weighted losses of the rows.

    Args:
        loss: on raw predictions.
        y: targets.
        weight: weights of the rows, with a sum of 1.
    """

    def __init__(self, loss: Loss, y: Array, weight: Array) -> None:
        self.loss, self.y, self.weight = loss, y, weight
        domain = loss.domains["f"]
        self.low, self.high = domain.low, domain.high

    def at(self, place: Array) -> Bends:
        """Return value and derivatives at raw predictions, (rows, outputs)."""
        nothing = np.zeros(place.shape)
        if not (np.isfinite(place).all() and (place > self.low).all() and (place < self.high).all()):
            return Bends(np.inf, nothing, nothing)
        couples = self.loss._couples
        raw = place if couples else place[:, 0]
        found = self.loss.evaluate(self.y, raw, ("losses", "gradient", "hessian"), trusted=True)
        value = float(self.weight @ found["losses"])
        bends = found["hessian"]
        endless = bends == np.inf  # as where a power between 1 and 2 is 0, which no step need take for a wall
        if endless.any():
            bends = np.where(endless, np.max(bends, where=~endless, initial=0.0) or 1.0, bends)
        if not (np.isfinite(value) and np.isfinite(found["gradient"]).all() and np.isfinite(bends).all()):
            return Bends(np.inf, nothing, nothing)
        w = self.weight[:, None]
        slopes, curvature = (w * part.reshape(place.shape) for part in (found["gradient"], bends))
        if not couples:
            return Bends(value, slopes, curvature)

        return RowBends(value, slopes, curvature, self._along(place, w))

    def _along(self, place: Array, w: Array) -> Callable[[Array], Array]:
        """Return how slopes change along a change: by matrices, or by differences where there is no room for them."""
        if place.size * place.shape[1] <= _NUMBERS:
            full = self.loss.evaluate(self.y, place, ("full_hessian",), trusted=True)["full_hessian"]
            return lambda change: w * np.einsum("nij,nj->ni", full, change)

        def differences(change: Array) -> Array:
            step = _STEP / max(float(np.abs(change).max()), np.finfo(float).tiny)
            ahead, behind = (
                self.loss.evaluate(self.y, place + side * step * change, ("gradient",), trusted=True)["gradient"]
                for side in (1, -1)
            )
            return np.asarray(w * (ahead - behind) / (2 * step))

        return differences


class Squares:
    """``strength`` times the sum of squares."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def at(self, place: Array) -> Bends:
        """Return value and derivatives."""
        twice = 2 * self.strength
        return Bends(self.strength * float(np.sum(place**2)), twice * place, np.full(place.shape, twice))


class Cost:
    """A sum of functions, each behind a map, of parameters that SciPy knows as one vector.

    Args:
        terms: maps and functions.
        shape: of the parameters.
        unit: what values are divided by.
    """

    def __init__(self, terms: list[tuple[Any, Function]], shape: tuple[int, int], unit: float) -> None:
        self.terms, self.shape, self.unit = terms, shape, unit
        self._known: tuple[bytes, list[Bends]] = (b"", [])

    def _at(self, vector: Array) -> list[Bends]:
        key = vector.tobytes()
        if self._known[0] != key:
            theta = vector.reshape(self.shape)
            self._known = key, [function.at(way.predict(theta)) for way, function in self.terms]
        return self._known[1]

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """Return value and gradient."""
        found = self._at(vector)
        gradient = sum(way.adjoint(part.slopes) for (way, _), part in zip(self.terms, found, strict=True))
        return sum(part.value for part in found) / self.unit, np.ravel(gradient) / self.unit

    def product(self, vector: Array, change: Array) -> Array:
        """Return the Hessian at a vector times a change of it."""
        step = change.reshape(self.shape)
        pairs = zip(self.terms, self._at(vector), strict=True)
        return np.ravel(sum(way.adjoint(part.times(way.predict(step))) for (way, _), part in pairs)) / self.unit
