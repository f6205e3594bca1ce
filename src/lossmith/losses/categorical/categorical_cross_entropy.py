"""Categorical cross-entropy of target distributions, one-hot or soft."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.softmax import Softmax


class CategoricalCrossEntropy(Softmax):
    """Expected minus log-probability under the target distribution, which is a row of its own."""

    aliases = ("ce", "cross_entropy", "softmax_cross_entropy", "multinomial_deviance")
    fixed_targets = "distributions"
    targets = None

    card = Card(
        title="Categorical cross-entropy",
        task="categorical",
        summary="How surprising the target distribution is under the predicted probabilities.",
        picture="Flat where the true class is almost certain, a straight climb in its logit where it is ruled out.",
        estimates="class probabilities",
        activation="softmax",
        pros=(
            "a strictly proper score: the honest probabilities are the best answer",
            "convex in the logits, with the gradient probability minus target",
            "takes soft targets: votes of several annotators, a teacher's answer, mixed examples",
        ),
        cons=(
            "one confident error can dominate",
            "wrong labels pull hard",
            "on soft targets its floor is their entropy, not zero",
        ),
        use_when=("each example belongs to exactly one class, perhaps not known for certain",),
        avoid_when=(
            "several classes can hold at once: use binary cross-entropy for each",
            "targets are plain indices and classes are many: the sparse form needs a K-th of the memory",
        ),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="One-hot, a picture of a cat: probability 0.7 for cat costs 0.357, probability 0.3 costs 1.204.",
                y_true=((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)),
                y_pred=((0.7, 0.2, 0.1), (0.3, 0.6, 0.1)),
                losses=(0.3566749, 1.2039728),
                options={"prediction": "probabilities"},
            ),
            Example(
                text="Dog 0.5, cat 0.2, wolf 0.3, and it is a dog: 0.693.",
                y_true=((1.0, 0.0, 0.0),),
                y_pred=((0.5, 0.2, 0.3),),
                losses=(0.6931472,),
                options={"prediction": "probabilities"},
            ),
            Example(
                text="Seven of ten annotators say cat, two dog, one wolf: the honest answer costs the entropy, 0.802, "
                "and certainty of cat is infinitely worse than that.",
                y_true=((0.7, 0.2, 0.1), (0.7, 0.2, 0.1)),
                y_pred=((0.7, 0.2, 0.1), (1.0, 0.0, 0.0)),
                losses=(0.8018186, float("inf")),
                options={"prediction": "probabilities"},
            ),
        ),
        myths=(
            Myth(
                "A good model brings the cross-entropy down to zero.",
                "Not on soft or smoothed targets: there the least is their entropy, which `context` tells.",
            ),
        ),
        references=(
            Reference(
                authors="J. S. Bridle",
                year=1990,
                title="Probabilistic interpretation of feedforward classification network outputs, with relationships "
                "to statistical pattern recognition",
                venue="Neurocomputing, NATO ASI Series 68, 227-236",
                doi="10.1007/978-3-642-76153-9_28",
            ),
            Reference(
                authors="C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna",
                year=2016,
                title="Rethinking the Inception architecture for computer vision",
                venue="IEEE Conference on Computer Vision and Pattern Recognition, 2818-2826",
                doi="10.1109/CVPR.2016.308",
            ),
        ),
    )

    def of_true_class(self, ops: Ops, u: Value, p: Value, q: Value) -> Value:
        """Return the loss, given u = -log p, p and q = 1 - p of the true class."""
        return u
