"""Judging a model by a cost that it was not trained with."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lossmith as lm
from lossmith.choosing.judging import gives_scores, judge, measure
from lossmith.scoring import metrics

Y = np.array([1.0, 4.0, 0.0, 2.0])
RAW = np.array([0.5, 1.5, -0.7, 0.2])  # log rates for Poisson
LABELS = np.array([1.0, 0.0, 1.0, 0.0])
WEIGHT = np.array([1.0, 2.0, 0.5, 0.0])


def test_a_loss_judges_its_own_model_by_its_cost() -> None:
    for name, y in (("squared_error", Y), ("poisson", Y), ("binary_cross_entropy", LABELS), ("hinge", LABELS)):
        loss = lm.get(name)
        assert judge(loss, loss, RAW, y, WEIGHT).value == loss.cost(y, RAW, weight=WEIGHT)


def test_raw_predictions_are_carried_through_the_target_scale() -> None:
    poisson, squared = lm.get("poisson"), lm.get("squared_error")
    assert judge(poisson, squared, RAW, Y).value == pytest.approx(np.mean((np.exp(RAW) - Y) ** 2))
    plain = np.exp(RAW)
    assert judge(squared, poisson, plain, Y).value == pytest.approx(float(poisson.cost(Y, RAW)))


def test_where_a_judge_is_not_defined_the_rows_are_counted() -> None:
    found = judge(lm.get("squared_error"), lm.get("poisson"), np.array([1.0, -0.5, 0.0, 2.0]), Y)
    assert (found.value, found.undefined) == (math.inf, 2)


def test_a_logit_is_a_score_but_a_score_is_no_logit() -> None:
    entropy, hinge = lm.get("binary_cross_entropy"), lm.get("hinge")
    assert gives_scores(hinge)
    assert not gives_scores(entropy)
    assert not gives_scores(lm.get("squared_error"))
    assert judge(entropy, hinge, RAW, LABELS).value == float(hinge.cost(LABELS, RAW))
    assert judge(hinge, entropy, RAW, LABELS) == judge(hinge, lm.get("squared_error"), RAW, LABELS)
    assert judge(hinge, entropy, RAW, LABELS).undefined == 4


def test_metrics_read_predictions_on_the_target_scale() -> None:
    rmse = metrics.get("rmse")
    assert measure(lm.get("poisson"), rmse, RAW, Y, WEIGHT).value == rmse(Y, np.exp(RAW), WEIGHT)
    brier = metrics.get("brier")
    p = 1 / (1 + np.exp(-RAW))
    assert measure(lm.get("focal"), brier, RAW, LABELS).value == pytest.approx(np.mean((p - LABELS) ** 2))


def test_metrics_of_order_and_side_read_scores() -> None:
    for name in ("roc_auc", "zero_one", "average_precision"):
        by_score = measure(lm.get("hinge"), metrics.get(name), RAW, LABELS)
        by_logit = measure(lm.get("binary_cross_entropy"), metrics.get(name), RAW, LABELS)
        assert by_score == by_logit
        assert by_score.undefined == 0


@pytest.mark.parametrize(("name", "worst"), [("log_loss", math.inf), ("brier", math.inf)])
def test_metrics_of_probabilities_do_not(name: str, worst: float) -> None:
    assert measure(lm.get("hinge"), metrics.get(name), RAW, LABELS).value == worst
    assert measure(lm.get("hinge"), metrics.get(name), RAW, LABELS).undefined == 4


def test_a_prediction_outside_0_and_1_is_no_probability() -> None:
    found = measure(lm.get("squared_error"), metrics.get("roc_auc"), np.array([0.5, 1.2, -0.1, 1.0]), LABELS)
    assert (found.value, found.undefined) == (-math.inf, 2)  # on the bad side of a metric that is better when greater


def test_a_metric_that_fails_on_some_rows_counts_them() -> None:
    found = measure(lm.get("squared_error"), metrics.get("poisson"), np.array([1.0, -0.5, 2.0, -2.0]), Y)
    assert (found.value, found.undefined) == (math.inf, 2)
    mape = measure(lm.get("squared_error"), metrics.get("mape"), np.array([1.0, 0.5, 2.0, 2.0]), Y)
    assert (mape.value, mape.undefined) == (math.inf, 1)


def test_overflow_is_not_defined_either() -> None:
    found = measure(lm.get("poisson"), metrics.get("rmse"), np.array([1.0, 800.0, 0.0, 0.0]), Y)
    assert (found.value, found.undefined) == (math.inf, 1)
