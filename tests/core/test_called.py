"""A loss that was called keeps what it looked up, and is the same value as before."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import lossmith as lm

Y, F = np.linspace(-2, 2, 100), np.linspace(1, -3, 100)


def test_what_was_looked_up_does_not_travel() -> None:
    fresh, called = lm.Huber(delta=2.0), lm.Huber(delta=2.0)
    expected = called.cost_and_gradient(Y, F)
    assert pickle.dumps(called) == pickle.dumps(fresh)
    assert called == fresh
    assert hash(called) == hash(fresh)
    for twin in (copy.copy(called), copy.deepcopy(called), pickle.loads(pickle.dumps(called))):
        cost, gradient = twin.cost_and_gradient(Y, F)
        assert cost == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])


def test_what_was_looked_up_belongs_to_one_set_of_parameters() -> None:
    wide = lm.Huber(delta=2.0)
    before = wide(Y, F)
    assert wide.replace(delta=0.5)(Y, F) < before
    assert wide(Y, F) == before


def test_threads_may_share_a_loss_from_its_first_call_on() -> None:
    expected = lm.BinaryCrossEntropy()(np.float64(Y > 0), F)
    for _ in range(20):
        shared = lm.BinaryCrossEntropy()
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(lambda _, loss=shared: loss(np.float64(Y > 0), F), range(8)))
        assert found == {expected}


def test_a_call_leaves_nothing_for_the_next_to_see() -> None:
    loss = lm.LogCosh()
    first = loss.losses(Y, F)
    kept = first.copy()
    loss.losses(Y * 2, F)
    np.testing.assert_array_equal(first, kept)


def test_zero_from_below_is_zero() -> None:
    loss = lm.BinaryCrossEntropy(prediction="probabilities")
    above, below = (loss.gradient([1.0, 1.0], np.array([zero, 0.5])) for zero in (0.0, -0.0))
    np.testing.assert_array_equal(above, below)
    assert above[0] == -np.inf
