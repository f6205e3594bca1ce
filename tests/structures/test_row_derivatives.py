"""Gradient, diagonal and full Hessian of every loss of rows, against differences with hundreds of digits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import lossmith as lm
from tests.structures import oracle_rows as oracle
from tests.structures.row_cases import (
    EXCEPTIONS,
    NAMES,
    ORDINARY,
    RULED_OUT,
    SATURATED,
    SIZES,
    change_by_inputs,
    instances,
    miss,
    reference,
    rows,
    takes,
    targets,
    with_vectors,
)

pytestmark = pytest.mark.engines


def truth_of(loss: lm.Loss, output: str) -> Any:
    """Return the function of row and target that gives what an output is."""

    def what(r: Any, d: Any, **changed: Any) -> Any:
        return _truth(loss, output, tuple(r), tuple(d), tuple(changed.items()), mp.prec)

    return what


@lru_cache(maxsize=4096)  # those of one loss, which each engine in turn is compared with
def _truth(loss: lm.Loss, output: str, row: Any, t: Any, changed: Any, precision: int) -> Any:
    difference = {"gradient": oracle.gradient, "full_hessian": oracle.hessian}[output]

    def f(x: Any) -> Any:
        return reference(loss, x, t, **dict(changed))

    return np.asarray(difference(f, [mpf(x) for x in row], loss.values["prediction"] == "probabilities"), dtype=object)


def at_a_kink(loss: lm.Loss, row: tuple[float, ...], t: list[float]) -> bool:
    """Return whether differences to the left and to the right disagree."""
    here = reference(loss, row, t)
    h = mpf(10) ** -20
    for k, x in enumerate(row):
        if abs(x) < np.inf:
            right, left = (reference(loss, [*row[:k], mpf(x) + s * h, *row[k + 1 :]], t) for s in (1, -1))
            if abs((right - here) - (here - left)) > h / 100:
                return True
    return False


def errors(loss: lm.Loss, row: tuple[float, ...], dtype: Any = np.float64) -> Iterator[tuple[float, str]]:
    for form, y_true, t in targets(loss, row):
        y = np.asarray(y_true) if np.ndim(y_true) == 0 else np.asarray(y_true, dtype=dtype)
        found = form.evaluate(y, np.asarray(row, dtype=dtype), ("gradient", "hessian", "full_hessian"), trusted=True)
        assert np.array_equal(np.diag(found["full_hessian"]), found["hessian"])
        assert np.array_equal(found["full_hessian"].T, found["full_hessian"])
        relative = form.values["prediction"] == "probabilities"
        with oracle.enough_digits(row, relative):
            if not loss.card.traits.differentiable and at_a_kink(form, row, t):
                continue  # the convention there has its own test
            for output in ("gradient", "full_hessian"):
                what = truth_of(form, output)
                truth, change = what(row, t), None
                factor = EXCEPTIONS.get((form.name, output, form.values["prediction"]), 1.0)
                for place in np.ndindex(truth.shape):
                    got = float(found[output][place])
                    wanted = oracle.noticed(truth[place], row, relative)
                    error = miss(got, wanted, mpf(0), dtype)
                    if error > 1:  # only then it matters what the inputs carry
                        change = change_by_inputs(form, row, t, what, dtype) if change is None else change
                        error = miss(got, wanted, change[place], dtype)
                    yield (
                        error / factor,
                        f"{output}{place} of {form} at {row}, {y_true}: {got!r} for {mp.nstr(wanted, 20)}",
                    )


def inside(row: tuple[float, ...]) -> bool:
    return min(row) > 0 and max(row) < 1


@pytest.mark.parametrize("name", NAMES)
def test_derivatives(name: str) -> None:
    for classes in (1, 2, 3):
        for place, loss in enumerate(instances(name, classes)):
            probabilities = loss.values["prediction"] == "probabilities"
            for row in rows(loss, classes):
                if probabilities and not inside(row):
                    continue
                # Other parameters than the default see the ordinary rows and a saturated one.
                if place and not probabilities and row not in (*ORDINARY[:1], *SATURATED[:1], SIZES[1]):
                    continue
                error, where = max(errors(loss, row), default=(0.0, ""))
                assert error <= 1, where


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_in_float32(name: str) -> None:
    for row in (ORDINARY[0], ORDINARY[4], RULED_OUT[0]):
        given = tuple(float(np.float32(x)) for x in row)
        error, where = max(errors(with_vectors(name, 3), given, np.float32))
        assert error <= 1, where


@pytest.mark.parametrize(
    "name", [name for name in NAMES if "probabilities" in lm.loss_class(name).options()["prediction"].choices]
)
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_derivatives_at_certain_probabilities_are_limits(name: str, end: float) -> None:
    for loss in instances(name, 2):
        if loss.values["prediction"] != "probabilities":
            continue
        one_hot = [1.0, 0.0]
        y = np.asarray(one_hot) if type(loss).fixed_targets == "distributions" else 0
        found = loss.evaluate(y, np.array([end, 1 - end]), ("gradient", "full_hessian"))
        with mp.workdps(700):
            near, h = mpf(10) ** -200 if end == 0 else 1 - mpf(10) ** -200, mpf(10) ** -250
            right, here, left = (reference(loss, [near + s * h, 1 - near], one_hot) for s in (1, 0, -1))
            slope, bend = (right - left) / (2 * h), (right - 2 * here + left) / h**2
        for got, limit in ((found["gradient"][0], slope), (found["full_hessian"][0, 0], bend)):
            if abs(limit) > mpf(10) ** 15:
                if loss.name == "softmax_focal" and np.isnan(got):
                    continue  # both -inf and inf meet there for gamma < 1
                assert got == np.inf * float(mp.sign(limit)), (loss, got, mp.nstr(limit, 5))
            else:
                assert float(got) == pytest.approx(float(limit), rel=1e-9, abs=1e-15), loss
        others = "probability of the other class"
        assert found["gradient"][1] == (0 if loss.name != "multiclass_brier" else 2 * (1 - end)), others


@pytest.mark.parametrize("name", [name for name in NAMES if not lm.loss_class(name).card.traits.differentiable])
def test_convention_at_kinks(name: str) -> None:
    loss = with_vectors(name, 3)
    # A lead of exactly 1 has no pull left.
    np.testing.assert_array_equal(loss.gradient(0, np.array([1.0, 0.0, 0.0])), 0)
    # Where rivals tie, the pull is a subgradient: it sums to zero and leads downhill.
    pull = loss.gradient(0, np.array([0.0, 2.0, 2.0]))
    assert pull.sum() == 0
    assert pull[0] < 0
    assert np.all(pull[1:] >= 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_certain_row_with_infinite_curvature_has_no_nan(name: str) -> None:
    for loss in instances(name, 3):
        if loss.values["prediction"] == "logits":
            for y in range(3):
                target = np.eye(3)[y] if type(loss).fixed_targets == "distributions" else y
                found = loss.evaluate(
                    target, np.array([900.0, -100.0, -900.0]), ("gradient", "hessian", "full_hessian")
                )
                assert all(np.all(np.isfinite(value)) for value in found.values()), (loss, y, found)


def test_exceptions_are_few_and_small() -> None:
    assert len(EXCEPTIONS) <= 2
    for (name, output, kind), factor in EXCEPTIONS.items():
        assert name in NAMES
        assert output in ("gradient", "full_hessian")
        assert takes(lm.get(name), kind)
        assert 1 < factor <= 3
