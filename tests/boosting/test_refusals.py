"""What boosters are not to be trained with is refused before the first tree, by all of them alike."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from lightgbm import LGBMRegressor
from sklearn.datasets import load_breast_cancer, load_iris

import lossmith as lm
from lossmith import catboost, lightgbm, xgboost

OVER_CLASSES = "sparse_categorical_cross_entropy"
ROWS, LABELS = load_breast_cancer(return_X_y=True)
IRIS, SPECIES = load_iris(return_X_y=True)
LIBRARIES = (catboost, lightgbm, xgboost)
EACH = pytest.mark.parametrize("train", [library.train for library in LIBRARIES], ids=lambda train: train.__module__)


@EACH
@pytest.mark.parametrize(
    ("loss", "change", "error", "message"),
    [
        ("mean_error", lambda y: y, lm.ParameterError, "no best constant"),
        ("perceptron", lambda y: y, lm.ParameterError, "zero for every row costs nothing"),
        ("zero_one", lambda y: y, lm.ParameterError, "gradient is zero everywhere"),
        ("multi_quantile(levels=(0.9,))", lambda y: y, lm.ParameterError, r"has one level; take Quantile\(level=0.9\)"),
        ("triplet", lambda y: y, lm.ParameterError, "a loss of anchor, positive, negative"),
        ("bce", lambda y: y * 0 + 1, lm.DomainError, "labels of one class"),
        ("bce", lambda y: y * 2, lm.DomainError, r"y_true\[\d+\] is 2"),
        ("mse", lambda y: y + np.nan, lm.DomainError, "y_true"),
        ("poisson", lambda y: -y, lm.DomainError, r"y_true must be in \[0, inf\)"),
        (OVER_CLASSES, lambda y: y * 2, lm.DomainError, "none with weight is of class 1"),
        (OVER_CLASSES, lambda y: y * 0, lm.DomainError, "one class only"),
        (OVER_CLASSES, lambda y: y + 0.5, lm.DomainError, "class indices must be whole numbers"),
        ("hubber", lambda y: y, lm.LossNotFoundError, "Did you mean 'huber'"),
        (lm.Huber, lambda y: y, lm.ParameterError, r"got a class; make one, as Huber\(\)"),
        (lambda ops, y, f: f, lambda y: y, lm.ParameterError, "got a function; @lossmith.loss makes a loss of one"),
        ("bce", lambda y: np.arange(len(y)) % 3, lm.DomainError, "for more classes take a loss of them, such as spar"),
        ("bce", lambda y: np.array(["a", "b"])[y.astype(int)], lm.KindError, r"numpy.unique\(labels, return_inver"),
    ],
)
def test_losses_and_targets(train: Callable, loss: str, change: Callable, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        train(loss, ROWS, change(LABELS.astype(float)))


@EACH
def test_settings(train: Callable) -> None:
    with pytest.raises(lm.ParameterError, match="'upper_bound'"):
        train("bce", ROWS, LABELS, hessian="upper")
    with pytest.raises(lm.ParameterError, match="patience needs validation"):
        train("bce", ROWS, LABELS, patience=3)
    with pytest.raises(lm.ParameterError, match=r"params hold .*objective, but the loss"):
        train("bce", ROWS, LABELS, params={"objective": "Logloss", "eval_metric": "AUC"})
    with pytest.raises(lm.DomainError, match="there are 2 classes, but y_true"):
        train(OVER_CLASSES, IRIS, SPECIES, classes=2)
    with pytest.raises(lm.EmptyError, match="weights sum to zero"):
        train("mse", ROWS, LABELS, np.zeros(len(LABELS)))
    with pytest.raises(lm.ShapeError, match="X has 568 rows, for 569 targets"):
        train("mse", ROWS[1:], LABELS)
    with pytest.raises(lm.ShapeError, match="X has 568 rows, for 569 targets"):
        train("mse", ROWS, LABELS, validation=(ROWS[1:], LABELS))
    with pytest.raises(lm.ParameterError, match=r"validation_1 must be \(X, y\) or \(X, y, weight\), got 1 part"):
        train("mse", ROWS, LABELS, validation=[(ROWS, LABELS), (ROWS,)])
    with pytest.raises(lm.ParameterError, match=r"new must be .*, got ndarray"):
        train("mse", ROWS, LABELS, validation={"new": ROWS})
    for patience in (0, "5", 2.5, True):
        with pytest.raises(lm.ParameterError, match=f"patience must be a whole number, at least 1, got {patience!r}"):
            train("mse", ROWS, LABELS, validation=(ROWS, LABELS), patience=patience)
    for rounds in (-1, 2.5, None):
        with pytest.raises(lm.ParameterError, match=f"rounds must be a whole number, at least 0, got {rounds!r}"):
            train("mse", ROWS, LABELS, rounds=rounds)


@pytest.mark.parametrize("cv", [library.cv for library in LIBRARIES], ids=lambda cv: cv.__module__)
def test_folds(cv: Callable) -> None:
    with pytest.raises(lm.ParameterError, match="folds must be a whole number, at least 2, got 1"):
        cv("mse", ROWS, LABELS, folds=1)
    with pytest.raises(lm.ParameterError, match="folds must be at most 569, the number of rows, got 600"):
        cv("mse", ROWS, LABELS, folds=600)
    with pytest.raises(lm.ParameterError, match="rounds must be a whole number, at least 1, got 0"):
        cv("mse", ROWS, LABELS, rounds=0)


@EACH
def test_of_several_sets_the_one_decides_that_does_in_the_library(train: Callable) -> None:
    fit, rest, far = slice(300), slice(300, 450), slice(450, None)
    sets = {"rest": (ROWS[rest], LABELS[rest]), "far": (ROWS[far], LABELS[far], np.arange(119.0))}
    given = {"rounds": 12, "built_in": False}
    several = train("mse", ROWS[fit], LABELS[fit], validation=sets, **given)
    decides = sets["rest" if train is lightgbm.train else "far"]
    one = train("mse", ROWS[fit], LABELS[fit], validation=decides, **given)
    assert several.history == one.history
    assert several.rounds == one.rounds
    assert train("mse", ROWS[fit], LABELS[fit], validation=[*sets.values()], **given).history == one.history


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)
def test_estimators_say_where_settings_of_the_library_go(library: ModuleType) -> None:
    with pytest.raises(lm.ParameterError, match=r"Classifier has no argument 'depth'.* params={'depth': ...}"):
        library.Classifier(depth=3)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)
def test_classifiers_take_no_loss_of_numbers(library: ModuleType) -> None:
    for loss in ("squared_error", "multi_quantile", "gaussian_nll", "poisson"):
        with pytest.raises(lm.ParameterError, match="is no loss of labels or classes; use Regressor"):
            library.Classifier(loss, n_estimators=1).fit(IRIS, SPECIES)


@EACH
@pytest.mark.parametrize("loss", ["cross_entropy", OVER_CLASSES])
def test_a_class_that_only_a_validation_set_has_is_refused(train: Callable, loss: str) -> None:
    X, y = np.arange(600.0).reshape(300, 2), np.arange(300) % 3
    with pytest.raises(lm.DomainError, match=r"4.*classes=|\[0, 3\), but y_true\[\d+\] is 4"):
        train(loss, X, y, rounds=2, validation=(X, np.where(y == 2, 4, y)))


def test_an_objective_of_lightgbm_travels_and_is_no_objective_of_its_estimators() -> None:
    objective = lightgbm.Objective("huber", LABELS.astype(float))
    data = objective.dataset(ROWS)
    objective.validation(ROWS[:9], LABELS[:9].astype(float))
    raw = np.linspace(-1, 1, len(LABELS))
    there = pickle.loads(pickle.dumps(objective))
    for mine, other in zip(objective(raw, data.construct()), there(raw), strict=True):
        np.testing.assert_array_equal(mine, other)
    with pytest.raises(lm.KindError, match=r"was called with ndarray, as estimators of LightGBM do; take lossmith"):
        LGBMRegressor(objective=objective, n_estimators=1, verbose=-1).fit(ROWS, LABELS)


@pytest.mark.parametrize("library", [lightgbm, xgboost], ids=lambda library: library.__name__)
def test_what_lies_in_memory_is_no_table_of_a_cluster(library: ModuleType) -> None:
    with pytest.raises(lm.KindError, match="train_dask: X must be of Dask, got ndarray"):
        library.train_dask("huber", ROWS, LABELS)


@EACH
def test_keywords_of_the_libraries_are_answered_with_ours(train: Callable) -> None:
    for name, ours in {
        "num_boost_round": "rounds",
        "eval_set": "validation",
        "early_stopping_rounds": "patience",
    }.items():
        with pytest.raises(lm.ParameterError, match=f"train has no argument '{name}'; it is called {ours} here"):
            train("huber", ROWS, LABELS, **{name: 3})
    with pytest.raises(lm.ParameterError, match=r"a setting of the library goes into params={'depth': \.\.\.}"):
        train("huber", ROWS, LABELS, depth=3)
    with pytest.raises(lm.ParameterError, match=r"into params={'weights': \.\.\.}\. Did you mean 'weight'\?"):
        train("huber", ROWS, LABELS, weights=LABELS)
    with pytest.raises(lm.ParameterError, match=r"'alpha'; it belongs to the loss: quantile\(level=\.\.\.\)$"):
        train("pinball", ROWS, LABELS, alpha=0.9)
    with pytest.raises(lm.ParameterError, match=r"'delta'; it belongs to the loss: loss\.replace\(delta=\.\.\.\)$"):
        train(X=ROWS, y=LABELS, loss=lm.Huber(), delta=2)
    assert "rounds" in inspect.signature(train).parameters


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)
def test_estimators_say_how_the_loss_is_called(library: ModuleType) -> None:
    with pytest.raises(lm.ParameterError, match=r"has no argument 'objective'; .*, and it is called loss here"):
        library.Regressor(objective="quantile")
    with pytest.raises(lm.ParameterError, match=r"has no argument 'num_boost_round'; .*, and it is called n_est"):
        library.Regressor(num_boost_round=3)
    with pytest.raises(lm.ParameterError, match=r"and it belongs to the loss: quantile\(level=\.\.\.\)$"):
        library.Regressor("quantile", alpha=0.9)
    with pytest.raises(lm.ParameterError, match=r"and it belongs to the loss: focal\(alpha=\.\.\.\)$"):
        library.Classifier(loss="focal", alpha=0.25)
