"""Gamma loss: the likelihood of positive amounts whose spread grows with their level."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.domain import REAL, Domain
from lossmith.core.link import LOG
from lossmith.core.parameter import Option
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Gamma(Pointwise):
    """Log of the mean plus target over mean: half the gamma deviance, up to a constant of the target."""

    aliases = ("gamma_nll", "gamma_deviance", "gamma_loss")
    link = LOG
    target = Domain.parse("(0, inf)", hint="a gamma target is positive; with exact zeros use tweedie")

    prediction = Option(
        "log_mean", ("log_mean", "mean"), doc="what y_pred holds: the logarithm of the mean, or the mean"
    )

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

    @property
    def prediction_domain(self) -> Domain:
        """Any log mean, or a mean above 0."""
        return _MEAN if self.prediction == "mean" else REAL

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        if self.prediction == "mean":
            return ops.log(f) + y / f
        root = ops.exp(-f / 2)  # taken twice: its square alone can overflow where y times it does not
        return f + y * root * root


_MEAN = Domain.parse("(0, inf)", hint="a mean is positive; for log means pass prediction='log_mean'")
