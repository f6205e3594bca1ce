"""What should not come, comes all the same: no compiler, broken programs, arrays that overlap or are vast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines import numpy as reference
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import kernel, row_kernel, threads
from lossmith.engines.llvm.form import Form
from lossmith.engines.llvm.kernel import Kernel
from lossmith.program import Program
from lossmith.program.program import Step
from tests.engines import child

Array = np.ndarray
ROWS = 3 * reference.BLOCK + 77


@pytest.fixture(params=["llvm", "numpy"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    with choice.using(request.param):
        yield request.param


# --- where there is no compiled engine ----------------------------------------------------------

CALLS = """
y, f = data(20_000)
found = [lm.Huber().cost(y, f), lm.Huber().cost(y, f), lm.LogCosh().gradient(y, f).sum(), lm.LogCosh().cost(y, f)]
with choice.using("numpy"):
    huber, slope, cost = lm.Huber().cost(y, f), lm.LogCosh().gradient(y, f).sum(), lm.LogCosh().cost(y, f)
assert found == [huber, huber, slope, cost]
"""


def test_without_llvmlite_numpy_serves_and_says_so_once() -> None:
    _, err = child.run("sys.modules['llvmlite'] = None\n" + CALLS)
    assert err == "the compiled engine needs llvmlite (pip install 'lossmith[fast]'); NumPy serves instead\n"


def test_a_broken_llvmlite_is_as_good_as_none() -> None:
    broken = "import types\nsys.modules['llvmlite'] = types.ModuleType('llvmlite')\nimport builtins\n"
    _, err = child.run(broken + CALLS)
    assert err.count("NumPy serves instead") == len(err.splitlines()) == 1


FORBID = """
import ctypes
assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0  # PR_SET_MDWE: no memory becomes executable from here on
"""


def test_where_executable_memory_is_forbidden_numpy_serves_and_says_so_once() -> None:
    _, err = child.run(FORBID + CALLS)
    assert err.startswith("the compiled engine cannot run here (")
    assert len(err.splitlines()) == 1


UNMADE = """
assert choice.compiled_is_available()
from lossmith.engines.llvm import compile as compiler
tried = []

def build(text):
    tried.append(text)
    raise RuntimeError("LLVM ran out of registers")

compiler.build = build
rng = np.random.default_rng(0)
(y, f), p = data(20_000), rng.dirichlet(np.ones(9), 5000)
labels, logits = rng.integers(0, 9, 5000), rng.normal(size=(5000, 9))

def computed():
    pair = lm.ReverseKLDivergence().evaluate(p=p, q=p[::-1], outputs=("losses", "gradient"))
    rows = lm.SparseCategoricalCrossEntropy().cost_and_gradient(labels, logits)
    return [*lm.Huber().cost_and_gradient(y, f), *rows, pair["losses"], *pair["gradient"].values()]

with choice.using("numpy"):
    right = computed()
for _ in range(3):
    assert all(np.array_equal(a, b) for a, b in zip(computed(), right, strict=True))
assert len(tried) == 3, len(tried)  # a kernel of each structure, once
with choice.using("llvm"):
    for fails in (lambda: lm.Huber().cost(y, f), lambda: lm.KLDivergence().cost(p=p, q=p)):
        try:
            fails()
        except choice.NoKernel as error:
            assert "out of registers" in str(error)
        else:
            raise AssertionError("the compiled engine was asked for, and another one answered")
"""


def test_a_kernel_that_cannot_be_made_leaves_its_rows_to_numpy() -> None:
    _, err = child.run(UNMADE, {"LOSSMITH_CACHE_DIR": ""})
    assert err == "a kernel could not be made (RuntimeError: LLVM ran out of registers); NumPy serves instead\n"


# --- programs and modules -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "outputs", "message"),
    [
        ((Step("exp", (2,)), Step("exp", (1,))), (("value", 1),), "does not exist yet"),
        ((Step("exq", (0,)),), (("value", 1),), "exq"),
        ((Step("both", (0, 0)),), (("value", 1),), "both"),
        ((Step("add", (0,)),), (("value", 1),), "add"),
        ((Step("exp", (0,)),), (("value", 7),), "value"),
    ],
)
def test_programs_that_make_no_sense_never_reach_the_compiler(
    steps: tuple[Step, ...], outputs: tuple[tuple[str, int], ...], message: str
) -> None:
    with pytest.raises(lm.ProgramError, match=message):
        Kernel(Program(("x",), (), (), steps, outputs), Form("float", ("value",), summed=False))


def test_an_instruction_without_a_translation_is_an_error_in_words() -> None:
    program = Program(("x",), (), (), (Step("exp", (0,)), Step("le", (0, 0))), (("value", 1), ("valid", 2)))
    object.__setattr__(program, "steps", (Step("no such", (0,)), Step("le", (0, 0))))
    with pytest.raises(choice.NoKernel, match="no such"):
        kernel.kernel(program, Form("float", ("value",), summed=False))


BROKEN = {
    "no text of LLVM": "define nothing",
    "a type that there is not": "define void @kernel(flaot %x) { ret void }",
    "a value used before it is there": (
        "define i32 @kernel(i1 %c) {\nentry:\n  br i1 %c, label %a, label %b\na:\n  %x = add i32 1, 2\n  br label %b\n"
        "b:\n  ret i32 %x\n}"
    ),
    "a value of another type": "define i32 @kernel(float %x) { ret i32 %x }",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_module_is_refused(text: str) -> None:
    with pytest.raises(RuntimeError):
        compiler.build(text)


def test_a_kernel_is_made_once_however_many_ask_at_once() -> None:
    made: list[int] = []

    @compiler.kept(3)
    def make(number: int) -> list[int]:
        made.append(number)
        return [number]

    found: list[list[int]] = []
    callers = [threads.threading.Thread(target=lambda: found.append(make(5))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert made == [5]
    assert all(item is found[0] for item in found)
    for number in (1, 2, 3, 5):
        make(number)
    assert made == [5, 1, 2, 3, 5]


# --- outputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [-1, 0, 1, 5000, reference.BLOCK])
@pytest.mark.parametrize("over", ["y_pred", "y_true", "weight"])
def test_out_may_lie_over_anything_that_is_read(engine: str, over: str, shift: int) -> None:
    rng = np.random.default_rng(1)
    given = {name: rng.uniform(0.5, 2, ROWS) for name in ("y_pred", "y_true", "weight")}
    right = lm.Huber(delta=0.5).cost_and_gradient(**given)
    room = np.zeros(ROWS + 2 * reference.BLOCK)
    middle = room[reference.BLOCK :][:ROWS]
    middle[:] = given[over]
    out = room[reference.BLOCK + shift :][:ROWS]
    cost, gradient = lm.Huber(delta=0.5).cost_and_gradient(**{**given, over: middle}, out=out)
    assert gradient is out
    assert cost == right[0]
    np.testing.assert_array_equal(gradient, right[1])


@pytest.mark.parametrize("shift", [0, 1, 300])
@pytest.mark.parametrize("classes", [3, 10, 40])
def test_rows_too(engine: str, classes: int, shift: int) -> None:
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(4001, classes)), rng.integers(0, classes, 4001)
    right = lm.SparseCategoricalCrossEntropy().cost_and_gradient(labels, logits)
    room = np.zeros(logits.size + shift)
    moved = room[: logits.size].reshape(logits.shape)
    moved[:] = logits
    out = room[shift:].reshape(logits.shape)
    cost, gradient = lm.SparseCategoricalCrossEntropy().cost_and_gradient(labels, moved, out=out)
    assert gradient is out
    assert cost == right[0]
    np.testing.assert_array_equal(gradient, right[1])


def test_what_is_wrong_is_found_before_it_is_written_over(engine: str) -> None:
    y, p = np.tile((0.0, 1.0), ROWS // 2), np.full(ROWS // 2 * 2, 0.5)
    loss = lm.BinaryCrossEntropy(prediction="probabilities")
    p[-2:] = 1.0  # an infinite loss, then none
    kept = p.copy()
    cost, gradient = loss.cost_and_gradient(y, p, out=p)
    assert cost == np.inf
    np.testing.assert_array_equal(gradient, loss.cost_and_gradient(y, kept)[1])
    kept[20_000] = 1.5
    with pytest.raises(lm.DomainError, match=r"y_pred\[20000\] is 1.5"):
        loss.cost_and_gradient(y, kept, out=kept)


@pytest.mark.parametrize("order", ["float32", ">f8", "int64"])
def test_out_of_another_type_is_refused(engine: str, order: str) -> None:
    x = np.ones(ROWS)
    with pytest.raises(lm.KindError, match="out must be a writeable float64 array"):
        lm.Huber().cost_and_gradient(x, x, out=np.empty(ROWS, order))


def test_out_that_is_read_only_or_of_another_shape_is_refused(engine: str) -> None:
    x, out = np.ones(ROWS), np.empty(ROWS)
    out.flags.writeable = False
    with pytest.raises(lm.KindError, match="writeable"):
        lm.Huber().cost_and_gradient(x, x, out=out)
    with pytest.raises(lm.ShapeError, match="out has shape"):
        lm.Huber().cost_and_gradient(x, x, out=np.empty((ROWS, 1)))


def test_odd_memory_is_as_good_as_any(engine: str) -> None:
    rng = np.random.default_rng(4)
    y, f = rng.normal(size=ROWS), rng.normal(size=ROWS)
    right = lm.LogCosh().cost_and_gradient(y, f)
    misaligned = np.frombuffer(b"x" + f.tobytes(), dtype=np.uint8)[1:].view(np.float64)
    assert not misaligned.flags.aligned
    strided = np.repeat(y, 3)[::3]
    for a, b in ((y, misaligned), (strided, f), (y[::-1].copy()[::-1], f), (y.astype(">f8"), f)):
        out = np.empty(8 * ROWS + 1, np.uint8)[1:].view(np.float64)
        cost, gradient = lm.LogCosh().cost_and_gradient(a, b, out=out)
        assert cost == right[0]
        np.testing.assert_array_equal(gradient, right[1])
    spaced = np.zeros(2 * ROWS)
    lm.LogCosh().cost_and_gradient(y, f, out=spaced[::2])
    np.testing.assert_array_equal(spaced[::2], right[1])
    assert not spaced[1::2].any()


# --- lengths ------------------------------------------------------------------------------------


def test_nothing_is_a_fine_length(engine: str) -> None:
    empty = np.empty(0, np.float32)
    assert lm.Huber().cost(empty, empty, empty="zero") == 0
    assert lm.Huber().gradient(empty, empty).shape == (0,)
    rows = np.empty((0, 5))
    assert lm.SparseCategoricalCrossEntropy().gradient(np.empty(0, int), rows).shape == (0, 5)
    found = kernel.run(lm.Huber().part("value", "valid"), [empty, empty], {"delta": 1.0}, {"value": empty}, summed=True)
    assert found == choice.Findings([], [], [])


class Vast:
    """Makes arrays of zeros in files without pages, which come when they are written to."""

    def __init__(self, home: Path) -> None:
        self.home, self.made = home, 0

    def __call__(self, shape: tuple[int, ...], dtype: Any) -> Array:
        self.made += 1
        return np.asarray(np.memmap(self.home / str(self.made), dtype, mode="w+", shape=shape))


@pytest.fixture
def vast(tmp_path: Path) -> Vast:
    return Vast(tmp_path)


@pytest.fixture
def _only_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kernels work on the last two blocks only, so that vast arrays cost neither time nor memory."""
    monkeypatch.setattr(threads, "run", lambda work, blocks, *_: work(blocks - 2, blocks))


@pytest.mark.usefixtures("_only_the_end")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_examples_beyond_two_thousand_million(vast: Vast, dtype: Any) -> None:
    rows, tail = 2**32 + 12_345, 20_000
    y, f, slope = (vast((rows,), dtype) for _ in range(3))
    weight, mask = vast((rows,), np.float64), vast((rows,), np.bool_)
    rng = np.random.default_rng(5)
    for array in (y, f, weight):
        array[-tail:] = rng.uniform(0, 3, tail)
    mask[-tail:] = rng.random(tail) < 0.9
    f[-3], mask[-3] = np.inf, True
    loss = lm.Huber(delta=0.7)
    program = loss.part("gradient:f", "value", "valid")
    found = kernel.run(
        program, [y, f], {"delta": 0.7}, {"gradient:f": slope}, weight=weight, mask=mask, summed=True, divisor=2.0
    )
    first = (rows - 1) // reference.BLOCK * reference.BLOCK - reference.BLOCK
    ends = [array[first:].copy() for array in (y, f)]
    again = np.zeros(rows - first, dtype)
    counts = {"weight": weight[first:].copy(), "mask": mask[first:].copy()}
    form = Form(kernel.kind_of(y), ("gradient:f",), summed=True, weighted=True, masked=True)
    alone = kernel.Ready(kernel.Kernel(program, form), {"delta": 0.7})
    expected = alone.run(ends, [again], factor=0.5, **counts)
    np.testing.assert_array_equal(slope[first:], again)
    assert np.count_nonzero(again) > 10_000
    assert found.sums[-2:] == expected["sum"].tolist()
    assert found.wrong[-1] == (rows - 1) // reference.BLOCK


@pytest.mark.usefixtures("_only_the_end")
@pytest.mark.parametrize("classes", [10, 1000])
def test_logits_beyond_two_thousand_million(vast: Vast, classes: int) -> None:
    rows, block = 2**32 // classes + 1001, reference.BLOCK // classes
    logits, gradient = (vast((rows, classes), np.float32) for _ in range(2))
    labels, tail = vast((rows,), np.int64), 2 * block
    rng = np.random.default_rng(6)
    logits[-tail:], labels[-tail:] = rng.normal(size=(tail, classes)), rng.integers(0, classes, tail)
    loss = lm.SparseCategoricalCrossEntropy()
    program = loss.part("value", "gradient:u")
    found = row_kernel.prepare(
        program, rows, logits, labels, {}, {"gradient": gradient}, kind="indices", block=block, double=False,
        summed=True,
    ).run(1.0)  # fmt: skip
    first = (rows - 1) // block * block - block
    again = np.empty((rows - first, classes), np.float32)
    first_of = logits[first:].copy(), labels[first:].copy()
    expected = row_kernel.prepare(
        program, rows - first, *first_of, {}, {"gradient": again}, kind="indices", block=block, double=False,
        summed=True,
    ).run(1.0)  # fmt: skip
    np.testing.assert_array_equal(gradient[first:], again)
    assert found.sums[-2:] == expected.sums
