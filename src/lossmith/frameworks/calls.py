"""What calls of every framework have in common: how inputs are passed, what is checked while tracing, what is said."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from lossmith.core.columns import check_spread
from lossmith.core.contract import shapes_differ
from lossmith.core.inputs import Input, bind, compares, judged
from lossmith.core.loss import Loss
from lossmith.core.mistakes import warn
from lossmith.core.parameter import Integer, Option
from lossmith.core.registry import loss_class, names, parse, what_instead
from lossmith.core.words import Words
from lossmith.errors import DomainError, LossNotFoundError, ParameterError, ShapeError, did_you_mean, plural
from lossmith.structures.softmax import Softmax

Array = Any
# What frameworks call inputs, by their names in the catalogue; the others keep theirs.
TORCH: Words = {"y_pred": "input", "y_true": "target"}
JAX: Words = {"y_pred": "predictions", "y_true": "targets"}

NO_WORDS: Words = {}

PAIR = ("y_pred", "y_true")


@lru_cache(maxsize=1024)
def settled(loss: Loss) -> Loss:
    """Return a loss, or the equal one that was settled before, with all settled that does not depend on arrays."""
    loss.ready()
    return loss


def order(loss: Loss) -> tuple[str, ...]:
    """Return the inputs that are passed by place: predictions first, then as in the catalogue.

    Divergences take none so, since libraries do not agree on which distribution comes first.
    """
    if compares(loss):
        return ()
    names = [item.name for item in loss.inputs]
    first = [name for name in PAIR if name in names]
    return (*first, *(name for name in names if name not in first))


def takes_where(loss: Loss) -> bool:
    """Return whether classes of a loss may be left out, which optax does by ``where``."""
    return isinstance(loss, Softmax) and loss.values["prediction"] == "logits"


def in_words(loss: Loss, words: Words) -> dict[str, Input]:
    """Return the inputs of a loss by what a framework calls them, those that are passed by place in that order.

    Where an option has that name, the input keeps its own.
    """
    places, declared = order(loss), loss.declared()
    inputs = sorted(loss.inputs, key=lambda item: places.index(item.name)) if places else loss.inputs
    called = {item.name: words.get(item.name, item.name) for item in inputs}
    return {item.name if called[item.name] in declared else called[item.name]: item for item in inputs}


def bound(
    loss: Loss, places: Sequence[str], words: Words, given: Sequence[Array], named: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the inputs of a call by their names in the catalogue.

    Args:
        loss: what is called.
        places: the names of what is passed by place; see ``order``.
        words: what the framework calls them.
        given: inputs by place.
        named: inputs by name.

    Raises:
        ParameterError: for one too many, one that is missing, or is given twice, or that the loss does not take.
    """
    owner = type(loss).__name__
    if len(given) > len(places):
        takes = ", ".join(words.get(name, name) for name in places)
        mend = "" if takes else f".{judged(loss)}"
        takes = takes or f"keywords alone, {', '.join(f'{item.name}=' for item in loss.inputs)}"
        raise ParameterError(f"{owner} takes {takes}; got {len(given)} by place{mend}")
    ours = {theirs: name for name, theirs in words.items()}
    found = dict(zip(places, given, strict=False))
    for name, value in named.items():
        name = ours.get(name, name)
        if name in found:
            raise ParameterError(f"{owner} got {name} twice, by place and by name")
        found[name] = value
    paired = tuple(places) == PAIR
    y_true, y_pred = (found.pop("y_true", None), found.pop("y_pred", None)) if paired else (None, None)
    return bind(loss, y_true, y_pred, found, paired=paired)


def aligned(loss: Loss, given: Mapping[str, Array], xp: Any) -> list[Array]:
    """Return the inputs of a call in the order of the loss, with the numbers of an example along the last axis.

    Args:
        loss: what is called.
        given: inputs by name.
        xp: the functions of the library that they are of; see ``lossmith.engines.hosts``.

    Raises:
        ShapeError: when shapes differ; inputs that broadcast may have axes of size 1.
    """
    owner, found = type(loss).__name__, []
    axis = loss.row_axis_of({item.symbol: xp.shape(given[item.name]) for item in loss.inputs})
    lead = next(item.name for item in loss.inputs if not item.broadcast)
    shape = xp.shape(given[lead])
    for item in loss.inputs:
        array = given[item.name]
        if item.broadcast:
            check_spread(owner, item.name, xp.shape(array), shape)
            array = xp.spread(array, given[lead])
        elif axis is None and xp.shape(array) != shape:
            raise ShapeError(shapes_differ(owner, lead, given[lead], item.name, array))
        elif axis is not None and item.symbol not in loss.singles:
            array = xp.moveaxis(array, axis, -1)
        found.append(array)
    columns: list[Array] = xp.paired(found, [item.symbol in loss.singles for item in loss.inputs])
    return columns


def warn_of_one_class(loss: Loss, columns: Sequence[Array]) -> None:
    """Warn of class indices beside predictions of one class: a graph cannot raise what others than 0 call for.

    Args:
        loss: what is called.
        columns: the inputs, as ``aligned`` gives them.
    """
    for item, column in zip(loss.inputs, columns, strict=True):
        if item.predicted and loss.class_indices and column.shape[-1] == 1:
            warn(
                f"{type(loss).__name__}: there is one class in {item.name}, so the only class index is 0, and it is "
                "certain; BinaryCrossEntropy takes one output for two classes"
            )


def called(loss: Loss, owner: str) -> str:
    """Return what makes a loss by the name of its owner with its options, but without numbers that shape it."""
    declared = {key: item for key, item in loss.declared().items() if isinstance(item, Integer | Option)}
    chosen = (f"{key}={loss.values[key]!r}" for key, item in declared.items() if loss.values[key] != item.default)
    return f"{owner}({', '.join(chosen)})"


def instead(
    peer: str, name: str, label: Callable[[type[Loss]], str] = lambda cls: cls.__name__, words: Words = NO_WORDS
) -> str:
    """Return what to write in the place of a name that a face does not have.

    Args:
        peer: the library, which may have a loss of that name.
        name: what somebody asks for: that, another name of a loss, or a misspelt one.
        label: what makes a loss here, by its class.
        words: what the face calls inputs.
    """
    if said := _theirs(peer, name, label, words):
        return said
    try:
        return f" It is called {label(loss_class(name))!r} here."
    except LossNotFoundError:
        if told := _labelled(what_instead(name), label):
            return f" {told[0].upper()}{told[1:]}."
        return did_you_mean(name, [label(loss_class(known)) for known in names()])


def _labelled(text: str, label: Callable[[type[Loss]], str]) -> str:
    """Return a text with what makes a loss here in the place of its name in the catalogue."""
    there = set(names())
    return re.sub(r"\w+", lambda word: label(loss_class(word[0])) if word[0] in there else word[0], text)


def _theirs(peer: str, name: str, label: Callable[[type[Loss]], str], words: Words) -> str:
    """Return what to say of a peer's name for a loss, in the words of the table of peers, or nothing if it has none."""
    table = tomllib.loads(resources.files("lossmith").joinpath(f"peers/{peer}.toml").read_text(encoding="utf-8"))
    for row in table["loss"]:
        if any(full.rpartition(".")[2] == name for full in row["names"]):
            loss, factor = parse(row["ours"]), row.get("factor", 1)
            differs = f", and is {factor} times as large" if factor != 1 else ""
            said = f" That of {table['peer']} is called {called(loss, label(type(loss)))} here{differs}."
            if "arguments" in row:  # it takes something else than a target and a prediction
                said += f" It takes {', '.join(f'{word}=' for word in in_words(loss, words))}."
            for key, function in row.get("takes", {}).items():
                said += f" It takes the {function} of what that takes as {words.get(key, key)}."
            return f"{said} {row['note']}" if "note" in row and row.keys() & {"arguments", "takes"} else said
    absent = (why for full, why in table["absent"].items() if full.rpartition(".")[2] == name)
    return "".join(f" That of {table['peer']} has no counterpart here ({why})." for why in absent)


def outside(loss: Loss, found: int, words: Words, mend: str) -> DomainError:
    """Return the error for examples of traced calls that lie outside the domains, when their number is known."""
    names = {item.symbol: words.get(item.name, item.name) for item in loss.inputs}
    wanted = {symbol: f"{names[symbol]} must be {domain.wanted}" for symbol, domain in loss.domains.items()}
    wanted |= {symbol: f"{names[symbol]}: {demand}" for symbol, demand in loss.demands.items()}
    domains = "; ".join(wanted.values())
    lie = "lies" if found == 1 else "lie"
    return DomainError(
        f"{type(loss).__name__}: {plural(found, 'example')} of traced calls {lie} outside the domains ({domains}); "
        f"{mend}"
    )
