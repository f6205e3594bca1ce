"""Sums of losses: every part is the sum of the parts, and the whole is a loss like any other."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

import lossmith as lm

pytestmark = pytest.mark.engines

rng = np.random.default_rng(11)
y, f = rng.normal(size=(2, 40))
labels = (y > 0).astype(float)
weight = rng.uniform(size=40)
ROBUST = 0.7 * lm.Huber() + 0.3 * lm.AbsoluteError()
BINARY = lm.BinaryCrossEntropy() + 0.5 * lm.Focal(gamma=1.5)
KINDS = {"p_kind": "logits", "q_kind": "logits"}
P, Q = rng.normal(size=(2, 5, 3))
MIXED = 0.9 * lm.KLDivergence(**KINDS) + 0.1 * lm.JensenShannon(**KINDS)
LEVELS = 2 * lm.MultiQuantile() + lm.MultiQuantile(levels=(0.2, 0.5, 0.8))
CASES = [
    (ROBUST, {"y_true": y, "y_pred": f}),
    (BINARY, {"y_true": labels, "y_pred": f}),
    (MIXED, {"p": P, "q": Q}),
    (LEVELS, {"y_true": y, "y_pred": rng.normal(size=(40, 3))}),
    (0 * lm.Huber() + lm.LogCosh(), {"y_true": y, "y_pred": f}),
]


@pytest.mark.parametrize(("loss", "given"), CASES, ids=lambda case: str(case) if isinstance(case, lm.Loss) else "")
def test_every_part_is_the_sum_of_the_parts(loss, given) -> None:
    def total(part: str):
        outputs = [(factor, term.evaluate(**given, outputs=(part,))[part]) for factor, term in loss.parts]
        if isinstance(outputs[0][1], dict):
            return {key: sum(factor * found[key] for factor, found in outputs) for key in outputs[0][1]}
        return sum(factor * found for factor, found in outputs)

    for part in ("losses", "gradient", "hessian") + (("full_hessian",) if loss._couples else ()):
        ours, theirs = loss.evaluate(**given, outputs=(part,))[part], total(part)
        for key in ours if isinstance(ours, dict) else [...]:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-13, atol=1e-300)
    assert sum(loss.terms(**given).values()) == pytest.approx(loss.cost(**given), rel=1e-14)
    cost, _ = loss.cost_and_gradient(**given)
    assert cost == pytest.approx(sum(w * term.cost(**given) for w, term in loss.parts), rel=1e-14)
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert lm.parse(str(loss)) == loss
    assert lm.from_config(json.loads(json.dumps(loss.to_config()))) == loss
    assert hash(loss) == hash(lm.parse(str(loss)))


def test_the_representation_is_what_one_writes() -> None:
    assert str(ROBUST) == "0.7 * Huber(delta=1) + 0.3 * AbsoluteError()"
    assert lm.parse("0.7*huber + mae*0.3") == ROBUST
    assert float(str(1 / 3 * lm.Huber()).split(" ")[0]) == 1 / 3
    assert 0.6 * lm.Huber() + 0.4 * lm.AbsoluteError() != ROBUST


def test_nested_sums_flatten_and_equal_terms_merge() -> None:
    assert str(0.5 * (ROBUST + lm.SquaredError())) == (
        "0.35 * Huber(delta=1) + 0.15 * AbsoluteError() + 0.5 * SquaredError()"
    )
    assert lm.Huber() + lm.Huber() == 2 * lm.Huber() == lm.Huber() * 2
    assert lm.Huber() + lm.Huber(delta=2) != 2 * lm.Huber()
    assert sum([lm.Huber(), lm.LogCosh()]) == lm.Huber() + lm.LogCosh()


def test_terms_are_named_and_carry_their_weight() -> None:
    terms = ROBUST.terms(y, f, weight)
    assert list(terms) == ["0.7 * Huber(delta=1)", "0.3 * AbsoluteError()"]
    assert terms["0.3 * AbsoluteError()"] == pytest.approx(0.3 * lm.AbsoluteError().cost(y, f, weight), rel=1e-15)


def test_states_merge() -> None:
    whole = ROBUST.state(y, f, weight)
    halves = [ROBUST.state(y[part], f[part], weight[part]) for part in (slice(0, 15), slice(15, 40))]
    assert halves[0].merge(halves[1]).mean == pytest.approx(whole.mean, rel=1e-15)
    with pytest.raises(lm.MergeError):
        whole.merge(lm.Huber().state(y, f))


@pytest.mark.parametrize(
    "text", ["0.7*huber + 0.3*mae", "mse + huber(delta=0.2)", "mse + 2*mse", "mae", "1*quantile(level=0.9)"]
)
def test_the_best_constant_has_the_least_cost(text: str) -> None:
    loss = lm.parse(text)
    best = loss.optimal_constant(y, weight)
    cost = lambda at: loss.cost(y, np.full(40, at), weight)  # noqa: E731
    assert all(cost(best) <= cost(best + step) + 1e-15 for step in (-1e-3, -1e-6, 1e-6, 1e-3))
    assert loss.context(y, weight).floor == 0


def test_the_best_constant_of_labels() -> None:
    best = BINARY.optimal_constant(labels)
    grid = np.linspace(-3, 3, 601)
    costs = [BINARY.cost(labels, np.full(40, at)) for at in grid]
    assert best == pytest.approx(grid[int(np.argmin(costs))], abs=1e-2)
    np.testing.assert_array_equal(BINARY.best_prediction(np.array([0.0, 1.0])), [-np.inf, np.inf])


def test_a_best_prediction_between_those_of_the_terms() -> None:
    class Shifted(lm.Pointwise):
        card = lm.SquaredError.card

        def formula(self, ops, y, f):
            return (f - y - 3) ** 2

        def best_prediction(self, y_true):
            return np.asarray(y_true, float) + 3

    both = 2 * lm.SquaredError() + Shifted()
    np.testing.assert_allclose(both.best_prediction(np.array([1.0, 2.0, 1.0])), [2.0, 3.0, 2.0], rtol=1e-12)


def test_the_card_and_the_picture_are_those_of_a_loss() -> None:
    assert ROBUST.card.traits.convex
    assert not BINARY.card.traits.convex
    assert ROBUST.card.estimates == "a compromise of its terms"
    assert "Huber" in ROBUST.card.title
    assert str(ROBUST) in ROBUST.plot().get_title()
    program = ROBUST.program(2)
    assert [name for name, _ in program.outputs] == ["value", "gradient:f", "hessian:f,f"]


def test_weight_zero_takes_nothing_even_from_infinity() -> None:
    loss = 0 * lm.BinaryCrossEntropy(prediction="probabilities") + lm.Focal(prediction="probabilities", gamma=1)
    assert np.isfinite(loss.losses([0.0], [0.5])).all()
    p, q = [[1.0, 0.0]], [[0.0, 1.0]]
    assert (0 * lm.KLDivergence() + lm.TotalVariation()).losses(p=p, q=q)[0] == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: -1 * lm.Huber(), "finite and at least 0"),
        (lambda: float("inf") * lm.Huber(), "finite and at least 0"),
        (lambda: lm.Huber() * float("nan"), "finite and at least 0"),
        (lambda: lm.Huber() * True, "multiplied by a number"),
        (lambda: "2" * lm.Huber(), "multiplied by a number"),
        (lambda: lm.Huber() + lm.KLDivergence(), "takes y_true=, y_pred=, the other p=, q="),
        (lambda: lm.Focal() + lm.BinaryCrossEntropy(prediction="probabilities"), "prediction is 'logits' in the one"),
        (lambda: lm.KLDivergence() + lm.JensenShannon(q_kind="logits"), "q_kind is"),
        (lambda: lm.Huber() + lm.BinaryCrossEntropy(), "means different things"),
        (lambda: lm.Huber() + lm.MultiQuantile(), "a row of them"),
        (lambda: lm.parse("-2 * huber"), "finite and at least 0"),
        (lambda: -lm.Huber(), "least where it was greatest. For a score that is better when it is larger, take"),
        (lambda: lm.Huber() - lm.AbsoluteError(), r"-1 \* AbsoluteError\(\): a weight must be finite and at"),
        (lambda: lm.parse("-huber"), "least where it was greatest"),
        (lambda: lm.Huber() / 0, "divided by a number above 0"),
        (lambda: lm.Huber() / "2", "divided by a number above 0"),
        (lambda: lm.Huber() / True, "divided by a number above 0"),
        (lambda: lm.Sum([]), "at least one term"),
        (lambda: ROBUST.replace(delta=2), "no parameters of its own"),
    ],
)
def test_what_cannot_be_added_is_refused(make, message) -> None:
    with pytest.raises(lm.ParameterError, match=message):
        make()


def test_other_things_are_no_losses() -> None:
    for other in (1, None, "mae", lm.L2(0.01)):
        with pytest.raises(TypeError, match=r"alone\. What regularises is added to the cost"):
            lm.Huber() + other
    with pytest.raises(TypeError, match="added to losses alone"):
        1 + lm.Huber()
    with pytest.raises(TypeError):
        lm.Huber() * lm.Huber()
    with pytest.raises(TypeError):
        lm.Huber() / lm.Huber()


def test_a_sum_is_divided_by_a_number() -> None:
    half = 0.5 * lm.Huber() + 0.5 * lm.AbsoluteError()
    assert (lm.Huber() + lm.AbsoluteError()) / 2 == half
    assert lm.parse("(huber + mae)/2") == lm.parse("huber / 2 + 0.5 * mae") == half
    assert lm.parse("log-cosh") == lm.LogCosh()  # no difference


def test_a_row_outside_the_domain_of_one_term_is_named_by_it() -> None:
    with pytest.raises(lm.DomainError, match=r"y_true\[1\] is 2"):
        BINARY.losses([0.0, 2.0], [0.1, 0.2])
