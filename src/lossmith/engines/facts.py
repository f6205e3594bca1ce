"""What is known of the values of a program before it runs, wherever its inputs are valid.

Where an input lies outside its domain an error follows, and what came out does not matter. So a product in which
an exact zero wins is a plain product where both factors are known to be finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from lossmith.program import Program
from lossmith.program.program import Step

Range = tuple[float, float]
"""Bounds of a value that is known to be a finite number; they may be infinite."""

WHOLE = frozenset((1.0, 2.0, 3.0, 4.0, 5.0))
"""Exponents so small that a product of equal factors keeps the digits that a power written by logarithms has."""

_ANY: Range = (-math.inf, math.inf)
_LARGE = 1e30  # sums and products of numbers below it are finite in every type
_EXP_LARGE = 80.0


def ranges(program: Program, *, tame: bool = False) -> dict[int, Range]:
    """Return the bounds of every value that is a finite number, by its number; ``tame`` says that parameters are."""
    found = dict(_told(program))
    if tame:
        found |= dict.fromkeys(range(len(program.inputs), len(program.inputs) + len(program.parameters)), _ANY)
    fixed = len(program.inputs) + len(program.parameters)
    found |= {fixed + n: (c, c) for n, c in enumerate(program.constants) if math.isfinite(c)}
    risen = set[int]()  # what is at least 0, and may be infinite
    raised = powers(program)
    for number, step in enumerate(program.steps, start=program.first_step):
        rule = _RULES.get(step.op)
        given = [found.get(arg) for arg in step.args]
        known = [bounds for bounds in given if bounds is not None]
        if step.op == "where" and given[2] and (first := given[1] or _guarded(program, step, found)):
            found[number] = _hull(first, given[2])
        elif rule is not None and len(known) == len(given) and (result := rule(*known)) is not None:
            found[number] = result
        elif _is_probability(raised.get(number), found):
            found[number] = 0.0, 1.0
        elif (step.op == "exp" and known) or (step.op in _CHOICES and risen.issuperset(step.args[1:])):
            risen.add(number)
        elif step.op == "min" and len(known) == 1 and not risen.isdisjoint(step.args):
            found[number] = min(known[0][0], 0.0), known[0][1]
    return found


def _guarded(program: Program, choice: Step, known: Mapping[int, Range]) -> Range | None:
    """Return the bounds of a value where its size is below a number, if a choice takes it there alone."""
    guard = step_of(program, choice.args[0])
    size = step_of(program, guard.args[0]) if guard and guard.op == "lt" else None
    if guard is None or size is None or size.op != "abs" or size.args != choice.args[1:2]:
        return None
    most = known.get(guard.args[1])
    return (-most[1], most[1]) if most else None


def _is_probability(power: tuple[int, str, int] | None, known: Mapping[int, Range]) -> bool:
    """Return whether a power is of a probability of what is a number, to an exponent of at least 0."""
    exponent, what, of = power or (-1, "", -1)
    return what == "sigmoid" and of in known and known.get(exponent, _ANY)[0] >= 0


def numbers(program: Program, known: Mapping[int, Range]) -> set[int]:
    """Return what is never no number, by its number, given what is known to be finite; it may be infinite."""
    found = set(known)
    for number, step in enumerate(program.steps, start=program.first_step):
        given = step.args[1:] if step.op in _CHOICES else step.args
        if (step.op in _FINITE and known.keys() >= {*given}) or (step.op in _KEEPING and found >= {*given}):
            found.add(number)
    return found


def finite_tests(program: Program) -> dict[int, int]:
    """Return the conditions that say no more than that a value is finite, with the number of that value."""
    fixed = len(program.inputs) + len(program.parameters)
    ends = {fixed + n: c for n, c in enumerate(program.constants) if math.isinf(c)}
    found = {}
    for number, step in enumerate(program.steps, start=program.first_step):
        sides = [step_of(program, arg) for arg in step.args] if step.op == "both" else []
        if len(sides) == 2 and all(side is not None and side.op == "lt" for side in sides):
            (low, x), (other, high) = (side.args for side in sides if side is not None)
            if x == other and ends.get(low) == -math.inf and ends.get(high) == math.inf:
                found[number] = x
    return found


def conditions(program: Program) -> tuple[list[int], list[int]]:
    """Return what ``valid`` says, by numbers: inputs that have to be finite, and all other conditions that hold."""
    finite, inputs, others = finite_tests(program), [], []

    def read(number: int) -> None:
        step = step_of(program, number)
        if finite.get(number, len(program.inputs)) < len(program.inputs):
            inputs.append(finite[number])
        elif step is not None and step.op == "both":
            for side in step.args:
                read(side)
        else:
            others.append(number)

    read(dict(program.outputs)["valid"])
    return inputs, others


def told_by_ranges(program: Program, known: Mapping[int, Range]) -> dict[int, int]:
    """Return the conditions of which ranges make a part sure, by number, with the part that is not.

    What says that inputs are in their domains is never such a part, since ranges hold only where it is true.
    """
    sure, found = set[int](), {}
    for number, step in enumerate(program.steps, start=program.first_step):
        if step.op in ("lt", "le") and max(step.args) >= program.first_step and known.keys() >= {*step.args}:
            low, high = (known[arg] for arg in step.args)
            if low[1] < high[0] or (step.op == "le" and low[1] == high[0]):
                sure.add(number)
        elif step.op == "both" and not sure.isdisjoint(step.args):
            first, second = step.args
            found[number] = second if first in sure else first
            if found[number] in sure:
                sure.add(number)
    return found


def spans(program: Program, conditions: Iterable[int]) -> dict[int, tuple[int, str, float]]:
    """Return the conditions that say in pairs that an input is at least 0 and below some number, or at most that.

    Each with the input, ``ult`` or ``ule``, and the number.
    """
    low, high = dict[int, int](), dict[int, tuple[int, str, float]]()
    for number, place, op, end, limit in _limits(program, conditions):
        if end == 0 and (op, limit) == ("le", 0):
            low[place] = number
        elif end == 1 and limit > 0:
            high[place] = number, "ule" if op == "le" else "ult", limit
    pairs = {place: (place, *high[place][1:]) for place in low.keys() & high.keys()}
    return {number: pair for place, pair in pairs.items() for number in (low[place], high[place][0])}


def bounded(program: Program) -> dict[int, Range]:
    """Return the inputs that may be all from one number to another, both of them included, and these two."""
    low, high = dict[int, float](), dict[int, float]()
    for _, place, op, end, limit in _limits(program, conditions(program)[1]):
        if op == "le":
            (low, high)[end][place] = limit
    return {place: (low[place], high[place]) for place in low.keys() & high.keys()}


def _limits(program: Program, conditions: Iterable[int]) -> Iterator[tuple[int, int, str, int, float]]:
    """Yield which conditions hold an input on one side of a number.

    Each with the input, ``le`` or ``lt``, 0 where that is its low end and 1 where it is the high one, and the number.
    """
    fixed = len(program.inputs) + len(program.parameters)
    constants = {fixed + n: c for n, c in enumerate(program.constants)}
    for number in conditions:
        step = step_of(program, number)
        if step is None or step.op not in ("le", "lt"):
            continue
        for end, (limit, place) in enumerate((step.args, step.args[::-1])):
            if limit in constants and place < len(program.inputs):
                yield number, place, step.op, end, constants[limit]


def powers(program: Program) -> dict[int, tuple[int, str, int]]:
    """Return the exponentials that are powers: the number of the exponent, and what is raised of which value.

    That is ``sigmoid`` of a value, or ``one_more``, a value and one. Formulas write such powers by logarithms for
    exponents that are not whole; small whole ones need neither.
    """
    found = {}
    for number, step in enumerate(program.steps, start=program.first_step):
        inner = step_of(program, step.args[0]) if step.op == "exp" else None
        if inner is None or inner.op not in ("mul", "mul0"):
            continue
        for exponent, of in (inner.args, inner.args[::-1]):
            log = step_of(program, of)
            if log is not None and log.op == "log1p":
                found[number] = exponent, "one_more", log.args[0]
            below = step_of(program, log.args[0]) if log is not None and log.op == "neg" else None
            if below is not None and below.op == "softplus":
                found[number] = exponent, "sigmoid", below.args[0]  # of its negative
    return found


PASSING = frozenset({
    "abs", "add", "div", "exp", "expm1", "hold", "hypot_slope", "log", "log1p", "logcosh", "max", "min", "mul", "neg",
    "sech2", "sigmoid", "sign", "softplus", "sub", "tanh",
})  # fmt: skip
"""Instructions whose result is no number where one of their arguments is none."""
_CHOICES = ("where", "alike")
_FINITE = frozenset({"add", "exp", "mul", "sub"})
"""Instructions whose result is a number where all arguments are finite."""
_KEEPING = frozenset({"abs", "alike", "hold", "max", "min", "neg", "sign", "where"})
"""Instructions whose result is a number where those of their arguments that it may be are."""
_OPEN = frozenset({"abs", "add", "hold", "mul", "neg", "sub"})
"""Instructions whose result is infinite or no number where one of their arguments is."""


ARITHMETIC = frozenset({
    "abs", "add", "alike", "both", "div", "either", "equal", "hold", "le", "lt", "max", "min", "mul", "neg",
    "sign", "sloped", "sub", "where",
})  # fmt: skip
"""Instructions that are exact, or rounded to the nearest number, or choices: all engines have the same bits."""


@lru_cache(maxsize=512)
def is_arithmetic(program: Program) -> bool:
    """Return whether what a program computes of each example is arithmetic alone."""
    steps = enumerate(program.steps, start=program.first_step)
    return {step.op for number, step in steps if not program.uniform[number]} <= ARITHMETIC


def shown(program: Program, place: int) -> frozenset[str]:
    """Return the outputs that are no number, for certain, wherever the input at a place is none."""
    nothing = {place}
    for number, step in enumerate(program.steps, start=program.first_step):
        given = [arg in nothing for arg in step.args]
        if (step.op in PASSING and any(given)) or (step.op in _CHOICES and all(given[1:])):
            nothing.add(number)
    return frozenset(name for name, number in program.outputs if number in nothing)


def told_by(program: Program, output: str) -> frozenset[int]:
    """Return the inputs for which an output is infinite or no number, for certain, wherever one of them is."""
    told = {place: frozenset({place}) for place in range(len(program.inputs))}
    nobody = frozenset[int]()
    for number, step in enumerate(program.steps, start=program.first_step):
        given = [told.get(arg, nobody) for arg in step.args]
        if step.op in _OPEN:
            told[number] = nobody.union(*given)
        elif step.op in ("div", "hypot_slope", "sloped"):
            told[number] = given[0]
        elif step.op in _CHOICES:
            told[number] = given[1] & given[2]
    return told.get(dict(program.outputs)[output], nobody)


def tells_all(program: Program) -> bool:
    """Return whether the loss is infinite or no number, for certain, wherever ``valid`` does not hold."""
    finite, others = conditions(program)
    return not others and told_by(program, "value") >= {*finite}


def shown_by_residual(program: Program, f: int, y: int) -> frozenset[str]:
    """Return the outputs that are infinite or no number, for certain, wherever the difference of two inputs is.

    They know nothing else of these inputs, and what is valid says that inputs are finite, and no more.
    """
    told, beside = set(), {f, y}
    for number, step in enumerate(program.steps, start=program.first_step):
        if step.op == "sub" and step.args == (f, y):
            told.add(number)
        elif not beside.isdisjoint(step.args):
            beside.add(number)
        elif step.op in _OPEN and not told.isdisjoint(step.args):
            told.add(number)
    _, others = conditions(program)
    return frozenset(name for name, number in program.outputs if number in told and not others)


def plain_products(program: Program, known: Mapping[int, Range]) -> set[int]:
    """Return the products in which an exact zero wins that are plain ones, up to a zero's sign in derivatives.

    In a value the sign is kept, for -0.0 would print as a negative loss.
    """
    shown = below(program, "value")
    found = set()
    for number, step in enumerate(program.steps, start=program.first_step):
        finite = step.op == "mul0" and all(arg in known for arg in step.args)
        if finite and (number not in shown or all(known[arg][0] >= 0 for arg in step.args)):
            found.add(number)
    return found


def lengths(program: Program) -> dict[int, int]:
    """Return which slopes of ``hypot`` can be divided by its result, which comes before them, and that."""
    found, sizes = dict[int, int](), dict[frozenset[int], int]()
    for number, step in enumerate(program.steps, start=program.first_step):
        if step.op == "hypot":
            sizes.setdefault(frozenset(step.args), number)
        elif step.op == "hypot_slope" and (size := sizes.get(frozenset(step.args))):
            found[number] = size
    return found


def below(program: Program, output: str) -> set[int]:
    """Return the numbers of all that an output is made of, and its own."""
    return made_of(program, (number for name, number in program.outputs if name == output))


def made_of(program: Program, values: Iterable[int]) -> set[int]:
    """Return the numbers of all that some values are made of, and theirs."""
    found = {*values}
    for number in range(len(program.types) - 1, program.first_step - 1, -1):
        if number in found:
            found.update(program.steps[number - program.first_step].args)
    return found


def step_of(program: Program, number: int) -> Step | None:
    """Return what makes a value; nothing for what is given."""
    return program.steps[number - program.first_step] if number >= program.first_step else None


def _told(program: Program) -> Mapping[int, Range]:
    """Return the bounds of the inputs that ``valid`` tells of, and which other values it says are finite."""
    fixed = len(program.inputs) + len(program.parameters)
    constants = {fixed + n: c for n, c in enumerate(program.constants)}
    bounds: dict[int, list[float]] = {}
    finite: dict[int, set[float]] = {}

    def note(number: int, end: int, limit: float, strict: bool) -> None:
        low_high = bounds.setdefault(number, list(_ANY))
        low_high[end] = max(low_high[0], limit) if end == 0 else min(low_high[1], limit)
        if strict or math.isfinite(limit):
            finite.setdefault(number, set()).add(end)

    def read(number: int) -> None:
        step = step_of(program, number)
        if step is None:
            return
        if step.op == "both":
            read(step.args[0])
            read(step.args[1])
        elif step.op in ("lt", "le"):
            a, b = step.args
            if a in constants:
                note(b, 0, constants[a], step.op == "lt")
            if b in constants:
                note(a, 1, constants[b], step.op == "lt")

    outputs = dict(program.outputs)
    if "valid" in outputs:
        read(outputs["valid"])
    told = [number for number, ends in finite.items() if ends == {0, 1}]
    # Of other values nothing more is taken for known: what says more would seem to follow from itself.
    return {n: (bounds[n][0], bounds[n][1]) if n < len(program.inputs) else _ANY for n in told}


def _hull(a: Range, b: Range) -> Range:
    return min(a[0], b[0]), max(a[1], b[1])


def _size(a: Range) -> float:
    return max(map(abs, a))


def _add(a: Range, b: Range) -> Range | None:
    # Beside the largest numbers of any type, the smaller one is less than what is rounded.
    return (a[0] + b[0], a[1] + b[1]) if min(_size(a), _size(b)) < _LARGE else None


def _mul(a: Range, b: Range) -> Range | None:
    products = [x * y if x and y else 0.0 for x in a for y in b]
    finite = min(_size(a), _size(b)) <= 1 or _size((min(products), max(products))) < _LARGE
    return (min(products), max(products)) if finite else None


def _abs(a: Range) -> Range:
    low = 0.0 if a[0] <= 0 <= a[1] else min(map(abs, a))
    return low, _size(a)


def _neg(a: Range) -> Range:
    return -a[1], -a[0]


_RULES: Mapping[str, Callable[..., Range | None]] = {
    "add": _add,
    "sub": lambda a, b: _add(a, _neg(b)),
    "mul": _mul,
    "mul0": _mul,
    "neg": _neg,
    "abs": _abs,
    "sign": lambda a: (-1.0, 1.0),
    "hold": lambda a: a,
    "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "exp": lambda a: (0.0, math.exp(a[1])) if a[1] < _EXP_LARGE else None,
    "sigmoid": lambda a: (0.0, 1.0),
    "tanh": lambda a: (-1.0, 1.0),
    "sech2": lambda a: (0.0, 1.0),
    "bell": lambda a: (0.0, 1.0),
    "softplus": lambda a: (0.0, max(a[1], 0.0) + 1.0),
    "log1p": lambda a: (0.0, a[1]) if a[0] >= 0 else None,
    "logcosh": lambda a: (0.0, _abs(a)[1]),
}
