"""Triplet loss: the own kind shall be nearer than strangers, by a margin."""

from lossmith.core.card import Card, Example, Formula, Kink, Myth, Reference, Traits
from lossmith.core.inputs import Input
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.distance import Distance


class Triplet(Distance):
    """Triplet loss: max(0, distance to the positive - distance to the negative + ``margin``), one loss a triplet."""

    aliases = ("triplet_margin", "triplet_loss", "triplet_margin_loss")
    inputs = (
        Input("a", "anchor", doc="embeddings of the examples"),
        Input("p", "positive", doc="embeddings of their own kind"),
        Input("n", "negative", doc="embeddings of another kind"),
    )
    symbols = ("near", "far")
    pairs = (("a", "p"), ("a", "n"))

    margin = Parameter(
        1.0, domain="(0, inf)", symbol="m", typical=(0.1, 5.0), doc="by how much the negative shall be farther away"
    )

    card = Card(
        title="Triplet loss",
        task="embeddings",
        summary="How much the positive fails to be nearer to the anchor than the negative, by the margin.",
        picture="Flat at 0 while the positive is near enough, then a straight climb in its distance.",
        estimates="distances",
        activation="linear, or unit length",
        pros=(
            "learns a space of embeddings, for classes never seen in training",
            "asks for an order of distances, not for their values",
        ),
        cons=(
            "most triplets soon cost nothing, so which are chosen decides",
            "all embeddings at one point cost no more than the margin: training can settle there",
        ),
        use_when=("faces, products or texts are to be found again by nearness", "classes are many and change"),
        avoid_when=("classes are few and known: a classifier learns faster",),
        traits=Traits(convex=False, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("near = far - margin", "gradient", lambda loss, far: (far - loss.margin,)),),
        formula=Formula(
            value=(r"\max\left(0, d(a, p) - d(a, n) + m\right)", "max(0, d(a, p) - d(a, n) + m)"),
            gradient=(
                r"\nabla_a d(a, p) - \nabla_a d(a, n) \text{ where the loss is positive}",
                "the gradient by a of d(a, p) - d(a, n) where the loss is positive, else 0",
            ),
            hessian=(
                r"\nabla_a^2 d(a, p) - \nabla_a^2 d(a, n) \text{ where the loss is positive}",
                "the second derivatives by a of d(a, p) - d(a, n) where the loss is positive, else 0",
            ),
        ),
        examples=(
            Example(
                text="Two photos of one person lie 1 apart and a stranger 2 away: with margin 1.5 that costs 0.5.",
                inputs={"anchor": ((0.0, 0.0),), "positive": ((0.6, 0.8),), "negative": ((0.0, 2.0),)},
                losses=(0.5,),
                options={"margin": 1.5},
            ),
            Example(
                text="The same with squared distances 1 and 4 costs nothing: the stranger is far enough.",
                inputs={"anchor": ((0.0, 0.0),), "positive": ((0.6, 0.8),), "negative": ((0.0, 2.0),)},
                losses=(0.0,),
                options={"margin": 1.5, "distance": "squared"},
            ),
        ),
        myths=(
            Myth(
                "Where anchor and positive coincide the gradient is undefined, so an epsilon must go into the norm.",
                "The zero vector is a subgradient of the distance there, and it is what is returned; "
                "an epsilon makes equal points a little apart and invents a direction.",
            ),
        ),
        references=(
            Reference(
                authors="F. Schroff, D. Kalenichenko and J. Philbin",
                year=2015,
                title="FaceNet: a unified embedding for face recognition and clustering",
                venue="IEEE Conference on Computer Vision and Pattern Recognition, 815-823",
                doi="10.1109/CVPR.2015.7298682",
            ),
        ),
    )

    def formula(self, ops: Ops, near: Value, far: Value) -> Value:
        """Return the loss from the distances to the positive and to the negative."""
        return ops.max(0.0, near - far + self.margin)

    @property
    def held(self) -> float:
        """Pictures hold the negative at twice the margin."""
        return 2 * float(self.margin)
