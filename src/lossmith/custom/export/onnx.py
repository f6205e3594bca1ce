"""A loss as a model of ONNX: losses and derivatives of the inputs, in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossmith.core.loss import Loss
from lossmith.custom.export.helpers import HELPERS, helper
from lossmith.custom.export.rowwise import OTHER, Statement
from lossmith.custom.export.sheet import PointSheet, RowSheet, sheet_of
from lossmith.custom.export.words import about, called
from lossmith.errors import MissingDependencyError, ParameterError, ProgramError
from lossmith.program import Program

OPSET = 18
IR_VERSION = 9

_NODES: Mapping[str, str] = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "abs": "Abs", "sign": "Sign", "min": "Min",
    "max": "Max", "pow": "Pow", "exp": "Exp", "log": "Log", "tanh": "Tanh", "where": "Where", "lt": "Less",
    "le": "LessOrEqual", "equal": "Equal", "both": "And", "either": "Or",
}  # fmt: skip


def export(loss: Loss) -> bytes:
    """Return a serialised ``ModelProto`` with outputs ``losses`` and ``gradient`` (``gradient_x`` where several).

    Parameters are initialisers under their names. Where rows count by their targets, that is the output ``weight``.

    Inputs of rows have as many axes as the class axis asks for: two, or three where classes lie along the third from
    either end.

    Raises:
        MissingDependencyError: where ``onnx`` is not installed.
        ParameterError: where a number of the loss is infinite or 0 in float32, and only there.
    """
    sheet = sheet_of(loss)
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError("export to ONNX needs onnx: pip install 'lossmith[onnx]'") from None
    names = called(sheet, frozenset(("losses", "gradient", "weight", *(f"gradient_{x.name}" for x in sheet.inputs))))
    builder = _Builder(onnx)
    outputs = {"value": "losses"}
    for symbol in sheet.wrt:
        outputs[f"gradient:{symbol}"] = "gradient" if len(sheet.wrt) == 1 else f"gradient_{names[symbol]}"
    if isinstance(sheet, RowSheet):
        inputs, shapes = builder.rows(sheet, names, outputs | ({"weight": "weight"} if sheet.counts else {}))
    else:
        assert isinstance(sheet, PointSheet)
        inputs, shapes = builder.points(sheet, names, outputs)
    helper_, kinds = onnx.helper, onnx.TensorProto

    def arrays(found: Mapping[str, Sequence[str]], whole: Sequence[str] = ()) -> list[Any]:
        return [
            helper_.make_tensor_value_info(name, kinds.INT64 if name in whole else kinds.FLOAT, shape)
            for name, shape in found.items()
        ]

    places = [names[symbol] for symbol in sheet.recipe.places] if isinstance(sheet, RowSheet) else []
    numbers = [
        helper_.make_tensor(names[name], kinds.FLOAT, [], [_single(value)]) for name, value in sheet.parameters.items()
    ]
    graph = helper_.make_graph(
        builder.nodes,
        sheet.name,
        arrays(inputs, places),
        arrays(shapes),
        [*numbers, *builder.constants.values()],
        doc_string="\n".join(about(sheet, names)),
    )
    model = helper_.make_model(graph, producer_name="lossmith", opset_imports=[helper_.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    found: bytes = model.SerializeToString()
    return found


def _single(value: float) -> float:
    """Return a number that float32 holds, if not all of its digits."""
    with np.errstate(all="ignore"):
        held = np.float32(value)
    if np.isinf(held) != np.isinf(value) or (held == 0) != (value == 0):
        raise ParameterError(
            f"the loss cannot be exported for onnx, which computes in float32: {value:g} is "
            f"{'infinite' if held else '0'} there. Take numbers between 1e-45 and 3e38"
        )
    return value


Shapes = dict[str, Sequence[str]]


class _Builder:
    """Nodes of a graph, with instructions that ONNX lacks written out in place."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def points(self, sheet: PointSheet, names: Mapping[str, str], outputs: Mapping[str, str]) -> tuple[Shapes, Shapes]:
        """Add what a loss of one example's numbers takes, and return the shapes of inputs and outputs."""
        program = sheet.program(*outputs)
        results = self.written(program, [names[name] for name in (*program.inputs, *program.parameters)])
        for output, name in outputs.items():
            self.finish(results[output], name, names[sheet.wrt[0]])
        return {names[symbol]: ["n"] for symbol in program.inputs}, {name: ["n"] for name in outputs.values()}

    def rows(self, sheet: RowSheet, names: Mapping[str, str], outputs: Mapping[str, str]) -> tuple[Shapes, Shapes]:
        """Add what a loss of rows takes, and return the same."""
        recipe, like = sheet.recipe, names[sheet.wrt[0]]
        ndim = max(2, sheet.class_axis + 1, -sheet.class_axis)
        at = sheet.class_axis % ndim
        examples = ["n", *(f"n_{place}" for place in range(2, ndim))]
        axes = [*examples[:at], sheet.entries, *examples[at:]]
        turned = at < ndim - 1
        there = [*(place for place in range(ndim) if place != at), at]  # classes last
        back = [*range(at), ndim - 1, *range(at, ndim - 1)]
        known = {name: names[name] for name in (*recipe.entries, *recipe.parameters)}
        if turned:
            known |= {name: self._node("Transpose", [names[name]], perm=there) for name in recipe.entries}
            like = known[sheet.wrt[0]]
        last = self._whole([-1])
        known |= {name: self._node("Unsqueeze", [names[name], last]) for name in recipe.wholes}
        indices = {name for name, item in recipe.statements.items() if item.kind in ("places", "place", "argmax")}
        for name, statement in recipe.needed(*outputs).items():
            given = [known[item] for item in statement.of]
            if statement.kind == "across" and statement.program is not None:
                named = {item: self._node("Unsqueeze", [known[item], last]) for item in statement.of}
                for item in statement.others:
                    named[f"{item}{OTHER}"] = self._node("Unsqueeze", [known[item], self._whole([-2])])
                pairs = self.written(statement.program, [named[item] for item in statement.program.inputs])["value"]
                known[name] = self._node("ReduceSum", [pairs, last], keepdims=0)
            elif statement.program is not None:
                leaves = [
                    self._node("Cast", [known[item]], to=self.onnx.TensorProto.FLOAT)
                    if item in recipe.places or item in indices
                    else known[item]
                    for item in (*statement.program.inputs, *statement.program.parameters)
                ]
                known[name] = self.written(statement.program, leaves)["value"]
            else:
                known[name] = self._gathered(statement, given, like)
        shapes: Shapes = {}
        for output, name in outputs.items():
            made, whole = str(recipe.outputs[output]), recipe.whole(str(recipe.outputs[output]))
            kind = "Squeeze" if whole else "Transpose" if turned else "Identity"
            order = {"perm": back} if kind == "Transpose" else {}
            self.nodes.append(
                self.onnx.helper.make_node(kind, [known[made], *([last] if whole else [])], [name], **order)
            )
            shapes[name] = examples if whole else axes
        entries = {names[x]: axes for x in recipe.entries}
        return {item: entries.get(item, examples) for item in (names[x.symbol] for x in sheet.inputs)}, shapes

    def _gathered(self, statement: Statement, given: Sequence[str], like: str) -> str:
        """Return the value of a statement of rows that is no formula."""
        kind = statement.kind
        if kind == "place":
            mark = self._whole([int(statement.numbers[0])])
            return self._node("Where", [self._node("Equal", [given[0], mark]), self._whole([0]), given[0]])
        if kind in ("lookup", "numbers"):
            listed = self._list(statement.numbers)
            return self._node("Gather", [listed, given[0]]) if kind == "lookup" else listed
        if kind in ("places", "width"):
            width = self._node("Squeeze", [self._node("Shape", [like], start=-1), self._whole([0])])
            if kind == "width":
                return self._node("Cast", [width], to=self.onnx.TensorProto.FLOAT)
            return self._node("Range", [self._whole([], 0), width, self._whole([], 1)])
        if kind == "pick":
            return self._node("GatherElements", given, axis=-1)
        if kind == "argmax":
            return self._node("ArgMax", given, axis=-1)
        if kind == "log_softmax":
            return self._node("LogSoftmax", given, axis=-1)
        if kind == "cumsum":
            return self._node("CumSum", [given[0], self._whole([], 1)])
        return self._node({"sum": "ReduceSum", "log_sum_exp": "ReduceLogSumExp"}[kind], [given[0], self._whole([-1])])

    def _whole(self, values: Sequence[int], single: int | None = None) -> str:
        """Return the name of whole numbers, or of a single one without an axis."""
        name = f"whole.{single if single is not None else values[0]}{'' if single is None else '.alone'}"
        if name not in self.constants:
            shape, found = ([len(values)], values) if single is None else ([], [single])
            self.constants[name] = self.onnx.helper.make_tensor(name, self.onnx.TensorProto.INT64, shape, found)
        return name

    def _list(self, values: Sequence[float]) -> str:
        name = f"numbers.{len(self.constants)}"
        self.constants[name] = self.onnx.helper.make_tensor(
            name, self.onnx.TensorProto.FLOAT, [len(values)], list(map(_single, values))
        )
        return name

    def written(self, program: Program, leaves: Sequence[str]) -> dict[str, str]:
        """Add what a program takes, and return the name of each output's value."""
        values = [*leaves, *(self.constant(value) for value in program.constants)]
        for step in program.steps:
            values.append(self._value(step.op, [values[arg] for arg in step.args]))
        return {name: values[number] for name, number in program.outputs}

    def constant(self, value: float) -> str:
        """Return the name of a number."""
        name = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        name = name if name[-1].isdigit() else f"number.{name}"  # an input may be called inf
        if name not in self.constants:
            self.constants[name] = self.onnx.helper.make_tensor(name, self.onnx.TensorProto.FLOAT, [], [_single(value)])
        return name

    def finish(self, value: str, name: str, like: str) -> None:
        """Give an output its name and the shape of the examples, also where it is the same for all of them."""
        self.nodes.append(self.onnx.helper.make_node("Expand", [value, self._node("Shape", [like])], [name]))

    def _value(self, op: str, args: Sequence[str]) -> str:
        if op == "normal_within":
            return self._node("Erf", [self._value("mul", [args[0], self.constant(0.5**0.5)])])
        if op in _NODES:
            return self._node(_NODES[op], args)
        if op not in HELPERS:
            raise ProgramError(f"instruction {op!r} is not known to ONNX")
        return self.written(helper(op), args)["value"]

    def _node(self, kind: str, args: Sequence[str], **attributes: int | Sequence[int]) -> str:
        name = f"{kind.lower()}.{len(self.nodes)}"  # a dot, since an input may be called mul_2
        self.nodes.append(self.onnx.helper.make_node(kind, list(args), [name], **attributes))
        return name
