"""From a program to lines of code: intermediate values get names where they are used twice or a line grows long.

What differs between languages is a small table: how each instruction is called, and the few signs that differ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lossmith.custom.export.helpers import HELPERS, helper, meaning
from lossmith.errors import ProgramError
from lossmith.program import TABLE, Program

WIDE = 60
"""Letters that an expression may have before parts of it get names."""

_NAME = 22
_SMALL = 14

# How tightly signs bind, as in Python; C differs in what combines conditions alone.
_CHOICE, _COMPARED, _JOINED, _SUM, _PRODUCT, _SIGN, _ATOM = range(1, 8)
_INFIX = {
    "add": ("+", _SUM), "sub": ("-", _SUM), "mul": ("*", _PRODUCT), "div": ("/", _PRODUCT),
    "lt": ("<", _COMPARED), "le": ("<=", _COMPARED), "equal": ("==", _COMPARED),
}  # fmt: skip
_TURNED = {"mul": ("*", _PRODUCT), "lt": (">", _COMPARED), "le": (">=", _COMPARED), "equal": ("==", _COMPARED)}
"""How it is written with its arguments the other way round, so that numbers stand where people write them."""

_WORDS = {
    "add": "plus", "sub": "minus", "mul": "times", "div": "over", "lt": "below", "le": "up_to", "equal": "is",
    "pow": "to_the", "neg": "minus", "min": "min", "max": "max", "where": "chosen", "both": "condition",
    "either": "condition",
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """How programs are written in a language or library.

    Attributes:
        calls: instructions that it has, as format strings over the arguments.
        define: ``(name, arguments, meaning, lines, result) -> lines`` of a small function.
        joins: the signs of ``both`` and ``either``.
        infinity: how infinity is written.
        where: how a choice is written; none for the sign of C, ``a ? b : c``.
        where_numbers: how a choice between two numbers is written where it needs a type, that of an array ``{3}``.
        own: small functions that are written by hand: name and lines, by instruction.
        reserved: names that mean something else.
        wide: what makes a parameter a number that may be divided by 0, where plain ones may not.
        prefix: what names of small functions begin with.
        assign: how a value gets a name, and a condition, where that is written in another way.
        rows: what statements of rows are in a library of arrays: see ``rowwise``, and ``begin``, ``end``, ``axis`` for
            a number of a row that gets an axis for entries and loses it, and for an axis that becomes the last, and
            ``there`` for entries that get an axis before them.
        with_number: calls of which one argument is a number, by instruction: ``{0}`` is the other, ``{1}`` the number.
    """

    calls: Mapping[str, str]
    define: Callable[[str, Sequence[str], str, Sequence[str], str], Sequence[str]]
    joins: tuple[str, str] = ("&", "|")
    infinity: str = "math.inf"
    where: str | None = None
    where_numbers: str | None = None
    own: Mapping[str, tuple[str, Sequence[str]]] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    with_number: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, str] = field(default_factory=dict)
    wide: str = ""
    prefix: str = ""
    assign: tuple[str, str] = ("{0} = {1}", "{0} = {1}")

    def number(self, value: float) -> str:
        """Return a number as it is written."""
        if math.isinf(value):
            return self.infinity if value > 0 else f"-{self.infinity}"
        below = 1 / abs(value) if value else 0.0
        if 3 <= below < 2000 and 1 / round(below) == abs(value) and len(repr(value)) > _SMALL:
            return f"{math.copysign(1.0, value)} / {round(below)}.0"
        digits, _, exponent = f"{value:e}".partition("e")
        short = f"{float(digits):g}e{int(exponent)}"
        return short if float(short) == value and len(short) < len(repr(value)) - 2 else repr(value).replace("e+", "e")


@dataclass(frozen=True)
class Term:
    """An expression, and how tightly its outermost sign binds."""

    text: str
    rank: int

    def within(self, rank: int) -> str:
        """Return the text where a sign of a rank stands beside it."""
        return self.text if self.rank >= rank else f"({self.text})"

    @property
    def is_name(self) -> bool:
        """Whether it is one word."""
        return self.text.isidentifier()


class Printer:
    """Writes one function's programs.

    Args:
        language: the target.
        names: what inputs and parameters are called.
        helpers: gets the instructions that are written as small functions.
        like: an array of the type of results; by default the first input of a program.
    """

    def __init__(
        self, language: Language, names: Mapping[str, str], helpers: dict[str, None], like: str | None = None
    ) -> None:
        self.language = language
        self.names = names
        self.helpers = helpers
        self.like = like
        self.taken = {*names.values(), *language.reserved, *HELPERS}

    def body(self, program: Program) -> tuple[list[str], dict[str, str]]:
        """Return the lines that a program takes, and the expression of each output."""
        return _Body(self, program).written()


def definitions(language: Language, helpers: Mapping[str, None]) -> Iterator[list[str]]:
    """Yield the small functions that some instructions need, those first that others are made of."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[list[str]]:
        if name in done:
            return
        done.add(name)
        if name in language.own:
            yield list(language.own[name][1])
            return
        program, inner = helper(name), dict[str, None]()
        printer = Printer(language, {x: x for x in program.inputs}, inner)
        lines, results = printer.body(program)
        for needed in inner:
            yield from visit(needed)
        yield list(language.define(f"{language.prefix}{name}", program.inputs, meaning(name), lines, results["value"]))

    for name in helpers:
        yield from visit(name)


class _Body:
    def __init__(self, printer: Printer, program: Program) -> None:
        self.printer, self.language, self.program = printer, printer.language, program
        self.lines = self._widened()
        self.made: dict[int, list[Term]] = {}
        self.taken = printer.taken if printer.like else {*printer.taken}
        self.uses = Counter(arg for step in program.steps for arg in step.args)
        self.uses.update({number for _, number in program.outputs})
        leaves = [printer.names[name] for name in program.inputs + program.parameters]
        self.terms = [Term(leaf, _ATOM) for leaf in leaves]
        self.terms += [self._number(constant) for constant in program.constants]

    def written(self) -> tuple[list[str], dict[str, str]]:
        program = self.program
        for number, step in enumerate(program.steps, start=program.first_step):
            args = self.made[number] = [self.terms[arg] for arg in step.args]
            term = self._term(step.op, args)
            while len(term.text) > WIDE:
                made = [place for place, arg in enumerate(step.args) if arg >= program.first_step]
                longest = max(made, key=lambda place: len(args[place].text), default=0)
                if args[longest].is_name or not made:
                    break
                inner = step.args[longest]
                op = program.steps[inner - program.first_step].op
                args[longest] = self._named(args[longest], op, self.made[inner])
                self.terms[inner] = args[longest]
                term = self._term(step.op, args)
            plain = all(arg.is_name or _is_number(arg.text) for arg in args) and not all(
                arg.is_name for arg in args[1:]
            )
            small = (len(term.text) <= _SMALL and plain) or (step.op == "neg" and args[0].is_name)
            if self.uses[number] > 1 and not small:
                term = self._named(term, step.op, args)
            self.terms.append(term)
        return self.lines, {name: self.terms[number].text for name, number in program.outputs}

    def _widened(self) -> list[str]:
        """Return lines that make parameters numbers that may be divided by 0, where something of them alone is."""
        program, wide = self.program, self.language.wide
        below = [step.args[1] for step in program.steps if step.op == "div"]
        if not wide or not any(program.uniform[number] and number >= program.first_step for number in below):
            return []
        names = [self.printer.names[name] for name in program.parameters]
        return [f"{name} = {wide.format(name)}" for name in names]

    def _number(self, value: float) -> Term:
        text = self.language.number(value)
        return Term(text, _PRODUCT if " / " in text else _SIGN if text.startswith("-") else _ATOM)

    def _term(self, op: str, args: Sequence[Term]) -> Term:
        if op == "neg":
            (a,) = args
            if a.rank in (_PRODUCT, _ATOM) and not a.text.startswith("-"):
                return Term(f"-{a.text}", min(a.rank, _SIGN))
            return Term(f"-({a.text})", _SIGN)
        if op in _TURNED and _is_number(args[0 if op != "mul" else 1].text):
            return self._infix(*_TURNED[op], args[1], args[0])
        if op in _INFIX:
            return self._infix(*_INFIX[op], *args)
        if op in ("both", "either"):
            sign = self.language.joins[op == "either"]
            return Term(f" {sign} ".join(arg.within(_JOINED + 1) for arg in args), _JOINED)
        if op == "where" and self.language.where is None:
            condition, a, b = args
            return Term(f"{condition.within(_COMPARED)} ? {a.within(_COMPARED)} : {b.text}", _CHOICE)
        return Term(self._call(op, [arg.text for arg in args]), _ATOM)

    def _infix(self, sign: str, rank: int, left: Term, right: Term) -> Term:
        return Term(f"{left.within(rank)} {sign} {right.within(rank + 1)}", rank)

    def _call(self, op: str, texts: Sequence[str]) -> str:
        language = self.language
        if op == "where":
            both = language.where_numbers and all(_is_number(text) for text in texts[1:])
            first = self.printer.like or self.printer.names[self.program.inputs[0]]
            return str(language.where_numbers if both else language.where).format(*texts, first)
        if op == "pow" and texts[1] == "0.5" and "sqrt" in language.calls:
            return language.calls["sqrt"].format(texts[0])
        if op in language.with_number:
            for number, other in (texts, texts[::-1]):
                if _is_number(number):
                    if op not in language.calls and op in HELPERS:
                        self.printer.helpers[op] = None
                    return language.with_number[op].format(other, number)
        if op in language.calls:
            return language.calls[op].format(*texts)
        if op not in HELPERS and op not in language.own:
            raise ProgramError(f"instruction {op!r} is not known to this target")
        self.printer.helpers[op] = None
        name = language.own[op][0] if op in language.own else f"{language.prefix}{op}"
        return f"{name}({', '.join(texts)})"

    def _named(self, term: Term, op: str, args: Sequence[Term]) -> Term:
        name = self._name(op, args)
        assign = self.language.assign[TABLE[op].result == "bool"]
        self.lines.append(assign.format(name, term.text))
        self.taken.add(name)
        return Term(name, _ATOM)

    def _name(self, op: str, args: Sequence[Term]) -> str:
        """Return a name that says what a value is made of, where that is short."""
        texts = [arg.text for arg in args]
        whole = all(arg.is_name for arg in args)
        if op == "sub" and set(texts) == {self.printer.names.get("y"), self.printer.names.get("f")}:
            wanted = "residual"
        elif op == "mul" and len(set(texts)) == 1 and whole:
            wanted = f"{texts[0]}_squared"
        elif len(texts) == 2 and whole and op in _WORDS:
            wanted = f"{texts[0]}_{_WORDS[op]}_{texts[1]}"
        elif len(texts) == 1 and whole:
            wanted = f"{_WORDS.get(op, op)}_{texts[0]}"
        elif len(texts) == 1 and texts[0].startswith("-") and texts[0][1:].isidentifier():
            wanted = f"{_WORDS.get(op, op)}_minus_{texts[0][1:]}"
        elif op in ("add", "sub") and texts[0] in _COUNTS and args[1].is_name:
            wanted = f"{_COUNTS[texts[0]]}_{_WORDS[op]}_{texts[1]}"
        elif op in ("add", "sub") and texts[1] in _COUNTS and args[0].is_name:
            wanted = f"{texts[0]}_{_WORDS[op]}_{_COUNTS[texts[1]]}"
        elif op == "mul" and any(text in _SHARES for text in texts) and any(arg.is_name for arg in args):
            number, other = sorted(texts, key=str.isidentifier)
            wanted = f"{_SHARES[number]}_{other}"
        else:
            wanted = _PLAIN.get(op, f"{op}_value")
        wanted = wanted if len(wanted) <= _NAME else _PLAIN.get(op, f"{op}_value")
        found, count = wanted, 1
        while found in self.taken:
            count += 1
            found = f"{wanted}_{count}"
        return found


_COUNTS = {"1.0": "one", "2.0": "two"}
_SHARES = {"0.5": "half", "2.0": "twice", "-1.0": "minus"}
_PLAIN = {
    "add": "total", "sub": "difference", "mul": "product", "div": "ratio", "neg": "opposite", "where": "chosen",
    "lt": "condition", "le": "condition", "equal": "condition", "both": "condition", "either": "condition",
    "abs": "size", "pow": "power", "min": "smaller", "max": "larger", "exp": "exponential", "log": "log_value",
    "mul0": "product", "mul_exp": "product", "sign": "direction", "sigmoid": "probability", "hypot": "length",
}  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
