"""Poly-1 loss: cross-entropy with another weight on its first polynomial term."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.softmax import Softmax


class SoftmaxPolyOne(Softmax):
    """Cross-entropy plus ``epsilon * (1 - p)`` of the true class."""

    aliases = ("softmax_poly1", "poly1_cross_entropy")

    epsilon = Parameter(
        2.0,
        domain="[-1, inf)",
        symbol=r"\epsilon",
        typical=(-1.0, 6.0),
        doc="what is added to the weight of the first term of the series of -log p in 1 - p, which is 1",
    )

    card = Card(
        title="Poly-1 loss (softmax)",
        task="categorical",
        summary="Cross-entropy plus a multiple of what the true class's probability lacks to 1.",
        picture="Cross-entropy with a steeper middle: the pull on examples that are nearly right is 1 + epsilon fold.",
        estimates="distorted probability",
        activation="softmax",
        pros=("one more number than cross-entropy, and epsilon 0 is cross-entropy", "still unbounded on sure errors"),
        cons=(
            "epsilon has to be searched for each task; published gains are fractions of a point",
            "its best probabilities are distorted, and it is convex only for epsilon up to 1",
        ),
        use_when=("a classifier is tuned to the last fraction of accuracy",),
        avoid_when=("probabilities are wanted", "there is no budget to tune epsilon"),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="Probability 0.7 costs the cross-entropy of 0.357 and twice the missing 0.3.",
                y_true=(0,),
                y_pred=((0.7, 0.2, 0.1),),
                losses=(0.9566749,),
                options={"prediction": "probabilities"},
            ),
            Example(
                text="With epsilon -1 the first term is gone: near certainty the loss falls with the square.",
                y_true=(0,),
                y_pred=((0.99, 0.005, 0.005),),
                losses=(0.00005033585,),
                options={"prediction": "probabilities", "epsilon": -1.0},
            ),
        ),
        myths=(
            Myth(
                "Poly-1 is focal loss with other numbers.",
                "Focal loss shifts all terms of the series; Poly-1 changes the first and leaves the rest.",
            ),
        ),
        references=(
            Reference(
                authors="Z. Leng, M. Tan, C. Liu, E. D. Cubuk, X. Shi, S. Cheng and D. Anguelov",
                year=2022,
                title="PolyLoss: a polynomial expansion perspective of classification loss functions",
                venue="International Conference on Learning Representations",
                doi="10.48550/arXiv.2204.12511",
            ),
        ),
    )

    def of_true_class(self, ops: Ops, u: Value, p: Value, q: Value) -> Value:
        """Return the loss, given u = -log p, p and q = 1 - p of the true class."""
        return u + self.epsilon * q
