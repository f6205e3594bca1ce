"""The contest: the same model trained with each loss on the same folds, and judged by all.

Every loss gets the same folds, the same LightGBM settings, the same seeds and the same budget of rounds. How
many rounds of the budget a model uses is decided inside its training part, on rows set aside there and by its
own cost, so that no held-out row has a say in training. Choosing among losses on the folds that also stopped
the training would flatter the winner: Cawley and Talbot (2010), On over-fitting in model selection, Journal of
Machine Learning Research 11, jmlr.org/papers/v11/cawley10a.html.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossmith.choosing.features import Features
from lossmith.choosing.goal import Goal
from lossmith.choosing.judging import Judgement, judge, measure, readable
from lossmith.choosing.rules import Candidate
from lossmith.errors import ParameterError, TableError, plural

__all__ = ["ContestResult", "Plan", "Progress", "Split", "check_size", "hold", "settings_for", "splits"]

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]
Progress = Callable[[int, int, str], None]

# One thread a fit and several fits at once: the result then does not depend on the number of cores, and small
# tables, whose trees are too small to share, go through about twice as fast on two cores.
MODEL_SETTINGS: dict[str, Any] = {
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "num_threads": 1,
}


@dataclass(frozen=True)
class Plan:
    """The rules of a contest, the same for every loss.

    Attributes:
        folds: Parts that the rows are dealt into; each is held out once a repeat.
        repeats: How often the rows are dealt anew.
        rounds: Most boosting rounds that a fit may use.
        patience: Rounds without improvement on the set-aside rows after which a fit stops.
        aside: Share of the training part that is set aside to decide when to stop.
        seed: Seed of everything that is drawn.
        settings: LightGBM parameters of every fit.
    """

    folds: int = 5
    repeats: int = 2
    rounds: int = 300
    patience: int = 20
    aside: float = 0.2
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=lambda: dict(MODEL_SETTINGS))


@dataclass(frozen=True, eq=False)
class Split:
    """One fold of one repeat.

    Attributes:
        repeat: Number of the repeat, from 0.
        fold: Number of the fold, from 0.
        fit: Rows that the model learns from.
        stop: Rows of the training part that are set aside to decide when to stop.
        test: Rows that are held out.
    """

    repeat: int
    fold: int
    fit: IndexArray
    stop: IndexArray
    test: IndexArray


@dataclass(frozen=True, eq=False)
class ContestResult:
    """What every loss did on every fold. Arrays hold folds in the order of repeat and fold.

    Attributes:
        metric: The metric that decides.
        scores: The metric, by candidate and fold; infinite on the bad side where undefined.
        scores_undefined: Held-out rows without a metric, by candidate, over all folds.
        costs: The cost, by trained candidate, judging candidate and fold.
        costs_undefined: Held-out rows without a cost, by trained and judging candidate, over all folds.
        rounds: Boosting rounds used, by candidate and fold.
        baseline: The metric of the best constant prediction of each training part, by fold.
        held_out: Held-out predictions of the first repeat on the target's scale, by candidate and row.
        importance: Share of the gain that each feature brought, by candidate and feature, over all folds.
        train_rows: Rows of a training part, on average.
        test_rows: Rows held out, on average.
    """

    metric: Any
    scores: FloatArray
    scores_undefined: NDArray[np.intp]
    costs: FloatArray
    costs_undefined: NDArray[np.intp]
    rounds: NDArray[np.intp]
    baseline: FloatArray
    held_out: FloatArray
    importance: FloatArray
    train_rows: float
    test_rows: float


@dataclass(frozen=True, eq=False)
class _Fit:
    score: Judgement
    costs: tuple[Judgement, ...]
    rounds: int
    prediction: FloatArray
    importance: FloatArray


def settings_for(rows: int, plan: Plan) -> dict[str, Any]:
    """Return the settings of a plan, with leaves that are small enough for a table of few rows.

    Leaves of 20 rows are right for hundreds of rows and more; a fit of fewer gets leaves of a tenth of its rows, so
    that it can split at all.
    """
    learned = rows * (1.0 - 1.0 / plan.folds) * (1.0 - plan.aside)
    usual = plan.settings["min_data_in_leaf"]
    return {**plan.settings, "min_data_in_leaf": max(1, min(usual, int(learned / 10.0)))}


def check_size(y: FloatArray, folds: int, repeats: int, *, labels: tuple[str, str] | None) -> None:
    """Refuse a contest that the table is too small for.

    Raises:
        ParameterError: Fewer than two folds, no repeat, or one fold in all.
        TableError: Fewer rows than folds, or than 10 in all, or fewer rows of a class than folds.
    """
    if folds < 2:
        raise ParameterError(f"a contest needs at least 2 folds, so that something is held out, but got {folds}")
    if repeats < 1:
        raise ParameterError(f"a contest needs at least 1 repeat, but got {repeats}")
    if y.size < folds:
        raise TableError(f"the table has {plural(y.size, 'row')} and cannot be dealt into {folds} folds")
    if y.size < 10:
        raise TableError(f"the table has {plural(y.size, 'row')}; a contest needs at least 10, and a fair one hundreds")
    if labels is not None:
        positives = int(y.sum())
        fewest = min(positives, y.size - positives)
        if fewest < folds:
            label = labels[1] if positives == fewest else labels[0]
            raise TableError(
                f"the class '{label}' has {plural(fewest, 'row')}, fewer than the {folds} folds, so some fold would "
                "have none to judge by; use fewer folds or more rows"
            )


def splits(y: FloatArray, plan: Plan, *, stratify: bool) -> tuple[Split, ...]:
    """Deal the rows into folds, anew for each repeat, and set the stopping rows aside.

    Args:
        y: The targets.
        plan: Folds, repeats, share set aside, and seed.
        stratify: Whether each class is dealt out evenly.

    Returns:
        ``repeats * folds`` splits. Within a repeat each row is held out exactly once.
    """
    found = []
    for repeat in range(plan.repeats):
        place = _deal(y, plan.folds, np.random.default_rng([plan.seed, repeat]), stratify)
        for fold in range(plan.folds):
            train, test = np.flatnonzero(place != fold), np.flatnonzero(place == fold)
            parts = max(2, round(1.0 / plan.aside))
            inner = _deal(y[train], parts, np.random.default_rng([plan.seed, repeat, fold]), stratify)
            found.append(Split(repeat, fold, train[inner != 0], train[inner == 0], test))
    return tuple(found)


def _deal(y: FloatArray, parts: int, rng: np.random.Generator, stratify: bool) -> IndexArray:
    """Give each row the number of a part, the parts equal in size, and in each class too if asked."""
    order = rng.permutation(y.size)
    if stratify:
        order = order[np.argsort(y[order], kind="stable")]
    place = np.empty(y.size, dtype=np.intp)
    place[order] = np.arange(y.size) % parts
    return place


def hold(
    features: Features,
    y: FloatArray,
    candidates: Sequence[Candidate],
    metric: Any,
    goal: Goal,
    plan: Plan,
    *,
    weight: FloatArray | None = None,
    progress: Progress | None = None,
) -> ContestResult:
    """Train with every candidate on every fold and judge every model by every cost and the metric.

    Args:
        features: The features.
        y: The targets, 0 and 1 for two classes.
        candidates: The losses.
        metric: The metric that decides.
        goal: What the predictions are for; it gives the constant to compare with.
        plan: Folds, rounds, settings and seed.
        weight: Weights of the rows, in training and in judging.
        progress: Called after each fit with fits done, fits in all, and the loss of the fit.

    Returns:
        The scores. They depend on the data, the plan and the versions of the packages only, not on the number
        of cores.

    Raises:
        DomainError: A candidate is not defined for some target.
        TableError: The weights of a fold are all zero.
    """
    dealt = splits(y, plan, stratify=goal.kind == "probability")
    if weight is not None:
        for split in dealt:
            if not (weight[split.fit].any() and weight[split.stop].any() and weight[split.test].any()):
                raise TableError("the weights of a whole fold are zero; use fewer folds or other weights")
    for candidate in candidates:
        candidate.loss.losses(y[:1], np.zeros(1))
        candidate.loss.state(y, np.zeros(y.size))  # names the first target outside the loss's domain, before training
    tasks = [(index, number) for number in range(len(dealt)) for index in range(len(candidates))]
    fits: dict[tuple[int, int], _Fit] = {}
    import lightgbm  # noqa: F401  loads its thread library, which each worker then limits

    pool = ThreadPoolExecutor(max_workers=_workers(), initializer=_one_thread)
    # A nearly constant model of probabilities gives logits that all lie in [0, 1]; they are logits here by
    # construction, so the warning that guards against mistaken probabilities has nothing to say.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*declared as logits", category=UserWarning)
        try:
            waiting = {
                pool.submit(_fit, features, y, candidates, index, metric, plan, dealt[number], weight): (index, number)
                for index, number in tasks
            }
            for done, future in enumerate(as_completed(waiting), start=1):
                fits[waiting[future]] = future.result()
                if progress is not None:
                    progress(done, len(tasks), candidates[waiting[future][0]].label)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        baseline = np.array([_constant(goal, metric, y, split, weight) for split in dealt])
    return _collect(fits, dealt, candidates, metric, baseline, y.size)


def _one_thread() -> None:
    """Limit LightGBM to one thread within the calling worker.

    LightGBM keeps the number of threads of its latest call in one place for the whole process, and sizes buffers
    by it. With fits side by side, one that asks for a thread and a call that asks for all would mix, and the
    process would crash. Where the thread library itself grants one thread only, the two mean the same.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

    threadpool_limits(1, user_api="openmp")


def _workers() -> int:
    try:
        return max(1, min(8, len(os.sched_getaffinity(0))))
    except AttributeError:  # not on every system
        return max(1, min(8, os.cpu_count() or 1))


def _fit(
    features: Features,
    y: FloatArray,
    candidates: Sequence[Candidate],
    index: int,
    metric: Any,
    plan: Plan,
    split: Split,
    weight: FloatArray | None,
) -> _Fit:
    from lossmith.lightgbm import train

    loss = candidates[index].loss
    inside, stop = features.fold(split.fit, split.stop)
    _, test = features.fold(split.fit, split.test)
    learned, heavy = y[split.fit], None if weight is None else weight[split.fit]
    truth, held = y[split.test], None if weight is None else weight[split.test]
    watch = (stop, y[split.stop]) if weight is None else (stop, y[split.stop], weight[split.stop])
    model = train(
        loss,
        inside,
        learned,
        heavy,
        rounds=plan.rounds,
        params=plan.settings,
        validation=watch,
        patience=plan.patience,
        categorical=list(features.categorical),
        seed=plan.seed,
    )
    raw = np.asarray(model.predict_raw(test), dtype=np.float64)
    gain = np.zeros(len(features.names)) if model.booster is None else model.importance()
    return _Fit(
        score=measure(loss, metric, raw, truth, held),
        costs=tuple(judge(loss, other.loss, raw, truth, held) for other in candidates),
        rounds=int(model.rounds),
        prediction=readable(loss, raw),
        importance=gain / gain.sum() if gain.sum() > 0.0 else gain,
    )


def _constant(goal: Goal, metric: Any, y: FloatArray, split: Split, weight: FloatArray | None) -> float:
    """Return the metric of the constant that is best on the training part."""
    loss = goal.loss()
    train = np.concatenate([split.fit, split.stop])
    best = float(loss.optimal_constant(y[train], weight=None if weight is None else weight[train]))
    held = None if weight is None else weight[split.test]
    return measure(loss, metric, np.full(split.test.size, best), y[split.test], held).value


def _collect(
    fits: dict[tuple[int, int], _Fit],
    dealt: Sequence[Split],
    candidates: Sequence[Candidate],
    metric: Any,
    baseline: FloatArray,
    rows: int,
) -> ContestResult:
    losses, folds = range(len(candidates)), range(len(dealt))
    held_out = np.full((len(candidates), rows), np.nan)
    for number, split in enumerate(dealt):
        if split.repeat == 0:
            for index in losses:
                held_out[index, split.test] = fits[index, number].prediction
    return ContestResult(
        metric=metric,
        scores=np.array([[fits[i, f].score.value for f in folds] for i in losses]),
        scores_undefined=np.array([sum(fits[i, f].score.undefined for f in folds) for i in losses], dtype=np.intp),
        costs=np.array([[[fits[i, f].costs[j].value for f in folds] for j in losses] for i in losses]),
        costs_undefined=np.array(
            [[sum(fits[i, f].costs[j].undefined for f in folds) for j in losses] for i in losses], dtype=np.intp
        ),
        rounds=np.array([[fits[i, f].rounds for f in folds] for i in losses], dtype=np.intp),
        baseline=baseline,
        held_out=held_out,
        importance=np.array([np.mean([fits[i, f].importance for f in folds], axis=0) for i in losses]),
        train_rows=float(np.mean([split.fit.size + split.stop.size for split in dealt])),
        test_rows=float(np.mean([split.test.size for split in dealt])),
    )
