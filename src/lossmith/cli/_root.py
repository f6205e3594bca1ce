"""The root command and the table of its commands."""

from __future__ import annotations

import click

from lossmith import __version__
from lossmith.cli._group import LazyGroup

COMMANDS = {
    "choose": ("lossmith.cli.choose:command", "Find the loss that fits a table, by a fair contest."),
    "list": ("lossmith.cli.list:command", "List the losses, and find one by its properties."),
    "show": ("lossmith.cli.show:command", "Explain one loss: formula, picture, advice, examples."),
    "plot": ("lossmith.cli.plot:command", "Draw losses, in the terminal or as a picture."),
    "learn": ("lossmith.cli.learn:command", "Watch a loss teach a small model, step by step."),
    "check": ("lossmith.cli.check:command", "Review a loss or a formula: is it right, what does it do?"),
    "export": ("lossmith.cli.export:command", "Turn a loss into code that stands alone."),
    "score": ("lossmith.cli.score:command", "Measure the predictions in a file with any losses."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nCompletion of commands and loss names in bash (or zsh_source, fish_source):\n"
    'eval "$(_LOSSMITH_COMPLETE=bash_source lossmith)"',
)
@click.version_option(__version__, "-V", "--version", prog_name="lossmith", message="%(prog)s %(version)s")
@click.pass_context
def root(context: click.Context) -> None:
    """Choose, understand and measure loss functions.

    \b
    lossmith choose wages.csv --target wage --report wages.html
    lossmith list --task regression --convex
    lossmith show "huber(delta=1.35)"
    lossmith learn --loss huber
    lossmith check "where(f < y, 4*(y - f)**2, (y - f)**2)"
    lossmith export huber --to torch
    lossmith score predictions.csv --target y --prediction p --loss mae
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
