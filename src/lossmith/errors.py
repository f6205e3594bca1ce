"""The errors of Lossmith.

Each one is a ``LossmithError`` and also the built-in error that fits, so that both
``except LossmithError`` and ``except ValueError`` work::

    LossmithError
    ├── LossNotFoundError     (KeyError)    a name that is no loss; the nearest names are offered
    ├── ParameterError        (ValueError)  a parameter or option of a loss outside its domain
    ├── FormulaError          (ValueError)  a formula as text that cannot be read; the place is marked
    ├── ShapeError            (ValueError)  arrays whose shapes differ, or broadcast when they may not
    ├── KindError             (TypeError)   arrays of a type that is no number
    ├── DomainError           (ValueError)  a target, prediction or weight where the loss is not defined
    ├── EmptyError            (ValueError)  nothing to average
    ├── ProgramError          (ValueError)  a program that is malformed or cannot be differentiated
    ├── MergeError            (ValueError)  cost states of different losses
    ├── DistributedError      (RuntimeError) another process that is gone, or does not answer
    ├── NoConstantError       (ValueError)  a loss for which no constant prediction is the best
    ├── MissingDependencyError (ImportError) an optional package that is not installed
    └── TableError            (ValueError)  a table, column or file that cannot be used
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import TYPE_CHECKING


class LossmithError(Exception):
    """Base of every error that Lossmith raises on purpose."""

    if not TYPE_CHECKING:
        # TensorFlow makes errors anew in functions that it rewrites, and others of all that are not made like this.
        __init__ = Exception.__init__


class LossNotFoundError(LossmithError, KeyError):
    """A name that no loss carries."""

    def __str__(self) -> str:  # KeyError would print the quoted representation
        return str(self.args[0]) if self.args else ""


class ParameterError(LossmithError, ValueError):
    """A parameter or option of a loss that is unknown or outside its domain."""


class FormulaError(LossmithError, ValueError):
    """A formula as text that cannot be read, or is no loss.

    Args:
        problem: what is wrong, and what to write instead.
        text: the formula.
        column: where it is wrong, counted from 1 over the whole text.
    """

    def __init__(self, problem: str, text: str, column: int) -> None:
        super().__init__(problem, text, column)
        self.problem, self.text, self.column = problem, text, column

    def __str__(self) -> str:
        at = self.column - 1
        line = self.text.rfind("\n", 0, at) + 1
        begin = max(line, at - _AROUND)
        shown = self.text[begin : at + _AROUND].split("\n")[0].expandtabs(1)
        shown = "".join(character if character.isprintable() else "?" for character in shown)
        number = f"line {self.text[:line].count(chr(10)) + 1}, " if "\n" in self.text else ""
        return f"{self.problem}\n    {shown}\n    {' ' * (at - begin)}^ {number}column {at - line + 1}"


_AROUND = 36  # characters of a formula that are shown on either side: they fit in a terminal


class ShapeError(LossmithError, ValueError):
    """Arrays whose shapes do not fit each other."""


class KindError(LossmithError, TypeError):
    """Values of a type that a loss cannot use, such as strings or complex numbers."""


class DomainError(LossmithError, ValueError):
    """A target, prediction, weight or mask outside the domain that the loss declares."""


class EmptyError(LossmithError, ValueError):
    """A cost over no examples at all, or over none that counts."""


class ProgramError(LossmithError, ValueError):
    """A program that is malformed, or asks for what its instructions do not offer."""


class MergeError(LossmithError, ValueError):
    """Cost states that do not belong together."""


class DistributedError(LossmithError, RuntimeError):
    """A process that others wait for is gone, does not answer, or does something else."""


class NoConstantError(LossmithError, ValueError):
    """No constant prediction minimises the cost."""


class MissingDependencyError(LossmithError, ImportError):
    """A part of Lossmith needs a package that is not installed."""

    if not TYPE_CHECKING:
        __init__ = ImportError.__init__  # which sets ``msg``


class TableError(LossmithError, ValueError):
    """A table, column or file that cannot be read, used or written."""


def plural(count: int, word: str, words: str | None = None) -> str:
    """Write a count with its noun: ``1 row``, ``5,000 rows``, or ``c rows`` of a length that is a symbol in tracing."""
    number = f"{count:,}" if isinstance(count, Integral) else str(count)
    return f"{number} {word if count == 1 else words or word + 's'}"


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known names, or an empty string."""
    import difflib  # only when something went wrong

    lowered = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=cutoff)
    if not close:
        return ""
    return " Did you mean " + " or ".join(f"'{lowered[item]}'" for item in close) + "?"
