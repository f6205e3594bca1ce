"""Balanced softmax: cross-entropy whose softmax counts each class by its number of examples."""

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Example, Formula, Myth, Reference, Traits
from lossmith.core.parameter import Vector
from lossmith.program import Ops, Value
from lossmith.structures.softmax import AdjustedSoftmax


class BalancedSoftmax(AdjustedSoftmax):
    """Cross-entropy of ``logits + log(counts)``; without counts all classes are taken as equally frequent."""

    aliases = ("balanced_softmax_loss", "balanced_softmax_cross_entropy")

    counts = Vector(domain="(0, inf)", doc="number of training examples of each class")

    card = Card(
        title="Balanced softmax",
        task="categorical",
        summary="How surprising the true class is under a softmax in which each class counts as often as it occurs.",
        picture="Cross-entropy, which counts move along the logit: a rare class must win by more before its loss "
        "falls.",
        estimates="balanced class probabilities",
        activation="softmax",
        pros=(
            "the plain softmax of its logits is right for a test set with equally many examples of each class",
            "nothing to tune: the counts are in the data",
        ),
        cons=(
            "its softmax is no probability of the data at hand",
            "with few examples of a class, their number is itself uncertain",
        ),
        use_when=("training data have a long tail, and the test is balanced",),
        avoid_when=("the test is as unbalanced as the training",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        formula=Formula(
            value=(
                r"-\log \frac{n_y e^{z_y}}{\sum_k n_k e^{z_k}}",
                "-log( n[y] exp(z[y]) / sum over k of n[k] exp(z[k]) )",
            ),
            gradient=(
                r"p_k - \delta_{ky}, \quad p_k \propto n_k e^{z_k}",
                "p[k] - (1 if k = y else 0), with p[k] in proportion to n[k] exp(z[k])",
            ),
            hessian=(r"p_k \left(1 - p_k\right)", "p[k] (1 - p[k])"),
        ),
        examples=(
            Example(
                text="900 examples of the first class and 100 of the second: undecided logits cost 0.105 and 2.303.",
                y_true=(0, 1),
                y_pred=((0.0, 0.0), (0.0, 0.0)),
                losses=(0.1053605, 2.3025851),
                options={"counts": (900, 100)},
            ),
        ),
        myths=(
            Myth(
                "Balanced softmax and logit adjustment are rival losses.",
                "They are one loss: the adjustment with tau 1 and the counts as prior.",
            ),
        ),
        references=(
            Reference(
                authors="J. Ren, C. Yu, S. Sheng, X. Ma, H. Zhao, S. Yi and H. Li",
                year=2020,
                title="Balanced meta-softmax for long-tailed visual recognition",
                venue="Advances in Neural Information Processing Systems 33, 4175-4186",
                doi="10.48550/arXiv.2007.10740",
            ),
        ),
    )

    def of_true_class(self, ops: Ops, u: Value, p: Value, q: Value) -> Value:
        """Return the loss, given u = -log p, p and q = 1 - p of the true class."""
        return u

    def adjustment(self) -> npt.NDArray[np.float64] | None:
        """Return what is added to the logits."""
        return None if self.counts is None else np.log(self.shares("counts"))
