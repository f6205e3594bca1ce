"""Parameters and options: what a user chooses when making a loss.

A ``Parameter`` is a number that enters the formula as an input of the program, so that one
compiled program serves all its values. An ``Option`` picks one of a few forms of the loss,
each with a program of its own. Either is declared once, in the loss's class, and that
declaration stores, validates, documents and draws test values.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

from lossmith.core.domain import Domain
from lossmith.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from lossmith.core.configured import Configured


class Declaration:
    """What a class declares and its instances hold the value of, by the attribute's name."""

    name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, loss: Configured | None, owner: type) -> Any:
        return self if loss is None else loss._values[self.name]


_INFINITIES = {"inf": math.inf, "-inf": -math.inf}


def plain(value: Any) -> Any:
    """Return the value of a parameter, an option or a vector as data of JSON, which knows no infinity: a text is it."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def unplain(value: Any) -> Any:
    """Return the number where it is infinity as ``plain`` writes it, and anything else as it is."""
    return _INFINITIES.get(value, value) if isinstance(value, str) else value


def rounded(value: Any) -> float:
    """Return a number as a float. What is too large for one is infinite, as it would be in arithmetic of floats."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


class Parameter(Declaration):
    """A number that shapes a loss.

    Args:
        default: value when none is given; ``None`` for a parameter that may be left out.
        domain: where it may lie, such as ``"(0, inf)"``.
        symbol: LaTeX of the symbol.
        typical: the range that sliders, plots and tests use.
        doc: what it means, one phrase.
        in_formula: whether the formula uses it; else only the structure around it does.
    """

    def __init__(
        self,
        default: float | None,
        *,
        domain: str,
        symbol: str,
        typical: tuple[float, float],
        doc: str,
        in_formula: bool = True,
    ) -> None:
        self.default = default
        self.domain = Domain.parse(domain)
        self.symbol = symbol
        self.typical = typical
        self.doc = doc
        self.in_formula = in_formula

    @property
    def optional(self) -> bool:
        """Whether the loss has a form without this parameter."""
        return self.default is None

    def validate(self, owner: str, value: Any) -> float | None:
        """Return the value as a float, or ``None`` where that is allowed. Infinity may come as ``plain`` writes it.

        Raises:
            ParameterError: for what is no real number, or lies outside the domain.
        """
        if value is None and self.optional:
            return None
        value = unplain(value)
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ParameterError(
                f"{owner}({self.name}={value!r}): {self.name} must be a number in {self.domain}, "
                f"got {type(value).__name__}"
            )
        number = rounded(value) + 0.0  # a zero without a sign, which texts would lose
        if math.isnan(number) or not self.domain.includes(number):
            raise ParameterError(f"{owner}({self.name}={number:g}): {self.name} must lie in {self.domain} ({self.doc})")
        return number

    def __repr__(self) -> str:
        return f"Parameter({self.name}={self.default}, domain={self.domain}, {self.doc!r})"


class Vector(Declaration):
    """A number for each class, such as class weights, or for each of some levels.

    Args:
        default: the numbers when none are given; ``None`` where they may be left out.
        domain: where each number may lie.
        doc: what it means, one phrase.
    """

    def __init__(self, default: tuple[float, ...] | None = None, *, domain: str, doc: str) -> None:
        self.default = default
        self.domain = Domain.parse(domain)
        self.doc = doc

    def validate(self, owner: str, value: Any) -> tuple[float, ...] | None:
        """Return the numbers as a tuple, or ``None`` for none.

        Raises:
            ParameterError: for what is no sequence of numbers in the domain.
        """
        if value is None and self.default is None:
            return None
        try:
            if isinstance(value, Mapping | Set):  # which would give its keys, or no order
                raise TypeError
            numbers = tuple(rounded(item) for item in value)
        except (TypeError, ValueError):
            mend = "; pass the numbers of a mapping in their order" if isinstance(value, Mapping) else ""
            raise ParameterError(
                f"{owner}({self.name}={value!r}): {self.name} must be a sequence of numbers in {self.domain} "
                f"({self.doc}){mend}"
            ) from None
        for place, number in enumerate(numbers):
            if not self.domain.includes(number):
                raise ParameterError(
                    f"{owner}: {self.name}[{place}] is {number:g}, but must lie in {self.domain} ({self.doc})"
                )
        return numbers

    def __repr__(self) -> str:
        return f"Vector({self.name}, domain={self.domain}, {self.doc!r})"


class Integer(Declaration):
    """A whole number that says where something is, such as an axis; it may be left out.

    Args:
        default: value when none is given.
        doc: what it means, one phrase.
    """

    def __init__(self, default: int | None, *, doc: str) -> None:
        self.default = default
        self.doc = doc

    def validate(self, owner: str, value: Any) -> int | None:
        """Return the number.

        Raises:
            ParameterError: for what is no whole number.
        """
        if value is None and self.default is None:
            return None
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ParameterError(f"{owner}({self.name}={value!r}): {self.name} must be a whole number ({self.doc})")
        return int(value)

    def __repr__(self) -> str:
        return f"Integer({self.name}={self.default!r}, {self.doc!r})"


class Option(Declaration):
    """A choice between forms of a loss.

    Args:
        default: the form when none is named.
        choices: all forms; the first is the one on raw predictions, where that matters.
        doc: what it means, one phrase.
        why: said when a choice is refused, for choices that users expect.
    """

    def __init__(self, default: str | bool, choices: tuple[str | bool, ...], *, doc: str, why: str = "") -> None:
        self.default = default
        self.choices = choices
        self.doc = doc
        self.why = why

    def validate(self, owner: str, value: Any) -> str | bool:
        """Return the choice.

        Raises:
            ParameterError: when the value is none of the choices.
        """
        for choice in self.choices:
            if type(value) is type(choice) and value == choice:
                return choice
        known = " or ".join(repr(choice) for choice in self.choices)
        guess = did_you_mean(value, [str(choice) for choice in self.choices]) if isinstance(value, str) else ""
        reason = f" {self.why}" if self.why else ""
        raise ParameterError(f"{owner}({self.name}={value!r}): {self.name} must be {known}.{guess}{reason}")

    def __repr__(self) -> str:
        return f"Option({self.name}={self.default!r}, choices={self.choices})"
