"""Forms that overflow or lose digits, and the stable instructions that they become.

A row says what is recognised and what is computed instead, both as formulas: ``x`` and ``z`` stand for any parts, ``k``
and ``m`` for ones that are the same for all examples and above 0, ``p`` for one that is the same and, as a number, not
below 0, ``n`` for an even number; a row with ``y`` is for parts that all differ between examples, no mere weights.
Sums, products, ``max``, ``min`` and ``hypot`` are recognised in either order, and a difference as the negative of the
other one. A tree is rewritten from the inside out, so that ``log(1 - 1/(1 + exp(-f)))`` becomes ``-softplus(f)`` by
three rows.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce

from lossmith.custom.functions import LARGEST_POWER, Node, written
from lossmith.custom.grammar import parse

_LETTERS = ("x", "y", "z", "k", "m", "p", "n")
_EITHER_WAY = ("add", "mul", "max", "min", "hypot")

SPREAD = (
    ("max(x, 0) + softplus(-abs(x))", "softplus(x)"),
    ("max(-x, 0) + softplus(-abs(x))", "softplus(-x)"),
    ("softplus(-abs(x)) - min(x, 0)", "softplus(-x)"),
)
"""Rows of sums whose kinks at ``x = 0`` cancel, recognised with other terms between them too.

What is between may cancel a term to the last digit, as ``max(f, 0) - y*f`` does, so such a sum is computed as it is
written, and by the row where ``x`` is 0.
"""

ROWS = (
    ("e**x", "exp(x)"),
    ("exp(x)*exp(z)", "exp(x + z)"),
    ("exp(x)/exp(z)", "exp(x - z)"),
    ("z/exp(x)", "z*exp(-x)"),
    ("log(1 + exp(x))", "softplus(x)"),
    ("log1p(exp(x))", "softplus(x)"),
    ("1/(1 + exp(x))", "sigmoid(-x)"),
    ("exp(x)/(1 + exp(x))", "sigmoid(x)"),
    ("z*exp(x)/(1 + exp(x))", "z*sigmoid(x)"),
    ("expm1(x)/(1 + exp(x))", "tanh(x/2)"),
    ("-expm1(x)/(1 + exp(x))", "-tanh(x/2)"),
    ("exp(x)/(1 + exp(x))**2", "sigmoid(x)*sigmoid(-x)"),
    ("z*exp(x)/(1 + exp(x))**2", "z*(sigmoid(x)*sigmoid(-x))"),
    ("z/(1 + exp(x))", "z*sigmoid(-x)"),
    ("1/(1 + exp(x))**p", "sigmoid(-x)**p"),
    ("z/(1 + exp(x))**p", "z*sigmoid(-x)**p"),
    ("(1 + exp(x))**-1", "sigmoid(-x)"),
    ("(1 + exp(x))**-p", "sigmoid(-x)**p"),
    ("1 - sigmoid(x)", "sigmoid(-x)"),
    ("sigmoid(x) - 1", "-sigmoid(-x)"),
    ("1 - tanh(x)", "2*sigmoid(-2*x)"),
    ("tanh(x) - 1", "-2*sigmoid(-2*x)"),
    ("1 + tanh(x)", "2*sigmoid(2*x)"),
    ("1 - tanh(x)**2", "sech2(x)"),
    ("tanh(x)**2 - 1", "-sech2(x)"),
    ("1/cosh(x)**2", "sech2(x)"),
    ("z/cosh(x)**2", "z*sech2(x)"),
    ("(exp(x) - exp(-x))/(exp(x) + exp(-x))", "tanh(x)"),
    ("log(sigmoid(x))", "-softplus(-x)"),
    ("log(k*sigmoid(x))", "log(k) - softplus(-x)"),
    ("log(sech2(x))", "-2*logcosh(x)"),
    ("log1p(-sigmoid(x))", "-softplus(x)"),
    ("(exp(x) + exp(-x))/2", "cosh(x)"),
    ("log(cosh(x))", "logcosh(x)"),
    ("log(exp(x) + exp(-x))", "logcosh(x) + log(2)"),
    ("log(exp(x) + exp(z))", "x + softplus(z - x)"),
    ("log(exp(x))", "x"),
    ("log(z*exp(x))", "log(z) + x"),
    ("log(exp(x)/z)", "x - log(z)"),
    ("log(k + exp(x))", "log(k) + softplus(x - log(k))"),
    ("log1p(k*exp(x))", "softplus(x + log(k))"),
    ("log1p(exp(x)/k)", "softplus(x - log(k))"),
    ("exp(x) - x - 1", "expm1_excess(x)"),
    ("expm1(x) - x", "expm1_excess(x)"),
    ("1 + x - exp(x)", "-expm1_excess(x)"),
    ("x - expm1(x)", "-expm1_excess(x)"),
    ("exp(x) - 1", "expm1(x)"),
    ("1 - exp(x)", "-expm1(x)"),
    ("log(-expm1(x))", "log1mexp(-x)"),
    ("log1p(-exp(x))", "log1mexp(-x)"),
    ("x - log1p(x)", "log1p_excess(x)"),
    ("log1p(x) - x", "-log1p_excess(x)"),
    ("log(1 + x)", "log1p(x)"),
    ("log(1 - x)", "log1p(-x)"),
    ("hypot(1, x) - 1", "bowl(x, 1)"),
    ("hypot(k, x) - k", "k*bowl(x/k, 1)"),
    ("sqrt(x**2 + z**2)", "hypot(x, z)"),
    ("sqrt(k + x**2)", "hypot(sqrt(k), x)"),
    ("sqrt(k + m*x**2)", "hypot(sqrt(k), sqrt(m)*x)"),
    ("sqrt(k + x**2/m)", "hypot(sqrt(k), x/sqrt(m))"),
    ("sqrt(x**2)", "abs(x)"),
    ("(x**2)**p", "abs(x)**(2*p)"),
    ("abs(x)**n", "x**n"),
    *SPREAD,
    ("x + softplus(-x)", "softplus(x)"),
    ("softplus(x) - x", "softplus(-x)"),
    ("y*log(x)", "xlogy(y, x)"),
    ("y*softplus(x)", "mul0(y, softplus(x))"),
    ("y*-softplus(x)", "-mul0(y, softplus(x))"),
)
"""Pairs of what is recognised and what is computed, as texts."""


@lru_cache(maxsize=1)
def _spread_patterns() -> tuple[tuple[tuple[tuple[int, Node], ...], Node], ...]:
    return tuple((tuple(_signed(parse(before, _LETTERS))), parse(after, _LETTERS)) for before, after in SPREAD)


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[Node, Node], ...]:
    return tuple((parse(before, _LETTERS), parse(after, _LETTERS)) for before, after in ROWS)


@dataclass(frozen=True)
class _Names:
    """What is known of the names in a formula: which differ between examples, and which parameters are above 0."""

    inputs: Collection[str]
    positive: Collection[str]

    def fits(self, letter: str, node: Node) -> bool:
        """Return whether a letter of the rows can stand for a part."""
        if letter in ("k", "m"):
            return self._is_positive(node)
        if letter == "p":
            return node.value >= 0 if node.op == "number" else not any(self._vary(node))
        if letter == "n":
            return node.op == "number" and node.value % 2 == 0 and 0 < abs(node.value) <= LARGEST_POWER
        return True

    def differ(self, nodes: Iterable[Node]) -> bool:
        """Return whether all of some parts differ between examples."""
        return all(any(self._vary(node)) for node in nodes)

    def _vary(self, node: Node) -> Iterator[bool]:
        return (part.name in self.inputs for part in _parts(node))

    def _is_positive(self, node: Node) -> bool:
        if node.op in ("number", "name"):
            return node.value > 0 or node.name in self.positive
        if node.op == "pow":
            return self._is_positive(node.args[0]) and not any(self._vary(node.args[1]))
        return node.op in ("add", "mul", "div", "sqrt") and all(map(self._is_positive, node.args))


def stable(
    tree: Node, text: str, inputs: Collection[str], positive: Collection[str] = ()
) -> tuple[Node, tuple[tuple[str, str], ...]]:
    """Return a tree with its naive forms replaced, and pairs of what was written and what is computed.

    Args:
        tree: a formula.
        text: what it was read from.
        inputs: the names of what differs between examples.
        positive: the names of parameters that are above 0.
    """
    done: list[tuple[Node, Node]] = []
    found = _rewritten(tree, done, _Names(inputs, positive))
    if not done:
        return found, ()
    whole = set(_parts(found))
    parts, kept = set(map(_unsigned, whole)), list[tuple[Node, Node]]()
    for before, after in reversed(done):  # what was rewritten again on the way out is not computed
        if after in whole or (_unsigned(after) in parts and not any(_within(before, outer) for outer, _ in kept)):
            kept.append((before, after))
    return found, tuple(dict.fromkeys((text[slice(*before.span)], written(after)) for before, after in kept[::-1]))


def _rewritten(node: Node, done: list[tuple[Node, Node]], names: _Names) -> Node:
    args = tuple(_rewritten(part, done, names) for part in node.args)
    return _replaced_whole(_folded(Node(node.op, args, node.value, node.name, node.span)), done, names)


def _replaced_whole(node: Node, done: list[tuple[Node, Node]], names: _Names) -> Node:
    """Return a part, of which no smaller part has a row, by the rows that it has as a whole."""
    while True:
        for before, after in _patterns():
            letters = _matched(before, node, {}, names)
            if letters is not None and ("y" not in letters or names.differ(letters.values())):
                following = _built(after, letters, node.span)
                done.append((node, following))
                node = following
                break
        else:
            following = _apart(node, names) if node.op == "xlogy" else _gathered(node, names)
            if following is not node:
                done.append((node, following))
            return following


def _apart(node: Node, names: _Names) -> Node:
    """Return a product with a logarithm that has a form of its own as one with that form; others as they are."""
    factor, inner = node.args
    plain = Node("log", (inner,), span=inner.span)
    form = _replaced_whole(plain, [], names)
    if form == plain:
        return node
    product = Node("mul0", (factor, form.args[0] if form.op == "neg" else form), span=node.span)
    return Node("neg", (product,), span=node.span) if form.op == "neg" else product


def _signed(node: Node, sign: int = 1) -> Iterator[tuple[int, Node]]:
    """Yield the terms of a sum, with their signs."""
    if node.op in ("add", "sub"):
        yield from _signed(node.args[0], sign)
        yield from _signed(node.args[1], sign if node.op == "add" else -sign)
    elif node.op == "neg":
        yield from _signed(node.args[0], -sign)
    else:
        yield sign, node


def _folded(node: Node) -> Node:
    """Return a root or product of numbers as a number, and without what does nothing: signs twice, a factor of 1."""
    op, args, span = node.op, node.args, node.span
    if op == "sqrt" and args[0].op == "number" and args[0].value >= 0:
        return Node("number", value=math.sqrt(args[0].value), span=span)
    if op == "neg":
        return _negative(args[0], node)
    if op == "div" and args[0].op == "mul" and _is_exact(args[1]) and args[0].args[0].op == "number":
        op, args = "mul", (Node("number", value=1 / args[1].value), args[0])
    if op != "mul" or args[0].op != "number":
        return node
    (first, rest), inner = args, args[1].args
    if rest.op == "number" and math.isfinite(first.value * rest.value):
        return Node("number", value=first.value * rest.value, span=span)
    if rest.op == "mul" and inner[0].op == "number" and (_is_exact(first) or _is_exact(inner[0])):
        return _folded(Node("mul", (Node("number", value=first.value * inner[0].value), inner[1]), span=span))
    return rest if first.value == 1 else node


def _unsigned(node: Node) -> Node:
    """Return a part without the sign and the factor that what it stands in can have folded with its own."""
    if node.op == "neg":
        return _unsigned(node.args[0])
    return _unsigned(node.args[1]) if node.op == "mul" and node.args[0].op == "number" else node


def _within(node: Node, outer: Node) -> bool:
    return outer.span[0] <= node.span[0] and node.span[1] <= outer.span[1]


def _negative(inner: Node, node: Node) -> Node:
    if inner.op in ("mul", "div") and inner.args[0].op == "number":
        first = Node("number", value=-inner.args[0].value, span=inner.args[0].span)
        return Node(inner.op, (first, inner.args[1]), span=node.span)
    return inner.args[0] if inner.op == "neg" else node


def _is_exact(node: Node) -> bool:
    """Return whether a product with a part rounds nothing, as one with a power of two does."""
    return node.op == "number" and abs(math.frexp(node.value)[0]) == 0.5 and 2.0**-64 <= abs(node.value) <= 2.0**64


def _gathered(node: Node, names: _Names) -> Node:
    """Return a sum in two forms where two of its terms, not side by side, are one of ``SPREAD``; others as they are."""
    if node.op not in ("add", "sub"):
        return node
    terms = list(_signed(node))
    if not any(term.op == "softplus" for _, term in terms):
        return node
    inner = [term for _, term in terms if term.op == "alike"]  # sums in two forms, which become one with this
    row, plain = (_with_form(node, place) for place in (1, 2))
    if any(part.op == "alike" for part in _parts(plain)):
        return node  # inside of each other they would double at each level
    terms = list(_signed(row))
    for ((_, first), (sign, second)), after in _spread_patterns():
        for one, left in terms:
            letters = _matched(first, left, {}, names)
            for other, right in terms if letters is not None else ():
                found = _matched(second, right, letters or {}, names) if other == one * sign else None
                if found is not None:
                    by, zero = _built(after, found, left.span), Node("equal", (found["x"], Node("number", value=0.0)))
                    where = reduce(lambda a, b: Node("either", (a, b)), [*(term.args[0] for term in inner), zero])
                    return Node("alike", (where, _replaced(row, left, by, right) or by, plain), span=node.span)
    return node


def _with_form(node: Node, place: int) -> Node:
    """Return a sum with one of the two forms of each term that has two."""
    if node.op == "alike":
        return node.args[place]
    if node.op not in ("add", "sub", "neg"):
        return node
    return Node(node.op, tuple(_with_form(part, place) for part in node.args), span=node.span)


def _replaced(node: Node, term: Node, by: Node, gone: Node) -> Node | None:
    """Return a sum with a term replaced and another one left out; nothing where none is left."""
    if node is term or node is gone:
        return by if node is term else None
    if node.op not in ("add", "sub", "neg"):
        return node
    args = [_replaced(part, term, by, gone) for part in node.args]
    kept = tuple(part for part in args if part is not None)
    if len(kept) == len(args):
        return Node(node.op, kept, span=node.span)
    if not kept:
        return None
    return Node("neg", kept, span=node.span) if node.op == "sub" and args[0] is None else kept[0]


def _matched(pattern: Node, node: Node, letters: dict[str, Node], names: _Names) -> dict[str, Node] | None:
    """Return what the letters of a pattern stand for in a node, or nothing where it is of another form."""
    if pattern.op == "name":
        known = letters.get(pattern.name, node)
        return {**letters, pattern.name: node} if known == node and names.fits(pattern.name, node) else None
    if pattern.op == "neg":
        node = _turned(node)
    if pattern.op != node.op or pattern.value != node.value or len(pattern.args) != len(node.args):
        return None
    orders = (node.args, node.args[::-1]) if node.op in _EITHER_WAY else (node.args,)
    for order in orders:
        found: dict[str, Node] | None = letters
        for inner, part in zip(pattern.args, order, strict=True):
            found = None if found is None else _matched(inner, part, found, names)
        if found is not None:
            return found
    return None


def _turned(node: Node) -> Node:
    """Return what begins with a number below 0, or is a difference, as the negative of another."""
    if node.op == "sub":
        return Node("neg", (Node("sub", node.args[::-1], span=node.span),), span=node.span)
    if node.op == "number" and node.value < 0:
        return Node("neg", (Node("number", value=-node.value),))
    if node.op in ("mul", "div") and node.args[0].op == "number" and node.args[0].value < 0:
        first = Node("number", value=-node.args[0].value)
        return Node("neg", (_simple(Node(node.op, (first, node.args[1]))),))
    return node


def _simple(node: Node) -> Node:
    """Return a product with 1 as its other factor."""
    return node.args[1] if node.op == "mul" and node.args[0] == Node("number", value=1.0) else node


def _built(pattern: Node, letters: dict[str, Node], span: tuple[int, int]) -> Node:
    if pattern.op == "name":
        return letters[pattern.name]
    args = tuple(_built(part, letters, span) for part in pattern.args)
    return _folded(Node(pattern.op, args, pattern.value, pattern.name, span))


def _parts(node: Node) -> Iterator[Node]:
    yield node
    for part in node.args:
        yield from _parts(part)
