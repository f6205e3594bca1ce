"""Smoothed hinge loss: a hinge with a rounded corner."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.margin import Margin, of_one


class SmoothedHinge(Margin):
    """A hinge whose corner is a parabola of width ``gamma``."""

    aliases = ("smooth_hinge", "huberized_hinge", "smoothed_hinge_loss")
    elsewhere = of_one(", gamma too, and multiply the loss by m")

    gamma = Parameter(
        1.0, domain="(0, inf)", symbol=r"\gamma", typical=(0.1, 2.0), doc="width of the parabola at the corner"
    )

    card = Card(
        title="Smoothed hinge loss",
        task="binary",
        summary="What is missing to a margin of 1, counted by half its square over gamma as long as it is below gamma.",
        picture="Flat zero beyond the margin of 1, a short bend, then the straight arm of the hinge, gamma / 2 lower.",
        estimates="class",
        activation="linear (the output is a score, not a probability)",
        pros=(
            "a continuous gradient and still a bounded pull of wrong labels",
            "comes as close to the hinge as one likes: it differs by gamma / 2 at most",
        ),
        cons=("gives no probability", "its Hessian is zero outside the bend", "one more parameter"),
        use_when=("a support vector machine is trained by a solver that needs gradients without jumps",),
        avoid_when=("probabilities are wanted",),
        traits=Traits(convex=True, differentiable=True, smooth=False, lipschitz=True, symmetric=False),
        kinks=(
            Kink(
                "margin of 1 or 1 - gamma",
                "hessian",
                lambda loss, y: (1.0, 1.0 - loss.gamma) if y > 0 else (-1.0, loss.gamma - 1.0),
            ),
        ),
        examples=(
            Example(
                text="A positive at scores 2, 0.5 and -0.5: beyond the margin, in the bend, on the arm.",
                y_true=(1.0, 1.0, 1.0),
                y_pred=(2.0, 0.5, -0.5),
                losses=(0.0, 0.125, 1.0),
            ),
        ),
        myths=(
            Myth(
                "Rounding the corner gives up the sparse solution of the hinge.",
                "Rows beyond the margin still have no pull at all. Only those in the bend pull less than before.",
            ),
        ),
        references=(
            Reference(
                authors="S. Shalev-Shwartz and T. Zhang",
                year=2013,
                title="Stochastic dual coordinate ascent methods for regularized loss minimization",
                venue="Journal of Machine Learning Research 14, 567-599",
                url="https://www.jmlr.org/papers/v14/shalev-shwartz13a.html",
            ),
        ),
    )

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive on the right side."""
        short = ops.max(0, 1 - margin)
        return ops.where(margin >= 1 - self.gamma, short * (short / self.gamma) / 2, short - self.gamma / 2)
