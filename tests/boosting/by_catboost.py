"""What CatBoost is given by hand: an objective and a metric as its manual has them, and a model of them."""

from __future__ import annotations

import catboost
import numpy as np
from sklearn.datasets import load_diabetes

from lossmith.catboost import DEFAULTS

ONE = {"thread_count": 1}
STILL = {**ONE, "bootstrap_type": "No", "random_strength": 0}
X, Y = load_diabetes(return_X_y=True)


class Spy:
    """A custom objective of squared error that writes down what it is called with."""

    no_jit = True

    def __init__(self, sign: float = 1.0) -> None:
        self.seen: list[tuple] = []
        self.sign = sign

    def calc_ders_range(self, approxes, targets, weights):
        self.seen.append((approxes.copy(), targets.copy(), None if weights is None else weights.copy()))
        return np.stack([self.sign * (targets - approxes), -np.ones_like(approxes)], axis=1)

    def __deepcopy__(self, memo):
        return self  # CatBoost copies its settings


class Mean:
    """A metric that is greater the greater the predictions."""

    no_jit = True
    greater = False

    def is_max_optimal(self):
        return self.greater

    def evaluate(self, approxes, target, weight):
        self.types = type(approxes), approxes[0].dtype, target.dtype
        return float(np.sum(approxes[0])), float(len(target))

    def get_final_error(self, error, weight):
        return error / weight

    def __deepcopy__(self, memo):
        return self


class Greater(Mean):
    greater = True


def fitted(objective, metric, rounds: int = 2, pool: catboost.Pool | None = None, **settings) -> catboost.CatBoost:
    booster = catboost.CatBoost(
        {**DEFAULTS, **ONE, "iterations": rounds, "loss_function": objective, "eval_metric": metric, **settings}
    )
    pool = pool or catboost.Pool(X, Y)
    return booster.fit(pool, eval_set=pool)
