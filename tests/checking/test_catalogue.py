"""No loss of the catalogue has an error, and a card that claims what is not so has."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.checking import several, single
from lossmith.checking.ground import Ground
from lossmith.program import Ops, Value

EXACT = ("huber", "binary_cross_entropy", "zero_one")
"""Held against sixty digits too; the laws do that for every loss."""


@pytest.mark.parametrize("name", lm.names())
def test_no_loss_of_the_catalogue_has_an_error(name: str) -> None:
    loss = lm.get(name)
    if loss.elementwise:
        findings = single.examine(Ground(loss, None, exact=name in EXACT))
        assert findings[-1].title == "What its card claims holds"
    else:
        findings = several.examine(loss, exact=name in ("gaussian_nll", "multi_quantile"))
        assert findings[-1].topic == "left_out"
    assert [finding for finding in findings if finding.severity == "error"] == []


@pytest.mark.parametrize(
    "loss",
    [
        lm.BinaryCrossEntropy(prediction="probabilities"),
        lm.Hinge(labels="signed"),
        2 * lm.GaussianNLL(),
        2 * lm.Huber(),
    ],
    ids=str,
)
def test_other_forms_are_reviewed_too(loss: lm.Loss) -> None:
    assert lm.check(loss).ok


def claiming(name: str, **claims: Any) -> lm.Loss:
    """Return a loss whose card claims something else."""
    kind = lm.loss_class(name)
    traits = {word: value for word, value in claims.items() if word != "estimates"}
    card = replace(kind.card, estimates=claims.get("estimates", kind.card.estimates))
    return type(kind.__name__, (kind,), {"card": replace(card, traits=replace(card.traits, **traits))})()


@pytest.mark.parametrize(
    ("name", "claims", "says"),
    [
        ("cauchy", {"convex": True}, "a counter-example"),
        ("huber", {"smooth": True}, "smooth, but: The Hessian jumps"),
        ("absolute_error", {"differentiable": True}, "differentiable, but: The gradient jumps at f = y"),
        ("squared_error", {"lipschitz": True}, "a bounded gradient, and it grows without bound"),
        ("expectile", {"symmetric": True}, "symmetric, and residuals of opposite sign cost differently"),
        ("poisson", {"nonnegative": True}, "never negative, but"),
        ("absolute_error", {"estimates": "mean"}, "that it estimates the mean, and found was: It estimates the median"),
        ("focal", {"estimates": "probability"}, "Not proper"),
    ],
)
def test_a_claim_that_is_not_so_is_an_error(name: str, claims: dict[str, Any], says: str) -> None:
    loss = claiming(name, **claims) if name != "expectile" else claiming(name, **claims).replace(level=0.8)
    (found,) = single.claims(ground := Ground(loss, None, exact=True), list(single._found(ground)))
    assert (found.topic, found.severity) == ("claims", "error")
    assert says in found.evidence


class Crooked(type(lm.GaussianNLL())):  # type: ignore[misc]  # a class that is known when it runs
    """A loss of two predicted inputs with a wrong derivative by one of them."""

    def evaluate(self, *arguments: Any, **words: Any) -> dict[str, Any]:
        """Return outputs, one of them spoilt."""
        found = super().evaluate(*arguments, **words)
        if "gradient" in found:
            found["gradient"] = {**found["gradient"], "variance": found["gradient"]["variance"] * 1.001}
        return found


def test_a_wrong_derivative_by_one_of_several_inputs_is_an_error() -> None:
    found = lm.check(Crooked())["derivatives"]
    assert found.severity == "error"
    assert "gradient by variance" in found.evidence
    assert lm.check("gaussian_nll")["derivatives"].severity == "ok"


@pytest.mark.parametrize("trait", ["convex", "lipschitz"])
def test_a_claim_about_several_inputs_is_held_against_what_is_seen(trait: str) -> None:
    (found,) = lm.check(claiming("gaussian_nll", **{trait: True})).errors
    assert found.evidence.startswith(f"The card claims the trait {trait}.")


@lm.loss(predicted={"v": "(0, inf)"})
def unsure(ops: Ops, y: Value, f: Value, v: Value) -> Value:
    """A loss of two predicted inputs with a hole."""
    return ops.log(v - 1) + (f - y) ** 2 / v


def test_a_chord_above_several_predictions_is_shown_with_its_places_and_digits() -> None:
    for text in ("(f*g - y)**2", "(f*g - y)**2 + 1e5"):
        loss = lm.formula(text, predicted={"g": "(-inf, inf)"})
        found = lm.check(loss)["convex"]
        (low, middle, high), places = found.facts["losses"], found.facts["places"]
        np.testing.assert_allclose(loss.losses(**places), [low, middle, high], rtol=1e-12)
        assert middle - (low + high) / 2 > 0.1
        shown = [float(x) for x in found.evidence.split(" it is ")[1].split(" at three ")[0].split(", ")]
        assert shown[1] > (shown[0] + shown[2]) / 2
        np.testing.assert_allclose(shown, [low, middle, high], rtol=1e-3)
        assert re.search(r"places of equal distance: y_true = \S+; y_pred = \S+, \S+, \S+; g = ", found.evidence)


def test_what_is_not_finite_in_several_inputs_is_an_error() -> None:
    report = lm.check(unsure())
    assert report["finite"].severity == "error"
    assert "f and v are predicted" in report["left_out"].evidence.replace("y_pred", "f")


# --- data of one's own -----------------------------------------------------------------------------


def test_own_data_set_the_scale_and_the_constant() -> None:
    y = np.array([1e6, 2e6, 6e6, 3e6])
    report = lm.check("where(f < y, 4*(y - f)**2, (y - f)**2)", y, y + 1e5, weight=[1, 1, 1, 0])
    facts = report["constant"].facts
    assert facts["constant"] == pytest.approx(4.5e6)
    assert (facts["your_cost"], facts["floor"]) == (pytest.approx(1e10), 0)
    assert report["scale"].facts["value"] > 1e10
    worse = lm.check("mse", y, -y)["constant"]
    assert (worse.severity, worse.title) == ("warning", "Your predictions are worse than a constant")
    assert "your 4 targets" in worse.evidence


def test_data_that_do_not_fit_are_refused() -> None:
    with pytest.raises(lm.ParameterError, match="pass y_true="):
        lm.check("mse", y_pred=[1.0])
    with pytest.raises(lm.ShapeError):
        lm.check("mse", [1.0, 2.0], [1.0])
    with pytest.raises(lm.DomainError):
        lm.check("poisson", [-1.0, 2.0])
    with pytest.raises(lm.ParameterError, match="leave y_true out"):
        lm.check("gaussian_nll", [1.0, 2.0])
    with pytest.raises(lm.LossNotFoundError):
        lm.check("hubber")
