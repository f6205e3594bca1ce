"""The grammar of formulas as text.

A text goes through three sieves and is never run: its characters must form known tokens with
balanced brackets, Python's own parser turns them into a syntax tree, and of that tree only the
nodes below become parts of a formula. Length, depth and the number of parts are bounded.
"""

from __future__ import annotations

import ast
import keyword
import math
import re
from collections.abc import Callable, Collection
from typing import NoReturn

from lossmith.custom.functions import CONSTANTS, FUNCTIONS, Node, number_of
from lossmith.errors import FormulaError, did_you_mean

LONGEST = 40_000
"""Characters of a formula at most."""

DEEPEST = 100
"""Parts that may lie inside each other."""

LINE = 32
"""Terms of a sum that are added one after the other; those of longer ones are added in pairs."""

MOST = 8_000
"""Parts of a formula at most, where the middle of a chained comparison counts twice."""

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>\*\*|[<>=!]=|[-+*/(),<>])",
    re.ASCII,
)
_WORDS = ("and", "or", "not", "if", "else")
_MENDS = {
    "^": "a power is written a**b",
    "=": "equality is written a == b, and a value has no name",
    ".": "there are no attributes: functions stand alone, as exp(x)",
    "[": "there are no subscripts and no lists",
    "]": "there are no subscripts and no lists",
    "{": "there are no braces; brackets are ( and )",
    "}": "there are no braces; brackets are ( and )",
    '"': "there are no texts inside a formula",
    "'": "there are no texts inside a formula",
    "&": "conditions are joined by and",
    "|": "conditions are joined by or; an absolute value is abs(x)",
    "!": "a condition is turned around by not",
    "%": "there is no remainder",
    ":": "a choice is written where(condition, a, b), or a if condition else b",
    ";": "a formula is one expression",
    "#": "there are no comments",
    "\\": "a formula is written as in Python, and not in LaTeX",
    **dict.fromkeys("\u2212\u2013", "a minus is written -"),
    **dict.fromkeys("\u00d7\u00b7\u2217", "a product is written a*b"),
    **dict.fromkeys("\u00b2\u00b3", "a power is written a**b"),
    **dict.fromkeys("\u2264\u2265\u2260", "comparisons are written <=, >= and !="),
    "\u00f7": "a quotient is written a/b",
    "\u221a": "a root is written sqrt(x)",
}
_INSTEAD = {
    "ln": "log(x)", "relu": "max(x, 0)", "maximum": "max(a, b)", "minimum": "min(a, b)", "power": "a**b", "pow": "a**b",
    "expit": "sigmoid(x)", "logistic": "sigmoid(x)", "clip": "min(max(x, low), high)", "logit": "log(x) - log1p(-x)",
    "logsigmoid": "-softplus(-x)", "log_sigmoid": "-softplus(-x)", "log10": "log(x)/log(10)", "log2": "log(x)/log(2)",
    "sinh": "(exp(x) - exp(-x))/2", "sqr": "x**2", "sech": "1/cosh(x)", "heaviside": "where(x > 0, 1, 0)",
    "step": "where(x > 0, 1, 0)", "gamma": "exp(lgamma(x))",
    **dict.fromkeys(("ifelse", "if_else", "iif", "cond", "select"), "where(condition, a, b)"),
}  # fmt: skip
_NOWHERE = {
    **dict.fromkeys(("sum", "mean", "average", "avg"), "A formula is of one example, and costs are means of it."),
    **dict.fromkeys(
        ("softmax", "log_softmax", "logsumexp", "argmax"),
        "Losses over classes are in the catalogue, such as sparse_categorical_cross_entropy.",
    ),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan", "arctan", "erf", "erfc", "digamma"), ""),
}
"""Functions for which no other stands, though some have a name that is near; with what to say."""
_TARGET = "y_true ytrue y_actual actual target targets truth label labels t"
_PREDICTION = "y_pred ypred y_hat yhat pred preds predicted prediction predictions output score logit logits x z"
CALLED = {
    **dict.fromkeys(_TARGET.split(), "The target is called y."),
    **dict.fromkeys(_PREDICTION.split(), "The prediction is called f."),
    **dict.fromkeys(("p", "prob", "proba", "probability"), "A probability is sigmoid(f), of the logit f."),
}
"""What people call what formulas call otherwise."""
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow",
}  # fmt: skip
_FOLDS: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "pow": math.pow,
}  # fmt: skip


def parse(text: str, names: Collection[str]) -> Node:
    """Return a formula as a tree.

    Args:
        text: the formula; lines may be broken anywhere.
        names: the inputs and parameters that it may use.

    Raises:
        FormulaError: for anything that is no formula, with the place.
    """
    try:
        return _Reader(text, names).read()
    except FormulaError as error:
        raise error.with_traceback(None) from None  # the way through the tree tells nobody anything


class _Reader:
    """One reading of one text."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.text, self.names = text, names

    def fail(self, problem: str, at: int) -> NoReturn:
        raise FormulaError(problem, self.text, min(max(at, 0), len(self.text)) + 1)

    def read(self) -> Node:
        self._scan()
        try:  # in brackets, so that lines may be broken; every line is as long as before
            body = ast.parse("(" + re.sub(r"\s", " ", self.text) + ")", mode="eval").body
            found = self._bounded(self._read(body, 0))
        except SyntaxError as error:
            self.fail(self._syntax(error), (error.offset or 2) - 2)
        except (RecursionError, MemoryError, ValueError) as error:
            if isinstance(error, FormulaError):
                raise
            self.fail("the formula is too large or too deeply nested to be read", 0)
        if found.is_condition:
            self.fail("this is true or false, and no number; write where(condition, a, b)", found.span[0])
        return found

    def _scan(self) -> None:
        """Refuse characters that no formula holds, brackets that do not match and texts that are too long."""
        if not self.text.strip():
            self.fail("there is no formula in this text", 0)
        if len(self.text) > LONGEST:
            self.fail(f"a formula has at most {LONGEST:,} characters, and this has {len(self.text):,}", LONGEST)
        place, ended = 0, ""
        opened: list[int] = []
        while place < len(self.text):
            found = _TOKEN.match(self.text, place)
            if found is None:
                sign = self.text[place]
                if sign == "=" and self.text[place + 1 : place + 2] in ("<", ">"):
                    self.fail(f"'={self.text[place + 1]}' is written {self.text[place + 1]}=", place)
                mend = _MENDS.get(sign, "numbers, names, + - * / **, comparisons and calls are known")
                self.fail(f"{sign!r} is no part of formulas: {mend}", place)
            kind, token = str(found.lastgroup), found[0]
            if kind == "word" and keyword.iskeyword(token) and token not in _WORDS:
                self.fail(f"{token!r} is no part of formulas", place)
            if self.text.startswith("//", place):
                self.fail("there is no division without a remainder; a quotient is written a/b", place)
            starts = kind == "number" or (kind == "word" and token not in _WORDS) or (token == "(" and ended != "word")
            if ended == "number" and token.startswith("_"):
                self.fail("digits of a number stand without _ between them", place)
            if ended and starts:
                self.fail("an operator is missing before this; a product is written with *, as 2*f", place)
            if token == "(":
                opened.append(place)
                if len(opened) > DEEPEST:
                    self.fail(f"brackets lie at most {DEEPEST} deep inside each other", place)
            elif token == ")" and not opened:
                self.fail("this bracket was never opened", place)
            elif token == ")":
                opened.pop()
            place = found.end()
            if kind != "space":  # a value may end here, after which no other begins
                ended = kind if kind == "number" or (kind == "word" and token not in _WORDS) else token * (token == ")")
        if opened:
            self.fail("this bracket is never closed", opened[-1])

    def _syntax(self, error: SyntaxError) -> str:
        at = (error.offset or 2) - 2
        if "'else'" in error.msg:
            return "this choice has no else; it is written a if condition else b, or where(condition, a, b)"
        return (
            "something is missing at the end of the formula"
            if at >= len(self.text.rstrip())
            else "this cannot follow here: an operator or a comma is missing, or one too many"
        )

    def _node(self, source: ast.expr, op: str, *args: Node, value: float = 0.0, name: str = "") -> Node:
        return Node(op, args, value, name, self._span(source))

    def _span(self, source: ast.expr) -> tuple[int, int]:
        return source.col_offset - 1, (source.end_col_offset or 0) - 1

    def _read(self, source: ast.expr, depth: int) -> Node:
        at = source.col_offset - 1
        if depth > DEEPEST:
            self.fail(f"parts of a formula lie at most {DEEPEST} deep inside each other; this lies deeper", at)
        match source:
            case ast.Constant(value=bool() | None | str() | bytes() | complex()):
                self.fail("this is no number", at)
            case ast.Constant(value=int() | float() as value):
                return self._number(source, value)
            case ast.Name():
                return self._name(source)
            case ast.BinOp(op=ast.Add() | ast.Sub()) if len(terms := _terms(source)) > LINE:
                return self._paired(source, [(sign, self._real(term, depth + 1)) for sign, term in terms])[1]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._operation(
                    source, _BINARY[type(op)], self._real(left, depth + 1), self._real(right, depth + 1)
                )
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._real(operand, depth + 1)
                if inner.op == "number":
                    return self._node(source, "number", value=-inner.value)
                return self._node(source, "neg", inner)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._real(operand, depth + 1)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._opposite(self._condition(operand, depth + 1))
            case ast.BoolOp(op=op, values=values):
                sides = [self._condition(value, depth + 1) for value in values]
                return self._joined(source, "both" if isinstance(op, ast.And) else "either", sides)
            case ast.Compare():
                return self._comparison(source, depth)
            case ast.IfExp(test=test, body=body, orelse=other):
                branches = self._condition(test, depth + 1), self._real(body, depth + 1), self._real(other, depth + 1)
                return self._node(source, "where", *branches)
            case ast.Call():
                return self._call(source, depth)
            case ast.Starred():
                self.fail("arguments are passed one by one", at)
            case ast.Tuple(elts=elements):
                self.fail("a comma stands only between the arguments of a function", self._comma(elements))
        self.fail("this is no part of formulas", at)

    def _paired(self, source: ast.expr, terms: list[tuple[int, Node]]) -> tuple[int, Node]:
        """Return the sum of many terms with its sign, added in pairs, or they would lie as deep as they are many."""
        if len(terms) == 1:
            return terms[0]
        half = len(terms) // 2
        (one, left), (other, right) = self._paired(source, terms[:half]), self._paired(source, terms[half:])
        if one == other:
            return one, self._bounded(self._operation(source, "add", left, right))
        first, second = (left, right) if one > 0 else (right, left)
        return 1, self._bounded(self._operation(source, "sub", first, second))

    def _comma(self, elements: list[ast.expr]) -> int:
        return self.text.find(",", self._span(elements[0])[1]) if elements else 0

    def _bounded(self, node: Node) -> Node:
        # Comparisons repeat their sides, so nested ones would double at each level; here the first of them ends it.
        if node.size > MOST:
            self.fail(f"a formula has at most {MOST:,} parts, and this has {node.size:,}", node.span[0])
        return node

    def _real(self, source: ast.expr, depth: int) -> Node:
        found = self._bounded(self._read(source, depth))
        if found.is_condition:
            self.fail("this is true or false, and a number belongs here; write where(condition, 1, 0)", found.span[0])
        return found

    def _condition(self, source: ast.expr, depth: int) -> Node:
        found = self._bounded(self._read(source, depth))
        if not found.is_condition:
            self.fail("a condition belongs here, such as f < y, and this is a number", found.span[0])
        return found

    def _number(self, source: ast.expr, value: float) -> Node:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            self.fail("this number is too large", source.col_offset - 1)
        return self._node(source, "number", value=number)

    def _name(self, source: ast.Name) -> Node:
        name, at = source.id, source.col_offset - 1
        if name in self.names:
            return self._node(source, "name", name=name)
        if name in CONSTANTS:
            return self._node(source, "number", value=CONSTANTS[name])
        if name in FUNCTIONS:
            self.fail(f"{name} is a function; write {name}(...)", at)
        known = [*self.names, *CONSTANTS]
        near = did_you_mean(name, known, cutoff=0.6 if len(name) > 1 else 1.0)
        guess = f" {CALLED[name]}" if name in CALLED else near
        self.fail(
            f"there is no input or parameter {name!r}.{guess} There are {', '.join(self.names)}; "
            "declare others with parameters=, inputs= or predicted=",
            at,
        )

    def _operation(self, source: ast.expr, op: str, left: Node, right: Node) -> Node:
        if left.op == right.op == "number":
            try:
                value = _FOLDS[op](left.value, right.value)
            except (ArithmeticError, ValueError):
                value = math.nan
            if not math.isfinite(value):
                self.fail("this is no finite number", source.col_offset - 1)
            return self._node(source, "number", value=value)
        if op == "div" and right.op == "number" and right.value == 0:
            self.fail("nothing is divided by 0", right.span[0])
        if op == "pow" and right.op == "number" and right.value == 0.5:
            return self._node(source, "sqrt", left)
        if op == "mul" and left == right:
            return self._node(source, "pow", left, Node("number", value=2.0))
        return self._node(source, op, left, right)

    def _comparison(self, source: ast.Compare, depth: int) -> Node:
        sides = [self._real(side, depth + 1) for side in (source.left, *source.comparators)]
        pairs = []
        for op, left, right in zip(source.ops, sides, sides[1:], strict=False):
            match op:
                case ast.Lt():
                    pairs.append(self._node(source, "lt", left, right))
                case ast.LtE():
                    pairs.append(self._node(source, "le", left, right))
                case ast.Gt():
                    pairs.append(self._node(source, "lt", right, left))
                case ast.GtE():
                    pairs.append(self._node(source, "le", right, left))
                case ast.Eq():
                    pairs.append(self._node(source, "equal", left, right))
                case ast.NotEq():
                    pairs.append(self._opposite(self._node(source, "equal", left, right)))
                case _:
                    self.fail("this comparison is no part of formulas", source.col_offset - 1)
        return self._joined(source, "both", pairs)

    def _joined(self, source: ast.expr, op: str, sides: list[Node]) -> Node:
        if len(sides) > DEEPEST:
            self.fail(f"at most {DEEPEST} conditions are joined; this is one more", sides[DEEPEST].span[0])
        found = sides[0]
        for side in sides[1:]:
            found = self._node(source, op, found, side)
        return found

    def _opposite(self, node: Node) -> Node:
        """Return what holds where a condition does not; there is no instruction for it, nor need there be."""
        args, span = node.args, node.span
        if node.op in ("both", "either"):
            turned = "either" if node.op == "both" else "both"
            return Node(turned, tuple(self._opposite(side) for side in args), span=span)
        if node.op == "equal":
            return Node("either", (Node("lt", args, span=span), Node("lt", args[::-1], span=span)), span=span)
        return Node("le" if node.op == "lt" else "lt", args[::-1], span=span)

    def _call(self, source: ast.Call, depth: int) -> Node:
        at = source.col_offset - 1
        if not isinstance(source.func, ast.Name):
            self.fail("only functions can be called, and a product is written with *", at)
        name = source.func.id
        if name in self.names or name in CONSTANTS:
            self.fail(f"{name} is no function; a product is written {name}*(...)", at)
        if name not in FUNCTIONS:
            mend = f" Write {_INSTEAD[name]}." if name in _INSTEAD else f" {_NOWHERE.get(name, '')}".rstrip()
            mend = mend or ("" if name in _NOWHERE else did_you_mean(name, FUNCTIONS))
            self.fail(f"there is no function {name!r}.{mend or ' There are ' + ', '.join(FUNCTIONS)}", at)
        if source.keywords:  # of them, the characters let ** through alone
            self.fail("arguments are not passed by name", source.keywords[0].value.col_offset - 3)
        function, given = FUNCTIONS[name], len(source.args)
        if given < 2 if function.arity is None else given != function.arity:
            if name == "log" and given == 2:
                self.fail("log takes 1 argument, and is natural; to another base it is log(x)/log(base)", at)
            wanted = "2 or more" if function.arity is None else str(function.arity)
            self.fail(f"{name} takes {wanted} argument{'s' * (wanted != '1')}, got {given}", at)
        args = tuple(
            (self._condition if function.first and place == 0 else self._real)(argument, depth + 1)
            for place, argument in enumerate(source.args)
        )
        if name == "square":  # one form, so that what is recognised need not be written twice
            return self._operation(source, "pow", args[0], Node("number", value=2.0))
        found = self._node(source, name, *args)
        if all(part.op == "number" for part in args) and not math.isfinite(number_of(found)):
            self.fail("this is no finite number", at)
        return found


def _terms(source: ast.expr) -> list[tuple[int, ast.expr]]:
    """Return the terms of a sum with their signs, in order."""
    found: list[tuple[int, ast.expr]] = []
    while isinstance(source, ast.BinOp) and isinstance(source.op, ast.Add | ast.Sub):
        found.append((1 if isinstance(source.op, ast.Add) else -1, source.right))
        source = source.left
    return [(1, source), *reversed(found)]
