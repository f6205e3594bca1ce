"""Losses of rows in JAX: at the edge, transformed, where rows do not count, and where they are invalid."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lossmith as lm
import lossmith.jax as lj
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.engines import jax as engine
from tests.frameworks.test_traced import BAD, CLASSES, EDGES, INVALID, ONE_EACH, SURE, Right, apart
from tests.frameworks.tolerance import ULPS
from tests.laws.samples import name_of
from tests.mistakes import is_named

pytestmark = pytest.mark.usefixtures("wide")


def furthest_at_the_edge(loss: Loss) -> float:
    z, y = jnp.tile(EDGES.numpy(), (CLASSES, 1)), jnp.repeat(jnp.arange(CLASSES), len(EDGES))
    slopes = jax.grad(lambda z: lj.losses(loss, z, y).sum())
    arrays = {"y_true": np.asarray(y), "y_pred": np.asarray(z)}
    right = loss.hessian(**arrays, kind="full")
    found = [apart(slopes(z), loss.gradient(**arrays))]
    for full in (jax.jacfwd(slopes)(z), jax.jacrev(slopes)(z)):
        # Beside numbers that hardly differ from 0, digits are few.
        found += [apart(full[row, :, row], block) for row, block in enumerate(right) if np.abs(block).max() > 1e-290]
    return max(found)


@pytest.mark.parametrize("loss", SURE, ids=name_of)
def test_second_derivatives_keep_their_digits_where_a_class_is_almost_certain(loss: Loss) -> None:
    with jax.disable_jit():
        assert furthest_at_the_edge(loss) <= 256


def test_derivatives_of_the_steps_of_a_softmax_would_lose_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.DIFFERENTIABLE.xp, "bound", engine.FUNCTIONS.bound)
    with jax.disable_jit():
        assert furthest_at_the_edge(Right(label_smoothing=0.1)) > 1e6


def drawn(loss: Loss, rows: int) -> dict[str, jax.Array]:
    return {name: jnp.asarray(array) for name, array in sample(loss, rows).items()}


@pytest.mark.parametrize("loss", ONE_EACH.values(), ids=ONE_EACH)
def test_every_transformation_gives_the_same(loss: Loss) -> None:
    given = drawn(loss, 3)
    name = loss.predicted[-1].name

    def cost(x: jax.Array) -> jax.Array:
        return lj.cost(loss, **{**given, name: x}, reduction="sum")

    @jax.jit
    def everything(x: jax.Array) -> tuple[Any, ...]:
        return cost(x), jax.grad(jax.checkpoint(cost))(x), jax.vmap(jax.grad(cost))(jnp.stack([x, x])), hessian(x)

    hessian = jax.hessian(cost)

    arrays = {key: np.asarray(x) for key, x in given.items()}
    value, slopes = loss.cost_and_gradient(**arrays, reduction="sum")
    blocks = loss.hessian(**arrays, kind="full")
    slope, blocks = (x[key] if isinstance(x, dict) else x for x, key in ((slopes, name), (blocks, (name, name))))
    found, first, firsts, full = everything(given[name])
    assert apart(found, value) <= ULPS["jax"]
    for each in (first, *firsts):
        assert apart(each, slope) <= ULPS["jax"]
    rows = np.moveaxis(np.asarray(full), (1, 3) if loss.row_axis in (1, -1) else (0, 2), (-2, -1))
    assert apart([rows[row, row] for row in range(3)], blocks) <= ULPS["jax"]
    assert np.count_nonzero(rows[0, 1]) == 0


@pytest.mark.parametrize("loss", ONE_EACH.values(), ids=ONE_EACH)
def test_rows_that_do_not_count_may_hold_anything(loss: Loss) -> None:
    given, mask = drawn(loss, 5), jnp.array([True, False, True, True, True])
    weight = jnp.array([1.0, jnp.nan, 2.0, 0.5, 0.0])
    nothing = {item.name: -1 if item.symbol in loss.class_indices else jnp.nan for item in loss.inputs}
    spoiled = {name: array.at[1].set(nothing[name]) for name, array in given.items()}
    ends = [item.name for item in loss.predicted]

    def cost(predicted: Any, given: Any) -> jax.Array:
        return lj.cost(loss, **{**given, **predicted}, weight=weight, mask=mask)

    results = []
    for arrays in (given, spoiled):
        predicted = {name: arrays[name] for name in ends}
        along = jax.tree.map(jnp.ones_like, predicted)
        with jax.disable_jit():
            found = jax.jvp(lambda p, a=arrays: jax.value_and_grad(cost)(p, a), (predicted,), (along,))
        results.append(jax.tree.leaves(found))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", INVALID, ids=lambda case: str(case[0]))
def test_what_is_invalid_is_counted(case: tuple[Loss, dict[str, Any], int]) -> None:
    loss, rows, wrong = case
    given = {name: jnp.asarray(array) for name, array in rows.items()}
    state = jax.jit(lambda given: lj.state(loss, **given))(given)
    assert np.isnan(state.total)
    with pytest.raises(lm.DomainError, match=f"{wrong} examples? of traced calls lies? outside the domains"):
        state.check()


@pytest.mark.parametrize("loss", [Right(), Right(label_smoothing=0.1), lm.CrammerSinger()], ids=str)
def test_invalid_rows_have_no_numbers(loss: Loss) -> None:
    z, y = jnp.zeros((5, 3)).at[1, 2].set(jnp.nan).at[2].set(-jnp.inf), jnp.array([0, 1, 1, 3, 2])
    found, pull = jax.vjp(jax.jit(lambda z: lj.losses(loss, z, y)), z)
    for each in (found[:, None], *pull(jnp.ones(5))):
        assert jnp.isfinite(each).any(axis=1).tolist() == [True, False, False, False, True]


def test_a_bad_row_is_named_where_values_are_known() -> None:
    with pytest.raises(lm.DomainError, match=r"class indices must be whole numbers in \[0, 3\), but targets\[1\] is 3"):
        lj.cost(Right(), jnp.zeros((2, 3)), jnp.array([0, 3]))


@pytest.mark.parametrize("case", BAD, ids=lambda case: case[3])
def test_mistakes_are_named(case: tuple[Loss, dict[str, tuple[int, ...]], type[Exception], str]) -> None:
    loss, shapes, error, text = case
    given = {name: jnp.ones(shape) for name, shape in shapes.items()}
    is_named(lambda: jax.jit(lambda given: lj.losses(loss, **given))(given), error, text)


def test_one_class_is_warned_of_since_a_graph_can_raise_nothing() -> None:
    with pytest.warns(lm.LossmithWarning, match="one class in predictions.* BinaryCrossEntropy takes one output"):
        losses = jax.jit(lj.sparse_categorical_cross_entropy)(jnp.zeros((2, 1)), jnp.array([0, 1]))
    assert np.isnan(np.asarray(losses)).tolist() == [False, True]


def test_classes_lie_along_the_last_axis_and_options_are_keywords() -> None:
    z, y = jnp.linspace(-2, 2, 24).reshape(2, 4, 3), jnp.array([[0, 1, -1, 2], [2, 2, 0, -1]])
    found = lj.sparse_categorical_cross_entropy(z, y, ignore_index=-1, class_weight=(1.0, 2.0, 3.0))
    wanted = jnp.take_along_axis(-jax.nn.log_softmax(z), y[..., None], -1)[..., 0] * jnp.array([1.0, 2.0, 3.0])[y]
    np.testing.assert_allclose(found, jnp.where(y == -1, 0, wanted), rtol=1e-12)
    one_hot = jax.nn.one_hot(y.clip(0), 3)
    for soft in (
        lj.softmax_focal(z, one_hot, targets="distributions"),
        lj.softmax_focal(z, targets=y.clip(0)),
        lj.softmax_focal(predictions=z, y_true=y.clip(0), gamma=2.0),
    ):
        np.testing.assert_allclose(soft, lm.SoftmaxFocal()(np.asarray(y.clip(0)), np.asarray(z), reduction="none"))


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("classes", [256, 300])
def test_class_indices_may_have_any_type_and_more_classes_than_it_counts(kind: Any, classes: int) -> None:
    z, y = np.random.default_rng(0).normal(size=(2, classes)), np.array([3, 100 if kind is np.int8 else 156])
    for ignored in (None, -100, 255, 2**40, -(2**70)):
        loss = lm.SparseCategoricalCrossEntropy(ignore_index=ignored)
        call = partial(lj.cost, loss, reduction="none")
        right = loss.cost(y, z, reduction="none")
        for found in (call(z, y.astype(kind)), jax.jit(call)(z, y.astype(kind))):
            np.testing.assert_allclose(found, right, rtol=1e-12)


def test_an_index_to_ignore_that_is_no_number_of_the_type_ignores_nothing() -> None:
    z, y = jnp.zeros((2, 3)), jnp.array([0, -1], jnp.int8)
    cost = partial(lj.cost, "sparse_categorical_cross_entropy(ignore_index=255)")
    with pytest.raises(lm.DomainError, match=r"targets\[1\] is -1"):
        cost(z, y)
    assert np.isnan(jax.jit(cost)(z, y))


WEIGHED = lm.SparseCategoricalCrossEntropy(class_weight=(1.0, 2.0, 0.5))


@pytest.mark.parametrize("loss", [*ONE_EACH.values(), WEIGHED], ids=name_of)
def test_arrays_of_fewer_axes_need_not_broadcast(loss: Loss) -> None:
    given = drawn(loss, 3)
    name = loss.predicted[-1].name
    slopes = jax.grad(lambda x: lj.cost(loss, **{**given, name: x}))
    with jax.numpy_rank_promotion("raise"):
        jax.eval_shape(lambda x: jax.jvp(slopes, (x,), (x,)), given[name])


def test_targets_have_no_share_of_classes_that_are_left_out() -> None:
    z, there = jnp.ones((3, 4)), jnp.ones((3, 4), bool).at[1, 0].set(False)
    shares = jax.nn.softmax(z)
    with pytest.raises(lm.DomainError, match=r"row \[1\] of targets has a share of a class that where leaves out"):
        lj.categorical_cross_entropy(z, shares, where=there)
    with pytest.raises(lm.DomainError, match=r"row \[1\] of targets has a share"):
        lj.categorical_cross_entropy(z.T, shares.T, where=there.T, class_axis=0)
    traced = jax.jit(lambda y: lj.categorical_cross_entropy(z, y, where=there))(shares)
    assert jnp.isnan(traced).tolist() == [False, True, False]
    nobody = there.at[1].set(False)  # a row that does not count may hold anything
    assert jnp.isfinite(lj.categorical_cross_entropy(z, shares, where=nobody)).all()
    with pytest.raises(lm.ShapeError, match=r"targets have shape \(3, 5\), predictions \(3, 4\)"):
        lj.categorical_cross_entropy(z, jnp.ones((3, 5)) / 5, where=there)
