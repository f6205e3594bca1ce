"""Inverse Gaussian loss: the likelihood of positive amounts with a very long tail."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.domain import Domain
from lossmith.program import Ops, Value
from lossmith.structures.mean import Mean, by_power


class InverseGaussian(Mean):
    """Target over twice the squared mean, less 1 over the mean: half the deviance, up to a constant of the target."""

    aliases = ("inverse_gaussian_nll", "inverse_gaussian_deviance", "wald")
    target = Domain.parse("(0, inf)", hint="an inverse Gaussian target is positive; with exact zeros use tweedie")

    card = Card(
        title="Inverse Gaussian loss",
        task="counts",
        summary="How surprising a positive amount is under the predicted mean, when the spread grows faster than it.",
        picture="In the log mean, a wall where the mean is too low; beside it the dip at the target is shallow, and "
        "beyond it the slope dies out.",
        estimates="mean",
        activation="exponential (linear layer giving the log mean)",
        pros=(
            "huge targets hardly pull: the variance is taken to grow with the cube of the mean",
            "estimates the mean",
        ),
        cons=(
            "needs targets above 0, and small ones decide the fit",
            "not convex in the log mean: far above the target the gradient dies out",
            "has the unit of 1 over the target",
        ),
        use_when=("times until something happens, with rare and very long ones",),
        avoid_when=("training starts far above the targets: begin with gamma",),
        traits=Traits(
            convex=False, differentiable=True, smooth=True, lipschitz=False, symmetric=False, nonnegative=False
        ),
        examples=(
            Example(
                text="At a mean of 2 (log mean 0.693147) a target of 2 costs -0.25, one of 6 costs 0.25.",
                y_true=(2.0, 6.0),
                y_pred=(0.6931471805599453, 0.6931471805599453),
                losses=(-0.25, 0.25),
            ),
        ),
        myths=(
            Myth(
                "The inverse Gaussian is the distribution of 1 over a Gaussian number.",
                "It is the distribution of the time that a drifting random walk takes to a given distance.",
            ),
        ),
        references=(
            Reference(
                authors="M. C. K. Tweedie",
                year=1957,
                title="Statistical properties of inverse Gaussian distributions. I",
                venue="Annals of Mathematical Statistics 28(2), 362-377",
                doi="10.1214/aoms/1177706964",
            ),
        ),
    )

    def of_log_mean(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss at a log mean."""
        return by_power(ops, ops.mul_exp(ops.mul_exp(y, -f) / 2 - 1, -f), y, f, 3)

    def of_mean(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss at a mean."""
        slope = ops.sloped((f - y) / f / f / f, (3 * (y / f) - 2) / f / f / f, f)
        return ops.sloped((y / f / 2 - 1) / f, slope, f)
