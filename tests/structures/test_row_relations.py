"""Identities between losses of rows, and what all of them leave unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines.hosts import REFERENCE
from tests.structures.row_cases import NAMES, instances, soft, takes, with_vectors

pytestmark = pytest.mark.engines

RANDOM = np.random.default_rng(11)
Z = np.concatenate([RANDOM.normal(scale=3, size=(20, 4)), [[40, -40, 0, 1], [700, 0, 0, -700], [0, 0, 0, 0]]])
Y = RANDOM.integers(0, 4, size=len(Z))
T = RANDOM.dirichlet([1, 1, 1, 1], size=len(Z))
P = RANDOM.dirichlet([1, 2, 1, 3], size=20)
ALL = ("losses", "gradient", "hessian", "full_hessian")


def same(a: lm.Loss, b: lm.Loss, y_a: Any, y_b: Any, f: Any, rtol: float = 1e-13) -> None:
    for output in ALL:
        left, right = (loss.evaluate(y, f, (output,))[output] for loss, y in ((a, y_a), (b, y_b)))
        np.testing.assert_allclose(left, right, rtol=rtol, atol=1e-300, err_msg=f"{output} of {a} and {b}")


def target(loss: lm.Loss, y: Any, classes: int = 4) -> Any:
    return np.eye(classes)[y] if type(loss).fixed_targets == "distributions" else y


def test_softmax_with_two_classes_is_the_logistic_loss() -> None:
    scores = np.concatenate([RANDOM.normal(scale=5, size=50), [-700, 700, 40, -40, 0]])
    labels = RANDOM.integers(0, 2, size=55)
    rows = np.stack([np.zeros(55), scores], axis=1)
    for many, two in (
        (lm.SparseCategoricalCrossEntropy(), lm.BinaryCrossEntropy()),
        (lm.SoftmaxFocal(gamma=2), lm.Focal(gamma=2)),
        (lm.SoftmaxFocal(gamma=0.5), lm.Focal(gamma=0.5)),
    ):
        np.testing.assert_allclose(many.losses(labels, rows), two.losses(labels, scores), rtol=1e-12)
        np.testing.assert_allclose(many.gradient(labels, rows)[:, 1], two.gradient(labels, scores), rtol=1e-11)
        ordinary = np.abs(scores) <= 40
        bends = many.hessian(labels, rows)[ordinary, 1]
        np.testing.assert_allclose(bends, two.hessian(labels, scores)[ordinary], rtol=1e-9)


def test_hinges_with_two_classes_are_the_binary_hinge_of_the_difference() -> None:
    rows = RANDOM.normal(scale=2, size=(40, 2))
    labels = RANDOM.integers(0, 2, size=40)
    binary = lm.Hinge().losses(labels, rows[:, 1] - rows[:, 0])
    for name in ("crammer_singer", "weston_watkins"):
        np.testing.assert_allclose(lm.get(name).losses(labels, rows), binary, rtol=1e-14, atol=1e-15)


def test_sparse_is_categorical_on_one_hot_rows() -> None:
    for options in ({}, {"label_smoothing": 0.1}, {"z_loss": 0.01}, {"prediction": "probabilities"}):
        f = P if "prediction" in options else Z
        sparse, dense = lm.SparseCategoricalCrossEntropy(**options), lm.CategoricalCrossEntropy(**options)
        rtol = 1e-11 if "label_smoothing" in options else 1e-13  # some derivatives are small differences then
        same(sparse, dense, Y[: len(f)], np.eye(4)[Y[: len(f)]], f, rtol)


@pytest.mark.parametrize("name", [name for name in NAMES if soft(lm.get(name)) is not None])
def test_indices_are_one_hot_rows_and_smoothing_is_a_soft_target(name: str) -> None:
    loss = with_vectors(name, 4)
    mixed = soft(loss)
    assert mixed is not None
    same(loss, mixed, target(loss, Y), np.eye(4)[Y], Z)
    same(loss.replace(label_smoothing=0.2), mixed, target(loss, Y), np.eye(4)[Y] * 0.8 + 0.05, Z, rtol=1e-11)
    same(mixed.replace(label_smoothing=0.2), mixed, T, T * 0.8 + 0.05, Z, rtol=1e-10)


CE = lm.SparseCategoricalCrossEntropy


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_limits_are_cross_entropy(kind: str) -> None:
    f = Z if kind == "logits" else P
    y = Y[: len(f)]
    for loss in (
        lm.SoftmaxFocal(gamma=0, prediction=kind),
        lm.SoftmaxPolyOne(epsilon=0, prediction=kind),
        lm.GeneralisedCrossEntropy(q=0, prediction=kind),
        lm.SymmetricCrossEntropy(alpha=1, beta=0, prediction=kind),
    ):
        same(loss, CE(prediction=kind), y, y, f)
    for share in (1e-3, 1e-6, 1e-9, 1e-300):
        off = lm.GeneralisedCrossEntropy(q=share, prediction=kind).losses(y, f) - CE(prediction=kind).losses(y, f)
        assert np.max(np.abs(off)) <= max(share, 1e-15) * np.max(CE(prediction=kind).losses(y, f)) ** 2


def test_generalised_cross_entropy_at_one_is_what_is_missing_to_certainty() -> None:
    loss = lm.GeneralisedCrossEntropy(q=1, prediction="probabilities")
    y = Y[: len(P)]
    np.testing.assert_allclose(loss.losses(y, P), 1 - P[np.arange(len(P)), y], rtol=1e-15)
    np.testing.assert_array_equal(loss.gradient(y, P), -np.eye(4)[y])
    part = lm.SymmetricCrossEntropy(alpha=0, beta=0.5, log_zero=-2)
    same(part, lm.GeneralisedCrossEntropy(q=1), Y, Y, Z, rtol=1e-9)


def test_adjustments() -> None:
    prior, counts = (0.4, 0.3, 0.2, 0.1), (40, 30, 20, 10)
    same(lm.LogitAdjusted(prior=prior, tau=0), CE(), Y, Y, Z)
    same(lm.LogitAdjusted(), CE(), Y, Y, Z)
    same(lm.BalancedSoftmax(), CE(), Y, Y, Z)
    same(lm.BalancedSoftmax(counts), lm.LogitAdjusted(prior=prior, tau=1), Y, Y, Z)
    moved = Z + 1.5 * np.log(prior)
    np.testing.assert_allclose(lm.LogitAdjusted(prior=prior, tau=1.5).losses(Y, Z), CE().losses(Y, moved), rtol=1e-14)


def test_brier_is_twice_the_binary_one_with_two_classes() -> None:
    p = RANDOM.uniform(size=20)
    labels = RANDOM.integers(0, 2, size=20)
    found = lm.MulticlassBrier(prediction="probabilities").losses(labels, np.stack([1 - p, p], axis=1))
    np.testing.assert_allclose(found, 2 * (p - labels) ** 2, rtol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_a_shift_of_all_logits_changes_nothing(name: str) -> None:
    for loss in instances(name, 4):
        if loss.values["prediction"] == "logits":
            z = np.round(Z * 64) / 64  # so that the shift is exact
            y = target(loss, Y)
            for output in ALL:
                a, b = (loss.evaluate(y, rows, (output,))[output] for rows in (z, z + 16))
                np.testing.assert_array_equal(a, b) if name not in ("logit_adjusted", "balanced_softmax") else (
                    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-300)
                )
            assert np.all(np.abs(loss.gradient(y, z).sum(axis=1)) < 1e-13)
            assert np.all(np.abs(loss.hessian(y, z, kind="full").sum(axis=2)) < 1e-13)
    if "z_loss" in lm.loss_class(name).parameters():
        held = with_vectors(name, 4, z_loss=0.1)
        assert np.all(held.losses(target(held, Y), Z + 1000) > held.losses(target(held, Y), Z))


@pytest.mark.parametrize("name", NAMES)
def test_permuting_classes_permutes_derivatives(name: str) -> None:
    order = np.array([2, 0, 3, 1])
    places = np.argsort(order)
    for kind in ("logits", "probabilities"):
        loss = lm.get(name)
        if not takes(loss, kind):
            continue
        loss = loss.replace(prediction=kind)
        f = Z[:-1] if kind == "logits" else P  # without the row of ties, where hinges choose the first rival
        y = Y[: len(f)]
        a = loss.evaluate(target(loss, y), f, ALL)
        b = loss.evaluate(target(loss, places[y]), f[:, order], ALL)
        np.testing.assert_allclose(b["losses"], a["losses"], rtol=1e-14)
        np.testing.assert_allclose(b["gradient"], a["gradient"][:, order], rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(b["hessian"], a["hessian"][:, order], rtol=1e-12, atol=1e-300)
        full = a["full_hessian"][:, order][:, :, order]
        np.testing.assert_allclose(b["full_hessian"], full, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_row_costs_does_not_depend_on_how_targets_are_given(name: str) -> None:
    cls = lm.loss_class(name)
    if cls.fixed_targets:
        return
    outputs = ("losses", "gradient:f", "full_hessian:f,f")
    one, other = (cls(targets=kind).row(REFERENCE, Z, T, outputs) for kind in ("indices", "distributions"))
    for output in outputs:
        np.testing.assert_array_equal(one[output], other[output])
