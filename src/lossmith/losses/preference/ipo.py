"""Identity preference optimisation: a margin to reach, and not to pass."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.preference import Preference


class IPO(Preference):
    """Squared distance of the change of the log odds against the reference from ``1 / (2 * beta)``."""

    aliases = ("identity_preference_optimization", "identity_preference_optimisation")
    beta = Parameter(
        0.1,
        domain="(0, inf)",
        symbol=r"\beta",
        typical=(0.01, 1.0),
        doc="how dear it is to leave the reference model: the margin to reach is 1 / (2 beta)",
    )

    card = Card(
        title="Identity preference optimisation (IPO)",
        task="preference",
        summary="The squared distance of the margin, by which the chosen answer gained on the rejected one, "
        "from its goal of 1 / (2 beta).",
        picture="A parabola with its lowest point where the chosen answer has gained exactly 1 / (2 beta) nats.",
        estimates="preference",
        activation="log softmax, its log-probabilities summed over the tokens of an answer",
        pros=(
            "has a finite optimum, also where all preferences agree: the reference model stays in force",
            "convex in the log-probabilities, with constant curvature",
        ),
        cons=("pulls without bound far from the goal", "a pair beyond the goal is pulled back, however right it is"),
        use_when=("preferences are nearly free of contradiction, where dpo drifts away from its reference",),
        avoid_when=("answers differ much in length: a goal in nats is then easy for one pair and hard for another",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=False, symmetric=False),
        examples=(
            Example(
                text="With beta 0.1 the goal is 5 nats: at a margin of 5 the loss is 0, at 0 and at 10 it is 25.",
                inputs={
                    "chosen": (-35.0, -40.0, -30.0),
                    "rejected": (-50.0, -50.0, -50.0),
                    "reference_chosen": (-40.0, -40.0, -40.0),
                    "reference_rejected": (-50.0, -50.0, -50.0),
                },
                losses=(0.0, 25.0, 25.0),
            ),
        ),
        myths=(
            Myth(
                "Every library's IPO is the paper's.",
                "The paper sums log-probabilities over an answer, and so does this. Some libraries divide them by "
                "the answer's length first; pass averages to get theirs.",
            ),
        ),
        references=(
            Reference(
                authors="M. G. Azar, Z. D. Guo, B. Piot, R. Munos, M. Rowland, M. Valko and D. Calandriello",
                year=2024,
                title="A general theoretical paradigm to understand learning from human preferences",
                venue="International Conference on Artificial Intelligence and Statistics, PMLR 238",
                doi="10.48550/arXiv.2310.12036",
            ),
        ),
    )

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive where the policy prefers the chosen answer more."""
        return (margin - 1 / (2 * self.beta)) ** 2
