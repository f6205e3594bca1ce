"""Modified Huber loss: a squared hinge with a straight arm."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.margin import Margin, of_one


class ModifiedHuber(Margin):
    """Squared hinge down to a margin of -1, and -4 times the margin beyond."""

    aliases = ("modified_huber_loss", "robust_squared_hinge")
    elsewhere = of_one()

    card = Card(
        title="Modified Huber loss",
        task="binary",
        summary="The square of what is missing to a margin of 1, and a straight line for what is badly wrong.",
        picture="Flat zero beyond the margin of 1, half a parabola down to -1, a line of slope -4 to the left of that.",
        estimates="2p - 1",
        activation="linear (a score; clipped to [-1, 1], half of one plus it is a probability)",
        pros=(
            "wrong labels pull with bounded force, unlike under the squared hinge",
            "its optimum 2p - 1 still tells the probability",
        ),
        cons=(
            "its Hessian jumps at both ends of the parabola",
            "scores beyond the margin tell nothing about certainty",
        ),
        use_when=("a linear classifier shall be robust and yet give rough probabilities",),
        avoid_when=("calibrated probabilities near 0 and 1 are needed",),
        traits=Traits(convex=True, differentiable=True, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("margin of 1 or -1", "hessian", lambda loss, y: (-1.0, 1.0)),),
        examples=(
            Example(
                text="A positive at scores 2, 0, -1 and -3: free, on the parabola, at its end, and on the line.",
                y_true=(1.0, 1.0, 1.0, 1.0),
                y_pred=(2.0, 0.0, -1.0, -3.0),
                losses=(0.0, 1.0, 4.0, 12.0),
            ),
        ),
        myths=(
            Myth(
                "Modified Huber is the Huber loss for classes.",
                "It is twice the Huber loss with delta 2, not of a residual, but of what is missing to a margin of 1.",
            ),
        ),
        references=(
            Reference(
                authors="T. Zhang",
                year=2004,
                title="Solving large scale linear prediction problems using stochastic gradient descent algorithms",
                venue="International Conference on Machine Learning, 116",
                doi="10.1145/1015330.1015332",
            ),
        ),
    )

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive on the right side."""
        return ops.where(margin >= -1, ops.max(0, 1 - margin) ** 2, -4 * margin)
