"""Hinge loss: the loss of the support vector machine."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.margin import Margin, of_one


class Hinge(Margin):
    """How far a score falls short of a margin of 1 on the right side."""

    aliases = ("hinge_loss", "svm", "margin")
    elsewhere = of_one(
        ", and multiply the loss by m",
        p="What a score lacks to the margin is not squared here; SquaredHinge does that.",
    )

    card = Card(
        title="Hinge loss",
        task="binary",
        summary="Zero once the score is on the right side by 1 or more; before that, what is missing to 1.",
        picture="Flat zero beyond the margin of 1, and a straight line that climbs to the left of it.",
        estimates="class",
        activation="linear (the output is a score, not a probability)",
        pros=(
            "examples that are right by a margin have no pull: sparse solutions",
            "wrong labels pull with bounded force",
        ),
        cons=("gives no probability", "its gradient jumps at the margin, and its Hessian is zero"),
        use_when=("only the decision matters",),
        avoid_when=("probabilities are wanted",),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("score on the right side by exactly 1", "gradient", lambda loss, y: (1.0 if y > 0 else -1.0,)),),
        examples=(
            Example(
                text="A positive at scores 2.5, 0.8 and -0.5: beyond the margin, inside it, on the wrong side.",
                y_true=(1.0, 1.0, 1.0),
                y_pred=(2.5, 0.8, -0.5),
                losses=(0.0, 0.2, 1.5),
            ),
        ),
        myths=(
            Myth(
                "Hinge loss needs data that a line can separate.",
                "It does not: what the hinge measures is by how much they fail to be separated.",
            ),
        ),
        references=(
            Reference(
                authors="C. Cortes and V. Vapnik",
                year=1995,
                title="Support-vector networks",
                venue="Machine Learning 20, 273-297",
                doi="10.1007/BF00994018",
            ),
        ),
    )

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive on the right side."""
        return ops.max(0, 1 - margin)
