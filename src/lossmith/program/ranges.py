"""Intervals that the values of a program lie in, and how instructions carry them on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lossmith.program.program import Step

Range = tuple[float, float]

EVERYWHERE: Range = (-math.inf, math.inf)
SQUARES = frozenset(("mul", "mul0"))
"""Products, which are squares where both factors are one value."""

GROWING: dict[str, tuple[int, Callable[[float], float]]] = {
    "exp": (1, math.exp),
    "expm1": (1, math.expm1),
    "softplus": (1, lambda a: max(a, 0.0)),
    "log": (-1, lambda a: math.log(a) if a > 0 else -math.inf),
    "log1p": (-1, lambda a: math.log1p(a) if a > -1 else -math.inf),
    "tanh": (0, math.tanh),
    "sigmoid": (0, lambda a: (1 + math.tanh(a / 2)) / 2),
}
"""Functions that grow: 1 for convex ones, -1 for concave ones, and about what they are at an end of a range."""
BOWLS = frozenset(("abs", "logcosh", "expm1_excess", "log1p_excess"))
"""Convex functions that are least at 0, where they are 0."""


def plus(a: Range, b: Range) -> Range:
    """Return the range of a sum."""
    return known(a[0] + b[0], a[1] + b[1])


def times(a: Range, b: Range) -> Range:
    """Return the range of a product, in which 0 times infinity is 0: ends that are infinite do not belong."""
    products = [0.0 if not x or not y else x * y for x in a for y in b]
    return known(min(products), max(products))


def power_of(a: Range, exponent: int) -> Range:
    """Return the range of a whole power."""
    found = a
    for _ in range(exponent - 1):
        found = times(found, a)
    return (max(found[0], 0.0), found[1]) if exponent % 2 == 0 else found


def known(low: float, high: float) -> Range:
    """Return a range, or all numbers where it is none."""
    return (low, high) if low <= high else (-math.inf, math.inf)


def of_step(step: Step, ranges: Sequence[Range]) -> Range:
    """Return the range of what an instruction makes of numbered values with these."""
    op, given = step.op, [ranges[arg] for arg in step.args]
    a = given[0]
    if op in GROWING:
        return known(*(_bound(GROWING[op][1], end) for end in a))
    if op in BOWLS or op == "hypot":
        return 0.0, math.inf
    if op in ("bell", "sech2"):
        return 0.0, 1.0
    if op in ("lt", "le", "equal", "both", "either"):
        return EVERYWHERE
    if op in SQUARES:
        return power_of(a, 2) if step.args[0] == step.args[1] else times(a, given[1])
    if op == "pow":
        exponent = whole(given[1])
        if exponent is not None and exponent > 0:
            return power_of(a, exponent)
        return (0.0, math.inf) if a[0] >= 0 else EVERYWHERE
    rules: dict[str, Callable[[], Range]] = {
        "add": lambda: plus(a, given[1]),
        "sub": lambda: plus(a, (-given[1][1], -given[1][0])),
        "neg": lambda: (-a[1], -a[0]),
        "min": lambda: (min(a[0], given[1][0]), min(a[1], given[1][1])),
        "max": lambda: (max(a[0], given[1][0]), max(a[1], given[1][1])),
        "div": lambda: times(a, (0.0, math.inf)) if given[1][0] >= 0 else EVERYWHERE,
        "where": lambda: (min(given[1][0], given[2][0]), max(given[1][1], given[2][1])),
        "alike": lambda: given[1],
        "sloped": lambda: a,
        "hold": lambda: a,
    }
    return rules.get(op, lambda: EVERYWHERE)()


def _bound(function: Callable[[float], float], end: float) -> float:
    """Return about what a function that grows is at an end of a range."""
    try:
        return function(end)
    except OverflowError:
        return math.inf


def whole(exponent: Range) -> int | None:
    """Return the whole number that a range is."""
    low, high = exponent
    return int(low) if low == high and math.isfinite(low) and low == int(low) else None


def side(values: Range) -> int:
    """Return the sign of all numbers in a range, 0 where there are both."""
    return 1 if values[0] >= 0 else -1 if values[1] <= 0 else 0
