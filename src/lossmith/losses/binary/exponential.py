"""Exponential loss: the loss behind AdaBoost."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.constant import weighted_mean
from lossmith.core.link import LOGISTIC
from lossmith.program import Ops, Value
from lossmith.structures.margin import Margin


class Exponential(Margin):
    """Exponential of minus the margin."""

    aliases = ("exp_loss", "adaboost", "exponential_loss")

    card = Card(
        title="Exponential loss (AdaBoost)",
        task="binary",
        summary="Grows exponentially with how far a score lies on the wrong side.",
        picture="A falling exponential: next to nothing far on the right side, a wall on the wrong one.",
        estimates="half the log-odds",
        activation="linear (the output is a score; twice the score is a log-odds)",
        pros=(
            "convex and smooth: AdaBoost is what descending it step by step gives",
            "its optimum is half the log-odds, so scores still tell probabilities",
        ),
        cons=(
            "a wrong label costs without bound, and exponentially so: noise rules the fit",
            "the loss overflows at a score that is wrong by 710, in float32 by 89",
        ),
        use_when=("AdaBoost is to be understood or repeated",),
        avoid_when=("labels are noisy: cross-entropy has the same optimum, doubled, and only a linear arm",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=False, symmetric=False),
        examples=(
            Example(
                text="A positive at scores 2, 0 and -2 costs 0.135, 1 and 7.389.",
                y_true=(1.0, 1.0, 1.0),
                y_pred=(2.0, 0.0, -2.0),
                losses=(0.1353353, 1.0, 7.3890561),
            ),
        ),
        myths=(
            Myth(
                "AdaBoost scores are log-odds.",
                "They are half of that: the probability is the logistic function of twice the score.",
            ),
        ),
        references=(
            Reference(
                authors="Y. Freund and R. E. Schapire",
                year=1997,
                title="A decision-theoretic generalization of on-line learning and an application to boosting",
                venue="Journal of Computer and System Sciences 55(1), 119-139",
                doi="10.1006/jcss.1997.1504",
            ),
            Reference(
                authors="J. Friedman, T. Hastie and R. Tibshirani",
                year=2000,
                title="Additive logistic regression: a statistical view of boosting",
                venue="Annals of Statistics 28(2), 337-407",
                doi="10.1214/aos/1016218223",
            ),
        ),
    )

    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive on the right side."""
        return ops.exp(-margin)

    def best_prediction(self, y_true: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the score with the least loss: infinite on the side of the label."""
        return np.where(np.asarray(y_true, dtype=float) > 0, np.inf, -np.inf)

    def _best_constant(self, y: npt.NDArray[Any], w: npt.NDArray[Any]) -> float:
        return float(LOGISTIC.forward(weighted_mean((y > 0).astype(float), w))) / 2
