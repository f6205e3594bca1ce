"""Functions of JAX say what the catalogue says, with its derivatives, under every transformation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lossmith as lm
import lossmith.jax as lj
from lossmith import Loss
from tests.frameworks import catalogue
from tests.frameworks.tolerance import ULPS
from tests.laws.samples import name_of

DEFAULTS = [lm.get(name) for name in lm.names()]
Inputs = dict[str, jax.Array]


def inputs(loss: Loss, rows: int = 5, dtype: Any = np.float64) -> tuple[Inputs, Inputs]:
    """Return predicted inputs and others."""
    data = {name: jnp.asarray(array) for name, array in catalogue.given(loss, rows, dtype).items()}
    names = {item.name for item in loss.predicted}
    return {name: x for name, x in data.items() if name in names}, {k: x for k, x in data.items() if k not in names}


def outputs(loss: Loss, predicted: Inputs, others: Inputs) -> dict[str, Any]:
    """Return losses, gradients and second derivatives along a direction by JAX."""

    def total(changed: Inputs) -> tuple[jax.Array, jax.Array]:
        found = lj.losses(loss, **changed, **others)
        return found.sum(), found

    ways = {name: jnp.asarray(way) for name, way in catalogue.directions(loss, predicted).items()}
    (slopes, losses), bends = jax.jvp(jax.grad(total, has_aux=True), (predicted,), (ways,))
    found = {"losses": losses}
    found |= {f"gradient {name}": slope for name, slope in slopes.items()}
    return found | {f"hessian {name}": bend for name, bend in bends[0].items()}


def furthest(loss: Loss, dtype: Any, change: Callable[[Any], Any] = lambda x: x) -> float:
    """Return how far JAX is from the catalogue, in units in the last place of the largest result of its kind."""
    predicted, others = inputs(loss, 5, dtype)
    # To compile each form costs more than to compute it; NumPy warns of constants then, which XLA makes infinite.
    with jax.disable_jit(), np.errstate(all="ignore"):
        found = outputs(loss, predicted, others)
    expected = catalogue.right(loss, {name: np.asarray(x) for name, x in (predicted | others).items()})
    return catalogue.furthest(found, expected, dtype, change)


# Formulas have all their forms, and both types, in test_arrays.
FORMS = [loss for loss in catalogue.shared("jax") if loss in DEFAULTS or not isinstance(loss, lm.Pointwise)]


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("loss", FORMS, ids=name_of)
def test_losses_and_both_derivatives_are_those_of_the_catalogue(loss: Loss) -> None:
    assert furthest(loss, np.float64) <= ULPS["jax"]


@pytest.mark.usefixtures("wide")
def test_what_is_wrong_is_found() -> None:
    assert furthest(lm.LogCosh(), np.float64, lambda x: x * (1 + 1e-13)) > ULPS["jax"]


TRANSFORMED = [lm.GaussianNLL(), 0.7 * lm.Huber() + 0.3 * lm.LogCosh()]


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
    whole = jax.jit(jax.value_and_grad(lambda shift: lj.cost("huber", x + shift, y, mask=mask)))(1.0)
    np.testing.assert_allclose([value, slope], whole, rtol=1e-6)

    @jax.jit
    def added(x: jax.Array, y: jax.Array) -> tuple[Any, ...]:
        sums = sum(lj.state("huber", *batch) for batch in zip(x, y, strict=True))
        each = jax.vmap(lambda x, y: jax.lax.psum(lj.state("huber", x, y), "batch"), axis_name="batch")(x, y)
        costs = [(sums.cost(name), lj.cost("huber", x, y, reduction=name)) for name in ("mean", "sum", "count_mean")]
        return sums.count, each.cost(), costs

    count, each, costs = added(x, y)
    assert count == 24
    np.testing.assert_allclose(each, [costs[0][1]] * 4, rtol=1e-6)
    for mine, other in costs:
        np.testing.assert_allclose(mine, other, rtol=1e-6)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, lossmith.jax as lj
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
assert jax.device_count() == 4
mesh = Mesh(np.array(jax.devices()), ("batch",))
x, y = jnp.linspace(-3, 3, 32), jnp.linspace(1, -1, 32)
mask, weight = jnp.arange(32) > 13, 1 + jnp.arange(32) % 3.0
def cost(x, y, mask, weight):
    return lj.cost("huber", x, y, mask=mask, weight=weight)
one = jax.jit(jax.value_and_grad(cost))(x, y, mask, weight)
spread = [jax.device_put(a, NamedSharding(mesh, P("batch"))) for a in (x, y, mask, weight)]
for a, b in zip(one, jax.jit(jax.value_and_grad(cost))(*spread)):
    np.testing.assert_allclose(a, b, rtol=1e-6)
def shard(x, y, mask, weight):
    return jax.lax.psum(lj.state("huber", x, y, mask=mask, weight=weight), "batch")
sums = jax.jit(jax.shard_map(shard, mesh=mesh, in_specs=P("batch"), out_specs=P()))(*spread)
np.testing.assert_allclose(sums.cost(), one[0], rtol=1e-6)
assert sums.count == 18
sums.check()
def bend(shift, x, y, weight, sharded):
    # What every device has alike, as parameters and a level, beside rows that differ.
    def cost(shift):
        level = jnp.exp(shift) * jnp.ones(len(x))
        sums = lj.state("gaussian_nll", x + shift, y, variance=level, weight=weight, mask=jnp.arange(len(x)) % 8 < 5)
        return (jax.lax.psum(sums, "batch") if sharded else sums).cost()
    return jax.jvp(jax.grad(cost), (shift,), (shift,))
bent = jax.shard_map(lambda *a: bend(*a, True), mesh=mesh, in_specs=(P(), *[P("batch")] * 3), out_specs=P())
one = jax.jit(bend, static_argnums=4)(1.0, x, y, weight, False)
np.testing.assert_allclose(jax.jit(bent)(1.0, x, y, weight), one, rtol=1e-5)
def rows(z, y):
    return lj.cost("sparse_categorical_cross_entropy(ignore_index=0)", z, y)
z, classes = jnp.outer(x, y[:3]), jnp.arange(32) % 3
one = jax.jit(jax.value_and_grad(rows))(z, classes)
spread = [jax.device_put(a, NamedSharding(mesh, P("batch"))) for a in (z, classes)]
for a, b in zip(one, jax.jit(jax.value_and_grad(rows))(*spread)):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
"""


TYPED = """
import jax, jax.numpy as jnp, numpy as np, lossmith.jax as lj
from jax.sharding import PartitionSpec as P
with jax.set_mesh(jax.make_mesh((4,), ("batch",))):  # whose shardings are part of types
    x, y = jnp.linspace(-3, 3, 32), jnp.linspace(1, -1, 32)
    z, k = jnp.outer(x, y[:3]), jnp.arange(32) % 3
    cases = [(name, x, y) for name in ("log_cosh", "mean_error")]
    cases += [("multi_quantile", z, y), ("sparse_categorical_cross_entropy", z, k)]
    for name, f, t in cases:
        def cost(f, t):
            return lj.cost(name, f, t)
        def bend(f, t):
            return jax.jvp(lambda f: jax.grad(cost)(f, t), (f,), (f,))[1]
        for compute in (cost, jax.grad(cost), bend):
            one, spread = compute(f, t), jax.jit(compute)(*[jax.device_put(a, P("batch")) for a in (f, t)])
            np.testing.assert_allclose(one, spread, rtol=1e-5, atol=1e-6)
            assert compute is cost or jax.typeof(spread).sharding.spec[0] == "batch"
with jax.set_mesh(jax.make_mesh((2, 2), ("batch", "classes"))):
    z, t = jnp.linspace(-3, 3, 32).reshape(8, 4), jax.nn.one_hot(jnp.arange(8) % 4, 4)
    def of_indices(z, t):
        return lj.cost("sparse_categorical_cross_entropy", z, t.argmax(-1))
    def of_shares(z, t):
        return lj.cost("categorical_cross_entropy", z, t)
    def of_two(z, t):
        return lj.cost("kl_divergence(q_kind=logits)", p=t, q=z)
    for cost in (of_indices, of_shares, of_two):
        one = jax.jit(jax.value_and_grad(cost))(z, t)
        spread = jax.jit(jax.value_and_grad(cost))(*[jax.device_put(a, P("batch", "classes")) for a in (z, t)])
        for a, b in zip(one, spread):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
"""


@pytest.mark.parametrize("script", [SHARDED, TYPED], ids=["automatic", "typed"])
def test_sharded_arrays_give_the_cost_of_one_device(script: str) -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, **flags},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


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

    def everything(x: jax.Array) -> tuple[Any, ...]:
        later = jax.grad(lambda x: jnp.where(mask, lj.squared_error(x, y), 0).sum())
        nothing = jax.value_and_grad(lambda x: lj.cost("squared_error", x, y, mask=jnp.zeros(3, bool)))
        return cost(x), jax.grad(cost)(x), jax.hessian(cost)(x), later(x), *nothing(x)

    assert [found.tolist() for found in jax.jit(everything)(x)] == [
        1, [2, 0, 0], [[2, 0, 0], [0, 0, 0], [0, 0, 0]], [2, 0, 0], 0, [0, 0, 0],
    ]  # fmt: skip
    assert jax.grad(cost)(x).tolist() == [2, 0, 0]


def test_infinite_derivatives_are_those_of_the_catalogue() -> None:
    loss = lm.BinaryCrossEntropy(prediction="probabilities")
    p, y, weight = jnp.array([0.0, 0.0, 0.5]), jnp.array([1.0, 1.0, 1.0]), jnp.array([1.0, 0.0, 1.0])

    def cost(p: jax.Array) -> jax.Array:
        return lj.cost(loss, p, y, weight=weight, reduction="sum")

    ways = (jax.grad, jax.jacfwd)
    for first in ways:
        slope = first(cost)
        assert slope(p).tolist() == [-jnp.inf, 0, -2]
        for second in ways:
            assert second(lambda p, slope=slope: slope(p).sum())(p).tolist() == [jnp.inf, 0, 4]
    root = jax.grad(lambda x: jnp.sqrt(lj.squared_error(x, jnp.array([0.0, 2.0]))).sum())
    assert root(jnp.zeros(2)).tolist() == [0, -1]


@pytest.mark.parametrize("loss", [lm.Poisson(prediction="rate"), lm.NegativeBinomial(prediction="mean")], ids=name_of)
def test_a_domain_that_ends_at_zero_is_entered_from_above(loss: Loss) -> None:
    def cost(f: jax.Array) -> jax.Array:
        return lj.cost(loss, f, jnp.array([2.0]))

    slope = jax.grad(cost)
    zero = jnp.array([-0.0])
    assert (cost(zero), slope(zero), jax.grad(lambda f: slope(f).sum())(zero)) == (jnp.inf, -jnp.inf, jnp.inf)


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
    assert jnp.isnan(look(y.clip(0, 1), jnp.full(4, jnp.nan))[0].cost())  # weights whose sum is none are not nothing


@pytest.mark.parametrize("many", [1, 40])
@pytest.mark.parametrize("name", ["squared_error", "absolute_error", "huber", "hinge", "zero_one"])
def test_an_invalid_example_is_seen_whatever_its_formula_shows(name: str, many: int) -> None:
    nan, inf = jnp.nan, jnp.inf
    pairs = [[2.0, 1.0], [2.0, nan], [nan, 1.0], [2.0, inf], [inf, 1.0], [inf, inf], [-inf, inf]]
    x, y = jnp.array(pairs * many).T

    @jax.jit
    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        found, pull = jax.vjp(lambda x: lj.losses(name, x, y), x)
        return found, *pull(jnp.ones(7 * many))

    found, slope = both(x)
    assert jnp.isnan(found).tolist() == ([False] + [True] * 6) * many
    assert jnp.isfinite(slope).tolist() == ([True] + [False] * 6) * many


@pytest.mark.parametrize("name", ["squared_error", "sparse_categorical_cross_entropy"])
def test_few_numbers_stay_in_the_thread_that_calls(name: str) -> None:
    # XLA takes a program of 1,000 operations or more to another thread.
    given = (jnp.ones(128), jnp.ones(128)) if name == "squared_error" else (jnp.ones((14, 10)), jnp.ones(14, int))
    both = jax.jit(jax.value_and_grad(lambda x, y: getattr(lj, name)(x, y).mean()))
    assert both.lower(*given).compile().cost_analysis()["flops"] < 1000


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_products_sum_rows_on_cpus_alone(platform: str) -> None:
    """Elsewhere XLA adds them on its way, and products may be of fewer digits."""
    both = jax.jit(jax.value_and_grad(lambda z, y: lj.sparse_categorical_cross_entropy(z, y).mean()))
    text = jax.export.export(both, platforms=[platform])(jnp.ones((200, 10)), jnp.ones(200, int)).mlir_module()
    assert ("dot_general" in text) == (platform == "cpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_cosh_keeps_its_digits_everywhere(dtype: Any) -> None:
    with jax.enable_x64(True):
        x = np.concatenate([10 ** np.linspace(-12, 0, 100), np.linspace(0.4, 4, 500), [80.0, 1e30]]).astype(dtype)
        right = lm.LogCosh().evaluate(0 * x.astype(float), x.astype(float))["losses"]
        found = jax.jit(lj.log_cosh)(x, 0 * x)
        np.testing.assert_allclose(found, right, rtol=3 * np.finfo(dtype).eps)


def test_what_is_stopped_may_depend_on_parameters() -> None:
    def cost(x: jax.Array) -> jax.Array:
        return lj.cost("huber", x, jax.lax.stop_gradient(2 * x))

    assert jax.grad(cost)(jnp.array([0.5])).tolist() == [-0.5]


@pytest.mark.parametrize("name", ["gamma", "inverse_gaussian", "negative_binomial"])
def test_slopes_are_right_next_to_the_largest_means(name: str) -> None:
    """XLA has no subnormal numbers, which exp(-f) is there."""
    f = np.array([80.0, 87.5, 88.2, 88.6, 88.0], np.float32)
    y = np.array([1e30, 1e38, 3e38, 3e38, 1e30], np.float32)
    loss = lm.get(name)
    slopes = jax.jit(jax.grad(lambda f: lj.losses(loss, y_pred=f, y_true=y).sum()))(f)
    expected = loss.evaluate(y.astype(float), f.astype(float))["gradient"].astype(np.float32)
    np.testing.assert_allclose(slopes, expected, rtol=2e-5, atol=1e-6)
