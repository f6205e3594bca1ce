"""Tweedie loss: from squared error over Poisson and gamma to inverse Gaussian."""

from math import inf

from lossmith.core.card import Card, Example, Formula, Myth, Reference, Traits
from lossmith.core.domain import Domain
from lossmith.core.link import LOG
from lossmith.core.parameter import Option, Parameter
from lossmith.program import Ops, Value
from lossmith.structures.mean import by_power, grown
from lossmith.structures.pointwise import Pointwise


class Tweedie(Pointwise):
    """Half the deviance where the variance is the mean to the ``power``, up to a constant of the target.

    The constants make it continuous in ``power``, and equal to ``Poisson`` at 1 and ``Gamma`` at 2.
    """

    aliases = ("tweedie_nll", "tweedie_deviance", "compound_poisson")
    link = LOG

    power = Parameter(
        1.5, domain="[0, 3]", symbol="p", typical=(1.1, 1.9), doc="how the variance grows: as the mean to this power"
    )
    prediction = Option("log_mean", ("log_mean",), doc="what y_pred holds: the logarithm of the mean")

    card = Card(
        title="Tweedie loss",
        task="counts",
        summary="How surprising an amount is under the predicted mean, when the variance is a power of the mean.",
        picture="In the log mean, a valley between two exponential walls; the power decides which is the steeper.",
        estimates="mean",
        activation="exponential (linear layer giving the log mean)",
        pros=(
            "between powers 1 and 2, targets may be exactly zero or any positive amount",
            "one number leads from squared error (0) over Poisson (1) and gamma (2) to inverse Gaussian (3)",
        ),
        cons=(
            "the power must be chosen, and losses at different powers do not compare",
            "convex in the log mean only for powers from 1 to 2",
        ),
        use_when=("many targets are zero and the others positive and skewed: insurance claims, rainfall, sales",),
        avoid_when=("targets can be negative",),
        traits=Traits(
            convex=False, differentiable=True, smooth=True, lipschitz=False, symmetric=False, nonnegative=False
        ),
        formula=Formula(
            value=(
                r"\frac{e^{(2-p)f}}{2-p} - \frac{y e^{(1-p)f}}{1-p}",
                "z^(2-p) / (2-p) - y z^(1-p) / (1-p)\nwith z = exp(f)",
            ),
            gradient=(r"e^{(2-p)f} - y e^{(1-p)f}", "z^(2-p) - y z^(1-p)\nwith z = exp(f)"),
            hessian=(r"(2-p) e^{(2-p)f} - (1-p) y e^{(1-p)f}", "(2-p) z^(2-p) - (1-p) y z^(1-p)\nwith z = exp(f)"),
        ),
        examples=(
            Example(
                text="At power 1.5 and a mean of 1 (log mean 0), a target of 0 costs 2, and one of 3 costs 8.",
                y_true=(0.0, 3.0),
                y_pred=(0.0, 0.0),
                losses=(2.0, 8.0),
            ),
        ),
        myths=(
            Myth(
                "Tweedie at power 1 and 2 must be written as special cases.",
                "Only the textbook formula divides by zero there. With other constants, which do not "
                "change any minimum, the loss passes through both without a jump.",
            ),
        ),
        references=(
            Reference(
                authors="B. Jørgensen",
                year=1987,
                title="Exponential dispersion models",
                venue="Journal of the Royal Statistical Society B 49(2), 127-162",
                doi="10.1111/j.2517-6161.1987.tb01685.x",
            ),
        ),
    )

    @property
    def target_domain(self) -> Domain:
        """At least 0, and above it from power 2 on."""
        return _POSITIVE if self.power >= 2 else _NOT_NEGATIVE

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        rise, fall = grown(ops, 1, 2 - (p := self.power), f), grown(ops, y, 1 - p, f)
        # Where the first term overflows so does the loss: infinity less infinity would be no number.
        value = ops.alike(ops.abs(rise) < inf, rise - fall, ops.abs(rise))
        # Far from powers 1 and 2 both can overflow with either sign of the difference: what they share comes last.
        below = ops.mul_exp(ops.div(ops.exp(f), 2 - p) - ops.div(y, 1 - p), (1 - p) * f)
        above = ops.mul_exp(ops.div(1, 2 - p) - ops.div(ops.mul_exp(y, -f), 1 - p), (2 - p) * f)
        value = ops.alike(p > 0.5, ops.alike(p < 2.5, value, above), below)
        return by_power(ops, value, y, f, p)


_NOT_NEGATIVE = Domain.parse("[0, inf)", hint="a Tweedie target is at least 0")
_POSITIVE = Domain.parse("(0, inf)", hint="from power 2 on a Tweedie target is positive; with zeros go below 2")
