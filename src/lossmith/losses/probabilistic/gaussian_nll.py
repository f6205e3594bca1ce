"""Gaussian negative log-likelihood: a mean and how sure the model is of it."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.inputs import PREDICTION, TARGET, Input
from lossmith.core.parameter import Option
from lossmith.program import Ops, Value
from lossmith.structures.location_scale import LOG_VARIANCE, SCALE, VARIANCE, LocationScale


class GaussianNLL(LocationScale):
    """Negative log-likelihood of a normal distribution with a predicted mean and variance."""

    aliases = ("normal_nll", "heteroscedastic", "gaussian_negative_log_likelihood")
    scale = Option(
        "variance",
        ("variance", "log_variance", "scale"),
        doc="what the third input holds, and what it is called: variance, its logarithm, or its root",
    )
    full = Option(False, (False, True), doc="whether to add log(2π)/2, which does not depend on the prediction")

    card = Card(
        title="Gaussian negative log-likelihood",
        task="probabilistic",
        summary="How surprising the target is under a normal distribution with the predicted mean and variance.",
        picture="Along the mean a parabola, steep where the predicted variance is small; its lowest point is half "
        "the logarithm of the variance, so it may lie below zero.",
        estimates="mean and variance",
        activation="linear for the mean, softplus or exponential for the variance (linear for its logarithm)",
        pros=(
            "learns from the data where they are noisy, without being told",
            "a strictly proper score: the honest mean and variance are the best answer",
        ),
        cons=(
            "not convex in mean and variance together",
            "can explain a bad fit by a large variance, and then hardly learns the mean there: see beta_nll",
            "without bound where the fit is exact and the variance goes to zero",
        ),
        use_when=("the noise differs between examples and its size is wanted",),
        avoid_when=("outliers are in the data: student_t_nll bounds their pull", "only the mean is wanted"),
        traits=Traits(
            convex=False, differentiable=True, smooth=True, lipschitz=False, symmetric=True, nonnegative=False
        ),
        examples=(
            Example(
                text="An error of 2 costs 2 at variance 1 and only 1.193 at variance 4, which expected it.",
                y_true=(10.0, 10.0),
                y_pred=(12.0, 12.0),
                inputs={"variance": (1.0, 4.0)},
                losses=(2.0, 1.1931472),
            ),
            Example(
                text="Without an error, variance 0.01 costs -2.303: a density above 1 has a negative loss.",
                y_true=(5.0,),
                y_pred=(5.0,),
                inputs={"variance": (0.01,)},
                losses=(-2.3025851,),
            ),
        ),
        myths=(
            Myth(
                "The variance needs a floor of 1e-6 inside the loss.",
                "A floor there changes the number and leaves a wrong gradient behind. Keep the variance positive in "
                "the model, or predict its logarithm: scale='log_variance' is exact everywhere.",
            ),
        ),
        references=(
            Reference(
                authors="D. A. Nix and A. S. Weigend",
                year=1994,
                title="Estimating the mean and variance of the target probability distribution",
                venue="IEEE International Conference on Neural Networks, 55-60",
                doi="10.1109/ICNN.1994.374138",
            ),
        ),
    )

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Target, mean, and the third by the name of what it holds."""
        return (TARGET, PREDICTION, _SPREADS[self.scale])

    def formula(self, ops: Ops, y: Value, f: Value, spread: Value) -> Value:
        """Return the loss of target ``y`` at mean ``f`` and a spread of the declared kind."""
        r = f - y
        if self.scale == "variance":
            # By the size of the error, what could overflow or underflow on the way comes last.
            middle = ops.both(ops.le(2.0**-50, ops.abs(r)), ops.lt(ops.abs(r), 1))
            value = ops.log(spread) / 2 + ops.where(middle, r * r / 2 / spread, r * (r / spread) / 2)
        elif self.scale == "scale":
            z = r / spread
            value = ops.log(spread) + z * (z / 2)
        else:
            z = ops.mul0(r, ops.exp(-spread / 2))  # an exact fit stays one, however small the variance
            value = spread / 2 + ops.mul0(z, z) / 2
        return value + _HALF_LOG_2_PI if self.full else value


_SPREADS = {"variance": VARIANCE, "log_variance": LOG_VARIANCE, "scale": SCALE}
_HALF_LOG_2_PI = 0.9189385332046728
