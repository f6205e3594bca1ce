"""Jensen-Shannon divergence: how far two distributions are from their mean."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures import log_ratio
from lossmith.structures.class_sums import class_sum
from lossmith.structures.divergence import Divergence


class JensenShannon(Divergence):
    """Jensen-Shannon divergence: (KL(p, m) + KL(q, m)) / 2 with m = (p + q) / 2, one loss a row."""

    aliases = ("js", "jsd", "js_divergence", "jensen_shannon_divergence")

    card = Card(
        title="Jensen-Shannon divergence",
        task="distributions",
        summary="What one learns, in nats, from a draw about which of p and q it came from.",
        picture="A bowl with its floor where q is p and low rims: it never exceeds log 2.",
        estimates="a distribution",
        activation="softmax",
        pros=(
            "symmetric",
            "finite whatever p and q rule out, and at most log 2 = 0.693",
            "its square root is a distance, with the triangle inequality",
        ),
        cons=(
            "flat where p and q have nothing in common, so a hopeless q is hardly pulled",
            "not convex in the logits of q, and no proper score for samples of p",
        ),
        use_when=("two distributions are compared and neither is the truth", "some classes are ruled out"),
        avoid_when=("q is to be fitted to observed classes: use the Kullback-Leibler divergence",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        formula=class_sum(
            (
                r"\frac{1}{2} \left(p_k \log \frac{2 p_k}{p_k + q_k} + q_k \log \frac{2 q_k}{p_k + q_k}\right)",
                "(p[k] log(2 p[k] / (p[k] + q[k])) + q[k] log(2 q[k] / (p[k] + q[k]))) / 2",
            ),
            slope=(r"\frac{1}{2} \log \frac{2 q_k}{p_k + q_k}", "log(2 q[k] / (p[k] + q[k])) / 2"),
            bend=(r"\frac{p_k}{2 q_k \left(p_k + q_k\right)}", "p[k] / (2 q[k] (p[k] + q[k]))"),
        ),
        examples=(
            Example(
                text="A fair coin and one that shows heads in nine of ten throws are 0.102 nats apart.",
                inputs={"p": ((0.5, 0.5),), "q": ((0.9, 0.1),)},
                losses=(0.1017492,),
            ),
            Example(
                text="Two certain and different answers are log 2 apart, which is the most there is.",
                inputs={"p": ((1.0, 0.0),), "q": ((0.0, 1.0),)},
                losses=(0.6931472,),
            ),
        ),
        myths=(
            Myth(
                "The Jensen-Shannon divergence is a distance.",
                "Its square root is; the divergence itself breaks the triangle inequality.",
            ),
        ),
        references=(
            Reference(
                authors="J. Lin",
                year=1991,
                title="Divergence measures based on the Shannon entropy",
                venue="IEEE Transactions on Information Theory 37(1), 145-151",
                doi="10.1109/18.61115",
            ),
            Reference(
                authors="D. M. Endres and J. E. Schindelin",
                year=2003,
                title="A new metric for probability distributions",
                venue="IEEE Transactions on Information Theory 49(7), 1858-1860",
                doi="10.1109/TIT.2003.813506",
            ),
        ),
    )

    def formula(self, ops: Ops, p: Value, q: Value) -> Value:
        """Return the loss of a class."""
        log_mean = ops.log((p + q) / 2)
        return (ops.mul0(p, ops.log(p) - log_mean) + ops.mul0(q, ops.log(q) - log_mean)) / 2

    def terms(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return the same in its general form; see ``Divergence``."""
        return log_ratio.mean_of_shares(ops, p, q) if self.exact else log_ratio.mean_terms(ops, p, q, d)

    def pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return its derivatives by log p and log q."""
        return log_ratio.mean_pulls(ops, p, q, d)
