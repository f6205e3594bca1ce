"""Crammer-Singer hinge: the true class shall lead the best of the others by a margin."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Example, Formula, Kink, Myth, Reference, Traits
from lossmith.structures.row_margin import RowMargin

Array = npt.NDArray[Any]


class CrammerSinger(RowMargin):
    """How far the true class's score falls short of the best other score plus 1."""

    aliases = ("crammer_singer_hinge", "multiclass_hinge", "categorical_hinge")

    card = Card(
        title="Multi-class hinge of Crammer and Singer",
        task="categorical",
        summary="Zero once the true class leads every other by 1 or more; before that, what is missing to it.",
        picture="Flat zero once the true class leads by 1, and a straight line that climbs below that.",
        estimates="class",
        activation="linear (the outputs are scores, not probabilities)",
        pros=("examples that are right by a margin have no pull", "wrong labels pull with bounded force"),
        cons=(
            "gives no probabilities",
            "its gradient jumps, and its Hessian is zero",
            "where no class has half of the probability its best scores can miss the likeliest one",
        ),
        use_when=("only the decision matters, and one class usually stands out",),
        avoid_when=("probabilities are wanted",),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("true class ahead of the best other by exactly 1", "gradient", lambda loss, y: (1.0,)),),
        formula=Formula(
            value=(r"\max\left(0, 1 + \max_{k \ne y} z_k - z_y\right)", "max(0, 1 + max over k ≠ y of z[k] - z[y])"),
            gradient=(
                r"\delta_{kr} - \delta_{ky} \text{ where the loss is positive, } r \text{ the best rival}",
                "1 for the best rival and -1 for the true class where the loss is positive, else 0",
            ),
            hessian=("0", "0"),
        ),
        examples=(
            Example(
                text="Scores 2, 1 and 0: nothing if the first is true, 2 if the second, 3 if the third.",
                y_true=(0, 1, 2),
                y_pred=((2.0, 1.0, 0.0),) * 3,
                losses=(0.0, 2.0, 3.0),
            ),
            Example(
                text="Only differences count: scores of -5, -6 and -7 are as right for the first class.",
                y_true=(0,),
                y_pred=((-5.0, -6.0, -7.0),),
                losses=(0.0,),
            ),
        ),
        myths=(
            Myth(
                "A categorical hinge needs the true class's score above 1.",
                "It needs the lead to be 1. Libraries that mask the other classes by zero let that zero be a rival.",
            ),
        ),
        references=(
            Reference(
                authors="K. Crammer and Y. Singer",
                year=2001,
                title="On the algorithmic implementation of multiclass kernel-based vector machines",
                venue="Journal of Machine Learning Research 2, 265-292",
                url="https://www.jmlr.org/papers/v2/crammer01a.html",
            ),
        ),
    )

    def of_leads(self, xp: Any, missing: Array) -> tuple[Array, Array]:
        """Return losses and where they grow, given what is missing to a lead of 1 over each other class."""
        rival = xp.argmax(missing, axis=-1)[..., None]
        worst = xp.take_along_axis(missing, rival, axis=-1)
        return xp.where(worst > 0, worst, 0.0)[..., 0], (xp.places(missing) == rival) & (worst > 0)

    def best_scores(self, shares: Array) -> Array:
        """Return a lead of 1 for a class with more than half of the probability, and else no lead for any."""
        return np.where((np.arange(shares.size) == 0) & (shares[0] > 0.5), 1.0, 0.0)
