"""The truth: formulas evaluated with mpmath, to as many digits as a question needs.

Nothing here is shared with an engine or with the rule table. ``meaning`` says what each instruction
is, and derivatives are numerical: differences of the value itself, taken
with a step so small and a precision so high that what is left is exact for every float.

A formula is analytic except where a *choice* flips: the sign that ``abs`` and ``sign`` see, the
argument that ``min`` and ``max`` take, the branch of ``where``, the number that ``hold`` keeps
for a constant. The oracle records the choices
at a point and holds them while it differentiates. Away from kinks that changes nothing; at a
kink it is the convention of the table, stated without its rules. ``one_sided`` lets choices go.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import mpmath
from mpmath import mp, mpf

from lossmith.certify.meaning import Exact, noted

DIGITS = 25
"""Digits that two computations at different precision must share before a truth is believed."""

NEGLIGIBLE = -340
"""Power of ten below which a truth is zero for every float."""

_AGREED, _NOTHING = mpf(10) ** -DIGITS, mpf(10) ** NEGLIGIBLE

_LADDER = (80, 160, 360, 720, 1440, 2880)


class Undecided(AssertionError):
    """Two precisions never agreed: the oracle does not know."""


# --- a loss at a point ----------------------------------------------------------------------------


def evaluate(loss: Any, y: Any, f: Any, repeat: tuple[Any, ...] | None = None) -> tuple[mpf, tuple[Any, ...]]:
    """Return the value and the choices of a loss, at the precision that holds now."""
    exact, given = Exact(repeat), (mp.convert(y), mp.convert(f))
    parts = getattr(loss, "parts", None)  # a sum has them
    if parts is None:
        return noted(loss, 2).run(exact, *given), tuple(exact.choices)
    total = mpf(0)
    for weight, part in parts:
        total += mpf(weight) * noted(part, 2).run(exact, *given)
    return total, tuple(exact.choices)


@cache
def choices(loss: Any, y: Any, f: Any, apart: Any = 1) -> tuple[Any, ...]:
    """Return the choices at a point, decided with exact differences of the inputs, as small as ``apart``."""
    notes = [noted(part, 2) for _, part in getattr(loss, "parts", ((1, loss),))]
    if not any(each.deciding for each in notes):
        return ()
    sizes = [*_sizes(loss), *(mp.mag(x) for x in (y, f, apart) if x and mp.isfinite(x))]
    with mp.workprec(200 + _in_few_sizes(max(sizes) - min(sizes))):
        exact, given = Exact(), (mp.convert(y), mp.convert(f))
        for each in notes:
            each.choose(exact, *given)
        return tuple(exact.choices)


@cache
def _sizes(loss: Any) -> list[int]:
    return [mp.mag(x) for x in (*loss.free_parameters.values(), 1) if x and mp.isfinite(x)]


@cache
def truth(loss: Any, y: float, f: float, order: int) -> mpf:
    """Return the value (0), gradient (1) or Hessian (2) at exact inputs, by the convention at kinks.

    At an end of the domain of predictions it is the limit from inside, which may be infinite.
    """
    held, ends = choices(loss, y, f), _ends(loss)
    if order and f in ends:
        inward = 1 if f == ends[0] else -1
        return _limit(lambda t: _difference(loss, y, mp.fadd(f, inward * t, exact=True), order, held, t))
    return _difference(loss, y, mpf(f), order, held, _room(loss, y, mpf(f)))


def one_sided(loss: Any, y: Any, f: Any, side: int, order: int) -> mpf:
    """Return the limit of value, gradient or Hessian as the prediction comes to ``f`` from a side."""
    place = mp.convert(f)  # mpf(f) would round to the precision that holds now
    distance = mpf(10) ** -40 * max(mpf(1), abs(place))
    with mp.workdps(200):
        near = place + side * distance
    held = choices(loss, y, near, distance)
    return _difference(loss, y, place, order, held, _room(loss, y, place))


def _difference(loss: Any, y: Any, f: mpf, order: int, held: tuple[Any, ...], room: mpf) -> mpf:
    """Return the value, or a derivative from central differences, while choices hold, ``room`` from singularities."""
    size = max(1, mp.mag(y), mp.mag(f))
    span = int(_in_few_sizes(2 * max(0, size - mp.mag(room))) * math.log10(2)) + 10

    def at(digits: int) -> mpf:
        if order == 0:
            return _value(loss, y, f, held, mp.prec)
        # A quarter of the digits, in few bits; the same for all orders, which then share values.
        step = mp.ldexp(room, -(digits * 5 // 6))
        above, below = (_value(loss, y, f + side * step, held, mp.prec) for side in (1, -1))
        if order == 1:
            return (above - below) / (2 * step)
        return (above - 2 * _value(loss, y, f, held, mp.prec) + below) / step**2

    return _settle(at, span)


@lru_cache(maxsize=50_000)
def _value(loss: Any, y: Any, f: mpf, held: tuple[Any, ...], precision: int) -> mpf:
    """Return the value with choices held, at the precision that holds now."""
    return evaluate(loss, y, f, held)[0]


def _settle(at: Callable[[int], mpf], span: int) -> mpf:
    """Return what two precisions agree on."""
    before = None
    for digits in _LADDER:
        with mp.workdps(digits + span):
            now = at(digits)
            if not mp.isfinite(now):
                return now
            if before is not None and before != 0 and abs(now - before) <= abs(now) * _AGREED:
                return now
            # What is below every float is only believed where noise would be smaller still.
            if digits >= 720 and abs(now) < _NOTHING:
                return mpf(0)
        before = now
    raise Undecided(f"no agreement to {DIGITS} digits: {mp.nstr(before, 10)} and {mp.nstr(now, 10)}")


def _in_few_sizes(bits: int) -> int:
    """Return as many bits or more, so that caches of what was found to some precision serve."""
    return -(-bits // 128) * 128


def _ends(loss: Any) -> tuple[float, ...]:
    domain = loss.domains["f"]
    return tuple(end for end in (domain.low, domain.high) if math.isfinite(end))


@lru_cache(maxsize=20_000)
def _room(loss: Any, y: float, f: mpf) -> mpf:
    """Return the distance from a prediction to the nearest place where a derivative may not exist."""
    with mp.workdps(800):
        places = [mpf(place) for place in _ends(loss)] + [
            mpf(place) for kink in loss.card.kinks for place in kink.at(loss, float(y))
        ]
        distances = [abs(f - place) for place in places]
        return min([mpf(1), *(distance for distance in distances if distance)])


def _limit(at: Callable[[mpf], mpf]) -> mpf:
    """Return the limit for small distances from two of them: powers and logarithms show in their ratio.

    Both lie far below the least float, so that a float times a diverging term diverges too.
    """
    far, near = at(mpf(2) ** -1200), at(mpf(2) ** -2400)
    if far == 0 or near == 0:
        return near
    ratio = near / far
    if ratio > mpf("1.5"):
        return mp.sign(near) * mpmath.inf
    if ratio < mpf("0.7"):
        return mpf(0)
    if abs(ratio - 1) > _AGREED:
        raise Undecided(f"no limit in sight: {mp.nstr(far, 10)} and {mp.nstr(near, 10)}")
    return near


# --- costs, for the laws about constants -----------------------------------------------------------


def cost(loss: Any, y: Any, w: Any, constant: Any) -> mpf:
    """Return the weighted sum of the losses of one constant prediction."""
    with mp.workdps(60):
        weights: dict[Any, mpf] = {}  # of targets that are the same, together
        for target, weight in zip(y, w, strict=True):
            weights[target] = weights.get(target, 0) + mpf(weight)
        return mp.fsum(weight * evaluate(loss, target, constant)[0] for target, weight in weights.items())
