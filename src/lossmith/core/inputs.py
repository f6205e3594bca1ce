"""Inputs: the arrays that a loss takes, declared once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Input:
    """One array argument of a loss.

    Attributes:
        symbol: what the formula calls it.
        name: what callers call it, as keyword.
        predicted: whether derivatives are taken with respect to it.
        broadcast: whether its axes of size 1 spread over the examples, as a shared variance does.
        doc: what it holds, one phrase.
    """

    symbol: str
    name: str
    predicted: bool = True
    broadcast: bool = False
    doc: str = ""


TARGET = Input("y", "y_true", predicted=False, doc="targets")
PREDICTION = Input("f", "y_pred", doc="predictions")
