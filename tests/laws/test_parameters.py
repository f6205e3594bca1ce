"""Between the parameters of the law grid and far beyond them, losses keep their digits, or what the table says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss, ParameterError
from lossmith.certify import oracle, points
from lossmith.certify.exactness import OUTPUTS, ULPS, misses
from lossmith.engines import choice
from lossmith.program import Ops, Value
from tests import exceptions
from tests.laws.grid import WRITTEN
from tests.laws.test_every_loss import BOUNDS, finite_input_gives_no_nan_and_no_warning

pytestmark = pytest.mark.engines

EXCEPTIONS = exceptions.of("parameters")
FAR = exceptions.of("far")
POINTS = 80
LEAST = 1e-300
"""Nearer to a probability of 0, its reciprocal overflows before a small parameter is multiplied with it."""


def cases(kind: type[Loss]) -> Iterator[Loss]:
    """Yield a loss with every parameter at places that the law grid leaves out, in each form of its formula."""
    options = [option for option in kind.options().values() if option.name != WRITTEN]
    forms = [{}, *({option.name: choice} for option in options for choice in option.choices[1:])]
    for name, parameter in kind.parameters().items():
        low, high, ends = *parameter.typical, parameter.domain
        places = ((low + high) / 2, (low + ends.low) / 2, (high + ends.high) / 2, low / 10, low * 10, high * 10)
        for value in (place for place in places if np.isfinite(place)):
            for form in forms:
                with suppress(ParameterError):  # beyond the domain, or a parameter of another form
                    yield kind(**{**form, name: value})


def misses_beyond(loss: Loss, ulps: float) -> list[str]:
    """Return the results that are off by more, over some points of the grid where the truth can be found."""
    y, f = points.points(loss)
    reached = np.flatnonzero((f == 0) | (np.abs(f) >= LEAST) | (loss.values.get("prediction") != "probabilities"))
    # What derivatives are at a kink is a convention, and a law of its own.
    kinks = [place in points.kinks_at(loss, target) for target, place in zip(y[reached], f[reached], strict=True)]
    reached = reached[~np.array(kinks)]
    plain = all(loss.values[name] == option.default for name, option in type(loss).options().items())
    most = min(POINTS if plain else POINTS // 2, reached.size)  # parameters meet many forms
    picked = np.random.default_rng(3).choice(reached, most, replace=False)
    found, off = loss.evaluate(y[picked], f[picked]), []
    for order, output in enumerate(OUTPUTS):
        for row, place in enumerate(picked):
            with suppress(oracle.Undecided):
                off += misses(loss, order, y[[place]], f[[place]], found[output][[row]], within=ulps)
    return off


@pytest.mark.long
def test_far_parameters_keep_their_digits(kind: type[Loss]) -> None:
    ulps, each = EXCEPTIONS.get(kind().name, (ULPS, 0))
    for loss in dict.fromkeys(cases(kind)):
        size = max(abs(loss.values[name]) for name in kind.parameters() if loss.values[name] is not None)
        assert misses_beyond(loss, ulps + each * size) == []


WITNESSES = {
    "barron": (lm.Barron(alpha=20), 0, -1.0, -100.0),
    "cauchy": (lm.Cauchy(scale=50), 1, 0.0, -1e-310),
    "geman_mcclure": (lm.GemanMcClure(scale=50), 1, 0.0, -1e-310),
    "pseudo_huber": (lm.PseudoHuber(delta=50), 1, 0.0, 1e-310),
    "focal": (lm.Focal(gamma=50), 2, 0.3, -0.2),
    "tweedie": (lm.Tweedie(power=2.45), 0, 1e-310, -714.3013788281542),
}
"""A result for each exception that is right by it alone. To look for them takes long."""


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_every_exception_is_needed(name: str) -> None:
    loss, order, *place = WITNESSES[name]
    y, f = (np.array([number]) for number in place)
    assert misses(loss, order, y, f, loss.evaluate(y, f)[OUTPUTS[order]], within=ULPS), "remove its exception"


class Textbook(lm.Barron):
    """Barron's loss as it is printed, which loses its digits where the exponent is small."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        spread = ops.abs(self.alpha - 2)
        z = (f - y) * (f - y) / (self.scale * self.scale * spread)
        return spread / self.alpha * (ops.pow(1 + z, self.alpha / 2) - 1)


def test_the_law_catches_a_loss_that_is_right_on_paper_only() -> None:
    assert misses_beyond(Textbook(alpha=0.11), ULPS)
    assert not misses_beyond(lm.Barron(alpha=0.11), ULPS)


@pytest.mark.engines("numpy")
@pytest.mark.parametrize("name", [name for name in lm.names() if FAR.get(name, BOUNDS) is not None])
def test_finite_input_gives_numbers_at_far_parameters_too(name: str) -> None:
    bounds = {**BOUNDS, name: FAR[name]} if name in FAR else BOUNDS
    for loss in dict.fromkeys(cases(lm.loss_class(name))):
        finite_input_gives_no_nan_and_no_warning(loss, bounds)
        with choice.using("llvm"):  # sums lie around the formula, which parameters are in, and are kernels to compile
            finite_input_gives_no_nan_and_no_warning(loss, bounds, costs=False)


@pytest.mark.parametrize("name", FAR)
def test_every_bound_is_needed(name: str) -> None:
    def fails(loss: Loss) -> bool:
        try:
            finite_input_gives_no_nan_and_no_warning(loss)
        except AssertionError:
            return True
        return False

    assert any(fails(loss) for loss in cases(lm.loss_class(name))), f"{name} needs no bound: remove it"
