"""Mean error: the signed error, whose mean is the bias of a model."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class MeanError(Pointwise):
    """Signed error, prediction minus target: positive where the model says too much."""

    aliases = ("me", "bias", "mean_bias_error", "mbe", "signed_error")

    card = Card(
        title="Mean error (bias)",
        task="regression",
        summary="The prediction minus the target, sign kept, so that errors of both signs cancel.",
        picture="A straight line that crosses zero at the target: it rewards ever lower predictions, so nothing can "
        "be trained with it.",
        estimates="nothing",
        activation="linear",
        pros=("shows at a glance whether a model says too much or too little", "has the unit of the target"),
        cons=("errors cancel: zero does not mean right", "has no minimum, so it is a diagnosis and no objective"),
        use_when=("you want the bias of a model that was trained with another loss",),
        avoid_when=("training: its cost falls without bound as predictions fall",),
        traits=Traits(
            convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False, nonnegative=False
        ),
        examples=(
            Example(
                text="Errors of +100 and -100 cancel: the mean error is 0 although both predictions are wrong.",
                y_true=(200.0, 300.0),
                y_pred=(300.0, 200.0),
                losses=(100.0, -100.0),
                cost=0.0,
            ),
        ),
        myths=(Myth("A mean error of zero means a good model.", "It means no bias on average; errors can be huge."),),
        references=(
            Reference(
                authors="C. J. Willmott",
                year=1982,
                title="Some comments on the evaluation of model performance",
                venue="Bulletin of the American Meteorological Society 63(11), 1309-1313",
                doi="10.1175/1520-0477(1982)063<1309:SCOTEO>2.0.CO;2",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return f - y

    def best_prediction(self, y_true: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return minus infinity: lower is always better."""
        return np.full(np.shape(y_true), -np.inf)
