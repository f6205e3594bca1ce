"""Losses from functions of ``(ops, y, f)``: they are classes like those of the catalogue, or say why not."""

from __future__ import annotations

import functools
import math
import pickle
import subprocess
import sys
from typing import Any

import cloudpickle
import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.program import Ops, Value


@lm.loss(parameters={"level": "(0, 1)"})
def pinball(ops: Ops, y: Value, f: Value, level: float = 0.9) -> Value:
    """Too low costs level, too high the rest."""
    return ops.max(level * (y - f), (1 - level) * (f - y))


@lm.loss
def squares(ops: Ops, y: Value, f: Value, price: Value) -> Value:
    return price * (f - y) ** 2


def test_a_function_is_the_class_of_a_loss() -> None:
    assert issubclass(pinball, Loss)
    assert (pinball.name, pinball.__doc__) == ("pinball", "Too low costs level, too high the rest.")
    own, twin = pinball(level=0.7), lm.Quantile(level=0.7)
    y, f = np.random.default_rng(0).normal(size=(2, 50))
    for part in ("losses", "gradient", "hessian"):
        np.testing.assert_allclose(getattr(own, part)(y, f), getattr(twin, part)(y, f), rtol=1e-14)
    assert pickle.loads(pickle.dumps(own)) == own == pinball(0.7) != pinball()
    assert str(own + lm.Huber()) == "1 * pinball(level=0.7) + 1 * Huber(delta=1)"
    assert squares().losses([1.0], [3.0], price=[2.0]).tolist() == [8.0]
    with pytest.raises(lm.ParameterError, match="level must lie in"):
        pinball(level=2.0)


def test_a_loss_of_a_notebook_goes_to_other_processes() -> None:
    @lm.loss(parameters={"level": "(0, 1)"})  # which no module has, so that it travels with the loss
    def local(ops: Ops, y: Value, f: Value, level: float = 0.9) -> Value:
        return ops.max(level * (y - f), (1 - level) * (f - y))

    own = local(level=0.7)
    title = own.card.title  # cards that were made are no part of it
    there = "import pickle, sys; own = pickle.load(sys.stdin.buffer); print(own, own.card.title, own.cost([3], [1]))"
    done = subprocess.run([sys.executable, "-c", there], input=cloudpickle.dumps(own), capture_output=True, check=True)
    assert done.stdout.decode().split() == ["local(level=0.7)", title, "1.4"]
    assert cloudpickle.loads(cloudpickle.dumps(own)) == own


def test_functions_of_another_form_are_refused() -> None:
    with pytest.raises(lm.ParameterError, match=r"a function of \(ops, y, f\)"):
        lm.loss(lambda y, f: f - y)
    with pytest.raises(lm.ParameterError, match=r"no parameter 'levle'.* Did you mean 'level'"):
        lm.loss(parameters={"levle": "(0, 1)"})(pinball.__wrapped__)  # type: ignore[attr-defined]
    with pytest.raises(lm.ParameterError, match="no further input 'v'"):
        lm.loss(predicted={"v": "(0, 1)"})(pinball.__wrapped__)  # type: ignore[attr-defined]
    with pytest.raises(lm.ProgramError, match="cannot branch in Python"):
        lm.loss(lambda ops, y, f: y if y < f else f)().program()


def test_functions_compare_and_take_powers_as_formulas_do() -> None:
    def equal(ops: Ops, y: Value, f: Value) -> Value:
        return ops.where(y == 0, abs(f), ops.where(f != 1, (y - f) ** 2, 2 ** (f - y)))

    text = lm.formula("where(y == 0, abs(f), where(f != 1, (y - f)**2, 2**(f - y)))")
    given = np.array([0.0, 0, 2, 2, 1]), np.array([-3.0, 1, 1, 3, 1])
    np.testing.assert_array_equal(lm.loss(equal)().losses(*given), text.losses(*given))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda ops, y, f: -ops.log(f) if y == 1 else -ops.log(1 - f), "cannot branch in Python"),
        (lambda ops, y, f: f if y in (1, 2) else y, "cannot branch in Python"),
        (lambda ops, y, f: math.exp(f - y), r"not Symbol. The function is called once, .* ops.exp\(f\) for math.exp"),
        (lambda ops, y, f: np.exp(f - y), "The function is called once"),
        (lambda ops, y, f: ((y - f) ** 2).mean(), "no attribute 'mean'. The function is called once"),
        (lambda ops, y, f: sum(a - b for a, b in zip(y, f, strict=True)), "not iterable. The function is called once"),
        (lambda ops, y, f: ops.sinh(f - y), "no instruction is called 'sinh'"),
        (lambda ops, y, f: (y - f) ** 2 * 10**400, "too large for a float"),
        (lambda ops, y, f: 3.0, "constant: no prediction changes what the function returns"),
        (lambda ops, y, f: y**2, "constant: no prediction changes"),
        (lambda ops, y, f: ops.exp(f) * 0 + y, "constant: no prediction changes"),
        (lambda ops, y, f: None, "None"),
    ],
)
def test_functions_that_are_no_loss_are_refused_when_it_is_made(function: Any, says: str) -> None:
    made = lm.loss(function)
    with pytest.raises(lm.ProgramError, match=says):
        made()


def test_a_function_may_be_flat_where_it_jumps() -> None:
    jump = lm.loss(lambda ops, y, f: ops.where((y > 0) & (f > 0) | (y < 0) & (f < 0), 0.0, 1.0))()
    assert jump.losses([1.0, 1.0, -1.0], [2.0, -2.0, 2.0]).tolist() == [0, 1, 1]


def test_what_is_no_function_with_a_name_is_refused() -> None:
    with pytest.raises(lm.ParameterError, match=r"got '\(y - f\)\*\*2'. A formula as text is for lossmith.formula"):
        lm.loss("(y - f)**2")  # type: ignore[call-overload]
    with pytest.raises(lm.ParameterError, match=r"functools.partial.* has no name: write a def"):
        lm.loss(functools.partial(pinball.__wrapped__, level=0.5))  # type: ignore[attr-defined]
    with pytest.raises(lm.ParameterError, match=r"no keyword 'parameter'.* Did you mean 'parameters'"):
        lm.loss(parameter={"level": "(0, 1)"})  # type: ignore[call-overload]


def test_a_configuration_takes_no_function_for_a_loss_of_the_catalogue() -> None:
    @lm.loss
    def huber(ops: Ops, y: Value, f: Value, k: float = 4.0) -> Value:
        return k * (f - y) ** 4

    with pytest.raises(
        lm.LossNotFoundError, match=r"'huber' is a loss of your own, .*'k': 3.* and not what it computes"
    ):
        lm.from_config(huber(k=3).to_config())
