"""Functions of JAX say what the catalogue says, with its derivatives, under every transformation, as at home there."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lossmith as lm
import lossmith.jax as lj
from lossmith import Loss
from tests.frameworks.tolerance import ULPS
from tests.laws.samples import EVERY, name_of, sample
from tests.parity.adapters import resolve
from tests.parity.arrays import draw
from tests.parity.table import ROWS

DEFAULTS = [lm.get(name) for name in lm.names()]
Inputs = dict[str, jax.Array]


@pytest.fixture
def wide() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def inputs(loss: Loss, rows: int = 5, dtype: Any = np.float64) -> tuple[Inputs, Inputs]:
    """Return predicted inputs and others."""
    data = {
        name: jnp.asarray(array, dtype if array.dtype.kind == "f" else None)
        for name, array in sample(loss, rows).items()
    }
    names = {item.name for item in loss.predicted}
    return {name: x for name, x in data.items() if name in names}, {k: x for k, x in data.items() if k not in names}


def directions(predicted: Inputs) -> Inputs:
    """Return a direction in which second derivatives are taken, by input."""
    rng = np.random.default_rng(1)
    return {name: jnp.asarray(rng.uniform(0.5, 1, x.shape), x.dtype) for name, x in predicted.items()}


def outputs(loss: Loss, predicted: Inputs, others: Inputs) -> dict[str, Any]:
    """Return losses, gradients and second derivatives along a direction by JAX."""

    def total(changed: Inputs) -> tuple[jax.Array, jax.Array]:
        found = lj.losses(loss, **changed, **others)
        return found.sum(), found

    (slopes, losses), bends = jax.jvp(jax.grad(total, has_aux=True), (predicted,), (directions(predicted),))
    found = {"losses": losses}
    found |= {f"gradient {name}": slope for name, slope in slopes.items()}
    return found | {f"hessian {name}": bend for name, bend in bends[0].items()}


def right(loss: Loss, predicted: Inputs, others: Inputs) -> dict[str, Any]:
    """Return the same by the catalogue."""
    arrays: dict[str, Any] = {name: np.asarray(x) for name, x in (predicted | others).items()}
    one, axis = loss.predicted[0].name, loss.row_axis
    slopes, blocks = loss.gradient(**arrays), loss.hessian(**arrays, kind="full" if loss._couples else "diagonal")
    slopes = slopes if isinstance(slopes, dict) else {one: slopes}
    bends: dict[str, Any] = dict.fromkeys(predicted, 0.0)
    for (to, of), block in (blocks if isinstance(blocks, dict) else {(one, one): blocks}).items():
        turned = block if axis is None else np.swapaxes(block, -1, -2)
        for (left, right), each in {(to, of): block, (of, to): turned}.items():
            along = np.asarray(directions(predicted)[right], float)
            if axis is None:
                bends[left] = bends[left] + each * along
            else:
                moved = np.einsum("...ij,...j->...i", each, np.moveaxis(along, axis, -1))
                bends[left] = bends[left] + np.moveaxis(moved, -1, axis)
    found = {"losses": loss.losses(**arrays)} | {f"gradient {name}": slope for name, slope in slopes.items()}
    return found | {f"hessian {name}": bend for name, bend in bends.items()}


def furthest(loss: Loss, dtype: Any, change: Callable[[Any], Any] = lambda x: x) -> float:
    """Return how far JAX is from the catalogue, in units in the last place of the largest result of its kind."""
    given = inputs(loss, 5, dtype)
    found, most = outputs(loss, *given), 0.0
    with np.errstate(all="ignore"):
        expected = right(loss, *given)
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        assert found[name].dtype == dtype
        assert found[name].shape == wanted.shape
        apart = np.abs(change(np.asarray(found[name])).astype(float) - wanted).max()
        most = max(most, float(apart / np.spacing(np.abs(wanted).max().astype(dtype))) if apart else 0.0)
    return most


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("loss", EVERY, ids=name_of)
def test_losses_and_both_derivatives_are_those_of_the_catalogue(loss: Loss) -> None:
    narrow = loss in DEFAULTS or isinstance(loss, lm.Pointwise)  # the options of rows are of no width
    # To compile each form costs more than to compute it; NumPy warns of constants then, which XLA makes infinite.
    with jax.disable_jit(), np.errstate(over="ignore"):
        for dtype in (np.float32, np.float64) if narrow else (np.float64,):
            assert furthest(loss, dtype) <= ULPS["jax"]


@pytest.mark.usefixtures("wide")
def test_what_is_wrong_is_found() -> None:
    assert furthest(lm.LogCosh(), np.float64, lambda x: x * (1 + 1e-13)) > ULPS["jax"]


TRANSFORMED = [lm.Huber(delta=0.7), lm.BinaryCrossEntropy(), lm.GaussianNLL(), 0.7 * lm.Huber() + 0.3 * lm.LogCosh()]


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("loss", TRANSFORMED, ids=name_of)
def test_every_transformation_gives_the_same(loss: Loss) -> None:
    predicted, others = inputs(loss)
    name = next(iter(predicted))
    weight, mask = jnp.array([1.0, 2, 0, 3, 0.5]), jnp.array([True, True, True, False, True])

    def cost(x: jax.Array, others: Inputs = others) -> jax.Array:
        return lj.cost(loss, **{**predicted, name: x}, **others, weight=weight, mask=mask)

    x = predicted[name]
    arrays = {key: np.asarray(array) for key, array in (predicted | others).items()}
    options = {"weight": np.asarray(weight), "mask": np.asarray(mask)}
    value, slopes = loss.cost_and_gradient(**arrays, **options)
    slope = slopes[name] if isinstance(slopes, dict) else slopes
    bends = loss.hessian(**arrays)
    bend = (bends[name] if isinstance(bends, dict) else bends) * np.where(options["mask"], weight, 0) / 3.5
    close = {"rtol": 1e-12, "atol": 1e-14}
    twice = jax.tree.map(lambda a: jnp.stack([a, a]), others)

    @jax.jit
    def everything(x: jax.Array, twice: Inputs) -> dict[str, Any]:
        return {
            "value": [cost(x), jax.value_and_grad(cost)(x)[0]],
            "first": [jax.grad(jax.checkpoint(cost))(x), jax.jacfwd(cost)(x), jax.jacrev(cost)(x)],
            "second": [jax.hessian(cost)(x), jax.jacfwd(jax.jacfwd(cost))(x), jax.jacrev(jax.jacrev(cost))(x)],
            "values": jax.vmap(cost, (None, 0))(x, twice),
            "firsts": jax.vmap(jax.grad(cost), (None, 0))(x, twice),
        }

    found = everything(x, twice)
    for each, wanted in (("value", value), ("first", slope), ("second", np.diag(bend))):
        for one in found[each]:
            np.testing.assert_allclose(one, wanted, **close)
    np.testing.assert_allclose(found["values"], [value, value], **close)
    np.testing.assert_allclose(found["firsts"], [slope, slope], **close)
    np.testing.assert_allclose(jax.grad(cost)(x), slope, **close)  # also where nothing is compiled


def test_costs_add_up_over_a_loop() -> None:
    x, y = jnp.linspace(-3, 3, 24).reshape(4, 6), jnp.zeros((4, 6))
    mask = jnp.arange(24).reshape(4, 6) % 5 > 0

    def cost(shift: jax.Array) -> jax.Array:
        def step(sums: lj.State, batch: Any) -> tuple[lj.State, None]:
            x, y, mask = batch
            return sums + lj.state("huber", x + shift, y, mask=mask), None

        return jax.lax.scan(step, lj.State.empty(lm.Huber()), (x, y, mask))[0].cost()

    value, slope = jax.jit(jax.value_and_grad(cost))(1.0)
    whole = jax.value_and_grad(lambda shift: lj.cost("huber", x + shift, y, mask=mask))(1.0)
    np.testing.assert_allclose([value, slope], whole, rtol=1e-6)
    sums = sum(lj.state("huber", *batch) for batch in zip(x, y, strict=True))
    for reduction in ("mean", "sum", "count_mean"):
        np.testing.assert_allclose(sums.cost(reduction), lj.cost("huber", x, y, reduction=reduction), rtol=1e-6)
    each = jax.vmap(lambda x, y: jax.lax.psum(lj.state("huber", x, y), "batch"), axis_name="batch")(x, y)
    np.testing.assert_allclose(each.cost(), [lj.cost("huber", x, y)] * 4, rtol=1e-6)
    assert sums.count == 24


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, lossmith.jax as lj
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
assert jax.device_count() == 4
mesh = Mesh(np.array(jax.devices()), ("batch",))
x, y = jnp.linspace(-3, 3, 32), jnp.linspace(1, -1, 32)
mask, weight = jnp.arange(32) > 13, 1 + jnp.arange(32) % 3.0
def cost(x, y, mask, weight):
    return lj.cost("huber", x, y, mask=mask, weight=weight)
one = jax.value_and_grad(cost)(x, y, mask, weight)
spread = [jax.device_put(a, NamedSharding(mesh, P("batch"))) for a in (x, y, mask, weight)]
for run in (jax.value_and_grad(cost), jax.jit(jax.value_and_grad(cost))):
    for a, b in zip(one, run(*spread)):
        np.testing.assert_allclose(a, b, rtol=1e-6)
def shard(x, y, mask, weight):
    return jax.lax.psum(lj.state("huber", x, y, mask=mask, weight=weight), "batch")
sums = jax.shard_map(shard, mesh=mesh, in_specs=P("batch"), out_specs=P())(*spread)
np.testing.assert_allclose(sums.cost(), one[0], rtol=1e-6)
assert sums.count == 18
sums.check()
"""


def test_sharded_arrays_give_the_cost_of_one_device() -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHARDED],
        env={**os.environ, **flags},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


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


@pytest.mark.parametrize("name", lm.names())
def test_a_function_is_made_of_every_loss_with_its_inputs_and_keywords(name: str) -> None:
    made, loss = getattr(lj, name), lm.get(name)
    keys = list(inspect.signature(made).parameters)
    assert keys[len(loss.inputs) :] == list(loss.declared())
    assert keys[:2] == ["predictions", "targets"] or not loss.paired or keys[1] == "y_true"
    assert made.__name__ == name in lj.__all__


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_computed_in_single(dtype: Any) -> None:
    x = jnp.full(70_000, 3.0, dtype)
    cost, slope = jax.value_and_grad(lambda x: lj.cost("squared_error", x, jnp.zeros(70_000, dtype)))(x)
    assert (cost, cost.dtype, slope.dtype) == (9, jnp.float32, dtype)


def test_what_does_not_count_has_no_derivative_whatever_it_holds() -> None:
    x, y = jnp.array([1.0, jnp.nan, 3.0]), jnp.array([0.0, 0.0, jnp.nan])
    mask, weight = jnp.array([True, False, False]), jnp.array([2.0, jnp.nan, -1.0])

    def cost(x: jax.Array) -> jax.Array:
        return lj.cost("squared_error", x, y, mask=mask, weight=weight)

    for run in (cost, jax.jit(cost)):
        assert run(x) == 1
        assert jax.grad(run)(x).tolist() == [2, 0, 0]
        assert jax.hessian(run)(x).tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 0]]
    later = jax.jit(lambda x: jnp.where(mask, lj.squared_error(x, y), 0).sum())
    assert jax.grad(later)(x).tolist() == [2, 0, 0]
    nothing = jax.value_and_grad(lambda x: lj.cost("squared_error", x, y, mask=jnp.zeros(3, bool)))
    assert [array.tolist() for array in nothing(x)] == [0, [0, 0, 0]]


def test_infinite_slopes_are_those_of_the_catalogue() -> None:
    loss = lm.BinaryCrossEntropy(prediction="probabilities")
    p, y, weight = jnp.array([0.0, 0.0, 0.5]), jnp.array([1.0, 1.0, 1.0]), jnp.array([1.0, 0.0, 1.0])
    for run in (jax.grad, jax.jacfwd):
        found = run(lambda p: lj.cost(loss, p, y, weight=weight, reduction="sum"))(p)
        assert found.tolist() == [-jnp.inf, 0, -2]


def test_a_weight_can_be_learnt() -> None:
    x, y = jnp.array([1.0, 2.0]), jnp.zeros(2)
    slope = jax.grad(lambda w: lj.cost("squared_error", x, y, weight=w))(jnp.array([1.0, 0.0]))
    assert slope.tolist() == [0, 3]


def test_traced_calls_count_what_nobody_could_look_at() -> None:
    x, y = jnp.zeros(4), jnp.array([0.0, 2.0, 1.0, 1.0])

    @jax.jit
    def look(y: jax.Array, weight: jax.Array) -> tuple[lj.State, jax.Array]:
        slope = jax.grad(lambda x: lj.cost("binary_cross_entropy", x, y, weight=weight))(x)
        return lj.state("binary_cross_entropy", x, y, weight=weight), slope

    state, slope = look(y, jnp.array([1.0, 1.0, -1.0, 1.0]))
    assert jnp.isnan(state.cost())
    assert jnp.isfinite(slope).tolist() == [True, False, False, True]
    with pytest.raises(lm.DomainError, match="2 examples of traced calls lie outside the domains"):
        (state + state.empty(state.loss)).check()
    look(y.clip(0, 1), jnp.ones(4))[0].check()


def test_what_is_stopped_may_depend_on_parameters() -> None:
    def cost(x: jax.Array) -> jax.Array:
        return lj.cost("huber", x, jax.lax.stop_gradient(2 * x))

    assert jax.grad(cost)(jnp.array([0.5])).tolist() == [-0.5]


ZEROS = jnp.zeros(3)
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
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
    (lambda: lj.cost("huber", ZEROS, ZEROS, reduction="avg"), lm.ParameterError, "reduction='avg' is not known"),
    (lambda: lj.cost("huber", ZEROS, ZEROS, weight=ZEROS - 1), lm.DomainError, "weight[0] is -1"),
    (lambda: lj.cost("huber", ZEROS, ZEROS, weight=jnp.ones(2)), lm.ShapeError, "weight has shape (2,)"),
    (lambda: lj.cost("huber", ZEROS, ZEROS, mask=ZEROS), lm.KindError, "mask must be boolean"),
    (
        lambda: lj.cost("huber", ZEROS, ZEROS, mask=ZEROS > 1, empty="error"),
        lm.EmptyError,
        "all 3 examples are masked",
    ),
    (lambda: lj.State.empty(lm.Huber()) + lj.State.empty(lm.LogCosh()), lm.MergeError, "states of one loss"),
    (lambda: lj.State.empty(lm.Huber()).cost(empty="error"), lm.EmptyError, "there are no examples"),
    (lambda: lj.State.empty(lm.Huber()).cost("none"), lm.ParameterError, "call lossmith.jax.losses"),
    (lambda: lj.hubber, AttributeError, "Did you mean 'huber'?"),
    (lambda: lj.l2_loss, AttributeError, "That of optax is called half_squared_error here."),
    (lambda: lj.mse, AttributeError, "It is called 'squared_error' here."),
    (lambda: lm.Huber()(ZEROS, ZEROS), lm.KindError, "call a function of lossmith.jax"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case[2])
def test_mistakes_are_named(case: tuple[Callable[[], Any], type[Exception], str]) -> None:
    call, error, text = case
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
