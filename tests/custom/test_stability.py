"""Naive forms: each is recognised, right to the last digits where it fails as written, and listed."""

from __future__ import annotations

import re
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

import lossmith as lm
from lossmith.certify.meaning import Exact
from lossmith.custom.functions import evaluate
from lossmith.custom.grammar import parse
from lossmith.custom.rewriting import ROWS, SPREAD, stable
from lossmith.engines import numpy as engine
from lossmith.program import derive, trace

WRITTEN = "-(y*log(1/(1 + exp(-f))) + (1 - y)*log(1 - 1/(1 + exp(-f))))"

PAST = 715.0  # where exp is infinite, and that of its negative still a number

# Where each form fails as written, as (y, f); its letters x and z become f and y.
PLACES: dict[str, list[tuple[float, float]]] = {
    "log(1 + exp(x))": [(0, 800), (0, -50)],
    "log1p(exp(x))": [(0, 800)],
    "1/(1 + exp(x))": [(0, PAST)],
    "exp(x)/(1 + exp(x))": [(0, 800)],
    "z*exp(x)/(1 + exp(x))": [(2, 800)],
    "expm1(x)/(1 + exp(x))": [(0, 800)],
    "-expm1(x)/(1 + exp(x))": [(0, 800)],
    "exp(x)/(1 + exp(x))**2": [(0, 800)],
    "z*exp(x)/(1 + exp(x))**2": [(2, 800)],
    "z/(1 + exp(x))": [(2, PAST)],
    "1/(1 + exp(x))**p": [(0, PAST / 2)],
    "z/(1 + exp(x))**p": [(2, PAST / 2)],
    "(1 + exp(x))**-1": [(0, PAST)],
    "(1 + exp(x))**-p": [(0, PAST / 2)],
    "1 - sigmoid(x)": [(0, 50), (0, 700)],
    "sigmoid(x) - 1": [(0, 50), (0, 700)],
    "1 - tanh(x)": [(0, 25)],
    "tanh(x) - 1": [(0, 25)],
    "1 + tanh(x)": [(0, -25)],
    "1 - tanh(x)**2": [(0, 25), (0, -300)],
    "tanh(x)**2 - 1": [(0, 25), (0, -300)],
    "1/cosh(x)**2": [(0, PAST / 2)],
    "z/cosh(x)**2": [(2, PAST / 2)],
    "(exp(x) - exp(-x))/(exp(x) + exp(-x))": [(0, 800), (0, -800)],
    "log(sigmoid(x))": [(0, -800)],
    "log(k*sigmoid(x))": [(0, -800)],
    "log(sech2(x))": [(0, 800), (0, -800)],
    "log1p(-sigmoid(x))": [(0, 50)],
    "log(cosh(x))": [(0, 800), (0, 1e-9)],
    "log(exp(x) + exp(-x))": [(0, 800), (0, -1e3)],
    "log(exp(x) + exp(z))": [(800, 799), (-800, -801), (-800, 800)],
    "log(exp(x))": [(0, 800)],
    "log(z*exp(x))": [(2, 800)],
    "exp(x)*exp(z)": [(-800, 800)],
    "exp(x)/exp(z)": [(800, 799)],
    "z/exp(x)": [(2, PAST)],
    "log(exp(x)/z)": [(2, -800)],
    "log(k + exp(x))": [(0, 800), (0, 40)],
    "log1p(k*exp(x))": [(0, 800)],
    "log1p(exp(x)/k)": [(0, 800)],
    "exp(x) - x - 1": [(0, 1e-9)],
    "expm1(x) - x": [(0, -1e-9)],
    "1 + x - exp(x)": [(0, 1e-9)],
    "x - expm1(x)": [(0, -1e-9)],
    "exp(x) - 1": [(0, 1e-18)],
    "1 - exp(x)": [(0, -1e-18)],
    "log(-expm1(x))": [(0, -50)],
    "log1p(-exp(x))": [(0, -1e-20)],
    "x - log1p(x)": [(0, 1e-9)],
    "log1p(x) - x": [(0, 1e-9)],
    "log(1 + x)": [(0, 1e-18)],
    "log(1 - x)": [(0, -1e-18)],
    "hypot(1, x) - 1": [(0, 1e-9)],
    "hypot(k, x) - k": [(0, 1e-9)],
    "sqrt(k + x**2)": [(0, -1e200)],
    "sqrt(x**2 + z**2)": [(3e200, 4e200), (3e-200, 4e-200)],
    "sqrt(k + m*x**2)": [(0, -1e200)],
    "sqrt(k + x**2/m)": [(0, 1e200)],
    "sqrt(x**2)": [(0, 1e200)],
    "x + softplus(-x)": [(0, -50)],
    "softplus(x) - x": [(0, 50)],
    "y*log(x)": [(0, 0)],
    # Whole formulas, by several rows one after the other.
    "log((exp(x) + exp(-x))/2)": [(0, 800)],
    "log((exp(-2*x) + exp(2*x))/2)": [(0, 800)],
    "log(1 - exp(-x))": [(0, 50), (0, 1e-20)],
    "log(1 - 1/(1 + exp(-x)))": [(0, 800)],
    WRITTEN: [(1, 50), (0, 50), (1, -800), (0, -800), (0.25, 800)],
    "sqrt(1 + ((x - z)/2)**2) - 1": [(1e-9, 3e-9)],
    "sqrt(4 + (x - z)**2) - 2": [(1e-9, 3e-9)],
    "2*(sqrt(1 + (x - z)**2/2) - 1)": [(1e-9, 3e-9)],
    "(sqrt(1 + 4*(x - z)**2) - 1)/2": [(1e-9, 3e-9)],
    "log((exp(x - z) + exp(z - x))/2)": [(1, 800), (1, -800)],
    "log((1 + tanh(x))/2)": [(0, -400)],
    "log((1 - tanh(x))/2)": [(0, 400)],
    "log(1 - tanh(x)**2)": [(0, 800)],
    "z/exp(x) - log(z/exp(x)) - 1": [(2, 800)],
    "((x - z)**2)**0.75": [(1, 1e200)],
    "log(1 + exp(x)) - x": [(0, 50)],
    "sqrt(2 + x**2) - sqrt(2)": [(0, 1e-9)],
    "sqrt(1 + abs(x)**2) - 1": [(0, 1e-9)],
    "exp(2*(x - z)) - 2*(x - z) - 1": [(0, 1e-9)],
    "log(1 + e**x)": [(0, 800), (0, -50)],
    "2/(e**(-x) + 1)": [(0, -PAST)],
}
STEPS = {"(exp(x) + exp(-x))/2", "e**x", "abs(x)**n", "(x**2)**p"}  # no gain of its own
AT_INFINITY = {"y*softplus(x)": 0.0, "y*-softplus(x)": 0.0}


def test_every_row_has_places() -> None:
    assert {before for before, _ in ROWS if before not in dict(SPREAD)} <= {*PLACES, *STEPS, *AT_INFINITY}


def in_f(text: str) -> str:
    for letter, part in (("x", "f"), ("z", "y"), ("k", "2"), ("p", "2"), ("n", "2"), ("m", "3")):
        text = re.sub(rf"\b{letter}\b", part, text)
    return text


def as_written(text: str) -> Any:
    tree = parse(text, ("y", "f"))
    return derive(trace(lambda ops, s: {"value": evaluate(tree, ops, s)}, ("y", "f")), ("f",), 2)


def truth(text: str, y: float, f: float) -> tuple[Any, Any, Any]:
    """Return value and derivatives to 60 digits at least, from the form as written."""
    tree = parse(text, ("y", "f"))

    def value(x: Any) -> Any:
        return mpf(evaluate(tree, Exact().ops, {"y": mpf(y), "f": x}))

    if (y, f) == (0, 0):
        return mpf(0), mpf(0), mpf(0)  # 0 log 0
    with mp.workdps(1800):
        at = mpf(f)
        step = mpf(10) ** -300 * max(abs(at), mpf(10) ** -20)
        below, here, above = (value(at + side * step) for side in (-1, 0, 1))
        return here, (above - below) / (2 * step), (above - 2 * here + below) / step**2


def off(found: float, true: Any) -> float:
    """Return how far a number is from the truth, in relation to it; numbers below every float are 0."""
    if abs(true) < mpf(10) ** -320:
        return 0.0 if found == 0 or abs(found) < 1e-320 else np.inf
    size = max(abs(true), mpf(2) ** -1022)  # below it, numbers have fewer digits
    return float(abs(mpf(found) - true) / size) if np.isfinite(found) else np.inf


@pytest.mark.parametrize("form", PLACES)
def test_a_form_is_right_where_it_fails_as_written(form: str) -> None:
    text = in_f(form)
    loss = lm.formula(text)
    assert loss.rewrites
    naive = as_written(text)
    for y, f in PLACES[form]:
        value, slope, bend = truth(text, y, f)
        with np.errstate(all="ignore"):
            wrong = engine.run(naive, [np.array([float(y)]), np.array([float(f)])], {})
            errors = [off(wrong["value"][0], value), off(wrong["gradient:f"][0], slope)]
            errors.append(off(wrong["hessian:f,f"][0], bend))
            right = [off(loss._value(np.array([y]), np.array([f]))[0], value)]
        right += [
            off(loss.gradient([float(y)], [float(f)])[0], slope),
            off(loss.hessian([float(y)], [float(f)])[0], bend),
        ]
        assert max(errors) > 1e-8, (y, f)
        assert max(right) < 4e-15, (y, f, right)


@pytest.mark.parametrize("form", AT_INFINITY)
def test_a_form_has_its_limit_at_infinity(form: str) -> None:
    loss, zero, far = lm.formula(in_f(form)), np.zeros(1), np.array([np.inf])
    with np.errstate(all="ignore"):
        assert np.isnan(engine.run(as_written(in_f(form)), [zero, far], {})["value"][0])
        assert loss._formula_at(zero, far)[0] == AT_INFINITY[form]


@pytest.mark.parametrize(
    "form",
    [
        "max(f, 0) - f*y + log(1 + exp(-abs(f)))",
        "max(f, 0) + log(1 + exp(-abs(f))) - f*y",
        "log1p(exp(-abs(f))) - y*f + max(0, f)",
        "-y*f - (-log1p(exp(-abs(f))) - max(0, f))",
        "(1 - y)*f + log1p(exp(-abs(f))) + max(-f, 0)",
        "(1 - y)*f + log1p(exp(-abs(f))) - min(f, 0)",
        "0.5 - (y*f - max(f, 0)) - 0.5 + softplus(-abs(f))",
    ],
)
def test_kinks_that_cancel_are_none_and_digits_stay_as_written(form: str) -> None:
    loss = lm.formula(form, task="binary")
    y, f = np.array([0.0, 1.0, 0.25]), np.zeros(3)
    assert loss.losses(y, f) == pytest.approx([np.log(2)] * 3, rel=1e-15)
    assert loss.gradient(y, f).tolist() == [0.5, -0.5, 0.25]
    assert loss.hessian(y, f).tolist() == [0.25] * 3
    assert loss._proof.convex
    assert len(loss.rewrites[-1]) == 2
    assert "softplus" in loss.rewrites[-1][1]


def test_what_cancels_to_the_last_digit_as_written_does_so_still() -> None:
    loss = lm.formula("max(f, 0) - f*y + log(1 + exp(-abs(f)))", task="binary")
    assert loss.losses([1.0], [60.0])[0] == pytest.approx(np.exp(-60.0), rel=1e-15)
    assert loss.gradient([1.0], [60.0])[0] == pytest.approx(-np.exp(-60.0), rel=1e-15)
    assert loss.rewrites[-1] == ("max(f, 0) - f*y + log(1 + exp(-abs(f)))", "softplus(f) - f*y")


def test_several_pairs_of_a_sum_are_found_and_sums_in_each_other_do_not_double() -> None:
    one = "max({0}, 0) - {0}*y + softplus(-abs({0}))"
    loss = lm.formula(f"{one.format('f')} + 3 + {one.format('g')}", predicted={"g": "(-inf, inf)"}, task="binary")
    slopes = loss.gradient([0.0], [0.0], g=[0.0])
    assert [slope.tolist() for slope in slopes.values()] == [[0.5], [0.5]]
    deep = "y"
    for _ in range(20):
        deep = f"max(f, 0) - f*y + 2*({deep}) + softplus(-abs(f))"
    assert stable(parse(deep, ("y", "f")), deep, ("y", "f"))[0].size < 3 * parse(deep, ("y", "f")).size


@pytest.mark.parametrize(
    ("text", "domain", "after"),
    [
        ("y/(1 + exp(-f))**k", "(-inf, inf)", "y*sigmoid(f)**k"),
        ("(1 + exp(-f))**(-1/k)", "(0, inf)", "sigmoid(f)**(1/k)"),
        ("k*(1 + exp(-f))**y", "(0, inf)", None),
        ("sqrt(k**2 + (f - y)**2) - k", "(0, inf)", "k*bowl((f - y)/k, 1)"),
        ("sqrt((f - y)**2 + 2*k) - sqrt(2*k)", "[1, inf)", "sqrt(2*k)*bowl((f - y)/sqrt(2*k), 1)"),
        ("hypot(f - y, k) - k", "[0, inf)", None),
        ("k/exp(f)", "(0, inf)", "k*exp(-f)"),
        ("((f - y)**2)**k", "(-inf, inf)", "abs(f - y)**(2*k)"),
        ("((f - y)**2)**(k/2)", "(0, inf)", "abs(f - y)**(2*(k/2))"),
        ("k + ((f - y)**2)**f", "(0, inf)", None),
        ("log(k + exp(f))", "(-1, inf)", None),
    ],
)
def test_parameters_are_powers_and_widths_where_their_domains_allow(text: str, domain: str, after: str | None) -> None:
    loss = lm.formula(text, parameters={"k": (2.0, domain)})
    assert loss.rewrites == (((text, after),) if after else ())


def test_rewrites_are_listed_as_they_are_computed() -> None:
    assert lm.formula("(y - f)**2").rewrites == ()
    assert lm.formula("log( 1+exp(f) ) - y*f").rewrites == (("log( 1+exp(f) )", "softplus(f)"),)
    assert lm.formula(WRITTEN).rewrites == (
        ("y*log(1/(1 + exp(-f)))", "-mul0(y, softplus(-f))"),
        ("(1 - y)*log(1 - 1/(1 + exp(-f)))", "-mul0(1 - y, softplus(f))"),
    )
    assert lm.formula("log(1 + f + y) + log(exp(f) + 1)").rewrites == (("log(exp(f) + 1)", "softplus(f)"),)


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("-log(sigmoid(f))", "log(sigmoid(f))", "-softplus(-f)"),
        ("-log(1 - 1/(1 + exp(-f)))*2", "log(1 - 1/(1 + exp(-f)))", "-softplus(f)"),
        ("y - 3*(1 - tanh(f))", "1 - tanh(f)", "2*sigmoid(-2*f)"),
        ("-xlogy(y, sigmoid(f))", "xlogy(y, sigmoid(f))", "-mul0(y, softplus(-f))"),
    ],
)
def test_rewrites_are_listed_where_signs_and_factors_around_them_fold(text: str, before: str, after: str) -> None:
    assert lm.formula(text).rewrites == ((before, after),)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("-(xlogy(y, sigmoid(f)) + xlogy(1 - y, 1 - sigmoid(f)))", WRITTEN),
        ("exp(f) - xlogy(y, exp(f))", "exp(f) - mul0(y, f)"),
        ("xlogy(y, 1 + exp(f))", "y*log(1 + exp(f))"),
        ("xlogy(2, 1 - exp(-f*f))", "mul0(2, log(1 - exp(-f*f)))"),
    ],
)
def test_logarithms_in_xlogy_have_the_forms_of_others(text: str, other: str) -> None:
    assert lm.formula(text).program(2) == lm.formula(other).program(2)
    assert lm.formula("xlogy(y, f) + xlogy(f, y)").rewrites == ()


def test_numbers_and_parameters_are_weights_and_no_zero_that_wins() -> None:
    text = "k*log(f) + 2*log(f) + log(2)*y + y*f"
    assert lm.formula(text, parameters={"k": 1.0}, prediction="(0, inf)").rewrites == ()


def apart(before: str, after: str) -> float:
    """Return how far two formulas are from each other at two points, where they have numbers."""
    most = 0.0
    points = (
        {"x": 0.7, "y": 0.3, "z": 0.9, "k": 3.0, "m": 0.7, "p": 1.5, "n": 4.0},
        {**{"x": -0.6, "y": 2.0, "z": 0.2, "k": 0.5, "m": 3.0, "p": 2.0, "n": -2.0}},
    )
    for point in points:
        with mp.workdps(60):
            names = {name: mpf(value) for name, value in point.items()}
            one, two = (mp.convert(evaluate(parse(text, point), Exact().ops, names)) for text in (before, after))
            if not (mpmath.isnan(one) and mpmath.isnan(two)):
                most = max(most, float(abs(one - two)))
    return most


@pytest.mark.parametrize(("before", "after"), ROWS)
def test_a_row_says_the_same_in_two_ways(before: str, after: str) -> None:
    assert apart(before, after) < 1e-15


def test_the_check_of_rows_can_fail() -> None:
    assert apart("exp(x) - 1", "expm1(-x)") > 0.1
    assert apart("y*log(x)", "xlogy(x, y)") > 0.1
