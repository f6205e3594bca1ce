"""Kernels over pairs of rows against the reference: every divergence, every kind, and the quicker way of float32."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.core.fill import fill
from lossmith.engines import choice
from lossmith.engines.limits import SUM_TOLERANCE
from lossmith.engines.llvm import divergence_kernel, divergence_quick, row_by_row, threads
from lossmith.program import Ops, Program, Value, trace
from lossmith.structures.divergence import KINDS, Divergence

Array = np.ndarray
OUTPUTS = ("losses", "gradient", "hessian")
NAMES = ("kl", "reverse_kl", "jensen_shannon", "total_variation", "squared_hellinger", "alpha_divergence")
PAIRS = list(itertools.product(KINDS, KINDS))
CASES = [
    *((lm.get(name, p_kind=p, q_kind=q)) for name in NAMES for p, q in PAIRS),
    *(lm.AlphaDivergence(alpha, q_kind="logits") for alpha in (-1.0, 0.0, 1.0, 2.0)),
    *(lm.GeneralisedKL(p_kind=p, q_kind=q) for p, q in itertools.product(("values", "log_values"), repeat=2)),
    lm.Distillation(),
    lm.Distillation(3.0),
]


@pytest.fixture(autouse=True)
def _threads_as_they_were() -> Iterator[None]:
    yield
    threads.set_num_threads(None)


def softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def shown(z: Array, kind: str) -> Array:
    """Return rows of logits in another kind."""
    with np.errstate(divide="ignore"):
        if kind in ("log_values", "logits"):
            return z
        p = np.exp(z) if kind == "values" else softmax(z)
        return np.log(p) if kind == "log_probabilities" else p


def sample(loss: Divergence, count: int, classes: int, dtype: Any, *, ruled_out: bool = True) -> dict[str, Array]:
    """Return pairs of rows: far apart and nearly equal, shifted, certain, and with classes that are ruled out."""
    rng = np.random.default_rng(classes)
    p = rng.normal(size=(count, classes)) * 2
    q = rng.normal(size=(count, classes)) * 2
    q[1::7] = p[1::7] + rng.normal(size=q[1::7].shape) * 1e-2
    p[2::7, -1] += 40
    q[3::7, 0] += 40
    if loss.kinds == ("logits", "logits"):
        q[4::7] += 90
    if ruled_out and classes > 1:
        p[5::7, 0] = -np.inf
        q[6::7, -1] = -np.inf
        p[6::14, -1] = -np.inf
    given = {"p": shown(p, loss.kinds[0]).astype(dtype), "q": shown(q, loss.kinds[1]).astype(dtype)}
    return {item.name: given[item.symbol] for item in loss.inputs}


def parts_of(loss: Divergence, given: Mapping[str, Array], engine: Any) -> dict[str, Array]:
    with choice.using(engine):
        found = loss.evaluate(**given, outputs=OUTPUTS)
    flat = {"losses": found["losses"]}
    for name in OUTPUTS[1:]:
        parts = found[name] if isinstance(found[name], dict) else {"": found[name]}
        flat |= {f"{name} {symbol}": part for symbol, part in parts.items()}
    return flat


def close(got: Array, expected: Array, dtype: Any, name: object = "") -> None:
    """Fail unless both are the same but for rounding, that of terms of the size of 1 included."""
    slack, least = (1e-12, 1e-14) if dtype == np.float64 else (1e-6, 1e-7)
    np.testing.assert_allclose(got, expected, rtol=slack, atol=least, err_msg=str(name))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", CASES, ids=str)
def test_every_divergence_is_what_the_reference_says(loss: Divergence, dtype: Any) -> None:
    for classes in (1, 2, 7, 8, 33, 200):
        given = sample(loss, 57, classes, dtype)
        batch = loss._batch(given, None, None, trusted=True)
        with choice.using("llvm"):
            assert loss._rows_for_kernel(batch, ("losses", "gradient:q")) == 57
        expected, got = parts_of(loss, given, "numpy"), parts_of(loss, given, "llvm")
        for name, part in expected.items():
            close(got[name], part, dtype, (classes, name))


@pytest.mark.parametrize(
    ("loss", "parts"),
    [
        (lm.KLDivergence(q_kind="logits"), ("losses",)),
        (lm.KLDivergence(q_kind="logits"), ("losses", "gradient:q")),
        (lm.KLDivergence(q_kind="logits"), ("losses", "gradient:p", "gradient:q")),
        (lm.KLDivergence(p_kind="logits", q_kind="logits"), ("gradient:q",)),
        (lm.Distillation(2.0), ("losses", "gradient:q")),
        (lm.KLDivergence(), ("losses",)),
        (lm.KLDivergence(), ("losses", "gradient:p", "gradient:q")),
        (lm.KLDivergence(q_kind="log_probabilities"), ("losses", "gradient:q")),
        (lm.KLDivergence(q_kind="log_probabilities"), ("losses", "gradient:p", "gradient:q")),
    ],
    ids=str,
)
def test_the_quicker_way_says_what_the_reference_does(loss: Divergence, parts: tuple[str, ...]) -> None:
    for classes in (1, 3, 9, 24, 48, 49, 127, 128, 129, 1000):
        given = sample(loss, 70, classes, np.float32)
        found: dict[Any, dict[str, Array]] = {}
        for engine in ("numpy", "llvm"):
            with choice.using(engine):  # type: ignore[arg-type]  # one of its names
                batch = loss._batch(given, None, None)
                found[engine] = {part: batch.room(part) for part in parts}
                fill(loss, batch, found[engine])
        for part, expected in found["numpy"].items():
            close(found["llvm"][part], expected, np.float32, (classes, part))


@pytest.mark.parametrize("classes", [10, 300])
@pytest.mark.parametrize("p_kind", ["probabilities", "logits"])
@pytest.mark.parametrize("kind", ["logits", "log_probabilities as logits", "probabilities", "log_probabilities"])
def test_nearly_equal_rows_of_single_precision_keep_their_digits(kind: str, p_kind: str, classes: int) -> None:
    """Of logits whose exponentials sum to 1 as well, of which no part says how large they are."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, classes)).astype(np.float32)
    w = (z + rng.normal(size=z.shape) * np.logspace(-6, -1, 200)[:, None]).astype(np.float32)
    loss = lm.KLDivergence(p_kind=p_kind, q_kind=kind.partition(" as ")[2] or kind)
    if kind != "logits":
        z, w = (np.log(softmax(x.astype(float))).astype(np.float32) for x in (z, w))
    p = z if p_kind == "logits" else softmax(z.astype(float)).astype(np.float32)
    q = np.exp(w) if kind == "probabilities" else w
    given = dict(zip((item.name for item in loss.inputs), (p, q), strict=True))
    found: dict[Any, Array] = {}
    for engine in ("numpy", "llvm"):
        with choice.using(engine):  # type: ignore[arg-type]  # one of its names
            found[engine] = loss.losses(**given)
    assert np.sum(found["numpy"] < 1e-6) > 50
    np.testing.assert_allclose(found["llvm"], found["numpy"], rtol=3e-6, atol=1e-14)


@pytest.mark.parametrize("classes", [10, 300])
@pytest.mark.parametrize(("p_far", "q_far"), [(-20.0, -800.0), (-800.0, -20.0), (-850.0, -np.inf), (-np.inf, -850.0)])
def test_classes_that_are_far_apart_take_no_digits_from_others(p_far: float, q_far: float, classes: int) -> None:
    rng = np.random.default_rng(0)
    p = rng.normal(size=(50, classes)) + 60
    q = p + rng.normal(size=p.shape) * np.logspace(-9, -2, 50)[:, None]
    p[:, 3], q[:, 3] = 60 + p_far, 60 + q_far
    for loss in (lm.KLDivergence(), lm.SquaredHellinger(), lm.JensenShannon()):
        loss, found = loss.replace(p_kind="logits", q_kind="logits"), {}
        for engine in ("numpy", "llvm"):
            with choice.using(engine):  # type: ignore[arg-type]  # one of its names
                found[engine] = loss.losses(p=p, q=q)
        # Where q rules a class out that p all but does, the reference has no digits to spare.
        slack = 1e-6 if np.isinf(q_far) else 1e-11
        np.testing.assert_allclose(found["llvm"], found["numpy"], rtol=slack, err_msg=str(loss))


@pytest.mark.parametrize("classes", [10, 500])
@pytest.mark.parametrize("kind", ["logits", "probabilities", "log_probabilities"])
def test_plain_rows_of_single_precision_take_the_quicker_way(
    kind: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    p, z = softmax(rng.normal(size=(40, classes))).astype(np.float32), rng.normal(size=(40, classes)).astype(np.float32)
    q = z if kind == "logits" else softmax(z) if kind == "probabilities" else np.log(softmax(z))
    loss = lm.KLDivergence(q_kind=kind)
    found = {}
    for small in (divergence_quick.SMALL, 1e30):  # with the second, no row is plain
        monkeypatch.setattr(divergence_quick, "SMALL", small)
        monkeypatch.setattr(divergence_kernel, "divergence_kernel", divergence_kernel.DivergenceKernel)
        with choice.using("llvm"):
            found[small] = loss.replace().cost(p=p, q=q)  # which knows no kernel yet
    quick, careful = found.values()
    assert quick != careful
    assert quick == pytest.approx(careful, rel=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "loss", [lm.KLDivergence(q_kind="logits"), lm.JensenShannon(p_kind="logits"), lm.Distillation(2.0)], ids=str
)
def test_weights_masks_and_reductions_are_applied_inside(loss: Divergence, dtype: Any) -> None:
    given = sample(loss, 300, 21, dtype, ruled_out=False)
    rng = np.random.default_rng(1)
    weight, mask = rng.choice([0.0, 0.5, 2.0], 300), rng.random(300) < 0.7
    for array in given.values():
        array[~mask] = np.nan  # what is masked may be anything
    for reduction in ("mean", "sum", "count_mean", "none"):
        results: list[Any] = []
        for engine in ("numpy", "llvm"):
            with choice.using(engine):  # type: ignore[arg-type]  # one of its names
                found = loss.cost_and_gradient(**given, weight=weight, reduction=reduction, mask=mask)
                results.append((found[0], found[1] if isinstance(found[1], dict) else {"": found[1]}))
        (cost, gradient), (other, slopes) = results
        close(other, cost, dtype, reduction)
        for name in gradient:
            close(slopes[name], gradient[name], dtype, (reduction, name))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_written_over_both_rows_take_nothing_from_losses(kind: str, dtype: Any) -> None:
    """Losses of nearly equal rows are looked at again, and far ones have their gradients by the quicker way."""
    rng = np.random.default_rng(0)
    loss = lm.KLDivergence(q_kind=kind)
    for classes in (10, 80):
        z = rng.normal(size=(2, 60, classes))
        z[1, ::2] = z[0, ::2] + 1e-4 * rng.normal(size=(30, classes))
        p, q = softmax(z[0]).astype(dtype), shown(z[1], kind).astype(dtype)
        with choice.using("numpy"):
            losses, gradient = loss.cost_and_gradient(p=p, q=q, reduction="none")
        with choice.using("llvm"):
            found, written = loss.cost_and_gradient(p=p, q=q, reduction="none", out={"p": p, "q": q})
        assert written["p"] is p
        close(found, losses, dtype, classes)
        for name, part in gradient.items():
            close(written[name], part, dtype, (classes, name))


def test_no_weight_at_all_gives_no_gradient() -> None:
    loss = lm.KLDivergence(q_kind="logits")
    given = sample(loss, 20, 30, np.float32)
    with choice.using("llvm"):
        gradient = loss.cost_and_gradient(**given, mask=np.zeros(20, bool), empty="zero")[1]
    assert not any(part.any() for part in gradient.values())


@pytest.mark.parametrize("classes", [9, 130])
def test_nothing_is_written_beyond_the_rows(classes: int) -> None:
    loss = lm.KLDivergence(q_kind="logits")
    for dtype in (np.float32, np.float64):
        given = sample(loss, 11, classes, dtype)
        batch = loss._batch(given, None, None)
        room = np.full(12 * classes + 64, 7, dtype)
        inside = room[32 : 32 + 11 * classes].reshape(11, classes)
        with choice.using("llvm"):
            fill(loss, batch, {"gradient:q": inside})
        assert np.all(room[:32] == 7)
        assert np.all(room[32 + 11 * classes :] == 7)
        assert not np.any(inside == 7)


@pytest.mark.parametrize("classes", [10, 1000])
@pytest.mark.parametrize("loss", [lm.KLDivergence(q_kind="logits"), lm.Distillation(), lm.JensenShannon()], ids=str)
def test_sums_and_gradients_are_the_same_bits_for_any_number_of_threads(loss: Divergence, classes: int) -> None:
    given = sample(loss, 60_000 // classes, classes, np.float32, ruled_out=False)
    found = set()
    for number in (1, 2, 5):
        threads.set_num_threads(number)
        with choice.using("llvm"):
            cost, gradient = loss.cost_and_gradient(**given)
        parts = gradient.values() if isinstance(gradient, dict) else [gradient]
        found.add((float(cost).hex(), *(part.tobytes() for part in parts)))
    assert len(found) == 1


def test_large_gradients_are_written_past_the_caches_alike() -> None:
    loss, shape = lm.Distillation(), (600, 4096)
    rng = np.random.default_rng(2)
    p, q = rng.normal(size=(2, *shape)).astype(np.float32)
    batch = loss._batch({"teacher": p, "student": q}, None, None)
    raw = np.empty(600 * 4096 + 32, np.float32)
    start = -raw.ctypes.data % 64 // 4
    found = []
    for shift in (0, 1):  # aligned to vectors, and not
        out = raw[start + shift :][: 600 * 4096].reshape(shape)
        assert row_by_row.streams({"gradient:q": out}, 4096) == (shift == 0)
        with choice.using("llvm"):
            fill(loss, batch, {"gradient:q": out})
        found.append(out.copy())
    np.testing.assert_array_equal(*found)


WRONG = {
    "probabilities": (2 * SUM_TOLERANCE, -2 * SUM_TOLERANCE, 1.5, np.nan),
    "log_probabilities": (2.5, 3.0, np.nan),
    "logits": (np.nan, np.inf),
    "values": (-1e6, np.nan, np.inf),
    "log_values": (710.0, np.nan, np.inf),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "loss", [*(lm.KLDivergence(p_kind=p, q_kind=q) for p, q in PAIRS), *CASES[-6:-2], lm.Distillation()], ids=str
)
def test_rows_that_are_none_are_named(loss: Divergence, dtype: Any) -> None:
    given = sample(loss, 400, 40, dtype)
    for item, kind in zip(loss.inputs, loss.kinds, strict=True):
        for value in WRONG[kind]:
            broken = given[item.name].copy()
            broken[123, 4] += value
            with choice.using("llvm"), pytest.raises(lm.DomainError, match=rf"row \[123\] of {item.name}"):
                loss.cost(**{**given, item.name: broken})
            mask = np.arange(400) != 123
            with choice.using("llvm"):
                loss.cost(**{**given, item.name: broken}, mask=mask)
    if "logits" in loss.kinds:
        name = loss.inputs[loss.kinds.index("logits")].name
        given[name][77] = -np.inf
        with choice.using("llvm"), pytest.raises(lm.DomainError, match=rf"row \[77\] of {name}"):
            loss.cost(**given)


@pytest.mark.parametrize("classes", [20, 150])
def test_a_share_below_zero_is_found_wherever_it_is(classes: int) -> None:
    far = softmax(3 * np.random.default_rng(0).normal(size=(9, classes))).astype(np.float32)
    for place in range(0, classes, 7):
        broken = far[::-1].copy()
        broken[4, place - 1] += broken[4, place] + np.float32(1e-5)
        broken[4, place] = -1e-5
        for given in ({"p": broken, "q": far}, {"p": far, "q": broken}):
            with choice.using("llvm"), pytest.raises(lm.DomainError, match=r"row \[4\]"):
                lm.KLDivergence().cost(**given)


def test_a_negative_zero_is_a_zero() -> None:
    rows_of = {"p": np.array([[1.0, 2.0, -0.0], [0.0, -0.0, 1.0]]), "q": np.array([[-0.0, 2.0, 0.5], [-0.0, 0.0, 2.0]])}
    expected, got = (parts_of(lm.GeneralisedKL(), rows_of, engine) for engine in ("numpy", "llvm"))
    assert np.isinf(expected["losses"][0])
    for name, part in expected.items():
        close(got[name], part, np.float64, name)


def test_infinite_losses_are_counted_and_their_gradients_are_limits() -> None:
    loss = lm.KLDivergence(q_kind="logits")
    rng = np.random.default_rng(3)
    p, z = softmax(rng.normal(size=(2000, 10))), rng.normal(size=(2000, 10))
    z[[700, 1999], 3] = -np.inf
    with choice.using("llvm"):
        state = loss.state(p=p, q=z)
    assert (state.bad, state.first_bad, state.mean) == (2, 700, np.inf)
    reverse = lm.ReverseKLDivergence(p_kind="logits", q_kind="logits")
    given = {"p": z, "q": rng.normal(size=z.shape)}
    expected, got = parts_of(reverse, given, "numpy"), parts_of(reverse, given, "llvm")
    assert np.isinf(expected["gradient q"][[700, 1999]]).all()
    for part, values in expected.items():
        close(got[part], values, np.float64, part)


def test_what_kernels_do_not_do_the_reference_does() -> None:
    loss = lm.KLDivergence(q_kind="logits")
    given = sample(loss, 6, 5, np.float64)
    batch = loss._batch(given, None, None)
    with choice.using("llvm"):
        assert loss._rows_for_kernel(batch, ("full_hessian:q,q",)) == 0
        full = loss.hessian(**given, kind="full")
    assert full["q", "q"].shape == (6, 5, 5)


def test_what_programs_compute_alike_of_parameters_is_one_value() -> None:
    def program(more: float, outer: str) -> Program:
        def written(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
            return {"value": getattr(ops, outer)(s["d"]) * (s["k"] + more)}

        return trace(written, ("d",), ("k",))

    first, second, third = program(1.0, "exp"), program(1.0, "log"), program(2.0, "log")
    kinds = row_by_row._alike([first, second, third])
    one, same, other = (kinds[x][x.steps[-1].args[1]] for x in (first, second, third))
    assert one == same != other
