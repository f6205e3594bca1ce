"""The value of every loss of rows, against 60 digits, at ordinary and at hard rows."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

import lossmith as lm
from tests.structures import oracle_rows as oracle
from tests.structures.row_cases import (
    NAMES,
    change_by_inputs,
    instances,
    miss,
    reference,
    rows,
    targets,
    with_vectors,
)

pytestmark = pytest.mark.engines


def worst_value(loss: lm.Loss, classes: int, dtype: type) -> tuple[float, str]:
    worst, where = 0.0, ""
    for row in rows(loss, classes):
        given = tuple(float(dtype(x)) for x in row)
        for form, y_true, t in targets(loss, given):
            with mp.workdps(60):
                what = lambda r, d, form=form, **changed: reference(form, r, d, **changed)  # noqa: E731
                truth = what(given, t)
                y = np.asarray(y_true) if np.ndim(y_true) == 0 else np.asarray(y_true, dtype=dtype)
                got = float(form.losses(y, np.asarray(given, dtype=dtype)))
                error = miss(got, truth, mpf(0), dtype)
                if error > 1 and mp.isfinite(truth):  # only then it matters what the inputs carry
                    error = miss(got, truth, change_by_inputs(form, given, t, what, dtype), dtype)
            if error > worst:
                worst, where = error, f"{form} at {given}, {y_true}: {got!r} for {mp.nstr(truth, 20)}"
    return worst, where


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_value(name: str, dtype: type) -> None:
    for classes in (1, 2, 3):
        for loss in instances(name, classes) if dtype is np.float64 else [with_vectors(name, classes)]:
            error, where = worst_value(loss, classes, dtype)
            assert error <= 1, where


def test_every_loss_of_rows_has_a_slow_definition() -> None:
    assert set(NAMES) == {*oracle.DEFINITIONS, "multiclass_brier"}, "write the definition into oracle_rows.py"


@pytest.mark.parametrize("name", NAMES)
def test_value_with_a_thousand_classes(name: str) -> None:
    random = np.random.default_rng(7)
    z = random.normal(scale=3, size=1000)
    loss = with_vectors(name, 1000)
    one_hot = np.eye(1000)[17]
    y = one_hot if type(loss).fixed_targets == "distributions" else np.int64(17)
    here = [mpf(x) for x in z]
    with mp.workdps(60):
        truth, got = oracle.row_loss(loss, here, one_hot.tolist()), float(loss.losses(y, z))
        if miss(got, truth, mpf(0)) > 1:
            up = [mpf(x) + float(np.spacing(abs(x))) for x in z]
            change = abs(oracle.row_loss(loss, up[:17] + here[17:18] + up[18:], one_hot.tolist()) - truth)
            change += abs(oracle.row_loss(loss, here[:17] + up[17:18] + here[18:], one_hot.tolist()) - truth)
            assert miss(got, truth, change) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_worked_examples_on_the_card(name: str) -> None:
    for example in lm.loss_class(name).card.examples:
        loss = lm.get(name, **example.options)
        y_true, y_pred = np.asarray(example.y_true), np.asarray(example.y_pred)
        np.testing.assert_allclose(loss.losses(y_true, y_pred), example.losses, rtol=1e-6, atol=1e-9)
        if example.cost is not None:
            assert loss.cost(y_true, y_pred) == pytest.approx(example.cost, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_is_ruled_out_is_infinitely_wrong_where_the_loss_has_no_bound(name: str) -> None:
    loss = with_vectors(name, 3)
    z = np.array([1.0, -np.inf, 0.5])
    y = np.eye(3)[1] if type(loss).fixed_targets == "distributions" else 1
    at = float(loss.losses(y, z))
    far = float(loss.losses(y, np.array([1.0, -1e6, 0.5])))
    assert at == pytest.approx(far) if far < 100 else at == np.inf
    gradient = loss.gradient(y, z)
    assert np.all(np.isfinite(gradient)), gradient
