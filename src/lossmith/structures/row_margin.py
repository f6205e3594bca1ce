"""Margin losses of rows: by how much the score of the true class leads the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.parameter import Option
from lossmith.structures.rows import Rows

Array = npt.NDArray[Any]


class RowMargin(Rows):
    """A piecewise linear loss of the true class's leads; under soft targets the expected one.

    A subclass gives ``card``, ``of_leads`` and ``best_scores``.
    """

    prediction = Option(
        "logits",
        ("logits",),
        doc="what y_pred holds: raw scores",
        why="A margin is a distance on the scale of raw scores; a probability has none.",
    )

    @abstractmethod
    def of_leads(self, missing: Array) -> tuple[Array, Array]:
        """Return the losses, and their slopes by what is missing to a lead of 1 over each class.

        Args:
            missing: 1 + other score - true score, a row for each target; minus infinity for the true
                class itself and for classes that are ruled out.
        """

    @abstractmethod
    def best_scores(self, shares: Array) -> Array:
        """Return scores with the least expected loss, given the probabilities of the classes in falling order."""

    def best_row(self, target: Array) -> Array:
        """Return scores with the least loss for one target distribution, whose classes may be many."""
        order = np.argsort(-target, kind="stable")
        found = np.empty(target.size)
        found[order] = self.best_scores(target[order])
        return found

    def row(self, z: Array, t: Array, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the outputs for rows of scores and target distributions; see ``Rows.row``."""
        # One line for each class of each row that has target: one a row for class indices.
        row, true = np.nonzero(t > 0)
        lines, share = np.arange(len(row)), t[row, true]
        # The difference first: 1 + z would lose the 1 beside large scores.
        missing = 1 + (z[row] - z[row, true][:, None])
        missing[np.isneginf(z[row])] = -np.inf
        missing[lines, true] = -np.inf
        values, slopes = self.of_leads(missing)
        pulls = slopes * share[:, None]
        pulls[lines, true] = -pulls.sum(axis=1)
        losses, gradient = np.zeros(len(z), dtype=z.dtype), np.zeros_like(z)
        np.add.at(losses, row, share * values)
        np.add.at(gradient, row, pulls)
        results = {"losses": losses, "gradient:f": gradient, "hessian:f,f": np.zeros_like(z)}
        if "full_hessian:f,f" in outputs:
            results["full_hessian:f,f"] = np.zeros((*z.shape, z.shape[1]), dtype=z.dtype)
        return results
