"""Gamma loss: the likelihood of positive amounts whose spread grows with their level."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.domain import Domain
from lossmith.program import Ops, Value
from lossmith.structures.mean import Mean, by_power


class Gamma(Mean):
    """Log of the mean plus target over mean: half the gamma deviance, up to a constant of the target."""

    aliases = ("gamma_nll", "gamma_deviance", "gamma_loss")
    target = Domain.parse("(0, inf)", hint="a gamma target is positive; with exact zeros use tweedie")

    card = Card(
        title="Gamma loss",
        task="counts",
        summary="How surprising a positive amount is under the predicted mean, when errors scale with the level.",
        picture="In the log mean, a steep exponential wall where the mean is too low, a straight slope where it is "
        "too high.",
        estimates="mean",
        activation="exponential (linear layer giving the log mean)",
        pros=(
            "counts relative errors: ten percent off costs the same at any level",
            "estimates the mean, where logarithms of the target would estimate a geometric mean",
        ),
        cons=("needs targets above 0", "takes the relative spread to be the same at every level"),
        use_when=("amounts are positive and skewed: claims, durations, incomes",),
        avoid_when=("targets can be zero: take Tweedie", "small targets are mostly noise: they count as much as large"),
        traits=Traits(
            convex=True, differentiable=True, smooth=True, lipschitz=False, symmetric=False, nonnegative=False
        ),
        examples=(
            Example(
                text="At a mean of 2 (log mean 0.693147) a target of 2 costs 1.693, one of 6 costs 3.693.",
                y_true=(2.0, 6.0),
                y_pred=(0.6931471805599453, 0.6931471805599453),
                losses=(1.6931472, 3.6931472),
            ),
            Example(
                text="The same, with the mean itself as prediction.",
                y_true=(2.0, 6.0),
                y_pred=(2.0, 2.0),
                losses=(1.6931472, 3.6931472),
                options={"prediction": "mean"},
            ),
        ),
        myths=(
            Myth(
                "A gamma loss needs the shape of the distribution.",
                "The shape scales the whole loss, so it does not change where the minimum is.",
            ),
        ),
        references=(
            Reference(
                authors="P. McCullagh and J. A. Nelder",
                year=1989,
                title="Generalized Linear Models",
                venue="Chapman and Hall, London, second edition",
                doi="10.1007/978-1-4899-3242-6",
            ),
        ),
    )

    def of_log_mean(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss at a log mean."""
        return by_power(ops, f + ops.mul_exp(y, -f), y, f, 2)

    def of_mean(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss at a mean."""
        slope = ops.sloped((f - y) / f / f, (2 * (y / f) - 1) / f / f, f)
        return ops.sloped(ops.log(f) + y / f, slope, f)
