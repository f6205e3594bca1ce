"""CRPS of a normal distribution: a whole distribution judged in the unit of the target."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.location_scale import LocationScale


class CRPSGaussian(LocationScale):
    """Continuous ranked probability score of a normal distribution with a predicted mean and standard deviation."""

    aliases = ("crps", "gaussian_crps", "normal_crps", "crps_normal")

    card = Card(
        title="Continuous ranked probability score (Gaussian)",
        task="probabilistic",
        summary="The squared distance between the predicted distribution function and the step at the target.",
        picture="Round where the error is below the predicted scale, then straight arms: the absolute error with "
        "its corner rounded by the uncertainty.",
        estimates="location and scale",
        activation="linear for the mean, softplus or exponential for the scale",
        pros=(
            "a proper score in the unit of the target, equal to the absolute error for a prediction without doubt",
            "bounded pull of outliers, on the mean and on the scale",
            "convex in mean and scale together, and never negative",
        ),
        cons=(
            "milder than the likelihood on overconfident misses",
            "its best normal distribution for data that are not normal has neither their mean nor their variance",
        ),
        use_when=("forecasts with uncertainty are compared, also with forecasts that are single numbers",),
        avoid_when=("the probability of rare events matters most: the likelihood is sharper there",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        examples=(
            Example(
                text="At scale 1 an exact mean still costs 0.234, and an error of 1 costs 0.602.",
                y_true=(0.0, 0.0),
                y_pred=(0.0, 1.0),
                inputs={"scale": (1.0, 1.0)},
                losses=(0.2336950, 0.6024414),
            ),
            Example(
                text="At a scale of a thousandth an error of 3 costs 2.999: the absolute error, nearly.",
                y_true=(10.0,),
                y_pred=(13.0,),
                inputs={"scale": (0.001,)},
                losses=(2.9994358,),
            ),
        ),
        myths=(
            Myth(
                "The CRPS needs samples or numerical integration.",
                "For a normal distribution it has a closed form, which is what is computed here.",
            ),
        ),
        references=(
            Reference(
                authors="J. E. Matheson and R. L. Winkler",
                year=1976,
                title="Scoring rules for continuous probability distributions",
                venue="Management Science 22(10), 1087-1096",
                doi="10.1287/mnsc.22.10.1087",
            ),
            Reference(
                authors="T. Gneiting, A. E. Raftery, A. H. Westveld and T. Goldman",
                year=2005,
                title="Calibrated probabilistic forecasting using ensemble model output statistics "
                "and minimum CRPS estimation",
                venue="Monthly Weather Review 133(5), 1098-1118",
                doi="10.1175/MWR2904.1",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value, s: Value) -> Value:
        """Return the loss of target ``y`` at mean ``f`` and standard deviation ``s``."""
        return ops.crps_normal(f - y, s)
