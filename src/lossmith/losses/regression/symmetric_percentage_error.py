"""Symmetric percentage error: error as a share of target and prediction together."""

from lossmith.core.card import Card, Example, Formula, Kink, Myth, Reference, Traits
from lossmith.core.inputs import POSITIVE_TARGET, PREDICTION
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class SymmetricPercentageError(Pointwise):
    """Twice the size of the residual divided by |target| + |prediction|, from 0 to 2; 0 where both are 0."""

    aliases = ("smape", "symmetric_mean_absolute_percentage_error", "symmetric_absolute_percentage_error")
    inputs = (POSITIVE_TARGET, PREDICTION)

    card = Card(
        title="Symmetric percentage error (sMAPE)",
        task="regression",
        summary="The error as a fraction of the mean size of target and prediction; it cannot exceed 2.",
        picture="A sharp dent at the target between a plateau of 2 across zero and a slope that climbs towards 2.",
        estimates="near the median",
        activation="linear",
        pros=("has no unit and is bounded", "defined for targets of zero, unlike the plain percentage error"),
        cons=(
            "not symmetric in the residual: too low costs more than too high by the same amount",
            "a target of zero costs 2 for any prediction but zero, however close",
            "not convex, and without gradient where the signs differ",
        ),
        use_when=("a forecasting contest scores by it",),
        avoid_when=("targets are often zero", "training: fit absolute error or logarithms and only judge by this"),
        traits=Traits(convex=False, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(
            Kink("f = y, target not 0", "gradient", lambda loss, y: (y,) if y else ()),
            Kink("f = 0, target not 0", "gradient", lambda loss, y: (0.0,) if y else ()),
        ),
        formula=Formula(
            value=(r"\frac{2\,|f - y|}{|f| + |y|} \text{, and } 0 \text{ for } f = y", "2|f - y| / (|f| + |y|)"),
            gradient=(
                r"\frac{4\,|y| \operatorname{sign}(f - y)}{(|f| + |y|)^2} \text{ for } f y > 0 \text{, else } 0",
                "4|y| sign(f - y) / (|f| + |y|)² for f y > 0, else 0",
            ),
            hessian=(
                r"-\frac{8\,|y| \operatorname{sign}(f - y) \operatorname{sign}(f)}{(|f| + |y|)^3}"
                r" \text{ for } f y > 0 \text{, else } 0",
                "-8|y| sign(f - y) sign(f) / (|f| + |y|)³ for f y > 0, else 0",
            ),
        ),
        examples=(
            Example(
                text="100 predicted as 150 costs 0.4, as 50 costs 0.667: the same error, but lower is dearer.",
                y_true=(100.0, 100.0),
                y_pred=(150.0, 50.0),
                losses=(0.4, 0.6666667),
            ),
            Example(
                text="Nothing predicted as nothing is right; nothing predicted as 0.001 costs the most there is.",
                y_true=(0.0, 0.0),
                y_pred=(0.0, 0.001),
                losses=(0.0, 2.0),
            ),
        ),
        myths=(
            Myth(
                "It treats too high and too low alike.",
                "It is symmetric in swapping target and prediction, which is something else.",
            ),
        ),
        references=(
            Reference(
                authors="S. Makridakis",
                year=1993,
                title="Accuracy measures: theoretical and practical concerns",
                venue="International Journal of Forecasting 9(4), 527-529",
                doi="10.1016/0169-2070(93)90079-3",
            ),
            Reference(
                authors="P. Goodwin and R. Lawton",
                year=1999,
                title="On the asymmetry of the symmetric MAPE",
                venue="International Journal of Forecasting 15(4), 405-408",
                doi="10.1016/S0169-2070(99)00007-2",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        error, small = ops.abs(f - y), ops.min(ops.abs(y), ops.abs(f))
        middle = small + error / 2  # the mean of the two sizes, where the signs agree
        # Far apart the loss is what is missing to 2: that keeps the digits of its slope.
        near = error < middle
        share = ops.div(ops.where(near, error, 2 * small), middle)
        agree = ops.either(ops.both(y > 0, f > 0), ops.both(y < 0, f < 0))
        return ops.where(agree, ops.where(near, share, 2 - share), ops.where(error > 0, 2, 0))
