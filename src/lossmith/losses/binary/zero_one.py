"""Zero-one loss: right or wrong."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Binary


class ZeroOne(Binary):
    """One for a wrong decision, zero for a right one; its mean is the error rate."""

    aliases = ("zero_one_loss", "0-1", "misclassification", "error_rate")
    eps: None = None  # a decision does not change when a probability is kept off 0 and 1

    card = Card(
        title="Zero-one loss",
        task="binary",
        summary="One where the predicted class is wrong, zero where it is right.",
        picture="A step at the decision threshold, flat on both sides.",
        estimates="class",
        activation="none; it judges decisions",
        pros=("means what everybody understands: the share of wrong decisions",),
        cons=("no gradient anywhere, so nothing can be trained with it", "blind to confidence"),
        use_when=("judging decisions at a fixed threshold when both errors cost the same",),
        avoid_when=("training", "one class is rare: always saying no scores well"),
        traits=Traits(convex=False, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("at the threshold", "value", lambda loss, y: (0.0 if loss.prediction == "logits" else 0.5,)),),
        examples=(
            Example(
                text="Logits 2 and -1 for two positives: one right, one wrong, an error rate of one half.",
                y_true=(1.0, 1.0),
                y_pred=(2.0, -1.0),
                losses=(0.0, 1.0),
                cost=0.5,
            ),
        ),
        myths=(
            Myth(
                "Training can minimise the zero-one loss directly.",
                "It has no gradient to follow. Cross-entropy or hinge stand in for it: where they are at their "
                "best in every point, so is the error rate.",
            ),
        ),
        references=(
            Reference(
                authors="P. L. Bartlett, M. I. Jordan and J. D. McAuliffe",
                year=2006,
                title="Convexity, classification, and risk bounds",
                venue="Journal of the American Statistical Association 101(473), 138-156",
                doi="10.1198/016214505000000907",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of label ``y`` at prediction ``f``; a tie at the threshold says no."""
        threshold = 0 if self.prediction == "logits" else 0.5
        return ops.abs(self.shares(y)[0] - ops.where(f > threshold, 1.0, 0.0))

    def _best_constant(self, y: npt.NDArray[Any], w: npt.NDArray[Any]) -> float:
        positive = 1.0 if self.labels == "signed" else 0.5
        share = float(np.sum(w[y > positive - 0.5]) / np.sum(w))
        return 0.0 if share == 0.5 else 1.0 if share > 0.5 else -1.0
