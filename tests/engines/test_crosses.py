"""Cross-entropies of logits are found in programs, and computed by one function of a logit's size, to the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import facts
from lossmith.engines.choice import using
from lossmith.engines.crosses import crosses
from lossmith.engines.operations import OPERATIONS, recipe
from lossmith.structures.pointwise import Pointwise

ALIKE = (
    "y*softplus(-f) + (1 - y)*softplus(f)",
    "softplus(f)*(1 - y) + softplus(-f)*y",
    "(1 - y)*softplus(-f) + y*softplus(f)",
    "(y + 1)/2*softplus(-f) + (1 - y)/2*softplus(f)",
    "(0.9*y + 0.05)*softplus(-f) + (0.95 - 0.9*y)*softplus(f)",
)
UNLIKE = (
    "y*softplus(-f) + (2 - y)*softplus(f)",
    "y*softplus(-f) + (1 + y)*softplus(f)",
    "y*y*softplus(-f) + (1 - y*y)*softplus(f)",
    "y*softplus(-f) + (1 - y)*softplus(2*f)",
    "y*softplus(-f) - (1 - y)*softplus(f)",
    "(1 - y)*softplus(f) + y*(-softplus(-f))",
    "y*sigmoid(-f) + (1 - y)*sigmoid(f)",
    "k*softplus(-f) + (1 - y)*softplus(f)",
)


def of_text(text: str) -> Pointwise:
    return lm.formula(text, parameters={"k": 0.5} if "k" in text else {})


def found(loss: Pointwise) -> dict[str, str]:
    """Return which outputs are cross-entropies or slopes."""
    program = loss.part("value", "gradient:f", "hessian:f,f", "valid")
    seen = crosses(program, facts.ranges(program, tame=True))
    return {name: seen[number][0] for name, number in program.outputs if number in seen}


@pytest.mark.parametrize(
    "loss", [*map(of_text, ALIKE), lm.BinaryCrossEntropy(), lm.BinaryCrossEntropy(labels="signed")], ids=str
)
def test_cross_entropies_and_their_slopes_are_found(loss: Pointwise) -> None:
    assert found(loss) == {"value": "softplus", "gradient:f": "sigmoid", "hessian:f,f": "same"}
    made = [make for _, make, _ in recipe(loss.part("value", "gradient:f", "valid"))]
    assert not {OPERATIONS["softplus"], OPERATIONS["sigmoid"]} & {*made}  # which they were written with


@pytest.mark.parametrize("text", UNLIKE)
def test_what_only_looks_alike_is_left(text: str) -> None:
    assert found(of_text(text)) == {}


def test_one_value_by_shares_that_add_up_to_one_is_that_value() -> None:
    assert set(found(of_text("y*softplus(f) + (1 - y)*softplus(f)")).values()) == {"same"}
    assert found(of_text("y*softplus(f) + y*softplus(f)")) == {}


@pytest.mark.parametrize("loss", [lm.BinaryCrossEntropy(), of_text("0.3*softplus(-f) + 0.7*softplus(f)")], ids=str)
def test_where_a_zero_has_to_win_nothing_is_found(loss: Pointwise) -> None:
    assert found(loss)
    program = loss.part("value", "gradient:f")  # nothing says that logits are finite
    assert crosses(program, facts.ranges(program)) == {}


@pytest.mark.parametrize("text", [*ALIKE, *UNLIKE])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_are_those_of_the_reference(text: str, dtype: Any) -> None:
    loss, rng = of_text(text), np.random.default_rng(0)
    y = rng.choice([0, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-7, 1], 6000).astype(dtype)
    f = rng.choice([0.0, -0.0, 1e-30, 3, -3, 20, -20, 90, -90, 700, -700], 6000).astype(dtype)
    results = []
    for name in ("numpy", "llvm"):
        with using(name):
            results.append(loss.evaluate(y, f, outputs=("losses", "gradient", "hessian")))
    for output, expected in results[0].items():
        near = 8 * np.finfo(dtype).eps
        # A slope near its zero is a difference of what is left of a share and of a probability.
        np.testing.assert_allclose(results[1][output], expected, rtol=near, atol=near if output != "losses" else 0)
        if "0.9" not in text:
            hard = (y == 0) | (y == 1)
            np.testing.assert_allclose(results[1][output][hard], expected[hard], rtol=near, atol=0)
