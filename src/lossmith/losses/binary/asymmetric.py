"""Asymmetric loss: focal loss with a focus for each class, made for many labels of which few apply."""

from math import log, log1p

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import SoftBinary


class Asymmetric(SoftBinary):
    """Focal loss with one gamma for each class; negatives below a probability of ``shift`` cost nothing."""

    aliases = ("asl", "asymmetric_loss", "asymmetric_focal")

    gamma_positive = Parameter(0.0, domain="[0, inf)", symbol=r"\gamma_{+}", typical=(0.5, 2.0), doc="positives' focus")
    gamma_negative = Parameter(4.0, domain="[0, inf)", symbol=r"\gamma_{-}", typical=(1.0, 5.0), doc="negatives' focus")
    shift = Parameter(0.05, domain="[0, 1)", symbol="m", typical=(0.01, 0.2), doc="up to here a negative costs nothing")

    card = Card(
        title="Asymmetric loss (multi-label)",
        task="binary",
        summary="Cross-entropy in which easy negatives count much less than easy positives, or nothing at all.",
        picture="Positives, as drawn: cross-entropy. Negatives: flat zero up to the shift, then a late and steep rise.",
        estimates="distorted probability",
        activation="sigmoid",
        pros=(
            "with hundreds of labels of which few apply, the many absent ones do not drown the present",
            "negatives that are surely right are dropped; wrongly unlabelled ones are turned down",
        ),
        cons=(
            "its optimum is not the probability: scores come out too high",
            "not convex, without gradient for easy negatives, and with three parameters to set",
        ),
        use_when=("each row has many labels and most do not apply",),
        avoid_when=("calibrated probabilities are needed", "both classes are about as frequent"),
        traits=Traits(convex=False, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(
            Kink("a negative at the shift, gamma 0", "gradient", lambda loss, y: _edge(loss, y, "gradient")),
            Kink("a negative at the shift, gamma to 1", "hessian", lambda loss, y: _edge(loss, y, "hessian")),
        ),
        examples=(
            Example(
                text="A positive at 0.9 costs its cross-entropy, a negative at 0.04 nothing and one at 0.55 0.043.",
                y_true=(1.0, 0.0, 0.0),
                y_pred=(0.9, 0.04, 0.55),
                losses=(0.1053605, 0.0, 0.0433217),
                options={"prediction": "probabilities"},
            ),
        ),
        myths=(
            Myth(
                "A network with a sigmoid for each label needs a loss of its own kind.",
                "Each label is a yes or no of its own, so any binary loss will do, summed over the labels.",
            ),
        ),
        references=(
            Reference(
                authors="T. Ridnik, E. Ben-Baruch, N. Zamir, A. Noy, I. Friedman, M. Protter and L. Zelnik-Manor",
                year=2021,
                title="Asymmetric loss for multi-label classification",
                venue="IEEE/CVF International Conference on Computer Vision, 82-91",
                doi="10.1109/ICCV48922.2021.00015",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of label ``y`` at prediction ``f``."""
        yes, no = self.shares(y)
        (log_p, log_q), (p, q) = self.log_probabilities(ops, f), self.probabilities(ops, f)
        above, below = p - self.shift, q + self.shift
        if self.prediction == "logits":
            far = ops.exp(ops.mul0(self.gamma_positive, log_q))
            beyond = f - (ops.log(self.shift) - ops.log1p(-self.shift))  # next to the shift, p has too few digits
            apart = ops.either(ops.equal(self.shift, 0), ops.abs(beyond) > 1)
            above = ops.sloped(ops.alike(apart, above, self.shift * q * ops.expm1(beyond)), p * q, f)
        else:
            far = ops.alike(p > 0, ops.pow(q, self.gamma_positive), 1)  # held at 1, or infinity would meet infinity
        # Below the shift all is 0, which the pole of a power at 0 would spoil; at it derivatives are of both sides.
        costs = ops.either(above > 0, ops.equal(beyond if self.prediction == "logits" else above, 0))
        above, log_below = ops.max(above, 0), ops.alike(self.shift > 0, ops.log(ops.min(below, 1)), log_q)
        surprise = -ops.alike(above > 0.5, log_below, ops.log1p(-above))
        if self.prediction == "logits":
            surprise = ops.sloped(surprise, ops.alike(self.shift > 0, p * q / below, p), f)
        gamma, rest = self.gamma_negative, ops.log1p(-below)  # whose digits are all that a power has next to 1
        near, bend = (ops.alike(above < 0.5, ops.pow(above, n), ops.exp(ops.mul0(n, rest))) for n in (gamma, gamma - 1))
        whole = ops.mul0(ops.alike(below > 0, ops.sloped(near, ops.mul0(gamma, bend), above), 1), surprise)
        # Next to 0, -log(1 - p) is p (1 + p / 2), and one power does what two factors cannot.
        negative = ops.alike(above > 2.0**-70, whole, ops.pow(above, gamma + 1) * (1 + above / 2))
        return ops.mul0(ops.mul0(yes, far), -log_p) + ops.mul0(no, ops.alike(costs, negative, 0))


def _edge(loss: Asymmetric, y: float, jumps: str) -> tuple[float, ...]:
    """Return where a negative begins to cost, if it is this that jumps there."""
    gamma = loss.gamma_negative
    if y == 1 or loss.shift == 0 or jumps != ("gradient" if gamma == 0 else "hessian" if gamma <= 1 else ""):
        return ()
    return (loss.shift if loss.prediction == "probabilities" else log(loss.shift) - log1p(-loss.shift),)
