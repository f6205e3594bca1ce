"""Kernels over rows of logits against the reference, for few and for many classes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines.llvm import row_by_row, row_kernel, threads

Array = np.ndarray
PARTS = ("losses", "gradient", "hessian")


@pytest.fixture(autouse=True)
def _threads_as_they_were() -> Iterator[None]:
    yield
    threads.set_num_threads(None)


MIXTURES = [
    lm.SoftmaxFocal(label_smoothing=0.1),
    lm.GeneralisedCrossEntropy(targets="distributions", z_loss=1e-2),
    lm.SymmetricCrossEntropy(prediction="probabilities"),
    lm.SoftmaxFocal(prediction="probabilities", targets="distributions", label_smoothing=0.2),
]
"""What is computed one row after the other: targets of several classes, and probabilities."""

OF_LOGITS = [
    lm.SparseCategoricalCrossEntropy(),
    lm.SparseCategoricalCrossEntropy(label_smoothing=0.1),
    lm.CategoricalCrossEntropy(),
    lm.SoftmaxFocal(),
    lm.SoftmaxFocal(gamma=0.5),
    lm.SoftmaxPolyOne(),
    lm.GeneralisedCrossEntropy(),
    lm.SymmetricCrossEntropy(),
]
LOSSES = [*OF_LOGITS, *MIXTURES]
WAYS = list(itertools.product((False, True), (False, True), ("mean", "sum", "none")))


def way(loss: lm.Loss, dtype: Any, place: int) -> tuple[bool, bool, str]:
    """Return with what a loss is reduced at random: whether with weights, whether with a mask, and how.

    Each is kernels to compile, which takes most of the time, and lies around the formula. So each loss of a type has
    four ways of twelve, with every reduction among them, and losses take turns.
    """
    first = 2 * LOSSES.index(loss) + (dtype == np.float64)
    return WAYS[(first + 5 * place) % len(WAYS)]


def sample(loss: lm.Loss, rows: int, classes: int, dtype: Any) -> tuple[Array, Array]:
    """Return targets and predictions: ordinary ones, ties, certain rows, and classes that are ruled out."""
    y, z = _sample(loss, rows, classes, dtype)
    if loss.probabilities:  # type: ignore[attr-defined]  # of losses over classes
        # Where 1/p² leaves single precision, the reference loses a small share of it that kernels keep.
        z = np.exp(np.maximum(z - z.max(axis=1, keepdims=True), -40))
        z /= z.sum(axis=1, keepdims=True)
    return y, z


def _sample(loss: lm.Loss, rows: int, classes: int, dtype: Any) -> tuple[Array, Array]:
    rng = np.random.default_rng(classes)
    z = (rng.normal(size=(rows, classes)) * 4).astype(dtype)
    z[::7] = 0
    z[1::7, -1] = 60
    z[2::7, 0] = -np.inf
    y = rng.integers(min(1, classes - 1), classes, rows)
    if loss.indices:  # type: ignore[attr-defined]  # of losses over classes
        if loss.values["label_smoothing"]:
            z = np.where(np.isinf(z), -30, z).astype(dtype)
        return y, z
    soft = rng.dirichlet(np.ones(classes), rows).astype(dtype)
    return soft, np.where(np.isinf(z), -30, z).astype(dtype)


def close(got: Any, expected: Any, dtype: Any, name: str) -> None:
    """Fail unless both are the same but for rounding; derivatives near 0 are what terms of the size of 1 leave."""
    slack = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(got, expected, rtol=slack, atol=slack * 1e-2, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("classes", [2, 3, 10, 23, 24, 57, 1000])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_every_loss_of_log_probabilities_is_what_the_reference_says(loss: lm.Loss, classes: int, dtype: Any) -> None:
    y, z = sample(loss, 311, classes, dtype)
    with choice.using("numpy"):
        expected = loss.evaluate(y, z, PARTS, trusted=True)
    with choice.using("llvm"):
        assert loss._rows_for_kernel(loss._batch({"y_true": y, "y_pred": z}, None, None, trusted=True), PARTS)
        got = loss.evaluate(y, z, PARTS, trusted=True)
    for name in PARTS:
        close(got[name], expected[name], dtype, name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("classes", range(1, 9))
def test_groups_of_few_classes_are_turned_over_whole_and_in_part(classes: int, dtype: Any) -> None:
    loss = lm.CategoricalCrossEntropy()
    for rows in (1, 8, 16, 17, 37):
        y, z = _sample(loss, rows, classes, dtype)
        around = np.full((rows + 2, classes), 7, np.promote_types(dtype, np.float32))
        found = {}
        for engine in ("numpy", "llvm"):
            with choice.using(engine):  # type: ignore[arg-type]  # one of its names
                found[engine] = loss.cost_and_gradient(y, z, out=around[1:-1])[1].copy()
        slack = 1e-12 if dtype == np.float64 else 1e-6
        np.testing.assert_allclose(found["llvm"], found["numpy"], rtol=slack, atol=slack, err_msg=str(rows))
        assert np.all(around[[0, -1]] == 7)


@pytest.mark.parametrize("classes", [3, 40, 300])
@pytest.mark.parametrize(
    "loss",
    [
        lm.CategoricalCrossEntropy(),
        lm.CategoricalCrossEntropy(label_smoothing=0.1, z_loss=1e-2),
        lm.SoftmaxFocal(targets="distributions"),
    ],
    ids=str,
)
def test_shares_that_sum_to_nearly_one_are_taken_as_they_are(loss: lm.Loss, classes: int) -> None:
    y, z = _sample(loss, 40, classes, np.float64)
    y *= np.linspace(0.99, 1.01, 40)[:, None]
    found = {}
    for engine in ("numpy", "llvm"):
        with choice.using(engine):  # type: ignore[arg-type]  # one of its names
            found[engine] = loss.evaluate(y, z, PARTS)
    for name in PARTS:
        close(found["llvm"][name], found["numpy"][name], np.float64, name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_engines_agree_over_a_quarter_of_a_million_classes(dtype: Any) -> None:
    loss, classes = lm.SparseCategoricalCrossEntropy(), 262_144
    z = (np.random.default_rng(0).normal(size=(3, classes)) * 4).astype(dtype)
    y = np.array([0, 70_000, classes - 1])
    with choice.using("numpy"):
        expected, slopes = loss.cost_and_gradient(y, z)
    with choice.using("llvm"):
        assert loss._rows_for_kernel(loss._batch({"y_true": y, "y_pred": z}, None, None, trusted=True), PARTS[:2])
        cost, gradient = loss.cost_and_gradient(y, z)
    np.testing.assert_allclose(cost, expected, rtol=1e-12 if dtype == np.float64 else 1e-6)
    close(gradient, slopes, dtype, "gradient")
    assert abs(float(gradient.sum(dtype=np.float64))) < 1e-5
    assert (gradient < 0).nonzero()[1].tolist() == y.tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("classes", [131, 256, 1001])
def test_large_gradients_are_written_whole(classes: int, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = MIXTURES[1]
    y, z = sample(loss, 23, classes, dtype)
    with choice.using("llvm"):
        expected = loss.evaluate(y, z, PARTS, trusted=True)
        monkeypatch.setattr(row_by_row, "STREAMING", 0)  # past the caches, however small it is
        for parts in (PARTS, PARTS[:2]):
            out = {name: np.full_like(expected[name], 7.0) for name in parts[1:]}
            got = loss.evaluate(y, z, parts, out=out, trusted=True)
            for name in parts:
                np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


@pytest.mark.parametrize("classes", [2, 10, 24, 100])
@pytest.mark.parametrize("loss", [*LOSSES[:4], *MIXTURES], ids=str)
def test_weights_masks_and_reductions_are_applied_inside(loss: lm.Loss, classes: int) -> None:
    y, z = sample(loss, 500, classes, np.float64)
    rng = np.random.default_rng(1)
    weight, mask = rng.choice([0.0, 0.5, 2.0], 500), rng.random(500) < 0.7
    z[~mask] = np.nan  # what is masked may be anything
    for reduction in ("mean", "sum", "count_mean", "none"):
        results = []
        for engine in ("numpy", "llvm"):
            with choice.using(engine):  # type: ignore[arg-type]  # one of its names
                results.append(loss.cost_and_gradient(y, z, weight, reduction, mask=mask))
        (cost, gradient), (other, slopes) = results
        np.testing.assert_allclose(other, cost, rtol=1e-12)
        np.testing.assert_allclose(slopes, gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("loss", [OF_LOGITS[0], OF_LOGITS[3], MIXTURES[0], MIXTURES[2]], ids=str)
@pytest.mark.parametrize("classes", [3, 20, 100])
def test_class_indices_may_be_of_any_type(loss: lm.Loss, classes: int) -> None:
    y, z = sample(loss, 500, classes, np.float32)
    with choice.using("llvm"):
        cost, gradient = loss.cost_and_gradient(y, z)
        for kind in ("i1", "i2", "<i4", ">i4", "u1", "u2", "u4", "u8", "f4"):
            found, slopes = loss.cost_and_gradient(y.astype(kind), z)
            assert found == cost
            np.testing.assert_array_equal(slopes, gradient)


@pytest.mark.parametrize("classes", [10, 100])
def test_sums_are_the_same_bits_for_any_number_of_threads(classes: int) -> None:
    loss = lm.SparseCategoricalCrossEntropy()
    y, z = sample(loss, 3000, classes, np.float32)
    found = set()
    for number in (1, 2, 5):
        threads.set_num_threads(number)
        with choice.using("llvm"):
            found.add(loss.cost(y, z).hex())
    assert len(found) == 1


@pytest.mark.parametrize("classes", [5, 40])
def test_bad_rows_are_named_and_infinite_losses_counted(classes: int) -> None:
    loss = lm.SparseCategoricalCrossEntropy()
    y, z = sample(loss, 4000, classes, np.float64)
    z[2::7, 0] = 0
    z[[777, 3001], y[[777, 3001]]] = -np.inf
    with choice.using("llvm"):
        state = loss.state(y, z)
        assert (state.bad, state.first_bad, state.mean) == (2, 777, np.inf)
        for value in (np.nan, np.inf):
            z[1234, 1] = value
            with pytest.raises(lm.DomainError, match=r"y_pred\[1234, 1\]|row \[1234\]"):
                loss.cost(y, z)
        z[1234] = -np.inf
        with pytest.raises(lm.DomainError, match=r"\[1234"):
            loss.cost(y, z)
    soft = np.full((4000, classes), 1 / classes)
    soft[999, 0] += 0.1
    with choice.using("llvm"), pytest.raises(lm.DomainError, match=r"row \[999\] of y_true"):
        lm.CategoricalCrossEntropy().cost(soft, np.zeros((4000, classes)))


@pytest.mark.parametrize("loss", MIXTURES, ids=str)
def test_bad_rows_are_named_where_rows_are_mixed(loss: lm.Loss) -> None:
    y, z = sample(loss, 4000, 6, np.float64)
    wrong = {"y_pred": z, **({} if loss.indices else {"y_true": y})}  # type: ignore[attr-defined]
    for label, rows in wrong.items():
        for change in (np.nan, -1e-9, 1.5) if label == "y_true" or loss.probabilities else (np.nan, np.inf):  # type: ignore[attr-defined]
            kept, rows[999, 1] = rows[999, 1], change
            with choice.using("llvm"), pytest.raises(lm.DomainError, match=rf"\[999.*{label}|{label}\[999"):
                loss.cost(y, z)
            rows[999, 1] = kept
    with choice.using("llvm"):
        assert loss.state(y, z).bad == loss.losses(y, z).size - np.isfinite(loss.losses(y, z)).sum()


def test_groups_of_any_size_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = lm.SoftmaxFocal()
    y, z = sample(loss, 300, 30, np.float64)
    results = []
    for size in (1, 1000, 10**6):
        monkeypatch.setattr(row_kernel, "GROUP", size)
        with choice.using("llvm"):
            results.append(loss.evaluate(y, z, PARTS))
    for found in results[1:]:
        for name in PARTS:
            np.testing.assert_array_equal(found[name], results[0][name])


PRIOR = (0.5, 0.2, 0.15, 0.1, 0.04, 0.01)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("classes", [6, 70])
@pytest.mark.parametrize("name", ["z_loss", "smoothed z_loss", "soft smoothing", "soft z_loss", "adjusted"])
def test_options_of_logits_and_targets(name: str, classes: int, dtype: Any) -> None:
    prior = tuple(np.resize(PRIOR, classes) / np.resize(PRIOR, classes).sum())
    loss = {
        "z_loss": lm.SparseCategoricalCrossEntropy(z_loss=1e-2),
        "smoothed z_loss": lm.SparseCategoricalCrossEntropy(z_loss=1e-2, label_smoothing=0.2),
        "soft smoothing": lm.CategoricalCrossEntropy(label_smoothing=0.2),
        "soft z_loss": lm.CategoricalCrossEntropy(z_loss=1e-2),
        "adjusted": lm.LogitAdjusted(prior=prior),
    }[name]
    y, z = sample(loss, 301, classes, dtype)
    parts = PARTS
    with choice.using("llvm"):
        assert loss._rows_for_kernel(loss._batch({"y_true": y, "y_pred": z}, None, None, trusted=True), parts) == 301
        got = loss.evaluate(y, z, parts)
    with choice.using("numpy"):
        expected = loss.evaluate(y, z, parts)
    for part in parts:
        close(got[part], expected[part], dtype, part)


def test_full_hessians_are_left_to_the_reference() -> None:
    y, z = sample(lm.SparseCategoricalCrossEntropy(), 400, 6, np.float64)
    with choice.using("llvm"):
        assert lm.SparseCategoricalCrossEntropy().hessian(y, z, kind="full").shape == (400, 6, 6)


def test_kernels_do_not_go_past_what_a_subclass_computes() -> None:
    class Doubled(lm.SparseCategoricalCrossEntropy):
        """Cross-entropy, twice."""

        card = lm.SparseCategoricalCrossEntropy.card

        def row(self, host: Any, z: Array, t: Array, outputs: Any) -> dict[str, Array]:
            return {name: 2 * part for name, part in super().row(host, z, t, outputs).items()}

    y, z = sample(lm.SparseCategoricalCrossEntropy(), 4000, 6, np.float64)
    for engine in ("numpy", "llvm"):
        with choice.using(engine):
            assert Doubled()(y, z) == pytest.approx(2 * lm.SparseCategoricalCrossEntropy()(y, z), rel=1e-12)
