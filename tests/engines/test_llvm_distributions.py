"""Rows of probabilities of which one number each is computed with: the others are looked at where they lie."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines.limits import SUM_TOLERANCE
from tests.engines.guarded import Rooms

Array = np.ndarray
LOSS = lm.SparseCategoricalCrossEntropy(prediction="probabilities")
CLASSES = [1, 2, 3, 7, 8, 9, 10, 17, 100]
each_type = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def sample(rows: int, classes: int, dtype: Any) -> tuple[Array, Array]:
    rng = np.random.default_rng(classes)
    p = rng.exponential(size=(rows, classes))
    return rng.integers(0, classes, rows), (p / p.sum(axis=1, keepdims=True)).astype(dtype)


def said(engine: choice.Name, y: Array, p: Array, **given: Any) -> Any:
    """Return the losses, or what is said of them."""
    with choice.using(engine):
        try:
            return LOSS(y, p, reduction="none", **given)
        except lm.DomainError as error:
            return str(error)


@each_type
@pytest.mark.parametrize("classes", CLASSES)
def test_losses_are_what_the_reference_says(classes: int, dtype: Any) -> None:
    rng, rooms = np.random.default_rng(0), Rooms(200 * 8 * classes)
    for rows in (1, 7, 8, 9, 31, 200):
        y, p = sample(rows, classes, dtype)
        p[0], y[0] = 0.0, classes - 1
        p[0, y[0]] = 1.0
        p[-1] *= 1 - 0.9 * SUM_TOLERANCE
        if classes > 1:
            p[0, 0] = -0.0
        mask = rng.random(rows) < 0.8
        for more in ({}, {"mask": mask}, {"weight": rng.choice([0.0, 0.5], rows), "mask": mask}):
            rooms.empty()
            given = rooms.hold(p)
            given[~more.get("mask", np.ones(rows, bool))] = np.nan
            found = said("llvm", rooms.hold(y), given, **more)
            np.testing.assert_allclose(found, said("numpy", y, given, **more), rtol=3e-7)
        with choice.using("llvm"):
            cost = LOSS.cost(y, p)
            assert abs(cost - LOSS.cost_and_gradient(y, p)[0]) <= 1e-15 * rows


@each_type
@pytest.mark.parametrize("classes", CLASSES)
def test_rows_that_are_none_are_named(classes: int, dtype: Any) -> None:
    for rows, place in itertools.product((7, 29), (0, 3, -1)):
        for change in (np.nan, np.inf, -np.inf, -1e-30, np.nextafter(dtype(1), dtype(2)), 0.0):
            y, p = sample(rows, classes, dtype)
            p[place] = np.arange(classes) == classes - 1  # a row that nothing but the change makes none
            p[place, -1 if change == 0 or change > 1 else 0] = change
            message = said("numpy", y, p)
            assert isinstance(message, str), change
            assert f"[{place % rows}]" in message
            assert said("llvm", y, p) == message
        for label in (-1, classes):
            y, p = sample(rows, classes, dtype)
            y[place] = label
            with choice.using("llvm"), pytest.raises(lm.DomainError, match=rf"y_true\[{place % rows}\]"):
                LOSS.cost(y, p)


@each_type
@pytest.mark.parametrize("classes", [2, 10, 100, 3000])
def test_rows_that_nearly_miss_the_tolerance_are_summed_in_double_precision(classes: int, dtype: Any) -> None:
    rng = np.random.default_rng(classes)
    unit = np.finfo(dtype).eps
    for _ in range(60):
        row = sample(1, classes, dtype)[1][0] * rng.random(classes).astype(dtype)
        place = int(np.argmax(row))
        row[place] = 0.0
        row *= dtype(0.5 / row.sum())
        side = rng.choice([-1, 1])
        row[place] = 1 + side * (SUM_TOLERANCE + unit * rng.integers(-20, 20) / 8) - row.sum(dtype=np.float64)
        exact = 0.0
        for number in row.tolist():
            exact += number
        if abs(abs(exact - 1) - SUM_TOLERANCE) < 1e-13 and dtype == np.float64:
            continue  # where the order of a sum decides
        inside = abs(exact - 1) <= SUM_TOLERANCE
        y, p = np.zeros(16, int), np.tile(row, (16, 1))
        assert isinstance(said("llvm", y, p), str) != inside
