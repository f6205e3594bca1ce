"""Whether a relation holds: both sides on random and on hard inputs, brought together by the chain rule."""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mp
from scipy import special

import lossmith as lm
from lossmith.core.relation import Relation
from lossmith.engines import numpy as engine
from lossmith.program import derive, trace
from lossmith.structures.distance import Distance
from lossmith.structures.divergence import Divergence
from lossmith.structures.levels import Levels
from lossmith.structures.rows import Rows
from tests import exceptions

Array = np.ndarray
Inputs = dict[str, Array]
Nudge = tuple[str, int, int]
"""An input, one of its entries, and by how many units in the last place to move it."""

ROWS, CLASSES = 600, 3
ROUNDING = 1e-13
FREE = (0.1, 0.3, 0.45, 0.7, 1.0, 2.5, 8.0)
STEPS = (1e-4, 1e-8, 1e-12)
FAR = 1e-6
"""How near a limit is at the last step; every step of 10⁴ must bring it ten times nearer."""

HARD = (0.0, 0.3, 0.5, 1.0, 2.0, 2.5)
HARDER = (1e-100, 1e-30, 1e-9, 1e-3, 17.0, 36.0, 300.0)

EXCEPTIONS = exceptions.of("relations")

_FUNCTIONS: Mapping[str, Any] = {
    **{name: getattr(np, name) for name in ("log", "log1p", "exp", "abs")},
    "max": np.maximum,
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "log_factorial": np.vectorize(lambda x: float(mp.loggamma(mp.fadd(x, 1, exact=True))), otypes=[float]),
    "pi": math.pi,
    "sum": lambda x: np.sum(x, axis=-1),
}


# --- inputs ---------------------------------------------------------------------------------------


def kind_of(loss: lm.Loss) -> lm.Loss:
    """Return a loss, or the only term of a sum."""
    return loss.parts[0][1] if isinstance(loss, lm.Sum) else loss


def classes(*losses: lm.Loss) -> int:
    """Return how many classes a row has: as many as the vectors of the losses, or three."""
    lengths = [len(value) for loss in losses for value in kind_of(loss).values.values() if isinstance(value, tuple)]
    return lengths[0] if lengths else CLASSES


def sample(relation: Relation, left: lm.Loss, right: lm.Loss, t: float) -> Inputs:
    """Return inputs of the left loss: hard ones in every combination that chance brings, and random ones."""
    rng = np.random.default_rng(list(str(relation).encode()))
    plain, width = kind_of(left), classes(left, right)
    found = {}
    for item in plain.inputs:
        if isinstance(plain, Divergence):
            found[item.name] = _distribution(rng, plain.kinds[item.symbol != "p"], width)
        elif isinstance(plain, Rows) and item.symbol == "y" and plain.indices:
            found[item.name] = rng.integers(0, width, size=ROWS)
        elif isinstance(plain, Rows):
            kind = "probabilities" if item.symbol == "y" or plain.probabilities else "logits"
            found[item.name] = _distribution(rng, kind, width)
        else:
            assert not isinstance(plain, Distance | Levels), "rows without classes stand on the right"
            found[item.name] = _numbers(rng, plain, item.symbol, harder=relation.limit is None)
    if relation.where:
        kept = value(relation.where, found, t)
        assert np.sum(kept) >= 12, f"{relation}: hardly any input is where it holds"
        found = {name: values[kept] for name, values in found.items()}
    return found


def _numbers(rng: np.random.Generator, loss: lm.Loss, symbol: str, *, harder: bool) -> Array:
    domain = loss.domains[symbol]
    if domain.values:
        return rng.choice(np.array(domain.values, dtype=float), size=ROWS)
    pool = [sign * size for size in HARD + HARDER * harder for sign in (1, -1)]
    pool = [x for x in pool if domain.includes(x) and np.isfinite(x) and (x or domain.low < 0 or symbol == "y")]
    scale = np.clip(np.exp(2 * rng.normal(size=ROWS)), *((1e-6, 300.0) if harder else (0.05, 5.0)))
    plain = rng.choice([-1, 1], size=ROWS) * scale
    if domain.high == 1:
        plain = rng.uniform(size=ROWS)
    elif domain.low > -np.inf:
        plain = domain.low + scale
    elif domain.high < np.inf:
        plain = domain.high - scale
    return np.where(rng.uniform(size=ROWS) < 0.5, rng.choice(pool, size=ROWS), plain)


def _distribution(rng: np.random.Generator, kind: str, width: int) -> Array:
    logits = rng.normal(size=(ROWS, width)) * np.exp(rng.normal(size=(ROWS, 1)))
    logits[: ROWS // 5] = rng.choice([0.0, 1.0, -1.0, 30.0, -30.0], size=(ROWS // 5, width))
    if kind == "values":
        return np.exp(logits)
    if kind == "log_values":
        return logits
    if kind == "logits":
        return logits
    # Multiples of a power of two, so that rows sum to one exactly.
    shares = np.maximum(np.round(special.softmax(logits, axis=1) * 2.0**40), 1)
    places = np.arange(ROWS), shares.argmax(axis=1)
    shares[places] += 2.0**40 - shares.sum(axis=1)
    return shares / 2.0**40


# --- changes of inputs ------------------------------------------------------------------------------


def value(text: str, inputs: Inputs, t: float) -> Any:
    """Return what an expression of the inputs is."""
    width = next((array.shape[1] for array in inputs.values() if array.ndim == 2), CLASSES)
    helpers = {"one_hot": np.eye(width).__getitem__, "classes": width, "t": t}
    with np.errstate(all="ignore"):
        return eval(text, {"__builtins__": {}}, {**_FUNCTIONS, **helpers, **inputs})  # of our own table


@dataclass
class Expanded:
    """An expression of scalars and its derivatives by some of them."""

    value: Array
    slope: dict[str, Array]
    bend: dict[tuple[str, str], Array]


def expanded(text: str, columns: Inputs, by: list[str], t: float) -> Expanded:
    """Return an expression of columns, with the derivatives that the table of instructions gives it."""
    plain = np.broadcast_to(np.asarray(value(text, columns, t), dtype=float), next(iter(columns.values())).shape)
    moving = [name for name in by if name in _names(text)]
    if not moving:
        return Expanded(plain, {}, {})
    names = list(columns)

    def formula(ops: Any, s: Mapping[str, Any]) -> dict[str, Any]:
        known = {name: getattr(ops, name) for name in _FUNCTIONS if hasattr(type(ops), name) or name in _OPS}
        return {"value": eval(text, {"__builtins__": {}}, {**known, "pi": math.pi, "t": t, **s})}

    program = derive(trace(formula, names), moving, 2)
    found = engine.run(program, [np.ascontiguousarray(columns[name], dtype=float) for name in names], {})
    slope = {x: found[f"gradient:{x}"] for x in moving}
    bend = {}
    for place, x in enumerate(moving):
        for z in moving[place:]:
            bend[x, z] = bend[z, x] = found[f"hessian:{x},{z}"]
    return Expanded(plain, slope, bend)


_OPS = frozenset(("log", "log1p", "exp", "abs", "max", "sigmoid", "softplus"))


# --- both sides as dense derivatives ------------------------------------------------------------------


@dataclass
class Side:
    """Losses, gradients and Hessians of each row: (rows,), (rows, n), (rows, n, n), n entries to differentiate by."""

    losses: Array
    gradient: Array
    hessian: Array


def entries(inputs: Inputs, names: list[str]) -> list[tuple[str, int | None]]:
    """Return what derivatives are taken by: inputs, or the entries of their rows."""
    return [(name, k) for name in names for k in (range(inputs[name].shape[1]) if inputs[name].ndim == 2 else (None,))]


def side(loss: lm.Loss, inputs: Inputs, names: list[str]) -> Side:
    """Return a loss with its derivatives by all entries of some of its predicted inputs."""
    outputs = ["losses", "gradient", "hessian", *(["full_hessian"] if loss._couples else [])]
    found = loss.evaluate(outputs=outputs, trusted=True, **inputs)
    predicted = [item.name for item in loss.predicted]
    if len(predicted) == 1:
        only = predicted[0]
        found["gradient"], found["hessian"] = {only: found["gradient"]}, {only: found["hessian"]}
        found["full_hessian"] = {(only, only): found.get("full_hessian")}
    count = len(found["losses"])
    places, start = {}, 0
    for name in names:
        width = inputs[name].shape[1] if inputs[name].ndim == 2 else 1
        places[name], start = slice(start, start + width), start + width
    gradient, hessian = np.zeros((count, start)), np.zeros((count, start, start))
    for name, place in places.items():
        gradient[:, place] = found["gradient"][name].reshape(count, -1)
        for k in range(place.stop - place.start):
            hessian[:, place.start + k, place.start + k] = found["hessian"][name].reshape(count, -1)[:, k]
    if loss._couples:
        for (x, z), block in found["full_hessian"].items():
            if x in places and z in places:
                a, b = places[x], places[z]
                block = block.reshape(count, a.stop - a.start, b.stop - b.start)
                hessian[:, a, b] = block
                hessian[:, b, a] = np.swapaxes(block, 1, 2)
    return Side(found["losses"], gradient, hessian)


def carried(
    relation: Relation,
    right: lm.Loss,
    inputs: Inputs,
    by: list[str],
    t: float,
    nudge: tuple[str, int, int] = ("", 0, 0),
) -> tuple[Side, Side]:
    """Return the right side in terms of the left inputs, and the sizes of what was added up on the way.

    One of the right loss's inputs can be moved by a unit in the last place, if it was computed: what that
    changes cannot be held against the relation.
    """
    base = entries(inputs, by)
    rows = len(next(iter(inputs.values())))
    given: Inputs = {}
    jacobian: list[Array] = []
    curvature: list[Array] = []
    predicted = [item.name for item in right.predicted]
    for item in right.inputs:
        text = relation.at.get(item.name, item.name)
        parts = text if isinstance(text, tuple) else (text,)
        fixed = item.name not in predicted
        if fixed or (len(parts) == 1 and not isinstance(text, tuple) and _width(parts[0], inputs)):
            array = np.asarray(value(str(text), inputs, t), dtype=float)
            shape = (rows, *array.shape[-1:]) if array.ndim == 2 else (rows,)
            array = np.broadcast_to(array, shape)
            columns = range(shape[1]) if len(shape) == 2 and not fixed else ()
            parts_of = [(str(text), k) for k in columns]
        else:
            parts_of = [(part, None) for part in parts]
            array = None
        values = []
        for part, k in parts_of:
            scalars = {name: data if k is None or data.ndim == 1 else data[:, k] for name, data in inputs.items()}
            found = expanded(part, scalars, by, t)
            jac, cur = np.zeros((rows, len(base))), np.zeros((rows, len(base), len(base)))
            for a, (x, i) in enumerate(base):
                if x in found.slope and i == (k if inputs[x].ndim == 2 else None):
                    jac[:, a] = found.slope[x]
                    for b, (z, j) in enumerate(base):
                        if (x, z) in found.bend and j == (k if inputs[z].ndim == 2 else None):
                            cur[:, a, b] = found.bend[x, z]
            values.append(found.value)
            jacobian.append(jac)
            curvature.append(cur)
        if array is None:
            array = np.stack(values, axis=1) if isinstance(text, tuple) else values[0]
        if nudge[0] == item.name and _computed(text, inputs) and not right.domains[item.symbol].values:
            array = _moved(array, *nudge[1:])
        given[item.name] = np.ascontiguousarray(array)
    plain = side(right, given, predicted)
    j, c = np.stack(jacobian, axis=1), np.stack(curvature, axis=1)
    weight = np.broadcast_to(np.asarray(value(relation.times, inputs, t), dtype=float), (rows,))

    def through(j: Array, c: Array, g: Array, h: Array, w: Array, losses: Array) -> Side:
        with np.errstate(all="ignore"):
            bent = np.einsum("nav,nab,nbw->nvw", j, h, j) + np.einsum("na,navw->nvw", g, c)
            return Side(w * losses, w[:, None] * np.einsum("nav,na->nv", j, g), w[:, None, None] * bent)

    found = through(j, c, plain.gradient, plain.hessian, weight, plain.losses)
    sizes = through(*map(np.abs, (j, c, plain.gradient, plain.hessian, weight, plain.losses)))
    if relation.plus:
        extra = np.broadcast_to(np.asarray(value(relation.plus, inputs, t), dtype=float), (rows,))
        found.losses, sizes.losses = found.losses + extra, sizes.losses + np.abs(extra)
        more = expanded(relation.plus, inputs, by, t) if any(data.ndim == 1 for data in inputs.values()) else None
        for a, (x, _) in enumerate(base):
            if more and x in more.slope:
                found.gradient[:, a] += more.slope[x]
                sizes.gradient[:, a] += np.abs(more.slope[x])
                for b, (z, _) in enumerate(base):
                    if (x, z) in more.bend:
                        found.hessian[:, a, b] += more.bend[x, z]
                        sizes.hessian[:, a, b] += np.abs(more.bend[x, z])
    return found, sizes


def _computed(text: str | tuple[str, ...], inputs: Inputs) -> bool:
    """Return whether an input of the right loss is more than an input of the left one."""
    return any(part not in inputs for part in ((text,) if isinstance(text, str) else text))


def _names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def _width(text: str, inputs: Inputs) -> bool:
    return any(name in _names(text) and data.ndim == 2 for name, data in inputs.items())


# --- the law ------------------------------------------------------------------------------------------


def misses(relation: Relation) -> Iterator[str]:
    """Yield what is wrong with a relation; nothing when it holds."""
    if relation.limit is not None:
        yield from _limit_misses(relation)
        return
    for t in frees(relation):
        for name, off, allowed, _ in deviations(relation, t):
            wrong = ~(off <= allowed)
            if wrong.any():
                row = int(np.argwhere(wrong)[0][0])
                yield f"{name} differs by {off[wrong][0]:.3g} at t = {t:g}, row {row}"


def _limit_misses(relation: Relation) -> Iterator[str]:
    ends = {0.0: STEPS, math.inf: [1 / step for step in STEPS], -math.inf: [-1 / step for step in STEPS]}
    last: dict[str, float] = {}
    for t in ends[relation.limit]:
        for name, off, _, size in deviations(relation, t):
            share = float(np.max(off / (1 + size), initial=0.0))
            if not share <= max(last.get(name, math.inf) / 10, 1e-10):
                yield f"{name} does not come near: {share:.3g} at t = {t:g}"
            last[name] = share
    yield from (f"{name} stays {share:.3g} away" for name, share in last.items() if not share <= FAR)


def frees(relation: Relation) -> list[float]:
    """Return the values of the free number to try."""
    found = [t for t in FREE if eval(relation.t, {"__builtins__": {}}, {"t": t})] if relation.t else [1.0]
    assert found, relation
    return found


def deviations(relation: Relation, t: float) -> Iterator[tuple[str, Array, Array, Array]]:
    """Yield, for each output, how far both sides are apart, how far they may be, and how large they are."""
    left, right = relation.sides(t)
    inputs = sample(relation, left, right, t)
    by = [item.name for item in left.predicted] if relation.by is None else list(relation.by)
    mine = side(left, inputs, by)
    theirs, sizes = carried(relation, right, inputs, by, t)
    beside = [*_nearby_left(left, inputs, by, classes(left, right)), *_nearby_right(relation, right, inputs, by, t)]
    for name in ("losses", "gradient", "hessian") if by else ("losses",):
        one, two, size = (getattr(of, name) for of in (mine, theirs, sizes))
        # Where a factor of the chain rule is beyond the numbers, there is nothing to compare with.
        reached = np.isfinite(size)
        assert reached.mean() > 0.5, f"{relation}: {name} compared in {reached.mean():.0%} of all places"
        one, two, size = (np.where(reached, array, 0) for array in (one, two, size))
        size = np.maximum(np.abs(one), size)
        allowed = ROUNDING * size + 1e-300 + EXCEPTIONS.get((relation.left, relation.right, name), 0.0)
        for nearer, farther in beside:
            # Between one and two units away there is no jump left, if one was at the point: it is not forgiven.
            with np.errstate(invalid="ignore"):
                change = np.abs(getattr(farther, name) - getattr(nearer, name))
            allowed += 8 * np.where(np.isfinite(change), change, 0)
        yield name, np.abs(one - two), allowed, size


def _nearby_left(left: lm.Loss, inputs: Inputs, by: list[str], width: int) -> Iterator[tuple[Side, Side]]:
    """Yield the left side with an input moved by one and by two units in the last place."""
    for item, k in itertools.product(left.inputs, range(width)):
        if _real(left, item):
            one, two = (side(left, {**inputs, item.name: _moved(inputs[item.name], k, n)}, by) for n in (1, 2))
            yield one, two


def _nearby_right(
    relation: Relation, right: lm.Loss, inputs: Inputs, by: list[str], t: float
) -> Iterator[tuple[Side, Side]]:
    """Yield the right side likewise, where its inputs were computed."""
    for item, k in itertools.product(right.inputs, range(classes(right))):
        if item.name in relation.at:
            one, two = (carried(relation, right, inputs, by, t, (item.name, k, n))[0] for n in (1, 2))
            yield one, two


def _moved(array: Array, entry: int, units: int) -> Array:
    """Return numbers smaller by some units in the last place; of each row, one entry."""
    moved = array.astype(float)
    at = moved if array.ndim == 1 else moved[:, min(entry, array.shape[1] - 1)]
    at *= 1 - units * 2.0**-52
    return moved


def _real(loss: lm.Loss, item: Any) -> bool:
    """Return whether an input is a real number, and not one of a few labels or an index."""
    plain = kind_of(loss)
    index = isinstance(plain, Rows) and item.symbol == "y" and plain.indices
    return not index and not plain.domains[item.symbol].values
