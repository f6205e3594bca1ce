"""A cost in money, written in one line, against squared error: who pays less on rows that no model has seen?

    python examples/asymmetric_business_cost.py

A club makes 5,000 football players an offer for their weekly wage, in euro. An offer above what a player earns costs
the difference. One below costs two euro for each that is missing, for the agent who has to talk the player round, and
more the further it is off: 20,000 too little cost another 20,000, because such talks drag on.
"""

from pathlib import Path

import numpy as np
from sklearn.model_selection import ShuffleSplit

import lossmith as lm
from lossmith.choosing.statistics import corrected_resampled_t
from lossmith.lightgbm import train
from lossmith.sklearn import LinearModel

# The line that says it all. Gradients, a good start, kernels and what a kink needs follow from it.
text = "where(f < y, 2*(y - f) + (y - f)**2/20000, f - y)"
money = lm.formula(text)

table = np.genfromtxt(Path(__file__).parent / "data" / "player_wages.csv", delimiter=",", names=True, encoding="utf-8")
wage = table["wage_eur"]
names = [name for name in table.dtype.names if name not in ("nationality", "wage_eur")]
X = np.stack([table[name] for name in names], axis=-1)


def boosted(loss, X, y):
    """Return LightGBM's trees, trained with a loss."""
    return train(loss, X, y, rounds=60, params={"learning_rate": 0.1, "num_leaves": 15})


def line(loss, X, y):
    """Return a linear model, fitted by a loss."""
    return LinearModel(loss).fit(X, y)


splits = list(ShuffleSplit(6, test_size=0.2, random_state=0).split(X))
print(f"{text}\nin euro, for each of {len(splits[0][1])} players that were held out, {len(splits)} times")
print(f"{'model':<14}{'squared error':>14}{'own cost':>10}{'saved':>8}{'95% interval':>18}{'too low':>10}")
for name, model in {"LightGBM": boosted, "linear model": line}.items():
    paid, below = [], []
    for loss in (lm.SquaredError(), money):
        offers = [model(loss, X[fit], wage[fit]).predict(X[held]) for fit, held in splits]
        paid.append(np.array([money(wage[held], made) for (_, held), made in zip(splits, offers, strict=True)]))
        below.append(np.mean([made < wage[held] for (_, held), made in zip(splits, offers, strict=True)]))
    usual, own = paid
    test = corrected_resampled_t(usual - own, test_rows=len(splits[0][1]), train_rows=len(splits[0][0]))
    interval = f"{test.low:,.0f} to {test.high:,.0f}"
    lows = f"{below[0]:.0%}, {below[1]:.0%}"
    print(f"{name:<14}{usual.mean():>14,.0f}{own.mean():>10,.0f}{test.mean:>8,.0f}{interval:>18}{lows:>10}")
