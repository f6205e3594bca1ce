"""Readings of a formula for people: LaTeX and text, by SymPy.

SymPy is imported only when a formula is to be shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from textwrap import wrap
from typing import Any, Protocol, runtime_checkable

from lossmith.core.branches import needed
from lossmith.core.card import Card
from lossmith.core.domain import Domain
from lossmith.core.inputs import Input
from lossmith.core.parameter import Parameter
from lossmith.errors import MissingDependencyError, ProgramError
from lossmith.program import TABLE, Ops, Program, Value


class Readable(Hashable, Protocol):
    """What a reading needs of a loss whose card has a formula set by hand."""

    @property
    def card(self) -> Card:
        """The facts about the loss."""

    @property
    def focus(self) -> Input:
        """The predicted input that pictures and formulas are about."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Value of each parameter and option."""


@runtime_checkable
class Symbolic(Readable, Protocol):
    """What it needs of a loss with a formula on symbols."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """What the formula calls its inputs."""

    @property
    def free_parameters(self) -> Mapping[str, float]:
        """The parameters that are present."""

    def parameters(self) -> Mapping[str, Parameter]:
        """Return the declared parameters."""

    def symbolic(self, values: Mapping[str, Value]) -> Any:
        """Return a twin whose parameters are symbols."""

    def program(self, order: int = 2) -> Program:
        """Return the loss and its derivatives as a program."""

    def reads(self, sympy: Any, output: str, part: Callable[..., Any]) -> Any:
        """Return an output as people read it, made of what ``part(loss, name)`` gives."""


# Kept as named functions: their expansions say less than their names.
_NAMED = ("sigmoid", "lgamma", "hold")
_IRRATIONAL = ("log(2)", "log(pi)/2", "log(2*pi)/2", "1/sqrt(pi)", "sqrt(2/pi)")
_LONG = 40
_MANY = 5
_NAMES = "abcdghkpqrstuwxzABCDEGHKMNPQRSTUVWXYZ"


def _sympy() -> Any:
    try:
        import sympy
    except ImportError:
        raise MissingDependencyError("showing formulas needs SymPy: pip install 'lossmith[lab]'") from None
    return sympy


@lru_cache(maxsize=1)
def _namespace() -> Ops:
    sympy = _sympy()
    letters = sympy.symbols("a b c")
    meanings = {name: _meaning(sympy, name, letters) for name in TABLE}

    def apply(name: str, arguments: tuple[Value, ...]) -> Value:
        return meanings[name](*(_exact(sympy, argument) for argument in arguments))

    return Ops(apply)


def _exact(sympy: Any, value: Value) -> Any:
    """Return a number as the fraction or constant it is, so that 2 does not print as 2.0."""
    if not isinstance(value, float):
        return sympy.sympify(value)
    return _constants().get(value, None) or sympy.nsimplify(value, rational=True)


@lru_cache(maxsize=1)
def _constants() -> dict[float, Any]:
    """Return the irrational constants of formulas and rules, by their rounded value."""
    known = [_sympy().sympify(text) for text in _IRRATIONAL]
    return {float(sign * number.evalf(30)): sign * number for number in known for sign in (1, -1)}


def _size(sympy: Any, sides: tuple[Any, ...]) -> Any:
    """Return the absolute value that is written as the larger of a number and its opposite."""
    return sympy.Abs(sides[0]) if len(sides) == 2 and sympy.expand(sides[0] + sides[1]) == 0 else None


def _meaning(sympy: Any, name: str, letters: tuple[Any, ...]) -> Any:
    row = TABLE[name]
    if name in _NAMED:
        head, _, _ = row.latex.format("", "").partition("(")

        class Named(sympy.Function):  # type: ignore[misc]  # SymPy has no types
            def _latex(self, printer: Any, exp: str | None = None) -> str:
                call = rf"{head}\left({', '.join(map(printer._print, self.args))}\right)"
                return call if exp is None else rf"{call}^{{{exp}}}"

        Named.__name__ = name
        return Named
    if name == "where":
        return lambda condition, a, b: _piecewise(sympy, condition, a, b)
    expression = sympy.sympify(row.meaning, locals=dict(zip("abc", letters, strict=True)))

    def meant(*arguments: Any) -> Any:
        found = expression.xreplace(dict(zip(letters, arguments, strict=False)))
        if isinstance(found, sympy.Piecewise):  # as the meaning has it, and not the arguments
            (a, condition), (b, _) = found.args
            return _piecewise(sympy, condition, a, b)
        return found

    return meant


def _piecewise(sympy: Any, condition: Any, a: Any, b: Any) -> Any:
    """Return the branches, with the conditions as the formula wrote them, or the one branch that there really is."""
    if condition in (sympy.true, sympy.false):
        return a if condition == sympy.true else b
    a, b = (_known(sympy, branch, condition, place) for place, branch in enumerate((a, b)))
    branches = needed(sympy, condition, a, b)
    if len(branches) == 1:
        return branches[0]
    return sympy.Piecewise((a, condition), (b, True), evaluate=False)


def _known(sympy: Any, branch: Any, condition: Any, place: int) -> Any:
    """Return a branch in which the same condition decides no more."""
    inner = [found for found in branch.atoms(sympy.Piecewise) if found.args[0].cond == condition]
    return branch.xreplace({found: found.args[place].expr for found in inner})


@lru_cache(maxsize=256)  # which is drawn at several widths, and as LaTeX besides
def expression(loss: Readable, output: str = "value") -> Any:
    """Return the loss or a derivative as a SymPy expression in its inputs' and parameters' symbols.

    Args:
        loss: the loss; its parameters stay symbols.
        output: ``value``, ``gradient:f``, ``hessian:f,f`` and so on.

    Raises:
        ProgramError: if the loss has no formula on symbols.
    """
    if not isinstance(loss, Symbolic):
        raise ProgramError(f"{loss} has no formula on symbols; what its card says stands in loss.card.formula")
    return loss.reads(_sympy(), output, _part)


def _part(loss: Symbolic, output: str, *, collected: bool = True) -> Any:
    """Return the formula or a derivative by its symbols, as a reader or as the rule table would write it."""
    sympy = _sympy()
    inputs = [sympy.Symbol(name, real=True) for name in loss.symbols]
    symbols = {
        name: sympy.Symbol(item.symbol, real=True, **_sign(item.domain))
        for name, item in loss.parameters().items()
        if name in loss.free_parameters and name != "eps"
    }
    if output == "value":
        found = loss.symbolic(symbols).formula(_namespace(), *inputs)
    else:
        parts = loss.program(2).evaluate(_namespace(), inputs, {"eps": sympy.Symbol("epsilon"), **symbols})
        if output not in parts:
            raise ProgramError(f"{loss} has no formula for {output}: its program has {', '.join(parts)}")
        found = parts[output]
    found = _exact(sympy, found)
    if output != "value":  # what is held has been taken for a constant, and is what it is
        found = found.replace(lambda part: type(part).__name__ == "hold", lambda part: part.args[0])
    found = found.xreplace({number: _exact(sympy, float(number)) for number in found.atoms(sympy.Float)})
    found = found.replace(sympy.Max, lambda *sides: _size(sympy, sides) or sympy.Max(*sides))
    long = found.count_ops() > _LONG or _hard(sympy, found)
    if output == "value" or not collected or found.has(sympy.Piecewise) or long:
        return found
    # Short derivatives come out of the rule table with terms that a reader would collect.
    return sympy.simplify(found)


def _hard(sympy: Any, found: Any) -> bool:
    """Return whether SymPy may take minutes to simplify it: a polynomial of many things, or of tanh among others."""
    functions = found.atoms(sympy.Function)
    powers = [power for power in found.atoms(sympy.Pow) if not power.exp.is_Integer]
    many = len(found.free_symbols) + len(functions) + len(powers) > _MANY
    return many or (len(functions) > 1 and found.has(sympy.tanh, sympy.sech))


def _sign(domain: Domain) -> dict[str, bool]:
    """Return what SymPy may know of a parameter: that it is above 0, or not below."""
    return (
        {"positive": True}
        if domain.low >= 0 and not domain.includes(0.0)
        else {"nonnegative": True}
        if domain.low >= 0
        else {}
    )


def latex(loss: Readable) -> str:
    """Return the formula as LaTeX."""
    return _latex(loss, "value")


def latex_gradient(loss: Readable, wrt: str = "") -> str:
    """Return the derivative as LaTeX, with respect to a symbol, by default the one that pictures show."""
    return _latex(loss, f"gradient:{wrt or loss.focus.symbol}")


def latex_hessian(loss: Readable, wrt: str = "") -> str:
    """Return the second derivative as LaTeX, with respect to a symbol, by default the one that pictures show."""
    return _latex(loss, f"hessian:{wrt or loss.focus.symbol},{wrt or loss.focus.symbol}")


def _latex(loss: Readable, output: str) -> str:
    terms = [(_weight(weight), _latex(part, output)) for weight, part in getattr(loss, "parts", ())]
    if terms:
        return " + ".join(rf"{weight} \left({text}\right)" for weight, text in terms)
    by_hand = _by_hand(loss, output)
    if by_hand:
        return by_hand[0]
    return _typeset(expression(loss, output))


def latex_in_parts(loss: Readable, output: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the loss or a derivative as LaTeX with names for what repeats in it, and the names with their meanings.

    Args:
        loss: the loss.
        output: ``value``, ``gradient:f``, ``hessian:f,f`` and so on.

    Raises:
        ProgramError: if the loss has no formula on symbols.
    """
    sympy, found = _sympy(), expression(loss, output)
    taken = {symbol.name for symbol in found.free_symbols}
    names = (sympy.Symbol(letter, real=True) for letter in _NAMES if letter not in taken)
    named, (main,) = sympy.cse([found], symbols=names)
    return _typeset(main), [(name.name, _typeset(meaning)) for name, meaning in named]


def _typeset(found: Any) -> str:
    text = str(_sympy().latex(found, ln_notation=False))
    return re.sub(r"\b10{15,}\b", lambda power: f"10^{{{len(power[0]) - 1}}}", text)


def _by_hand(loss: Readable, output: str) -> tuple[str, str] | None:
    """Return the LaTeX and the text that the card holds, if it does."""
    formula = loss.card.formula
    what, _, symbols = output.partition(":")
    if formula is None or symbols.partition(",")[0] not in ("", loss.focus.symbol):
        return None  # what is set by hand is about the input that pictures show
    kinds = [str(loss.values.get(option, "")) for option in ("prediction", f"{loss.focus.symbol}_kind")]
    formula = next((formula.kinds[kind] for kind in kinds if kind in formula.kinds), formula)
    found: tuple[str, str] = getattr(formula, what)
    return found


def pretty(loss: Readable, output: str = "value", width: int | None = None) -> str:
    """Return the formula drawn with Unicode characters, on several lines.

    Args:
        loss: the loss.
        output: ``value``, ``gradient:f``, ``hessian:f,f`` and so on.
        width: columns to keep to: a wider sum is drawn term by term, and what is wider still comes as LaTeX.
    """
    parts: Sequence[tuple[float, Readable]] = getattr(loss, "parts", ())
    if parts:
        return "\n".join(f"{_weight(weight)} times\n{pretty(part, output, width)}" for weight, part in parts)
    by_hand = _by_hand(loss, output)
    return _folded(by_hand[1], width) if by_hand else _drawn(expression(loss, output), width)


def beside(loss: Readable, width: int | None = None) -> tuple[str, str] | None:
    """Return as LaTeX and as text what the library computes with, where the card has another formula set by hand."""
    if loss.card.formula is None or not isinstance(loss, Symbolic):
        return None
    found = expression(loss)
    text = _drawn(found, width)
    return None if text == pretty(loss, "value", width) else (_typeset(found), text)


def _weight(weight: float) -> str:
    return f"{weight:g}" if float(f"{weight:g}") == weight else repr(weight)


def _drawn(found: Any, width: int | None) -> str:
    sympy = _sympy()
    names = {
        symbol: sympy.Symbol(re.sub(r"\\(var)?|[{}]", "", symbol.name), **symbol.assumptions0)
        for symbol in found.free_symbols
        if "\\" in symbol.name
    }
    found = found.xreplace(names).replace(sympy.Max, sympy.Function("max")).replace(sympy.Min, sympy.Function("min"))
    whole = [_lines(sympy, found)]
    if width is None or _fits(whole, width):
        return "\n".join(whole[0])
    terms = found.as_ordered_terms()
    minus = [term.could_extract_minus_sign() for term in terms]
    blocks = [_lines(sympy, -term if less else term) for term, less in zip(terms, minus, strict=True)]
    if not _fits(blocks, width):
        return _folded(str(sympy.latex(found, ln_notation=False)), width)
    lines = []
    for place, (block, less) in enumerate(zip(blocks, minus, strict=True)):
        sign = "-" if less else "+" if place else " "
        lines += [f"{sign if number == len(block) // 2 else ' '} {line}" for number, line in enumerate(block)]
    return "\n".join(lines)


def _lines(sympy: Any, found: Any) -> list[str]:
    return str(sympy.pretty(found, use_unicode=True, wrap_line=False)).splitlines()


def _fits(blocks: Sequence[Sequence[str]], width: int) -> bool:
    return max(len(line) for block in blocks for line in block) + 2 <= width


def _folded(text: str, width: int | None) -> str:
    return text if width is None else "\n".join(wrap(text, width, break_long_words=False, break_on_hyphens=False))
