"""Reverse Kullback-Leibler divergence: the same with the roles exchanged."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures import log_ratio
from lossmith.structures.class_sums import class_sum
from lossmith.structures.divergence import Divergence


class ReverseKLDivergence(Divergence):
    """Kullback-Leibler divergence of ``p`` from ``q``: Σ q log(q/p), one loss a row."""

    aliases = ("reverse_kl", "rkl", "exclusive_kl")
    linear = -1.0

    card = Card(
        title="Reverse Kullback-Leibler divergence",
        task="distributions",
        summary="How surprising draws from q are to one who believes in p.",
        picture="A bowl with its floor where q is p and finite rims, since q may leave out what p holds possible.",
        estimates="a distribution",
        activation="softmax",
        pros=(
            "seeks a mode: q settles on one of several answers of p and leaves the others out",
            "finite when q is 0 where p is not",
            "needs p only up to a factor, as in variational inference",
        ),
        cons=(
            "infinite as soon as p is 0 where q is not",
            "blind to what q leaves out, so a model grows too sure of itself",
            "not convex in the logits of q",
        ),
        use_when=("a small model cannot imitate all of a large one and should do one thing well",),
        avoid_when=("q must cover everything that p can do: use the Kullback-Leibler divergence",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        formula=class_sum(
            (r"q_k \log \frac{q_k}{p_k}", "q[k] log(q[k] / p[k])"),
            slope=(r"\log \frac{q_k}{p_k} + 1", "log(q[k] / p[k]) + 1"),
            bend=(r"\frac{1}{q_k}", "1 / q[k]"),
        ),
        examples=(
            Example(
                text="A fair coin taken for one with nine heads in ten: 0.368 in reverse, 0.511 forward.",
                inputs={"p": ((0.5, 0.5),), "q": ((0.9, 0.1),)},
                losses=(0.3680642,),
            ),
            Example(
                text="Of two equally good answers q gives one alone: 0.693 in reverse, where forward is infinite.",
                inputs={"p": ((0.5, 0.5),), "q": ((1.0, 0.0),)},
                losses=(0.6931472,),
            ),
        ),
        myths=(
            Myth(
                "Forward and reverse lead to the same q, so the choice is taste.",
                "Only where q can be p. A q that is too simple averages over the modes of p under the one "
                "and picks a mode under the other.",
            ),
        ),
        references=(
            Reference(
                authors="T. Minka",
                year=2005,
                title="Divergence measures and message passing",
                venue="Microsoft Research Technical Report MSR-TR-2005-173",
                url="https://www.microsoft.com/en-us/research/publication/divergence-measures-and-message-passing/",
            ),
            Reference(
                authors="D. M. Blei, A. Kucukelbir and J. D. McAuliffe",
                year=2017,
                title="Variational inference: a review for statisticians",
                venue="Journal of the American Statistical Association 112(518), 859-877",
                doi="10.1080/01621459.2017.1285773",
            ),
        ),
    )

    def formula(self, ops: Ops, p: Value, q: Value) -> Value:
        """Return the loss of a class."""
        return ops.mul0(q, ops.log(q) - ops.log(p))

    def terms(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return the same in its general form; see ``Divergence``."""
        return log_ratio.entropy_terms(ops, q, p, -d)

    def pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return its derivatives by log p and log q."""
        by_q, by_p = log_ratio.entropy_pulls(ops, q, p, -d)
        return by_p, by_q

    def defined_pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return those of the formula."""
        return -q, ops.mul0(q, 1 - d)
