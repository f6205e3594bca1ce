"""Plans: programs as straight-line Python over NumPy's functions.

A plan is made once for a program. What composed instructions have in common is computed once, a product in
which an exact zero wins is a plain product where nothing else can come out, and values share buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines._numpy_functions import COMPOSED, IMPLEMENTATION
from lossmith.engines.facts import finite_tests, lengths, plain_products, ranges
from lossmith.program import TABLE, Ops, Program
from lossmith.program.ops import Value

Array = npt.NDArray[Any]
Node = tuple[str, tuple[Any, ...]]
"""A function and the nodes that it takes; or ``input``, ``uniform`` or ``literal`` and which."""


def _filled(like: Array, value: Array, out: Array | None) -> Array:
    """Return a number that is the same for every example, for each of them."""
    if out is None:
        return np.full(like.shape, value)
    out[...] = value
    return out


TILE = 4096
"""Rows that are worked on at once: so few that all arrays on the way stay in the cache."""

_LEAVES = ("input", "uniform", "literal")
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **IMPLEMENTATION,
    "finite": np.isfinite,
    "filled": _filled,
}
_CONDITIONS = frozenset(("finite", *(name for name, row in TABLE.items() if row.result == "bool")))


class Graph:
    """A program as functions of NumPy, equal ones once."""

    def __init__(self, program: Program) -> None:
        self.nodes: list[Node] = []
        self._index: dict[Node, int] = {}
        self._truths: set[int] = set()
        self._ops = Ops(self._apply)
        self._plain, self._tests = plain_products(program, ranges(program)), finite_tests(program)
        self._lengths = lengths(program)
        self._of = [self._leaf("input", place) for place in range(len(program.inputs))]
        for number in range(len(program.inputs), len(program.types)):
            if program.uniform[number]:
                self._of.append(self._leaf("uniform", number))
                if program.types[number] == "bool":
                    self._truths.add(self._of[-1])
            else:
                step = program.steps[number - program.first_step]
                self._of.append(self._step(number, step.op, step.args))
        self.outputs = tuple(self._whole(program, number) for _, number in program.outputs)
        self.live = sorted(self._needed())

    def _needed(self) -> set[int]:
        """Return the nodes that outputs are made of; a condition seen as one whole leaves its parts unused."""
        found: set[int] = set()
        stack = list(self.outputs)
        while stack:
            if (node := stack.pop()) not in found:
                found.add(node)
                kind, args = self.nodes[node]
                stack += args if kind not in _LEAVES else ()
        return found

    def _whole(self, program: Program, number: int) -> int:
        """Return the node of an output, as an array of its own."""
        node = self._of[number]
        kind, _ = self.nodes[node]
        if kind == "uniform":
            return self._leaf("filled", 0, node)
        return self._leaf("hold", node) if kind == "input" else node

    def _leaf(self, kind: str, *which: Any) -> int:
        node = (kind, which)
        if node not in self._index:
            self._index[node] = len(self.nodes)
            self.nodes.append(node)
        return self._index[node]

    def _step(self, number: int, op: str, args: tuple[int, ...]) -> int:
        given = tuple(self._of[arg] for arg in args)
        if number in self._tests:
            return self._leaf("finite", self._of[self._tests[number]])
        if op in ("hold", "sloped"):
            return self._leaf("filled", 0, given[0]) if self.nodes[given[0]][0] == "uniform" else given[0]
        if number in self._plain:
            return self._leaf("mul", *given)
        if number in self._lengths:
            return self._leaf("div", given[0], self._of[self._lengths[number]])
        if op in COMPOSED:
            node: int = COMPOSED[op](self._ops, *given)
            return node
        return self._apply(op, given)

    def _apply(self, op: str, args: tuple[Value, ...]) -> int:
        given = tuple(self._leaf("literal", arg) if isinstance(arg, float) else arg for arg in args)
        below, inner = self.nodes[given[0]]
        if op in ("abs", "neg") and below == "neg":  # |-x| is |x|
            return self._leaf("abs", *inner) if op == "abs" else int(inner[0])
        return self._leaf(op, *given)

    def is_truth(self, node: int) -> bool:
        """Return whether a node is a truth value."""
        kind, args = self.nodes[node]
        return self.is_truth(args[1]) if kind == "filled" else kind in _CONDITIONS or node in self._truths


def buffers(graph: Graph) -> dict[int, tuple[str, int]]:
    """Return where each node but the leaves is kept: an output in a place of its own, the others in shared buffers.

    Places are called by type and number: ``("real", 2)``, ``("bool", 0)``, and ``("result", 1)``.
    """
    steps = [node for node in graph.live if graph.nodes[node][0] not in _LEAVES]
    last_use = {arg: node for node in steps for arg in graph.nodes[node][1]}
    results = list(dict.fromkeys(graph.outputs))
    places: dict[int, tuple[str, int]] = {node: ("result", place) for place, node in enumerate(results)}
    free: dict[str, list[int]] = {"real": [], "bool": []}
    made = {"real": 0, "bool": 0}
    for node in steps:
        kind = "bool" if graph.is_truth(node) else "real"
        if node not in places:
            if not free[kind]:
                free[kind].append(made[kind])
                made[kind] += 1
            places[node] = (kind, free[kind].pop())
        # Arguments are freed after the result has its place: no function writes over what it reads.
        for arg in set(graph.nodes[node][1]):
            if last_use[arg] == node and places.get(arg, ("result", 0))[0] != "result":
                free[places[arg][0]].append(places[arg][1])
    return places


OWN = 25
"""What one of our own functions costs for a small array in calls of NumPy, about."""

_CALLS = {
    "where": 1, "alike": 1, "filled": 1, "mul0": 4,
    **dict.fromkeys(("exp", "expm1", "hypot", "log", "log1p", "pow", "tanh"), 3),
}  # fmt: skip
"""What others cost; one call is a function of NumPy's that computes next to nothing."""


@lru_cache(maxsize=512)
def calls(program: Program) -> int:
    """Return about how many calls of NumPy a program takes, which is what small arrays cost."""
    graph = Graph(program)
    kinds = [kind for node in graph.live if (kind := graph.nodes[node][0]) not in _LEAVES]
    return sum(_CALLS.get(kind, 1 if isinstance(_FUNCTIONS[kind], np.ufunc) else OWN) for kind in kinds)


@dataclass(frozen=True)
class Plan:
    """A program as a Python function ``(inputs, fixed values, arrays to write into or None) -> outputs``.

    Attributes:
        function: the function; it takes all arrays by place, and returns the first of those written into.
        fixed: what the fixed values are: numbers of a program's uniform values, and literals.
        room: type of each array to write into, ``"real"`` or ``"bool"``.
        outputs: for each output of the program, which of the arrays that the function returns it is.
    """

    function: Callable[..., tuple[Array, ...]]
    fixed: tuple[tuple[str, Any], ...]
    room: tuple[str, ...]
    outputs: tuple[int, ...]


@lru_cache(maxsize=512)
def plan(program: Program) -> Plan:
    """Return the plan of a program."""
    graph = Graph(program)
    places = buffers(graph)
    names = {node: f"{kind}_{number}" for node, (kind, number) in places.items()}
    fixed: list[tuple[str, Any]] = []
    for node in graph.live:
        kind, args = graph.nodes[node]
        if kind == "input":
            names[node] = f"input_{args[0]}"
        elif kind in _LEAVES:
            names[node] = f"fixed_{len(fixed)}"
            fixed.append((kind, args[0]))
    room = {names[node]: "bool" if graph.is_truth(node) else "real" for node in places}
    given = [f"input_{place}" for place in range(len(program.inputs))]
    lines = [f"def run({', '.join([*given, *(f'fixed_{place}' for place in range(len(fixed))), *room])}):"]
    for node in graph.live:
        kind, args = graph.nodes[node]
        if kind not in _LEAVES:
            lines.append(f"    {names[node]} = {kind}({', '.join(names[arg] for arg in args)}, out={names[node]})")
    results = list(dict.fromkeys(graph.outputs))
    lines.append(f"    return ({''.join(f'{names[node]}, ' for node in results)})")
    scope: dict[str, Any] = dict(_FUNCTIONS)
    exec("\n".join(lines), scope)  # the text holds numbered names and those of the table, nothing that a user gave
    return Plan(scope["run"], tuple(fixed), tuple(room.values()), tuple(map(results.index, graph.outputs)))


@dataclass(frozen=True)
class Runner:
    """A program with numbers for its parameters, ready to run in one type.

    Attributes:
        names: what the caller calls the outputs, each with its place among what the function returns.
        function: the plan's.
        fixed: the fixed values.
        results: type of each array that the function returns.
        scratch: type of each array that it needs besides.
        dtype: type to compute in.
    """

    names: tuple[tuple[str, int], ...]
    function: Callable[..., tuple[Array, ...]]
    fixed: tuple[Array, ...]
    results: tuple[np.dtype[Any], ...]
    scratch: tuple[np.dtype[Any], ...]
    dtype: np.dtype[Any]

    def stream(
        self, columns: Sequence[Array], block: int, first: int = 0
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        """Run over columns of one length and of any real types, block by block.

        Floating-point warnings are the caller's to silence.

        Args:
            columns: see ``lossmith.core.columns``.
            block: rows in a block.
            first: the row to begin at.
        """
        length = len(columns[0])
        if 0 < length - first <= min(block, TILE):
            found = self._run(columns if first == 0 else [column[first:] for column in columns], self._nothing)
            return iter([(first, length, {name: found[place] for name, place in self.names})])
        return self._tiled(columns, block, first, length)

    def whole(self, columns: Sequence[Array]) -> list[Array]:
        """Return the outputs, in the order of their names, for columns of one tile at most; see ``stream``."""
        found = self._run(columns, self._nothing)
        return [found[place] for _, place in self.names]

    def _tiled(
        self, columns: Sequence[Array], block: int, first: int, length: int
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        rows = max(0, min(block, length - first))
        results = [np.empty(rows, kind) for kind in self.results]
        scratch = [np.empty(min(rows, TILE), kind) for kind in self.scratch]
        for start in range(first, length, block):
            stop = min(start + block, length)
            for begin in range(start, stop, TILE):
                end = min(begin + TILE, stop)
                room = [array[begin - start : end - start] for array in results]
                room += [array[: end - begin] for array in scratch]
                self._run([column[begin:end] for column in columns], room)
            yield start, stop, {name: results[place][: stop - start] for name, place in self.names}

    def _run(self, columns: Sequence[Array], room: Sequence[Array | None]) -> tuple[Array, ...]:
        """Run over whole columns; where there is no array to write into, NumPy makes one."""
        convert, dtype = np.ascontiguousarray, self.dtype
        return self.function(*[convert(column, dtype) for column in columns], *self.fixed, *room)

    @cached_property
    def _nothing(self) -> list[None]:
        return [None] * (len(self.results) + len(self.scratch))


def runner(
    program: Program, uniform: Mapping[int, Array], dtype: np.dtype[Any], names: Mapping[str, str] | None = None
) -> Runner:
    """Return a program ready to run.

    Args:
        program: what to run.
        uniform: its values that are the same for every example, by number.
        dtype: float32 or float64.
        names: the outputs that the caller wants, by the caller's names for them; by default all by their own.
    """
    made = plan(program)
    # Zero-dimensional arrays keep the data type in every NumPy, unlike Python numbers.
    fixed = [uniform[which] if kind == "uniform" else np.asarray(which) for kind, which in made.fixed]
    kinds = {"real": dtype, "bool": np.dtype(np.bool_)}
    room = [kinds[kind] for kind in made.room]
    count = len(set(made.outputs))
    places = {name: place for (name, _), place in zip(program.outputs, made.outputs, strict=True)}
    wanted = places if names is None else {name: places[output] for name, output in names.items()}
    return Runner(
        names=tuple(wanted.items()),
        function=made.function,
        fixed=tuple(value if value.dtype == np.bool_ else value.astype(dtype) for value in fixed),
        results=tuple(room[:count]),
        scratch=tuple(room[count:]),
        dtype=dtype,
    )
