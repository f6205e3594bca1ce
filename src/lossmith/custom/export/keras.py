"""A loss as a class of Keras, on every backend, with the gradient of its program."""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence

from lossmith.core.loss import Loss
from lossmith.custom.export import numpy
from lossmith.custom.export.numpy import define, docstring, listed
from lossmith.custom.export.printer import Language, definitions
from lossmith.custom.export.sheet import PointSheet, RowSheet, Sheet, sheet_of
from lossmith.custom.export.torch import formulas, moved
from lossmith.custom.export.words import about, called


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
    rows={
        "sum": "ops.sum({0}, axis=-1, keepdims=True)",
        "total": "ops.sum({0}, axis=-1)",
        "argmax": "ops.argmax({0}, axis=-1, keepdims=True)",
        "pick": "ops.take_along_axis({0}, {1}, axis=-1)",
        "lookup": "ops.take(ops.array({list}, {like}.dtype), {0}, axis=0)",
        "place": "ops.where({0} == {number}, 0, {0})",
        "log_sum_exp": "ops.logsumexp({0}, axis=-1, keepdims=True)",
        "log_softmax": "ops.log_softmax({0}, axis=-1)",
        "cumsum": "running_sum({0})",
        "places": "ops.arange({like}.shape[-1])",
        "numbers": "ops.array({list}, {like}.dtype)",
        "width": "{like}.shape[-1]",
        "begin": "ops.expand_dims({0}, -1)",
        "there": "ops.expand_dims({0}, -2)",
        "end": "ops.squeeze({0}, -1)",
        "axis": "ops.moveaxis({0}, {1}, {2})",
    },
    where_numbers="ops.where({0}, ops.full_like({3}, {1}), {2})",
    with_number={"hypot": "hypot({0}, ops.full_like({0}, {1}))"},
    # ops.maximum, ops.minimum and ops.cumsum round to single precision on some backends
    own={
        "cumsum": (
            "running_sum",
            [
                "def running_sum(a):",
                '    """Return the sums of the entries up to each."""',
                "    size = a.shape[-1]",
                "    upto = ops.cast(ops.tril(ops.ones((size, size))), a.dtype)",
                "    return ops.sum(a[..., None, :] * upto, axis=-1)",
            ],
        ),
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
    pair = [item.name for item in sheet.inputs]
    words = {}
    if isinstance(sheet, RowSheet) and len(pair) == 2:
        words = dict(zip(pair, ("y_true", "y_pred"), strict=True))  # the first of two distributions is the truth
    names = called(sheet, KERAS.reserved, words)
    helpers: dict[str, None] = {}
    arguments = [*(names[item.symbol] for item in sheet.inputs), *(names[name] for name in sheet.parameters)]
    functions = formulas(sheet, names, arguments, KERAS, helpers)
    return numpy.module(
        _document(sheet, names),
        [
            *numpy.constants(sheet),
            *definitions(KERAS, helpers),
            *functions,
            _class_of(sheet, names, _body(sheet, names, arguments)),
        ],
        ["import keras", "from keras import ops"],
    )


def _packed(sheet: Sheet, names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what the two arrays of Keras hold: several inputs lie along the last axis of one."""
    every = [(names[item.symbol], item.predicted) for item in sheet.inputs]
    predicted = [name for name, is_so in every if is_so and name != "y_true"]
    return {"y_true": [name for name, _ in every if name not in predicted], "y_pred": predicted}


def _document(sheet: Sheet, names: Mapping[str, str]) -> list[str]:
    lines = [*about(sheet, names), ""]
    for array, held in _packed(sheet, names).items():
        if len(held) > 1:
            axis = "last but one" if isinstance(sheet, RowSheet) else "last"
            lines += [f"{array} holds them along its {axis} axis: {', '.join(held)}.", ""]
        elif not held:
            lines += [f"{array} is not looked at.", ""]
    return docstring([*lines, f'    model.compile("adam", loss={sheet.class_name}())'])


def _body(sheet: Sheet, names: Mapping[str, str], arguments: list[str]) -> list[str]:
    """Return what ``call`` does."""
    packed = _packed(sheet, names)
    by = [names[symbol] for symbol in sheet.wrt]
    taken = []
    for array, held in packed.items():
        if len(held) > 1:
            columns = ", ".join(f"{array}[..., {place}]" for place in range(len(held)))
            rows = isinstance(sheet, RowSheet)
            taken.append(f"{', '.join(held)} = {f'ops.unstack({array}, axis=-2)' if rows else columns}")
        elif held and held[0] != array:
            taken.append(f"{held[0]} = {array}")
    numbers = [names[name] for name in sheet.parameters]
    return [
        # a tensor, since not all backends have functions of plain numbers
        *(f"{name} = ops.convert_to_tensor(self.{name}, y_pred.dtype)" for name in numbers),
        *taken,
        *moved(sheet, names, KERAS),
        *(f'{names[symbol]} = ops.cast({names[symbol]}, "int32")' for symbol in _places(sheet)),
        *_differentiable(sheet, by, arguments),
        f"return differentiable({', '.join(by)})",
    ]


def _places(sheet: Sheet) -> tuple[str, ...]:
    return sheet.recipe.places if isinstance(sheet, RowSheet) else ()


def _differentiable(sheet: Sheet, by: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return the lines of a function of what is differentiated by, with the gradient as its rule."""
    upstream = "upstream" if isinstance(sheet, PointSheet) else "ops.expand_dims(upstream, -1)"
    grad = listed(f"return {upstream} * gradient(", arguments, ")", 72)
    if len(by) > 1:
        grad = listed("slopes = gradient(", arguments, ")", 72)
        grad.append(f"return tuple({upstream} * slope for slope in slopes)")
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


def _class_of(sheet: Sheet, names: Mapping[str, str], body: Sequence[str]) -> list[str]:
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
