"""Inputs: the arrays that a loss takes, declared once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lossmith.errors import ParameterError, did_you_mean


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


def bind(
    owner: str, inputs: Sequence[Input], y_true: Any, y_pred: Any, named: Mapping[str, Any], *, paired: bool
) -> dict[str, Any]:
    """Return the arguments of a call by name; ``paired`` says that the loss takes a target and a prediction alone.

    Raises:
        ParameterError: for one that the loss does not take, and for one that is missing.
    """
    if paired and not named and y_true is not None and y_pred is not None:
        return {"y_true": y_true, "y_pred": y_pred}
    places = {name: value for name, value in (("y_true", y_true), ("y_pred", y_pred)) if value is not None}
    given = {**named, **places}
    known = [item.name for item in inputs]
    call = f"{owner} takes {', '.join(f'{name}=' for name in known)}"
    for name in given:
        if name not in known:
            mend = " Arguments by place are y_true and y_pred; name the inputs." if name in ("y_true", "y_pred") else ""
            others = [*known, *{"weight", "mask"} - {name}]
            raise ParameterError(f"{call}; it has no input {name!r}.{did_you_mean(name, others) or mend}")
    missing = [name for name in known if given.get(name) is None]
    if missing:
        raise ParameterError(f"{call}; {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    return given
