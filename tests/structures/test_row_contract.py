"""What losses of rows take, refuse and keep: indices, distributions, shapes, types, states, round trips."""

from __future__ import annotations

import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from tests.structures.row_cases import NAMES, soft, takes, with_vectors

pytestmark = pytest.mark.engines

RANDOM = np.random.default_rng(5)
Z = RANDOM.normal(scale=2, size=(12, 3))
Y = RANDOM.integers(0, 3, size=12)
P = RANDOM.dirichlet([1, 1, 1], size=12)
INDEXED = [name for name in NAMES if lm.get(name).indices]
SOFT = [name for name in NAMES if soft(lm.get(name)) is not None]
PROBABLE = [name for name in NAMES if takes(lm.get(name), "probabilities")]


def target(loss: lm.Loss, y: Any = Y, classes: int = 3) -> Any:
    return np.eye(classes)[y] if type(loss).fixed_targets == "distributions" else y


@pytest.mark.parametrize("name", INDEXED)
@pytest.mark.parametrize(
    ("bad", "shown", "mend"),
    [(3, "is 3", "ignore_index=3"), (-1, "is -1", "ignore_index=-1"), (-100, "is -100", "ignore_index=-100"),
     (1.5, "is 1.5", ""), (np.nan, "is nan", "mask="), (np.inf, "is inf", ""), (12345678, "is 12345678", "")],
)  # fmt: skip
def test_a_bad_index_is_named_with_its_row_and_a_mend(name: str, bad: float, shown: str, mend: str) -> None:
    y = Y.reshape(4, 3).astype(float)
    y[2, 1] = bad
    with pytest.raises(lm.DomainError, match=re.escape("[0, 3)")) as caught:
        lm.get(name).cost(y, Z.reshape(4, 3, 3))
    for part in (f"y_true[2, 1] {shown}", mend, "(1 such of 12)"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", INDEXED)
def test_whole_numbers_of_any_type_are_indices(name: str) -> None:
    loss = with_vectors(name, 3)
    wanted = loss.losses(Y, Z)
    for dtype in (np.int8, np.uint8, np.uint64, np.float32, np.float64):
        np.testing.assert_array_equal(loss.losses(Y.astype(dtype), Z), wanted)
    two = lm.get(name)
    np.testing.assert_array_equal(two.losses(Y > 0, Z), two.losses((Y > 0).astype(int), Z))
    assert two.cost(np.array([255, 1], dtype=np.uint8), Z[:2], mask=np.array([False, True])) >= 0
    assert two.replace(ignore_index=255).cost(np.array([255, 1], dtype=np.uint8), Z[:2]) == two.cost([1], Z[1:2])


@pytest.mark.parametrize("name", SOFT)
def test_targets_that_are_no_distributions_are_named(name: str) -> None:
    loss = soft(lm.get(name))
    assert loss is not None
    for bad, mend in (((0.5, 0.2, 0.2), "divide it by its sum"), ((1.5, -0.5, 0.0), "these are no probabilities")):
        t = P.copy()
        t[7] = bad
        with pytest.raises(lm.DomainError, match=r"row \[7\] of y_true.*" + mend):
            loss.cost(t, Z)
        assert np.isfinite(loss.cost(t, Z, mask=np.arange(12) != 7))
    assert np.isfinite(loss.cost(P.astype(np.float16), Z.astype(np.float16)))


@pytest.mark.parametrize("name", PROBABLE)
def test_predictions_that_are_no_probabilities_are_named(name: str) -> None:
    loss = lm.get(name, prediction="probabilities")
    cases = (
        ((0.5, 0.2, 0.2), "divide"),
        ((1.5, -0.5, 0), "pass prediction='logits'"),
        ((3, -1, 0.5), "with the sum 2.5"),
    )
    for bad, mend in cases:
        p = P.copy()
        p[3] = bad
        with pytest.raises(lm.DomainError, match=r"row \[3\] of y_pred.*" + mend):
            loss.cost(target(loss), p)
    assert np.isfinite(loss.cost(target(loss), P.astype(np.float16)))
    with pytest.raises(lm.DomainError, match=r"y_pred is \[nan"):
        loss.cost(target(loss), np.full((12, 3), np.nan))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_named(name: str, bad: float) -> None:
    loss = lm.get(name)
    z = Z.copy()
    z[5, 1] = bad
    with pytest.raises(lm.DomainError, match=r"logits must be finite or minus infinity.*row \[5\] of y_pred"):
        loss.cost(target(loss), z)
    z[5] = -np.inf
    with pytest.raises(lm.DomainError, match=r"row \[5\] of y_pred is \[-inf, -inf, -inf\]"):
        loss.cost(target(loss), z)


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_do_not_count_may_hold_anything(name: str) -> None:
    loss = with_vectors(name, 3, class_weight=(1, 2, 3))
    mask = np.arange(12) % 3 > 0
    z, y = Z.copy(), target(loss).astype(float)
    z[~mask], y[~mask] = np.nan, np.nan
    weight = RANDOM.uniform(size=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cost, gradient = loss.cost_and_gradient(y, z, weight, mask=mask)
    assert cost == pytest.approx(loss.cost(target(loss)[mask], Z[mask], weight[mask]), rel=1e-14)
    assert np.all(gradient[~mask] == 0)
    if name in INDEXED:
        marked = np.where(mask, Y, -9)
        ignoring = loss.replace(ignore_index=-9)
        np.testing.assert_array_equal(ignoring.cost_and_gradient(marked, z, weight)[1], gradient)
        with pytest.raises(lm.EmptyError, match="all 12 examples are masked"):
            ignoring.cost(np.full(12, -9), z)
        assert ignoring.cost(np.full(12, -9), z, empty="zero") == 0


@pytest.mark.parametrize("name", NAMES)
def test_shapes(name: str) -> None:
    loss = lm.get(name)
    other = "CategoricalCrossEntropy" if loss.indices else "SparseCategoricalCrossEntropy"
    wrong = np.eye(3)[Y] if loss.indices else Y
    with pytest.raises(lm.ShapeError, match=f"must have shape.*{other}"):
        loss.cost(wrong, Z)
    with pytest.raises(lm.ShapeError, match="y_pred has shape"):
        loss.cost(target(loss)[:, None], Z)
    with pytest.raises(lm.ShapeError, match="no classes along axis 1"):
        loss.cost(target(loss)[:0], Z[:, :0])
    with pytest.raises(lm.ShapeError, match="no axis 2 for the classes"):
        loss.replace(class_axis=2).cost(target(loss), Z)
    with pytest.raises(lm.ShapeError, match="class_weight has 2 numbers, but y_pred has 3 classes"):
        loss.replace(class_weight=(1, 2)).cost(target(loss), Z)
    with pytest.raises(lm.ShapeError, match="weight has shape"):
        loss.cost(target(loss), Z, np.ones((12, 3)))
    with pytest.raises(lm.EmptyError, match="there are no examples"):
        loss.cost(target(loss)[:0], Z[:0])
    for bad in (np.array(["a"] * 12), Y.astype(complex)):
        with pytest.raises(lm.KindError, match="y_true"):
            loss.cost(bad, Z)
    single = loss.losses(target(loss)[0], Z[0])
    assert np.shape(single) == ()
    assert single == loss.losses(target(loss), Z)[0]
    filled = with_vectors(name, 4)
    if filled != loss:
        with pytest.raises(lm.ShapeError, match="adjustment has 4 numbers, but y_pred has 3 classes"):
            filled.cost(target(loss), Z)


@pytest.mark.parametrize("name", NAMES)
def test_class_axis_memory_layout_and_types_do_not_matter(name: str) -> None:
    loss = with_vectors(name, 3)
    y, z = target(loss).reshape(3, 4, *target(loss).shape[1:]), Z.reshape(3, 4, 3)
    for axis in (0, 1, -1, -3):
        moved = loss.replace(class_axis=axis)
        y_moved = y if loss.indices else np.moveaxis(y, -1, axis)
        z_moved = np.moveaxis(z, -1, axis)
        for given in (z_moved, np.asfortranarray(z_moved), np.repeat(z_moved, 2, axis=0)[::2]):
            for output in ("gradient", "hessian"):
                found = moved.evaluate(y_moved, given, (output,))[output]
                np.testing.assert_array_equal(np.moveaxis(found, axis, -1), loss.evaluate(y, z, (output,))[output])
            np.testing.assert_array_equal(moved.hessian(y_moved, given, kind="full"), loss.hessian(y, z, kind="full"))
            assert moved.cost(y_moved, given) == loss.cost(y, z)
        out = np.empty(z_moved.shape)
        _, gradient = moved.cost_and_gradient(y_moved, z_moved, out=out)
        assert gradient is out
        np.testing.assert_array_equal(np.moveaxis(out, axis, -1), loss.cost_and_gradient(y, z)[1])
        with pytest.raises(lm.ShapeError, match="out has shape"):
            moved.cost_and_gradient(y_moved, z_moved, out=np.empty((2, 18)))
    y_half = y if loss.indices else y.astype(np.float16)
    half = loss.evaluate(y_half, z.astype(np.float16), ("losses", "gradient"))
    assert all(value.dtype == np.float32 for value in half.values())
    exact = loss.evaluate(y, z.astype(np.float16).astype(float), ("losses", "gradient"))
    np.testing.assert_allclose(half["gradient"], exact["gradient"], rtol=1e-5, atol=1e-6)
    with pytest.raises(lm.KindError, match="out must be a writeable float64 array"):
        loss.cost_and_gradient(y, z, out=np.empty(z.shape, dtype=np.float32))


@pytest.mark.parametrize("name", NAMES)
def test_logits_that_look_like_probabilities_warn_with_the_evidence(name: str) -> None:
    loss = lm.get(name)
    mend = "prediction='probabilities'" if name in PROBABLE else "scores from before the softmax"
    with pytest.warns(lm.LossmithWarning, match=f"12 of 12 rows sum to 1.*even a certain row costs.*{mend}"):
        loss.cost(target(loss), P)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss.cost(target(loss), Z)
        loss.cost(target(loss), P * 1.1)
        loss.cost(target(loss)[:1], P[:1])
        if name in PROBABLE:
            loss.replace(prediction="probabilities").cost(target(loss), P)
    mixed = np.concatenate([Z[:1] * 50, P[1:]])
    with pytest.warns(lm.LossmithWarning, match="11 of 11"):
        loss.cost(target(loss), mixed, mask=np.arange(12) > 0)


def test_the_evidence_says_the_least_that_probabilities_as_logits_cost() -> None:
    with pytest.warns(lm.LossmithWarning, match=r"costs 0\.551"):
        lm.SparseCategoricalCrossEntropy().cost(Y, P)


@pytest.mark.parametrize("name", NAMES)
def test_states_of_splits_merge_to_the_same_bits(name: str) -> None:
    loss = with_vectors(name, 64, class_weight=tuple(np.linspace(0.5, 2, 64).tolist()), label_smoothing=0.1)
    size = 1024
    z, y = RANDOM.normal(size=(size, 64)), RANDOM.integers(0, 64, size=size)
    t, w = target(loss, y, 64), RANDOM.uniform(size=size)
    block = loss._batch({"y_true": t, "y_pred": z}, None, None).block
    assert size > 3 * block
    whole = loss.state(t, z, w)
    for cuts in ([block], [block, 3 * block], [2 * block]):
        pieces = zip([0, *cuts], [*cuts, size], strict=True)
        parts = [loss.state(t[a:b], z[a:b], w[a:b]) for a, b in pieces]
        for order in (parts, parts[::-1]):
            merged = order[0]
            for part in order[1:]:
                merged = merged.merge(part)
            assert (merged.sum, merged.weight, merged.count) == (whole.sum, whole.weight, whole.count)
    off = loss.state(t[:10], z[:10], w[:10]).merge(loss.state(t[10:], z[10:], w[10:]))
    assert off.mean == pytest.approx(whole.mean, rel=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_goes_through_data_text_and_pickle(name: str) -> None:
    loss = with_vectors(name, 3, class_weight=[1, 0.1, 3], label_smoothing=0.05, class_axis=0)
    for again in (
        lm.from_config(loss.to_config()),
        pickle.loads(pickle.dumps(loss)),
        lm.parse(str(loss)),
        loss.replace(),
        loss.replace(class_axis=-1).replace(class_axis=0),
    ):
        assert again == loss
        assert hash(again) == hash(loss)
    assert loss != loss.replace(class_weight=[1, 0.1, 2])


def test_vectors_are_passed_by_place_and_checked() -> None:
    assert lm.BalancedSoftmax((5, 3)) == lm.BalancedSoftmax(counts=[5, 3])
    assert lm.parse("balanced_softmax((5, 3))") == lm.BalancedSoftmax([5, 3])
    with pytest.raises(lm.ParameterError, match=r"counts\[1\] is 0"):
        lm.BalancedSoftmax([5, 0])
    with pytest.raises(lm.ParameterError, match=r"prior must sum to 1, but sums to 0\.8; divide"):
        lm.LogitAdjusted(prior=[0.5, 0.3])
    with pytest.raises(
        lm.ParameterError, match=r"class_weight must be a sequence of numbers in .* whose true class it is"
    ):
        lm.SoftmaxFocal(class_weight=3)


@pytest.mark.parametrize("name", NAMES)
def test_the_best_constant_has_no_slope_and_no_better_neighbour(name: str) -> None:
    for options in ({}, {"label_smoothing": 0.1, "class_weight": (1, 2, 0.5)}):
        loss = with_vectors(name, 3, **options)
        y, w = target(loss), RANDOM.uniform(size=12)
        best = loss.optimal_constant(y, w)
        assert abs(best.mean()) < 1e-14
        rows = np.tile(best, (12, 1))
        cost, gradient = loss.cost_and_gradient(y, rows, w)
        assert not loss.card.traits.smooth or np.max(np.abs(gradient.sum(axis=0))) < 1e-14
        for near in RANDOM.normal(scale=0.1, size=(20, 3)):
            assert loss.cost(y, rows + near, w) >= cost - 1e-15
        context = loss.context(y, w)
        assert context.constant_cost == pytest.approx(cost, rel=1e-14)
        assert context.floor <= context.constant_cost
        np.testing.assert_array_equal(context.constant, best)


def test_cross_entropy_has_log_frequencies_and_the_entropy_as_floor() -> None:
    loss = lm.SparseCategoricalCrossEntropy(class_weight=(1, 4, 1), label_smoothing=0.3)
    y = np.array([0, 0, 1, 2])
    smooth = np.eye(3)[y] * 0.7 + 0.1
    share = np.array([1, 1, 4, 1]) @ smooth / 7
    np.testing.assert_allclose(loss.optimal_constant(y), np.log(share) - np.log(share).mean(), atol=1e-14)
    np.testing.assert_allclose(loss.replace(z_loss=0.1).optimal_constant(y), np.log(share), atol=1e-14)
    assert loss.context(y).floor == pytest.approx(-np.sum(smooth[0] * np.log(smooth[0])))
    dense = lm.CategoricalCrossEntropy()
    assert dense.context(P).floor == pytest.approx(-np.mean(np.sum(P * np.log(P), axis=1)))
    assert lm.SparseCategoricalCrossEntropy().context(y).floor == 0
    rare = lm.SparseCategoricalCrossEntropy(ignore_index=-1).optimal_constant([0, 2, 2, -1])
    np.testing.assert_allclose(rare, [-np.log(2) / 2, -np.inf, np.log(2) / 2])
    with pytest.raises(lm.NoConstantError, match="certainty of one class"):
        lm.GeneralisedCrossEntropy(q=1).optimal_constant([0, 0, 1])


@pytest.mark.parametrize("name", NAMES)
def test_traits_hold_jointly_in_the_logits_of_a_row(name: str) -> None:
    loss = with_vectors(name, 3)
    traits = loss.card.traits
    z, other = (RANDOM.normal(scale=3, size=(4000, 3)) for _ in range(2))
    y = target(loss, RANDOM.integers(0, 3, size=4000))
    at, there, middle = (loss.losses(y, rows) for rows in (z, other, (z + other) / 2))
    assert traits.convex == bool(np.all(middle <= (at + there) / 2 + 1e-12))
    assert traits.nonnegative == bool(np.all(at >= 0))
    assert traits.lipschitz == bool(np.max(np.abs(loss.gradient(y, z * 1e6))) < 10)
    near = loss.gradient(y, z + 1e-9) - loss.gradient(y, z)
    line = np.linspace(-3, 3, 4001)[:, None] * [1.0, 0, 0]
    first = target(loss, np.zeros(4001, dtype=int))
    jump = np.max(np.abs(np.diff(loss.gradient(first, line), axis=0)))
    assert traits.differentiable == bool(jump < 0.05)
    assert traits.smooth == traits.differentiable
    assert np.all(np.isfinite(near))
    assert not traits.symmetric


def test_classes_across_an_array_are_looked_at_as_rows_by_the_warning() -> None:
    p = np.full((4, 3, 5), 1 / 3)
    with pytest.warns(lm.LossmithWarning, match="20 of 20 rows sum to 1"):
        lm.CategoricalCrossEntropy(class_axis=1)(p, p)
