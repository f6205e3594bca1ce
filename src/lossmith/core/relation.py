"""A relation: two losses that are the same, up to a factor, in a limit or in other variables."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lossmith.core.loss import Loss
from lossmith.core.registry import parse

_FREE = re.compile(r"{([^}]*)}")
_NAMED = re.compile(r"([a-z]\w*)(\(.*\))?$")


@dataclass(frozen=True)
class Relation:
    """What holds between two losses: ``left = times · right + plus``.

    Attributes:
        left, right: losses as ``lossmith.parse`` reads them; ``{...}`` is a number computed from ``t``.
        at: inputs of the right loss as expressions of the left loss's inputs, where they are not the same.
            A tuple is a row, one expression for each class.
        times: what the right loss is multiplied by; where it depends on inputs it is a weight, held constant
            in derivatives.
        plus: what is added, an expression of the left loss's inputs.
        where: the inputs for which it holds; for all by default.
        t: what the free number is, ``t > 0`` where the relation holds for each of those, ``t → 0`` for a limit.
        by: the inputs of the left loss whose derivatives agree as well; by default all predicted ones.
    """

    left: str
    right: str
    at: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    times: str = "1"
    plus: str = ""
    where: str = ""
    t: str = ""
    by: tuple[str, ...] | None = None

    @property
    def limit(self) -> float | None:
        """Where ``t`` goes, if it goes anywhere."""
        _, arrow, end = self.t.partition("→")
        return float(end) if arrow else None

    def sides(self, t: float = 1.0) -> tuple[Loss, Loss]:
        """Return both losses for a value of the free number."""
        left, right = (parse(at_number(text, t)) for text in (self.left, self.right))
        return left, right

    @property
    def names(self) -> tuple[str, str]:
        """The names of the losses on both sides."""
        left, right = (_NAMED.search(text) for text in (self.left, self.right))
        return (left[1] if left else "", right[1] if right else "")

    def __str__(self) -> str:
        sign = "→" if self.limit is not None else "="
        times = {"1": "", "-1": "-"}.get(self.times, f"({self.times}) * ")
        text = f"{_bare(self.left)} {sign} {times}{_bare(self.right)}"
        if self.plus:
            text += f" - {self.plus[1:]}" if self.plus.startswith("-") else f" + {self.plus}"
        if self.at:
            text += " at " + ", ".join(f"{name} = {_written(value)}" for name, value in self.at.items())
        if self.t:
            text += f" as {self.t}" if self.limit is not None else f" for {self.t}"
        if self.where:
            text += f", where {self.where}"
        return f"{text} (values, not slopes)" if self.by == () else text


def at_number(text: str, t: float) -> str:
    """Return a text with its braces filled in for a value of ``t``."""
    return _FREE.sub(lambda found: repr(_number(ast.parse(found[1], mode="eval").body, t)), text)


def _number(node: ast.expr, t: float) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id="t"):
            return t
        case ast.BinOp(left=a, op=op, right=b):
            return float(_ARITHMETIC[type(op)](_number(a, t), _number(b, t)))
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return -_number(a, t)
    raise ValueError(f"no number: {ast.unparse(node)}")


_ARITHMETIC: Mapping[type[ast.operator], Any] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: math.pow,
}


def _bare(text: str) -> str:
    """Return a text without braces; a factor made of several parts keeps brackets."""
    return re.sub(r"[{}]", "", re.sub(r"^{(.* .*?)} \*", r"(\1) *", text))


def _written(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else f"({', '.join(value)})"
