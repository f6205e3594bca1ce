"""Quantile loss: the tilted absolute error."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Quantile(Pointwise):
    """Quantile (pinball) loss: too low costs ``level`` a unit, too high ``1 - level``."""

    aliases = ("pinball", "quantile_loss", "pinball_loss", "check_loss", "tilted_absolute_error")

    level = Parameter(
        0.5, domain="(0, 1)", symbol=r"\alpha", typical=(0.05, 0.95), doc="the quantile to estimate; 0.5 is the median"
    )

    card = Card(
        title="Quantile loss (pinball)",
        task="regression",
        summary="An absolute error with unequal arms, whose optimum is a quantile instead of the median.",
        picture="A V with its point at the target; at levels other than 0.5 it is tilted, steeper on the costlier "
        "side.",
        estimates="quantile",
        activation="linear",
        pros=(
            "estimates any quantile, so two models bound an interval",
            "robust like absolute error",
            "says what over- and underprediction cost, one unit each",
        ),
        cons=(
            "a model a level, and separately trained levels may cross",
            "extreme levels need much data",
            "its Hessian is zero, so second-order boosting needs a floor",
        ),
        use_when=("stock, risk or capacity: being too low and too high cost differently", "intervals are wanted"),
        avoid_when=("the expected value is wanted",),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("f = y", "gradient", lambda loss, y: (y,)),),
        examples=(
            Example(
                text="At level 0.9 a demand of 100 predicted as 90 costs 9, predicted as 110 only 1.",
                y_true=(100.0, 100.0),
                y_pred=(90.0, 110.0),
                losses=(9.0, 1.0),
                options={"level": 0.9},
            ),
        ),
        myths=(
            Myth(
                "The quantile loss at 0.5 is the absolute error.",
                "It is half of it. The minimum is the same, the scale is not.",
            ),
        ),
        references=(
            Reference(
                authors="R. Koenker and G. Bassett",
                year=1978,
                title="Regression quantiles",
                venue="Econometrica 46(1), 33-50",
                doi="10.2307/1913643",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        # With the sign in abs, the derivative at an exact fit is 0, as for the absolute error.
        return ops.abs(y - f) * ops.where(y > f, self.level, 1 - self.level)
