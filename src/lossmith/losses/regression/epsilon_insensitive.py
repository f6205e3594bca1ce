"""Epsilon-insensitive loss: absolute error beyond a tolerance."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class EpsilonInsensitive(Pointwise):
    """By how much the residual exceeds ``epsilon``; errors within the tolerance are free."""

    aliases = ("svr", "epsilon_insensitive_loss", "dead_zone")

    epsilon = Parameter(
        0.1, domain="[0, inf)", symbol=r"\epsilon", typical=(0.01, 2.0), doc="size of residual that is tolerated"
    )

    card = Card(
        title="Epsilon-insensitive loss (SVR)",
        task="regression",
        summary="Nothing while the prediction is within epsilon of the target, then the excess.",
        picture="A V with a flat floor, narrow by default: zero between minus and plus epsilon, straight arms outside.",
        estimates="near the median",
        activation="linear",
        pros=(
            "rows within the tolerance have no pull, so a support vector machine needs few of them",
            "robust: an outlier pulls no harder than any other row outside",
        ),
        cons=(
            "within the tolerance all predictions are equally good, so the optimum need not be one point",
            "gradient jumps at the two ends, and a Hessian of zero everywhere",
        ),
        use_when=("errors below a known tolerance do not matter", "support vector regression"),
        avoid_when=("small errors matter too", "the expected value is wanted"),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=True),
        kinks=(Kink("f = y ± epsilon", "gradient", lambda loss, y: (y - loss.epsilon, y + loss.epsilon)),),
        examples=(
            Example(
                text="With a tolerance of 0.5, an error of 0.25 is free and an error of 2 costs 1.5.",
                y_true=(1.0, 1.0),
                y_pred=(1.25, 3.0),
                losses=(0.0, 1.5),
                options={"epsilon": 0.5},
            ),
        ),
        myths=(
            Myth(
                "Epsilon-insensitive loss ignores small errors, so its predictions are within epsilon.",
                "It only says what errors cost. How many rows end up within epsilon depends on the noise.",
            ),
        ),
        references=(
            Reference(
                authors="V. N. Vapnik",
                year=1995,
                title="The Nature of Statistical Learning Theory",
                venue="Springer, New York",
                doi="10.1007/978-1-4757-2440-0",
            ),
            Reference(
                authors="A. J. Smola and B. Schölkopf",
                year=2004,
                title="A tutorial on support vector regression",
                venue="Statistics and Computing 14, 199-222",
                doi="10.1023/B:STCO.0000035301.49549.88",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return ops.max(0, ops.abs(f - y) - self.epsilon)
