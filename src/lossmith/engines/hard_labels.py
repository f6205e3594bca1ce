"""Programs for hard labels: what is left of a formula where a label is a plain no or yes.

Formulas whose labels may be probabilities hold the loss of a yes and that of a no, each times its share. Nearly all
labels are hard, and then one of the two is enough: often both are one function, of the logit for a no and of its
negative for a yes. Such a program is found by putting either end in the place of the label, and what both programs say
alike is said once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from lossmith.engines.crosses import crosses, linear
from lossmith.engines.facts import ARITHMETIC, below, bounded, plain_products, powers, ranges
from lossmith.engines.operations import recipe
from lossmith.engines.regimes import decided
from lossmith.program import TABLE, Program
from lossmith.program.program import Step

LEAST = 2 / 3
"""Share of the steps that are left, up to which a program of its own pays."""

_COMMUTATIVE = frozenset({"add", "both", "either", "equal", "mul", "mul0"})


@dataclass(frozen=True)
class Hard:
    """A program for hard labels.

    Attributes:
        program: says the same as ``soft`` where the label is at one of its ends.
        place: the input that is the label.
        ends: what it is for a no and for a yes.
        soft: the program for all labels.
    """

    program: Program
    place: int
    ends: tuple[float, float]
    soft: Program


@lru_cache(maxsize=512)
def hard(program: Program, parameters: tuple[tuple[str, float], ...]) -> Hard | None:
    """Return the program for hard labels, if it takes so much less that a kernel of its own is worth it.

    Args:
        program: has ``valid``, and may have the choices made that parameters decide.
        parameters: with their numbers.
    """
    label = next(((place, ends) for place, ends in bounded(program).items() if _is_share(program, place)), None)
    if label is None or _is_one_function(program):
        return None
    place, ends = label
    no, yes = (_plain(_at(program, place, end, parameters), parameters) for end in ends)
    found = _Both(no, yes, place, ends[1]).program()
    return Hard(found, place, ends, program) if found and _steps(found) <= LEAST * _steps(program) else None


def _is_one_function(program: Program) -> bool:
    """Return whether a cross-entropy of logits, or its slope, is in a program: that is one function for both labels."""
    return any(function != "same" for function, _ in crosses(program, ranges(program, tame=True)).values())


def _steps(program: Program) -> int:
    return len(recipe(program, tame=True, watched=True))


def _is_share(program: Program, place: int) -> bool:
    """Return whether an input is only in products of its shares with what it is not in, and in what is valid."""
    inside = set(shares := _shares(program, place))
    for number, step in enumerate(program.steps, start=program.first_step):
        product = step.op in ("mul", "mul0") and sum(arg in inside for arg in step.args) == 1
        if not (product or step.op == "le" or number in shares or shares.keys().isdisjoint(step.args)):
            return False
        if not inside.isdisjoint(step.args):
            inside.add(number)
    return len(shares) > 1


def _shares(program: Program, place: int) -> dict[int, tuple[float, float]]:
    """Return what is linear in an input: the slope and the offset of each value, by number."""
    found = {n: of for n in range(len(program.types)) if (of := linear(program, n)) and of[0] == place and of[1]}
    return {number: (slope, offset) for number, (_, slope, offset) in found.items()}


def _at(program: Program, place: int, end: float, parameters: tuple[tuple[str, float], ...]) -> Program:
    """Return what is left of a program where an input is a number: its share may be zero, which wins, or one."""
    known = {number: slope * end + offset for number, (slope, offset) in _shares(program, place).items()}
    added = sorted({0.0, *known.values()})
    constants = {value: program.first_step + number for number, value in enumerate(added)}
    zero, steps = constants[0.0], list[Step]()
    instead = {number: constants[value] for number, value in known.items()}

    def moved(number: int) -> int:
        return instead.get(number, number if number < program.first_step else number + len(added))

    for number, step in enumerate(program.steps, start=program.first_step):
        args = tuple(map(moved, step.args))
        steps.append(Step(step.op, args))
        if step.op == "sloped":  # slopes are programs of their own by now
            instead[number] = args[0]
        elif step.op in ("mul", "mul0") and zero in args:
            instead[number] = zero
        elif step.op == "add" and zero in args:
            instead[number] = args[args[0] == zero]
    outputs = tuple((name, moved(number)) for name, number in program.outputs)
    whole = Program(program.inputs, program.parameters, (*program.constants, *added), tuple(steps), outputs)
    return decided(whole.select([name for name, _ in outputs]), parameters)


def _plain(program: Program, parameters: tuple[tuple[str, float], ...]) -> Program:
    """Return a program in which products are plain ones where they may be, which show their signs."""
    plain = plain_products(program, ranges(program, tame=all(math.isfinite(value) for _, value in parameters)))
    steps = enumerate(program.steps, start=program.first_step)
    return replace(program, steps=tuple(Step("mul", s.args) if number in plain else s for number, s in steps))


class _Both:
    """Two programs of the same inputs and outputs, and the one that says both.

    What both say is there once. Where only arguments differ, they are chosen first, and computed with once. The second
    program is written in the negatives of the other inputs, which shows where it is the first one mirrored.

    Args:
        no, yes: the programs.
        place: the input that tells which of them counts.
        end: of that input, where the second counts.
    """

    def __init__(self, no: Program, yes: Program, place: int, end: float) -> None:
        self._of = no
        self._nodes, self._number = list[tuple[str, tuple[float, ...]]](), dict[tuple[str, tuple[float, ...]], int]()
        self._types, self._varies = list[str](), list[bool]()
        self._exponents = dict[int, int]()
        self._joined = dict[tuple[int, int], int | None]()
        for number in range(len(no.inputs) + len(no.parameters)):
            self._node("given", number)
        self._is_yes = self._node("equal", place, self._constant(end))
        turned = {n: self._chosen(self._node("neg", n), n) for n in range(len(no.inputs)) if n != place}
        back = {number: self._node("neg", value) for number, value in turned.items()}
        plain = [self._load(each.select(["valid"]), {}) for each in (no, yes)]
        signed = self._load(no, turned), self._load(yes, back)
        self._outputs = [  # what is valid is a truth, which does not mind signs
            (name, self._join(*(side[name] for side in (plain if name == "valid" else signed))))
            for name in dict(no.outputs)
        ]

    def program(self) -> Program | None:
        """Return the program that says both; nothing if there is none."""
        count = len(self._of.inputs) + len(self._of.parameters)
        numbers = [number for number, (op, _) in enumerate(self._nodes) if op == "number"]
        others = [number for number, (op, _) in enumerate(self._nodes) if op not in ("given", "number")]
        place = {number: new for new, number in enumerate([*range(count), *numbers, *others])}
        steps = (Step(op, tuple(place[int(arg)] for arg in args)) for op, args in map(self._nodes.__getitem__, others))
        outputs = tuple((name, place[number]) for name, number in self._outputs if number is not None)
        if len(outputs) < len(self._outputs):
            return None
        constants = tuple(self._nodes[number][1][0] for number in numbers)
        whole = Program(self._of.inputs, self._of.parameters, constants, tuple(steps), outputs)
        return whole.select([name for name, _ in outputs])

    def _node(self, op: str, *args: float) -> int:
        """Return the number of a value: what says the same has the same."""
        if op in ("neg", "abs") and (inner := self._nodes[int(args[0])])[0] == "neg":
            return int(inner[1][0]) if op == "neg" else self._node(op, *inner[1])
        if op in _COMMUTATIVE:
            args = tuple(sorted(args))
        if (op, args) not in self._number:
            self._number[op, args] = len(self._nodes)
            self._nodes.append((op, args))
            self._types.append(TABLE[op].result if op in TABLE else "real")
            within = op not in ("given", "number") and any(self._varies[int(arg)] for arg in args)
            self._varies.append(within or (op == "given" and args[0] < len(self._of.inputs)))
        return self._number[op, args]

    def _constant(self, value: float) -> int:
        return self._node("number", value, math.copysign(1, value))

    def _load(self, program: Program, instead: Mapping[int, int]) -> dict[str, int]:
        """Return the outputs of a program, in which an input may be another value."""
        numbers = [instead.get(number, number) for number in range(len(program.inputs) + len(program.parameters))]
        numbers += [self._constant(constant) for constant in program.constants]
        # Zeros that are printed keep their sign, and powers are known by what they are of.
        kept = below(program, "value")
        kept |= {program.steps[number - program.first_step].args[0] for number in powers(program)}
        for number, step in enumerate(program.steps, start=program.first_step):
            args = [numbers[arg] for arg in step.args]
            numbers.append(self._node(step.op, *args) if number in kept else self._unsigned(step.op, *args))
        self._exponents |= {numbers[power]: numbers[exponent] for power, (exponent, _, _) in powers(program).items()}
        return {name: numbers[number] for name, number in program.outputs}

    def _unsigned(self, op: str, *args: int) -> int:
        """Return the number of a value whose sign, if it has one, is put before all else."""
        bare, minus = zip(*map(self._bare, args), strict=True)
        if op == "mul":
            return self._signed(self._node(op, *bare), minus[0] != minus[1])
        if op == "add" and all(minus):
            return self._signed(self._node(op, *bare), True)
        return self._node(op, *args)

    def _bare(self, number: int) -> tuple[int, bool]:
        """Return a value without its sign, and whether it has one."""
        op, args = self._nodes[number]
        return (int(args[0]), True) if op == "neg" else (number, False)

    def _signed(self, number: int, minus: bool) -> int:
        return self._node("neg", number) if minus else number

    def _chosen(self, yes: int, no: int) -> int:
        return self._node("where", self._is_yes, yes, no)

    def _join(self, no: int, yes: int) -> int | None:
        """Return the value that is one of two; nothing where they are truths of which neither can be chosen."""
        if (no, yes) not in self._joined:
            (one, minus), (other, less) = self._bare(no), self._bare(yes)
            inside = one if one == other else self._inside(one, other)
            if inside is not None and minus == less:
                found: int | None = self._signed(inside, minus)
            elif inside is not None:
                found = self._chosen(self._signed(inside, less), self._signed(inside, minus))
            elif self._types[no] == "real":
                found = self._chosen(yes, no)
            else:  # what is the same for all examples has to hold for both
                found = None if self._varies[no] or self._varies[yes] else self._node("both", no, yes)
            self._joined[no, yes] = found
        return self._joined[no, yes]

    def _inside(self, no: int, yes: int) -> int | None:
        """Return the instruction that both values are, of arguments that are chosen; nothing where it does not pay."""
        (op, args), (other, others) = self._nodes[no], self._nodes[yes]
        if op != other or op in ("given", "number") or self._exponents.get(no) != self._exponents.get(yes):
            return None
        if op in _COMMUTATIVE and (args[0] == others[1] or args[1] == others[0]):
            others = others[::-1]
        pairs = [(int(one), int(two)) for one, two in zip(args, others, strict=True)]
        apart = [pair for pair in pairs if pair[0] != pair[1]]
        if op in ARITHMETIC and len(apart) > 1 and op not in ("where", "alike"):
            return None
        # A number that is the same for every example is what makes some functions easy.
        if op not in ARITHMETIC and any(not (self._varies[one] or self._varies[two]) for one, two in apart):
            return None
        joined = [self._join(*pair) for pair in pairs]
        return None if None in joined else self._node(op, *(number for number in joined if number is not None))
