"""``lossmith list``: the losses by family, filtered by properties and words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from lossmith.cli import terminal
from lossmith.core.card import Estimate, Task, Traits
from lossmith.errors import did_you_mean

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

F = TypeVar("F", bound=Callable[..., Any])

FAMILIES = (
    "regression",
    "counts",
    "binary",
    "categorical",
    "probabilistic",
    "divergence",
    "embedding",
    "adversarial",
    "preference",
)
TASKS = get_args(Task)
_MEANING = {
    "convex": "Every chord lies on or above the curve.",
    "differentiable": "The gradient never jumps.",
    "smooth": "The Hessian never jumps either.",
    "lipschitz": "Robust: the gradient by the raw prediction is bounded, so one outlier has bounded pull.",
    "symmetric": "Only the size of the error counts.",
    "nonnegative": "Never below zero.",
}
TRAITS = tuple(field.name for field in fields(Traits))
_ALSO = {"lipschitz": "robust"}
"""Another name that people look for a trait by."""


def one_of(words: Sequence[str]) -> str:
    """Return the words as an enumeration."""
    return f"{', '.join(words[:-1])} or {words[-1]}"


class Known(click.Choice[str]):
    """One of some words, with a suggestion for one that is misspelt."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(error.message + did_you_mean(str(value), list(self.choices)), param, ctx)


def _trait_options(command: F) -> F:
    for name in reversed(TRAITS):
        names = [_ALSO[name], name] if name in _ALSO else [name]
        yes, no = (", ".join(f"--{mark}{each}" for each in names) for mark in ("", "no-"))
        declared = [f"--{each}/--no-{each}" for each in names]
        command = click.option(*declared, name, default=None, help=_MEANING.get(name, f"{yes} or {no}."))(command)
    return command


@click.command("list", short_help="List the losses, and find one by its properties.")
@click.argument("words", nargs=-1)
@click.option("--family", type=Known(FAMILIES), metavar="NAME", help=f"{one_of(FAMILIES)}.")
@click.option("--task", type=Known(TASKS), metavar="NAME", help=f"The kind of target: {one_of(TASKS)}.")
@click.option(
    "--estimates", type=Known(get_args(Estimate)), metavar="WHAT", help="The best constant: mean, median, ..."
)
@_trait_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    words: tuple[str, ...],
    family: str | None,
    task: str | None,
    estimates: str | None,
    as_json: bool,
    **asked: bool | None,
) -> None:
    """List the losses, and find one by its properties.

    WORDS narrow the list to losses whose name, aliases or card have words that begin so.

    \b
    lossmith list
    lossmith list huber
    lossmith list --family regression --robust --no-convex
    lossmith list --estimates median --json
    """
    import lossmith as lm

    classes = sorted(map(lm.loss_class, lm.names()), key=lambda cls: FAMILIES.index(lm.family(cls.name)))
    found = [
        cls
        for cls in classes
        if family in (None, lm.family(cls.name))
        and task in (None, cls.card.task)
        and estimates in (None, cls.card.estimates)
        and all(wanted is None or asdict(cls.card.traits)[name] == wanted for name, wanted in asked.items())
        and all(_begins(word, _text(cls)) for word in words)
    ]
    found.sort(key=lambda cls: _plain(" ".join(words)) not in map(_plain, (cls.name, *cls.aliases)))
    if as_json:
        terminal.write_json({"schema": 1, "losses": [_facts(cls) for cls in found]})
        return
    if not found:
        _say_nothing_found(words, classes)
        return
    if terminal.is_terminal():
        _print_groups(found)
        terminal.say(
            "Before the colon stands what the loss estimates: the best constant prediction, or what is learnt."
        )
    else:
        rows = [(cls.name, lm.family(cls.name), cls.card.estimates, cls.card.summary) for cls in found]
        terminal.print_table(("name", "family", "estimates", "what it measures"), rows)
    name = "NAME" if len(found) > 1 else found[0].name
    terminal.say(f"`lossmith show {name}` explains {'one' if len(found) > 1 else 'it'}.")


def _say_nothing_found(words: Sequence[str], classes: Sequence[type[Loss]]) -> None:
    """Say that no loss has all of that, and what may have been meant by a word that no card has."""
    known = sorted(
        {each for cls in classes for each in (cls.name, *cls.aliases, *re.findall(r"[^\W_]{3,}", _text(cls).lower()))}
    )
    strange = [word for word in words if not any(_begins(word, _text(cls)) for cls in classes)]
    guesses = "".join(f" No card has {word!r}.{did_you_mean(word, known, cutoff=0.75)}" for word in strange)
    terminal.say(f"no loss has all of that.{guesses} `lossmith list` shows every loss.")


def _print_groups(losses: Sequence[type[Loss]]) -> None:
    """Print the losses for people: a heading for each family, and what each estimates before what it measures."""
    import lossmith as lm

    for family in dict.fromkeys(lm.family(cls.name) for cls in losses):
        members = [cls for cls in losses if lm.family(cls.name) == family]
        rows = [(cls.name, f"{cls.card.estimates}: {cls.card.summary}") for cls in members]
        terminal.write(terminal.heading(family))
        for line in terminal.aligned(rows, min(terminal.width(), terminal.WIDEST)):
            terminal.write(line)
        terminal.write()


def _text(cls: type[Loss]) -> str:
    card = cls.card
    return " ".join((cls.name, *cls.aliases, card.title, card.summary, card.picture, *card.pros, *card.use_when))


def _plain(text: str) -> str:
    """Return a text in small letters, with spaces between the words of names."""
    return re.sub(r"[\s_-]+", " ", text.lower()).strip()


def _begins(word: str, text: str) -> bool:
    """Return whether a word of the text begins like that."""
    return re.search(rf"(?<![^\W_]){re.escape(_plain(word))}", _plain(text)) is not None


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
