"""What a prediction is for: the goal that decides which losses make sense and how they are judged.

Each goal names a property of the target's distribution. A cost is consistent with a goal where, on average,
nothing but that property makes it smallest: squared error for the mean, absolute error for the median, the
quantile loss for a quantile, cross-entropy for a probability. Gneiting (2011), Making and evaluating point
forecasts, Journal of the American Statistical Association 106, doi:10.1198/jasa.2011.r10138.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lossmith.errors import ParameterError, did_you_mean

__all__ = ["Goal", "goal_of_metric", "parse_goal"]

_KINDS = ("mean", "median", "quantile", "probability")
# The metric that decides when only a goal is given; it is smallest exactly at the goal.
_METRICS = {"mean": "rmse", "median": "mae", "quantile": "pinball", "probability": "log_loss"}


@dataclass(frozen=True)
class Goal:
    """What the prediction should be.

    Attributes:
        kind: ``"mean"``, ``"median"``, ``"quantile"`` or ``"probability"``.
        level: The quantile's level, between 0 and 1; ``None`` for the other kinds.
    """

    kind: str
    level: float | None = None

    @property
    def text(self) -> str:
        """The goal as a user writes it, such as ``quantile:0.9``."""
        return self.kind if self.level is None else f"{self.kind}:{self.level:g}"

    @property
    def words(self) -> str:
        """The goal as a noun with its article, such as ``the 90% quantile``."""
        return f"the {self.kind}" if self.level is None else f"the {100 * self.level:g}% quantile"

    @property
    def metric(self) -> str:
        """The name of the metric that is smallest at this goal, such as ``pinball:0.9``."""
        return _METRICS[self.kind] if self.level is None else f"{_METRICS[self.kind]}:{self.level:g}"

    def is_aim_of(self, loss: Any) -> bool:
        """Return whether the cost of a loss is smallest exactly at this goal, as that of Poisson is at the mean."""
        if self.kind in ("median", "quantile") and loss.name == "quantile":
            return bool(loss.values["level"] == (0.5 if self.level is None else self.level))
        return bool(loss.card.estimates == self.kind)

    def loss(self) -> Any:
        """Return the plain loss whose cost is smallest exactly at this goal."""
        import lossmith as lm

        if self.kind == "quantile":
            return lm.get("quantile", level=self.level)
        name = {"mean": "squared_error", "median": "absolute_error", "probability": "binary_cross_entropy"}[self.kind]
        return lm.get(name)


def parse_goal(text: str | None, *, binary: bool) -> Goal:
    """Read a goal and check that it fits the target.

    Args:
        text: ``mean``, ``median``, ``quantile:LEVEL`` or ``probability``; ``None`` means the mean, or the
            probability for a target of two classes.
        binary: Whether the target has two classes. Then "mean" is read as "probability": of 0 and 1, the mean
            is the probability.

    Raises:
        ParameterError: An unknown goal, a level outside (0, 1), or a goal that does not fit the target.
    """
    if text is None:
        return Goal("probability" if binary else "mean")
    kind, _, level_text = text.strip().lower().partition(":")
    if kind not in _KINDS:
        raise ParameterError(
            f"'{text}' is no goal.{did_you_mean(kind, _KINDS)} Goals are mean, median, quantile:LEVEL and probability"
        )
    if (kind == "quantile") != bool(level_text):
        example = "a quantile needs its level, such as quantile:0.9" if kind == "quantile" else f"write just '{kind}'"
        raise ParameterError(f"'{text}' is no goal; {example}")
    if binary:
        if kind in ("median", "quantile"):
            raise ParameterError(
                f"the goal '{text}' does not fit a target of two classes, where it is one of the two labels; "
                "use the goal probability"
            )
        return Goal("probability")
    if kind == "probability":
        raise ParameterError("the goal 'probability' needs a target of two classes, and this one is a number")
    if kind != "quantile":
        return Goal(kind)
    try:
        level = float(level_text)
    except ValueError:
        level = math.nan
    if not 0.0 < level < 1.0:
        raise ParameterError(f"the level of '{text}' must be a number between 0 and 1, such as quantile:0.9")
    return Goal("quantile", level)


def goal_of_metric(name: str) -> str | None:
    """Return the goal at which a metric is best, or ``None`` where the metric fits several or none.

    Args:
        name: Name of the metric, such as ``mae`` or ``pinball:0.9``.
    """
    kind, colon, level = name.partition(":")
    goals = {metric: goal for goal, metric in _METRICS.items()} | {"r2": "mean", "brier": "probability"}
    return f"{goals[kind]}{colon}{level}" if kind in goals else None
