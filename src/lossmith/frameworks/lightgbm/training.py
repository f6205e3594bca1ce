"""Training and cross-validation: LightGBM's own, with a loss as the objective."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.errors import ParameterError
from lossmith.frameworks.boosting import Kind
from lossmith.frameworks.boosting.columns import constrained, places, refuse_others
from lossmith.frameworks.boosting.folds import by_class, folds_of
from lossmith.frameworks.boosting.held import Rows, Validation, by_name, counted, listed, refuse_rescaled
from lossmith.frameworks.boosting.keywords import told
from lossmith.frameworks.boosting.named import ANEW, WEIGHED, Names
from lossmith.frameworks.boosting.own import run_by_library, squared_errors
from lossmith.frameworks.lightgbm.library import library, table, warn_of_unknown
from lossmith.frameworks.lightgbm.model import Model
from lossmith.frameworks.lightgbm.objective import Objective

Array = npt.NDArray[Any]
DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    # The sum of Hessians has the unit of the loss here, so a bound on it means nothing; with none at all LightGBM
    # aborts on a leaf of rows without weight.
    "min_sum_hessian_in_leaf": 1e-12,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
"""Settings that ``train`` uses unless told otherwise; names are LightGBM's."""

NAMES = Names(
    {
        "learning_rate": ("eta", "shrinkage_rate"),
        "num_leaves": ("num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes"),
        "min_data_in_leaf": ("min_data_per_leaf", "min_data", "min_child_samples", "min_samples_leaf"),
        "min_sum_hessian_in_leaf": ("min_sum_hessian_per_leaf", "min_sum_hessian", "min_hessian", "min_child_weight"),
        "bagging_fraction": ("sub_row", "subsample", "bagging"),
        "bagging_freq": ("subsample_freq",),
        "feature_fraction": ("sub_feature", "colsample_bytree"),
        "lambda_l1": ("reg_alpha", "l1_regularization"),
        "lambda_l2": ("reg_lambda", "lambda", "l2_regularization"),
        "num_threads": ("num_thread", "nthread", "nthreads", "n_jobs"),
        "verbosity": ("verbose",),
        "seed": ("random_seed", "random_state"),
        "monotone_constraints": ("mc", "monotone_constraint", "monotonic_cst"),
        "monotone_constraints_method": ("monotone_constraining_method", "mc_method"),
        "metric": ("metrics", "metric_types"),
        "boosting": ("boosting_type", "boost"),
        "objective": ("objective_type", "app", "application", "loss"),
        "num_class": ("num_classes",),
        "is_unbalance": ("unbalance", "unbalanced_sets"),
        "input_model": ("model_input", "model_in", "init_model"),
        "num_iterations": (
            *("num_iteration", "n_iter", "num_tree", "num_trees", "num_round", "num_rounds", "nrounds"),
            *("num_boost_round", "n_estimators", "max_iter"),
        ),
    },
    {
        "objective": "the loss is the objective",
        "num_class": "the loss and classes= decide that",
        "num_iterations": "rounds= decides that",
        "boost_from_average": "training begins at the best constant of the loss",
        "is_unbalance": WEIGHED,
        "scale_pos_weight": WEIGHED,
        "input_model": ANEW,
    },
)
"""LightGBM's names of settings that matter here."""

OWN = squared_errors("regression", reg_sqrt=False, boosting="gbdt")
"""LightGBM's objectives that are the same as a loss, and whose model of trees alone gives raw predictions."""

_ROUNDED = 1e-5  # of the typical distance from the median


@told
def train(
    loss: Loss | str,
    X: Any,
    y: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    rounds: int = 200,
    params: Mapping[str, Any] | None = None,
    validation: Validation | None = None,
    patience: int | None = None,
    categorical: Sequence[int] | Sequence[str] = (),
    feature_names: Sequence[str] | None = None,
    seed: int = 0,
    hessian: Kind = "floor",
    classes: int | None = None,
    built_in: bool = True,
    callbacks: Sequence[Callable[..., Any]] = (),
) -> Model:
    """Train a LightGBM model with a loss as its objective.

    Args:
        loss: a loss or its name, such as ``"huber(delta=2)"``: of one prediction a row, over classes or levels, or of
            several predicted inputs that may be any number.
        X: features, rows by columns: an array, in which NaN is a missing value, a data frame or a sparse matrix.
        y: targets; of losses over classes the class indices, or a distribution a row.
        weight: weights of the rows; they are applied.
        rounds: number of rounds, at most: a tree each, or a tree for each of several outputs.
        params: further settings of LightGBM, over ``DEFAULTS``.
        validation: features, targets and optionally weights that decide when to stop; or a list of several such sets,
            or a mapping by name, of which the first decides.
        patience: stop after that many rounds without a better mean loss on ``validation``.
        categorical: indexes or names of columns that hold category codes; those of a data frame of categories are
            found.
        feature_names: names of the columns; those of a data frame are found.
        seed: of LightGBM's random numbers.
        hessian: ``floor``, ``exact``, ``upper_bound`` or ``gauss_newton``; see
            ``lossmith.frameworks.boosting.curvature``.
        classes: number of classes, for losses over classes; by default as many as the targets tell.
        built_in: whether LightGBM may train with its own objective where that is the same, which is quicker; the
            model says so. It is for the squared error, of targets that single precision holds.
        callbacks: LightGBM's.

    Raises:
        MissingDependencyError: when LightGBM is not installed.
        ParameterError, DomainError, EmptyError, ShapeError: as in ``Objective``.
    """
    lightgbm = library()
    counted("rounds", rounds, 0)
    sets = by_name(validation, patience)
    objective = Objective(loss, y, weight, hessian=hessian, classes=classes)
    chosen = settings(objective, params, seed, table(X), feature_names)
    if dart := chosen.get("boosting") == "dart":
        refuse_rescaled("patience", patience)
    data = objective.dataset(X, params={**chosen, "objective": "none"}, **_columns(X, categorical, feature_names))
    if built_in and _kept(objective.y) and (told := run_by_library(OWN, objective, NAMES.read(params))) is not None:
        chosen = {**chosen, **told[0].settings, **told[1], "objective": told[0].name}
    data.construct()
    for name, rows in sets.items():
        refuse_others(table(rows[0]), data.get_feature_name(), "LightGBM", what=f"X of {name}")
    if not rounds or not any(data.feature_num_bin(column) for column in range(data.num_feature())):
        return Model(None, objective.head, 0)  # no feature can be split, or is to be: the constant is all there is
    watch = _Watch(objective, next(iter(sets.items()), None), patience, dart)
    booster = lightgbm.train(
        chosen,
        data,
        rounds,
        valid_sets=[objective.validation(*rows) for rows in sets.values()],
        valid_names=list(sets),
        feval=objective.feval,
        callbacks=[*listed(callbacks), watch],
    )
    return Model(booster, objective.head, watch.best(booster), tuple(watch.history))


def _kept(y: Array) -> bool:
    """Return whether targets lose nothing that matters in single precision, in which LightGBM keeps them."""
    rounded = np.abs(y - y.astype(np.float32)).max()
    return bool(rounded <= _ROUNDED * np.abs(y - np.median(y)).mean())


def settings(
    objective: Objective,
    params: Mapping[str, Any] | None,
    seed: int,
    X: Any,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return settings for ``lightgbm.train``, with the objective inside.

    Raises:
        ParameterError: for those that are decided elsewhere, such as an objective; see ``Names``; and for columns
            that are not there.
    """
    given = NAMES.read(params)
    if given.get("boosting") in ("rf", "random_forest"):
        raise ParameterError(
            f"{objective.loss}: boosting='rf' trains each tree from the start and averages them, and LightGBM does so "
            "without a start score alone; take lossmith.xgboost.train with num_parallel_tree and learning_rate=1, "
            "for one round"
        )
    warn_of_unknown(str(objective.loss), given)
    given.update(constrained(given, X, names))
    if not any(given.get("monotone_constraints") or ()):  # of nothing, LightGBM ends at a column of categories
        given.pop("monotone_constraints_method", None)
    several = {"num_class": objective.outputs} if objective.outputs > 1 else {}
    # Histograms are made by rows or by columns, and LightGBM refuses to be told both. Those of quantized gradients that
    # it makes by rows go wrong where trees see some columns alone.
    by_columns = given.get("force_col_wise") or (given.get("use_quantized_grad") and "force_row_wise" not in given)
    by = {"force_row_wise": False, "force_col_wise": True} if by_columns else {}
    return {**DEFAULTS, **by, "seed": seed, "metric": "none", **several, **given, "objective": objective}


def _columns(X: Any, categorical: Sequence[Any], names: Sequence[str] | None) -> dict[str, Any]:
    return {
        "categorical_feature": places(categorical, table(X), names) or "auto",
        "feature_name": "auto" if names is None else list(names),
    }


class _Watch:
    """A callback that keeps the mean loss of each round, and stops when nothing helps any more."""

    order = 25  # after those of LightGBM
    before_iteration = False

    def __init__(
        self, objective: Objective, first: tuple[str, Rows] | None, patience: int | None, dart: bool = False
    ) -> None:
        self.history: list[float] = []
        self._patience, self._dart = patience, dart
        self._name = None if first is None else first[0]
        self._start = np.inf
        if first is not None:
            _, y, *weight = first[1]
            other = objective.on(y, *weight)
            self._start = objective.metric(other.y, other.init_score, other.weight)
        self._metric = objective.metric.name

    def __call__(self, env: Any) -> None:
        done = env.iteration - env.begin_iteration + 1
        if env.model.current_iteration() < done:
            raise library("lightgbm.callback").EarlyStopException(done - 2, [])  # the round had no split
        for name, metric, value, *_ in env.evaluation_result_list or ():
            if (name, metric) == (self._name, self._metric):
                self.history.append(value)
        if self._patience is not None and done - self._best >= self._patience:
            raise library("lightgbm.callback").EarlyStopException(self._best - 1, [])

    @property
    def _best(self) -> int:
        return int(np.argmin(self.history)) + 1

    def best(self, booster: Any) -> int:
        """Return how many rounds are best; none where no round beats the constant."""
        if not self.history:
            return int(booster.best_iteration or booster.current_iteration())
        if self._dart:  # which changes trees of earlier rounds: all of them are what was measured last
            return 0 if self._start <= self.history[-1] else int(booster.current_iteration())
        return 0 if self._start <= min(self.history) else self._best


@told
def cv(
    loss: Loss | str,
    X: Any,
    y: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    rounds: int = 200,
    params: Mapping[str, Any] | None = None,
    folds: int | Iterable[tuple[Array, Array]] | Any = 5,
    patience: int | None = None,
    categorical: Sequence[int] | Sequence[str] = (),
    feature_names: Sequence[str] | None = None,
    seed: int = 0,
    hessian: Kind = "floor",
    classes: int | None = None,
    callbacks: Sequence[Callable[..., Any]] = (),
    models: bool = False,
) -> dict[str, Any]:
    """Cross-validate: ``lightgbm.cv`` with a loss as objective and metric, each fold with its own start score.

    Args:
        loss, X, y, weight, rounds, params, categorical, feature_names, seed, hessian, classes, callbacks: see
            ``train``.
        folds: a number, a splitter of scikit-learn, or pairs of training and validation rows. A number deals rows
            out at random, of labels each class evenly.
        patience: stop after that many rounds without a better mean over the folds.
        models: whether to return the models of the folds too.

    Returns:
        What ``lightgbm.cv`` returns: ``"valid <loss>-mean"`` and ``"valid <loss>-stdv"``, a number a round; and
        ``"models"``, if asked for.

    Raises:
        MissingDependencyError, ParameterError, DomainError, EmptyError, ShapeError: see ``train``.
    """
    lightgbm = library()
    counted("rounds", rounds, 1)
    whole = Objective(loss, y, weight, hessian=hessian, classes=classes)
    folds = folds_of(folds, whole, table(X))
    parts = _Folds(whole)
    stops = [] if patience is None else [lightgbm.early_stopping(patience, verbose=False)]
    chosen = settings(whole, params, seed, table(X), feature_names)
    if chosen.get("boosting") == "dart":
        refuse_rescaled("patience", patience)
    found: dict[str, Any] = lightgbm.cv(
        {**chosen, "objective": parts.gradient_and_hessian},
        whole.dataset(X, params={**chosen, "objective": "none"}, **_columns(X, categorical, feature_names)),
        rounds,
        **({"nfold": folds} if isinstance(folds, int) else {"folds": folds}),
        stratified=by_class(whole),
        feval=parts.feval,
        fpreproc=parts.prepare,
        callbacks=[*stops, *listed(callbacks)],
        seed=seed,
        return_cvbooster=models,
    )
    if models:
        boosters = found.pop("cvbooster")
        best = boosters.best_iteration
        found["models"] = [
            part.model(booster, best if best > 0 else booster.current_iteration())
            for part, booster in zip(parts.objectives, boosters.boosters, strict=True)
        ]
    return found


class _Folds:
    """The objectives of the folds, each with its own rows and start score."""

    def __init__(self, whole: Objective) -> None:
        self._whole = whole
        self.objectives: list[Objective] = []
        self._by_data: dict[int, Objective] = {}
        self._kept: list[Any] = []  # so that no other data set gets the number of one of these

    def __deepcopy__(self, memo: Any) -> _Folds:
        return self  # LightGBM copies its settings, and the objective with them

    def prepare(self, fit: Any, held: Any, params: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
        whole = self._whole
        rows, others = (np.asarray(data.used_indices, np.intp) for data in (fit, held))
        weight = None if whole.weight is None else whole.weight[rows]
        mine = Objective(whole.loss, whole.y[rows], weight, hessian=whole.head.hessian, classes=_classes(whole))
        mine.validated(held, whole.y[others], None if whole.weight is None else whole.weight[others])
        for data in (fit, held):
            data.construct().set_init_score(mine.head.constant(data.num_data()))
            self._by_data[id(data)] = mine
        self.objectives.append(mine)
        self._kept += [fit, held]
        return fit, held, params

    def gradient_and_hessian(self, raw: Array, data: Any) -> tuple[Array, Array]:
        return self._by_data[id(data)](raw, data)

    def feval(self, raw: Array, data: Any) -> tuple[str, float, bool]:
        return self._by_data[id(data)].feval(raw, data)


def _classes(whole: Objective) -> int | None:
    return whole.outputs if whole.loss.paired and whole.outputs > 1 else None
