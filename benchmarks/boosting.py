"""How well LightGBM fits with our objectives, beside its own, on the same splits; and how fast.

``python -m benchmarks.boosting`` prints, for each loss, the held-out cost with LightGBM's own
objective and with ours under several floors for the Hessian (see docs/decisions/0005), as ratios.
``python -m benchmarks.boosting --speed`` prints the tables of ``benchmarks/boosting_speed.py``, with the trainings of
all libraries.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lightgbm
import numpy as np

import lossmith as lm
from benchmarks import boosting_others, boosting_speed
from lossmith import lightgbm as ours
from lossmith.frameworks.boosting import curvature
from lossmith.scoring.source import Table

TABLE = Path(__file__).resolve().parent.parent / "examples" / "data" / "player_wages.csv"
ROUNDS, SPLITS, HELD_OUT = 150, 5, 1000
FLOORS = (0.1, 0.3, 0.5, 1.0)
CASES = {
    "absolute_error": {"objective": "l1"},
    "quantile(level=0.9)": {"objective": "quantile", "alpha": 0.9},
    "huber(delta=5000)": {"objective": "huber", "alpha": 5000},
    "poisson": {"objective": "poisson"},
    "squared_error": {"objective": "l2"},
}


def quality() -> None:
    """Print the held-out costs."""
    table = Table.open(str(TABLE))
    features = [name for name in table.columns if table.kinds[name] == "number" and name != "wage_eur"]
    nations = np.unique([str(text) for text in table.texts("nationality")], return_inverse=True)[1]
    X = np.column_stack([nations, *(table.numbers(name) for name in features)])
    y = table.numbers("wage_eur")
    splits = [np.random.default_rng(seed).permutation(len(y)) for seed in range(SPLITS)]
    print(f"held-out cost, mean over {SPLITS} splits, {ROUNDS} rounds; ours as a multiple of LightGBM's own objective")
    print("| loss | LightGBM's own | " + " | ".join(f"floor at {near:g}" for near in FLOORS) + " |")
    print("| --- | ---: |" + " ---: |" * len(FLOORS))
    for text, settings in CASES.items():
        loss = lm.parse(text)
        own, mine = [], {near: [] for near in FLOORS}
        for order in splits:
            fit, held = order[HELD_OUT:], order[:HELD_OUT]
            booster = lightgbm.train(
                {**ours.DEFAULTS, **settings}, lightgbm.Dataset(X[fit], y[fit], categorical_feature=[0]), ROUNDS
            )
            own.append(loss.cost(y[held], loss.link.forward(booster.predict(X[held]))))
            for near in FLOORS:
                curvature.NEAR = near
                model = ours.train(loss, X[fit], y[fit], rounds=ROUNDS, categorical=[0])
                mine[near].append(loss.cost(y[held], model.predict_raw(X[held])))
        ratios = " | ".join(f"{np.mean(mine[near]) / np.mean(own):.3f}" for near in FLOORS)
        print(f"| {text} | {np.mean(own):.4g} | {ratios} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true", help="the speed of callbacks and of training")
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6, 1e7], help="rows; the first is trained on")
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5, help="trainings of each, in turns")
    parser.add_argument("--library", action="append", help="whose training: LightGBM, XGBoost, CatBoost; all of them")
    parser.add_argument("--table", action="append", choices=boosting_speed.TABLES, help="all of them by default")
    given = parser.parse_args()
    if given.speed:
        cases = [
            case
            for case in (*boosting_speed.TRAININGS, *boosting_others.TRAININGS)
            if not given.library or case.library in given.library
        ]
        rows, tables = [int(rows) for rows in given.rows], given.table or boosting_speed.TABLES
        boosting_speed.main(rows, given.trees, given.rounds, cases, tables, given.library or ())
    else:
        quality()


if __name__ == "__main__":
    main()
