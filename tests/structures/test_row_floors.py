"""The floor of a loss of rows: the least that any prediction costs on soft and smoothed targets, by brute force."""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

import lossmith as lm
from lossmith.structures.row_margin import RowMargin
from tests.structures.row_cases import NAMES, instances, soft

pytestmark = pytest.mark.engines

RANDOM = np.random.default_rng(11)
SOFT = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [1 / 3, 1 / 3, 1 / 3], [0.0, 0.45, 0.55], [0.0, 1.0, 0.0]])
GRID = np.array([(i, j, 40 - i - j) for i in range(41) for j in range(41 - i)]) / 40
NEAR = np.array([*itertools.product(np.linspace(-1, 1, 7), repeat=3)])
MIDDLE = len(NEAR) // 2
ROUNDS = 120  # a best row that lies infinitely far away is not reached
SCORES = np.array([(0.0, a, b) for a, b in itertools.product(np.linspace(-3, 3, 25), repeat=2)])


@cache
def brute(loss: lm.Loss, *entries: float) -> float:
    """Return the least loss over a grid of predictions, and over finer ones around the best of them."""
    target = np.array(entries)
    if isinstance(loss, RowMargin):
        rows = SCORES
    else:
        with np.errstate(divide="ignore"):
            rows = np.log(GRID) - loss._offsets(3)  # type: ignore[attr-defined]
    losses = loss.losses(np.tile(target, (len(rows), 1)), rows)
    best = [float(np.nanmin(losses))]
    for place in [] if isinstance(loss, RowMargin) else np.argsort(losses)[:2]:
        here, step = np.maximum(rows[place], -6.0), 2.0  # where there is still a slope
        for _ in range(ROUNDS):
            around = here + step * NEAR
            losses = loss.losses(np.tile(target, (len(around), 1)), around)
            least = int(np.argmin(losses))
            best.append(float(losses[least]))
            if losses[least] < losses[MIDDLE]:
                here = around[least]
            elif (step := step / 3) < 1e-6:
                break
    return min(best)


def forms(name: str) -> list[lm.Loss]:
    """Return a loss of soft targets at the ends of its parameters."""
    found = [soft(loss) for loss in instances(name, 3) if loss.values["prediction"] != "probabilities"]
    return [loss for loss in found if loss is not None]


@pytest.mark.parametrize("name", NAMES)
def test_the_floor_on_soft_targets_is_the_least_that_any_row_costs(name: str) -> None:
    assert forms(name) or name == "sparse_categorical_cross_entropy"
    for loss in forms(name):
        for target in SOFT:
            floor, least = loss.context(target[None]).floor, brute(loss, *target)
            assert floor <= least + 1e-12, (loss, target)
            assert floor >= least - 1e-8, (loss, target)


@pytest.mark.parametrize("name", NAMES)
def test_the_floor_of_a_data_set_is_the_weighted_mean_of_those_of_its_rows(name: str) -> None:
    weight = np.array([1.0, 0.0, 2.5, 0.5, 3.0])
    for loss in forms(name):
        each = [loss.context(target[None]).floor for target in SOFT]
        context = loss.context(SOFT, weight)
        assert context.floor == pytest.approx(float(np.average(each, weights=weight)), rel=1e-12, abs=1e-15)
        if context.constant_cost is not None:
            assert context.floor <= context.constant_cost + 1e-15


@pytest.mark.parametrize("name", [name for name in NAMES if lm.get(name).indices])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_floor_of_smoothed_indices_is_that_of_the_distributions_they_become(name: str, share: float) -> None:
    y, w = np.array([0, 2, 2, 1]), np.array([1.0, 2.0, 0.5, 1.0])
    for loss in instances(name, 3):
        if loss.values["prediction"] == "probabilities":
            continue
        floor = loss.replace(label_smoothing=share).context(y, w).floor
        assert loss.context(y, w).floor == pytest.approx(0, abs=1e-15)
        dense = np.eye(3)[y] * (1 - share) + share / 3
        if soft(loss) is None:
            assert floor == pytest.approx(float(np.average(lm.entropy(dense), weights=w)), rel=1e-13)
        else:
            assert floor == pytest.approx(soft(loss).context(dense, w).floor, rel=1e-12)  # type: ignore[union-attr]


def test_floors_in_closed_form() -> None:
    target = np.array([0.6, 0.3, 0.1])
    entropy = float(lm.entropy(target))
    assert lm.CategoricalCrossEntropy().context([target]).floor == pytest.approx(entropy, rel=1e-15)
    adjusted = lm.LogitAdjusted(prior=(0.7, 0.2, 0.1), targets="distributions")
    assert adjusted.context([target]).floor == pytest.approx(entropy, rel=1e-14)
    assert lm.MulticlassBrier(targets="distributions").context([target]).floor == pytest.approx(0, abs=1e-30)
    q = 0.7
    shares = target ** (1 / (1 - q)) / np.sum(target ** (1 / (1 - q)))
    gce = lm.GeneralisedCrossEntropy(q=q, targets="distributions")
    assert gce.context([target]).floor == pytest.approx(float(np.sum(target * (1 - shares**q) / q)), rel=1e-14)
    assert gce.replace(q=1.0).context([target]).floor == pytest.approx(0.4, rel=1e-15)
    hinge = lm.CrammerSinger(targets="distributions")
    assert hinge.context([target]).floor == pytest.approx(0.8)
    assert hinge.context([[0.4, 0.3, 0.3]]).floor == 1


@pytest.mark.parametrize("classes", [2, 5, 8])
def test_the_best_scores_of_weston_and_watkins_solve_its_linear_program(classes: int) -> None:
    loss = lm.WestonWatkins(targets="distributions")
    pairs = list(itertools.permutations(range(classes), 2))
    for target in RANDOM.dirichlet(np.ones(classes), size=6):
        price = np.concatenate([np.zeros(classes), [target[true] for true, _ in pairs]])
        above = np.zeros((len(pairs), classes + len(pairs)))
        for row, (true, other) in enumerate(pairs):  # slack ≥ 1 + z[other] - z[true]
            above[row, other], above[row, true], above[row, classes + row] = 1, -1, -1
        bounds = [(None, None)] * classes + [(0, None)] * len(pairs)
        least = linprog(price, A_ub=above, b_ub=-np.ones(len(pairs)), bounds=bounds).fun
        assert loss.context([target]).floor == pytest.approx(least, rel=1e-9)


def test_many_classes_and_many_rows_cost_little() -> None:
    loss = lm.SoftmaxFocal(label_smoothing=0.1)
    y = RANDOM.integers(0, 200, size=5000)
    floor = loss.context(y).floor
    assert floor == pytest.approx(loss.context(y[:1] * 0 + 199).floor, rel=1e-9)
    assert floor > 0.1


def test_sums_of_losses_of_rows_have_constants_and_floors() -> None:
    both = lm.CategoricalCrossEntropy() + 0.5 * lm.SoftmaxFocal(targets="distributions")
    target = SOFT[0]
    found = minimize(lambda z: float(both.losses(target, z)), np.zeros(3), jac=lambda z: both.gradient(target, z))
    assert both.context([target]).floor == pytest.approx(found.fun, rel=1e-9)
    best = both.optimal_constant(SOFT[:3])
    assert np.max(np.abs(both.gradient(SOFT[:3], np.tile(best, (3, 1))).sum(axis=0))) < 1e-12
    with pytest.raises(lm.NoConstantError, match="each of its terms asks for a row of its own"):
        (lm.MultiQuantile() + lm.MultiQuantile(levels=(0.2, 0.5, 0.8))).context([1.0, 2.0])
    with pytest.raises(lm.NoConstantError, match="kinks"):
        (lm.CrammerSinger() + lm.SparseCategoricalCrossEntropy()).optimal_constant([0, 1, 1])


SOFT_LABELS = [
    name for name in lm.names("binary") if lm.get(name).domains["y"].includes(0.5) and hasattr(lm.get(name), "labels")
]


def outcome(loss: lm.Loss, y: float) -> Any:
    return minimize(lambda f: float(loss.losses([y], f)[0]), [0.1], method="Nelder-Mead", tol=1e-14).fun


@pytest.mark.parametrize("name", SOFT_LABELS)
def test_the_floor_on_soft_labels_is_the_least_that_any_logit_costs(name: str) -> None:
    loss = lm.get(name)
    for y in (0.1, 0.5, 0.8):
        assert loss.context([y]).floor == pytest.approx(outcome(loss, y), rel=1e-9, abs=1e-12)


def test_the_brute_force_can_tell_floors_apart() -> None:
    assert brute(lm.CategoricalCrossEntropy(), *SOFT[0]) > 0.5
    assert brute(lm.CategoricalCrossEntropy(), *SOFT[4]) == 0
    assert not math.isclose(brute(forms("softmax_focal")[0], *SOFT[0]), brute(lm.CategoricalCrossEntropy(), *SOFT[0]))
