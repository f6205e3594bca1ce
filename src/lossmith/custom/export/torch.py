"""A loss as a module of PyTorch, with the gradient of its program and not that of autograd's own rules."""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence

from lossmith.core.loss import Loss
from lossmith.custom.export import numpy
from lossmith.custom.export.numpy import define, docstring, listed
from lossmith.custom.export.printer import Language, definitions
from lossmith.custom.export.sheet import PointSheet, RowSheet, Sheet, sheet_of
from lossmith.custom.export.words import about, called

WORDS: Mapping[str, str] = {"y_pred": "input", "y_true": "target"}

TORCH = Language(
    calls={
        "abs": "torch.abs({0})",
        "sign": "torch.sign({0})",
        "min": "torch.minimum({0}, {1})",
        "max": "torch.maximum({0}, {1})",
        "pow": "torch.pow({0}, {1})",
        "sqrt": "torch.sqrt({0})",
        "exp": "torch.exp({0})",
        "expm1": "torch.expm1({0})",
        "log": "torch.log({0})",
        "log1p": "torch.log1p({0})",
        "tanh": "torch.tanh({0})",
        "hypot": "torch.hypot({0}, {1})",
        "sigmoid": "torch.sigmoid({0})",
        "lgamma": "torch.lgamma({0})",
        "normal_within": "torch.erf({0} * 0.7071067811865476)",
    },
    define=define,
    where="torch.where({0}, {1}, {2})",
    where_numbers="torch.where({0}, torch.full_like({3}, {1}), {2})",
    rows={
        "sum": "{0}.sum(dim=-1, keepdim=True)",
        "total": "{0}.sum(dim=-1)",
        "argmax": "{0}.argmax(dim=-1, keepdim=True)",
        "pick": "{0}.gather(-1, {1})",
        "lookup": "{like}.new_tensor({list})[{0}]",
        "place": "torch.where({0} == {number}, 0, {0})",
        "log_sum_exp": "torch.logsumexp({0}, dim=-1, keepdim=True)",
        "log_softmax": "torch.log_softmax({0}, dim=-1)",
        "cumsum": "{0}.cumsum(dim=-1)",
        "places": "torch.arange({like}.shape[-1], device={like}.device)",
        "numbers": "{like}.new_tensor({list})",
        "width": "{like}.shape[-1]",
        "begin": "{0}.unsqueeze(-1)",
        "there": "{0}.unsqueeze(-2)",
        "end": "{0}.squeeze(-1)",
        "axis": "{0}.movedim({1}, {2})",
    },
    with_number={
        "min": "torch.clamp({0}, max={1})",
        "max": "torch.clamp({0}, min={1})",
        "hypot": "torch.hypot({0}, torch.full_like({0}, {1}))",
    },
    reserved=frozenset((
        "torch", "nn", "math", "losses", "gradient", "ctx", "grad_output", "self", "weight", "reduction",
        "training", "forward", "counts", "row_weight", "apply", "u",
        *keyword.kwlist,
    )),
)  # fmt: skip


def export(loss: Loss) -> str:
    """Return a module of Python with one class, an ``nn.Module``."""
    sheet = sheet_of(loss)
    names = called(sheet, TORCH.reserved, WORDS)
    helpers: dict[str, None] = {}
    arguments = arguments_of(sheet, names)
    given = arguments[: len(sheet.inputs)]
    functions = formulas(sheet, names, arguments, TORCH, helpers)
    return numpy.module(
        docstring([
            *about(sheet, names),
            "",
            f"    cost = {sheet.class_name}()({', '.join(given)})",
            "    cost.backward()",
        ]),
        [
            *numpy.constants(sheet),
            *definitions(TORCH, helpers),
            *functions,
            _function(sheet, names, arguments),
            _module(sheet, names, given, _body(sheet, names, arguments)),
        ],
        ["import torch", "from torch import nn"],
    )  # fmt: skip


def arguments_of(sheet: Sheet, names: Mapping[str, str]) -> list[str]:
    """Return the names of inputs, those of y_pred and y_true first in this order, and of parameters."""
    inputs = sorted(sheet.inputs, key=lambda item: {"y_pred": 0, "y_true": 1}.get(item.name, 2))
    return [*(names[item.symbol] for item in inputs), *(names[name] for name in sheet.parameters)]


def formulas(
    sheet: Sheet,
    names: Mapping[str, str],
    arguments: list[str],
    language: Language,
    helpers: dict[str, None],
) -> list[list[str]]:
    """Return the functions of losses and of their gradient, a tuple where there are several predicted inputs."""
    lines, results = sheet.written(language, names, helpers, "value")
    ended = [f"return {results['value']}"]
    text = '    """Return the loss of each example."""'
    found = [[*listed("def losses(", arguments, "):"), text, *_within([*lines, *ended])]]
    lines, results = sheet.written(language, names, helpers, *sheet.gradients)
    by = " and ".join(names[symbol] for symbol in sheet.wrt)
    given = [results[output] for output in sheet.gradients]
    ended = [f"return {', '.join(given)}"]
    if len(ended[0]) > 84:
        ended = ["return (", *(f"    {text}," for text in given), ")"]
    text = f'    """Return the derivative of each loss by {by}."""'
    found.append([*listed("def gradient(", arguments, "):"), text, *_within([*lines, *ended])])
    if sheet.counts:
        lines, results = sheet.written(language, names, helpers, "weight")
        text = '    """Return what each row counts, by its target."""'
        given = arguments[: len(sheet.inputs)]
        found.append([*listed("def row_weight(", given, "):"), text, *_within([*lines, f"return {results['weight']}"])])
    return found


def _within(lines: Sequence[str], indent: int = 4) -> list[str]:
    return [f"{' ' * indent}{line}" for line in lines]


def _function(sheet: Sheet, names: Mapping[str, str], arguments: list[str]) -> list[str]:
    """Return the autograd function."""
    by = [names[symbol] for symbol in sheet.wrt]
    each = [f"by_{name}" for name in by]
    upstream = "grad_output" if isinstance(sheet, PointSheet) else "grad_output.unsqueeze(-1)"
    places = [f"{upstream} * by_{name}" if name in by else "None" for name in arguments]
    ended = [f"return {', '.join(places)}"]
    if len(ended[0]) > 80:
        ended = ["return (", *(f"    {place}," for place in places), ")"]
    return [
        "class _Losses(torch.autograd.Function):",
        '    """The losses, with a gradient that is right at kinks and far out."""',
        "",
        "    generate_vmap_rule = True",
        "",
        "    @staticmethod",
        *listed("    def forward(", arguments, "):"),
        *listed("        return losses(", arguments, ").clone()" if _is_an_input(sheet) else ")"),
        "",
        "    @staticmethod",
        "    def setup_context(ctx, inputs, output):",
        "        ctx.save_for_backward(*inputs)",
        "",
        "    @staticmethod",
        "    def backward(ctx, grad_output):",
        f"        {', '.join(each)} = gradient(*ctx.saved_tensors)",
        *_within(ended, 8),
    ]


def _is_an_input(sheet: Sheet) -> bool:
    """Return whether the loss is one of its inputs as it is, which PyTorch does not take as a result."""
    if not isinstance(sheet, PointSheet):
        return False
    program = sheet.program("value")
    return program.output("value") < len(program.inputs)


def _module(sheet: Sheet, names: Mapping[str, str], inputs: Sequence[str], body: Sequence[str]) -> list[str]:
    """Return the module, given the arrays that it takes and the lines that make ``losses`` of them."""
    numbers = {names[name]: value for name, value in sheet.parameters.items()}
    settings = [*(f"{name}={TORCH.number(value)}" for name, value in numbers.items()), 'reduction="mean"']
    return [
        f"class {sheet.class_name}(nn.Module):",
        '    """The cost; a mean is by weight, the sum of weighted losses over that of weights.',
        "",
        "    Args:",
        *(f"        {name}: see above." for name in numbers),
        '        reduction: "mean", "sum" or "none".',
        '    """',
        "",
        *listed("    def __init__(", ["self", *settings], "):"),
        "        super().__init__()",
        *(f"        self.{name} = {name}" for name in numbers),
        "        self.reduction = reduction",
        "",
        *listed("    def forward(", ["self", *inputs, "weight=None"], "):"),
        *_within(body, 8),
        "        if weight is not None:",
        "            losses = losses * weight",
        *(["            counts = counts * weight"] if sheet.counts else []),
        '        if self.reduction == "none":',
        "            return losses",
        '        if self.reduction == "sum":',
        "            return losses.sum()",
        *(["        return losses.sum() / counts.sum()"] if sheet.counts else _MEAN),
    ]


_MEAN = [
    "        if weight is None:",
    "            return losses.mean()",
    "        return losses.sum() / weight.expand_as(losses).sum()",
]


def _body(sheet: Sheet, names: Mapping[str, str], arguments: Sequence[str]) -> list[str]:
    """Return the lines of a module that make losses of the arrays that functions take."""
    first = names[sheet.wrt[0]]
    numbers = [names[name] for name in sheet.parameters]
    return [
        *moved(sheet, names, TORCH),
        *(f"{name} = {first}.new_tensor(self.{name})" for name in numbers),
        *listed("losses = _Losses.apply(", arguments, ")", 80),
        *([f"counts = row_weight({', '.join(arguments[: len(sheet.inputs)])})"] if sheet.counts else []),
    ]


def moved(sheet: Sheet, names: Mapping[str, str], language: Language) -> list[str]:
    """Return the lines that bring the classes to the last axis, where they lie along another."""
    if not isinstance(sheet, RowSheet) or sheet.class_axis == -1:
        return []
    inputs = [names[symbol] for symbol in sheet.recipe.entries]
    return [f"{name} = {language.rows['axis'].format(name, sheet.class_axis, -1)}" for name in inputs]
