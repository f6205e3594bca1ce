"""Perceptron loss: only mistakes count."""

from typing import Any

import numpy.typing as npt

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.margin import Margin


class Perceptron(Margin):
    """How far a score lies on the wrong side of zero; the right side is free."""

    aliases = ("perceptron_loss", "hinge_at_zero")

    card = Card(
        title="Perceptron loss",
        task="binary",
        summary="Zero on the right side, the size of the score on the wrong one.",
        picture="Flat zero for positive margins and a straight line to the left of zero: a hinge without a margin.",
        estimates="zero",
        activation="linear (the output is a score, not a probability)",
        pros=("one of the oldest learning rules: add what was got wrong", "rows on the right side have no pull"),
        cons=(
            "a score of zero for everything costs nothing, so its minimum alone says nothing",
            "no margin: a decision that is right by a hair is as good as any",
            "no boosting: it starts from the best constant, and zero is one",
        ),
        use_when=("the perceptron is to be understood or repeated, one example at a time",),
        avoid_when=("a good decision boundary is wanted: the hinge has a margin",),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("score of 0", "gradient", lambda loss, y: (0.0,)),),
        examples=(
            Example(
                text="A positive at scores 2, 0.1 and -1.5: right, right, and wrong by 1.5.",
                y_true=(1.0, 1.0, 1.0),
                y_pred=(2.0, 0.1, -1.5),
                losses=(0.0, 0.0, 1.5),
            ),
        ),
        myths=(
            Myth(
                "At a score of zero nothing is wrong yet, so nothing is learnt.",
                "Rosenblatt's rule corrects ties as mistakes, or it could never leave a start at zero. "
                "So the slope at zero is that of the wrong side.",
            ),
        ),
        references=(
            Reference(
                authors="F. Rosenblatt",
                year=1958,
                title="The perceptron: a probabilistic model for information storage and organization in the brain",
                venue="Psychological Review 65(6), 386-408",
                doi="10.1037/h0042519",
            ),
        ),
    )

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive on the right side."""
        return ops.max(-margin, 0)  # the tie at 0 goes to the first: a mistake

    def _best_constant(self, y: npt.NDArray[Any], w: npt.NDArray[Any]) -> float:
        return 0.0  # which costs nothing
