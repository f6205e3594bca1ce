"""Rows whose classes lie apart, as in (batch, classes, height, width): read and written where they lie, and right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lossmith as lm
from lossmith.core.columns import source
from lossmith.engines import choice
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import row_kernel, threads
from lossmith.engines.llvm.row_frame import RowForm
from tests.engines.guarded import Rooms
from tests.engines.test_llvm_rows import OF_LOGITS, PARTS, PRIOR, close, sample, way

Array = np.ndarray
WIDTHS = {np.float32: compiler.host().bits // 32, np.float64: compiler.host().bits // 64}
ROOMS = Rooms(8 * 3 * 90 * 300)


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RowForm]]:
    """The forms of the kernels that are asked for from now on."""
    asked: list[RowForm] = []
    make = row_kernel.row_kernel

    def spy(program: Any, form: RowForm) -> row_kernel.RowKernel:
        asked.append(form)
        return make(program, form)

    monkeypatch.setattr(row_kernel, "row_kernel", spy)
    yield asked
    threads.set_num_threads(None)


def apart(rows: Array, outer: int) -> Array:
    """Return rows of some stretches as an array (stretches, classes, rows of each)."""
    return np.ascontiguousarray(np.moveaxis(rows.reshape(outer, -1, rows.shape[-1]), -1, 1))


def spread(loss: lm.Loss, outer: int, inner: int, classes: int, dtype: Any) -> tuple[lm.Loss, Array, Array]:
    """Return a loss of classes along axis 1 with targets and logits for it; see ``sample``."""
    y, z = sample(loss, outer * inner, classes, dtype)
    targets = y.reshape(outer, inner) if loss.indices else apart(y, outer)  # type: ignore[attr-defined]
    return loss.replace(class_axis=1), targets, apart(z, outer)


@settings(max_examples=25)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", OF_LOGITS, ids=str)
@given(
    outer=st.integers(1, 3), stretch=st.sampled_from((-9, -1, 0, 1, 3, 50)), seed=st.integers(0, 10**6),
    classes=st.sampled_from((2, 3, 5, 16, 24, 33, 257, 300)), place=st.integers(0, 3), in_place=st.booleans(),
    slack=st.sampled_from((0, 0, 8)), low=st.booleans(),
)  # fmt: skip
def test_random_stretches(
    loss: lm.Loss, dtype: Any, outer: int, stretch: int, seed: int, classes: int, place: int, in_place: bool,
    slack: int, low: bool,
) -> None:  # fmt: skip
    weighted, masked, reduction = way(loss, dtype, place)
    inner = max(1, WIDTHS[dtype] + stretch)
    rng = np.random.default_rng(seed)
    moved, y, z = spread(loss, outer, inner, classes, dtype)
    ROOMS.empty()
    places = rng.permutation(inner)
    targets, logits = (ROOMS.hold(np.ascontiguousarray(array[..., places]), slack=slack, low=low) for array in (y, z))
    options: dict[str, Any] = {"reduction": reduction}
    if weighted:
        options["weight"] = ROOMS.hold(rng.choice((0.5, 2.0), (outer, inner)), low=low)
    if masked:
        count = np.arange(outer * inner) != rng.integers(1, outer * inner + 1)
        options["mask"] = ROOMS.hold(count.reshape(outer, inner), low=low)
    out = logits if in_place else ROOMS.hold(np.empty_like(logits), slack=slack, low=low)
    with choice.using("numpy"):
        cost, gradient = moved.cost_and_gradient(targets, logits, **options)
        hessian = moved.hessian(targets, logits)
    curved = ROOMS.hold(np.empty_like(logits), slack=slack, low=low)
    with choice.using("llvm"):
        moved.evaluate(targets, logits, ("hessian",), out={"hessian": curved})
        found, written = moved.cost_and_gradient(targets, logits, out=out, **options)
    assert written is out
    assert ROOMS.untouched()
    close(found, cost, dtype, "cost")
    close(written, gradient, dtype, "gradient")
    close(curved, hessian, dtype, "hessian")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outer", [1, 3])
@pytest.mark.parametrize("loss", OF_LOGITS, ids=str)
def test_rows_have_the_same_bits_however_they_lie(loss: lm.Loss, outer: int, dtype: Any, forms: list[RowForm]) -> None:
    # Blocks begin in the middle of a stretch, and groups end behind it.
    inner, classes = 6000 // outer + 5, min(13, 2 * WIDTHS[dtype])
    moved, y, z = spread(loss, outer, inner, classes, dtype)
    rows = np.ascontiguousarray(np.moveaxis(z, 1, -1))
    labels = y if loss.indices else np.ascontiguousarray(np.moveaxis(y, 1, -1))  # type: ignore[attr-defined]
    weight = np.random.default_rng(2).choice((0.0, 0.5, 2.0), (outer, inner))
    with choice.using("llvm"):
        got, expected = moved.evaluate(y, z, PARTS), loss.evaluate(labels, rows, PARTS)
        cost, other = moved.cost(y, z, weight), loss.cost(labels, rows, weight)
    assert [form.across for form in forms] == [True, False] * 2
    assert float(cost).hex() == float(other).hex()
    np.testing.assert_array_equal(got["losses"], expected["losses"])
    for name in ("gradient", "hessian"):
        np.testing.assert_array_equal(np.moveaxis(got[name], 1, -1), expected[name])


@pytest.mark.parametrize("engine", ["numpy", "llvm"])
@pytest.mark.parametrize("shape", [(2, 5, 24, 30), (5, 24, 30), (2, 3, 5, 600), (2, 1500, 40), (4, 5, 2, 3)], ids=str)
def test_results_lie_as_predictions_do(shape: tuple[int, ...], engine: choice.Name) -> None:
    axis = shape.index(max(shape, key=lambda size: size in (5, 1500)))
    loss = lm.SparseCategoricalCrossEntropy(class_axis=axis)
    examples = shape[:axis] + shape[axis + 1 :]
    rng = np.random.default_rng(1)
    y, z = rng.integers(0, shape[axis], examples), rng.normal(size=shape)
    batch = loss._batch({"y_true": y, "y_pred": z}, None, None)
    with choice.using(engine):
        found = loss.evaluate(y, z, PARTS)
        out = {name: np.empty(shape) for name in ("gradient", "hessian")}
        written = loss.evaluate(y, z, PARTS, out=out)
        _, gradient = loss.cost_and_gradient(y, z, reduction="sum")
    np.testing.assert_array_equal(gradient, found["gradient"])
    for name, array in out.items():
        assert found[name].flags.c_contiguous
        assert written[name] is array
        np.testing.assert_array_equal(array, found[name])
        part = loss._parts[name][0]
        assert np.shares_memory(source(batch.rows_of(array, part)), array), "it is written in place"
    # Where the classes are the nearest in memory, so they are in the results.
    near = np.moveaxis(np.ascontiguousarray(np.moveaxis(z, axis, -1)), -1, axis)
    with choice.using(engine):
        slope = loss.gradient(y, near)
        loss.cost_and_gradient(y, z, out=(other := np.empty_like(near)), reduction="sum")
    assert slope.strides == near.strides
    close(slope, found["gradient"], np.float64, "near")
    close(other, found["gradient"], np.float64, "out of another layout")


def cropped(array: Array) -> Array:
    """Return the same numbers with others between them, along every axis."""
    wide = np.zeros([size + 2 for size in array.shape], array.dtype)
    view = wide[tuple(slice(1, -1) for _ in array.shape)]
    view[...] = array
    return view


LAYOUTS: dict[str, tuple[Callable[[Array], Array], bool]] = {
    "float16": (lambda x: x.astype(np.float16), True),
    "int8": (lambda x: np.round(x).astype(np.int8), True),
    "uint16": (lambda x: np.abs(np.round(x)).astype(np.uint16), True),
    "other byte order": (lambda x: x.astype(">f4"), True),
    "without the first class": (lambda x: np.concatenate([x[:, :1], x], axis=1)[:, 1:], True),
    "every other of the batch": (lambda x: np.repeat(x, 2, axis=0)[::2], True),
    "the batch backwards": (lambda x: x[::-1].copy()[::-1], True),
    "cropped": (cropped, True),
    "the same for all classes": (lambda x: np.broadcast_to(x[:, :1], x.shape), True),
    "height and width exchanged": (lambda x: x.swapaxes(2, 3).copy().swapaxes(2, 3), True),
    "unaligned": (lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape), True),
    "classes the nearest": (lambda x: np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1), False),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("of_targets", [False, True])
def test_every_layout_and_type(layout: str, of_targets: bool, forms: list[RowForm]) -> None:
    change, across = LAYOUTS[layout]
    loss, rng = lm.CategoricalCrossEntropy(class_axis=1), np.random.default_rng(4)
    z = rng.normal(size=(3, 6, 21, 19)).astype(np.float32)
    y = np.moveaxis(rng.dirichlet(np.ones(6), (3, 21, 19)), -1, 1).astype(np.float32)
    if of_targets:
        y = np.moveaxis(np.eye(6, dtype=np.float32)[rng.integers(0, 6, (3, 21, 19))], -1, 1)
        if layout != "the same for all classes":
            y, across = change(y.copy()), True
    else:
        z = change(z)
    dtype = np.float64 if z.dtype.kind in "iu" and y.dtype.kind in "iu" else np.float32
    with choice.using("numpy"):
        expected = loss.evaluate(y, z, PARTS, trusted=True)
    with choice.using("llvm"):
        got = loss.evaluate(y, z, PARTS, trusted=True)
    assert [form.across for form in forms] == [across]
    for name in PARTS:
        assert name == "losses" or got[name].flags.c_contiguous == across
        close(got[name], expected[name], dtype, name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("classes", [6, 70])
@pytest.mark.parametrize(
    "loss",
    [
        lm.SparseCategoricalCrossEntropy(z_loss=1e-2, label_smoothing=0.2),
        lm.CategoricalCrossEntropy(label_smoothing=0.2, z_loss=1e-2),
        lm.LogitAdjusted(prior=PRIOR),
    ],
    ids=str,
)
def test_options_of_logits_and_targets(loss: lm.Loss, classes: int, dtype: Any, forms: list[RowForm]) -> None:
    if "prior" in loss.values:
        prior = np.resize(PRIOR, classes)
        loss = loss.replace(prior=tuple(prior / prior.sum()))
    moved, y, z = spread(loss, 2, 201, classes, dtype)
    with choice.using("llvm"):
        got = moved.evaluate(y, z, PARTS)
    assert [form.across for form in forms] == [True]
    with choice.using("numpy"):
        expected = moved.evaluate(y, z, PARTS)
    for name in PARTS:
        close(got[name], expected[name], dtype, name)


@pytest.mark.parametrize(
    ("shape", "across"),
    [
        ((3, 5, WIDTHS[np.float32]), True),
        ((3, 5, WIDTHS[np.float32] - 1), False),  # a group would be in three stretches
        ((1, 5, 2), True),
        ((2, 4000, 20), WIDTHS[np.float32] <= 16),
        ((2, 20_000, 20), WIDTHS[np.float32] <= 4),  # of one row a block, most lanes would be idle
    ],
)
def test_where_rows_are_copied_instead(shape: tuple[int, ...], across: bool, forms: list[RowForm]) -> None:
    outer, classes, inner = shape
    loss, y, z = spread(lm.SparseCategoricalCrossEntropy(), outer, inner, classes, np.float32)
    with choice.using("llvm"):
        got = loss.evaluate(y, z, PARTS)
    assert [form.across for form in forms] == [across]
    with choice.using("numpy"):
        expected = loss.evaluate(y, z, PARTS)
    for name in PARTS:
        close(got[name], expected[name], np.float32, name)


def test_sums_are_the_same_bits_for_any_number_of_threads() -> None:
    loss, y, z = spread(lm.SparseCategoricalCrossEntropy(), 2, 3000, 40, np.float32)
    found = set()
    for number in (1, 2, 5):
        threads.set_num_threads(number)
        with choice.using("llvm"):
            cost, gradient = loss.cost_and_gradient(y, z)
        found.add((cost.hex(), gradient.tobytes()))
    threads.set_num_threads(None)
    assert len(found) == 1


def test_bad_rows_are_named_also_where_they_are_written_over() -> None:
    loss, y, z = spread(lm.SparseCategoricalCrossEntropy(), 2, 2000, 5, np.float64)
    z[1, 2, 777] = np.nan
    for out in (None, z):
        before = z.copy()
        with choice.using("llvm"), pytest.raises(lm.DomainError, match=r"row \[1, 777\] of y_pred"):
            loss.cost_and_gradient(y, z, out=out)
        np.testing.assert_array_equal(z, before)
    z[1, 2, 777] = 0
    z[0, y[0, 4], 4] = -np.inf
    with choice.using("llvm"):
        state = loss.state(y, z)
    assert (state.bad, state.first_bad, state.mean) == (1, 4, np.inf)


@pytest.mark.parametrize("engine", ["numpy", "llvm"])
def test_nothing_counts_and_full_hessians(engine: choice.Name) -> None:
    loss, y, z = spread(lm.SparseCategoricalCrossEntropy(), 2, 700, 5, np.float64)
    with choice.using(engine):
        cost, gradient = loss.cost_and_gradient(y, z, mask=np.zeros(y.shape, bool), empty="zero")
        both = loss.evaluate(y, z, ("hessian", "full_hessian"))
    assert cost == 0
    assert gradient.shape == z.shape
    assert not gradient.any()
    diagonal = np.einsum("oikk->oki", both["full_hessian"])
    np.testing.assert_array_equal(diagonal, both["hessian"])


@pytest.mark.parametrize("engine", ["numpy", "llvm"])
@pytest.mark.parametrize(
    "change", [lambda x: x, cropped, lambda x: x.astype(np.float32)], ids=["plain", "cropped", "float32"]
)
def test_divergences_lie_as_predictions_do(change: Callable[[Array], Array], engine: choice.Name) -> None:
    rng = np.random.default_rng(7)
    p, q = (np.moveaxis(rng.dirichlet(np.ones(7), (2, 40, 50)), -1, 1).copy() for _ in range(2))
    p = change(p)
    weight = rng.uniform(0.5, 2, (2, 40, 50))
    with choice.using(engine):
        found = lm.JensenShannon(class_axis=1).cost_and_gradient(p=p, q=q, weight=weight)
        rows = {"p": np.moveaxis(p, 1, -1).copy(), "q": np.moveaxis(q, 1, -1).copy()}
        expected = lm.JensenShannon().cost_and_gradient(**rows, weight=weight)
    assert found[0] == expected[0]
    for name in "pq":
        assert found[1][name].flags.c_contiguous
        np.testing.assert_array_equal(np.moveaxis(found[1][name], 1, -1), expected[1][name])
