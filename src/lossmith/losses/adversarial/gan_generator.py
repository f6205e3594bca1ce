"""Generator losses of generative adversarial networks."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.inputs import Input
from lossmith.core.parameter import Option
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class GANGenerator(Pointwise):
    """What a generator pays for the score that the discriminator gave its example; ``kind`` says how."""

    aliases = ("generator", "gan_g")
    inputs = (Input("f", "fake", doc="scores of generated examples: raw, without a sigmoid"),)
    kind = Option(
        "non_saturating",
        ("minimax", "non_saturating", "least_squares", "wasserstein", "hinge"),
        doc="the game: minimax log(1 - σ(fake)), non_saturating -log σ(fake), least_squares (fake - 1)² / 2, "
        "wasserstein and hinge -fake",
    )

    card = Card(
        title="GAN generator loss",
        task="adversarial",
        summary="How far a generated example is from being taken for a real one.",
        picture="A straight climb where the discriminator is not fooled, flat where it is.",
        estimates="nothing",
        activation="linear (the discriminator's score; the sigmoid, where there is one, is in the loss)",
        pros=("non_saturating pulls hardest where the discriminator is not fooled at all",),
        cons=(
            "its value says how strong the opponent is, not how good the pictures are",
            "minimax flattens out where the discriminator wins, so a weak generator stops learning",
        ),
        use_when=("a generator is trained against a discriminator: take gan_discriminator of the same kind",),
        avoid_when=("a likelihood can be had: it is easier to train and to judge",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="A score of -3 costs 3.049, a score of 3 only 0.049.",
                inputs={"fake": (-3.0, 3.0)},
                losses=(3.0485874, 0.0485874),
            ),
            Example(
                text="In the minimax game the same scores cost -0.049 and -3.049: at -3 there is hardly a slope.",
                inputs={"fake": (-3.0, 3.0)},
                losses=(-0.0485874, -3.0485874),
                options={"kind": "minimax"},
            ),
            Example(
                text="In the hinge game the generator has no hinge: a score of 3 costs -3.",
                inputs={"fake": (3.0,)},
                losses=(-3.0,),
                options={"kind": "hinge"},
            ),
        ),
        myths=(
            Myth(
                "Saturating and non-saturating losses have the same gradient.",
                "They have the same fixed points. Their slopes at a score f are -σ(f) and -σ(-f): where the "
                "discriminator is sure, one is nearly 0 and the other nearly -1.",
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
                authors="X. Mao, Q. Li, H. Xie, R. Y. K. Lau, Z. Wang and S. P. Smolley",
                year=2017,
                title="Least squares generative adversarial networks",
                venue="IEEE International Conference on Computer Vision, 2813-2821",
                doi="10.1109/ICCV.2017.304",
            ),
        ),
    )

    def formula(self, ops: Ops, fake: Value) -> Value:
        """Return the loss at the score of a generated example."""
        if self.kind == "minimax":
            return -ops.softplus(fake)
        if self.kind == "non_saturating":
            return ops.softplus(-fake)
        return (fake - 1) ** 2 / 2 if self.kind == "least_squares" else -fake
