"""Huber loss: quadratic near zero, linear in the tails."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Huber(Pointwise):
    """Huber loss: half the squared residual up to ``delta``, linear beyond it."""

    delta = Parameter(
        1.0, domain="(0, inf)", symbol=r"\delta", typical=(0.1, 5.0), doc="size of residual at which the tail begins"
    )

    card = Card(
        title="Huber loss",
        task="regression",
        summary="Half the squared residual while it is small, and a straight line once it exceeds delta.",
        picture="A smooth bowl whose arms turn into straight lines at plus and minus delta.",
        estimates="between mean and median",
        activation="linear",
        pros=(
            "bounded pull of outliers, with the efficiency of squared error near zero",
            "convex, with a continuous gradient",
        ),
        cons=(
            "delta has the unit of the target and must be set: customary is 1.345 robust deviations of the residuals",
            "the Hessian is zero in the tails, so second-order boosting needs a floor there",
        ),
        use_when=("some targets are far off, and you still want about the mean of the rest",),
        avoid_when=("the expected value itself is wanted: under skew the optimum lies between median and mean",),
        traits=Traits(convex=True, differentiable=True, smooth=False, lipschitz=True, symmetric=True),
        kinks=(Kink("f = y ± delta", "hessian", lambda loss, y: (y - loss.delta, y + loss.delta)),),
        examples=(
            Example(
                text="With delta 1, an error of 0.5 is on the bowl and an error of 3 on the line.",
                y_true=(2.0, 2.0),
                y_pred=(2.5, 5.0),
                losses=(0.125, 2.5),
            ),
            Example(
                text="With delta 10, errors of 3 and 30 cost 4.5 and 250, where half squared error says 4.5 and 450.",
                y_true=(0.0, 0.0),
                y_pred=(3.0, 30.0),
                losses=(4.5, 250.0),
                options={"delta": 10.0},
            ),
        ),
        myths=(
            Myth(
                "Huber and smooth L1 are the same.",
                "They agree only at 1: smooth L1 with beta is Huber with delta = beta, divided by beta.",
            ),
        ),
        references=(
            Reference(
                authors="P. J. Huber",
                year=1964,
                title="Robust estimation of a location parameter",
                venue="Annals of Mathematical Statistics 35(1), 73-101",
                doi="10.1214/aoms/1177703732",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        r = f - y
        a = ops.abs(r)
        return ops.where(a <= self.delta, r * r / 2, self.delta * (a - self.delta / 2))
