"""Squared logarithmic error: squared error of orders of magnitude."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.constant import weighted_mean
from lossmith.core.domain import Domain
from lossmith.core.inputs import POSITIVE_TARGET, PREDICTION
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class SquaredLogError(Pointwise):
    """Square of log(1 + prediction) - log(1 + target); both lie above -1."""

    aliases = ("msle", "squared_logarithmic_error", "mean_squared_logarithmic_error")
    inputs = (POSITIVE_TARGET, PREDICTION)
    target = Domain.parse("(-1, inf)", hint="its logarithm of 1 + y must exist; scale or shift the target")

    card = Card(
        title="Squared logarithmic error (MSLE)",
        task="regression",
        summary="The squared difference of logarithms of 1 + value: it measures ratios, not differences.",
        picture="A steep wall where the prediction is too low, a slope that flattens out where it is too high.",
        estimates="geometric mean",
        activation="one that stays above -1, such as an exponential minus 1",
        pros=(
            "twice too much counts alike for small and large targets",
            "the one added inside lets targets of zero in",
        ),
        cons=(
            "too low costs more than too high by the same amount",
            "not convex: far above the target the gradient fades",
            "estimates a geometric mean, so sums of predictions come out too low",
        ),
        use_when=("targets span orders of magnitude, such as counts of visits or prices",),
        avoid_when=("totals matter", "targets are mostly below 1: there it is plain squared error in disguise"),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=False, symmetric=False),
        examples=(
            Example(
                text="9 predicted as 99 is off by a factor of ten in 1 + value, and so is 99 predicted as 9.",
                y_true=(9.0, 99.0),
                y_pred=(99.0, 9.0),
                losses=(5.3018981, 5.3018981),
            ),
        ),
        myths=(
            Myth(
                "Training on log(1 + y) with squared error is something else.",
                "It is this very loss for a model of log(1 + y); predictions need exp(f) - 1 afterwards.",
            ),
        ),
        references=(
            Reference(
                authors="L. Törnqvist, P. Vartia and Y. O. Vartia",
                year=1985,
                title="How should relative changes be measured?",
                venue="The American Statistician 39(1), 43-46",
                doi="10.1080/00031305.1985.10479385",
            ),
        ),
    )

    @property
    def prediction_domain(self) -> Domain:
        """Every number above -1."""
        return _ABOVE

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return ops.log1p_difference(f, y) ** 2

    def _best_constant(self, y: npt.NDArray[Any], w: npt.NDArray[Any]) -> float:
        return float(np.expm1(weighted_mean(np.log1p(y), w)))


_ABOVE = Domain.parse("(-1, inf)", hint="its logarithm of 1 + f must exist; let the model end in exp(f) - 1")
