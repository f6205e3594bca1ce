"""Code that losses are exported as for LightGBM, XGBoost and CatBoost: callbacks, start scores, trained trees."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost

import lossmith as lm
from tests.custom.exported import OWN, PLAIN, apart, data, run

ROWS = 60
X = np.random.default_rng(0).normal(size=(ROWS, 2))
WEIGHT = np.random.default_rng(1).uniform(0.5, 2, ROWS)
TRAINED = [lm.Huber(), lm.BinaryCrossEntropy(), lm.Poisson(), OWN[0]]


def trainable() -> list[lm.Loss]:
    """Return the losses that trees can be trained with."""
    found = []
    for loss in (*PLAIN, *OWN):
        try:
            lm.export(loss, "lightgbm")
        except lm.ParameterError:
            continue
        found.append(loss)
    return found


def targets(loss: lm.Loss) -> np.ndarray:
    """Return targets that columns tell something of, in the type that libraries keep."""
    signal = X[:, 0] + 0.3 * np.random.default_rng(2).normal(size=ROWS)
    found = {"logistic": signal > 0, "log": np.floor(np.exp(signal)), "identity": signal}[loss.link.name]
    return found.astype(np.float32).astype(float)


def test_objectives_are_of_what_can_be_trained() -> None:
    without = {loss.name for loss in (*PLAIN, *OWN) if loss.paired} - {loss.name for loss in trainable()}
    assert without == {"mean_error", "perceptron", "zero_one", "critic"}


@pytest.mark.parametrize("text", ["f", "y - f", "exp(f)"])
def test_losses_that_fall_for_ever_are_no_objectives(text: str) -> None:
    with pytest.raises(lm.ParameterError, match="the cost has no minimum"):
        lm.export(text, "lightgbm")


@pytest.mark.parametrize("to", ["lightgbm", "xgboost", "catboost"])
@pytest.mark.parametrize("text", ["abs(f - y)**1.5", "max(f - y, 0)**1.5 + max(y - f, 0)**1.5"])
def test_perfect_predictions_have_slopes_where_the_curvature_has_no_bound(to: str, text: str) -> None:
    names = run(lm.export(f"{text} + sqrt(max(0, f - y))", to))
    slope, bend = names["derivatives"](np.array([1.0, 5.0]), np.ones(2), None)
    np.testing.assert_allclose(slope, [0.0, 3.25], rtol=1e-14)
    for floor in (names["HESSIAN_FLOOR"], run(lm.export(text, to))["HESSIAN_FLOOR"]):
        assert 0.1 < floor < 1  # of residuals that are ordinary
    np.testing.assert_allclose(bend, np.maximum([0.0, 0.34375], names["HESSIAN_FLOOR"]), rtol=1e-14)


def test_callbacks_say_what_the_loss_says_by_weight() -> None:
    said = []
    for loss in trainable():
        names, arrays = run(lm.export(loss, "lightgbm")), data(loss.raw_form)
        weight = np.arange(1.0, 1 + len(arrays["y_true"]))
        slope, bend = names["derivatives"](arrays["y_pred"], arrays["y_true"], weight)
        with np.errstate(all="ignore"):
            wanted = {"slope": loss.gradient(**arrays), "bend": loss.hessian(**arrays)}
        wanted["bend"] = np.maximum(wanted["bend"], names["HESSIAN_FLOOR"])
        said += apart(loss, {"slope": slope / weight, "bend": bend / weight}, wanted)
    assert said == []


def test_start_scores_cost_no_more_than_the_best_constant() -> None:
    for loss in trainable():
        if not loss.card.traits.convex or loss.name in ("late", "odd"):
            continue
        domain, raw = loss.domains["y"], loss.raw_form
        y = np.array(domain.values or np.clip([0.5, 1.0, 2.0, 2.0, 7.0], domain.low, min(domain.high, 1e9)))
        y = np.concatenate([y, y[-1:]])
        weight = np.arange(1.0, 1 + len(y))
        start = run(lm.export(loss, "lightgbm"))["start_score"](y, weight)
        best = raw.optimal_constant(y, weight)
        costs = [raw.cost(y, np.full(y.shape, score), weight) for score in (start, best)]
        assert costs[0] <= costs[1] + 1e-9 * max(1.0, abs(costs[1])), loss


def train_lightgbm(names: dict[str, Any], y: np.ndarray, start: float) -> tuple[Any, list[float]]:
    log: dict[str, Any] = {}
    data = lightgbm.Dataset(X, y, weight=WEIGHT, init_score=np.full(ROWS, start), params={"min_data_in_bin": 1})
    settings = {"objective": names["objective"], "metric": "none", "verbosity": -1, "min_data_in_leaf": 5}
    watch = [lightgbm.record_evaluation(log)]
    booster = lightgbm.train(settings, data, 5, valid_sets=[data], feval=names["metric"], callbacks=watch)
    return booster, next(iter(log["training"].values()))


def train_xgboost(names: dict[str, Any], y: np.ndarray, start: float) -> tuple[Any, list[float]]:
    log: dict[str, Any] = {}
    data = xgboost.DMatrix(X, y, weight=WEIGHT, base_margin=np.full(ROWS, start))
    settings = {"disable_default_eval_metric": True, "max_depth": 2, "nthread": 1}
    booster = xgboost.train(
        settings, data, 5, evals=[(data, "train")], obj=names["objective"], custom_metric=names["metric"],
        evals_result=log, verbose_eval=False,
    )  # fmt: skip
    return booster, next(iter(log["train"].values()))


def train_catboost(names: dict[str, Any], y: np.ndarray, start: float) -> tuple[Any, list[float]]:
    data = catboost.Pool(X, y, weight=WEIGHT, baseline=np.full(ROWS, start))
    classes = {key: value for key, value in names.items() if key.endswith(("Objective", "Metric"))}
    loss_function, eval_metric = (classes[key]() for key in sorted(classes, reverse=True))
    settings = {"loss_function": loss_function, "eval_metric": eval_metric, "verbose": False, "thread_count": 1}
    model = catboost.CatBoost({**settings, "iterations": 5, "allow_writing_files": False, "learning_rate": 0.3}).fit(
        data
    )
    return model, next(iter(model.get_evals_result()["learn"].values()))


@pytest.mark.filterwarnings("ignore:Failed to import numba")  # CatBoost would compile objectives of its own with it
@pytest.mark.parametrize("train", [train_lightgbm, train_xgboost, train_catboost], ids=lambda train: train.__name__)
@pytest.mark.parametrize("loss", TRAINED, ids=lambda loss: loss.name)
def test_five_trees_are_trained_and_predict_on_the_targets_scale(loss: lm.Loss, train: Any) -> None:
    library = train.__name__.removeprefix("train_")
    names, y, raw = run(lm.export(loss, library)), targets(loss), loss.raw_form
    start = names["start_score"](y, WEIGHT)
    model, costs = train(names, y, start)
    found = names["predict"](model, X, start)
    before = raw.cost(y, np.full(ROWS, start), WEIGHT)
    after = raw.cost(y, loss.link.forward(found), WEIGHT)
    assert after < before * (1 - 0.05)
    assert costs[-1] == pytest.approx(after, rel=1e-5)


@pytest.mark.filterwarnings("ignore:Failed to import numba")
@pytest.mark.parametrize("library", [lightgbm, xgboost, catboost], ids=lambda library: library.__name__)
def test_the_example_in_the_text_runs_as_it_stands(
    library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # CatBoost writes a folder where it runs
    loss = lm.Huber(delta=0.5)
    names = run(lm.export(loss, library.__name__)) | {library.__name__: library}
    y = names["y"] = targets(loss)
    names |= {"X": X, "w": WEIGHT}
    example = names["__doc__"][names["__doc__"].index("    start = ") :]
    exec(textwrap.dedent(example), names)
    assert loss.cost(y, names["predicted"], WEIGHT) < 0.8 * loss.cost(y, np.full(ROWS, names["start"]), WEIGHT)


OVER_CLASSES = [
    lm.SparseCategoricalCrossEntropy(class_weight=(1.0, 2.0, 0.5), label_smoothing=0.05),
    lm.SoftmaxFocal(z_loss=0.01),
    lm.MulticlassBrier(),
]


@pytest.mark.parametrize("loss", OVER_CLASSES, ids=str)
@pytest.mark.parametrize("target", ["lightgbm", "xgboost", "catboost"])
@pytest.mark.filterwarnings("ignore:Failed to import numba")
@pytest.mark.filterwarnings("ignore:Can't optimze method")  # nor can it, nor need it
def test_trees_for_each_class_are_trained(loss: lm.Loss, target: str) -> None:
    names = run(lm.export(loss, target))
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    raw = np.random.default_rng(3).normal(size=(ROWS, 3))
    slope, bend = names["derivatives"](raw, y, WEIGHT)
    wanted = {"slope": loss.gradient(y, raw), "bend": np.maximum(loss.hessian(y, raw), names["HESSIAN_FLOOR"])}
    assert apart(loss, {"slope": slope / WEIGHT[:, None], "bend": bend / WEIGHT[:, None]}, wanted) == []
    start = names["start_score"](y, 3, WEIGHT)
    at_start = names["gradient"](y, np.tile(start, (ROWS, 1)))
    np.testing.assert_allclose(np.average(at_start, axis=0, weights=WEIGHT), 0, atol=1e-6)
    if target == "lightgbm":
        data = lightgbm.Dataset(X, y, weight=WEIGHT, init_score=np.tile(start, (ROWS, 1)))
        settings = {"objective": names["objective"], "num_class": 3, "metric": "none", "verbosity": -1}
        booster = lightgbm.train(settings | {"min_data_in_leaf": 3}, data, 20)
    elif target == "catboost":
        classes = {key: value for key, value in names.items() if key.endswith(("Objective", "Metric"))}
        objective, metric = (classes[key](start) for key in sorted(classes, reverse=True))
        given = {"loss_function": objective, "eval_metric": metric, "classes_count": 3, "verbose": False}
        given |= {"iterations": 20, "learning_rate": 0.3, "thread_count": 1, "allow_writing_files": False}
        row = objective.calc_ders_multi(raw[0] - start, float(y[0]), 2.0)
        np.testing.assert_allclose(row[0], -2 * loss.gradient(y[:1], raw[:1])[0], rtol=1e-9)
        np.testing.assert_allclose(row[1], -2 * np.diag(wanted["bend"][0]), rtol=1e-9)
        booster = catboost.CatBoost(given).fit(catboost.Pool(X, y, weight=WEIGHT))
        last = next(iter(booster.get_evals_result()["learn"].values()))[-1]
        trees = booster.predict(X, prediction_type="RawFormulaVal")
        assert last == pytest.approx(loss.cost(y, trees + start, WEIGHT), rel=1e-6)
    else:
        data = xgboost.DMatrix(X, y, weight=WEIGHT, base_margin=np.tile(start, (ROWS, 1)))
        settings = {"num_class": 3, "disable_default_eval_metric": True, "min_child_weight": 0}
        booster = xgboost.train(settings, data, 20, obj=names["objective"], custom_metric=names["metric"])
    shares = names["predict"](booster, X, start)
    assert shares.shape == (ROWS, 3)
    assert np.mean(np.argmax(shares, axis=1) == y) > 0.9


@pytest.mark.parametrize("target", ["lightgbm", "xgboost", "catboost"])
def test_a_start_score_stays_where_predictions_may_lie(target: str) -> None:
    text = "-y*log(f) - (1 - y)*log(1 - f)"
    loss = lm.formula(text, task="binary", prediction="(0, 1)", link="identity")
    start = run(lm.export(loss, target))["start_score"](np.repeat([1.0, 0.0], [7, 3]))
    assert start == pytest.approx(0.7, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "prediction", "times"),
    [
        ("(f/1000 - y)**2", "(-inf, inf)", 1000),
        ("(f - 1e5*y)**2", "(0, inf)", 1e5),
        ("(f + 50*y)**2", "(-inf, 0)", -50),
        ("(f - y/9)**2", "[0, 1]", 1 / 9),
    ],
)
def test_a_start_score_is_looked_for_beyond_the_targets(text: str, prediction: str, times: float) -> None:
    y, w = np.array([4.0, 5.0, 7.0]), np.array([1.0, 2.0, 1.0])
    start = run(lm.export(lm.formula(text, prediction=prediction), "lightgbm"))["start_score"](y, w)
    assert start == pytest.approx(times * np.average(y, weights=w), rel=1e-9)


@pytest.mark.parametrize("to", ["lightgbm", "xgboost", "catboost"])
@pytest.mark.parametrize(
    ("loss", "raw"),
    [
        ("log(f) + y/f", -0.25),  # a gradient is one all the same
        ("msle", -1.0),
        (lm.formula("(f - y)**2/f", prediction="(0, 2]", name="relative"), 2.5),
        (lm.formula("-y*log(f) - (1 - y)*log(1 - f)", task="binary", prediction="(0, 1)", link="identity"), 1.0),
    ],
    ids=str,
)
def test_what_trees_lead_to_is_refused_where_the_loss_says_nothing(loss: Any, raw: float, to: str) -> None:
    text = lm.export(loss, to)
    assert "Nothing but where trees lead is checked here" in text
    names, y = run(text), np.ones(3)
    names["derivatives"](np.array([0.25, 0.5, 0.75]), y, None)
    with pytest.raises(ValueError, match=rf"raw prediction of {raw:g} \(2 such of 3\).*lower learning rate"):
        names["derivatives"](np.array([0.25, raw, raw]), y, None)


@pytest.mark.parametrize("train", [train_lightgbm, train_xgboost, train_catboost], ids=lambda train: train.__name__)
@pytest.mark.filterwarnings("ignore:Failed to import numba")
def test_trainings_end_where_the_loss_says_nothing(train: Any) -> None:
    names = run(lm.export("log(f) + y/f", train.__name__.removeprefix("train_")))
    with pytest.raises(Exception, match="trees led to a raw prediction of -"):
        train(names, np.where(np.arange(ROWS) % 2, 0.1, 1.0), -1.0)


def test_losses_of_any_prediction_check_none() -> None:
    checking = {
        loss.name for loss in (*PLAIN, *OWN) if loss in trainable() and "refuse_lost" in lm.export(loss, "xgboost")
    }
    assert checking == {"squared_log_error", "everything", "choices", "numbers"}


def test_a_second_derivative_that_turns_negative_far_out_has_a_floor() -> None:
    x = np.random.default_rng(3).normal(size=(2, 1000))
    y = np.exp(2 * x[0] + x[1])
    names = run(lm.export("msle", "lightgbm"))
    start = names["start_score"](y)
    data = lightgbm.Dataset(x[:1].T, y, init_score=np.full(len(y), start))
    settings = {"objective": names["objective"], "metric": "none", "verbosity": -1}
    predicted = names["predict"](lightgbm.train(settings, data, 50), x[:1].T, start)
    costs = [lm.SquaredLogError()(y, found) for found in (predicted, np.full(len(y), start))]
    assert np.mean(costs[0]) < 0.6 * np.mean(costs[1])
