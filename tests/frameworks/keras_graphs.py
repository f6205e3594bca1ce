"""What graphs of Keras cannot look at, on the backend that it was imported with; ``test_keras`` runs this on each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import lossmith.keras as lk
from tests.frameworks.keras_cases import BACKEND, REDUCTIONS, X, Y, differentiated, number

if BACKEND == "tensorflow":
    import tensorflow as tf


def traced(cost: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function whose values nobody can look at while it runs."""
    if BACKEND == "tensorflow":
        return tf.function(cost, jit_compile=True, autograph=False)  # type: ignore[no-any-return]
    import jax

    return jax.jit(cost)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras trains models of PyTorch without a graph")
def test_what_a_graph_cannot_look_at_makes_the_cost_no_number() -> None:
    cost = traced(lambda f: lk.Huber()(np.zeros(3, np.float32), f))
    assert number(cost(np.float32([1, 1, 1]))) == 0.5
    assert np.isnan(number(cost(np.float32([1, np.nan, 1]))))


@pytest.mark.skipif(BACKEND == "torch", reason="Keras trains models of PyTorch without a graph")
def test_what_a_graph_cannot_look_at_makes_the_gradient_no_number_unless_it_weighs_nothing() -> None:
    """So that a step is left out where predictions overflowed, as ``LossScaleOptimizer`` does; others keep theirs."""
    y, f = np.zeros((4, 1), np.float32), np.float32([[0.5], [np.inf], [np.nan], [np.inf]])
    for reduction in REDUCTIONS[:4]:
        made = lk.Huber(reduction=reduction)
        slope = traced(lambda f, made=made: differentiated(lambda f: made(y, f, np.float32([1, 1, 1, 0])), f)[0])
        found = number(slope(f))
        assert found[0] > 0, reduction
        assert np.isnan(found).ravel().tolist() == [False, True, True, False], reduction
        assert found[3] == 0, reduction


@pytest.mark.skipif(BACKEND == "torch", reason="it runs the step with an error")
def test_a_step_whose_predictions_overflow_is_left_out() -> None:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    net.compile(loss=lk.Huber(), optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)))
    large = np.where(np.arange(50)[:, None] == 0, 30_000, X)  # three of them are more than float16 holds
    net.train_on_batch(large, Y)
    assert (net.get_weights()[0] == 1).all()
    net.train_on_batch(X, Y)
    assert (net.get_weights()[0] != 1).all()
