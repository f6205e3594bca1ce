"""What formulas prove about themselves: nothing that is not so, and what best constants are found by."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.certify.points import kinds
from lossmith.program.polynomials import Polynomial
from lossmith.program.ranges import power_of, times

K, Q = {"k": (4.0, "(0, inf)")}, {"q": (0.9, "(0, 1)")}
PROVED = (
    ("(y - f)**2", {}, "convex smooth nonnegative shifts even square"),
    ("k*(y - f)**2 + y**2", K, "convex smooth nonnegative square"),
    ("f**2/2 - y*f", {}, "convex smooth square"),  # without the part that f does not change
    ("k*(y - f)**2", {"k": 4.0}, "smooth shifts even"),  # k may be below 0
    ("where(f < y, k*(y - f)**2, (y - f)**2)", K, "convex nonnegative shifts"),
    ("where(f < y, -k*(y - f)**2, (y - f)**2)", K, "shifts"),
    ("where(f < y, q*(y - f), (1 - q)*(f - y))", Q, "convex shifts scales"),
    ("where(f > y, q*(y - f), (1 - q)*(f - y))", Q, "shifts scales"),  # concave
    ("where(f > y, k*(f - y), 0)", K, "convex shifts scales"),
    ("where(f < y, f, 2*f)", {}, ""),  # jumps
    ("max(0.9*(y - f), 0.1*(f - y))", {}, "convex shifts scales"),
    ("min(0.9*(y - f), 0.1*(f - y))", {}, "shifts scales"),
    ("where(abs(y - f) <= k, (y - f)**2/2, k*(abs(y - f) - k/2))", K, "convex shifts even"),
    ("where(abs(y - f) <= k, (y - f)**2, k*(abs(y - f) - k/2))", K, "shifts even"),
    ("where(abs(2*y - f) <= 1, (2*y - f)**2/2, abs(2*y - f) - 0.5)", {}, "convex"),
    ("max(0, abs(y - f) - k)", K, "convex nonnegative shifts even"),
    ("abs(y - f)**1.5", {}, "convex nonnegative shifts even"),
    ("abs(y - f)**0.5", {}, "nonnegative shifts even"),
    ("exp(0.5*(f - y)) - 0.5*(f - y)", {}, "convex smooth shifts"),
    ("exp(f) - y*f", {}, "convex smooth"),
    ("f**4 - f**2", {}, "smooth"),
    ("f**3", {}, "smooth"),
    ("log(1 + exp(f)) - y*f", {}, "convex smooth"),
    ("log(1 + (y - f)**2)", {}, "smooth nonnegative shifts even"),
    ("-log(f) + y*f", {}, ""),  # no number below 0
    ("1/f + y*f", {}, ""),
    ("tanh(f - y)**2", {}, "smooth nonnegative shifts even"),
    ("(f - 0.5*y)**2", {}, "convex smooth nonnegative"),
    ("k*abs(y - f)", {"k": (1.0, "(-1, inf)")}, "shifts even scales"),
    ("y*abs(f)", {}, ""),  # concave for targets below 0
    ("(y - f)**3", {}, "smooth shifts"),
    ("hold(abs(y - f))*(f - y)", {}, "shifts"),
)


def proved(loss: lm.Loss) -> set[str]:
    """Return the names of what is proved of a loss."""
    return {name for name, holds in vars(loss._proof).items() if holds}


@pytest.mark.parametrize(("text", "parameters", "what"), PROVED, ids=lambda item: str(item))
def test_what_is_proved(text: str, parameters: dict[str, object], what: str) -> None:
    loss = lm.formula(text, parameters=parameters)
    assert proved(loss) == set(what.split())
    card = loss.card
    assert card is loss.card
    assert (card.traits.convex, card.traits.symmetric) == ("convex" in what, "even" in what)
    assert card.estimates == ("mean" if "square" in what else "not known")


def test_domains_count() -> None:
    assert "convex" in proved(lm.formula("-log(f) + y*f", prediction="(0, inf)"))
    assert "convex" in proved(lm.formula("1/f + y*f", prediction="(0, inf)"))
    assert "convex" in proved(lm.formula("y*abs(f)", target="[0, inf)"))
    assert not proved(lm.formula("(y - f)**2/s + log(s)", predicted={"s": "(0, inf)"}))  # of two together


def test_the_catalogue_says_what_it_proves(kind: type[lm.Loss]) -> None:
    loss, traits = kind().raw_form, kind.card.traits
    holds = {
        "convex": traits.convex,
        "smooth": traits.smooth,
        "nonnegative": traits.nonnegative,
        "even": traits.symmetric,
    }
    assert proved(loss) & set(holds) <= {name for name, said in holds.items() if said}


def test_much_of_the_catalogue_is_proved() -> None:
    convex = [kind for kind in kinds() if kind.card.traits.convex]
    assert sum("convex" in proved(kind().raw_form) for kind in convex) >= 0.6 * len(convex)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("3*(y - f)**2", lm.SquaredError()),
        ("where(f < y, 9*(y - f)**2, (y - f)**2)", lm.Expectile(level=0.9)),
        ("where(f < y, 0.9*(y - f), 0.1*(f - y))", lm.Quantile(level=0.9)),
        ("5*abs(y - f)", lm.AbsoluteError()),
        ("where(abs(y - f) <= 0.5, (y - f)**2, abs(y - f) - 0.25)", lm.Huber(delta=0.5)),
    ],
    ids=str,
)
def test_best_constants_are_those_of_the_catalogue(text: str, peer: lm.Loss) -> None:
    rng = np.random.default_rng(0)
    y, w = rng.gamma(2, 3, 501), rng.uniform(0.1, 1, 501)
    loss = lm.formula(text)
    for weight in (None, w):
        assert loss.optimal_constant(y, weight) == pytest.approx(peer.optimal_constant(y, weight), rel=1e-12)
    np.testing.assert_allclose(loss.best_prediction(y), y, rtol=1e-12)


def test_a_shift_is_found_once_for_all_targets() -> None:
    found = lm.formula("cosh(f - y - 3)").best_prediction([-50.0, 0.0, 1e6])
    np.testing.assert_allclose(found, [-47, 3, 1e6 + 3], rtol=1e-9)


def test_polynomials_and_ranges() -> None:
    x, y = Polynomial.atom(0), Polynomial.atom(1)
    square = (x - y) * (x - y)
    assert square.at(0, y).terms == {}
    assert square.slope(0).terms == (x + x - y - y).terms
    assert square.by(0)[1].terms == (-(y + y)).terms
    assert square.range(lambda atom: ((0.0, 1.0), (2.0, 3.0))[atom]) == (-2.0, 10.0)
    assert times((-1.0, 2.0), (0.0, np.inf)) == (-np.inf, np.inf)
    assert power_of((-3.0, 2.0), 2) == (0.0, 9.0)
