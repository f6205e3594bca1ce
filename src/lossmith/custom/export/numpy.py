"""A loss as functions of NumPy."""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence

from lossmith.core.loss import Loss
from lossmith.custom.export.printer import Language, Printer, definitions
from lossmith.custom.export.sheet import Sheet, about, called, sheet_of
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
        )
    },
    reserved=frozenset(("np", "math", "loss", "gradient", "hessian", "cost", "weight", *keyword.kwlist)),
)


def export(loss: Loss) -> str:
    """Return a module with ``loss``, ``gradient``, ``hessian`` and ``cost``."""
    sheet = sheet_of(loss)
    names = called(sheet, NUMPY.reserved)
    helpers: dict[str, None] = {}
    functions = derivatives(sheet, names, helpers)
    return module(document(sheet, names), [*definitions(NUMPY, helpers), *functions, _cost(sheet, names)])


def document(sheet: Sheet, names: Mapping[str, str]) -> list[str]:
    """Return the text that the module begins with."""
    parameters = [(names[name], value, sheet.declared[name]) for name, value in sheet.parameters.items()]
    return docstring([f"{sheet.loss.card.title}.", "", *about(sheet.loss, names, parameters)])


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
    """Return the functions ``loss``, ``gradient`` and ``hessian``."""
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


def _cost(sheet: Sheet, names: Mapping[str, str]) -> list[str]:
    values = [*(names[item.symbol] for item in sheet.inputs)]
    values += [f"{names[name]}={names[name]}" for name in sheet.parameters]
    return [
        *signature("cost", sheet, names, ["weight=None"]),
        '    """Return the mean loss, by weight where there is one."""',
        *listed("    losses = loss(", values, ")"),
        "    return np.average(losses, weights=weight)",
    ]
