"""Readings of a formula for people: LaTeX and text, by SymPy.

SymPy is imported only when a formula is to be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from lossmith.core.parameter import Parameter
from lossmith.errors import MissingDependencyError
from lossmith.program import TABLE, Ops, Program, Value


class Readable(Protocol):
    """What a reading needs of a loss: its formula, on symbols."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that the formula takes."""

    @property
    def wrt(self) -> tuple[str, ...]:
        """Those of them that it is differentiated by."""

    @property
    def free_parameters(self) -> Mapping[str, float]:
        """The parameters that are present."""

    def parameters(self) -> Mapping[str, Parameter]:
        """Return the declared parameters."""

    def symbolic(self, values: Mapping[str, Value]) -> Any:
        """Return a twin whose parameters are symbols."""

    def program(self, order: int = 2) -> Program:
        """Return the loss and its derivatives as a program."""


# Kept as named functions: their expansions say less than their names.
_NAMED = ("sigmoid", "lgamma")
_LONG = 40


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
    """Return a number as the fraction it is, so that 2 does not print as 2.0."""
    return sympy.nsimplify(value, rational=True) if isinstance(value, float) else sympy.sympify(value)


def _meaning(sympy: Any, name: str, letters: tuple[Any, ...]) -> Any:
    row = TABLE[name]
    if name in _NAMED:
        head, _, _ = row.latex.partition("(")

        class Named(sympy.Function):  # type: ignore[misc]  # SymPy has no types
            def _latex(self, printer: Any, exp: str | None = None) -> str:
                call = rf"{head}\left({printer._print(self.args[0])}\right)"
                return call if exp is None else rf"{call}^{{{exp}}}"

        Named.__name__ = name
        return Named
    if name == "where":
        # Unevaluated, the conditions stay as the formula wrote them.
        return lambda condition, a, b: sympy.Piecewise((a, condition), (b, True), evaluate=False)
    expression = sympy.sympify(row.meaning, locals=dict(zip("abc", letters, strict=True)))
    return lambda *arguments: expression.xreplace(dict(zip(letters, arguments, strict=False)))


def expression(loss: Readable, output: str = "value") -> Any:
    """Return the loss or a derivative as a SymPy expression in its symbols and its parameters' symbols.

    Args:
        loss: the loss; its parameters stay symbols.
        output: ``value``, or a derivative such as ``gradient:f`` and ``hessian:f,f``.
    """
    sympy = _sympy()
    inputs = sympy.symbols(" ".join(loss.symbols), real=True, seq=True)
    symbols = {
        name: sympy.Symbol(loss.parameters()[name].symbol, positive=True)
        for name in loss.free_parameters
        if name != "eps"
    }
    if output == "value":
        found = loss.symbolic(symbols).formula(_namespace(), *inputs)
    else:
        found = loss.program(2).evaluate(_namespace(), inputs, {"eps": sympy.Symbol("epsilon"), **symbols})[output]
    found = _exact(sympy, found)
    if output == "value" or found.has(sympy.Piecewise) or found.count_ops() > _LONG:
        return found
    # Short derivatives come out of the rule table with terms that a reader would collect.
    return sympy.simplify(found)


def latex(loss: Readable) -> str:
    """Return the formula as LaTeX."""
    return _latex(loss, "value")


def latex_gradient(loss: Readable) -> str:
    """Return the derivative with respect to the prediction, the last one where there are several, as LaTeX."""
    return _latex(loss, f"gradient:{loss.wrt[-1]}")


def latex_hessian(loss: Readable) -> str:
    """Return the second derivative as LaTeX."""
    return _latex(loss, f"hessian:{loss.wrt[-1]},{loss.wrt[-1]}")


def _latex(loss: Readable, output: str) -> str:
    return str(_sympy().latex(expression(loss, output), ln_notation=False))


def pretty(loss: Readable, output: str = "value") -> str:
    """Return the formula drawn with Unicode characters, on several lines."""
    sympy = _sympy()
    found = expression(loss, output)
    names = {
        symbol: sympy.Symbol(symbol.name.lstrip("\\"), positive=True)
        for symbol in found.free_symbols
        if "\\" in symbol.name
    }
    return str(sympy.pretty(found.xreplace(names), use_unicode=True, wrap_line=False))
