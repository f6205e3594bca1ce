"""Brier loss: squared error of a probability."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import SoftBinary


class Brier(SoftBinary):
    """Squared difference of probability and label."""

    aliases = ("brier_score", "squared_probability_error")

    card = Card(
        title="Brier loss",
        task="binary",
        summary="The squared difference between the predicted probability and the label.",
        picture="In the logit, a smooth step from 1 on the wrong side to 0 on the right one, flat at both ends.",
        estimates="probability",
        activation="sigmoid",
        pros=(
            "a strictly proper score: the honest probability is the best answer",
            "bounded: no row costs more than 1, however sure and wrong the model is",
        ),
        cons=(
            "not convex in the logit: a model that is sure and wrong has next to no gradient",
            "hardly tells 0.001 from 0.00001, which matters for rare events",
        ),
        use_when=("probabilities are judged, and one bad miss must not decide", "labels are noisy"),
        avoid_when=("training a network from scratch: cross-entropy gets unstuck sooner", "events are very rare"),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="A positive at probability 0.75 costs 0.0625, a negative there 0.5625.",
                y_true=(1.0, 0.0),
                y_pred=(0.75, 0.75),
                losses=(0.0625, 0.5625),
                cost=0.3125,
                options={"prediction": "probabilities"},
            ),
        ),
        myths=(
            Myth(
                "Squared error is wrong for classification.",
                "On probabilities it is a proper score. What it lacks is a gradient where a logit is sure and wrong.",
            ),
        ),
        references=(
            Reference(
                authors="G. W. Brier",
                year=1950,
                title="Verification of forecasts expressed in terms of probability",
                venue="Monthly Weather Review 78(1), 1-3",
                doi="10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of label ``y`` at prediction ``f``."""
        p, q = self.probabilities(ops, f)
        yes, no = self.shares(y)
        gap = no * p - yes * q
        if self.labels == "signed":  # near the middle both parts would lose the digits of a small label
            middle = ops.tanh(f / 2) if self.prediction == "logits" else p - q
            gap = ops.alike(ops.abs(middle) > 0.5, gap, (middle - y) / 2)
        return gap**2
