"""The rules: what they propose, when, and that every reason rests on the profile's own figures."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lossmith as lm
from lossmith.choosing.goal import Goal
from lossmith.choosing.profile import TargetProfile, profile
from lossmith.choosing.rules import RULES, Candidate, Situation, given, propose
from lossmith.choosing.words import number, share
from lossmith.errors import LossNotFoundError, ParameterError

RNG = np.random.default_rng(0)
TARGETS = {
    "bell": RNG.normal(50.0, 2.0, 500),
    "uniform": RNG.uniform(-1.0, 1.0, 500),
    "wages": RNG.lognormal(9.0, 1.0, 500),
    "counts": RNG.negative_binomial(1, 0.2, 500).astype(float),
    "rain": RNG.gamma(0.7, 4.0, 500) * (RNG.random(500) < 0.6),
    "profits": RNG.lognormal(0.0, 1.0, 500) - 1.0,
    "large": 1e6 * RNG.standard_t(3, 500),
    "balanced": (RNG.random(500) < 0.5).astype(float),
    "rare": (RNG.random(500) < 0.04).astype(float),
}
PROFILES = {name: profile(y, name) for name, y in TARGETS.items()}
GOALS = (Goal("mean"), Goal("median"), Goal("quantile", 0.9))
SITUATIONS = [
    Situation(found, goal, metric)
    for found in PROFILES.values()
    for goal, metric in (
        ((Goal("probability"), "log_loss"), (Goal("probability"), "roc_auc"))
        if found.kind == "binary"
        else tuple((goal, "rmse") for goal in GOALS)
    )
]


def names(target: TargetProfile, goal: Goal, metric: str = "rmse") -> list[str]:
    return [candidate.loss.name for candidate in propose(target, goal, metric)]


@pytest.mark.parametrize("s", SITUATIONS, ids=lambda s: f"{s.target.name}-{s.goal.text}-{s.metric}")
def test_what_is_proposed(s: Situation) -> None:
    found = propose(s.target, s.goal, s.metric)
    assert 2 <= len(found) <= 7
    assert len({candidate.loss for candidate in found}) == len(found)
    assert s.goal.is_aim_of(found[0].loss)
    for candidate in found:
        assert candidate.loss == lm.parse(repr(candidate.loss)) == lm.from_config(candidate.loss.to_config())
        assert candidate.reason.endswith(".")
        assert candidate.reason[0].isupper()


def figures(s: Situation) -> set[str]:
    """Every number that a reason may cite: the profile's figures as the words write them, and the parameters."""
    t, found = s.target, propose(s.target, s.goal, s.metric)
    level = s.goal.level or 0.5
    exact = [t.mean, t.median, t.maximum, t.robust_deviation, level]
    derived = [3 * t.robust_deviation, 1.345 * t.robust_deviation, t.maximum / t.mean, t.dispersion or 1.0, 1 - level]
    text = {number(v, digits) for v in exact + derived for digits in (2, 3, 4)}
    text |= {share(v) for v in (t.outlier_share, t.minority_share, t.positive_share, t.zero_share)}
    text |= {number(float(v)) for c in found for v in c.loss.values.values() if isinstance(v, float)}
    text |= {number(1.0 - float(v)) for c in found for k, v in c.loss.values.items() if k == "alpha" and v}
    return text | {"1.345", "3", f"{100 * level:g}%"}


@pytest.mark.parametrize("s", SITUATIONS, ids=lambda s: f"{s.target.name}-{s.goal.text}-{s.metric}")
def test_every_number_in_a_reason_is_a_figure_of_the_profile(s: Situation) -> None:
    allowed = figures(s)
    for candidate in propose(s.target, s.goal, s.metric):
        cited = re.findall(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?%?", candidate.reason)
        assert set(cited) <= allowed, candidate.reason


def test_that_law_can_fail() -> None:
    s = SITUATIONS[0]
    assert "123.4" not in figures(s)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_speaks_somewhere_and_is_written_once(rule: object) -> None:
    assert sum(other.name == getattr(rule, "name", "") for other in RULES) == 1
    said = {c.rule for s in SITUATIONS for c in propose(s.target, s.goal, s.metric)}
    assert getattr(rule, "name", "") in said


def test_outliers_bring_a_huber_that_bends_where_they_begin() -> None:
    target = PROFILES["wages"]
    gentle = next(c for c in propose(target, Goal("mean"), "rmse") if c.rule == "tame the outliers")
    assert gentle.loss.values["delta"] == pytest.approx(3 * target.robust_deviation, rel=0.005)
    assert share(target.outlier_share) in gentle.reason
    calm = propose(PROFILES["uniform"], Goal("mean"), "rmse")
    assert "tame the outliers" not in {candidate.rule for candidate in calm}
    assert "no target lies beyond" in calm[0].reason


def test_delta_follows_the_scale_of_the_target() -> None:
    y = TARGETS["bell"]
    one, thousand = profile(y), profile(1000.0 * y)

    def delta(target: TargetProfile) -> float:
        found = next(c for c in propose(target, Goal("median"), "mae") if c.rule == "tame the tails")
        return float(found.loss.values["delta"])

    assert delta(thousand) == pytest.approx(1000.0 * delta(one), rel=0.01)
    assert delta(one) == pytest.approx(1.345 * one.robust_deviation, rel=0.005)


def test_poisson_needs_targets_from_zero_up() -> None:
    assert "poisson" in names(PROFILES["counts"], Goal("mean"))
    assert "poisson" in names(PROFILES["wages"], Goal("mean"))
    assert "poisson" not in names(PROFILES["profits"], Goal("mean"))  # it leans, but some are negative
    assert "poisson" not in names(PROFILES["bell"], Goal("mean"))  # positive, but no lean for a ratio to explain


def test_gamma_needs_amounts_that_lean_and_tweedie_zeros_among_them() -> None:
    found = {target: set(names(PROFILES[target], Goal("mean"))) & {"gamma", "tweedie"} for target in PROFILES}
    expected = {"wages": {"gamma"}, "rain": {"tweedie"}}
    assert found == {target: expected.get(target, set()) for target in PROFILES}
    assert not {"gamma", "tweedie"} & set(names(PROFILES["wages"], Goal("median")))


def test_log_cosh_needs_a_target_of_its_own_size() -> None:
    assert "log_cosh" in names(PROFILES["bell"], Goal("mean"))
    assert "log_cosh" not in names(PROFILES["wages"], Goal("mean"))


def test_a_quantile_is_aimed_at_with_its_level() -> None:
    first = propose(PROFILES["wages"], Goal("quantile", 0.9), "pinball:0.9")[0]
    assert first.loss == lm.get("quantile", level=0.9)


def test_margins_compete_only_where_no_probability_is_asked_for() -> None:
    assert not {"hinge", "squared_hinge"} & set(names(PROFILES["balanced"], Goal("probability"), "log_loss"))
    assert {"hinge", "squared_hinge"} <= set(names(PROFILES["balanced"], Goal("probability"), "roc_auc"))


def test_a_rare_class_brings_a_weighted_focal_loss() -> None:
    rare = propose(PROFILES["rare"], Goal("probability"), "log_loss")
    weighted = next(c for c in rare if c.rule == "weigh the rare class")
    assert weighted.loss.values["alpha"] == pytest.approx(1 - PROFILES["rare"].positive_share, rel=0.01)
    balanced = propose(PROFILES["balanced"], Goal("probability"), "log_loss")
    assert "weigh the rare class" not in {candidate.rule for candidate in balanced}


def test_given_losses_are_read_and_taken_once() -> None:
    found = given(["huber(delta=2)", lm.get("huber", delta=2.0), "mae"], PROFILES["bell"])
    assert [candidate.label for candidate in found] == ["Huber(delta=2)", "AbsoluteError"]
    assert {candidate.rule for candidate in found} == {"given"}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("hubre", LossNotFoundError, "huber"),
        ("huber(delta=-1)", ParameterError, "delta"),
        ("triplet", ParameterError, "loss of anchor, positive, negative, and the models here predict one number a row"),
        ("softmax_focal", ParameterError, "y_true, y_pred, a row of predictions each, and the models here"),
        ("hinge", ParameterError, "is a loss for two classes, but the target 'bell' is a number"),
    ],
)
def test_given_losses_that_cannot_take_part(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        given([text], PROFILES["bell"])


def test_a_candidate_is_labelled_without_empty_brackets() -> None:
    assert Candidate(lm.get("mse"), "", "").label == "SquaredError"
