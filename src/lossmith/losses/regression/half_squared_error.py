"""Half squared error: squared error whose gradient is the residual."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class HalfSquaredError(Pointwise):
    """Half the squared residual, so that the gradient is the residual itself and the Hessian is 1."""

    aliases = ("half_mse", "l2_loss", "half_squared")

    card = Card(
        title="Half squared error",
        task="regression",
        summary="Half the square of the residual; the same fit as squared error at half the number.",
        picture="A parabola with its lowest point at the target, half as steep as squared error.",
        estimates="mean",
        activation="linear",
        pros=(
            "the gradient is the plain residual and the Hessian 1: no factor of 2 to carry along",
            "it is what the robust losses look like near zero, so their numbers compare",
        ),
        cons=("one outlier can outweigh many ordinary rows", "has half the square of the target's unit"),
        use_when=("a formula or a library counts with one half: Gaussian likelihood, boosting gradients",),
        avoid_when=("the number is to be read as mean squared error: it is half of that",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=False, symmetric=True),
        examples=(
            Example(
                text="The truth is 30: a prediction of 28 costs 2, one of 20 costs 50.",
                y_true=(30.0, 30.0),
                y_pred=(28.0, 20.0),
                losses=(2.0, 50.0),
                cost=26.0,
            ),
        ),
        myths=(
            Myth(
                "Squared error and half squared error train the same model.",
                "They have the same minimum, but at the same learning rate and with the same penalty on the "
                "parameters the half takes half the step and feels the penalty twice as much.",
            ),
        ),
        references=(
            Reference(
                authors="J. H. Friedman",
                year=2001,
                title="Greedy function approximation: a gradient boosting machine",
                venue="Annals of Statistics 29(5), 1189-1232",
                doi="10.1214/aos/1013203451",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return (f - y) ** 2 / 2
