"""Sequence likelihood calibration: a hinge between two answers."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.inputs import Input
from lossmith.core.parameter import Option, Parameter
from lossmith.program import Ops, Value
from lossmith.structures.preference import POLICY, REFERENCE, Preference


class SLiC(Preference):
    """How far ``beta`` times the lead of the chosen answer falls short of ``margin``."""

    name = "slic"
    aliases = ("slic_hf", "slic_hinge", "sequence_likelihood_calibration")
    margin = Parameter(
        1.0, domain="(0, inf)", symbol=r"\delta", typical=(0.5, 10.0), doc="lead at which the chosen answer is safe"
    )
    beta = Parameter(1.0, domain="(0, inf)", symbol=r"\beta", typical=(0.05, 1.0), doc="what a nat of lead counts")
    reference = Option(
        False, (False, True), doc="whether the lead is measured against that of a reference model, as in DPO"
    )

    card = Card(
        title="Sequence likelihood calibration (SLiC hinge)",
        task="preference",
        summary="Zero once the chosen answer leads by the margin; before that, what is missing to it.",
        picture="Flat zero where the chosen answer leads by the margin, and a straight line that climbs to the left.",
        estimates="preference",
        activation="log softmax, its log-probabilities summed over the tokens of an answer",
        pros=("pairs that are right by a margin have no pull", "needs no reference model", "bounded gradient"),
        cons=(
            "its gradient jumps at the margin, and its Hessian is zero",
            "without a reference nothing holds the policy: the authors add cross-entropy of good answers",
        ),
        use_when=("ranks matter, not how strong a preference is",),
        avoid_when=("a probability of the preference is wanted: dpo gives one",),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(
            Kink(
                "beta times the lead = margin",
                "gradient",
                lambda loss, held: (
                    held["rejected"]
                    + held.get("reference_chosen", 0.0)
                    - held.get("reference_rejected", 0.0)
                    + loss.margin / loss.beta,
                ),
                along="chosen",
            ),
        ),
        examples=(
            Example(
                text="With margin 1 a lead of 3 nats costs nothing, a lead of 0.25 costs 0.75, being 2 behind costs 3.",
                inputs={"chosen": (-40.0, -42.75, -45.0), "rejected": (-43.0, -43.0, -43.0)},
                losses=(0.0, 0.75, 3.0),
            ),
        ),
        myths=(
            Myth(
                "SLiC is the hinge form of DPO.",
                "The original compares log-probabilities themselves. Against a reference model, as libraries offer "
                "it, is a later form: reference=True, often with beta 0.1.",
            ),
        ),
        references=(
            Reference(
                authors="Y. Zhao, R. Joshi, T. Liu, M. Khalman, M. Saleh and P. J. Liu",
                year=2023,
                title="SLiC-HF: sequence likelihood calibration with human feedback",
                venue="arXiv 2305.10425",
                doi="10.48550/arXiv.2305.10425",
            ),
        ),
    )

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The policy's log-probabilities, and the reference model's where it has one."""
        return (*POLICY, *REFERENCE) if self.reference else POLICY

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a lead of the chosen answer."""
        return ops.max(0, self.margin - self.beta * margin)
