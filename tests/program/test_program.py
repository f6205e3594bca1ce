"""Programs: tracing, checks, printing and the ways through JSON and pickle."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lossmith as lm
from lossmith.engines import numpy as engine
from lossmith.errors import ProgramError
from lossmith.program import Ops, Program, Step, derive, trace
from lossmith.structures.written import Written

HUBER = """\
program(y, f; delta)
  %5 = sub f, y
  %6 = abs %5
  %7 = le %6, delta
  %8 = mul %5, %5
  %9 = mul %8, 0.5
  %10 = mul delta, 0.5
  %11 = sub %6, %10
  %12 = mul delta, %11
  %13 = where %7, %9, %12
  %14 = sign %5
  %15 = mul delta, %14
  %16 = where %7, %5, %15
  value = %13
  gradient:f = %16"""


def of(formula: Any, inputs: tuple[str, ...] = ("y", "f"), parameters: tuple[str, ...] = ()) -> Program:
    return trace(lambda ops, s: {"value": formula(ops, **s)}, inputs, parameters)


def test_a_program_prints_readably() -> None:
    head, *rest = str(lm.Huber().program(1)).splitlines()
    shift = int(rest[0].split("%")[1].split(" ")[0]) - 5  # constants in use decide where numbers start
    text = "\n".join([head, *rest])
    for number in range(30, 4, -1):
        text = text.replace(f"%{number + shift}", f"%{number}") if shift else text
    assert text == HUBER


def test_equal_expressions_become_one_value() -> None:
    program = of(lambda ops, y, f: ops.exp(f - y) + ops.exp(f - y) * ops.exp(f - y))
    assert [step.op for step in program.steps].count("exp") == 1
    assert of(lambda ops, y, f: y * f) == of(lambda ops, y, f: f * y)
    assert of(lambda ops, y, f: y - f) != of(lambda ops, y, f: f - y)


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        (lambda ops, y, f: f + 0, lambda ops, y, f: f),
        (lambda ops, y, f: 1 * f, lambda ops, y, f: f),
        (lambda ops, y, f: f / 1, lambda ops, y, f: f),
        (lambda ops, y, f: 0 * f + 2 * 3.0, lambda ops, y, f: 6.0),
        (lambda ops, y, f: ops.neg(ops.neg(f)), lambda ops, y, f: f),
        (lambda ops, y, f: f - 0, lambda ops, y, f: f),
        (lambda ops, y, f: 0 - f, lambda ops, y, f: -f),
        (lambda ops, y, f: f * -1, lambda ops, y, f: -f),
        (lambda ops, y, f: (f + f) / 2, lambda ops, y, f: f),
        (lambda ops, y, f: ops.where(y < f, f, f), lambda ops, y, f: f),
        (lambda ops, y, f: f**2, lambda ops, y, f: f * f),
        (lambda ops, y, f: f**1.0, lambda ops, y, f: f),
        (lambda ops, y, f: y * (1 / f), lambda ops, y, f: y / f),
        (lambda ops, y, f: -(1 / f) * y, lambda ops, y, f: -(y / f)),
    ],
)
def test_trivial_arithmetic_vanishes(formula: Any, same: Any) -> None:
    assert of(formula) == of(same)


def test_factors_merge_only_where_no_digit_is_lost() -> None:
    assert of(lambda ops, y, f: 4 * (f / 8)) == of(lambda ops, y, f: f * 0.5)
    assert len(of(lambda ops, y, f: 3 * (0.1 * f)).steps) == 2


def test_a_product_with_a_reciprocal_is_one_division_and_zero_still_wins() -> None:
    program = derive(of(lambda ops, y, f: ops.mul0(y, ops.log(f))), ("f",), 1)
    y, f = np.array([5e-324, 0.0, 2.0, 0.0]), np.array([5e-324, 0.0, 0.5, 3.0])
    got = engine.run(program, [y, f], {})["gradient:f"]
    np.testing.assert_array_equal(got, [1.0, 0.0, 4.0, 0.0])  # 1 / 5e-324 alone would be infinite


def test_dead_instructions_are_left_out() -> None:
    def function(ops: Ops, s: Any) -> dict[str, Any]:
        ops.exp(s["y"])
        return {"value": s["f"] + 1}

    assert [step.op for step in trace(function, ("y", "f")).steps] == ["add"]
    whole = derive(of(lambda ops, y, f: ops.softplus(f) * y), ("f",), 2)
    assert [step.op for step in whole.select(["value"]).steps] == ["softplus", "mul"]
    assert whole.select(["value"]).inputs == ("y", "f")


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (lambda ops, y, f: f if f > y else y, "ops.where"),
        (lambda ops, y, f: ops.where(0 < f < 1, f, y), "chained comparison"),
        (lambda ops, y, f: ops.exp(f, y), "ops.exp takes 1 argument, got 2"),
        (lambda ops, y, f: f + "1", "got '1' .str."),
        (lambda ops, y, f: f * float("nan"), "NaN as a constant"),
        (lambda ops, y, f: None, "got None"),
        (
            lambda ops, y, f: ops.exp(f < y),
            r"must be real, got bool; a condition makes a number by ops.where\(condition, 1, 0\)",
        ),
        (lambda ops, y, f: 4 * (f < y), "argument . of mul must be real, got bool; a condition makes a number"),
        (
            lambda ops, y, f: ops.where(f, f, y),
            "must be bool, got real; a number makes a condition by a comparison, as f > 0",
        ),
        (lambda ops, y, f: f * 1j, "got 1j .complex."),
    ],
)
def test_formulas_that_cannot_be_traced_say_why(formula: Any, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        of(formula)


def test_symbols_of_two_traces_do_not_mix() -> None:
    kept: list[Any] = []
    of(lambda ops, y, f: kept.append(f) or f)
    with pytest.raises(ProgramError, match="two traces"):
        of(lambda ops, y, f: kept[0] + f)


def small(**changes: Any) -> dict[str, Any]:
    plain = {
        "inputs": ("f",),
        "parameters": (),
        "constants": (2.0,),
        "steps": (Step("mul", (0, 1)),),
        "outputs": (("value", 2),),
    }
    return {**plain, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": (Step("mul", (0, 2)),)}, "uses value %2, which does not exist yet"),
        ({"steps": (Step("mul", (0, 3)), Step("neg", (2,)))}, "%3, which does not exist yet"),
        ({"steps": (Step("mul", (0, -1)),)}, "does not exist yet"),
        ({"steps": (Step("mull", (0, 1)),)}, "unknown instruction 'mull'. Did you mean 'mul'"),
        ({"steps": (Step("mul", (0,)),)}, "mul takes 2 arguments, got 1"),
        ({"steps": (Step("lt", (0, 1)), Step("exp", (2,)))}, "argument 1 of exp must be real, got bool"),
        ({"outputs": (("value", 9),)}, "names value %9"),
        ({"outputs": (("value", 0), ("value", 1))}, "distinct names"),
        ({"inputs": ("f", "f")}, "distinct names"),
        ({"parameters": ("f",)}, "distinct names"),
        ({"constants": (math.nan,)}, "NaN"),
    ],
)
def test_malformed_programs_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        Program(**small(**changes))


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=4))
def test_json_keeps_every_bit(constants: list[float]) -> None:
    program = Program(**small(constants=tuple(constants), outputs=(("value", len(constants) + 1),)))
    back = Program.from_json(program.to_json())
    assert [c.hex() for c in back.constants] == [c.hex() for c in program.constants]
    assert back == program
    assert hash(back) == hash(program)


WRITTEN = [name for name in lm.names() if issubclass(lm.loss_class(name), Written)]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_loss_goes_through_json_and_pickle(name: str) -> None:
    program = lm.get(name).program(2)
    assert Program.from_json(program.to_json()) == program
    assert pickle.loads(pickle.dumps(program)) == program
    assert json.loads(program.to_json())["format"] == "lossmith.program"


@pytest.mark.parametrize("name", [name for name in lm.names() if name not in WRITTEN])
def test_a_loss_without_a_formula_has_no_program_and_says_so(name: str) -> None:
    with pytest.raises(ProgramError, match=f"{lm.loss_class(name).__name__} is no function of a few inputs"):
        lm.get(name).program()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "not a program"),
        ('{"format": "other"}', "not a program"),
        ('{"format": "lossmith.program", "version": 99}', "version 99 is not known"),
        ('{"format": "lossmith.program", "version": 1}', "malformed program: KeyError"),
        (
            '{"format": "lossmith.program", "version": 1, "inputs": ["f"], "parameters": [], "constants": [],'
            ' "steps": [["nope", 0]], "outputs": [["value", 1]]}',
            "unknown instruction",
        ),
    ],
)
def test_bad_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        Program.from_json(text)


def test_derive_refuses_what_it_cannot_do() -> None:
    program = of(lambda ops, y, f: f * y)
    with pytest.raises(ProgramError, match="with respect to 'x'; inputs are y, f"):
        derive(program, ("x",))
    with pytest.raises(ProgramError, match="order 2, got order 3"):
        derive(program, ("f",), 3)
    with pytest.raises(ProgramError, match="no output 'loss'"):
        program.output("loss")
    with pytest.raises(ProgramError, match="takes 2 inputs"):
        program.evaluate(Ops(lambda name, arguments: 0), [1], {})
