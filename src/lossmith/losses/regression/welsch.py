"""Welsch loss: an upturned bell."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Welsch(Pointwise):
    """``scale`` squared times 1 - exp(-(r / scale)² / 2): half squared error near zero, constant far out."""

    aliases = ("leclerc", "correntropy", "welsch_loss")

    scale = Parameter(
        1.0, domain="(0, inf)", symbol="c", typical=(0.1, 5.0), doc="residual at which the pull is strongest"
    )

    card = Card(
        title="Welsch loss (Leclerc, correntropy)",
        task="regression",
        summary="A squared error with a ceiling that it reaches quickly: beyond three scales all errors cost alike.",
        picture="A bell turned upside down: a round bottom, then soon a flat plain.",
        estimates="near the mode",
        activation="linear",
        pros=(
            "outliers have no pull at all, for any practical purpose",
            "every derivative exists",
        ),
        cons=(
            "not convex: a fit can settle on any cluster of rows that agree",
            "rows beyond a few scales have no gradient, so a bad start never recovers",
            "scale has the unit of the target; customary is 2.11 robust deviations of the residuals",
        ),
        use_when=("a large share of the targets is plain wrong, and a good start is at hand",),
        avoid_when=("training from scratch: start with Huber, then change over",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        examples=(
            Example(
                text="A residual of 1 costs 0.393, one of 3 costs 0.989, one of 100 the whole ceiling of 1.",
                y_true=(0.0, 0.0, 0.0),
                y_pred=(1.0, 3.0, 100.0),
                losses=(0.3934693, 0.988891, 1.0),
            ),
        ),
        myths=(
            Myth(
                "The Welsch scale is the same number everywhere.",
                "Some write exp(-(r / c)²) and call 2.985 customary. With the half in the exponent, as here, "
                "that is a scale of 2.985 / √2 = 2.11.",
            ),
        ),
        references=(
            Reference(
                authors="J. E. Dennis and R. E. Welsch",
                year=1978,
                title="Techniques for nonlinear least squares and robust regression",
                venue="Communications in Statistics - Simulation and Computation 7(4), 345-359",
                doi="10.1080/03610917808812083",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return ops.bell_bowl(f - y, self.scale)
