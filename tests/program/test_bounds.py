"""What gradients are proved to stay between: never less than they reach, and known for forms that people write."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lossmith as lm
from lossmith.certify.points import kinds
from lossmith.program.ranges import of, over, power_of

FREE = math.inf
LABELS = {"target": "{-1, 1}"}
SHARES = {"target": "[0, 1]"}
BOUNDS = (
    ("where(f < y, 4*(y - f), f - y)", {}, -4, 1),
    ("where(y - f < 3 and f - y < 3, (y - f)**2, 9)", {}, -6, 6),
    ("where(not (abs(y - f) > 2 or f > y), (y - f)**2, 0)", {}, -4, 0),
    ("where(abs(2*y - 2*f) <= 1, (y - f)**2, abs(y - f) - 0.25)", {}, -1, 1),
    ("min((y - f)**2, 1)", {}, -2, 2),
    ("where(exp(f) + 1 < 0, f**2, f)", {}, 1, 1),  # a branch that is never taken
    ("max(0.9*(y - f), 0.1*(f - y))", {}, -0.9, 0.1),
    ("max(0, 1 - y*f)", LABELS, -1, 1),
    ("log(1 + exp(f)) - y*f", SHARES, -1, 1),
    ("log(1 + (y - f)**2)", {}, -1, 1),
    ("(y - f)**2/(1 + (y - f)**2)", {}, -2, 2),  # reaches 0.65
    ("log(1 + abs(y - f))", {}, -1, 1),
    ("abs(y - f)/(1 + abs(y - f))", {}, -2, 2),  # reaches 1
    ("sqrt(4 + (y - f)**2)", {}, -1, 1),
    ("(4 + 3*(y - f)**2)**-1", {}, -0.2165, 0.2165),  # reaches 0.162
    ("1 - exp(-(y - f)**2)", {}, -math.sqrt(2 / math.e), math.sqrt(2 / math.e)),
    ("log(cosh(f - y))", {}, -1, 1),
    ("tanh(f)**2", {}, -2, 2),  # reaches 0.77
    ("softplus(f)*softplus(-f)", {}, -FREE, FREE),  # it stays below 1, which no rule reaches
    ("(y - f)**2", {}, -FREE, FREE),
    ("exp(f)", {}, 0, FREE),
    ("where(f < y, (y - f)**2, f - y)", {}, -FREE, 1),
    ("sqrt(abs(y - f))", {}, -FREE, FREE),
    ("1/f", {"prediction": "(0, inf)"}, -FREE, 0),
    ("1/f", {"prediction": "[2, inf)"}, -0.25, 0),
    ("min(f**2, y)", {}, -FREE, FREE),  # by as much as y is
    ("f/(1 + f**4)", {}, -FREE, FREE),
)


@pytest.mark.parametrize(("text", "words", "low", "high"), BOUNDS, ids=lambda item: str(item))
def test_what_gradients_stay_between(text: str, words: dict[str, str], low: float, high: float) -> None:
    loss = lm.formula(text, **words)
    assert loss._slopes == pytest.approx((low, high), rel=1e-3)
    assert loss.card.traits.lipschitz == (math.isfinite(low) and math.isfinite(high))
    rng = np.random.default_rng(0)
    f = np.concatenate([s * rng.standard_normal(5000) for s in (0.1, 1.0, 100.0)])
    f = f if "prediction" not in words else np.abs(f) + 2
    y = rng.choice([-1.0, 1.0] if words is LABELS else [0.0, 1.0] if words is SHARES else f + rng.normal(0, 2), f.size)
    slopes = loss.gradient(y, f)
    assert loss._slopes[0] <= np.nanmin(slopes)
    assert np.nanmax(slopes) <= loss._slopes[1]


def test_a_trait_holds_for_all_parameters_and_a_bound_for_these() -> None:
    for domain, lipschitz in (("(0, inf)", False), ("(0, 5]", True)):
        loss = lm.formula("k*abs(y - f)", parameters={"k": (4.0, domain)})
        assert loss._slopes == (-4.0, 4.0)
        assert loss.replace(k=2.0)._slopes == (-2.0, 2.0)
        assert loss.card.traits.lipschitz is lipschitz


def test_ranges_are_rounded_outward() -> None:
    third = over((3.0, 3.0))
    assert third[0] < third[1]
    assert third[0] * 3 <= 1 <= third[1] * 3
    for op, x in (("exp", 1.0), ("sigmoid", -40.0), ("log", 3.0), ("softplus", 0.5), ("tanh", 0.3), ("bell", 20.0)):
        low, high = of(op, [(x, x)])
        assert 0 <= low < high < low * (1 + 1e-11)
    assert of("add", [(0.1, 0.1), (0.2, 0.2)])[0] < 0.1 + 0.2
    assert of("mul", [(2.0, 3.0), (-1.0, 4.0)]) == (-3.0, 12.0)
    assert of("abs", [(-3.0, 2.0)]) == (0.0, 3.0)
    assert of("div", [(1.0, 2.0), (-1.0, 1.0)]) == (-math.inf, math.inf)


def test_nothing_is_too_large_or_too_deep_to_be_bounded() -> None:
    assert power_of((-1.0, 2.0), 5) == (-16.0, 32.0)
    assert power_of((-3.0, 2.0), 2**100) == (0.0, math.inf)  # whose factors nobody could multiply one by one
    steepest = lm.formula(f"max({', '.join(f'{slope}*abs(f - y)' for slope in range(400))})")
    assert (steepest._slopes, steepest.card.traits.convex) == ((-399.0, 399.0), True)


def test_most_bounded_losses_of_the_catalogue_are_proved() -> None:
    bounded = [kind().raw_form for kind in kinds() if kind.card.traits.lipschitz]
    proved = [loss for loss in bounded if all(map(math.isfinite, loss._slopes))]
    assert len(proved) >= 0.75 * len(bounded)
