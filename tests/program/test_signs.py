"""Second derivatives where a sign is 0: that of both sides where slopes meet, and 0 at a corner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lossmith.engines import numpy as engine
from lossmith.program import Program, derive, trace

INF = np.inf


def of(formula: Callable[..., Any]) -> Program:
    """Return a program with derivatives by ``f``; formulas know a number ``p`` that is the same for all examples."""
    return derive(trace(lambda ops, s: {"value": formula(ops, s["f"], s["p"])}, ("f",), ("p",)), ["f"], 2)


def said(formula: Callable[..., Any], p: float, *at: float) -> tuple[list[float], list[float]]:
    with np.errstate(all="ignore"):
        found = engine.run(of(formula), [np.array(at)], {"p": p})
    slope, bend = (np.broadcast_to(found[name], len(at)).tolist() for name in ("gradient:f", "hessian:f,f"))
    return slope, bend


@pytest.mark.parametrize(("p", "bend"), [(0.5, 0.0), (1.0, 0.0), (1.5, INF), (2.0, 2.0), (2.5, 0.0), (3.0, 0.0)])
@pytest.mark.parametrize(
    "formula",
    [
        lambda ops, f, p: ops.pow(ops.abs(f), p),
        lambda ops, f, p: 3 * ops.pow(ops.abs(f), p) / 3 + f,
        lambda ops, f, p: ops.pow(ops.abs(f) * 2, p) / ops.pow(2, p),
        lambda ops, f, p: ops.pow(ops.abs(f) / p, p) * ops.pow(p, p),
        lambda ops, f, p: ops.pow(ops.min(ops.abs(f), 1.0), p),
        lambda ops, f, p: ops.where(f > 9, 1.0, ops.pow(ops.abs(-f), p)),
        lambda ops, f, p: ops.expm1(ops.pow(ops.abs(f), p)),
    ],
)
def test_powers_of_a_size_have_the_hessian_that_their_slopes_lead_to(formula: Any, p: float, bend: float) -> None:
    slope, found = said(formula, p, 0.0)
    assert slope in ([0.0], [1.0])
    np.testing.assert_allclose(found, [bend], rtol=1e-15)


def test_products_of_sizes_are_as_smooth_as_squares() -> None:
    at = (-3.0, -1e-300, 0.0, 1e-300, 3.0)
    assert said(lambda ops, f, p: ops.abs(f) * ops.abs(f), 1.0, *at) == ([2 * x for x in at], [2.0] * 5)
    assert said(lambda ops, f, p: ops.sign(f) * ops.abs(f), 1.0, *at) == ([1.0] * 5, [0.0] * 5)
    assert said(lambda ops, f, p: ops.log1p_excess(ops.abs(f)), 1.0, 0.0) == ([0.0], [1.0])


def test_corners_keep_their_convention() -> None:
    for formula in (lambda ops, f, p: ops.exp(ops.abs(f)), lambda ops, f, p: ops.log1p(ops.abs(f) * p)):
        assert said(formula, 1.0, 0.0) == ([0.0], [0.0])
    smooth_beside_a_corner = said(lambda ops, f, p: ops.abs(f) + ops.pow(ops.abs(f), p), 2.0, 0.0, 1.0)
    assert smooth_beside_a_corner == ([0.0, 3.0], [2.0, 2.0])


def test_sizes_inside_of_sizes_take_a_few_steps_more_each() -> None:
    def nested(depth: int) -> Callable[..., Any]:
        def formula(ops: Any, f: Any, p: Any) -> Any:
            for _ in range(depth):
                f = ops.pow(ops.abs(f) - 0.1, p)
            return f

        return formula

    few, more = (len(of(nested(depth)).steps) for depth in (6, 12))
    assert more == pytest.approx(2 * few, rel=0.1)
    assert np.isfinite(said(nested(4), 3.0, 0.1, 0.3)).all()


def test_what_is_no_number_stays_none() -> None:
    assert np.isnan(said(lambda ops, f, p: ops.pow(ops.abs(f), p), 2.0, np.nan)).all()
