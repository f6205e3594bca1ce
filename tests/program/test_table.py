"""The table of instructions: each row complete, each derivative rule true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from mpmath import mp, mpf

from lossmith.certify import meaning
from lossmith.engines.numpy import IMPLEMENTATION
from lossmith.errors import ProgramError
from lossmith.program import TABLE, Instruction, Ops, Program, derive, trace

REAL_ROWS = [row for row in TABLE.values() if row.result == "real" and row.tangent is not None]
# Points away from kinks and inside every domain.
POINTS = ((0.7, 1.3), (2.5, 0.4), (0.2, 0.9))


def call(row: Instruction) -> Program:
    """Return a program that applies one instruction to inputs a, b (and a condition for ``where``)."""

    def function(ops: Ops, s: Any) -> dict[str, Any]:
        a, b = s["a"], s["b"]
        special = {
            "where": (a < b, a, b),
            "alike": (a < b, ops.exp(a), 1 + ops.expm1(a)),
            "sloped": (ops.exp(a), ops.exp(a), a),
        }
        arguments = special.get(row.name, (a, b)[: row.arity])
        return {"value": getattr(ops, row.name)(*arguments)}

    return trace(function, ("a", "b"))


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)
def test_row_is_complete(row: Instruction) -> None:
    letters = "abc"[: row.arity]
    assert row.latex.format(*letters), "the format must take every argument"
    assert all(letter in row.latex.format(*letters) for letter in letters)
    assert len(row.argument_types) == row.arity
    assert set(row.argument_types) <= {"real", "bool"}
    assert row.meaning
    assert row.name in IMPLEMENTATION


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)
def test_meaning_is_what_the_engine_computes(row: Instruction) -> None:
    symbols = sympy.symbols("a b c")
    meaning = sympy.sympify(row.meaning, locals=dict(zip("abc", symbols, strict=True)))
    for point in POINTS:
        real = [point[n % 2 if row.name != "alike" else 0] for n in range(row.arity)]
        given = [
            bool(n % 2) if kind == "bool" else x
            for n, (kind, x) in enumerate(zip(row.argument_types, real, strict=True))
        ]
        said = meaning.xreplace({s: sympy.sympify(x) for s, x in zip(symbols, given, strict=False)}).doit()
        got = IMPLEMENTATION[row.name](*(np.asarray(x) for x in given))
        assert float(got) == pytest.approx(float(bool(said)) if row.result == "bool" else float(said), rel=1e-14)


def free(row: Instruction) -> list[str]:
    """Return the inputs of ``call(row)`` that the rule differentiates by."""
    return [name for place, name in enumerate("ab") if place not in row.held]


# Second derivatives whose own derivatives no loss needs end a chain of rules.
WITHOUT_A_SECOND = {"bowl_slope", "bell_slope", "biweight_slope"}
RULES = [(row, order) for row in REAL_ROWS for order in (1, 2) if order == 1 or row.name not in WITHOUT_A_SECOND]


@pytest.mark.parametrize(("row", "order"), RULES, ids=lambda item: getattr(item, "name", item))
def test_derivative_rule_agrees_with_numerical_differentiation(row: Instruction, order: int) -> None:
    program = derive(call(row), free(row), order)
    key = "gradient:{}" if order == 1 else "hessian:{0},{0}"
    with mp.workdps(60):
        for point in POINTS:
            at = [mpf(x) for x in point]
            value, chosen = call(row), meaning.Exact()
            value.evaluate(chosen.ops, at, {})  # what is held while the numbers move
            got = program.evaluate(meaning.Exact().ops, at, {})
            for name in free(row):
                place = "ab".index(name)

                def along(
                    x: mpf,
                    place: int = place,
                    at: list[mpf] = at,
                    value: Program = value,
                    held: Any = tuple(chosen.choices),
                ) -> mpf:
                    moved = [*at]
                    moved[place] = x
                    return value.evaluate(meaning.Exact(held).ops, moved, {})["value"]

                truth = mp.diff(along, at[place], order)
                assert abs(mpf(got[key.format(name)]) - truth) <= mpf(10) ** -15 * (1 + abs(truth))


@pytest.mark.parametrize("name", sorted(WITHOUT_A_SECOND))
def test_chains_of_rules_end_where_it_is_said(name: str) -> None:
    with pytest.raises(ProgramError, match="has no derivative rule"):
        derive(call(TABLE[name]), ("a",), 2)


def test_what_is_held_cannot_be_differentiated_by() -> None:
    for row in TABLE.values():
        for place in row.held:
            with pytest.raises(
                ProgramError, match=rf"argument {place + 1} of instruction '{row.name}'|no derivative rule"
            ):
                derive(call(row), ("ab"[place],), 1)


def test_a_wrong_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    wrong = replace(TABLE["tanh"], tangent=lambda o, x, d, r: o.mul(r, d[0]))
    monkeypatch.setitem(TABLE, "tanh", wrong)
    with pytest.raises(AssertionError):
        test_derivative_rule_agrees_with_numerical_differentiation(wrong, 1)


@pytest.mark.parametrize(
    ("name", "at", "slope"),
    [("abs", (0.0,), 0.0), ("sign", (0.0,), 0.0), ("min", (1.0, 1.0), 1.0), ("max", (1.0, 1.0), 1.0)],
)
def test_conventions_at_kinks(name: str, at: tuple[float, ...], slope: float) -> None:
    program = derive(call(TABLE[name]), ("a",), 1)
    got = program.evaluate(meaning.Exact().ops, [mpf(at[0]), mpf(at[-1])], {})["gradient:a"]
    assert float(got) == slope


def test_an_instruction_without_a_rule_says_so() -> None:
    with pytest.raises(ProgramError, match="'lgamma' has no derivative rule, and 'a' reaches it"):
        derive(call(TABLE["lgamma"]), ("a",), 1)


def test_unknown_instructions_are_refused_by_the_namespace() -> None:
    with pytest.raises(AttributeError, match="no instruction is called 'sinh'"):
        Ops(lambda name, arguments: None).sinh(1.0)
