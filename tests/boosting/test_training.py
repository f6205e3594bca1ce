"""LightGBM's own features with our objectives: its train and cv, estimators of scikit-learn, files, Dask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import lossmith as lm
import lossmith.lightgbm
from lossmith import catboost, xgboost
from lossmith.lightgbm import DEFAULTS, Classifier, Model, Objective, Regressor, cv, train, train_dask

X, Y = load_diabetes(return_X_y=True)
IRIS, SPECIES = load_iris(return_X_y=True)
ROUNDS = 20
PARAMS = {"num_threads": 1}


# --- LightGBM's own train ---------------------------------------------------------------------------


def test_an_objective_goes_into_the_train_of_the_library() -> None:
    objective = Objective("huber(delta=50)", Y[:300])
    settings = {**DEFAULTS, "objective": objective, "metric": "none", "seed": 0}
    seen: dict[str, dict[str, list[float]]] = {}
    booster = lightgbm.train(
        settings,
        objective.dataset(X[:300]),
        500,
        valid_sets=[objective.validation(X[300:], Y[300:])],
        feval=objective.feval,
        callbacks=[lightgbm.early_stopping(5, verbose=False), lightgbm.record_evaluation(seen)],
    )
    model = objective.model(booster)
    ours = train("huber(delta=50)", X[:300], Y[:300], rounds=500, validation=(X[300:], Y[300:]), patience=5)
    assert model.rounds == ours.rounds < 100
    np.testing.assert_array_equal(model.predict(X), ours.predict(X))
    np.testing.assert_allclose(seen["valid_0"]["huber"], ours.history)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"init_score": None}, lm.ParameterError, "begins at zero .* best constant is 140.5; pass init_score="),
        ({"weight": np.arange(1.0, 443)}, lm.ParameterError, "ignores the weights .* pass the same weights"),
        ({"label": Y + 1}, lm.DomainError, "other targets than the objective"),
        ({"init_score": np.arange(442.0)}, lm.ParameterError, "begins at scores from 0 to 441, .* is 140.5; pass"),
    ],
)
def test_data_sets_that_would_train_another_model_are_refused(change, error, message: str) -> None:
    objective = Objective("mae", Y)
    given = {"label": Y, "init_score": objective.init_score, **change}
    with pytest.raises(error, match=message):
        lightgbm.train({"objective": objective, "verbosity": -1}, lightgbm.Dataset(X, **given), 2)


def test_a_model_that_is_continued_is_refused_since_its_trees_take_the_place_of_the_start() -> None:
    objective = Objective("poisson", Y)
    settings = {"objective": objective, "metric": "none", "verbosity": -1}
    first = lightgbm.train(settings, objective.dataset(X), 2)
    with pytest.raises(lm.ParameterError, match="init_model= cannot be continued"):
        lightgbm.train(settings, objective.dataset(X), 2, init_model=first)
    over = Objective("softmax_focal", SPECIES)
    apart = lightgbm.Dataset(IRIS, SPECIES, init_score=over.init_score.ravel(order="F"))  # a class after the other
    lightgbm.train({"objective": over, "metric": "none", "num_class": 3, "verbosity": -1}, apart, 1)


def test_a_validation_set_that_begins_elsewhere_is_no_measure() -> None:
    objective = Objective("mae", Y)
    settings = {"objective": objective, "metric": "none", "verbosity": -1}
    found: dict = {}
    for start in (None, objective.init_score[:100]):
        other = lightgbm.Dataset(X[:100], Y[:100], init_score=start)
        given = {"valid_sets": [other], "feval": objective.feval, "callbacks": [lightgbm.record_evaluation(found)]}
        if start is None:
            with pytest.raises(lm.ParameterError, match=r"begins at zero .*; make it by objective\.validation\(X, y\)"):
                lightgbm.train(settings, objective.dataset(X), 2, **given)
        else:
            booster = lightgbm.train(settings, objective.dataset(X), 2, **given)
    cost = np.abs(objective.model(booster).predict(X[:100]) - Y[:100]).mean()
    assert found["valid_0"]["absolute_error"][-1] == pytest.approx(cost, rel=1e-6)


def test_settings_of_the_library_are_taken_and_an_objective_among_them_is_refused() -> None:
    rates: list[float] = []
    train(
        "mae",
        X,
        Y,
        rounds=3,
        callbacks=[
            lightgbm.reset_parameter(learning_rate=[0.3, 0.2, 0.1]),
            lambda env: rates.append(env.params["learning_rate"]),
        ],
    )
    assert rates == [0.3, 0.2, 0.1]
    with pytest.raises(lm.ParameterError, match="the loss is the objective"):
        train("mae", X, Y, params={"objective": "l1"})


def test_several_validation_sets_are_watched_and_the_first_decides() -> None:
    sets = {"held out": (X[300:], Y[300:]), "fit": (X[:300], Y[:300])}
    one = train("mse", X[:300], Y[:300], rounds=200, validation=sets["held out"], patience=5)
    both = train("mse", X[:300], Y[:300], rounds=200, validation=sets, patience=5)
    assert both.history == one.history


# --- several outputs --------------------------------------------------------------------------------


def test_softmax_cross_entropy_is_the_built_in_objective_but_for_its_factor() -> None:
    # LightGBM multiplies the diagonal of the Hessian by K / (K - 1), which a smaller rate does as well.
    settings = {**DEFAULTS, "seed": 0, "objective": "multiclass", "num_class": 3}
    theirs = lightgbm.train(settings, lightgbm.Dataset(IRIS, SPECIES), ROUNDS).predict(IRIS)
    for loss in ("sparse_categorical_cross_entropy", "categorical_cross_entropy"):
        ours = train(loss, IRIS, SPECIES, rounds=ROUNDS, hessian="exact", params={"learning_rate": 0.1 * 2 / 3})
        np.testing.assert_allclose(ours.predict(IRIS), theirs, atol=1e-6)


def test_quantiles_cover_and_do_not_cross() -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, (3000, 2))
    y = rows[:, 0] + (1.1 + rows[:, 1]) * rng.normal(size=3000)
    model = train("multi_quantile(levels=(0.1, 0.5, 0.9))", rows[:2000], y[:2000], rounds=60)
    quantiles = model.predict(rows[2000:])
    np.testing.assert_allclose((y[2000:, None] < quantiles).mean(axis=0), (0.1, 0.5, 0.9), atol=0.05)
    assert model.loss.crossing_rate(quantiles) == 0


def test_a_mean_and_its_variance_are_learnt_together() -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, (3000, 2))
    y = 100 * (rows[:, 0] + np.exp(rows[:, 1]) * rng.normal(size=3000))
    mean, log_variance = train("gaussian_nll(scale=log_variance)", rows, y, rounds=60).predict(rows).T
    assert np.corrcoef(mean, rows[:, 0])[0, 1] > 0.8
    assert np.corrcoef(log_variance, rows[:, 1])[0, 1] > 0.9


# --- cross-validation -------------------------------------------------------------------------------


def test_cross_validation_is_that_of_each_fold_trained_alone() -> None:
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    deal = np.arange(len(Y)) % 3
    folds = [(np.flatnonzero(deal != part), np.flatnonzero(deal == part)) for part in range(3)]
    found = cv("quantile(level=0.8)", X, Y, weight, rounds=8, folds=folds, models=True)
    alone = [
        train("quantile(level=0.8)", X[fit], Y[fit], weight[fit], rounds=8, validation=(X[held], Y[held], weight[held]))
        for fit, held in folds
    ]
    assert [model.start for model in found["models"]] == [model.start for model in alone]
    # Features are binned on all rows there, and on those of the fold here.
    np.testing.assert_allclose(found["valid quantile-mean"], np.mean([m.history for m in alone], axis=0), rtol=0.02)
    stopped = cv("softmax_focal", IRIS, SPECIES, rounds=300, folds=3, patience=2)
    assert list(stopped) == ["valid softmax_focal-mean", "valid softmax_focal-stdv"]
    assert len(stopped["valid softmax_focal-mean"]) < 300


# --- files ------------------------------------------------------------------------------------------


def framed() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    kind = pd.Categorical(rng.choice(["a", "b", "c"], 400))
    return pd.DataFrame({"size": rng.normal(size=400), "kind": kind}), (kind.codes == 1) * 5 + rng.normal(size=400)


@pytest.mark.parametrize(
    ("loss", "rows", "y"),
    [
        ("huber(delta=2)", *framed()),
        ("0.7 * huber + 0.3 * mae", X, Y),
        ("softmax_focal", IRIS, SPECIES),
        ("mae", np.ones((50, 2)), np.arange(50.0)),  # nothing to split
    ],
)
def test_one_file_holds_all_that_predicts(loss: str, rows, y, tmp_path: Path) -> None:
    model = train(loss, rows, y, rounds=5, params=PARAMS)
    model.save(tmp_path / "model.txt")
    again = Model.load(tmp_path / "model.txt")
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))
    assert (again.loss, again.rounds, again.head.hessian) == (model.loss, model.rounds, "floor")
    if model.booster is not None:  # LightGBM itself reads the trees
        assert lightgbm.Booster(model_file=tmp_path / "model.txt").num_trees() == model.booster.num_trees()
        assert again.booster.feature_name() == model.booster.feature_name()
    with pytest.raises(lm.ParameterError, match="no model that Lossmith wrote"):
        Model.from_text("tree\nversion=v4\n")


@pytest.mark.parametrize(("target", "none"), [(Y, False), (1000 - 9 * Y, True)])
def test_a_file_holds_no_more_trees_than_are_in_use(target: np.ndarray, none: bool, tmp_path: Path) -> None:
    held = X[:80], target[:80]  # without patience, by which LightGBM cuts the model itself
    model = train("huber", X[80:], Y[80:], rounds=150, params={"num_leaves": 15}, validation=held)
    assert model.rounds < model.booster.num_trees()
    assert (model.rounds == 0) is none
    model.save(tmp_path / "model.txt")
    alone, again = lightgbm.Booster(model_file=tmp_path / "model.txt"), Model.load(tmp_path / "model.txt")
    assert alone.num_trees() == model.rounds
    np.testing.assert_allclose(alone.predict(X) + model.start, model.predict_raw(X), rtol=1e-12)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    for one in (model, again):
        assert one.importance().shape == (X.shape[1],)
        assert np.any(one.importance() > 0) is np.bool_(not none)
    np.testing.assert_allclose(again.importance(), model.importance(), rtol=1e-5)  # gains are written with six digits


def test_a_formula_of_ones_own_is_trained_and_kept() -> None:
    late = lm.formula("where(f < y, k * (y - f)**2, (y - f)**2)", parameters={"k": (4.0, "(0, inf)")})
    model = train(late, X, Y, rounds=ROUNDS)
    assert (model.predict(X) > Y).mean() > 0.6
    np.testing.assert_array_equal(Model.from_text(model.to_text()).predict(X), model.predict(X))


# --- scikit-learn -----------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [Regressor(n_jobs=1), Classifier(n_jobs=1)])
def test_estimators_keep_to_the_rules(estimator) -> None:
    # Leaves count rows, bins see all of them: to LightGBM a weight of 2 is not a row twice.
    same = dict.fromkeys(
        ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"),
        "LightGBM bins and counts rows, not weights",
    )
    check_estimator(estimator.set_params(n_estimators=30), expected_failed_checks=same, on_skip=None)


def test_estimators_go_through_pipelines_searches_and_clones() -> None:
    regressor = Regressor("huber(delta=20)", n_estimators=10, n_jobs=1)
    assert clone(regressor).get_params() == regressor.get_params()
    losses = ["mse", lm.Quantile(level=0.9)]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), Regressor(n_estimators=10, n_jobs=1)), {"regressor__loss": losses}, cv=2
    ).fit(X, Y)
    assert search.best_params_ == {"regressor__loss": "mse"}


def test_classifiers_undo_what_a_loss_does_to_probabilities() -> None:
    groups = np.repeat(np.arange(3), 2000)
    rates = np.array([0.05, 0.3, 0.9])
    labels = np.random.default_rng(0).random(groups.size) < rates[groups]
    model = Classifier("focal(gamma=2, alpha=0.9)", n_estimators=60, n_jobs=1).fit(groups[:, None], labels)
    found = model.predict_proba([[0], [1], [2]])[:, 1]
    seen = [labels[groups == group].mean() for group in range(3)]
    np.testing.assert_allclose(found, seen, atol=0.01)
    assert abs(model.model_.predict([[0]])[0] - seen[0]) > 0.2  # which is what the link says


def test_classifiers_keep_labels_and_names() -> None:
    rows = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    names = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
    model = Classifier("softmax_focal", n_estimators=50, early_stopping_rounds=5, n_jobs=1)
    model.fit(rows, names, eval_set=[(rows, names)])
    assert model.score(rows, names) > 0.95
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    np.testing.assert_allclose(model.predict_proba(rows).sum(axis=1), 1)
    two = Classifier("hinge", n_estimators=5, n_jobs=1).fit(IRIS, SPECIES > 0)
    assert two.decision_function(IRIS).shape == (150,)
    with pytest.raises(AttributeError, match="has no attribute 'predict_proba'") as said:
        two.predict_proba(IRIS)
    assert "does not tell probabilities" in str(said.value.__cause__)
    with pytest.raises(lm.ParameterError, match="a loss of two classes, and y has 3"):
        Classifier("focal").fit(IRIS, SPECIES)


@pytest.mark.parametrize("library", [catboost, lossmith.lightgbm, xgboost], ids=lambda library: library.__name__)
def test_margins_are_stacked_by_their_scores(library: ModuleType) -> None:
    labels = SPECIES > 0
    margins, odds = library.Classifier("hinge", n_estimators=3), library.Classifier(n_estimators=3)
    assert hasattr(odds, "predict_proba")
    assert not hasattr(margins, "predict_proba")
    assert not hasattr(library.Classifier("crammer_singer"), "predict_proba")
    stacked = StackingClassifier([("margins", margins), ("odds", odds)], cv=3).fit(IRIS, labels)
    assert stacked.stack_method_ == ["decision_function", "predict_proba"]
    assert stacked.score(IRIS, labels) > 0.9


@pytest.mark.parametrize("library", [catboost, lossmith.lightgbm, xgboost], ids=lambda library: library.__name__)
@pytest.mark.parametrize("loss", ["softmax_focal(ignore_index=1)", "ce + 0.5 * softmax_focal(ignore_index=1)"])
def test_a_label_that_is_ignored_is_one_of_the_user(library: ModuleType, loss: str) -> None:
    labels = SPECIES + 1
    loss = loss.replace("ce", "sparse_categorical_cross_entropy(ignore_index=1)")
    weight, rest = np.arange(1.0, 151), labels != 1
    model = library.Classifier(loss, n_estimators=3, n_jobs=1, early_stopping_rounds=3)
    model.fit(IRIS, labels, weight, eval_set=(IRIS, labels, weight))
    assert list(model.classes_) == [2, 3]
    without = library.Classifier(loss.replace("(ignore_index=1)", ""), n_estimators=3, n_jobs=1)
    without.fit(IRIS[rest], labels[rest], weight[rest], eval_set=(IRIS[rest], labels[rest], weight[rest]))
    assert model.model_.history == without.model_.history
    np.testing.assert_array_equal(model.predict_proba(IRIS), without.predict_proba(IRIS))
    texts = library.Classifier(loss, n_estimators=1, n_jobs=1).fit(IRIS, labels.astype(str))
    assert list(texts.classes_) == ["1", "2", "3"]  # a text is no number


@pytest.mark.parametrize("library", [catboost, lossmith.lightgbm, xgboost], ids=lambda library: library.__name__)
@pytest.mark.parametrize("loss", ["mae", "huber(delta={})", "quantile(level=0.7)", "multi_quantile"])
def test_the_unit_of_targets_may_be_any(library: ModuleType, loss: str) -> None:
    rows, y = load_diabetes(return_X_y=True)

    def found(unit: float) -> np.ndarray:
        model = library.train(loss.format(40 * unit), rows, y * unit, rounds=20)
        return np.reshape(model.predict(rows) / unit, (len(y), -1))[:, 0]

    plain = found(1.0)
    for unit in (2.0**-66, 2.0**55, 2.0**73):  # charges of electrons, and amounts of coins in their smallest part
        if library is xgboost:
            with pytest.warns(lm.LossmithWarning, match="multiply the targets by a power of ten"):
                found(unit)
        elif "multi" in loss:  # whose passes are of float64, where ties are broken by the last digit
            assert np.corrcoef(found(unit), plain)[0, 1] > 0.9
        else:
            np.testing.assert_allclose(found(unit), plain, rtol=0.05, atol=5)


@pytest.mark.parametrize("loss", ["mse", "huber(delta=40)", "bce", "softmax_focal"])
def test_weights_too_small_for_a_split_of_xgboost_are_told(loss: str) -> None:
    rows, y = load_diabetes(return_X_y=True)
    y = {"bce": y > 150, "softmax_focal": np.digitize(y, [100, 200])}.get(loss, y).astype(float)
    shares = np.full(len(y), 1 / len(y))  # as surveys have them

    def calls(**given: dict) -> Iterator[Callable]:
        yield lambda: xgboost.train(loss, rows, y, shares, rounds=5, **given).predict(rows)
        yield lambda: xgboost.cv(loss, rows, y, shares, rounds=5, folds=2, **given)

    for call in calls():
        with pytest.warns(lm.LossmithWarning, match="no split with less than min_child_weight=1 on a side; multiply"):
            call()
    for call in calls(params={"min_child_weight": 0.01, "reg_lambda": 0}):  # then there is no warning
        call()


# --- a cluster --------------------------------------------------------------------------------------


def test_workers_train_one_model_from_one_start() -> None:
    from dask import array  # which takes a second to import
    from dask.distributed import Client, LocalCluster

    rng = np.random.default_rng(0)
    rows, weight = rng.normal(size=(2000, 3)), rng.integers(1, 4, 2000).astype(float)
    y = rng.poisson(np.exp(rows[:, 0])).astype(float)
    parts = [array.from_array(a, chunks=(1000, *a.shape[1:])) for a in (rows, y, weight)]
    held = (rows[:500] + rng.normal(size=(500, 3)) / 9, rng.poisson(np.exp(rows[:500, 0])).astype(float))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        settings = {"rounds": 60, "validation": held, "patience": 2}
        model = train_dask("poisson", *parts, client=client, params={"learning_rate": 0.5}, **settings)
    alone = train("poisson", rows, y, weight, params={**PARAMS, "learning_rate": 0.5}, **settings)
    assert model.start == alone.start
    assert model.rounds + 2 == len(model.history) < 60
    np.testing.assert_allclose(lm.Poisson().cost(held[1], model.predict_raw(held[0])), min(model.history))
    cost = lm.Poisson().cost
    # Which worker gets which rows is a matter of time, and bins and the last round follow from it.
    raws = (alone.start + 0 * y, model.predict_raw(rows), alone.predict_raw(rows))
    start, found, wanted = (cost(y, raw, weight) for raw in raws)
    assert start - found > 0.9 * (start - wanted)
