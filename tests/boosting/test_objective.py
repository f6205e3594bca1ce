"""The core of boosting: kinds of Hessian, the examination before the first tree, and what an objective carries."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import choice
from lossmith.frameworks.boosting import KINDS, Head, Objective, curvature
from lossmith.lightgbm import check

ROWS = 5000  # of which kernels take some, and none of an examination
RNG = np.random.default_rng(0)
LABELS = (RNG.random(ROWS) < 0.3).astype(float)
CLASSES = RNG.integers(0, 3, ROWS).astype(float)
NUMBERS = RNG.standard_t(3, ROWS) + 1
COUNTS = RNG.poisson(2.0, ROWS).astype(float)
WEIGHT = RNG.integers(0, 3, ROWS).astype(float)
CASES = {
    "binary_cross_entropy": LABELS,
    "focal": LABELS,
    "poisson": COUNTS,
    "huber(delta=0.5)": NUMBERS,
    "0.7 * log_cosh + 0.3 * mae": NUMBERS,
    "sparse_categorical_cross_entropy": CLASSES,
    "categorical_cross_entropy": CLASSES,
    "softmax_focal": CLASSES,
    "sparse_categorical_cross_entropy(class_weight=(1, 2, 3), ignore_index=-1)": np.where(LABELS == 1, CLASSES, -1),
    "softmax_focal(targets=distributions, label_smoothing=0.1)": np.eye(3)[CLASSES.astype(int)],
    "0.5 * softmax_focal + 0.5 * multiclass_brier": CLASSES,
    "weston_watkins": CLASSES,
    "multi_quantile": NUMBERS,
    "multi_quantile(prediction=increments)": NUMBERS,
    "gaussian_nll(scale=log_variance)": NUMBERS,
}


def quietly(*arguments, **named) -> Objective:
    """Return an objective without the warnings of Hessians that are exact."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lm.LossmithWarning)
        return Objective(*arguments, **named)


def places(objective: Objective) -> np.ndarray:
    return objective.init_score + RNG.normal(0, 0.7, objective.init_score.shape)


@pytest.mark.parametrize("kind", ["exact", "floor"])
@pytest.mark.parametrize("name", CASES)
def test_the_passes_return_what_the_loss_says_on_either_engine_and_in_any_order(name: str, kind: str) -> None:
    try:
        objective = quietly(name, CASES[name], WEIGHT, hessian=kind)
    except lm.ParameterError as error:
        assert "Hessian is zero at every row" in str(error)  # noqa: PT017  # of kinks, that is right
        return
    raw = places(objective)
    gradient, hessian = objective.gradient_and_hessian(raw)
    with choice.using("numpy"):
        others = objective.gradient_and_hessian(np.asfortranarray(raw), order="F")
    for found, other in zip((gradient, hessian), others, strict=True):
        np.testing.assert_allclose(found, other, rtol=2e-5, atol=2e-6 * np.abs(found).max())
    heavy = WEIGHT if raw.ndim == 1 else WEIGHT[:, None]
    exact = objective.form.derivatives(objective.y, raw)[0] * heavy
    axis = 0 if objective.form.units else None
    ratio = np.sum(gradient * exact, axis) / np.sum(exact**2, axis)  # with a floor both are over its mean
    assert kind == "floor" or ratio == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(gradient, ratio * exact, rtol=2e-5, atol=2e-6 * np.abs(gradient).max())
    if kind == "floor":
        assert np.all(hessian[WEIGHT > 0] > 0)
        assert np.average(
            hessian[WEIGHT > 0] / heavy[WEIGHT > 0], weights=np.broadcast_to(heavy, raw.shape)[WEIGHT > 0]
        ) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", ["sparse_categorical_cross_entropy", "softmax_focal", "multiclass_brier"])
def test_an_upper_bound_is_above_the_whole_hessian_and_below_minus_it(name: str) -> None:
    objective = quietly(name, CLASSES[:200], hessian="upper_bound")
    raw = RNG.normal(0, 2, (200, 3))
    bound = objective.gradient_and_hessian(raw)[1][:, :, None] * np.eye(3)
    full = objective.loss.hessian(CLASSES[:200], raw, kind="full")
    for sign in (1, -1):
        assert np.linalg.eigvalsh(bound + sign * full).min() > -1e-6
    if name.startswith("sparse"):
        p = objective.predict(raw)
        np.testing.assert_allclose(np.einsum("nii->ni", bound), 2 * p * (1 - p), rtol=1e-5)


def test_gauss_newton_is_the_hessian_that_is_to_be_expected() -> None:
    rate = np.full(40_000, 1.3)
    drawn = np.random.default_rng(1).gamma(2.0, np.exp(1.3) / 2.0, rate.size)
    objective = Objective("tweedie(power=1.5)", drawn, hessian="gauss_newton")
    exact = quietly("tweedie(power=1.5)", drawn, hessian="exact")
    expected = exact.gradient_and_hessian(rate)[1].mean()
    np.testing.assert_allclose(objective.gradient_and_hessian(rate)[1], expected, rtol=0.02)
    for name in ("focal", "hinge"):
        with pytest.raises(lm.ParameterError, match="gauss_newton"):
            Objective(name, LABELS, hessian="gauss_newton")


# --- the examination --------------------------------------------------------------------------------


def honest(raw, data):
    p = 1 / (1 + np.exp(-raw))
    w = 1.0 if data.get_weight() is None else data.get_weight()
    return w * (p - data.get_label()), w * p * (1 - p)


def backwards(raw, data):
    gradient, hessian = honest(raw, data)
    return -gradient, hessian


def unweighted(raw, data):
    p = 1 / (1 + np.exp(-raw))
    return p - data.get_label(), p * (1 - p)


def missing(raw, data):
    gradient, hessian = honest(raw, data)
    return np.where(raw > 0, np.nan, gradient), hessian


def flat(raw, data):
    return honest(raw, data)[0], np.zeros_like(raw)


def still(raw, data):
    return np.zeros_like(raw), honest(raw, data)[1]


def twice(raw, data):
    gradient, hessian = honest(raw, data)
    return gradient * data.get_weight(), hessian * data.get_weight()


def cubed(raw, data):
    gradient, hessian = honest(raw, data)
    return gradient**3, hessian


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (backwards, "backwards: the gradient has the wrong sign: the finite difference .*CatBoost minus that"),
        (unweighted, "the weights are ignored: gradients are 1 times"),
        (missing, "the gradient must be finite"),
        (flat, "Hessian is zero at every row"),
        (still, "its gradient is zero everywhere"),
        (twice, "twice: gradients are .* times the weighted slope of the loss, which must be one factor"),
        (cubed, "cubed: gradients are .* times the weighted slope of the loss, which must be one factor"),
    ],
)
def test_objectives_written_by_hand_are_examined(function, message: str) -> None:
    check(honest, "bce", LABELS, WEIGHT)
    with pytest.raises(lm.LossmithError, match=message):
        check(function, "bce", LABELS, WEIGHT)


@pytest.mark.parametrize("name", ["mae", "huber", "crammer_singer", "multi_quantile", "softmax_focal", "hinge"])
def test_an_honest_one_passes_beside_kinks_too(name: str) -> None:
    classes, rng = "crammer" in name or "softmax" in name, np.random.default_rng(0)
    y = (np.arange(300) % 3 if classes else rng.integers(0, 2, 300)).astype(float)
    form = Objective(name, y).form

    def scaled(raw, data):
        gradient, hessian = form.derivatives(data.get_label(), raw)
        weight = data.get_weight().reshape(-1, *(1,) * (raw.ndim - 1))
        return 7 * weight * gradient, weight * (np.abs(hessian) + 1)

    check(scaled, name, y, rng.uniform(0, 2, 300))


def test_a_loss_that_states_a_wrong_slope_is_refused() -> None:
    @lm.loss
    def uphill(ops, y, f):
        r = f - y
        return 2 * ops.hold(r * r) - r * r

    with pytest.raises(lm.ParameterError, match="wrong sign"):
        Objective(uphill(), NUMBERS)


@pytest.mark.parametrize(
    ("name", "y", "weight", "kind", "error", "message"),
    [
        ("mae", NUMBERS, None, "exact", lm.ParameterError, "zero at every row .*hessian='floor'"),
        ("mse", NUMBERS, np.zeros(ROWS), "floor", lm.EmptyError, "weights sum to zero"),
        ("mse", NUMBERS, np.where(NUMBERS > 1, -1.0, 1.0), "floor", lm.DomainError, r"weight\[\d+\] is -1"),
        ("mse", NUMBERS, np.ones(3), "floor", lm.ShapeError, "weight"),
        ("mse", [], None, "floor", lm.EmptyError, "no rows"),
        ("mse", [1.0, np.nan], None, "floor", lm.DomainError, r"y_true\[1\] is nan"),
        ("mse", np.ones((4, 2)), None, "floor", lm.ShapeError, "one number a row"),
        ("bce", LABELS, 1 - LABELS, "floor", lm.DomainError, "labels of one class"),
        ("gaussian_nll(scale=log_variance)", np.ones(9), None, "floor", lm.ParameterError, "falls without bound"),
    ],
)
def test_data_that_teach_nothing_are_refused(name, y, weight, kind, error, message) -> None:
    with pytest.raises(error, match=message):
        Objective(name, y, weight, hessian=kind)


def test_a_hessian_that_vanishes_here_and_there_is_explained() -> None:
    with pytest.warns(lm.LossmithWarning, match="Hessian is zero at .*% of the.*steps overshoot;.*hessian='floor'"):
        Objective("huber(delta=0.5)", NUMBERS, hessian="exact")
    with pytest.warns(lm.LossmithWarning, match="negative at .*% of the.*overshoot or go uphill"):
        Objective("tukey(c=1)", NUMBERS, hessian="exact")


def test_a_row_without_finite_derivatives_is_named() -> None:
    objective = Objective("squared_log_error", np.abs(NUMBERS))
    raw = objective.init_score
    raw[4321] = -2.0
    with pytest.raises(lm.DomainError, match="row 4321 is -2, outside"):
        objective.gradient_and_hessian(raw)


@pytest.mark.parametrize("engine", ["numpy", "llvm"])
@pytest.mark.parametrize("text", ["abs(f - y)**1.5", "max(f - y, 0)**1.5 + max(y - f, 0)**1.5"])
def test_a_floor_stands_for_an_infinite_hessian_at_a_perfect_prediction(text: str, engine: choice.Name) -> None:
    y = np.where(np.arange(ROWS) < ROWS / 2, 0.0, np.round(NUMBERS))
    with choice.using(engine):
        objective = Objective(lm.formula(text), y)
        met, beside = (objective.gradient_and_hessian(np.full(ROWS, f)) for f in (0.0, 1e-3))
    assert np.isfinite(met).all()
    near = 0.5 * np.sqrt(np.abs(y)).mean() ** 2
    far = np.abs(y) >= near
    secant = np.where(far, 1.5 / np.sqrt(np.maximum(np.abs(y), near)), 1.5 / np.sqrt(near))
    np.testing.assert_allclose(met[1] / met[1][0], secant / secant[0], rtol=1e-5)
    assert beside[1][0] > 10 * beside[1][far].max()  # which is exact again
    several = Objective(lm.formula(f"{text} + abs(g - y)", predicted={"g": "(-inf, inf)"}), y)
    assert np.isfinite(several.gradient_and_hessian(np.zeros((ROWS, 2)))).all()
    for kind in ("exact", "gauss_newton"):
        with pytest.raises(lm.DomainError, match=r"Hessian.* inf, which must be.*hessian='floor'"):
            quietly(lm.formula(text), y, hessian=kind).gradient_and_hessian(np.zeros(ROWS))


@pytest.mark.parametrize("text", ["log(-1 - f**2)", "y/f + log(f)"])
def test_a_loss_that_is_no_number_is_refused_though_its_gradient_is_one(text: str) -> None:
    with pytest.raises(lm.DomainError, match=r"the loss is no number at a raw prediction of -?\d.*as with exp\(f\)"):
        Objective(lm.formula(text), np.where(NUMBERS > 2, 0.9, 0.1))


def test_classes_whose_weights_single_precision_cannot_hold_are_named() -> None:
    y, raw = np.repeat([0.0, 1.0, 2.0], 20), np.zeros((60, 3), np.float32)
    with pytest.raises(lm.DomainError, match="at row 0 the gradient is"):
        Objective(lm.SparseCategoricalCrossEntropy(class_weight=[1e39] * 3), y, hessian="exact")
    large = Objective(lm.SparseCategoricalCrossEntropy(class_weight=[1e38] * 3), y, hessian="exact")
    assert np.isfinite(large.gradient_and_hessian(raw)).all()  # whose sums it cannot hold


@pytest.mark.parametrize("name", ["huber", "binary_cross_entropy"])
def test_means_of_many_rows_are_those_of_some(name: str, monkeypatch) -> None:
    rows = 10 * curvature.SAMPLE
    rng = np.random.default_rng(5)
    y = (rng.random(rows) < 0.4) * 1.0
    weight = np.where(np.arange(rows) % 32 < 24, 0.0, rng.uniform(0.5, 2, rows))  # most runs of rows have none
    raw = rng.normal(0, 0.7, rows)
    alone = 3292  # between the rows that means are taken over: at its best prediction, or far out
    raw[alone] = 36.9 * (2 * y[alone] - 1)
    few = Objective(name, y, weight).gradient_and_hessian(raw)
    again = Objective(name, y, weight)
    again.gradient_and_hessian(raw + 1)
    np.testing.assert_array_equal(few, again.gradient_and_hessian(raw))  # what came before makes no difference
    part = np.where((np.arange(rows) > 20) & (np.arange(rows) < 140), weight, 0)
    of_part = Objective(name, y, part).gradient_and_hessian(raw)
    monkeypatch.setattr(curvature, "SAMPLE", rows)
    np.testing.assert_allclose(of_part, Objective(name, y, part).gradient_and_hessian(raw), rtol=1e-6)
    every = Objective(name, y, weight).gradient_and_hessian(raw)
    ratio = few[0][alone] / every[0][alone]
    assert 0 < abs(ratio - 1) < 0.02
    np.testing.assert_allclose(few[0], ratio * every[0], rtol=1e-6)
    np.testing.assert_allclose(few[1], ratio * every[1], rtol=0.02)


@pytest.mark.parametrize(
    ("name", "kind"), [("huber(delta=0.5)", "floor"), ("quantile(level=0.8)", "floor"), ("mse", "exact")]
)
def test_residuals_of_large_numbers_keep_their_digits(name: str, kind: str) -> None:
    far, raw = 2.0**30, RNG.normal(0, 0.7, ROWS)
    there, here = (Objective(name, NUMBERS + offset, hessian=kind) for offset in (far, 0.0))
    pairs = zip(there.gradient_and_hessian(raw + far), here.gradient_and_hessian(raw), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)  # the sums have 22 bits after the point


# --- what it carries --------------------------------------------------------------------------------


def test_results_are_never_written_over_while_somebody_holds_them() -> None:
    objective = Objective("mse", NUMBERS)
    first, _ = objective.gradient_and_hessian(np.zeros(ROWS))
    part, kept = first[1:], first.copy()
    del first
    second, _ = objective.gradient_and_hessian(np.ones(ROWS))
    np.testing.assert_array_equal(part, kept[1:])
    place = second.ctypes.data
    del second, _
    assert objective.gradient_and_hessian(np.ones(ROWS))[0].ctypes.data == place


def test_rows_of_another_worker_get_what_they_would_get_here() -> None:
    whole = Objective("poisson", COUNTS, WEIGHT, hessian="exact")
    raw = places(whole)
    half = whole.on(COUNTS[:2500], WEIGHT[:2500]).gradient_and_hessian(raw[:2500])
    np.testing.assert_allclose(half, [array[:2500] for array in whole.gradient_and_hessian(raw)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_head_goes_through_text_and_predicts_without_the_data(name: str) -> None:
    head = Objective(name, CASES[name]).head
    again = Head.from_json(head.to_json())
    raw = head.constant(5)
    np.testing.assert_array_equal(again.predict(raw), head.predict(raw))
    assert (again.loss, again.outputs, again.hessian) == (head.loss, head.outputs, "floor")


def test_a_loss_of_an_own_function_is_asked_for() -> None:
    @lm.loss(parameters={"k": "(0, inf)"})
    def steep(ops, y, f, k=2.0):
        return ops.where(f < y, k, 1) * (y - f) ** 2

    text = Objective(steep(k=3.0), NUMBERS).head.to_json()
    assert Head.from_json(text, steep(k=3.0)).loss == steep(k=3.0)
    with pytest.raises(lm.ParameterError, match="pass the loss as loss="):
        Head.from_json(text)
    with pytest.raises(lm.ParameterError, match="and not with"):
        Head.from_json(text, steep())
    with pytest.raises(lm.ParameterError, match="no description of a loss"):
        Head.from_json(json.dumps({"format": 1}))


def test_start_scores_of_several_columns_are_where_each_has_its_least_cost() -> None:
    low, high = Objective("interval_score(level=0.8)", NUMBERS, WEIGHT).start
    for start, level in ((low, 0.1), (high, 0.9)):
        below = np.average(start > NUMBERS, weights=WEIGHT)
        assert below == pytest.approx(level, abs=2 / ROWS)
    y = np.where(np.arange(ROWS) % 2, 0.0, np.round(NUMBERS))  # beginning at a target, where powers have no curvature
    text = "abs(f - y)**1.5 + 3*max(y - g, 0) + max(g - y, 0)"
    near, above = Objective(lm.formula(text, predicted={"g": "(-inf, inf)"}), y).start
    assert near == pytest.approx(lm.formula("abs(f - y)**1.5").optimal_constant(y), rel=1e-4)
    assert above == np.quantile(y, 0.75)
    alone = Objective(lm.formula("abs(f - y) + abs(g - y)", predicted={"g": "(-inf, inf)"}), np.full(9, 3.0)).start
    np.testing.assert_allclose(alone, 3, rtol=1e-9)


def test_predictions_of_several_outputs() -> None:
    quantiles = Objective("multi_quantile", NUMBERS)
    crossed = np.array([[1.0, 3.0, 2.0]])
    assert quantiles.loss.crossing_rate(quantiles.predict(crossed)) == 0
    increments = Objective("multi_quantile(prediction=increments)", NUMBERS)
    assert np.all(np.diff(increments.predict(RNG.normal(0, 9, (50, 3)))) >= 0)
    np.testing.assert_allclose(Objective("softmax_focal", CLASSES).predict(np.zeros((1, 3))), 1 / 3)
    with pytest.raises(lm.DomainError, match="there are 2 classes"):
        Objective("softmax_focal", CLASSES, classes=2)
    assert Objective("softmax_focal", CLASSES, classes=5).start[4] == -37
    assert repr(Objective("interval_score", NUMBERS[:50])).endswith("link=identity, hessian='floor')")
    assert set(KINDS) == {"floor", "exact", "upper_bound", "gauss_newton"}
