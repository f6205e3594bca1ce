"""Margin losses: pointwise losses of a score times the sign of its label."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.link import IDENTITY, Link
from lossmith.core.parameter import Option
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Binary


def of_one(then: str = "", **others: str) -> Mapping[str, str]:
    """Return what a loss with a margin of 1 says of ``margin=``, and of other keywords that it does not have.

    Args:
        then: what is to be done for another margin besides.
        others: what is said of these.
    """
    return {"margin": f"The margin is 1, the unit of scores; for one of m pass scores divided by m{then}.", **others}


class Margin(Binary):
    """A loss of the margin: the score where the label is positive, minus the score where it is negative.

    A subclass gives ``card`` and ``of_margin``.
    """

    link: Link = IDENTITY
    prediction = Option(
        "logits",
        ("logits",),
        doc="what y_pred holds: a raw score",
        why="A margin is a distance on the scale of raw scores; a probability has none.",
    )
    eps: None = None  # scores have no ends to be kept off

    @abstractmethod
    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive on the right side."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of label ``y`` at score ``f``."""
        return self.of_margin(ops, (y if self.labels == "signed" else 2 * y - 1) * f)

    def best_prediction(self, y_true: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the score at which the margin is reached."""
        labels = np.asarray(y_true, dtype=float)
        return np.where(labels > 0, 1.0, -1.0)
