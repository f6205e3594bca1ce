"""Several quantiles at once, which need not cross."""

from lossmith.core.card import Card, Example, Formula, Kink, Myth, Reference, Traits
from lossmith.program import Ops, Value
from lossmith.structures.levels import Levels

_VALUE = (
    r"\frac{1}{K} \sum_k \max\left(\tau_k \left(y - q_k\right), \left(1 - \tau_k\right) \left(q_k - y\right)\right)",
    "mean over k of max(τ[k] (y - q[k]), (1 - τ[k]) (q[k] - y))",
)


class MultiQuantile(Levels):
    """Mean quantile loss over several ``levels``: one target and one prediction a level in each row."""

    aliases = ("multi_quantile_loss", "multiple_quantiles", "mean_pinball")

    card = Card(
        title="Multi-quantile loss",
        task="regression",
        summary="The quantile losses of several levels of one target, averaged.",
        picture="Drawn for one number at all levels, a V with its point at the target, tilted as the levels are on "
        "average.",
        estimates="quantiles",
        activation="linear; with increments a softplus between levels",
        pros=(
            "one model gives intervals and the median together",
            "with increments no quantile can cross another",
            "with many even levels twice the loss tends to the CRPS of the predicted distribution",
        ),
        cons=("declared as quantiles they can cross: crossing_rate says how often", "extreme levels need much data"),
        use_when=("a forecast is to come with its uncertainty",),
        avoid_when=("one level is enough: Quantile takes one number a row and trains in boosters",),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(Kink("a quantile = y", "gradient", lambda loss, y: (y,)),),
        formula=Formula(
            value=_VALUE,
            gradient=(
                r"\frac{1}{K} \left([q_k > y] - \tau_k\right)",
                "((1 if q[k] > y else 0) - τ[k]) / K, and 0 where q[k] = y",
            ),
            hessian=("0", "0"),
            kinds={
                "increments": Formula(
                    value=_VALUE,
                    gradient=(
                        r"\frac{s_k}{K} \sum_{j \ge k} \left([q_j > y] - \tau_j\right), \quad s_k = \sigma(f_k)",
                        "s[k] / K times the sum over j from k on of (1 if q[j] > y else 0) - τ[j], with s[k] = σ(f[k])",
                    ),
                    hessian=(
                        r"\frac{s_k \left(1 - s_k\right)}{K} \sum_{j \ge k} \left([q_j > y] - \tau_j\right)",
                        "s[k] (1 - s[k]) / K times that sum; 0 for the lowest level, where s is 1",
                    ),
                )
            },
        ),
        examples=(
            Example(
                text="Demand was 100. Quantiles of 80, 95 and 130 miss by 20, 5 and 30 and cost 2.5 on average.",
                y_true=(100.0,),
                y_pred=((80.0, 95.0, 130.0),),
                losses=(2.5,),
            ),
            Example(
                text="The same by increments of 15 and 35, which a softplus leaves nearly as they are.",
                y_true=(100.0,),
                y_pred=((80.0, 15.0, 35.0),),
                losses=(2.5,),
                options={"prediction": "increments"},
            ),
        ),
        myths=(
            Myth(
                "Quantiles that are trained together cannot cross.",
                "The loss does not forbid it; only a parametrisation such as increments, or sorting, does.",
            ),
        ),
        references=(
            Reference(
                authors="R. Koenker and G. Bassett",
                year=1978,
                title="Regression quantiles",
                venue="Econometrica 46(1), 33-50",
                doi="10.2307/1913643",
            ),
            Reference(
                authors="V. Chernozhukov, I. Fernández-Val and A. Galichon",
                year=2010,
                title="Quantile and probability curves without crossing",
                venue="Econometrica 78(3), 1093-1125",
                doi="10.3982/ECTA7880",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, f: Value, level: Value) -> Value:
        """Return the loss of target ``y`` at the quantile ``f`` of a level."""
        # With the sign in abs, the derivative at an exact fit is 0, as for the absolute error.
        return ops.abs(y - f) * ops.where(y > f, level, 1 - level)
