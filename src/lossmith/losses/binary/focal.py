"""Focal loss: cross-entropy that turns down what is already right."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import SoftBinary


class Focal(SoftBinary):
    """Binary cross-entropy times ``(1 - probability of the label) ** gamma``; ``alpha`` weighs the positive class."""

    aliases = ("focal_loss", "binary_focal", "sigmoid_focal")

    gamma = Parameter(
        2.0, domain="[0, inf)", symbol=r"\gamma", typical=(0.5, 5.0), doc="how strongly easy examples are turned down"
    )
    alpha = Parameter(
        None,
        domain="(0, 1)",
        symbol=r"\alpha",
        typical=(0.1, 0.9),
        doc="weight of the positive class, 1 - alpha that of the negative; by default both count 1",
    )

    card = Card(
        title="Focal loss (binary)",
        task="binary",
        summary="Cross-entropy that counts an example less, the surer and righter the model is of it.",
        picture="Cross-entropy on the wrong side; on the right side it drops to zero much sooner.",
        estimates="distorted probability",
        activation="sigmoid",
        pros=("many easy negatives no longer drown the few that matter", "gamma 0 is cross-entropy"),
        cons=(
            "its optimum is not the probability: calibrate before reading scores as such",
            "not convex, so its Hessian can be negative",
            "two parameters, and ports disagree on alpha",
        ),
        use_when=("a detector sees thousands of easy negatives for each positive",),
        avoid_when=("calibrated probabilities are needed and no recalibration follows",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="A positive at probability 0.9 counts a hundredth of its cross-entropy, one at 0.1 still 81%.",
                y_true=(1.0, 1.0),
                y_pred=(0.9, 0.1),
                losses=(0.001053605, 1.865094),
                options={"prediction": "probabilities"},
            ),
            Example(
                text="At logit -2 a positive costs 1.650 without alpha and a quarter of that with alpha 0.25.",
                y_true=(1.0,),
                y_pred=(-2.0,),
                losses=(0.4125195,),
                options={"alpha": 0.25},
            ),
        ),
        myths=(
            Myth(
                "99% accuracy shows that the model works.",
                "With 1% positives, always saying no reaches that. This failure is what focal loss was made against.",
            ),
        ),
        references=(
            Reference(
                authors="T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár",
                year=2017,
                title="Focal loss for dense object detection",
                venue="IEEE International Conference on Computer Vision, 2999-3007",
                doi="10.1109/ICCV.2017.324",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of label ``y`` at prediction ``f``."""
        yes, no = self.shares(y)
        log_p, log_q = self.log_probabilities(ops, f)
        positive, negative = (1, 1) if self.alpha is None else (self.alpha, 1 - self.alpha)
        if self.prediction == "logits":
            # mul0 keeps the limits at infinite logits, where certainty costs nothing and error everything.
            far_p, far_q = ops.exp(ops.mul0(self.gamma, log_q)), ops.exp(ops.mul0(self.gamma, log_p))
            return positive * ops.mul0(yes, far_p * -log_p) + negative * ops.mul0(no, far_q * -log_q)
        p, q = self.probabilities(ops, f)
        # Where a factor is 1 it is held, or its derivatives would set infinity against infinity.
        far_p, far_q = ops.alike(p > 0, ops.pow(q, self.gamma), 1), ops.alike(q > 0, ops.pow(p, self.gamma), 1)
        # Below 2**-53, log(1 - p) is -p to the last digit, and one power overflows later than two factors.
        of_no = ops.alike(p > 2.0**-53, ops.mul0(far_q, -log_q), ops.pow(p, self.gamma + 1))
        return positive * ops.mul0(ops.mul0(yes, far_p), -log_p) + negative * ops.mul0(no, of_no)
