"""Where all labels are a plain no or yes, kernels compute one of the two, to the same numbers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lossmith as lm
from lossmith.engines import choice, facts, hard_labels
from lossmith.engines import numpy as reference
from lossmith.engines.facts import ARITHMETIC
from lossmith.engines.hard_labels import Hard, hard
from lossmith.engines.llvm import kernel, loops, threads
from lossmith.engines.llvm.form import Form
from lossmith.engines.llvm.frame import NOWHERE
from lossmith.engines.regimes import decided
from lossmith.program import TABLE, Program
from lossmith.program.program import Step
from lossmith.structures.pointwise import Pointwise, SoftBinary
from tests.engines.guarded import Rooms

Array = np.ndarray
BLOCK = reference.BLOCK
LOSSES = (
    lm.Focal(),
    lm.Focal(gamma=1.5, alpha=0.25),
    lm.Focal(gamma=0.5, labels="signed"),
    lm.PolyOne(),
    lm.PolyOne(epsilon=-0.5, labels="signed"),
    lm.Asymmetric(),
    lm.Asymmetric(1, 2.5, 0),
    lm.formula("y**1*log(1 + exp(-f))**2 + (1 - y)*log(1 + exp(f))**2", task="binary"),
)
ORDERS = (("value",), ("value", "gradient:f"), ("gradient:f", "hessian:f,f"))
EDGES = (0.0, -0.0, 1e-300, -1e-40, 0.5, -0.5, 1.0, 30.0, -30.0, 700.0, -800.0, 1e30, -3e38)
TYPES = {"float": np.float32, "double": np.float64}


@pytest.fixture(autouse=True)
def _as_they_were() -> Iterator[None]:
    yield
    threads.set_num_threads(None)


def found(loss: Pointwise, outputs: tuple[str, ...]) -> Hard:
    """Return the program for hard labels, whether it pays or not."""
    parameters = tuple(loss.free_parameters.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hard_labels, "LEAST", 2)
        program = hard.__wrapped__(decided(loss.part(*outputs, "valid"), parameters), parameters)
    assert program is not None
    return program


def with_soft(y: Array, *places: int) -> Array:
    """Return labels of which those at some places are shares."""
    low, high = float(y.min()), float(y.max())
    y = y.copy()
    y[list(places)] = low + 0.3 * (high - low)
    return y


def examples(loss: Pointwise, rows: int, dtype: Any, seed: int = 0) -> tuple[Array, Array]:
    rng, low = np.random.default_rng(seed), loss.domains["y"].low
    return np.where(rng.random(rows) < 0.4, 1, low).astype(dtype), (rng.normal(size=rows) * 4).astype(dtype)


def same_at_the_ends(loss: Pointwise, program: Hard) -> None:
    """Fail unless a program for hard labels says what the one for all labels says."""
    f = np.concatenate([np.array(EDGES), np.random.default_rng(1).normal(size=200) * 5])
    for end in program.ends:
        y = np.full(len(f), end)
        is_, should = (reference.run(each, [y, f], loss.free_parameters) for each in (program.program, program.soft))
        for name, expected in should.items():
            np.testing.assert_allclose(is_[name], expected, rtol=1e-14, atol=0, err_msg=name)


@pytest.mark.parametrize("outputs", ORDERS, ids="+".join)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_it_says_the_same_at_both_ends(loss: Pointwise, outputs: tuple[str, ...]) -> None:
    same_at_the_ends(loss, found(loss, outputs))


AMONG = ("y", "f", "g")
OPS = sorted(
    set(TABLE) & (ARITHMETIC | {"exp", "expm1", "softplus", "sigmoid", "tanh", "mul0", "logcosh"}) - {"div", "sloped"}
)


@st.composite
def of_labels(draw: st.DrawFn) -> Program:
    """Draw a program whose loss is one function for a yes, and the same one mirrored, or another, for a no."""
    fixed = len(AMONG) + 1 + 3
    steps = [Step("sub", (4, 0)), Step("neg", (1,)), Step("neg", (2,)), Step("le", (6, 0)), Step("le", (0, 4))]
    steps.append(Step("both", (fixed + 3, fixed + 4)))
    types = ["real"] * (fixed + 3) + ["bool"] * 3

    def written(drawn: list[tuple[str, list[int]]], f: int, g: int) -> int:
        values, last = [f, g, 3, 4, 5], f
        for op, places in drawn:
            args = []
            for place, wanted in zip(places, TABLE[op].argument_types, strict=False):
                fitting = [n for n in values if types[n] == wanted]
                if fitting:
                    args.append(fitting[place % len(fitting)])
            if len(args) == TABLE[op].arity:
                steps.append(Step(op, tuple(args)))
                types.append(TABLE[op].result)
                values.append(len(types) - 1)
                last = values[-1] if types[-1] == "real" else last
        return last

    step = st.tuples(st.sampled_from(OPS), st.lists(st.integers(0, 20), min_size=3, max_size=3))
    outputs = []
    for name in ("value", "gradient:f"):
        yes = draw(st.lists(step, max_size=8))
        no = yes if draw(st.booleans()) else draw(st.lists(step, max_size=8))
        mirrored = draw(st.booleans())
        one = written(yes, 1, 2)
        other = written(no, fixed + 1 if mirrored else 1, fixed + 2 if mirrored else 2)
        steps += [Step("mul0", (0, one)), Step("mul0", (fixed, other)), Step("add", (len(types), len(types) + 1))]
        types += ["real"] * 3
        outputs.append((name, len(types) - 1))
    return Program(AMONG, ("k",), (1.0, 0.5, 0.0), tuple(steps), (*outputs, ("valid", fixed + 5)))


@given(program=of_labels(), k=st.sampled_from((0.0, 1.0, 2.0, 0.7)))
@settings(max_examples=300, deadline=None)
def test_any_formula_of_shares_says_the_same(program: Program, k: float) -> None:
    parameters = (("k", k),)
    program = decided(program, parameters)
    rng = np.random.default_rng(0)
    f, g = (np.concatenate([rng.choice(EDGES, 30), rng.normal(size=100)]) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hard_labels, "LEAST", 2)
        one = hard.__wrapped__(program, parameters)
    if one is None:  # conditions of which neither can be chosen
        return
    for end in one.ends:
        y = np.full(len(f), end)
        is_, should = (reference.run(each, [y, f, g], dict(parameters)) for each in (one.program, program))
        for name, expected in should.items():
            np.testing.assert_array_equal(is_[name] + 0.0, expected + 0.0, err_msg=f"{name} of\n{program}")


def test_a_wrong_one_does_not() -> None:
    loss, outputs = lm.Focal(), ("value", "gradient:f")
    right = found(loss, outputs)
    same_at_the_ends(loss, right)
    for wrong in (replace(right, program=found(lm.Focal(gamma=3), outputs).program), replace(right, ends=(0.0, 0.2))):
        with pytest.raises(AssertionError):
            same_at_the_ends(loss, wrong)


@pytest.mark.parametrize(
    "loss",
    [
        lm.BinaryCrossEntropy(),  # one function for both already
        lm.Huber(),
        lm.formula("y*y*softplus(f) + (1 - y)*exp(f)", task="binary"),
        lm.formula("y*softplus(f) + (1 - y)*exp(f)"),  # y may be any number
        lm.formula("y*f*f + (1 - f*f)*exp(-y)", prediction="[0, 1]"),
    ],
    ids=str,
)
def test_other_losses_have_none(loss: Pointwise) -> None:
    parameters = tuple(loss.free_parameters.items())
    assert hard(decided(loss.part("value", "gradient:f", "valid"), parameters), parameters) is None


def test_a_program_of_its_own_has_to_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = lm.Asymmetric()
    parameters = tuple(loss.free_parameters.items())
    given = decided(loss.part("value", "gradient:f", "valid"), parameters), parameters
    assert hard(*given) is None
    monkeypatch.setattr(hard_labels, "LEAST", 1)
    assert hard.__wrapped__(*given) is not None


def test_a_label_is_compared_with_its_ends_and_no_more() -> None:
    program = found(lm.Focal(), ("value", "gradient:f"))
    text = loops.pointwise(program.program, Form("float", ("gradient:f",), summed=True), 16, BLOCK, hard=program)
    label = re.search(r"(%\w+) = load <16 x float>, ptr %v0,", text)
    assert label is not None
    assert len(re.findall(rf"fcmp .*{label[1]}\b", text)) == 2


def test_both_ends_have_to_be_in() -> None:
    closed, half = (lm.Focal().part("value", "valid"), lm.GaussianNLL().part("value", "valid"))
    assert facts.bounded(closed) == {0: (0.0, 1.0)}
    assert facts.bounded(half) == {}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "loss", [lm.Focal(), lm.Focal(gamma=1.5, alpha=0.25, labels="signed"), lm.PolyOne(-0.5)], ids=str
)
class TestKernels:
    """Kernels that meet labels of both kinds."""

    outputs = ("value", "gradient:f")

    def run(self, loss: Pointwise, y: Array, f: Array, **how: Any) -> tuple[dict[str, Array], Any]:
        filled = {name: np.empty(len(f), f.dtype) for name in self.outputs}
        program = loss.part(*self.outputs, "valid")
        return filled, kernel.run(program, [y, f], loss.free_parameters, filled, summed=True, **how)

    def check(self, loss: Pointwise, y: Array, f: Array, **how: Any) -> None:
        wide = [array.astype(np.float64) for array in (y, f)]
        filled, findings = self.run(loss, y, f, **how)
        expected = reference.run(loss.part(*self.outputs, "valid"), wide, loss.free_parameters)
        weight = np.where(how.get("mask", True), how.get("weight", 1.0), 0.0)
        for name in self.outputs:
            size = np.abs(expected[name]).max(initial=0)
            np.testing.assert_allclose(
                filled[name], weight * expected[name], rtol=0, atol=8 * np.spacing(f.dtype.type(size))
            )
        assert sum(findings.sums) == pytest.approx((weight * expected["value"]).sum(), rel=2e-6)

    @pytest.mark.parametrize("rows", [5, BLOCK - 3, BLOCK, 3 * BLOCK + 77])
    def test_wherever_a_soft_label_is(self, loss: Pointwise, kind: str, rows: int) -> None:
        y, f = examples(loss, rows, TYPES[kind])
        self.check(loss, y, f)
        self.check(loss, with_soft(y, *range(rows)), f)
        for place in {0, 1, rows // 2, rows - 2, rows - 1}:
            self.check(loss, with_soft(y, place), f)

    def test_weights_and_masks(self, loss: Pointwise, kind: str) -> None:
        rows = 2 * BLOCK + 13
        y, f = examples(loss, rows, TYPES[kind])
        rng = np.random.default_rng(2)
        for labels in (y, with_soft(y, 40, BLOCK + 70, rows - 2)):
            weight, mask = rng.random(rows), rng.random(rows) < 0.7
            self.check(loss, labels, f, weight=weight)
            self.check(loss, labels, f, mask=mask)
            self.check(loss, labels, f, weight=weight, mask=mask)

    def test_a_block_is_the_same_whatever_is_in_others(self, loss: Pointwise, kind: str) -> None:
        rows = 24 * BLOCK + 500
        y, f = examples(loss, rows, TYPES[kind])
        y = with_soft(y, 5, 3 * BLOCK + 1000, 11 * BLOCK, rows - 3)
        bits = []
        for count in (1, 2, 5):
            threads.set_num_threads(count)
            filled, findings = self.run(loss, y, f)
            bits.append((findings.sums, [array.tobytes() for array in filled.values()]))
        assert bits[0] == bits[1] == bits[2]
        for start, stop in itertools.pairwise((0, 4 * BLOCK, 12 * BLOCK, rows)):
            filled, findings = self.run(loss, y[start:stop], f[start:stop])
            assert findings.sums == bits[0][0][start // BLOCK : -(-stop // BLOCK)]

    def test_in_place(self, loss: Pointwise, kind: str) -> None:
        rows = 2 * BLOCK + 29
        for places in ((), (0,), (BLOCK + 100, rows - 5)):
            y, f = examples(loss, rows, TYPES[kind])
            y = with_soft(y, *places)
            expected = self.run(loss, y, f)[0]["gradient:f"]
            program = loss.part("value", "gradient:f", "valid")
            kernel.run(program, [y, f], loss.free_parameters, {"gradient:f": f}, summed=True)
            np.testing.assert_array_equal(f, expected)

    def test_labels_that_are_none_are_told(self, loss: Pointwise, kind: str) -> None:
        rows = 3 * BLOCK
        for place in (0, BLOCK - 1, BLOCK + 50, rows - 1):
            for wrong in (7.0, np.nan, np.inf, 1.0000001, -1.5):
                y, f = examples(loss, rows, TYPES[kind])
                y[place] = wrong
                _, findings = self.run(loss, y, f)
                assert [block for block, left in enumerate(findings.wrong) if left != NOWHERE] or findings.bad

    def test_nothing_beside_the_arrays_is_touched(self, loss: Pointwise, kind: str) -> None:
        rooms, rows = Rooms(4 * BLOCK * 8), BLOCK + 37
        y, f = examples(loss, rows, TYPES[kind])
        for places, low in itertools.product(((), (3,), (BLOCK + 33,)), (False, True)):
            rooms.empty()
            held = [rooms.hold(array, low=low) for array in (with_soft(y, *places), f, np.zeros_like(f))]
            kernel.run(
                loss.part("value", "gradient:f", "valid"), held[:2], loss.free_parameters, {"gradient:f": held[2]},
                summed=True,
            )  # fmt: skip
            assert rooms.untouched()


def test_the_kernel_for_all_labels_is_made_when_one_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[bool]()
    write = kernel.pointwise

    def counted(*given: Any, **named: Any) -> str:
        made.append(named.get("hard") is not None)
        return write(*given, **named)

    monkeypatch.setattr(kernel, "pointwise", counted)
    loss = lm.Focal(gamma=2.25, alpha=0.125)
    kernel.kernel.clear()
    kernel.ready.cache_clear()
    y, f = examples(loss, 50_000, np.float32)
    with choice.using("llvm"):
        loss.cost_and_gradient(y, f)
        assert made == [True]
        loss.cost_and_gradient(y.astype(bool), f)
        assert made == [True, True]  # which reads bytes
        loss.cost_and_gradient(with_soft(y, 49_000), f)
        loss.cost_and_gradient(with_soft(y, 9), f)
    assert made == [True, True, False]


def test_where_that_cannot_be_made_the_reference_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    write = kernel.pointwise
    monkeypatch.setattr(
        kernel, "pointwise", lambda *given, **named: write(*given, **named) if named.get("hard") else "no module"
    )
    loss = lm.Focal(gamma=2.75, alpha=0.375)
    y, f = examples(loss, 50_000, np.float64)
    y = with_soft(y, 20_000)
    with choice.using("numpy"):
        expected = loss.cost_and_gradient(y, f)
    cost, gradient = loss.replace().cost_and_gradient(y, f)
    assert cost == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    with choice.using("llvm"), pytest.raises(choice.NoKernel, match="RuntimeError"):
        loss.replace().cost_and_gradient(y, f)


def test_every_loss_of_soft_labels_was_tried() -> None:
    named = {type(loss) for loss in LOSSES}
    soft = {lm.loss_class(name) for name in lm.names() if issubclass(lm.loss_class(name), SoftBinary)}
    rest = {lm.BinaryCrossEntropy, lm.Brier}
    assert soft - rest <= named
