"""The NumPy engine: blocks, buffers, types and what it refuses."""

from __future__ import annotations

import tracemalloc
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lossmith as lm
from lossmith.engines import _numpy_bowls as bowls
from lossmith.engines import _numpy_plan as plans
from lossmith.engines import numpy as engine
from lossmith.errors import ProgramError
from lossmith.program import TABLE, Ops, Program, Step, trace

SAFE = [row for row in TABLE.values() if row.name not in ("lgamma", "pow")]


@st.composite
def programs(draw: Any) -> Program:
    """Draw a program of any instructions, several outputs, dead and shared values."""
    types = ["real", "real", "real", "real"]  # two inputs, one parameter, one constant
    steps = []
    for _ in range(draw(st.integers(1, 14))):
        row = draw(st.sampled_from(SAFE))
        arguments = []
        for kind in row.argument_types:
            fitting = [n for n, have in enumerate(types) if have == kind]
            if not fitting:
                break
            arguments.append(draw(st.sampled_from(fitting)))
        else:
            steps.append(Step(row.name, tuple(arguments)))
            types.append(row.result)
    outputs = draw(st.lists(st.integers(0, len(types) - 1), min_size=1, max_size=4, unique=True))
    return Program(("a", "b"), ("c",), (0.5,), tuple(steps), tuple((f"out{n}", n) for n in outputs))


def naive(program: Program, columns: list[np.ndarray], parameters: dict[str, float]) -> dict[str, Any]:
    """Evaluate with fresh arrays for every value: no blocks, no buffers.

    What parameters and constants alone decide is in full precision until it meets an example, or leaves.
    """
    dtype = columns[0].dtype

    def apply(name: str, arguments: tuple[Any, ...]) -> Any:
        values = [np.asarray(x) for x in arguments]
        if any(x.ndim for x in values):
            values = [rounded(x) for x in values]
        return np.asarray(engine.IMPLEMENTATION[name](*values))

    def rounded(x: Any) -> np.ndarray:
        return np.asarray(x) if np.asarray(x).dtype == np.bool_ else np.asarray(x, dtype)

    with np.errstate(all="ignore"):
        full = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
        return {name: rounded(value) for name, value in program.evaluate(Ops(apply), columns, full).items()}


@given(programs(), st.integers(0, 70), st.sampled_from([np.float32, np.float64]), st.integers(1, 40))
def test_blocks_and_shared_buffers_change_nothing(program: Program, rows: int, dtype: Any, block: int) -> None:
    rng = np.random.default_rng(rows)
    columns = [rng.normal(size=rows).astype(dtype) * 3 for _ in range(2)]
    expected = naive(program, columns, {"c": 1.25})
    got: dict[str, list[Any]] = {name: [] for name, _ in program.outputs}
    for start, stop, values in engine.stream(program, columns, {"c": 1.25}, block=block):
        assert stop - start <= block
        for name, array in values.items():
            got[name].append(array.copy())
    for name, number in program.outputs:
        whole = np.concatenate(got[name]) if got[name] else np.empty(0)
        np.testing.assert_array_equal(whole, np.broadcast_to(expected[name], (rows,)))
        assert rows == 0 or whole.dtype == (dtype if program.types[number] == "real" else np.bool_)


def test_a_buffer_written_too_early_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(graph: plans.Graph) -> dict[int, tuple[str, int]]:
        places = right(graph)
        return {node: (kind, 0 if kind == "real" else number) for node, (kind, number) in places.items()}

    right = plans.buffers
    monkeypatch.setattr(plans, "buffers", greedy)
    monkeypatch.setattr(plans, "plan", plans.plan.__wrapped__)
    program = trace(lambda ops, s: {"v": ops.exp(s["a"]) + ops.tanh(s["b"]) * 2.0}, ("a", "b"))
    columns = [np.linspace(0, 1, 9), np.linspace(1, 2, 9)]
    _, stop, found = next(engine.stream(program, columns, {}, block=8))
    assert not np.array_equal(found["v"], naive(program, columns, {})["v"][:stop])


def test_the_branch_not_taken_never_shows() -> None:
    def function(ops: Ops, s: Any) -> dict[str, Any]:
        x = s["a"]
        return {"v": ops.where(x > 0, ops.log(x), ops.exp(-x)), "w": ops.where(x > 0, 1.0 / x, 0.0)}

    got = engine.run(trace(function, ("a",)), [np.array([-800.0, -1.0, 0.0, 2.0])], {})
    assert not np.isnan(got["v"]).any()
    np.testing.assert_array_equal(got["w"], [0, 0, 0, 0.5])


@pytest.mark.parametrize("rows", [1, 3])
def test_a_number_with_a_slope_is_an_array_too(rows: int) -> None:
    def function(ops: Ops, s: Any) -> dict[str, Any]:
        same = ops.sloped(s["c"], s["a"], s["a"])
        return {"same": same, "twice": same + s["c"]}

    _, _, got = next(engine.stream(trace(function, ("a",), ("c",)), [np.ones(rows)], {"c": 1.25}))
    assert [(name, array.tolist()) for name, array in got.items()] == [("same", [1.25] * rows), ("twice", [2.5] * rows)]


def test_no_warning_leaks_and_the_callers_settings_stay() -> None:
    program = trace(lambda ops, s: {"v": ops.log(s["a"]) / s["a"]}, ("a",))
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        blocks = engine.stream(program, [np.array([0.0, -1.0, 1e-320])], {})
        next(blocks)
        assert np.geterr()["divide"] == "raise"
        with pytest.raises(FloatingPointError):
            np.divide(np.array([1.0]), np.array([0.0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_work_stays_in_the_type_of_the_inputs(dtype: Any) -> None:
    program = lm.Huber(delta=1.1).program(2)
    got = engine.run(program, [np.zeros(3, dtype), np.ones(3, dtype)], {"delta": 1.1})
    assert {array.dtype for array in got.values()} == {np.dtype(dtype)}


def test_temporaries_are_a_few_blocks() -> None:
    rows = 2_000_000
    y, f = np.zeros(rows), np.linspace(-3, 3, rows)
    loss = lm.Focal()
    loss.cost(y[:10], f[:10], reduction="sum")
    tracemalloc.start()
    try:
        loss.state(y, f)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * engine.BLOCK * 8, f"{peak / 1e6:.1f} MB of temporaries for a cost"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([], "takes inputs a, b; got 0 arrays"),
        ([np.zeros(3), np.zeros(2)], "of one length"),
        ([np.zeros((3, 1)), np.zeros((3, 1))], "one-dimensional"),
        ([np.zeros(3), np.zeros(3, np.float32)], "all be float32 or all float64"),
        ([np.zeros(3, int), np.zeros(3, int)], "all be float32 or all float64"),
    ],
)
def test_what_does_not_fit_is_refused(columns: list[Any], message: str) -> None:
    program = trace(lambda ops, s: {"v": s["a"] * s["b"]}, ("a", "b"))
    with pytest.raises(ProgramError, match=message):
        engine.run(program, columns, {})


def test_missing_parameters_are_named() -> None:
    with pytest.raises(ProgramError, match="parameter delta"):
        engine.run(lm.Huber().program(0), [np.zeros(1), np.zeros(1)], {})


@pytest.mark.parametrize(
    ("name", "x", "truth"),
    [
        ("softplus", 1e-20, 0.6931471805599453), ("softplus", -745.0, 5e-324), ("softplus", 800.0, 800.0),
        ("sigmoid", -745.0, 5e-324), ("sigmoid", 40.0, 1.0), ("sigmoid", -1e308, 0.0),
        ("logcosh", 1e-4, 4.9999999916666667e-09), ("logcosh", 1e20, 1e20), ("logcosh", -1e-160, 5e-321),
        ("sech2", 400.0, 1.4649e-347 * 0), ("sech2", 0.0, 1.0), ("sech2", 300.0, 4 * np.exp(-600.0)),
        ("lgamma", 1.0, 0.0), ("lgamma", 5.0, np.log(24.0)), ("tanh", 1e-300, 1e-300),
        ("lgamma", 1e308, np.inf),
    ],
)  # fmt: skip
def test_composites_where_naive_forms_fail(name: str, x: float, truth: float) -> None:
    with np.errstate(all="ignore"):
        got = float(engine.IMPLEMENTATION[name](np.array([x]))[0])
    assert got == pytest.approx(truth, rel=1e-14, abs=1e-322)


def test_product_in_which_zero_wins() -> None:
    with np.errstate(all="ignore"):
        got = engine.IMPLEMENTATION["mul0"](np.array([0.0, -np.inf, 2.0, np.nan]), np.array([-np.inf, 0.0, 3.0, 1.0]))
    np.testing.assert_array_equal(got, [0.0, 0.0, 6.0, np.nan])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_least_number_is_multiplied_up_to_the_largest(dtype: Any) -> None:
    least, largest = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    rate = dtype(np.floor(np.log(float(largest)) - np.log(float(least))))
    with np.errstate(all="ignore"):
        got = engine.IMPLEMENTATION["mul_exp"](np.array([least]), np.array([rate]))
    assert got.dtype == dtype
    assert float(got[0]) == pytest.approx(np.exp(float(rate) + np.log(float(least))), rel=1e-5)


def test_what_a_quotient_leaves_over_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.1, 10, (2, 500))
    left = bowls.left_over(a, b, a / b)
    for x, y, got in zip(a.tolist(), b.tolist(), left.tolist(), strict=True):
        assert got == pytest.approx(float(Fraction(x) - Fraction(y) * Fraction(x / y)), rel=1e-9, abs=0)
