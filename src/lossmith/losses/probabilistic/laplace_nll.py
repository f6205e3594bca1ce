"""Laplace negative log-likelihood: a median and a spread, robust to outliers."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.parameter import Option
from lossmith.program import Ops, Value
from lossmith.structures.location_scale import LocationScale


class LaplaceNLL(LocationScale):
    """Negative log-likelihood of a Laplace distribution with a predicted median and scale."""

    aliases = ("laplace", "double_exponential_nll", "laplace_negative_log_likelihood")
    full = Option(False, (False, True), doc="whether to add log 2, which does not depend on the prediction")

    card = Card(
        title="Laplace negative log-likelihood",
        task="probabilistic",
        summary="How surprising the target is under a Laplace distribution with the predicted median and scale.",
        picture="A V along the median, with arms as steep as one over the predicted scale.",
        estimates="median and spread",
        activation="linear for the median, softplus or exponential for the scale",
        pros=(
            "one outlier pulls the median with bounded force at any given scale",
            "the best scale is the mean absolute error, which everybody can read",
        ),
        cons=(
            "not convex in median and scale together",
            "its gradient jumps at an exact fit",
            "without bound where the fit is exact and the scale goes to zero",
        ),
        use_when=("the noise differs between examples and has heavier tails than a normal one",),
        avoid_when=("the expected value is wanted and the noise is skewed",),
        traits=Traits(
            convex=False, differentiable=False, smooth=False, lipschitz=False, symmetric=True, nonnegative=False
        ),
        kinks=(Kink("f = y", "gradient", lambda loss, held: (held["y_true"],), along="y_pred"),),
        examples=(
            Example(
                text="An error of 2 costs 2 at scale 1; at scale 2, which is best for it, 1.693.",
                y_true=(10.0, 10.0),
                y_pred=(12.0, 12.0),
                inputs={"scale": (1.0, 2.0)},
                losses=(2.0, 1.6931472),
            ),
        ),
        myths=(
            Myth(
                "The scale of a Laplace distribution is its standard deviation.",
                "It is the mean absolute deviation; the standard deviation is the root of 2 times it.",
            ),
        ),
        references=(
            Reference(
                authors="S. Kotz, T. J. Kozubowski and K. Podgórski",
                year=2001,
                title="The Laplace Distribution and Generalizations",
                venue="Birkhäuser, Boston",
                doi="10.1007/978-1-4612-0173-1",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value, s: Value) -> Value:
        """Return the loss of target ``y`` at median ``f`` and scale ``s``."""
        value = ops.log(s) + ops.abs(f - y) / s
        return value + _LOG_2 if self.full else value


_LOG_2 = 0.6931471805599453
