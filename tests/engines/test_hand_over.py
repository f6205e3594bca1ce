"""Rows that the quicker way of divergences is not for: another kernel takes them, made when the first is met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines.choice import NoKernel
from lossmith.engines.llvm import divergence_kernel, divergence_quick, threads
from lossmith.engines.llvm.divergence_form import DivergenceForm, Formulas

Array = np.ndarray


FEW, MANY = 10, 80
both = pytest.mark.parametrize("classes", [FEW, MANY])
"""Where lanes are rows, and where they are classes."""


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

    def module(formulas: Formulas, form: DivergenceForm, *given: Any, **named: Any) -> str:
        found.append(not form.quick)
        return write(formulas, form, *given, **named)

    monkeypatch.setattr(divergence_kernel, "module", module)
    return found


def logits(rows: int, classes: int, near: int | None) -> dict[str, Array]:
    """Return rows far apart, but for one if it is told."""
    rng = np.random.default_rng(0)
    teacher = (3 * rng.normal(size=(rows, classes))).astype(np.float32)
    student = -teacher
    if near is not None:
        student[near] = teacher[near] + 1e-4 * rng.normal(size=classes)
    return {"teacher": teacher, "student": student}


@both
def test_it_is_made_when_the_first_such_row_is_met(classes: int, made: list[bool]) -> None:
    loss, weight = lm.Distillation(2.0), np.ones(50)
    with choice.using("llvm"):
        loss.cost_and_gradient(**logits(50, classes, None))
        assert made == [False]
        loss.cost_and_gradient(**logits(50, classes, 7))
        assert made == [False, True]
        loss.cost_and_gradient(**logits(50, classes, None), weight=weight)
        loss.cost_and_gradient(**logits(50, classes, 9), weight=weight)
        # Alone, its derivatives are multiplied before; with others it is handed over with its weight.
        assert made == [False, True, False, True][: 4 if classes == FEW else 3]


@both
def test_such_a_row_is_what_it_is_alone_wherever_it_stands(classes: int) -> None:
    """In place of what is read, with weights and a mask, by several threads that meet the first one at once."""
    threads.set_num_threads(2)
    rows, loss = 6000, lm.Distillation(2.0)
    given = logits(rows, classes, None)
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


@pytest.mark.parametrize("kind", ["logits", "log_probabilities", "probabilities"])
def test_rows_that_wait_for_others_take_nothing_from_them(kind: str) -> None:
    """The same bits in any company, and where all or none of the rows of a block are such."""
    rng = np.random.default_rng(1)
    rows = 700
    z = rng.normal(size=(2, rows, FEW))
    z[1, rows // 2 :: 2] = z[0, rows // 2 :: 2] + 1e-3 * rng.normal(size=(rows // 4, FEW))
    p, q = np.exp(z) / np.exp(z).sum(axis=2, keepdims=True)
    given = {"p": p, "q": {"logits": z[1], "log_probabilities": np.log(q), "probabilities": q}[kind]}
    given = {name: x.astype(np.float32) for name, x in given.items()}
    loss = lm.KLDivergence(q_kind=kind)
    with choice.using("llvm"):
        cost, slopes = loss.cost_and_gradient(**given, reduction="none")
        for places in (np.arange(rows // 2), np.arange(rows // 2, rows, 2), np.arange(0, rows, 3), [rows - 2]):
            found, gradient = loss.cost_and_gradient(**{k: x[places] for k, x in given.items()}, reduction="none")
            np.testing.assert_array_equal(found, cost[places])
            for name, part in slopes.items():
                np.testing.assert_array_equal(gradient[name], part[places])
        assert loss.cost(**given) == pytest.approx(cost.mean(dtype=float), rel=1e-7)
    with choice.using("numpy"):
        np.testing.assert_allclose(cost, loss.losses(**given), rtol=2e-6, atol=1e-7)


@both
def test_where_it_cannot_be_made_the_reference_serves(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write = divergence_kernel.module

    def module(formulas: Formulas, form: DivergenceForm, *given: Any, **named: Any) -> str:
        return write(formulas, form, *given, **named) if form.quick else "no module"

    monkeypatch.setattr(divergence_kernel, "module", module)
    loss, given = lm.Distillation(2.0), logits(50, classes, 7)
    with choice.using("numpy"):
        expected = loss.cost_and_gradient(**given)
    assert loss.replace().cost(**given) == expected[0]
    np.testing.assert_array_equal(loss.replace().cost_and_gradient(**given)[1], expected[1])
    with choice.using("llvm"), pytest.raises(NoKernel, match="RuntimeError"):
        loss.replace().cost_and_gradient(**given)


@pytest.mark.parametrize("classes", [FEW, 3000])
@pytest.mark.parametrize("apart", [0.7, 2.0])
@pytest.mark.parametrize("offset", [0.0, 9.0, 60.0])
def test_rows_are_quick_unless_their_losses_are_small(
    offset: float, apart: float, classes: int, made: list[bool]
) -> None:
    """However large their logarithms are, of which nothing is left but the difference."""
    rng = np.random.default_rng(0)
    q = (rng.normal(size=(40, classes)) + offset).astype(np.float32)
    q[:, 0] = offset  # so that the first share is none of the least
    p = (q + apart * rng.normal(size=q.shape)).astype(np.float32)
    right, shares = sp.softmax(p.astype(float), axis=1), sp.softmax(p.astype(float), axis=1).astype(np.float32)
    logs = sp.log_softmax(q.astype(float), axis=1)
    with choice.using("llvm"):
        taught = lm.Distillation(1.0).losses(teacher=p, student=q)
        told = lm.KLDivergence(q_kind="logits").losses(p=shares, q=q)
    expected = (right * (sp.log_softmax(p.astype(float), axis=1) - logs)).sum(axis=1)
    np.testing.assert_allclose(taught, expected, rtol=4e-6)
    exact = shares.astype(float)
    np.testing.assert_allclose(told, (exact * (np.log(exact) - logs)).sum(axis=1), rtol=4e-6)
    if classes > FEW and offset < divergence_quick._NEAR:  # else distances from a reference are rounded
        assert made == [False, False]
