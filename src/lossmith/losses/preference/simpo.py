"""Simple preference optimisation: preference by average log-probability, without a reference."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.inputs import Input
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.preference import Preference


class SimPO(Preference):
    """Cross-entropy of the preference; its logit is ``beta`` times the lead per token, less ``gamma``."""

    name = "simpo"
    aliases = ("simple_preference_optimization", "simple_preference_optimisation")
    inputs = (
        Input("c", "chosen", typical=(-4.0, 0.0), doc="average log-probability of a token of the chosen answer"),
        Input("r", "rejected", typical=(-4.0, 0.0), doc="average log-probability of a token of the rejected answer"),
    )
    beta = Parameter(
        2.0, domain="(0, inf)", symbol=r"\beta", typical=(1.0, 10.0), doc="what a nat of average lead counts"
    )
    gamma = Parameter(
        1.0, domain="[0, inf)", symbol=r"\gamma", typical=(0.3, 1.6), doc="lead, times beta, at which the odds are even"
    )

    card = Card(
        title="Simple preference optimisation (SimPO)",
        task="preference",
        summary="How surprising it is that the chosen answer was preferred, by the lead of its average "
        "log-probability over a margin.",
        picture="Flat once the chosen answer leads by well over gamma / beta, a straight climb where it does not.",
        estimates="preference",
        activation="log softmax, its log-probabilities averaged over the tokens of an answer",
        pros=(
            "needs no reference model: half the memory",
            "rewards what generation uses, the average log-probability, so length is no advantage",
        ),
        cons=("nothing holds the policy but the learning rate", "two parameters that depend on the data"),
        use_when=("a reference model is too dear, and answers differ in length",),
        avoid_when=("the policy must stay near a reference",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="With beta 2 and gamma 1 a lead of 0.5 nats a token makes even odds and costs log 2; "
                "no lead costs 1.313.",
                inputs={"chosen": (-1.0, -1.5), "rejected": (-1.5, -1.5)},
                losses=(0.6931472, 1.3132617),
            ),
        ),
        myths=(
            Myth(
                "Gamma is a margin in nats.",
                "It is taken off after beta is applied: the lead to reach is gamma / beta.",
            ),
        ),
        references=(
            Reference(
                authors="Y. Meng, M. Xia and D. Chen",
                year=2024,
                title="SimPO: simple preference optimization with a reference-free reward",
                venue="Advances in Neural Information Processing Systems 37",
                doi="10.48550/arXiv.2405.14734",
            ),
        ),
    )

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a lead in average log-probability."""
        return ops.softplus(self.gamma - self.beta * margin)
