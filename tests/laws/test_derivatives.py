"""Gradient and Hessian of every loss, against numerical differentiation at high precision."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from mpmath import mpf

from lossmith import Loss
from lossmith.certify import oracle
from lossmith.certify.exactness import OUTPUTS, misses
from lossmith.certify.points import Array, kinks_at, points, targets, within

pytestmark = pytest.mark.engines

DTYPES = (np.float64, np.float32)
ORDERS = {"gradient": 1, "hessian": 2}
# Beyond the law grid: what a diverging model feeds a loss. Truths there are mostly infinite.
WILD = (1e30, 1e154, 1e155, 1e300, 1.7976931348623157e308, 88.0, 89.0, 709.0, 710.0, 745.0, 746.0, 1e-154, 1e-155)


def derivatives_are_exact(loss: Loss, output: str, dtype: Any = np.float64) -> None:
    """Gradient or Hessian is the derivative of the value, by the convention of the table at kinks."""
    y, f = points(loss, dtype)
    found = loss.evaluate(y, f)[output]
    assert misses(loss, ORDERS[output], y, f, found) == []
    if loss == type(loss)():  # by itself it is a kernel more to compile
        np.testing.assert_array_equal(loss.evaluate(y, f, (output,))[output], found)


def kinks_follow_the_convention(loss: Loss) -> None:
    """At a kink every output lies between its one-sided limits, and is the one that the table states."""
    declared = met = False
    for y in targets(loss):
        for f in kinks_at(loss, y) if y == 0 or abs(y) > 1e-30 else ():  # else nearer than one_sided looks
            declared = True
            sides = [[oracle.one_sided(loss, y, f, side, order) for side in (-1, 1)] for order in (0, 1, 2)]
            if not any(_jumps(*limits) for limits in sides):  # then the kink lies between two floats
                met = met or _jumps_beside(loss, y, f)
                continue
            got = loss.evaluate(np.array([y]), np.array([f]))
            for order, output in enumerate(OUTPUTS):
                low, high = sorted(sides[order])
                slack = 8 * np.spacing(float(max(abs(low), abs(high))))
                assert low - slack <= mpf(float(got[output][0])) <= high + slack, (loss, y, f, output)
                assert misses(loss, order, np.array([y]), np.array([f]), got[output], inputs_vary=False) == []
            met = True
    assert met or not declared, f"no float lies on a declared kink of {loss}, or beside it"


def _jumps(left: mpf, right: mpf) -> bool:
    return bool(abs(left - right) > 1e-9 * abs(left))


def _jumps_beside(loss: Loss, y: float, f: float) -> bool:
    """Whether something jumps between the neighbours of a float."""
    below, above = (float(np.nextafter(f, way)) for way in (-np.inf, np.inf))
    return above - below < 1e-9 and any(
        _jumps(oracle.one_sided(loss, y, below, -1, order), oracle.one_sided(loss, y, above, 1, order))
        for order in (0, 1, 2)
    )


def finite_inputs_never_give_nan(loss: Loss, dtype: Any = np.float64) -> None:
    """Whatever finite inputs come, no output is NaN and no warning leaks."""
    y, f = wild_points(loss, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = loss.evaluate(y, f)
    for output, numbers in got.items():
        wrong = np.isnan(numbers)
        first = int(np.argmax(wrong))
        assert not wrong.any(), f"{loss} {output} is NaN at y={y[first]!r}, f={f[first]!r}, and {wrong.sum() - 1} more"


def wild_points(loss: Loss, dtype: Any) -> tuple[Array, Array]:
    """Return the law grid crossed with itself and with numbers as large and small as the type has."""
    y, f = points(loss, dtype)
    wild = [
        sign * size for size in (*WILD, float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)) for sign in (1, -1)
    ]
    some_y = within(loss.domains["y"], [*dict.fromkeys(y.tolist()), *wild], dtype)
    some_f = within(loss.domains["f"], [*dict.fromkeys(f.tolist()), *wild], dtype)
    pairs = np.array(list(itertools.product(some_y, some_f)), dtype=dtype)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_are_exact(case: Loss, dtype: Any) -> None:
    for output in ORDERS:  # one after the other: their truths share values
        derivatives_are_exact(case, output, dtype)


def test_kinks_follow_the_convention(case: Loss) -> None:
    kinks_follow_the_convention(case)


@pytest.mark.parametrize("dtype", DTYPES)
def test_finite_inputs_never_give_nan(case: Loss, dtype: Any) -> None:
    finite_inputs_never_give_nan(case, dtype)
