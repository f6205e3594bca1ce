"""Negative binomial loss: the likelihood of counts that vary more than Poisson counts."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.domain import REAL, Domain
from lossmith.core.link import LOG
from lossmith.core.parameter import Option, Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class NegativeBinomial(Pointwise):
    """Negative log-likelihood of a count with variance mean + dispersion · mean², up to a constant of the target."""

    aliases = ("negative_binomial_nll", "nb2")
    link = LOG
    target = Domain.parse("[0, inf)", hint="a negative binomial target is a count, or another amount at least 0")

    dispersion = Parameter(
        1.0,
        domain="(0, inf)",
        symbol=r"\kappa",
        typical=(0.1, 5.0),
        doc="variance beyond Poisson's, as a multiple of the squared mean",
    )
    prediction = Option(
        "log_mean", ("log_mean", "mean"), doc="what y_pred holds: the logarithm of the mean, or the mean"
    )

    card = Card(
        title="Negative binomial loss",
        task="counts",
        summary="How surprising a count is under the predicted mean, when counts scatter more than Poisson's.",
        picture="In the log mean, two straight slopes with a rounded valley between: bounded pull on both sides.",
        estimates="mean",
        activation="exponential (linear layer giving the log mean)",
        pros=(
            "takes overdispersion into account, so a few huge counts do not rule the fit",
            "convex in the log mean, with a gradient between minus the count and 1 / dispersion",
            "goes over into Poisson as the dispersion goes to 0",
        ),
        cons=("the dispersion must be known or tuned", "needs targets of at least 0"),
        use_when=("counts have a variance well above their mean",),
        avoid_when=("the variance is about the mean: Poisson is simpler",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="At dispersion 1 and a mean of 1 (log mean 0), a count of 0 costs log 2, each event log 2 more.",
                y_true=(0.0, 1.0, 3.0),
                y_pred=(0.0, 0.0, 0.0),
                losses=(0.6931472, 1.3862944, 2.7725887),
            ),
        ),
        myths=(
            Myth(
                "Overdispersed counts make a Poisson model's predictions wrong.",
                "Poisson still estimates the mean. What it gets wrong is how much to trust each row, "
                "and any interval built on it.",
            ),
        ),
        references=(
            Reference(
                authors="J. F. Lawless",
                year=1987,
                title="Negative binomial and mixed Poisson regression",
                venue="Canadian Journal of Statistics 15(3), 209-225",
                doi="10.2307/3314912",
            ),
        ),
    )

    @property
    def prediction_domain(self) -> Domain:
        """Any log mean, or a mean of at least 0."""
        return _MEAN if self.prediction == "mean" else REAL

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        # -log(1 - p) / dispersion - y log p, where p / (1 - p) is dispersion times mean.
        if self.prediction == "mean":
            odds = self.dispersion * f
            log_p = ops.where(odds < 1, ops.log(odds) - ops.log1p(odds), -ops.log1p(ops.div(1, odds)))
            return ops.log1p(odds) / self.dispersion + ops.mul0(y, -log_p)
        logit = f + ops.log(self.dispersion)
        return ops.softplus(logit) / self.dispersion + y * ops.softplus(-logit)


_MEAN = Domain.parse("[0, inf)", hint="a mean is at least 0; for log means pass prediction='log_mean'")
