"""Interval score: a prediction interval, judged by width and misses."""

from lossmith.core.card import Card, Example, Kink, Myth, Reference, Traits
from lossmith.core.inputs import TARGET, Input
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class IntervalScore(Pointwise):
    """Width of an interval that shall hold the target with probability ``level``, plus a price for each miss."""

    aliases = ("winkler_score", "winkler", "interval")
    inputs = (
        TARGET,
        Input("l", "lower", typical=(-5.0, 3.0), doc="lower end of the interval"),
        Input("u", "upper", typical=(-3.0, 5.0), doc="upper end of the interval"),
    )
    level = Parameter(
        0.9,
        domain="(0, 1)",
        symbol=r"\lambda",
        typical=(0.5, 0.99),
        doc="share of targets that the interval shall hold",
    )

    card = Card(
        title="Interval score (Winkler score)",
        task="probabilistic",
        summary="The width of the interval, plus 2 / (1 - level) times the distance by which the target misses it.",
        picture="Along the lower end a tilted V with its point at the target: a gentle slope while the interval "
        "only gets wider, a steep one once the target lies below it.",
        estimates="two quantiles",
        activation="linear for both ends",
        pros=(
            "judges narrowness and coverage by one number",
            "proper: the central quantiles at (1 - level) / 2 and (1 + level) / 2 are the best answer",
            "in the unit of the target, and robust: the pull of a miss does not grow with its distance",
        ),
        cons=("a single miss at a high level costs much, so few examples make it noisy", "its Hessian is zero"),
        use_when=("an interval is what users see",),
        avoid_when=("the whole distribution is wanted",),
        traits=Traits(convex=True, differentiable=False, smooth=False, lipschitz=True, symmetric=False),
        kinks=(
            Kink("lower = y", "gradient", lambda loss, held: (held["y_true"],), along="lower"),
            Kink("upper = y", "gradient", lambda loss, held: (held["y_true"],), along="upper"),
        ),
        examples=(
            Example(
                text="At level 0.8 the interval from 2 to 6 costs its width 4 for a target of 5; "
                "a target of 7 misses it by 1, which adds 10.",
                y_true=(5.0, 7.0),
                inputs={"lower": (2.0, 2.0), "upper": (6.0, 6.0)},
                losses=(4.0, 14.0),
                options={"level": 0.8},
            ),
        ),
        myths=(
            Myth(
                "Intervals whose ends cross must be refused.",
                "The score is the sum of two quantile losses and stays at least 0 when they cross, with a slope that "
                "uncrosses them. So crossed ends are allowed: training passes through them.",
            ),
        ),
        references=(
            Reference(
                authors="R. L. Winkler",
                year=1972,
                title="A decision-theoretic approach to interval estimation",
                venue="Journal of the American Statistical Association 67(337), 187-191",
                doi="10.1080/01621459.1972.10481224",
            ),
        ),
    )

    def formula(self, ops: Ops, y: Value, low: Value, high: Value) -> Value:
        """Return the loss of target ``y`` at the interval from ``low`` to ``high``."""
        # Two quantile losses: a unit on the inner side costs 1, and 2 / (1 - level) - 1 on the outer one.
        outer = (1 + self.level) / (1 - self.level)
        below = ops.abs(y - low) * ops.where(y > low, 1.0, outer)
        return below + ops.abs(high - y) * ops.where(high > y, 1.0, outer)
