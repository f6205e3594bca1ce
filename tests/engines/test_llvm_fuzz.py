"""Random programs on random numbers: every single step is what the reference engine makes of the same arguments.

All arrays lie between pages that nobody may touch, so that a kernel that reads or writes beyond them ends the process.
"""

from __future__ import annotations

import itertools
import math
import signal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmith.engines import numpy as reference
from lossmith.engines.facts import ARITHMETIC
from lossmith.engines.llvm.form import Form
from lossmith.engines.llvm.frame import NOWHERE
from lossmith.engines.llvm.kernel import Kernel, Ready
from lossmith.engines.llvm.lanes import Kind
from lossmith.program import TABLE, Program
from lossmith.program.program import Step
from tests.engines import child
from tests.engines.guarded import Rooms

Array = np.ndarray
TYPES: dict[Kind, Any] = {"double": np.float64, "float": np.float32}
INPUTS, PARAMETERS, CONSTANTS = ("x", "y", "z"), ("k",), (0.5, -1.0, 3.0)
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-3, 40.0, -40.0, 700.0, 1e15, -1e15, 1e300, 1e-300, 5e-324,
           math.inf, -math.inf, math.nan)  # fmt: skip

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


ROOMS = Rooms(8 * 3 * 400)


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
    steps.append(Step("le", (0, 1)))  # a truth value for ``valid``
    reals = [n for n in range(fixed, len(types)) if types[n] == "real"]
    outputs = [*((f"step{n}", n) for n in reals), ("value", (reals or [0])[-1]), ("valid", fixed + len(steps) - 1)]
    return Program(INPUTS, PARAMETERS, CONSTANTS, tuple(steps), tuple(outputs))


def numbers(rows: int, seed: int | None, dtype: Any) -> list[Array]:
    """Return random numbers, or without a seed every pair of special ones, with some of them as the third."""
    if seed is None:
        first, second = np.array(list(itertools.product(SPECIAL, repeat=2)))[:rows].T
        with np.errstate(over="ignore", under="ignore"):
            return [column.astype(dtype) for column in (first, second, np.resize(SPECIAL[:-1], len(first)))]
    rng = np.random.default_rng(seed)
    found = []
    for _ in INPUTS:
        plain = np.where(rng.random(rows) < 0.3, rng.choice(SPECIAL, rows), rng.normal(size=rows) * 5)
        with np.errstate(over="ignore", under="ignore"):
            found.append(plain.astype(dtype))
    return found


def guarded(arrays: list[Array], where: dict[str, Any], **fixed: Any) -> list[Array]:
    return [ROOMS.hold(array, **(where | fixed)) for array in arrays]


def differences(
    program: Program, kind: Kind, rows: int, seed: int | None, k: float = 1.0, kernel: Kernel | None = None,
    **where: Any,
) -> list[str]:  # fmt: skip
    """Return a line for each step that the two engines compute differently from the same arguments."""
    dtype = TYPES[kind]
    ROOMS.empty()
    inputs = guarded(numbers(rows, seed, dtype), where)
    names = [name for name, _ in program.outputs if name.startswith("step")]
    outputs = guarded([np.empty(rows, dtype) for _ in names], where, stride=1)
    kernel = kernel or Kernel(program, Form(kind, tuple(names), summed=False))
    Ready(kernel, {"k": k}).run(inputs, outputs)
    assert ROOMS.untouched()
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
            if step.op in ARITHMETIC:  # whose bits are those of any engine, the signs of zeros too
                same = ((got == expected) & (np.signbit(got) == np.signbit(expected))) | (
                    np.isnan(got) & np.isnan(expected)
                )
        if step.op in DOMAINS:
            same |= ~DOMAINS[step.op](*(np.broadcast_to(argument, (rows,)) for argument in arguments))
        if not same.all():
            row = int(np.argmin(same))
            given_ = [float(np.broadcast_to(argument, (rows,))[row]) for argument in arguments]
            found.append(f"{step.op}{tuple(given_)} = {got[row]!r}, reference {expected[row]!r}")
        values.append(got)
    return found


WHERE = st.fixed_dictionaries(
    {
        "slack": st.sampled_from((0, 0, 1, 3, 8)),
        "low": st.booleans(),
        "stride": st.sampled_from((1, 1, 1, 2, 3, -1, -2)),
    }
)


@settings(max_examples=40)
@pytest.mark.parametrize("kind", TYPES)
@given(
    program=programs(), rows=st.integers(1, 70), seed=st.integers(0, 10**6), k=st.sampled_from((0.25, 1.0, -2.0)),
    where=WHERE,
)  # fmt: skip
def test_random_programs(kind: Kind, program: Program, rows: int, seed: int, k: float, where: dict[str, Any]) -> None:
    assert differences(program, kind, rows, seed, k, **where) == []


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("op", sorted(TABLE))
def test_every_instruction_at_every_length_of_a_tail(op: str, kind: Kind) -> None:
    row, fixed = TABLE[op], len(INPUTS) + len(PARAMETERS) + len(CONSTANTS)
    steps = [Step("lt", (0, 1)), Step("le", (1, 2))]
    given_ = {"real": iter((0, 1, 2)), "bool": iter((fixed, fixed + 1))}
    steps.append(Step(op, tuple(next(given_[wanted]) for wanted in row.argument_types)))
    if row.result == "bool":
        steps.append(Step("where", (fixed + 2, 0, 1)))
    last = fixed + len(steps) - 1
    program = Program(INPUTS, PARAMETERS, CONSTANTS, tuple(steps), ((f"step{last}", last), ("valid", fixed)))
    kernel = Kernel(program, Form(kind, (f"step{last}",), summed=False))
    for rows in range(1, 2 * kernel.width + 2):
        for where in ({"low": False}, {"low": True}):
            assert differences(program, kind, rows, rows, kernel=kernel, **where) == []
    assert differences(program, kind, len(SPECIAL) ** 2, None, kernel=kernel) == []


@settings(max_examples=30)
@pytest.mark.parametrize("kind", TYPES)
@given(
    program=programs(), rows=st.integers(1, 200), seed=st.integers(0, 10**6), factor=st.sampled_from((1.0, 0.125, 3.0)),
    weighted=st.booleans(), masked=st.booleans(), streaming=st.booleans(), where=WHERE,
)  # fmt: skip
def test_weights_masks_sums_and_findings(
    kind: Kind, program: Program, rows: int, seed: int, factor: float, weighted: bool, masked: bool,
    streaming: bool, where: dict[str, Any],
) -> None:  # fmt: skip
    dtype, block = TYPES[kind], 64
    rng = np.random.default_rng(seed)
    names = tuple(name for name, _ in program.outputs if name != "valid")
    ROOMS.empty()
    inputs = guarded(numbers(rows, seed, dtype), where)
    weight = ROOMS.hold(rng.choice((0.0, 0.5, 3.0), rows), **where) if weighted else None
    mask = ROOMS.hold(rng.random(rows) < 0.7, **(where | {"stride": 1})) if masked else None
    plain = [np.empty(rows, dtype) for _ in names]
    Ready(Kernel(program, Form(kind, names, summed=False)), {"k": 0.5}).run(inputs, plain)
    aligned = {"slack": 0, "low": True} if streaming else where
    outputs = guarded([np.empty(rows, dtype) for _ in names], aligned, stride=1)
    form = Form(kind, names, True, weighted, masked, streaming, large=streaming)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "BLOCK", block)
        records = Ready(Kernel(program, form), {"k": 0.5}).run(inputs, outputs, weight, mask, factor)
    assert ROOMS.untouched()
    counts = np.ones(rows, bool) if mask is None else mask
    shares = np.ones(rows) if weight is None else weight
    with np.errstate(all="ignore"):
        for name, one, stored in zip(names, plain, outputs, strict=True):
            scale = factor if name != "value" else 1.0
            wide = (
                np.where(shares > 0, one.astype(np.float64) * scale * shares, 0.0) if weighted else one * dtype(scale)
            )
            expected = np.where(counts, wide, 0.0).astype(dtype)
            np.testing.assert_allclose(stored, expected, rtol=4 * np.finfo(dtype).eps, atol=1e-300, err_msg=name)
        value = plain[names.index("value")].astype(np.float64)
        terms = np.where(counts & (shares > 0), value * shares, 0.0)
    bad, wrong = counts & ~np.isfinite(value.astype(dtype)), counts & ~(inputs[0] <= inputs[1])
    for number, record in enumerate(records):
        part = slice(number * block, (number + 1) * block)
        check_record(record, terms[part], bad[part], wrong[part], spoils=form.spoils)


def check_record(record: Any, terms: Array, bad: Array, wrong: Array, *, spoils: bool) -> None:
    """Fail unless a record tells of a block what these arrays do."""
    with np.errstate(all="ignore"):
        total = float(np.sum(terms))
    if spoils and wrong.any():
        total = math.nan
    if math.isfinite(total):
        np.testing.assert_allclose(record["sum"], math.fsum(terms), rtol=0, atol=1e-13 * np.abs(terms).sum())
        assert record["bad"] == (0 if bad.any() else NOWHERE)
    elif spoils:
        assert record["bad"] == 0
    if not spoils or wrong.any() or not math.isnan(total):  # a sum that is no number is looked into as well
        assert record["wrong"] == (0 if wrong.any() else NOWHERE)


def test_a_wrong_instruction_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(
        INPUTS, PARAMETERS, CONSTANTS, (Step("exp", (0,)), Step("le", (0, 0))), (("step7", 7), ("valid", 8))
    )
    assert differences(program, "double", 50, 1) == []
    monkeypatch.setitem(reference.IMPLEMENTATION, "exp", lambda x: np.exp(x) * (1 + 1e-14))
    assert "exp" in differences(program, "double", 50, 1)[0]


@pytest.mark.parametrize("stride", [2, -3])
@pytest.mark.parametrize("kind", TYPES)
def test_strided_arrays_are_read_up_to_their_ends(kind: Kind, stride: int) -> None:
    program = Program(
        INPUTS, PARAMETERS, CONSTANTS, (Step("add", (0, 1)), Step("le", (0, 0))), (("step7", 7), ("valid", 8))
    )
    for rows in range(1, 40):
        assert differences(program, kind, rows, 1, stride=stride) == []
        assert differences(program, kind, rows, 1, stride=stride, low=True) == []
    ROOMS.empty()
    held = ROOMS.hold(np.ones(9), stride=stride)
    held *= 2
    assert ROOMS.untouched()
    np.lib.stride_tricks.as_strided(held, (2,), (8 if stride > 0 else -8,))[1] = 5.0  # beside the first
    assert not ROOMS.untouched()


@pytest.mark.parametrize("short", ["input", "output"])
def test_a_kernel_that_goes_beyond_an_array_does_not_survive(short: str) -> None:
    script = f"""
    from lossmith.engines.llvm import kernel
    from tests.engines.guarded import Guarded
    rows = 100
    held = Guarded(4000).hold(np.ones(rows))
    def call(rows):
        y, f = np.ones(rows), held if {short == "input"} else np.ones(rows)
        out = held if {short == "output"} else np.empty(rows)
        kernel.run(lm.SquaredError().part("value", "valid"), [y, f], {{}}, {{"value": out}})
    call(rows)
    print("inside", flush=True)
    call(rows + 1)
    """
    process = child.start(script)
    out, _ = process.communicate(timeout=60)
    assert out == "inside\n"
    assert process.returncode == -signal.SIGSEGV
