"""``lossmith show``: the page of every loss."""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

import lossmith as lm
from lossmith.cli._root import root
from lossmith.cli.show import Page, code, symbol


def show(*words: str) -> str:
    result = CliRunner().invoke(root, ["show", *words])
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("name", lm.names())
def test_the_page_says_all_that_the_card_knows(name: str) -> None:
    loss, page = lm.get(name), flat(show(name))
    card = loss.card
    for text in (card.title, str(loss), card.summary, card.picture, card.activation, card.estimates, *loss.aliases):
        assert text in page
    for text in (*card.pros, *card.cons, *card.use_when, *card.avoid_when, *map(str, card.references)):
        assert flat(text) in page
    for myth in card.myths:
        assert myth.claim in page
        assert myth.truth in page
    for parameter in loss.parameters().values():
        assert f"{parameter.name} ({symbol(parameter.symbol)})" in page
        assert parameter.doc in page
        assert str(parameter.domain) in page
    for option in loss.options().values():
        assert option.doc in page
    for kink in card.kinks:
        assert kink.where in page
    for heading in (
        "Formula",
        "Picture",
        "Facts",
        "Use it when",
        "For it",
        "Against it",
        "Worked examples",
        "In Python",
        "Sources",
    ):
        assert f" {heading} " in page


@pytest.mark.parametrize("name", lm.names())
@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_page_fits(name: str, width: int) -> None:
    lines = Page(lm.get(name), width).lines()
    assert [line for line in lines if len(line) > max(width, 76) and "https://" not in line] == []
    assert not any(line != line.rstrip() for line in lines)
    assert not any(a == b == "" for a, b in pairwise(lines))


@pytest.mark.parametrize("name", lm.names())
def test_json_has_the_same_facts(name: str) -> None:
    found, loss = json.loads(show(name, "--json")), lm.get(name)
    assert found["schema"] == 1
    assert found["name"] == name
    assert found["title"] == loss.card.title
    assert set(found["formula"]) == {"loss", "gradient", "hessian"}
    assert [entry["name"] for entry in found["parameters"]] == list(loss.parameters())
    assert len(found["examples"]) == len(loss.card.examples)
    for worked, example in zip(found["examples"], loss.card.examples, strict=True):
        np.testing.assert_allclose(worked["losses"], example.losses, rtol=1e-5, atol=1e-12)


def test_examples_are_computed_and_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm.Huber, "losses", lambda self, y, f: np.full(len(y), 77.25))
    assert "77.25" in show("huber")


def test_values_are_those_asked_for() -> None:
    assert "Huber(delta=2)" in show("huber(delta=2)")
    assert "lm.Huber(delta=2)" in show("huber(delta=2)")
    assert json.loads(show("quantile(level=0.9)", "--json"))["values"] == {"level": 0.9}
    assert "f the probability" in show("bce(prediction=probabilities)")
    assert "f the logit" in show("bce")
    assert "f the log rate" in show("poisson")
    assert show("mse") == show("squared_error")


@pytest.mark.parametrize("name", lm.names())
def test_the_code_runs(name: str) -> None:
    loss = lm.get(name)
    y = np.array([0.0, 1.0, 1.0, 0.0] * 20)
    space = {"y_true": y, "y_pred": y - 0.25, "X": np.arange(80.0)[:, None], "y": y}
    if "lightgbm" in code(loss):
        pytest.importorskip("lightgbm")
    exec(code(loss), space)  # the page tells people to run it
    assert space["loss"] == loss
    assert ("model" in space) == (loss.card.estimates != "nothing" and name != "zero_one")


def test_without_sympy_the_rest_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sympy", None)
    from lossmith.core import reading

    reading._namespace.cache_clear()
    assert "SymPy" in show("huber")
    assert json.loads(show("huber", "--json"))["formula"] is None


def test_symbols() -> None:
    assert symbol(r"\delta") == "δ"
    assert symbol(r"\alpha") == "α"
    assert symbol("k") == "k"
