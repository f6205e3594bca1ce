"""Every card is complete: whoever adds a loss is told what is missing."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sympy.parsing.sympy_parser import convert_xor, implicit_multiplication, parse_expr, standard_transformations

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
    symbols = [item.symbol for item in loss.predicted] if loss.card.formula is None else [loss.focus.symbol]
    derived = [read(loss, x) for x in symbols for read in (reading.latex_gradient, reading.latex_hessian)]
    plain = [read(loss) for read in (reading.latex_gradient, reading.latex_hessian)]
    assert plain == derived[2 * symbols.index(loss.focus.symbol) :][:2]
    whole = reading.latex(loss)
    for text in (whole, *derived):
        assert text
        assert text.count("{") == text.count("}")
        assert "Piecewise" not in text
    for parameter in loss.free_parameters:
        assert loss.parameters()[parameter].symbol in whole
    for output in ("value", f"gradient:{loss.focus.symbol}", f"hessian:{loss.focus.symbol},{loss.focus.symbol}"):
        assert reading.pretty(loss, output)


def test_a_formula_set_by_hand_goes_with_the_kind_of_the_input_in_focus() -> None:
    assert reading.latex_gradient(lm.KLDivergence()) == r"-\frac{p_k}{q_k}"
    assert reading.latex_gradient(lm.KLDivergence(q_kind="logits")) == "q_k - p_k"
    assert reading.latex_gradient(lm.KLDivergence(p_kind="logits")) == r"-\frac{p_k}{q_k}"
    assert reading.latex_gradient(lm.JensenShannon(), "p") != reading.latex_gradient(lm.JensenShannon())
    with pytest.raises(lm.LossmithError, match="has no formula for gradient:p"):
        reading.latex_gradient(lm.Triplet(), "p")


SUMS = [name for name in CARDS if CARDS[name].task == "distributions" and "q_kind" in lm.loss_class(name).options()]


def number(text: str, loss: lm.Loss, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return what the text of a formula of one class says."""
    for words, symbols in (
        ("[k]", ""),
        ("²", "**2"),
        ("³", "**3"),
        ("√p", "sqrt(p)"),
        ("√q", "sqrt(q)"),
        ("√", "sqrt"),
    ):
        text = text.replace(words, symbols)
    rules = (*standard_transformations, implicit_multiplication, convert_xor)
    found = parse_expr(re.sub(r"\|(.*)\|", r"Abs(\1)", text), transformations=rules)
    found = found.subs("α", loss.values.get("alpha", 0))
    return np.array([float(found.subs({"p": left, "q": right})) for left, right in zip(p, q, strict=True)])


@pytest.mark.parametrize("name", SUMS)
def test_formulas_of_divergences_are_true_for_every_kind(name: str) -> None:
    cls = lm.loss_class(name)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.7, 0.2])
    plain = cls()
    texts = [reading.pretty(plain, output) for output in ("value", "gradient:q", "hessian:q,q")]
    assert texts[0].startswith("sum over k of ")
    value, g, h = (number(text.removeprefix("sum over k of "), plain, p, q) for text in texts)
    assert value.sum() == pytest.approx(plain.losses(p=[p], q=[q])[0], rel=1e-12)
    c = q * g + q * q * h
    carried = {
        "logits": (
            "q[k] (g[k] - sum over j of q[j] g[j])",
            q * (g - np.sum(q * g)),
            "c[k] (1 - 2 q[k]) + q[k]² sum over j of c[j] - q[k] (1 - q[k]) sum over j of q[j] g[j]",
            c * (1 - 2 * q) + q * q * np.sum(c) - q * (1 - q) * np.sum(q * g),
        ),
        "log_probabilities": ("q[k] g[k]", q * g, "q[k] g[k] + q[k]² h[k]", c),
        "probabilities": (texts[1], g, texts[2], h),
    }
    carried |= {"values": carried["probabilities"], "log_values": carried["log_probabilities"]}
    for kind in cls.options()["q_kind"].choices:
        loss = cls(q_kind=kind)
        found = loss.evaluate(p=[p], q=[q if kind in ("probabilities", "values") else np.log(q)])
        first, slope, second, bend = carried[kind]
        np.testing.assert_allclose(found["gradient"]["q"][0], slope, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(found["hessian"]["q"][0], bend, rtol=1e-10, atol=1e-14)
        if not (kind == "logits" and name == "kl_divergence"):
            assert reading.pretty(loss, "gradient:q").startswith(first)
            assert reading.pretty(loss, "hessian:q,q").startswith(second)


def test_huber_reads_as_in_the_books() -> None:
    assert reading.latex(lm.Huber()).startswith(r"\begin{cases} \frac{\left(f - y\right)^{2}}{2} & \text{for}\: ")
    assert reading.latex_gradient(lm.BinaryCrossEntropy()).count(r"\sigma") == 2


def test_losses_of_named_inputs_read_as_in_the_books() -> None:
    assert reading.latex(lm.GaussianNLL()) == r"\frac{\log{\left(v \right)}}{2} + \frac{\left(f - y\right)^{2}}{2 v}"
    assert reading.latex_gradient(lm.GaussianNLL()) == r"\frac{f - y}{v}"
    assert r"\operatorname{sg}\left(v^{\beta}\right)" in reading.latex(lm.BetaNLL())
    assert r"\operatorname{erf}" in reading.latex(lm.CRPSGaussian())


def test_names_and_aliases_are_unique() -> None:
    seen: dict[str, str] = {}
    for name in lm.names():
        for alias in (name, *lm.loss_class(name).aliases):
            key = alias.replace("_", "").replace("-", "").lower()
            assert seen.setdefault(key, name) == name, f"{alias} names both {seen[key]} and {name}"
