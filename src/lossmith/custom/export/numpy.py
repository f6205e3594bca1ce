"""A loss as functions of NumPy."""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence

from lossmith.core.loss import Loss
from lossmith.custom.export.printer import Language, Printer, definitions
from lossmith.custom.export.sheet import PointSheet, RowSheet, Sheet, sheet_of
from lossmith.custom.export.words import about, called
from lossmith.program import Program

ERRSTATE = '@np.errstate(all="ignore")'
"""Above functions that compute a branch which is not taken: what happens there is no news."""

_QUIET = frozenset(("add", "sub", "mul", "neg", "abs", "sign", "min", "max", "lt", "le", "equal", "both", "either"))


def define(name: str, arguments: Sequence[str], meaning: str, lines: Sequence[str], result: str) -> list[str]:
    """Return a small function."""
    head = [f"def {name}({', '.join(arguments)}):", f'    """Return {meaning}."""']
    return [*head, *(f"    {line}" for line in lines), f"    return {result}"]


NUMPY = Language(
    calls={
        "abs": "np.abs({0})",
        "sign": "np.sign({0})",
        "min": "np.minimum({0}, {1})",
        "max": "np.maximum({0}, {1})",
        "pow": "np.power({0}, {1})",
        "sqrt": "np.sqrt({0})",
        "exp": "np.exp({0})",
        "expm1": "np.expm1({0})",
        "log": "np.log({0})",
        "log1p": "np.log1p({0})",
        "tanh": "np.tanh({0})",
        "hypot": "np.hypot({0}, {1})",
        "softplus": "np.logaddexp(0.0, {0})",
    },
    define=define,
    infinity="np.inf",
    wide="np.float64({0})",
    where="np.where({0}, {1}, {2})",
    own={
        "normal_within": (
            "normal_within",
            [
                "def normal_within(a):",
                '    """Return erf(a/sqrt(2))."""',
                "    return np.vectorize(math.erf, otypes=[float])(a * math.sqrt(0.5))",
            ],
        ),
        "log_softmax": (
            "log_softmax",
            [
                "def log_softmax(logits):",
                '    """Return the logarithms of the probabilities."""',
                "    moved = logits - logits.max(axis=-1, keepdims=True)",
                "    return moved - np.log(np.exp(moved).sum(axis=-1, keepdims=True))",
            ],
        ),
        "log_sum_exp": (
            "log_sum_exp",
            [
                "def log_sum_exp(logits):",
                '    """Return the logarithm of the sum of the exponentials of each row."""',
                "    largest = logits.max(axis=-1, keepdims=True)",
                "    return largest + np.log(np.exp(logits - largest).sum(axis=-1, keepdims=True))",
            ],
        ),
    },
    rows={
        "sum": "np.sum({0}, axis=-1, keepdims=True)",
        "total": "np.sum({0}, axis=-1)",
        "argmax": "np.argmax({0}, axis=-1, keepdims=True)",
        "pick": "np.take_along_axis({0}, {1}, axis=-1)",
        "lookup": "np.array({list})[{0}]",
        "place": "np.where({0} == {number}, 0, {0})",
        "log_sum_exp": "log_sum_exp({0})",
        "log_softmax": "log_softmax({0})",
        "cumsum": "np.cumsum({0}, axis=-1)",
        "places": "np.arange({like}.shape[-1])",
        "numbers": "np.array({list})",
        "width": "{like}.shape[-1]",
        "begin": "np.asarray({0})[..., None]",
        "there": "{0}[..., None, :]",
        "end": "{0}[..., 0]",
        "axis": "np.moveaxis({0}, {1}, {2})",
    },
    reserved=frozenset(("np", "math", "loss", "gradient", "hessian", "cost", "weight", *keyword.kwlist)),
)


def export(loss: Loss) -> str:
    """Return a module with ``loss``, ``gradient``, ``hessian`` (not of rows) and ``cost``."""
    sheet = sheet_of(loss)
    names = called(sheet, NUMPY.reserved)
    helpers: dict[str, None] = {}
    functions = derivatives(sheet, names, helpers)
    blocks = [*constants(sheet), *definitions(NUMPY, helpers), *functions, cost(sheet, names)]
    return module(docstring(about(sheet, names)), blocks)


def constants(sheet: Sheet) -> list[list[str]]:
    """Return the lists of numbers, such as class weights."""
    found = []
    for name, numbers in sheet.lists.items():
        items = ", ".join(map(NUMPY.number, numbers))
        whole = f"{name} = [{items}]"
        found.append(
            [whole] if len(whole) <= 88 else [f"{name} = [", *(f"    {NUMPY.number(x)}," for x in numbers), "]"]
        )
    return found


def docstring(lines: Sequence[str]) -> list[str]:
    """Return lines as the docstring of a module."""
    text = [line.replace('"""', "'''") for line in lines]
    raw = "r" if any("\\" in line for line in text) else ""
    return [f'{raw}"""{text[0]}', *text[1:], '"""']


def module(document: Sequence[str], functions: Sequence[Sequence[str]], imports: Sequence[str] = ()) -> str:
    """Return a module of Python, with those imports that it needs."""
    body = "\n\n\n".join("\n".join(lines) for lines in functions)
    standard = ["import math"] if "math." in body else []
    others = list(imports) or ["import numpy as np"]
    head = [*standard, *([""] if standard else []), *others]
    gap = ["", ""] if body.startswith(("def ", "class ", "@")) else [""]
    return "\n".join([*document, "", *head, *gap, body, ""])


def derivatives(sheet: Sheet, names: Mapping[str, str], helpers: dict[str, None]) -> list[list[str]]:
    """Return the functions ``loss``, ``gradient`` and, where there is one, ``hessian``."""
    assert isinstance(sheet, PointSheet | RowSheet)
    return _of_rows(sheet, names, helpers) if isinstance(sheet, RowSheet) else _of_points(sheet, names, helpers)


def _of_rows(sheet: RowSheet, names: Mapping[str, str], helpers: dict[str, None]) -> list[list[str]]:
    by = [names[symbol] for symbol in sheet.wrt]
    axis, entries = sheet.class_axis, [names[x] for x in sheet.recipe.entries]
    moved = [f"{name} = {NUMPY.rows['axis'].format(name, axis, -1)}" for name in entries if axis != -1]
    found = []
    slopes = f"Return the derivatives of each row's loss by {' and '.join(by)}."
    what = {"loss": ("Return the loss of each row.", ["value"]), "gradient": (slopes, list(sheet.gradients))}
    for name, (text, outputs) in what.items():
        lines, results = sheet.written(NUMPY, names, helpers, *outputs)
        given = [results[output] for output in outputs]
        if axis != -1 and name == "gradient":
            given = [NUMPY.rows["axis"].format(item, -1, axis) for item in given]
        ended = [f"return {given[0]}"]
        if len(given) > 1:
            ended = ["return {", *(f'    "{key}": {item},' for key, item in zip(by, given, strict=True)), "}"]
        body = [*moved, *lines, *ended]
        found.append([ERRSTATE, *signature(name, sheet, names), f'    """{text}"""', *(f"    {line}" for line in body)])
    if sheet.counts:
        target = names["y"]
        lines, results = sheet.written(NUMPY, names, helpers, "weight")
        moved = [line for line in moved if line.startswith(f"{target} ")]
        body = [*moved, *lines, f"return {results['weight']}"]
        text = '    """Return what each row counts, by its target."""'
        found.append([f"def row_weight({target}):", text, *(f"    {line}" for line in body)])
    return found


def _of_points(sheet: PointSheet, names: Mapping[str, str], helpers: dict[str, None]) -> list[list[str]]:
    single = len(sheet.wrt) == 1
    by = [names[symbol] for symbol in sheet.wrt]
    pairs = [f"({names[a.symbol]!r}, {names[b.symbol]!r})" for a, b in sheet.pairs]
    what = [
        ("loss", ("value",), "Return the loss of each example.", []),
        (
            "gradient",
            sheet.gradients,
            f"Return the derivative of each loss by {by[0]}." if single else "Return the derivatives, by input.",
            [repr(name) for name in by],
        ),
        (
            "hessian",
            sheet.hessians,
            f"Return the second derivative by {by[0]}." if single else "Return the second derivatives, by two inputs.",
            pairs,
        ),
    ]
    found = []
    for name, outputs, text, keys in what:
        program = sheet.program(*outputs)
        lines, results = Printer(NUMPY, names, helpers).body(program)
        shaped = [_spread(program, output, results[output], names) for output in outputs]
        keyed = [f"{key}: {result}".replace("'", '"') for key, result in zip(keys, shaped, strict=False)]
        ended = [f"return {shaped[0]}"]
        if len(keys) > 1:
            ended = ["return {", *(f"    {text}," for text in keyed), "}"]
        quiet = all(step.op in _QUIET for step in program.steps)
        found.append(
            [
                *([] if quiet else [ERRSTATE]),
                *signature(name, sheet, names),
                f'    """{text}"""',
                *(f"    {line.replace(chr(39), chr(34))}" for line in [*lines, *ended]),
            ]
        )
    return found


def _spread(program: Program, output: str, text: str, names: Mapping[str, str]) -> str:
    """Return a result that has the shape of the examples, also where it is the same for all."""
    if not program.uniform[program.output(output)]:
        return text
    return f"np.full(np.shape({names[program.inputs[0]]}), {text})"


def signature(name: str, sheet: Sheet, names: Mapping[str, str], more: Sequence[str] = ()) -> list[str]:
    """Return the head of a function of the loss's inputs, with parameters by keyword."""
    by_place = [names[item.symbol] for item in sheet.inputs]
    by_name = [*more, *(f"{names[key]}={NUMPY.number(value)}" for key, value in sheet.parameters.items())]
    return listed(f"def {name}(", [*by_place, *(["*"] if by_name else []), *by_name], "):")


def listed(head: str, items: Sequence[str], tail: str, wide: int = 88) -> list[str]:
    """Return a call or a head of a function on one line, or on one for each argument where that is too long."""
    line = f"{head}{', '.join(items)}{tail}"
    if len(line) <= wide:
        return [line]
    indent = " " * (len(head) - len(head.lstrip()))
    return [head, *(f"{indent}    {item}," for item in items), f"{indent}{tail}"]


def cost(sheet: Sheet, names: Mapping[str, str]) -> list[str]:
    """Return the function of the mean loss."""
    values = [*(names[item.symbol] for item in sheet.inputs)]
    values += [f"{names[name]}={names[name]}" for name in sheet.parameters]
    head = [
        *signature("cost", sheet, names, ["weight=None"]),
        '    """Return the mean loss, by weight where there is one."""',
        *listed("    losses = loss(", values, ")"),
    ]
    if not sheet.counts:
        return [*head, "    return np.average(losses, weights=weight)"]
    return [
        *head,
        f"    counts = row_weight({names['y']})",
        "    weight = 1.0 if weight is None else np.asarray(weight)",
        "    return np.sum(weight * losses) / np.sum(weight * counts)",
    ]
