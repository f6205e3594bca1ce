"""Forms that overflow or lose digits, and the stable instructions that they become.

A row says what is recognised and what is computed instead, both as formulas: ``x`` and ``z`` stand for
any parts; a row with ``y`` is for parts that all differ between examples, no mere weights. Sums and
products are recognised in either order. A tree is rewritten from the inside out, so that
``log(1 - 1/(1 + exp(-f)))`` becomes ``-softplus(f)`` by three rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from lossmith.custom.functions import Node, written
from lossmith.custom.grammar import parse

_LETTERS = ("x", "y", "z")

ROWS = (
    ("log(1 + exp(x))", "softplus(x)"),
    ("log1p(exp(x))", "softplus(x)"),
    ("1/(1 + exp(x))", "sigmoid(-x)"),
    ("exp(x)/(1 + exp(x))", "sigmoid(x)"),
    ("1 - sigmoid(x)", "sigmoid(-x)"),
    ("log(sigmoid(x))", "-softplus(-x)"),
    ("log1p(-sigmoid(x))", "-softplus(x)"),
    ("(exp(x) + exp(-x))/2", "cosh(x)"),
    ("log(cosh(x))", "logcosh(x)"),
    ("log(exp(x))", "x"),
    ("exp(x) - x - 1", "expm1_excess(x)"),
    ("expm1(x) - x", "expm1_excess(x)"),
    ("exp(x) - 1", "expm1(x)"),
    ("1 - exp(x)", "-expm1(x)"),
    ("log(-expm1(x))", "log1mexp(-x)"),
    ("log1p(-exp(x))", "log1mexp(-x)"),
    ("x - log1p(x)", "log1p_excess(x)"),
    ("log(1 + x)", "log1p(x)"),
    ("log(1 - x)", "log1p(-x)"),
    ("hypot(1, x) - 1", "bowl(x, 1)"),
    ("sqrt(1 + x**2)", "hypot(1, x)"),
    ("sqrt(x**2 + z**2)", "hypot(x, z)"),
    ("sqrt(x**2)", "abs(x)"),
    ("y*log(x)", "xlogy(y, x)"),
    ("y*softplus(x)", "mul0(y, softplus(x))"),
    ("y*-softplus(x)", "-mul0(y, softplus(x))"),
)
"""Pairs of what is recognised and what is computed, as texts."""


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[Node, Node], ...]:
    return tuple((parse(before, _LETTERS), parse(after, _LETTERS)) for before, after in ROWS)


def stable(tree: Node, text: str, inputs: Collection[str]) -> tuple[Node, tuple[tuple[str, str], ...]]:
    """Return a tree with its naive forms replaced, and pairs of what was written and what is computed.

    Args:
        tree: a formula.
        text: what it was read from.
        inputs: the names of what differs between examples.
    """
    done: list[tuple[Node, Node]] = []
    found = _rewritten(tree, done, inputs)
    if not done:
        return found, ()
    kept = set(_parts(found))  # what was rewritten again on the way out is not computed
    pairs = ((text[slice(*before.span)], written(after)) for before, after in done if after in kept)
    return found, tuple(dict.fromkeys(pairs))


def _rewritten(node: Node, done: list[tuple[Node, Node]], inputs: Collection[str]) -> Node:
    args = tuple(_rewritten(part, done, inputs) for part in node.args)
    node = Node(node.op, args, node.value, node.name, node.span)
    while True:
        for before, after in _patterns():
            letters = _matched(before, node, {})
            if letters is not None and ("y" not in letters or _differ(letters.values(), inputs)):
                following = _built(after, letters, node.span)
                done.append((node, following))
                node = following
                break
        else:
            return node


def _matched(pattern: Node, node: Node, letters: dict[str, Node]) -> dict[str, Node] | None:
    """Return what the letters of a pattern stand for in a node, or nothing where it is of another form."""
    if pattern.op == "name":
        known = letters.get(pattern.name, node)
        return {**letters, pattern.name: node} if known == node else None
    if pattern.op != node.op or pattern.value != node.value or len(pattern.args) != len(node.args):
        return None
    orders = (node.args, node.args[::-1]) if node.op in ("add", "mul") else (node.args,)
    for order in orders:
        found: dict[str, Node] | None = letters
        for inner, part in zip(pattern.args, order, strict=True):
            found = None if found is None else _matched(inner, part, found)
        if found is not None:
            return found
    return None


def _built(pattern: Node, letters: dict[str, Node], span: tuple[int, int]) -> Node:
    if pattern.op == "name":
        return letters[pattern.name]
    args = tuple(_built(part, letters, span) for part in pattern.args)
    if pattern.op == "neg" and args[0].op == "neg":
        return args[0].args[0]
    return Node(pattern.op, args, pattern.value, pattern.name, span)


def _differ(nodes: Iterable[Node], inputs: Collection[str]) -> bool:
    return all(any(part.name in inputs for part in _parts(node)) for node in nodes)


def _parts(node: Node) -> Iterator[Node]:
    yield node
    for part in node.args:
        yield from _parts(part)
