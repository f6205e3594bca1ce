"""The contract of calls, kept by every loss whatever its structure, and by sums; mistakes have their own file."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle
import warnings
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import kind_of, sample
from lossmith.engines import choice
from tests import exceptions
from tests.conftest import ENGINES
from tests.laws.samples import EVERY, Array, each_part, example_axis, in_turn, is_plain, rows_at
from tests.together import by_name

pytestmark = pytest.mark.engines

HELD = {"beta_nll": "its weight is held constant in derivatives, so its value has other slopes"}
"""Losses whose gradient is not the slope of their value, by declaration."""

OUTPUTS = ("losses", "gradient", "hessian")


def all_outputs(loss: Loss) -> tuple[str, ...]:
    return (*OUTPUTS, "full_hessian") if loss._couples else OUTPUTS


def same(found: Any, wanted: Any, **tolerance: float) -> None:
    """Fail unless two results agree, part by part."""
    for (key, one), (other_key, other) in zip(each_part(found), each_part(wanted), strict=True):
        assert key == other_key
        assert np.shape(one) == np.shape(other), key
        np.testing.assert_allclose(one, other, **{"rtol": 0, "atol": 0, **tolerance}, err_msg=key)


def weighing(loss: Loss, data: dict[str, Array]) -> Array:
    """Return the weight that each example has by the loss itself, such as that of its class."""
    return np.array([loss.state(**rows_at(loss, data, [row])).weight for row in range(len(loss.losses(**data)))])


def types_and_shapes_follow_the_arguments(loss: Loss) -> None:
    """float32 in, float32 out; half precision computes in float32; everything else in float64; shapes come back."""
    data = sample(loss, (2, 3))
    floats = [name for name, array in data.items() if array.dtype.kind == "f"]
    for types, want in ((("f4",), "f4"), (("f8",), "f8"), (("f4", "f8"), "f8"), (("f2",), "f4"), ((">f4",), "f4")):
        chosen = dict(zip(floats, itertools.cycle(types), strict=False))
        if len(set(chosen.values())) < len(types):
            continue  # one input cannot be of two types
        given = {name: array.astype(chosen.get(name, array.dtype)) for name, array in data.items()}
        exact = {name: array.astype(np.dtype(want)) if name in chosen else array for name, array in given.items()}
        found, wanted = (loss.evaluate(**arguments, outputs=all_outputs(loss)) for arguments in (given, exact))
        for output in found:
            for key, part in each_part(found[output]):
                assert part.dtype == np.dtype(want), (output, key, types)
            same(found[output], wanted[output])
        assert found["losses"].shape == (2, 3)
        for key, part in each_part(found["gradient"]):
            assert part.shape == data[key or loss.predicted[0].name].shape


def memory_layout_does_not_matter(loss: Loss) -> None:
    """Strided, transposed, read-only and listed arguments give the same numbers, and stay as they were."""
    data = sample(loss, (3, 4))
    before = {name: array.copy() for name, array in data.items()}
    locked = {name: array.copy() for name, array in data.items()}
    for array in locked.values():
        array.flags.writeable = False
    wanted = loss.evaluate(**data, outputs=all_outputs(loss))
    for form in (
        {name: np.asfortranarray(array) for name, array in data.items()},
        {name: np.repeat(array, 2, axis=-1)[..., ::2] for name, array in data.items()},
        locked,
        {name: array.tolist() for name, array in data.items()},
    ):
        found = loss.evaluate(**form, outputs=all_outputs(loss))
        for output in wanted:
            same(found[output], wanted[output])
    for name, array in data.items():
        np.testing.assert_array_equal(array, before[name])


def ways_of_asking_agree(loss: Loss) -> None:
    """Single outputs, several at once, the call, the cost and the state say the same; one example is no exception."""
    data = sample(loss, 6)
    together = loss.evaluate(**data, outputs=all_outputs(loss))
    same(loss.losses(**data), together["losses"])
    same(loss.gradient(**data), together["gradient"])
    same(loss.hessian(**data), together["hessian"])
    cost = loss.cost(**data)
    assert isinstance(cost, float)
    assert loss(**data) == cost == loss.state(**data).mean == loss.cost_and_gradient(**data)[0]
    assert loss(**data, reduction="sum") == loss.state(**data).sum
    alone = {name: array.take(2, axis=example_axis(loss, name)) for name, array in data.items()}
    single = loss.evaluate(**alone, outputs=("losses", "gradient"))
    assert np.shape(single["losses"]) == ()
    assert single["losses"] == together["losses"][2]
    for (key, one), (_, many) in zip(each_part(single["gradient"]), each_part(together["gradient"]), strict=True):
        np.testing.assert_array_equal(one, many.take(2, axis=example_axis(loss, key or loss.predicted[0].name)))


def reductions_divide_by_what_they_say(loss: Loss) -> None:
    """``mean`` is Σwl/Σw, ``count_mean`` Σwl/n, ``sum`` Σwl, ``none`` wl; gradients are of that very cost."""
    data, rng = sample(loss, 9), np.random.default_rng(5)
    own = weighing(loss, data)
    weights, marks = rng.choice([0.5, 2.0, 0.0], 9), np.arange(9) % 4 > 0
    for weighted, masked in in_turn(loss):
        weight, mask = weights if weighted else None, marks if masked else None
        w = own * (1 if weight is None else weight)
        m = np.ones(9, bool) if mask is None else mask
        each = loss.evaluate(**data, outputs=("losses", "gradient"))  # own weights are in these already
        scale = np.where(m, 1.0 if weight is None else weight, 0.0)
        divisors = {"mean": w[m].sum(), "count_mean": m.sum(), "sum": 1.0, "none": 1.0}
        for reduction, divisor in divisors.items():
            weighted = each["losses"] * scale
            want = weighted if reduction == "none" else weighted.sum() / divisor
            cost, gradient = loss.cost_and_gradient(**data, weight=weight, mask=mask, reduction=reduction)
            np.testing.assert_allclose(cost, want, rtol=1e-13, atol=1e-14)
            alone = loss.cost(**data, weight=weight, mask=mask, reduction=reduction)
            np.testing.assert_allclose(alone, want, rtol=1e-13, atol=1e-14)
            for (key, got), (_, plain) in zip(each_part(gradient), each_part(each["gradient"]), strict=True):
                at = example_axis(loss, key or loss.predicted[0].name)
                spread = np.expand_dims(scale, tuple(axis for axis in range(plain.ndim) if axis != at))
                np.testing.assert_allclose(got, plain * spread / divisor, rtol=1e-13, atol=1e-300)


def weights_broadcast_by_axes_of_size_one(loss: Loss) -> None:
    """A weight a row, or a column, or one for all."""
    data = sample(loss, (3, 4))
    for shape in ((3, 1), (1, 4), (1, 1), (3, 4), ()):
        weight = np.random.default_rng(1).uniform(0.5, 2, shape)
        full = np.broadcast_to(weight, (3, 4)).copy()
        assert loss.cost(**data, weight=weight) == loss.cost(**data, weight=full)
        one, other = (loss.cost(**data, mask=w > 1, empty="zero") for w in (weight, full))
        assert one == other


def what_is_masked_does_not_matter(loss: Loss) -> None:
    """A masked row may hold anything, in its weight too, and gets a gradient of zero."""
    data = sample(loss, 9)
    mask = np.arange(9) % 3 > 0
    weight = np.linspace(0.5, 2, 9)
    kept = rows_at(loss, data, mask)
    cost, slopes = loss.cost_and_gradient(**kept, weight=weight[mask])
    for junk in (np.nan, np.inf, -np.inf, -77.5, 1e300):
        dirty = {}
        for name, array in data.items():
            dirty[name] = array.astype(float)
            index = (slice(None),) * example_axis(loss, name) + (~mask,)
            dirty[name][index] = junk
        bad_weight = np.where(mask, weight, junk)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got, gradient = loss.cost_and_gradient(**dirty, weight=bad_weight, mask=mask)
            state = loss.state(**dirty, mask=mask)
        assert got == pytest.approx(cost, rel=1e-13)
        assert (state.bad, state.count, state.rows) == (0, 6, 9)
        for (key, part), (_, want) in zip(each_part(gradient), each_part(slopes), strict=True):
            at = (slice(None),) * example_axis(loss, key or loss.predicted[0].name)
            np.testing.assert_allclose(part[(*at, mask)], want, rtol=1e-13, atol=1e-300)
            assert not part[(*at, ~mask)].any()


def nothing_to_average_follows_the_policy(loss: Loss) -> None:
    """Empty, masked and weightless data are an error, zero or NaN, as asked; the gradient is zero."""
    data = sample(loss, 4)
    empty = rows_at(loss, data, slice(0, 0))
    for reason, given, options in (
        ("there are no examples", empty, {}),
        ("all 4 examples are masked", data, {"mask": np.zeros(4, bool)}),
        ("the weights of all 4 examples are zero", data, {"weight": np.zeros(4)}),
    ):
        for ask in (loss.cost, loss.cost_and_gradient):
            with pytest.raises(lm.EmptyError, match=f"{reason}; pass empty='zero'"):
                ask(**given, **options)
        assert loss.cost(**given, **options, empty="zero") == 0.0
        assert math.isnan(loss.cost(**given, **options, empty="nan"))
        cost, gradient = loss.cost_and_gradient(**given, **options, empty="zero")
        assert cost == 0
        for key, part in each_part(gradient):
            assert part.shape == given[key or loss.predicted[0].name].shape
            assert not part.any()


def states_merge_to_one_pass(loss: Loss) -> None:
    """Whatever the split, the merged number is that of one pass; states of other losses are refused."""
    data, weight, mask = sample(loss, 11), np.linspace(0.1, 1, 11), np.arange(11) % 5 > 0
    whole = loss.state(**data, weight=weight, mask=mask)
    for cut in (0, 1, 5, 10, 11):
        parts = [
            loss.state(**rows_at(loss, data, rows), weight=weight[rows], mask=mask[rows])
            for rows in (slice(0, cut), slice(cut, 11))
        ]
        for merged in (parts[0].merge(parts[1]), parts[1].merge(parts[0])):
            assert (merged.rows, merged.count, merged.bad) == (whole.rows, whole.count, whole.bad)
            assert merged.mean == pytest.approx(whole.mean, rel=1e-13, abs=1e-14)
            assert merged.weight == pytest.approx(whole.weight, rel=1e-14)
    other = next(other for other in EVERY if other != loss)
    with pytest.raises(lm.MergeError, match="only states of one loss merge"):
        whole.merge(other.state(**sample(other, 2)))


def comes_back_from_text_data_and_pickle(loss: Loss) -> None:
    """A loss is a value: text, JSON, pickle and copies give an equal loss with equal numbers."""
    data = sample(loss, 5)
    wanted = loss.losses(**data)
    for back in (
        lm.parse(str(loss)),
        lm.parse(str(loss).replace("'", "")),
        lm.from_config(json.loads(json.dumps(loss.to_config(), allow_nan=False))),
        *(pickle.loads(pickle.dumps(loss, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy(loss),
        copy.deepcopy(loss),
        loss.replace(),
    ):
        assert back == loss
        assert hash(back) == hash(loss)
        assert str(back) == str(loss)
        assert type(back) is type(loss)
        np.testing.assert_array_equal(back.losses(**data), wanted)
    with pytest.raises(AttributeError, match="cannot be changed; make another"):
        loss.anything = 1.0  # type: ignore[attr-defined]


def the_gradient_is_the_slope_of_that_very_cost(loss: Loss) -> None:
    """Moving predictions changes the cost as the gradient says, with weights, masks and every reduction."""
    if loss.name in HELD:
        return
    data, rng = sample(loss, 7, seed=3), np.random.default_rng(4)
    weight, mask = rng.uniform(0.5, 2, 7), np.arange(7) != 3
    for reduction in ("mean", "count_mean", "sum"):
        options = {"weight": weight, "mask": mask, "reduction": reduction}
        _, gradient = loss.cost_and_gradient(**data, **options)
        slopes = {key or loss.predicted[0].name: part for key, part in each_part(gradient)}
        for name, slope in slopes.items():
            way = rng.normal(size=slope.shape) * np.minimum(1, np.abs(data[name]) + 1e-2) / 2
            up, down = (loss.cost(**{**data, name: data[name] + step * way}, **options) for step in (1e-5, -1e-5))
            assert float(np.sum(slope * way)) == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-8), name


def the_gradient_is_written_in_place(loss: Loss) -> None:
    """``out`` receives derivatives and comes back, whatever it held."""
    data = sample(loss, (2, 5))

    def rooms() -> Any:
        made = {item.name: np.full(data[item.name].shape, np.nan) for item in loss.predicted}
        return made if len(made) > 1 else next(iter(made.values()))

    cost, gradient = loss.cost_and_gradient(**data, out=(out := rooms()))
    assert cost == loss.cost(**data)
    _are_filled(gradient, out, loss.cost_and_gradient(**data)[1])
    both = {"gradient": rooms(), "hessian": rooms()}
    found, wanted = (loss.evaluate(**data, **given) for given in ({"out": both}, {}))
    for name, array in both.items():
        _are_filled(found[name], array, wanted[name])
    for wrong in ({"losses": out}, {"hessian": out}):
        with pytest.raises(lm.ParameterError, match="out takes a gradient and a hessian that are asked for"):
            loss.evaluate(**data, outputs=("losses", "gradient"), out=wrong)
    with pytest.raises(lm.ParameterError, match="share memory"):
        loss.evaluate(**data, out={"gradient": out, "hessian": out})


def _are_filled(found: Any, given: Any, wanted: Any) -> None:
    for (_, part), (_, array), (_, right) in zip(*map(each_part, (found, given, wanted)), strict=True):
        assert part is array
        np.testing.assert_array_equal(array, right)


EXTREMES = (0.0, -0.0, 5e-324, -1e-310, 1e-160, 1e-8, 1.0, -1.0, 40.0, -745.0, 1e20, -1e20, 1e154, -1e200, 1.7e308)


BOUNDS = exceptions.of("finite")
"""Where finite input may give no number: the least, the least size but for 0, and the largest."""


def finite_input_gives_no_nan_and_no_warning(
    loss: Loss, limits: Mapping[str, Any] = BOUNDS, *, costs: bool = True
) -> None:
    """Whatever finite input the domain allows, losses and derivatives are numbers, or infinite, in silence."""
    rng = np.random.default_rng(6)
    for dtype in (np.float64, np.float32):
        data = {}
        with np.errstate(over="ignore"):
            extremes = np.array(EXTREMES, dtype=dtype).astype(float)
        for item in loss.inputs:
            plain = sample(loss, 300, seed=7)[item.name]
            kind, domain = kind_of(loss, item.symbol), loss.domains[item.symbol]
            if kind == "indices":
                data[item.name] = plain
                continue
            low, size, high = limits.get(kind, limits.get(loss.name, (domain.low, 0.0, domain.high)))
            allowed = [x for x in extremes if np.isfinite(x) and (x == 0 or abs(x) >= size) and low <= x <= high]
            allowed = [x for x in (*allowed, low, high) if abs(x) <= float(np.finfo(dtype).max) and domain.includes(x)]
            if kind in ("probabilities", "log_probabilities"):
                hard = np.eye(plain.shape[1 - example_axis(loss, item.name)])[rng.integers(0, 3, 300)]
                hard = hard.T if example_axis(loss, item.name) else hard
                with np.errstate(divide="ignore"):
                    hard = hard if kind == "probabilities" else np.log(hard)
                picked = rng.random(300) < 0.5
                chosen = np.where(picked if example_axis(loss, item.name) else picked[:, None], plain, hard)
            else:
                chosen = np.where(rng.random(plain.shape) < 0.3, plain, rng.choice(allowed, plain.shape))
            data[item.name] = chosen.astype(dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = loss.evaluate(**data, outputs=OUTPUTS, trusted=True)
            if costs:
                loss.cost(**data)
                loss.cost_and_gradient(**data, weight=np.full(300, 1e300))
        for output in OUTPUTS:
            for key, part in each_part(found[output]):
                wrong = np.argwhere(np.isnan(part))
                assert not wrong.size, (output, key, wrong[0], rows_at(loss, data, int(wrong[0][0])))


LAWS = (
    types_and_shapes_follow_the_arguments,
    memory_layout_does_not_matter,
    ways_of_asking_agree,
    reductions_divide_by_what_they_say,
    weights_broadcast_by_axes_of_size_one,
    what_is_masked_does_not_matter,
    nothing_to_average_follows_the_policy,
    states_merge_to_one_pass,
    comes_back_from_text_data_and_pickle,
    the_gradient_is_the_slope_of_that_very_cost,
    the_gradient_is_written_in_place,
    finite_input_gives_no_nan_and_no_warning,
)


def engines(loss: Loss, law: Callable[[Loss], None]) -> tuple[choice.Name, ...]:
    """Return where a law is tried: on every engine for plain losses, of which other forms differ in the formula alone.

    Those take turns, since each has kernels to compile: the compiled engine keeps a third of the laws for each.
    """
    turn = zlib.crc32(f"{loss} {law.__name__}".encode()) % 3 == 0
    return ENGINES if is_plain(loss) or turn else ("numpy",)


@pytest.mark.engines(of=engines)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("loss", by_name(EVERY))
def test_contract(loss: Loss, law: Callable[[Loss], None]) -> None:
    law(loss)


def test_every_loss_is_looked_at() -> None:
    assert {loss.name for loss in EVERY} >= set(lm.names())
    assert set(HELD) <= set(lm.names())
