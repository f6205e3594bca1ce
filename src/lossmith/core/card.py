"""Cards: the facts about a loss that people read and tests check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal
from weakref import WeakKeyDictionary

Task = Literal[
    "regression",
    "counts",
    "binary",
    "categorical",
    "probabilistic",
    "distributions",
    "embeddings",
    "adversarial",
    "preference",
]
Estimate = Literal[
    "nothing",
    "mean",
    "median",
    "quantile",
    "expectile",
    "between mean and median",
    "between mean and mode",
    "near the median",
    "near the mean",
    "near the mode",
    "geometric mean",
    "weighted median",
    "probability",
    "class probabilities",
    "balanced class probabilities",
    "distorted probability",
    "2p - 1",
    "half the log-odds",
    "zero",
    "class",
    "mean and variance",
    "median and spread",
    "location and scale",
    "two quantiles",
    "density ratio",
    "preference",
    "a distribution",
    "distances",
    "quantiles",
    "a compromise of its terms",
    "not known",
]
"""What the constant with the least cost is, on the scale of predictions."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """Properties of the loss as a function of the raw prediction; the law suite proves each, both ways.

    They speak of the default options. What is declared true holds for every value of the parameters
    and every target; what is declared false fails for some. Where a loss has several predicted
    inputs, they hold in all of them together, over their whole domains: convex along every line that
    changes several at once, Lipschitz when no partial derivative grows without bound. An input
    without derivatives, such as a log-probability of the reference model, is held wherever it is.
    Divergences are looked at in the raw form of q alone, its logits or log amounts, with p held.

    Attributes:
        convex: every chord lies on or above the curve.
        differentiable: neither the value nor the gradient jumps anywhere.
        smooth: nor does the Hessian.
        lipschitz: the gradient is bounded wherever it exists, so one outlier has bounded pull.
        symmetric: the loss depends on the size of the residual alone; a divergence is the same with p
            and q exchanged.
        nonnegative: the loss is never below zero.
    """

    convex: bool
    differentiable: bool
    smooth: bool
    lipschitz: bool
    symmetric: bool
    nonnegative: bool = True


@dataclass(frozen=True)
class Kink:
    """A place where a derivative jumps.

    Attributes:
        where: the place, for people.
        jumps: what jumps there: ``value``, ``gradient`` or ``hessian``.
        at: ``(loss, target) -> raw predictions`` of the place. For a pointwise loss of other inputs than a
            target and a prediction it is ``(loss, the other inputs by name) -> values`` of the input ``along``;
            for other structures ``(loss, what is held fixed) -> places`` on the line of ``Loss.section``.
        along: the predicted input that crosses the place; by default the first one.
    """

    where: str
    jumps: Literal["value", "gradient", "hessian"]
    at: Callable[[Any, Any], tuple[float, ...]]
    along: str = ""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A worked example. Tests compute it, so the numbers are true.

    Attributes:
        text: the story in one sentence.
        y_true, y_pred: the data, with classes or levels a row for each example; empty where the loss
            takes no such input.
        inputs: further data by name.
        losses: the loss of each example, rounded as printed.
        cost: their mean, where the story needs it.
        options: parameters and options of the loss.
    """

    text: str
    y_true: tuple[Any, ...] = ()
    y_pred: tuple[Any, ...] = ()
    losses: tuple[float, ...]
    cost: float | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    inputs: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def arguments(self) -> dict[str, tuple[Any, ...]]:
        """All the data by name, as a call of the loss takes it."""
        given = {"y_true": self.y_true, "y_pred": self.y_pred, **self.inputs}
        return {name: values for name, values in given.items() if values}


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A formula set by hand, where the loss is not written with instructions, or hides what matters in its inputs.

    Attributes:
        value, gradient, hessian: each as LaTeX and as text, for the default kind of the input in focus;
            derivatives are by that input.
        kinds: the formula for other kinds of it, where it differs.
    """

    value: tuple[str, str]
    gradient: tuple[str, str]
    hessian: tuple[str, str]
    kinds: Mapping[str, Formula] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Myth:
    """A claim that is often taught and not true, and what holds instead."""

    claim: str
    truth: str


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where the loss comes from."""

    authors: str
    year: int
    title: str
    venue: str
    doi: str = ""
    url: str = ""

    def __str__(self) -> str:
        link = f" https://doi.org/{self.doi}" if self.doi else f" {self.url}" if self.url else ""
        return f"{self.authors} ({self.year}). {self.title}. {self.venue}.{link}"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What there is to know about a loss.

    Attributes:
        title: its usual name.
        task: the kind of target it is for.
        summary: what it measures, in one sentence.
        picture: what its curve shows, in one sentence.
        estimates: what the best constant prediction is; ``not known`` has it looked for.
        activation: the last layer that belongs to it.
        pros, cons: what speaks for and against it.
        use_when, avoid_when: advice.
        traits: its mathematical properties.
        kinks: where derivatives jump; the convention there is that of the instruction table.
        formula: the formula as typeset by hand; by default it is read from the loss.
        examples: worked numbers.
        myths: claims to correct.
        references: sources, the first one original where there is one.
    """

    title: str
    task: Task
    summary: str
    picture: str
    estimates: Estimate
    activation: str
    pros: tuple[str, ...]
    cons: tuple[str, ...]
    use_when: tuple[str, ...]
    avoid_when: tuple[str, ...]
    traits: Traits
    kinks: tuple[Kink, ...] = ()
    formula: Formula | None = None
    examples: tuple[Example, ...]
    myths: tuple[Myth, ...] = ()
    references: tuple[Reference, ...]


NOT_KNOWN = Traits(
    convex=False, differentiable=False, smooth=False, lipschitz=False, symmetric=False, nonnegative=False
)
"""What counts as holding where nothing is known."""


def blank(title: str, task: Task, activation: str, traits: Traits, estimates: Estimate) -> Card:
    """Return the card of a loss of which nobody has said more than what is proved of it."""
    return Card(
        title=title,
        task=task,
        summary="A loss of your own.",
        picture="What its formula says.",
        estimates=estimates,
        activation=activation,
        pros=(),
        cons=(),
        use_when=(),
        avoid_when=(),
        traits=traits,
        examples=(),
        references=(),
    )


class Blank:
    """Stands where classes declare their cards, for those that declare none; what their formula proves holds.

    Args:
        title: by default the name of the class.
        task, activation: those of the card.
    """

    def __init__(self, title: str = "", task: Task = "regression", activation: str = "linear") -> None:
        self._said = title, task, activation
        self._cards: WeakKeyDictionary[Any, Card] = WeakKeyDictionary()

    def __get__(self, loss: Any, owner: Any) -> Card:
        found = self._cards.get(owner)
        if found is None:
            title, task, activation = self._said
            found = blank(title or owner.__name__, task, activation, *owner._proved())
            self._cards[owner] = found
        return found

    def __reduce__(self) -> tuple[Any, ...]:  # for cloudpickle, which takes a class of a notebook apart
        return Blank, self._said
