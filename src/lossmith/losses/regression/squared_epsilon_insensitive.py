"""Squared epsilon-insensitive loss: squared error beyond a tolerance."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class SquaredEpsilonInsensitive(Pointwise):
    """Square of what the residual exceeds ``epsilon`` by; errors within the tolerance are free."""

    aliases = ("l2_svr", "squared_epsilon_insensitive_loss")

    epsilon = Parameter(
        0.1, domain="[0, inf)", symbol=r"\epsilon", typical=(0.01, 2.0), doc="size of residual that is tolerated"
    )

    card = Card(
        title="Squared epsilon-insensitive loss (L2-SVR)",
        task="regression",
        summary="Nothing while the prediction is within epsilon of the target, then the square of the excess.",
        picture="A parabola cut in two and pulled apart: between its halves a flat floor, narrow by default, where "
        "the Hessian is 0.",
        estimates="near the mean",
        activation="linear",
        pros=("a continuous gradient, where the plain form has corners", "rows within the tolerance have no pull"),
        cons=(
            "outliers pull without bound",
            "within the tolerance all predictions are equally good",
            "its Hessian jumps from 0 to 2 at the tolerance",
        ),
        use_when=("a tolerance is known and the solver needs a gradient without jumps",),
        avoid_when=("some targets are far off and shall not steer the fit",),
        traits=Traits(convex=True, differentiable=True, smooth=False, lipschitz=False, symmetric=True),
        kinks=(
            Kink(
                "f = y ± epsilon",
                "hessian",
                lambda loss, y: (y - loss.epsilon, y + loss.epsilon) if loss.epsilon > 0 else (),
            ),
        ),
        examples=(
            Example(
                text="With a tolerance of 0.5, an error of 0.25 is free and an error of 2 costs 1.5 squared.",
                y_true=(1.0, 1.0),
                y_pred=(1.25, 3.0),
                losses=(0.0, 2.25),
                options={"epsilon": 0.5},
            ),
        ),
        myths=(
            Myth(
                "Squaring makes the tolerance pointless.",
                "It makes its edge soft, no more: inside, errors are still free.",
            ),
        ),
        references=(
            Reference(
                authors="C.-H. Ho and C.-J. Lin",
                year=2012,
                title="Large-scale linear support vector regression",
                venue="Journal of Machine Learning Research 13, 3323-3348",
                url="https://www.jmlr.org/papers/v13/ho12a.html",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        r = f - y
        a = ops.max(r, -r)  # |r| with a slope at 0 too: without a tolerance the curvature there is 2
        return ops.where(self.epsilon <= a, (a - self.epsilon) ** 2, 0)
