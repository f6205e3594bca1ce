"""The engine of TensorFlow says what the catalogue says, with its derivatives, in tapes, graphs and XLA."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import lossmith as lm
from lossmith import Loss
from lossmith.engines import tensorflow as engine
from lossmith.engines.hosts import by_symbol
from lossmith.frameworks.calls import aligned, settled
from tests.frameworks import catalogue
from tests.frameworks.tolerance import ULPS
from tests.laws.samples import is_plain, name_of

Tensors = dict[str, Any]


def tensors(loss: Loss, dtype: Any, rows: int = 5) -> Tensors:
    given = catalogue.given(loss, rows, dtype)
    return {name: tf.constant(x if x.dtype.kind == "f" else x.astype(np.int32)) for name, x in given.items()}


def losses(loss: Loss, given: Tensors) -> Any:
    return engine.losses(settled(loss), *aligned(loss, given, engine.FUNCTIONS))


def directions(loss: Loss, given: Tensors) -> Tensors:
    ways = catalogue.directions(loss, {name: x.numpy() for name, x in given.items()})
    return {name: tf.constant(way) for name, way in ways.items()}


def outputs(loss: Loss, given: Tensors, ways: Tensors) -> dict[str, Any]:
    """Return losses, gradients and second derivatives along directions by two tapes."""
    ends = {item.name: given[item.name] for item in loss.predicted}
    with tf.GradientTape() as outer:
        outer.watch(ends)
        with tf.GradientTape() as inner:
            inner.watch(ends)
            found = losses(loss, given)
        slopes = inner.gradient(found, ends)
    bends = outer.gradient(slopes, ends, output_gradients=ways)
    results = {"losses": found} | {f"gradient {name}": slope for name, slope in slopes.items()}
    return results | {f"hessian {name}": bend for name, bend in bends.items()}


def furthest(loss: Loss, dtype: Any, change: Callable[[Any], Any] = lambda x: x) -> float:
    """Return how far TensorFlow is from the catalogue, in units in the last place of the largest of each kind."""
    # What counts how much is no part of a loss of an example here.
    plain = loss.replace(class_weight=None) if getattr(loss, "class_weight", None) else loss
    given = tensors(plain, dtype)
    expected = catalogue.right(plain, {name: x.numpy() for name, x in given.items()})
    return catalogue.furthest(outputs(plain, given, directions(plain, given)), expected, dtype, change)


TYPES = (np.float32, np.float64)
LOSSES = catalogue.shared("tensorflow")


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_losses_and_both_derivatives_are_those_of_the_catalogue(loss: Loss) -> None:
    # Of a type, a loss has no more than the numbers in its formula: other forms than plain ones take turns.
    for dtype in TYPES if is_plain(loss) else [TYPES[LOSSES.index(loss) % 2]]:
        assert furthest(loss, dtype) <= ULPS["tensorflow"]


def test_what_is_wrong_is_found() -> None:
    assert furthest(lm.LogCosh(), np.float64, lambda x: x * (1 + 1e-13)) > ULPS["tensorflow"]


STRUCTURES = [
    lm.BinaryCrossEntropy(),
    lm.GaussianNLL(),
    lm.SparseCategoricalCrossEntropy(),
    lm.KLDivergence(q_kind="logits"),
    lm.MultiQuantile(prediction="increments"),
    lm.Triplet(distance="cosine"),
]
COMPILED = STRUCTURES[:3]
"""Those that are compiled here, too, which takes longest."""


@pytest.mark.parametrize("loss", STRUCTURES, ids=name_of)
def test_graphs_of_unknown_lengths_and_compiled_ones_give_the_same(loss: Loss) -> None:
    given = tensors(loss, np.float64)
    ends = {item.name: given[item.name] for item in loss.predicted}
    ways = directions(loss, given)
    expected = outputs(loss, given, ways)
    unknown = {name: tf.TensorSpec([None] * len(x.shape), x.dtype) for name, x in given.items()}
    runs = [tf.function(lambda given: outputs(loss, given, ways), input_signature=[unknown], autograph=False)]
    if loss in COMPILED:
        runs.append(tf.function(lambda given: outputs(loss, given, ways), jit_compile=True, autograph=False))
    for run in runs:
        for name, found in run(given).items():
            np.testing.assert_allclose(found, expected[name], rtol=1e-11, atol=1e-14, err_msg=name)
    # Tapes around a function ask it for derivatives of every order.
    function = tf.function(lambda given: losses(loss, given), autograph=False)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(ends)
        with tf.GradientTape(persistent=True) as inner:
            inner.watch(ends)
            found = function(given)
        slopes = inner.gradient(found, ends)
    for name, bend in outer.gradient(slopes, ends, output_gradients=ways).items():
        np.testing.assert_allclose(bend, expected[f"hessian {name}"], rtol=1e-11, atol=1e-14)


def test_what_does_not_count_has_no_derivative_whatever_it_is() -> None:
    p, share = tf.constant([0.0, 0.0, 0.5]), tf.constant([1.0, 0.0, 1.0])
    loss = settled(lm.BinaryCrossEntropy(prediction="probabilities"))
    with tf.GradientTape() as tape:
        tape.watch(p)
        cost = tf.reduce_sum(engine.times(share, engine.losses(loss, tf.ones(3), p)))
    assert tape.gradient(cost, p).numpy().tolist() == [-np.inf, 0, -2]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_share_of_zero_has_a_derivative(compiled: bool) -> None:
    """Who learns the weights of examples starts from zeros: a cost and its gradient are linear in them."""
    loss, y, x = settled(lm.SquaredError()), tf.zeros(3), tf.constant([1.0, -2.0, math.inf])

    def derivatives(share: Any) -> Any:
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(share)
            with tf.GradientTape() as inner:
                inner.watch(x)
                cost = tf.reduce_sum(engine.times(share, engine.losses(loss, y, x)))
            slope = inner.gradient(cost, x)
        return cost, slope, outer.gradient(cost, share), outer.gradient(slope, share)

    run = tf.function(derivatives, jit_compile=True, autograph=False) if compiled else derivatives
    cost, *found = run(tf.zeros(3))
    assert float(cost) == 0
    assert [x.numpy().tolist() for x in found] == [[0, 0, 0], [1, 4, math.inf], [2, -4, math.inf]]


def test_targets_have_no_derivative_and_there_is_no_third_one() -> None:
    loss, x, y = settled(lm.LogCosh()), tf.constant([0.5]), tf.constant([0.0])
    with tf.GradientTape(persistent=True) as third:
        third.watch([x, y])
        with tf.GradientTape() as second:
            second.watch(x)
            with tf.GradientTape() as first:
                first.watch(x)
                cost = engine.losses(loss, y, x)
            slope = first.gradient(cost, x)
        bend = second.gradient(slope, x)
    assert third.gradient(cost, y) is None
    with pytest.raises(lm.ProgramError, match="no third"):
        third.gradient(bend, x)


@pytest.mark.parametrize("length", [0, 1, 31, 1_000_033])
def test_sums_keep_their_digits_and_have_the_gradient_of_sums(length: int) -> None:
    numbers = np.random.default_rng(0).random((length, 1), np.float32)
    for total in (engine.total, tf.function(engine.total, jit_compile=True)):
        found = tf.constant(numbers)
        with tf.GradientTape() as tape:
            tape.watch(found)
            cost = total(found) ** 2
        right = numbers.sum(dtype=np.float64)
        assert abs(float(cost) - right**2) <= 2 * 1.9e-6 * right**2
        np.testing.assert_allclose(tape.gradient(cost, found), 2 * right + 0 * numbers, rtol=2e-6)


def test_a_slope_shares_nothing_with_its_loss_that_would_be_written_down() -> None:
    @tf.function(jit_compile=True)
    def both(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = losses(lm.BinaryCrossEntropy(), {"y_pred": x, "y_true": y})
        return found, tape.gradient(found, x)

    x, y = tf.constant([[0.5], [math.nan]]), tf.ones((2, 1))
    made = both.experimental_get_compiler_ir(x, y)(stage="optimized_hlo")
    assert made.count(" exponential(") == 2
    assert [tf.math.is_nan(found).numpy().ravel().tolist() for found in both(x, y)] == [[False, True]] * 2


def test_lengths_that_nobody_knows_yet_equal_every_other() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([4, None])])
    def found(x: Any, y: Any) -> Any:
        return losses(lm.SquaredError(), {"y_pred": x, "y_true": y})

    assert found(tf.ones((4, 2)), tf.zeros((4, 2))).shape == (4, 2)
    careless = tf.function(lambda x: losses(lm.Huber(), {"y_pred": x, "y_true": tf.zeros(3)}), autograph=False)
    with pytest.raises(lm.ShapeError, match=r"y_true has shape \(3,\) and y_pred \(None, 1\)"):
        careless.get_concrete_function(tf.TensorSpec([None, 1]))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("loss", "shapes"),
    [
        (lm.SquaredError(), [(4, 1), (4, 3)]),
        (lm.SquaredError(), [(4, 3), (4, 1)]),
        (lm.SquaredError(), [(1, 4), (4, 1)]),
        (lm.GaussianNLL(), [(4, 1), (4, 3), (4, 3)]),
        (lm.SparseCategoricalCrossEntropy(), [(4, 1), (4, 5, 3)]),
        (lm.CategoricalCrossEntropy(), [(1, 3), (4, 3)]),
        (lm.CategoricalCrossEntropy(), [(4, 1), (4, 3)]),
        (lm.MultiQuantile(), [(1,), (4, 3)]),
    ],
    ids=str,
)
def test_lengths_that_turn_out_to_differ_are_an_error(loss: Loss, shapes: Any, compiled: bool) -> None:
    kinds = [tf.int32 if item.symbol in loss.class_indices else tf.float32 for item in loss.inputs]
    unknown = [tf.TensorSpec([None] * len(shape), kind) for shape, kind in zip(shapes, kinds, strict=True)]

    @tf.function(input_signature=[unknown], jit_compile=compiled, autograph=False)
    def found(given: Any) -> Any:
        return losses(loss, dict(zip([item.name for item in loss.inputs], given, strict=True)))

    with pytest.raises(tf.errors.InvalidArgumentError):
        found([tf.ones(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)])


@pytest.mark.parametrize(
    "loss",
    [
        lm.SparseCategoricalCrossEntropy(class_weight=(1, 2, 3), label_smoothing=0.1, ignore_index=2),
        lm.LogitAdjusted(prior=(0.2, 0.5, 0.3)),
        lm.CategoricalCrossEntropy(label_smoothing=0.1),
    ],
    ids=name_of,
)
def test_the_number_of_classes_may_be_known_later(loss: Loss) -> None:
    def found(given: Tensors) -> tuple[Any, ...]:
        own = loss.counting(engine.PLAIN, by_symbol(loss, [given[item.name] for item in loss.inputs]))
        return losses(loss, given), *(x for x in own if x is not None)

    given = tensors(loss, np.float64)
    unknown = {name: tf.TensorSpec([None] * len(x.shape), x.dtype) for name, x in given.items()}
    later = tf.function(found, input_signature=[unknown], autograph=False)
    for a, b in zip(later(given), found(given), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
