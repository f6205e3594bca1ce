"""The result of choosing: what was asked, what was tried, what came out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossmith import files
from lossmith.choosing.contest import ContestResult, Plan
from lossmith.choosing.features import Dropped
from lossmith.choosing.goal import Goal
from lossmith.choosing.profile import TargetProfile
from lossmith.choosing.rules import Candidate
from lossmith.choosing.statistics import Verdict

__all__ = ["Choice"]


@dataclass(frozen=True, eq=False)
class Choice:
    """What :func:`lossmith.choosing.choose` returns.

    Attributes:
        table: Name of the file.
        rows: Rows of the table.
        columns: Columns of the table.
        profile: What the target looks like.
        goal: What the prediction should be.
        metric: The metric that decided.
        candidates: The losses that took part, in the order of the rules.
        results: All scores.
        verdict: What the statistics say.
        plan: Folds, rounds, settings and seed.
        features: Names of the features.
        categorical: Names of the features that are categories.
        dropped: Columns that were not used, and why.
        drop: Columns that the user dropped.
        weight: Column of the weights, or ``None``.
        positive: The label that the user called positive, or ``None``.
        warnings: What to mind, in sentences.
        y: The targets.
    """

    table: str
    rows: int
    columns: int
    profile: TargetProfile
    goal: Goal
    metric: Any
    candidates: tuple[Candidate, ...]
    results: ContestResult
    verdict: Verdict
    plan: Plan
    features: tuple[str, ...]
    categorical: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    drop: tuple[str, ...]
    weight: str | None
    positive: str | None
    warnings: tuple[str, ...]
    y: NDArray[np.float64]

    @property
    def leader(self) -> Candidate:
        """The candidate with the best mean metric."""
        return self.candidates[self.verdict.leader]

    @property
    def recommended(self) -> Candidate:
        """The loss to use: of those that may be the best, the best that aims at the goal, else the leader."""
        return self.candidates[self.recommended_place]

    @property
    def recommended_place(self) -> int:
        """Position of :attr:`recommended` among the candidates."""
        contenders = self.verdict.contenders
        return next((i for i in contenders if self.goal.is_aim_of(self.candidates[i].loss)), contenders[0])

    @property
    def headline(self) -> str:
        """The verdict in one plain sentence."""
        from lossmith.choosing import story

        return story.headline(self)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data: schema ``lossmith.choice/1``, finite numbers or ``None``."""
        from lossmith.choosing import document

        return document.build(self)

    def to_html(self) -> str:
        """Return the report as one self-contained page."""
        from lossmith.choosing import report

        return report.render(self)

    def write_report(self, path: str | os.PathLike[str]) -> None:
        """Write the report; a file that is there is replaced in one step, and never half written.

        Raises:
            TableError: The path cannot be written.
        """
        files.write(path, self.to_html())
