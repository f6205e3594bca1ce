"""Generalised cross-entropy: between cross-entropy and the absolute error of the true class's probability."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.softmax import Softmax


class GeneralisedCrossEntropy(Softmax):
    """``(1 - p ** q) / q`` of the true class's probability; ``q`` 1 is ``1 - p``, ``q`` 0 is cross-entropy."""

    aliases = ("gce", "generalized_cross_entropy", "lq_loss")

    q = Parameter(
        0.7, domain="[0, 1]", symbol="q", typical=(0.1, 1.0), doc="how much wrong labels are turned down, from 0 to 1"
    )

    card = Card(
        title="Generalised cross-entropy",
        task="categorical",
        summary="How improbable the true class is, on a scale that bends from the logarithm to the straight line.",
        picture="Cross-entropy where the true class is likely; where it is ruled out the loss levels off at 1/q.",
        estimates="distorted probability",
        activation="softmax",
        pros=("bounded by 1/q, so a wrong label costs and pulls only so much", "one parameter leads to cross-entropy"),
        cons=(
            "not convex: examples that are far off hardly pull, and training starts slowly",
            "its best probabilities are sharper than the true ones, at q 1 certain of one class",
        ),
        use_when=("a share of the labels is wrong and it is not known which",),
        avoid_when=("labels are right and probabilities are wanted",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="Probability 0.9 costs 0.102, about what cross-entropy takes; 0.001 costs 1.417 instead of 6.908.",
                y_true=(0, 0),
                y_pred=((0.9, 0.06, 0.04), (0.001, 0.949, 0.05)),
                losses=(0.101569, 1.4172239),
                options={"prediction": "probabilities"},
            ),
            Example(
                text="With q 1 the loss is what is missing to certainty.",
                y_true=(1,),
                y_pred=((0.2, 0.5, 0.3),),
                losses=(0.5,),
                options={"prediction": "probabilities", "q": 1.0},
            ),
        ),
        myths=(
            Myth(
                "A loss that tolerates wrong labels is the safe choice.",
                "What it turns down are examples that look wrong, and the rare and the hard look so too.",
            ),
        ),
        references=(
            Reference(
                authors="Z. Zhang and M. R. Sabuncu",
                year=2018,
                title="Generalized cross entropy loss for training deep neural networks with noisy labels",
                venue="Advances in Neural Information Processing Systems 31",
                doi="10.48550/arXiv.1805.07836",
            ),
        ),
    )

    def of_true_class(self, ops: Ops, u: Value, p: Value, q: Value) -> Value:
        """Return the loss, given u = -log p, p and q = 1 - p of the true class."""
        loss = -ops.expm1(-self.q * u) / self.q
        if self.probabilities:
            # Where p ** q is no longer near 1, the power itself keeps more digits than its logarithm.
            loss = ops.where(self.q * u < 1, loss, (1 - ops.pow(p, self.q)) / self.q)
        return ops.where(ops.equal(self.q, 0), u, loss)
