"""The vector mathematics of the compiled engine, against 60 digits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from benchmarks.accuracy import TYPES, over_bits
from benchmarks.accuracy import over_arrays as function
from mpmath import mp, mpf

from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import exponentials, powers
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.lanes import Kind, Lanes
from lossmith.engines.llvm.vectors import Vector

Array = np.ndarray


def points(kind: Kind) -> Array:
    """Return ordinary numbers, far ones, ones near 0 and 1, and every special one."""
    rng, info = np.random.default_rng(0), np.finfo(TYPES[kind])
    spread = np.exp(rng.uniform(math.log(float(info.tiny)) - 30, math.log(float(info.max)), 150))
    special = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 88.72283, -103.9, 709.782712893384, -745.13, -708.4, np.inf, np.nan]
    ends = [float(info.tiny), float(info.smallest_subnormal), float(info.max)]
    numbers = [
        rng.normal(size=300) * 3,
        rng.uniform(-100, 100, 150),
        rng.uniform(-760, 720, 100),
        rng.uniform(0.4, 1.6, 200),
        rng.uniform(-1, 1, 200),
        spread,
        -spread,
        [*special, *ends, *(-end for end in ends), -np.inf],
    ]
    with np.errstate(over="ignore", under="ignore"):
        return np.concatenate(numbers).astype(TYPES[kind])


TRUTHS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "exp": (mp.exp, 1.2),
    "expm1": (mp.expm1, 1.9),
    "log": (lambda x: mp.log(x) if x > 0 else -mp.inf if x == 0 else mp.nan, 1.1),
    "log1p": (lambda x: mp.log1p(x) if x > -1 else -mp.inf if x == -1 else mp.nan, 1.5),
    "tanh": (mp.tanh, 1.6),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), 1.6),
    "softplus": (lambda x: mp.log1p(mp.exp(x)), 2.0),
    "logcosh": (lambda x: mp.log1p(2 * mp.sinh(x / 2) ** 2), 2.0),
    "sech2": (lambda x: mp.sech(x) ** 2, 1.9),
    "bell": (lambda x: mp.exp(-x * x / 2), 1.3),
    "normal_within": (lambda x: mp.erf(x / mp.sqrt(2)), 1.4),
    "log1p_excess": (lambda x: x - mp.log1p(x) if x > -1 else mp.inf if x == -1 else mp.nan, 1.8),
}
"""What each function is, and the units in the last place that it keeps to."""


def worst(got: Array, arguments: Array, truth: Callable[[Any], Any]) -> float:
    """Return the largest error in units in the last place; infinite for a wrong special value."""
    dtype, found = got.dtype.type, 0.0
    for argument, value in zip(arguments.tolist(), got.tolist(), strict=True):
        with mp.workdps(700 if abs(argument) > 1e15 or abs(argument) < 1e-15 else 60):
            exact = mp.nan if math.isnan(argument) else _limit(truth, argument)
            if mp.isnan(exact):
                found = max(found, 0.0 if math.isnan(value) else math.inf)
                continue
            with np.errstate(over="ignore"):
                nearest = float(dtype(float(exact)))
            if math.isinf(nearest) or not math.isfinite(value):
                found = max(found, 0.0 if value == nearest else math.inf)
            else:
                found = max(found, float(abs(mpf(value) - exact) / unit(dtype(abs(nearest)))))
    return found


def unit(number: Any) -> float:
    """Return one unit in the last place of a number that is not negative."""
    below = np.nextafter(number, type(number)(0))
    return float(number) - float(below) if number else float(np.finfo(type(number)).smallest_subnormal)


def _limit(truth: Callable[[Any], Any], argument: float) -> Any:
    return truth(mpf(argument)) if math.isfinite(argument) else truth(mpf(math.copysign(1e6, argument)) ** 60)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", TRUTHS)
def test_functions_of_one_number_are_exact(name: str, kind: Kind) -> None:
    truth, ulps = TRUTHS[name]
    arguments = points(kind)
    finite = arguments[np.isfinite(arguments) | np.isnan(arguments)]
    assert worst(function(getattr(Vector, name), kind)(finite), finite, truth) <= ulps
    few = np.concatenate([finite[:-30:7], finite[-30:]])  # what other machines compute, by other instructions
    for bits in OTHER_BITS:
        assert worst(function(getattr(Vector, name), kind, bits=bits)(few), few, truth) <= ulps, bits


OTHER_BITS = [bits for bits in (128, 256) if bits < compiler.host().bits]


@pytest.mark.parametrize("name", TRUTHS)
def test_functions_of_floats_are_exact_everywhere(name: str) -> None:
    find, found = over_bits(name, compiler.host().bits), 0.0
    for first in range(0, 2**32, EVERY):
        found, place = find(first, first + TOGETHER)
    assert found <= TRUTHS[name][1], place


EVERY, TOGETHER = 2**20, 2**11
"""From one to the next of the blocks of floats that are looked at, and how many are in one."""


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_infinities(kind: Kind, bits: int) -> None:
    ends = np.array([-np.inf, np.inf])
    limits = {
        "exp": (0, np.inf), "expm1": (-1, np.inf), "log": (np.nan, np.inf), "log1p": (np.nan, np.inf), "tanh": (-1, 1),
        "sigmoid": (0, 1), "softplus": (0, np.inf), "logcosh": (np.inf, np.inf), "sech2": (0, 0), "bell": (0, 0),
        "normal_within": (-1, 1), "log1p_excess": (np.nan, np.inf),
    }  # fmt: skip
    for name, expected in limits.items():
        got = function(getattr(Vector, name), kind, bits=bits)(ends)
        np.testing.assert_array_equal(got, expected, err_msg=name)
    legs = np.array(list(itertools.product((-np.inf, np.inf, np.nan, 0.0, -0.0, 3.0, 1e30), repeat=2))).T
    got = function(vector.hypot, kind, 2, bits)(*legs)
    np.testing.assert_allclose(got, np.hypot(*legs), rtol=3e-7)  # infinite beside infinity, as IEEE 754 has it


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_the_sign_of_nothing_is_kept(kind: Kind, bits: int) -> None:
    for name in ("expm1", "log1p", "tanh"):
        got = function(getattr(Vector, name), kind, bits=bits)(np.array([0.0, -0.0]))
        assert np.signbit(got).tolist() == [False, True], name


def within(got: Array, truths: list[Any], ulps: float) -> bool:
    """Return whether numbers are off by at most so many units in the last place."""
    units = [unit(got.dtype.type(abs(float(truth)))) for truth in truths]
    return all(abs(mpf(x) - truth) <= ulps * u for x, truth, u in zip(got.tolist(), truths, units, strict=True))


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_logarithms_of_what_is_known_are_exact(kind: Kind, bits: int) -> None:
    rng = np.random.default_rng(4)
    shares = np.concatenate([rng.uniform(0, 1, 400), np.exp(rng.uniform(-80, 0, 200)), [0.0, 1.0]]).astype(TYPES[kind])
    a = np.exp(rng.uniform(-80, 80, shares.size)).astype(TYPES[kind])
    x = np.where(rng.random(shares.size) < 0.5, -shares, a).astype(TYPES[kind])
    x[-1] = 0.0  # of -1 there is no logarithm
    least = (x < -0.5).astype(TYPES[kind])
    either = function(lambda b, a, x, c: vector.log_of_either(b, c > 0.5, a, x), kind, 3, bits)(a, x, least)
    with mp.workdps(60):
        of_shares = function(vector.log1p_of_share, kind, 1, bits)(shares)
        assert within(of_shares, [mp.log1p(mpf(share)) for share in shares.tolist()], 2)
        of_either = [
            mp.log(mpf(a)) if first else mp.log1p(mpf(x))
            for a, x, first in zip(a.tolist(), x.tolist(), least.tolist(), strict=True)
        ]
        assert within(either, of_either, 2)
        assert not within(either * TYPES[kind](1 + 4 * np.finfo(TYPES[kind]).eps), of_either, 2)
    ends = np.array(
        [[0.0, np.inf, -1.0, np.nan, 5.0, 5.0, 5.0, 5.0], [7.0] * 4 + [-1.0, np.inf, -2.0, -0.0], [1.0] * 4 + [0.0] * 4]
    )
    expected = [-np.inf, np.inf, np.nan, np.nan, -np.inf, np.inf, np.nan, -0.0]
    got = function(lambda b, a, x, c: vector.log_of_either(b, c > 0.5, a, x), kind, 3, bits)(*ends)
    np.testing.assert_array_equal(got, expected)
    assert np.signbit(got[-1])


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_bells_keep_the_digits_of_what_they_lower(kind: Kind, bits: int) -> None:
    rng, least = np.random.default_rng(5), math.log(float(np.finfo(TYPES[kind]).tiny))
    a = (rng.choice([-1, 1], 500) * np.exp(rng.uniform(-5, 5, 500))).astype(TYPES[kind])
    x = -np.concatenate([rng.uniform(0, 3, 250), rng.uniform(0, 5 - least, 250)]).astype(TYPES[kind])
    low = (x * rng.uniform(-0.5, 0.5, 500) * np.finfo(TYPES[kind]).eps).astype(TYPES[kind])
    got = function(Vector.lowered, kind, 3, bits)(a, x, low)
    with mp.workdps(60):
        truths = [
            mpf(a) * mp.exp(mpf(x) + mpf(low)) for a, x, low in zip(a.tolist(), x.tolist(), low.tolist(), strict=True)
        ]
        assert within(got, truths, 2 if bits == 512 else 4)  # others multiply by a root twice
        assert not within(
            got, [truth * (1 - mpf(low) * 12) for truth, low in zip(truths, low.tolist(), strict=True)], 2
        )


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_exponentials_are_the_same_beside_those_of_the_negative(kind: Kind, bits: int) -> None:
    numbers = points(kind)
    for write in (exponentials.exp, lambda b, x: Vector.mul_exp(b, b.number(3.0), x)):
        alone = function(write, kind, 1, bits)(-numbers)
        beside = function(lambda b, x, write=write: b.select(x > x, write(b, x), write(b, -x)), kind, 1, bits)(numbers)
        np.testing.assert_array_equal(beside, alone)


@pytest.mark.parametrize("kind", TYPES)
def test_powers_are_exact(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    base = np.concatenate([np.exp(rng.uniform(-40, 40, 400)), rng.uniform(0.5, 1.5, 400), rng.uniform(0, 1, 200)])
    exponent = np.concatenate([rng.uniform(-5, 5, 400), rng.uniform(-600, 600, 400), rng.uniform(0, 5, 200)])
    base, exponent = base.astype(TYPES[kind]), exponent.astype(TYPES[kind])
    got = function(powers.pow, kind, 2)(base, exponent)
    for a, b, value in zip(base.tolist(), exponent.tolist(), got.tolist(), strict=True):
        with mp.workdps(60), np.errstate(over="ignore"):
            exact = mp.power(mpf(a), mpf(b))
            nearest = TYPES[kind](float(exact))
            if np.isinf(nearest):
                assert value == nearest
            else:
                assert abs(mpf(value) - exact) <= 1.5 * unit(nearest), (a, b)


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_lengths_are_exact_however_long_or_short(kind: Kind, bits: int) -> None:
    rng, info = np.random.default_rng(6), np.finfo(TYPES[kind])
    far, near = np.exp(rng.uniform(math.log(float(info.tiny)), math.log(float(info.max)) - 1, (2, 300)))
    ends = [float(info.max), float(info.tiny), float(info.smallest_subnormal), 1.0, 0.0]
    corners = np.array(list(itertools.product(ends, repeat=2))).T
    x, y = np.hstack([rng.normal(size=(2, 300)), [far, near], [far, far * rng.normal(size=300)], corners]).astype(
        TYPES[kind]
    )
    got = function(vector.hypot, kind, 2, bits)(x, y)
    for a, b, value in zip(x.tolist(), y.tolist(), got.tolist(), strict=True):
        with mp.workdps(60), np.errstate(over="ignore"):
            exact = mp.hypot(mpf(a), mpf(b))
            nearest = TYPES[kind](float(exact))
            if np.isinf(nearest):
                assert value == nearest, (a, b)
            else:
                assert abs(mpf(value) - exact) <= 2 * unit(nearest), (a, b)


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_logarithms_of_quotients_are_exact_however_near_or_far_apart(kind: Kind, bits: int) -> None:
    rng, info = np.random.default_rng(2), np.finfo(TYPES[kind])
    above, below = np.exp(rng.uniform(-60, 60, (2, 200)))
    near = above * (1 + rng.choice([-1, 1], 200) * np.exp(rng.uniform(-36, 0, 200)) * 0.9)
    ends = [float(info.max), float(info.tiny), float(info.smallest_subnormal), 1.0]
    far = np.array(list(itertools.product(ends, repeat=2))).T
    x, y = np.hstack([[above, below], [above, near], far]).astype(TYPES[kind])
    got = function(vector.log_quotient, kind, 2, bits)(x, y)
    for a, b, value in zip(x.tolist(), y.tolist(), got.tolist(), strict=True):
        with mp.workdps(60):
            exact = mp.log(mpf(a)) - mp.log(mpf(b))
            assert abs(mpf(value) - exact) <= 2 * unit(TYPES[kind](abs(float(exact)))), (a, b)
    zero = np.array([[0.0, 1.0, -0.0, 0.0], [1.0, 0.0, 2.0, 0.0]])
    np.testing.assert_array_equal(
        function(vector.log_quotient, kind, 2, bits)(*zero), [-np.inf, np.inf, -np.inf, np.nan]
    )


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_products_with_exponentials_are_exact_where_exponentials_are_not(kind: Kind, bits: int) -> None:
    rng, info = np.random.default_rng(3), np.finfo(TYPES[kind])
    factor = (rng.choice([-1, 1], 600) * np.exp(rng.uniform(math.log(info.tiny), math.log(info.max), 600))).astype(
        TYPES[kind]
    )
    rate = (rng.uniform(-20, 20, 600) - np.where(np.arange(600) < 400, np.log(np.abs(factor)), 0)).astype(TYPES[kind])
    got = function(Vector.mul_exp, kind, 2, bits)(factor, rate)
    for a, x, value in zip(factor.tolist(), rate.tolist(), got.tolist(), strict=True):
        with mp.workdps(60), np.errstate(over="ignore"):
            exact = mpf(a) * mp.exp(mpf(x))
            nearest = TYPES[kind](float(abs(exact)))
            if np.isinf(nearest):
                assert value == math.copysign(np.inf, a)
            else:
                # By steps, each of five factors is rounded, and the exponential is that of a quarter.
                assert abs(mpf(value) - exact) <= (2 if bits == 512 else 8) * unit(nearest), (a, x)


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_an_exact_zero_wins_over_exponentials(kind: Kind, bits: int) -> None:
    inf, most = np.inf, float(np.finfo(TYPES[kind]).max)
    factor = np.array([0.0, 0.0, 1.0, -1.0, 1.0, inf, -inf, inf, most, np.nan, 1.0, inf])
    rate = np.array([inf, 800.0, inf, 1e30, -inf, -inf, 3.0, -1e30, -1e30, 0.0, np.nan, np.nan])
    expected = [0, 0, inf, -inf, 0, 0, -inf, 0, 0, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(function(Vector.mul_exp, kind, 2, bits)(factor, rate), expected)


@pytest.mark.parametrize("bits", [*OTHER_BITS, compiler.host().bits])
@pytest.mark.parametrize("kind", TYPES)
def test_what_is_known_of_factors_spares_looks_and_changes_nothing(kind: Kind, bits: int) -> None:
    info = np.finfo(TYPES[kind])
    factors = [0.0, 1.0, -2.5, float(info.smallest_subnormal), float(info.max), -float(info.tiny), np.inf, np.nan]
    rates = [0.0, 1.0, -3.0, 500.0, -500.0, 1e30, -1e30, np.inf, -np.inf, np.nan]
    factor, rate = np.array(list(itertools.product(factors, rates)), TYPES[kind]).T
    expected = function(Vector.mul_exp, kind, 2, bits)(factor, rate)
    for finite, number in itertools.product((False, True), repeat=2):
        got = function(partial(Vector.mul_exp, finite=finite, number=number), kind, 2, bits)(factor, rate)
        right = (np.isfinite(factor) | (not finite)) & (~np.isnan(rate) | (not number))
        np.testing.assert_array_equal(got[right], expected[right])
        if bits == 512 and (finite or number):  # the looks are needed elsewhere
            assert not np.array_equal(got, expected, equal_nan=True)


@pytest.mark.parametrize("kind", TYPES)
def test_special_powers_are_those_of_numpy(kind: Kind) -> None:
    numbers = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, -3.0, 1e30, np.inf, -np.inf, np.nan]
    base, exponent = np.array(list(itertools.product(numbers, repeat=2)), TYPES[kind]).T
    with np.errstate(all="ignore"):
        expected = np.power(base, exponent)
    np.testing.assert_allclose(function(powers.pow, kind, 2)(base, exponent), expected, rtol=3e-7)


def test_what_two_formulas_share_is_computed_once() -> None:
    body = Vector("double", 8)
    x = Lanes(body, body.real, "%x")
    vector.softplus(body, x)
    before = len(body.lines)
    vector.sigmoid(body, x)
    vector.softplus(body, -x)
    vector.sigmoid(body, -x)
    assert len(body.lines) - before < 20  # no further exponential
    assert sum("icmp slt" in line for line in body.lines) == 1  # nor another look at a sign


def test_exponentials_share_where_machines_scale_by_instructions() -> None:
    body = Vector("double", 8)
    x = Lanes(body, body.real, "%x")
    exponentials.exp(body, x)
    before = len(body.lines)
    exponentials.exp(body, -x)
    exponentials.mul_exp(body, x, -x)
    exponentials.expm1(body, x)
    assert len(body.lines) - before < 40  # where each alone takes about as many


def test_a_size_of_a_size_and_a_half_twice_are_what_they_are_of() -> None:
    body = Vector("double", 8)
    x = Lanes(body, body.real, "%x")
    size, half, quarter = body.abs(x), x * 0.5, x * 0.25
    assert body.abs(size).name == body.abs(-size).name == size.name
    assert (half + half).name == x.name != (quarter + quarter).name
    vector.logcosh(body, half)
    before = len(body.lines)
    exponentials.exp_of_size(body, size)
    assert len(body.lines) == before  # log cosh of a half has it


def test_what_a_rare_branch_computed_is_computed_again_outside() -> None:
    body = Vector("double", 8, label="begin")
    x = Lanes(body, body.real, "%x")
    body.rarely(x > 1.0, lambda: vector.log(body, x), x)
    before = len(body.lines)
    first = vector.log(body, x)
    assert len(body.lines) > before
    before = len(body.lines)
    assert vector.log(body, x).name == first.name
    assert vector.log1p(body, x).name != first.name
    assert len(body.lines) > before
