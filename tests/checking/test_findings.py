"""Each finding, on a formula that is wrong in that way and on one that is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.certify import jumps
from lossmith.checking import single, statistic
from lossmith.checking.ground import Ground
from lossmith.program import Ops, Value

LATE = "where(f < y, 4*(y - f)**2, (y - f)**2)"
WRONG = [
    ("log(f)", {}, "finite", "error", "The value is not a number inside the domain"),
    ("1/abs(f - y)", {}, "finite", "error", "The value is infinite inside the domain"),
    ("(f/y - 1)**2", {}, "finite", "error", "not a number"),
    ("hypot(f - y, 0)", {}, "finite", "error", "The gradient is not a number"),
    ("exp(-1/abs(f - y))", {}, "finite", "error", "The gradient is not a number"),
    ("log1p_excess(f - y)", {}, "finite", "error", "The value is not a number inside the domain"),
    ("abs(sqrt(f - y)/(y/f))", {}, "finite", "error", "not a number"),
    ("max(y, (f - y)**-1)", {}, "finite", "error", "infinite"),
    ("y - f", {}, "minimum", "error", "Unbounded below"),
    ("-(y - f)**2", {}, "minimum", "error", "Unbounded below"),
    ("exp(-(f - y)**2)", {}, "minimum", "error", "Greatest at f = y: the sign is turned around"),
    ("where(f < 1e9, 3, f)", {}, "minimum", "error", "Flat"),
    ("exp(y - f)", {}, "minimum", "warning", "No minimum: it is lowest at the far end"),
    ("abs(f - y - 3)", {}, "minimum", "warning", "Least at f = y + 3, not at f = y"),
    ("(f - 0.5*y)**2", {}, "minimum", "warning", "Least at f = 0.5*y, not at f = y"),
    ("softplus((2*y - 1)*f)", {"task": "binary"}, "minimum", "error", "Least at the wrong label"),
    ("f**2 + 0*y", {"task": "binary"}, "minimum", "error", "The same prediction is best for both labels"),
    ("softplus(f) - y*f + (f - 1)**2/2", {"task": "binary"}, "minimum", "warning", "Least above f = 0 for both labels"),
    ("(f - y/3)**2", {"task": "binary", "link": "identity"}, "minimum", "warning", "Least below f = 0.5 for both"),
    ("f**2", {}, "estimates", "warning", "The same constant is best whatever the targets"),
    ("(f - y)**2 + 1", {}, "floor", "note", "The best that can be reached is not zero"),
    ("(f - y)**2 - 1", {}, "floor", "note", "Can be negative"),
    ("sign(f - y)", {}, "boosting", "error", "The gradient is zero everywhere"),
    ("log(1 + (f - y)**2)", {}, "boosting", "warning", "negative in places"),
    ("abs(f - y)", {}, "boosting", "note", "does not move: it is zero"),
    ("where(f < y, 1, 0) + abs(f - y)", {}, "jumps", "warning", "The loss itself jumps"),
    ("abs(f - y)", {}, "kinks", "note", "A kink at f = y"),
    ("max(abs(f - 2*y) - 1, 0)", {}, "kinks", "note", "A kink at f = 2*y - 1"),
    ("max(f - 1, 0) + (f - y)**2", {}, "kinks", "note", "A kink at f = 1"),
    ("sqrt(abs(f - y))", {}, "kinks", "warning", "A corner of infinite slope"),
    ("abs(f - y)**1.5", {}, "finite", "note", "The Hessian is infinite inside the domain"),
    ("abs(f - y)**1.5", {}, "kinks", "note", "The curvature has no bound at f = y"),
    ("((f - y)**2 - 1)**2", {}, "convex", "warning", "Not convex, with a hill between valleys"),
    ("log(1 + (f - y)**2)", {}, "convex", "note", "Not convex, but with one valley"),
    ("exp((y - f)**2)", {}, "overflow", "warning", "Overflows soon in float32 and float64"),
    ("(f - y)**2", {}, "robust", "note", "The gradient has no bound"),
    ("log(abs(f - y))", {}, "robust", "note", "The gradient has no bound"),
    ("1e-9*(f - y)**2", {}, "scale", "warning", "The gradient is tiny"),
    ("1e9*(f - y)**2", {}, "scale", "warning", "The gradient is huge"),
    ("(f - y + 1e3)**2 - 2e3*(f - y) - 1e6", {}, "derivatives", "warning", "Many digits are lost"),
    ("log(exp(f) + exp(y)) - (f + y)/2", {}, "derivatives", "note", "Some digits are lost"),
    ("abs(f - y)*sign(y - f)", {}, "derivatives", "warning", "at one place"),
    ("(f - y)*hold(f - y)", {}, "derivatives", "note", "on purpose"),
    ("log(1 + exp(f)) - y*f", {"task": "binary"}, "rewrites", "note", "stable form"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words", "topic", "severity", "title"), WRONG)
def test_what_is_wrong_is_found(text: str, words: dict[str, Any], topic: str, severity: str, title: str) -> None:
    exact = topic in ("derivatives", "kinks", "jumps", "finite")  # what sixty digits have a say in
    findings = single.examine(Ground(lm.formula(text, **words), None, exact=exact))
    found = next(finding for finding in findings if finding.topic == topic)
    assert (found.severity, title in found.title) == (severity, True), found
    assert found.severity == "note" or found.advice


@pytest.mark.parametrize(
    "loss", [LATE, "log(cosh(f - y))", lm.formula("exp(f) - y*f", task="counts"), "0.5 * mae + 0.5 * huber"]
)
def test_what_is_right_has_neither_errors_nor_warnings(loss: str | lm.Loss) -> None:
    report = lm.check(loss)
    assert not report.errors
    assert not report.warnings
    for topic in ("derivatives", "finite", "convex", "minimum", "scale", "overflow", "constant"):
        assert report[topic].severity == "ok"


@pytest.mark.parametrize("target", ["[2, inf)", "(10, inf)", "(-inf, -5)", "(1000, inf)"])
def test_targets_beyond_a_number_are_examined_there(target: str) -> None:
    loss = lm.formula("(f - y)**2", target=target)
    ground = Ground(loss, None, exact=False)
    assert len(ground.targets) > 2
    assert all(loss.domains["y"].includes(y) and abs(y) < 1010 for y in ground.targets)
    findings = {finding.topic: finding for finding in single.examine(ground)}
    assert findings["minimum"].title == "Least at f = y"
    assert findings["robust"].title == "The gradient has no bound"
    counts = lm.check(lm.formula("exp(f) - y*f", task="counts", target="[2, inf)"))
    assert not counts.warnings
    assert counts["minimum"].title == "Least at exp(f) = y"


@pytest.mark.parametrize("domain", ["(10, inf)", "(-inf, -10)"])
def test_predictions_beyond_a_number_grow_from_there(domain: str) -> None:
    report = lm.check(lm.formula("abs(s)*(f - y)**2 - log(abs(s))", predicted={"s": domain}))
    assert report["robust"].title == "The gradient has no bound"
    assert not report.errors


@pytest.mark.parametrize(
    ("text", "title"),
    [("(f/1000 - y)**2", "1000 times the mean"), ("(f - y - 5000)**2", "the mean plus 5000"), ("y - f", "nothing")],
)
def test_what_is_estimated_is_looked_for_far_out_too(text: str, title: str) -> None:
    ground = Ground(lm.formula(text), None, exact=False)
    (found,) = statistic.estimates(ground, statistic.samples(ground))
    assert title in found.title


def test_labels_without_two_ends_are_numbers() -> None:
    for target in ("(-inf, inf)", "(0, inf)"):  # which no probability can be
        report = lm.check(lm.formula("log(1 + exp(-y*f))", task="binary", target=target))
        assert report["minimum"].title == "No minimum: it is lowest at the far end"
    report = lm.check(lm.formula("(f - y)**2", link="logistic", target="(1, inf)"))
    assert report["minimum"].title == "Not least at sigmoid(f) = y"


def test_the_numbers_are_true() -> None:
    report = lm.check("((f - y)**2 - 1)**2")
    loss, facts = lm.formula("((f - y)**2 - 1)**2"), report["convex"].facts
    (a, m, b), losses = facts["f"], facts["losses"]
    np.testing.assert_allclose(loss.losses([facts["y"]] * 3, [a, m, b]), losses, rtol=1e-12)
    assert losses[1] > losses[0] + (m - a) / (b - a) * (losses[2] - losses[0])
    late = lm.check(LATE)
    assert late["kinks"].facts["places"] == {"f = y": [8.0, 2.0]}
    assert late["scale"].facts["too_low"] / late["scale"].facts["too_high"] == pytest.approx(4)
    reach = lm.check("exp((y - f)**2)")["overflow"].facts
    assert reach["float64"] == pytest.approx(math.sqrt(math.log(np.finfo(float).max)), rel=0.02)
    assert reach["float32"] == pytest.approx(math.sqrt(math.log(np.finfo("f4").max)), rel=0.02)
    around = single.examine(Ground(lm.parse("max(abs(f - y) - 0.37, 0)"), None, exact=False))
    (stretch,) = (finding.facts["minima"] for finding in around if finding.topic == "minimum")
    for each in stretch:
        assert (each["low"] - each["y"], each["high"] - each["y"]) == pytest.approx((-0.37, 0.37))
    bounded = {"lipschitz": True, "bound": 2.0, "grows": [], "fades": []}
    assert lm.check("huber(delta=2)")["robust"].facts == {**bounded, "proved": True}
    assert lm.check("welsch")["robust"].facts["fades"] == ["below", "above"]


class Slanted(lm.Pointwise):
    """A loss whose gradient is a tenth too large."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss."""
        return (f - y) ** 2

    def evaluate(self, *arguments: Any, **words: Any) -> dict[str, Any]:
        """Return outputs, the gradient spoilt."""
        found = super().evaluate(*arguments, **words)
        return {name: part * (1.1 if name == "gradient" else 1) for name, part in found.items()}


def test_a_derivative_that_is_none_is_an_error() -> None:
    found = lm.check(Slanted())["derivatives"]
    assert (found.severity, found.title) == ("error", "The gradient is not the derivative of the value")
    assert found.facts["got"] == pytest.approx(1.1 * found.facts["differences"][0], rel=1e-3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2*abs(f - y)/(abs(f) + abs(y) + 1e-8)", {}),
        ("(f - y)**2/(f**2 + y**2 + 1e-8)", {}),
        ("1 - tanh(y*f)", {"target": "{-1, 1}", "task": "binary"}),
        ("(tanh(f) - y)**2", {"target": "[-1, 1]"}),
    ],
)
def test_rounding_inside_of_a_formula_is_no_wrong_derivative(text: str, words: dict[str, Any]) -> None:
    with np.errstate(all="ignore"):
        found = list(single.derivatives(Ground(lm.formula(text, **words), None, exact=True)))
    assert all(finding.severity in ("ok", "note") for finding in found), found


def test_advice_names_no_function_that_the_formula_has() -> None:
    (found,) = single.derivatives(Ground(lm.formula("(log1p(exp(f - y)) + 1e3)**2 - 1e6"), None, exact=True))
    assert found.severity == "warning"
    assert "expm1(x)" in found.advice
    assert "softplus" not in found.advice


def test_no_corner_is_sought_where_the_loss_is_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    sought = list[float]()
    monkeypatch.setattr(jumps, "jumping", lambda loss, y, place: sought.append(float(place - y)) or "")
    with np.errstate(all="ignore"):
        list(single.kinks(Ground(lm.formula("abs(log(1 - exp(-exp(abs(f - y)))))"), None, exact=True)))
    assert sought
    assert np.abs(sought).max() < 1e-9


@pytest.mark.parametrize(
    ("text", "what", "level"),
    [
        ("(f - y)**2", "mean", math.nan),
        ("abs(f - y)", "median", math.nan),
        ("max(0.9*(y - f), 0.1*(f - y))", "quantile", 0.9),
        ("7.5*max(y - f, 0) + 1.25*max(f - y, 0)", "quantile", 6 / 7),
        ("where(f < y, 2, 1)*abs(f - y)", "quantile", 2 / 3),
        ("where(f < y, 1000, 3)*abs(f - y)", "quantile", 1000 / 1003),
        ("where(f < y, 1.004, 1)*abs(f - y)", "quantile", 1.004 / 2.004),
        (LATE, "expectile", 0.8),
        ("(log(f) - log(y))**2", "the geometric mean", math.nan),
        ("((f - y)/y)**2", "the mean weighted by 1/y**2", math.nan),
        ("abs(f - y)/y", "the median weighted by 1/|y|", math.nan),
        ("(f - y - 3)**2", "the mean plus 3", math.nan),
        ("(f - 2*y)**2", "2 times the mean", math.nan),
        ("log(cosh(f - y))", "what lies between median and mean", math.nan),
        ("(f - y)**4", "what lies beyond the mean, on the side of the long tail", math.nan),
        ("1 - exp(-(f - y)**2)", "what lies beyond the median, on the side of the mode", math.nan),
    ],
)
def test_what_is_estimated_is_found_by_search(text: str, what: str, level: float) -> None:
    positive = "log" in text or "/y" in text
    words = {"target": "(0, inf)", "prediction": "(0, inf)"} if positive and "cosh" not in text else {}
    ground = Ground(lm.formula(text, **words), None, exact=False)
    (found,) = single.estimates(ground, single.samples(ground))
    assert found.facts["what"] == what
    assert math.isnan(level) or found.facts["level"] == pytest.approx(level, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-y*log(sigmoid(f)) - (1 - y)*log(sigmoid(-f))", "probability"),
        ("(y - sigmoid(f))**2", "probability"),
        ("abs(y - sigmoid(f))", "class"),
        ("-3*y*log(sigmoid(f)) - (1 - y)*log(sigmoid(-f))", "distorted probability"),
    ],
)
def test_a_proper_loss_gives_back_the_probability(text: str, what: str) -> None:
    ground = Ground(lm.formula(text, task="binary"), None, exact=False)
    (found,) = single.estimates(ground, single.samples(ground))
    assert (found.facts["what"], found.severity == "ok") == (what, what == "probability")


def test_a_failed_search_is_no_word_about_best_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise lm.LossmithError("y_pred must be finite")

    loss = lm.formula("(f - y)**2")
    monkeypatch.setattr(type(loss), "context", fail)
    found = lm.check(loss)["constant"]
    assert (found.title, found.severity) == ("The best constant was not found", "note")


@pytest.mark.parametrize("prediction", ["(0, inf)", "(0, 1)", "[0, inf)", "(-1, inf)", "(-inf, inf) without -1.1"])
def test_predictions_may_be_declared_and_targets_not(prediction: str) -> None:
    assert "labels" not in [
        finding.topic for finding in lm.check(lm.formula("(f-y)**2", prediction=prediction)).findings
    ]


def test_labels_that_nobody_declared_are_asked_for() -> None:
    undeclared = lm.check("log(1 + exp(-y*f))")["labels"]
    assert "product of y and f" in undeclared.evidence
    assert "'{-1, 1}'" in undeclared.advice
    for loss in (lm.formula("log(1 + exp(-y*f))", target="{-1, 1}"), "(y - f)**2"):
        assert "labels" not in [finding.topic for finding in lm.check(loss).findings]


def test_what_is_proved_is_told_from_what_was_tried() -> None:
    assert lm.check("abs(y - f)")["convex"].evidence.endswith("prove it for all.")
    tried = lm.check("where(f > y, (f - y)**2, abs(f - y))")["convex"]
    assert tried.facts == {"convex": True, "quasiconvex": True, "proved": False}


def test_places_without_a_number_tell_nothing_of_the_gradient() -> None:
    bounded = [*single.robust(Ground(lm.formula("log(2*cosh(f - y))"), None, exact=False))]
    assert "bounded by 1" in bounded[0].title
    odd = lm.formula("log(softplus(f)) + y/softplus(f)", target="(0, inf)")
    assert next(single.robust(Ground(odd, None, exact=False))).title == "The gradient has no bound"


def test_slopes_are_looked_at_closer_where_they_are_largest() -> None:
    for text in ("0.5*sqrt(abs(f - y - 1))", "sqrt(abs(f - y - 1))/10 + abs(f - y)"):
        corner = lm.check(text)["robust"]
        assert (corner.title, corner.facts["grows"]) == ("The gradient has no bound", ["corner"])
        assert "for y = -2.5 it is" in corner.evidence
        assert "beside f = -1.5, and" in corner.evidence
        assert corner.evidence.endswith("Rows beside that place pull without limit.")
    peak = lm.check("tanh(f**3 - y)")["robust"]  # 3*f**2 at the root of 7, about
    assert peak.facts["bound"] == pytest.approx(11.0, rel=1e-2)
    assert lm.check("tanh(100*(f - y - 1.2345))")["robust"].facts["bound"] == pytest.approx(100, rel=1e-6)


def test_nothing_is_said_of_what_a_flat_formula_has_not() -> None:
    topics = {finding.topic for finding in lm.check("(f - y)**2 - (f - y)**2 + 3").findings}
    assert "minimum" in topics
    assert not topics & {"labels", "estimates", "boosting", "constant"}


def test_what_holds_at_places_is_not_said_of_all() -> None:
    assert lm.check("1/f")["kinks"].evidence.endswith("continuous where they are finite.")
    assert lm.check("(f - y)**2")["kinks"].evidence.endswith("continuous.")
    mixed = Ground(lm.formula("exp(y*f)"), None, exact=False)  # nearer to the mean of some samples, not of others
    (found,) = single.estimates(mixed, single.samples(mixed))
    assert found.title == "It estimates a number of its own"


def test_distorted_probabilities_are_repaired_where_they_can_be() -> None:
    for name, says in (("focal", "until loss.to_probability"), ("asymmetric(gamma_negative=0)", "are calibrated")):
        ground = Ground(lm.parse(name), None, exact=False)
        (found,) = single.estimates(ground, single.samples(ground))
        assert says in found.advice


@pytest.mark.parametrize(
    ("loss", "topic", "says"),
    [
        ("abs(f)", "constant", "it is f = 0, and costs 0"),
        ("log(cosh(y - f))", "boosting", "the Hessian is zero in under 1% and negative in 0%"),
        ("exp(f) - y*f", "minimum", "declare where they lie, as target='[0, inf)'"),
        ("y - f", "minimum", "abs or a square around it"),
        ("-(y*log(f) + (1 - y)*log(1 - f))", "finite", "prediction='(0, 1)', or write the formula with sigmoid(f)"),
        ("-(y*log(f) + (1 - y)*log(1 - f))", "convex", "No chord between 164 predictions"),
        ("(sigmoid(f) - y)**2", "derivatives", "right to the last digits"),  # values near 0 are rounded
        ("smoothed_hinge", "kinks", "at f = -1 for y = 0 from 0 to 1"),
        ("huber", "robust", "Interval arithmetic proves that it is never above 1"),
        ("focal", "robust", "found by search, and is not proved"),
        ("brier", "robust", "0.2963, as far as seen"),
        ("hinge", "robust", "1, 10, 1000 below f = 0"),
        ("beta_nll", "robust", "The gradient has no bound"),
        ("brier", "minimum", "y = 0: towards f = -inf; y = 1: towards f = inf"),  # where it is 0 in float64 from 372 on
        ("asymmetric", "minimum", "y = 0: f from -inf to -2.944"),
        ("hinge", "minimum", "y = 0: f from -inf to -1; y = 1: f from 1 to inf"),
    ],
)
def test_what_reports_say(loss: str, topic: str, says: str) -> None:
    found = lm.check(loss)[topic]
    assert says in f"{found.title} {found.evidence} {found.advice}"


def test_class_indices_are_no_numbers() -> None:
    assert "y_true class indices, y_pred in (-inf, inf)" in str(lm.check("crammer_singer"))
    assert "here fake is predicted" in lm.check("gan_generator")["left_out"].evidence


def test_a_stretch_that_begins_at_0_begins_at_0() -> None:
    found = lm.check("zero_one")
    assert "y = 1: f from 0 to inf" in found["minimum"].evidence
    assert "60% yes: f from 0 to 80" in found["estimates"].evidence


UNIT = {"task": "binary", "link": "identity", "prediction": "(0, 1)"}
LOG_LOSS = "-(y*log(f) + (1 - y)*log(1 - f))"


@pytest.mark.parametrize(
    ("text", "words", "topic", "severity", "says"),
    [
        ("log(-1 - f**2)", {}, "finite", "error", "at 611 of 611 points. It is so wherever it was looked at"),
        ("exp((y - f)**2)", {}, "finite", "ok", "Finite, but for overflow 611 predictions for 6 targets give finite "),
        ("max(0, 1 - y*f)", {"task": "binary"}, "minimum", "error", "The label 0 teaches nothing"),
        ("max(0, 1 - y*f)", {"task": "binary"}, "minimum", "error", "declare them: target='{-1, 1}'"),
        (LOG_LOSS, UNIT, "estimates", "ok", "Proper: the best prediction is the probability"),
        (LOG_LOSS, UNIT, "constant", "ok", "the least that any predictions could cost is 0."),
        (
            "f - y*log(f)",
            {"task": "counts", "link": "identity", "prediction": "(0, inf)"},
            "minimum", "ok", "Least at f = y",
        ),  # a count of 0 asks for a rate towards 0
        ("where(f < y, y - f, (f - y)**2)", {}, "kinks", "note", "at f = y from -1 to 0."),
        ("where(f < y, y - f, (f - y)**2)", {}, "boosting", "note", "hardly moves: it is zero in most rows"),
        ("w*(y - f)**2", {"inputs": {"w": "(0, inf)"}}, "left_out", "note", "each example has its own w besides"),
    ],
)  # fmt: skip
def test_what_reports_say_of_declared_formulas(
    text: str, words: dict[str, Any], topic: str, severity: str, says: str
) -> None:
    found = lm.check(lm.formula(text, **words))[topic]
    assert found.severity == severity
    assert says in f"{found.title} {found.evidence} {found.advice}"


def test_where_nothing_is_a_number_nothing_else_is_said() -> None:
    assert [finding.topic for finding in lm.check("log(-1 - f**2)").findings] == ["finite"]
    broken = lm.check(lm.formula(LOG_LOSS, **UNIT))
    assert "floor" not in [finding.topic for finding in broken.findings]  # at both ends it falls towards 0
    stepped = lm.check("where(f < y, 1, 0)")
    assert "constant" not in [finding.topic for finding in stepped.findings]
