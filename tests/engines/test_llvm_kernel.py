"""Kernels against the reference engine: the same numbers for any length, alignment, weights, masks and threads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import numpy as reference
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import threads
from lossmith.engines.llvm.form import Form
from lossmith.engines.llvm.frame import NOWHERE
from lossmith.engines.llvm.kernel import Kernel, Ready, kernel
from lossmith.engines.llvm.lanes import Kind
from lossmith.program import Program, trace
from lossmith.structures.pointwise import Pointwise

Array = np.ndarray
TYPES: dict[Kind, Any] = {"double": np.float64, "float": np.float32}
LOSSES = [lm.get(name) for name in lm.names() if issubclass(lm.loss_class(name), lm.Pointwise)]
SIZES = (1, 7, 16, 33, reference.BLOCK - 1, reference.BLOCK, 2 * reference.BLOCK + 5)
_CANARY = -77.25


@pytest.fixture(autouse=True)
def _threads_as_they_were() -> Iterator[None]:
    yield
    threads.set_num_threads(None)


def sample(loss: lm.Loss, rows: int, dtype: Any, seed: int = 0) -> list[Array]:
    """Return inputs of ordinary size inside the domains."""
    rng, found = np.random.default_rng(seed), []
    for symbol in loss.program(0).inputs:
        domain = loss.domains[symbol]
        if domain.values:
            values = rng.choice(list(domain.values), rows)
        elif np.isinf(domain.low) and np.isinf(domain.high):
            values = rng.normal(size=rows) * 3 + 0.1
        elif np.isinf(domain.low):
            values = domain.high - np.exp(rng.normal(size=rows)) * 5
        elif np.isinf(domain.high):
            values = domain.low + np.exp(rng.normal(size=rows))
        else:
            values = rng.uniform(domain.low, domain.high, rows)
        found.append(values.astype(dtype))
    return found


def whole(loss: lm.Loss) -> tuple[Program, tuple[str, ...]]:
    """Return the program of a loss with all its derivatives, and the outputs that are numbers."""
    names = tuple(name for name, _ in loss.program(2).outputs)
    return loss.part(*names, "valid"), names  # type: ignore[attr-defined]  # of every loss with a formula


def close(got: Array, expected: Array) -> None:
    """Fail unless two engines agree, but for the rounding that terms of this size carry."""
    slack = 2e-12 if expected.dtype == np.float64 else 2e-4
    size = np.maximum(1, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    np.testing.assert_allclose(got, expected, rtol=slack, atol=slack * min(size, 1e3))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_every_loss_is_what_the_reference_says(loss: lm.Loss, kind: Kind) -> None:
    program, names = whole(loss)
    inputs = sample(loss, 5003, TYPES[kind])
    outputs = [np.empty(5003, TYPES[kind]) for _ in names]
    records = Ready(kernel(program, Form(kind, names, summed=True)), loss.free_parameters).run(inputs, outputs)  # type: ignore[attr-defined]
    expected = reference.run(program, inputs, loss.free_parameters)  # type: ignore[attr-defined]
    for name, got in zip(names, outputs, strict=True):
        close(got, expected[name])
    assert records["sum"].sum() == pytest.approx(outputs[0].astype(np.float64).sum(), rel=1e-12, abs=1e-9)
    assert (records["count"] == 0).all()
    assert (records["wrong"] == NOWHERE).all()


@pytest.mark.parametrize("name", ["log_cosh", "gamma", "focal", "student_t_nll"])  # which take powers of two apart
def test_doubles_that_are_stored_as_floats_are_the_same_doubles_rounded(name: str) -> None:
    program, names = whole(lm.get(name))
    inputs, parameters = sample(lm.get(name), 5003, np.float64), lm.get(name).free_parameters
    found = {}
    for taken, dtype in TYPES.items():
        outputs = [np.empty(5003, dtype) for _ in names]
        form = Form("double", names, summed=False, taken=(taken,) * len(names))
        Ready(kernel(program, form), parameters).run(inputs, outputs)
        found[taken] = outputs
    for wide, narrow in zip(found["double"], found["float"], strict=True):
        np.testing.assert_array_equal(wide.astype(np.float32), narrow)


def test_differences_of_doubles_are_rounded_once_whatever_is_computed_with() -> None:
    program = trace(lambda ops, s: {"value": 2 * (s["x"] - s["y"]), "valid": ops.lt(s["x"], 1e9)}, ["x", "y"], [])
    y, out = np.arange(1e5, 1e5 + 100), np.empty(100, np.float32)
    x = y + np.linspace(1e-9, 1e-5, 100)
    for given, other in (("double", y), ("float", y.astype(np.float32)), ("i32", y.astype(np.int32))):
        form = Form("float", ("value",), summed=False, given=("double", given))
        Ready(kernel(program, form), {}).run([x, other], [out])
        np.testing.assert_array_equal(out, (2 * (x - y)).astype(np.float32))


HUBER = lm.Huber()
PROGRAM = HUBER.part("value", "gradient:f", "valid")
NAMES = ("value", "gradient:f")


def placed(values: Array, offset: int) -> tuple[Array, Array]:
    """Return a copy that lies ``offset`` numbers into a larger array of canaries, and that array."""
    whole = np.full(len(values) + 2 * 64 + offset, _CANARY, values.dtype)
    part = whole[64 + offset : 64 + offset + len(values)]
    part[:] = values
    return part, whole


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("offset", [0, 1, 5])
@pytest.mark.parametrize("rows", SIZES)
def test_nothing_beside_the_outputs_is_touched(rows: int, offset: int, kind: Kind) -> None:
    inputs = [placed(array, offset)[0] for array in sample(HUBER, rows, TYPES[kind])]
    outputs = [placed(np.zeros(rows, TYPES[kind]), offset + place) for place in range(2)]
    Ready(kernel(PROGRAM, Form(kind, NAMES, summed=True)), HUBER.free_parameters).run(
        inputs, [part for part, _ in outputs]
    )
    expected = reference.run(PROGRAM, inputs, HUBER.free_parameters)
    for name, (part, around) in zip(NAMES, outputs, strict=True):
        np.testing.assert_array_equal(part, expected[name])
        assert (around == _CANARY).sum() >= len(around) - rows
        assert (around[:64] == _CANARY).all()
        assert (around[-64:] == _CANARY).all()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rows", [5, 3 * reference.BLOCK + 11])
def test_weights_and_masks_are_applied_inside(rows: int, masked: bool, weighted: bool, kind: Kind) -> None:
    rng = np.random.default_rng(3)
    inputs = sample(HUBER, rows, TYPES[kind])
    weight = rng.choice([0.0, 0.5, 3.0], rows)
    mask = rng.random(rows) < 0.7
    inputs[0][~mask if masked else slice(0)] = np.nan  # what is masked may be anything
    inputs[1][(weight == 0) & mask if weighted else slice(0)] = 3e38  # a weight of 0 silences anything
    outputs = [np.empty(rows, TYPES[kind]) for _ in NAMES]
    form = Form(kind, NAMES, summed=True, weighted=weighted, masked=masked)
    records = Ready(kernel(PROGRAM, form), HUBER.free_parameters).run(
        inputs, outputs, weight if weighted else None, mask if masked else None, factor=0.25
    )
    plain = reference.run(PROGRAM, inputs, HUBER.free_parameters)
    w, m = weight if weighted else np.ones(rows), mask if masked else np.ones(rows, bool)
    for name, got in zip(NAMES, outputs, strict=True):
        factor = 0.25 if name != "value" else 1.0
        with np.errstate(invalid="ignore", over="ignore"):
            expected = np.where(m & (w > 0), w * factor * plain[name], 0)
        np.testing.assert_allclose(got, expected, rtol=1e-6 if kind == "float" else 1e-14)
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.where(m & (w > 0), w * plain["value"].astype(np.float64), 0).sum()
    assert records["sum"].sum() == pytest.approx(total, rel=1e-12)
    assert (records["wrong"] == NOWHERE).all()


@pytest.mark.parametrize("kind", TYPES)
def test_sums_are_the_same_bits_for_any_threads_and_any_split_at_blocks(kind: Kind) -> None:
    rows = 37 * reference.BLOCK + 123
    inputs = sample(HUBER, rows, TYPES[kind])
    run = Ready(kernel(PROGRAM, Form(kind, (), summed=True)), HUBER.free_parameters).run
    found = []
    for number in (1, 2, 3, 5):
        threads.set_num_threads(number)
        found.append(run(inputs, [])["sum"].tolist())
    edges = [0, 3 * reference.BLOCK, 20 * reference.BLOCK, rows]
    parts = [run([x[a:b] for x in inputs], []) for a, b in itertools.pairwise(edges)]
    found.append([total for part in parts for total in part["sum"].tolist()])
    assert found == found[:1] * len(found)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 32, 48, 63, 2 * reference.BLOCK + 24])
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("way", ["apart", "summed", "weighted", "masked"])
@pytest.mark.parametrize("loss", [lm.LogCosh(), lm.Focal()], ids=str)
def test_arrays_that_are_large_have_the_same_bits(loss: Pointwise, kind: Kind, rows: int, way: str) -> None:
    names, widths, found = ("gradient:f",), [], []
    rng = np.random.default_rng(rows)
    y, f = ((rng.normal(size=rows) * 10 ** rng.uniform(-9, 6, rows)).astype(TYPES[kind]) for _ in range(2))
    inputs = [y if isinstance(loss, lm.LogCosh) else (y > 0).astype(y.dtype), f]
    weight = rng.random(rows) if way == "weighted" else None
    mask = rng.random(rows) < 0.7 if way == "masked" else None
    form = Form(kind, names, way != "apart", weighted=weight is not None, masked=mask is not None, tame=True)
    program = loss.part("value", *names, "valid")
    for large in (False, True):
        outputs = [np.empty(rows, TYPES[kind]) for _ in names]
        made = kernel(program, replace(form, large=large))
        left = Ready(made, loss.free_parameters).run(inputs, outputs, weight, mask)
        found.append((left.tolist(), [array.tolist() for array in outputs]))
        widths.append(made.width)
    assert found[0] == found[1]
    wider = isinstance(loss, lm.Focal) if compiler.host().bits > 256 else kind == "float"
    assert widths[1] == (2 if wider else 1) * widths[0]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_bad_values_and_invalid_examples_are_noticed(kind: Kind, weighted: bool) -> None:
    loss = lm.BinaryCrossEntropy(prediction="probabilities")
    rows = 4 * reference.BLOCK
    y, f = sample(loss, rows, TYPES[kind])
    y[:] = 1
    f[:] = np.clip(f, 0.1, 0.9)
    f[[5, 9, 2 * reference.BLOCK + 100]] = 0  # infinite, each
    f[reference.BLOCK + 77] = 1.5  # outside the domain
    form = Form(kind, (), summed=True, weighted=weighted)
    weight = np.ones(rows) if weighted else None
    records = Ready(kernel(loss.part("value", "valid"), form), {}).run([y, f], [], weight)
    assert records["wrong"].tolist() == [NOWHERE, 0, NOWHERE, NOWHERE]
    assert records["bad"].tolist() == [0, NOWHERE if weighted else 0, 0, NOWHERE]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -math.inf])
def test_one_example_that_is_not_valid_is_noticed_wherever_it_stands(kind: Kind, spoilt: float) -> None:
    run = Ready(kernel(lm.Hinge().part("value", "valid"), Form(kind, (), summed=True)), {}).run
    for rows in (1, 7, 100):
        for place in range(rows):
            y, f = np.ones(rows, TYPES[kind]), np.full(rows, 3, TYPES[kind])
            assert run([y, f], [])["wrong"].tolist() == [NOWHERE]
            f[place] = spoilt
            assert run([y, f], [])["wrong"].tolist() == [0]  # the hinge loss of an infinite margin is zero


def test_one_kernel_serves_every_parameter() -> None:
    form = Form("double", NAMES, summed=True)
    for delta in (0.1, 1.0, 50.0):
        loss = lm.Huber(delta)
        assert kernel(loss.part(*NAMES, "valid"), form) is kernel(PROGRAM, form)
        inputs, outputs = sample(loss, 100, np.float64), [np.empty(100), np.empty(100)]
        Ready(kernel(PROGRAM, form), loss.free_parameters).run(inputs, outputs)
        np.testing.assert_array_equal(outputs[0], loss.losses(*inputs))


def test_uniform_truth_values_reach_the_kernel() -> None:
    program = trace(
        lambda ops, s: {"value": ops.where(s["k"] < 2, s["x"], -s["x"]), "valid": ops.lt(s["x"], 1e9)}, ["x"], ["k"]
    )
    x, out = np.arange(10.0), [np.empty(10)]
    for k in (1.0, 3.0):
        Ready(kernel(program, Form("double", ("value",), summed=False)), {"k": k}).run([x], out)
        np.testing.assert_array_equal(out[0], x if k < 2 else -x)


def test_the_second_process_finds_the_code_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    form = Form("float", NAMES, summed=False)
    Kernel(PROGRAM, form)
    monkeypatch.setattr("lossmith.engines.llvm.compile.build", lambda text: pytest.fail("compiled again"))
    Kernel(PROGRAM, form)
