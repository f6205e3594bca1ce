"""Generalised Kullback-Leibler divergence: for amounts that need not sum to one."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Option
from lossmith.program import Ops, Value
from lossmith.structures import log_ratio
from lossmith.structures.class_sums import class_sum
from lossmith.structures.divergence import Divergence


class GeneralisedKL(Divergence):
    """Generalised Kullback-Leibler divergence: Σ (p log(p/q) - p + q) of amounts at least 0, one loss a row."""

    aliases = ("generalized_kl", "i_divergence", "generalised_kl_divergence", "kl_unnormalised")

    p_kind = Option("values", ("values", "log_values"), doc="what p holds: amounts or their logarithms")
    q_kind = Option("values", ("values", "log_values"), doc="what q holds: amounts or their logarithms")

    card = Card(
        title="Generalised Kullback-Leibler divergence (I-divergence)",
        task="distributions",
        summary="The Kullback-Leibler divergence of amounts that need not sum to one, such as counts or spectra.",
        picture="Drawn along shares of a fixed total, a bowl with its floor where q is p and a wall at either end.",
        estimates="a distribution",
        activation="exponential",
        pros=(
            "never negative, and 0 only where q is p, without any normalisation",
            "punishes a wrong total as well as wrong shares",
            "half the deviance of counts: fitting with it is fitting a Poisson likelihood",
        ),
        cons=("infinite as soon as q is 0 where p is not", "not symmetric"),
        use_when=("histograms, spectra or counts are approximated, as in non-negative matrix factorisation",),
        avoid_when=("both are distributions: KLDivergence checks that and takes logits",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=False, symmetric=False),
        formula=class_sum(
            (
                r"\left(p_k \log \frac{p_k}{q_k} - p_k + q_k\right)",
                "(p[k] log(p[k] / q[k]) - p[k] + q[k])",
            ),
            slope=(r"1 - \frac{p_k}{q_k}", "1 - p[k] / q[k]"),
            bend=(r"\frac{p_k}{q_k^2}", "p[k] / q[k]²"),
        ),
        examples=(
            Example(
                text="Counts of 2 and 3 predicted as 1 and 3: the first costs 2 log 2 - 1, the second nothing.",
                inputs={"p": ((2.0, 3.0),), "q": ((1.0, 3.0),)},
                losses=(0.3862944,),
            ),
            Example(
                text="An amount of 0 predicted as 0.5 costs the 0.5.",
                inputs={"p": ((0.0, 1.0),), "q": ((0.5, 1.0),)},
                losses=(0.5,),
            ),
        ),
        myths=(
            Myth(
                "For unnormalised amounts Σ p log(p/q) will do.",
                "It falls below zero and is least for a q as large as possible; the terms -p + q mend that.",
            ),
        ),
        references=(
            Reference(
                authors="I. Csiszár",
                year=1991,
                title="Why least squares and maximum entropy? An axiomatic approach to inference for linear inverse "
                "problems",
                venue="Annals of Statistics 19(4), 2032-2066",
                doi="10.1214/aos/1176348385",
            ),
            Reference(
                authors="D. D. Lee and H. S. Seung",
                year=1999,
                title="Learning the parts of objects by non-negative matrix factorization",
                venue="Nature 401, 788-791",
                doi="10.1038/44565",
            ),
        ),
    )

    def formula(self, ops: Ops, p: Value, q: Value) -> Value:
        """Return the loss of a class."""
        return ops.mul0(p, ops.log(p) - ops.log(q)) - p + q

    def terms(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return the same from d as well; see ``Divergence``."""
        return log_ratio.entropy_terms(ops, p, q, d)

    def pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return its derivatives by log p and log q."""
        return log_ratio.entropy_pulls(ops, p, q, d)
