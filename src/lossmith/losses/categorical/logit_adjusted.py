"""Logit-adjusted cross-entropy: log frequencies of the classes are added to the logits in training."""

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Example, Formula, Myth, Reference, Traits
from lossmith.core.parameter import Parameter, Vector
from lossmith.program import Ops, Value
from lossmith.structures.softmax import AdjustedSoftmax


class LogitAdjusted(AdjustedSoftmax):
    """Cross-entropy of ``logits + tau * log(prior)``; without a prior all classes count as equally frequent."""

    aliases = ("logit_adjustment", "logit_adjusted_cross_entropy")

    tau = Parameter(
        1.0, domain="[0, inf)", symbol=r"\tau", typical=(0.5, 2.0), doc="strength; 0 is none", in_formula=False
    )
    prior = Vector(domain="(0, 1]", doc="share of each class in the training data; they sum to 1")

    card = Card(
        title="Logit-adjusted cross-entropy",
        task="categorical",
        summary="How surprising the true class is, once the logits are credited with its frequency.",
        picture="Cross-entropy, which a prior moves along the logit: a rare class must win by more before its loss "
        "falls.",
        estimates="balanced class probabilities",
        activation="softmax",
        pros=(
            "at tau 1 the scores rank classes as if all were equally frequent, which is best for balanced error",
            "convex, and no example is thrown away or repeated",
        ),
        cons=(
            "its softmax is no probability of the data at hand: add tau * log(prior) back for that",
            "a wrong prior misleads as a wrong weight does",
        ),
        use_when=("classes are of very unequal frequency, and rare ones matter as much",),
        avoid_when=("what counts is accuracy or probability on data as frequent as in training",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        formula=Formula(
            value=(
                r"-\log \frac{\pi_y^{\tau} e^{z_y}}{\sum_k \pi_k^{\tau} e^{z_k}}",
                "-log( prior[y]^tau exp(z[y]) / sum over k of prior[k]^tau exp(z[k]) )",
            ),
            gradient=(
                r"p_k - \delta_{ky}, \quad p_k \propto \pi_k^{\tau} e^{z_k}",
                "p[k] - (1 if k = y else 0), with p[k] in proportion to prior[k]^tau exp(z[k])",
            ),
            hessian=(r"p_k \left(1 - p_k\right)", "p[k] (1 - p[k])"),
        ),
        examples=(
            Example(
                text="Nine of ten examples are of the first class: undecided logits cost 0.105 there, else 2.303.",
                y_true=(0, 1),
                y_pred=((0.0, 0.0), (0.0, 0.0)),
                losses=(0.1053605, 2.3025851),
                options={"prior": (0.9, 0.1)},
            ),
        ),
        myths=(
            Myth(
                "Adjusting logits is weighting classes by inverse frequency.",
                "Weights change how much an example pulls; the adjustment changes by how much its class must win.",
            ),
        ),
        references=(
            Reference(
                authors="A. K. Menon, S. Jayasumana, A. S. Rawat, H. Jain, A. Veit and S. Kumar",
                year=2021,
                title="Long-tail learning via logit adjustment",
                venue="International Conference on Learning Representations",
                doi="10.48550/arXiv.2007.07314",
            ),
        ),
    )

    def of_true_class(self, ops: Ops, u: Value, p: Value, q: Value) -> Value:
        """Return the loss, given u = -log p, p and q = 1 - p of the true class."""
        return u

    def _check(self) -> None:
        super()._check()
        self.require_shares("prior")

    def adjustment(self) -> npt.NDArray[np.float64] | None:
        """Return what is added to the logits."""
        return None if self.prior is None else self.tau * np.log(self.shares("prior"))
