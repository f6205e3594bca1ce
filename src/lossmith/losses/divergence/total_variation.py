"""Total variation: the largest difference in probability of any event."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.class_sums import class_sum
from lossmith.structures.divergence import Divergence


class TotalVariation(Divergence):
    """Total variation distance: half of Σ |p - q|, one loss a row."""

    aliases = ("tv", "tvd", "total_variation_distance", "statistical_distance")

    card = Card(
        title="Total variation distance",
        task="distributions",
        summary="The most by which p and q can disagree about the probability of an event.",
        picture="A V with its point where q is p; along probabilities its arms are straight.",
        estimates="a distribution",
        activation="softmax",
        pros=(
            "between 0 and 1, and read as a difference of probabilities",
            "symmetric, with the triangle inequality",
            "finite whatever p and q rule out",
        ),
        cons=(
            "its gradient says only which of p and q is larger, not by how much",
            "a kink where they are equal, and vanishing gradients where a softmax is sure",
        ),
        use_when=("a bound on what can go wrong is wanted", "teacher and student are noisy in rare classes"),
        avoid_when=("ratios of small probabilities matter: use a Kullback-Leibler divergence",),
        traits=Traits(convex=False, differentiable=False, smooth=False, lipschitz=True, symmetric=True),
        formula=class_sum(
            (r"\frac{1}{2} \left|p_k - q_k\right|", "|p[k] - q[k]| / 2"),
            slope=(r"\frac{1}{2} \operatorname{sign}\left(q_k - p_k\right)", "sign(q[k] - p[k]) / 2"),
            bend=("0", "0"),
        ),
        kinks=(Kink("q = p", "gradient", lambda loss, first: (first,)),),
        examples=(
            Example(
                text="A fair coin and one that shows heads in nine of ten throws differ by 0.4.",
                inputs={"p": ((0.5, 0.5),), "q": ((0.9, 0.1),)},
                losses=(0.4,),
            ),
            Example(
                text="Two forecasts of sun, rain and snow: 0.1 has moved from sun to rain.",
                inputs={"p": ((0.7, 0.2, 0.1),), "q": ((0.6, 0.3, 0.1),)},
                losses=(0.1,),
            ),
        ),
        myths=(
            Myth(
                "The total variation is the sum of absolute differences.",
                "It is half of that: what one class gains another loses, and the sum counts both.",
            ),
        ),
        references=(
            Reference(
                authors="A. L. Gibbs and F. E. Su",
                year=2002,
                title="On choosing and bounding probability metrics",
                venue="International Statistical Review 70(3), 419-435",
                doi="10.1111/j.1751-5823.2002.tb00178.x",
            ),
        ),
    )

    def formula(self, ops: Ops, p: Value, q: Value) -> Value:
        """Return the loss of a class."""
        return ops.abs(p - q) / 2

    def terms(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return the same from d as well; see ``Divergence``."""
        return ops.abs(self.difference(ops, p, q, d)) / 2

    def pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return its derivatives by log p and log q; 0 where they are equal."""
        side = ops.sign(d)
        return p * side / 2, -q * side / 2
