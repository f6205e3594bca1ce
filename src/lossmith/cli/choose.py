"""``lossmith choose``: find the loss that fits a table."""

from __future__ import annotations

import contextlib
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from lossmith.cli import terminal
from lossmith.cli._losses import LossName
from lossmith.cli.score import Column
from lossmith.errors import plural

if TYPE_CHECKING:
    from lossmith.choosing.choice import Choice
    from lossmith.choosing.contest import Progress
    from lossmith.choosing.setup import Contest


class GoalName(click.types.StringParamType):
    """What a prediction should be, as text."""

    name = "goal"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the goals; a quantile still needs its level."""
        goals = ("mean", "median", "quantile:0.9", "probability")
        return [CompletionItem(goal) for goal in goals if goal.startswith(incomplete)]


class MetricName(click.types.StringParamType):
    """A metric, or a loss that serves as one, as text."""

    name = "metric"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the names of the metrics."""
        from lossmith.scoring import metrics

        return [CompletionItem(name) for name in metrics.names() if name.startswith(incomplete)]


@click.command("choose", short_help="Find the loss that fits a table, by a fair contest.")
@click.argument("table", type=click.Path())
@click.option("-t", "--target", type=Column(), required=True, help="Column to predict: numbers, or two classes.")
@click.option(
    "-g",
    "--goal",
    type=GoalName(),
    metavar="GOAL",
    help="What a prediction should be: mean, median, quantile:LEVEL or probability. By default the goal of the metric; "
    "without one the mean, or the probability for two classes.",
)
@click.option("-m", "--metric", type=MetricName(), help="Metric that decides. By default the one of the goal.")
@click.option(
    "-l", "--loss", "losses", type=LossName(), multiple=True, help="A loss to add to the contest; may be repeated."
)
@click.option("--only", is_flag=True, help="Let only the losses given by --loss compete.")
@click.option("--drop", type=Column(), multiple=True, help="A column to leave out; may be repeated.")
@click.option("-w", "--weight", type=Column(), help="Column of row weights, at least 0.")
@click.option("--positive", metavar="LABEL", help="Label to count as positive, for two classes.")
@click.option("--folds", type=int, default=5, show_default=True, help="Parts that the rows are dealt into.")
@click.option("--repeats", type=int, default=2, show_default=True, help="How often the rows are dealt anew.")
@click.option("--rounds", type=int, default=300, show_default=True, help="Most boosting rounds of a fit.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed; the same one gives the same result.")
@click.option("-r", "--report", type=click.Path(), help="Write a report, one HTML file that needs nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    table: str,
    target: str,
    goal: str | None,
    metric: str | None,
    losses: tuple[str, ...],
    only: bool,
    drop: tuple[str, ...],
    weight: str | None,
    positive: str | None,
    folds: int,
    repeats: int,
    rounds: int,
    seed: int,
    report: str | None,
    as_json: bool,
) -> None:
    """Find the loss that fits TABLE, by a fair contest.

    Profiles the target, proposes losses with a reason each, trains the same model with each of them on the same
    folds, and says which one wins, or that they cannot be told apart. TABLE is CSV, TSV or Parquet.

    \b
    lossmith choose wages.csv --target wage --report wages.html
    lossmith choose orders.csv -t demand --goal quantile:0.9 --drop order_id
    lossmith choose mails.parquet -t spam -l "focal(gamma=3)" --metric average_precision
    """
    from lossmith.choosing.setup import set_up
    from lossmith.files import check_writable

    if report is not None:
        check_writable(report)  # before minutes of training, not after
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
    if not as_json:
        _announce(contest)
    for sentence in contest.warnings:
        terminal.say(sentence, "warning")
    with _progress(len(contest.candidates) * folds * repeats) as progress:
        choice = contest.run(progress)
    for sentence in choice.warnings[len(contest.warnings) :]:
        terminal.say(sentence, "warning")
    if report is not None:
        choice.write_report(report)
    if as_json:
        terminal.write_json(choice.to_json())
    else:
        _conclude(choice)
    if report is not None:
        terminal.say(f"The report is in {report}.")
    elif not as_json:
        terminal.say("Pictures, the full matrix and code to copy: add --report FILE.html.")


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Progress | None]:
    """Show a bar on standard error while the models train; nothing where nobody looks."""
    if not terminal.err.is_terminal:
        terminal.say(f"training {total} models ...")
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal.err, transient=True) as bar:
        task = bar.add_task("training", total=total)
        yield lambda done, _, label: bar.update(task, completed=done)


def _announce(contest: Contest) -> None:
    """Print what is known before any training: the target and the losses that compete."""
    from lossmith.choosing.words import join

    _heading("The target")
    for sentence in contest.profile.sentences():
        _paragraph(sentence)
    features = contest.data.features
    if features.dropped:
        _paragraph("Not used: " + join([f"{item.name} ({item.reason})" for item in features.dropped]) + ".")
    terminal.write()
    _heading(f"The losses, with {contest.goal.words} as the goal")
    for candidate in contest.candidates:
        terminal.write(f"  {candidate.label}")
        _paragraph(candidate.reason, indent=6)
    terminal.write()
    sys.stdout.flush()


def _conclude(choice: Choice) -> None:
    """Print the table of scores and the verdict."""
    from lossmith.choosing import story

    folds = choice.results.scores.shape[1]
    better = "higher" if choice.metric.greater_is_better else "lower"
    held = f"{plural(folds, 'fold')} of rows that no model saw"
    _heading(f"The contest: {choice.metric.title} over {held} ({better} is better)")
    rows = story.standing(choice)
    columns = {"label": "loss", "score": choice.metric.name, "gap": "behind", "interval": "interval", "p": "p"}
    if terminal.width() >= 100:  # a narrower terminal would break every cell in two
        columns |= {"better": "P(better)", "rounds": "rounds"}
    table = [[row[key] for key in columns] for row in rows]
    terminal.print_table(list(columns.values()), table, right=range(1, len(columns)))
    terminal.write()
    _heading("The verdict")
    _paragraph(story.headline(choice))
    _paragraph(story.advice(choice))


def _heading(text: str) -> None:
    terminal.write(terminal.bold(text))


def _paragraph(text: str, indent: int = 2) -> None:
    for line in textwrap.wrap(text, min(terminal.width(), 100) - indent, break_long_words=False):
        terminal.write(" " * indent + line)
