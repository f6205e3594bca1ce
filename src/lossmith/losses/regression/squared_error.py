"""Squared error: the loss of least squares."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class SquaredError(Pointwise):
    """Squared residual; its mean is the mean squared error (MSE)."""

    aliases = ("mse", "l2", "mean_squared_error", "squared", "quadratic", "least_squares")

    card = Card(
        title="Squared error (MSE, L2)",
        task="regression",
        summary="The square of the residual: twice the error costs four times as much.",
        picture="A parabola with its lowest point at the target, ever steeper outwards.",
        estimates="mean",
        activation="linear",
        pros=(
            "smooth and strictly convex: one minimum, constant curvature, closed forms for linear models",
            "estimates the expected value, so sums of predictions are right on average",
        ),
        cons=("one outlier can outweigh many ordinary rows", "has the square of the target's unit"),
        use_when=("the expected value is wanted", "large errors hurt much more than small ones"),
        avoid_when=("some targets are wrong or extreme and shall not steer the fit",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=False, symmetric=True),
        examples=(
            Example(
                text="The truth is 30: a prediction of 28 costs 4, one of 20 costs 100. Five times the error, "
                "twenty-five times the loss.",
                y_true=(30.0, 30.0),
                y_pred=(28.0, 20.0),
                losses=(4.0, 100.0),
                cost=52.0,
            ),
        ),
        myths=(
            Myth(
                "L2 loss has the same scale everywhere.",
                "This is the full square; several libraries halve it, and boosting libraries print the full square "
                "but follow the gradient of the half.",
            ),
            Myth(
                "The model with the lower loss is the better one.",
                "Only under the same loss, on rows that neither was trained on, and if that loss is the goal: halving "
                "a loss halves its number and changes no model.",
            ),
        ),
        references=(
            Reference(
                authors="A.-M. Legendre",
                year=1805,
                title="Nouvelles méthodes pour la détermination des orbites des comètes",
                venue="Firmin Didot, Paris",
                url="https://gallica.bnf.fr/ark:/12148/bpt6k15209372",
            ),
            Reference(
                authors="L. J. Savage",
                year=1971,
                title="Elicitation of personal probabilities and expectations",
                venue="Journal of the American Statistical Association 66(336), 783-801",
                doi="10.1080/01621459.1971.10482346",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return (f - y) ** 2
