"""Squared Hellinger distance: squared differences of the roots of probabilities."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures import log_ratio
from lossmith.structures.class_sums import class_sum
from lossmith.structures.divergence import Divergence, Pulls


class SquaredHellinger(Divergence):
    """Squared Hellinger distance: half of Σ (√p - √q)², one loss a row."""

    aliases = ("hellinger", "squared_hellinger_distance", "hellinger_divergence")

    card = Card(
        title="Squared Hellinger distance",
        task="distributions",
        summary="Half the squared distance between the roots of the probabilities, which is 1 minus their overlap.",
        picture="A bowl with its floor where q is p, with rims of at most 1.",
        estimates="a distribution",
        activation="softmax",
        pros=(
            "between 0 and 1, symmetric, finite whatever p and q rule out",
            "its square root is a distance",
            "robust: a class that p holds nearly impossible pulls with its root, not with a logarithm",
        ),
        cons=(
            "gradients fade where p and q have nothing in common",
            "by probabilities the gradient is infinite at 0; by logits it is not",
        ),
        use_when=("some observations are wrong and a likelihood would chase them", "a bounded distance is wanted"),
        avoid_when=("the costs are to add up over independent parts, as log-likelihoods do",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        formula=class_sum(
            (r"\frac{1}{2} \left(\sqrt{p_k} - \sqrt{q_k}\right)^2", "(√p[k] - √q[k])² / 2"),
            slope=(r"\frac{1}{2} \left(1 - \sqrt{\frac{p_k}{q_k}}\right)", "(1 - √(p[k] / q[k])) / 2"),
            bend=(r"\frac{1}{4} \sqrt{\frac{p_k}{q_k^3}}", "√(p[k] / q[k]³) / 4"),
        ),
        examples=(
            Example(
                text="A fair coin and one that shows heads in nine of ten throws: 0.106.",
                inputs={"p": ((0.5, 0.5),), "q": ((0.9, 0.1),)},
                losses=(0.1055728,),
            ),
            Example(
                text="Nothing in common costs 1, the most there is.",
                inputs={"p": ((1.0, 0.0),), "q": ((0.0, 1.0),)},
                losses=(1.0,),
            ),
        ),
        myths=(
            Myth(
                "Everybody means the same by the Hellinger distance.",
                "Some leave out the half and some the square; with both it lies between 0 and 1 and is "
                "a quarter of the alpha-divergence at 0.5.",
            ),
        ),
        references=(
            Reference(
                authors="R. Beran",
                year=1977,
                title="Minimum Hellinger distance estimates for parametric models",
                venue="Annals of Statistics 5(3), 445-463",
                doi="10.1214/aos/1176343842",
            ),
        ),
    )

    def formula(self, ops: Ops, p: Value, q: Value) -> Value:
        """Return the loss of a class."""
        return (ops.pow(p, 0.5) - ops.pow(q, 0.5)) ** 2 / 2

    def terms(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return the same from d as well; see ``Divergence``."""
        if self.exact:  # then this is quicker, and the roots differ by this
            gap = p - q
            return ops.where(ops.equal(gap, 0), 0.0, gap / (ops.pow(p, 0.5) + ops.pow(q, 0.5))) ** 2 / 2
        near = ops.where(ops.lt(0, d), p * ops.expm1(-d / 2) ** 2, q * ops.expm1(d / 2) ** 2)
        return near / 2

    def pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return its derivatives by log p and log q."""
        by_p, by_q = log_ratio.power_pulls(ops, p, q, d, 0.5)
        return by_p / 4, by_q / 4

    def slopes(self, ops: Ops, d: Value, pulls: Pulls) -> tuple[Value, Value]:
        """Return its derivatives by p and q."""
        return -ops.expm1(-d / 2) / 2, -ops.expm1(d / 2) / 2
