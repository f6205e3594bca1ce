"""Derivatives where slopes are 0 against arguments that overflow, and where they are not."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.engines import choice


def derivatives(loss: Loss, engine: choice.Name, f: float, y: float = 1.0) -> list[float]:
    with choice.using(engine), np.errstate(all="ignore"):
        return [float(part(np.array([y]), np.array([f]))[0]) for part in (loss.gradient, loss.hessian)]


@pytest.mark.parametrize("engine", ["numpy", "llvm"])
@pytest.mark.parametrize(
    ("text", "f"),
    [
        ("tanh(exp(f))", 1e5),
        ("sech2(exp(f)*y)", 800),
        ("sigmoid(f**2*exp(f)) + tanh(expm1(f))", 800),
        ("softplus(-exp(f))", 1e5),
        ("exp(-exp(exp(-f)))", -1e5),
        ("expm1(f - exp(f))", 1e5),
        ("f*exp(-exp(f))", 1e5),
        ("0.5**exp(f)", 1e5),
        ("f/(1 + exp(f) + exp(2*f))", 400),
        ("y/(3 + exp(f)**2)", 1e5),
        ("1/(3 + exp(f)**2)", 1e5),
        ("bowl(exp(f), -2)", 1e5),
        ("tanh(f*exp(y))", 1.0),
    ],
)
def test_zero_slopes_win_over_exponentials(text: str, f: float, engine: choice.Name) -> None:
    loss = lm.formula(text)
    y = 800.0 if "exp(y)" in text else 1.0
    with np.errstate(all="ignore"):
        assert math.isfinite(loss.losses([y], [f])[0])
    assert derivatives(loss, engine, f, y) == [0.0, 0.0]


@pytest.mark.parametrize("text", ["exp(log(f))", "sigmoid(log(f))", "1/(1/f)", "exp(2*log(f)/2)", "sech2(sqrt(f))"])
def test_zero_slopes_are_no_answer_where_others_grow_as_fast(text: str) -> None:
    assert derivatives(lm.formula(text), "numpy", 0.0)[0] != 0.0  # 1, 1, 1, 1 and -1 in truth


@pytest.mark.parametrize("text", ["tanh(f - y)", "exp((f - y)**3)", "sigmoid(exp(k)*f)", "tanh(f/y)", "exp(f)/y"])
def test_what_cannot_overflow_is_multiplied_as_ever(text: str) -> None:
    loss = lm.formula(text, parameters={"k": 1.0} if "(k)" in text else {})
    assert "mul0" not in {step.op for step in loss.program(2).steps}
