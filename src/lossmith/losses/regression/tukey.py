"""Tukey's biweight loss: outliers are left out altogether."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.core.section import Section
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Tukey(Pointwise):
    """A sixth of ``c`` squared times 1 - (1 - (r / c)²)³ up to ``c``, and constant from there on."""

    aliases = ("biweight", "bisquare", "tukey_biweight")

    c = Parameter(
        4.685, domain="(0, inf)", symbol="c", typical=(1.0, 10.0), doc="residual from which a row has no pull"
    )

    card = Card(
        title="Tukey's biweight loss (bisquare)",
        task="regression",
        summary="Half squared error near zero; from a residual of c on, a row is an outlier and has no pull.",
        picture="A bowl that bends over and meets a level plain at plus and minus c, without a seam.",
        estimates="near the mode",
        activation="linear",
        pros=(
            "rows beyond c are out of the fit, exactly",
            "with the customary c it loses 5% of efficiency when the noise is normal after all",
        ),
        cons=(
            "not convex: a fit can settle on any cluster of rows that agree",
            "rows beyond c have no gradient, so a bad start never recovers",
            "c counts residuals: 4.685 is meant for residuals divided by their robust deviation",
        ),
        use_when=("wrong targets must have no say at all, and a good start is at hand",),
        avoid_when=("training from scratch: start with Huber, then change over", "residuals are not scaled"),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=True),
        examples=(
            Example(
                text="With c 4, residuals of 1, 2, 4 and 40 cost 0.469, 1.542 and twice the plateau of 16/6.",
                y_true=(0.0, 0.0, 0.0, 0.0),
                y_pred=(1.0, 2.0, 4.0, 40.0),
                losses=(0.4694010, 1.5416667, 2.6666667, 2.6666667),
                options={"c": 4.0},
            ),
        ),
        myths=(
            Myth(
                "4.685 is a good c for any data.",
                "It is for residuals in units of their robust deviation. For a target in thousands, "
                "c = 4.685 declares nearly every row an outlier.",
            ),
        ),
        references=(
            Reference(
                authors="A. E. Beaton and J. W. Tukey",
                year=1974,
                title="The fitting of power series, meaning polynomials, illustrated on band-spectroscopic data",
                venue="Technometrics 16(2), 147-185",
                doi="10.1080/00401706.1974.10489171",
            ),
        ),
    )

    def section(
        self, value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
    ) -> Section:
        """Return the loss along the prediction, as far as its plain; see ``Loss.section``."""
        centre, reach = value or 0.0, 1.5 * float(self.c)
        return super().section(value, points, between or (centre - reach, centre + reach))

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        r = f - y
        return ops.where(ops.abs(r) < self.c, ops.biweight(r, self.c), self.c * self.c / 6)
