"""Margin losses of rows: by how much the score of the true class leads the others."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lossmith.core.parameter import Option
from lossmith.engines.hosts import Host
from lossmith.structures import row_math
from lossmith.structures.margin import of_one
from lossmith.structures.rows import Rows

Array = Any


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
    elsewhere = of_one(
        ", and multiply the loss by m", p="What a lead lacks to the margin is counted as it is, which is a p of 1."
    )

    @abstractmethod
    def of_leads(self, xp: Any, missing: Array) -> tuple[Array, Array]:
        """Return the losses, and where they grow by what is missing to a lead of 1 over each class.

        Args:
            xp: the functions of a host.
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

    def row(self, host: Host, z: Array, t: Array, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the outputs for rows of scores and target distributions; see ``Rows.row``."""
        xp = host.xp
        lines = _lines(xp, z, t, single=self.single)
        # The difference first: 1 + z would lose the 1 beside large scores.
        missing = 1 + (lines.scores - lines.own)
        missing = xp.where(lines.is_own | (lines.scores == -math.inf), -math.inf, missing)
        values, rises = self.of_leads(xp, missing)
        pulls = xp.where(rises, lines.share[..., None], xp.zeros_like(missing))
        pulls = xp.where(lines.is_own, -xp.sum(pulls, axis=-1)[..., None], pulls)
        zeros = xp.zeros_like(z)
        losses = xp.where(lines.share > 0, lines.share * values, 0.0)
        results = {"losses": lines.gathered(losses), "gradient:f": lines.gathered(pulls), "hessian:f,f": zeros}
        if "full_hessian:f,f" in outputs:
            results["full_hessian:f,f"] = row_math.diagonal_blocks(xp, zeros)
        return results


class _Lines(NamedTuple):
    """One line for each class of each row that may have target, in front of the scores of all classes.

    Attributes:
        scores: the row's scores.
        own: the score of the line's class.
        is_own: which class that is.
        share: its share of the target.
        gathered: adds up what belongs to the lines of each row.
    """

    scores: Array
    own: Array
    is_own: Array
    share: Array
    gathered: Callable[[Array], Array]


def _lines(xp: Any, z: Array, t: Array, *, single: bool) -> _Lines:
    if (found := xp.nonzero(t > 0)) is not None:
        # Most targets of most distributions are 0.
        row, true = found
        own, is_own, share = z[row, true][:, None], xp.places(z) == true[:, None], t[row, true]
        if np.array_equal(row, np.arange(len(z))):
            return _Lines(z, own, is_own, share, lambda a: a)
        return _Lines(z[row], own, is_own, share, lambda a: _by_row(a, row, len(z)))
    if single:
        own = xp.sum(xp.where(t > 0, z, 0.0), axis=-1)
        return _Lines(z, own[..., None], t > 0, xp.amax(t, axis=-1), lambda a: a)
    classes = xp.places(z)
    is_own = classes[..., :, None] == classes[..., None, :]
    return _Lines(z[..., None, :], z[..., :, None], is_own, t, lambda a: xp.sum(a, axis=-2 if a.ndim > t.ndim else -1))


def _by_row(a: Array, row: Array, rows: int) -> Array:
    total = np.zeros((rows, *a.shape[1:]), a.dtype)
    np.add.at(total, row, a)
    return total
