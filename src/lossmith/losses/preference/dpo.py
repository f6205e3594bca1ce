"""Direct preference optimisation: cross-entropy of which answer is preferred."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.preference import Preference


class DPO(Preference):
    """Cross-entropy of the preference; its logit is ``beta`` times the change of the log odds against the reference."""

    aliases = ("direct_preference_optimization", "direct_preference_optimisation", "cdpo")
    beta = Parameter(
        0.1,
        domain="(0, inf)",
        symbol=r"\beta",
        typical=(0.01, 0.5),
        doc="how dear it is to leave the reference model: small values let the policy go far",
    )
    label_smoothing = Parameter(
        0.0,
        domain="[0, 0.5)",
        symbol=r"\epsilon",
        typical=(0.01, 0.3),
        doc="probability that a preference is recorded the wrong way round (conservative DPO)",
    )

    card = Card(
        title="Direct preference optimisation (DPO)",
        task="preference",
        summary="How surprising it is that the chosen answer was preferred, by the policy's odds against the "
        "reference model's.",
        picture="Flat once the chosen answer has gained much on the rejected one, a straight climb where it has lost.",
        estimates="preference",
        activation="log softmax, its log-probabilities summed over the tokens of an answer",
        pros=("needs no reward model and no sampling", "convex in the log-probabilities, with bounded gradient"),
        cons=(
            "only the margin counts: both answers may become less probable",
            "without smoothing the margin grows without end on pairs that are never contradicted",
        ),
        use_when=("a language model is to follow pairwise preferences and a reference model is at hand",),
        avoid_when=("preferences are nearly free of contradiction: ipo has a margin to stop at",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="A policy equal to its reference costs log 2. Where the chosen answer gained 10 nats and the "
                "rejected one lost 10, the logit is 2 at beta 0.1, and the loss 0.127.",
                inputs={
                    "chosen": (-40.0, -30.0),
                    "rejected": (-50.0, -60.0),
                    "reference_chosen": (-40.0, -40.0),
                    "reference_rejected": (-50.0, -50.0),
                },
                losses=(0.6931472, 0.1269280),
            ),
        ),
        myths=(
            Myth(
                "DPO takes the average log-probability of a token.",
                "It takes the sum over the answer. With averages, as simpo has them, the same beta means "
                "something else.",
            ),
        ),
        references=(
            Reference(
                authors="R. Rafailov, A. Sharma, E. Mitchell, S. Ermon, C. D. Manning and C. Finn",
                year=2023,
                title="Direct preference optimization: your language model is secretly a reward model",
                venue="Advances in Neural Information Processing Systems 36",
                doi="10.48550/arXiv.2305.18290",
            ),
            Reference(
                authors="E. Mitchell",
                year=2023,
                title="A note on DPO with noisy preferences and relationship to IPO",
                venue="Technical note",
                url="https://ericmitchell.ai/cdpo.pdf",
            ),
        ),
    )

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive where the policy prefers the chosen answer more."""
        logit = self.beta * margin
        # (1 - ε) softplus(-x) + ε softplus(x), by softplus(x) = x + softplus(-x)
        return ops.softplus(-logit) + self.label_smoothing * logit
