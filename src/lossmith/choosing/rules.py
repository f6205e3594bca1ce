"""Which losses are worth a try: short rules from the target's profile and the goal.

A rule is a row: the loss it proposes, when it speaks, and one sentence why, with the profile's own figures.
The contest decides; the rules only see to it that every loss in it has a reason to be there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lossmith.choosing.goal import Goal
from lossmith.choosing.profile import OUTLIER_DEVIATIONS, TargetProfile
from lossmith.choosing.words import number, share
from lossmith.errors import ParameterError

__all__ = ["DECISION_METRICS", "RULES", "Candidate", "Rule", "Situation", "given", "propose"]

# Delta of Huber's loss, in deviations of the residual, that keeps 95% of the efficiency of squared error under
# normal errors. Huber (1964), Robust estimation of a location parameter, The Annals of Mathematical Statistics 35,
# doi:10.1214/aoms/1177703732; the figure is worked out in Huber (1981), Robust statistics, section 4.3.
HUBER_DELTA = 1.345

# Metrics that read only the order or the side of a prediction, so that a score which is no probability will do.
DECISION_METRICS = frozenset({"zero_one", "roc_auc", "average_precision"})


@dataclass(frozen=True)
class Situation:
    """What a rule may look at.

    Attributes:
        target: Profile of the target.
        goal: What the prediction should be.
        metric: Name of the metric that decides the contest.
    """

    target: TargetProfile
    goal: Goal
    metric: str

    @property
    def outliers(self) -> str:
        """Half a sentence on the outliers of the target."""
        if not self.target.outliers:
            return "no target lies beyond 3 robust deviations"
        return f"{share(self.target.outlier_share)} of the targets lie beyond 3 robust deviations"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A loss that takes part in the contest.

    Attributes:
        loss: The loss.
        reason: Why it takes part, in one sentence.
        rule: Name of the rule that proposed it; ``"given"`` where the user named it.
    """

    loss: Any
    reason: str
    rule: str

    @property
    def label(self) -> str:
        """The loss as it is written in tables, such as ``Huber(delta=1.35)``."""
        return str(self.loss).removesuffix("()")


@dataclass(frozen=True)
class Rule:
    """One row of the table of rules.

    Attributes:
        name: Name of the rule, for tests and documents.
        goals: Kinds of goal that it speaks for.
        loss: Name of the loss.
        when: Whether it speaks.
        because: Why, in one sentence.
        parameters: The loss's parameters, from the situation.
    """

    name: str
    goals: tuple[str, ...]
    loss: str
    when: Callable[[Situation], bool]
    because: Callable[[Situation], str]
    parameters: Callable[[Situation], dict[str, float]] = lambda s: {}


def _always(s: Situation) -> bool:
    return True


def _not_negative(s: Situation) -> bool:
    return s.target.minimum >= 0.0 and s.target.mean > 0.0


def _decides(s: Situation) -> bool:
    return s.metric in DECISION_METRICS


def _unit_scale(s: Situation) -> bool:
    # Log-cosh bends at one unit of the target. Far from that size it is half the square, or the absolute
    # error, under another name.
    return 0.2 <= s.target.robust_deviation <= 5.0


def _round(value: float) -> float:
    return float(f"{value:.3g}")


def _poisson_reason(s: Situation) -> str:
    if s.target.kind == "counts":
        ratio = f", with a variance {number(s.target.dispersion, 2)} times the mean" if s.target.dispersion else ""
        return (
            f"The targets are counts{ratio}; Poisson aims at the mean, keeps predictions above zero, and lets the "
            "spread grow with the size."
        )
    return (
        f"No target is negative and the largest, {number(s.target.maximum)}, is "
        f"{number(s.target.maximum / s.target.mean, 2)} times the mean; Poisson aims at the mean too, but works with "
        "ratios and lets the spread grow with the size."
    )


RULES: tuple[Rule, ...] = (
    Rule(
        "aim at the mean",
        ("mean",),
        "squared_error",
        _always,
        lambda s: (
            f"It aims straight at the mean, your goal; {s.outliers}, and squared error lets them steer the fit."
            if s.target.outliers
            else f"It aims straight at the mean, your goal, and {s.outliers}, so little can upset it."
        ),
    ),
    Rule(
        "aim at the median",
        ("median",),
        "absolute_error",
        _always,
        lambda s: f"It aims straight at the median, your goal, and an outlier counts by its side only: {s.outliers}.",
    ),
    Rule(
        "aim at the quantile",
        ("quantile",),
        "quantile",
        _always,
        lambda s: (
            f"It aims straight at {s.goal.words}, your goal: too low costs {number(s.goal.level)} a unit, "
            f"too high {number(1.0 - (s.goal.level or 0.0), 2)}."
        ),
        lambda s: {"level": s.goal.level or 0.5},
    ),
    Rule(
        "aim at the probability",
        ("probability",),
        "binary_cross_entropy",
        _always,
        lambda s: (
            "It aims straight at the probability, your goal, and stays right when classes are rare: here the "
            f"rarer one has {share(s.target.minority_share)} of the rows."
        ),
    ),
    Rule(
        "grow with the size",
        ("mean",),
        "poisson",
        lambda s: _not_negative(s) and (s.target.kind == "counts" or s.target.skew > 1.0),
        _poisson_reason,
    ),
    Rule(
        "grow in proportion",
        ("mean",),
        "gamma",
        lambda s: s.target.kind == "positive" and s.target.skew > 1.0,
        lambda s: (
            f"All targets are positive and half of them lie below {number(s.target.median)}, with a mean of "
            f"{number(s.target.mean)}; gamma aims at the mean, and an error counts as a share of the size."
        ),
    ),
    Rule(
        "zeros beside amounts",
        ("mean",),
        "tweedie",
        lambda s: s.target.kind == "continuous" and _not_negative(s) and s.target.zeros > 0 and s.target.skew > 1.0,
        lambda s: (
            f"Exactly zero are {share(s.target.zero_share)} of the targets, and the others are positive amounts; "
            "Tweedie at power 1.5, between Poisson and gamma, takes both as one and aims at their mean."
        ),
    ),
    Rule(
        "tame the outliers",
        ("mean",),
        "huber",
        lambda s: s.target.outliers > 0,
        lambda s: (
            f"It is squared error up to 3 robust deviations ({number(3 * s.target.robust_deviation, 3)}) and "
            f"gentler beyond, where {share(s.target.outlier_share)} of the targets lie."
        ),
        lambda s: {"delta": _round(OUTLIER_DEVIATIONS * s.target.robust_deviation)},
    ),
    Rule(
        "tame the tails",
        ("mean", "median"),
        "huber",
        _always,
        lambda s: (
            f"It bends at 1.345 robust deviations ({number(HUBER_DELTA * s.target.robust_deviation, 3)}), the "
            f"classic trade between squared and absolute error; {s.outliers}."
        ),
        lambda s: {"delta": _round(HUBER_DELTA * s.target.robust_deviation)},
    ),
    Rule(
        "smooth near the middle",
        ("mean", "median"),
        "log_cosh",
        _unit_scale,
        lambda s: (
            "It turns smoothly from squared to absolute error at one unit, and the robust deviation "
            f"{number(s.target.robust_deviation, 3)} is of that size."
        ),
    ),
    Rule(
        "ignore the size of outliers",
        ("mean", "quantile"),
        "absolute_error",
        _always,
        lambda s: (
            f"It aims at the median ({number(s.target.median)} over all rows, where the mean is "
            f"{number(s.target.mean)}), so it shows what is lost or won by another aim."
        ),
    ),
    Rule(
        "the usual default",
        ("median", "quantile"),
        "squared_error",
        _always,
        lambda s: (
            f"It is what most tools train with unasked, and it aims at the mean ({number(s.target.mean)} over "
            f"all rows), not at {s.goal.words}: the one to beat."
        ),
    ),
    Rule(
        "look at the hard rows",
        ("probability",),
        "focal",
        _always,
        lambda s: (
            "It turns down rows that are already right, so hard ones count more; the rarer class has "
            f"{share(s.target.minority_share)} of the rows. The price is that its probabilities lean to the middle."
        ),
        lambda s: {"gamma": 2.0},
    ),
    Rule(
        "look at the hard rows, gently",
        ("probability",),
        "focal",
        _always,
        lambda s: (
            "It is half way between cross-entropy and the usual focal loss, for the case that the rarer "
            f"{share(s.target.minority_share)} need only a little help."
        ),
        lambda s: {"gamma": 1.0},
    ),
    Rule(
        "weigh the rare class",
        ("probability",),
        "focal",
        lambda s: s.target.minority_share < 0.1,
        lambda s: (
            f"The positive class has {share(s.target.positive_share)} of the rows, and this focal loss weighs "
            f"it by {number(_round(1.0 - s.target.positive_share))}, against "
            f"{number(_round(s.target.positive_share))} for the other; its probabilities shift with the weights."
        ),
        lambda s: {"gamma": 2.0, "alpha": _round(1.0 - s.target.positive_share)},
    ),
    Rule(
        "ask for a margin",
        ("probability",),
        "hinge",
        _decides,
        lambda s: (
            f"The metric {s.metric} looks at the side or the order only, and hinge works on nothing else; its "
            "scores are no probabilities."
        ),
    ),
    Rule(
        "ask for a margin, smoothly",
        ("probability",),
        "squared_hinge",
        _decides,
        lambda s: (
            f"Like hinge it works on the side only, which is what {s.metric} reads, but it bends smoothly at the "
            "margin."
        ),
    ),
)


def propose(target: TargetProfile, goal: Goal, metric: str) -> tuple[Candidate, ...]:
    """Propose the losses for a contest, each with its reason.

    The first is always the plain loss whose cost is smallest exactly at the goal.

    Args:
        target: Profile of the target.
        goal: What the prediction should be.
        metric: Name of the metric that decides the contest.

    Returns:
        Between two and seven candidates, no loss twice.
    """
    import lossmith as lm

    situation = Situation(target, goal, metric)
    found: dict[str, Candidate] = {}
    for rule in RULES:
        if goal.kind in rule.goals and rule.when(situation):
            loss = lm.get(rule.loss, **rule.parameters(situation))
            found.setdefault(str(loss), Candidate(loss, rule.because(situation), rule.name))
    return tuple(found.values())


def given(losses: Sequence[Any], target: TargetProfile) -> tuple[Candidate, ...]:
    """Make candidates of the losses that the user named, and refuse those that cannot take part.

    Args:
        losses: Losses, or their texts such as ``huber(delta=2)``.
        target: Profile of the target.

    Raises:
        LossNotFoundError: A name that is no loss.
        ParameterError: A loss for two classes on a target of numbers, one that takes more than a target and a
            prediction, or a text that cannot be read.
    """
    import lossmith as lm

    found: dict[str, Candidate] = {}
    for item in losses:
        loss = lm.parse(item) if isinstance(item, str) else item
        if not loss.elementwise:
            raise ParameterError(
                f"{loss} cannot take part: it is a loss of {', '.join(each.name for each in loss.inputs)}"
                f"{', a row of predictions each' if loss.paired else ''}, and the models here predict one number a row"
            )
        if loss.card.task == "binary" and target.kind != "binary":
            raise ParameterError(
                f"{loss} is a loss for two classes, but the target '{target.name}' is a number; see the losses for "
                "numbers with: lossmith list --task regression"
            )
        found.setdefault(str(loss), Candidate(loss, "You asked for it.", "given"))
    return tuple(found.values())
