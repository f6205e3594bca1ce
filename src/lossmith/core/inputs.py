"""Inputs: the arrays that a loss takes, declared once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lossmith.core.elsewhere import counterpart, keyword
from lossmith.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from lossmith.core.loss import Loss


@dataclass(frozen=True)
class Input:
    """One array argument of a loss.

    Attributes:
        symbol: what the formula calls it.
        name: what callers call it, as keyword.
        predicted: whether derivatives are taken with respect to it.
        broadcast: whether its axes of size 1 spread over the examples, as a shared variance does.
        typical: the range that pictures draw; where they draw another input, this one stays in the middle.
        doc: what it holds, one phrase.
    """

    symbol: str
    name: str
    predicted: bool = True
    broadcast: bool = False
    typical: tuple[float, float] = (-4.0, 4.0)
    doc: str = ""

    @property
    def middle(self) -> float:
        """The middle of what is typical."""
        return (self.typical[0] + self.typical[1]) / 2


TARGET = Input("y", "y_true", predicted=False, doc="targets")
POSITIVE_TARGET = replace(TARGET, typical=(1.0, 5.0))  # of relative errors, which 0 tells nothing about
PREDICTION = Input("f", "y_pred", doc="predictions")


PAIR = ("y_true", "y_pred")
"""What most losses take, by place in this order."""

OF_COSTS = ("weight", "mask", "reduction", "empty")
FOR_COSTS = "It is for costs, and not for what each example has."
"""Arguments of costs, and what to say to who passes them to something else."""


def compares(loss: Loss) -> bool:
    """Return whether a loss is of two distributions and nothing else."""
    return [item.symbol for item in loss.inputs] == ["p", "q"]


def judged(loss: Loss) -> str:
    """Return what to say to who passes two distributions otherwise than by name."""
    truth, guess = (item.name for item in loss.inputs)
    return f" Say {truth}=y_true, {guess}=y_pred: {guess} is judged by {truth}."


def bind(loss: Loss, y_true: Any, y_pred: Any, named: Mapping[str, Any], *, paired: bool) -> dict[str, Any]:
    """Return the arguments of a call by name; ``paired`` says that the loss takes a target and a prediction alone.

    Raises:
        ParameterError: for one that the loss does not take, and for one that is missing.
    """
    if paired and not named and y_true is not None and y_pred is not None:
        return {"y_true": y_true, "y_pred": y_pred}
    places = {name: value for name, value in (("y_true", y_true), ("y_pred", y_pred)) if value is not None}
    given = {**named, **places}
    known = [item.name for item in loss.inputs]
    call = f"{type(loss).__name__} takes {', '.join(f'{name}=' for name in known)}"
    for name in given:
        if name not in known:
            mend = _instead(loss, name, known)
            if not mend and name in places:
                mend = " Arguments by place are y_true and y_pred; name the inputs."
            raise ParameterError(f"{call}; it has no input {name!r}.{mend}")
    missing = [name for name in known if given.get(name) is None]
    if missing:
        raise ParameterError(f"{call}; {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    return given


def _instead(loss: Loss, name: str, known: Sequence[str]) -> str:
    """Return what to write in the place of an argument that a loss does not take."""
    declared = loss.declared()
    if name in declared:
        return f" It is said when the loss is made: {type(loss).__name__}({name}=...)."
    if name in OF_COSTS:
        return f" {FOR_COSTS}"
    if compares(loss) and counterpart(name, PAIR):
        return judged(loss)
    return keyword(name, declared, known, loss.elsewhere) or did_you_mean(name, [*known, *OF_COSTS])
