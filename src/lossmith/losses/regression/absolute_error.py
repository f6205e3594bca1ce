"""Absolute error: the loss of the median."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class AbsoluteError(Pointwise):
    """Size of the residual; its mean is the mean absolute error (MAE)."""

    aliases = ("mae", "l1", "mean_absolute_error", "absolute", "lad")

    card = Card(
        title="Absolute error (MAE, L1)",
        task="regression",
        summary="The size of the residual: every unit of error costs the same.",
        picture="A V with its point at the target and straight arms.",
        estimates="median",
        activation="linear",
        pros=("robust: an outlier pulls no harder than any other row", "has the unit of the target and reads plainly"),
        cons=(
            "its gradient never shrinks, so a constant step bounces around the minimum",
            "its Hessian is zero, so second-order boosting needs a floor",
            "under skew the median is not the mean: sums of predictions are biased",
        ),
        use_when=("the typical value is wanted", "some targets are far off or wrong"),
        avoid_when=("totals matter, such as revenue: the sum of medians is not the median of the sum",),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=True),
        kinks=(Kink("f = y", "gradient", lambda loss, y: (y,)),),
        examples=(
            Example(
                text="The truth is 120 and the prediction 100: the absolute error is 20.",
                y_true=(120.0,),
                y_pred=(100.0,),
                losses=(20.0,),
            ),
            Example(
                text="Prices of 5 and 3 guessed as 4 and 6 are off by 1 and 3, on average by 2.",
                y_true=(5.0, 3.0),
                y_pred=(4.0, 6.0),
                losses=(1.0, 3.0),
                cost=2.0,
            ),
        ),
        myths=(
            Myth(
                "Absolute error cannot be used with gradient descent, since it has no derivative at zero.",
                "A subgradient is enough; here the derivative at the kink is 0, so an exact fit is left alone.",
            ),
            Myth(
                "Absolute error is slow to compute.",
                "The arithmetic is as cheap as that of squared error. What is slow is descent with a constant step, "
                "which cannot settle at the point of the V; let the step shrink.",
            ),
        ),
        references=(
            Reference(
                authors="P. Bloomfield and W. L. Steiger",
                year=1983,
                title="Least Absolute Deviations: Theory, Applications and Algorithms",
                venue="Birkhäuser, Boston",
                doi="10.1007/978-1-4684-8574-5",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return ops.abs(f - y)
