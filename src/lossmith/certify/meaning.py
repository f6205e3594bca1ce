"""What instructions mean, in mpmath, and formulas made of them.

Nothing here is shared with an engine or with the rule table: each instruction is written from its mathematical meaning.
A formula runs once, on values that note what is done with them; to go through them takes less than to run it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from typing import Any

import mpmath
from mpmath import mp, mpf

from lossmith.program import Ops


def _log(a: mpf) -> mpf:
    return -mpmath.inf if a == 0 else mp.log(a) if a > 0 else mp.nan


def _log1p(a: mpf) -> mpf:
    return -mpmath.inf if a == -1 else mp.log1p(a) if a > -1 else mp.nan


def _softplus(a: mpf) -> mpf:
    return mp.log1p(mp.exp(a))


def _pow(a: mpf, b: mpf) -> mpf:
    if a == 0:
        return mpmath.inf if b < 0 else mpf(b == 0)
    return mp.power(a, b) if a > 0 or b == int(b) else mp.nan


@cache
def _lgamma(a: mpf) -> mpf:
    # Slow, so to one precision: enough for a value, and a term without a derivative drops out of differences.
    with mp.workdps(250):
        return mpmath.inf if a == 0 else mp.loggamma(a) if a > 0 else mp.nan


@cache
def _log_factorial(a: mpf) -> mpf:
    with mp.workdps(250):  # to which 1 + a may be 1
        return mp.loggamma(1 + a) if a > mpf(10) ** -100 else a * (a * mp.pi**2 / 12 - mp.euler)


def _mul0(a: mpf, b: mpf) -> mpf:
    return mpf(0) if a == 0 or b == 0 else a * b


def _below_normal(z: mpf) -> mpf:
    return mp.sqrt(2 / mp.pi) * mp.exp(-z * z / 2) - 1 / mp.sqrt(mp.pi)


def _bowl(a: mpf, b: mpf) -> mpf:
    return mp.log1p(a * a) / 2 if b == 0 else mp.expm1(b / 2 * mp.log1p(a * a)) / b


MEANING: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b if b else (mp.nan if a == 0 else mp.sign(a) * mpmath.inf),
    "neg": lambda a: -a,
    "pow": _pow,
    "exp": mp.exp,
    "log": _log,
    "log1p": _log1p,
    "tanh": mp.tanh,
    "sigmoid": lambda a: 1 / (1 + mp.exp(-a)),
    "softplus": _softplus,
    "logcosh": lambda a: mp.log1p(2 * mp.sinh(a / 2) ** 2),
    "sech2": lambda a: mp.sech(a) ** 2,
    "lgamma": _lgamma,
    "expm1": mp.expm1,
    "bell": lambda a: mp.exp(-a * a / 2),
    "bell_bowl": lambda a, b: -b * b * mp.expm1(-((a / b) ** 2) / 2),
    "bell_slope": lambda a, b: a * mp.exp(-((a / b) ** 2) / 2),
    "bell_curvature": lambda a, b: (1 - (a / b) ** 2) * mp.exp(-((a / b) ** 2) / 2),
    "log1p_excess": lambda a: a - _log1p(a),
    "biweight": lambda a, b: b * b * (1 - (1 - (a / b) ** 2) ** 3) / 6,
    "biweight_slope": lambda a, b: a * (1 - (a / b) ** 2) ** 2,
    "biweight_curvature": lambda a, b: (1 - (a / b) ** 2) * (1 - 5 * (a / b) ** 2),
    "log1p_bowl": lambda a, b: b * (a - b * _log1p(a / b)),
    "harmonic": lambda a, b: a * b / (a + b),
    "log1p_difference": lambda a, b: _log1p(a) - _log1p(b),
    "hypot": mp.hypot,
    "hypot_slope": lambda a, b: MEANING["div"](a, mp.hypot(a, b)),
    "log1p_ratio2": lambda a, b: mp.log1p((a / b) ** 2),
    "lgamma_half": lambda a: _lgamma(a + mpf(0.5)) - _lgamma(a),
    "normal_within": lambda a: mp.erf(a / mp.sqrt(2)),
    "crps_normal": lambda a, b: a * mp.erf(a / b / mp.sqrt(2)) + b * _below_normal(a / b),
    "bowl": _bowl,
    "bowl_slope": lambda a, b: a * mp.power(1 + a * a, b / 2 - 1),
    "bowl_curvature": lambda a, b: (1 + (b - 1) * a * a) * mp.power(1 + a * a, b / 2 - 2),
    "expm1_excess": lambda a: mp.expm1(a) - a,
    "log_factorial_excess": lambda a: _log_factorial(a) - _mul0(a, _log(a)) + a,
    "sloped": lambda a, b, c: a,
    "alike": lambda a, b, c: b,
    "mul_exp": lambda a, b: a * MEANING["exp"](b),
    "mul0": _mul0,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "equal": lambda a, b: a == b,
    "both": lambda a, b: a and b,
    "either": lambda a, b: a or b,
}
"""Each instruction that makes no choice, from its meaning alone."""

_LARGEST = 1 << 12  # a power of two: floats squared twice are below, and exponentials of more take long


def _within_reach(meaning: Callable[..., Any]) -> Callable[..., Any]:
    """Return a meaning that takes numbers for infinite whose exponential could not be computed in a lifetime."""

    def held(a: mpf) -> mpf:
        beyond = a._mpf_[2] + a._mpf_[3] > _LARGEST
        return a if not beyond else mpmath.inf if a > 0 else -mpmath.inf

    return lambda *given: meaning(*map(held, given))


for _name in (
    "exp", "tanh", "sigmoid", "softplus", "logcosh", "sech2", "expm1", "expm1_excess", "bell", "bell_bowl",
    "bell_slope", "bell_curvature",
):  # fmt: skip
    MEANING[_name] = _within_reach(MEANING[_name])

CHOOSE: dict[str, Callable[..., Any]] = {
    "abs": mp.sign,
    "sign": mp.sign,
    "min": lambda a, b: a <= b,
    "max": lambda a, b: b <= a,
    "where": lambda condition, a, b: bool(condition),
    "hold": lambda a: a,
}
"""What an instruction that makes a choice decides; a tie goes to the first argument."""

FOLLOW: dict[str, Callable[..., Any]] = {
    "abs": lambda sign, a: sign * a,
    "sign": lambda sign, a: sign,
    "min": lambda first, a, b: a if first else b,
    "max": lambda first, a, b: a if first else b,
    "where": lambda first, condition, a, b: a if first else b,
    "hold": lambda held, a: held,
}
"""The result, once the choice is made."""

PICK = ("min", "max", "where")
"""Choices of one of the arguments, which is the result."""


SAME = {"sloped": 0, "alike": 1}
"""Instructions that are one of their arguments, and which."""


class Exact:
    """A namespace of instructions for mpmath numbers that records its choices, or repeats given ones."""

    def __init__(self, repeat: tuple[Any, ...] | None = None) -> None:
        self.choices: list[Any] = []
        self.repeat = repeat
        self.ops = Ops(self.apply)

    def apply(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Return what an instruction gives."""
        values = [value if type(value) in (mpf, bool) else mp.convert(value) for value in arguments]
        return MEANING[name](*values) if name in MEANING else self.choose(name, values)

    def choose(self, name: str, values: Sequence[Any]) -> Any:
        """Return what an instruction gives that makes a choice."""
        choice = CHOOSE[name](*values) if self.repeat is None else self.repeat[len(self.choices)]
        self.choices.append(choice)
        return FOLLOW[name](choice, *values)


# --- formulas, noted once -------------------------------------------------------------------------

_OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow", "and": "both", "or": "either",
    "lt": "lt", "le": "le",
}  # fmt: skip
_OTHER_WAY_ROUND = {"lt": "gt", "le": "ge"}


class Noted:
    """A value of a formula, which notes what is done with it."""

    def __init__(self, notes: Notes, number: int) -> None:
        self.notes, self.number = notes, number

    def __neg__(self) -> Noted:
        return self.notes.apply("neg", (self,))

    def __bool__(self) -> bool:
        raise TypeError("a formula is noted once for all numbers, so it cannot branch on one")


for _method, _name in _OPERATORS.items():
    _turned = _OTHER_WAY_ROUND.get(_method, f"r{_method}")
    setattr(Noted, f"__{_method}__", lambda self, other, name=_name: self.notes.apply(name, (self, other)))
    setattr(Noted, f"__{_turned}__", lambda self, other, name=_name: self.notes.apply(name, (other, self)))


class Notes:
    """What the formula of a loss computes, in order; to run it costs less than to call it again.

    Args:
        loss: the loss.
        inputs: how many numbers its formula takes.
    """

    def __init__(self, loss: Any, inputs: int) -> None:
        self._numbers: list[mpf | None] = [None] * inputs
        self._steps: dict[tuple[str, tuple[int, ...]], int] = {}
        self._constants: dict[Any, int] = {}
        values = {name: Noted(self, self._number(mpf(value))) for name, value in loss.free_parameters.items()}
        found = loss.symbolic(values).written(Ops(self.apply), *(Noted(self, place) for place in range(inputs)))
        self.result = self._of(found)
        steps = [(number, name, MEANING.get(name), places) for (name, places), number in self._steps.items()]
        # What depends on the last input comes last: the rest comes back many times.
        late, early = {inputs - 1}, []
        self.late: list[Step] = []
        for step in _leading_to(self.result, steps):
            number, _, meaning, places = step
            if meaning is None or not late.isdisjoint(places):
                late.add(number)
                self.late.append(step)
            else:
                early.append((number, meaning, places))
        self._early = tuple(early)
        self._choices = sum(meaning is None for _, _, meaning, _ in self.late)
        self.deciding = _leading_to(None, self.late)

    def apply(self, name: str, arguments: tuple[Any, ...]) -> Noted:
        """Note an instruction."""
        numbers = tuple(map(self._of, arguments))
        if name in SAME:
            return Noted(self, numbers[SAME[name]])
        if (name, numbers) not in self._steps:
            self._steps[name, numbers] = self._number(None)
        return Noted(self, self._steps[name, numbers])

    def _of(self, value: Any) -> int:
        if isinstance(value, Noted):
            return value.number
        if value not in self._constants:
            self._constants[value] = self._number(mp.convert(value))
        return self._constants[value]

    def _number(self, value: mpf | None) -> int:
        self._numbers.append(value)
        return len(self._numbers) - 1

    def run(self, exact: Exact, *inputs: Any) -> Any:
        """Return the loss at these numbers, at the precision that holds now."""
        if exact.repeat is None:
            return self._follow(self.late, exact, inputs)[self.result]
        held = exact.repeat[len(exact.choices) :][: self._choices]
        exact.choices += held
        steps, result = _with(self, held)
        return self._follow(steps, exact, inputs)[result]

    def choose(self, exact: Exact, *inputs: Any) -> None:
        """Make the choices at these numbers, and compute nothing else."""
        self._follow(self.deciding, exact, inputs)

    def _follow(self, steps: Sequence[Step], exact: Exact, inputs: tuple[Any, ...]) -> list[Any]:
        values = [*_begun(self, inputs[:-1], mp.prec)]
        values[len(inputs) - 1] = inputs[-1]
        for number, name, meaning, places in steps:
            given = [values[place] for place in places]
            values[number] = exact.choose(name, given) if meaning is None else meaning(*given)
        return values


noted = cache(Notes)

Step = tuple[int, str, Callable[..., Any] | None, tuple[int, ...]]
"""The number of a value, the instruction that gives it, its meaning where that is no choice, and its arguments."""


def _leading_to(result: int | None, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps that a value comes from; without one, those that every choice comes from."""
    live, kept = {result}, []
    for step in reversed(steps):
        number, name, meaning, places = step
        if number in live:
            live.update(places)
        elif result is None and meaning is None:
            live.update(places[:1] if name == "where" else places)
        else:
            continue
        kept.append(step)
    return tuple(reversed(kept))


@lru_cache(maxsize=1000)
def _with(notes: Notes, held: tuple[Any, ...]) -> tuple[Sequence[Step], int]:
    """Return the late steps that are left once choices are made, and the place of the result."""
    picked: dict[int, int] = {}
    steps, choices = [], iter(held)
    for number, name, meaning, places in notes.late:
        given = tuple(picked.get(place, place) for place in places)
        if name in PICK:
            picked[number] = FOLLOW[name](next(choices), *given)  # of places as of numbers
        else:
            steps.append((number, name, meaning or partial(FOLLOW[name], next(choices)), given))
    result = picked.get(notes.result, notes.result)
    return _leading_to(result, steps), result


@lru_cache(maxsize=20_000)
def _begun(notes: Notes, inputs: tuple[Any, ...], precision: int) -> list[Any]:
    """Return the values that do not depend on the last input."""
    values: list[Any] = [*notes._numbers]
    values[: len(inputs)] = inputs
    for number, meaning, places in notes._early:
        values[number] = meaning(*(values[place] for place in places))
    return values
