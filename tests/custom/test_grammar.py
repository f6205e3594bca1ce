"""Texts of formulas: what is read, and what is refused and where."""

from __future__ import annotations

import contextlib
import inspect
import pickle
import sys

import numpy as np
import pytest

import lossmith as lm
from lossmith.custom.functions import written
from lossmith.custom.grammar import DEEPEST, LONGEST, MOST, parse
from lossmith.errors import FormulaError

NAMES = ("y", "f", "k")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("f - y*2", -4.0),
        ("-f**2", -4.0),
        ("f**-2 + 2**f**0.5", 0.25 + 2 ** (2**0.5)),
        ("(2e1 + .5*pi - e)*f/2", 20 + 0.5 * np.pi - np.e),
        ("where(y < f, 1, 2)", 2.0),
        ("1 if y > f else 2", 1.0),
        ("1 if f < y <= 3 < 4 else 2", 1.0),
        ("1 if f < y < 3 else 2", 2.0),
        ("1 if not (f == 2 and y != 3) else 2", 1.0),
        ("1 if not f >= y or y < 0 else 2", 1.0),
        ("1 if not (f < y or y < 0) else 2", 2.0),
        ("min(f, y, 1) + max(f, y)", 4.0),
        ("+f +\n  y", 5.0),
        ("(-f)**3 + (-f)**-1 + square(f)", -4.5),
        ("(0.5 if f < y else 2)*f", 1.0),
        ("(-3*0)**f", 0.0),
        ("logcosh(0*y) + sqrt(f*2) + hypot(y, 4) + abs(-f) + sign(-f)", 2 + 5 + 2 - 1),
        ("log1mexp(f) + cosh(f) + tanh(f)", np.log(1 - np.exp(-2)) + np.cosh(2) + np.tanh(2)),
        ("xlogy(y, f) + mul0(y, f) + lgamma(y) + hold(f)", 3 * np.log(2) + 6 + np.log(2) + 2),
    ],
)
def test_what_a_text_means(text: str, value: float) -> None:
    loss = lm.formula(f"{text} + 0*exp(f)")
    assert loss.losses([3.0], [2.0])[0] == pytest.approx(value, rel=1e-14)
    tree = parse(text, NAMES)
    assert parse(written(tree), NAMES) == tree  # what is shown reads back


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("log1mexp(2)", np.log1p(-np.exp(-2))),
        ("log1mexp(log(exp(0.5)))", np.log(-np.expm1(-0.5))),
        ("log(exp(0))**-1", np.inf),
        ("log(exp(0))**2", 0.0),
    ],
)
def test_functions_of_numbers_are_numbers(text: str, value: float) -> None:
    found = lm.formula(f"f + {text}").losses([0.0], [2.0])[0]
    assert found == pytest.approx(2 + value, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "no formula"),
        ("  \n ", 1, "no formula"),
        ("lgo(f)", 1, "Did you mean 'log'"),
        ("y - exp(ln(f))", 9, "Write log(x)"),
        ("y - (f + fo)", 10, "no input or parameter 'fo'. Did you mean 'f'"),
        ("y - qqq(f)", 5, "There are abs, sign"),
        ("atan(f - y)", 1, "no function 'atan'. There are abs, sign"),
        ("mean(f)", 1, "A formula is of one example"),
        ("softmax(f)", 1, "such as sparse_categorical_cross_entropy"),
        ("(y_true - f)**2", 2, "The target is called y."),
        ("(y - y_pred)**2", 6, "The prediction is called f."),
        ("(y - p)**2", 6, "A probability is sigmoid(f)"),
        ("y - F", 5, "Did you mean 'f'"),
        ("q*f", 1, "no input or parameter 'q'. There are y, f;"),
        ("where(f =< y, f, 2)", 9, "'=<' is written <="),
        ("where(f => y, f, 2)", 9, "'=>' is written >="),
        ("y \u2212 f", 3, "a minus is written -"),
        ("(y - f)\u00b2", 8, "a power is written a**b"),
        ("f if f < y", 1, "this choice has no else"),
        ("log(f, 2)", 1, "to another base it is log(x)/log(base)"),
        ("f.__class__", 2, "no attributes"),
        ("y*f[0]", 4, "no subscripts"),
        ("f ^ 2", 3, "written a**b"),
        ("f = y", 3, "a == b"),
        ("exp(f, axis=0)", 12, "a == b"),
        ("'y'", 1, "no texts"),
        ("lambda: f", 1, "'lambda' is no part"),
        ("(f := y)", 4, "where(condition, a, b)"),
        ("[f for f in y]", 1, "no subscripts"),
        ("f % 2", 3, "no remainder"),
        ("f // 2", 3, "without a remainder"),
        ("f @ y", 3, "'@' is no part"),
        ("f + \u03b4", 5, "is no part"),
        ("f + None", 5, "'None' is no part"),
        ("f is y", 3, "'is' is no part"),
        ("2f", 2, "an operator is missing"),
        ("y 2", 3, "an operator is missing"),
        ("(f)(y)", 4, "an operator is missing"),
        ("f(y)", 1, "f is no function"),
        ("exp + f", 1, "exp is a function"),
        ("exp(*y)", 5, "one by one"),
        ("exp(**y)", 5, "passed by name"),
        ("max(f)", 1, "2 or more arguments, got 1"),
        ("exp(f, y)", 1, "takes 1 argument, got 2"),
        ("f, y", 2, "a comma stands only"),
        ("y + f)", 6, "never opened"),
        ("y + (f", 5, "never closed"),
        ("y +", 4, "missing at the end"),
        ("f < y", 1, "true or false, and no number"),
        ("4*(f < y)", 4, "a number belongs here"),
        ("f and y", 1, "a condition belongs here"),
        ("where(f, 1, 2)", 7, "a condition belongs here"),
        ("f + 1/0", 5, "no finite number"),
        ("f + 9**9**9", 5, "no finite number"),
        ("f + (-8)**0.5", 5, "no finite number"),
        ("f + square(0)**-1", 5, "no finite number"),
        ("f + square(1e200)", 5, "no finite number"),
        ("f + 1e999", 5, "too large"),
        ("f + sqrt(-1)", 5, "no finite number"),
        ("f + log(1 - 1)*y", 5, "no finite number"),
        ("f + log1mexp(-3)", 5, "no finite number"),
        ("f*exp(1000)", 3, "no finite number"),
        ("(f - y)/0", 9, "divided by 0"),
        ("y - f/(2 - 2)", 8, "divided by 0"),
        ("f + 1_000", 6, "stand without _"),
        ("f + 1 _000", 7, "stand without _"),
        ("f + 0x10", 6, "an operator is missing"),
        ("f\n+ 2*z", 7, "no input or parameter 'z'"),
        ("f + lgamma(f)", 5, "no derivative rule"),
        ("y**2", 1, "does not depend on the prediction f"),
        ("3", 1, "does not depend on the prediction f"),
        ("f - f", 1, "constant"),
        ("0*f + y", 1, "constant"),
        ("f + " * (LONGEST // 4) + "f", LONGEST + 1, "at most 40,000 characters"),
        ("(" * (DEEPEST + 1) + "f" + ")" * (DEEPEST + 1), DEEPEST + 1, "deep"),
        ("max(" + "f, " * MOST + "f)", 1, "at most 8,000 parts"),
        ("1 if " + " and ".join(["f < y"] * (DEEPEST + 1)) + " else 2", 6 + 10 * DEEPEST, "conditions are joined"),
        ("f" + "*f" * 2 * DEEPEST, 1, "deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, column: int, says: str) -> None:
    with pytest.raises(FormulaError) as caught:
        lm.formula(text)
    error = caught.value
    assert error.column == column
    assert says in error.problem
    problem, shown, caret = str(error).rsplit("\n", 2)
    assert problem == error.problem
    if text.strip() and column <= len(text):
        assert shown[caret.index("^")] == (text[column - 1] if text[column - 1].isprintable() else "?")
    lines = text[: column - 1].split("\n")
    place = f"column {len(lines[-1]) + 1}"
    assert caret.endswith(f"^ line {len(lines)}, {place}" if "\n" in text else f"^ {place}")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert issubclass(FormulaError, ValueError)
    assert issubclass(FormulaError, lm.LossmithError)


LONG = (
    "-" * 9000 + "f",
    "not " * 2400 + "f",
    "2**" * 3000 + "f",
    "exp(" * 99 + "f" + ")" * 99,
    "1 if f < y else " * 600 + "f",
    "9" * 9000 + "*f",
    "where(0 < " * 45 + "f" + " < 1, 1, 2)" * 45,  # a side of each comparison stands twice
    "where(not 0 == " * 30 + "f" + ", 1, 2)" * 30,
    "f" + "/f" * 99,
    "f" + "**f" * 99,
)


@pytest.mark.parametrize("text", LONG, ids=lambda text: text[:8])
def test_deep_and_long_texts_are_refused_or_stay_small(text: str) -> None:
    with contextlib.suppress(FormulaError):
        assert parse(text, ("y", "f")).size <= MOST
    with contextlib.suppress(FormulaError):
        lm.formula(text)


def test_a_caller_near_the_limit_of_python_gets_the_same_error() -> None:
    def deeper(left: int) -> None:
        if left:
            deeper(left - 1)
        else:
            lm.formula("exp(" * 95 + "f" + ")" * 95 + " + y")

    with pytest.raises(FormulaError, match="too"):
        deeper(sys.getrecursionlimit() - len(inspect.stack()) - 150)
