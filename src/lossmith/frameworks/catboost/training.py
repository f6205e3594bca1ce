"""Training by CatBoost's own ``fit``, with a loss as objective and metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import catboost
import numpy as np
import numpy.typing as npt

from lossmith.core.domain import Domain
from lossmith.core.loss import Loss
from lossmith.errors import ParameterError
from lossmith.frameworks.boosting import Kind
from lossmith.frameworks.boosting.folds import Pairs, best_round, classes_of, dealt, summed_up
from lossmith.frameworks.boosting.held import Rows, Validation, by_name, counted, listed
from lossmith.frameworks.boosting.keywords import told
from lossmith.frameworks.boosting.named import ANEW, WEIGHED, Names
from lossmith.frameworks.boosting.own import Own, run_by_library, squared_errors
from lossmith.frameworks.catboost.model import Model, frame
from lossmith.frameworks.catboost.objective import Objective

DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "depth": 6,
    "boosting_type": "Plain",
    "logging_level": "Silent",
    "allow_writing_files": False,
}
"""Settings that ``train`` uses unless told otherwise; names are CatBoost's, and so are all other defaults."""

NAMES = Names(
    {
        "learning_rate": ("eta",),
        "depth": ("max_depth",),
        "rsm": ("colsample_bylevel",),
        "l2_leaf_reg": ("reg_lambda",),
        "border_count": ("max_bin",),
        "max_leaves": ("num_leaves",),
        "min_data_in_leaf": ("min_child_samples",),
        "random_seed": ("random_state",),
        "od_wait": ("early_stopping_rounds",),
        "loss_function": ("objective",),
        "iterations": ("n_estimators", "num_boost_round", "num_trees"),
    },
    {
        **dict.fromkeys(("loss_function", "eval_metric", "classes_count"), "the loss decides that"),
        "boost_from_average": "training begins at the best constant of the loss",
        "iterations": "rounds= decides that",
        **dict.fromkeys(("class_weights", "auto_class_weights", "scale_pos_weight"), WEIGHED),
        "init_model": ANEW,
    },
)
"""CatBoost's names of settings that matter here."""

_LOUD = ("verbose", "silent", "verbose_eval")
"""What says how much is printed, in the place of ``logging_level``."""

_ONE_STEP = {
    "leaf_estimation_method": "Newton",
    "leaf_estimation_iterations": 1,
    "leaf_estimation_backtracking": "No",
}
_CONVEX: tuple[Kind, ...] = ("exact", "upper_bound")  # a Hessian that is never negative is its absolute value
OWN = (
    *squared_errors("RMSE", **_ONE_STEP),
    Own("CrossEntropy", "binary_cross_entropy", _CONVEX, _ONE_STEP),
    Own("Poisson", "poisson", _CONVEX, _ONE_STEP),
    Own("Tweedie", "tweedie", _CONVEX, _ONE_STEP, {"variance_power": "power"}, Domain.parse("(1, 2)")),
    Own("Huber", "huber", _CONVEX, _ONE_STEP, {"delta": "delta"}),
    Own("LogCosh", "log_cosh", _CONVEX, _ONE_STEP),
)
"""CatBoost's objectives that are the same as a loss."""

_CUT = "SymmetricTree"
"""The kind of trees of which CatBoost can leave out the last ones, and which it grows unless told otherwise."""

_BASED = ("model_shrink_rate", "model_shrink_mode", "posterior_sampling", "langevin")
"""Settings that shrink a model, start score and all; a baseline, from which CatBoost's own objectives start here, stops
them.
"""

_LABELLED = "MultiRMSE"  # of CatBoost's metrics those that take a label for each prediction

_INDEFINITE = "System of linear equations is not positive definite"
_NOTHING_TO_LEARN = ("All features are either constant or ignored", "All train targets are equal")


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
    callbacks: Sequence[Any] = (),
) -> Model:
    """Train a CatBoost model with a loss as its objective.

    Args:
        loss: a loss or its name, such as ``"huber(delta=2)"``: of one prediction a row, over classes or levels, or of
            several predicted inputs that may be any number. With several predictions a row CatBoost calls Python for
            each row, which is slow.
        X: features, rows by columns: an array, in which NaN is a missing value, a data frame or a sparse matrix.
        y: targets; of losses over classes the class indices, or a distribution a row.
        weight: weights of the rows; they are applied, once.
        rounds: number of rounds, a tree each, at most.
        params: further settings of CatBoost, over ``DEFAULTS``.
        validation: features, targets and optionally weights that decide when to stop; or a list of several such sets,
            or a mapping by name, of which the last decides, as always in CatBoost.
        patience: stop after that many rounds without a better mean loss on ``validation``.
        categorical: indexes or names of columns that hold categories; those of a data frame of categories are found.
        feature_names: names of the columns; those of a data frame are found.
        seed: of CatBoost's random numbers.
        hessian: ``floor``, ``exact``, ``upper_bound`` or ``gauss_newton``; see
            ``lossmith.frameworks.boosting.curvature``.
        classes: number of classes, for losses over classes; by default as many as the targets tell.
        built_in: whether CatBoost may train with its own objective where that is the same, which is quicker; the model
            says so. It is for the squared error, and with ``hessian="exact"`` for binary cross-entropy and the Poisson,
            Tweedie, Huber and log-cosh losses.
        callbacks: CatBoost's.

    Raises:
        ParameterError, DomainError, EmptyError, ShapeError: as in ``Objective``; also for settings that the loss
            decides.
    """
    counted("rounds", rounds, 0)
    sets = by_name(validation, patience)
    objective = Objective(loss, y, weight, hessian=hessian, classes=classes)
    given: dict[str, Any] = {**settings(objective, params, seed), "iterations": rounds}
    if built_in and (told := run_by_library(OWN, objective, NAMES.read(params), _BASED)) is not None:
        own, numbers = told[0], ";".join(f"{name}={number!r}" for name, number in told[1].items())
        given |= {**own.settings, "loss_function": f"{own.name}:{numbers}" if numbers else own.name}
        if not sets:
            del given["eval_metric"]  # which CatBoost would take of the training rows too
    if sets:
        stopping = {} if patience is None else {"od_type": "Iter", "od_wait": patience}
        given |= {"use_best_model": True, **stopping}
    columns = _columns(X, categorical, feature_names)
    held = list(sets.values())
    booster = _fitted(objective, given, columns, X, held, callbacks)
    if booster is None:
        return Model(None, objective.head)
    history = _history(booster, objective) if held else ()
    if held and _start_cost(objective, *held[-1][1:]) <= min(history):
        return Model(None, objective.head, history)  # no tree beats the constant
    return replace(objective.model(booster), history=history)


def _columns(X: Any, categorical: Sequence[Any], names: Sequence[str] | None) -> dict[str, Any]:
    """Return what a pool has to know of columns; those of a data frame that are of categories are found."""
    kinds = getattr(frame(X), "dtypes", ())  # a series of pandas; other frames have a list
    items = kinds.items() if hasattr(kinds, "items") else ()
    found = [place for place, (_, kind) in enumerate(items) if kind == "category"]
    return {"cat_features": categorical if len(categorical) else found or None, "feature_names": names}


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

    ``catboost.cv`` takes an ``Objective`` too, but starts all folds at one score. Here the folds are trained one after
    the other, each for all rounds.

    Args:
        loss, X, y, weight, rounds, params, categorical, feature_names, seed, hessian, classes: see ``train``.
        folds: a number, a splitter of scikit-learn, or pairs of training and held-out rows. A number deals rows out at
            random, of labels each class evenly.
        patience: leave out what comes after that many rounds without a better mean over the folds.
        models: whether to return the models of the folds too.

    Returns:
        As ``catboost.cv`` calls them, ``"test-<loss>-mean"`` and ``"test-<loss>-std"``, a number a round, up to the
        best one where there is ``patience``; and ``"models"``, if asked for.

    Raises:
        ParameterError, DomainError, EmptyError, ShapeError: see ``train``.
    """
    counted("rounds", rounds, 1)
    whole = Objective(loss, y, weight, hessian=hessian, classes=classes)
    columns = _columns(X, categorical, feature_names)
    runs, histories = [], []
    for fit, held in dealt(whole, X, folds, seed):
        objective = Objective(whole.loss, *fit[1:], hessian=hessian, classes=classes_of(whole))
        given = {**settings(objective, params, seed), "iterations": rounds, "use_best_model": False}
        booster = _fitted(objective, given, columns, fit[0], [held], ())
        runs.append((objective, booster, fit if models and given.get("grow_policy", _CUT) != _CUT else None))
        constant = booster is None
        histories.append([_start_cost(objective, *held[1:])] * rounds if constant else _history(booster, objective))
    costs = [list(row) for row in zip(*histories, strict=False)]
    means = [float(np.mean(row)) for row in costs]
    last = next((done for done in range(1, len(means)) if best_round(means[:done], patience)[1]), len(means))

    def kept(best: int) -> list[Model]:
        found = []
        for objective, booster, fit in runs:
            if booster is None:
                found.append(Model(None, objective.head))
                continue
            if fit is None:
                booster.shrink(min(best, booster.tree_count_))
            elif best < booster.tree_count_:  # the same rounds once more
                objective = Objective(whole.loss, *fit[1:], hessian=hessian, classes=classes_of(whole))
                shorter = {**settings(objective, params, seed), "iterations": best}
                booster = _fitted(objective, shorter, columns, fit[0], (), ())
            found.append(objective.model(booster))
        return found

    return summed_up(whole.metric.name, costs[:last], patience, kept if models else None)


def _fitted(
    objective: Objective,
    given: Mapping[str, Any],
    columns: Mapping[str, Any],
    X: Any,
    held: Sequence[Rows],
    callbacks: Sequence[Any],
) -> catboost.CatBoost | None:
    """Return the trained booster; nothing where no feature can be split, is to be, or there is one target only.

    Raises:
        ParameterError: where the Hessian of a leaf cannot be solved by.
    """
    pools, rows = [objective.pool(*rows, **columns) for rows in held], objective.pool(X, **columns)
    if not given["iterations"]:
        return None
    booster = catboost.CatBoost(dict(given))
    try:
        booster.fit(rows, eval_set=pools or None, callbacks=listed(callbacks) or None)
    except catboost.CatBoostError as error:
        if objective.error is not None:
            raise objective.error from None
        if any(text in str(error) for text in _NOTHING_TO_LEARN):
            return None
        if _INDEFINITE in str(error) and objective.hessian != "floor":
            raise ParameterError(
                f"{objective.loss}: CatBoost solves a leaf of several predictions by the whole Hessian of its rows, "
                f"and with hessian={str(objective.hessian)!r} there is a leaf where that is not positive definite; "
                "hessian='floor' (the default) keeps it positive"
            ) from None
        raise
    return booster


def _history(booster: catboost.CatBoost, objective: Objective) -> tuple[float, ...]:
    """Return the mean loss on the last set of held-out rows after each round."""
    costs = list(booster.evals_result_.values())[-1]  # that of training comes first
    return tuple(costs[type(objective.eval_metric).__name__])


def settings(objective: Objective, params: Mapping[str, Any] | None, seed: int) -> dict[str, Any]:
    """Return settings for ``catboost.CatBoost``, with the objective inside.

    Raises:
        ParameterError: for those that are decided elsewhere, such as an objective, see ``Names``, and for those that
            CatBoost does not keep.
    """
    given = NAMES.read(params)
    _refuse_unkept(objective, given)
    told = any(name in given for name in _LOUD)
    return {
        **{name: value for name, value in DEFAULTS.items() if name != "logging_level" or not told},
        "random_seed": seed,
        **given,
        "loss_function": objective.loss_function,
        "eval_metric": objective.eval_metric,
    }


def _refuse_unkept(objective: Objective, given: Mapping[str, Any]) -> None:
    """Refuse settings that CatBoost takes and does not keep, or ends the process at.

    Raises:
        ParameterError: with what to do.
    """
    if objective.outputs > 1:
        if "monotone_constraints" in given:
            raise ParameterError(
                f"{objective.loss}: CatBoost does not keep monotone_constraints where a row has several predictions; "
                "leave them out, or train with lossmith.lightgbm or lossmith.xgboost, which do"
            )
        metrics = given.get("custom_metric", ())
        if strange := [one for one in ([metrics] if isinstance(metrics, str) else metrics) if _LABELLED not in one]:
            raise ParameterError(
                f"{objective.loss}: where a row has several predictions, CatBoost holds a label for each of them, and "
                f"custom_metric={strange[0]!r} reads another; leave it out, and judge what the model predicts"
            )
    if given.get("boosting_type") == "Ordered" and objective.weight is not None and not objective.weight.all():
        raise ParameterError(
            f"{objective.loss}: boosting_type='Ordered' divides by the weights of some first rows, and "
            f"{np.count_nonzero(objective.weight == 0)} weights are zero; leave out the rows without weight"
        )


def _start_cost(objective: Objective, y: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    held = objective.on(y, weight)
    return held.metric(held.y, held.init_score, held.weight)
