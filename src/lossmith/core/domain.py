"""Domains: where a parameter, target or prediction may lie, as data.

One object serves checks, error texts, documentation, command-line options and the data that
tests draw.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from lossmith.program import Ops, Value

_INTERVAL = re.compile(r"^\s*([\[(])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([\])])\s*(?:without\s+(\S+)\s*)?$")


@dataclass(frozen=True, slots=True)
class Domain:
    """An interval of real numbers, or a finite set of them.

    Attributes:
        low, high: ends of the interval.
        low_included, high_included: whether an end belongs to it. Infinity never does, but for parameters.
        values: when not empty, only these numbers belong.
        hint: what to do when a number lies outside, for error texts.
        hole: a number inside the interval that does not belong.
    """

    low: float = -math.inf
    high: float = math.inf
    low_included: bool = False
    high_included: bool = False
    values: tuple[float, ...] = ()
    hint: str = ""
    hole: float | None = None

    @classmethod
    def parse(cls, text: str, hint: str = "") -> Domain:
        """Read ``"(0, inf)"``, ``"[0, 1]"``, ``"{0, 1}"`` or ``"(-inf, inf) without 0"``.

        Raises:
            ValueError: when the text is none of these, or the interval is empty.
        """
        stripped = text.strip()
        if stripped.startswith("{") and stripped.endswith("}"):
            values = tuple(sorted(float(item) for item in stripped[1:-1].split(",")))
            return cls(values[0], values[-1], True, True, values, hint)
        match = _INTERVAL.match(text)
        if match is None:
            raise ValueError(f"not a domain: {text!r}; write '(0, inf)', '[0, 1]' or '{{0, 1}}'")
        low, high = float(match[2]), float(match[3])
        if not low < high:
            raise ValueError(f"empty domain: {text!r}")
        hole = None if match[5] is None else float(match[5])
        return cls(low, high, match[1] == "[", match[4] == "]", (), hint, hole)

    def contains(self, ops: Ops, x: Value) -> Value:
        """Return the condition that ``x`` belongs, in any namespace; NaN never belongs."""
        if self.values:
            condition = ops.equal(x, self.values[0])
            for value in self.values[1:]:
                condition = ops.either(condition, ops.equal(x, value))
            return condition
        above = ops.le(self.low, x) if self.low_included else ops.lt(self.low, x)
        below = ops.le(x, self.high) if self.high_included else ops.lt(x, self.high)
        inside = ops.both(above, below)
        if self.hole is None:
            return inside
        return ops.both(inside, ops.either(ops.lt(x, self.hole), ops.lt(self.hole, x)))

    def includes(self, x: float) -> bool:
        """Return whether one number belongs."""
        if self.values:
            return x in self.values
        above = self.low <= x if self.low_included else self.low < x
        below = x <= self.high if self.high_included else x < self.high
        return above and below and x != self.hole

    @property
    def some(self) -> float:
        """A number that belongs: 0 where it does."""
        tried = (0.0, *self.values, self.low, self.high, self.low + 1, self.high - 1, (self.low + self.high) / 2)
        return next(x for x in tried if math.isfinite(x) and self.includes(x))

    @property
    def wanted(self) -> str:
        """What a number must be to belong, for error texts."""
        anywhere = not self.values and self.hole is None and self.low == -math.inf and self.high == math.inf
        return "finite" if anywhere else f"in {self}"

    def __str__(self) -> str:
        if self.values:
            return "{" + ", ".join(f"{value:g}" for value in self.values) + "}"
        left, right = "[" if self.low_included else "(", "]" if self.high_included else ")"
        without = "" if self.hole is None else f" without {self.hole:g}"
        return f"{left}{self.low:g}, {self.high:g}{right}{without}"


REAL = Domain(hint="the value must be a finite number")
"""Every finite number."""
