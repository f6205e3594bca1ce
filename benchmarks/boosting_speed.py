"""How fast boosters go with our objectives: the callback beside the floor of memory, and training beside their own.

``python -m benchmarks.boosting --speed`` prints three tables, and ``--table`` one of them; ``--rows``, ``--trees`` and
``--rounds`` make it smaller.

The callback fills float32 gradients and Hessians from scores and targets. Its floor reads and writes the same and does
one addition and one subtraction; targets are float32 there, as libraries keep them, but float64 where only that keeps
their residuals from scores that are float64. What NumPy takes is given over ours and over the floor, which nothing
passes.

Training goes through the library's own ``train``, on the same binned data, with its own objective, with ours, and with
one that has nothing to do but to hand over what ours found, in turns: no custom objective takes less than that. Whole
calls of ``train`` let the library run its own objective where it is the same, and not. Ratios are of medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import catboost
import lightgbm
import numpy as np
import xgboost

import lossmith as lm
from lossmith import catboost as for_catboost
from lossmith import lightgbm as ours
from lossmith import xgboost as for_xgboost
from lossmith.engines.llvm import kernel
from lossmith.frameworks.boosting import Objective
from lossmith.program import trace

FEATURES = 20
SETTINGS = {"learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 20, "verbosity": -1, "seed": 0}


# --- data -------------------------------------------------------------------------------------------


def features(rows: int) -> np.ndarray:
    """Return features of independent normal numbers."""
    return np.random.default_rng(0).normal(size=(rows, FEATURES))


def signal(X: np.ndarray) -> np.ndarray:
    """Return what there is to learn."""
    return X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * np.sin(3 * X[:, 3])


def targets(kind: str, X: np.ndarray) -> np.ndarray:
    """Return labels, counts, classes or numbers with heavy tails."""
    rng, mean = np.random.default_rng(1), signal(X)
    if kind == "labels":
        return (rng.random(len(X)) < 1 / (1 + np.exp(1 - mean))).astype(float)
    if kind == "counts":
        return rng.poisson(np.exp(mean / 2)).astype(float)
    if kind == "classes":
        return np.digitize(mean + rng.logistic(size=len(X)), (-1.0, 1.0)).astype(float)
    return mean + rng.standard_t(3, len(X))


# --- the callback -----------------------------------------------------------------------------------


def _labels(f: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = 1 / (1 + np.exp(-f))
    return p - y, p * (1 - p)


def _counts(f: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rate = np.exp(f)
    return rate - y, rate


def _huber(f: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r = f - y
    inside = np.abs(r) <= 1
    return np.where(inside, r, np.sign(r)), np.where(inside, 1.0, 0.0)


def _squares(f: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return f - y, np.ones_like(f)


def _quantile(f: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.where(f > y, 0.1, -0.9), np.ones_like(f)


@dataclass(frozen=True)
class Call:
    """One callback: a loss, its kind of Hessian, targets, and what a user writes in NumPy."""

    loss: str
    hessian: str
    kind: str
    formula: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


CALLS = (
    Call("binary_cross_entropy", "exact", "labels", _labels),
    Call("poisson", "exact", "counts", _counts),
    Call("half_squared_error", "exact", "numbers", _squares),
    Call("huber", "upper_bound", "numbers", _huber),
    Call("binary_cross_entropy", "floor", "labels", _labels),
    Call("huber", "floor", "numbers", _huber),
    Call("quantile(level=0.9)", "floor", "numbers", _quantile),
)
SCORES = (np.float64, np.float32)
"""What LightGBM hands a callback, and what XGBoost does."""

_FLOOR = trace(
    lambda ops, s: {"gradient": s["f"] - s["y"], "hessian": s["f"] + s["y"], "valid": ops.lt(s["f"], np.inf)},
    ("y", "f"),
)


def callback(rows: Sequence[int], rounds: int) -> None:
    """Print how long callbacks take, over the floor of memory and over NumPy."""
    heads = ("gradient and Hessian", "scores", "rows", "floor, ms", "ours, ms", "over the floor", "NumPy over ours")
    print(f"| {' | '.join(heads)} | NumPy over the floor |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for size in rows:
        X = features(size)[:, :4]
        for call in CALLS:
            y = targets(call.kind, X)
            for score in SCORES:
                print(_callback_row(call, signal(X).astype(score), y, rounds), flush=True)


def _callback_row(call: Call, f: np.ndarray, y: np.ndarray, rounds: int) -> str:
    objective = Objective(call.loss, y, hessian=call.hessian)  # type: ignore[arg-type]
    label = y.astype(np.float32)
    if f.dtype == np.float64 and not np.array_equal(label, y):
        label = y
    out = dict(zip(("gradient", "hessian"), objective.on(y).gradient_and_hessian(f), strict=True))
    kind = "double" if f.dtype == np.float64 else "float"
    floor, mine, theirs = in_turns(
        (
            lambda: kernel.run(_FLOOR, [label, f], {}, out, kind=kind),
            lambda: objective.gradient_and_hessian(f),
            lambda: [np.asarray(array, np.float32) for array in call.formula(f, y)],
        ),
        rounds,
    )
    return (
        f"| {call.loss}, {call.hessian} | {f.dtype} | {len(f):.0e} | {1e3 * floor:.2f} | {1e3 * mine:.2f} | "
        f"{mine / floor:.2f} | {theirs / mine:.1f} | {theirs / floor:.1f} |"
    )


def in_turns(tasks: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the median seconds of each task, all taken in turns after one call that is not counted."""
    taken: list[list[float]] = [[] for _ in tasks]
    for turn in range(rounds + 1):
        for place, task in enumerate(tasks):
            start = time.perf_counter()
            task()
            if turn:
                taken[place].append(time.perf_counter() - start)
    return [statistics.median(times) for times in taken]


# --- training ---------------------------------------------------------------------------------------


Custom = Callable[..., Any]
Through = Callable[[Custom], Custom]


class Replay:
    """What an objective gave in the rounds of one training, for another."""

    def __init__(self) -> None:
        self._given: list[tuple[np.ndarray, ...]] = []

    def record(self, objective: Custom) -> Custom:
        """Return the objective, whose results are kept."""
        self._given.clear()

        def call(*given: Any) -> Any:
            found = objective(*given)
            self._given.append(tuple(array.copy() for array in found))
            return found

        return call

    def play(self, objective: Custom) -> Custom:
        """Return what hands them over in the same order."""
        rounds = iter(self._given)
        return lambda *_: next(rounds)


@dataclass(frozen=True)
class Training:
    """One training of a library with its own objective, and with ours.

    Attributes:
        library: its name.
        loss, hessian: ours.
        kind: of the targets.
        data: ``X, y -> binned data``, made for each of both.
        own: ``data, trees -> model`` with the library's objective.
        mine: ``data, y, trees, through -> model`` with ours; it makes the objective too. The library calls what
            ``through`` makes of that.
        raw: ``model, X -> raw predictions`` of either, start score included.
        calls: whether the library calls the objective once a round, with all rows.
    """

    library: str
    loss: str
    hessian: str
    kind: str
    data: Callable[[np.ndarray, np.ndarray], Any]
    own: Callable[[Any, int], Any]
    mine: Callable[[Any, np.ndarray, int, Through], Any]
    raw: Callable[[Any, np.ndarray], np.ndarray]
    calls: bool = True


def _of_lightgbm(loss: str, hessian: str, kind: str, own: dict[str, Any], rate: float = 1.0) -> Training:
    """Return a case; ``rate`` is what our learning rate is multiplied by."""

    def data(X: np.ndarray, y: np.ndarray) -> Any:
        return lightgbm.Dataset(X, y, params=SETTINGS, free_raw_data=False).construct()

    def theirs(binned: Any, trees: int) -> Any:
        return lightgbm.train({**SETTINGS, **own}, binned, trees)

    def mine(binned: Any, y: np.ndarray, trees: int, through: Through) -> Any:
        classes = own.get("num_class")
        objective = ours.Objective(loss, y, hessian=hessian, classes=classes)  # type: ignore[arg-type]
        several = {"num_class": classes} if classes else {}
        binned.set_init_score(objective.init_score)
        settings = {**SETTINGS, "metric": "none", "min_sum_hessian_in_leaf": 1e-12, **several}
        settings |= {"objective": through(objective), "learning_rate": rate * SETTINGS["learning_rate"]}
        return objective.model(lightgbm.train(settings, binned, trees))

    def raw(model: Any, X: np.ndarray) -> np.ndarray:
        return model.predict_raw(X) if isinstance(model, ours.Model) else model.predict(X, raw_score=True)

    return Training("LightGBM", loss, hessian, kind, data, theirs, mine, raw)


TRAININGS = (
    _of_lightgbm("binary_cross_entropy", "exact", "labels", {"objective": "binary", "min_sum_hessian_in_leaf": 1e-12}),
    _of_lightgbm("poisson", "exact", "counts", {"objective": "poisson", "poisson_max_delta_step": 1e-12}),
    _of_lightgbm("half_squared_error", "exact", "numbers", {"objective": "l2"}),
    _of_lightgbm("huber", "floor", "numbers", {"objective": "huber", "alpha": 1.0}),
    _of_lightgbm("quantile(level=0.9)", "floor", "numbers", {"objective": "quantile", "alpha": 0.9}),
    # LightGBM multiplies the diagonal by K / (K - 1).
    _of_lightgbm(
        "sparse_categorical_cross_entropy",
        "exact",
        "classes",
        {"objective": "multiclass", "num_class": 3, "min_sum_hessian_in_leaf": 1e-12},
        rate=2 / 3,
    ),
)


def training(rows: int, trees: int, rounds: int, cases: Sequence[Training] = TRAININGS) -> None:
    """Print how long training takes with our objective, over the library's own, and how good both models are."""
    print(
        f"| training, {rows:.0e} rows, {FEATURES} columns, {trees} rounds | own, s | ours, s | ours over own | "
        "handed over, over own | with binning | largest difference of raw predictions | held-out cost, ours over own |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    X, new = features(rows), np.random.default_rng(2).normal(size=(max(rows // 10, 1000), FEATURES))
    for case in cases:
        y, truth = targets(case.kind, X), targets(case.kind, new)
        start = time.perf_counter()
        data = {name: case.data(X, y) for name in ("own", "mine")}
        binning = (time.perf_counter() - start) / 2
        models: dict[str, Any] = {}
        mine, replay = partial(case.mine, data["mine"], y, trees), Replay()
        trainings = {"own": partial(case.own, data["own"], trees), "mine": partial(mine, _itself)}
        if case.calls:
            mine(replay.record)
            trainings["handed"] = partial(mine, replay.play)
        taken = in_turns([partial(_keep, models, name, run) for name, run in trainings.items()], rounds)
        theirs, our, *handed = taken
        loss = lm.parse(case.loss).raw_form
        raw = {name: case.raw(model, new) for name, model in models.items()}
        costs = {name: np.mean(loss.losses(truth, found)) for name, found in raw.items()}
        apart = np.abs(centred(raw["mine"]) - centred(raw["own"])).max()
        print(
            f"| {case.library}: {case.loss}, {case.hessian} | {theirs:.2f} | {our:.2f} | {our / theirs:.3f} | "
            f"{f'{handed[0] / theirs:.3f}' if handed else '–'} | {(our + binning) / (theirs + binning):.3f} | "
            f"{apart:.1e} | {costs['mine'] / costs['own']:.4f} |",
            flush=True,
        )


def _by_lightgbm(own: dict[str, Any], X: np.ndarray, y: np.ndarray, trees: int) -> object:
    return lightgbm.train({**ours.DEFAULTS, **own}, lightgbm.Dataset(X, y), trees)


def _by_xgboost(own: dict[str, Any], X: np.ndarray, y: np.ndarray, trees: int) -> object:
    return xgboost.train({**for_xgboost.DEFAULTS, **own}, xgboost.QuantileDMatrix(X, y), trees)


def _by_catboost(own: dict[str, Any], X: np.ndarray, y: np.ndarray, trees: int) -> object:
    return catboost.CatBoost({**for_catboost.DEFAULTS, **own, "iterations": trees}).fit(X, y)


FACES = {
    "LightGBM": (ours, _by_lightgbm),
    "XGBoost": (for_xgboost, _by_xgboost),
    "CatBoost": (for_catboost, _by_catboost),
}
WHOLE: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("LightGBM", "squared_error", "floor", "numbers", {"objective": "l2"}),
    ("XGBoost", "squared_error", "floor", "numbers", {"objective": "reg:squarederror"}),
    ("XGBoost", "binary_cross_entropy", "exact", "labels", {"objective": "binary:logistic"}),
    ("XGBoost", "poisson", "exact", "counts", {"objective": "count:poisson", "max_delta_step": 0}),
    (
        "XGBoost",
        "sparse_categorical_cross_entropy",
        "upper_bound",
        "classes",
        {"objective": "multi:softprob", "num_class": 3},
    ),
    ("CatBoost", "squared_error", "floor", "numbers", {"loss_function": "RMSE"}),
)
"""Library, loss, kind of Hessian, kind of targets and settings of the library's own objective."""


def whole(rows: int, trees: int, rounds: int, libraries: Sequence[str]) -> None:
    """Print how long a whole call of ``train`` takes where libraries run their own objective, over calling them."""
    X = features(rows)
    print(f"| whole call, {rows:.0e} rows, {trees} rounds | own, s | ours over own | not built in |")
    print("| --- | ---: | ---: | ---: |")
    for name, loss, hessian, kind, own in WHOLE:
        if libraries and name not in libraries:
            continue
        y, (face, library) = targets(kind, X), FACES[name]
        train = partial(face.train, loss, X, y, rounds=trees, hessian=hessian)
        theirs, ran, mine = in_turns(
            (partial(library, own, X, y, trees), train, partial(train, built_in=False)), rounds
        )
        print(f"| {name}: {loss}, {hessian} | {theirs:.2f} | {ran / theirs:.3f} | {mine / theirs:.3f} |", flush=True)


def centred(raw: np.ndarray) -> np.ndarray:
    """Return raw predictions; of logits a shift of the whole row means nothing."""
    return raw if raw.ndim == 1 else raw - raw.mean(axis=1, keepdims=True)


def _itself(objective: Custom) -> Custom:
    return objective


def _keep(models: dict[str, Any], name: str, run: Callable[[], Any]) -> None:
    models[name] = run()


TABLES = ("callback", "training", "whole")


def main(
    rows: Sequence[int],
    trees: int,
    rounds: int,
    cases: Sequence[Training] = TRAININGS,
    tables: Sequence[str] = TABLES,
    libraries: Sequence[str] = (),
) -> None:
    """Print the tables; the first of ``rows`` is what is trained on."""
    if "callback" in tables:
        callback(rows, max(rounds, 7))
    if "training" in tables:
        training(rows[0], trees, rounds, cases)
    if "whole" in tables:
        whole(rows[0], trees, rounds, libraries)
