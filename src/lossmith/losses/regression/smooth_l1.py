"""Smooth L1 loss: absolute error with the point rounded off."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class SmoothL1(Pointwise):
    """Absolute error minus half of ``beta``, rounded into a parabola where the residual is below ``beta``."""

    aliases = ("smooth_l1_loss", "smooth_absolute_error")

    beta = Parameter(
        1.0, domain="(0, inf)", symbol=r"\beta", typical=(0.1, 5.0), doc="size of residual below which it is rounded"
    )

    card = Card(
        title="Smooth L1 loss",
        task="regression",
        summary="The size of the residual, with a parabola in place of the point below beta.",
        picture="A V with arms of slope 1, whichever beta is chosen, and a bowl at the bottom that beta wide on "
        "either side.",
        estimates="between mean and median",
        activation="linear",
        pros=(
            "its pull is at most 1, so gradients need no clipping when one box is far off",
            "the arms stay those of absolute error while beta only rounds the point",
        ),
        cons=(
            "beta has the unit of the target and must be set",
            "the Hessian is zero in the arms, so second-order boosting needs a floor there",
        ),
        use_when=("coordinates of boxes are regressed", "absolute error is wanted without its corner"),
        avoid_when=("the loss shall grow like squared error as beta grows: Huber does, this one flattens",),
        traits=Traits(convex=True, differentiable=True, smooth=False, lipschitz=True, symmetric=True),
        kinks=(Kink("f = y ± beta", "hessian", lambda loss, y: (y - loss.beta, y + loss.beta)),),
        examples=(
            Example(
                text="With beta 2, errors of 0.5 and 3 cost 0.0625 and 2, where Huber with delta 2 says 0.125 and 4.",
                y_true=(0.0, 0.0),
                y_pred=(0.5, 3.0),
                losses=(0.0625, 2.0),
                options={"beta": 2.0},
            ),
        ),
        myths=(
            Myth(
                "Smooth L1 and Huber are two names of one loss.",
                "Only at 1. Smooth L1 with beta is Huber with delta = beta divided by beta: the minimum is the same, "
                "the scale and the best learning rate are not.",
            ),
        ),
        references=(
            Reference(
                authors="R. Girshick",
                year=2015,
                title="Fast R-CNN",
                venue="IEEE International Conference on Computer Vision, 1440-1448",
                doi="10.1109/ICCV.2015.169",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        r = f - y
        a = ops.abs(r)
        return ops.where(a <= self.beta, r * (r / self.beta) / 2, a - self.beta / 2)
