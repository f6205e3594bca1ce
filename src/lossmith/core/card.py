"""Cards: the facts about a loss that people read and tests check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Task = Literal["regression", "counts", "binary", "categorical", "distributions", "embeddings"]
Estimate = Literal[
    "nothing",
    "mean",
    "median",
    "quantile",
    "between mean and median",
    "probability",
    "class probabilities",
    "distorted probability",
    "2p - 1",
    "class",
    "a distribution",
    "distances",
    "quantiles",
    "a compromise of its terms",
]
"""What the constant with the least cost is, on the scale of predictions."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """Properties of the loss as a function of the raw prediction; the law suite proves each, both ways.

    Attributes:
        convex: every chord lies on or above the curve.
        differentiable: the gradient has no jump.
        smooth: the Hessian has no jump either.
        lipschitz: the gradient is bounded, so one outlier has bounded pull.
        symmetric: the loss depends on the size of the residual alone.
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
        at: ``(loss, target) -> raw predictions`` of the place.
    """

    where: str
    jumps: Literal["value", "gradient", "hessian"]
    at: Callable[[Any, float], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A worked example. Tests compute it, so the numbers are true.

    Attributes:
        text: the story in one sentence.
        y_true, y_pred: the data; rows of classes or levels are tuples.
        inputs: the data by name, of losses that take others than a target and a prediction.
        losses: the loss of each example, rounded as printed.
        cost: their mean, where the story needs it.
        options: parameters and options of the loss.
    """

    text: str
    y_true: tuple[Any, ...] = ()
    y_pred: tuple[Any, ...] = ()
    inputs: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))
    losses: tuple[float, ...]
    cost: float | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def arguments(self) -> dict[str, tuple[Any, ...]]:
        """The data by the names of the loss's inputs."""
        return dict(self.inputs) if self.inputs else {"y_true": self.y_true, "y_pred": self.y_pred}


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
        estimates: what the best constant prediction is.
        activation: the last layer that belongs to it.
        pros, cons: what speaks for and against it.
        use_when, avoid_when: advice.
        traits: its mathematical properties.
        kinks: where derivatives jump; the convention there is that of the instruction table.
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
    examples: tuple[Example, ...]
    myths: tuple[Myth, ...] = ()
    references: tuple[Reference, ...]
