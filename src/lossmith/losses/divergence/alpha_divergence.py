"""Alpha-divergence: a family that leads from the reverse to the forward Kullback-Leibler divergence."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures import log_ratio
from lossmith.structures.class_sums import class_sum
from lossmith.structures.divergence import Divergence, Pulls


class AlphaDivergence(Divergence):
    """Alpha-divergence: Σ (pᵅ q¹⁻ᵅ - α p - (1 - α) q) / (α (α - 1)), one loss a row."""

    aliases = ("amari_divergence", "amari_alpha", "power_divergence")

    alpha = Parameter(
        0.5,
        domain="(-inf, inf)",
        symbol=r"\alpha",
        typical=(-1.0, 2.0),
        doc="1 is the Kullback-Leibler divergence, 0 its reverse, 0.5 four times the squared Hellinger distance",
    )

    card = Card(
        title="Alpha-divergence",
        task="distributions",
        summary="A divergence whose parameter says whether q shall cover p or settle inside it.",
        picture="A bowl with its floor where q is p; the larger alpha, the steeper the wall where q is small.",
        estimates="a distribution",
        activation="softmax",
        pros=(
            "one dial from mode seeking (alpha at most 0) to covering (alpha at least 1)",
            "continuous in alpha, both Kullback-Leibler divergences included",
            "finite for every p and q while alpha lies between 0 and 1",
        ),
        cons=("alpha has to be chosen", "outside [0, 1] a single ruled-out class makes it infinite"),
        use_when=("forward Kullback-Leibler spreads too wide and the reverse drops too much",),
        avoid_when=("one of the named divergences says what is meant",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=False, symmetric=False),
        formula=class_sum(
            (
                r"\frac{p_k^\alpha q_k^{1 - \alpha} - \alpha p_k - \left(1 - \alpha\right) q_k}"
                r"{\alpha \left(\alpha - 1\right)}",
                "(p[k]^α q[k]^(1 - α) - α p[k] - (1 - α) q[k]) / (α (α - 1))",
            ),
            slope=(
                r"\frac{1}{\alpha} \left(1 - \left(\frac{p_k}{q_k}\right)^\alpha\right)",
                "(1 - (p[k] / q[k])^α) / α",
            ),
            bend=(r"\frac{1}{q_k} \left(\frac{p_k}{q_k}\right)^\alpha", "(p[k] / q[k])^α / q[k]"),
        ),
        examples=(
            Example(
                text="A fair coin taken for one with nine heads in ten: 0.422 at 0.5, between 0.368 and 0.511.",
                inputs={"p": ((0.5, 0.5),), "q": ((0.9, 0.1),)},
                losses=(0.4222912,),
            ),
            Example(
                text="At alpha 2 it is half of the chi-squared distance: 0.889.",
                inputs={"p": ((0.5, 0.5),), "q": ((0.9, 0.1),)},
                losses=(0.8888889,),
                options={"alpha": 2.0},
            ),
        ),
        myths=(
            Myth(
                "Alpha means the same in every paper.",
                "Amari's alpha is 1 - 2 times this one, and Rényi's divergence is a logarithm of the same sum.",
            ),
        ),
        references=(
            Reference(
                authors="A. Cichocki and S. Amari",
                year=2010,
                title="Families of alpha-, beta- and gamma-divergences: flexible and robust measures of similarities",
                venue="Entropy 12(6), 1532-1568",
                doi="10.3390/e12061532",
            ),
        ),
    )

    def formula(self, ops: Ops, p: Value, q: Value) -> Value:
        """Return the loss of a class."""
        a, log_ratio = self.alpha, ops.log(p) - ops.log(q)
        power = (ops.pow(p, a) * ops.pow(q, 1 - a) - a * p - (1 - a) * q) / (a * (a - 1))
        reverse, forward = q * -log_ratio - q + p, p * log_ratio - p + q
        return ops.where(ops.equal(a, 0), reverse, ops.where(ops.equal(a, 1), forward, power))

    def terms(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return the same from d as well; see ``Divergence``."""
        return log_ratio.power_terms(ops, p, q, d, self.alpha)

    def pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return its derivatives by log p and log q."""
        return log_ratio.power_pulls(ops, p, q, d, self.alpha)

    def slopes(self, ops: Ops, d: Value, pulls: Pulls) -> tuple[Value, Value]:
        """Return its derivatives by p and q."""
        return log_ratio.power_slopes(ops, d, self.alpha)
