"""Symmetric cross-entropy: cross-entropy plus its reverse, for labels that may be wrong."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.softmax import Softmax


class SymmetricCrossEntropy(Softmax):
    """``alpha`` times cross-entropy plus ``beta`` times the reverse one, in which log 0 is ``log_zero``.

    The reverse is ``-log_zero * (1 - p)`` of the true class; soft targets cost the mean over their classes.
    """

    aliases = ("sce", "symmetric_cross_entropy_loss")

    alpha = Parameter(0.1, domain="[0, inf)", symbol=r"\alpha", typical=(0.01, 6.0), doc="weight of cross-entropy")
    beta = Parameter(1.0, domain="[0, inf)", symbol=r"\beta", typical=(0.1, 2.0), doc="weight of its reverse")
    log_zero = Parameter(
        -4.0, domain="(-inf, 0)", symbol="A", typical=(-9.0, -2.0), doc="what stands for log 0 in the reverse"
    )

    card = Card(
        title="Symmetric cross-entropy",
        task="categorical",
        summary="Cross-entropy both ways: of the label under the prediction, and of the prediction under the label.",
        picture="A slope in the middle from the reverse part, which levels off; beyond it the gentler cross-entropy.",
        estimates="distorted probability",
        activation="softmax",
        pros=(
            "the reverse part is bounded, so wrong labels pull with less force",
            "the part of cross-entropy keeps hard examples learning",
        ),
        cons=(
            "three numbers to choose, of which beta and log_zero act only by their product",
            "its best probabilities are sharper than the true ones",
        ),
        use_when=("a share of the labels is wrong and it is not known which",),
        avoid_when=("labels are right and probabilities are wanted",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="Probability 0.7: a tenth of 0.357 and four times the missing 0.3. Probability 0.01, perhaps "
                "a wrong label: the reverse part stays below 4.",
                y_true=(0, 0),
                y_pred=((0.7, 0.2, 0.1), (0.01, 0.98, 0.01)),
                losses=(1.235667, 4.420517),
                options={"prediction": "probabilities"},
            ),
        ),
        myths=(
            Myth(
                "Symmetric cross-entropy is symmetric in prediction and target.",
                "Only where alpha equals beta, and only but for log_zero: the label's zeros have no logarithm.",
            ),
        ),
        references=(
            Reference(
                authors="Y. Wang, X. Ma, Z. Chen, Y. Luo, J. Yi and J. Bailey",
                year=2019,
                title="Symmetric cross entropy for robust learning with noisy labels",
                venue="IEEE International Conference on Computer Vision, 322-330",
                doi="10.1109/ICCV.2019.00041",
            ),
        ),
    )

    def of_true_class(self, ops: Ops, u: Value, p: Value, q: Value) -> Value:
        """Return the loss, given u = -log p, p and q = 1 - p of the true class."""
        return ops.mul0(self.alpha, u) - self.beta * self.log_zero * q
