"""Pseudo-Huber loss: a Huber loss without a seam."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class PseudoHuber(Pointwise):
    """A hyperbola: about half the squared residual well below ``delta``, a line of slope ``delta`` well above."""

    aliases = ("charbonnier", "pseudo_huber_loss")

    delta = Parameter(
        1.0, domain="(0, inf)", symbol=r"\delta", typical=(0.1, 5.0), doc="size of residual around which it straightens"
    )

    card = Card(
        title="Pseudo-Huber loss (Charbonnier)",
        task="regression",
        summary="Half the squared residual while it is small, going over into a straight line around delta.",
        picture="A branch of a hyperbola: a round bowl whose arms come ever closer to lines of slope delta.",
        estimates="between mean and median",
        activation="linear",
        pros=(
            "every derivative exists, and the curvature never quite vanishes",
            "bounded pull of outliers",
            "convex",
        ),
        cons=(
            "delta has the unit of the target and must be set",
            "leaves the parabola sooner than Huber: at delta it pulls with 0.71 delta, not with delta",
        ),
        use_when=("Huber is wanted by a solver that needs smooth second derivatives",),
        avoid_when=("small residuals must count exactly as under squared error",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        examples=(
            Example(
                text="With delta 3, a residual of 4 costs 6: the square root of 9 + 16 is 5, less 3, times 3.",
                y_true=(1.0,),
                y_pred=(5.0,),
                losses=(6.0,),
                options={"delta": 3.0},
            ),
            Example(
                text="A residual of 0.01 costs half its square, one of 100 its size less about 1.",
                y_true=(0.0, 0.0),
                y_pred=(0.01, 100.0),
                losses=(0.00004999875, 99.0049999),
            ),
        ),
        myths=(
            Myth(
                "Code can write it as the formula stands: delta squared times (root - 1).",
                "For small residuals the root rounds to 1 and the loss to 0, and for large ones the square "
                "overflows. Here both ends keep their digits.",
            ),
        ),
        references=(
            Reference(
                authors="P. Charbonnier, L. Blanc-Féraud, G. Aubert and M. Barlaud",
                year=1994,
                title="Two deterministic half-quadratic regularization algorithms for computed imaging",
                venue="IEEE International Conference on Image Processing, 168-172",
                doi="10.1109/ICIP.1994.413553",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return self.delta * (self.delta * ops.bowl((f - y) / self.delta, 1))  # bowl(x, 1) is sqrt(1 + x²) - 1
