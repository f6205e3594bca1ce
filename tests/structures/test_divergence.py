"""Divergences: what relates them, what they do at the edges, and what they refuse."""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines import numpy as engine
from lossmith.engines.hosts import REFERENCE
from lossmith.structures.divergence import KINDS

pytestmark = pytest.mark.engines

NAMES = [n for n in lm.names() if lm.loss_class(n).card.task == "distributions" and n not in ("distillation",)]
PLAIN = [name for name in NAMES if name != "generalised_kl"]
logits = arrays(float, (4, 5), elements=st.floats(-30, 30))
rng = np.random.default_rng(7)


def softmax(z: np.ndarray, axis: int = -1) -> np.ndarray:
    powers = np.exp(z - z.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def both(name: str, kind: str = "logits", **options) -> lm.Loss:
    return lm.get(name, p_kind=kind, q_kind=kind, **options)


# --- relations ------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(logits, logits)
def test_exchanged_arguments(p, q) -> None:
    forward, reverse = both("kl"), both("reverse_kl")
    np.testing.assert_allclose(forward.losses(p=p, q=q), reverse.losses(p=q, q=p), rtol=1e-13)
    np.testing.assert_allclose(forward.gradient(p=p, q=q)["p"], reverse.gradient(p=q, q=p)["q"], atol=1e-13)
    for name in ("jensen_shannon", "total_variation", "squared_hellinger"):
        np.testing.assert_allclose(both(name).losses(p=p, q=q), both(name).losses(p=q, q=p), rtol=1e-12, atol=1e-300)
    a = lm.AlphaDivergence(0.3, p_kind="logits", q_kind="logits")
    np.testing.assert_allclose(a.losses(p=p, q=q), a.replace(alpha=0.7).losses(p=q, q=p), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.*as probabilities do:lossmith.LossmithWarning")  # logits that happen to
@settings(max_examples=60, deadline=None)
@given(logits, logits)
def test_bounds(p, q) -> None:
    found = {name: both(name).losses(p=p, q=q) for name in PLAIN}
    assert all(np.all(losses >= 0) for losses in found.values())
    assert np.all(found["jensen_shannon"] <= math.log(2) * (1 + 1e-15))
    assert np.all(found["total_variation"] <= 1 + 1e-15)
    assert np.all(found["squared_hellinger"] <= found["total_variation"] * (1 + 1e-13))
    assert np.all(found["total_variation"] ** 2 <= found["kl_divergence"] / 2 * (1 + 1e-12))  # Pinsker


def test_the_relations_can_fail() -> None:
    p, q = rng.normal(size=(2, 4, 5))
    kl = both("kl")
    assert not np.allclose(kl.losses(p=p, q=q), kl.losses(p=q, q=p))
    assert np.any(both("kl").losses(p=3 * p, q=3 * q) > math.log(2))


def test_total_variation_is_half_the_absolute_difference() -> None:
    p, q = softmax(rng.normal(size=(2, 6, 4)))
    np.testing.assert_allclose(lm.TotalVariation().losses(p=p, q=q), np.abs(p - q).sum(axis=1) / 2, rtol=1e-14)


@pytest.mark.parametrize(("alpha", "name"), [(1.0, "kl"), (0.0, "reverse_kl")])
def test_alpha_reaches_its_limits_without_a_jump(alpha: float, name: str) -> None:
    p, q = rng.normal(size=(2, 6, 4))
    limit = both(name)
    for shift in (0.0, 1e-300, -1e-16, 1e-12, 1e-7):
        near = both("alpha_divergence", alpha=alpha + shift)
        np.testing.assert_allclose(near.losses(p=p, q=q), limit.losses(p=p, q=q), rtol=1e-13 + 20 * abs(shift))
        for symbol in "pq":
            np.testing.assert_allclose(
                near.gradient(p=p, q=q)[symbol], limit.gradient(p=p, q=q)[symbol], atol=1e-14 + 20 * abs(shift)
            )
    assert not np.allclose(both("alpha_divergence", alpha=alpha + 0.1).losses(p=p, q=q), limit.losses(p=p, q=q))


def test_alpha_at_a_half_is_four_times_squared_hellinger() -> None:
    p, q = rng.normal(size=(2, 6, 4))
    np.testing.assert_allclose(
        both("alpha_divergence", alpha=0.5).losses(p=p, q=q), 4 * both("squared_hellinger").losses(p=p, q=q), rtol=1e-14
    )


def test_generalised_kl_is_kl_on_normalised_rows() -> None:
    p, q = softmax(rng.normal(size=(2, 6, 4)))
    np.testing.assert_allclose(lm.GeneralisedKL().losses(p=p, q=q), lm.KLDivergence().losses(p=p, q=q), rtol=1e-13)
    assert np.all(lm.GeneralisedKL().losses(p=2 * p, q=q) > lm.KLDivergence().losses(p=p, q=q))


def test_one_hot_p_makes_kl_the_cross_entropy() -> None:
    z, y = rng.normal(size=(6, 4)), np.array([0, 1, 2, 3, 0, 2])
    entropy = lm.SparseCategoricalCrossEntropy()
    kl = lm.KLDivergence(q_kind="logits")
    np.testing.assert_allclose(kl.losses(p=np.eye(4)[y], q=z), entropy.losses(y, z), rtol=1e-14)
    np.testing.assert_allclose(kl.gradient(p=np.eye(4)[y], q=z)["q"], entropy.gradient(y, z), rtol=1e-14)


def test_kl_is_cross_entropy_less_entropy() -> None:
    p, z = softmax(rng.normal(size=(6, 4))), rng.normal(size=(6, 4))
    crossed = -np.sum(p * (z - np.log(np.exp(z).sum(axis=1, keepdims=True))), axis=1)
    np.testing.assert_allclose(lm.KLDivergence(q_kind="logits").losses(p=p, q=z), crossed - lm.entropy(p), rtol=1e-12)


def test_distillation_is_kl_of_softened_logits() -> None:
    t, s = rng.normal(size=(2, 6, 4))
    np.testing.assert_array_equal(lm.Distillation().losses(teacher=t, student=s), both("kl").losses(p=t, q=s))
    warm = lm.Distillation(3.0)
    np.testing.assert_allclose(
        warm.losses(teacher=t, student=s), 9 * lm.KLDivergence().losses(p=softmax(t / 3), q=softmax(s / 3)), rtol=1e-12
    )
    np.testing.assert_allclose(warm.gradient(teacher=t, student=s), 3 * (softmax(s / 3) - softmax(t / 3)), atol=1e-14)
    # Hot, it is half the mean squared difference of centred logits.
    hot = lm.Distillation(1e6).losses(teacher=t, student=s)
    difference = (t - s) - (t - s).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(hot, (difference**2).mean(axis=1) / 2, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_entropy(kind: str) -> None:
    z = rng.normal(size=(3, 4))
    p = softmax(z)
    rows = {"logits": z, "probabilities": p, "log_probabilities": np.log(p)}[kind]
    np.testing.assert_allclose(lm.entropy(rows, kind=kind), -np.sum(p * np.log(p), axis=1), rtol=1e-13)
    np.testing.assert_array_equal(lm.entropy(rows.T, kind=kind, class_axis=0), lm.entropy(rows, kind=kind))
    certain = {"logits": [-np.inf, 0.0], "probabilities": [0.0, 1.0], "log_probabilities": [-np.inf, 0.0]}[kind]
    assert lm.entropy(certain, kind=kind) == 0
    assert lm.entropy(np.full(8, 0.125)) == pytest.approx(math.log(8), rel=1e-15)


# --- the formula, its computed form and its slopes belong together ----------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_slopes_and_pulls_are_the_derivatives_of_the_formula(name: str) -> None:
    loss = lm.get(name)
    p, q = rng.uniform(0.05, 1, size=(2, 50))
    program = loss.program(2)
    truth = engine.run(program, [p, q], loss.free_parameters)
    # Rows of one class need no sum.
    with np.errstate(all="ignore"):
        found = loss.row(
            REFERENCE, p[:, None], q[:, None], ("losses", "gradient:p", "gradient:q", "hessian:p,p", "hessian:q,q")
        )
    np.testing.assert_allclose(found["losses"], truth["value"], rtol=1e-11, atol=1e-14)
    for ours, theirs in (("gradient:p",) * 2, ("gradient:q",) * 2, ("hessian:p,p",) * 2, ("hessian:q,q",) * 2):
        np.testing.assert_allclose(found[ours][:, 0], truth[theirs], rtol=1e-10, atol=1e-13)


def test_a_wrong_slope_is_found() -> None:
    class Wrong(lm.KLDivergence):
        def defined_pulls(self, ops, p, q, d):
            by_p, by_q = super().defined_pulls(ops, p, q, d)
            return by_p, 2 * by_q

    p, q = softmax(rng.normal(size=(2, 3, 4)))
    assert not np.allclose(Wrong().gradient(p=p, q=q)["q"], lm.KLDivergence().gradient(p=p, q=q)["q"])


# --- edges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"), [*itertools.product(PLAIN, KINDS), ("generalised_kl", "values"), ("generalised_kl", "log_values")]
)
def test_equal_rows_cost_exactly_nothing(name: str, kind: str) -> None:
    z = np.array([[0.3, -1.2, 0.8], [700.0, 0.0, -700.0], [0.0, 0.0, 0.0], [1e-300, 5.0, -40.0]])
    p = softmax(z)
    with np.errstate(divide="ignore"):
        rows = {"logits": z, "probabilities": p, "values": p}.get(kind, np.log(p))
    loss = both(name, kind)
    found = loss.evaluate(p=rows, q=rows, outputs=("losses", "gradient"))
    np.testing.assert_array_equal(found["losses"], 0)
    if kind == "logits":
        np.testing.assert_array_equal(found["gradient"]["p"], 0)
        np.testing.assert_array_equal(found["gradient"]["q"], 0)


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=40, deadline=None)
@given(
    z=arrays(float, (3, 4), elements=st.floats(-5, 5)), step=arrays(float, (3, 4), elements=st.floats(-1e-12, 1e-12))
)
def test_nearly_equal_rows_never_fall_below_zero(name: str, z, step) -> None:
    assert np.all(both(name).losses(p=z, q=z + step) >= 0)
    p, q = softmax(z), softmax(z + step)
    assert np.all(both(name, "probabilities").losses(p=p, q=q) >= -4 * 2.0**-52)


ZERO = {
    "kl_divergence": (math.inf, math.log(2)),
    "reverse_kl_divergence": (math.log(2), math.inf),
    "jensen_shannon": (0.75 * math.log(4 / 3), 0.75 * math.log(4 / 3)),
    "total_variation": (0.5, 0.5),
    "squared_hellinger": (1 - math.sqrt(0.5), 1 - math.sqrt(0.5)),
    "alpha_divergence": (4 - 4 * math.sqrt(0.5), 4 - 4 * math.sqrt(0.5)),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("p_kind", "q_kind"), list(itertools.product(KINDS, KINDS)))
def test_classes_that_are_ruled_out(name: str, p_kind: str, q_kind: str) -> None:
    def rows(p: list[float], kind: str) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.array([p]) if kind == "probabilities" else np.log([p])

    loss = lm.get(name, p_kind=p_kind, q_kind=q_kind)
    half, one = [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]  # the last class is ruled out by both
    q_rules_out, p_rules_out = ZERO[name]
    if name == "jensen_shannon":
        q_rules_out = p_rules_out = 0.5 * (math.log(0.5 / 0.75) / 2 + math.log(2) / 2 - math.log(0.75))
    for p, q, value in ((half, one, q_rules_out), (one, half, p_rules_out), (half, half, 0.0), (one, one, 0.0)):
        found = loss.evaluate(p=rows(p, p_kind), q=rows(q, q_kind), outputs=("losses", "gradient"))
        assert found["losses"][0] == pytest.approx(value, rel=1e-14)
        assert not np.isnan(found["losses"]).any()
        if np.isfinite(value):
            assert not any(np.isnan(part).any() for part in found["gradient"].values())
    state = lm.KLDivergence().state(p=[half, half], q=[one, half])
    assert (state.bad, state.first_bad, state.sum) == (1, 0, math.inf)


@pytest.mark.parametrize("name", PLAIN)
def test_logits_far_apart_stay_finite(name: str) -> None:
    p, q = np.array([[800.0, 0.0, -800.0]]), np.array([[-800.0, 0.0, 800.0]])
    found = both(name).evaluate(p=p, q=q, outputs=("losses", "gradient", "hessian"))
    assert np.isfinite(found["losses"]).all()
    assert np.isfinite([*found["gradient"].values(), *found["hessian"].values()]).all()


# --- the contract -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_class_axis_weights_masks_and_batches(name: str) -> None:
    loss = lm.get(name)
    p, q = softmax(rng.normal(size=(2, 6, 4, 5)))
    plain = loss.evaluate(p=p, q=q, outputs=("losses", "gradient"))
    assert plain["losses"].shape == (6, 4)
    moved = loss.replace(class_axis=1)
    there = moved.evaluate(p=np.moveaxis(p, -1, 1), q=np.moveaxis(q, -1, 1), outputs=("losses", "gradient"))
    np.testing.assert_array_equal(there["losses"], plain["losses"])
    np.testing.assert_array_equal(there["gradient"]["q"], np.moveaxis(plain["gradient"]["q"], -1, 1))
    weight, mask = rng.uniform(size=(6, 4)), rng.uniform(size=(6, 4)) < 0.7
    broken = np.where(mask[..., None], p, np.nan)
    cost, gradient = loss.cost_and_gradient(p=broken, q=q, weight=weight, mask=mask)
    counted = weight * mask
    assert cost == pytest.approx(np.sum(counted * plain["losses"]) / counted.sum(), rel=1e-14)
    expected = np.where(mask[..., None], plain["gradient"]["p"], 0) * (counted / counted.sum())[..., None]
    np.testing.assert_allclose(gradient["p"], expected, rtol=1e-13)
    parts = [loss.state(p=p[i : i + 2], q=q[i : i + 2], weight=weight[i : i + 2]) for i in (0, 2, 4)]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    assert merged.mean == pytest.approx(loss.cost(p=p, q=q, weight=weight), rel=1e-14)


@pytest.mark.parametrize("name", [*NAMES, "distillation"])
def test_losses_are_values(name: str) -> None:
    loss = lm.get(name, class_axis=0)
    assert pickle.loads(pickle.dumps(loss)) == lm.from_config(loss.to_config()) == lm.parse(str(loss)) == loss


@pytest.mark.parametrize("name", ["numpy", "llvm"])
def test_many_rows_are_blocks_of_one_pass(name) -> None:
    p, q = softmax(rng.normal(size=(2, 9000, 3)))
    with choice.using(name):
        whole = lm.KLDivergence().losses(p=p, q=q)
        np.testing.assert_array_equal(whole[8990:], lm.KLDivergence().losses(p=p[8990:], q=q[8990:]))


KL, HALF = lm.KLDivergence, [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: KL()(p=HALF), lm.ParameterError, "takes p=, q=; q is missing"),
        (lambda: KL()(HALF, HALF), lm.ParameterError, "takes p=, q="),
        (lambda: KL()(p=HALF, r=HALF), lm.ParameterError, "no input 'r'"),
        (lambda: KL(p_kind="logit"), lm.ParameterError, "Did you mean 'logits'"),
        (lambda: KL()(p=HALF, q=[[0.5, 0.6]]), lm.DomainError, r"row \[0\] of q is \[0.5, 0.6\] with the sum 1.1"),
        (lambda: KL()(p=[[1.5, -0.5]], q=HALF), lm.DomainError, r"row \[0\] of p .*no probabilities"),
        (lambda: KL()(p=[HALF[0], [0.5, np.nan]], q=HALF * 2), lm.DomainError, r"row \[1\] of p"),
        (lambda: KL(q_kind="log_probabilities")(p=HALF, q=HALF), lm.DomainError, "exponentials sum to 3.29744"),
        (lambda: KL(q_kind="logits")(p=HALF, q=[[np.inf, 0]]), lm.DomainError, "logits must be finite or minus inf"),
        (lambda: KL(q_kind="logits")(p=HALF, q=[[-np.inf] * 2]), lm.DomainError, "one at least finite"),
        (lambda: KL()(p=HALF, q=[0.5, 0.5]), lm.ShapeError, r"so q must have shape \(1, 2\)"),
        (lambda: KL(class_axis=2)(p=HALF, q=HALF), lm.ShapeError, "no axis 2"),
        (lambda: KL()(p=HALF, q=[["a", "b"]]), lm.KindError, "real numbers"),
        (lambda: lm.GeneralisedKL()(p=[[1.0, -2.0]], q=HALF), lm.DomainError, "finite and at least 0"),
        (lambda: lm.Distillation(0), lm.ParameterError, "temperature must lie in"),
        (lambda: lm.Distillation()(p=HALF, q=HALF), lm.ParameterError, "takes teacher=, student="),
        (lambda: lm.AlphaDivergence(math.inf), lm.ParameterError, "alpha must lie in"),
        (lambda: lm.entropy([[0.5, 0.6]]), lm.DomainError, r"row \[0\] of p"),
        (lambda: lm.entropy(HALF, kind="bits"), lm.ParameterError, "kind must be"),
        (lambda: KL().optimal_constant(HALF), lm.NoConstantError, "a loss of p, q"),
    ],
)
def test_bad_input(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("kind", ["logits", "log_probabilities"])
@pytest.mark.parametrize("alpha", [1.5, 2.0, 3.0])
def test_slopes_rise_without_bound_where_a_power_does(alpha: float, kind: str) -> None:
    """As q goes to 0, so does the share of q in the power, but not the power."""
    loss = lm.AlphaDivergence(alpha, p_kind=kind)
    p = np.array([[0.0, 1.0, 2.0]])
    p = p if kind == "logits" else np.log(softmax(p))
    for q in (1e-60, 1e-90):
        found = loss.gradient(p=p, q=[[q, 0.4, 0.6]])["p"]
        share = softmax(p)[0, 0]
        power = share**alpha * q ** (1 - alpha) / (alpha - 1)  # of the first class, beside which all else is nothing
        by_log = power if kind == "log_probabilities" else power * (1 - share)
        assert found[0, 0] == pytest.approx(by_log, rel=1e-9)
    cost, gradient = loss.losses(p=p, q=[[0.0, 0.4, 0.6]]), loss.gradient(p=p, q=[[0.0, 0.4, 0.6]])["p"]
    assert cost[0] == gradient[0, 0] == np.inf
    if kind == "logits":
        np.testing.assert_array_equal(gradient[0, 1:], -np.inf)
    mirrored = lm.AlphaDivergence(1 - alpha, q_kind=kind).gradient(p=[[0.0, 0.4, 0.6]], q=p)["q"]
    np.testing.assert_array_equal(mirrored, gradient)
