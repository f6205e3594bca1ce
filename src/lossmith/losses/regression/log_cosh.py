"""Log-cosh loss: a smooth absolute error."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class LogCosh(Pointwise):
    """Logarithm of the hyperbolic cosine of the residual."""

    aliases = ("logcosh", "log_cosh_error")

    card = Card(
        title="Log-cosh loss",
        task="regression",
        summary="About half the squared residual well below 1, about the residual's size minus log 2 well above it.",
        picture="A round bowl that straightens into lines without a corner or a seam.",
        estimates="between mean and median",
        activation="linear",
        pros=("bounded pull of outliers", "every derivative exists", "no parameter to set"),
        cons=(
            "its bend sits at a residual of 1 whatever the unit: scale the target, or use Huber",
            "costs an exponential and a logarithm",
            "its curvature vanishes in the tails, so second-order boosting needs a floor",
        ),
        use_when=("a smooth and robust loss is needed and residuals are of size about 1",),
        avoid_when=("residuals are in the thousands: there it is absolute error in all but name",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        examples=(
            Example(
                text="A residual of 0.01 costs half its square; one of 100 costs its size less log 2.",
                y_true=(0.0, 0.0),
                y_pred=(0.01, 100.0),
                losses=(0.0000499992, 99.306853),
            ),
        ),
        myths=(
            Myth(
                "Log-cosh can be written log((e^r + e^-r) / 2) in code.",
                "That overflows from a residual of 711 on, and common repairs return 0 for small residuals in "
                "float32. Here both ends are exact.",
            ),
        ),
        references=(
            Reference(
                authors="P. J. Green",
                year=1990,
                title="Bayesian reconstructions from emission tomography data using a modified EM algorithm",
                venue="IEEE Transactions on Medical Imaging 9(1), 84-93",
                doi="10.1109/42.52985",
            ),
            Reference(
                authors="R. A. Saleh and A. K. Md. E. Saleh",
                year=2022,
                title="Statistical properties of the log-cosh loss function used in machine learning",
                venue="arXiv 2208.04564",
                doi="10.48550/arXiv.2208.04564",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return ops.logcosh(f - y)
