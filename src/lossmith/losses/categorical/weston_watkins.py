"""Weston-Watkins hinge: the true class shall lead each of the others by a margin, and all that lack count."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Example, Formula, Kink, Myth, Reference, Traits
from lossmith.structures.row_margin import RowMargin

Array = npt.NDArray[Any]


class WestonWatkins(RowMargin):
    """Sum over the other classes of how far the true class's score falls short of theirs plus 1."""

    aliases = ("weston_watkins_hinge", "multi_margin")

    card = Card(
        title="Multi-class hinge of Weston and Watkins",
        task="categorical",
        summary="What the true class's lead lacks to 1 over each other class, added up.",
        picture="Flat zero once the true class leads all others by 1; below that a straight line, steeper by 1 for "
        "each class that it does not lead.",
        estimates="class",
        activation="linear (the outputs are scores, not probabilities)",
        pros=("examples that are right by a margin have no pull", "every rival teaches, not only the best one"),
        cons=(
            "gives no probabilities",
            "grows with the number of classes, so scales differ between problems",
            "where no class has half of the probability its best scores can miss the likeliest one",
            "its gradient jumps, and its Hessian is zero",
        ),
        use_when=("only the decision matters, and several classes compete",),
        avoid_when=("probabilities are wanted", "there are thousands of classes"),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("true class ahead of another by exactly 1", "gradient", lambda loss, y: (1.0,)),),
        formula=Formula(
            value=(
                r"\sum_{k \ne y} \max\left(0, 1 + z_k - z_y\right)",
                "sum over k ≠ y of max(0, 1 + z[k] - z[y])",
            ),
            gradient=(
                r"[1 + z_k > z_y] \text{ for } k \ne y, \text{ and minus their sum for } k = y",
                "1 for each class within 1 of the true one, minus their number for the true class, else 0",
            ),
            hessian=("0", "0"),
        ),
        examples=(
            Example(
                text="Scores 2, 1 and 0: nothing if the first is true, 2 if the second, 3 + 2 if the third.",
                y_true=(0, 1, 2),
                y_pred=((2.0, 1.0, 0.0),) * 3,
                losses=(0.0, 2.0, 5.0),
            ),
        ),
        myths=(
            Myth(
                "Weston-Watkins and Crammer-Singer hinges are the same loss up to a factor.",
                "They are with two classes. With more, one adds up the rivals and the other takes the best of them.",
            ),
        ),
        references=(
            Reference(
                authors="J. Weston and C. Watkins",
                year=1999,
                title="Support vector machines for multi-class pattern recognition",
                venue="European Symposium on Artificial Neural Networks, 219-224",
                url="https://www.esann.org/sites/default/files/proceedings/legacy/es1999-461.pdf",
            ),
        ),
    )

    def of_leads(self, xp: Any, missing: Array) -> tuple[Array, Array]:
        """Return losses and where they grow, given what is missing to a lead of 1 over each other class."""
        return xp.sum(xp.where(missing > 0, missing, 0.0), axis=-1), missing > 0

    def best_scores(self, shares: Array) -> Array:
        """Return whole scores: steps of 1 between groups of classes, which groups are least in sum."""
        size, cumulated = shares.size, np.concatenate([[0.0], np.cumsum(shares)])
        least, cut = np.zeros(size + 1), np.zeros(size + 1, dtype=int)
        for end in range(1, size + 1):
            start = np.arange(end)
            inside = (end - start - 1) * (cumulated[end] - cumulated[start])
            # A step costs every class below it 1 for each class above it, and leads of 0 cost each its 1.
            below = start * (cumulated[end] - cumulated[start]) + start * (cumulated[size] - cumulated[start])
            found = least[start] + inside + below
            cut[end], least[end] = np.argmin(found), np.min(found)
        scores, end = np.zeros(size), size
        while end:
            scores[: cut[end]] += 1.0
            end = int(cut[end])
        return scores
