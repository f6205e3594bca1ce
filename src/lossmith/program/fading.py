"""Slopes that fade to 0 where what they are multiplied with overflows: in such products of a rule a zero wins.

Beyond f = 710 the argument of ``tanh(exp(f))`` is infinite, and its slope too, while that of ``tanh`` is 0 there. The
derivative is 0, as ``tanh`` levels off faster than ``exp`` grows.
"""

from __future__ import annotations

from collections.abc import Sequence

from lossmith.program.ops import Ops
from lossmith.program.trace import Graph, Symbol

_LOGARITHMS = frozenset(("log", "log1p", "log1p_excess", "log1p_difference", "log1p_ratio2", "lgamma"))

_FADES: dict[str, tuple[int, frozenset[str]]] = {
    **dict.fromkeys(("exp", "expm1", "tanh", "sigmoid", "softplus"), (0, frozenset(("logarithm",)))),
    **dict.fromkeys(("pow", "mul_exp"), (1, frozenset(("logarithm",)))),
    **dict.fromkeys(("sech2", "bowl", "bowl_slope"), (0, frozenset(("logarithm", "pole")))),
    "div": (1, frozenset(("logarithm", "pole"))),
}
"""By which argument a slope goes to 0 far out, and against what not fast enough: that of ``exp(log(f))`` is 1 at 0."""


class Fading:
    """By what slopes by one input can be infinite, for the values of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._wary = Ops(lambda op, args: graph.apply("mul0" if op == "mul" else op, args))
        self._steep: dict[int, set[str]] = {}

    def ops(self, number: int, moves: Sequence[bool]) -> Ops:
        """Return the instructions for the rule of a value: where its slope fades, a zero wins in all products.

        Args:
            number: the value; those that it is made of come before it.
            moves: which of its arguments depend on the input.
        """
        op, args = self._graph.node(number)
        own = self._own(op, args, moves)
        self._steep[number] = own.union(*(self._steep.get(arg, ()) for arg in args))
        place, stronger = _FADES.get(op, (0, frozenset()))
        overflows = op in _FADES and self._graph.grows(args[place])
        return self._wary if overflows and not self._steep.get(args[place], set()) & stronger else self._graph.ops

    def _own(self, op: str, args: tuple[int, ...], moves: Sequence[bool]) -> set[str]:
        if op in _LOGARITHMS and any(moves):
            return {"logarithm"}
        pole = moves[1] if op == "div" else moves[0] and not self._rises(args[1]) if op == "pow" else False
        return {"pole"} if pole else set()

    def _rises(self, exponent: int) -> bool:
        known = self._graph.known(Symbol(self._graph, exponent))
        return known is not None and known >= 1
