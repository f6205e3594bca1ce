"""Every card is complete: whoever adds a loss is told what is missing."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lossmith as lm
from lossmith.core import reading
from lossmith.core.card import Card

CARDS = {name: lm.loss_class(name).card for name in lm.names()}
SENTENCES = ("summary", "picture")
LISTS = ("pros", "cons", "use_when", "avoid_when", "examples", "references")


def gaps(card: Card) -> list[str]:
    """Return what is missing or malformed on a card."""
    found = [name for name in ("title", "activation", *SENTENCES) if not getattr(card, name).strip()]
    found += [name for name in LISTS if not getattr(card, name)]
    found += [name for name in SENTENCES if not getattr(card, name).endswith(".")]
    found += [f"year {r.year}" for r in card.references if not 1600 < r.year < 2100]
    found += [f"doi {r.doi}" for r in card.references if r.doi and not re.fullmatch(r"10\.\d{4,9}/\S+", r.doi)]
    found += [f"no link: {r.title}" for r in card.references if not (r.doi or r.url)]
    for text in (*card.pros, *card.cons, *card.use_when, *card.avoid_when):
        if text.endswith(".") or text != text.strip():
            found.append(f"a phrase, not a sentence: {text!r}")
    for example in card.examples:
        if len({len(rows) for rows in (*example.arguments.values(), example.losses)}) > 1:
            found.append(f"lengths differ: {example.text!r}")
    return found


@pytest.mark.parametrize("name", CARDS)
def test_card_is_complete(name: str) -> None:
    assert gaps(CARDS[name]) == []


@pytest.mark.parametrize("name", CARDS)
def test_worked_examples_are_right(name: str) -> None:
    for example in CARDS[name].examples:
        found = lm.get(name, **example.options).losses(**example.arguments)
        assert found == pytest.approx(example.losses, abs=1e-6), example.text


def test_the_check_can_fail() -> None:
    from dataclasses import replace

    card = CARDS["huber"]
    assert gaps(replace(card, pros=(), picture="no full stop")) == ["pros", "picture"]
    assert gaps(replace(card, references=(replace(card.references[0], doi="1234"),))) == ["doi 1234"]


@pytest.mark.parametrize("name", CARDS)
def test_worked_examples_take_the_inputs_of_the_loss(name: str) -> None:
    for example in CARDS[name].examples:
        loss = lm.get(name, **example.options)
        assert set(example.arguments) == {item.name for item in loss.inputs}


@pytest.mark.parametrize("name", [name for name in CARDS if not lm.get(name).paired])
def test_worked_examples_of_named_inputs_come_out_as_printed(name: str) -> None:
    for example in CARDS[name].examples:
        got = lm.get(name, **example.options).losses(**example.arguments)
        assert np.round(got, 7).tolist() == list(example.losses), example.text


@pytest.mark.parametrize("name", CARDS)
def test_inputs_are_described_and_drawn_inside_their_domains(name: str) -> None:
    loss = lm.get(name)
    for item in loss.inputs:
        assert item.doc
        if item.name not in ("y_true", "y_pred"):
            assert loss.domains[item.symbol].includes(item.typical[0])
            assert loss.domains[item.symbol].includes(item.typical[1])
    for kink in CARDS[name].kinks:
        assert kink.along in ("", *(item.name for item in loss.predicted))


@pytest.mark.parametrize("name", CARDS)
def test_class_has_a_docstring_and_declared_parameters_are_described(name: str) -> None:
    cls = lm.loss_class(name)
    assert (cls.__doc__ or "").strip().endswith(".")
    for item in cls.declared().values():
        assert item.doc
    for parameter in cls.parameters().values():
        low, high = parameter.typical
        assert low < high
        assert parameter.domain.includes(low)
        assert parameter.domain.includes(high)


@pytest.mark.parametrize("name", CARDS)
def test_formula_reads_as_latex_and_text(name: str) -> None:
    loss = lm.get(name)
    derived = [reading.latex_gradient(loss, x) for x in loss.wrt] + [reading.latex_hessian(loss, x) for x in loss.wrt]
    for text in (reading.latex(loss), reading.latex_gradient(loss), reading.latex_hessian(loss), *derived):
        assert text
        assert text.count("{") == text.count("}")
        assert "Piecewise" not in text
    for parameter in loss.free_parameters:
        assert loss.parameters()[parameter].symbol in reading.latex(loss)
    assert reading.pretty(loss)


def test_huber_reads_as_in_the_books() -> None:
    assert reading.latex(lm.Huber()).startswith(r"\begin{cases} \frac{\left(f - y\right)^{2}}{2} & \text{for}\: ")
    assert reading.latex_gradient(lm.BinaryCrossEntropy()).count(r"\sigma") == 2


def test_losses_of_named_inputs_read_as_in_the_books() -> None:
    assert reading.latex(lm.GaussianNLL()) == r"\frac{\log{\left(v \right)}}{2} + \frac{\left(f - y\right)^{2}}{2 v}"
    assert reading.latex_gradient(lm.GaussianNLL()) == r"\frac{f - y}{v}"
    assert r"\operatorname{hold}\left(v^{\beta}\right)" in reading.latex(lm.BetaNLL())
    assert r"\operatorname{erf}" in reading.latex(lm.CRPSGaussian())


def test_names_and_aliases_are_unique() -> None:
    seen: dict[str, str] = {}
    for name in lm.names():
        for alias in (name, *lm.loss_class(name).aliases):
            key = alias.replace("_", "").replace("-", "").lower()
            assert seen.setdefault(key, name) == name, f"{alias} names both {seen[key]} and {name}"
