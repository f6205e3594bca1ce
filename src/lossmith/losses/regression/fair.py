"""Fair loss: an absolute error with a round bottom."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Fair(Pointwise):
    """``c`` squared times a - log(1 + a) with a = |r| / c: half squared error near zero, almost a line far out."""

    aliases = ("fair_loss",)

    c = Parameter(
        1.0, domain="(0, inf)", symbol="c", typical=(0.1, 5.0), doc="residual at which half the pull is reached"
    )

    card = Card(
        title="Fair loss",
        task="regression",
        summary="Between squared and absolute error: the pull grows with the residual towards c, ever more slowly.",
        picture="A bowl that straightens slowly: the slope of its arms comes near c only far out.",
        estimates="between mean and median",
        activation="linear",
        pros=(
            "bounded pull of outliers, convex, with a continuous Hessian that is positive everywhere",
            "built into LightGBM, with the same c",
        ),
        cons=(
            "bends away from squared error at once: at a residual of c it pulls with c / 2",
            "c has the unit of the target; customary is 1.400 robust deviations of the residuals",
        ),
        use_when=("a robust loss is wanted whose Hessian never vanishes",),
        avoid_when=("small residuals must count exactly as under squared error: Huber does that",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        examples=(
            Example(
                text="With c 1: a residual of 1 costs 1 - log 2, one of 100 costs 100 - log 101.",
                y_true=(0.0, 0.0),
                y_pred=(1.0, 100.0),
                losses=(0.3068528, 95.3848795),
            ),
        ),
        myths=(
            Myth(
                "The name says that the loss treats everyone fairly.",
                "It is named after the economist Ray Fair.",
            ),
        ),
        references=(
            Reference(
                authors="P. W. Holland and R. E. Welsch",
                year=1977,
                title="Robust regression using iteratively reweighted least-squares",
                venue="Communications in Statistics - Theory and Methods 6(9), 813-827",
                doi="10.1080/03610927708827533",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        r = f - y
        # |r| with a slope at 0 too: the curvature there is 1.
        return ops.log1p_bowl(ops.max(r, -r), self.c)
