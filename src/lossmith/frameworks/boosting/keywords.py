"""Keywords of boosting libraries, where ours are called otherwise: who passes one is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lossmith.core.registry import with_parameter
from lossmith.core.taken import told as telling
from lossmith.errors import did_you_mean
from lossmith.frameworks.boosting.named import ANEW

_CALLED = {
    "loss": ("objective", "loss_function", "obj"),
    "weight": ("sample_weight",),
    "rounds": ("num_boost_round", "num_iterations", "n_estimators", "iterations"),
    "validation": ("valid_sets", "evals", "eval_set"),
    "patience": ("early_stopping_rounds", "early_stopping_round"),
    "categorical": ("categorical_feature", "cat_features"),
    "seed": ("random_state", "random_seed"),
    "classes": ("num_class", "classes_count"),
    "folds": ("nfold",),
    "n_estimators": ("rounds", "num_boost_round", "num_iterations", "iterations"),
    "early_stopping_rounds": ("patience", "early_stopping_round"),
    "random_state": ("seed", "random_seed"),
    "sample_weight": ("weight",),
    "eval_set": ("validation", "valid_sets", "evals"),
}
"""What libraries call what we call otherwise."""


_OWNERS = {
    "train": ("validation", "patience", "categorical", "feature_names", "built_in", "callbacks"),
    "cv": ("folds", "models"),
    "train_dask": ("client",),
}
"""Which of our functions takes what the others do not."""

_BEGUN = ("init_model", "xgb_model")
_THEIRS = (
    *("fobj", "feval", "custom_metric", "metrics", "keep_training_booster", "evals_result", "verbose_eval"),
    *("fpreproc", "return_cvbooster", "show_stdv", "as_pandas", "maximize", "stratified", "shuffle"),
)
"""Arguments of the libraries' own functions, which are no settings."""


def called(name: str, taken: Collection[str]) -> str:
    """Return the name that a keyword has among those that there are; none where there is nothing like it."""
    return name if name in taken else next((ours for ours in taken if name in _CALLED.get(ours, ())), "")


def instead(name: str, taken: Collection[str], loss: Any = None) -> str:
    """Return what to write in the place of a keyword: its name here, a parameter of the loss, or a setting.

    Args:
        name: the keyword.
        taken: those that there are.
        loss: what is trained with, if that was said.
    """
    if ours := called(name, taken):
        return f"it is called {ours} here"
    if changed := with_parameter(loss, name):
        return f"it belongs to the loss: {changed}"
    if owner := next((one for one, names in _OWNERS.items() if name in names), ""):
        return f"{owner} has it"
    if name in _BEGUN:
        return f"{ANEW}; xgboost.train does, with a lossmith.xgboost.Objective as obj="
    if name in _THEIRS:
        return "it belongs to the library's own function, which takes an Objective"
    near = did_you_mean(name, taken, cutoff=0.85)
    return f"a setting of the library goes into params={{{name!r}: ...}}{'.' * bool(near)}{near}"


def _answer(name: str, taken: Collection[str], given: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    return instead(name, taken, given[0] if given else named.get("loss"))


told = telling(_answer)
"""Decorates functions that train: they refuse keywords they do not have with what to write in their place."""
