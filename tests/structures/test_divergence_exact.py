"""Divergences against 100 digits: values and derivatives, for every kind of p and of q."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.structures.divergence import KINDS
from tests import exceptions
from tests.structures import truth

pytestmark = pytest.mark.engines

ORDINARY = ([0.3, -1.2, 0.8], [-0.4, 0.1, 1.7])
NEAR = ([0.3, -1.2, 0.8], [0.3 + 1e-9, -1.2 + 3e-9, 0.8 - 2e-9])
SATURATED = ([38.5, 0.25, -3.0], [41.0, 1.5, -2.0])
OPPOSED = ([30.0, 0.0, 1.0], [-1.0, 31.0, 0.5])
TINY = ([1e-9, 0.0, -2e-9], [0.0, 3e-9, 1e-9])
SHIFTED = ([1000.5, 1000.0, 998.0], [-500.0, -501.5, -500.25])
TAIL = ([0.5, 0.25, -30.0], [0.5 + 1e-8, 0.25, -36.0])
LOGITS = {
    "ordinary": ORDINARY,
    "near": NEAR,
    "saturated": SATURATED,
    "opposed": OPPOSED,
    "tiny": TINY,
    "shifted": SHIFTED,
    "tail": TAIL,
}
PAIRS = list(itertools.product(KINDS, KINDS))

EXCEPTIONS = exceptions.of("divergences")


def kinds_of(name: str) -> list[tuple[str, str]]:
    if not name.startswith("Generalised"):
        return PAIRS
    return list(itertools.product(("values", "log_values"), repeat=2))


def given(logits: list[float], kind: str) -> list[float]:
    """Return a row of logits in another kind, rounded to float64."""
    if kind == "logits":
        return logits
    p = truth.probabilities(truth.exact(logits), "logits")
    return [float(x if kind in ("probabilities", "values") else truth.mp.log(x)) for x in p]


CASES = [(name, *kinds) for name in truth.DEFINITIONS for kinds in kinds_of(name)]


def definition(name: str, p_kind: str, q_kind: str) -> Callable[..., Any]:
    return truth.divergence(truth.DEFINITIONS[name], p_kind, q_kind)


@cache  # both engines are held against one truth
def true(name: str, p_kind: str, q_kind: str, where: str) -> truth.Here:
    p, q = LOGITS[where]
    return truth.Here(definition(name, p_kind, q_kind), given(p, p_kind) + given(q, q_kind))


def made(name: str, p_kind: str, q_kind: str) -> lm.Loss:
    return lm.parse(name).replace(p_kind=p_kind, q_kind=q_kind)


def halves(x: list[float], dtype: type = np.float64) -> dict[str, np.ndarray]:
    half = len(x) // 2
    return {"p": np.array([x[:half]], dtype), "q": np.array([x[half:]], dtype)}


def allowed(name: str, output: str) -> int:
    ulps: int = EXCEPTIONS.get((name, output), truth.ULPS)
    return ulps


@pytest.mark.parametrize(("name", "p_kind", "q_kind"), CASES)
def test_values_and_gradients(name: str, p_kind: str, q_kind: str) -> None:
    loss, most = made(name, p_kind, q_kind), allowed(name, "gradient")
    for where in LOGITS if p_kind == q_kind else ("saturated", "tail"):
        here = true(name, p_kind, q_kind, where)
        found = loss.evaluate(**halves(here.x), outputs=("losses", "gradient"))
        off = truth.ulps_off(found["losses"], here.value, here.change_of_value)
        assert off.max() <= truth.ULPS, (where, off)
        got = np.concatenate([found["gradient"]["p"][0], found["gradient"]["q"][0]])
        assert np.all(np.isfinite(got))
        off = truth.ulps_off(got, here.slopes, here.change_of_slopes, most)
        assert off.max() <= most, (where, off)


@pytest.mark.parametrize(("name", "p_kind", "q_kind"), CASES)
def test_hessians(name: str, p_kind: str, q_kind: str) -> None:
    loss, most = made(name, p_kind, q_kind), allowed(name, "hessian")
    for where in ("saturated", "tail") if p_kind == q_kind == "logits" else ("ordinary",):
        here = true(name, p_kind, q_kind, where)
        found = loss.evaluate(**halves(here.x), outputs=("hessian", "full_hessian"))
        full = found["full_hessian"]
        got = np.block([[full["p", "p"][0], full["p", "q"][0]], [full["p", "q"][0].T, full["q", "q"][0]]])
        off = truth.ulps_off(got, here.bends, here.change_of_bends, most)
        assert off.max() <= most, (where, off.reshape(got.shape))
        for symbol in "pq":
            np.testing.assert_array_equal(np.diagonal(full[symbol, symbol][0]), found["hessian"][symbol][0])


@pytest.mark.parametrize("name", truth.DEFINITIONS)
def test_float32_loses_only_its_own_rounding(name: str) -> None:
    for kinds in kinds_of(name):
        x = true(name, *kinds, "ordinary").x
        found = made(name, *kinds).evaluate(**halves(x, np.float32), outputs=("losses", "gradient"))
        here = truth.Here(definition(name, *kinds), [float(np.float32(number)) for number in x])
        assert found["losses"].dtype == found["gradient"]["q"].dtype == np.float32
        np.testing.assert_allclose(found["losses"], [float(here.value)], rtol=1e-6)
        got = np.concatenate([found["gradient"]["p"][0], found["gradient"]["q"][0]])
        np.testing.assert_allclose(got, [float(s) for s in here.slopes], rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_distillation(temperature: float) -> None:
    t = truth.mp.mpf(temperature)

    def hot(x: Sequence[Any]) -> Any:
        inner = truth.divergence(truth.kl, "logits", "logits")
        return t * t * inner([number / t for number in x])

    loss = lm.Distillation(temperature)
    for where in ("near", "saturated", "opposed"):
        teacher, student = LOGITS[where]
        here = truth.Here(hot, teacher + student)
        found = loss.evaluate(
            teacher=[teacher], student=[student], outputs=("losses", "gradient", "hessian", "full_hessian")
        )
        assert truth.ulps_off(found["losses"], here.value, here.change_of_value).max() <= truth.ULPS, where
        off = truth.ulps_off(found["gradient"], here.slopes[3:], lambda here=here: here.change_of_slopes()[3:])  # type: ignore[misc]
        assert off.max() <= truth.ULPS, (where, off)
        block = np.array([[float(number) for number in row[3:]] for row in here.bends[3:]])
        np.testing.assert_allclose(found["full_hessian"][0], block, rtol=1e-9, atol=1e-25)


@pytest.mark.parametrize("name", ["JensenShannon()", "SquaredHellinger()", "TotalVariation()"])
def test_shares_that_are_nothing_beside_others_count_for_what_they_are(name: str) -> None:
    kinds = ("probabilities", "probabilities")
    for small in (1e-17, 1e-20, 1e-300, 5e-324):
        p, q = [1.0, small, 0.0], [small, 1.0, 0.0]
        found = made(name, *kinds).losses(p=[p], q=[q])
        here = truth.Here(definition(name, *kinds), p[:2] + q[:2])
        assert truth.ulps_off(found, here.value, lambda: [0]).max() <= truth.ULPS, small


def test_the_measure_can_fail() -> None:
    # The naive way loses the digits of nearly equal logits.
    here = true("KLDivergence()", "logits", "logits", "tiny")
    p, q = (np.exp(row) / np.exp(row).sum() for row in (np.array(here.x[:3]), np.array(here.x[3:])))
    naive = np.sum(p * (np.log(p) - np.log(q)))
    assert truth.ulps_off([naive], here.value, here.change_of_value).max() > 1e6
    assert truth.ulps_off([float(here.value) * (1 + 1e-14)], here.value, here.change_of_value).max() > truth.ULPS
