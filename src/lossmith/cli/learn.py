"""``lossmith learn``: watch a loss teach a small model, step by step."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from lossmith.cli import terminal
from lossmith.cli._losses import LossName, parse_loss
from lossmith.cli.score import Column
from lossmith.errors import DomainError, ParameterError, TableError, plural

if TYPE_CHECKING:
    from lossmith.cli._lesson import Material
    from lossmith.core.loss import Loss
    from lossmith.scoring import Table
    from lossmith.scoring.source import Numbers


@click.command("learn", short_help="Watch a loss teach a small model, step by step.")
@click.option("-l", "--loss", type=LossName(), required=True, help="The loss that teaches.")
@click.option("-d", "--data", "file", type=click.Path(), metavar="FILE", help="A table. By default an exam of eight.")
@click.option("-t", "--target", type=Column(), help="Column of FILE that holds the truth.")
@click.option(
    "-f", "--feature", "features", type=Column(), multiple=True, help="Column of FILE to predict from; may be repeated."
)
@click.option("--as-given", is_flag=True, help="Take features of FILE as they are, neither centred nor scaled.")
@click.option(
    "--model",
    type=click.Choice(("line", "constant")),
    default="line",
    show_default=True,
    help="What learns: an intercept and a slope for each feature, or one number for all rows.",
)
@click.option("--rate", type=float, metavar="NUMBER", help="The length of a step. By default one that suits the task.")
@click.option("--steps", type=int, default=50, show_default=True, metavar="N", help="How many steps at most.")
@click.option(
    "--start",
    type=click.Choice(("zeros", "constant")),
    default="zeros",
    show_default=True,
    help="Parameters to begin with: zeros, or the best constant prediction.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document with every number of every step.")
def command(
    loss: str,
    file: str | None,
    target: str | None,
    features: tuple[str, ...],
    as_given: bool,
    model: str,
    rate: float | None,
    steps: int,
    start: str,
    as_json: bool,
) -> None:
    """Watch a loss teach a small model, step by step.

    Training is a loop: predict, measure the loss, take its gradient, adjust the parameters. Here are the numbers of it,
    for a line or a constant, on an exam with one outlier or on a table of yours.

    \b
    lossmith learn --loss huber
    lossmith learn --loss mse --rate 0.04
    lossmith learn --loss bce --json
    lossmith learn --loss "huber(delta=5000)" --data wages.csv --target wage --feature age
    """
    from lossmith.cli._lesson import Lesson
    from lossmith.learning import learn

    teacher = parse_loss(loss)
    material = _material(teacher, file, target, features, model, as_given)
    try:
        learning = learn(
            teacher, material.X, material.y, model=model, rate=rate, steps=steps, start=start, names=material.features
        )
    except DomainError as error:
        raise DomainError(
            str(error).replace("start='constant' or parameters of your own", "--start constant")
        ) from None
    if as_json:
        terminal.write_json({**learning.to_dict(), "target": material.target, "scales": material.scales})
    else:
        Lesson(learning, material, min(terminal.width(), terminal.WIDEST)).write()


def _material(
    loss: Loss, file: str | None, target: str | None, features: tuple[str, ...], model: str, as_given: bool
) -> Material:
    from lossmith.cli._lesson import Material

    if file is None:
        if target or features or as_given:
            raise click.UsageError("--target, --feature and --as-given speak of a table: name it by --data FILE")
        if not loss.paired:
            raise ParameterError(f"{loss} takes other inputs than a target and a prediction, and no line learns by it")
        from lossmith.learning.example import exam

        found = exam(loss)
        X, names = (found.X, (found.feature,)) if model == "line" else (found.X[:, :0], ())
        return Material(X, found.y, names, found.target, found.story)
    if target is None:
        raise click.UsageError("--data needs --target COLUMN, the column that holds the truth")
    if model == "line" and not features:
        raise click.UsageError("a line needs --feature COLUMN, once or more; or ask for --model constant")
    if model == "constant":
        return _table(file, target, (), as_given)
    if target in features:
        raise click.UsageError(f"column {target!r} is the target, and cannot be a feature of itself: leave it out")
    if twice := next((name for name, count in Counter(features).items() if count > 1), None):
        raise click.UsageError(f"--feature names the column {twice!r} twice: name it once")
    return _table(file, target, features, as_given)


def _table(file: str, target: str, features: tuple[str, ...], as_given: bool) -> Material:
    import numpy as np

    from lossmith.cli._lesson import Material
    from lossmith.scoring import Table

    with Table.open(file) as table:
        y = _column(table, target)
        columns = [_column(table, name) for name in features]
        label = table.label
    scales: dict[str, dict[str, float]] = {}
    for place, (name, column) in enumerate(zip(features, columns, strict=True)):
        if as_given:
            continue
        mean, deviation = float(column.mean()), float(column.std())
        if not deviation > 0:
            raise TableError(f"column {name!r} of {label} is {mean:g} in every row and tells nothing; leave it out.")
        scales[name] = {"mean": mean, "deviation": deviation}
        columns[place] = (column - mean) / deviation
    X = np.stack(columns, axis=1) if columns else np.empty((len(y), 0))
    return Material(X, y, features, target, f"{label}, {plural(len(y), 'row')}.", scales)


def _column(table: Table, name: str) -> Numbers:
    """Return a column that holds a number in each row."""
    import numpy as np

    values = table.numbers(name)
    bad = ~np.isfinite(values)
    if bad.any():
        count = int(bad.sum())
        raise TableError(
            f"column {name!r} of {table.label} holds no finite number in {plural(count, 'row')}; the first "
            f"is row {int(np.argmax(bad)) + 1:,}. Drop such rows first."
        )
    return values
