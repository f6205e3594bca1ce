"""Traits of the losses that are no function of a few numbers: divergences, distances, levels. Proved both ways."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.core.card import Traits
from lossmith.structures.distance import Distance
from lossmith.structures.divergence import Divergence
from lossmith.structures.levels import Levels
from tests.laws.samples import Array, each_part

NAMES = [
    pytest.param(name, marks=[pytest.mark.engines] if issubclass(lm.loss_class(name), Divergence) else [])
    for name in lm.names()
    if issubclass(lm.loss_class(name), (Divergence, Distance, Levels))
]
"""Of these, kernels know divergences alone."""

POINTS = 20_001
LINES = 12


def raw(loss: Loss) -> tuple[Loss, list[str]]:
    """Return the loss as traits speak of it, and the inputs that move."""
    if isinstance(loss, Divergence):
        return loss.raw_form, [loss.focus.name]
    return loss, [item.name for item in loss.predicted]


def edges(loss: Loss) -> list[Loss]:
    """Return the loss with its defaults and at the ends of what is typical for its parameters."""
    ends = [{name: end} for name, item in type(loss).parameters().items() for end in item.typical]
    return [loss, *(loss.replace(**change) for change in ends)]


def line(loss: Loss, seed: int, far: float = 1.0) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return many points on a line through the inputs that move, and how far each moves along it."""
    _, moving = raw(loss)
    start, end = (sample(loss, 1, seed=each) for each in (seed, seed + 500))
    steps, points, way = np.linspace(0, 1, POINTS), {}, {}
    for name, array in start.items():
        way[name] = far * (end[name] - array)[0] * (name in moving)
        here = array[0] * (far if name in moving else 1)
        points[name] = here + steps.reshape(-1, *(1,) * here.ndim) * way[name]
    return points, {name: way[name] for name in moving}


def slope(loss: Loss, points: dict[str, Array], way: dict[str, Array]) -> Array:
    """Return the derivative of the loss along the line."""
    found = dict(each_part(loss.gradient(**points)))
    with np.errstate(over="ignore"):
        parts = [found.get(name, found.get("")) * step for name, step in way.items()]  # type: ignore[operator]
        return np.asarray(sum(part.reshape(POINTS, -1).sum(axis=1) for part in parts))


def leap(values: Array) -> float:
    """Return the largest step between neighbours as a share of the whole range."""
    steps = np.abs(np.diff(values))
    return float(steps.max() / max(np.ptp(values), 1e-12))


def measured(loss: Loss) -> Traits:
    """Return the traits that a loss shows along lines through ordinary points."""
    form, _ = raw(loss)
    lines = [line(form, seed) for seed in range(1, LINES + 1)]
    slopes = [slope(form, *each) for each in lines]
    losses = [form.losses(**points) for points, _ in lines]
    bends = [np.diff(values) for values in slopes]
    growth = [np.abs(slope(form, *line(form, seed, far))).max() / far for seed in range(1, 5) for far in (1.0, 100.0)]
    return Traits(
        convex=all(np.all(bend >= -1e-9 * max(1.0, float(np.abs(bend).max()))) for bend in bends),
        differentiable=max(leap(values) for values in slopes) < 0.05,
        smooth=max(max(leap(bend) for bend in bends), max(leap(values) for values in slopes)) < 0.05,
        lipschitz=max(growth[1::2]) < 30 * max(growth[::2]),
        symmetric=exchanges(loss),
        nonnegative=min(float(values.min()) for values in losses) >= 0,
    )


def exchanges(loss: Loss) -> bool:
    """Return whether a divergence is the same with p and q exchanged."""
    if not isinstance(loss, Divergence):
        return False
    names = [item.name for item in loss.inputs]
    data = sample(loss, 50)
    return np.allclose(loss.losses(**data), loss.losses(**dict(zip(names, reversed(data.values()), strict=True))))


def as_declared(loss: Loss, traits: Traits) -> None:
    """What is declared true holds for every edge of the parameters, and what is declared false fails for one."""
    found = [measured(each) for each in edges(loss)]
    for item in fields(Traits):
        holds = all(getattr(each, item.name) for each in found)
        assert holds == getattr(traits, item.name), (loss, item.name, holds)


@pytest.mark.parametrize("name", NAMES)
def test_traits_are_as_declared(name: str) -> None:
    as_declared(lm.get(name), lm.get(name).card.traits)


@pytest.mark.parametrize("trait", [item.name for item in fields(Traits)])
@pytest.mark.parametrize("name", ["kl_divergence", "triplet"])
def test_a_trait_that_is_declared_wrong_is_found(name: str, trait: str) -> None:
    traits = lm.get(name).card.traits
    with pytest.raises(AssertionError, match=trait):
        as_declared(lm.get(name), replace(traits, **{trait: not getattr(traits, trait)}))
