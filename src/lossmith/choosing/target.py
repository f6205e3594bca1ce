"""Reading the target: from a column of a table to the numbers that a loss takes.

A target of two values becomes 0 and 1 and keeps its labels. Everything that cannot be a target is refused
here, before any work is done, with what was found, in which row, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lossmith.choosing.words import number
from lossmith.errors import TableError, did_you_mean, plural

if TYPE_CHECKING:
    from lossmith.scoring.source import Table

__all__ = ["Target", "read_target"]

# Words that name the answer "yes", and words that name the answer "no". A pair of labels of which exactly one
# is known here needs no guess.
_YES_WORDS = """
    yes y true t 1 positive pos on present active success won win good spam fraud malignant sick ill disease churn
    churned default defaulted failed failure died dead event clicked bought accepted approved abnormal
"""
_NO_WORDS = """
    no n false f 0 negative neg off absent inactive ham legitimate benign healthy normal stayed alive control
    survived rejected declined
"""
_YES, _NO = frozenset(_YES_WORDS.split()), frozenset(_NO_WORDS.split())


@dataclass(frozen=True, eq=False)
class Target:
    """The target as numbers.

    Attributes:
        name: Name of the column.
        values: One float64 a row; 0 and 1 where there are two labels.
        labels: The two labels as the table writes them, negative first; ``None`` for a target of numbers.
        reading: Which label counts as positive and why, in one sentence; empty for a target of numbers.
    """

    name: str
    values: NDArray[np.float64]
    labels: tuple[str, str] | None = None
    reading: str = ""


def read_target(table: Table, name: str, *, positive: str | None = None) -> Target:
    """Read one column of a table as the target.

    Numbers stay as they are. Two different values, whatever their type, are two classes: booleans count
    ``true`` as positive and numbers the larger value. Of two texts the positive one is, in this order: the one
    that ``positive`` names; the only one that is a word for yes ("yes", "true", "spam", "malignant", ...); the
    one whose partner is the only word for no; the later one in alphabetical order.

    Args:
        table: The table.
        name: The target's column.
        positive: The label to count as positive, for a target of two classes.

    Returns:
        The target, one number a row.

    Raises:
        TableError: No such column; no rows; a missing or infinite value; one value only; text with more than
            two values; ``positive`` that is not one of the two labels, or given for a target of numbers.
    """
    table.require(name)
    if table.rows == 0:
        raise TableError(f"the table has columns but no rows, so there is no target '{name}' to learn")
    kind = table.kinds[name]
    if kind == "time":
        raise TableError(f"the target '{name}' holds times; give a column of numbers or of two labels")
    if kind == "text":
        return _from_texts(table, name, positive)
    values = table.numbers(name)
    _refuse_missing(name, np.isnan(values))
    infinite = np.isinf(values)
    if infinite.any():
        raise TableError(
            f"the target '{name}' is infinite in {plural(int(infinite.sum()), 'row')}, first in data row "
            f"{_first(infinite)}; no loss is defined there, so mend or remove these rows"
        )
    distinct = np.unique(values)
    if distinct.size == 1 and kind == "boolean":
        raise _one_class(name, table.texts(name)[0], table.rows)
    if distinct.size == 1:
        raise TableError(
            f"the target '{name}' is {number(float(distinct[0]), 6)} in all {plural(table.rows, 'row')}: "
            "it is constant, so there is nothing to learn"
        )
    if distinct.size > 2:
        if positive is not None:
            raise TableError(
                f"a positive label was given ('{positive}'), but the target '{name}' has more than two values: "
                f"it is a number, not a label"
            )
        return Target(name, values)
    if kind == "boolean":
        return _two(name, _boolean_labels(table, name, values), values == 1.0, positive, "it is a word for yes")
    names = (_plain(distinct[0]), _plain(distinct[1]))
    return _two(name, names, values == distinct[1], positive, "it is the larger of the two")


def _boolean_labels(table: Table, name: str, values: NDArray[np.float64]) -> tuple[str, str]:
    """Return false and true as the table writes them, such as ``no`` and ``yes``, where it keeps to one way."""
    texts = table.texts(name)
    false, true = set(texts[values == 0.0]), set(texts[values == 1.0])
    return (false.pop(), true.pop()) if len(false) == len(true) == 1 else ("false", "true")


def _from_texts(table: Table, name: str, positive: str | None) -> Target:
    texts = table.texts(name)
    _refuse_missing(name, np.array([text is None for text in texts], dtype=bool))
    labels = sorted(set(texts))
    if len(labels) == 1:
        raise _one_class(name, labels[0], table.rows)
    if len(labels) > 2:
        shown = ", ".join(f"'{label}'" for label in labels[:5]) + (", ..." if len(labels) > 5 else "")
        raise TableError(
            f"the target '{name}' is text with {len(labels):,} labels: {shown}. Several classes are not a target "
            "that choose takes yet; give a column of numbers or of two labels"
        )
    why, second = _positive_text(labels)
    ordered = (labels[1 - second], labels[second])
    return _two(name, ordered, texts == ordered[1], positive, why)


def _positive_text(labels: Sequence[str]) -> tuple[str, int]:
    """Return the reason and the position of the positive label."""
    plain = [label.strip().lower() for label in labels]
    yes = [word in _YES for word in plain]
    no = [word in _NO for word in plain]
    if yes[0] != yes[1]:
        return "it is a word for yes", int(yes[1])
    if no[0] != no[1]:
        return f"'{labels[no.index(True)]}' is a word for no", int(no[0])
    return "it comes later in the alphabet", 1


def _two(name: str, labels: Sequence[str], is_second: NDArray[np.bool_], positive: str | None, why: str) -> Target:
    """Build a target of two classes, with the labels swapped where ``positive`` names the first."""
    values = np.asarray(is_second, dtype=np.float64)
    first, second = labels
    if positive is not None:
        if positive not in (first, second):
            raise TableError(
                f"the target '{name}' has no label '{positive}'; its labels are '{first}' and '{second}'."
                + did_you_mean(positive, (first, second))
            )
        why = "you said so"
        if positive == first:
            first, second, values = second, first, 1.0 - values
    return Target(name, values, (first, second), f"'{second}' counts as positive because {why}.")


def _refuse_missing(name: str, missing: NDArray[np.bool_]) -> None:
    if missing.all():
        raise TableError(f"the target '{name}' is missing in every row, so there is nothing to learn")
    if missing.any():
        raise TableError(
            f"the target '{name}' is missing in {plural(int(missing.sum()), 'row')} of {missing.size:,}, first in "
            f"data row {_first(missing)}; fill these rows or remove them, since a guess would bias the contest"
        )


def _one_class(name: str, label: str, rows: int) -> TableError:
    return TableError(
        f"the target '{name}' has one class only: '{label}' in all {plural(rows, 'row')}, so there is nothing to learn"
    )


def _first(flags: NDArray[np.bool_]) -> str:
    return f"{int(np.argmax(flags)) + 1:,} (counted from 1)"


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
