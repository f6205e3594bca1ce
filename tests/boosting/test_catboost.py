"""CatBoost with losses of the catalogue: the same models as built in, and no mistakes."""

from __future__ import annotations

from pathlib import Path

import catboost
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris

import lossmith as lm
from lossmith.catboost import DEFAULTS, Classifier, MeanLoss, Model, Objective, Regressor, check, cv, train
from lossmith.core.mistakes import LossmithWarning
from lossmith.engines.llvm import kernel
from lossmith.frameworks.catboost.blocks import Means
from tests.boosting.by_catboost import ONE, STILL, Mean, Spy, X, Y, fitted

ROUNDS = 15
OVER_CLASSES = "sparse_categorical_cross_entropy"
STEP = {**ONE, "leaf_estimation_method": "Newton", "leaf_estimation_iterations": 1}
"""One step a leaf, as custom objectives get; some built-in ones take ten."""
ROWS, LABELS = load_breast_cancer(return_X_y=True)
IRIS, SPECIES = load_iris(return_X_y=True)
WEIGHT = np.random.default_rng(0).uniform(0.5, 3, len(Y))
HEAVY = np.where(LABELS == 1, 3.0, 1.0)


# --- the same models as built in ------------------------------------------------------------------------


def built_in(objective: str, rows, y, weight=None, start=0.0, **params) -> np.ndarray:
    """Return raw predictions of CatBoost's own objective from a start score."""
    baseline = np.broadcast_to(np.transpose(start), (len(y), *np.shape(start))).copy()
    settings = {**DEFAULTS, **STEP, "loss_function": objective, "iterations": ROUNDS, "random_seed": 0, **params}
    booster = catboost.CatBoost(settings).fit(catboost.Pool(rows, y, weight=weight, baseline=baseline))
    return booster.predict(catboost.Pool(rows, baseline=baseline), prediction_type="RawFormulaVal")


@pytest.mark.parametrize(
    ("loss", "objective", "rows", "y", "weight"),
    [
        ("bce", "Logloss", ROWS, LABELS, None),
        ("bce", "Logloss", ROWS, LABELS, HEAVY),
        ("half_squared_error", "RMSE", X, Y, WEIGHT),
        ("poisson", "Poisson", X, Y, WEIGHT),
        ("tweedie(power=1.5)", "Tweedie:variance_power=1.5", X, Y, None),
        (OVER_CLASSES, "MultiClass", IRIS, SPECIES, None),
        (OVER_CLASSES, "MultiClass", IRIS, SPECIES, WEIGHT[:150]),
    ],
)
def test_losses_are_the_built_in_objectives(loss: str, objective: str, rows, y, weight) -> None:
    # With all of CatBoost's randomness: it draws the same numbers.
    ours = train(loss, rows, y, weight, rounds=ROUNDS, hessian="exact", params=STEP)
    theirs = built_in(objective, rows, y, weight, ours.start)
    np.testing.assert_allclose(ours.predict_raw(rows), theirs, rtol=1e-6, atol=1e-6)


def test_huber_is_the_built_in_objective_with_the_hessian_that_it_has() -> None:
    with pytest.warns(LossmithWarning, match="Hessian is zero at .*% of the places"):
        ours = train("huber(delta=20)", X, Y, rounds=ROUNDS, hessian="exact", params=STEP)
    theirs = built_in("Huber:delta=20", X, Y, start=ours.start)
    np.testing.assert_allclose(ours.predict(X), theirs, rtol=1e-5)


def test_the_start_is_that_of_the_library_where_it_has_one() -> None:
    booster = catboost.CatBoost(
        {**DEFAULTS, **STEP, "loss_function": "Logloss", "boost_from_average": True, "iterations": 1}
    )
    booster.fit(catboost.Pool(ROWS, LABELS, weight=HEAVY))
    assert Objective("bce", LABELS, HEAVY).start == pytest.approx(booster.get_scale_and_bias()[1], rel=1e-6)


@pytest.mark.parametrize(
    # CatBoost puts quantiles of residuals into the leaves of these, which a custom objective cannot do.
    ("loss", "objective", "at_most"), [("mae", "MAE", 1.02), ("quantile(level=0.8)", "Quantile:alpha=0.8", 1.02)]
)  # fmt: skip
def test_what_has_exact_leaves_is_as_good_without(loss: str, objective: str, at_most: float) -> None:
    cost, ours, theirs = lm.parse(loss), [], []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(Y))
        fit, held = order[:330], order[330:]
        model = train(loss, X[fit], Y[fit], rounds=60, params=ONE)
        booster = catboost.CatBoost({**DEFAULTS, **ONE, "loss_function": objective, "iterations": 60})
        booster.fit(catboost.Pool(X[fit], Y[fit]))
        ours.append(cost(Y[held], model.predict(X[held])))
        theirs.append(cost(Y[held], booster.predict(X[held])))
    assert np.mean(ours) < at_most * np.mean(theirs)


@pytest.mark.parametrize(
    "text", ["huber(delta=20)", "gamma", "hinge", "focal", "0.7 * huber + 0.3 * mae", "softmax_focal"]
)
def test_training_lowers_the_own_cost(text: str) -> None:
    loss = lm.parse(text)
    rows, y = {"binary": (ROWS, LABELS), "categorical": (IRIS, SPECIES)}.get(loss.card.task, (X, Y))
    model = train(loss, rows, y, rounds=30, params=ONE)
    form = model.head.form
    assert form.losses(y, model.predict_raw(rows)).mean() < form.losses(y, model.head.constant(len(y))).mean()


def test_several_predictions_of_a_row_need_no_python_but_for_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    # Derivatives of all rows are prepared in one go, and found by what CatBoost asks with.
    objective, asked = Objective("multi_quantile", Y, WEIGHT), []
    monkeypatch.setattr(
        objective, "_rows", lambda *rows, real=objective._rows: asked.append(len(rows[0])) or real(*rows)
    )
    booster = fitted(objective.loss_function, objective.eval_metric, 3, objective.pool(X), random_seed=0)
    assert set(asked) == {len(Y)}
    model = train("multi_quantile", X, Y, WEIGHT, rounds=3, params=ONE, validation=(X, Y))
    np.testing.assert_array_equal(objective.model(booster).predict(X), model.predict(X))
    assert model.loss.crossing_rate(model.predict(X)) == 0


def test_a_function_of_ones_own_trains_and_its_file_asks_for_it(tmp_path: Path) -> None:
    @lm.loss(task="regression")
    def late(ops, y, f):
        return ops.where(f < y, 4 * (y - f) ** 2, (y - f) ** 2)

    model = train(late(), X, Y, rounds=ROUNDS, params=ONE)
    assert (model.predict(X) > Y).mean() > 0.6
    model.save(tmp_path / "late.cbm")
    with pytest.raises(lm.ParameterError, match="pass the loss as loss="):
        Model.load(tmp_path / "late.cbm")
    again = Model.load(tmp_path / "late.cbm", late())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


# --- one object in CatBoost's own classes ------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, HEAVY])
def test_the_objective_goes_into_catboosts_own_classes(weight) -> None:
    objective = Objective("bce", LABELS, weight)
    model = train("bce", ROWS, LABELS, weight, rounds=5, params=ONE)
    regressor = catboost.CatBoostRegressor(
        loss_function=objective, eval_metric=objective.eval_metric, iterations=5, random_seed=0, **DEFAULTS, **ONE
    ).fit(objective.pool(ROWS))
    cost = lm.BinaryCrossEntropy().cost(LABELS, model.predict_raw(ROWS), weight)
    assert regressor.evals_result_["learn"]["MeanLoss"][-1] == pytest.approx(cost, rel=1e-6)
    np.testing.assert_array_equal(objective.model(regressor).predict(ROWS), model.predict(ROWS))
    settings = {**DEFAULTS, **ONE, "iterations": 3, "loss_function": objective, "eval_metric": objective.eval_metric}
    found = catboost.cv(objective.pool(ROWS), settings, fold_count=3, as_pandas=False)
    assert found["test-MeanLoss-mean"][-1] < found["test-MeanLoss-mean"][0]


def test_classifiers_of_catboost_take_objectives_over_classes() -> None:
    objective = Objective(OVER_CLASSES, SPECIES, hessian="exact")
    booster = catboost.CatBoostClassifier(
        loss_function=objective, eval_metric=MeanLoss(objective), classes_count=3, iterations=5, **DEFAULTS, **STILL
    ).fit(IRIS, SPECIES)
    model = train(OVER_CLASSES, IRIS, SPECIES, rounds=5, hessian="exact", params=STILL)
    np.testing.assert_allclose(objective.model(booster).predict(IRIS), model.predict(IRIS), rtol=1e-6)


def test_weights_are_applied_once_and_belong_to_both() -> None:
    targets, approxes = Y.astype(np.float32), np.linspace(-5, 5, len(Y))
    objective = Objective("half_squared_error", Y, WEIGHT, hessian="exact")
    found = objective.calc_ders_range(approxes, targets, WEIGHT.astype(np.float32))
    np.testing.assert_allclose(found[:, 0], (Y - approxes - objective.start) * WEIGHT, rtol=1e-4)
    np.testing.assert_allclose(found[:, 1], -WEIGHT, rtol=1e-6)
    classes = Objective(OVER_CLASSES, SPECIES, WEIGHT[:150], hessian="exact")
    once, twice = (np.array(classes.calc_ders_multi(np.ones(3), 1.0, weight)[1]) for weight in (1.0, 2.0))
    np.testing.assert_allclose(twice, 2 * once)
    with pytest.raises(catboost.CatBoostError, match="the objective has weights that the pool has not"):
        fitted(objective, objective.eval_metric)
    assert isinstance(objective.error, lm.ParameterError)
    with pytest.raises(catboost.CatBoostError, match="the pool has weights that the objective has not"):
        fitted(Objective("mse", Y), Mean(), pool=catboost.Pool(X, Y, weight=WEIGHT))


def test_small_blocks_of_many_rows_go_through_kernels(monkeypatch) -> None:
    sizes = []

    def spy(program, columns, *given, **named):
        sizes.append(len(columns[0]))
        return run(program, columns, *given, **named)

    run = kernel.run
    monkeypatch.setattr(kernel, "run", spy)
    for rows, kernels in ((1000, set()), (5000, {1000})):
        objective = Objective("huber(delta=2)", np.resize(Y, rows))
        sizes.clear()
        objective.calc_ders_range(np.zeros(1000), np.resize(Y, 1000).astype(np.float32), None)
        assert set(sizes) == kernels


def test_weights_of_several_predictions_a_row_belong_to_both_too() -> None:
    objective = Objective("multi_quantile", Y, WEIGHT)
    with pytest.raises(catboost.CatBoostError, match="the objective has weights that the pool has not"):
        fitted(objective.loss_function, objective.eval_metric, 1, catboost.Pool(X, objective.label))
    bare = Objective("multi_quantile", Y)
    with pytest.raises(catboost.CatBoostError, match="the pool has weights that the objective has not"):
        fitted(bare.loss_function, bare.eval_metric, 1, objective.pool(X))


def test_means_are_those_of_the_last_pass_in_whatever_order() -> None:
    means, other = Means(4), Means(4)
    assert means("root", 3.0, 2.0) == 1.5
    for one, parts in ((means, [(1e16, 1.0)]), (other, [(1e16, 1.0), (3.0, 2.0)])):
        for total, weight in parts:
            one("root", total, weight)
            one.seen(2)
    means.seen(2)
    assert means("root", 7.0, 1.0) == other("root", 9.0, 1.0) == (1e16 + 3.0) / 3.0


def test_objectives_written_by_hand_are_examined() -> None:
    class Honest:
        sign = 1

        def calc_ders_range(self, approxes, targets, weights):
            rows = zip(approxes, targets, np.ones(len(targets)) if weights is None else weights, strict=True)
            return [(self.sign * (y - f) * w, -w) for f, y, w in rows]

    class Backwards(Honest):
        sign = -1

    check(Honest(), "half_squared_error", Y, WEIGHT)
    with pytest.raises(lm.ParameterError, match="Backwards: the gradient has the wrong sign"):
        check(Backwards(), "half_squared_error", Y, WEIGHT)


@pytest.mark.filterwarnings("ignore:.*its Hessian is negative at")
def test_a_leaf_that_cannot_be_solved_is_told() -> None:
    loss = lm.GaussianNLL(scale="log_variance")
    y = (Y - Y.mean()) / Y.std()
    for leave, given in ((train, {"rounds": 30}), (cv, {"rounds": 30, "folds": 2})):
        with pytest.raises(lm.ParameterError, match=r"hessian='exact' there is a leaf .* hessian='floor'"):
            leave(loss, X, y, hessian="exact", **given)


# --- stopping, files, folds ----------------------------------------------------------------------------


def test_early_stopping_keeps_the_best_round_however_small_the_loss() -> None:
    for unit in (1.0, 1e-4):
        y = Y * unit
        held = X[300:], y[300:], WEIGHT[300:]
        model = train("mse", X[:300], y[:300], rounds=500, validation=held, patience=10, params=ONE)
        assert model.rounds == int(np.argmin(model.history)) + 1
        assert model.rounds + 10 == len(model.history) < 500
        cost = lm.SquaredError().cost(y[300:], model.predict(X[300:]), WEIGHT[300:])
        assert cost == pytest.approx(min(model.history), rel=1e-6)


def test_what_helps_nothing_leaves_the_constant(tmp_path: Path) -> None:
    model = train("mae", X[:200], Y[:200], rounds=5, validation=(X[200:], 1000 - Y[200:] * 9), params=ONE)
    still = train("mae", np.ones((200, 2)), Y[:200], rounds=5, params=ONE)
    for one in (model, still):
        assert one.rounds == 0
        assert np.all(one.predict(X) == np.median(Y[:200]))
        assert one.importance().size == 0
        with pytest.raises(lm.ParameterError, match="has no trees"):
            one.save(tmp_path / "constant.cbm")


@pytest.mark.parametrize("text", ["poisson", OVER_CLASSES, "multi_quantile(prediction='increments')"])
def test_files_hold_loss_start_and_link(text: str, tmp_path: Path) -> None:
    rows, y = (IRIS, SPECIES) if text == OVER_CLASSES else (X, Y)
    model = train(text, rows, y, rounds=3, params=ONE, validation=(rows, y))
    model.save(tmp_path / "model.cbm")
    again = Model.load(tmp_path / "model.cbm")
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))
    assert (again.loss, again.history, again.rounds) == (model.loss, model.history, 3)
    np.testing.assert_array_equal(again.start, model.start)
    alone = catboost.CatBoost().load_model(str(tmp_path / "model.cbm"))
    np.testing.assert_array_equal(alone.predict(rows, prediction_type="RawFormulaVal"), model.predict_raw(rows))
    fitted(Spy(), Mean()).save_model(tmp_path / "bare.cbm")
    with pytest.raises(lm.ParameterError, match="but no loss"):
        Model.load(tmp_path / "bare.cbm")
    with pytest.raises(lm.ParameterError, match=r"whose ending is \.cbm"):
        model.save(tmp_path / "model.pkl")


def test_folds_start_each_at_its_own_constant() -> None:
    halves = [(np.arange(200), np.arange(200, 442)), (np.arange(200, 442), np.arange(200))]
    found = cv("mae", X, Y, folds=halves, rounds=20, models=True, params=ONE)
    alone = [train("mae", X[a], Y[a], rounds=20, validation=(X[b], Y[b]), params=ONE) for a, b in halves]
    mean = np.mean([model.history for model in alone], axis=0)
    np.testing.assert_allclose(found["test-absolute_error-mean"], mean, rtol=1e-12)
    assert [model.start for model in found["models"]] == [model.start for model in alone]
    stopped = cv("mae", X, Y, WEIGHT, folds=3, rounds=60, patience=1, models=True, params={**ONE, "learning_rate": 1.0})
    assert len(stopped["test-absolute_error-mean"]) == stopped["models"][0].rounds < 60


# --- tables, estimators --------------------------------------------------------------------------------


def test_tables_categories_and_sparse_rows() -> None:
    codes = np.random.default_rng(3).integers(0, 10, 500)
    y = np.sin(codes * 7.0)
    table = pd.DataFrame({"code": codes.astype(str), "noise": np.arange(500) % 7})
    framed = train("mae", table, y, rounds=60, categorical=["code"], params=ONE)
    found = train("mae", table.astype({"code": "category"}), y, rounds=60, params=ONE)
    np.testing.assert_array_equal(found.predict(table), framed.predict(table))
    column = np.column_stack([codes, np.arange(500) % 7]).astype(float)
    coded = train("mae", column, y, rounds=60, categorical=[0], feature_names=["code", "noise"], params=ONE)
    for model, rows in ((framed, table), (coded, column)):
        assert np.abs(model.predict(rows) - y).mean() < 0.5 * np.abs(y - np.median(y)).mean()
        assert model.importance()[0] > model.importance()[1]
    sparse = train("mse", csr_array(X), Y, rounds=3, params=ONE)
    assert sparse.predict(csr_array(X)).shape == (len(Y),)


def test_estimators_keep_labels_names_and_settings() -> None:
    rows = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    names = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
    model = clone(Classifier("softmax_focal", n_estimators=30, early_stopping_rounds=5, n_jobs=1, max_depth=2))
    model.fit(rows, names, eval_set=(rows, names))
    assert model.score(rows, names) > 0.94
    assert list(model.classes_[model.predict_proba(rows).argmax(axis=1)]) == list(model.predict(rows))
    assert model.feature_importances_.shape == (4,)
    regressor = Regressor("quantile(level=0.9)", n_estimators=50, n_jobs=1, random_state=1).fit(X, Y, WEIGHT)
    assert (regressor.predict(X) >= Y).mean() == pytest.approx(0.9, abs=0.06)


# --- errors --------------------------------------------------------------------------------------------


def test_errors_within_come_out_as_they_are() -> None:
    with pytest.raises(lm.DomainError, match=r"must be in \(-1, inf\)"):  # trees add up to any number
        train("squared_log_error", X, Y, rounds=50, params={**ONE, "learning_rate": 5.0})


def test_categories_in_arrays_keep_all_of_their_digits() -> None:
    rng = np.random.default_rng(0)
    codes = 1234561 + rng.integers(0, 2, 400)
    y = 10.0 * (codes == 1234562) + rng.normal(size=400)
    for column in (codes.astype(float), codes + 0.25, codes.astype(np.float32)):
        model = train("mae", column[:, None], y, rounds=20, categorical=[0], params=ONE)
        assert np.abs(model.predict(column[:, None]) - y).mean() < 2
    short = (codes % 2 + 0.1).astype(np.float32)[:, None]
    model = train("mae", short, y, rounds=20, categorical=[0], params=ONE)
    np.testing.assert_array_equal(model.predict(codes[:, None] % 2 + 0.1), model.predict(short))


@pytest.mark.parametrize("kind", ["Depthwise", "Lossguide"])
@pytest.mark.parametrize("loss", ["mse", "mae", "multi_quantile"])
def test_trees_whose_last_ones_cannot_be_left_out_stop_early_all_the_same(loss: str, kind: str) -> None:
    params = {**ONE, "grow_policy": kind, "learning_rate": 0.5}
    given = {"folds": 2, "params": params, "models": True}
    stopped = cv(loss, X, Y, WEIGHT, rounds=30, patience=2, **given)
    rounds = len(stopped[f"test-{lm.parse(loss).name}-mean"])
    assert 0 < rounds < 28
    wanted = cv(loss, X, Y, WEIGHT, rounds=rounds, **given)
    for found, other in zip(stopped["models"], wanted["models"], strict=True):
        assert found.rounds == rounds
        np.testing.assert_array_equal(found.predict_raw(X), other.predict_raw(X))
    worse = train(loss, X, Y, rounds=3, params=params, validation=(X, 2 * np.median(Y) - Y))
    assert (worse.rounds, len(worse.history)) == (0, 3)
    np.testing.assert_array_equal(worse.predict_raw(X), worse.head.constant(len(X)))


@pytest.mark.parametrize("loss", ["multi_quantile", "gaussian_nll(scale=log_variance)"])
def test_training_rows_that_are_watched_train_the_same_model(loss: str) -> None:
    models = [train(loss, X, Y, rounds=8, params=ONE, validation=held) for held in (None, (X, Y), (X[::2], Y[::2]))]
    assert [model.rounds for model in models] == [8, 8, 8]
    for model in models[1:]:
        np.testing.assert_array_equal(model.predict_raw(X), models[0].predict_raw(X))
