"""``lossmith list``: the losses, filtered by task, properties and words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from lossmith.cli import terminal
from lossmith.core.card import Estimate, Task, Traits

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

F = TypeVar("F", bound=Callable[..., Any])

_MEANING = {
    "convex": "every chord lies on or above the curve",
    "differentiable": "the gradient never jumps",
    "smooth": "the Hessian never jumps either",
    "lipschitz": "one outlier has bounded pull",
    "symmetric": "only the size of the error counts",
    "nonnegative": "never below zero",
}
TRAITS = tuple(field.name for field in fields(Traits))


def _trait_options(command: F) -> F:
    for name in reversed(TRAITS):
        meaning = _MEANING.get(name, name)
        command = click.option(f"--{name}/--not-{name}", default=None, help=f"{meaning[0].upper()}{meaning[1:]}.")(
            command
        )
    return command


@click.command("list", short_help="List the losses, and find one by its properties.")
@click.argument("words", nargs=-1)
@click.option("--task", type=click.Choice(get_args(Task)), help="The kind of target.")
@click.option(
    "--estimates", type=click.Choice(get_args(Estimate)), metavar="WHAT", help="What the best constant is: median, ..."
)
@_trait_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    words: tuple[str, ...], task: str | None, estimates: str | None, as_json: bool, **asked: bool | None
) -> None:
    """List the losses, and find one by its properties.

    WORDS narrow the list to losses whose card mentions all of them.

    \b
    lossmith list
    lossmith list --task regression --lipschitz
    lossmith list outlier
    lossmith list --estimates median --json
    """
    import lossmith as lm

    found = [
        cls
        for cls in map(lm.loss_class, lm.names())
        if task in (None, cls.card.task)
        and estimates in (None, cls.card.estimates)
        and all(wanted is None or asdict(cls.card.traits)[name] == wanted for name, wanted in asked.items())
        and all(word.lower() in _words(cls) for word in words)
    ]
    if as_json:
        terminal.write_json({"schema": 1, "losses": [_facts(cls) for cls in found]})
        return
    if not found:
        terminal.say("no loss has all of that. `lossmith list` shows every loss.")
        return
    if terminal.is_terminal():
        _print_groups(found)
    else:
        rows = [(cls.name, cls.card.task, cls.card.estimates, cls.card.summary) for cls in found]
        terminal.print_table(("name", "task", "estimates", "what it measures"), rows)
    if terminal.is_terminal():
        terminal.say("Before the colon stands the best constant prediction: what the loss estimates.")
    name = "NAME" if len(found) > 1 else found[0].name
    terminal.say(f"`lossmith show {name}` explains {'one' if len(found) > 1 else 'it'}.")


def _print_groups(losses: Sequence[type[Loss]]) -> None:
    """Print the losses for people: a heading for each task, and what each estimates before what it measures."""
    longest = max(len(cls.name) for cls in losses)
    for task in dict.fromkeys(cls.card.task for cls in losses):
        of_task = [cls for cls in losses if cls.card.task == task]
        rows = [(cls.name.ljust(longest), f"{cls.card.estimates}: {cls.card.summary}") for cls in of_task]
        terminal.write(terminal.heading(task))
        for line in terminal.aligned(rows, min(terminal.width(), terminal.WIDEST)):
            terminal.write(line)
        terminal.write()


def _words(cls: type[Loss]) -> str:
    card = cls.card
    texts = (cls.name, *cls.aliases, card.title, card.summary, card.picture, *card.pros, *card.use_when)
    return " ".join(texts).lower()


def _facts(cls: type[Loss]) -> dict[str, Any]:
    import lossmith as lm

    return {
        "name": cls.name,
        "class": cls.__name__,
        "aliases": cls.aliases,
        "family": lm.family(cls.name),
        "title": cls.card.title,
        "task": cls.card.task,
        "estimates": cls.card.estimates,
        "summary": cls.card.summary,
        "traits": asdict(cls.card.traits),
    }
