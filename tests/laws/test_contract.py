"""The contract of calls: shapes, types, weights, masks, reductions. Mistakes are in ``test_mistakes``."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.points import Array, extreme, inside, targets
from tests.laws.grid import defaults_on_every_engine

TYPES = ("f8", ">f8", "f4", "f2", "i8", "i4", "i1", "g"), ("f8", ">f8", "f4", "f2", "i8", "i2", "g")
"""Types of targets and of predictions."""

EACH_TYPE = tuple(zip(TYPES[0], ("f4", "f8", "f2", "g", "i8", ">f8", "f4", "i2"), strict=True))
"""Each type once or twice. A kernel is made for each pair, so not every loss has time for them all."""


def batch(loss: Loss, shape: int | tuple[int, ...] = 12, seed: int = 0) -> tuple[Array, Array]:
    """Return targets and predictions inside the domains."""
    rng = np.random.default_rng(seed)
    y = rng.choice([value for value in targets(loss) if value == 0 or 0.1 < abs(value) < 10], shape)
    return y, inside(loss.domains["f"], rng, shape)


def whole(loss: Loss, size: int = 6) -> tuple[Array, Array]:
    """Return targets and predictions that are whole numbers, so that every type can hold them."""
    domain = loss.domains
    y = [value for value in (0.0, 1.0, -1.0) if domain["y"].includes(value)]
    f = [value for value in (0.0, 1.0, 3.0) if domain["f"].includes(value)]
    return np.resize(y, size), np.resize(f, size)


def results_have_the_shape_and_type(loss: Loss, pairs: Iterable[tuple[str, str]] = EACH_TYPE) -> None:
    """Shapes come back as they went in; types follow the floats that went in."""
    y, f = whole(loss)
    single, double = np.dtype(np.float32), np.dtype(np.float64)
    for y_type, f_type in pairs:
        floats = [np.dtype(t).newbyteorder("=") for t in (y_type, f_type) if np.dtype(t).kind == "f"]
        want = single if floats and max(t.itemsize for t in floats) <= 4 else double
        for output, got in loss.evaluate(y.astype(y_type), f.astype(f_type)).items():
            assert (got.dtype, got.shape) == (want, y.shape), (output, y_type, f_type)
            right = loss.evaluate(y, f, (output,))[output]
            # A parameter such as 0.1 is another number in float32, so zeros of float64 need not be zero there.
            rounding = {"rtol": 1e-5, "atol": 2.0**-23} if want == single else {"rtol": 0, "atol": 0}
            np.testing.assert_allclose(got, right, **rounding)
    if loss.domains["y"].includes(0) and loss.domains["y"].includes(1):
        np.testing.assert_array_equal(loss.losses(y == 1, f), loss.losses((y == 1).astype(float), f))


def memory_layout_does_not_matter(loss: Loss) -> None:
    """Strided, transposed, read-only, listed and scalar arguments give the same numbers, and stay as they were."""
    y, f = batch(loss, (4, 6))
    want = loss.evaluate(y, f)
    spread = np.zeros((4, 18))
    spread[:, ::3] = f
    locked = f.copy()
    locked.flags.writeable = False
    for form in (np.asfortranarray(f), spread[:, ::3], f[::-1][::-1], locked, f.tolist(), tuple(map(tuple, f))):
        for output, got in loss.evaluate(y, form).items():
            np.testing.assert_array_equal(got, want[output])
    row = loss.evaluate(y[1], f[1])
    scalar = loss.evaluate(y[1, 2], f[1, 2])
    nothing = loss.evaluate(np.zeros((0, 3)), np.zeros((0, 3)))
    for output in want:
        np.testing.assert_array_equal(row[output], want[output][1])
        assert scalar[output] == want[output][1, 2]
        assert np.shape(scalar[output]) == ()
        assert nothing[output].shape == (0, 3)
    np.testing.assert_array_equal(y, batch(loss, (4, 6))[0])
    np.testing.assert_array_equal(f, batch(loss, (4, 6))[1])


def ways_of_asking_agree(loss: Loss) -> None:
    """Single outputs, several at once, the call, the cost and the state say the same."""
    y, f = batch(loss)
    together = loss.evaluate(y, f)
    np.testing.assert_array_equal(together["losses"], loss.losses(y, f))
    np.testing.assert_array_equal(together["gradient"], loss.gradient(y, f))
    np.testing.assert_array_equal(together["hessian"], loss.hessian(y, f, kind="diagonal"))
    assert loss(y, f) == loss.cost(y, f) == loss.state(y, f).mean == loss.cost_and_gradient(y, f)[0]
    assert loss(y_true=y, y_pred=f, reduction="sum") == loss.state(y, f).sum
    assert isinstance(loss(y, f), float)


def reductions_divide_by_what_they_say(loss: Loss) -> None:
    """``mean`` is Σwl/Σw, ``count_mean`` Σwl/n, ``sum`` Σwl, ``none`` wl; gradients are those of that very cost."""
    y, f = batch(loss)
    rng = np.random.default_rng(5)
    for weight in (None, rng.choice([0.0, 0.5, 2.0], len(y))):
        for mask in (None, rng.random(len(y)) < 0.7):
            w = np.ones(len(y)) if weight is None else weight
            m = np.ones(len(y), bool) if mask is None else mask
            each = {name: np.where(m, w * numbers, 0.0) for name, numbers in loss.evaluate(y, f).items()}
            divisors = {"mean": w[m].sum(), "count_mean": m.sum(), "sum": 1.0, "none": 1.0}
            for reduction, divisor in divisors.items():
                want = each["losses"] if reduction == "none" else each["losses"].sum() / divisor
                cost, gradient = loss.cost_and_gradient(y, f, weight, reduction, mask=mask)
                np.testing.assert_allclose(cost, want, rtol=1e-14, atol=1e-14)
                np.testing.assert_allclose(loss.cost(y, f, weight, mask, reduction), want, rtol=1e-14, atol=1e-14)
                np.testing.assert_allclose(gradient, each["gradient"] / divisor, rtol=1e-14, atol=0)


def weights_broadcast_by_axes_of_size_one(loss: Loss) -> None:
    """A weight a row, or a column, or one for all."""
    y, f = batch(loss, (3, 4))
    for shape in ((3, 1), (1, 4), (1, 1), (3, 4)):
        weight = np.random.default_rng(1).uniform(0.5, 2, shape)
        full = np.broadcast_to(weight, y.shape).copy()
        assert loss.cost(y, f, weight) == loss.cost(y, f, full)
        assert loss.cost(y, f, mask=weight > 1, empty="zero") == loss.cost(y, f, mask=full > 1, empty="zero")


def what_is_masked_does_not_matter(loss: Loss) -> None:
    """A masked row may hold anything: NaN, infinity, a label that is none, a weight that is none."""
    y, f = batch(loss)
    mask = np.arange(len(y)) % 3 > 0
    want = loss.cost_and_gradient(y[mask], f[mask])
    for junk in (np.nan, np.inf, -np.inf, -77.5, 1e300):
        dirty_y, dirty_f, weight = np.where(mask, y, junk), np.where(mask, f, junk), np.where(mask, 1.0, junk)
        for w in (None, weight):
            cost, gradient = loss.cost_and_gradient(dirty_y, dirty_f, w, mask=mask)
            assert cost == pytest.approx(want[0], rel=1e-14)
            np.testing.assert_allclose(gradient[mask], want[1], rtol=1e-14)
            assert (gradient[~mask] == 0).all()
        assert loss.state(dirty_y, dirty_f, mask=mask).bad == 0


def weight_zero_silences_infinity(loss: Loss) -> None:
    """A row of weight 0 adds nothing, whatever its loss and gradient."""
    y, f = batch(loss)
    worst = extreme(loss.domains["f"], far=1e300)
    dirty = np.where(np.arange(len(y)) < 2, worst, f)
    weight = np.where(np.arange(len(y)) < 2, 0.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for reduction in ("mean", "count_mean", "sum", "none"):
            cost, gradient = loss.cost_and_gradient(y, dirty, weight, reduction)
            assert np.isfinite(cost).all()
            assert (gradient[:2] == 0).all()
        assert loss.cost(y, dirty, weight) == pytest.approx(loss.cost(y[2:], f[2:]), rel=1e-14)


def overflow_is_infinite_and_silent(loss: Loss) -> None:
    """Sums, weights and casts beyond the range of a type give infinity, never a warning or another error."""
    domain = loss.domains["f"]
    for dtype in (np.float64, np.float32):
        y = np.resize(targets(loss, dtype), 8).astype(dtype)
        extremes = [value for value in (1e19, -1e19, 1.2e154, -1.2e154, 1e300, -1e300) if domain.includes(value)]
        with np.errstate(over="ignore"):
            f = np.resize(extremes or [domain.low, domain.high], 8).astype(dtype)
        f = np.where(np.isfinite(f), f, np.finfo(dtype).max)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for weight in (None, np.full(8, 1e30), np.full(8, 1.5e308), np.full(8, 5e-324)):
                for reduction in ("mean", "count_mean", "sum", "none"):
                    loss.cost_and_gradient(y, f, weight, reduction)
                    loss.cost(y, f, weight, reduction=reduction)
                loss.state(y, f, weight).merge(loss.state(y, f, weight))


def nothing_to_average_follows_the_policy(loss: Loss) -> None:
    """Empty, masked and weightless data are an error, zero or NaN, as asked; the gradient is zero."""
    y, f = batch(loss, 4)
    cases: dict[str, tuple[Array, Array, Any, Any]] = {
        "there are no examples": (y[:0], f[:0], None, None),
        "all 4 examples are masked": (y, f, None, np.zeros(4, bool)),
        "the weights of all 4 examples are zero": (y, f, np.zeros(4), None),
    }
    one = {"the only example is masked": (None, [False]), "the weight of the only example is zero": ([0.0], None)}
    cases |= {reason: (y[:1], f[:1], *given) for reason, given in one.items()}
    for reason, (y_, f_, weight, mask) in cases.items():
        with pytest.raises(lm.EmptyError, match=f"{reason}; pass empty='zero'"):
            loss.cost(y_, f_, weight, mask)
        with pytest.raises(lm.EmptyError, match=reason):
            loss.cost_and_gradient(y_, f_, weight, mask=mask)
        assert loss.cost(y_, f_, weight, mask, empty="zero") == 0.0
        assert math.isnan(loss.cost(y_, f_, weight, mask, empty="nan"))
        cost, gradient = loss.cost_and_gradient(y_, f_, weight, mask=mask, empty="zero")
        assert cost == 0
        assert gradient.shape == f_.shape
        assert not gradient.any()
        assert loss.cost(y_, f_, weight, mask, "none").shape == f_.shape


def out_is_written_in_place(loss: Loss) -> None:
    """``out`` receives the gradient and comes back; the result does not depend on what it held."""
    for dtype in (np.float64, np.float32):
        y, f = (array.astype(dtype) for array in batch(loss, (3, 5)))
        out = np.full((3, 5), np.nan, dtype)
        cost, gradient = loss.cost_and_gradient(y, f, out=out)
        assert gradient is out
        np.testing.assert_array_equal(out, loss.cost_and_gradient(y, f)[1])
        assert cost == loss.cost(y, f)


LAWS = (
    memory_layout_does_not_matter,
    ways_of_asking_agree,
    reductions_divide_by_what_they_say,
    weights_broadcast_by_axes_of_size_one,
    what_is_masked_does_not_matter,
    weight_zero_silences_infinity,
    overflow_is_infinite_and_silent,
    nothing_to_average_follows_the_policy,
    out_is_written_in_place,
)


@pytest.mark.engines(of=defaults_on_every_engine)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_contract(case: Loss, law: Any) -> None:
    law(case)


@pytest.mark.engines("numpy")
def test_every_pair_of_types(case: Loss) -> None:
    results_have_the_shape_and_type(case, itertools.product(*TYPES))


@pytest.mark.engines
def test_each_type_on_every_engine(kind: type[Loss]) -> None:
    results_have_the_shape_and_type(kind())
