"""Everything before the first model is trained: read, profile, propose, and refuse what cannot work."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith.choosing.choice import Choice
from lossmith.choosing.contest import Plan, Progress, check_size, hold, settings_for
from lossmith.choosing.features import leaks, repeated_rows
from lossmith.choosing.goal import Goal, goal_of_metric, parse_goal
from lossmith.choosing.judging import measure
from lossmith.choosing.prepared import Prepared, opened, read
from lossmith.choosing.profile import TargetProfile, profile
from lossmith.choosing.rules import Candidate, given, propose
from lossmith.choosing.statistics import Verdict, decide
from lossmith.choosing.words import share
from lossmith.errors import ParameterError, plural

if TYPE_CHECKING:
    from lossmith.choosing.contest import ContestResult
    from lossmith.scoring.source import Table

__all__ = ["Contest", "set_up"]

# Below these a result depends on the draw of the rows more than on the loss.
_FEW_ROWS = 200
_FEW_OF_A_CLASS = 50


@dataclass(frozen=True, eq=False)
class Contest:
    """A contest that is ready to be held.

    Attributes:
        table: Name of the file.
        columns: Columns of the table.
        data: The table as arrays.
        profile: What the target looks like.
        goal: What the prediction should be.
        metric: The metric that decides.
        candidates: The losses that take part.
        plan: Folds, rounds, settings and seed.
        drop: Columns that the user dropped.
        weight: Column of the weights, or ``None``.
        positive: The label that the user called positive, or ``None``.
        warnings: What to mind before any training.
    """

    table: str
    columns: int
    data: Prepared
    profile: TargetProfile
    goal: Goal
    metric: Any
    candidates: tuple[Candidate, ...]
    plan: Plan
    drop: tuple[str, ...]
    weight: str | None
    positive: str | None
    warnings: tuple[str, ...]

    def run(self, progress: Progress | None = None) -> Choice:
        """Train, judge and compare; see :func:`lossmith.choosing.choose`."""
        features = self.data.features
        results = hold(
            features,
            self.data.y,
            self.candidates,
            self.metric,
            self.goal,
            self.plan,
            weight=self.data.weight,
            progress=progress,
        )
        if not np.isfinite(results.scores).all(axis=1).any():
            raise ParameterError(
                f"the metric {self.metric.title} is not defined for the predictions of any candidate; choose another "
                "with --metric, or other losses"
            )
        verdict = decide(
            results.scores,
            greater_is_better=self.metric.greater_is_better,
            test_rows=results.test_rows,
            train_rows=results.train_rows,
        )
        return Choice(
            table=self.table,
            rows=self.data.y.size,
            columns=self.columns,
            profile=self.profile,
            goal=self.goal,
            metric=self.metric,
            candidates=self.candidates,
            results=results,
            verdict=verdict,
            plan=self.plan,
            features=features.names,
            categorical=tuple(features.names[place] for place in features.categorical),
            dropped=features.dropped,
            drop=self.drop,
            weight=self.weight,
            positive=self.positive,
            warnings=self.warnings + _afterwards(self, results, verdict),
            y=self.data.y,
        )


def set_up(
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
) -> Contest:
    """Read and check everything; arguments and errors are those of :func:`lossmith.choosing.choose`."""
    if rounds < 1:
        raise ParameterError(f"a fit needs at least 1 round, but got {rounds}")
    if seed < 0:
        raise ParameterError(f"the seed must be zero or more, but got {seed}")
    if only and not losses:
        raise ParameterError("to let only given losses compete, give at least one with --loss")
    with opened(table) as source:
        data = read(source, target, drop=drop, weight=weight, positive=positive)
        name, columns = os.path.basename(source.path), len(source.columns)
    labels = data.target.labels
    check_size(data.y, folds, repeats, labels=labels)
    binary = labels is not None
    described = profile(data.y, target, labels=labels, reading=data.target.reading)
    aim, judge = _judge(goal, metric, data, binary)
    plan = Plan(folds=folds, repeats=repeats, rounds=rounds, seed=seed)
    candidates = () if only else propose(described, aim, judge.name)
    asked = given(losses or (), described)
    taken = {candidate.loss for candidate in candidates}
    candidates += tuple(candidate for candidate in asked if candidate.loss not in taken)
    return Contest(
        table=name,
        columns=columns,
        data=data,
        profile=described,
        goal=aim,
        metric=judge,
        candidates=candidates,
        plan=dataclasses.replace(plan, settings=settings_for(data.y.size, plan)),
        drop=tuple(drop),
        weight=weight,
        positive=positive,
        warnings=_beforehand(data, described, aim, judge),
    )


def _judge(goal: str | None, metric: str | None, data: Prepared, binary: bool) -> tuple[Goal, Any]:
    """Settle goal and metric, each from the other where only one is given, and check that they fit the target."""
    from lossmith.scoring import metrics

    if metric is None:
        aim = parse_goal(goal, binary=binary)
        judge = metrics.get(aim.metric)
    else:
        judge = metrics.get(metric)
        if (judge.kind == "binary") != binary:
            wanted, has = ("two classes", "is a number") if not binary else ("numbers", "has two classes")
            example = "log_loss, brier or roc_auc" if binary else "rmse, mae or pinball:0.9"
            raise ParameterError(
                f"the metric '{metric}' is for {wanted}, but the target '{data.target.name}' {has}; use {example}"
            )
        aim = parse_goal(goal_of_metric(judge.name) if goal is None else goal, binary=binary)
    plain = aim.loss()
    best = float(plain.optimal_constant(data.y, weight=data.weight))
    trial = measure(plain, judge, np.full(data.y.size, best), data.y, data.weight)
    if trial.undefined:
        raise ParameterError(
            f"the metric '{judge.name}' is not defined on this target, on {plural(trial.undefined, 'row')} even for a "
            "constant prediction; choose another"
        )
    return aim, judge


def _beforehand(data: Prepared, described: TargetProfile, goal: Goal, metric: Any) -> tuple[str, ...]:
    said = list(leaks(data.features, data.y, binary=described.kind == "binary"))
    said += data.features.notes
    if described.rows < _FEW_ROWS:
        said.append(f"{plural(described.rows, 'row')} are few: scores depend much on how the folds fall.")
    if described.kind == "binary":
        positives = described.positives
        fewest = min(positives, described.rows - positives)
        if fewest < _FEW_OF_A_CLASS:
            label = (described.labels or ("0", "1"))[int(positives == fewest)]
            said.append(f"'{label}' has {plural(fewest, 'row')} only: scores hang on a handful of them in each fold.")
    repeated = repeated_rows(data.features, data.y)
    if repeated > 0.01 * described.rows:
        said.append(
            f"{plural(repeated, 'row')} ({share(repeated / described.rows)}) repeat an earlier row in every column. A "
            "row and its copy can fall into training and into what is held out, which flatters every model."
        )
    aimed = goal_of_metric(metric.name)
    if aimed is not None and aimed != goal.text:
        aim = parse_goal(aimed, binary=aimed == "probability").words
        said.append(
            f"The metric {metric.title} is best at {aim}, but the goal is {goal.words}: the contest rewards another "
            "aim than yours."
        )
    return tuple(said)


def _afterwards(contest: Contest, results: ContestResult, verdict: Verdict) -> tuple[str, ...]:
    said = []
    sign = 1.0 if contest.metric.greater_is_better else -1.0
    gain = sign * (results.scores[verdict.leader] - results.baseline)
    if np.isfinite(gain).all() and gain.mean() <= 0.0:
        said.append(
            "No model is better than always predicting the same value: the features say little about this target, or "
            "there are too few rows."
        )
    for candidate, used in zip(contest.candidates, results.rounds, strict=True):
        spent = int((used >= contest.plan.rounds).sum())
        if 2 * spent >= used.size:
            said.append(
                f"{candidate.label} used up its {plural(contest.plan.rounds, 'round')} in {spent} of {used.size} fits; "
                "it might gain from more (--rounds), so read its place with care."
            )
    for candidate, rows in zip(contest.candidates, results.scores_undefined, strict=True):
        if rows:
            said.append(
                f"{contest.metric.title} is not defined for {plural(int(rows), 'held-out prediction')} of "
                f"{candidate.label}, so it cannot win."
            )
    return tuple(said)
