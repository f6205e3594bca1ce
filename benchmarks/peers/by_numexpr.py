"""numexpr: the value into an array that NumPy averages, since its own sums run on one thread, and the gradients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numexpr
import numpy as np

from benchmarks.cases import Case, aligned
from benchmarks.formulas import FORMULAS
from benchmarks.peers import Call, Contestant, Result


class Text:
    """An expression in numexpr's language; its constants are variables, so that they have the type of the arrays."""

    def __init__(self, text: str) -> None:
        self.text = text

    @staticmethod
    def of(value: Any) -> str:
        """Return the text of an expression or a number."""
        if isinstance(value, Text):
            return value.text
        name = f"c{len(Namespace.constants)}"
        return Namespace.constants.setdefault(float(value), name)

    def __neg__(self) -> Text:
        return Text(f"(-{self.text})")

    def __pow__(self, power: int) -> Text:
        return Text(f"({self.text} ** {power})")


def _binary(symbol: str) -> tuple[Any, Any]:
    return (
        lambda a, b: Text(f"({Text.of(a)} {symbol} {Text.of(b)})"),
        lambda a, b: Text(f"({Text.of(b)} {symbol} {Text.of(a)})"),
    )


for _name, _symbol in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/")):
    _forward, _backward = _binary(_symbol)
    setattr(Text, f"__{_name}__", _forward)
    setattr(Text, f"__r{_name}__", _backward)
for _name, _symbol in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")):
    setattr(Text, f"__{_name}__", _binary(_symbol)[0])


def _function(name: str) -> Any:
    return lambda *arguments: Text(f"{name}({', '.join(map(Text.of, arguments))})")


class Namespace:
    """What formulas are written with."""

    constants: dict[float, str] = {}  # noqa: RUF012  (one table for all)
    abs, exp, log, log1p, sqrt, tanh, sign, where = map(
        staticmethod, map(_function, ("abs", "exp", "log", "log1p", "sqrt", "tanh", "sign", "where"))
    )

    @staticmethod
    def hold(x: Text) -> Text:
        """Return the same: nothing is differentiated here."""
        return x

    @staticmethod
    def relu(x: Text) -> Text:
        """Return the positive part."""
        return _function("maximum")(x, 0)

    @staticmethod
    def clip(x: Text, low: float, high: float) -> Text:
        """Return ``x``, or the end that it lies beyond."""
        return _function("minimum")(_function("maximum")(x, low), high)

    @staticmethod
    def sigmoid(x: Any) -> Any:
        """Return 1 / (1 + exp(-x))."""
        return 1 / (1 + Namespace.exp(-x))

    @staticmethod
    def softplus(x: Any) -> Any:
        """Return log(1 + exp(x)) without overflow."""
        return Namespace.relu(x) + Namespace.log1p(Namespace.exp(-Namespace.abs(x)))


def contestants(case: Case) -> Iterator[Contestant]:
    """Yield numexpr for pointwise losses whose functions it has."""
    has = case.name in FORMULAS and case.name != "crps_gaussian"  # it has no error function
    if has and len(case.shape) == 1 and case.work == "cost and gradient":
        yield Contestant("numexpr", lambda: _pointwise(case))


def _pointwise(case: Case) -> Call:
    numexpr.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    value, gradients = FORMULAS[case.name]
    names = [f"x{place}" for place in range(len(case.data))]
    symbols = [Text(name) for name in names]
    kind = np.dtype(case.dtype).type
    value_text = Text.of(value(Namespace, *symbols))
    texts = [Text.of(gradient(Namespace, *symbols) / float(case.rows)) for gradient in gradients]
    losses, outputs = aligned(case.shape, case.dtype), tuple(aligned(case.shape, case.dtype) for _ in texts)
    variables = {
        **dict(zip(names, case.data.values(), strict=True)),
        **{name: kind(number) for number, name in Namespace.constants.items()},
    }

    def run() -> Result:
        numexpr.evaluate(value_text, variables, out=losses)
        for text, out in zip(texts, outputs, strict=True):
            numexpr.evaluate(text, variables, out=out)
        return float(losses.mean()), outputs

    return run
