"""Readings of formulas: short, and true."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import sympy

import lossmith as lm
from lossmith.core import reading
from lossmith.errors import ProgramError
from lossmith.structures.pointwise import Pointwise
from tests.repo.test_formulas import number

POINTWISE = [name for name in lm.names() if isinstance(lm.get(name), Pointwise)]
NUMERIC = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "lgamma": np.vectorize(math.lgamma),
    "loggamma": np.vectorize(math.lgamma),
    "erf": np.vectorize(math.erf),
    "hold": lambda x: x,
}


def points(loss: lm.Loss, count: int = 60) -> dict[str, np.ndarray]:
    """Return inputs inside the loss's domains, other than those that readings look at."""
    rng = np.random.default_rng(5)
    found = {}
    for item in loss.inputs:
        domain = loss.domains[item.symbol]
        x = rng.normal(0.1, 2.0, 40 * count)
        x = np.concatenate([x, -np.exp(x), np.exp(x), 1 / (1 + np.exp(-x)), np.repeat([-1.0, 0.0, 1.0], count)])
        inside = rng.permutation(x[[domain.includes(value) for value in x]])
        found[item.symbol] = np.resize(inside, count)
    return found


@pytest.mark.engines("numpy")  # either has these numbers, and kernels take a while to compile
@pytest.mark.parametrize("name", POINTWISE)
def test_a_reading_is_true(name: str) -> None:
    options = lm.loss_class(name).options()
    for choices in itertools.product(*(option.choices for option in options.values())):
        loss = lm.get(name, **dict(zip(options, choices, strict=True)))
        if loss.values.get("labels") == "signed":
            continue  # formulas see labels 0 and 1
        given = points(loss)
        found = loss.evaluate(**{item.name: given[item.symbol] for item in loss.inputs}, trusted=True)
        x = loss.focus.symbol
        slopes = [
            found[key][loss.focus.name] if isinstance(found[key], dict) else found[key]
            for key in ("gradient", "hessian")
        ]
        for output, want in zip(
            ("value", f"gradient:{x}", f"hessian:{x},{x}"), (found["losses"], *slopes), strict=True
        ):
            expression = reading.expression(loss, output)
            values = {loss.parameters()[key].symbol: value for key, value in loss.free_parameters.items()}
            symbols = sorted(expression.free_symbols, key=str)
            function = sympy.lambdify(symbols, expression, modules=[NUMERIC, "numpy"])
            with np.errstate(all="ignore"):
                got = function(*(given.get(symbol.name, values.get(symbol.name)) for symbol in symbols))
            got = np.broadcast_to(got, want.shape)
            known = np.isfinite(got) & np.isfinite(want)
            assert known.mean() > 0.5
            np.testing.assert_allclose(got[known], want[known], rtol=1e-5, atol=1e-7, err_msg=f"{loss} {output}")


@pytest.mark.parametrize("name", POINTWISE)
def test_a_reading_fits_a_page(name: str) -> None:
    for width in (58, 78):
        assert max(map(len, reading.pretty(lm.get(name), width=width).splitlines())) <= max(width, 74)


def test_branches_for_digits_and_limits_are_left_out() -> None:
    assert not reading.expression(lm.get("barron")).has(sympy.Piecewise)
    assert not reading.expression(lm.get("squared_log_error")).has(sympy.Piecewise)
    assert not reading.expression(lm.get("asymmetric")).has(sympy.Piecewise)
    assert len(reading.expression(lm.get("symmetric_percentage_error")).atoms(sympy.Piecewise)) == 2  # 0 where both are


def test_branches_that_differ_stay() -> None:
    f, y = sympy.symbols("f y", real=True)
    branch = reading._namespace().where
    assert branch(f < y, f, f + 0.001).has(sympy.Piecewise)
    assert branch(f < y, f, y).has(sympy.Piecewise)
    assert branch(f < 2.5, f, 2 * f).has(sympy.Piecewise)
    assert branch(f < y, f, sympy.Max(f, y) + sympy.Min(f, y) - y) == f  # the same, written at more length
    assert branch(f < 0, -f, sympy.Abs(f)) == sympy.Abs(f)  # which says it all
    assert branch(sympy.Eq(f, 0), 1, f).has(sympy.Piecewise)
    assert branch(sympy.Eq(f, 0), 1, sympy.tanh(f) / f) == sympy.tanh(f) / f  # the limit


@pytest.mark.parametrize(
    "text",
    [
        "where(y > 100, 10*(f - y)**2, (f - y)**2)",  # beyond all ordinary numbers
        "where(abs(f - y) <= 1e-3, 0, abs(f - y))",
        "where(y == 0, f**2, abs(f - y))",  # one number of its own
        "where(k < 0, abs(f - y), (f - y)**2)",  # parameters below 0
        "where(f < y, abs(f - y), min(abs(f - y), 100))",
        "abs(k)*(f - y)**2",
        "sqrt(k**2)*(f - y)**2",
    ],
)
def test_a_reading_holds_all_that_a_formula_says(text: str) -> None:
    declared = {"k": -2.0} if "k" in text else {}
    loss = lm.formula(text, parameters=declared)
    y, f = (x.ravel() for x in np.meshgrid([-300.0, -1.0, 0.0, 2.0, 300.0], [-200.0, -1.0, 0.0005, 2.0, 500.0]))
    for output, found in (("value", loss.losses(y, f)), ("gradient:f", loss.gradient(y, f))):
        expression, given = reading.expression(loss, output), {"y": y, "f": f, "k": -2.0}
        said = sympy.lambdify(list(expression.free_symbols), expression)
        np.testing.assert_allclose(said(*(given[x.name] for x in expression.free_symbols)), found, rtol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "k*(log1p_excess(f) - f*f - log1mexp(f) - log1mexp(sech2(f) - (f + (f - y))))",
        "y - (log1p_excess(f)**-2 + f - k - sech2(f))",
    ],
)
def test_a_reading_of_few_letters_takes_no_minutes(text: str) -> None:
    loss = lm.formula(text, parameters={"k": (-1.0, "(-inf, 0)")})
    start = time.perf_counter()
    reading.latex_gradient(loss)
    assert time.perf_counter() - start < 10


def test_a_reading_of_numbers_that_numpy_has_no_type_for() -> None:
    assert "10^{600}" in reading.latex(lm.formula("bowl(where(1e-3 > y, f - y, 1e300), 1)"))


def test_a_wide_sum_comes_term_by_term_and_what_is_wider_as_latex() -> None:
    lines = reading.pretty(lm.get("poly_one"), width=74).splitlines()
    assert [line[0] for line in lines if line[0] in "+-"] == ["+", "+", "+"]
    assert "⋅y⋅" in lines[0]
    assert reading.pretty(lm.get("poly_one"), width=20).count("\\") > 3
    assert reading.pretty(lm.get("huber"), width=74) == reading.pretty(lm.get("huber"))


@pytest.mark.parametrize("power", [0.5, 1.5, 2.5])
def test_the_tweedie_formula_set_by_hand_is_true_up_to_a_constant_of_the_target(power: float) -> None:
    loss, f, y = lm.Tweedie(power=power), np.array([-1.0, 0.0, 2.0]), np.full(3, 1.5)
    found = loss.evaluate(y, f)
    for output, key in (("value", "losses"), ("gradient:f", "gradient"), ("hessian:f,f", "hessian")):
        text = reading.pretty(loss, output)
        rest = np.array([number(text, loss, 1.5, at) for at in f]) - found[key]
        np.testing.assert_allclose(rest, rest[0] if output == "value" else 0, atol=1e-12)


def test_a_loss_whose_formula_is_set_by_hand_alone_says_where_it_stands() -> None:
    loss = lm.WestonWatkins()
    assert reading.beside(loss) is None
    with pytest.raises(ProgramError, match=r"WestonWatkins\(\) has no formula on symbols.*loss\.card\.formula"):
        reading.expression(loss)


def test_a_reading_of_branches_with_poles() -> None:
    assert reading.latex(lm.formula("where(f < 1, lgamma(y), f*y)")).count("cases") == 2
