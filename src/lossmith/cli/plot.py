"""``lossmith plot``: draw losses, in the terminal or as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossmith.cli import terminal
from lossmith.cli._losses import LossCommand, LossName, parse_losses, takes_a_formula
from lossmith.errors import DomainError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lossmith.core.loss import Loss

FORMATS = (".png", ".svg", ".pdf")


@click.command("plot", cls=LossCommand, short_help="Draw losses, in the terminal or as a picture.")
@click.argument("losses", nargs=-1, required=True, type=LossName(), metavar="LOSS...")
@click.option(
    "-a",
    "--at",
    "value",
    type=float,
    metavar="NUMBER",
    help="What is held fixed: the target, the index of the true class, the p of a divergence, the distance to the "
    "negative. By default one that is typical.",
)
@click.option("-o", "--output", type=click.Path(), metavar="FILE", help="Write a picture there: .png, .svg or .pdf.")
@takes_a_formula
def command(losses: tuple[str, ...], value: float | None, output: str | None, declaration: dict[str, Any]) -> None:
    """Draw loss, gradient and Hessian along the prediction, several losses in one picture.

    Without --output the curves are drawn in the terminal, loss and gradient, one loss below the other.

    \b
    lossmith plot huber
    lossmith plot mse mae "huber(delta=1.35)" --output curves.png
    lossmith plot "quantile(level=0.9)" --at 10
    lossmith plot "0.7 * huber + 0.3 * mae"
    lossmith plot "k*abs(f - y)" mse --parameter "k=4 in (0, inf)"
    """
    chosen = parse_losses(losses, declaration=declaration)
    try:
        _plot(chosen, value, output)
    except DomainError as error:
        raise DomainError(f"--at {value:g}: {error}" if value is not None else str(error)) from None


def _plot(chosen: Sequence[Loss], value: float | None, output: str | None) -> None:
    if output is None:
        _draw(chosen, value)
        return
    path = Path(output)
    if path.suffix.lower() not in FORMATS:
        raise click.BadParameter(f"'{output}' must end in {', '.join(FORMATS)}", param_hint="'--output'")
    from lossmith.plotting.comparison import compare

    save(compare(chosen, value), path)
    terminal.say(f"The picture is in {output}.")


def _draw(losses: Sequence[Loss], value: float | None) -> None:
    """Draw losses in the terminal, along one line where the same runs along it."""
    from lossmith.core.section import in_common
    from lossmith.plotting.comparison import share_an_axis
    from lossmith.plotting.terminal import drawn, points

    width = min(terminal.width(), 80)
    lines = [loss.section(value, points(width)) for loss in losses]
    if len(lines) > 1 and share_an_axis(lines):
        lines = in_common(losses, value, points(width))
    for number, (loss, line) in enumerate(zip(losses, lines, strict=True)):
        terminal.write(("\n" if number else "") + terminal.heading(str(loss)))
        terminal.write(drawn(line, width, 12))


def save(figure: Figure, path: Path) -> None:
    """Write a figure, the same bytes each time.

    Raises:
        TableError: when the file cannot be written.
    """
    import matplotlib as mpl

    from lossmith import files

    kind = path.suffix.lower().removeprefix(".")
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    picture = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "lossmith", "svg.fonttype": "none"}):
        figure.savefig(picture, format=kind, dpi=120, metadata=dates)
    files.write(path, picture.getvalue())
