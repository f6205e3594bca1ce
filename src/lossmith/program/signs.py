"""Signs under differentiation: two of one place make a square, which is 1 wherever what they stand in is smooth.

The slope of ``abs(u)`` is ``sign(u)``, which is 0 at ``u = 0``. So a second derivative by the rules holds ``sign(u)``
twice and is 0 there, even where slopes meet without a jump, as those of ``abs(u)**p`` do for ``p`` above 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import reduce
from operator import and_
from typing import TypeAlias

from lossmith.program.trace import Graph, Symbol

_NO: Counter[int] = Counter()


class Signs:
    """Which signs are factors of the values of a graph, and how often."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._counts: list[Counter[int]] = []

    def settled(self, value: Symbol, tangent: Symbol) -> Symbol:
        """Return the derivative of a product as it is where a sign in it is 0 and the rest of the product too.

        The product goes through 0 without a jump there, so its slope is the same on both sides, that without signs.
        Elsewhere, at jumps too, the derivative is the one given.
        """
        here, above = self._of(value), self._of(tangent)
        shared = [sign for sign, times in here.items() if times == 1 and above[sign] > 1]
        if not shared:
            return tangent
        ops, done = self._graph.ops, dict[_Key, Symbol]()
        rest, same = (self._without(whole, dict.fromkeys(shared, n), done) for whole, n in ((value, 1), (tangent, 2)))
        return self._graph.lift(ops.where(ops.equal(rest, 0.0), same, tangent))

    def _of(self, symbol: Symbol) -> Counter[int]:
        for number in range(len(self._counts), symbol.number + 1):  # arguments come before what is made of them
            op, args = self._graph.node(number)
            self._counts.append(Counter([number]) if op == "sign" else self._of_step(op, args))
        return self._counts[symbol.number]

    def _of_step(self, op: str, args: tuple[int, ...]) -> Counter[int]:
        if op in ("neg", "div"):
            return self._counts[args[0]]
        if op in ("mul", "mul0"):
            left, right = (self._counts[arg] for arg in args)
            return left + right if left and right else left or right
        if op in _SPREAD:
            values = [arg for arg in args[_SPREAD[op] :] if self._graph.known(Symbol(self._graph, arg)) != 0]
            return reduce(and_, (self._counts[value] for value in values)) if values else _NO
        return _NO

    def _without(self, symbol: Symbol, taken: Mapping[int, int], done: dict[_Key, Symbol]) -> Symbol:
        """Return a value without so many of some signs that are its factors.

        All at once, since what is computed on the way may ask whether a part is 0, which signs make it.
        """
        graph, number = self._graph, symbol.number
        if not taken or graph.known(symbol) == 0:
            return symbol
        if number in taken:
            return graph.constant(1.0)
        key = number, frozenset(taken.items())
        if key not in done:
            op, args = graph.node(number)
            parts = [Symbol(graph, arg) for arg in args]
            if op in _SPREAD:
                first = _SPREAD[op]
                parts[first:] = [self._without(part, taken, done) for part in parts[first:]]
            else:
                counts = self._of(parts[0])
                left = {sign: min(times, counts[sign]) for sign, times in taken.items() if sign in counts}
                parts[0] = self._without(parts[0], left, done)
                if op in ("mul", "mul0"):
                    right = {sign: times - left.get(sign, 0) for sign, times in taken.items()}
                    parts[1] = self._without(parts[1], {sign: times for sign, times in right.items() if times}, done)
            done[key] = graph.apply(op, parts)
        return done[key]


_Key: TypeAlias = tuple[int, frozenset[tuple[int, int]]]

_SPREAD = {"add": 0, "sub": 0, "where": 1, "alike": 1}
"""What has a factor that all its parts have, from this place on."""
