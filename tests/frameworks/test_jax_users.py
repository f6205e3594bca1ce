"""Functions of JAX are at home there: they take the place of optax's, train, and name mistakes."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lossmith as lm
import lossmith.jax as lj
from lossmith.structures.softmax import Softmax
from tests.mistakes import Mistake, is_named
from tests.parity.adapters import resolve
from tests.parity.arrays import draw
from tests.parity.table import ROWS

PEERS = [(row, name) for row in ROWS if row.peer == "optax" for name in row.names]


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer[1].rpartition('.')[2]} {peer[0].ours}")
def test_it_replaces_the_function_of_optax(peer: Any) -> None:
    row, name = peer
    given = [jnp.asarray(array) for array in map(draw(row, np.random.default_rng(0)).get, row.arguments)]
    names = row.arguments if "p" in row.arguments else ()  # divergences alone are called by name
    places = [place for place, key in enumerate(row.arguments) if key in {item.name for item in row.loss.predicted}]

    def ours(*given: jax.Array) -> jax.Array:
        return lj.losses(row.ours, *(() if names else given), **dict(zip(names, given, strict=False)))

    results = []
    for function in (ours, partial(resolve(name), **row.options)):

        def total(*given: jax.Array, function: Any = function) -> tuple[jax.Array, jax.Array]:
            found = function(*given)
            return found.sum(), found

        results.append(jax.jit(jax.grad(total, places, has_aux=True))(*given))
    for mine, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-14)


def train(loss: Callable[[jax.Array, jax.Array], jax.Array], steps: int = 60) -> list[float]:
    """Return the costs of a linear model in training."""
    x = jax.random.normal(jax.random.key(0), (64, 3))
    y = x @ jnp.array([1.0, -2.0, 0.5]) + 0.3
    optimizer = optax.adam(0.1)

    def cost(params: dict[str, jax.Array]) -> jax.Array:
        return loss(x @ params["kernel"] + params["bias"], y).mean()

    @jax.jit
    def step(params: Any, state: Any) -> tuple[Any, Any, jax.Array]:
        value, slopes = jax.value_and_grad(cost)(params)
        updates, state = optimizer.update(slopes, state, params)
        return optax.apply_updates(params, updates), state, value

    params: Any = {"kernel": jnp.zeros(3), "bias": jnp.zeros(())}
    state, costs = optimizer.init(params), []
    for _ in range(steps):
        params, state, value = step(params, state)
        costs.append(float(value))
    return costs


def test_a_model_trains_with_optax_as_it_did() -> None:
    ours = train(partial(lj.huber, delta=0.7))
    assert ours[-1] < 0.01 * ours[0]
    np.testing.assert_allclose(ours, train(partial(optax.huber_loss, delta=0.7)), rtol=1e-3, atol=1e-7)


def flax_weights(loss: Callable[[jax.Array, jax.Array], jax.Array]) -> list[Any]:
    """Return the weights of a model of Flax after some steps of Adam."""
    net = nnx.Sequential(nnx.Linear(3, 8, rngs=nnx.Rngs(0)), jnp.tanh, nnx.Linear(8, 4, rngs=nnx.Rngs(1)))
    optimizer = nnx.Optimizer(net, optax.adam(0.1), wrt=nnx.Param)
    x, labels = jax.random.normal(jax.random.key(0), (16, 3)), jnp.arange(16) % 4

    @nnx.jit
    def step(net: Any, optimizer: Any) -> None:
        optimizer.update(net, nnx.grad(lambda net: loss(net(x), labels).mean())(net))

    for _ in range(5):
        step(net, optimizer)
    return jax.tree.leaves(nnx.state(net, nnx.Param))


def test_a_model_of_flax_trains_to_the_weights_that_it_had() -> None:
    ours = flax_weights(lj.sparse_categorical_cross_entropy)
    theirs = flax_weights(optax.softmax_cross_entropy_with_integer_labels)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    smoothed = flax_weights(lambda z, y: lj.sparse_categorical_cross_entropy(z, y, label_smoothing=0.1))
    assert max(float(jnp.abs(a - b).max()) for a, b in zip(smoothed, theirs, strict=True)) > 1e-2


@pytest.mark.parametrize("name", lm.names())
def test_a_function_is_made_of_every_loss_with_its_inputs_and_keywords(name: str) -> None:
    made, loss = getattr(lj, name), lm.get(name)
    keys = list(inspect.signature(made).parameters)
    extra = ["where"] if isinstance(loss, Softmax) else []
    assert keys[len(loss.inputs) :] == [*loss.declared(), *extra]
    assert keys[:2] == ["predictions", "targets"] or not loss.paired or keys[1] == "y_true"
    assert made.__name__ == name in lj.__all__


ZEROS = jnp.zeros(3)
few = partial(lj.sparse_categorical_cross_entropy, jnp.eye(3), jnp.zeros(3, int))
stacked = jax.vmap(lambda mask: lj.state("huber", ZEROS, ZEROS, mask=mask))(jnp.array([[True] * 3, [False] * 3]))
BAD: list[Mistake] = [
    (lambda: lj.huber(ZEROS, jnp.zeros(4)), lm.ShapeError, "targets has shape (4,) and predictions (3,)"),
    (lambda: jax.jit(lj.huber)(ZEROS[:, None], ZEROS), lm.ShapeError, "Use predictions.squeeze(-1)"),
    (lambda: lj.huber(jnp.arange(3), ZEROS), lm.KindError, "predictions must hold floats, got int32"),
    (lambda: lj.huber(ZEROS + 1j, ZEROS), lm.KindError, "predictions must hold real numbers, got complex64"),
    (lambda: lj.huber(ZEROS, [0.0, 0, 0]), lm.KindError, "targets must be an array of JAX or NumPy, got list"),
    (lambda: lj.huber(ZEROS), lm.ParameterError, "targets is missing"),
    (lambda: lj.huber(ZEROS, ZEROS, dleta=1.0), lm.ParameterError, "no 'dleta'. Did you mean 'delta'?"),
    (lambda: lj.huber(ZEROS, ZEROS, 1.0, ZEROS), lm.ParameterError, "takes predictions, targets, delta; got 4"),
    (lambda: lj.huber(ZEROS, ZEROS, ZEROS), lm.ParameterError, "weights of examples to lossmith.jax.cost"),
    (lambda: jax.jit(lj.huber)(ZEROS, ZEROS, 1.0), lm.ParameterError, "delta must be known before anything is traced"),
    (lambda: lj.huber(ZEROS, ZEROS, delta=-1), lm.ParameterError, "delta must lie in (0, inf)"),
    (lambda: lj.huber(ZEROS, ZEROS, targets=ZEROS), lm.ParameterError, "twice"),
    (lambda: lj.huber(ZEROS, ZEROS.at[1].set(jnp.nan)), lm.DomainError, "targets[1] is nan"),
    (lambda: jax.grad(lj.huber, 1)(1.0, 0.5), lm.KindError, "pass jax.lax.stop_gradient(targets)"),
    (lambda: jax.grad(jax.grad(jax.grad(lj.log_cosh)))(1.0, 0.0), lm.ProgramError, "no third"),
    (lambda: lj.kl_divergence(ZEROS, ZEROS), lm.ParameterError, "keywords alone"),
    (lambda: lj.cost(ZEROS, ZEROS), lm.ParameterError, "a loss or its name comes first"),
    (lambda: lj.cost(lj.huber, ZEROS, ZEROS), lm.ParameterError, "got lossmith.jax.huber; say 'huber'"),
    (lambda: lj.cost(lm.Huber, ZEROS, ZEROS), lm.ParameterError, "got a class; make one, as Huber()"),
    (lambda: lj.cost("huber", ZEROS, ZEROS, where=ZEROS > 1), lm.ParameterError, "told by mask= in the call"),
    (lambda: lj.cost("huber", ZEROS, ZEROS, reduction="avg"), lm.ParameterError, "reduction='avg' is not known"),
    (lambda: lj.cost("huber", ZEROS, ZEROS, weight=ZEROS - 1), lm.DomainError, "weight[0] is -1"),
    (lambda: lj.cost("huber", ZEROS, ZEROS, weight=jnp.ones(2)), lm.ShapeError, "weight has shape (2,)"),
    (lambda: lj.cost("huber", ZEROS, ZEROS, mask=ZEROS), lm.KindError, "mask must be boolean"),
    (
        lambda: lj.cost("huber", ZEROS, ZEROS, mask="last"),
        lm.KindError,
        "mask must be an array of JAX or NumPy",
    ),
    (lambda: stacked.cost(empty="error"), lm.EmptyError, "there are no examples"),
    (
        lambda: lj.cost("huber", ZEROS, ZEROS, mask=ZEROS > 1, empty="error"),
        lm.EmptyError,
        "all 3 examples are masked",
    ),
    (lambda: lj.State.empty(lm.Huber()) + lj.State.empty(lm.LogCosh()), lm.MergeError, "states of one loss"),
    (lambda: lj.State.empty(lm.Huber()).cost(empty="error"), lm.EmptyError, "there are no examples"),
    (lambda: lj.State.empty(lm.Huber()).cost("none"), lm.ParameterError, "call lossmith.jax.losses"),
    (lambda: lj.huber(ZEROS, np.array(["a"] * 3)), lm.KindError, "convert labels to numbers first"),
    (lambda: lj.huber(ZEROS, ZEROS, weight=ZEROS), lm.ParameterError, "lossmith.jax.cost('huber', ...) takes it"),
    (lambda: lj.huber(ZEROS, ZEROS, weights=ZEROS), lm.ParameterError, "lossmith.jax.cost('huber', ...) takes weight="),
    (lambda: lj.huber(ZEROS, ZEROS, sample_weight=ZEROS), lm.ParameterError, "passed to lossmith.jax.cost as weight="),
    (lambda: lj.hinge(ZEROS, ZEROS, pos_weight=2), lm.ParameterError, "to lossmith.jax.cost: w where targets is 1"),
    (lambda: lj.huber(input=ZEROS, target=ZEROS), lm.ParameterError, "no 'input'. It is called predictions here."),
    (lambda: lj.huber(preds=ZEROS, y=ZEROS), lm.ParameterError, "no 'preds'. It is called predictions here."),
    (lambda: lj.huber(ZEROS, target=ZEROS), lm.ParameterError, "no 'target'. It is called targets here."),
    (lambda: lj.cost("huber", ZEROS, label=ZEROS), lm.ParameterError, "'label'. It is called targets here."),
    (lambda: lj.kl_divergence(input=ZEROS, target=ZEROS), lm.ParameterError, "no 'input'. Say p=targets"),
    (lambda: lj.kl_divergence(ZEROS, ZEROS), lm.ParameterError, "Say p=targets, q=predictions: q is judged by p."),
    (lambda: lj.distillation(ZEROS, ZEROS), lm.ParameterError, "Say teacher=targets, student=predictions: student is"),
    (
        lambda: lj.sparse_categorical_cross_entropy(jnp.eye(3), jnp.zeros((3, 1), int)),
        lm.ShapeError,
        "Use targets.squeeze(-1)",
    ),
    (lambda: lj.huber(ZEROS, ZEROS, where=ZEROS > 1), lm.ParameterError, "Huber takes no where"),
    (lambda: few(where=jnp.ones((2, 3), bool)), lm.ShapeError, "of the examples, (3,), which ones count"),
    (lambda: few(where=jnp.ones(4, bool)), lm.ShapeError, "where has shape (4,), but predictions have (3, 3)"),
    (lambda: few(where=jnp.ones(3)), lm.KindError, "where must be boolean (True is there), got float32"),
    (lambda: few(where=jnp.ones(3, bool), label_smoothing=0.1), lm.ParameterError, "a share to classes that where"),
    (lambda: few(prediction="probabilities", where=jnp.ones(3, bool)), lm.ParameterError, "takes no where"),
    (
        lambda: lj.kl_divergence(log_predictions=ZEROS, targets=ZEROS),
        lm.ParameterError,
        "no 'log_predictions'. Say p=targets, q=predictions",
    ),
    (lambda: lj.huber(ZEROS, ZEROS, redaction="sum"), lm.ParameterError, "('huber', ...) takes reduction="),
    (
        lambda: lj.crammer_singer(ZEROS, ZEROS, foo=1),
        lm.ParameterError,
        "takes predictions, targets, prediction, label_smoothing, class_weight, class_axis, ignore_index; it has no",
    ),
    (lambda: lj.cost("y_pred - y", ZEROS, ZEROS), lm.FormulaError, "y_pred"),
    (lambda: lj.cost("(y_pred - y_true)**2", ZEROS, ZEROS), lm.FormulaError, "The prediction is called f."),
    (lambda: lj.rmse, AttributeError, "which no loss of one example can do; train with squared_error."),
    (lambda: lj.hubber, AttributeError, "Did you mean 'huber'?"),
    (lambda: lj.l2_loss, AttributeError, "That of optax is called half_squared_error() here."),
    (lambda: lj.huber_loss, AttributeError, "That of optax is called huber() here."),
    (lambda: lj.mse, AttributeError, "It is called 'squared_error' here."),
]


def test_whole_numbers_of_numpy_keep_their_size_in_single_precision() -> None:
    large = np.array([2**32 + 5, 1_700_000_000_000])
    for name in ("squared_error", "poisson"):
        right = lm.get(name).cost(large, np.zeros(2), reduction="none")
        np.testing.assert_allclose(getattr(lj, name)(jnp.zeros(2), large), right, rtol=1e-6)
    np.testing.assert_allclose(
        lj.cost("huber", jnp.ones(2), jnp.zeros(2), weight=large, reduction="none"), large / 2, rtol=1e-6
    )
    with pytest.raises(lm.KindError, match="predictions must hold floats, got int64"):
        lj.huber(large, jnp.zeros(2))


def test_class_indices_beyond_32_bits_are_none() -> None:
    z, y = jnp.zeros((3, 4)), np.array([0, 2**31, 2**32 + 1])
    with pytest.raises(lm.DomainError, match=r"targets\[1\] is 2147483648 \(2 such of 3\)"):
        lj.sparse_categorical_cross_entropy(z, y)
    found = jax.jit(lambda z: lj.sparse_categorical_cross_entropy(z, y, ignore_index=-(2**31)))(z)
    assert np.isnan(found).tolist() == [False, True, True]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case[2])
def test_mistakes_are_named(case: Mistake) -> None:
    is_named(*case)


def test_a_loss_of_scores_takes_the_names_of_optax() -> None:
    z, y = 2 * jnp.eye(3), jnp.array([0, 0, 2])
    assert lj.crammer_singer(scores=z, labels=y).tolist() == lj.crammer_singer(z, y).tolist()


def test_a_loss_of_logits_takes_the_names_of_optax() -> None:
    z, y, labels = jnp.array([[0.5, -1.0, 2.0]]), jnp.array([[1.0, 0.0, 1.0]]), jnp.array([2])
    for found, right in (
        (lj.binary_cross_entropy(logits=z, labels=y), optax.sigmoid_binary_cross_entropy(logits=z, labels=y)),
        (lj.binary_cross_entropy(z, labels=y), optax.sigmoid_binary_cross_entropy(z, labels=y)),
        (lj.hinge(predictor_outputs=z, targets=2 * y - 1, labels="signed"), optax.hinge_loss(z, 2 * y - 1)),
        (
            lj.cost("sparse_categorical_cross_entropy", logits=z, labels=labels),
            optax.softmax_cross_entropy_with_integer_labels(logits=z, labels=labels).mean(),
        ),
    ):
        np.testing.assert_allclose(found, right, rtol=1e-6)
    with pytest.raises(lm.ParameterError, match="no 'logits'"):
        lj.huber(logits=z, targets=z)


LEFT_OUT = {
    "classes": jnp.array([[True, True, False, True], [True, False, False, True], [False, True, True, True]]),
    "the same classes of all rows": jnp.array([[True, True, False, True]]),
    "a row": jnp.array([True, False, True]),
    "all classes of a row": jnp.array([[True] * 4, [False] * 4, [True, True, False, True]]),
}


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("where", LEFT_OUT.values(), ids=LEFT_OUT)
def test_classes_and_rows_are_left_out_as_by_optax(where: jax.Array) -> None:
    logits = jax.random.normal(jax.random.key(0), (3, 4), jnp.float64)
    labels = jnp.array([0, 3, 1])
    soft = jax.nn.one_hot(labels, 4, dtype=jnp.float64) if where.ndim == 2 else jax.nn.softmax(logits[::-1])
    sparse, poly = lj.sparse_categorical_cross_entropy, partial(lj.losses, "softmax_poly_one(epsilon=2)")
    pairs = (
        (partial(sparse, labels=labels), optax.softmax_cross_entropy_with_integer_labels, labels),
        (partial(lj.categorical_cross_entropy, labels=soft), optax.softmax_cross_entropy, soft),
        (partial(poly, labels=labels), optax.losses.poly_loss_cross_entropy, jax.nn.one_hot(labels, 4)),
    )
    for ours, theirs, targets in pairs[: where.ndim + 1]:  # the last of optax takes no rows

        def total(z: jax.Array, theirs: Any = theirs, targets: Any = targets) -> jax.Array:
            return theirs(z, targets, where=where).sum()

        found = jax.jit(lambda z, ours=ours: ours(logits=z, where=where))(logits)
        np.testing.assert_allclose(found.sum(), total(logits), rtol=1e-12)
        slopes = jax.jit(jax.grad(lambda z, ours=ours: ours(logits=z, where=where).sum()))(logits)
        there = jnp.broadcast_to(where if where.ndim == 2 else where[:, None], logits.shape)
        right = jnp.where(there.any(1, keepdims=True), jax.grad(total)(logits), 0)  # of no class, optax has no number
        np.testing.assert_allclose(slopes, right, rtol=1e-11, atol=1e-14)
        assert (slopes[~there] == 0).all()


@pytest.mark.parametrize(
    "name", ["squared_error", "huber", "binary_cross_entropy", "multi_quantile", "sparse_categorical_cross_entropy"]
)
def test_a_length_may_be_known_later(name: str) -> None:
    (rows,) = jax.export.symbolic_shape("rows")
    wide, whole = name in ("multi_quantile", "sparse_categorical_cross_entropy"), name.startswith("sparse")
    shape = jax.ShapeDtypeStruct((rows, 3) if wide else (rows,), jnp.float32)
    targets = jax.ShapeDtypeStruct((rows,), jnp.int32 if whole else jnp.float32)
    exported = jax.export.export(jax.jit(jax.grad(partial(lj.cost, name))))(shape, targets)
    x, y = jnp.linspace(-1, 1, 6).reshape(2, 3), jnp.array([0, 1], targets.dtype)
    given = (x if wide else x[0, :2], y)
    np.testing.assert_allclose(exported.call(*given), jax.grad(partial(lj.cost, name))(*given), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "vector"),
    [("sparse_categorical_cross_entropy", "class_weight"), ("logit_adjusted", "prior"), ("balanced_softmax", "counts")],
)
def test_numbers_of_classes_want_a_number_that_is_known(name: str, vector: str) -> None:
    rows, classes = jax.export.symbolic_shape("rows, classes")
    given = jax.ShapeDtypeStruct((rows, classes), jnp.float32), jax.ShapeDtypeStruct((rows,), jnp.int32)
    with pytest.raises(lm.ShapeError, match="classes classes"):
        jax.eval_shape(partial(lj.losses, lm.get(name, **{vector: (0.5, 0.5)})), *given)


@pytest.mark.parametrize("text", ["huber(delta=2.0)", "0.7*huber + 0.3*mae", "(f - y)**4", "quantile(level=0.9)"])
def test_a_function_of_sums_can_be_written_to_a_file(text: str) -> None:
    x, y = jnp.array([3.0, 0.5]), jnp.zeros(2)
    step = jax.jit(lambda sums, x, y: sums + lj.state(text, x, y))
    written = jax.export.export(step)(lj.State.empty(text), x, y).serialize()
    read = jax.export.deserialize(written).call(lj.State.empty(text), x, y)
    assert read.loss == lm.parse(text)
    np.testing.assert_allclose(read.cost(), lj.cost(text, x, y), rtol=1e-6)


def test_the_step_in_the_readme_trains() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split("## In JAX")[1]
    model = SimpleNamespace(apply=lambda params, x: x @ params)
    x = jax.random.normal(jax.random.key(0), (8, 3))
    batch = {"x": x, "y": x @ jnp.array([1.0, 2, 3]), "w": jnp.ones(8), "mask": jnp.arange(8) > 1}
    known: dict[str, Any] = {"jax": jax, "optax": optax, "model": model, "optimizer": optax.adam(0.1)}
    known |= {"predictions": x, "targets": x, "logits": x, "labels": jnp.arange(8) % 4 - 1, "there": x < 9}
    exec(text.split("```python")[1].split("```")[0], known)
    params, costs = jnp.zeros(3), []
    state = known["optimizer"].init(params)
    for _ in range(60):
        params, state, value = known["step"](params, state, batch)
        costs.append(float(value))
    assert costs[-1] < 0.01 * costs[0]


def test_nothing_is_what_was_asked_for() -> None:
    nothing = lj.State.empty("huber")
    for reduction in ("mean", "sum", "count_mean"):
        assert nothing.cost(reduction) == 0
        assert jnp.isnan(nothing.cost(reduction, empty="nan"))
    traced = jax.jit(lambda x: lj.cost("huber", x, x, mask=jnp.zeros(3, bool), empty="error"))
    assert jnp.isnan(traced(ZEROS))


def test_a_loop_may_donate_its_sums() -> None:
    step = jax.jit(lambda sums, x: sums + lj.state("huber", x, ZEROS), donate_argnums=0)
    sums = lj.State.empty("huber")
    for _ in range(3):
        sums = step(sums, ZEROS + 1)
    assert (sums.cost(), sums.count) == (0.5, 9)


def test_lists_may_hold_traced_numbers() -> None:
    def cost(w: jax.Array) -> jax.Array:
        return lj.cost("huber", ZEROS + jnp.arange(3), ZEROS, weight=[w, 1.0, w], mask=[w > 1, True, w > 0])

    assert jax.jit(cost)(1.0) == cost(1.0) == 1


def test_costs_of_several_states_are_those_of_each() -> None:
    assert stacked.cost("count_mean").shape == (2,)
    both = jax.tree.map(lambda x: x[:1], stacked)
    assert both.cost(empty="error").tolist() == [0]


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "bfloat16"])
def test_types_that_numpy_lacks_are_looked_at(kind: str) -> None:
    x = jnp.array([0.5, 2.0, -4.0]).astype(kind)
    for y in (jnp.zeros(3, kind), np.zeros(3, jnp.dtype(kind))):
        assert lj.huber(x, y).tolist() == [0.125, 1.5, 3.5]
    labels = jnp.array([0, 1, 2])
    right = lj.sparse_categorical_cross_entropy(2 * jnp.eye(3), labels).tolist()
    assert lj.sparse_categorical_cross_entropy(2 * jnp.eye(3), labels.astype(jnp.int4)).tolist() == right


def test_functions_pickle_and_take_static_parameters() -> None:
    assert pickle.loads(pickle.dumps(lj.huber)) is lj.huber
    x, y = jnp.array([3.0]), jnp.array([0.0])
    assert jax.jit(lj.huber, static_argnames="delta")(x, y, delta=2.0).tolist() == [4]
    assert jax.jit(lj.huber, static_argnums=2)(x, y, 2.0).tolist() == [4]
