"""Which branches of a formula a reader needs, found out by numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_LONG = 40
_SAMPLES = 500
_DIGITS = {"ordinary": 1e-6, "special": 1e-6, "far": 1e-3, "beside": 1e-3}
"""By where numbers lie, how far branches that say the same may be apart: far out, and next to limits, more."""
_FAR = 4.0  # decimal powers from 1 up and down
_BESIDE = 1e-5
_LARGE = 1e16  # what only larger numbers reach is a limit
_WHOLE = 2**53


def _lgamma(x: float) -> float:
    """Return it above 0."""
    return math.lgamma(x) if x > 0 else math.nan  # where it has poles, Python raises an error


_NUMERIC = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "lgamma": np.vectorize(_lgamma, otypes=[float]),
    "loggamma": np.vectorize(_lgamma, otypes=[float]),
    "erf": np.vectorize(math.erf, otypes=[float]),
    "hold": lambda x: x,
}


def needed(sympy: Any, condition: Any, a: Any, b: Any) -> tuple[Any, ...]:
    """Return the branches that a reader needs: one where the other says the same, or is a limit, or is for digits.

    What is the same is seen at points drawn at random, where branches of another meaning differ. A branch that none of
    them reaches stays, unless it is for numbers so large that they stand for infinity.
    """
    if a == b or (a.count_ops() < _LONG and b.count_ops() < _LONG and sympy.expand(a - b) == 0):
        return (a,)
    views = {place: _compared(sympy, condition, a, b, place) for place in _DIGITS}

    def agree(side: bool) -> bool:
        """Return whether both say the same wherever a condition has a side, or next to it where neither does there."""
        for places in (("ordinary", "special", "far"), ("beside",)):
            found = np.concatenate(
                [alike[known & (taken == side)] for taken, known, alike in (views[place] for place in places)]
            )
            if found.size:
                return bool(found.all())
        return any(abs(n) > _LARGE for n in condition.atoms(sympy.Number))

    kept = [branch for branch, side in ((a, False), (b, True)) if agree(side)]
    return (min(kept, key=lambda branch: branch.count_ops()),) if kept else (a, b)


def _compared(sympy: Any, condition: Any, a: Any, b: Any, place: str) -> tuple[npt.NDArray[Any], ...]:
    """Return for points whether a condition holds, whether both branches are numbers, and whether they are the same."""
    points = _points(sympy, (condition, a, b), place)
    taken = _sampled(sympy, condition, points)
    if place == "beside":
        points = {symbol: x * (1 + _BESIDE) + _BESIDE for symbol, x in points.items()}
    one, two = (_sampled(sympy, part, points) for part in (a, b))
    known = np.isfinite(one) & np.isfinite(two)
    return taken, known, np.isclose(one, two, rtol=_DIGITS[place], atol=_DIGITS[place] / 1000)


def _points(sympy: Any, parts: tuple[Any, ...], place: str) -> dict[Any, npt.NDArray[Any]]:
    """Return numbers drawn at random for all symbols, the same each time.

    Args:
        sympy: the module.
        parts: a condition and its branches.
        place: ``ordinary`` for numbers up to 3, ``far`` for sizes from far below 1 to far above, and ``special`` or
            ``beside`` for those that meet conditions on single numbers.
    """
    written = {float(n) for n in parts[0].atoms(sympy.Number) if abs(n) < _LARGE} | {1.0}
    numbers = sorted({0.0, *written, *(-n for n in written)})  # SymPy has x - 2 as x + (-2)
    points = {}
    for symbol in sorted(set().union(*(part.free_symbols for part in parts)), key=str):
        draw = np.random.default_rng(sum(map(ord, symbol.name)))
        x = draw.uniform(0.05, 2, _SAMPLES) if symbol.is_positive else draw.uniform(-3, 3, _SAMPLES)
        if place == "far":
            x = np.sign(x) * 10 ** draw.uniform(-_FAR, _FAR, _SAMPLES)
        elif place != "ordinary":
            x = np.where(draw.random(_SAMPLES) < 0.5, draw.choice(numbers, _SAMPLES), x)
        points[symbol] = np.abs(x) if symbol.is_nonnegative else x
    return points


def _sampled(sympy: Any, found: Any, points: Mapping[Any, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return an expression at points; NaN where it is no real number."""
    # NumPy's functions refuse what is too large for its integers, and SymPy's one infinity for all directions.
    large = [n for n in found.atoms(sympy.Rational) if n.is_finite and max(abs(n.p), n.q) > _WHOLE]
    numbers = {**{n: sympy.Float(n) for n in large}, sympy.zoo: sympy.nan}
    with np.errstate(all="ignore"):
        function = sympy.lambdify(list(points), found.xreplace(numbers), modules=[_NUMERIC, "numpy"])
        values = np.asarray(function(*points.values()))
    if np.iscomplexobj(values):
        values = np.where(values.imag == 0, values.real, np.nan)
    return np.asarray(np.broadcast_to(values, (_SAMPLES,)))
