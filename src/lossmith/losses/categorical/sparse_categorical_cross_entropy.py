"""Categorical cross-entropy of class indices."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.softmax import Softmax


class SparseCategoricalCrossEntropy(Softmax):
    """Minus log-probability of the true class, which is given by its index."""

    aliases = (
        "nll",  # log-probabilities are logits
        "sparse_cross_entropy",
        "sparse_categorical_crossentropy",
        "softmax_cross_entropy_with_integer_labels",
    )
    fixed_targets = "indices"
    targets = None

    card = Card(
        title="Sparse categorical cross-entropy",
        task="categorical",
        summary="How surprising the true class is under the predicted probabilities.",
        picture="Flat where the true class is almost certain, a straight climb in its logit where it is ruled out.",
        estimates="class probabilities",
        activation="softmax",
        pros=(
            "a strictly proper score: the honest probabilities are the best answer",
            "convex in the logits, with the gradient probability minus target",
            "an index a row needs a K-th of the memory of one-hot targets",
        ),
        cons=("one confident error can dominate", "wrong labels pull hard"),
        use_when=("each example has exactly one class, known by its index",),
        avoid_when=("several classes can hold at once: use binary cross-entropy for each",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="A picture of a cat: probability 0.7 for cat costs 0.357, probability 0.3 costs 1.204.",
                y_true=(0, 0),
                y_pred=((0.7, 0.2, 0.1), (0.3, 0.6, 0.1)),
                losses=(0.3566749, 1.2039728),
                options={"prediction": "probabilities"},
            ),
            Example(
                text="Dog 0.5, cat 0.2, wolf 0.3, and it is a dog: 0.693.",
                y_true=(0,),
                y_pred=((0.5, 0.2, 0.3),),
                losses=(0.6931472,),
                options={"prediction": "probabilities"},
            ),
        ),
        myths=(
            Myth(
                "Sparse cross-entropy is a different loss from the categorical one, and faster.",
                "The loss is the same. It reads indices instead of one-hot rows, which saves memory; "
                "how much time that saves is for measuring.",
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
        ),
    )

    def of_true_class(self, ops: Ops, u: Value, p: Value, q: Value) -> Value:
        """Return the loss, given u = -log p, p and q = 1 - p of the true class."""
        return u
