"""Choosing: profile a target, propose losses with reasons, hold a fair contest, and say how sure it is.

::

    from lossmith.choosing import choose

    choice = choose("player_wages.csv", "wage_eur", drop=["value_eur"])
    print(choice.headline)
    choice.write_report("report.html")

Importing this package imports nothing heavy; SciPy, LightGBM and matplotlib come with their first use.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossmith.choosing.choice import Choice
    from lossmith.choosing.contest import Progress
    from lossmith.choosing.prepared import Prepared
    from lossmith.scoring.source import Table

__all__ = ["choose", "prepare"]


def choose(
    table: Table | str | os.PathLike[str],
    target: str,
    *,
    goal: str | None = None,
    metric: str | None = None,
    losses: Sequence[Any] | None = None,
    only: bool = False,
    folds: int = 5,
    repeats: int = 2,
    rounds: int = 300,
    seed: int = 0,
    drop: Sequence[str] = (),
    weight: str | None = None,
    positive: str | None = None,
    progress: Progress | None = None,
) -> Choice:
    """Find the loss for a table: profile the target, propose losses, train with each, and compare.

    Args:
        table: An open table, or the path of a CSV or Parquet file.
        target: Column to predict: numbers, or two classes.
        goal: What a prediction should be: ``"mean"``, ``"median"``, ``"quantile:0.9"`` or ``"probability"``.
            Unless told it follows from ``metric``, and without one it is the mean, or the probability for two
            classes.
        metric: Metric that decides, such as ``"mae"`` or ``"pinball:0.9"``; by default the one of the goal.
        losses: Losses, or texts such as ``"huber(delta=2)"``, to add to those that the rules propose.
        only: Let exactly ``losses`` compete.
        folds: Parts that the rows are dealt into.
        repeats: How often they are dealt anew.
        rounds: Most boosting rounds of a fit.
        seed: Seed of everything that is drawn. The same seed gives the same result.
        drop: Columns to leave out.
        weight: Column of row weights.
        positive: Label to count as positive, for two classes.
        progress: Called after each fit with fits done, fits in all, and the loss of the fit.

    Returns:
        Verdict, profile, candidates and results, with :meth:`~lossmith.choosing.choice.Choice.to_json` and
        :meth:`~lossmith.choosing.choice.Choice.write_report`.

    Raises:
        TableError: The table, the target or a column cannot be used; the message says where and why.
        ParameterError: A goal, metric or number that makes no sense here.
        LossNotFoundError: A name in ``losses`` that is no loss.
    """
    from lossmith.choosing.setup import set_up

    contest = set_up(
        table,
        target,
        goal=goal,
        metric=metric,
        losses=losses,
        only=only,
        folds=folds,
        repeats=repeats,
        rounds=rounds,
        seed=seed,
        drop=drop,
        weight=weight,
        positive=positive,
    )
    return contest.run(progress)


def prepare(
    table: Table | str | os.PathLike[str],
    target: str,
    *,
    drop: Sequence[str] = (),
    weight: str | None = None,
    positive: str | None = None,
) -> Prepared:
    """Read a table the way :func:`choose` does, ready for training.

    Args:
        table: An open table, or the path of a CSV or Parquet file.
        target: Column to predict.
        drop: Columns to leave out.
        weight: Column of row weights.
        positive: Label to count as positive, for two classes.

    Returns:
        The features ``X``, the targets ``y``, the ``weight``, the positions of the ``categorical`` columns, and
        ``encode(path)``, which reads new rows with the same columns and labels.

    Raises:
        TableError: The table, the target or a column cannot be used.
    """
    from lossmith.choosing.prepared import read

    return read(table, target, drop=drop, weight=weight, positive=positive)
