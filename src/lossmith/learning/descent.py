"""Gradient descent with a rate that stays the same, and the choice of that rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import numbers
from lossmith.core.loss import Loss
from lossmith.errors import DomainError, ShapeError, plural
from lossmith.learning.record import Array, Outcome, Step, fixed

_NOTHING = 1e-9  # of the cost: what a step must promise to change
_RUNAWAY = 1e6  # times the first cost: what is higher never comes back
_REACH = 10.0  # of a first step, where targets are small, as labels are
_HIGHEST, _LOWER = 40, 80  # powers of two: the highest rate, and how many lower ones are looked at
_PATIENCE = 4  # lower rates that come less far, before no more are tried
_AS_GOOD = 1e-4  # of the fall of the cost


@dataclass(frozen=True, eq=False)
class State:
    """Where the model stands; a cost of NaN is one outside the domain of the loss."""

    parameters: Array
    raw: Array
    cost: float
    slope: Array

    @property
    def is_finite(self) -> bool:
        """Whether a step can be taken from here."""
        return math.isfinite(self.cost) and bool(np.all(np.isfinite(self.slope)))


class Descent(NamedTuple):
    """The states that steps of one rate lead through, and how that ended."""

    states: list[State]
    outcome: Outcome
    rate: float

    @property
    def end(self) -> float:
        """The last cost."""
        return self.states[-1].cost

    @property
    def reason(self) -> str:
        """How it ended, in a sentence."""
        taken, steps = len(self.states) - 1, plural(len(self.states) - 1, "step")
        every = "its only step" if taken == 1 else f"all {steps}"
        if self.outcome == "converged":
            if taken == 0:
                return "Nothing moves: at the start the gradient is zero, or next to it. Another start may help."
            return f"It converged in {steps}: another one would change the cost by less than a billionth."
        if self.outcome == "settled":
            if taken == 0:
                return "No step lowers the cost, however short: the start lies at a kink, the bottom as far as it sees."
            return f"It took {every}, and no longer comes down: steps of this length jump over the bottom."
        if self.outcome == "unfinished":
            before = self.states[-2].cost
            share = f", by {100 * (before - self.end) / abs(before):.2g}% in the last one" if before else ""
            return f"It took {every}, and the cost was still falling{share}."
        if math.isnan(self.end):
            return f"It diverged: step {taken} left the domain of the loss. Take a lower rate."
        if not self.states[-1].is_finite:
            return f"It diverged: after {steps} the numbers are no longer finite. Take a lower rate."
        return f"It diverged: after {steps} the cost is higher than at the start. Take a lower rate."


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be learned.

    Attributes:
        loss: a loss on raw predictions.
        design: the features, behind a column of ones.
        y: the targets.
        width: the shape of an example's raw predictions: ``()``, or how many classes or levels there are.
    """

    loss: Loss
    design: Array
    y: Array
    width: tuple[int, ...]

    def begin(self, start: str | npt.ArrayLike) -> State:
        """Return the state to begin with; data outside the domain of the loss is an error here."""
        shape = (self.design.shape[1], *self.width)
        parameters = np.zeros(shape)
        if not isinstance(start, str):
            given = numbers("learn", "start", start).astype(np.float64)
            if given.shape != shape:
                raise ShapeError(
                    f"learn: start has shape {given.shape} and must have {shape}: the intercept, then a slope for each "
                    "feature"
                )
            parameters = given
        elif start == "constant":
            parameters[0] = self.loss.optimal_constant(self.y)
        if not np.all(np.isfinite(parameters)):
            raise DomainError(f"learn: the parameters to begin with must be finite, got {parameters.tolist()}")
        return self._measured(parameters)

    def at(self, parameters: Array) -> State:
        """Return the state with some parameters."""
        try:
            return self._measured(parameters)
        except DomainError:
            return State(parameters, self.design @ parameters, math.nan, np.full_like(parameters, np.nan))

    def _measured(self, parameters: Array) -> State:
        raw = self.design @ parameters
        cost, gradient = self.loss.cost_and_gradient(self.y, self._given(raw))
        return State(parameters, raw, float(cost), self.design.T @ self._taken(gradient))

    def step(self, number: int, here: State, there: State) -> Step:
        """Return all there is to know about the step from one state to another."""
        losses, gradient = np.full(len(self.design), np.nan), np.full_like(here.raw, np.nan)
        if not math.isnan(here.cost):
            found = self.loss.evaluate(self.y, self._given(here.raw), ("losses", "gradient"), trusted=True)
            losses, gradient = found["losses"], self._taken(found["gradient"])
        return Step(
            number=number,
            parameters=fixed(here.parameters),
            raw=fixed(here.raw),
            predictions=fixed(self.loss.link.inverse(here.raw)),
            losses=fixed(losses),
            cost=here.cost,
            gradient=fixed(gradient),
            parameter_gradient=fixed(here.slope),
            new_parameters=fixed(there.parameters),
        )

    def _given(self, raw: Array) -> Array:
        """Return raw predictions as the loss takes them; ``_taken`` is the way back."""
        axis = self.loss.row_axis
        return raw if axis is None else np.moveaxis(raw, -1, axis)

    def _taken(self, rows: Array) -> Array:
        axis = self.loss.row_axis
        return rows if axis is None else np.moveaxis(rows, axis, -1)


def descend(task: Task, first: State, rate: float, steps: int, *, falling: bool = False) -> Descent:
    """Return the descent of at most so many steps; ``falling`` ends it before one that does not lower the cost."""
    states = [first]
    for _ in range(steps):
        here = states[-1]
        promised = rate * float(np.vdot(here.slope, here.slope))
        if promised <= _NOTHING * max(abs(first.cost), abs(here.cost)):
            return Descent(states, "converged", rate)
        there = task.at(here.parameters - rate * here.slope)
        if falling and not there.cost < here.cost:
            return Descent(states, "diverged", rate)
        states.append(there)
        if not there.is_finite or there.cost - first.cost > _RUNAWAY * abs(first.cost or states[1].cost):
            return Descent(states, "diverged", rate)
    if states[-1].cost > first.cost:
        return Descent(states, "diverged", rate)
    still = states[-1].cost < min(state.cost for state in states[:-1])
    return Descent(states, "unfinished" if still else "settled", rate)


def best(task: Task, first: State, steps: int) -> Descent:
    """Return the descent at a rate that suits the task; ``learn`` says which."""
    moved = float(np.max(np.abs(task.design @ first.slope)))
    if not 0 < moved < math.inf:
        return Descent([first], "converged", 1.0)
    reach = max(_REACH, float(np.max(np.abs(task.y)))) / moved  # infinite where next to nothing moved
    highest = math.floor(math.log2(min(reach, 2.0**_HIGHEST)))
    card = getattr(task.loss, "card", None)  # a loss of the user's own may have none
    smooth = card is not None and card.traits.differentiable
    tried: list[Descent] = []
    for power in range(highest, highest - _LOWER, -1):
        descent = descend(task, first, 2.0**power, steps, falling=smooth)
        if descent.outcome != "diverged" and descent.end < first.cost:
            tried.append(descent)
            if _as_good(first, tried) not in tried[-_PATIENCE:]:
                break
    if not tried:  # where there is no kink, floats do not tell the costs apart
        return Descent([first], "converged" if smooth else "settled", 2.0**highest)
    return _as_good(first, tried)


def _as_good(first: State, tried: Sequence[Descent]) -> Descent:
    """Return the one with the lowest rate among those that come as far as any."""
    lowest = min(descent.end for descent in tried)
    enough = lowest + _AS_GOOD * (first.cost - lowest)
    return next(descent for descent in reversed(tried) if descent.end <= enough)
