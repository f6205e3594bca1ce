"""A loss as a model of ONNX: losses and derivatives of the inputs, in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossmith.core.loss import Loss
from lossmith.custom.export.helpers import HELPERS, helper
from lossmith.custom.export.sheet import about, called, sheet_of
from lossmith.errors import MissingDependencyError, ProgramError
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

    Parameters are initialisers under their names.

    Raises:
        MissingDependencyError: where ``onnx`` is not installed.
    """
    sheet = sheet_of(loss)
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError("export to ONNX needs onnx: pip install 'lossmith[onnx]'") from None
    names = called(sheet, frozenset(("losses", "gradient", *(f"gradient_{item.name}" for item in sheet.inputs))))
    builder = _Builder(onnx)
    program = sheet.program("value", *sheet.gradients)
    leaves = [names[name] for name in (*program.inputs, *program.parameters)]
    results = builder.written(program, leaves)
    inputs = [names[symbol] for symbol in program.inputs]
    outputs = {"value": "losses"}
    for symbol in sheet.wrt:
        outputs[f"gradient:{symbol}"] = "gradient" if len(sheet.wrt) == 1 else f"gradient_{names[symbol]}"
    for output, name in outputs.items():
        builder.finish(results[output], name, names[sheet.wrt[0]])
    helper_ = onnx.helper
    kind = onnx.TensorProto.FLOAT

    def arrays(found: Sequence[str]) -> list[Any]:
        return [helper_.make_tensor_value_info(name, kind, ["n"]) for name in found]

    numbers = [helper_.make_tensor(names[name], kind, [], [value]) for name, value in sheet.parameters.items()]
    parameters = [(names[name], value, sheet.declared[name]) for name, value in sheet.parameters.items()]
    graph = helper_.make_graph(
        builder.nodes,
        sheet.name,
        arrays(inputs),
        arrays(list(outputs.values())),
        [*numbers, *builder.constants.values()],
        doc_string="\n".join([f"{sheet.loss.card.title}.", "", *about(sheet.loss, names, parameters)]),
    )
    model = helper_.make_model(graph, producer_name="lossmith", opset_imports=[helper_.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    found: bytes = model.SerializeToString()
    return found


class _Builder:
    """Nodes of a graph, with instructions that ONNX lacks written out in place."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def written(self, program: Program, leaves: Sequence[str]) -> dict[str, str]:
        """Add what a program takes, and return the name of each output's value."""
        values = [*leaves, *(self.constant(value) for value in program.constants)]
        for step in program.steps:
            values.append(self._value(step.op, [values[arg] for arg in step.args]))
        return {name: values[number] for name, number in program.outputs}

    def constant(self, value: float) -> str:
        """Return the name of a number."""
        name = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        if name not in self.constants:
            self.constants[name] = self.onnx.helper.make_tensor(name, self.onnx.TensorProto.FLOAT, [], [value])
        return name

    def finish(self, value: str, name: str, like: str) -> None:
        """Give an output its name and the shape of the examples, also where it is the same for all of them."""
        zero = self._value("mul", [self.constant(0.0), like])
        self.nodes.append(self.onnx.helper.make_node("Add", [value, zero], [name]))

    def _value(self, op: str, args: Sequence[str]) -> str:
        if op == "normal_within":
            return self._node("Erf", [self._value("mul", [args[0], self.constant(0.5**0.5)])])
        if op in _NODES:
            return self._node(_NODES[op], args)
        if op not in HELPERS:
            raise ProgramError(f"instruction {op!r} is not known to ONNX")
        return self.written(helper(op), args)["value"]

    def _node(self, kind: str, args: Sequence[str]) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(args), [name]))
        return name
