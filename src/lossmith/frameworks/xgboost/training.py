"""Training by XGBoost's own ``train``, with a loss as objective and metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from lossmith.core.domain import Domain
from lossmith.core.link import LOG
from lossmith.core.loss import Loss
from lossmith.errors import ParameterError
from lossmith.frameworks.boosting import Kind
from lossmith.frameworks.boosting.columns import constrained, names_of, places, refuse_other_width
from lossmith.frameworks.boosting.folds import Pairs, best_round, classes_of, dealt, summed_up
from lossmith.frameworks.boosting.held import Validation, by_name, counted, listed, refuse_rescaled
from lossmith.frameworks.boosting.keywords import told
from lossmith.frameworks.boosting.named import ANEW, WEIGHED, Names
from lossmith.frameworks.boosting.own import Own, run_by_library, squared_errors
from lossmith.frameworks.xgboost.model import Model, as_features, first_rounds
from lossmith.frameworks.xgboost.objective import Objective

Array = npt.NDArray[Any]
DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "max_depth": 6,
    "tree_method": "hist",
    "min_child_weight": 1,
    "verbosity": 1,
}
"""Settings that ``train`` uses unless told otherwise; names are XGBoost's, and so are all other defaults."""

_LEAST_SUM = 1.0  # XGBoost's own min_child_weight
_DECIDED = "the loss decides that"
NAMES = Names(
    {
        "learning_rate": ("eta",),
        "gamma": ("min_split_loss",),
        "reg_alpha": ("alpha",),
        "reg_lambda": ("lambda",),
        "nthread": ("n_jobs",),
        "seed": ("random_state",),
        "xgb_model": ("init_model",),
        "num_boost_round": ("n_estimators", "num_round"),
        "early_stopping_rounds": ("early_stopping_round",),
    },
    {
        "num_boost_round": "rounds= decides that",
        "early_stopping_rounds": "patience= decides that",
        "process_type": ANEW,
        **dict.fromkeys(("objective", "base_score", "num_class", "num_target", "eval_metric"), _DECIDED),
        "scale_pos_weight": WEIGHED,
        "xgb_model": ANEW,
    },
)
"""XGBoost's names of settings that matter here."""

_OF_ONE_HESSIAN = squared_errors("reg:squarederror")
OWN = (
    *_OF_ONE_HESSIAN,
    Own("binary:logitraw", "binary_cross_entropy", ("exact", "upper_bound")),
    Own("reg:pseudohubererror", "pseudo_huber", ("exact",), parameters={"huber_slope": "delta"}),
    Own("count:poisson", "poisson", ("exact",), {"max_delta_step": 0}, start=LOG),
    Own("reg:gamma", "gamma", ("exact",), start=LOG),
    Own(
        "reg:tweedie", "tweedie", ("exact",), {}, {"tweedie_variance_power": "power"}, Domain.parse("[1, 2)"), start=LOG
    ),
    Own("multi:softprob", "sparse_categorical_cross_entropy", ("upper_bound",)),
    Own("multi:softprob", "categorical_cross_entropy", ("upper_bound",)),
)
"""XGBoost's objectives that are the same as a loss."""

_DEFAULT = "reg:squarederror"
"""XGBoost's objective unless told otherwise, whose predictions are raw."""


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
    callbacks: Sequence[xgboost.callback.TrainingCallback] = (),
) -> Model:
    """Train an XGBoost model with a loss as its objective.

    Args:
        loss: a loss or its name, such as ``"huber(delta=2)"``: of one prediction a row, over classes or levels, or of
            several predicted inputs that may be any number.
        X: features, rows by columns: an array, in which NaN is a missing value, a data frame or a sparse matrix.
        y: targets; of losses over classes the class indices, or a distribution a row.
        weight: weights of the rows; they are applied, once.
        rounds: number of rounds, at most: a tree each, or a tree for each of several outputs.
        params: further settings of XGBoost, over ``DEFAULTS``.
        validation: features, targets and optionally weights that decide when to stop; or a list of several such sets,
            or a mapping by name, of which the last decides, as always in XGBoost.
        patience: stop after that many rounds without a better mean loss on ``validation``.
        categorical: indexes or names of columns that hold category codes; those of a data frame of categories are
            found.
        feature_names: names of the columns; those of a data frame are found.
        seed: of XGBoost's random numbers.
        hessian: ``floor``, ``exact``, ``upper_bound`` or ``gauss_newton``; see
            ``lossmith.frameworks.boosting.curvature``.
        classes: number of classes, for losses over classes; by default as many as the targets tell.
        built_in: whether XGBoost may train with its own objective where that is the same, which is quicker; the
            model says so. It is for the squared error; with ``hessian="exact"`` for binary cross-entropy and the
            pseudo-Huber, Poisson, gamma and Tweedie losses; with ``"upper_bound"`` for cross-entropy over classes.
        callbacks: XGBoost's.

    Raises:
        ParameterError, DomainError, EmptyError, ShapeError: as in ``Objective``; also for settings that the loss
            decides.
    """
    counted("rounds", rounds, 0)
    sets = by_name(validation, patience)
    objective = Objective(loss, y, weight, hessian=hessian, classes=classes)
    given = settings(objective, params, seed, as_features(X), feature_names)
    if dart := given.get("booster") == "dart":
        refuse_rescaled("patience", patience)
    # Bins of approx go by Hessians, but those of a custom objective are taken for 1.
    table = _OF_ONE_HESSIAN if given["tree_method"] == "approx" else OWN
    if built_in and (told := run_by_library(table, objective, NAMES.read(params))) is not None:
        given |= as_own(objective, *told)
    objective.least_sum = float(given.get("min_child_weight", _LEAST_SUM))
    made = Matrices(given, categorical, feature_names)
    data = made.of(objective, X)
    if objective.head.own:
        objective(objective.init_score.astype(np.float32), data)  # what it looks at and warns of
    held = {name: objective.on(*rows[1:]) for name, rows in sets.items()}
    watch = Watch(objective, next(reversed(held.values()), None), patience, data)
    evals = [(made.of(held[name], rows[0], data), name) for name, rows in sets.items()]
    watch.dart = dart
    watch.others = [(matrix, held[name]) for matrix, name in evals[:-1]]
    booster = xgboost.train(
        given,
        data,
        rounds,
        obj=None if objective.head.own else objective.of_own_rows,
        evals=evals,
        custom_metric=watch.metric,
        callbacks=[*listed(callbacks), watch],
        verbose_eval=False,
    )
    best = watch.best(booster.num_boosted_rounds())
    # A slice of no rounds would be a slice of all, and a dart of no trees could not predict.
    kept = first_rounds(booster, best) if best else xgboost.train(objective.params, data, 0)
    if objective.head.own:
        kept.set_param({**objective.params, "objective": _DEFAULT, "num_class": 0})  # as if ours had trained it
    return Model(kept, objective.head, tuple(watch.history))


@told
def cv(
    loss: Loss | str,
    X: Any,
    y: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    rounds: int = 200,
    params: Mapping[str, Any] | None = None,
    folds: int | Pairs | Any = 5,
    patience: int | None = None,
    categorical: Sequence[int] | Sequence[str] = (),
    feature_names: Sequence[str] | None = None,
    seed: int = 0,
    hessian: Kind = "floor",
    classes: int | None = None,
    models: bool = False,
) -> Mapping[str, Any]:
    """Cross-validate with a loss as objective and metric, each fold with its own start score.

    ``xgboost.cv`` takes an ``Objective`` too, but starts all folds at one score, and rounds what it measures to six
    digits after the point.

    Args:
        loss, X, y, weight, rounds, params, categorical, feature_names, seed, hessian, classes: see ``train``.
        folds: a number, a splitter of scikit-learn, or pairs of training and held-out rows. A number deals rows out at
            random, of labels each class evenly.
        patience: stop after that many rounds without a better mean over the folds.
        models: whether to return the models of the folds too.

    Returns:
        As ``xgboost.cv`` calls them, ``"test-<loss>-mean"`` and ``"test-<loss>-std"``, a number a round, up to the best
        one where there is ``patience``; and ``"models"``, if asked for.

    Raises:
        ParameterError, DomainError, EmptyError, ShapeError: see ``train``.
    """
    counted("rounds", rounds, 1)
    whole = Objective(loss, y, weight, hessian=hessian, classes=classes)
    given = settings(whole, params, seed, as_features(X), feature_names)
    if given.get("booster") == "dart":
        refuse_rescaled("patience", patience)
    made = Matrices(given, categorical, feature_names)
    runs = []
    for fit, held in dealt(whole, X, folds, seed):
        objective = Objective(whole.loss, *fit[1:], hessian=hessian, classes=classes_of(whole))
        objective.least_sum = float(given.get("min_child_weight", _LEAST_SUM))
        data, watch = made.of(objective, fit[0]), Watch(objective, objective.on(*held[1:]), None)
        booster = xgboost.Booster({**given, **objective.params}, [data])
        runs.append((objective, data, made.of(watch.held, held[0], data), watch, booster))
    costs: list[list[float]] = []
    for done in range(rounds):
        costs.append([])
        for objective, data, rest, watch, booster in runs:
            booster.update(data, done, fobj=objective.of_own_rows)
            costs[-1].append(watch.metric(booster.predict(rest, output_margin=True))[1])
        if best_round([float(np.mean(row)) for row in costs], patience)[1]:
            break

    def kept(best: int) -> list[Model]:
        return [Model(first_rounds(booster, best), objective.head) for objective, _, _, _, booster in runs]

    return summed_up(whole.metric.name, costs, patience, kept if models else None)


def settings(
    objective: Objective,
    params: Mapping[str, Any] | None,
    seed: int,
    X: Any,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return settings for ``xgboost.train``, with what the objective decides.

    Raises:
        ParameterError: where they decide it themselves; see ``Names``; and for columns that are not there.
    """
    given = NAMES.read(params)
    if given.get("booster") == "gblinear":
        raise ParameterError(
            f"{objective.loss}: booster='gblinear' has no trees, and takes no start score of a loss; take "
            "booster='gbtree' or 'dart', or lossmith.sklearn.LinearModel for a linear model of any loss"
        )
    apart = {name: str(value) for name, value in constrained(given, X, names).items()}  # lists hold names alone
    return {**DEFAULTS, "seed": seed, **given, **apart, **objective.params}


def as_own(objective: Objective, own: Own, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return what XGBoost has to know to train with its own objective from the start of ours."""
    start = own.began(objective.head.start).tolist()
    several = {"num_class": objective.outputs, "num_target": 1} if objective.outputs > 1 else {}
    begins = start if several else start[0]
    return {**own.settings, **numbers, **several, "objective": own.name, "base_score": begins}


class Matrices:
    """Makes matrices of one kind: those that histograms are made of, unless ``tree_method`` is another.

    Args:
        params: settings of XGBoost.
        categorical: indexes or names of columns that hold category codes.
        feature_names: names of the columns.
    """

    def __init__(
        self, params: Mapping[str, Any], categorical: Sequence[Any] = (), feature_names: Sequence[str] | None = None
    ) -> None:
        self._histograms = params["tree_method"] == "hist"
        self._bins = {"max_bin": params["max_bin"]} if "max_bin" in params else {}
        self._categorical, self._names = categorical, feature_names

    def of(self, rows: Objective, X: Any, reference: xgboost.DMatrix | None = None) -> xgboost.DMatrix:
        """Return the matrix of rows, whose bins are those of a reference if there is one.

        Raises:
            ShapeError: for another number of rows than targets, or of columns than in the reference.
        """
        X = as_features(rows.fitting(X))
        names = self._names
        if reference is not None:
            refuse_other_width(X, reference.num_col(), what=f"{rows.loss}: X of held-out rows")
            names = names if names_of(X) else reference.feature_names  # arrays go by places
        given: dict[str, Any] = {"weight": rows.weight, "enable_categorical": True}
        if names is not None:
            given["feature_names"] = list(names)
        if chosen := places(self._categorical, X, names):
            given["feature_types"] = ["c" if place in chosen else "q" for place in range(X.shape[1])]
        if self._histograms:
            return xgboost.QuantileDMatrix(X, rows.y, ref=reference, **self._bins, **given)
        return xgboost.DMatrix(X, rows.y, **given)


class Watch(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """The mean loss on the held-out rows of each round, in full precision, and when to stop.

    XGBoost rounds metrics to six digits after the point, which is nothing for a loss of small numbers.

    Args:
        objective: of the training rows.
        held: of the held-out rows; nothing is watched without.
        patience: stop after that many rounds without a better one.
        data: the training rows, for XGBoost's own objectives, which say nothing of steps to infinity.

    Attributes:
        others: matrices that are measured too, but decide nothing, with their rows.
        dart: whether the booster changes trees of earlier rounds, so that all of them are what was measured last.
    """

    def __init__(
        self, objective: Objective, held: Objective | None, patience: int | None, data: xgboost.DMatrix | None = None
    ) -> None:
        super().__init__()
        self.held: Any = held
        self.history: list[float] = []
        self.dart = False
        self.others: list[tuple[Any, Objective]] = []
        self._patience, self._objective, self._data = patience, objective, data
        self._start = np.inf if held is None else objective.metric(held.y, held.init_score, held.weight)

    def metric(self, raw: Array, data: Any = None) -> tuple[str, float]:
        """Return name and mean loss on the held-out rows, and keep it, unless the data are others."""
        if self._objective.head.own:  # whose predictions XGBoost hands over on the target's scale
            raw = self._booster.predict(data, output_margin=True)
        for matrix, rows in self.others:
            if matrix is data:
                return rows.metric.name, rows.metric(rows.y, raw, rows.weight)
        self.history.append(self.held.metric(self.held.y, raw, self.held.weight))
        return self.held.metric.name, self.history[-1]

    def before_training(self, model: Any) -> Any:
        """Return the booster."""
        self._booster = model
        return model

    def after_training(self, model: Any) -> Any:
        """Return the booster; where steps of XGBoost's own objective went to infinity, say in which row."""
        predict = partial(model.predict, self._data, output_margin=True)
        if self._objective.head.own and not np.isfinite(predict()).all():
            for rounds in range(1, model.num_boosted_rounds() + 1):
                self._objective(predict(iteration_range=(0, rounds)), self._data)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Return whether to stop."""
        return self._patience is not None and len(self.history) - self._best >= self._patience

    @property
    def _best(self) -> int:
        return int(np.argmin(self.history)) + 1

    def best(self, rounds: int) -> int:
        """Return how many rounds are best; none where no round beats the constant."""
        if not self.history:
            return rounds
        if self.dart:
            return 0 if self._start <= self.history[-1] else rounds
        return 0 if self._start <= min(self.history) else self._best
