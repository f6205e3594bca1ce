"""Student-t negative log-likelihood: a location and a spread that outliers hardly move."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Option, Parameter
from lossmith.program import Ops, Value
from lossmith.structures.location_scale import LocationScale


class StudentTNLL(LocationScale):
    """Negative log-likelihood of Student's t distribution with ``df`` degrees of freedom."""

    name = "student_t_nll"
    aliases = ("student_t", "t_nll", "student_nll")
    df = Parameter(
        4.0, domain="(0, inf)", symbol=r"\nu", typical=(1.0, 30.0), doc="degrees of freedom: small means heavy tails"
    )
    full = Option(False, (False, True), doc="whether to add the terms that depend on df alone")

    card = Card(
        title="Student-t negative log-likelihood",
        task="probabilistic",
        summary="How surprising the target is under Student's t distribution with the predicted location and scale.",
        picture="A bowl near the target, then arms that flatten to logarithms: the farther out, the weaker the pull.",
        estimates="location and scale",
        activation="linear for the location, softplus or exponential for the scale",
        pros=(
            "far outliers lose their pull altogether",
            "df 1 is the Cauchy distribution, a large df the normal one",
        ),
        cons=("not convex, not even in the location alone", "its scale is no standard deviation"),
        use_when=("the noise differs between examples and now and then is extreme",),
        avoid_when=("every example counts in full, as large claims of insurance do",),
        traits=Traits(
            convex=False, differentiable=True, smooth=True, lipschitz=False, symmetric=True, nonnegative=False
        ),
        examples=(
            Example(
                text="At scale 1 and df 4 an error of 2 costs 1.733 and one of 20 costs 11.54, where a normal one "
                "would cost 2 and 200.",
                y_true=(0.0, 0.0),
                y_pred=(2.0, 20.0),
                inputs={"scale": (1.0, 1.0)},
                losses=(1.7328680, 11.5378013),
            ),
        ),
        myths=(
            Myth(
                "Losses at different degrees of freedom can be compared as they are.",
                "Terms that depend on df are left out by default, as they do not change the fit. "
                "To compare values of df, pass full=True.",
            ),
        ),
        references=(
            Reference(
                authors="K. L. Lange, R. J. A. Little and J. M. G. Taylor",
                year=1989,
                title="Robust statistical modeling using the t distribution",
                venue="Journal of the American Statistical Association 84(408), 881-896",
                doi="10.1080/01621459.1989.10478852",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value, s: Value) -> Value:
        """Return the loss of target ``y`` at location ``f`` and scale ``s``."""
        tail = ops.log1p_ratio2((f - y) / ops.pow(self.df, 0.5), s)
        value = ops.log(s) + (self.df + 1) / 2 * tail
        if self.full:
            value = value + (ops.log(self.df) + _LOG_PI) / 2 - ops.lgamma_half(self.df / 2)
        return value


_LOG_PI = 1.1447298858494002
