"""Absolute percentage error: error as a share of the target."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.constant import weighted_quantile
from lossmith.core.domain import Domain
from lossmith.core.inputs import POSITIVE_TARGET, PREDICTION
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class AbsolutePercentageError(Pointwise):
    """Size of the residual divided by the size of the target, as a fraction: 0.1 is ten percent."""

    aliases = ("mape", "mean_absolute_percentage_error", "percentage_error")
    inputs = (POSITIVE_TARGET, PREDICTION)
    target = Domain.parse(
        "(-inf, inf) without 0", hint="no error is a share of 0: leave such rows out, or use absolute_error"
    )

    card = Card(
        title="Absolute percentage error (MAPE)",
        task="regression",
        summary="By which fraction of the target the prediction is off.",
        picture="A V with its point at the target, steeper the nearer the target lies to zero.",
        estimates="weighted median",
        activation="linear",
        pros=("has no unit, so series of different size can be averaged", "everybody reads percent"),
        cons=(
            "small targets weigh most, and a target of zero has no loss at all",
            "below the target, down to 0, costs at most 100%, above it without bound: optimal predictions are low",
            "its Hessian is zero, so second-order boosting needs a floor",
        ),
        use_when=("targets are well away from zero and errors are judged in percent",),
        avoid_when=("targets come near zero", "totals matter: predictions are biased low"),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("f = y", "gradient", lambda loss, y: (y,)),),
        examples=(
            Example(
                text="Off by 20 is 20% of 100 and 200% of 10.",
                y_true=(100.0, 10.0),
                y_pred=(120.0, 30.0),
                losses=(0.2, 2.0),
                cost=1.1,
            ),
        ),
        myths=(
            Myth(
                "Targets of zero only need a small number added below the fraction bar.",
                "Then such a row costs the error divided by that number, and decides the average alone: libraries "
                "report 10⁵ or 10¹⁵ where there is no answer. Here such a row is an error that is named.",
            ),
        ),
        references=(
            Reference(
                authors="A. de Myttenaere, B. Golden, B. Le Grand and F. Rossi",
                year=2016,
                title="Mean absolute percentage error for regression models",
                venue="Neurocomputing 192, 38-48",
                doi="10.1016/j.neucom.2015.12.114",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return ops.abs(f - y) / ops.abs(y)

    def _best_constant(self, y: npt.NDArray[Any], w: npt.NDArray[Any]) -> float:
        size = np.abs(y)
        return weighted_quantile(y, w * (size.min() / size), 0.5)
