"""The value of every loss, against the truth and against the worked numbers of its card."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.exactness import ALLOWANCES, OUTPUTS, Allowance, misses
from lossmith.certify.points import points

pytestmark = pytest.mark.engines

DTYPES = (np.float64, np.float32)


def values_are_exact(loss: Loss, dtype: Any = np.float64) -> None:
    """The value is right, infinite beyond the range of the type, and of the type of the predictions."""
    y, f = points(loss, dtype)
    got = loss.losses(y, f)
    assert got.dtype == dtype
    assert misses(loss, 0, y, f, got) == []


def nothing_is_never_minus_nothing(loss: Loss) -> None:
    """A loss that cannot be negative is 0.0 where it vanishes; -0.0 would print as a negative loss."""
    got = loss.losses(*points(loss))
    assert not (loss.card.traits.nonnegative and np.signbit(got).any())


def examples_are_true(kind: type[Loss]) -> None:
    """Every worked example of the card comes out as printed."""
    for example in kind.card.examples:
        loss = kind(**example.options)
        for got, printed in zip(loss.losses(example.y_true, example.y_pred), example.losses, strict=True):
            assert as_printed(float(got), printed), f"{loss}: {example.text} Got {float(got)!r} for {printed!r}"
        if example.cost is not None:
            cost = loss.cost(example.y_true, example.y_pred)
            assert as_printed(cost, example.cost), f"{loss}: {example.text} Got {cost!r} for {example.cost!r}"


def as_printed(got: float, printed: float) -> bool:
    """Return whether a number is the printed one: exactly when it is short, else to the last digit printed."""
    digits = Decimal(repr(printed)).as_tuple()
    places = -int(digits.exponent)
    if places <= 3:
        return math.isclose(got, printed, rel_tol=1e-14, abs_tol=1e-14)
    return abs(Decimal(got) - Decimal(repr(printed))) <= Decimal(5).scaleb(-places - 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_exact(case: Loss, dtype: Any) -> None:
    values_are_exact(case, dtype)


def test_nothing_is_never_minus_nothing(case: Loss) -> None:
    nothing_is_never_minus_nothing(case)


def test_examples_are_true(kind: type[Loss]) -> None:
    examples_are_true(kind)


# The worked numbers of the field's tutorials: learners look for exactly these.
PROBABILITIES = {"prediction": "probabilities"}
TUTORIALS = (
    ("mean_error", {}, "errors of +100 and -100", (100.0, -100.0), 0.0),
    ("squared_error", {}, "actual 30, predicted 28 and 20", (4.0, 100.0), None),
    ("absolute_error", {}, "actual 120, predicted 100", (20.0,), None),
    ("absolute_error", {}, "prices 5 and 3 guessed 4 and 6", (1.0, 3.0), None),
    ("binary_cross_entropy", PROBABILITIES, "-ln 0.9 and -ln 0.1", (0.1053605, 2.3025851), None),
    ("binary_cross_entropy", PROBABILITIES, "1 at 0.8, 0 at 0.2", (0.2231436, 0.2231436), None),
    ("hinge", {}, "+1 at scores 2.5, 0.8, -0.5", (0.0, 0.2, 1.5), None),
    ("sparse_categorical_cross_entropy", PROBABILITIES, "cat at 0.7 and 0.3", (0.3566749, 1.2039728), None),
    ("sparse_categorical_cross_entropy", PROBABILITIES, "dog 0.5, cat 0.2, wolf 0.3: dog", (0.6931472,), None),
    ("categorical_cross_entropy", PROBABILITIES, "the same one-hot: cat at 0.7 and 0.3", (0.3566749, 1.2039728), None),
    ("categorical_cross_entropy", PROBABILITIES, "the same one-hot: a dog at 0.5", (0.6931472,), None),
    ("triplet", {"margin": 1.5}, "two photos of one person and a stranger", (0.5,), None),
)


@pytest.mark.parametrize(("name", "options", "story", "losses", "cost"), TUTORIALS, ids=lambda item: str(item)[:40])
def test_the_cards_carry_the_numbers_of_the_tutorials(
    name: str, options: dict[str, Any], story: str, losses: tuple[float, ...], cost: float | None
) -> None:
    told = [(example.losses, dict(example.options)) for example in lm.loss_class(name).card.examples]
    assert (losses, options) in told, story
    if cost is not None:
        assert any(example.losses == losses and example.cost == cost for example in lm.loss_class(name).card.examples)


WITNESSES = {
    "derivatives at soft labels": (lm.BinaryCrossEntropy(labels="signed"), np.float64, 1, -1e-310, -0.0),
    "asymmetric loss of a negative": (lm.Asymmetric(shift=0.5), np.float64, 0, 0.0, 3.0),
    "focal losses below the normal range": (lm.Focal(), np.float32, 2, 0.0, 100.0),
}
"""A result for each allowance that is right by it alone. To look for them takes long."""


@pytest.mark.parametrize("allowance", ALLOWANCES, ids=lambda item: item.name)
def test_every_allowance_is_needed(allowance: Allowance) -> None:
    loss, dtype, order, *place = WITNESSES[allowance.name]
    y, f = (np.array([number], dtype=dtype) for number in place)
    got = loss.evaluate(y, f)[OUTPUTS[order]]
    assert misses(loss, order, y, f, got) == []
    assert misses(loss, order, y, f, got, [other for other in ALLOWANCES if other is not allowance])
