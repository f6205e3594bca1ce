"""What learning leaves behind: every step, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.errors import plural

Array = npt.NDArray[Any]
Outcome = Literal["converged", "settled", "unfinished", "diverged"]


@dataclass(frozen=True, eq=False)
class Step:
    """One turn of the loop; nobody changes its arrays.

    Attributes:
        number: how many steps were taken before it.
        parameters: what the model knows before the step, shape (1 + features,): the intercept, then a slope for each
            feature. Where a loss takes a row of predictions, one for each class or level, (1 + features, classes).
        raw: the raw prediction of each example, ``intercept + X @ slopes``: a logit, a log rate, or the prediction.
        predictions: the same on the scale of the targets: a probability, a rate. Rows stay as they are.
        losses: the loss of each example.
        cost: their mean.
        gradient: the derivative of each example's loss by its raw prediction: how hard it pulls, and where to.
        parameter_gradient: the derivative of the cost by each parameter.
        new_parameters: ``parameters - rate * parameter_gradient``. The last step of all is not taken: there
            they are ``parameters``.
    """

    number: int
    parameters: Array
    raw: Array
    predictions: Array
    losses: Array
    cost: float
    gradient: Array
    parameter_gradient: Array
    new_parameters: Array

    def to_dict(self) -> dict[str, Any]:
        """Return the step in JSON's own types, with ``None`` for numbers that are not finite."""
        return {item.name: plain(getattr(self, item.name)) for item in fields(self)}


@dataclass(frozen=True, eq=False)
class Learning:
    """What a loss taught a model, step by step.

    Attributes:
        loss: the loss, on raw predictions.
        model: ``line`` or ``constant``.
        names: of the parameters: the intercept, then the features.
        X: the features, shape (n, features); no column for a constant.
        y: the targets, as they were given.
        rate: what the gradient is multiplied with in each step.
        chosen: whether ``learn`` chose the rate.
        steps: every step, the last one not taken.
        outcome: ``converged``, where a step changes the cost by less than a billionth; ``settled``, where steps no
            longer lower it, since they jump across a kink; ``unfinished``, where the cost was still falling;
            ``diverged``, where it is higher than at the start, or no finite number.
        reason: the same, in a sentence.
    """

    loss: Loss
    model: str
    names: tuple[str, ...]
    X: Array
    y: Array
    rate: float
    chosen: bool
    steps: tuple[Step, ...]
    outcome: Outcome
    reason: str

    @property
    def costs(self) -> Array:
        """The cost after no step, after one, and so on."""
        return np.array([step.cost for step in self.steps])

    @property
    def parameters(self) -> Array:
        """What the model knows at the end."""
        return self.steps[-1].parameters

    @property
    def converged(self) -> bool:
        """Whether more steps of this rate would lead no further down."""
        return self.outcome in ("converged", "settled")

    @property
    def diverged(self) -> bool:
        """Whether the rate was too high."""
        return self.outcome == "diverged"

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in JSON's own types, with ``None`` for numbers that are not finite.

        ``schema`` grows when the meaning of a field changes.
        """
        return {
            "schema": 1,
            "loss": str(self.loss),
            "link": self.loss.link.name,
            "model": self.model,
            "names": list(self.names),
            "X": plain(self.X),
            "y": plain(self.y),
            "rate": self.rate,
            "chosen": self.chosen,
            "outcome": self.outcome,
            "reason": self.reason,
            "costs": plain(self.costs),
            "parameters": plain(self.parameters),
            "steps": [step.to_dict() for step in self.steps],
        }

    def __repr__(self) -> str:
        learned = ", ".join(
            f"{name}={np.array2string(value, precision=4, separator=', ')}"
            for name, value in zip(self.names, self.parameters, strict=True)
        )
        return (
            f"<Learning {self.loss}: {self.model} on {plural(len(self.X), 'example')}, "
            f"{plural(self.steps[-1].number, 'step')} at rate {self.rate:g}, "
            f"cost {self.costs[0]:.6g} -> {self.costs[-1]:.6g}, {self.outcome}; {learned}>"
        )


def fixed(array: Array) -> Array:
    """Return a copy that nobody can change."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


def plain(value: Any) -> Any:
    """Return a number or an array in JSON's own types, with ``None`` for numbers that are not finite."""
    found = np.asarray(value).astype(object)
    found[~np.isfinite(value)] = None
    return found.tolist()
