"""Barron's general robust loss: one shape parameter from squared error to Welsch."""

from lossmith.core.card import Card, Example, Formula, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Barron(Pointwise):
    """Robust loss of ``r / scale`` whose shape ``alpha`` says how much outliers count; all limits are included."""

    aliases = ("general_robust", "adaptive_robust", "barron_loss")

    alpha = Parameter(
        1.0,
        domain="[-inf, inf]",
        symbol=r"\alpha",
        typical=(-2.0, 2.0),
        doc="the shape: 2 half squared, 1 pseudo-Huber, 0 Cauchy, -2 Geman-McClure, -inf Welsch",
    )
    scale = Parameter(1.0, domain="(0, inf)", symbol="c", typical=(0.1, 5.0), doc="residual at which the bowl ends")

    card = Card(
        title="Barron's general robust loss",
        task="regression",
        summary="A family of losses that agree near zero, from one that outliers rule to one that ignores them.",
        picture="A bowl with the same bottom for every alpha; its arms climb at 2, straighten at 1, bend over at 0 "
        "and go flat from -2 down.",
        estimates="between mean and mode",
        activation="linear",
        pros=(
            "robustness becomes a number that can be tuned, or learnt, instead of a choice among formulas",
            "contains half squared error, pseudo-Huber, Cauchy, Geman-McClure and Welsch, each at its scale",
        ),
        cons=(
            "below an alpha of 1 it is not convex",
            "two parameters, and scale has the unit of the target",
        ),
        use_when=("it is unknown how heavy the tails are: try alpha from 2 downwards",),
        avoid_when=("one of its members is known to fit: that one is faster and easier to explain",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=False, symmetric=True),
        formula=Formula(
            value=(
                r"\frac{|\alpha - 2|}{\alpha} \left(\left(1 + \frac{(f - y)^2}{c^2 |\alpha - 2|}\right)^{\alpha/2}"
                r" - 1\right) \text{ and its limits at } \alpha = 0, 2, \pm\infty",
                "|α - 2| / α ((1 + z)^(α/2) - 1)\nwith z = (f - y)² / (c² |α - 2|)",
            ),
            gradient=(
                r"\frac{f - y}{c^2} \left(1 + \frac{(f - y)^2}{c^2 |\alpha - 2|}\right)^{\alpha/2 - 1}",
                "(f - y) / c² (1 + z)^(α/2 - 1)\nwith z = (f - y)² / (c² |α - 2|)",
            ),
            hessian=(
                r"\frac{1}{c^2} \left(1 + \frac{(f - y)^2}{c^2 |\alpha - 2|}\right)^{\alpha/2 - 2}"
                r" \left(1 + (\alpha - 1) \frac{(f - y)^2}{c^2 |\alpha - 2|}\right)",
                "(1 + z)^(α/2 - 2) (1 + (α - 1) z) / c²\nwith z = (f - y)² / (c² |α - 2|)",
            ),
        ),
        examples=(
            Example(
                text="At the default alpha of 1, a residual of 1 costs √2 - 1.",
                y_true=(0.0,),
                y_pred=(1.0,),
                losses=(0.4142136,),
            ),
            Example(
                text="At alpha -2, residuals of 2 and 200 cost 1 and 1.9998: the ceiling is 2.",
                y_true=(0.0, 0.0),
                y_pred=(2.0, 200.0),
                losses=(1.0, 1.99980002),
                options={"alpha": -2.0},
            ),
        ),
        myths=(
            Myth(
                "Code needs special cases and a small epsilon near alpha 0 and 2.",
                "The family is smooth in alpha. Only its textbook formula divides by zero there; "
                "here the limits and their neighbours keep their digits without either.",
            ),
        ),
        references=(
            Reference(
                authors="J. T. Barron",
                year=2019,
                title="A general and adaptive robust loss function",
                venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition, 4331-4339",
                doi="10.1109/CVPR.2019.00446",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        r = f - y
        x = r / self.scale
        spread = ops.abs(self.alpha - 2)
        general = spread * ops.bowl(ops.div(x, ops.pow(spread, 0.5)), self.alpha)
        # Beyond an alpha of 10³⁰ the family is at its limits, to the last digit.
        limit = ops.where(self.alpha < 0, ops.bell_bowl(r, self.scale) / self.scale / self.scale, ops.expm1(x * x / 2))
        return ops.where(spread > 1e30, limit, ops.where(ops.equal(spread, 0), x * x / 2, general))
