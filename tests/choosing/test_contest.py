"""The contest is fair: the same folds for all, nothing held out is seen, nothing depends on chance or threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
import lossmith.lightgbm
from lossmith.choosing import contest
from lossmith.choosing.contest import ContestResult, Plan, check_size, hold, splits
from lossmith.choosing.features import Features
from lossmith.choosing.goal import Goal
from lossmith.choosing.rules import Candidate
from lossmith.errors import DomainError, ParameterError, TableError
from lossmith.scoring import metrics

RNG = np.random.default_rng(0)
ROWS = 150
X = RNG.normal(size=(ROWS, 3))
Y = np.round(np.exp(X[:, 0] + 0.2 * RNG.normal(size=ROWS)), 3)
TABLE = Features(("a", "b", "c"), X, (), {}, (), ())
LOSSES = ("squared_error", "poisson", "absolute_error")
PLAN = Plan(folds=3, repeats=2, rounds=8, patience=4)


def compete(
    plan: Plan = PLAN, names: tuple[str, ...] = LOSSES, y: np.ndarray[Any, Any] = Y, **options: Any
) -> ContestResult:
    candidates = [Candidate(lm.parse(name), "", "") for name in names]
    goal = options.pop("goal", Goal("mean"))
    metric = metrics.get(options.pop("metric", "rmse"))
    return hold(TABLE, y, candidates, metric, goal, plan, **options)


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize(("folds", "repeats", "rows"), [(2, 1, 10), (3, 2, 100), (5, 2, 151), (10, 1, 20)])
def test_the_deal(folds: int, repeats: int, rows: int, stratify: bool) -> None:
    y = (np.arange(rows) % 3 == 0).astype(float)
    dealt = splits(y, Plan(folds=folds, repeats=repeats), stratify=stratify)
    assert [(split.repeat, split.fold) for split in dealt] == [(r, f) for r in range(repeats) for f in range(folds)]
    for repeat in range(repeats):
        held = np.concatenate([split.test for split in dealt if split.repeat == repeat])
        np.testing.assert_array_equal(np.sort(held), np.arange(rows))  # each row is held out once
    for split in dealt:
        everything = np.concatenate([split.fit, split.stop, split.test])
        np.testing.assert_array_equal(np.sort(everything), np.arange(rows))  # no row is in two parts
        assert abs(split.test.size - rows / folds) < 1
        assert split.stop.size == pytest.approx(0.2 * (rows - split.test.size), abs=1)
        if stratify:
            assert abs(y[split.test].sum() - y.sum() / folds) <= 1
            assert abs(y[split.stop].sum() - 0.2 * y[np.r_[split.fit, split.stop]].sum()) <= 1


def test_the_deal_follows_the_seed_and_changes_with_the_repeat() -> None:
    first, again, other = (splits(Y, Plan(seed=seed), stratify=False) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0].test, again[0].test)
    assert not np.array_equal(first[0].test, other[0].test)
    assert not np.array_equal(first[0].test, first[5].test)


def test_each_loss_gets_the_same_and_sees_nothing_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[tuple[Any, ...]]] = {}
    real = lossmith.lightgbm.train

    def spy(loss: Any, rows: Any, y: Any, weight: Any, **options: Any) -> Any:
        stop_rows, stop_y = options["validation"]
        seen.setdefault(loss.name, []).append((rows, y, stop_rows, stop_y, options))
        return real(loss, rows, y, weight, **options)

    monkeypatch.setattr(lossmith.lightgbm, "train", spy)
    monkeypatch.setattr(contest, "_workers", lambda: 1)
    compete()
    dealt = splits(Y, PLAN, stratify=False)
    assert set(seen) == set(LOSSES)
    for calls in seen.values():
        assert len(calls) == len(dealt)
        for (rows, y, stop_rows, stop_y, options), split, other in zip(calls, dealt, seen[LOSSES[0]], strict=True):
            np.testing.assert_array_equal(rows, X[split.fit])
            np.testing.assert_array_equal(y, Y[split.fit])
            np.testing.assert_array_equal(stop_rows, X[split.stop])
            np.testing.assert_array_equal(stop_y, Y[split.stop])
            same = ("rounds", "params", "patience", "seed", "categorical")
            assert {key: options[key] for key in same} == {key: other[4][key] for key in same}
            assert options["rounds"] == PLAN.rounds


def test_the_result_does_not_depend_on_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for workers in (1, 4):
        monkeypatch.setattr(contest, "_workers", lambda workers=workers: workers)
        results.append(compete())
    for name in ("scores", "costs", "rounds", "baseline", "held_out", "importance"):
        np.testing.assert_array_equal(getattr(results[0], name), getattr(results[1], name))


def test_every_worker_is_limited_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """LightGBM keeps its number of threads in one place for the process; without the limit, fits may crash it."""
    from threadpoolctl import threadpool_info, threadpool_limits

    seen: list[int] = []
    real = lossmith.lightgbm.train

    def spy(*words: Any, **options: Any) -> Any:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")
        return real(*words, **options)

    monkeypatch.setattr(lossmith.lightgbm, "train", spy)
    with threadpool_limits(3, user_api="openmp"):
        compete(Plan(folds=2, repeats=1, rounds=2), names=("huber",))
    assert set(seen) == {1}


def test_scores_are_what_the_models_earn_on_held_out_rows() -> None:
    found = compete(names=("squared_error", "poisson"))
    split = splits(Y, PLAN, stratify=False)[0]
    model = lossmith.lightgbm.train(
        "poisson",
        X[split.fit],
        Y[split.fit],
        rounds=PLAN.rounds,
        params=PLAN.settings,
        validation=(X[split.stop], Y[split.stop]),
        patience=PLAN.patience,
        seed=PLAN.seed,
    )
    raw = model.predict_raw(X[split.test])
    truth = Y[split.test]
    assert found.scores[1, 0] == metrics.get("rmse")(truth, np.exp(raw))
    assert found.costs[1, 1, 0] == lm.get("poisson").cost(truth, raw)
    assert found.costs[1, 0, 0] == pytest.approx(np.mean((np.exp(raw) - truth) ** 2))
    np.testing.assert_array_equal(found.held_out[1, split.test], np.exp(raw))
    assert found.rounds[1, 0] == model.rounds
    train = np.r_[split.fit, split.stop]
    assert found.baseline[0] == pytest.approx(np.sqrt(np.mean((Y[train].mean() - truth) ** 2)))
    assert (found.train_rows, found.test_rows) == (100.0, 50.0)


def test_judges_that_are_not_defined_are_infinite_with_their_rows() -> None:
    y = np.where(X[:, 0] > 0.5, Y, 0.0)  # many zeros and hasty steps: squared error predicts below zero now and then
    hasty = Plan(folds=3, repeats=2, rounds=30, settings={**contest.MODEL_SETTINGS, "learning_rate": 0.9})
    found = compete(hasty, names=("squared_error", "poisson"), y=y)
    below = found.held_out[0] <= 0.0
    assert below.any(), "the example must have such predictions"
    assert found.costs_undefined[0, 1] >= below.sum()
    assert np.isinf(found.costs[0, 1]).any()
    assert np.isfinite(found.costs[1]).all()


def test_weights_count_in_training_and_in_judging() -> None:
    plain, ones = compete(), compete(weight=np.ones(ROWS))
    np.testing.assert_array_equal(plain.scores, ones.scores)
    heavy = compete(weight=1.0 + 9.0 * (Y > 1.0))
    assert not np.array_equal(plain.scores, heavy.scores)
    assert not np.array_equal(plain.held_out, heavy.held_out)
    with pytest.raises(TableError, match="weights of a whole fold are zero"):
        compete(weight=np.where(np.arange(ROWS) == 0, 1.0, 0.0))


def test_a_table_without_anything_to_split_gives_the_best_constant() -> None:
    rare = Features(("a",), np.eye(ROWS)[:, :1].copy(), (), {}, (), ())
    candidates = [Candidate(lm.get(name), "", "") for name in ("squared_error", "poisson")]
    found = hold(rare, Y, candidates, metrics.get("rmse"), Goal("mean"), PLAN)
    assert not found.rounds.any()
    assert not found.importance.any()
    np.testing.assert_allclose(found.scores[0], found.scores[1])
    np.testing.assert_allclose(found.scores.mean(), found.baseline.mean(), rtol=0.05)


def test_small_tables_get_small_leaves() -> None:
    leaves = [contest.settings_for(rows, Plan())["min_data_in_leaf"] for rows in (10, 60, 200, 1000, 10**6)]
    assert leaves == [1, 3, 12, 20, 20]


def test_weights_reach_the_model_and_its_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, Any]] = []
    real = lossmith.lightgbm.train

    def spy(loss: Any, rows: Any, y: Any, weight: Any, **options: Any) -> Any:
        seen.append((weight, options["validation"][2]))
        return real(loss, rows, y, weight, **options)

    monkeypatch.setattr(lossmith.lightgbm, "train", spy)
    monkeypatch.setattr(contest, "_workers", lambda: 1)
    weight = np.linspace(0.5, 2.0, ROWS)
    compete(weight=weight, names=("squared_error",))
    for (given, watched), split in zip(seen, splits(Y, PLAN, stratify=False), strict=True):
        np.testing.assert_array_equal(given, weight[split.fit])
        np.testing.assert_array_equal(watched, weight[split.stop])


def test_two_classes_are_dealt_evenly() -> None:
    y = (Y > 2.0).astype(float)
    found = compete(names=("binary_cross_entropy", "hinge"), y=y, goal=Goal("probability"), metric="roc_auc")
    assert np.isfinite(found.scores).all()
    assert found.baseline.tolist() == [0.5] * 6
    assert found.costs_undefined[1, 0] == 2 * ROWS  # hinge gives scores, and cross-entropy cannot read them


def test_progress_is_told_and_an_interrupt_passes_through() -> None:
    told: list[tuple[int, int]] = []
    compete(progress=lambda done, total, label: told.append((done, total)))
    assert told == [(done, 18) for done in range(1, 19)]

    def stop(done: int, total: int, label: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compete(progress=stop)


def test_a_loss_that_the_targets_do_not_allow_is_refused_before_training() -> None:
    with pytest.raises(DomainError, match="Poisson"):
        compete(y=Y - 5.0, progress=lambda done, total, label: pytest.fail("a model was trained"))


@pytest.mark.parametrize(
    ("y", "folds", "repeats", "error", "message"),
    [
        (np.arange(4.0), 5, 1, TableError, "has 4 rows and cannot be dealt into 5 folds"),
        (np.arange(8.0), 5, 1, TableError, "has 8 rows; a contest needs at least 10"),
        (np.arange(90.0), 1, 1, ParameterError, "at least 2 folds"),
        (np.arange(90.0), 5, 0, ParameterError, "at least 1 repeat"),
        (np.r_[np.ones(3), np.zeros(60)], 5, 1, TableError, "class 'yes' has 3 rows, fewer than the 5 folds"),
        (np.r_[np.zeros(4), np.ones(60)], 5, 1, TableError, "class 'no' has 4 rows"),
    ],
)
def test_tables_that_are_too_small(
    y: np.ndarray[Any, Any], folds: int, repeats: int, error: type[Exception], message: str
) -> None:
    labels = ("no", "yes") if np.unique(y).size == 2 else None
    with pytest.raises(error, match=message):
        check_size(y, folds, repeats, labels=labels)
