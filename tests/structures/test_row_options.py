"""Every pair of options of every loss of rows: right against the slow reference, or refused with a message."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp

import lossmith as lm
from tests.structures import oracle_rows as oracle
from tests.structures.row_cases import NAMES, takes, with_vectors

pytestmark = pytest.mark.engines

RANDOM = np.random.default_rng(3)
SHAPE, CLASSES = (2, 3), 3
LOGITS = RANDOM.normal(scale=2, size=(*SHAPE, CLASSES))
INDICES = np.array([[0, 2, 1], [1, 2, 0]])
SOFT = RANDOM.dirichlet([1, 1, 1], size=SHAPE)
WEIGHT = np.array([[1.0, 0.0, 2.5], [0.25, 3.0, 1.0]])
MASK = np.array([[True, True, False], [True, False, True]])

# What each setting changes: options of the loss, arguments of the call.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "label smoothing": ({"label_smoothing": 0.2}, {}),
    "class weights": ({"class_weight": (0.5, 2.0, 1.25)}, {}),
    "sample weights": ({}, {"weight": WEIGHT}),
    "ignore_index": ({"ignore_index": -1}, {}),
    "mask": ({}, {"mask": MASK}),
    "soft targets": ({"targets": "distributions"}, {}),
    "z_loss": ({"z_loss": 0.05}, {}),
    "class_axis": ({"class_axis": 1}, {}),
    "probabilities": ({"prediction": "probabilities"}, {}),
    "sum": ({}, {"reduction": "sum"}),
    "count_mean": ({}, {"reduction": "count_mean"}),
    "none": ({}, {"reduction": "none"}),
}
PAIRS = [(name, *pair) for name in NAMES for pair in combinations(SETTINGS, 2)]


def refusals(name: str) -> set[str]:
    """Return the settings that a loss does not have."""
    cls = lm.loss_class(name)
    missing = set() if "z_loss" in cls.parameters() else {"z_loss"}
    missing |= set() if takes(lm.get(name), "probabilities") else {"probabilities"}
    missing |= {"soft targets"} if cls.fixed_targets == "indices" else set()
    missing |= {"ignore_index"} if cls.fixed_targets == "distributions" else set()
    return missing


REFUSED = {frozenset(("z_loss", "probabilities")), frozenset(("ignore_index", "soft targets"))}


def call(name: str, *settings: str) -> tuple[lm.Loss, Any, Any, dict[str, Any]]:
    """Return loss, targets, predictions and further arguments with some settings."""
    options: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    for setting in settings:
        options.update(SETTINGS[setting][0])
        arguments.update(SETTINGS[setting][1])
    if lm.loss_class(name).fixed_targets == "distributions":
        options.pop("targets", None)
    loss = with_vectors(name, CLASSES, **options)
    distributions = lm.loss_class(name).fixed_targets == "distributions" or options.get("targets") == "distributions"
    y_true = SOFT if distributions else INDICES.copy()
    if "ignore_index" in settings:
        y_true[0, 1] = y_true[1, 2] = -1
    y_pred = LOGITS
    if "probabilities" in settings:
        y_pred = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
    if "class_axis" in settings:
        y_pred = np.moveaxis(y_pred, -1, 1)
        y_true = np.moveaxis(y_true, -1, 1) if distributions else y_true
    return loss, y_true, y_pred, arguments


def differences(loss: lm.Loss, y_true: Any, y_pred: Any, arguments: dict[str, Any]) -> list[str]:
    """Return what the library and the slow reference disagree in: cost and its gradient, state, losses."""
    reduction = arguments.get("reduction", "mean")
    given = {key: value for key, value in arguments.items() if key != "reduction"}
    axis = loss.values["class_axis"]
    with mp.workdps(40):
        found, slopes = oracle.data_set(loss, y_true, y_pred, **given)
        total = mpmath.fsum(w * value for w, value in found.values())
        divisor = oracle.divisor(found, reduction)
        gradient = np.zeros(np.moveaxis(y_pred, axis, -1).shape)
        losses = np.zeros(SHAPE)
        for place, (w, value) in found.items():
            losses[place] = float(w * value)
            gradient[place] = [float(w * slope / divisor) for slope in slopes[place]]
        wanted = losses if reduction == "none" else float(total / divisor)
    cost, pulls = loss.cost_and_gradient(y_true, y_pred, reduction=reduction, **given)
    state = loss.state(y_true, y_pred, **given)
    checks = {
        "cost": (loss.cost(y_true, y_pred, reduction=reduction, **given), wanted),
        "cost with gradient": (cost, wanted),
        "gradient": (np.moveaxis(pulls, axis, -1), gradient),
        "sum of the state": (state.sum, float(total)),
        "weight of the state": (state.weight, float(oracle.divisor(found, "mean"))),
        "count of the state": (state.count, len(found)),
    }
    return [f"{what}: {got} for {true}" for what, (got, true) in checks.items() if not close(got, true)]


def close(got: Any, true: Any) -> bool:
    return np.allclose(got, true, rtol=2e-14, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_each_pair_is_right_or_refused(name: str) -> None:
    wrong = []
    for pair in combinations(SETTINGS, 2):
        if refusals(name) & set(pair) or frozenset(pair) in REFUSED:
            continue
        wrong += [f"{pair}: {difference}" for difference in differences(*call(name, *pair))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_combine_is_refused_with_a_message(name: str) -> None:
    for pair in [*REFUSED, *({setting} for setting in refusals(name))]:
        if pair == {"soft targets"}:
            with pytest.raises(lm.ParameterError, match="no parameter 'targets'"):
                lm.get(name, targets="distributions")
        else:
            if "soft targets" in pair and "targets" not in lm.get(name).values:
                continue  # it takes one kind of targets only, which is refused above
            with pytest.raises(lm.ParameterError, match=lm.loss_class(name).__name__) as caught:
                call(name, *pair)
            assert len(str(caught.value)) > 40


@pytest.mark.parametrize("name", NAMES)
def test_all_that_combines_combines_at_once(name: str) -> None:
    for left_out in ({"z_loss", "ignore_index"}, {"probabilities", "soft targets"}):
        together = [s for s in SETTINGS if s not in refusals(name) | left_out | {"sum", "count_mean", "none"}]
        assert not differences(*call(name, *together))


def test_mean_divides_by_sample_weight_times_class_weight_over_the_rows_that_count() -> None:
    loss = lm.SparseCategoricalCrossEntropy(class_weight=(1, 10, 100), ignore_index=-1)
    y, z = np.array([0, 1, 2, -1, 1]), np.zeros((5, 3))
    weight, mask = np.array([1.0, 2, 3, 4, 5]), np.array([True, True, True, True, False])
    state = loss.state(y, z, weight, mask)
    assert state.weight == 1 * 1 + 2 * 10 + 3 * 100
    assert state.count == 3
    assert state.mean == pytest.approx(np.log(3))
    assert state.reduce("count_mean") == pytest.approx(321 * np.log(3) / 3)


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_derivatives_of_examples_carry_class_weights_and_leave_out_ignored_rows(name: str) -> None:
    loss, y_true, y_pred, _ = call(name, "class weights", "label smoothing")
    plain = loss.replace(class_weight=None)
    factor = np.asarray(loss.values["class_weight"])
    factor = y_true @ factor if y_true.ndim == 3 else factor[y_true]
    for output in ("losses", "gradient", "hessian", "full_hessian"):
        weighted, bare = (each.evaluate(y_true, y_pred, (output,))[output] for each in (loss, plain))
        np.testing.assert_allclose(weighted, factor.reshape(*SHAPE, *(1,) * (bare.ndim - 2)) * bare, rtol=1e-15)
    if "ignore_index" not in refusals(name):
        loss, y_true, y_pred, _ = call(name, "ignore_index")
        found = loss.evaluate(y_true, y_pred, ("losses", "gradient", "full_hessian"))
        assert all(np.all(value[y_true == -1] == 0) for value in found.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_class_weight_counts_by_the_true_class_also_under_smoothing(name: str) -> None:
    loss = with_vectors(name, 3, label_smoothing=0.3, class_weight=(1, 0, 0))
    y = np.eye(3)[[0, 1]] if type(loss).fixed_targets == "distributions" else np.array([0, 1])
    z = np.array([[1.0, 2.0, -1.0]] * 2)
    losses = loss.losses(y, z)
    assert losses[0] > 0
    assert losses[1] == 0
