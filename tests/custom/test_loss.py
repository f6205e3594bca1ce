"""Losses from texts and functions are losses like any other."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.core.fill import keeps
from lossmith.engines import choice
from lossmith.program import Ops, Value

K = {"k": (1.5, "(0, inf)")}
TWINS: dict[str, tuple[Loss, Loss]] = {
    "huber": (
        lm.formula("(y - f)**2/2 if abs(y - f) <= k else k*(abs(y - f) - k/2)", parameters=K),
        lm.Huber(delta=1.5),
    ),
    "quantile": (lm.formula("max(0.9*(y - f), 0.1*(f - y))"), lm.Quantile(level=0.9)),
    "log-cosh": (lm.formula("log(cosh(f - y))"), lm.LogCosh()),
    "pseudo-huber": (lm.formula("k**2*(sqrt(1 + ((f - y)/k)**2) - 1)", parameters=K), lm.PseudoHuber(delta=1.5)),
    "cross-entropy": (
        lm.formula("-(y*log(1/(1 + exp(-f))) + (1 - y)*log(1 - 1/(1 + exp(-f))))", task="binary"),
        lm.BinaryCrossEntropy(),
    ),
    "focal": (
        lm.formula("-y*sigmoid(-f)**2*log(sigmoid(f)) - (1 - y)*sigmoid(f)**2*log(1 - sigmoid(f))", task="binary"),
        lm.Focal(gamma=2.0),
    ),
    "poisson": (lm.formula("exp(f) - y*f", task="counts"), lm.Poisson()),
    "gaussian": (
        lm.formula("log(variance)/2 + (y - f)**2/(2*variance)", predicted={"variance": "(0, inf)"}),
        lm.GaussianNLL(),
    ),
}


def sample(task: str, rows: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    f = rng.normal(0, 3, rows)
    y = {"binary": rng.integers(0, 2, rows), "counts": rng.poisson(3, rows)}.get(task, rng.normal(0, 3, rows))
    return {"y_true": y.astype(float), "y_pred": f}


def test_a_formula_of_the_catalogue_written_out_is_the_same_program_and_so_the_same_kernel() -> None:
    text = "where(abs(f - y) <= delta, (f - y)**2/2, delta*(abs(f - y) - delta/2))"
    own = lm.formula(text, parameters={"delta": (1.0, "(0, inf)")})
    assert own.program(2) == lm.Huber().program(2)


@pytest.mark.parametrize("engine", ["numpy", "llvm"])
@pytest.mark.parametrize("name", TWINS)
def test_a_text_says_what_the_built_in_loss_says(name: str, engine: choice.Name) -> None:
    own, built_in = TWINS[name]
    data = sample(own.card.task, 300)
    if not own.paired:
        data["variance"] = np.exp(data["y_true"] / 3)
    with choice.using(engine):
        for part in ("losses", "gradient", "hessian"):
            one, two = getattr(own, part)(**data), getattr(built_in, part)(**data)
            for key in one if isinstance(one, dict) else [...]:
                np.testing.assert_allclose(one[key], two[key], rtol=2e-12, atol=1e-14)
        assert own.cost(**data) == pytest.approx(built_in.cost(**data), rel=1e-13)
        assert own.cost_and_gradient(**data)[0] == own.cost(**data)


@pytest.mark.parametrize("name", [name for name in TWINS if name != "gaussian"])
def test_the_best_constant_is_found(name: str) -> None:
    own, built_in = TWINS[name]
    y = sample(own.card.task, 60)["y_true"]
    assert own.optimal_constant(y) == pytest.approx(built_in.optimal_constant(y), rel=1e-7)
    one, two = own.context(y), built_in.context(y)
    assert one.floor == pytest.approx(two.floor, abs=1e-12)
    assert one.constant_cost == pytest.approx(two.constant_cost, rel=1e-12)


def test_the_best_prediction_is_looked_for_where_it_is_not_the_target() -> None:
    assert lm.formula("abs(f - 0.3*y - 20)").best_prediction([1.0, -5.0]) == pytest.approx([20.3, 18.5], abs=1e-12)
    assert lm.formula("(f/y - 1)**2", target="(0, inf)", prediction="(0, inf)").optimal_constant([1.0, 1.0]) == 1.0
    with pytest.raises(lm.NoConstantError, match="falls without bound"):
        lm.formula("f - y").optimal_constant([1.0, 2.0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("where(f < y, 4*(y - f)**2, (y - f)**2)", {}),
        ("(f**2 - abs(y))**2 + 0.01*f*y", {}),
        ("where(y > 1, abs(f - 5), abs(f + 50))", {}),
        ("where(f*y < 0, 3, 1)*abs(f - y) + 0.2*(f - 1)**2", {}),
        ("exp(f) - y*f", {"task": "counts"}),
        ("exp(y - f)", {}),
    ],
)
def test_many_targets_are_searched_as_well_as_few(text: str, words: dict[str, Any]) -> None:
    loss = lm.formula(text, **words)
    y = np.random.default_rng(3).normal(0, 3, 9000)
    y = np.abs(y) if words else y
    many, few = loss.best_prediction(y), np.concatenate([loss.best_prediction(part) for part in np.split(y, 3)])
    one, two = loss._value(y, many), loss._value(y, few)
    assert np.all(one <= two + 1e-9 * np.abs(two) + 1e-12)


@pytest.mark.parametrize("text", ["((f - y)**2 - 1)**2", "log(1 + (f - y)**2)", "sqrt(abs(f - y)) + abs(f - 3*y)/9"])
def test_the_best_constant_of_many_targets_is_no_worse_than_any_of_a_grid(text: str) -> None:
    loss, rng = lm.formula(text), np.random.default_rng(5)
    y = np.concatenate([rng.normal(-4, 0.5, 3000), rng.normal(3, 1.5, 3000)])
    best = loss.optimal_constant(y)
    costs = [loss.cost(y, np.full(y.shape, place)) for place in np.linspace(-8, 9, 171)]
    assert loss.cost(y, np.full(y.shape, best)) <= min(costs) * (1 + 1e-12)


@pytest.mark.parametrize("name", TWINS)
def test_a_loss_goes_through_plain_data_and_pickles(name: str) -> None:
    own = TWINS[name][0]
    if own.values:
        own = own.replace(k=2.5)
    plain = json.loads(json.dumps(own.to_config()))
    for again in (lm.from_config(plain), pickle.loads(pickle.dumps(own)), copy.deepcopy(own), own.replace()):
        assert (again, hash(again), type(again), str(again)) == (own, hash(own), type(own), str(own))
    assert own != lm.formula("(f - y)**4")


def test_what_a_task_brings_is_written_down() -> None:
    plain = lm.formula("exp(f) - y*f", task="counts").to_config()["parameters"]
    assert (plain["target"], plain["link"]) == ("[0, inf)", "log")
    assert lm.formula("exp(f) - y*f", task="counts", link="log", target="[0, inf)").to_config()["parameters"] == plain


def test_equal_declarations_are_one_class_that_is_let_go() -> None:
    text = "(f - y)**2 + 7*f**4"
    assert type(lm.formula(text)) is type(lm.formula(text))
    assert type(lm.formula(text)) is not type(lm.formula(text, name="other"))
    gc.collect()
    from lossmith.custom.text import _CLASSES

    assert not [declaration for declaration in _CLASSES if declaration.text == text]


@pytest.mark.parametrize(
    ("text", "target", "best"),
    [
        ("log(1 + exp(-y*f))", "{-1, 1}", np.log(2.0)),
        ("log(1 + exp((3 - 2*y)*f))", "{1, 2}", np.log(2.0)),
        ("max(1 - y*f, 0)", "{-1, 1}", 1.0),
        ("(f - y)**2", "[-1, 1]", 1 / 3),
    ],
)
def test_labels_may_be_any_two_numbers(text: str, target: str, best: float) -> None:
    loss = lm.formula(text, target=target, task="binary")
    low, high = loss.domains["y"].low, loss.domains["y"].high
    assert loss.optimal_constant([low, high, high]) == pytest.approx(best, rel=1e-9)
    assert (loss + loss).optimal_constant([low, high, high]) == pytest.approx(best, rel=1e-9)
    assert not np.isnan(loss.best_prediction([low, high])).any()


@pytest.mark.parametrize(
    ("text", "words", "best"),
    [
        ("(f/1000 - y)**2", {}, lambda y: 1000 * y),  # in other units than the target
        ("abs(f/1e6 - y)", {}, lambda y: 1e6 * y),
        ("(f - 1e9*y)**2", {}, lambda y: 1e9 * y),
        ("(f - y - 1000)**2", {}, lambda y: y + 1000),
        ("(f - 1e7)**2 + 0*y", {}, lambda y: 1e7 + 0 * y),
        ("exp(f/5000) - y*f/5000", {"target": "(0, inf)"}, lambda y: 5000 * np.log(y)),
        ("(log(f) - 10*y)**2", {"prediction": "(0, inf)"}, lambda y: np.exp(10 * y)),
        ("y/f", {"target": "(0, inf)", "prediction": "(0, inf)"}, lambda y: np.inf * y),  # falls for ever
        ("sqrt(1 + f**2) - f + 0*y", {}, lambda y: np.inf + 0 * y),
    ],
)
def test_the_best_prediction_may_lie_far_from_the_target(text: str, words: dict[str, str], best: Any) -> None:
    loss, y = lm.formula(text, **words), np.array([0.5, 1.0, 4.0])
    np.testing.assert_allclose(loss.best_prediction(y), best(y), rtol=1e-9)
    large = lm.formula("(f - 2*y)**2").best_prediction([1e299, -1e299])
    np.testing.assert_allclose(large, [2e299, -2e299])


def test_a_loss_may_be_level_on_its_way_to_the_best_prediction() -> None:
    y = np.array([8.0, 20.0, 108.0, 1000.0, -50.0, -1e6])
    loss = lm.formula("(f**3 - y)**2")  # has slope and curvature 0 at 0
    np.testing.assert_allclose(loss.best_prediction(y), np.cbrt(y), rtol=1e-9)
    np.testing.assert_allclose([loss.optimal_constant([target]) for target in y], np.cbrt(y), rtol=1e-9)
    assert loss.optimal_constant([20.0, 30.0], [1.0, 3.0]) == pytest.approx(np.cbrt(27.5))
    assert loss.context(y).floor == pytest.approx(0, abs=1e-12)


def test_the_best_constant_may_lie_far_from_the_targets() -> None:
    y, w = np.array([1.0, 2.0, 4.0, 5.0, 9.0]), np.array([1.0, 2.0, 1.0, 2.0, 1.0])
    for text in ("(f/1000 - y)**2", "(f - 1000*y)**2"):
        assert lm.formula(text).optimal_constant(y, w) == pytest.approx(1000 * np.average(y, weights=w))
    assert lm.formula("(f/1000 - y)**2").context(y).floor == pytest.approx(0, abs=1e-20)
    assert lm.formula("(log(f) - y)**2", prediction="(0, inf)").optimal_constant(y) == pytest.approx(np.exp(y.mean()))


def test_targets_that_the_link_cannot_read_have_a_best_prediction_too() -> None:
    found = lm.formula("(exp(f) - y)**2 + 1e-3*f**2", link="log").best_prediction([-1.0, 2.0])
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(np.log(2.0), abs=1e-3)


def test_names_values_and_words() -> None:
    loss = lm.formula("k*(f - y)**2", parameters={"k": (2.0, "(0, inf)")}, name="my_loss")
    assert (str(loss), loss.name, loss.k) == ("MyLoss(k=2)", "my_loss", 2.0)  # type: ignore[attr-defined]
    assert str(lm.formula("k*(f - y)**2", parameters={"k": 2.0})) == "formula('k*(f - y)**2', k=2)"
    with pytest.raises(lm.ParameterError, match=r"k must lie in \(0, inf\)"):
        loss.replace(k=-1.0)
    with pytest.raises(lm.DomainError, match=r"y_true\[1\] is -1"):
        lm.formula("exp(f) - y*f", task="counts").cost([1.0, -1.0], [0.0, 0.0])
    assert lm.formula("exp(f) - y*f", task="counts").link.name == "log"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"parameters": {"k": "x"}}, "default and domain"),
        ({"parameters": {"k": (-1.0, "(0, inf)")}}, "must lie in"),
        ({"parameters": {"k": (1.0, "0 to 1")}}, "not a domain"),
        ({"parameters": {"weight": 1.0}}, "means something else"),
        ({"parameters": {"y": 1.0}}, "means something else"),
        ({"parameters": {"exp": 1.0}}, "formulas know it"),
        ({"inputs": {"link": "(0, inf)"}}, "means something else"),
        ({"inputs": {"v": "(0, inf)"}, "predicted": {"v": "(0, inf)"}}, "declared twice"),
        ({"inputs": {"a b": "(0, inf)"}}, "letters, digits"),
        ({"inputs": {"v": 3}}, "not a domain"),
        ({"inputs": ["v"]}, "a dict by name"),
        ({"target": "positive"}, "not a domain"),
        ({"task": "ranking"}, "is not known"),
        ({"link": "probit"}, "is not known"),
        ({"name": "my loss"}, "cannot name a loss"),
    ],
)
def test_declarations_that_are_none_are_refused(words: dict[str, Any], says: str) -> None:
    with pytest.raises(lm.ParameterError, match=says):
        lm.formula("(f - y)**2", **words)


def test_a_name_that_cannot_be_is_refused_before_the_text_that_uses_it() -> None:
    for name in ("lambda", "k ", "weight"):
        with pytest.raises(lm.ParameterError, match=f"'{name}' cannot name an input or parameter"):
            lm.formula(f"{name}*f", parameters={name: 1.0})


def test_what_is_declared_and_decides_nothing_is_refused() -> None:
    with pytest.raises(lm.FormulaError, match="does not take what is declared: j, w"):
        lm.formula("k*f**2", parameters={"k": 1.0, "j": 2.0}, inputs={"w": "[0, inf)"})
    with pytest.raises(lm.FormulaError, match="does not depend on the prediction v"):
        lm.formula("(f - y)**2", predicted={"v": "(0, inf)"})
    with pytest.raises(lm.ParameterError, match="describes no formula"):
        lm.from_config({"loss": "formula", "parameters": {"code": "f"}})
    with pytest.raises(lm.FormulaError, match="a formula is a text, got list"):
        lm.formula(["f"])  # type: ignore[arg-type]


def test_further_inputs_come_by_name_and_spread() -> None:
    loss = lm.formula("price*(f - y)**2", inputs={"price": "(0, inf)"})
    y, f = np.array([1.0, 2.0]), np.array([2.0, 4.0])
    assert loss.losses(y, f, price=np.array([3.0])).tolist() == [3.0, 12.0]
    assert loss.gradient(y, f, price=np.array([1.0, 2.0])).tolist() == [2.0, 8.0]
    with pytest.raises(lm.DomainError, match="price"):
        loss.cost(y, f, price=np.array([1.0, -1.0]))
    both = lm.formula("log(v)/2 + (y - f)**2/(2*v)", predicted={"v": "(0, inf)"})
    assert set(both.gradient(y, f, v=y)) == {"y_pred", "v"}
    assert both.hessian(y, f, v=y, kind="full")["y_pred", "v"].tolist() == [-1.0, -0.5]


class Plainest(lm.Pointwise):
    """A class by hand without a card."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss."""
        return (f - y) ** 2


@pytest.mark.parametrize("own", [Plainest(), lm.formula("(f - y)**2")])
def test_a_loss_without_a_card_adds_up_and_is_drawn(own: Loss) -> None:
    y, f = np.array([1.0, 2.0]), np.array([2.0, 4.0])
    mixed = 0.5 * own + lm.Huber()
    assert mixed.cost(y, f) == 0.5 * own.cost(y, f) + lm.Huber().cost(y, f)
    assert mixed.optimal_constant(y) == pytest.approx(1.5)
    assert own.card.title == type(own).__name__
    assert {loss.plot().get_xlabel() for loss in (own, mixed)} == {"prediction f"}


def test_the_readme_shows_what_happens() -> None:
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Your own loss\n")[2].partition("```pycon\n")[2].partition("```")[0]
    names: dict[str, Any] = {"lm": lm}
    for part in section.split(">>> ")[1:]:
        call, _, shown = part.partition("\n")
        try:
            found = repr(eval(call, names)) if shown else exec(call, names)
        except lm.FormulaError as error:
            found = f"lossmith.errors.FormulaError: {error}"
        assert not shown or (found or "").split() == shown.split()


def test_sums_of_a_thousand_terms_are_read() -> None:
    text = " ".join(f"{'+-'[n % 3 == 0]} abs(y - {n}*f)" for n in range(1, 1000))
    wanted = sum((-1 if n % 3 == 0 else 1) * abs(2.0 - n * 0.5) for n in range(1, 1000))
    assert lm.formula(f"(y - f)**2 {text}").losses([2.0], [0.5])[0] == pytest.approx(2.25 + wanted, rel=1e-12)
    loss = lm.parse(" + ".join(f"{n}*huber(delta={n})" for n in range(1, 1001)))
    assert len(loss.parts) == 1000
    assert loss.parts[-1] == (1000.0, lm.Huber(delta=1000))


def test_classes_of_formulas_go_when_others_have_come() -> None:
    loss = lm.formula("cosh(f - y) + f")
    loss([0.0], [1.0])
    known = weakref.ref(type(loss))
    del loss
    for number in range(2, 1_100):
        keeps(type(lm.formula(f"exp({number}*f) - y*f")), "_run_kernel", ("_stream", "row"))
    gc.collect()
    assert known() is None


def test_a_keyword_that_there_is_not_is_told() -> None:
    declared = r"has no argument 'k'; it has text, parameters, .*\. A parameter is declared by parameters={'k': 4}\.$"
    with pytest.raises(lm.ParameterError, match=declared):
        lm.formula("k*(y - f)**2", k=4)  # type: ignore[call-arg]  # as the loss shows itself
    with pytest.raises(lm.ParameterError, match=r"'parameter'; .* Did you mean 'parameters'"):
        lm.formula("k*(y - f)**2", parameter={"k": 4.0})  # type: ignore[call-arg]
