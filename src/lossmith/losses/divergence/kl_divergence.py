"""Kullback-Leibler divergence: the surprise that q costs where p is true."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures import log_ratio
from lossmith.structures.class_sums import class_sum
from lossmith.structures.divergence import Divergence


class KLDivergence(Divergence):
    """Kullback-Leibler divergence of ``q`` from ``p``: Σ p log(p/q), one loss a row."""

    aliases = ("kl", "kld", "kl_div", "kullback_leibler", "relative_entropy", "forward_kl")
    linear = 1.0
    entropic = True

    card = Card(
        title="Kullback-Leibler divergence",
        task="distributions",
        summary="How many nats longer messages get when they are coded for q although p is true.",
        picture="A bowl with its floor where q is p, and a wall where q rules out what p holds possible.",
        estimates="a distribution",
        activation="softmax",
        pros=(
            "strictly proper: only q = p costs nothing",
            "differs from the cross-entropy by the entropy of p alone, so it trains the same and ends at 0",
            "convex in p and q together",
        ),
        cons=(
            "infinite as soon as q is 0 where p is not",
            "not symmetric: KL(p, q) and KL(q, p) punish different mistakes",
        ),
        use_when=("targets are distributions: soft labels, a teacher, a posterior", "q must cover all that p can do"),
        avoid_when=("q should settle on one mode of p: use the reverse", "q may be 0 where p is not"),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        formula=class_sum(
            (r"p_k \log \frac{p_k}{q_k}", "p[k] log(p[k] / q[k])"),
            slope=(r"-\frac{p_k}{q_k}", "-p[k] / q[k]"),
            bend=(r"\frac{p_k}{q_k^2}", "p[k] / q[k]²"),
            by_logits=(("q_k - p_k", "q[k] - p[k]"), (r"q_k \left(1 - q_k\right)", "q[k] (1 - q[k])")),
        ),
        examples=(
            Example(
                text="A fair coin taken for one that shows heads in nine of ten throws costs 0.511 nats a throw.",
                inputs={"p": ((0.5, 0.5),), "q": ((0.9, 0.1),)},
                losses=(0.5108256,),
            ),
            Example(
                text="The other way round the same two coins cost 0.368: the divergence is not symmetric.",
                inputs={"p": ((0.9, 0.1),), "q": ((0.5, 0.5),)},
                losses=(0.3680642,),
            ),
            Example(
                text="Where p is certain it is the cross-entropy: probability 0.7 for the true class costs 0.357.",
                inputs={"p": ((1.0, 0.0, 0.0),), "q": ((0.7, 0.2, 0.1),)},
                losses=(0.3566749,),
            ),
        ),
        myths=(
            Myth(
                "The divergence came out negative; that can happen.",
                "It cannot for distributions. Rows that do not sum to one, logs taken for probabilities or arguments "
                "in the wrong order do that; here inputs are named, and such rows are an error.",
            ),
            Myth(
                "It is the mean over all elements.",
                "It is a sum over the classes of a row. A mean over elements, as one library does by default, is "
                "smaller by the number of classes.",
            ),
        ),
        references=(
            Reference(
                authors="S. Kullback and R. A. Leibler",
                year=1951,
                title="On information and sufficiency",
                venue="Annals of Mathematical Statistics 22(1), 79-86",
                doi="10.1214/aoms/1177729694",
            ),
        ),
    )

    def formula(self, ops: Ops, p: Value, q: Value) -> Value:
        """Return the loss of a class."""
        return ops.mul0(p, ops.log(p) - ops.log(q))

    def terms(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return the same in its general form; see ``Divergence``."""
        return log_ratio.entropy_terms(ops, p, q, d)

    def pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return its derivatives by log p and log q."""
        return log_ratio.entropy_pulls(ops, p, q, d)

    def defined_pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return those of the formula."""
        return ops.mul0(p, d + 1), -p
