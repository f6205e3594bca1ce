"""Formulas set by hand on the cards of losses of a target and a prediction, against the numbers."""

from __future__ import annotations

import re

import pytest
import sympy
from sympy.parsing.sympy_parser import implicit_multiplication, parse_expr, standard_transformations

import lossmith as lm
from lossmith.certify.points import kinds
from lossmith.core import reading
from lossmith.core.card import Formula

BY_HAND = [kind for kind in kinds() if kind.card.formula is not None]
POINTS = [(1.0, 2.5), (3.0, 0.5), (-2.0, -0.3), (-0.4, -1.0)]
SIGNS = {"²": "**2", "³": "**3", "^": "**", "α": "alpha"}


def number(text: str, loss: lm.Loss, y: float, f: float) -> float:
    """Return what the text of a formula says, up to the words that follow it."""
    text, _, z = text.partition("\nwith z = ")  # a part with a name of its own
    text = re.split(" for | and ", text.replace("z", f"({z})") if z else text)[0]
    text = re.sub(r"\|([^|]+)\|", r"Abs(\1)", text)
    for sign, code in SIGNS.items():
        text = text.replace(sign, code)
    parameters = {p.symbol.lstrip("\\"): loss.values[name] for name, p in loss.parameters().items()}
    symbols = {name: sympy.Symbol(name) for name in ("y", "f", *parameters)}
    rules = (*standard_transformations, implicit_multiplication)
    found = parse_expr(text, local_dict=symbols, transformations=rules)
    return float(found.subs({symbols[name]: x for name, x in {"y": y, "f": f, **parameters}.items()}))


def says_what_is_computed(loss: lm.Loss, formula: Formula) -> None:
    for y, f in POINTS:
        if not loss.domains["y"].includes(y):
            continue
        for part, got in zip(
            (formula.value, formula.gradient, formula.hessian), loss.evaluate(y, f).values(), strict=True
        ):
            assert number(part[1], loss, y, f) == pytest.approx(float(got), rel=1e-12), (part[1], y, f)


@pytest.mark.parametrize("kind", BY_HAND, ids=lambda kind: kind.name)
def test_what_is_set_by_hand_is_what_is_computed(kind: type[lm.Loss]) -> None:
    assert kind.card.formula is not None
    says_what_is_computed(kind(), kind.card.formula)
    if kind is lm.Barron:
        says_what_is_computed(kind(alpha=-1.5, scale=0.7), kind.card.formula)
    assert reading.latex(kind()) == kind.card.formula.value[0]


def test_a_wrong_formula_is_caught() -> None:
    right = lm.Barron.card.formula
    assert right is not None
    with pytest.raises(AssertionError):
        says_what_is_computed(lm.Barron(), Formula(value=right.value, gradient=right.value, hessian=right.hessian))
