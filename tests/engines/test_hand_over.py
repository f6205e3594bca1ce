"""Rows that the quicker way of divergences is not for: another kernel takes them, made when the first is met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines.choice import NoKernel
from lossmith.engines.llvm import divergence_kernel, threads

Array = np.ndarray
CLASSES = 40


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    divergence_kernel.divergence_kernel.clear()
    yield
    divergence_kernel.divergence_kernel.clear()
    threads.set_num_threads(None)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each module that is written, whether it is for such rows."""
    found: list[bool] = []
    write = divergence_kernel.module

    def module(*given: Any, slow: bool = False, **named: Any) -> str:
        found.append(slow)
        return write(*given, slow=slow, **named)

    monkeypatch.setattr(divergence_kernel, "module", module)
    return found


def logits(rows: int, near: int | None) -> dict[str, Array]:
    """Return rows far apart, but for one if it is told."""
    rng = np.random.default_rng(0)
    teacher, student = ((3 * rng.normal(size=(rows, CLASSES))).astype(np.float32) for _ in range(2))
    if near is not None:
        student[near] = teacher[near] + 1e-4 * rng.normal(size=CLASSES)
    return {"teacher": teacher, "student": student}


def test_it_is_made_when_the_first_such_row_is_met(made: list[bool]) -> None:
    loss = lm.Distillation(2.0)
    with choice.using("llvm"):
        loss.cost_and_gradient(**logits(50, None))
        assert made == [False]
        loss.cost_and_gradient(**logits(50, 7))
        loss.cost_and_gradient(**logits(50, 9), weight=np.ones(50))  # whose derivatives are multiplied before
        assert made == [False, True, False]


def test_such_a_row_is_what_it_is_alone_wherever_it_stands() -> None:
    """In place of what is read, with weights and a mask, by several threads that meet the first one at once."""
    threads.set_num_threads(2)
    rows, loss = 6000, lm.Distillation(2.0)
    given = logits(rows, None)
    near = np.arange(0, rows, 3)
    given["student"][near] = given["teacher"][near] + given["student"][near] * np.float32(1e-4)
    weight, mask = np.linspace(0, 2, rows), np.arange(rows) % 4 != 1
    with choice.using("numpy"):
        expected = loss.cost_and_gradient(**given, weight=weight, mask=mask, reduction="none")
    with choice.using("llvm"):
        found = loss.cost_and_gradient(**given, weight=weight, mask=mask, reduction="none", out=given["student"])
    assert found[1] is given["student"]
    for one, other, size in zip(found, expected, (1e-3, 1e-4), strict=True):
        np.testing.assert_allclose(one[near], other[near], rtol=2e-6, atol=1e-12)
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=size * 1e-3)


def test_where_it_cannot_be_made_the_reference_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    write = divergence_kernel.module

    def module(*given: Any, slow: bool = False, **named: Any) -> str:
        return "no module" if slow else write(*given, slow=slow, **named)

    monkeypatch.setattr(divergence_kernel, "module", module)
    loss, given = lm.Distillation(2.0), logits(50, 7)
    with choice.using("numpy"):
        expected = loss.cost_and_gradient(**given)
    assert loss.replace().cost(**given) == expected[0]
    np.testing.assert_array_equal(loss.replace().cost_and_gradient(**given)[1], expected[1])
    with choice.using("llvm"), pytest.raises(NoKernel, match="RuntimeError"):
        loss.replace().cost_and_gradient(**given)
