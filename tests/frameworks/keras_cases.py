"""Objects of Keras, on the backend that it was imported with; ``test_keras`` runs this on each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import lossmith as lm
import lossmith.keras as lk
from lossmith.engines import keras as engine
from lossmith.engines.keras import backend
from tests.parity import relation
from tests.parity.arrays import draw
from tests.parity.table import ROWS, Row

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf

    # Before anything runs: one processor passes for two devices.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype(np.float32)
Y = (X @ [1, -2, 0.5]).astype(np.float32)
WEIGHTS = RNG.uniform(size=50).astype(np.float32)


def number(x: Any) -> Any:
    return ops.convert_to_numpy(x)


# --- in the place of a loss of Keras ------------------------------------------------------------------

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")
CALLS = [(reduction, weight) for reduction in REDUCTIONS for weight in (None, WEIGHTS)]
PEERS = [
    (row, name)
    for row in ROWS
    for name in row.names
    if name.startswith("keras.losses.") and inspect.isclass(getattr(keras.losses, name.rpartition(".")[2]))
]


# All on one backend: what Keras means by arguments is one code for all, whose engines have tests of their own.
@pytest.mark.parametrize("peer", PEERS if BACKEND == "tensorflow" else PEERS[1::16], ids=lambda peer: str(peer[0]))
def test_it_replaces_the_loss_of_keras(peer: tuple[Row, str]) -> None:
    row, name = peer
    theirs = getattr(keras.losses, name.rpartition(".")[2])
    arrays = draw(row, np.random.default_rng(0))
    given = [arrays[key].astype(np.float32) for key in row.arguments]
    ours = [given[0] if not row.takes else relation.taken(row.takes["y_true"])[0](given[0]), given[1]]
    factor = row.factor if isinstance(row.factor, float | int) else 1
    for reduction, weight in CALLS if BACKEND == "tensorflow" else [("mean_with_sample_weight", WEIGHTS)]:
        weight = None if weight is None else weight[: len(given[0])]
        expected = theirs(**row.options, reduction=reduction)(*given, sample_weight=weight)
        found = lk.loss(row.loss, reduction=reduction)(*ours, sample_weight=weight)
        np.testing.assert_allclose(factor * number(found), number(expected), rtol=2e-5, atol=1e-6)


def test_what_is_wrong_is_found() -> None:
    with pytest.raises(AssertionError):
        test_it_replaces_the_loss_of_keras((next(row for row in ROWS if row.ours == "squared_error"), "a.LogCosh"))


def model(loss: Any, **options: Any) -> Any:
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    made.compile(loss=loss, optimizer=keras.optimizers.SGD(0.1), **options)
    return made


def trained(net: Any, **options: Any) -> list[float]:
    told = net.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0, **options)  # the last batch has 2 examples
    return [float(cost) for cost in told.history["loss"]]


def test_a_model_trains_and_is_evaluated_as_it_was() -> None:
    one, other = model(lk.Huber(delta=0.7)), model(keras.losses.Huber(0.7))
    costs = trained(one, sample_weight=WEIGHTS)
    np.testing.assert_allclose(costs, trained(other, sample_weight=WEIGHTS), rtol=1e-5)
    assert costs == sorted(costs, reverse=True)
    np.testing.assert_allclose(one.evaluate(X, Y, verbose=0), other.evaluate(X, Y, verbose=0), rtol=1e-5)


# PyTorch's compiler warns of what it does itself, and would of a cache in what it follows.
@pytest.mark.filterwarnings("default", "error:Dynamo detected a call")
def test_a_compiled_step_trains_as_that_of_keras() -> None:
    one, other = (model(kind(0.7), jit_compile=True) for kind in (keras.losses.Huber, lambda d: lk.Huber(delta=d)))
    assert one.jit_compile is other.jit_compile is True
    weights = {"sample_weight": WEIGHTS}
    np.testing.assert_allclose(trained(one, **weights), trained(other, **weights), rtol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="it rewrites what its functions call")
def test_functions_of_tensorflow_take_losses_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    cost, counter = lk.SparseCategoricalCrossEntropy(), lk.Invalid(lk.SparseCategoricalCrossEntropy())

    @tf.function
    def step(y: Any, x: Any) -> Any:
        counter.update_state(y, x)
        return cost(y, x)

    np.testing.assert_allclose(number(step(np.arange(50) % 3, X)), number(cost(np.arange(50) % 3, X)), rtol=1e-6)
    logger.removeHandler(caplog.handler)
    assert caplog.text == ""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="its strategies add costs over devices")
def test_a_model_on_two_devices_trains_as_one_of_keras_does_on_one() -> None:
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        net = model(lk.SquaredError())
    np.testing.assert_allclose(trained(net), trained(model("mse")), rtol=1e-6)


def test_one_output_for_class_indices_is_warned_of() -> None:
    with pytest.warns(lm.LossmithWarning, match="one class in y_pred.* BinaryCrossEntropy takes one output"):
        model(lk.SparseCategoricalCrossEntropy()).train_on_batch(X, np.zeros(len(X), int))


def test_masks_leave_out_what_they_leave_out_in_keras() -> None:
    words = np.array([[1, 2, 0, 0], [3, 1, 2, 0]])
    costs = []
    for kind in (lk.SquaredError, keras.losses.MeanSquaredError):
        keras.utils.set_random_seed(0)
        told = keras.layers.Embedding(4, 3, mask_zero=True)(given := keras.Input((4,)))
        # One graph for all, since compiling is what takes the time.
        net = keras.Model(given, [keras.layers.Dense(2, name=reduction)(told) for reduction in REDUCTIONS[:4]])
        net.compile(loss=[kind(reduction=reduction) for reduction in REDUCTIONS[:4]], optimizer="sgd")
        found = net.evaluate(words, [np.ones((2, 4, 2))] * 4, verbose=0, return_dict=True)
        costs.append([found[f"{reduction}_loss"] for reduction in REDUCTIONS[:4]])
    np.testing.assert_allclose(*costs, rtol=1e-5)


def test_targets_may_be_columns_and_weights_have_the_first_axes() -> None:
    z, y = RNG.normal(size=(4, 3)), np.array([[0], [1], [2], [1]])
    for targets in (y, y[:, 0], y.astype(np.float64), y.astype(np.uint8)):
        found = lk.SparseCategoricalCrossEntropy()(targets, z)
        np.testing.assert_allclose(number(found), lm.SparseCategoricalCrossEntropy()(y[:, 0], z), rtol=1e-5)
    f = RNG.normal(size=(4, 3, 2))
    each = lk.Huber(reduction="none")(np.zeros((4, 3, 2)), f, np.arange(4.0))
    np.testing.assert_allclose(number(each), lm.Huber().losses(0 * f, f).mean(-1) * np.arange(4.0)[:, None], rtol=1e-5)


# --- saved and loaded ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*lk.__all__} - {"Check", "Invalid", "loss", "register"}))
def test_every_loss_is_there_with_its_keywords_and_goes_through_plain_data(name: str) -> None:
    made = getattr(lk, name)
    if name == "LossObject":
        made = lambda **common: lk.loss(0.5 * lm.Huber(delta=3) + lm.LogCosh(), **common)  # noqa: E731
    else:
        assert list(inspect.signature(made).parameters) == [*made().loss.declared(), "reduction", "name", "dtype"]
    loss = made(reduction="sum", name="mine", dtype="float64")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (type(again), again.loss) == (type(loss), loss.loss)
    assert (again.reduction, again.name, again.dtype) == ("sum", "mine", "float64")


def test_a_model_is_saved_and_loaded_with_its_loss(tmp_path: Path) -> None:
    for loss in (lk.Huber(delta=2.0), lk.loss(0.5 * lm.Huber() + lm.AbsoluteError()), lk.MultiQuantile()):
        keras.utils.set_random_seed(0)
        net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
        net.compile(loss=loss, optimizer="sgd", run_eagerly=BACKEND == "tensorflow")  # graphs take longest there
        y = Y if isinstance(loss, lk.MultiQuantile) else np.stack([Y, Y, Y], axis=1)
        net.save(tmp_path / "m.keras")
        again = keras.saving.load_model(tmp_path / "m.keras")
        assert (type(again.loss), again.loss.loss) == (type(loss), loss.loss)
        assert again.evaluate(X, y, verbose=0) == net.evaluate(X, y, verbose=0)


class Own(lm.Pointwise):
    """A loss of one's own."""

    def formula(self, ops: Any, y: Any, f: Any) -> Any:
        return ops.logcosh(f - y)


@lk.register
class Huber(lm.Pointwise):
    """Another of the name of one of the catalogue."""

    card = lm.Huber.card
    scale = lm.Parameter(1.0, domain="(0, inf)", symbol="s", typical=(0.1, 5.0), doc="scale")

    def formula(self, ops: Any, y: Any, f: Any) -> Any:
        return ops.logcosh((f - y) / self.scale)


def test_a_loss_of_your_own_trains_and_is_loaded_where_keras_knows_its_class(tmp_path: Path) -> None:
    net = model(lk.loss(Own()))
    np.testing.assert_allclose(trained(net), trained(model(lk.LogCosh())), rtol=1e-6)
    net.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Own": Own})
    assert again.loss.loss == Own()
    there = rf"put @lossmith.keras.register before its class, and run that, by `from {__name__} import Own`, before the"
    with pytest.raises(lm.LossNotFoundError, match=there + r".*or load the model with custom_objects=\{'Own': Own\}"):
        lk.LossObject.from_config(net.loss.get_config())
    assert keras.saving.load_model(tmp_path / "m.keras", compile=False).count_params() == 4
    for loss in (Huber(scale=2.0), 0.5 * Huber(scale=2.0) + lm.Huber()):
        assert keras.losses.deserialize(keras.losses.serialize(lk.loss(loss))).loss == loss


def test_a_class_of_your_own_may_say_the_losses() -> None:
    class Doubled(lk.Huber):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return 2 * super().call(y_true, y_pred)

    for reduction in REDUCTIONS:
        found, plain = (cls(reduction=reduction)(Y, X[:, :1], WEIGHTS[:, None]) for cls in (Doubled, lk.Huber))
        np.testing.assert_allclose(number(found).ravel(), 2 * number(plain).ravel(), rtol=1e-5)


# --- numbers ------------------------------------------------------------------------------------------


def differentiated(cost: Callable[[Any], Any], x: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Return the gradient of a cost and the derivative of its sum, by what the backend differentiates with."""
    if BACKEND == "jax":
        import jax

        slope = jax.grad(cost)
        return slope(x), jax.grad(lambda x: slope(x).sum())(x)
    if BACKEND == "torch":
        import torch

        leaf = torch.tensor(x, requires_grad=True)
        (first,) = torch.autograd.grad(cost(leaf), leaf, create_graph=True)
        return first.detach(), torch.autograd.grad(first.sum(), leaf)[0]
    leaf = tf.convert_to_tensor(x)
    with tf.GradientTape() as outer:
        outer.watch(leaf)
        with tf.GradientTape() as inner:
            inner.watch(leaf)
            found = cost(leaf)
        first = inner.gradient(found, leaf)
    return first, outer.gradient(first, leaf)


def test_derivatives_are_those_of_the_catalogue() -> None:
    x, y = X[:, 0], Y
    for loss in (lm.Huber(delta=0.7), lm.LogCosh())[BACKEND == "jax" :]:  # which compiles each operation
        arrays = {"y_true": y, "y_pred": x}
        made = lk.loss(loss, reduction="sum")
        first, second = differentiated(lambda f, made=made: made(y, f), x)
        np.testing.assert_allclose(number(first), loss.gradient(**arrays), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(number(second), loss.hessian(**arrays), rtol=1e-5, atol=1e-7)


def test_nothing_is_differentiated_by_targets() -> None:
    """What both come from is differentiated by predictions alone; where that would be missed, it is refused."""
    made, x = lk.Huber(reduction="sum"), X[:, 0]
    if BACKEND == "jax":
        import jax

        with pytest.raises(lm.KindError, match=r"Huber has no derivative by y_true; pass jax\.lax\.stop_gradient"):
            jax.grad(lambda shift: made(x + shift, 2 * x + shift))(0.0)
        return
    expected = lm.Huber().gradient(x, 2 * x).sum()
    if BACKEND == "torch":
        import torch

        shift = torch.zeros((), requires_grad=True)
        made(torch.tensor(x) + shift, 2 * torch.tensor(x) + shift).backward()
        assert float(shift.grad) == pytest.approx(expected, rel=1e-5)
    else:
        shift = tf.Variable(0.0)
        with tf.GradientTape() as tape:
            cost = made(x + shift, 2 * x + shift)
        assert float(tape.gradient(cost, shift)) == pytest.approx(expected, rel=1e-5)


def test_a_text_is_a_loss() -> None:
    assert lk.loss("huber(delta=2)").loss == lm.Huber(delta=2)
    assert lk.loss("(y - f)**2").loss == lm.formula("(y - f)**2")


def test_training_meets_what_is_invalid_as_a_number_or_as_an_error_where_steps_are_run_one_by_one() -> None:
    y = np.where(np.arange(50) == 33, np.nan, Y)
    if BACKEND != "torch":
        assert np.isnan(model(lk.Huber(), jit_compile=True).evaluate(X, y, verbose=0))
    net = model(lk.Huber(), run_eagerly=True)
    with pytest.raises(lm.DomainError, match=r"y_true\[1, 0\] is nan"):
        net.fit(X, y, batch_size=16, shuffle=False, verbose=0)


def test_what_a_graph_cannot_look_at_is_counted_and_raised_after_the_epoch(tmp_path: Path) -> None:
    y = np.arange(50) % 3
    spoiled = np.where(np.arange(50) % 25 == 0, 3, y)
    loss = lk.SparseCategoricalCrossEntropy()
    counter = lk.Invalid(loss)
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    # It leaves out steps with gradients that are no numbers, after which all predictions would be invalid.
    careful = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01))
    net.compile(loss=loss, metrics=[counter], optimizer=careful)
    told = net.fit(X, y, validation_data=(X, y), callbacks=[lk.Check(counter)], verbose=0)
    assert told.history["invalid"] == told.history["val_invalid"] == [0]
    for found in (
        lambda: net.evaluate(X, spoiled, callbacks=[lk.Check(counter)], verbose=0),
        lambda: net.fit(X, y, validation_data=(X, spoiled), callbacks=[lk.Check(counter)], verbose=0),
        lambda: net.fit(X, spoiled, validation_data=(X, y), callbacks=[lk.Check(counter)], verbose=0),
    ):
        graph = r"SparseCategoricalCrossEntropy: 2 examples of traced calls .*y_true: class indices must be"
        with pytest.raises(lm.DomainError, match=r"in \[0, 3\), but y_true" if BACKEND == "torch" else graph):
            found()
    counter.reset_state()
    count = tf.function(counter.update_state) if BACKEND == "tensorflow" else counter.update_state
    count(spoiled, ops.zeros((50, 3)))
    with pytest.raises(lm.DomainError, match="2 examples"):
        counter.check()
    again = lk.Invalid.from_config(counter.get_config())
    assert (again.loss, again.name) == (counter.loss, "invalid")
    again.check()


def test_inputs_come_by_name_in_loops_of_your_own() -> None:
    v = np.full(50, 2.0, np.float32)
    found = lk.GaussianNLL()(Y, X[:, 0], variance=v)
    np.testing.assert_allclose(number(found), lm.GaussianNLL().cost(Y, X[:, 0], variance=v), rtol=1e-5)
    found = lk.Triplet()(anchor=X, positive=X + 0.1, negative=-X)
    np.testing.assert_allclose(number(found), lm.Triplet().cost(anchor=X, positive=X + 0.1, negative=-X), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_single(dtype: str) -> None:
    f = ops.cast(np.full(4, 300.0), dtype)
    found = lk.SquaredError()(np.zeros(4), f)
    assert (number(found), keras.backend.standardize_dtype(found.dtype)) == (90_000, "float32")
    keras.mixed_precision.set_global_policy(f"mixed_{dtype}")
    try:
        costs = trained(model(lk.Huber()))
        net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert costs == sorted(costs, reverse=True)
    net.compile(loss=lk.SparseCategoricalCrossEntropy(prediction="probabilities"), optimizer="sgd")
    (cost,) = net.fit(X, np.arange(50) % 3, verbose=0).history["loss"]
    assert 0.5 < cost < 3


def test_nothing_that_counts_costs_nothing_and_has_no_gradient() -> None:
    loss = lk.SparseCategoricalCrossEntropy(ignore_index=-1, reduction="mean_with_sample_weight")
    found = differentiated(lambda z: loss(np.full(50, -1), z), X)
    assert [float(loss(np.full(50, -1), X)), *(np.abs(number(x)).max() for x in found)] == [0, 0, 0]


def test_what_a_mask_leaves_out_may_hold_anything() -> None:
    f = ops.convert_to_tensor(np.float32([[1.0], [np.nan]]))
    keras.src.backend.set_keras_mask(f, ops.convert_to_tensor([True, False]))
    assert number(lk.SquaredError()(np.float32([[0.0], [np.nan]]), f)) == 1


def test_whole_numbers_keep_their_size() -> None:
    large = np.array([2**32 + 5, 1_700_000_000_000])
    np.testing.assert_allclose(number(lk.SquaredError()(large, ZEROS[:2])), np.mean(large**2.0), rtol=1e-6)
    weighed = lk.Huber(reduction="sum")(ZEROS[:2], 1 + ZEROS[:2], large)
    np.testing.assert_allclose(number(weighed), large.sum() / 2, rtol=1e-6)


ZEROS = np.zeros(3, np.float32)


def test_probabilities_in_the_place_of_logits_are_warned_of_where_values_are_known() -> None:
    with pytest.warns(lm.LossmithWarning, match="as probabilities do") as caught:
        lk.BinaryCrossEntropy()(np.ones(40), RNG.uniform(size=40))
    assert caught.pop(lm.LossmithWarning).filename == __file__


def test_the_backend_is_that_of_keras_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend().losses.__module__ == f"lossmith.engines.{BACKEND}"
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    monkeypatch.setattr(engine, "_backend", None)
    with pytest.raises(lm.MissingDependencyError, match="runs on the backends tensorflow, torch, jax, and Keras has"):
        backend()
