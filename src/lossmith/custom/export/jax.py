"""A loss as a function of JAX, with the gradient of its program as its rule."""

from __future__ import annotations

import keyword
from collections.abc import Mapping

from lossmith.core.loss import Loss
from lossmith.custom.export import numpy
from lossmith.custom.export.numpy import define, docstring, listed
from lossmith.custom.export.printer import Language, definitions
from lossmith.custom.export.sheet import Sheet, about, called, sheet_of
from lossmith.custom.export.torch import arguments_of, formulas

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
    reserved=frozenset((
        "jax", "jnp", "losses", "gradient", "primals", "tangents", "weight", "cost", "loss", "values", "tangent", "u",
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
    parameters = [(names[name], value, sheet.declared[name]) for name, value in sheet.parameters.items()]
    given = ", ".join(arguments[: len(sheet.inputs)])
    return numpy.module(
        docstring([
            f"{sheet.loss.card.title}.",
            "",
            *about(sheet.loss, names, parameters),
            "",
            f"    value, slope = jax.jit(jax.value_and_grad(cost))({given})",
        ]),
        [*definitions(JAX, helpers), *functions, rule(sheet, names, arguments), *ends(sheet, names, arguments)],
        ["import jax", "import jax.numpy as jnp"],
    )  # fmt: skip


def rule(sheet: Sheet, names: Mapping[str, str], arguments: list[str]) -> list[str]:
    """Return the rule by which losses are differentiated."""
    by = [names[symbol] for symbol in sheet.wrt]
    if len(by) == 1:
        found = [f"    tangent = gradient(*primals) * tangents[{arguments.index(by[0])}]"]
    else:
        terms = [f"by_{name} * tangents[{arguments.index(name)}]" for name in by]
        found = [f"    {', '.join(f'by_{name}' for name in by)} = gradient(*primals)"]
        found += [f"    tangent = {terms[0]}", *(f"    tangent += {term}" for term in terms[1:])]
    return [
        "@losses.defjvp",
        "def losses_jvp(primals, tangents):",
        f'    """Differentiate by {" and ".join(by)}; the others are constants."""',
        *found,
        "    return losses(*primals), tangent",
    ]


def ends(sheet: Sheet, names: Mapping[str, str], arguments: list[str]) -> list[list[str]]:
    """Return the functions that people call: ``loss`` of each example and ``cost``."""
    numbers = {names[name]: value for name, value in sheet.parameters.items()}
    inputs = [name for name in arguments if name not in numbers]
    settings = [f"{name}={JAX.number(value)}" for name, value in numbers.items()]
    return [
        [
            *listed("def loss(", [*inputs, *(["*", *settings] if settings else [])], "):"),
            '    """Return the loss of each example."""',
            *listed("    return losses(", arguments, ")"),
        ],
        [
            *listed("def cost(", [*inputs, "*", "weight=None", *settings], "):"),
            '    """Return the mean loss, by weight where there is one."""',
            *listed("    values = losses(", arguments, ")"),
            "    return jnp.average(values, weights=weight)",
        ],
    ]
