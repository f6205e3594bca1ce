"""Cauchy loss: the likelihood of errors with very heavy tails."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Cauchy(Pointwise):
    """Half of ``scale`` squared times log(1 + (r / scale)²): half squared error near zero, a logarithm far out."""

    aliases = ("lorentzian", "cauchy_loss", "log1p_square_error")

    scale = Parameter(
        1.0, domain="(0, inf)", symbol="c", typical=(0.1, 5.0), doc="residual at which the pull is strongest"
    )

    card = Card(
        title="Cauchy loss (Lorentzian)",
        task="regression",
        summary="Grows like the logarithm of the residual, so a row far off has less pull than one close by.",
        picture="A bowl whose arms bend outwards and grow ever more slowly, without ever being flat.",
        estimates="between mean and mode",
        activation="linear",
        pros=(
            "an outlier's pull fades as it moves away, like 1 over its distance",
            "never quite flat, so a row far off still finds its way back",
        ),
        cons=(
            "not convex: several local minima are possible, and the start matters",
            "scale has the unit of the target; customary is 2.385 robust deviations of the residuals",
            "the Hessian is negative beyond the scale, so second-order boosting needs a floor",
        ),
        use_when=("a good share of the targets is wrong", "the noise has very heavy tails"),
        avoid_when=("the expected value is wanted", "there is no good starting point"),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        examples=(
            Example(
                text="A residual of 1 costs half of log 2, one of 100 costs 4.6 and one of 10,000 only 9.2.",
                y_true=(0.0, 0.0, 0.0),
                y_pred=(1.0, 100.0, 10000.0),
                losses=(0.3465736, 4.6052202, 9.2103404),
            ),
        ),
        myths=(
            Myth(
                "A robust loss makes outliers harmless.",
                "It makes their pull small. With many outliers on one side, even a fading pull adds up.",
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
            Reference(
                authors="M. J. Black and P. Anandan",
                year=1996,
                title="The robust estimation of multiple motions: parametric and piecewise-smooth flow fields",
                venue="Computer Vision and Image Understanding 63(1), 75-104",
                doi="10.1006/cviu.1996.0006",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return self.scale * (self.scale * ops.bowl((f - y) / self.scale, 0))  # bowl(x, 0) is log(1 + x²) / 2
