"""What formulas as text can call, and the tree that they are read into."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from lossmith.engines.numpy import IMPLEMENTATION
from lossmith.program import TABLE, Ops, Value


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a formula.

    Attributes:
        op: ``number``, ``name``, a function of ``FUNCTIONS`` or an instruction behind an operator.
        args: the parts that it is made of.
        value: of a number.
        name: of an input or parameter.
        span: where it stands in the text, begin and end; it does not tell nodes apart.
        size: how many parts there are below and here. One that stands in two places counts twice.
    """

    op: str
    args: tuple[Node, ...] = ()
    value: float = 0.0
    name: str = ""
    span: tuple[int, int] = field(default=(0, 0), compare=False)
    size: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", 1 + sum(part.size for part in self.args))

    @property
    def is_condition(self) -> bool:
        """Whether it is true or false, and no number."""
        return self.op in TABLE and TABLE[self.op].result == "bool"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of formulas.

    Attributes:
        arity: how many numbers it takes; ``None`` for two or more.
        apply: ``(ops, *arguments) -> result``.
        first: whether the first argument is a condition.
    """

    arity: int | None
    apply: Callable[..., Value]
    first: bool = False


def _log1mexp(ops: Ops, x: Value) -> Value:
    # Each form has digits where the other has none; they meet at log 2.
    return ops.where(ops.lt(x, math.log(2)), ops.log(-ops.expm1(-x)), ops.log1p(-ops.exp(-x)))


def _instruction(name: str) -> Function:
    return Function(TABLE[name].arity, lambda ops, *arguments: getattr(ops, name)(*arguments))


def _fold(name: str) -> Function:
    return Function(None, lambda ops, *arguments: reduce(getattr(ops, name), arguments))


FUNCTIONS: Mapping[str, Function] = {
    **{
        name: _instruction(name)
        for name in ("abs", "sign", "exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "logcosh", "hypot")
    },
    "min": _fold("min"),
    "max": _fold("max"),
    "where": Function(3, lambda ops, condition, a, b: ops.where(condition, a, b), first=True),
    "sqrt": Function(1, lambda ops, x: ops.pow(x, 0.5)),
    "square": Function(1, lambda ops, x: x * x),
    "cosh": Function(1, lambda ops, x: (ops.exp(x) + ops.exp(-x)) / 2),
    "log1mexp": Function(1, _log1mexp),
    "xlogy": Function(2, lambda ops, x, z: ops.mul0(x, ops.log(z))),
    **{name: _instruction(name) for name in ("expm1_excess", "log1p_excess", "sech2", "mul0", "bowl")},
    **{name: _instruction(name) for name in ("lgamma", "hold")},
}
"""Every function by the name that formulas call it by.

``min`` and ``max`` take two numbers or more. ``log1mexp(x)`` is ``log(1 - exp(-x))``; ``mul0`` is a product and 0 where
a factor is, even against infinity; ``xlogy(x, z)`` is so with ``x*log(z)``; ``expm1_excess(x)`` is ``exp(x) - 1 - x``;
``log1p_excess(x)`` is ``x - log(1 + x)``; ``bowl(x, 1)`` is ``sqrt(1 + x**2) - 1``; ``sech2(x)`` is
``1 - tanh(x)**2``. The others are rows of the table of instructions, where ``lgamma`` has no derivative.
"""

CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e}

LARGEST_POWER = 64  # whole exponents up to here are products, exact for negative numbers too


def power(ops: Ops, base: Value, exponent: Value) -> Value:
    """Return a power: of whole exponents by products, of others by the instruction, which is for positive numbers."""
    if not (isinstance(exponent, float) and exponent.is_integer() and 1 <= abs(exponent) <= LARGEST_POWER):
        return ops.pow(base, exponent)
    left, square, factors = int(abs(exponent)), base, []
    while left:
        if left % 2:
            factors.append(square)
        left //= 2
        square = square * square if left else square
    found = reduce(lambda a, b: a * b, factors)
    return found if exponent > 0 else ops.div(1.0, found)  # by the instruction: numbers that are left here may be 0


def evaluate(node: Node, ops: Ops, names: Mapping[str, Value]) -> Value:
    """Return what a tree means in a namespace of instructions."""
    if node.op == "number":
        return node.value
    if node.op == "name":
        return names[node.name]
    arguments: list[Any] = [evaluate(argument, ops, names) for argument in node.args]
    if node.op == "pow":
        return power(ops, *arguments)
    if node.op in FUNCTIONS:
        return FUNCTIONS[node.op].apply(ops, *arguments)
    return getattr(ops, node.op)(*arguments)


def number_of(node: Node) -> float:
    """Return what a tree of numbers alone means, which may be infinite or no number."""
    ops = Ops(lambda name, arguments: IMPLEMENTATION[name](*map(np.asarray, arguments)))
    with np.errstate(all="ignore"):
        return float(evaluate(node, ops, {}))


_SIGNS = {
    "either": (" or ", 1), "both": (" and ", 2), "lt": (" < ", 3), "le": (" <= ", 3), "equal": (" == ", 3),
    "add": (" + ", 4), "sub": (" - ", 4), "mul": ("*", 5), "div": ("/", 5), "neg": ("-", 6), "pow": ("**", 7),
}  # fmt: skip
_ATOM = 8
_COMMUTES = ("add", "mul", "either", "both")


def written(node: Node) -> str:
    """Return a tree as a text that reads back as it, or as the same number where it has two forms."""
    return _written(node)[0]


def _written(node: Node) -> tuple[str, int]:
    if node.op == "number":
        short = f"{node.value:g}"
        text = short if float(short) == node.value else repr(node.value)
        return text, 6 if text.startswith("-") else _ATOM  # -0, too
    if node.op == "name":
        return node.name, _ATOM
    if node.op == "alike":  # one number in two forms, of which this is the one to read
        return _written(node.args[1])
    parts = [_written(argument) for argument in node.args]
    if node.op not in _SIGNS:
        return f"{node.op}({', '.join(text for text, _ in parts)})", _ATOM
    sign, rank = _SIGNS[node.op]
    # A power reads from the right; of others the left argument needs no brackets at equal rank.
    least = [rank] if node.op == "neg" else [rank + 1, rank - 1] if node.op == "pow" else [rank, rank + 1]
    if node.op in _COMMUTES:
        least[1] = rank + 1
    texts = [text if own >= bound else f"({text})" for (text, own), bound in zip(parts, least, strict=True)]
    return (sign + texts[0] if node.op == "neg" else sign.join(texts)), rank
