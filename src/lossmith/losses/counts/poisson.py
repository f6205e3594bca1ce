"""Poisson loss: the likelihood of counts."""

from math import inf

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.domain import REAL, Domain
from lossmith.core.link import LOG
from lossmith.core.parameter import Option
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Poisson(Pointwise):
    """Negative log-likelihood of a Poisson count; ``y_pred`` is the log rate unless declared a rate."""

    aliases = ("poisson_nll", "poisson_loss", "count")
    link = LOG
    target = Domain.parse("[0, inf)", hint="a Poisson target is a count, or another amount that is at least 0")

    prediction = Option(
        "log_rate", ("log_rate", "rate"), doc="what y_pred holds: the logarithm of the rate, or the rate"
    )
    full = Option(False, (False, True), doc="whether to add log(y!), which does not depend on the prediction")

    card = Card(
        title="Poisson loss",
        task="counts",
        summary="How surprising a count is under the predicted rate.",
        picture="A steep exponential wall where the rate is too high, a gentle slope where it is too low.",
        estimates="mean",
        activation="exponential (linear layer giving the log rate)",
        pros=(
            "predictions are positive by construction, and effects multiply",
            "estimates the mean, also when the target is no count, as long as it is at least 0",
            "large targets count less than under squared error",
        ),
        cons=("takes the variance to equal the mean", "needs targets of at least 0"),
        use_when=("the target counts events", "the target is positive with a spread that grows with its level"),
        avoid_when=("targets can be negative",),
        traits=Traits(
            convex=True, differentiable=True, smooth=True, lipschitz=False, symmetric=False, nonnegative=False
        ),
        examples=(
            Example(
                text="At a rate of 2 (log rate 0.693147) a count of 2 costs 0.614, a count of 0 costs 2.",
                y_true=(2.0, 0.0),
                y_pred=(0.6931471805599453, 0.6931471805599453),
                losses=(0.6137056, 2.0),
            ),
        ),
        myths=(
            Myth(
                "A negative Poisson loss is a bug.",
                "Without log(y!) it is negative whenever a large count is predicted well; "
                "compare with the floor that context() gives, or pass full=True.",
            ),
        ),
        references=(
            Reference(
                authors="J. A. Nelder and R. W. M. Wedderburn",
                year=1972,
                title="Generalized linear models",
                venue="Journal of the Royal Statistical Society A 135(3), 370-384",
                doi="10.2307/2344614",
            ),
        ),
    )

    @property
    def prediction_domain(self) -> Domain:
        """Any log rate, or a rate of at least 0."""
        return _RATE if self.prediction == "rate" else REAL

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        if self.full:
            return self._whole(ops, y, f)
        rate, log_rate = (ops.exp(f), f) if self.prediction == "log_rate" else (f, ops.log(f))
        value = rate - ops.mul0(y, log_rate)  # at a count of 0 only the rate is left
        # Where the rate overflows so does the loss: infinity less infinity would be no number.
        return value if self.prediction == "rate" else ops.where(rate < inf, value, rate)

    def _whole(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss with log y!, as half the deviance and what is left: the terms themselves cancel."""
        none = ops.equal(y, 0)
        if self.prediction == "log_rate":
            rate, log = ops.exp(f), f - ops.log(y)
            far, excess, slope = ops.either(none, ops.abs(log) > 1), ops.expm1_excess(log), rate - y
        else:
            rate, ratio, off = f, ops.div(f, y), ops.div(f - y, y)
            ordinary = ops.both(ratio > 2.0**-100, ratio < 2.0**100)
            log = ops.alike(ordinary, ops.log(ratio), ops.log(f) - ops.log(y))
            far, excess = ops.either(none, ops.abs(off) > 0.5), ops.log1p_excess(off)
            bend = ops.where(none, 0, ops.div(ops.div(y, f), f))  # a count of 0 leaves no pole at 0
            slope = ops.sloped(ops.where(none, 1, ops.div(f - y, f)), bend, f)
        deviance = ops.alike(rate < inf, ops.alike(far, rate - y - ops.mul0(y, log), y * excess), rate)
        return ops.sloped(deviance + ops.log_factorial_excess(y), slope, f)


_RATE = Domain.parse("[0, inf)", hint="a rate is at least 0; for log rates pass prediction='log_rate'")
