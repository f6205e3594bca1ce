"""Binary cross-entropy: the likelihood of a label."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import SoftBinary


class BinaryCrossEntropy(SoftBinary):
    """Negative log-probability of the label; soft labels in [0, 1] are allowed."""

    aliases = (
        "bce",
        "bce_with_logits",
        "log_loss",
        "logistic",
        "logistic_loss",
        "binary_crossentropy",
        "sigmoid_cross_entropy",
    )

    card = Card(
        title="Binary cross-entropy (log loss)",
        task="binary",
        summary="How surprising the label is under the predicted probability.",
        picture="Flat where confidently right, a straight climb in the logit, without end, where confidently wrong; "
        "against the probability that climb is a wall.",
        estimates="probability",
        activation="sigmoid",
        pros=(
            "a strictly proper score: the honest probability is the best answer",
            "convex in the logit, with a gradient that is simply probability minus label",
        ),
        cons=("one confident error can dominate", "wrong labels pull hard"),
        use_when=("probabilities are wanted",),
        avoid_when=("many labels are wrong", "only the ranking or the decision matters and margins do better"),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="The label is 1: probability 0.9 costs 0.105, probability 0.1 costs 2.303.",
                y_true=(1.0, 1.0),
                y_pred=(0.9, 0.1),
                losses=(0.1053605, 2.3025851),
                options={"prediction": "probabilities"},
            ),
            Example(
                text="Label 1 at probability 0.8 and label 0 at probability 0.2 are equally right.",
                y_true=(1.0, 0.0),
                y_pred=(0.8, 0.2),
                losses=(0.2231436, 0.2231436),
                options={"prediction": "probabilities"},
            ),
        ),
        myths=(
            Myth(
                "Binary cross-entropy has many local minima.",
                "It is convex in the logit. A network in front of it is what is not convex.",
            ),
            Myth(
                "Cross-entropy is unsuitable for imbalanced data.",
                "Its probabilities stay right. What must change is the threshold, or the costs of the two errors.",
            ),
        ),
        references=(
            Reference(
                authors="I. J. Good",
                year=1952,
                title="Rational decisions",
                venue="Journal of the Royal Statistical Society B 14(1), 107-114",
                doi="10.1111/j.2517-6161.1952.tb00104.x",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of label ``y`` at prediction ``f``."""
        log_p, log_q = self.log_probabilities(ops, f)
        yes, no = self.shares(y)
        return ops.mul0(yes, -log_p) + ops.mul0(no, -log_q)
