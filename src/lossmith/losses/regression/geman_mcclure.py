"""Geman-McClure loss: a bowl that levels off."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class GemanMcClure(Pointwise):
    """Half of ``scale`` squared times r² / (r² + scale²): half squared error near zero, constant far out."""

    name = "geman_mcclure"
    aliases = ("geman", "gmc", "geman_mcclure_loss")

    scale = Parameter(
        1.0, domain="(0, inf)", symbol="c", typical=(0.1, 5.0), doc="residual at which half of the ceiling is reached"
    )

    card = Card(
        title="Geman-McClure loss",
        task="regression",
        summary="A squared error with a ceiling: no single row can cost more than half of the scale squared.",
        picture="A narrow bowl in a flat plain: far out the curve hardly rises any more.",
        estimates="near the mode",
        activation="linear",
        pros=(
            "outliers cost the ceiling and have next to no pull",
            "a ratio of polynomials: cheap, without exponentials",
        ),
        cons=(
            "not convex: a fit can settle on any cluster of rows that agree",
            "rows far off have hardly any gradient, so the start decides which of them count",
            "scale has the unit of the target and must be set",
        ),
        use_when=("many targets are plain wrong, and a reasonable start is at hand",),
        avoid_when=("training from scratch: start with Huber, then change over",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        examples=(
            Example(
                text="With scale 1 and its ceiling of 0.5: residuals of 1, 3 and 100 cost 0.25, 0.45 and 0.49995.",
                y_true=(0.0, 0.0, 0.0),
                y_pred=(1.0, 3.0, 100.0),
                losses=(0.25, 0.45, 0.499950005),
            ),
        ),
        myths=(
            Myth(
                "Geman-McClure has one formula.",
                "It has several scalings: r² / (r² + c²), half of it, twice it, or with 4c² below. They share the "
                "shape. Here its curvature at zero is 1, as for Huber.",
            ),
        ),
        references=(
            Reference(
                authors="M. J. Black and A. Rangarajan",
                year=1996,
                title="On the unification of line processes, outlier rejection, and robust statistics "
                "with applications in early vision",
                venue="International Journal of Computer Vision 19(1), 57-91",
                doi="10.1007/BF00131148",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return self.scale * (self.scale * ops.bowl((f - y) / self.scale, -2))  # bowl(x, -2) is x² / (1 + x²) / 2
