"""Poly-1 loss: cross-entropy with its first term weighed anew."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import SoftBinary


class PolyOne(SoftBinary):
    """Binary cross-entropy plus ``epsilon`` times the probability that the label does not have."""

    aliases = ("poly1", "poly_loss", "polyloss", "poly_one_cross_entropy")

    epsilon = Parameter(
        1.0, domain="[-1, inf)", symbol=r"\epsilon", typical=(-0.5, 5.0), doc="what the first term counts more"
    )

    card = Card(
        title="Poly-1 loss (binary)",
        task="binary",
        summary="Cross-entropy as a sum of powers of 1 - p, p being the label's probability, with more of the first.",
        picture="Cross-entropy with a step of height epsilon laid over it, around a probability of one half.",
        estimates="distorted probability",
        activation="sigmoid",
        pros=(
            "one line more than cross-entropy, one parameter, and now and then a better classifier",
            "epsilon 0 is cross-entropy; -1 drops the first term, so that sure examples are left alone",
        ),
        cons=(
            "its optimum is not the probability unless labels are certain",
            "not convex for epsilon above 1",
            "epsilon must be tuned by trial",
        ),
        use_when=("cross-entropy works and a cheap variation may gain a little",),
        avoid_when=("calibrated probabilities are needed",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="A positive at probability 0.9 costs its cross-entropy plus 0.1, one at 0.1 costs 0.9 more.",
                y_true=(1.0, 1.0),
                y_pred=(0.9, 0.1),
                losses=(0.2053605, 3.2025851),
                options={"prediction": "probabilities"},
            ),
        ),
        myths=(
            Myth(
                "Epsilon keeps logarithms away from zero, as elsewhere.",
                "Here it is a weight, of size about 1. Nothing is clipped.",
            ),
        ),
        references=(
            Reference(
                authors="Z. Leng, M. Tan, C. Liu, E. D. Cubuk, X. Shi, S. Cheng and D. Anguelov",
                year=2022,
                title="PolyLoss: a polynomial expansion perspective of classification loss functions",
                venue="International Conference on Learning Representations",
                doi="10.48550/arXiv.2204.12511",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of label ``y`` at prediction ``f``."""
        yes, no = self.shares(y)
        log_p, log_q = self.log_probabilities(ops, f)
        p, q = self.probabilities(ops, f)
        return self._of_label(ops, yes, log_p, p, q, f) + self._of_label(ops, no, log_q, q, p, -f)

    def _of_label(self, ops: Ops, share: Value, log_p: Value, p: Value, q: Value, logit: Value) -> Value:
        """Return the part of a label that has probability p = 1 - q: -log p + epsilon q."""
        # Near certainty -log p and q are almost equal, and epsilon can be -1: -log p - q and q are never negative.
        unsure, epsilon = q > 0.5, self.epsilon
        rest = ops.log1p_excess(-q) + (1 + epsilon) * q
        value = ops.mul0(share, -log_p) + share * (epsilon * q)
        value = ops.where(epsilon < 0, ops.alike(unsure, value, share * rest), value)
        if self.prediction == "probabilities":
            return value
        # The slope is -q (1 + epsilon p), which with an epsilon of -1, too, vanishes near certainty.
        part = 1 + epsilon * p
        slope = -q * ops.where(epsilon < 0, ops.alike(unsure, part, (1 + epsilon) - epsilon * q), part)
        ends = ops.alike(unsure, (1 - epsilon) + 2 * epsilon * p, (1 + epsilon) - 2 * epsilon * q)
        bend = p * q * ops.alike(ops.abs(logit) > 1, ends, 1 + epsilon * ops.tanh(logit / 2))
        return ops.sloped(value, share * ops.sloped(slope, bend, logit), logit)
