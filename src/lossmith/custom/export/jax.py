"""A loss as a function of JAX, with the gradient of its program as its rule."""

from __future__ import annotations

import keyword
from collections.abc import Mapping

from lossmith.core.loss import Loss
from lossmith.custom.export import numpy
from lossmith.custom.export.numpy import define, docstring, listed
from lossmith.custom.export.printer import Language, definitions
from lossmith.custom.export.sheet import PointSheet, Sheet, sheet_of
from lossmith.custom.export.torch import arguments_of, formulas, moved
from lossmith.custom.export.words import about, called

WORDS: Mapping[str, str] = {"y_pred": "predictions", "y_true": "targets"}

JAX = Language(
    calls={
        "abs": "jnp.abs({0})",
        "sign": "jnp.sign({0})",
        "min": "jnp.minimum({0}, {1})",
        "max": "jnp.maximum({0}, {1})",
        "pow": "jnp.power({0}, {1})",
        "sqrt": "jnp.sqrt({0})",
        "exp": "jnp.exp({0})",
        "expm1": "jnp.expm1({0})",
        "log": "jnp.log({0})",
        "log1p": "jnp.log1p({0})",
        "tanh": "jnp.tanh({0})",
        "hypot": "jnp.hypot({0}, {1})",
        "sigmoid": "jax.nn.sigmoid({0})",
        "softplus": "jax.nn.softplus({0})",
        "lgamma": "jax.lax.lgamma({0})",
        "normal_within": "jax.lax.erf({0} * 0.7071067811865476)",
    },
    define=define,
    infinity="jnp.inf",
    wide="jnp.asarray({0})",
    where="jnp.where({0}, {1}, {2})",
    rows={
        "sum": "jnp.sum({0}, axis=-1, keepdims=True)",
        "total": "jnp.sum({0}, axis=-1)",
        "argmax": "jnp.argmax({0}, axis=-1, keepdims=True)",
        "pick": "jnp.take_along_axis({0}, {1}, axis=-1)",
        "lookup": "jnp.asarray({list}, {like}.dtype)[{0}]",
        "place": "jnp.where({0} == {number}, 0, {0})",
        "log_sum_exp": "jax.nn.logsumexp({0}, axis=-1, keepdims=True)",
        "log_softmax": "jax.nn.log_softmax({0})",
        "cumsum": "jnp.cumsum({0}, axis=-1)",
        "places": "jnp.arange({like}.shape[-1])",
        "numbers": "jnp.asarray({list}, {like}.dtype)",
        "width": "{like}.shape[-1]",
        "begin": "{0}[..., None]",
        "there": "{0}[..., None, :]",
        "end": "{0}[..., 0]",
        "axis": "jnp.moveaxis({0}, {1}, {2})",
    },
    reserved=frozenset((
        "jax", "jnp", "losses", "gradient", "primals", "tangents", "weight", "cost", "loss", "values", "tangent", "u",
        "counts", "row_weight",
        *keyword.kwlist,
    )),
)  # fmt: skip


def export(loss: Loss) -> str:
    """Return a module of Python with a function ``loss``."""
    sheet = sheet_of(loss)
    names = called(sheet, JAX.reserved, WORDS)
    helpers: dict[str, None] = {}
    arguments = arguments_of(sheet, names)
    functions = formulas(sheet, names, arguments, JAX, helpers)
    functions[0].insert(0, "@jax.custom_jvp")
    given = ", ".join(arguments[: len(sheet.inputs)])
    return numpy.module(
        docstring([
            *about(sheet, names),
            "",
            f"    value, slope = jax.jit(jax.value_and_grad(cost))({given})",
        ]),
        [
            *numpy.constants(sheet),
            *definitions(JAX, helpers),
            *functions,
            _rule(sheet, names, arguments),
            *_ends(sheet, names, arguments),
        ],
        ["import jax", "import jax.numpy as jnp"],
    )  # fmt: skip


def _rule(sheet: Sheet, names: Mapping[str, str], arguments: list[str]) -> list[str]:
    """Return the rule by which losses are differentiated."""
    by = [names[symbol] for symbol in sheet.wrt]
    whole = "{}" if isinstance(sheet, PointSheet) else "jnp.sum({}, axis=-1)"
    if len(by) == 1:
        product = f"gradient(*primals) * tangents[{arguments.index(by[0])}]"
        found = [f"    tangent = {whole.format(product)}"]
    else:
        terms = [whole.format(f"by_{name} * tangents[{arguments.index(name)}]") for name in by]
        found = [f"    {', '.join(f'by_{name}' for name in by)} = gradient(*primals)"]
        found += [f"    tangent = {terms[0]}", *(f"    tangent += {term}" for term in terms[1:])]
    return [
        "@losses.defjvp",
        "def losses_jvp(primals, tangents):",
        f'    """Differentiate by {" and ".join(by)}; the others are constants."""',
        *found,
        "    return losses(*primals), tangent",
    ]


def _ends(sheet: Sheet, names: Mapping[str, str], arguments: list[str]) -> list[list[str]]:
    """Return the functions that people call: ``loss`` of each example and ``cost``."""
    numbers = {names[name]: value for name, value in sheet.parameters.items()}
    inputs = [name for name in arguments if name not in numbers]
    settings = [f"{name}={JAX.number(value)}" for name, value in numbers.items()]
    mean = ["    return jnp.average(values, weights=weight)"]
    if sheet.counts:
        mean = [
            *(f"    {line}" for line in moved(sheet, names, JAX)),
            f"    counts = row_weight({', '.join(inputs)})",
            "    weight = 1.0 if weight is None else weight",
            "    return jnp.sum(weight * values) / jnp.sum(weight * counts)",
        ]
    return [
        [
            *listed("def loss(", [*inputs, *(["*", *settings] if settings else [])], "):"),
            '    """Return the loss of each example."""',
            *(f"    {line}" for line in moved(sheet, names, JAX)),
            *listed("    return losses(", arguments, ")"),
        ],
        [
            *listed("def cost(", [*inputs, "*", "weight=None", *settings], "):"),
            '    """Return the mean loss, by weight where there is one."""',
            *listed("    values = loss(", [*inputs, *(f"{name}={name}" for name in numbers)], ")"),
            *mean,
        ],
    ]
