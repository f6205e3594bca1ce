"""``lossmith score``: measure the predictions in a file."""

from __future__ import annotations

import math
import os
import shlex
import sys
import warnings
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from lossmith.cli import terminal
from lossmith.cli._group import FAILED
from lossmith.cli._losses import RAW_KINDS, TARGET_KINDS, LossName, declare, parse_loss, parse_losses
from lossmith.errors import LossmithError, ParameterError, plural

if TYPE_CHECKING:
    from lossmith.core.loss import Loss
    from lossmith.scoring import Score, ScoreReport


class Column(click.types.StringParamType):
    """The name of a column of the file, completed from the file."""

    name = "column"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the columns of the file that stands before."""
        # While an option lacks its value click parses nothing, so the file is looked for among the words typed.
        try:
            words = shlex.split(os.environ.get("COMP_WORDS", ""))
        except ValueError:  # a quote is still open
            return []
        file = next((word for word in words[1:] if os.path.isfile(word)), None)
        if file is None:
            return []
        from lossmith.scoring import Table

        try:
            with Table.open(file) as table:
                return [CompletionItem(name) for name in table.columns if name.startswith(incomplete)]
        except LossmithError:
            return []


@click.command("score", short_help="Measure the predictions in a file with any losses.")
@click.argument("file", type=click.Path())
@click.option("-t", "--target", type=Column(), required=True, help="Column that holds the truth.")
@click.option("-p", "--prediction", type=Column(), required=True, help="Column that holds the predictions.")
@click.option("-l", "--loss", "losses", type=LossName(), multiple=True, required=True, help="A loss; may be repeated.")
@click.option("-w", "--weight", type=Column(), help="Column of weights, at least 0. By default each row counts 1.")
@click.option(
    "--prediction-kind",
    "kind",
    metavar="|".join((*RAW_KINDS, *TARGET_KINDS)),
    help="What the predictions are, for losses that read several kinds. By default logits and log rates.",
)
@click.option(
    "--missing",
    type=click.Choice(("error", "skip")),
    default="error",
    show_default=True,
    help="What to do about a row that lacks a value.",
)
@click.option(
    "--fail-above",
    "limits",
    metavar="[LOSS=]NUMBER",
    multiple=True,
    help="Leave with exit code 1 when a mean cost is above NUMBER; of all losses, or of LOSS.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    file: str,
    target: str,
    prediction: str,
    losses: tuple[str, ...],
    weight: str | None,
    kind: str | None,
    missing: str,
    limits: tuple[str, ...],
    as_json: bool,
) -> int:
    """Measure the predictions in FILE with any losses, in one pass.

    FILE is CSV, TSV (also .gz or .zst) or Parquet, and may be larger than memory; - reads CSV from standard input.
    A loss is a name, or a name with values. Exit code 1 says that a cost is above its limit.

    \b
    lossmith score wages.csv -t wage -p predicted -l mae -l "huber(delta=1000)"
    lossmith score ads.parquet -t y -p p -l bce --prediction-kind probabilities
    lossmith score new.csv -t y -p p -l mae --fail-above 12.5
    """
    from lossmith.scoring import score

    chosen = parse_losses(losses, kind)
    ceilings = _ceilings(limits, chosen, kind)
    if file == "-" and sys.stdin.isatty():
        terminal.say("reading CSV from standard input; Ctrl-D ends it.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the report's notes say the same, once and for people
        report = score(file, target, prediction, chosen, weight=weight, missing=missing)  # type: ignore[arg-type]
    above = [(s, ceiling) for s, ceiling in zip(report.scores, ceilings, strict=True) if not s.mean <= ceiling]
    if as_json:
        terminal.write_json({**report.to_dict(), "failed": [str(s.loss) for s, _ in above]})
    else:
        _print(report)
    for note in (*report.notes, *map(_infinite, report.scores)):
        if note:
            terminal.say(note, "warning")
    for s, ceiling in above:
        mean, limit = _told_apart(s.mean, ceiling)
        terminal.say(f"{s.loss} is {mean}, above {limit}.", "failed")
    return FAILED if above else 0


def _ceilings(limits: tuple[str, ...], losses: list[Loss], kind: str | None) -> list[float]:
    """Return the highest mean cost allowed to each loss."""
    ceilings = [math.inf] * len(losses)
    for limit in limits:
        name, _, text = limit.rpartition("=")
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise ParameterError(f"--fail-above {limit!r}: {text!r} is no number. Write NUMBER or LOSS=NUMBER.")
        wanted = declare(parse_loss(name), kind) if name else None
        # A bare name means the loss whatever its parameters; with values it means that one.
        hit = [wanted is None or loss == wanted or ("(" not in name and type(loss) is type(wanted)) for loss in losses]
        if not any(hit):
            raise ParameterError(f"--fail-above {limit!r}: {wanted} is not among the losses that are measured.")
        ceilings = [min(c, number) if is_hit else c for c, is_hit in zip(ceilings, hit, strict=True)]
    return ceilings


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Return two different numbers with as many digits, at least 6, as it takes to see which is larger."""
    pairs = ((f"{one:.{digits}g}", f"{other:.{digits}g}") for digits in range(6, 18))
    return next(pair for pair in pairs if pair[0] != pair[1])


def _infinite(s: Score) -> str:
    if not s.bad:
        return ""
    rows = f"{plural(s.bad, 'row')} {'has' if s.bad == 1 else 'have'}"
    hint = " A certain prediction was wrong there; eps=1e-15 would bound it." if "eps" in s.loss.parameters() else ""
    return f"{s.loss}: {rows} a loss that is not finite; the first is row {s.first_bad:,}.{hint}"


def _print(report: ScoreReport) -> None:
    weighted = report.weight is not None
    headers = ["loss", "mean", "sum", *(["weight"] if weighted else []), "rows"]
    rows: list[list[Any]] = [
        [str(s.loss), f"{s.mean:.6g}", f"{s.sum:.6g}", *([f"{s.weight:.6g}"] if weighted else []), f"{s.count:,}"]
        for s in report.scores
    ]
    terminal.print_table(headers, rows, right=range(1, len(headers)))
    if report.skipped:
        lack = "lacks a value and was" if report.skipped == 1 else "lack a value and were"
        terminal.say(f"{report.skipped:,} of {plural(report.rows, 'row')} {lack} skipped.", "note")
