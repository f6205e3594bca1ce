"""Discriminator losses of generative adversarial networks."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.inputs import Input
from lossmith.core.parameter import Option
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class GANDiscriminator(Pointwise):
    """What a discriminator pays for the score of a real and the score of a generated example; ``kind`` says how."""

    aliases = ("discriminator", "gan_d", "critic")
    inputs = (
        Input("r", "real", doc="scores of real examples: raw, without a sigmoid"),
        Input("f", "fake", doc="scores of generated examples: raw, without a sigmoid"),
    )
    kind = Option(
        "non_saturating",
        ("minimax", "non_saturating", "least_squares", "wasserstein", "hinge"),
        doc="the game: minimax and non_saturating -log σ(real) - log(1 - σ(fake)), least_squares "
        "((real - 1)² + fake²) / 2, wasserstein fake - real, hinge max(0, 1 - real) + max(0, 1 + fake)",
    )

    card = Card(
        title="GAN discriminator loss",
        task="adversarial",
        summary="How badly a pair of scores tells a real example from a generated one.",
        picture="Along the real score, cross-entropy of the label real on top of what the fake score costs: flat "
        "where the score is high, a straight climb where it is low.",
        estimates="density ratio",
        activation="linear (a score; the sigmoid, where there is one, is in the loss)",
        pros=(
            "at its best the score of minimax and non_saturating is the log ratio of real to generated density",
            "convex in both scores, in each kind",
        ),
        cons=(
            "its value says how hard the game is, not how good the pictures are",
            "wasserstein has no lower bound: it needs a critic with bounded slope",
        ),
        use_when=("a generator is trained against a discriminator: take gan_generator of the same kind",),
        avoid_when=("a likelihood can be had: it is easier to train and to judge",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        kinks=(
            Kink("real = 1 (hinge)", "gradient", lambda loss, held: (1.0,) * (loss.kind == "hinge"), along="real"),
            Kink("fake = -1 (hinge)", "gradient", lambda loss, held: (-1.0,) * (loss.kind == "hinge"), along="fake"),
        ),
        examples=(
            Example(
                text="Scores of 0 for both, which is knowing nothing, cost 2 log 2 = 1.386; 2 and -2 cost 0.254.",
                inputs={"real": (0.0, 2.0), "fake": (0.0, -2.0)},
                losses=(1.3862944, 0.2538560),
            ),
            Example(
                text="Least squares, halved: a real score of -1 is off by 2 and a fake one of 1 by 1.",
                inputs={"real": (-1.0,), "fake": (1.0,)},
                losses=(2.5,),
                options={"kind": "least_squares"},
            ),
        ),
        myths=(
            Myth(
                "Minimax and non-saturating GANs have different discriminators.",
                "The discriminator is the same; only the generator's loss differs.",
            ),
        ),
        references=(
            Reference(
                authors="I. Goodfellow, J. Pouget-Abadie, M. Mirza and others",
                year=2014,
                title="Generative adversarial nets",
                venue="Advances in Neural Information Processing Systems 27, 2672-2680",
                doi="10.48550/arXiv.1406.2661",
            ),
            Reference(
                authors="J. H. Lim and J. C. Ye",
                year=2017,
                title="Geometric GAN",
                venue="arXiv 1705.02894",
                doi="10.48550/arXiv.1705.02894",
            ),
        ),
    )

    def formula(self, ops: Ops, real: Value, fake: Value) -> Value:
        """Return the loss at the scores of a real and of a generated example."""
        if self.kind == "least_squares":
            return (real - 1) ** 2 / 2 + fake**2 / 2
        if self.kind == "wasserstein":
            return fake - real
        if self.kind == "hinge":
            return ops.max(0, 1 - real) + ops.max(0, 1 + fake)
        return ops.softplus(-real) + ops.softplus(fake)
