"""Negative binomial loss: the likelihood of counts that vary more than Poisson counts."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.domain import Domain
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.mean import Mean


class NegativeBinomial(Mean):
    """Negative log-likelihood of a count with variance mean + dispersion · mean², up to a constant of the target."""

    aliases = ("negative_binomial_nll", "nb2")
    mean = Domain.parse("[0, inf)", hint="a mean is at least 0; for log means pass prediction='log_mean'")
    target = Domain.parse("[0, inf)", hint="a negative binomial target is a count, or another amount at least 0")

    dispersion = Parameter(
        1.0, domain="(0, inf)", symbol=r"\kappa", typical=(0.1, 5.0), doc="variance beyond Poisson's per squared mean"
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

    # -log(1 - p) / dispersion - y log p, where p / (1 - p) is dispersion times mean, on either side of overflow.

    def of_log_mean(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss at a log mean."""
        logit, kappa = f + ops.log(self.dispersion), self.dispersion
        mean, ratio, against = ops.exp(f), ops.mul_exp(y, -f), ops.exp(-f) / kappa
        # Two logarithms that differ by the logit: that of what is at most 1 gives both.
        rest = ops.log1p(ops.min(ops.where(logit < 0, kappa * mean, against), 1))
        # But the logarithm of a small dispersion, or a large one, rounds the logit.
        ordinary, rounded = ops.both(f < 80, ops.abs(logit) < 30), ops.abs(ops.log(kappa)) > 2
        missed = ops.alike(ordinary, ops.log1p(against), ops.softplus(-logit))
        base = ops.alike(f < 80, self._base(ops, mean), ops.softplus(logit) / kappa)
        missed = ops.alike(rounded, missed, rest + ops.max(-logit, 0))
        value = ops.alike(rounded, base, (rest + ops.max(logit, 0)) / kappa) + ops.mul0(y, missed)
        below, above = 1 + kappa * mean, kappa + ops.exp(-f)
        low = ops.either(f < 0, ops.both(f < 80, ratio > 0.5))
        slope = ops.where(low, mean - y, 1 - ratio) / ops.where(low, below, above)
        rise, fall = ops.mul_exp((1 + kappa * y) / below, f), ops.mul_exp((1 + kappa * y) / above, -f)
        bend = ops.alike(f < 0, rise / below, fall / above)
        return ops.sloped(value, ops.sloped(slope, bend, f), f)

    def of_mean(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss at a mean."""
        odds = self.dispersion * f
        log_odds = ops.log(f) + ops.log(self.dispersion)
        log_p = ops.alike(odds > 2.0**-100, -ops.log1p(ops.div(1, odds)), log_odds)
        value = self._base(ops, f) + ops.mul0(y, -log_p)
        # A target of 0 leaves no pole at 0.
        none = ops.equal(y, 0)
        off, fall = ops.where(none, 1, ops.div(f - y, f)), ops.where(none, 0, ops.div(ops.div(y, f), f))
        spread = 1 + odds
        bend = (fall - self.dispersion * (off / spread)) / spread
        return ops.sloped(value, ops.sloped(off / spread, bend, f), f)

    def _base(self, ops: Ops, mean: Value) -> Value:
        """Return log(1 + odds) / dispersion, which goes over into the mean as the dispersion goes to 0."""
        odds = self.dispersion * mean
        return ops.alike(odds > 2.0**-27, ops.log1p(odds) / self.dispersion, mean * (1 - odds / 2))
