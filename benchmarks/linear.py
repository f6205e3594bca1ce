"""How long linear models take to fit, beside those of scikit-learn with the same minimum, and who gets nearer to it.

``python -m benchmarks.linear`` prints a Markdown table: seconds (medians of interleaved rounds) and, for each of the
two, how far its cost lies above the lower one, relative to it. ``--rows`` and ``--rounds`` choose.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from sklearn.linear_model import HuberRegressor, Lasso, LogisticRegression, PoissonRegressor, QuantileRegressor, Ridge

import lossmith as lm
from lossmith.sklearn import LinearModel

COLUMNS = 20


def cases(rows: int) -> dict[str, tuple[Any, Any, Any, Any]]:
    """Return loss, penalty, scikit-learn's model and targets of each case; the table is the same."""
    rng = np.random.default_rng(0)
    line = table(rows) @ rng.normal(size=COLUMNS) / 4
    numbers = line + rng.standard_t(2, rows)
    exact = {"solver": "newton-cholesky", "tol": 1e-9}
    huber = HuberRegressor(tol=1e-9, max_iter=1000).fit(table(rows), numbers)
    strength = huber.alpha * huber.scale_ / (2 * rows)
    return {
        "squared error, L2": ("squared_error", lm.L2(1 / rows), Ridge(1.0), numbers),
        "squared error, L1": ("half_squared_error", lm.L1(0.05), Lasso(0.05, tol=1e-10), numbers),
        "Huber": (lm.Huber(huber.epsilon * huber.scale_), lm.L2(strength), huber, numbers),
        "quantile 0.9": ("quantile(level=0.9)", None, QuantileRegressor(quantile=0.9, alpha=0.0), numbers),
        "logistic, L2": ("bce", lm.L2(1 / (2 * rows)), LogisticRegression(**exact), rng.random(rows) < _expit(line)),
        "Poisson, L2": ("poisson", lm.L2(0.01), PoissonRegressor(alpha=0.02, **exact), rng.poisson(np.exp(line))),
    }


def table(rows: int) -> Any:
    """Return the columns that all cases share."""
    return np.random.default_rng(1).normal(size=(rows, COLUMNS))


def _expit(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def cost(loss: Any, penalty: Any, model: Any, X: Any, y: Any) -> float:
    """Return what both minimise."""
    raw = X @ np.ravel(model.coef_) + np.ravel(model.intercept_)[0]
    found = float(lm.parse(loss).cost(np.asarray(y, dtype=float), raw))
    return found + (penalty(model.coef_) if penalty else 0.0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print("| model | rows | Lossmith, s | scikit-learn, s | Lossmith above | scikit-learn above |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for rows in chosen.rows:
        X = table(rows)
        for name, (loss, penalty, theirs, y) in cases(rows).items():
            models = LinearModel(loss, penalty), theirs
            spent: tuple[list[float], list[float]] = ([], [])
            for _ in range(chosen.rounds):
                for model, times in zip(models, spent, strict=True):
                    start = time.perf_counter()
                    model.fit(X, y)
                    times.append(time.perf_counter() - start)
            costs = [cost(loss, penalty, model, X, y) for model in models]
            above = [(found - min(costs)) / abs(min(costs)) for found in costs]
            seconds = [float(np.median(times)) for times in spent]
            print(f"| {name} | {rows:,} | {seconds[0]:.3g} | {seconds[1]:.3g} | {above[0]:.1e} | {above[1]:.1e} |")


if __name__ == "__main__":
    main()
