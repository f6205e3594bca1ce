"""Conditions and choices that what is known of values has decided are not looked at again, and all others are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

import lossmith as lm
from lossmith.core.domain import REAL
from lossmith.engines import numpy as reference
from lossmith.engines.llvm import kernel
from lossmith.engines.operations import MUL_EXP, OPERATIONS, recipe
from lossmith.frameworks.boosting import fused
from lossmith.program import Ops, Program, Value, trace


def bounded_product(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
    """Return the product of a share and a sigmoid, which are as they should be where it is below 2 as well."""
    product = s["y"] * ops.sigmoid(s["f"])
    inside = ops.both(ops.both(ops.le(0.0, s["y"]), ops.le(s["y"], 1.0)), REAL.contains(ops, s["f"]))
    return {"value": product, "valid": ops.both(inside, ops.lt(ops.abs(product), 2.0))}


def compared(program: Program) -> list[tuple[int, ...]]:
    """Return what a kernel compares."""
    tests = (OPERATIONS["lt"], OPERATIONS["le"])
    return [arguments for _, make, arguments in recipe(program, tame=True, watched=True) if make in tests]


def test_a_condition_that_ranges_decide_is_not_tested_and_domains_are() -> None:
    program = trace(bounded_product, ("y", "f"))
    assert len(compared(program)) == 2  # both ends of y; what is finite has a test of its own
    with np.errstate(all="ignore"):
        y, f = np.array([0.5, 1.5, -0.5, 0.5, 0.5]), np.array([1.0, 1.0, 1.0, np.nan, np.inf])
        for row, wrong in enumerate((False, True, True, True, True)):
            found = kernel.run(program, [y[row : row + 1], f[row : row + 1]], {}, {}, kind="double", summed=True)
            assert bool(found.wrong) == wrong


def test_what_valid_says_of_a_value_does_not_follow_from_itself() -> None:
    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        square = s["f"] * s["f"] - 1
        return {"value": square, "valid": ops.both(ops.le(0.0, square), ops.le(square, 1.0))}

    assert len(compared(trace(outputs, ("f",)))) == 2


def test_a_value_that_valid_calls_finite_needs_no_look_for_what_is_no_number() -> None:
    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        residual = s["f"] - s["y"]
        return {
            "value": ops.max(residual, s["y"]) + ops.max(s["y"], residual),
            "valid": REAL.contains(ops, residual),
        }

    program = trace(outputs, ("y", "f"))
    assert OPERATIONS["max"] not in [make for _, make, _ in recipe(program, watched=True)]
    assert OPERATIONS["max"] in [make for _, make, _ in recipe(program)]


@pytest.mark.parametrize("op", ["min", "max"])
@pytest.mark.parametrize("first", [True, False])
def test_beside_a_number_what_is_none_stays(op: str, first: bool) -> None:
    """One argument is a number for sure; the other may be NaN, or a zero of another sign."""

    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        given = (s["f"], s["y"]) if first else (s["y"], s["f"])
        return {"value": getattr(ops, op)(*given), "valid": REAL.contains(ops, s["f"])}

    program = trace(outputs, ("y", "f"))
    assert OPERATIONS[op] not in [make for _, make, _ in recipe(program, watched=True)]
    y, f = (
        np.array(x)
        for x in zip(*itertools.product((math.nan, 0.0, -0.0, 1.0, math.inf), (0.0, -0.0, 1.0)), strict=True)
    )
    found = {"value": np.empty_like(y)}
    kernel.run(program, [y, f], {}, found, kind="double", summed=False)
    expected = reference.run(program, [y, f], {})["value"]
    assert found["value"].tobytes() == np.ascontiguousarray(expected).tobytes()


def test_a_product_with_the_logarithm_of_one_more_is_a_plain_one() -> None:
    def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        inside = ops.both(REAL.contains(ops, s["y"]), REAL.contains(ops, s["f"]))
        known, open_ = ops.log1p(ops.abs(s["f"])), ops.log1p(s["f"])
        return {"value": ops.mul0(ops.abs(s["y"]), known), "other": ops.mul0(s["y"], open_), "valid": inside}

    program = trace(outputs, ("y", "f"))
    makes = {name: [make for _, make, _ in recipe(program.select([name, "valid"]))] for name in ("value", "other")}
    assert (OPERATIONS["mul"] in makes["value"], OPERATIONS["mul0"] in makes["value"]) == (True, False)
    assert (OPERATIONS["mul"] in makes["other"], OPERATIONS["mul0"] in makes["other"]) == (False, True)


def test_products_with_exponentials_look_at_nothing_that_is_known() -> None:
    def made(rate: Callable[[Ops, Value], Value], factor: Callable[[Ops, Value], Value], name: str) -> object:
        def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
            inside = ops.both(REAL.contains(ops, s["y"]), REAL.contains(ops, s["f"]))
            return {name: ops.mul_exp(factor(ops, s["y"]), rate(ops, s["f"])), "valid": inside}

        steps = recipe(trace(outputs, ("y", "f")), tame=True, watched=True)
        kinds = {make: known for known, make in MUL_EXP.items()}
        return next((kinds[make] for _, make, _ in steps if make in kinds), None)

    def same(ops: Ops, x: Value) -> Value:
        return x

    def size(ops: Ops, x: Value) -> Value:
        return ops.abs(x)

    def exp(ops: Ops, x: Value) -> Value:
        return ops.exp(x)

    assert made(same, same, "gradient:f") == (True, True)
    assert made(same, size, "value") == (True, True)
    assert made(same, same, "value") is None  # a negative zero of a loss would be printed
    assert made(same, exp, "gradient:f") == (False, True)  # which may be infinite
    assert made(lambda ops, x: ops.log(x), same, "gradient:f") == (True, False)  # which may be no number


def test_callbacks_of_boosters_test_no_derivative_that_is_a_product_of_probabilities() -> None:
    program = fused.exact(lm.BinaryCrossEntropy()).program
    label = program.inputs.index("y")
    assert [label in sides for sides in compared(program)] == [True, True]  # its two ends
    assert len(compared(fused.exact(lm.Huber()).program)) == 2  # the choice, and a gradient as large as a parameter
