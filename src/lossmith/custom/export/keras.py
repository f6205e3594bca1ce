"""A loss as a class of Keras, on every backend, with the gradient of its program."""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence

from lossmith.core.loss import Loss
from lossmith.custom.export import numpy
from lossmith.custom.export.numpy import define, docstring, listed
from lossmith.custom.export.printer import Language, definitions
from lossmith.custom.export.sheet import Sheet, about, called, sheet_of
from lossmith.custom.export.torch import formulas


def _side(name: str) -> list[str]:
    return [f"def {name}(a, b):", f'    """Return the {name} one."""']


KERAS = Language(
    calls={
        "abs": "ops.abs({0})",
        "sign": "ops.sign({0})",
        "pow": "ops.power({0}, {1})",
        "sqrt": "ops.sqrt({0})",
        "exp": "ops.exp({0})",
        "expm1": "ops.expm1({0})",
        "log": "ops.log({0})",
        "log1p": "ops.log1p({0})",
        "tanh": "ops.tanh({0})",
        "sigmoid": "ops.sigmoid({0})",
        "normal_within": "ops.erf({0} * 0.7071067811865476)",
    },
    define=define,
    where="ops.where({0}, {1}, {2})",
    where_numbers="ops.where({0}, ops.full_like({3}, {1}), {2})",
    with_number={"hypot": "hypot({0}, ops.full_like({0}, {1}))"},
    # ops.maximum and ops.minimum round to single precision on some backends
    own={
        "min": ("smaller", [*_side("smaller"), "    return ops.where(a > b, b, a)"]),
        "max": ("larger", [*_side("larger"), "    return ops.where(a < b, b, a)"]),
    },
    reserved=frozenset((
        "keras", "ops", "math", "losses", "gradient", "self", "reduction", "name", "dtype", "upstream", "call",
        "grad", "args", "differentiable", "slopes", "slope",
        "get_config", "smaller", "larger", *keyword.kwlist,
    )),
)  # fmt: skip


def export(loss: Loss) -> str:
    """Return a module of Python with one class, a ``keras.losses.Loss``."""
    sheet = sheet_of(loss)
    names = called(sheet, KERAS.reserved)
    helpers: dict[str, None] = {}
    arguments = [*(names[item.symbol] for item in sheet.inputs), *(names[name] for name in sheet.parameters)]
    functions = formulas(sheet, names, arguments, KERAS, helpers)
    return numpy.module(
        _document(sheet, names),
        [*definitions(KERAS, helpers), *functions, class_of(sheet, names, _body(sheet, names, arguments))],
        ["import keras", "from keras import ops"],
    )


def _packed(sheet: Sheet, names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what the two arrays of Keras hold: several inputs lie along the last axis of one."""
    predicted = [names[item.symbol] for item in sheet.inputs if item.predicted]
    others = [names[item.symbol] for item in sheet.inputs if not item.predicted]
    return {"y_true": others, "y_pred": predicted}


def _document(sheet: Sheet, names: Mapping[str, str]) -> list[str]:
    parameters = [(names[name], value, sheet.declared[name]) for name, value in sheet.parameters.items()]
    lines = [f"{sheet.loss.card.title}.", "", *about(sheet.loss, names, parameters), ""]
    for array, held in _packed(sheet, names).items():
        if len(held) > 1:
            lines += [f"{array} holds them along its last axis: {', '.join(held)}.", ""]
        elif not held:
            lines += [f"{array} is not looked at.", ""]
    return docstring([*lines, f'    model.compile("adam", loss={sheet.class_name}())'])


def _body(sheet: Sheet, names: Mapping[str, str], arguments: list[str]) -> list[str]:
    """Return what ``call`` does."""
    packed = _packed(sheet, names)
    by = packed["y_pred"]
    taken = []
    for array, held in packed.items():
        if len(held) > 1:
            columns = [f"{array}[..., {place}]" for place in range(len(held))]
            taken.append(f"{', '.join(held)} = {', '.join(columns)}")
        elif held and held[0] != array:
            taken.append(f"{held[0]} = {array}")
    numbers = [names[name] for name in sheet.parameters]
    return [
        # a tensor, since not all backends have functions of plain numbers
        *(f"{name} = ops.convert_to_tensor(self.{name}, y_pred.dtype)" for name in numbers),
        *taken,
        *differentiable(by, arguments),
        f"return differentiable({', '.join(by)})",
    ]


def differentiable(by: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return the lines of a function of what is differentiated by, with the gradient as its rule."""
    grad = listed("return upstream * gradient(", arguments, ")", 72)
    if len(by) > 1:
        grad = listed("slopes = gradient(", arguments, ")", 72)
        grad.append("return tuple(upstream * slope for slope in slopes)")
    return [
        "",
        "@ops.custom_gradient",
        f"def differentiable({', '.join(by)}):",
        "    def grad(*args, upstream=None):",
        "        upstream = args[0] if upstream is None else upstream",
        *(f"        {line}" for line in grad),
        "",
        *listed("    return losses(", arguments, "), grad", 80),
        "",
    ]


def class_of(sheet: Sheet, names: Mapping[str, str], body: Sequence[str]) -> list[str]:
    """Return the class, given what ``call`` does."""
    numbers = {names[name]: value for name, value in sheet.parameters.items()}
    config = [f'"{name}": self.{name}' for name in numbers]
    settings = [f"{name}={KERAS.number(value)}" for name, value in numbers.items()]
    settings += ['reduction="sum_over_batch_size"', f'name="{sheet.name}"', "dtype=None"]
    saved = [
        "",
        "    def get_config(self):",
        '        """Return what the loss is made of."""',
        *listed("        return {", ["**super().get_config()", *config], "}"),
    ]
    return [
        f'@keras.saving.register_keras_serializable(package="{sheet.name}")',
        f"class {sheet.class_name}(keras.losses.Loss):",
        '    """The losses of each example, reduced as Keras reduces them; saved and loaded with a model."""',
        "",
        *listed("    def __init__(", ["self", *settings], "):"),
        "        super().__init__(reduction=reduction, name=name, dtype=dtype)",
        *(f"        self.{name} = {name}" for name in numbers),
        "",
        "    def call(self, y_true, y_pred):",
        '        """Return the loss of each example."""',
        *(f"        {line}".rstrip() for line in body),
        *(saved if numbers else []),
    ]
