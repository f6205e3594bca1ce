"""Random programs on random numbers: every single step is what the reference engine makes of the same arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmith.engines import numpy as reference
from lossmith.engines.llvm.kernel import Kernel
from lossmith.engines.llvm.loops import Form, Kind
from lossmith.program import TABLE, Program
from lossmith.program.program import Step

Array = np.ndarray
TYPES: dict[Kind, Any] = {"double": np.float64, "float": np.float32}
INPUTS, PARAMETERS, CONSTANTS = ("x", "y", "z"), ("k",), (0.5, -1.0, 3.0)
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-3, 40.0, -40.0, 700.0, 1e15, -1e15, 1e300, 1e-300, 5e-324)

ULPS = {
    "lgamma": 1e6,
    "crps_normal": 1e6,
    "lgamma_half": 1e6,
    **{f"bowl{part}": 1e4 for part in ("", "_slope", "_curvature")},
}
"""Where the engines may differ by more than 8 ulp: where terms cancel, and powers with exponents in the hundreds."""


DOMAINS: dict[str, Any] = {
    "log1p_difference": lambda a, b: (a >= -1) & (b >= -1),
    "log1p_bowl": lambda a, b: (a >= 0) & (b > 0),
    "harmonic": lambda a, b: (a >= 0) & (b > 0),
    "bell_bowl": lambda a, b: b > 0,
    "bell_slope": lambda a, b: b > 0,
    "bell_curvature": lambda a, b: b > 0,
    "log1p_ratio2": lambda a, b: b > 0,
    "crps_normal": lambda a, b: b > 0,
}
"""Where instructions mean something, if not everywhere; elsewhere engines may differ."""


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw a program in which any instruction may take any value before it."""
    fixed = len(INPUTS) + len(PARAMETERS) + len(CONSTANTS)
    types, steps = ["real"] * fixed, []
    for _ in range(draw(st.integers(1, 12))):
        row = TABLE[draw(st.sampled_from(sorted(TABLE)))]
        choices = [[n for n, kind in enumerate(types) if kind == wanted] for wanted in row.argument_types]
        if all(choices):
            steps.append(Step(row.name, tuple(draw(st.sampled_from(places)) for places in choices)))
            types.append(row.result)
    steps.append(Step("le", (0, 0)))  # a truth value for ``valid``
    reals = [n for n in range(fixed, len(types)) if types[n] == "real"]
    outputs = [*((f"step{n}", n) for n in reals), ("valid", fixed + len(steps) - 1)]
    return Program(INPUTS, PARAMETERS, CONSTANTS, tuple(steps), tuple(outputs))


def numbers(rows: int, seed: int, dtype: Any) -> list[Array]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in INPUTS:
        plain = np.where(rng.random(rows) < 0.3, rng.choice(SPECIAL, rows), rng.normal(size=rows) * 5)
        with np.errstate(over="ignore", under="ignore"):
            found.append(plain.astype(dtype))
    return found


def differences(program: Program, kind: Kind, rows: int, seed: int, k: float) -> list[str]:
    """Return a line for each step that the two engines compute differently from the same arguments."""
    dtype = TYPES[kind]
    inputs, names = numbers(rows, seed, dtype), [name for name, _ in program.outputs if name != "valid"]
    if not names:
        return []
    outputs = [np.empty(rows, dtype) for _ in names]
    Kernel(program, Form(kind, tuple(names), summed=False)).run(inputs, {"k": k}, outputs)
    values: list[Any] = [*inputs, dtype(k), *(dtype(c) for c in CONSTANTS)]
    kept = dict(zip(names, outputs, strict=True))
    found = []
    for number, step in enumerate(program.steps, start=program.first_step):
        arguments = [values[arg] for arg in step.args]
        with np.errstate(all="ignore"):
            expected = np.broadcast_to(reference.IMPLEMENTATION[step.op](*map(np.asarray, arguments)), (rows,))
        if f"step{number}" not in kept:
            values.append(expected)
            continue
        got = kept[f"step{number}"]
        if program.uniform[number]:
            expected = got  # computed once, in double precision, by the reference itself
        with np.errstate(all="ignore"):
            unit = np.abs(expected) - np.nextafter(np.abs(expected), dtype(0)) + np.finfo(dtype).smallest_subnormal
            apart = np.abs(got.astype(np.float64) - expected) / unit.astype(np.float64)
            same = (got == expected) | (np.isnan(got) & np.isnan(expected)) | (apart <= ULPS.get(step.op, 8))
            most = np.finfo(dtype).max * (1 - 16 * np.finfo(dtype).eps)  # at the edge of overflow either is right
            same |= (np.abs(got) >= most) & (np.abs(expected) >= most) & (np.sign(got) == np.sign(expected))
        if step.op in DOMAINS:
            same |= ~DOMAINS[step.op](*(np.broadcast_to(argument, (rows,)) for argument in arguments))
        if not same.all():
            row = int(np.argmin(same))
            given_ = [float(np.broadcast_to(argument, (rows,))[row]) for argument in arguments]
            found.append(f"{step.op}{tuple(given_)} = {got[row]!r}, reference {expected[row]!r}")
        values.append(got)
    return found


@settings(max_examples=40)
@pytest.mark.parametrize("kind", TYPES)
@given(program=programs(), rows=st.integers(1, 70), seed=st.integers(0, 10**6), k=st.sampled_from((0.25, 1.0, -2.0)))
def test_random_programs(kind: Kind, program: Program, rows: int, seed: int, k: float) -> None:
    assert differences(program, kind, rows, seed, k) == []


def test_a_wrong_instruction_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(
        INPUTS, PARAMETERS, CONSTANTS, (Step("exp", (0,)), Step("le", (0, 0))), (("step7", 7), ("valid", 8))
    )
    assert differences(program, "double", 50, 1, 1.0) == []
    monkeypatch.setitem(reference.IMPLEMENTATION, "exp", lambda x: np.exp(x) * (1 + 1e-14))
    assert "exp" in differences(program, "double", 50, 1, 1.0)[0]
