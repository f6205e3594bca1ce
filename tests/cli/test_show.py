"""``lossmith show``: the page of every loss."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import lossmith as lm
from lossmith.cli._code import code, sample
from lossmith.cli._root import root
from lossmith.cli.show import Page, symbol

pytestmark = pytest.mark.engines("numpy")  # costs are those of either engine, and kernels take a while to compile


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
    for item in loss.declared().values():
        assert item.doc in page
    for item in loss.inputs:
        if not loss.paired:
            assert item.doc in page
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


def forms(name: str) -> list[lm.Loss]:
    """Return a loss in all its forms."""
    options = lm.loss_class(name).options()
    found = []
    for choices in itertools.product(*(option.choices for option in options.values())):
        with contextlib.suppress(lm.ParameterError):  # some do not go together
            found.append(lm.get(name, **dict(zip(options, choices, strict=True))))
    return found


@pytest.mark.parametrize("name", lm.names())
@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_page_fits(name: str, width: int) -> None:
    for loss in forms(name) if width == 80 else [lm.get(name)]:
        fits(loss, width)


def fits(loss: lm.Loss, width: int) -> None:
    lines = Page(loss, width).lines()
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
    assert [entry["name"] for entry in found["inputs"]] == [item.name for item in loss.inputs]
    settings = [entry["name"] for part in ("parameters", "options", "further") for entry in found[part]]
    assert sorted(settings) == sorted(loss.declared())
    for key in ("summary", "picture", "estimates", "activation", "task"):
        assert found[key] == getattr(loss.card, key)
    for entry, reference in zip(found["references"], loss.card.references, strict=True):
        assert entry["doi"] == reference.doi
    assert len(found["examples"]) == len(loss.card.examples)
    for worked, example in zip(found["examples"], loss.card.examples, strict=True):
        losses = [np.inf if value is None else value for value in worked["losses"]]  # JSON has no infinity
        np.testing.assert_allclose(losses, example.losses, rtol=1e-5, atol=1e-12)


def test_examples_are_computed_and_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm.Huber, "losses", lambda self, y_true, y_pred: np.full(len(y_true), 77.25))
    assert "77.25" in show("huber")


def test_examples_name_every_input() -> None:
    lines = show("gaussian_nll").splitlines()
    heads = [line.split() for line in lines if line.split()[:2] == ["y_true", "y_pred"] and line.endswith("loss")]
    assert heads == [["y_true", "y_pred", "variance", "loss"]] * 2
    assert "(0.6, 0.8)" in show("triplet")
    narrow = Page(lm.get("dpo"), 60).lines()
    assert any(line.split()[:2] == ["reference_rejected", "-50"] for line in narrow)  # one column after another


def test_values_are_those_asked_for() -> None:
    assert "Huber(delta=2)" in show("huber(delta=2)")
    assert "lm.Huber(delta=2)" in show("huber(delta=2)")
    assert json.loads(show("quantile(level=0.9)", "--json"))["values"] == {"level": 0.9}
    assert "f the probability" in show("bce(prediction=probabilities)")
    assert "f the logit" in show("bce")
    assert "f the log rate" in show("poisson")
    assert show("mse") == show("squared_error")


def executed(loss: lm.Loss, text: str) -> dict[str, Any]:
    y = np.tile(np.asarray(sample(loss).get("y_true", ()), dtype=float), 40)
    if loss.card.task == "binary":  # of both classes
        y[1::2] = {-1: 1, 0: 1, 1: -1.0 if loss.values.get("labels") == "signed" else 0.0}[y[0]]
    space: dict[str, Any] = {"X": np.arange(float(y.size))[:, None], "y": y} if y.ndim == 1 else {}
    exec(text, space)
    return space


@pytest.mark.parametrize("name", lm.names())
def test_the_code_runs(name: str) -> None:
    for loss in forms(name):
        text = code(loss).partition("\n\nfrom lossmith.lightgbm")[0]
        assert executed(loss, text)["loss"] == loss
        assert sample(loss)


BOOSTED = [
    name for name in lm.names() if lm.get(name).elementwise and name not in {"zero_one", "mean_error", "perceptron"}
]


@pytest.mark.parametrize("name", BOOSTED)
def test_the_code_for_boosted_trees_runs(name: str) -> None:
    assert "model" in executed(lm.get(name), code(lm.get(name)))


def test_the_code_offers_what_the_loss_has() -> None:
    assert [name for name in lm.names() if "lightgbm" in code(lm.get(name))] == BOOSTED
    assert "gradient" not in code(lm.get("zero_one"))


@pytest.mark.parametrize(
    "text",
    [
        "barron(alpha=-inf)",
        "0.7 * huber + 0.3 * mae",
        "2 * tweedie",
        "0.5 * asymmetric(shift=0.125) + 0.25 * focal(gamma=1, alpha=0.25) + 0.25 * brier",
        "multi_quantile(levels=(0.1, 0.2, 0.3, 0.4, 0.5))",
        "balanced_softmax(counts=(1, 2, 3, 4))",
        "sparse_categorical_cross_entropy(class_axis=0, class_weight=(1, 2))",
        "kl_divergence(class_axis=0)",
    ],
)
def test_the_code_of_values_and_sums_runs(text: str) -> None:
    loss = lm.parse(text)
    assert executed(loss, code(loss).partition("\n\nfrom lossmith.lightgbm")[0])["loss"] == loss
    assert max(map(len, code(loss).splitlines())) <= 74
    fits(loss, 80)
    assert json.loads(show(text, "--json"))["text"] == str(loss)


@pytest.mark.parametrize(
    "loss",
    [
        lm.formula("k*abs(f - y)", parameters={"k": (4.0, "(0, inf)")}),
        lm.formula("k*abs(f - y)", parameters={"k": (4.0, "(0, inf)")}).replace(k=3),
        lm.formula(
            "k*softplus(f) - y*f + 0*max(y, 1 if y == 1 else 0)", parameters={"k": 1}, task="binary", name="mine"
        ),
        lm.formula("f*y", target="[-1, 1]", prediction="(-5, 5)", link="log", task="counts"),
        0.5 * lm.Huber() + lm.formula("k*(f - y)**2", parameters={"k": 2.0}),
    ],
    ids=str,
)
def test_the_code_makes_formulas_with_what_they_declare(loss: lm.Loss) -> None:
    space: dict[str, Any] = {}
    exec(code(loss).partition("\ny_true = ")[0].partition("\nloss(")[0], space)
    assert space["loss"] == loss


def test_a_parameter_called_k_runs_over_no_classes() -> None:
    words = ("--parameter", "k=4", "--input", "price", "--predicted", "v in (0, inf)")
    page = show("k*price*(f - y)**2/v + log(v)", *words)
    assert "runs over" not in page
    assert "inputs={'price': '(-inf, inf)'}" in page
    assert "inputs = {" not in page  # there is no worked example of it
    assert "loss(y_true, y_pred, v=v, price=price)" in page


def test_data_that_no_example_resembles_is_left_to_the_reader() -> None:
    assert "np.array" not in code(lm.get("kl_divergence", class_axis=3))
    assert "loss(p=p, q=q)" in code(lm.get("kl_divergence", class_axis=3))


def test_a_formula_by_hand_has_what_is_computed_beside_it() -> None:
    page = flat(show("kl_divergence"))
    assert "sum over k of p[k] log(p[k] / q[k])" in page
    assert "The library computes it from: p⋅(log(p) - log(q))" in page
    assert (
        json.loads(show("kl_divergence", "--json"))["computed_from"]
        == r"p \left(\log{\left(p \right)} - \log{\left(q \right)}\right)"
    )
    assert json.loads(show("huber", "--json"))["computed_from"] is None
    assert "computes it from" not in show("huber")


def test_a_sum_shows_its_terms() -> None:
    page = flat(show("0.7 * huber + 0.3 * mae"))
    assert "0.7 times" in page
    assert "0.3 times │f - y│" in page
    found = json.loads(show("0.7 * huber + 0.3 * mae", "--json"))
    assert found["family"] is None
    assert found["formula"]["loss"].endswith(r"+ 0.3 \left(\left|{f - y}\right|\right)")


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
    assert symbol(r"\varepsilon") == "ε"
    assert symbol(r"\gamma_{+}") == "γ₊"
    assert symbol("c_0") == "c₀"
    assert "γ₊" in show("asymmetric").partition("Picture")[0]
