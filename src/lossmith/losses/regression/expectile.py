"""Expectile loss: the tilted squared error."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Expectile(Pointwise):
    """Squared residual times ``level`` where the prediction is too low and ``1 - level`` where it is too high."""

    aliases = ("expectile_loss", "asymmetric_least_squares", "asymmetric_squared_error")

    level = Parameter(
        0.5, domain="(0, 1)", symbol=r"\alpha", typical=(0.05, 0.95), doc="the expectile to estimate; 0.5 is the mean"
    )

    card = Card(
        title="Expectile loss",
        task="regression",
        summary="A squared error with unequal halves, whose optimum is an expectile: a mean pulled to one side.",
        picture="A parabola with its lowest point at the target; at levels other than 0.5 it is steeper on its "
        "costlier side.",
        estimates="expectile",
        activation="linear",
        pros=(
            "says how much worse it is to be too low than too high, in squared units",
            "has a gradient without a jump and a Hessian without a zero, where the quantile loss has neither",
            "uses the size of every residual, so it needs less data than a quantile",
        ),
        cons=(
            "an expectile is no share of the data: at level 0.9 it is not the value that 90% lie below",
            "outliers pull without bound",
        ),
        use_when=("too low and too high cost differently, and large errors much more than small ones",),
        avoid_when=("a share of the data must be covered: take the quantile loss",),
        traits=Traits(convex=True, differentiable=True, smooth=False, lipschitz=False, symmetric=False),
        kinks=(Kink("f = y", "hessian", lambda loss, y: () if loss.level == 0.5 else (y,)),),
        examples=(
            Example(
                text="At level 0.9 a demand of 100 predicted as 90 costs 90, predicted as 110 only 10.",
                y_true=(100.0, 100.0),
                y_pred=(90.0, 110.0),
                losses=(90.0, 10.0),
                options={"level": 0.9},
            ),
        ),
        myths=(
            Myth(
                "The expectile loss at 0.5 is squared error.",
                "It is half of it. Libraries disagree by that factor: some put a half in front, others do not.",
            ),
        ),
        references=(
            Reference(
                authors="W. K. Newey and J. L. Powell",
                year=1987,
                title="Asymmetric least squares estimation and testing",
                venue="Econometrica 55(4), 819-847",
                doi="10.2307/1911031",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return (f - y) ** 2 * ops.where(y < f, 1 - self.level, self.level)
