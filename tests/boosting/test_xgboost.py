"""XGBoost with losses of the catalogue: what the library does by itself, the same models as built in, no mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

import lossmith as lm
from lossmith.core.mistakes import LossmithWarning
from lossmith.xgboost import DEFAULTS, Classifier, Model, Objective, Regressor, check, cv, train

ROUNDS = 15
OVER_CLASSES = "sparse_categorical_cross_entropy"
ONE = {"nthread": 1}
X, Y = load_diabetes(return_X_y=True)
ROWS, LABELS = load_breast_cancer(return_X_y=True)
IRIS, SPECIES = load_iris(return_X_y=True)
WEIGHT = np.random.default_rng(0).uniform(0.5, 3, len(Y))
HEAVY = np.where(LABELS == 1, 3.0, 1.0)


# --- what XGBoost does by itself; where one of these fails, the face has to follow ---------------------


class Spy:
    """A custom objective that writes down what it is called with."""

    def __init__(self, outputs: int = 1, factor: float = 1.0) -> None:
        self.seen: list[np.ndarray] = []
        self.outputs, self.factor = outputs, factor

    def __call__(self, raw, data):
        self.seen.append(raw)
        label = data.get_label()
        gradient = raw - (label if self.outputs == 1 else label[:, None])
        return self.factor * gradient, np.ones_like(gradient)


def test_custom_objectives_get_raw_float32_from_one_half_and_no_weights() -> None:
    spy, weighted = Spy(), Spy()
    coarse = {**ONE, "max_bin": 8}
    bare = xgboost.train(coarse, xgboost.DMatrix(X, Y), 1, obj=spy)
    heavy = xgboost.train(coarse, xgboost.DMatrix(X, Y, weight=WEIGHT), 1, obj=weighted)
    same = xgboost.train(coarse, xgboost.DMatrix(X, Y, weight=np.full(len(Y), 9.0)), 1, obj=weighted)
    rows = xgboost.DMatrix(X)
    np.testing.assert_array_equal(bare.predict(rows), same.predict(rows))  # weights left to the objective
    assert not np.array_equal(bare.predict(rows), heavy.predict(rows))  # but bins see them
    assert spy.seen[0].dtype == np.float32
    assert np.all(spy.seen[0] == 0.5)
    several = Spy(outputs=3)
    settings = {**ONE, "num_target": 3, "base_score": [1.0, 2.0, 3.0], "disable_default_eval_metric": True}
    booster = xgboost.train(settings, xgboost.DMatrix(X, Y), 1, obj=several)
    assert several.seen[0].shape == (len(Y), 3)
    assert several.seen[0].flags.c_contiguous
    np.testing.assert_array_equal(several.seen[0][0], [1, 2, 3])
    assert booster.predict(xgboost.DMatrix(X)).shape == (len(Y), 3)


def test_metrics_are_rounded_to_six_digits_and_get_raw_predictions() -> None:
    found: dict = {}
    data = xgboost.DMatrix(X, Y)
    xgboost.train(
        ONE, data, 1, obj=Spy(), evals=[(data, "all")], custom_metric=lambda raw, data: ("tiny", 1.23456789e-7),
        evals_result=found, verbose_eval=False,
    )  # fmt: skip
    assert found["all"]["tiny"] == [0.0]


def test_nothing_is_checked_and_files_lose_the_objective(tmp_path: Path) -> None:
    data = xgboost.DMatrix(X, Y)
    xgboost.train(ONE, data, 1, obj=Spy(factor=np.nan))
    uphill = xgboost.train(ONE, data, 5, obj=Spy(factor=-1.0))
    uphill.save_model(tmp_path / "model.ubj")
    config = json.loads(xgboost.Booster(model_file=tmp_path / "model.ubj").save_config())
    assert config["learner"]["objective"]["name"] == "reg:squarederror"
    assert uphill[:0].num_boosted_rounds() == 5  # a slice of none is all


def test_splits_that_gain_less_than_a_millionth_are_not_made() -> None:
    small = xgboost.train({**ONE, "base_score": 0.0}, xgboost.DMatrix(X, (Y - Y.mean()) * 1e-7), 1)
    assert len(small.trees_to_dataframe()) == 1
    with pytest.warns(LossmithWarning, match="XGBoost makes no split that gains less than 1e-06"):
        train("mse", X, (Y - Y.mean()) * 1e-7, rounds=1, params=ONE)


# --- the same models as built in ------------------------------------------------------------------------


def built_in(objective: str, rows, y, weight=None, **params) -> np.ndarray:
    """Return raw predictions of XGBoost's own objective; it starts where ours does."""
    settings = {**DEFAULTS, **ONE, "objective": objective, "seed": 0, **params}
    booster = xgboost.train(settings, xgboost.QuantileDMatrix(rows, y, weight=weight), ROUNDS)
    return booster.predict(xgboost.DMatrix(rows), output_margin=True)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_the_built_in_objective(weighted: bool) -> None:
    weight = HEAVY if weighted else None
    ours = train("bce", ROWS, LABELS, weight, rounds=ROUNDS, hessian="exact", params=ONE)
    np.testing.assert_allclose(ours.predict_raw(ROWS), built_in("binary:logistic", ROWS, LABELS, weight), atol=1e-5)


def test_squared_error_is_the_built_in_objective() -> None:
    ours = train("mse", X, Y, WEIGHT, rounds=ROUNDS, params=ONE, built_in=False)
    np.testing.assert_allclose(ours.predict(X), built_in("reg:squarederror", X, Y, WEIGHT), rtol=1e-5)


def test_poisson_is_the_built_in_objective_and_its_damping_is_a_choice_of_settings() -> None:
    ours = train("poisson", X, Y, rounds=ROUNDS, hessian="exact", params=ONE)
    np.testing.assert_allclose(ours.predict_raw(X), built_in("count:poisson", X, Y, max_delta_step=0), atol=1e-4)
    # By default XGBoost multiplies the Hessian by exp(0.7) and bounds leaves to 0.7.
    less = np.exp(-0.7)
    damped = {"learning_rate": 0.1 * less, "reg_lambda": less, "min_child_weight": less, "max_delta_step": 0.7 / less}
    ours = train("poisson", X, Y, rounds=ROUNDS, hessian="exact", params={**ONE, **damped})
    np.testing.assert_allclose(ours.predict_raw(X), built_in("count:poisson", X, Y), atol=1e-4)


def test_pseudo_huber_is_the_built_in_objective_from_the_same_start() -> None:
    # XGBoost starts at one Newton step, and not at the best constant.
    ours = train("pseudo_huber(delta=20)", X, Y, rounds=ROUNDS, hessian="exact", params=ONE, built_in=False)
    theirs = built_in("reg:pseudohubererror", X, Y, huber_slope=20, base_score=ours.start)
    np.testing.assert_allclose(ours.predict(X), theirs, rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_are_the_built_in_objective_with_its_upper_bound(weighted: bool) -> None:
    weight = WEIGHT[: len(SPECIES)] if weighted else None
    loss = "sparse_categorical_cross_entropy"
    ours = train(loss, IRIS, SPECIES, weight, rounds=ROUNDS, hessian="upper_bound", params=ONE)
    theirs = built_in("multi:softprob", IRIS, SPECIES, weight, num_class=3)
    shares = np.exp(theirs) / np.exp(theirs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours.predict(IRIS), shares, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "objective", "params", "at_most"),
    [
        # XGBoost refits the leaves of these to quantiles of residuals, which a custom objective cannot do.
        ("mae", "reg:absoluteerror", {}, 1.04),
        ("quantile(level=0.8)", "reg:quantileerror", {"quantile_alpha": 0.8}, 1.04),
    ],
)
def test_what_refits_leaves_is_as_good_without(loss: str, objective: str, params: dict, at_most: float) -> None:
    cost, ours, theirs = lm.parse(loss), [], []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(Y))
        fit, held = order[:330], order[330:]
        settings = {**ONE, "max_depth": 3}
        model = train(loss, X[fit], Y[fit], rounds=40, params=settings)
        booster = xgboost.train(
            {**DEFAULTS, **settings, "objective": objective, **params}, xgboost.QuantileDMatrix(X[fit], Y[fit]), 40
        )
        ours.append(cost(Y[held], model.predict(X[held])))
        theirs.append(cost(Y[held], booster.predict(xgboost.DMatrix(X[held])).astype(float)))
    assert np.mean(ours) < at_most * np.mean(theirs)


@pytest.mark.parametrize(
    "text",
    [
        "huber(delta=20)",
        "gamma",
        "hinge",
        "focal",
        "0.7 * huber + 0.3 * mae",
        "softmax_focal",
        "gaussian_nll(scale='log_variance')",
    ],
)
def test_training_lowers_the_own_cost(text: str) -> None:
    loss = lm.parse(text)
    rows, y = {"binary": (ROWS, LABELS), "categorical": (IRIS, SPECIES)}.get(loss.card.task, (X, Y))
    model = train(loss, rows, y, rounds=30, params=ONE)
    form = model.head.form
    assert form.losses(y, model.predict_raw(rows)).mean() < form.losses(y, model.head.constant(len(y))).mean()
    assert model.predict(rows).shape == form.shape(len(y))


def test_rounds_of_training_do_not_ask_for_labels_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train("huber", X, Y, WEIGHT, rounds=3, params=ONE).predict_raw(X)
    for name in ("get_label", "get_weight"):
        monkeypatch.setattr(xgboost.DMatrix, name, lambda data: pytest.fail("copied at each round"))
    np.testing.assert_array_equal(train("huber", X, Y, WEIGHT, rounds=3, params=ONE).predict_raw(X), expected)
    assert len(cv("huber", X, Y, rounds=2, folds=2, params=ONE)["test-huber-mean"]) == 2


def test_a_mean_moves_whatever_the_unit_of_its_variance() -> None:
    # XGBoost's lambda and least weight of a child are in units of the Hessian, and a mean in hundreds has a tiny one.
    model = train("gaussian_nll(scale='log_variance')", X, Y, rounds=30, params=ONE)
    assert np.corrcoef(model.predict(X)[:, 0], Y)[0, 1] > 0.8


def test_a_function_of_ones_own_trains_and_its_file_asks_for_it(tmp_path: Path) -> None:
    @lm.loss(task="regression")
    def late(ops, y, f):
        return ops.where(f < y, 4 * (y - f) ** 2, (y - f) ** 2)

    model = train(late(), X, Y, rounds=ROUNDS, params=ONE)
    assert (model.predict(X) > Y).mean() > 0.6
    model.save(tmp_path / "late.json")
    with pytest.raises(lm.ParameterError, match="pass the loss as loss="):
        Model.load(tmp_path / "late.json")
    again = Model.load(tmp_path / "late.json", late())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


# --- one object in XGBoost's own functions ---------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, HEAVY])
def test_the_objective_goes_into_xgboosts_own_train_and_estimators(weight) -> None:
    objective = Objective("bce", LABELS, weight, hessian="exact")
    model = train("bce", ROWS, LABELS, weight, rounds=5, hessian="exact", params=ONE, built_in=False)
    settings = {**DEFAULTS, **ONE, **objective.params, "seed": 0}
    data, found = objective.matrix(ROWS), {}
    booster = xgboost.train(
        settings, data, 5, obj=objective, custom_metric=objective.eval_metric, evals=[(data, "all")],
        evals_result=found, verbose_eval=False,
    )  # fmt: skip
    np.testing.assert_array_equal(objective.model(booster).predict(ROWS), model.predict(ROWS))
    cost = lm.BinaryCrossEntropy().cost(LABELS, model.predict_raw(ROWS), weight)
    assert found["all"]["binary_cross_entropy"][-1] == pytest.approx(cost, abs=1e-6)
    estimator = xgboost.XGBRegressor(
        objective=objective, eval_metric=objective.eval_metric, n_estimators=5, n_jobs=1, **DEFAULTS, **objective.params
    ).fit(ROWS, LABELS, sample_weight=weight, eval_set=[(ROWS, LABELS)], sample_weight_eval_set=[weight], verbose=False)
    np.testing.assert_array_equal(estimator.predict(ROWS), model.predict_raw(ROWS).astype(np.float32))
    assert estimator.evals_result()["validation_0"]["binary_cross_entropy"][-1] == pytest.approx(cost, abs=1e-6)
    table = xgboost.cv(
        settings, xgboost.DMatrix(ROWS, LABELS, weight=weight), 5, nfold=3, obj=objective,
        custom_metric=objective.eval_metric, as_pandas=False,
    )  # fmt: skip
    assert table["test-binary_cross_entropy-mean"][-1] < table["test-binary_cross_entropy-mean"][0]


def test_weights_are_applied_once_wherever_they_come_from() -> None:
    raw, label = np.linspace(0, 9, len(Y), dtype=np.float32), Y.astype(np.float32)
    objective = Objective("half_squared_error", Y, WEIGHT, hessian="exact")
    expected = (raw - Y) * WEIGHT
    bare, heavy = xgboost.DMatrix(X, Y), xgboost.DMatrix(X, Y, weight=WEIGHT)
    for gradient, hessian in (objective(raw, bare), objective(raw, heavy), objective(label, raw, WEIGHT)):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5)
        np.testing.assert_allclose(hessian, WEIGHT, rtol=1e-6)
    part = xgboost.DMatrix(X[:50], Y[:50], weight=2 * WEIGHT[:50])
    np.testing.assert_allclose(objective(raw[:50], part)[0], 2 * expected[:50], rtol=1e-5)
    with pytest.raises(lm.ParameterError, match="the matrix has weights that the objective was not made with"):
        Objective("mse", Y)(raw, heavy)


def test_another_start_and_another_shape_are_noticed() -> None:
    objective = Objective("mse", Y)
    with pytest.warns(LossmithWarning, match=r"starts at 0.5, and not at the best constant, 152.13.*objective.params"):
        xgboost.train(ONE, objective.matrix(X), 1, obj=objective)
    classifier = xgboost.XGBClassifier(objective=Objective("bce", LABELS), base_score=0.5212, n_estimators=1, n_jobs=1)
    with pytest.warns(LossmithWarning, match="XGBClassifier takes base_score for a probability"):
        classifier.fit(ROWS, LABELS)
    with pytest.raises(
        lm.ShapeError, match=r"shape \(150,\), but the loss takes \(150, 3\); pass \*\*objective.params"
    ):
        xgboost.train(ONE, xgboost.DMatrix(IRIS, SPECIES), 1, obj=Objective(OVER_CLASSES, SPECIES))


def test_a_step_that_overshoots_to_infinity_names_its_row_and_what_mends_it() -> None:
    y = np.where(np.arange(442) == 7, 5000.0, Y > 150)
    settings = {**ONE, "learning_rate": 1.0}
    with pytest.raises(lm.DomainError, match=r"at row 7 the gradient is inf .*single precision.*hessian='floor'"):
        train("poisson", X, y, rounds=5, hessian="exact", params=settings)
    assert np.isfinite(train("poisson", X, y, rounds=5, params=settings).predict(X)).all()


def test_objectives_written_by_hand_are_examined() -> None:
    def honest(raw, data):
        weight = data.get_weight() if data.get_weight().size else 1
        return (raw - data.get_label()) * weight, np.ones_like(raw) * weight

    check(honest, "half_squared_error", Y, WEIGHT)
    with pytest.raises(lm.ParameterError, match="the weights are ignored"):
        check(lambda raw, data: (raw - data.get_label(), np.ones_like(raw)), "half_squared_error", Y, WEIGHT)
    with pytest.raises(lm.ParameterError, match="wrong sign"):
        check(lambda raw, data: (data.get_label() - raw, np.ones_like(raw)), "half_squared_error", Y)


# --- stopping, files, folds ----------------------------------------------------------------------------


def test_early_stopping_keeps_the_best_round_however_small_the_loss() -> None:
    for unit in (1.0, 1e-3):
        y = Y * unit
        held = X[300:], y[300:], WEIGHT[300:]
        model = train("mse", X[:300], y[:300], rounds=300, validation=held, patience=10, params=ONE)
        assert model.rounds == int(np.argmin(model.history)) + 1
        assert model.rounds + 10 == len(model.history) < 300
        cost = lm.SquaredError().cost(y[300:], model.predict(X[300:]), WEIGHT[300:])
        assert cost == pytest.approx(min(model.history), rel=1e-6)


def test_a_loss_whose_name_begins_like_a_score_is_stopped_at_its_least() -> None:
    # XGBoost takes "pre" for precision, and would keep the round with the greatest loss.
    objective = Objective(lm.formula("(f - y)**2", name="precise"), Y)
    data = objective.matrix(X)
    booster = xgboost.train(
        {**ONE, **objective.params}, data, 5, obj=objective, custom_metric=objective.eval_metric,
        evals=[(data, "all")], early_stopping_rounds=2, verbose_eval=False,
    )  # fmt: skip
    assert objective.model(booster).rounds == 5


def test_what_helps_nothing_leaves_the_constant(tmp_path: Path) -> None:
    model = train("mae", X[:200], Y[:200], rounds=5, validation=(X[200:], 1000 - Y[200:] * 9), params=ONE)
    assert model.rounds == 0
    assert np.all(model.predict(X) == np.float32(np.median(Y[:200])))
    model.save(tmp_path / "constant.ubj")
    assert Model.load(tmp_path / "constant.ubj").predict(X[:1]) == model.predict(X[:1])


@pytest.mark.parametrize("text", ["poisson", OVER_CLASSES, "multi_quantile(prediction='increments')"])
def test_files_hold_loss_start_and_link(text: str, tmp_path: Path) -> None:
    rows, y = (IRIS, SPECIES) if text == OVER_CLASSES else (X, Y)
    model = train(text, rows, y, rounds=3, params=ONE, validation=(rows, y))
    model.save(tmp_path / "model.ubj")
    again = Model.load(tmp_path / "model.ubj")
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))
    assert (again.loss, again.history, again.rounds) == (model.loss, model.history, 3)
    np.testing.assert_array_equal(again.start, model.start)
    alone = xgboost.Booster(model_file=tmp_path / "model.ubj").predict(xgboost.DMatrix(rows))
    np.testing.assert_array_equal(alone, model.predict_raw(rows).astype(np.float32))
    model.booster.set_attr(lossmith=None)
    model.booster.save_model(tmp_path / "bare.ubj")
    with pytest.raises(lm.ParameterError, match="but no loss"):
        Model.load(tmp_path / "bare.ubj")
    with pytest.raises(lm.ParameterError, match=r"\.ubj or \.json"):
        model.save(tmp_path / "model.pkl")


def test_folds_start_each_at_its_own_constant() -> None:
    found = cv("mae", X, Y, WEIGHT, folds=3, rounds=30, patience=5, models=True, params=ONE)
    mean = found["test-absolute_error-mean"]
    assert len(mean) == len(found["test-absolute_error-std"]) == int(np.argmin(mean)) + 1
    assert len({model.start for model in found["models"]}) > 1
    assert {model.rounds for model in found["models"]} == {len(mean)}
    halves = [(np.arange(200), np.arange(200, 442)), (np.arange(200, 442), np.arange(200))]
    by_hand = cv("mae", X, Y, folds=halves, rounds=3, params=ONE)["test-absolute_error-mean"]
    alone = [train("mae", X[a], Y[a], rounds=3, validation=(X[b], Y[b]), params=ONE).history for a, b in halves]
    np.testing.assert_allclose(by_hand, np.mean(alone, axis=0), rtol=1e-12)


# --- several outputs, tables, estimators, a cluster ------------------------------------------------------


def test_quantiles_do_not_cross() -> None:
    model = train("multi_quantile(levels=(0.1, 0.5, 0.9))", X, Y, rounds=ROUNDS, params=ONE)
    assert model.loss.crossing_rate(model.predict(X)) == 0
    below = (Y[:, None] < model.predict(X)).mean(axis=0)
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.06)


def test_tables_categories_and_sparse_rows() -> None:
    codes = np.random.default_rng(3).integers(0, 40, 500)
    y = np.sin(codes * 7.0)
    table = pd.DataFrame({"code": pd.Categorical(codes.astype(str)), "noise": np.zeros(500)})
    framed = train("mae", table, y, rounds=60, params=ONE)
    coded = train(
        "mae", codes[:, None].astype(float), y, rounds=60, categorical=[0], feature_names=["code"], params=ONE
    )
    for model, rows in ((framed, table), (coded, codes[:, None])):
        assert np.abs(model.predict(rows) - y).mean() < 0.1
        assert model.importance()[0] > 0
    rare = np.where(X > 0.05, X, np.nan)  # what a sparse matrix leaves out is missing to XGBoost
    sparse, dense = (train("mse", one, Y, rounds=3, params=ONE) for one in (csr_matrix(np.nan_to_num(rare)), rare))
    np.testing.assert_allclose(sparse.predict(csr_matrix(np.nan_to_num(rare))), dense.predict(rare))


def test_estimators_keep_labels_names_and_settings() -> None:
    rows = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    names = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
    model = clone(Classifier("softmax_focal", n_estimators=30, early_stopping_rounds=5, n_jobs=1, max_depth=2))
    model.fit(rows, names, eval_set=(rows, names))
    assert model.score(rows, names) > 0.95
    assert list(model.classes_[model.predict_proba(rows).argmax(axis=1)]) == list(model.predict(rows))
    assert model.feature_importances_.shape == (4,)
    regressor = Regressor("quantile(level=0.9)", n_estimators=20, n_jobs=1, random_state=1).fit(X, Y, WEIGHT)
    assert (regressor.predict(X) >= Y).mean() == pytest.approx(0.9, abs=0.06)
