"""Beta-NLL: Gaussian likelihood that does not give up on the mean where it is unsure."""

from lossmith.core.card import Card, Example, Formula, Myth, Reference, Traits
from lossmith.core.inputs import PREDICTION, TARGET
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.location_scale import VARIANCE, LocationScale

_WEIGHT = (r"v^{\beta} ", "v^β")
_NLL = (r"\left(\frac{\log v}{2} + \frac{\left(f - y\right)^2}{2 v}\right)", "(log(v) / 2 + (f - y)² / (2 v))")


class BetaNLL(LocationScale):
    """Gaussian negative log-likelihood times ``variance ** beta``, a weight that is held constant in derivatives."""

    aliases = ("beta_gaussian_nll", "beta_negative_log_likelihood")
    inputs = (TARGET, PREDICTION, VARIANCE)
    beta = Parameter(
        0.5,
        domain="[0, 1]",
        symbol=r"\beta",
        typical=(0.1, 1.0),
        doc="0 is the Gaussian likelihood; at 1 the mean learns as with squared error",
    )

    card = Card(
        title="Beta-NLL",
        task="probabilistic",
        summary="The Gaussian negative log-likelihood, weighted up where the predicted variance is large.",
        picture="Along the mean a parabola whose steepness depends less on the predicted variance, the larger beta is.",
        estimates="mean and variance",
        activation="linear for the mean, softplus or exponential for the variance",
        pros=(
            "a large variance no longer excuses a bad mean: between likelihood and squared error by one number",
            "mean and variance that minimise it for each example are those of the likelihood",
        ),
        cons=(
            "its gradient is that of no function: the weight is a stop-gradient, so its value says little about "
            "progress, and cannot be checked by differences of values",
            "with beta above 0 it is no proper score: judge with gaussian_nll",
        ),
        use_when=("gaussian_nll fits the noise but leaves the mean underfitted",),
        avoid_when=(
            "models are compared by it",
            "an optimiser searches along lines, which needs value and slope agree",
        ),
        traits=Traits(
            convex=False, differentiable=True, smooth=True, lipschitz=False, symmetric=True, nonnegative=False
        ),
        formula=Formula(
            value=(r"\operatorname{sg}\left(v^{\beta}\right) " + _NLL[0], f"hold(v^β) {_NLL[1]}"),
            gradient=(rf"{_WEIGHT[0]} \frac{{f - y}}{{v}}", f"{_WEIGHT[1]} (f - y) / v"),
            hessian=(rf"{_WEIGHT[0]} \frac{{1}}{{v}}", f"{_WEIGHT[1]} / v"),
        ),
        examples=(
            Example(
                text="An error of 2 costs 2 at variance 1. At variance 4 the likelihood's 1.193 counts double.",
                y_true=(10.0, 10.0),
                y_pred=(12.0, 12.0),
                inputs={"variance": (1.0, 4.0)},
                losses=(2.0, 2.3862944),
            ),
        ),
        myths=(
            Myth(
                "The gradient of beta-NLL is the derivative of its value.",
                "It is the derivative with the weight variance ** beta held at what it is, and the Hessian likewise. "
                "To differentiate the weight too would reward a variance of zero for every fit.",
            ),
        ),
        references=(
            Reference(
                authors="M. Seitzer, A. Tavakoli, D. Antic and G. Martius",
                year=2022,
                title="On the pitfalls of heteroscedastic uncertainty estimation with probabilistic neural networks",
                venue="International Conference on Learning Representations",
                doi="10.48550/arXiv.2203.09168",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value, v: Value) -> Value:
        """Return the loss of target ``y`` at mean ``f`` and variance ``v``."""
        weight = ops.hold(ops.pow(v, self.beta))
        # By a standard deviation over the root of the weight: nothing is divided by a variance on its own.
        scale = ops.pow(v / weight, 0.5)
        z = (f - y) / scale
        pull, both = z / scale, -z / scale / v
        slope = ops.sloped(pull, weight / v, f) + ops.sloped(0, both, v)
        rise = ops.sloped((weight - z * z) / v / 2, both, f) + ops.sloped(0, (z * z - weight / 2) / v / v, v)
        return ops.sloped(weight * ops.log(v) / 2 + z * (z / 2), slope, f) + ops.sloped(0, rise, v)
