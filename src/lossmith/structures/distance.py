"""The distance structure: losses of the distances between given embeddings.

The formula sees distances; their derivatives are carried back to the embeddings in closed form.
At a distance of 0 a norm has no direction: its gradient and Hessian are taken to be 0 there, and
so are those of a cosine with a vector of zeros, whose distance to everything is 1.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from lossmith.core.contract import Batch
from lossmith.core.domain import REAL, Domain
from lossmith.core.parameter import Option
from lossmith.core.rows import agree, prepare_rows
from lossmith.core.section import Section, points_between
from lossmith.engines.hosts import REFERENCE, Host
from lossmith.errors import DomainError
from lossmith.structures.row_math import place
from lossmith.structures.written import Written

Array = Any


@dataclass(frozen=True)
class Measured:
    """Distances between rows of two embeddings ``u`` and ``v``, with derivatives.

    Attributes:
        value: (rows,).
        by_u, by_v: gradients, (rows, n).
        by_uu, by_uv, by_vv: second derivatives, (rows, n, n), or their diagonals (rows, n), or nothing.
    """

    value: Array
    by_u: Array
    by_v: Array
    by_uu: Array = None
    by_uv: Array = None
    by_vv: Array = None


def norm(xp: Any, x: Array) -> Array:
    """Return the Euclidean norm of each row, which neither overflows nor underflows before its time."""
    largest = xp.held(xp.amax(xp.abs(x), axis=-1))
    ordinary = (largest > 0) & (largest < math.inf)
    scale = xp.where(ordinary, largest, 1.0)
    squares = xp.sum(xp.square(x / scale[..., None]), axis=-1)
    return xp.where(ordinary, scale * xp.sqrt(xp.where(ordinary, squares, 1.0)), largest)


def squared(xp: Any, u: Array, v: Array, full: bool | None = None) -> Measured:
    """Return squared Euclidean distances."""
    difference = u - v
    first = xp.sum(difference**2, axis=-1), 2 * difference, -2 * difference
    if full is None:
        return Measured(*first)
    second = 2 * _unit(u, full)
    return Measured(*first, second, -second, second)


def euclidean(xp: Any, u: Array, v: Array, full: bool | None = None) -> Measured:
    """Return Euclidean distances; all derivatives are 0 where the embeddings coincide."""
    difference = u - v
    size = norm(xp, difference)
    apart = size[..., None] > 0
    scale = xp.where(apart, size[..., None], 1.0)
    away = xp.where(apart, difference / scale, 0.0)
    if full is None:
        return Measured(size, away, -away)
    if full:
        second = np.where(apart[..., None], (_unit(u, full) - _outer(away, away)) / scale[..., None], 0)
    else:
        # 1 - n² of a coordinate that is almost all of the distance comes from the other coordinates.
        second = np.where(apart, _rest(away) / scale, 0)
    return Measured(size, away, -away, second, -second, second)


def cosine(xp: Any, u: Array, v: Array, full: bool | None = None) -> Measured:
    """Return 1 minus the cosine; it is 1 with derivatives 0 where an embedding is zero."""
    sizes = norm(xp, u), norm(xp, v)
    both = ((sizes[0] > 0) & (sizes[1] > 0))[..., None]
    lengths = [xp.where(both, size[..., None], 1.0) for size in sizes]
    a, b = (xp.where(both, x / length, 0.0) for x, length in zip((u, v), lengths, strict=True))
    near, far = xp.sum((a - b) ** 2, axis=-1) / 2, xp.sum((a + b) ** 2, axis=-1) / 2
    # 1 - c and 1 + c from differences of unit vectors: neither cancels.
    value = xp.where(both[..., 0], xp.where(near < 1, near, 2 - far), 1.0)
    c = (1 - value)[..., None]
    short, long = value[..., None], xp.where(both, xp.where(near < 1, 2 - near, far)[..., None], 1.0)
    # b - c a, the part of b across a, again without cancellation where the two point alike or apart.
    across_a = xp.where(c > 0, (b - a) + short * a, (b + a) - long * a)
    across_b = xp.where(c > 0, (a - b) + short * b, (a + b) - long * b)
    by_u, by_v = -across_a / lengths[0], -across_b / lengths[1]
    if full is None:
        return Measured(value, by_u, by_v)
    if full:
        eye = _unit(u, full)
        uu = _outer(a, across_a) + _outer(across_a, a) + c[..., None] * (eye - _outer(a, a))
        vv = _outer(b, across_b) + _outer(across_b, b) + c[..., None] * (eye - _outer(b, b))
        uv = -(eye - _outer(a, a) - _outer(b, b) + c[..., None] * _outer(a, b))
        lengths = [length[..., None] for length in lengths]
        both = both[..., None]
    else:
        uu, vv = 2 * a * across_a + c * _rest(a), 2 * b * across_b + c * _rest(b)
        uv = -(1 - a * a - b * b + c * a * b)
    # One length after the other: their squares may be no numbers.
    parts = (uu / lengths[0] / lengths[0], uv / lengths[0] / lengths[1], vv / lengths[1] / lengths[1])
    return Measured(value, by_u, by_v, *(np.where(both, part, 0) for part in parts))


def _unit(u: Array, full: bool) -> Array:
    n = u.shape[-1]
    return np.broadcast_to(np.eye(n), (*u.shape[:-1], n, n)) if full else np.ones_like(u)


def _outer(a: Array, b: Array) -> Array:
    found: Array = a[..., :, None] * b[..., None, :]
    return found


def _rest(unit: Array) -> Array:
    """Return 1 - n² of each coordinate of unit vectors."""
    squares = np.square(unit)
    largest = np.arange(unit.shape[-1]) == np.argmax(squares, axis=-1)[..., None]
    others = np.sum(np.where(largest, 0, squares), axis=-1, keepdims=True)
    return np.where(largest, others, 1 - squares)


DISTANCES = {"euclidean": euclidean, "squared": squared, "cosine": cosine}


class Distance(Written):
    """A loss of the distances of pairs of embeddings, which lie along the last axis.

    A subclass gives ``card``, ``inputs``, ``pairs`` and ``formula`` of the distances.
    """

    pairs: ClassVar[tuple[tuple[str, str], ...]]
    """The two inputs behind each symbol of the formula."""

    distance = Option(
        "euclidean",
        tuple(DISTANCES),
        doc="how far two embeddings are: the norm of their difference, its square, or 1 minus their cosine",
    )

    @property
    def wrt(self) -> tuple[str, ...]:
        """All of its symbols."""
        return self.symbols

    @property
    def row_axis(self) -> int | None:
        """That of the coordinates: the last."""
        return -1

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Domain of the coordinates of each embedding."""
        return MappingProxyType({item.symbol: REAL for item in self.inputs})

    @property
    def _couples(self) -> bool:
        return True

    @np.errstate(over="ignore", invalid="ignore")
    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        arguments = [(item, given[item.name]) for item in self.inputs]
        return prepare_rows(type(self).__name__, arguments, weight, mask, along="coordinates")

    def row_axis_of(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """Return the axis of the coordinates; see ``Traceable.row_axis_of``."""
        return agree(type(self).__name__, self.inputs, shapes, along="coordinates")[0]

    def _stream(
        self, batch: Batch, outputs: Sequence[str], first: int = 0
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        for start, stop, given in batch.blocks(first):
            with np.errstate(all="ignore"):
                wide = {symbol: array.astype(np.float64) for symbol, array in given.items()}
                yield start, stop, self.compute(REFERENCE, wide, (*outputs, "valid"))

    def compute(self, host: Host, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return outputs of each example; see ``Traceable.compute``."""
        xp = host.xp
        results: dict[str, Array] = {}
        bends = [output for output in outputs if "hessian" in output]
        found = self._measured(xp, given, False if bends else None)
        slopes = [f"gradient:{symbol}" for symbol in self.symbols if any(":" in output for output in outputs)]
        names = ["value", *slopes] if not bends else [name for name, _ in self.program(2).outputs]
        parts = host.run(self, "formula", names, [found[symbol].value for symbol in self.symbols])
        for output in outputs:
            what, _, symbol = output.partition(":")
            if what == "valid":
                results[output] = xp.all(xp.isfinite(xp.stack([given[item.symbol] for item in self.inputs])), axis=0)
                results[output] = xp.all(results[output], axis=-1)
            elif what == "losses":
                results[output] = parts["value"]
            elif what == "gradient":
                results[output] = self._gradient(xp, symbol, found, parts)
        return results | (self._bends(given, bends, found, parts) if bends else {})

    def _bends(
        self, given: Mapping[str, Array], outputs: Sequence[str], found: Mapping[str, Measured], parts: dict[str, Array]
    ) -> dict[str, Array]:
        """Return second derivatives, which NumPy alone is asked for."""
        full = any(output.startswith("full") for output in outputs)
        measured = self._measured(REFERENCE.xp, given, True) if full else {}
        results: dict[str, Array] = {}
        for output in outputs:
            x, z = output.partition(":")[2].split(",")
            results[output] = self._second(x, z, found, parts)
            if output.startswith("full"):
                blocks = self._second(x, z, measured, parts)
                # The diagonal has digits of its own.
                results[output] = place(REFERENCE.xp, blocks, results[output]) if x == z else blocks
        return results

    def _measured(self, xp: Any, given: Mapping[str, Array], full: bool | None) -> dict[str, Measured]:
        measure = DISTANCES[str(self.distance)]
        return {s: measure(xp, given[u], given[v], full) for s, (u, v) in zip(self.symbols, self.pairs, strict=True)}

    @property
    @abstractmethod
    def held(self) -> float:
        """The second distance, as pictures hold it."""

    def section(
        self, value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
    ) -> Section:
        """Return the loss against its first distance; ``value`` is the second, which is held."""
        far = self.held if value is None else float(value)
        first, second = (next(i.name for i in self.inputs if i.symbol == pair[1]) for pair in self.pairs)
        if not 0 <= far < np.inf:
            raise DomainError(f"{self}: the distance to the {second} must be finite and at least 0, got {far:g}")
        x = points_between(self, between or (0.0, far + self.held / 2), points)
        found = self._along(x, np.full(points, far))
        return Section(f"at a {second} distance of {far:g}", f"distance to the {first}", far, x, *found, best=0.0)

    def _along(self, *distances: Array) -> tuple[Array, Array, Array]:
        """Return the formula and its first and second derivative by the first distance."""
        first = self.symbols[0]
        names = ("value", f"gradient:{first}", f"hessian:{first},{first}")
        found = REFERENCE.run(self, "formula", names, distances)
        return found[names[0]], found[names[1]], found[names[2]]

    def _gradient(self, xp: Any, wrt: str, found: Mapping[str, Measured], parts: Mapping[str, Array]) -> Array:
        total: Any = 0.0
        for symbol, pair in zip(self.symbols, self.pairs, strict=True):
            if wrt in pair:
                total = total + _times(xp, parts[f"gradient:{symbol}"], _slope(found[symbol], pair, wrt))
        return total

    def _second(self, x: str, z: str, found: Mapping[str, Measured], parts: Mapping[str, Array]) -> Array:
        """Return second derivatives: the diagonal, or blocks where those of the distances are."""
        shape = next(iter(found.values())).by_uu.shape
        total = np.zeros(shape)
        pairs = dict(zip(self.symbols, self.pairs, strict=True))
        for place_of, s in enumerate(self.symbols):
            if x in pairs[s] and z in pairs[s]:
                total = total + _times(np, parts[f"gradient:{s}"], _bend(found[s], pairs[s], x, z))
            for t in self.symbols:
                if x in pairs[s] and z in pairs[t]:
                    key = f"hessian:{s},{t}" if place_of <= self.symbols.index(t) else f"hessian:{t},{s}"
                    a, b = _slope(found[s], pairs[s], x), _slope(found[t], pairs[t], z)
                    total = total + _times(np, parts[key], _outer(a, b) if len(shape) > a.ndim else a * b)
        return total


def _times(xp: Any, factor: Array, derivative: Array) -> Array:
    """Return a factor of each row times the row's derivatives; what does not count is 0 even of infinities."""
    factor = factor[(..., *(None,) * (derivative.ndim - factor.ndim))]
    return xp.where(factor == 0, 0.0, factor * derivative)


def _slope(measured: Measured, pair: tuple[str, str], wrt: str) -> Array:
    return measured.by_u if wrt == pair[0] else measured.by_v


def _bend(measured: Measured, pair: tuple[str, str], x: str, z: str) -> Array:
    if x == z:
        return measured.by_uu if x == pair[0] else measured.by_vv
    if x == pair[0]:
        return measured.by_uv
    return np.swapaxes(measured.by_uv, -1, -2) if measured.by_uv.ndim == 3 else measured.by_uv
