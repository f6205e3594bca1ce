"""Derivatives by differences over tiny steps, in whatever arithmetic the function computes: the slow, obvious way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Numbers = Sequence[Any]


def moved(x: Numbers, by: Mapping[int, Any]) -> list[Any]:
    """Return numbers with some of them moved."""
    return [value + by.get(place, 0) for place, value in enumerate(x)]


def gradient(f: Callable[[list[Any]], Any], x: Numbers, steps: Numbers) -> list[Any]:
    """Return central differences of ``f`` at ``x``; 0 where the step is."""
    return [
        (f(moved(x, {place: step})) - f(moved(x, {place: -step}))) / (2 * step) if step else 0 * step
        for place, step in enumerate(steps)
    ]


def hessian(f: Callable[[list[Any]], Any], x: Numbers, steps: Numbers) -> list[list[Any]]:
    """Return second differences of ``f`` at ``x``; 0 where a step is."""
    here = f(list(x))
    found = [[0 * step for step in steps] for _ in steps]
    for i, a in enumerate(steps):
        for j, b in enumerate(steps[: i + 1]):
            if not a or not b:
                continue
            if i == j:
                value = (f(moved(x, {i: a})) - 2 * here + f(moved(x, {i: -a}))) / a**2
            else:
                corners = [f(moved(x, {i: a * s, j: b * r})) for s, r in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
                value = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * a * b)
            found[i][j] = found[j][i] = value
    return found
