"""Squared hinge loss: a hinge without the corner."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.margin import Margin, of_one


class SquaredHinge(Margin):
    """Square of what a score lacks to a margin of 1 on the right side."""

    aliases = ("squared_hinge_loss", "l2_svm", "hinge_squared")
    elsewhere = of_one(
        ", and multiply the loss by m**2",
        p="What a score lacks to the margin is squared here; Hinge takes it as it is.",
    )

    card = Card(
        title="Squared hinge loss",
        task="binary",
        summary="The square of what is missing to a margin of 1 on the right side.",
        picture="Flat zero beyond the margin of 1, half a parabola to the left of it.",
        estimates="2p - 1",
        activation="linear (the output is a score, not a probability)",
        pros=("a continuous gradient, where the hinge has a corner", "its optimum 2p - 1 still tells the probability"),
        cons=("wrong labels pull without bound", "its Hessian jumps from 2 to 0 at the margin"),
        use_when=("a margin is wanted with a solver that needs gradients",),
        avoid_when=("labels are noisy",),
        traits=Traits(convex=True, differentiable=True, smooth=False, lipschitz=False, symmetric=False),
        kinks=(Kink("score on the right side by exactly 1", "hessian", lambda loss, y: (1.0 if y > 0 else -1.0,)),),
        examples=(
            Example(
                text="The same three scores as for the hinge: 2.5, 0.8 and -0.5, each shortfall squared.",
                y_true=(1.0, 1.0, 1.0),
                y_pred=(2.5, 0.8, -0.5),
                losses=(0.0, 0.04, 2.25),
            ),
        ),
        myths=(
            Myth(
                "Squared hinge and squared error on labels of plus and minus 1 are the same.",
                "Left of the margin they are; beyond it squared error punishes being right by more than 1.",
            ),
        ),
        references=(
            Reference(
                authors="T. Zhang",
                year=2004,
                title="Statistical behavior and consistency of classification methods "
                "based on convex risk minimization",
                venue="Annals of Statistics 32(1), 56-85",
                doi="10.1214/aos/1079120130",
            ),
        ),
    )

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive on the right side."""
        return ops.max(0, 1 - margin) ** 2
