"""LightGBM with losses of the catalogue: same models as the built-in objectives, and no silent mistakes."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

import lossmith as lm
from lossmith.lightgbm import DEFAULTS, Model, Objective, train

ROUNDS = 40


@pytest.fixture(scope="module")
def regression() -> tuple[np.ndarray, np.ndarray]:
    return load_diabetes(return_X_y=True)


@pytest.fixture(scope="module")
def binary() -> tuple[np.ndarray, np.ndarray]:
    return load_breast_cancer(return_X_y=True)


def built_in(objective: str, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None, **params) -> np.ndarray:
    settings = {**DEFAULTS, "objective": objective, "seed": 0, **params}
    return lightgbm.train(settings, lightgbm.Dataset(X, y, weight=weight), ROUNDS).predict(X)


UNTRAINABLE = ("mean_error", "perceptron", "zero_one")  # no minimum, one that says nothing, no gradient
TRAINABLE = [
    name
    for name in lm.names()
    if issubclass(lm.loss_class(name), lm.Pointwise) and lm.get(name).paired and name not in UNTRAINABLE
] + ["0.7 * huber + 0.3 * mae", "binary_cross_entropy + 0.5 * focal"]


def test_squared_error_is_the_built_in_objective(regression) -> None:
    X, y = regression
    ours = train("mse", X, y, rounds=ROUNDS, built_in=False).predict(X)
    np.testing.assert_allclose(ours, built_in("l2", X, y), rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_the_built_in_objective(binary, weighted: bool) -> None:
    X, y = binary
    weight = np.where(y == 1, 3.0, 1.0) if weighted else None
    ours = train("bce", X, y, weight, rounds=ROUNDS, hessian="exact", params={"min_sum_hessian_in_leaf": 1e-3})
    theirs = built_in("binary", X, y, weight, min_sum_hessian_in_leaf=1e-3)
    np.testing.assert_allclose(ours.predict(X), theirs, rtol=1e-6)


def test_poisson_is_the_built_in_objective_but_for_its_damping(regression) -> None:
    # LightGBM multiplies the Hessian by exp(0.7) for safety; with that undone the models agree.
    X, y = regression
    ours = train("poisson", X, y, rounds=ROUNDS, hessian="exact")
    theirs = built_in("poisson", X, y, poisson_max_delta_step=1e-12)
    np.testing.assert_allclose(ours.predict(X), theirs, rtol=1e-4)


def suited(loss: lm.Loss, regression, binary) -> tuple[np.ndarray, np.ndarray]:
    """Return data for a loss: labels, or numbers, in the unit that a scale of about 1 is meant for where it has one."""
    if loss.card.task == "binary":
        return binary
    X, y = regression
    return (X, (y - y.mean()) / y.std()) if {"scale", "c"} & loss.values.keys() else (X, y)


@pytest.mark.parametrize("name", TRAINABLE)
def test_training_lowers_the_own_cost_of_every_loss(name: str, regression, binary) -> None:
    loss = lm.parse(name)
    X, y = suited(loss, regression, binary)
    model = train(loss, X, y, rounds=ROUNDS)
    start = loss.cost(y, np.full(len(y), model.start))
    floor = loss.context(y).floor
    assert model.loss.evaluate(y, model.predict_raw(X), ("losses",))["losses"].mean() - floor < 0.6 * (start - floor)


def test_absolute_error_is_as_good_as_the_built_in_one(regression) -> None:
    X, y = regression
    ours, theirs = [], []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(y))
        fit, held = order[:330], order[330:]
        ours.append(np.abs(train("mae", X[fit], y[fit], rounds=ROUNDS).predict(X[held]) - y[held]).mean())
        settings = {**DEFAULTS, "objective": "l1"}
        booster = lightgbm.train(settings, lightgbm.Dataset(X[fit], y[fit]), ROUNDS)
        theirs.append(np.abs(booster.predict(X[held]) - y[held]).mean())
    assert np.mean(ours) < 1.05 * np.mean(theirs)


@pytest.mark.parametrize("name", ["mae", "mse", "quantile(level=0.8)"])
def test_the_unit_of_the_target_does_not_matter(name: str, regression) -> None:
    X, y = regression
    euros, cents = train(name, X, y, rounds=10), train(name, X, 100 * y, rounds=10)
    np.testing.assert_allclose(100 * euros.predict(X), cents.predict(X), rtol=1e-4)


def test_weights_are_applied(regression) -> None:
    X, y = regression
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    params = {"min_data_in_leaf": 1, "num_leaves": 4, "feature_pre_filter": False}
    weighted = train("mse", X, y, weight, rounds=5, params=params)
    copies = train("mse", X[repeated], y[repeated], rounds=5, params=params)
    assert weighted.start == pytest.approx(copies.start, rel=1e-12)
    gradient, hessian = Objective("mse", y, weight)(np.zeros(len(y)))
    np.testing.assert_allclose(gradient, -y * weight, rtol=1e-6)  # over the mean Hessian, which is 2
    np.testing.assert_allclose(hessian, weight, rtol=1e-6)
    gradient, hessian = Objective("mse", y, weight, hessian="exact")(np.zeros(len(y)))
    np.testing.assert_allclose(gradient, -2 * y * weight, rtol=1e-6)
    np.testing.assert_allclose(hessian, 2 * weight, rtol=1e-6)
    assert train("mse", X, y, rounds=5, params=params).start != pytest.approx(weighted.start)


def test_start_score_and_link_are_inside_the_model(binary) -> None:
    X, y = binary
    model = train("bce", X, y, rounds=3)
    assert model.start == pytest.approx(np.log(y.mean() / (1 - y.mean())))
    np.testing.assert_allclose(model.predict(X), 1 / (1 + np.exp(-model.predict_raw(X))))
    assert model.predict(X).mean() == pytest.approx(y.mean(), abs=0.02)


def test_the_declared_kind_does_not_change_the_model(binary) -> None:
    X, y = binary
    logits = train(lm.Focal(), X, y, rounds=3).predict_raw(X)
    probabilities = train(lm.Focal(prediction="probabilities"), X, y, rounds=3).predict_raw(X)
    np.testing.assert_array_equal(logits, probabilities)


def test_early_stopping_keeps_the_best_round(regression) -> None:
    X, y = regression
    model = train("mse", X[:300], y[:300], rounds=500, validation=(X[300:], y[300:]), patience=20)
    assert model.rounds == int(np.argmin(model.history)) + 1
    assert model.rounds + 20 == len(model.history) < 500
    cost = lm.SquaredError().cost(y[300:], model.predict(X[300:]))
    assert cost == pytest.approx(min(model.history), rel=1e-9)


def test_noise_stops_at_the_constant() -> None:
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(400, 3)), rng.normal(size=400)
    far = y[200:] - 50  # nothing learnt helps here
    model = train(
        "mse", X[:200], y[:200] + 10 * X[:200, 0], rounds=50, validation=(X[200:], far - 100 * X[200:, 0]), patience=5
    )
    assert isinstance(model, Model)
    assert model.rounds == 0 or min(model.history) < lm.SquaredError().cost(far, np.full(200, model.start))
    assert model.predict(X).shape == (400,)


def test_categories_are_regularised_alike_whatever_the_unit_of_the_loss() -> None:
    # LightGBM smooths categories by constants in the unit of the Hessian: robust losses have tiny ones.
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 40, 2000).astype(float)
    y = 1e4 * np.sin(codes * 7.0) + rng.standard_t(2, 2000) * 1e3
    model = train("mae", codes[:, None], y, rounds=80, categorical=[0])
    assert np.abs(model.predict(codes[:, None]) - y).mean() < 0.3 * np.abs(y - np.median(y)).mean()


def test_features_that_cannot_be_split_leave_the_constant() -> None:
    model = train("mae", np.ones((50, 2)), np.arange(50.0), rounds=5)
    assert model.rounds == 0
    np.testing.assert_array_equal(model.predict(np.ones((3, 2))), 24.5)
    assert model.importance().size == 0


def test_the_same_seed_gives_the_same_bits(binary) -> None:
    X, y = binary
    first, second = (train("hinge", X, y, rounds=5, seed=3).predict(X) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("name", TRAINABLE)
def test_no_step_oversteps_a_rows_own_minimum(name: str, regression, binary) -> None:
    loss = lm.parse(name)
    y = suited(loss, regression, binary)[1].astype(float)
    objective = Objective(name, y)
    raw = objective.start + np.linspace(-3, 3, len(y)) * (1 + abs(objective.start)) / 3
    raw = np.where([objective.loss.domains["f"].includes(place) for place in raw], raw, objective.start)
    gradient, hessian = objective(raw)
    assert np.all(np.isfinite(gradient))
    assert np.all(hessian > 0)
    far = np.inf if objective.loss.link.name == "identity" else 37
    distance = np.abs(raw - np.clip(objective.loss.best_prediction(y), -far, far))
    near = 0.5 * np.mean(np.sqrt(distance)) ** 2
    assert np.all(np.abs(gradient / hessian) <= np.maximum(distance, near) * (1 + 1e-6))  # both are float32


@pytest.mark.parametrize(
    ("loss", "change", "error", "message"),
    [
        ("mean_error", lambda y: y, lm.ParameterError, "MeanError.. cannot be an objective: .*no best constant"),
        ("perceptron", lambda y: y, lm.ParameterError, "zero for every row costs nothing.*such as Hinge"),
        ("zero_one", lambda y: y, lm.ParameterError, "gradient is zero everywhere"),
        ("gaussian_nll", lambda y: y, lm.ParameterError, "variance must be in .*scale='log_variance'"),
        ("dpo", lambda y: y, lm.ParameterError, "is a loss of chosen, rejected, .*for one target a row"),
        ("kl", lambda y: y, lm.ParameterError, "a loss of p, q, and a booster predicts numbers for one target"),
        ("triplet", lambda y: y, lm.ParameterError, "a loss of anchor, positive, negative"),
        ("softmax_focal", lambda y: y + 0.5, lm.DomainError, r"class indices .*y_true\[0\] is 0.5"),
        ("softmax_focal", lambda y: 2 * y, lm.DomainError, "none with weight is of class 1.*classes="),
        ("softmax_focal", lambda y: 0 * y, lm.DomainError, "one class only"),
        ("mae + mean_error", lambda y: y, lm.ParameterError, "MeanError.. alone falls without bound"),
        ("bce", lambda y: y * 0 + 1, lm.DomainError, "labels of one class"),
        ("bce", lambda y: y * 2, lm.DomainError, r"y_true\[\d+\] is 2"),
        ("poisson", lambda y: -y, lm.DomainError, r"y_true must be in \[0, inf\)"),
        ("hubber", lambda y: y, lm.LossNotFoundError, "Did you mean 'huber'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_tree(loss, change, error, message, binary) -> None:
    X, y = binary
    with pytest.raises(error, match=message):
        train(loss, X, change(y))


def test_wrong_settings_are_refused(binary) -> None:
    X, y = binary
    with pytest.raises(lm.ParameterError, match="one of 'floor', 'exact', 'upper_bound', 'gauss_newton'"):
        train("bce", X, y, hessian="gauss")  # type: ignore[arg-type]
    with pytest.raises(lm.ParameterError, match="patience needs validation"):
        train("bce", X, y, patience=3)


def test_an_objective_says_what_it_carries() -> None:
    carried = "Huber(delta=2), start=2, link=identity, hessian='floor'"
    assert repr(Objective("huber(delta=2)", [1.0, 2.0, 3.0])) == f"Objective({carried})"
    assert repr(train("huber(delta=2)", [[0.0], [1.0], [2.0]], [1.0, 2.0, 3.0])) == f"Model({carried})"
